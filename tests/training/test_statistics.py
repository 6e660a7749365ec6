"""Statistics of the input layer and of batch normalization, against closed forms."""

import numpy as np
import pytest

from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    convolution2dLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    regressionLayer,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.training.statistics import Moments


def test_moments_of_uneven_parts_equal_those_of_the_whole():
    generator = np.random.default_rng(0)
    x = generator.normal(1000, 1, (1003, 3)) * [1, 10, 0.01]
    moments = Moments()
    for part in np.split(x, [1, 2, 500, 1000]):
        moments.add(len(part), part.mean(axis=0), part.var(axis=0))
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.variance, x.var(axis=0), rtol=1e-9)


def options(**changes):
    return trainingOptions("sgdm", **{"MaxEpochs": 2, "MiniBatchSize": 32, "Verbose": False, **changes})


def feature_net(normalization="none"):
    return [
        featureInputLayer(3, Normalization=normalization),
        batchNormalizationLayer(Name="bn"),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]


@pytest.mark.parametrize("shuffle", ["once", "never", "every-epoch"])
@pytest.mark.parametrize("count", [64, 101])
def test_first_batch_normalization_has_the_closed_form(shuffle, count):
    rng(1)
    x = np.sort(np.random.default_rng(0).normal(1000, 1, (count, 3)), axis=0)  # sorted, far from zero, uneven
    net = trainNetwork(x, x[:, 0] - 1000, feature_net(), options(Shuffle=shuffle))
    layer = net.Layers[1]
    x = x.astype(np.float32).astype(np.float64)
    assert layer.TrainedMean.shape == layer.TrainedVariance.shape == (3, 1)
    assert layer.TrainedMean.dtype == layer.TrainedVariance.dtype == np.float32
    np.testing.assert_allclose(layer.TrainedMean.ravel(), x.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(layer.TrainedVariance.ravel(), x.var(axis=0), rtol=2e-6)


def test_images_have_statistics_per_channel():
    rng(1)
    x = np.random.default_rng(0).normal([5, -300], [1, 20], (50, 6, 4, 2)).transpose(1, 2, 3, 0)
    layers = [
        imageInputLayer([6, 4, 2], Normalization="none"),
        batchNormalizationLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    bn = trainNetwork(x, np.zeros(50), layers, options()).Layers(2)
    assert bn.TrainedMean.shape == (1, 1, 2)
    np.testing.assert_allclose(bn.TrainedMean.ravel(), x.mean(axis=(0, 1, 3)), rtol=1e-6)
    np.testing.assert_allclose(bn.TrainedVariance.ravel(), x.var(axis=(0, 1, 3)), rtol=1e-5)
    assert bn.Offset.shape == bn.Scale.shape == (1, 1, 2)
    assert bn.NumChannels == 2


def test_deeper_layer_sees_mini_batch_normalized_inputs_and_no_dropout():
    rng(2)
    x = np.random.default_rng(0).normal(3, 2, (70, 4))
    layers = [
        featureInputLayer(4),
        fullyConnectedLayer(5),
        batchNormalizationLayer(),
        reluLayer(),
        dropoutLayer(0.5),
        fullyConnectedLayer(3),
        batchNormalizationLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    net = trainNetwork(x, x[:, 0], layers, options(Shuffle="never", MaxEpochs=3))
    fc1, bn1, fc2, bn2 = (net.Layers[i] for i in (1, 2, 5, 6))
    parts = []
    for start in (0, 32, 64):  # the incomplete last mini-batch of 6 counts too
        z = x[start : start + 32] @ fc1.Weights.T + fc1.Bias.T
        z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + bn1.Epsilon) * bn1.Scale.T + bn1.Offset.T
        parts.append(np.maximum(z, 0) @ fc2.Weights.T + fc2.Bias.T)
    z = np.concatenate(parts)
    np.testing.assert_allclose(bn2.TrainedMean.ravel(), z.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bn2.TrainedVariance.ravel(), z.var(axis=0), rtol=1e-4)


@pytest.mark.parametrize("decays", [(0.1, 0.1), (0.25, 0.5)])
def test_moving_statistics(decays):
    x = np.random.default_rng(0).normal(5, 3, (64, 3))
    layers = feature_net()
    layers[1].MeanDecay, layers[1].VarianceDecay = decays
    net = trainNetwork(x, x[:, 0], layers, options(BatchNormalizationStatistics="moving", Shuffle="never"))
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(2):
        for part in (x[:32], x[32:]):
            mean = decays[0] * part.mean(axis=0) + (1 - decays[0]) * mean
            variance = decays[1] * part.var(axis=0) + (1 - decays[1]) * variance
    np.testing.assert_allclose(net.Layers[1].TrainedMean.ravel(), mean, rtol=1e-6)
    np.testing.assert_allclose(net.Layers[1].TrainedVariance.ravel(), variance, rtol=1e-6)


def test_moving_statistics_start_from_given_ones():
    x = np.random.default_rng(0).normal(5, 3, (32, 3))
    layers = feature_net()
    layers[1].TrainedMean, layers[1].TrainedVariance = [1, 2, 3], np.zeros(3)
    net = trainNetwork(x, x[:, 0], layers, options(BatchNormalizationStatistics="moving", MaxEpochs=1))
    np.testing.assert_allclose(
        net.Layers[1].TrainedMean.ravel(), 0.1 * x.mean(axis=0) + 0.9 * np.array([1, 2, 3]), rtol=1e-6
    )
    np.testing.assert_allclose(net.Layers[1].TrainedVariance.ravel(), 0.1 * x.var(axis=0), rtol=1e-5)


def test_info_tells_validation_before_and_after_the_pass_apart():
    rng(0)
    generator = np.random.default_rng(0)
    x = generator.normal(50, 5, (128, 3))
    y = x[:, 0] > 50
    layers = [
        featureInputLayer(3),
        batchNormalizationLayer(),
        fullyConnectedLayer(2),
        softmaxLayer(),
        classificationLayer(),
    ]
    net, info = trainNetwork(x, y, layers, options(ValidationData=(x, y), MaxEpochs=3), nargout=2)
    scores = net.predict(x)
    after = np.mean((scores[:, 1] > scores[:, 0]) == y) * 100
    assert info.FinalValidationAccuracy == pytest.approx(after)
    assert info.ValidationAccuracy[-1] != info.FinalValidationAccuracy
    assert info.ValidationLoss[-1] > info.FinalValidationLoss  # 12 steps of moving averages are far from 50


@pytest.mark.parametrize("normalization", ["zerocenter", "zscore", "rescale-symmetric", "rescale-zero-one", "none"])
@pytest.mark.parametrize("dimension", ["auto", "channel", "element", "all"])
def test_input_normalization(normalization, dimension):
    rng(0)
    x = np.random.default_rng(0).normal([1000, -5], [1, 3], (40, 5, 4, 2)).transpose(1, 2, 3, 0)
    layers = [
        imageInputLayer([5, 4, 2], Normalization=normalization, NormalizationDimension=dimension, Name="in"),
        convolution2dLayer(1, 1),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    net = trainNetwork(x, np.zeros(40), layers, options(MaxEpochs=1))
    axes = {"auto": (0, 1, 3), "channel": (0, 1, 3), "element": (3,), "all": None}[dimension]
    mean, deviation, low, high = (f(x, axis=axes, keepdims=True) for f in (np.mean, np.std, np.min, np.max))
    expected = {
        "zerocenter": x - mean,
        "zscore": (x - mean) / deviation,
        "rescale-symmetric": 2 * (x - low) / (high - low) - 1,
        "rescale-zero-one": (x - low) / (high - low),
        "none": x,
    }[normalization]
    np.testing.assert_allclose(net.activations(x, "in"), expected, atol=2e-4)
    layer = net.Layers[0]
    sizes = {"auto": (1, 1, 2), "channel": (1, 1, 2), "element": (5, 4, 2), "all": (1, 1)}
    for name in layer.statistics():
        assert getattr(layer, name).shape == sizes[dimension]


def test_given_statistics_are_kept_unless_reset():
    x = np.random.default_rng(0).normal(size=(40, 3))
    layers = feature_net("zerocenter")
    layers[0].Mean = [7, 8, 9]
    kept = trainNetwork(x, x[:, 0], layers, options(ResetInputNormalization=False)).Layers[0]
    assert kept.Mean.ravel().tolist() == [7, 8, 9]
    reset = trainNetwork(x, x[:, 0], layers, options()).Layers[0]
    np.testing.assert_allclose(reset.Mean.ravel(), x.mean(axis=0), atol=1e-6)


def test_constant_feature_is_not_divided_by_zero():
    x = np.full((40, 3), 4.0)
    net = trainNetwork(x, np.zeros(40), feature_net("zscore"), options(InitialLearnRate=1e-3))
    assert np.isfinite(net.predict(x)).all()


def test_normalization_function_takes_mini_batches_in_matlabs_order():
    shapes = []

    def halve(x):
        shapes.append(x.shape)
        return x / 2

    x = np.random.default_rng(0).normal(size=(5, 4, 2, 40))
    layers = [imageInputLayer([5, 4, 2], Normalization=halve), fullyConnectedLayer(1), regressionLayer()]
    net = trainNetwork(x, np.zeros(40), layers, options(MaxEpochs=1))
    np.testing.assert_allclose(net.activations(x, 1), x / 2, rtol=1e-6)
    assert set(shapes) <= {(5, 4, 2, 32), (5, 4, 2, 40)}
