"""Statistics for prediction: whitening's against closed forms, exact ones layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    additionLayer,
    addLayers,
    batchNormalizationLayer,
    connectLayers,
    convolution2dLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    regressionLayer,
    reluLayer,
    rng,
    tanhLayer,
    trainingOptions,
    trainNetwork,
    whiteningLayer,
)
from mlnet.training.statistics import Moments


def options(**changes):
    return trainingOptions("sgdm", **{"MaxEpochs": 2, "MiniBatchSize": 32, "Verbose": False, **changes})


def correlated(count, mean=1000.0, channels=6):
    generator = np.random.default_rng(0)
    mix = generator.standard_normal((channels, channels)) + np.eye(channels)
    x = generator.standard_normal((count, channels)) @ mix + mean
    return np.sort(x, axis=0).astype(np.float32).astype(np.float64)  # sorted, and as training sees it


def matrices(layer):
    """Return the whitening matrices as (groups, K, K)."""
    array = layer.TrainedWhiteningMatrix.astype(np.float64)
    return np.moveaxis(array.reshape(*array.shape[:2], -1), 2, 0)


def covariances(x, groups):
    parts = np.split(x, groups, axis=1)
    return np.stack([np.cov(part.T, ddof=0).reshape(part.shape[1], -1) for part in parts])


def whitening_net(groups="all-channels", **more):
    return [
        featureInputLayer(6, Normalization="none"),
        whiteningLayer(groups, **more),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]


def check_whitens(layer, covariance):
    """W (C + Epsilon I) W = I, as far as single precision of W allows."""
    roots = matrices(layer)
    for w, c in zip(roots, covariance, strict=True):
        product = w @ (c + layer.Epsilon * np.eye(len(c))) @ w
        np.testing.assert_allclose(product, np.eye(len(c)), atol=2e-4)
        np.testing.assert_allclose(w, w.T, atol=1e-6)


def test_moments_with_covariances_of_uneven_parts():
    x = np.random.default_rng(0).normal(1000, 1, (1003, 6)) @ np.diag([1, 10, 0.01, 1, 2, 3])
    for groups in (1, 2, 6):
        moments = Moments()
        for part in np.split(x, [1, 2, 500, 1000]):
            centred = np.stack(np.split(part - part.mean(axis=0), groups, axis=1))
            moments.add(len(part), part.mean(axis=0), centred.transpose(0, 2, 1) @ centred / len(part))
        np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(moments.variance, covariances(x, groups), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("groups, shape", [("all-channels", (6, 6, 1)), (2, (3, 3, 2)), ("channel-wise", (1, 1, 6))])
@pytest.mark.parametrize("statistics", ["population", "population-exact"])
@pytest.mark.parametrize("count", [64, 101])
def test_first_whitening_has_the_closed_form(groups, shape, statistics, count):
    rng(1)
    x = correlated(count)
    given = options(BatchNormalizationStatistics=statistics)
    net = trainNetwork(x, x[:, 0] - 1000, whitening_net(groups), given)
    layer = net.Layers[1]
    assert layer.TrainedMean.shape == (6, 1) and layer.TrainedWhiteningMatrix.shape == shape
    assert layer.TrainedMean.dtype == layer.TrainedWhiteningMatrix.dtype == np.float32
    np.testing.assert_allclose(layer.TrainedMean.ravel(), x.mean(axis=0), rtol=1e-7)
    check_whitens(layer, covariances(x, shape[2]))


def test_whitened_images_are_white_over_the_training_set():
    rng(1)
    x = correlated(70 * 12).reshape(70, 4, 3, 6).transpose(1, 2, 3, 0)
    layers = [
        imageInputLayer([4, 3, 6], Normalization="none"),
        whiteningLayer(3, Name="white"),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    net = trainNetwork(x, np.zeros(70), layers, options(InitialLearnRate=1e-4))
    layer = net.Layers[1]
    assert layer.TrainedMean.shape == (1, 1, 6) and layer.TrainedWhiteningMatrix.shape == (2, 2, 3)
    y = net.activations(x, "white").transpose(3, 0, 1, 2).reshape(-1, 6)
    y = (y - layer.Offset.ravel()) / layer.Scale.ravel()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-3)
    expected = [np.eye(2) - layer.Epsilon * w @ w for w in matrices(layer)]  # what Epsilon leaves of the identity
    np.testing.assert_allclose(covariances(y, 3), expected, atol=3e-4)


@pytest.mark.parametrize("decays", [(0.1, 0.1), (0.25, 0.5)])
def test_moving_whitening(decays):
    x = correlated(64, mean=5)
    layers = whitening_net(2, MeanDecay=decays[0], CovarianceDecay=decays[1])
    given = options(BatchNormalizationStatistics="moving", Shuffle="never", InitialLearnRate=1e-4)
    layer = trainNetwork(x, x[:, 0], layers, given).Layers[1]
    mean, covariance = np.zeros(6), np.tile(np.eye(3), (2, 1, 1))
    for _ in range(2):
        for part in (x[:32], x[32:]):
            mean = decays[0] * part.mean(axis=0) + (1 - decays[0]) * mean
            covariance = decays[1] * covariances(part, 2) + (1 - decays[1]) * covariance
    np.testing.assert_allclose(layer.TrainedMean.ravel(), mean, rtol=1e-5)
    check_whitens(layer, covariance)


def test_moving_whitening_starts_from_given_states():
    """An asymmetric W is one that whitens the covariance (W' W)^-1 - Epsilon."""
    x = correlated(32, mean=5)
    matrix = np.eye(6) + np.tril(np.full((6, 6), 0.2), -1)
    layers = whitening_net(TrainedMean=np.arange(6), TrainedWhiteningMatrix=matrix)
    given = options(BatchNormalizationStatistics="moving", MaxEpochs=1, InitialLearnRate=1e-4)
    layer = trainNetwork(x, x[:, 0], layers, given).Layers[1]
    np.testing.assert_allclose(layer.TrainedMean.ravel(), 0.1 * x.mean(axis=0) + 0.9 * np.arange(6), rtol=1e-5)
    matrix = matrix.astype(np.float32).astype(np.float64)
    before = np.linalg.inv(matrix.T @ matrix) - layer.Epsilon * np.eye(6)
    check_whitens(layer, 0.1 * covariances(x, 1) + 0.9 * before)


@pytest.mark.parametrize("statistics", ["population", "population-exact", "moving"])
def test_prediction_does_not_depend_on_the_mini_batch_size(statistics):
    x = correlated(90, mean=1)
    layers = [
        featureInputLayer(6),
        fullyConnectedLayer(4),
        whiteningLayer(2),
        reluLayer(),
        fullyConnectedLayer(3),
        whiteningLayer(),
        batchNormalizationLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    given = options(BatchNormalizationStatistics=statistics, InitialLearnRate=1e-3, ValidationData=(x, x[:, 0]))
    net, info = trainNetwork(x, x[:, 0], layers, given, nargout=2)
    expected = net.predict(x)
    for size in (1, 7, 32):
        np.testing.assert_allclose(net.predict(x, MiniBatchSize=size), expected, rtol=1e-4, atol=1e-4)
    rmse = np.sqrt(np.mean((expected.ravel() - x[:, 0]) ** 2))
    assert info.FinalValidationRMSE == pytest.approx(rmse, rel=1e-4)


def test_whitening_of_single_values_is_refused():
    with pytest.raises(NetworkError, match="Layer 2 'whitening' .*: needs more than one value per channel"):
        trainNetwork(correlated(4), np.arange(4.0), whitening_net(), options(MiniBatchSize=1))


DEEP = [
    featureInputLayer(6, Normalization="none"),
    fullyConnectedLayer(8),
    batchNormalizationLayer(Name="bn1"),
    tanhLayer(),
    dropoutLayer(0.3),
    fullyConnectedLayer(7),
    batchNormalizationLayer(Name="bn2"),
    reluLayer(),
    fullyConnectedLayer(5),
    batchNormalizationLayer(Name="bn3", Epsilon=0.1),
    fullyConnectedLayer(1),
    regressionLayer(),
]


def normalized(net, x, number):
    """Return what batch-normalization layer ``number`` takes, and what it puts out before scale and offset."""
    layer = net.Layers[number]
    before, after = (net.activations(x, net.Layers[n].Name).T.astype(np.float64) for n in (number - 1, number))
    return before, (after - layer.Offset.ravel()) / layer.Scale.ravel()


@pytest.mark.parametrize("count", [64, 101, 33])
def test_exact_statistics_normalize_the_training_set(count):
    rng(3)
    x = correlated(count, mean=2)
    net = trainNetwork(x, x[:, 0], DEEP, options(BatchNormalizationStatistics="population-exact", MaxEpochs=4))
    for number in (2, 6, 9):
        before, after = normalized(net, x, number)
        variance, layer = before.var(axis=0), net.Layers[number]
        np.testing.assert_allclose(layer.TrainedMean.ravel(), before.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.TrainedVariance.ravel(), variance, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(after.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(after.var(axis=0), variance / (variance + layer.Epsilon), rtol=1e-3)


def test_exact_statistics_differ_from_those_of_one_pass_in_deeper_layers_only():
    x = correlated(101, mean=2)
    nets = []
    for statistics in ("population", "population-exact"):
        rng(3)
        nets.append(trainNetwork(x, x[:, 0], DEEP, options(BatchNormalizationStatistics=statistics, MaxEpochs=4)))
    one_pass, exact = ([net.Layers[number].TrainedVariance for number in (2, 6, 9)] for net in nets)
    np.testing.assert_array_equal(one_pass[0], exact[0])
    assert all(np.abs(a - b).max() > 1e-3 * b.max() for a, b in zip(one_pass[1:], exact[1:], strict=True))
    _, after = normalized(nets[0], x, 9)
    assert np.abs(after.mean(axis=0)).max() > 1e-3


def test_exact_statistics_of_branches():
    rng(0)
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 2, 45))
    graph = addLayers(
        layerGraph(
            [
                imageInputLayer([6, 5, 2], Name="in"),
                convolution2dLayer(3, 4, Padding="same", Name="conv"),
                batchNormalizationLayer(Name="left"),
                reluLayer(Name="relu"),
                additionLayer(2, Name="sum"),
                whiteningLayer(2, Name="top"),
                fullyConnectedLayer(1, Name="fc"),
                regressionLayer(Name="out"),
            ]
        ),
        batchNormalizationLayer(Name="right"),
    )
    graph = connectLayers(connectLayers(graph, "conv", "right"), "right", "sum/in2")
    net = trainNetwork(x, np.zeros(45), graph, options(BatchNormalizationStatistics="population-exact"))
    layers = {layer.Name: layer for layer in net.Layers}
    for name, source in {"left": "conv", "right": "conv", "top": "sum"}.items():
        values = net.activations(x, source).astype(np.float64)
        np.testing.assert_allclose(
            layers[name].TrainedMean.ravel(), values.mean(axis=(0, 1, 3)), rtol=1e-4, atol=1e-5, err_msg=name
        )
