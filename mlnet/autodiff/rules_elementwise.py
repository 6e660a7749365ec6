"""Functions of elements: each with the gradients of its arguments, one line for each.

In the derivatives, g is the gradient of the result, y the result, x, a and b the arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import UFUNCS
from mlnet.autodiff.rules_tanh import plain_tanh, tanh_slope
from mlnet.autodiff.tape import Rule

_LOG_2, _LOG_10 = math.log(2), math.log(10)


def _zero(g: Any, *_: Any) -> Any:
    return np.zeros_like(g)


def _larger(g: Any, a: Any, b: Any) -> Any:
    """Return g where a is larger than b, half of it where they are equal."""
    return np.where(a > b, g, np.where(a == b, 0.5 * g, 0))


def _lowered(exponent: Any) -> Any:
    """Return the exponent of the derivative; 1 for 0, where the factor is 0 and 1/x must not come in."""
    if isinstance(exponent, (int, float)):
        return exponent - 1 if exponent else 1
    return np.where(exponent == 0, 1, exponent - 1)


def _log_or_0(a: Any) -> Any:
    """Return the logarithm, 0 where a is 0: there a power is 0 whatever the exponent."""
    if isinstance(a, (int, float)):
        return math.log(a) if a else 0.0
    return np.log(np.where(a == 0, 1, a))


DERIVATIVES: dict[np.ufunc, tuple[Callable[..., Any] | None, ...]] = {
    np.add: (lambda g, y, a, b: g, lambda g, y, a, b: g),
    np.subtract: (lambda g, y, a, b: g, lambda g, y, a, b: -g),
    np.multiply: (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    np.divide: (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    np.power: (lambda g, y, a, b: g * b * a ** _lowered(b), lambda g, y, a, b: g * y * _log_or_0(a)),
    np.maximum: (lambda g, y, a, b: _larger(g, a, b), lambda g, y, a, b: _larger(g, b, a)),
    np.minimum: (lambda g, y, a, b: _larger(g, b, a), lambda g, y, a, b: _larger(g, a, b)),
    np.fmax: (lambda g, y, a, b: _larger(g, a, b), lambda g, y, a, b: _larger(g, b, a)),
    np.fmin: (lambda g, y, a, b: _larger(g, b, a), lambda g, y, a, b: _larger(g, a, b)),
    np.hypot: (lambda g, y, a, b: g * a / y, lambda g, y, a, b: g * b / y),
    np.arctan2: (lambda g, y, a, b: g * b / (a * a + b * b), lambda g, y, a, b: -g * a / (a * a + b * b)),
    np.logaddexp: (lambda g, y, a, b: g * np.exp(a - y), lambda g, y, a, b: g * np.exp(b - y)),
    np.remainder: (lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor(a / b)),
    np.floor_divide: (_zero, _zero),
    np.negative: (lambda g, y, x: -g,),
    np.positive: (lambda g, y, x: g,),
    np.absolute: (lambda g, y, x: g * np.sign(x),),
    np.fabs: (lambda g, y, x: g * np.sign(x),),
    np.square: (lambda g, y, x: g * (2 * x),),
    np.sqrt: (lambda g, y, x: g / (2 * y),),
    np.cbrt: (lambda g, y, x: g / (3 * y * y),),
    np.reciprocal: (lambda g, y, x: -g * y * y,),
    np.exp: (lambda g, y, x: g * y,),
    np.exp2: (lambda g, y, x: g * (_LOG_2 * y),),
    np.expm1: (lambda g, y, x: g * (y + 1),),
    np.log: (lambda g, y, x: g / x,),
    np.log2: (lambda g, y, x: g / (_LOG_2 * x),),
    np.log10: (lambda g, y, x: g / (_LOG_10 * x),),
    np.log1p: (lambda g, y, x: g / (1 + x),),
    np.sin: (lambda g, y, x: g * np.cos(x),),
    np.cos: (lambda g, y, x: -g * np.sin(x),),
    np.tan: (lambda g, y, x: g * (1 + y * y),),
    np.arcsin: (lambda g, y, x: g / np.sqrt(1 - x * x),),
    np.arccos: (lambda g, y, x: -g / np.sqrt(1 - x * x),),
    np.arctan: (lambda g, y, x: g / (1 + x * x),),
    np.sinh: (lambda g, y, x: g * np.cosh(x),),
    np.cosh: (lambda g, y, x: g * np.sinh(x),),
    np.tanh: (lambda g, y, x: tanh_slope(g, y),),
    np.arcsinh: (lambda g, y, x: g / np.sqrt(x * x + 1),),
    np.arccosh: (lambda g, y, x: g / np.sqrt(x * x - 1),),
    np.arctanh: (lambda g, y, x: g / (1 - x * x),),
    np.degrees: (lambda g, y, x: g * (180 / math.pi),),
    np.rad2deg: (lambda g, y, x: g * (180 / math.pi),),
    np.radians: (lambda g, y, x: g * (math.pi / 180),),
    np.deg2rad: (lambda g, y, x: g * (math.pi / 180),),
    np.sign: (_zero,),
    np.floor: (_zero,),
    np.ceil: (_zero,),
    np.rint: (_zero,),
    np.trunc: (_zero,),
}
"""The gradients of the arguments of functions of elements; None for an argument that has none."""

_WITHOUT: tuple[np.ufunc, ...] = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
_WITHOUT += (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)
_WITHOUT += (np.isfinite, np.isinf, np.isnan, np.signbit)

_FUNCTIONS: dict[np.ufunc, Callable[..., Any]] = {np.tanh: plain_tanh}
UFUNCS.update(
    {each: Rule(_FUNCTIONS.get(each, each), derivatives, counts=True) for each, derivatives in DERIVATIVES.items()}
)
UFUNCS.update({ufunc: Rule(ufunc) for ufunc in _WITHOUT})
