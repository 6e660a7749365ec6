"""Custom output layers against built-in ones, their mistakes, and what checkLayer finds."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    ClassificationLayer,
    DataError,
    Formattable,
    NetworkError,
    RegressionLayer,
    categorical,
    checkLayer,
    classificationLayer,
    classify,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    load,
    lstmLayer,
    pixelClassificationLayer,
    predict,
    regressionLayer,
    rng,
    save,
    semanticseg,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
LABELS = categorical(np.where(X[:, 0] > 0, "up", "down").tolist())
RESPONSES = X @ np.ones((3, 2))


class crossEntropy(ClassificationLayer):
    def forwardLoss(self, Y, T):
        return -np.sum(T * np.log(Y)) / Y.shape[len(Y.shape) - 1]


class withBackward(crossEntropy):
    def backwardLoss(self, Y, T):
        assert type(Y) is np.ndarray
        return -T / Y / Y.shape[len(Y.shape) - 1]


class halfSquares(RegressionLayer, Formattable):
    def forwardLoss(self, Y, T):
        assert Y.dims() == T.dims() == ("CBT" if Y.ndim == 3 else "CB")
        return 0.5 * np.sum((Y - T) ** 2) / np.prod(Y.shape[1:])


def options(**more):
    return trainingOptions("sgdm", **{"MaxEpochs": 4, "MiniBatchSize": 8, "Verbose": False, **more})


def classifier(layer):
    rng(0)
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer, layer]
    more = {"ValidationData": (X[:9], LABELS[:9])}
    return trainNetwork(X, LABELS, layers, options(**more), nargout=2)


@pytest.mark.parametrize("layer", [crossEntropy(Name="own"), withBackward()])
def test_classification_is_that_of_the_built_in_layer(layer):
    (net, info), (expected, other) = classifier(layer), classifier(classificationLayer())
    np.testing.assert_allclose(info.TrainingLoss, other.TrainingLoss, rtol=1e-5)
    np.testing.assert_allclose(info.ValidationLoss, other.ValidationLoss, rtol=1e-5)
    np.testing.assert_array_equal(info.TrainingAccuracy, other.TrainingAccuracy)
    np.testing.assert_allclose(predict(net, X), predict(expected, X), rtol=1e-4)
    assert (classify(net, X) == classify(expected, X)).all()
    assert (net.Layers[-1].ClassNames, net.Layers[-1].OutputSize) == (["down", "up"], 2)


@pytest.mark.parametrize("solver", ["sgdm", "lbfgs"])
def test_regression_is_that_of_the_built_in_layer(solver):
    def run(layer):
        rng(0)
        layers = [featureInputLayer(3), fullyConnectedLayer(2), layer]
        chosen = options() if solver == "sgdm" else trainingOptions(solver, MaxIterations=3, Verbose=False)
        return trainNetwork(X, RESPONSES, layers, chosen, nargout=2)

    (net, info), (_, other) = run(halfSquares()), run(regressionLayer())
    np.testing.assert_allclose(info.TrainingLoss, other.TrainingLoss, rtol=1e-4)
    np.testing.assert_allclose(info.TrainingRMSE, other.TrainingRMSE, rtol=1e-4)
    assert net.Layers[-1].ResponseNames == ["Response1", "Response2"]


def test_the_solver_lm_needs_squares():
    layers = [featureInputLayer(3), fullyConnectedLayer(2), halfSquares()]
    with pytest.raises(NetworkError, match="the solver 'lm' needs a regressionLayer"):
        trainNetwork(X, RESPONSES, layers, trainingOptions("lm", Verbose=False))


def test_sequences():
    sequences = [RNG.standard_normal((3, 6)) for _ in range(6)]
    targets = [x[:2] for x in sequences]

    def run(layer):
        rng(0)
        layers = [sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), layer]
        return trainNetwork(sequences, targets, layers, options(), nargout=2)[1]

    np.testing.assert_allclose(run(halfSquares()).TrainingLoss, run(regressionLayer()).TrainingLoss, rtol=1e-5)
    uneven = [x[:, : 2 + n] for n, x in enumerate(sequences)]
    layers = [sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), halfSquares()]
    assert predict(trainNetwork(uneven, [x[:2] for x in uneven], layers, options()), uneven)[1].shape == (2, 3)


def test_images_of_labels():
    images = RNG.standard_normal((6, 5, 1, 12))
    labels = categorical(np.where(images[:, :, 0] > 0, "up", "down").tolist())

    def run(layer):
        rng(0)
        layers = [imageInputLayer([6, 5, 1]), convolution2dLayer(1, 2), softmaxLayer, layer]
        return trainNetwork(images, labels, layers, options(), nargout=2)

    class perPixel(ClassificationLayer):
        def forwardLoss(self, Y, T):
            return -np.sum(T * np.log(Y)) / np.sum(T).extractdata()

    (net, info), (_, other) = run(perPixel()), run(pixelClassificationLayer())
    np.testing.assert_allclose(info.TrainingLoss, other.TrainingLoss, rtol=1e-5)
    assert semanticseg(images, net).shape == (6, 5, 12)


def test_files(tmp_path):
    net, _ = classifier(withBackward(Name="own"))
    save(tmp_path / "net", net=net)
    found = load(tmp_path / "net", Layers=[withBackward]).net
    assert (classify(found, X) == classify(net, X)).all() and type(found.Layers[-1]) is withBackward


def made(**methods):
    return type("faulty", (RegressionLayer,), {**methods, "__module__": __name__})(Name="mine")


@pytest.mark.parametrize(
    "layer, text",
    [
        (made(), r"a method forwardLoss\(self, Y, T\), but got a class without it"),
        (made(forwardLoss=lambda self, Y, T: Y - T), r"returns one number, the loss, but got size 2x2. Use np.sum or"),
        (made(forwardLoss=lambda self, Y, T: 1 / 0), "takes Y and T of size 2x2, but got ZeroDivisionError"),
        (made(forwardLoss=lambda self, Y, T: None), "returns one number, the loss, but got None"),
        (
            made(forwardLoss=lambda self, Y, T: np.sum(Y), backwardLoss=lambda self, Y, T: 0.0),
            "a method backwardLoss that returns a gradient of size 2x2, but got",
        ),
        (
            made(forwardLoss=lambda self, Y, T: Y.fill(0) or np.sum(Y), backwardLoss=lambda self, Y, T: Y),
            "Compute new arrays instead of changing",
        ),
    ],
)
def test_mistakes_are_found_before_training(layer, text):
    layers = [featureInputLayer(3), fullyConnectedLayer(2), layer]
    with pytest.raises(NetworkError, match=r"Layer 3 'mine' \(faulty\): needs .*" + text):
        trainNetwork(X, RESPONSES, layers, options())


def test_mistakes_while_training_name_the_layer():
    def loss(self, Y, T):
        if Y.shape[-1] > 2:
            raise RuntimeError("too many")
        return np.sum(Y)

    layers = [featureInputLayer(3), fullyConnectedLayer(2), made(forwardLoss=loss)]
    with pytest.raises(DataError, match=r"'mine' \(faulty\): forwardLoss has raised RuntimeError: too many \(line"):
        trainNetwork(X, RESPONSES, layers, options())


def failed(layer, *args):
    return checkLayer(layer, *args, nargout=1).Failed.Check


def test_check_layer_finds_a_wrong_gradient(capsys):
    assert failed(crossEntropy(), [1, 1, 4]) == failed(withBackward(), [1, 1, 4]) == failed(halfSquares(), 4) == []
    wrong = type("wrong", (withBackward,), {"backwardLoss": lambda self, Y, T: -T / Y, "__module__": __name__})
    assert failed(wrong(), [1, 1, 4]) == ["loss gradient"]
    checkLayer(withBackward(), [1, 1, 4])
    assert "Running nnet.checklayer.TestOutputLayerWithBackward\n" in capsys.readouterr().out
