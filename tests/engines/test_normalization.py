"""Batch normalization: statistics and single precision where it is hard."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

TRAINING = NumpyEngine().operation("batch_normalization")
SHAPES = [(128, 16, 16, 16), (60, 100), (7, 5, 3, 2), (33, 9, 11, 5)]


def closed_form(x, offset, scale, epsilon, d_y):
    """Return mean, variance, output and gradients in float64."""
    x, d_y = x.astype(np.float64), d_y.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    deviation = np.sqrt(variance + epsilon)
    x_hat = (x - mean) / deviation
    d_offset, d_scale = d_y.sum(axis=axes), (d_y * x_hat).sum(axis=axes)
    count = x.size // x.shape[-1]
    d_x = scale / deviation * (d_y - d_offset / count - x_hat * d_scale / count)
    return mean, variance, scale * x_hat + offset, d_x, d_offset, d_scale


def run(x, offset, scale, d_y, epsilon=1e-5):
    workspace = Workspace()
    shape = (1,) * (x.ndim - 2) + (x.shape[-1],) if x.ndim == 4 else (x.shape[-1], 1)
    shape = (1, 1, x.shape[-1]) if x.ndim == 4 else shape
    y, saved = TRAINING.forward(
        x,
        offset.reshape(shape).astype(x.dtype),
        scale.reshape(shape).astype(x.dtype),
        epsilon=epsilon,
        workspace=workspace,
    )
    gradients = TRAINING.backward(saved, d_y, wanted=(True,) * 3, workspace=workspace)
    assert gradients[1].shape == gradients[2].shape == shape
    return saved.mean, saved.variance, y, gradients[0], gradients[1].ravel(), gradients[2].ravel()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [0.0, 1000.0, -1000.0])
def test_single_precision_with_a_large_mean(shape, mean):
    generator = np.random.default_rng(0)
    x = (generator.standard_normal(shape) + mean).astype(np.float32)
    d_y = generator.standard_normal(shape).astype(np.float32)
    offset, scale = generator.standard_normal((2, shape[-1]))
    found = run(x, offset, scale, d_y)
    expected = closed_form(x, offset.astype(np.float32), scale.astype(np.float32), 1e-5, d_y)
    for name, ours, true in zip(("mean", "variance", "y", "d_x", "d_offset", "d_scale"), found, expected, strict=True):
        accuracy = 1e-4 if name in ("d_offset", "d_scale") else 1e-5
        np.testing.assert_allclose(
            ours, true, rtol=1e-5, atol=accuracy * max(1, np.abs(true).max() / 100), err_msg=name
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_sorted_data(shape):
    """Blocks whose means lie far apart are combined without loss."""
    values = np.sort(np.random.default_rng(0).standard_normal(shape).ravel()).reshape(shape)
    x = (10 * values).astype(np.float32)
    zeros = np.zeros(shape[-1])
    mean, variance, *_ = run(x, zeros, zeros + 1, np.zeros_like(x))
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=axes), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=axes), rtol=1e-5)


def test_constant_channel_has_no_variance():
    x = np.full((64, 8, 8, 3), 1000.1, np.float32)
    mean, variance, y, *_ = run(x, np.zeros(3), np.ones(3), np.zeros_like(x))
    np.testing.assert_allclose(mean, np.float64(np.float32(1000.1)), rtol=1e-9)
    assert (variance >= 0).all()
    assert variance.max() < 1e-10
    assert np.abs(y).max() < 1e-2


def test_statistics_are_double_precision():
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    mean, variance, *_ = run(x, np.zeros(3), np.ones(3), np.zeros_like(x))
    assert mean.dtype == variance.dtype == np.float64
    assert mean.shape == variance.shape == (3,)
