"""Every function of elements against PyTorch: values, first and second derivatives, broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from autodiff.derivatives import check
from mlnet import dlarray, dlfeval, dlgradient
from mlnet.autodiff import rules_elementwise, rules_special
from mlnet.autodiff.array import UFUNCS
from mlnet.autodiff.tape import Rule

DERIVATIVES = {**rules_elementwise.DERIVATIVES, **rules_special.DERIVATIVES}
UNARY = {
    np.negative: (torch.neg, -2, 2),
    np.positive: (torch.positive, -2, 2),
    np.absolute: (torch.abs, -2, 2),
    np.fabs: (torch.abs, -2, 2),
    np.square: (torch.square, -2, 2),
    np.sqrt: (torch.sqrt, 0.3, 3),
    np.cbrt: (lambda x: x.pow(1 / 3), 0.3, 3),
    np.reciprocal: (torch.reciprocal, 0.4, 3),
    np.exp: (torch.exp, -2, 2),
    np.exp2: (torch.exp2, -2, 2),
    np.expm1: (torch.expm1, -2, 2),
    np.log: (torch.log, 0.3, 3),
    np.log2: (torch.log2, 0.3, 3),
    np.log10: (torch.log10, 0.3, 3),
    np.log1p: (torch.log1p, -0.6, 3),
    np.sin: (torch.sin, -3, 3),
    np.cos: (torch.cos, -3, 3),
    np.tan: (torch.tan, -1.2, 1.2),
    np.arcsin: (torch.arcsin, -0.8, 0.8),
    np.arccos: (torch.arccos, -0.8, 0.8),
    np.arctan: (torch.arctan, -2, 2),
    np.sinh: (torch.sinh, -2, 2),
    np.cosh: (torch.cosh, -2, 2),
    np.tanh: (torch.tanh, -2, 2),
    np.arcsinh: (torch.arcsinh, -2, 2),
    np.arccosh: (torch.arccosh, 1.2, 3),
    np.arctanh: (torch.arctanh, -0.8, 0.8),
    np.degrees: (torch.rad2deg, -2, 2),
    np.rad2deg: (torch.rad2deg, -2, 2),
    np.radians: (torch.deg2rad, -2, 2),
    np.deg2rad: (torch.deg2rad, -2, 2),
    np.sign: (torch.sign, -2, 2),
    np.floor: (torch.floor, -2, 2),
    np.ceil: (torch.ceil, -2, 2),
    np.rint: (torch.round, -2, 2),
    np.trunc: (torch.trunc, -2, 2),
    special.expit: (torch.sigmoid, -3, 3),
    special.log_expit: (torch.nn.functional.logsigmoid, -3, 3),
    special.logit: (torch.logit, 0.1, 0.9),
    special.erf: (torch.erf, -2, 2),
    special.erfc: (torch.erfc, -2, 2),
    special.ndtr: (torch.special.ndtr, -2, 2),
}
BINARY = {
    np.add: (torch.add, -2, 2),
    np.subtract: (torch.subtract, -2, 2),
    np.multiply: (torch.multiply, -2, 2),
    np.divide: (torch.divide, 0.4, 3),
    np.power: (torch.pow, 0.4, 2),
    np.maximum: (torch.maximum, -2, 2),
    np.minimum: (torch.minimum, -2, 2),
    np.fmax: (torch.fmax, -2, 2),
    np.fmin: (torch.fmin, -2, 2),
    np.hypot: (torch.hypot, 0.5, 2),
    np.arctan2: (torch.arctan2, 0.5, 2),
    np.logaddexp: (torch.logaddexp, -2, 2),
    np.remainder: (torch.remainder, 0.3, 2),
    special.xlogy: (torch.special.xlogy, 0.3, 2),
}
OTHERWISE = {np.floor_divide}  # PyTorch has no derivative of it; tested below
SHAPES = [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (4, 1, 2)), ((2, 3), ()), ((0,), (0,))]


def draw(shape, low, high, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


def test_every_rule_is_tested():
    assert set(DERIVATIVES) == {*UNARY, *BINARY, *OTHERWISE}


@pytest.mark.parametrize("ufunc", UNARY, ids=lambda ufunc: ufunc.__name__)
def test_functions_of_one_array(ufunc):
    theirs, low, high = UNARY[ufunc]
    for shape in ((), (3,), (2, 1, 2)):
        check(ufunc, theirs, [draw(shape, low, high)])


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("first, second", SHAPES, ids=str)
def test_functions_of_two_arrays(ufunc, first, second):
    theirs, low, high = BINARY[ufunc]
    check(ufunc, theirs, [draw(first, low, high), draw(second, low, high, 1)])


@pytest.mark.parametrize("ufunc", [np.tanh, np.exp, np.sin, np.sqrt, special.expit, special.erf, np.square])
def test_third_derivatives(ufunc):
    theirs, low, high = UNARY[ufunc]
    check(ufunc, theirs, [draw((2, 3), low, high)], orders=3)


@given(st.lists(st.integers(0, 3), max_size=3), st.data())
@settings(max_examples=30, deadline=None)
def test_broadcasting(shape, data):
    other = [data.draw(st.sampled_from([1, length])) for length in shape]
    other = other[data.draw(st.integers(0, len(other))) :]
    arrays = [draw(shape, 0.5, 2), draw(other, 0.5, 2, 1)]
    check(lambda a, b: a * b + a / b - b * b, lambda a, b: a * b + a / b - b * b, arrays)


def test_operators():
    def formula(x, y):
        return (3 - x) * 2 / (1.5 + y) - -x + 2**y + x**2 + x**3 + (+y) ** 0.5 + abs(x - y) + x % 2

    check(formula, formula, [draw((2, 3), 0.5, 1.5), draw((3,), 0.5, 1.5, 1)])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, np.array([0.0, 1.0, 2.0])])
def test_powers_with_constants(exponent):
    x = draw((2, 3), 0.5, 2)
    theirs = torch.tensor(exponent) if isinstance(exponent, np.ndarray) else exponent
    check(lambda a: a**exponent, lambda a: a**theirs, [x])
    check(lambda a: exponent**a if np.min(exponent) > 0 else a, lambda a: theirs**a if np.min(exponent) > 0 else a, [x])


def test_powers_at_zero_are_finite():
    for exponent in (0, 1, 2, 3):
        check(lambda a, n=exponent: a**n, lambda a, n=exponent: a**n, [np.array([0.0, 1.0])], orders=1)
    check(np.power, torch.pow, [np.array([0.0, 2.0]), np.array([2.0, 3.0])], orders=1)


def test_equal_elements_share_the_gradient_of_an_extreme():
    check(np.maximum, torch.maximum, [np.array([1.0, 2.0]), np.array([1.0, 3.0])], orders=1)
    check(np.minimum, torch.minimum, [np.array([1.0, 2.0]), np.array([1.0, 3.0])], orders=1)


def test_whole_division_has_no_slope():
    def gradient(x):
        return dlgradient(np.sum(x // 2), x)

    assert dlfeval(gradient, dlarray([1.5, 7.0])).extractdata().tolist() == [0, 0]


@pytest.mark.parametrize("ufunc", [ufunc for ufunc in UFUNCS if ufunc not in DERIVATIVES and ufunc is not np.matmul])
def test_comparisons_give_logical_arrays(ufunc):
    x = dlarray([-1.0, 0.0, 2.0])
    found = ufunc(*([x, dlarray([0.0, 0.0, 2.0])][: ufunc.nin]))
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found.extractdata(), ufunc(*([[-1, 0, 2.0], [0, 0, 2.0]][: ufunc.nin])))


@pytest.mark.parametrize("ufunc", DERIVATIVES, ids=lambda ufunc: ufunc.__name__)
def test_single_precision_stays_single(ufunc):
    low = 1.2 if ufunc is np.arccosh else 0.3
    x = dlarray(draw((2, 3), low, low + 0.5).astype(np.float32))

    def gradient(x):
        y = ufunc(*[x, x[0]][: ufunc.nin])
        first = dlgradient(np.sum(y), x, EnableHigherDerivatives=True)
        return y, first, dlgradient(np.sum(first) + 0.0 * np.sum(x), x)

    assert {each.dtype for each in dlfeval(gradient, x)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "ufunc, position", [(np.sin, 0), (special.erf, 0), (np.multiply, 1), (np.power, 0), (np.power, 1), (np.maximum, 0)]
)
def test_a_planted_error_is_found(monkeypatch, ufunc, position):
    derivatives = list(DERIVATIVES[ufunc])
    right = derivatives[position]
    derivatives[position] = lambda *given: 1.0001 * right(*given)
    monkeypatch.setitem(UFUNCS, ufunc, Rule(ufunc, derivatives))
    theirs, low, high = {**UNARY, **BINARY}[ufunc]
    with pytest.raises(AssertionError, match=f"derivative 1 of argument {position}"):
        check(ufunc, theirs, [draw((3,), low, high, number) for number in range(ufunc.nin)])
