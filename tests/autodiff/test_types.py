"""Types of results: single with anything gives single, whole numbers count as doubles, logical values as numbers."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from autodiff.test_elementwise import BINARY
from mlnet import (
    crossentropy,
    dlarray,
    dlconv,
    dlfeval,
    dlgradient,
    dlmtimes,
    fullyconnect,
    huber,
    l1loss,
    mse,
)

RNG = np.random.default_rng(0)
DATA = RNG.uniform(0.5, 1.5, (3, 3))
SINGLE, DOUBLE, WHOLE = dlarray(DATA.astype("single")), dlarray(DATA), np.arange(1, 10).reshape(3, 3) % 5 + 1
ROLLED = dlarray(np.roll(DATA, 1))
OTHERS = {
    "double dlarray": DOUBLE,
    "double array": DATA,
    "whole numbers": WHOLE,
    "double number": np.float64(2),
    "whole number": np.int64(2),
    "Python's number": 2.5,
    "logical dlarray": DOUBLE > 1,
    "logical array": DATA > 1,
}
OPERATIONS = {
    **{ufunc.__name__: ufunc for ufunc in BINARY},
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "pow", "mod", "floordiv")},
    "where": lambda a, b: np.where(DATA > 1, a, b),
}
PRODUCTS = {
    "matmul": operator.matmul,
    "dot": np.dot,
    "outer": np.outer,
    "einsum": lambda a, b: np.einsum("ij,jk->ik", a, b),
    "solve": np.linalg.solve,
    "concatenate": lambda a, b: np.concatenate([a, b]),
    "stack": lambda a, b: np.stack([a, b]),
    "dlmtimes": lambda a, b: dlmtimes(dlarray(a), dlarray(b)),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("other", OTHERS)
def test_single_with_anything_is_single(name, other):
    function, value = OPERATIONS[name], OTHERS[other]
    with np.errstate(all="ignore"):
        results = function(SINGLE, value), function(value, SINGLE)
        plain = value.extractdata() if isinstance(value, dlarray) else value
        plain = np.asarray(plain).astype("single")
        expected = function(SINGLE.extractdata(), plain), function(plain, SINGLE.extractdata())
    for found, wanted in zip(results, expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.extractdata(), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("other", ["double dlarray", "double array", "whole numbers"])
def test_products_and_joined_arrays(name, other):
    function, value = PRODUCTS[name], OTHERS[other]
    for found in (function(SINGLE, value), function(value, SINGLE)):
        assert found.dtype == np.float32


@pytest.mark.parametrize("name", ["add", "mul", "power", "maximum", "where"])
def test_gradients_have_the_types_of_their_arrays(name):
    def gradients(x, y):
        return dlgradient(np.sum(OPERATIONS[name](x, y) * DATA), x, y)

    found = dlfeval(gradients, SINGLE, ROLLED)
    exact = dlfeval(gradients, dlarray(SINGLE.extractdata().astype(float)), ROLLED)
    assert [each.dtype for each in found] == [np.float32, np.float64]
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata(), rtol=1e-5)


def test_second_derivatives_stay_single():
    found = dlfeval(_second, SINGLE, DOUBLE)
    exact = dlfeval(_second, dlarray(SINGLE.extractdata().astype(float)), DOUBLE)
    assert [each.dtype for each in found] == [np.float32, np.float64]
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata(), rtol=1e-4, atol=1e-5)


def _second(x, y):
    dx = dlgradient(np.sum(np.sin(x * y) * DATA), x, EnableHigherDerivatives=True)
    assert dx.dtype == x.dtype
    return dlgradient(np.sum(dx * DATA), x, y)


def test_formatted_arrays():
    x = dlarray(SINGLE, "CB")
    assert ((x * dlarray(DATA, "CB")).dtype, (x + DATA[:, :1]).dims()) == (np.float32, "CB")
    assert (x + DATA[:, :1]).dtype == (DATA[:, :1] - x).dtype == np.float32


def test_logical_values_are_numbers_in_sums():
    mask = DOUBLE > 1
    assert (mask + mask).extractdata().tolist() == (2.0 * (DATA > 1)).tolist()
    for found in (1 - mask, mask * 2, -mask, mask * mask, mask - mask, np.sum(mask), np.mean(mask), mask + DOUBLE):
        assert found.dtype == np.float64
    assert (mask * SINGLE).dtype == np.float32
    for found in (mask & mask, ~mask, mask.reshape(-1), mask[0], np.concatenate([mask, mask]), np.transpose(mask)):
        assert found.dtype == np.bool_


def test_doubles_stay_doubles():
    for value in (DATA, WHOLE, 2, np.int64(2), DOUBLE):
        assert (DOUBLE * value).dtype == np.float64
    assert dlarray(WHOLE).dtype == np.float64


def test_elements_keep_the_type_of_the_array():
    x, y = dlarray(SINGLE), dlarray(DATA)
    x[0], y[0] = DATA[0], SINGLE[0]
    assert (x.dtype, y.dtype) == (np.float32, np.float64)
    x[1, 1] = 3
    assert x[1, 1].item() == 3


def test_functions_of_layers_and_losses():
    x, y = (dlarray(DATA.astype(kind), "CB") for kind in ("single", "double"))
    images = dlarray(RNG.standard_normal((4, 4, 1, 2)).astype("single"), "SSCB")
    results = [
        fullyconnect(x, DATA, DATA[:, :1]),
        fullyconnect(y, dlarray(DATA.astype("single")), np.zeros((3, 1))),
        dlconv(images, RNG.standard_normal((2, 2, 1, 3)), np.zeros(3)),
        *(
            loss(one, other)
            for loss in (mse, huber, l1loss, crossentropy)
            for one, other in ((x, y), (y, x), (x, DATA))
        ),
    ]
    assert [each.dtype for each in results] == [np.float32] * len(results)
