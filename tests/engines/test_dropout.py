"""Dropout: which elements go and what the others are multiplied with."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

OPERATION = NumpyEngine().operation("dropout")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_elements_whose_number_is_below_the_probability_go(dtype, probability):
    x = np.random.default_rng(0).standard_normal((40, 50)).astype(dtype)
    workspace = Workspace()
    y, saved = OPERATION.forward(x, probability=probability, generator=np.random.default_rng(7), workspace=workspace)
    numbers = np.random.default_rng(7).random(x.shape, dtype)
    kept = numbers >= probability
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.where(kept, x / (1 - probability), 0), rtol=1e-6)
    d_y = np.random.default_rng(1).standard_normal(x.shape).astype(dtype)
    (d_x,) = OPERATION.backward(saved, d_y, wanted=(True,), workspace=workspace)
    np.testing.assert_allclose(d_x, np.where(kept, d_y / (1 - probability), 0), rtol=1e-6)
    assert OPERATION.backward(saved, d_y, wanted=(False,), workspace=workspace) == (None,)
