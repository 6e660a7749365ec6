"""Swish, GELU, softplus, parametrized ReLU and scaling."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from .gradients import check_gradients, scattered

OPERATIONS = NumpyEngine().operations

functional = torch.nn.functional
FUNCTIONS = {
    "swish": ("swish", {}, functional.silu),
    "softplus": ("softplus", {}, functional.softplus),
    "gelu": ("gelu", {}, functional.gelu),
    "gelu-tanh": ("gelu", {"approximation": "tanh"}, lambda x: functional.gelu(x, approximate="tanh")),
}
SHAPES = [(2, 3, 4, 5), (4, 3), (1, 1), (2, 6, 3)]
every_function = pytest.mark.parametrize("name, attributes, theirs", FUNCTIONS.values(), ids=FUNCTIONS)


def run(name, attributes, x, d_y):
    workspace = Workspace()
    y, saved = OPERATIONS[name].forward(x, workspace=workspace, **attributes)
    return y, OPERATIONS[name].backward(saved, d_y, wanted=(True,), workspace=workspace)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_function
def test_pytorch_agrees(name, attributes, theirs, dtype):
    x = np.linspace(-12, 12, 5001).astype(dtype).reshape(-1, 3)
    d_y = np.random.default_rng(5).standard_normal(x.shape).astype(dtype)
    y, d_x = run(name, attributes, x, d_y)
    assert y.dtype == d_x.dtype == dtype
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = theirs(tensor)
    expected.backward(torch.tensor(d_y, dtype=torch.float64))
    rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-7, 1e-11)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol, atol)
    np.testing.assert_allclose(d_x, tensor.grad.numpy(), rtol, atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_function
def test_far_from_zero(name, attributes, theirs, dtype):
    """Finite, without warnings, and equal to the limits: 0 on the left, x on the right."""
    x = np.array([[-3e38, -1e30, -1e4, -800, -100, 100, 800, 1e4, 1e30, 3e38]], dtype)
    y, d_x = run(name, attributes, x, np.ones_like(x))
    np.testing.assert_allclose(y, np.maximum(x, 0), rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(d_x, x > 0, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name, expected", [("swish", -30 * math.exp(-30)), ("softplus", math.exp(-30))])
def test_small_values_keep_their_relative_precision(name, expected):
    y, d_x = run(name, {}, np.full((1, 1), -30, np.float32), np.ones((1, 1), np.float32))
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert d_x[0, 0] != 0


def test_gelu_does_not_cancel_on_the_left():
    y, _ = run("gelu", {}, np.full((1, 1), -9.0), np.ones((1, 1)))
    np.testing.assert_allclose(y, -9 * 0.5 * math.erfc(9 / math.sqrt(2)), rtol=1e-12)


@every_function
def test_nan_reaches_the_output(name, attributes, theirs):
    y, d_x = run(name, attributes, np.array([[1.0, np.nan, 2.0]]), np.ones((1, 3)))
    assert np.isnan(y).tolist() == np.isnan(d_x).tolist() == [[False, True, False]]


@pytest.mark.parametrize("name", ["softplus", "swish"])
def test_many_blocks_and_a_used_workspace(name):
    x = np.random.default_rng(0).standard_normal((40, 64, 64, 3))
    workspace = Workspace()
    whole = OPERATIONS[name].forward(x, workspace=workspace)[0].copy()
    np.testing.assert_array_equal(OPERATIONS[name].forward(x[:3], workspace=workspace)[0], whole[:3])
    np.testing.assert_array_equal(OPERATIONS[name].forward(x, workspace=workspace)[0], whole)


def alpha_shape(shape):
    return (1, 1, shape[-1]) if len(shape) == 4 else (shape[-1], 1)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 30, 40, 3), (3, 7, 11, 200)], ids=str)
def test_prelu(shape):
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape), generator.standard_normal(alpha_shape(shape))]
    arrays[0] += 0.01 * np.sign(arrays[0])
    y, saved = OPERATIONS["prelu"].forward(*map(scattered, arrays), workspace=Workspace())
    np.testing.assert_array_equal(y, np.where(arrays[0] > 0, arrays[0], arrays[1].ravel() * arrays[0]))
    check_gradients(OPERATIONS["prelu"], arrays, {}, (True, True), np.random.default_rng(2))
    x, alpha = (torch.tensor(array, requires_grad=True) for array in arrays)
    d_y = generator.standard_normal(shape)
    found = OPERATIONS["prelu"].backward(saved, d_y, wanted=(True, True), workspace=Workspace())
    functional.prelu(x.movedim(-1, 1), alpha.ravel()).movedim(1, -1).backward(torch.tensor(d_y))
    for gradient, tensor in zip(found, (x, alpha), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-9, atol=1e-10)
    for wanted in itertools.product((True, False), repeat=2):
        parts = OPERATIONS["prelu"].backward(saved, d_y, wanted=wanted, workspace=Workspace())
        for gradient, expected, want in zip(parts, found, wanted, strict=True):
            assert gradient is None if not want else np.array_equal(gradient, expected)
    empty, saved = OPERATIONS["prelu"].forward(arrays[0][:0], arrays[1], workspace=Workspace())
    d_x, d_alpha = OPERATIONS["prelu"].backward(saved, empty, wanted=(True, True), workspace=Workspace())
    assert d_x.shape == empty.shape and d_alpha.shape == alpha.shape and not d_alpha.any()


def test_prelu_in_single_precision():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((64, 16, 16, 8)).astype(np.float32)
    alpha = np.full((1, 1, 8), 0.25, np.float32)
    y, saved = OPERATIONS["prelu"].forward(x, alpha, workspace=Workspace())
    d_y = generator.standard_normal(x.shape).astype(np.float32)
    d_x, d_alpha = OPERATIONS["prelu"].backward(saved, d_y, wanted=(True, True), workspace=Workspace())
    assert y.dtype == d_x.dtype == d_alpha.dtype == np.float32
    expected = (d_y.astype(np.float64) * np.minimum(x, 0)).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(d_alpha.ravel(), expected, atol=1e-3)


@pytest.mark.parametrize("wrong", ["alpha for the positive side", "no alpha", "other axis"])
def test_a_planted_error_is_found(wrong):
    right = OPERATIONS["prelu"]

    def backward(saved, d_output, *, wanted, workspace):
        if wrong == "no alpha":
            saved = saved._replace(alpha=np.ones_like(saved.alpha))
        if wrong == "alpha for the positive side":
            saved = saved._replace(x=-saved.x)
        d_x, d_alpha = right.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return d_x, d_alpha[..., ::-1] if wrong == "other axis" else d_alpha

    arrays = [np.random.default_rng(0).standard_normal(shape) for shape in ((4, 3, 3, 5), (1, 1, 5))]
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(Operation(right.forward, backward), arrays, {}, (True, True), np.random.default_rng(2))


@pytest.mark.parametrize(
    "scale, bias", [(2.0, -1.0), (np.arange(3.0) + 1, 0.0), (0.5, np.arange(60.0).reshape(4, 5, 3)), (-1, 3)]
)
def test_scaling(scale, bias):
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    attributes = {"scale": scale, "bias": bias}
    y, saved = OPERATIONS["scaling"].forward(x, workspace=Workspace(), **attributes)
    np.testing.assert_allclose(y, scale * x + bias, rtol=1e-14)
    check_gradients(OPERATIONS["scaling"], [x], attributes, (True,), np.random.default_rng(2))
    single, _ = OPERATIONS["scaling"].forward(x.astype(np.float32), workspace=Workspace(), **attributes)
    assert single.dtype == np.float32
    assert OPERATIONS["scaling"].backward(saved, y, wanted=(False,), workspace=Workspace()) == (None,)


def test_importing_brings_no_scipy():
    code = "import sys, mlnet.engines.numpy.smooth_activation; sys.exit('scipy.special' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
