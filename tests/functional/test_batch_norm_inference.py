"""batchNormInference: closed forms, the rules of the operation, and the OpenVINO runtime."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import DataError, OptionError, batchNormInference

SHAPES = [(10, 128), (1, 3, 224, 224), (1, 1), (4, 1, 3), (2, 5, 3, 4, 2), (0, 3, 2), (3, 0)]


def given(shape, dtype=np.float32):
    generator = np.random.default_rng(0)
    data = generator.normal(3, 2, shape).astype(dtype)
    gamma, beta, mean = generator.normal(size=(3, shape[1])).astype(dtype)
    return data, gamma, beta, mean, generator.uniform(0.1, 2, shape[1]).astype(dtype)


@pytest.mark.parametrize("dtype, tolerance", [(np.float16, 3e-2), (np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_is_the_formula(shape, dtype, tolerance):
    data, *values = given(shape, dtype)
    before = data.copy()
    result = batchNormInference(data, *values, 9.99e-06)
    assert result.dtype == dtype and result.shape == shape
    for channel, (gamma, beta, mean, variance) in enumerate(zip(*values, strict=True)):
        x = data[:, channel].astype(np.float64)
        expected = float(gamma) * (x - float(mean)) / (float(variance) + 9.99e-06) ** 0.5 + float(beta)
        np.testing.assert_allclose(result[:, channel], expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(data, before)


def test_data_that_are_not_in_a_row():
    data, *values = given((6, 4, 5))
    turned = np.ascontiguousarray(data.transpose(2, 1, 0)).transpose(2, 1, 0)
    np.testing.assert_array_equal(batchNormInference(turned, *values, 0), batchNormInference(data, *values, 0))


def test_its_own_statistics_give_mean_0_and_variance_1():
    data = np.random.default_rng(0).normal(1000, 3, (50, 2, 40))
    mean, variance = data.mean(axis=(0, 2)), data.var(axis=(0, 2))
    result = batchNormInference(data, [1, 2], [0, -5], mean, variance, 0)
    np.testing.assert_allclose(result.mean(axis=(0, 2)), [0, -5], atol=1e-10)
    np.testing.assert_allclose(result.std(axis=(0, 2)), [1, 2])


def test_it_is_what_the_layer_predicts():
    data, gamma, beta, mean, variance = given((7, 4))
    values = {"Scale": gamma, "Offset": beta, "TrainedMean": mean, "TrainedVariance": variance}
    columns = {name: value.reshape(-1, 1) for name, value in values.items()}
    columns["Scale"] = np.abs(columns["Scale"])
    layer = mlnet.batchNormalizationLayer(Epsilon=0.01, **columns)
    net = mlnet.assembleNetwork([mlnet.featureInputLayer(4), layer, mlnet.regressionLayer()])
    expected = net.predict(data)
    result = batchNormInference(data, np.abs(gamma), beta, mean, variance, 0.01)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_divided_by_zero_unless_asked_for():
    data = np.ones((2, 2), np.float32)
    assert np.isnan(batchNormInference(data, [1, 1], [0, 0], [1, 1], [0, -1], 0)).all()
    np.testing.assert_array_equal(batchNormInference(data, [1, 1], [0, 3], [1, 1], [0, 0], 1e-3), [[0, 3], [0, 3]])


@pytest.mark.parametrize("epsilon", [-1e-9, np.nan, np.inf, "a", None, True, [1e-5], 1j])
def test_epsilon_is_a_number_of_zero_or_more(epsilon):
    with pytest.raises(OptionError, match="epsilon needs to be a finite number, 0 or more"):
        batchNormInference(*given((2, 3)), epsilon)


@pytest.mark.parametrize("data, match", [(np.ones(3), "two or more axes"), (np.ones((2, 3), int), "int64")])
def test_data_have_two_axes_and_floating_point_numbers(data, match):
    with pytest.raises(DataError, match=match):
        batchNormInference(data, *[np.ones(3)] * 4, 1e-5)


@pytest.mark.parametrize("place, name", [(1, "gamma"), (2, "beta"), (3, "mean"), (4, "variance")])
def test_the_others_have_one_number_for_each_channel(place, name):
    def call(value):
        arguments = list(given((2, 3, 4)))
        arguments[place] = value
        return batchNormInference(*arguments, 1e-5)

    for value, match in [
        (np.ones(4, np.float32), "needs 3 numbers, one for each channel"),
        (np.ones((1, 3), np.float32), rf"needs one axis, but got an array \(1, 3\). Use {name}.ravel"),
        (np.float32(1), "needs one axis"),
        (np.ones(3), "needs the type of data, float32, but got float64"),
        ([[1, 2], [3]], "needs an array"),
        (["a", "b", "c"], "needs numbers"),
        (mlnet.dlarray(np.ones(3)), "got a dlarray"),
    ]:
        with pytest.raises(DataError, match=f"batchNormInference: {name}: .*{match}"):
            call(value)
    assert call([1, 2, 3]).dtype == np.float32


@pytest.mark.parametrize("shape", SHAPES[:5])
def test_the_runtime_computes_the_same(shape):
    openvino = pytest.importorskip("openvino")
    opset = openvino.opset5
    data, *values = given(shape)
    parameters = [opset.parameter(list(value.shape), np.float32) for value in (data, *values)]
    operation = opset.batch_norm_inference(*parameters, 9.99e-06)
    compiled = openvino.Core().compile_model(
        openvino.Model([operation], parameters), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    theirs = compiled([data, *values])[0]
    np.testing.assert_allclose(batchNormInference(data, *values, 9.99e-06), theirs, rtol=1e-4, atol=1e-5)
