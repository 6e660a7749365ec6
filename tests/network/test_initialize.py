"""First values of parameters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mlnet import OptionError, batchNormalizationLayer, convolution2dLayer, fullyConnectedLayer, reluLayer
from mlnet.layers.base import Size
from mlnet.network.initialize import draw, initialize

IMAGE = Size("SSC", (8, 8, 20))
FEATURES = Size("C", (200,))


def fresh(seed=0):
    return np.random.default_rng(seed)


def weights(layer, size=IMAGE):
    return initialize(layer, size, fresh()).Weights


@pytest.mark.parametrize(
    "layer, size, fans",
    [
        (convolution2dLayer([3, 5], 60), IMAGE, (15 * 20, 15 * 60)),
        (fullyConnectedLayer(300), FEATURES, (200, 300)),
        (fullyConnectedLayer(30), IMAGE, (1280, 30)),
    ],
)
def test_variances_and_distributions(layer, size, fans):
    expected = {"glorot": 2 / sum(fans), "he": 2 / fans[0], "narrow-normal": 1e-4}
    kurtosis = {"glorot": 1.8, "he": 3.0, "narrow-normal": 3.0}  # of the uniform and of the normal distribution
    for name, variance in expected.items():
        layer.WeightsInitializer = name
        values = weights(layer, size).astype(np.float64)
        assert values.var() == pytest.approx(variance, rel=0.03)
        assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)
        assert np.mean(values**4) / values.var() ** 2 == pytest.approx(kurtosis[name], rel=0.05)
    layer.WeightsInitializer = "glorot"
    assert abs(weights(layer, size)).max() <= np.float32(np.sqrt(6 / sum(fans)))


@pytest.mark.parametrize("name, value", [("zeros", 0), ("ones", 1)])
def test_constants(name, value):
    layer = initialize(fullyConnectedLayer(5, BiasInitializer=name, WeightsInitializer=name), FEATURES, fresh())
    assert np.all(layer.Bias == value) and np.all(layer.Weights == value)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (3, 3, 2, 40), (3, 3, 2, 4), (1, 1)])
def test_orthogonal(shape):
    matrix = draw("orthogonal", shape, (1, 1), fresh()).reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_orthogonal_matrices_are_spread_evenly():
    signs = [draw("orthogonal", (2, 2), (1, 1), fresh(seed))[0, 0] for seed in range(400)]
    assert abs(np.mean(signs)) < 0.15  # the signs of LAPACK's QR alone would give a mean of about -0.6


def test_defaults():
    layer = initialize(convolution2dLayer(3, 4), IMAGE, fresh())
    assert layer.Weights.shape == (3, 3, 20, 4) and layer.Bias.shape == (1, 1, 4) and not layer.Bias.any()
    layer = initialize(batchNormalizationLayer(), IMAGE, fresh())
    assert layer.Offset.tolist() == [[[0] * 20]] and layer.Scale.tolist() == [[[1] * 20]]
    assert initialize(batchNormalizationLayer(), FEATURES, fresh()).Scale.shape == (200, 1)
    assert layer.TrainedMean.size == 0
    assert isinstance(initialize(reluLayer(), IMAGE, fresh()), type(reluLayer()))


def test_parameters_are_single_and_cannot_be_written_and_the_layer_is_unchanged():
    layer = fullyConnectedLayer(3)
    ready = initialize(layer, FEATURES, fresh())
    assert layer.Weights.size == 0
    for value in (ready.Weights, ready.Bias):
        assert value.dtype == np.float32 and not value.flags.writeable


def test_the_same_generator_gives_the_same_values():
    assert np.array_equal(weights(convolution2dLayer(3, 4)), weights(convolution2dLayer(3, 4)))


def test_given_values_are_kept_in_the_full_shape():
    given = np.arange(9.0).reshape(3, 3)
    ready = initialize(convolution2dLayer(3, 1, Weights=given, Bias=[2]), Size("SSC", (5, 5, 1)), fresh())
    assert ready.Weights.shape == (3, 3, 1, 1) and np.array_equal(ready.Weights[..., 0, 0], given)
    assert ready.Bias.shape == (1, 1, 1) and ready.Bias.item() == 2


def test_functions_get_the_size_and_return_an_array():
    sizes = []

    def start(size):
        sizes.append(size)
        return np.full(size, 0.25)

    layer = fullyConnectedLayer(3, WeightsInitializer=start, BiasInitializer=lambda size: [1, 2, 3])
    ready = initialize(layer, FEATURES, fresh())
    assert sizes == [(3, 200)] and np.all(ready.Weights == 0.25) and ready.Bias.tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(
    "function, text",
    [
        (lambda size: None, "needs to return finite numbers, but returned None"),
        (lambda size: "x", "needs to return finite numbers, but returned 'x'"),
        (lambda size: [[1], [1, 2]], "needs to return finite numbers, but returned"),
        (lambda size: np.full(size, np.nan), "of shape (3, 200) and type float64 with NaN or Inf"),
        (lambda size: np.full(size, 1e300), "needs to return finite numbers"),
        (lambda size: np.ones((200, 3)), "needs to return size 3x200, but returned size 200x3"),
        (lambda size: 1, "needs to return size 3x200, but returned size 1."),
        (np.random.default_rng(0).normal, ""),
        (lambda: 1, "needs to take a size, here (3, 200), and to return an array, but raised TypeError"),
        (lambda size: 1 / 0, "but raised ZeroDivisionError: division by zero"),
    ],
)
def test_functions_that_return_something_else(function, text):
    layer = fullyConnectedLayer(3, Name="fc1", WeightsInitializer=function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OptionError) as caught:
            initialize(layer, FEATURES, fresh())
    assert str(caught.value).startswith("fullyConnectedLayer 'fc1': WeightsInitializer: the function needs to ")
    assert text in str(caught.value)
