"""Derivatives of tanh and products of matrices: sizes that are worked on in pieces, and higher orders."""

import numpy as np
import pytest

from mlnet import dlarray, dlfeval, dlgradient, relu
from mlnet.autodiff.rules_linear import plain_product
from mlnet.parallel import cores


def derivatives(x, count, weight):
    """Return derivatives of tanh from the first on, the last one as the gradient of a weighted sum."""

    def function(x):
        y, found = np.tanh(x), []
        for number in range(count):
            is_last = number == count - 1
            y = dlgradient(np.sum(weight * y if is_last else y), x, EnableHigherDerivatives=not is_last)
            found.append(y)
        return tuple(found)

    return [each.extractdata() for each in dlfeval(function, dlarray(x))]


@pytest.mark.parametrize("shape", [(3, 1), (70001,), (5, 30000)])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_derivatives_up_to_the_fourth_against_closed_forms(shape, dtype, tolerance):
    random = np.random.default_rng(0)
    x, weight = random.normal(size=shape).astype(dtype), random.normal(size=shape).astype(dtype)
    given = x.copy()
    y = np.tanh(x.astype(np.float64))
    s = 1 - y**2
    first, second, third, fourth = derivatives(x, 4, weight)
    assert np.array_equal(x, given) and first.dtype == dtype == fourth.dtype
    np.testing.assert_allclose(first, s, atol=tolerance)
    np.testing.assert_allclose(second, -2 * y * s, atol=tolerance)
    np.testing.assert_allclose(third, s * (6 * y**2 - 2), atol=4 * tolerance)
    np.testing.assert_allclose(fourth, weight * 8 * y * s * (2 - 3 * y**2), atol=40 * tolerance)


def test_arrays_that_are_not_contiguous_and_threads_give_the_same():
    x = np.random.default_rng(1).normal(size=(400, 300))
    whole = derivatives(np.ascontiguousarray(x.T), 3, 1.0)
    turned = derivatives(x.T, 3, 1.0)
    try:
        cores.set_threads(1)
        alone = derivatives(np.ascontiguousarray(x.T), 3, 1.0)
    finally:
        cores.set_threads(None)
    for one, other, third in zip(whole, turned, alone, strict=True):
        assert np.array_equal(one, third)
        np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("count", [5, 70001])
def test_relu_and_its_gradient_in_pieces(count):
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, count)), random.normal(size=(2, count))
    x[0, 0] = 0
    given = x.copy()
    for each in (x, np.asfortranarray(x)):
        y, gradient = dlfeval(lambda x: (relu(x), dlgradient(np.sum(weight * relu(x) ** 2), x)), dlarray(each))
        assert np.array_equal(y.extractdata(), np.where(x > 0, x, 0)) and np.array_equal(each, given)
        np.testing.assert_allclose(gradient.extractdata(), 2 * weight * np.where(x > 0, x, 0), rtol=1e-14)
    assert relu(dlarray([True, False])).extractdata().tolist() == [1, 0]


@pytest.mark.parametrize("rows, inner, columns", [(10000, 20, 20), (4097, 1, 3), (3, 10000, 5), (1, 1, 1), (0, 4, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_in_pieces(rows, inner, columns, dtype):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(rows, inner)).astype(dtype), random.normal(size=(inner, columns)).astype(dtype)
    expected = np.einsum("ij,jk->ik", a.astype(np.float64), b)
    for x, y in ((a, b), (np.asfortranarray(a), b[::-1][::-1]), (a, np.asfortranarray(b))):
        found = plain_product(x, y)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-3)
    assert plain_product(a, b.astype(np.float64)).dtype == np.float64
    assert plain_product(np.ones((5000, 2), int), np.ones((2, 3), int)).dtype == int
