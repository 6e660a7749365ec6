"""Losses against their formulas, their gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from .gradients import difference, random_direction

LOSSES = {name: loss for name, loss in NumpyEngine().losses.items() if name != "custom_loss"}
"""All losses but those of users, which have tests of their own."""
SHARES_OF_CLASSES = {"softmax_soft_cross_entropy", "sigmoid_cross_entropy"}
RESPONSES = {"half_mean_squared_error", "absolute_error", "huber_error"}
SHAPES = [(5, 4), (5, 1, 1, 4), (2, 3, 2, 4), (1, 1)]


def problem(name, shape, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.standard_normal(shape)
    if name in SHARES_OF_CLASSES:
        t = generator.random(shape) + 0.1
        return z, t / t.sum(axis=-1, keepdims=True)
    if name not in RESPONSES:
        places = shape[:1] if all(size == 1 for size in shape[1:-1]) else shape[:-1]
        return z, generator.integers(0, shape[-1], places)
    return z, generator.standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_formula(shape, weighted):
    z, targets = problem("softmax_cross_entropy", shape)
    weights = np.arange(1.0, shape[-1] + 1) if weighted else None
    scores, loss, _ = LOSSES["softmax_cross_entropy"].forward(z, targets, weights=weights, workspace=Workspace())
    probabilities = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    expected = 0.0
    for row, target in zip(probabilities.reshape(-1, shape[-1]), targets.ravel(), strict=True):
        expected -= (1.0 if weights is None else weights[target]) * np.log(row[target]) / len(z)
    np.testing.assert_allclose(scores, probabilities)
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target_shape", [None, "without singleton axes"])
def test_half_mean_squared_error_is_the_formula(shape, target_shape):
    z, targets = problem("half_mean_squared_error", shape)
    given = targets if target_shape is None else targets.reshape(len(z), -1) if z.size == 20 else targets
    scores, loss, _ = LOSSES["half_mean_squared_error"].forward(z, given, workspace=Workspace())
    assert loss == pytest.approx(0.5 * sum((a - b) ** 2 for a, b in zip(z.flat, targets.flat, strict=True)) / len(z))
    np.testing.assert_array_equal(scores, z)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_agree_with_differences(name, shape, weighted):
    z, targets = problem(name, shape)
    generator = np.random.default_rng(1)
    weights = np.linspace(0.5, 2, shape[-1]) if weighted else None
    workspace = Workspace()
    kept = z.copy()
    _, _, saved = LOSSES[name].forward(z, targets, weights=weights, workspace=workspace)
    d_z = LOSSES[name].backward(saved, workspace=workspace)
    np.testing.assert_array_equal(z, kept)
    assert d_z.shape == z.shape
    assert d_z.dtype == z.dtype
    for _ in range(3):
        direction = random_direction(shape, generator)
        expected = difference(
            lambda moved: LOSSES[name].forward(moved, targets, weights=weights, workspace=Workspace())[1],
            z,
            direction,
        )
        assert float(np.sum(d_z * direction)) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_single_precision(name, weighted):
    z, targets = problem(name, (6, 4))
    weights = np.linspace(0.5, 2, 4) if weighted else None
    single = targets if targets.dtype.kind == "i" else targets.astype(np.float32)
    scores, loss, saved = LOSSES[name].forward(
        z.astype(np.float32), single, weights=weights, workspace=(workspace := Workspace())
    )
    _, expected, _ = LOSSES[name].forward(z, targets, weights=weights, workspace=Workspace())
    assert scores.dtype == np.float32
    assert LOSSES[name].backward(saved, workspace=workspace).dtype == np.float32
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_values_before_softmax(dtype):
    z = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype)
    workspace = Workspace()
    scores, loss, saved = LOSSES["softmax_cross_entropy"].forward(z, np.array([1, 2]), workspace=workspace)
    d_z = LOSSES["softmax_cross_entropy"].backward(saved, workspace=workspace)
    assert loss == pytest.approx((2e4 + np.log(2)) / 2)
    np.testing.assert_allclose(scores, [[1, 0, 0], [0, 0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(d_z, [[0.5, -0.5, 0], [0, 0.25, -0.25]], atol=1e-7)


FORMULAS = {
    "absolute_error": lambda z, t: np.abs(z - t),
    "huber_error": lambda z, t: np.where(np.abs(z - t) <= 1, (z - t) ** 2 / 2, np.abs(z - t) - 0.5),
    "sigmoid_cross_entropy": lambda z, t: -t * np.log(1 / (1 + np.exp(-z))) - (1 - t) * np.log(1 / (1 + np.exp(z))),
    "softmax_soft_cross_entropy": lambda z, t: -t * np.log(np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("name", sorted(FORMULAS))
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_of_elements_are_their_formulas(name, shape):
    z, targets = problem(name, shape)
    weights, shares = np.linspace(0.5, 2, shape[-1]), np.random.default_rng(2).random(len(z))
    parts = FORMULAS[name](z, targets) * weights * shares.reshape(-1, *[1] * (len(shape) - 1))
    _, loss, _ = LOSSES[name].forward(z, targets, weights=weights, shares=shares, workspace=Workspace())
    assert loss == pytest.approx(parts.sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_values_before_a_sigmoid(dtype):
    z, workspace = np.array([[1e4], [-1e4], [1e4]], dtype), Workspace()
    targets = np.array([[1], [0], [0]], dtype)
    scores, loss, saved = LOSSES["sigmoid_cross_entropy"].forward(z, targets, workspace=workspace)
    np.testing.assert_array_equal(scores, [[1], [0], [1]])
    assert loss == pytest.approx(1e4 / 3)
    d_z = LOSSES["sigmoid_cross_entropy"].backward(saved, workspace=workspace)
    np.testing.assert_allclose(d_z, [[0], [0], [1 / 3]], atol=1e-7)
