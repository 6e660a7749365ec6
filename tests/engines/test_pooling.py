"""Pooling: ties, NaN, windows that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

MAX = NumpyEngine().operation("max_pooling2d")
WINDOWS = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 1)), ((2, 3), (3, 4))]


@pytest.mark.parametrize("pool_size, stride", WINDOWS)
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1)])
def test_ties_go_to_the_first_in_the_window_as_in_pytorch(pool_size, stride, padding):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x = generator.integers(-1, 2, (4, 9, 10, 3)).astype(np.float64)
    workspace = Workspace()
    y, saved = MAX.forward(x, pool_size=pool_size, stride=stride, padding=padding, workspace=workspace)
    d_y = generator.standard_normal(y.shape)
    (d_x,) = MAX.backward(saved, d_y, wanted=(True,), workspace=workspace)

    theirs = torch.tensor(x, requires_grad=True)
    top, bottom, left, right = padding
    bordered = torch.nn.functional.pad(theirs.permute(0, 3, 1, 2), (left, right, top, bottom), value=-np.inf)
    expected = torch.nn.functional.max_pool2d(bordered, pool_size, stride).permute(0, 2, 3, 1)
    expected.backward(torch.tensor(d_y))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_allclose(d_x, theirs.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("pool_size, stride", WINDOWS)
def test_every_window_passes_its_gradient_on_once(pool_size, stride):
    x = np.zeros((2, 8, 8, 2))
    workspace = Workspace()
    y, saved = MAX.forward(x, pool_size=pool_size, stride=stride, padding=(0, 0, 0, 0), workspace=workspace)
    d_y = np.random.default_rng(0).standard_normal(y.shape)
    (d_x,) = MAX.backward(saved, d_y, wanted=(True,), workspace=workspace)
    np.testing.assert_allclose(d_x.sum(axis=(1, 2)), d_y.sum(axis=(1, 2)))


@pytest.mark.parametrize("operation", ["max_pooling2d", "global_max_pooling"])
def test_nan_reaches_the_output(operation):
    x = np.zeros((1, 4, 4, 2))
    x[0, 1, 0, 1] = np.nan
    attributes = (
        {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)} if operation == "max_pooling2d" else {}
    )
    y, _ = NumpyEngine().operation(operation).forward(x, workspace=Workspace(), **attributes)
    assert np.isnan(y[0, 0, 0, 1])
    assert np.isnan(y).sum() == 1
