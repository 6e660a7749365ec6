"""Activation functions far away from zero."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

ATTRIBUTES = {"leaky_relu": {"scale": 0.01}, "clipped_relu": {"ceiling": 6.0}, "elu": {"alpha": 1.0}}
NAMES = ["relu", "leaky_relu", "clipped_relu", "elu", "tanh", "sigmoid", "softmax"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_values_stay_finite_and_quiet(name, dtype):
    operation = NumpyEngine().operation(name)
    x = np.array([[-1e30, -1e4, -800, -100, -1, 0, 1, 100, 800, 1e4]], dtype)
    workspace = Workspace()
    y, saved = operation.forward(x, workspace=workspace, **ATTRIBUTES.get(name, {}))
    (d_x,) = operation.backward(saved, np.ones_like(x), wanted=(True,), workspace=workspace)
    assert np.isfinite(y).all()
    assert np.isfinite(d_x).all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_the_output(name):
    x = np.array([[1.0, np.nan, 2.0]])
    y, _ = NumpyEngine().operation(name).forward(x, workspace=Workspace(), **ATTRIBUTES.get(name, {}))
    assert np.isnan(y[0, 1])


def test_sigmoid_keeps_its_relative_precision():
    x = np.array([-80.0, -30.0, -5.0], np.float32)
    y, _ = NumpyEngine().operation("sigmoid").forward(x, workspace=Workspace())
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x.astype(np.float64))), rtol=1e-5)


def test_relu_passes_no_gradient_at_zero():
    operation = NumpyEngine().operation("relu")
    x = np.array([0.0, -0.0, 1.0, -1.0])
    workspace = Workspace()
    _, saved = operation.forward(x, workspace=workspace)
    (d_x,) = operation.backward(saved, np.ones(4), wanted=(True,), workspace=workspace)
    np.testing.assert_array_equal(d_x, [0, 0, 1, 0])
