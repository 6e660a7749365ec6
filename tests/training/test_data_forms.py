"""Formats of dimensions and encodings of categories: the same training whatever form the data have."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from mlnet import (
    DataError,
    OptionError,
    additionLayer,
    arrayDatastore,
    categorical,
    classificationLayer,
    combine,
    connectLayers,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    inputLayer,
    layerGraph,
    lstmLayer,
    pixelClassificationLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    transform,
)
from mlnet.data.datastores.datastore import Datastore
from mlnet.table import DataTable

G = np.random.default_rng(0)


def losses(x, y, layers, **more):
    rng(0)
    options = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "Shuffle": "never", "InitialLearnRate": 1e-3}
    return trainNetwork(x, y, layers, trainingOptions("sgdm", **{**options, **more}), nargout=2)[1].TrainingLoss


def same(case, plain, changed):
    """Compare a training with data in mlnet's own order with one in another order and format."""
    layers, more = case
    np.testing.assert_allclose(losses(*plain, layers), losses(*changed, layers, **more), rtol=1e-6)


FEATURES, RESPONSES = G.normal(size=(12, 3)), G.normal(size=(12, 2))
DENSE = [featureInputLayer(3), fullyConnectedLayer(2), regressionLayer()]
IMAGES, PICTURES = G.normal(size=(5, 4, 2, 8)), G.normal(size=(5, 4, 3, 8))
CONVOLUTION = [imageInputLayer([5, 4, 2], Normalization="none"), convolution2dLayer(1, 3), regressionLayer()]
SEQUENCES = [G.normal(size=(3, 6)) for _ in range(5)]
STEPS = [G.normal(size=(2, 6)) for _ in range(5)]
RECURRENT = [sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), regressionLayer()]


@pytest.mark.parametrize(
    "x_format, y_format", [("CB", "BC"), ("BC", "CB"), ("cb", "cb"), ("CB", "auto"), ("auto", "CB"), ("BC", "auto")]
)
def test_features(x_format, y_format):
    x = FEATURES.T if x_format.upper() == "CB" else FEATURES
    y = RESPONSES.T if y_format.upper() == "CB" else RESPONSES
    more = {"InputDataFormats": x_format, "TargetDataFormats": y_format, "ValidationData": (x, y)}
    same((DENSE, more), (FEATURES, RESPONSES), (x, y))


def test_wrong_format_shows():
    with pytest.raises(DataError, match="X"):
        losses(FEATURES, RESPONSES, DENSE, InputDataFormats="CB")
    square = G.normal(size=(3, 3))
    plain = losses(square, square[:, :2], DENSE, MiniBatchSize=3)
    assert np.abs(plain - losses(square, square[:, :2], DENSE, MiniBatchSize=3, InputDataFormats="CB")).max() > 1e-3


def test_images():
    bssc, sscb = np.moveaxis(IMAGES, -1, 0), np.moveaxis(PICTURES, 2, 0)
    same((CONVOLUTION, {"InputDataFormats": "BSSC", "TargetDataFormats": "CSSB"}), (IMAGES, PICTURES), (bssc, sscb))
    same((CONVOLUTION, {"InputDataFormats": ["SSCB"]}), (IMAGES, PICTURES), (IMAGES, PICTURES))
    gray = [imageInputLayer([5, 4, 1]), fullyConnectedLayer(1), regressionLayer()]
    flat = PICTURES[:, :, 0]
    same(
        (gray, {"InputDataFormats": "SSB", "TargetDataFormats": "B"}),
        (flat[:, :, None], np.arange(8.0)),
        (flat, np.arange(8.0)),
    )


@pytest.mark.parametrize("form", ["CTB", "BTC", "TCB"])
def test_sequences_in_one_array(form):
    own = np.stack(SEQUENCES, -1), np.stack(STEPS, -1)
    order = ["CTB".index(label) for label in form]
    changed = [each.transpose(order) for each in own]
    more = {"InputDataFormats": form, "TargetDataFormats": form}
    same((RECURRENT, more), (SEQUENCES, STEPS), changed)


def test_sequences_in_lists():
    more = {"InputDataFormats": "TCB", "TargetDataFormats": "TC"}
    uneven = SEQUENCES[:4] + [SEQUENCES[4][:, :3]], STEPS[:4] + [STEPS[4][:, :3]]
    same((RECURRENT, more), uneven, tuple([each.T for each in part] for part in uneven))
    last = [sequenceInputLayer(3), lstmLayer(4, OutputMode="last"), fullyConnectedLayer(2), regressionLayer()]
    y = RESPONSES[:5]
    same((last, {"InputDataFormats": "TC", "TargetDataFormats": "CB"}), (SEQUENCES, y), ([s.T for s in SEQUENCES], y.T))


def test_labels():
    y = np.array(["a", "b", "c"])[np.arange(12) % 3]
    layers = [featureInputLayer(3), fullyConnectedLayer(3), softmaxLayer(), classificationLayer()]
    for given in (categorical(y[None]), (np.arange(12) % 3)[None]):
        same((layers, {"TargetDataFormats": "CB"}), (FEATURES, y), (FEATURES, given))
    with pytest.raises(
        DataError, match="needs one label for each observation, but the dimension C of 'CB' has length 3"
    ):
        losses(FEATURES, np.eye(3)[np.arange(12) % 3].T, layers, TargetDataFormats="CB")
    pixels = G.integers(0, 3, (5, 4, 8))
    layers = [
        imageInputLayer([5, 4, 2], Normalization="none"),
        convolution2dLayer(1, 3),
        softmaxLayer(),
        pixelClassificationLayer(),
    ]
    for given in (np.moveaxis(pixels, -1, 0), categorical(np.moveaxis(pixels, -1, 0))):
        same((layers, {"TargetDataFormats": "BSS"}), (IMAGES, pixels), (IMAGES, given))
    steps = G.integers(0, 2, (5, 6))
    layers = [sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    for given in (steps.T, categorical(steps.T)):
        same((layers, {"TargetDataFormats": "TB"}), (SEQUENCES, list(steps)), (SEQUENCES, given))


def test_several_inputs_and_the_general_input_layer():
    graph = layerGraph(
        [featureInputLayer(3, Name="a"), additionLayer(2, Name="sum"), fullyConnectedLayer(2), regressionLayer()]
    )
    graph = graph.addLayers(featureInputLayer(3, Name="b"))
    graph = connectLayers(graph, "b", "sum/in2")
    other = G.normal(size=(12, 3))
    more = {"InputDataFormats": ["auto", "CB"]}
    same((graph, more), ((FEATURES, other), RESPONSES), ((FEATURES, other.T), RESPONSES))
    same((graph, more), ((FEATURES, other), RESPONSES), ({"b": other.T, "a": FEATURES}, RESPONSES))
    with pytest.raises(OptionError, match="one format for each of the 2 inputs 'a', 'b', but got 1"):
        losses((FEATURES, other), RESPONSES, graph, InputDataFormats="CB")
    general = [inputLayer([3, np.nan], "CB"), fullyConnectedLayer(2), regressionLayer()]
    same((general, {"InputDataFormats": "BC"}), (FEATURES.T, RESPONSES), (FEATURES, RESPONSES))
    with pytest.raises(DataError, match="'CTB' does not fit the InputFormat 'CB'"):
        losses(FEATURES, RESPONSES, general, InputDataFormats="CTB")


class Listed(Datastore):
    """Rows out of a list."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __len__(self):
        return len(self.found)

    def rows(self, numbers, generator=None):
        return [self.found[number] for number in numbers]


def test_datastores():
    own = Listed([(IMAGES[..., n], PICTURES[..., n]) for n in range(8)])

    def train(store, **more):
        rng(0)
        options = trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=4, Verbose=False, InitialLearnRate=1e-3, **more)
        return trainNetwork(store, CONVOLUTION, options, nargout=2)[1].TrainingLoss

    swapped = Listed([(IMAGES[..., n].transpose(2, 0, 1), PICTURES[..., n].transpose(2, 0, 1)) for n in range(8)])
    np.testing.assert_allclose(train(swapped, InputDataFormats="CSSB", TargetDataFormats="BCSS"), train(own), rtol=1e-6)


def test_tables_have_no_formats():
    table = pandas.DataFrame({"a": FEATURES[:, 0], "b": FEATURES[:, 1]})
    layers = [featureInputLayer(1), fullyConnectedLayer(1), regressionLayer()]
    with pytest.raises(OptionError, match="are for arrays, but X is a table"):
        trainNetwork(table, layers, trainingOptions("sgdm", InputDataFormats="BC"))


@pytest.mark.parametrize("bad", ["SSSSC", "CC", "XB", "", 1])
def test_formats_that_are_none(bad):
    with pytest.raises(OptionError, match="TargetDataFormats: needs"):
        trainingOptions("sgdm", TargetDataFormats=bad)


CATEGORIES = categorical(np.array([["a", "x"], ["b", "y"], ["c", "x"], ["a", "y"]] * 3))
CODES = np.array([[1, 4], [2, 5], [3, 4], [1, 5]] * 3)


def test_categorical_inputs():
    layers = [featureInputLayer(2), fullyConnectedLayer(2), regressionLayer()]
    same((layers, {}), (CODES, RESPONSES), (CATEGORIES, RESPONSES))
    wide = [featureInputLayer(10), *layers[1:]]
    hot = np.hstack([np.eye(5)[CODES[:, 0] - 1], np.eye(5)[CODES[:, 1] - 1]])
    validation = {"ValidationData": (categorical(np.array([["c", "x"]] * 2)), RESPONSES[:2])}
    same((wide, {"CategoricalInputEncoding": "one-hot", **validation}), (hot, RESPONSES), (CATEGORIES, RESPONSES))
    turned = categorical.from_codes(CATEGORIES.codes.T, ["a", "b", "c", "x", "y"])
    more = {"CategoricalInputEncoding": "one-hot", "InputDataFormats": "CB"}
    same((wide, more), (hot, RESPONSES), (turned, RESPONSES))
    with pytest.raises(DataError, match=r"ValidationData: X: needs the categories .* but has 'z'"):
        losses(CATEGORIES, RESPONSES, layers, ValidationData=(categorical([["z", "x"]]), RESPONSES[:1]))


@pytest.mark.parametrize("encoding", ["integer", "one-hot"])
def test_categorical_columns_of_tables(encoding):
    left, right = np.array(list("bcab") * 3), np.array(list("xyyx") * 3)
    frame = pandas.DataFrame(
        {
            "left": pandas.Categorical(left, ["c", "b", "a"]),
            "number": FEATURES[:, 0],
            "right": pandas.Categorical(right),
            "y": RESPONSES[:, 0],
        }
    )
    codes = [np.array([3 - "abc".index(each) for each in left]), np.array(["xy".index(each) + 1 for each in right])]
    hot = [np.eye(3)[codes[0] - 1], np.eye(2)[codes[1] - 1]]
    parts = hot if encoding == "one-hot" else [each[:, None] for each in codes]
    plain = np.hstack([parts[0], FEATURES[:, :1], parts[1]])
    layers = [featureInputLayer(plain.shape[1]), fullyConnectedLayer(1), regressionLayer()]
    more = {"CategoricalInputEncoding": encoding, "ValidationFrequency": 1}
    few = frame.iloc[:2].assign(left=pandas.Categorical(["b", "c"]))  # fewer categories, and in another order

    def train(*data, validation):
        rng(0)
        given = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "Shuffle": "never", **more}
        options = trainingOptions("sgdm", ValidationData=validation, **given)
        return trainNetwork(*data, layers, options, nargout=2)[1]

    expected = train(plain, RESPONSES[:, :1], validation=(plain[:2], RESPONSES[:2, :1]))
    table = DataTable(left=categorical(left, ["c", "b", "a"]), number=FEATURES[:, 0], right=categorical(right),
                      y=RESPONSES[:, 0])  # fmt: skip
    for given in ((frame,), (frame, "y"), (table,)):
        found = train(*given, validation=few)
        np.testing.assert_allclose(found.TrainingLoss, expected.TrainingLoss, rtol=1e-6)
        np.testing.assert_allclose(found.ValidationLoss, expected.ValidationLoss, rtol=1e-6)
    with pytest.raises(DataError, match=r"ValidationData: X: the column 'left': needs the categories .* but has 'q'"):
        train(frame, validation=frame.iloc[:1].assign(left=pandas.Categorical(["q"])))
    with pytest.raises(DataError, match="column 'right' has labels.*onehotencode"):
        train(frame.assign(right=right), validation=few)
    few = frame.assign(left=pandas.Categorical([None, *left[1:]], ["c", "b", "a"]))
    with pytest.raises(DataError, match="NaN"):
        train(few, validation=few)


def test_categorical_responses_of_tables():
    kinds = np.array(["a", "b", "c"])[np.arange(12) % 3]
    frame = pandas.DataFrame({"x": FEATURES[:, 0], "kind": pandas.Categorical(kinds)})
    one, three = ([featureInputLayer(1), fullyConnectedLayer(n), regressionLayer()] for n in (1, 3))
    for layers, encoding, y in (
        (one, "integer", 1.0 + np.arange(12) % 3),
        (three, "one-hot", np.eye(3)[np.arange(12) % 3]),
    ):
        rng(0)
        given = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "Shuffle": "never", "InitialLearnRate": 1e-3}
        options = trainingOptions("sgdm", CategoricalTargetEncoding=encoding, **given)
        found = trainNetwork(frame, layers, options, nargout=2)[1].TrainingLoss
        np.testing.assert_allclose(found, losses(FEATURES[:, :1], y, layers), rtol=1e-6)


@pytest.mark.parametrize("encoding", ["integer", "one-hot"])
@pytest.mark.parametrize("kind", ["combined", "transformed", "table", "listed"])
def test_categorical_columns_of_datastores(kind, encoding):
    one = categorical(np.array(["a", "b", "c", "a"] * 3), ["c", "b", "a"])
    y = RESPONSES
    if kind == "table":
        store = combine(arrayDatastore(DataTable(left=one)), arrayDatastore(y))
    elif kind == "combined":
        store = combine(arrayDatastore(CATEGORIES), arrayDatastore(y))
    elif kind == "transformed":
        store = transform(combine(arrayDatastore(CATEGORIES), arrayDatastore(y)), lambda row: [row[0], row[1]])
    else:
        store = Listed([(CATEGORIES[n : n + 1], y[n]) for n in range(12)])
    codes = np.array([3, 2, 1, 3] * 3)[:, None] if kind == "table" else CODES
    count = 3 if kind == "table" else 5
    plain = np.hstack([np.eye(count)[each - 1] for each in codes.T]) if encoding == "one-hot" else codes
    layers = [featureInputLayer(plain.shape[1]), fullyConnectedLayer(2), regressionLayer()]

    def train(data, **more):
        rng(0)
        given = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "InitialLearnRate": 1e-3, **more}
        options = trainingOptions("sgdm", CategoricalInputEncoding=encoding, Shuffle="every-epoch", **given)
        return trainNetwork(*data, layers, options, nargout=2)[1]

    more = {"ValidationData": (plain[:3], y[:3])}, {"ValidationData": store.subset([1, 2, 3])}
    expected, found = train((plain, y), **more[0]), train((store,), **more[1])
    np.testing.assert_allclose(found.TrainingLoss, expected.TrainingLoss, rtol=1e-6)
    np.testing.assert_allclose(found.ValidationLoss, expected.ValidationLoss, rtol=1e-6)
    odd = Listed([(categorical([["a"] * codes.shape[1]]), y[0]), (np.zeros((1, codes.shape[1])), y[0])])
    with pytest.raises(DataError, match="ValidationData: X: needs categories in every observation.*got .*0"):
        train((store,), ValidationData=odd)


def test_categorical_images_sequences_and_responses_of_datastores():
    pictures = [categorical(np.array(list("abcd"))[G.integers(0, 4, (3, 2))], list("abcd")) for _ in range(8)]
    layers = [imageInputLayer([3, 2, 4], Normalization="none"), fullyConnectedLayer(2), regressionLayer()]
    y = RESPONSES[:8]
    hot = np.stack([np.eye(4)[each.codes] for each in pictures], -1)

    def train(data, layers, **more):
        rng(0)
        given = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "InitialLearnRate": 1e-3, "Shuffle": "never"}
        return trainNetwork(*data, layers, trainingOptions("sgdm", **given, **more), nargout=2)[1].TrainingLoss

    store = combine(arrayDatastore(pictures), arrayDatastore(y))
    found = train((store,), layers, CategoricalInputEncoding="one-hot")
    np.testing.assert_allclose(found, train((hot, y), layers), rtol=1e-6)
    words = [categorical([list(each)], list("abc")) for each in ("aba", "c", "bc", "aa")]
    steps = [np.eye(3)[:, each.codes[0]] for each in words]
    targets = [each[:1] * 0.5 for each in steps]
    layers = [sequenceInputLayer(3), lstmLayer(2), fullyConnectedLayer(1), regressionLayer()]
    store = combine(arrayDatastore(words), arrayDatastore(targets))
    found = train((store,), layers, CategoricalInputEncoding="one-hot")
    np.testing.assert_allclose(found, train((steps, targets), layers), rtol=1e-6)
    kinds = categorical(np.array(["a", "b", "c"])[np.arange(12) % 3])
    store = combine(arrayDatastore(FEATURES), arrayDatastore(kinds))
    for encoding, y in (("integer", 1.0 + np.arange(12) % 3), ("one-hot", np.eye(3)[np.arange(12) % 3])):
        layers = [featureInputLayer(3), fullyConnectedLayer(y.ndim * 2 - 1), regressionLayer()]
        found = train((store,), layers, CategoricalTargetEncoding=encoding)
        np.testing.assert_allclose(found, train((FEATURES, y), layers), rtol=1e-6)


def test_categorical_sequences():
    words = [["a", "b", "a"], ["c"], ["b", "c"], ["a", "a"]]
    x = [categorical([each]) for each in words]
    codes = [np.array([["abc".index(word) + 1 for word in each]], float) for each in words]
    y = [each * 0.5 for each in codes]
    layers = [sequenceInputLayer(1), lstmLayer(2), fullyConnectedLayer(1), regressionLayer()]
    same((layers, {}), (codes, y), (x, y))
    wide = [sequenceInputLayer(3), *layers[1:]]
    same(
        (wide, {"CategoricalInputEncoding": "one-hot"}),
        ([np.eye(3)[:, each[0].astype(int) - 1] for each in codes], y),
        (x, y),
    )


def test_categorical_responses():
    y = categorical(np.array(["a", "b", "c"])[np.arange(12) % 3])
    one = [featureInputLayer(3), fullyConnectedLayer(1), regressionLayer()]
    three = [featureInputLayer(3), fullyConnectedLayer(3), regressionLayer()]
    more = {"CategoricalTargetEncoding": "integer"}
    same((one, more), (FEATURES, 1.0 + np.arange(12) % 3), (FEATURES, y))
    more = {"CategoricalTargetEncoding": "one-hot", "ValidationData": (FEATURES[:2], categorical(["c", "b"]))}
    same((three, more), (FEATURES, np.eye(3)[np.arange(12) % 3]), (FEATURES, y))
    with pytest.raises(DataError, match="numeric responses"):
        losses(FEATURES, y, one)
