"""Training and predicting from tables: DataFrames of pandas, and mlnet's."""

import numpy as np
import pandas
import pytest

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    additionLayer,
    addLayers,
    classificationLayer,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.table import DataTable

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(30, 3))
LABELS = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
FEATURES = {f"x{number}": X[:, number] for number in range(3)}
CLASSIFIER = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]


def regressor(outputs=1):
    return [featureInputLayer(3), fullyConnectedLayer(outputs), regressionLayer()]


def trained(*data, **more):
    rng(0)
    options = {"MaxEpochs": 2, "MiniBatchSize": 7, "Verbose": False, **more}
    return trainNetwork(*data, trainingOptions("sgdm", **options))


def same(one, other):
    for layer, expected in zip(one.Layers, other.Layers, strict=True):
        for learnable in layer.learnables:
            np.testing.assert_array_equal(getattr(layer, learnable.name), getattr(expected, learnable.name))


@pytest.mark.parametrize("kind", [pandas.DataFrame, lambda columns: DataTable(**columns)], ids=["pandas", "mlnet"])
def test_features_and_labels(kind):
    expected = trained(X, LABELS, CLASSIFIER)
    table = kind({**FEATURES, "label": LABELS})
    net = trained(table, CLASSIFIER)
    same(net, expected)
    assert net.Layers[-1].ClassNames == ["no", "yes"]
    first = kind({"label": LABELS, **FEATURES})
    same(trained(first, "label", CLASSIFIER), expected)
    np.testing.assert_array_equal(net.predict(table), net.predict(X))  # the responses behind do not matter
    assert (net.classify(kind(FEATURES)) == net.classify(X)).all()


def test_categories_of_pandas_keep_their_order():
    frame = pandas.DataFrame({**FEATURES, "label": pandas.Categorical(LABELS, ["yes", "no"])})
    assert trained(frame, CLASSIFIER).Layers[-1].ClassNames == ["yes", "no"]
    numbers = pandas.DataFrame({**FEATURES, "label": (LABELS == "yes").astype(int)})
    assert trained(numbers, CLASSIFIER).Layers[-1].ClassNames == ["0", "1"]


def test_several_responses_name_themselves():
    y = np.stack([X[:, 0] + 1, X @ [1, 2, 3]], axis=1)
    frame = pandas.DataFrame({"sum": y[:, 1], **FEATURES, "one": y[:, 0]})
    net = trained(frame, ["one", "sum"], regressor(2))
    same(net, trained(X, y, regressor(2)))
    assert list(net.Layers[-1].ResponseNames) == ["one", "sum"]
    named = [*regressor()[:-1], regressionLayer(ResponseNames=["mine"])]
    single = pandas.DataFrame({**FEATURES, "one": y[:, 0]})
    assert list(trained(single, named).Layers[-1].ResponseNames) == ["mine"]
    assert list(trained(single, regressor()).Layers[-1].ResponseNames) == ["one"]


def test_columns_of_several_numbers():
    table = DataTable(both=list(X[:, :2]), last=X[:, 2], label=LABELS)
    same(trained(table, CLASSIFIER), trained(X, LABELS, CLASSIFIER))


def test_integers_bools_and_missing_numbers():
    frame = pandas.DataFrame({"a": np.arange(30), "b": np.arange(30) % 2 == 0, "c": X[:, 2], "label": LABELS})
    expected = np.stack([np.arange(30), np.arange(30) % 2 == 0, X[:, 2]], axis=1).astype(float)
    same(trained(frame, CLASSIFIER), trained(expected, LABELS, CLASSIFIER))
    frame.loc[4, "c"] = np.nan
    with pytest.raises(DataError, match="observation 5 has NaN"):
        trained(frame, CLASSIFIER)


def test_validation_takes_the_columns_of_training():
    frame = pandas.DataFrame({"label": LABELS, **FEATURES})
    rng(0)
    options = {"MaxEpochs": 1, "MiniBatchSize": 7, "Verbose": False}
    tabled = trainingOptions("sgdm", ValidationData=frame, **options)
    _, info = trainNetwork(frame, "label", CLASSIFIER, tabled, nargout=2)
    rng(0)
    plain = trainingOptions("sgdm", ValidationData=(X, LABELS), **options)
    _, expected = trainNetwork(X, LABELS, CLASSIFIER, plain, nargout=2)
    np.testing.assert_array_equal(info.ValidationLoss, expected.ValidationLoss)


def test_columns_of_images_and_sequences():
    images = GENERATOR.normal(size=(4, 4, 1, 30))
    each = [images[..., number] for number in range(30)]
    layers = [imageInputLayer([4, 4, 1]), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    frame = pandas.DataFrame({"picture": each, "label": LABELS})
    net = trained(frame, layers)
    same(net, trained(images, LABELS, layers))
    np.testing.assert_array_equal(net.predict(frame), net.predict(images))
    two = pandas.DataFrame({"picture": each, "a": X[:, 0], "b": X[:, 1]})
    layers = [imageInputLayer([4, 4, 1]), fullyConnectedLayer(2), regressionLayer()]
    same(trained(two, ["a", "b"], layers), trained(images, X[:, :2], layers))

    sequences = [GENERATOR.normal(size=(2, length)) for length in GENERATOR.integers(2, 6, 30)]
    layers = [sequenceInputLayer(2), lstmLayer(3, OutputMode="last"), fullyConnectedLayer(1), regressionLayer()]
    table = DataTable(x=sequences, y=X[:, 0])
    net = trained(table, layers)
    same(net, trained(sequences, X[:, 0], layers))
    np.testing.assert_array_equal(net.predict(table), net.predict(sequences))


def two_inputs():
    first = [featureInputLayer(3, Name="a"), additionLayer(2, Name="add"), *regressor(1)[1:]]
    return connectLayers(addLayers(layerGraph(first), featureInputLayer(3, Name="b")), "b", "add/in2")


FRAME = pandas.DataFrame({**FEATURES, "label": LABELS})


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: trained(FRAME, "labels", CLASSIFIER), UnknownNameError, "no column 'labels'. Did you mean 'label'"),
        (lambda: trained(FRAME, 4, CLASSIFIER), OptionError, "the name of a response column"),
        (lambda: trained(FRAME, [], CLASSIFIER), OptionError, "the name of a response column"),
        (lambda: trained(FRAME, list(FRAME.columns), CLASSIFIER), DataError, "columns of predictors and of responses"),
        (lambda: trained(FRAME.iloc[:0], CLASSIFIER), DataError, "0 rows"),
        (lambda: trained(FRAME, "x0", CLASSIFIER), DataError, r"column 'label' has labels .*onehotencode"),
        (lambda: trained(FRAME, ["label", "x2"], regressor(2)), DataError, "numbers in several columns of responses"),
        (lambda: trained(FRAME, two_inputs()), DataError, "a network of one input for a table"),
        (lambda: trained(FRAME[["x0", "label"]], CLASSIFIER), DataError, "needs observations x 3 features"),
        (
            lambda: trained(FRAME[["x0", "label"]], [imageInputLayer([4, 4, 1]), *CLASSIFIER[1:]]),
            DataError,
            "files or images in the first column of the table, 'x0'",
        ),
        (lambda: trained(DataTable(x=[[1, 2], [1]], y=[0, 1]), regressor()), DataError, "as many numbers, in each row"),
        (lambda: trained(DataTable(x=["a", "b"], y=[0, 1]), regressor()), DataError, "categorical.*onehotencode"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
