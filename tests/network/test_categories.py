"""Categories in the data of predictions get the numbers that they had in training, also after saving and loading."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import mlnet
from mlnet import (
    DataError,
    arrayDatastore,
    categorical,
    classificationLayer,
    classify,
    combine,
    featureInputLayer,
    fullyConnectedLayer,
    lstmLayer,
    predict,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

G = np.random.default_rng(0)
KINDS = np.array(["red", "green", "blue"])[G.integers(0, 3, 12)]
SIZES = G.normal(size=12)
Y = np.array(["yes", "no"])[G.integers(0, 2, 12)]
ENCODINGS = {
    "integer": lambda kinds: 1.0 + np.searchsorted(["blue", "green", "red"], kinds)[:, None],
    "one-hot": lambda kinds: (kinds[:, None] == np.array(["blue", "green", "red"])) * 1.0,
}


def trained(data, layers, encoding="integer"):
    rng(0)
    options = {"MaxEpochs": 3, "MiniBatchSize": 4, "Verbose": False, "CategoricalInputEncoding": encoding}
    return trainNetwork(*data, layers, trainingOptions("adam", **options))


def classifier(count):
    return [featureInputLayer(count), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]


def frame(kinds=KINDS, sizes=SIZES, more=True):
    columns = {"kind": pandas.Categorical(kinds), "size": sizes}
    return pandas.DataFrame({**columns, "y": Y[: len(kinds)]} if more else columns)


@pytest.mark.parametrize("encoding", ["integer", "one-hot"])
def test_tables_of_the_same_columns(tmp_path, encoding):
    plain = np.c_[ENCODINGS[encoding](KINDS), SIZES]
    net = trained((frame(),), classifier(plain.shape[1]), encoding)
    expected = predict(trained((plain, Y), classifier(plain.shape[1])), plain)
    mlnet.save(tmp_path / "net.mat", net=net)
    loaded = mlnet.load(tmp_path / "net.mat").net
    for each in (net, loaded, trained((frame(),), mlnet.layerGraph(classifier(plain.shape[1])), encoding)):
        np.testing.assert_array_equal(predict(each, frame()), expected)
        np.testing.assert_array_equal(predict(each, frame(more=False)), expected)
        few = frame(KINDS[:2], SIZES[:2])  # has fewer categories, which would have other numbers alone
        np.testing.assert_allclose(predict(each, few), expected[:2], rtol=1e-6)
        texts = pandas.DataFrame({"kind": KINDS, "size": SIZES})
        np.testing.assert_array_equal(predict(each, texts), expected)
        for other in (frame()[["y", "size", "kind"]], texts[["size", "kind"]]):  # columns have names
            np.testing.assert_array_equal(predict(each, other), expected)
        with pytest.raises(DataError, match="needs the columns of the training data, but there is no 'size'"):
            predict(each, frame()[["kind", "y"]])
        assert (classify(each, frame()).names() == classify(each, plain).names()).all()
        np.testing.assert_array_equal(predict(each, plain), expected)  # numbers go in as they are
        with pytest.raises(DataError, match=r"predict: X: the column 'kind': needs the categories .*but has 'pink'"):
            predict(each, frame(np.array(["pink"]), SIZES[:1]))
    assert "red" not in repr(net.Layers[0])
    again = trained((plain, Y), net.Layers)
    assert again.Layers[0].CategoricalInputs == ()  # of the last training


@pytest.mark.parametrize("encoding", ["integer", "one-hot"])
def test_arrays_and_datastores(encoding):
    plain = ENCODINGS[encoding](KINDS)
    expected = predict(trained((plain, Y), classifier(plain.shape[1])), plain)
    kinds = categorical(KINDS)[:, None]
    store = combine(arrayDatastore(kinds), arrayDatastore(categorical(Y)))
    for data in ((kinds, Y), (store,)):
        net = trained(data, classifier(plain.shape[1]), encoding)
        for x in (kinds, store, arrayDatastore(kinds)):
            np.testing.assert_allclose(predict(net, x), expected, rtol=1e-6)
        np.testing.assert_allclose(predict(net, categorical(KINDS[:2])[:, None]), expected[:2], rtol=1e-6)
        with pytest.raises(DataError, match="but has 'pink'"):
            predict(net, categorical(["pink"])[:, None])


def test_sequences():
    words = [categorical([list(each)]) for each in ("aba", "c", "bc", "aa")]
    steps = [np.eye(3)[:, ["abc".index(name) for name in each.names()[0]]] for each in words]
    targets = [each[:1] * 0.5 for each in steps]
    layers = [sequenceInputLayer(3), lstmLayer(2), fullyConnectedLayer(1), regressionLayer()]
    net = trained((words, targets), layers, "one-hot")
    for found, expected in zip(predict(net, words), predict(net, steps), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("encoding", ["integer", "one-hot"])
def test_networks_of_trainnet(encoding):
    plain = np.c_[ENCODINGS[encoding](KINDS), SIZES]
    layers = [featureInputLayer(plain.shape[1]), fullyConnectedLayer(2), softmaxLayer()]
    given = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "CategoricalInputEncoding": encoding}

    def train(*data):
        rng(0)
        return mlnet.trainnet(*data, layers, "crossentropy", trainingOptions("adam", **given))

    expected = mlnet.minibatchpredict(train(plain, categorical(Y)), plain)
    net = train(pandas.DataFrame({"kind": pandas.Categorical(KINDS), "size": SIZES, "y": pandas.Categorical(Y)}))
    np.testing.assert_allclose(mlnet.minibatchpredict(net, frame()), expected, rtol=1e-6)
    np.testing.assert_allclose(mlnet.minibatchpredict(net, frame(KINDS[:2], SIZES[:2])), expected[:2], rtol=1e-6)
