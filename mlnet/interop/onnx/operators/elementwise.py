"""Operators on single elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, plain

_TYPES: dict[int, Any] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
}
"""ONNX's numbers of types."""


def _special(name: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(x)

    return call


_erf, _expit = _special("erf"), _special("expit")


def unary(function: Callable[[Any], Any]) -> Operator:
    """Return the operator of a function of one array, whose type stays."""

    def run(use: Use) -> Any:
        y, kind = function(use.x), plain(use.x).dtype
        return y if plain(y).dtype in (kind, np.bool_) else y.astype(kind)

    return run


def _broadcast(*arrays: Any) -> None:
    need(*np.broadcast_shapes(*(np.shape(each) for each in arrays)))


def _old_axes(use: Use) -> tuple[Any, Any]:
    """Return both inputs; before version 7 the second has the axes of the first from ``axis`` on."""
    a, b = use.inputs
    if use.opset < 7 and use.get("broadcast", 0) and "axis" in use.given and np.ndim(b):
        b = b.reshape(*b.shape, *[1] * (np.ndim(a) - use.axis(0) - np.ndim(b)))
    return a, b


def binary(function: Callable[[Any, Any], Any]) -> Operator:
    """Return the operator of a function of two arrays."""

    def run(use: Use) -> Any:
        a, b = _old_axes(use)
        _broadcast(a, b)
        return function(a, b)

    return run


def _divide(a: Any, b: Any) -> Any:
    if plain(a).dtype.kind == "f":
        return a / b
    a, b = plain(a), plain(b)
    if not np.all(b):
        raise NotComputed("a division of whole numbers by 0")
    quotient = np.abs(a) // np.abs(b)  # towards 0
    return (quotient * np.sign(a) * np.sign(b)).astype(a.dtype)


def _power(a: Any, b: Any) -> Any:
    exponent = plain(b)
    if plain(a).dtype.kind == "f":
        if exponent.size == 1 and exponent.ravel()[0] == 2:
            return np.square(a) + np.zeros(exponent.shape, plain(a).dtype) if exponent.ndim > np.ndim(a) else a * a
        return np.power(a, b.astype(plain(a).dtype))
    return np.power(plain(a).astype(np.float64), exponent).astype(plain(a).dtype)


def _modulo(use: Use) -> Any:
    a, b = plain(use.inputs[0]), plain(use.inputs[1])
    _broadcast(a, b)
    if a.dtype.kind in "iu" and not np.all(b):
        raise NotComputed("a remainder of a division by 0")
    return np.fmod(a, b) if use.get("fmod", 0) else np.mod(a, b)


def several(function: Callable[[Any, Any], Any]) -> Operator:
    """Return the operator that joins any number of arrays."""

    def run(use: Use) -> Any:
        _broadcast(*use.inputs)
        return reduce(function, use.inputs)

    return run


def _mean(use: Use) -> Any:
    return several(np.add)(use) / like(len(use.inputs), use.x)


def _clip(use: Use) -> Any:
    low, high = (
        use.get(name) if use.input(place) is None else use.input(place) for place, name in ((1, "min"), (2, "max"))
    )
    x = use.x
    x = x if low is None else np.maximum(x, like(plain(low), x))
    return x if high is None else np.minimum(x, like(plain(high), x))


def _positive(x: Any) -> Any:
    return np.maximum(x, like(0, x))


def _elu(x: Any, alpha: float) -> Any:
    return _positive(x) + np.expm1(np.minimum(x, like(0, x))) * alpha


def _selu(use: Use) -> Any:
    alpha = use.get("alpha", 1.67326319217681884765625)
    return _elu(use.x, alpha) * use.get("gamma", 1.05070102214813232421875)


def _celu(use: Use) -> Any:
    alpha = use.get("alpha", 1.0)
    return _positive(use.x) + np.expm1(np.minimum(use.x, like(0, use.x)) / alpha) * alpha


def _leaky(use: Use) -> Any:
    return np.where(use.x >= 0, use.x, use.x * use.get("alpha", 0.01))


def _prelu(use: Use) -> Any:
    x, slope = use.inputs
    if use.opset < 7 and np.ndim(slope) == 1 and np.size(slope) > 1:
        slope = slope.reshape(-1, *[1] * (np.ndim(x) - 2))
    return np.where(x >= 0, x, x * slope)


def _thresholded(use: Use) -> Any:
    return np.where(use.x > use.get("alpha", 1.0), use.x, like(0, use.x))


def hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """Return ``min(1, max(0, alpha x + beta))``."""
    return np.minimum(np.maximum(x * alpha + beta, like(0, x)), like(1, x))


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))``."""
    return np.logaddexp(x, like(0, x))


def _gelu(use: Use) -> Any:
    x = use.x
    if use.get("approximate", "none") == "tanh":
        gate = np.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi))
    else:
        gate = _erf(x * math.sqrt(0.5))
    return x * 0.5 * (gate + 1)


def _shrink(use: Use) -> Any:
    x, bias, width = use.x, use.get("bias", 0.0), use.get("lambd", 0.5)
    return np.where(x < -width, x + like(bias, x), np.where(x > width, x - like(bias, x), like(0, x)))


def _is_infinite(use: Use) -> Any:
    x = plain(use.x)
    up, down = np.isinf(x) & (x > 0), np.isinf(x) & (x < 0)
    wanted = [part for part, name in ((up, "detect_positive"), (down, "detect_negative")) if use.get(name, 1)]
    return reduce(np.logical_or, wanted, np.zeros(x.shape, bool))


def _shift(use: Use) -> Any:
    shift = np.left_shift if use.get("direction") == "LEFT" else np.right_shift
    return shift(*map(plain, use.inputs))


def _where(use: Use) -> Any:
    _broadcast(*use.inputs)
    return np.where(plain(use.inputs[0]), use.inputs[1], use.inputs[2])


def type_of(number: int) -> np.dtype:
    """Return the type of a number of ONNX."""
    if number not in _TYPES:
        raise NotComputed(f"type {number}")
    return np.dtype(_TYPES[number])


def cast(x: Any, kind: np.dtype) -> Any:
    """Return an array of another type; only real numbers keep their history."""
    if plain(x).dtype.kind not in "fiub":
        raise NotComputed("a change of texts")
    with np.errstate(all="ignore"):
        return x.astype(kind) if kind.kind == "f" else plain(x).astype(kind)


def _dropout(use: Use) -> Any:
    ratio = use.input(1)
    trains = use.input(2) is not None and bool(plain(use.input(2)))
    if trains and (ratio is None or float(plain(ratio)) > 0):
        raise NotComputed("dropout while training")
    mask = np.ones(np.shape(use.x), bool if use.opset >= 10 else plain(use.x).dtype)
    return (use.x, mask) if use.outputs > 1 else use.x


_UNARY: dict[str, Callable[[Any], Any]] = {
    "Abs": np.abs,
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": _erf,
    "Exp": np.exp,
    "Floor": np.floor,
    "Identity": lambda x: x,
    "IsNaN": np.isnan,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": lambda x: 1 / x,
    "Relu": _positive,
    "Round": np.rint,
    "Sigmoid": _expit,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Sqrt": np.sqrt,
    "Tan": np.tan,
    "Tanh": np.tanh,
    "Mish": lambda x: x * np.tanh(softplus(x)),
    "HardSwish": lambda x: x * hard_sigmoid(x, 1 / 6, 0.5),
}

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "And": np.logical_and,
    "Div": _divide,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Mul": np.multiply,
    "Or": np.logical_or,
    "Pow": _power,
    "Sub": np.subtract,
    "Xor": np.logical_xor,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
}

TABLE: dict[str, Operator] = {
    **{name: unary(function) for name, function in _UNARY.items()},
    **{name: binary(function) for name, function in _BINARY.items()},
    "BitShift": _shift,
    "BitwiseNot": lambda use: np.bitwise_not(plain(use.x)),
    "Cast": lambda use: cast(use.x, type_of(use.get("to", 1))),
    "CastLike": lambda use: cast(use.x, plain(use.inputs[1]).dtype),
    "Celu": _celu,
    "Clip": _clip,
    "Dropout": _dropout,
    "Elu": lambda use: _elu(use.x, use.get("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": lambda use: hard_sigmoid(use.x, use.get("alpha", 0.2), use.get("beta", 0.5)),
    "IsInf": _is_infinite,
    "LeakyRelu": _leaky,
    "Max": several(np.maximum),
    "Mean": _mean,
    "Min": several(np.minimum),
    "Mod": _modulo,
    "PRelu": _prelu,
    "Selu": _selu,
    "Shrink": _shrink,
    "Sum": several(np.add),
    "Swish": lambda use: use.x * _expit(use.x * use.get("alpha", 1.0)),
    "ThresholdedRelu": _thresholded,
    "Where": _where,
}
