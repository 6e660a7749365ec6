"""Sums, products and concatenations of several inputs."""

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from .gradients import check_gradients

ENGINE = NumpyEngine()
CASES = [
    ("addition", [(2, 3, 4, 5)] * 2, {}, lambda a, b: a + b),
    ("addition", [(2, 3)] * 4, {}, lambda a, b, c, d: a + b + c + d),
    ("addition", [(2, 3, 4, 5), (2, 1, 1, 5)], {}, lambda a, b: a + b),
    ("addition", [(2, 1, 4, 1), (2, 3, 1, 5)], {}, lambda a, b: a + b),
    ("multiplication", [(2, 3, 4, 5)] * 3, {}, lambda a, b, c: a * b * c),
    ("multiplication", [(2, 3, 4, 5), (2, 1, 1, 5)], {}, lambda a, b: a * b),
    ("concatenation", [(2, 3, 4, 5), (2, 3, 4, 1)], {"axis": -1}, lambda a, b: np.concatenate([a, b], 3)),
    ("concatenation", [(2, 3, 4, 5), (2, 2, 4, 5), (2, 1, 4, 5)], {"axis": -3}, lambda *x: np.concatenate(x, 1)),
    ("concatenation", [(2, 3), (2, 1)], {"axis": -1}, lambda a, b: np.concatenate([a, b], 1)),
]


@pytest.mark.parametrize(("name", "shapes", "attributes", "formula"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward(name, shapes, attributes, formula, dtype):
    arrays = [np.random.default_rng(0).normal(size=shape).astype(dtype) for shape in shapes]
    y, _ = ENGINE.operation(name).forward(*arrays, workspace=Workspace(), **attributes)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, formula(*arrays), rtol=1e-6)


@pytest.mark.parametrize(("name", "shapes", "attributes", "formula"), CASES)
def test_gradients(name, shapes, attributes, formula):
    generator = np.random.default_rng(1)
    arrays = [generator.normal(size=shape) for shape in shapes]
    for skipped in range(-1, len(arrays)):
        wanted = tuple(number != skipped for number in range(len(arrays)))
        check_gradients(ENGINE.operation(name), arrays, attributes, wanted, generator)
