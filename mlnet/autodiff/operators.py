"""Python's operators and NumPy's methods for a class that has NumPy's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Method = Callable[..., Any]


def _unary(ufunc: np.ufunc) -> Method:
    return lambda self: self._call(ufunc, self)


def _binary(ufunc: np.ufunc) -> Method:
    return lambda self, other: self._call(ufunc, self, other)


def _reflected(ufunc: np.ufunc) -> Method:
    return lambda self, other: self._call(ufunc, other, self)


def _method(function: Any) -> Method:
    """Return the method that calls a NumPy function with the array as its first argument."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    method.__name__, method.__doc__ = function.__name__, f"Return ``np.{function.__name__}`` of the array."
    return method


class Operators:
    """Operators and methods; a subclass says with ``_call(ufunc, *inputs)`` how functions of elements are called."""

    __slots__ = ()

    __add__, __radd__ = _binary(np.add), _reflected(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide), _reflected(np.divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder), _reflected(np.remainder)
    __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
    __rpow__ = _reflected(np.power)
    __neg__, __pos__, __abs__ = _unary(np.negative), _unary(np.positive), _unary(np.absolute)
    __lt__, __le__, __gt__, __ge__ = map(_binary, (np.less, np.less_equal, np.greater, np.greater_equal))
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __and__, __or__, __xor__ = map(_binary, (np.logical_and, np.logical_or, np.logical_xor))
    __rand__, __ror__, __rxor__ = map(_reflected, (np.logical_and, np.logical_or, np.logical_xor))
    __invert__ = _unary(np.logical_not)

    def __pow__(self, exponent: Any) -> Any:
        if type(exponent) in (int, float) and exponent == 2:
            return self._call(np.square, self)  # as NumPy's own operator does: several times as fast
        return self._call(np.power, self, exponent)

    def _call(self, ufunc: np.ufunc, *inputs: Any) -> Any:
        raise NotImplementedError

    sum, mean, prod, std, var = map(_method, (np.sum, np.mean, np.prod, np.std, np.var))
    max, min, cumsum, clip, dot = map(_method, (np.max, np.min, np.cumsum, np.clip, np.dot))
    argmax, argmin, argsort, any, all = map(_method, (np.argmax, np.argmin, np.argsort, np.any, np.all))
    ravel, repeat, squeeze, swapaxes, take = map(_method, (np.ravel, np.repeat, np.squeeze, np.swapaxes, np.take))
    flatten, copy, diagonal, trace, round = map(_method, (np.ravel, np.copy, np.diagonal, np.trace, np.round))

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """Return the elements in another shape, given as numbers or as one tuple."""
        return np.reshape(self, _one(shape), order=order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        """Return the array with its dimensions in another order, by default reversed."""
        return np.transpose(self, _one(axes) if axes else None)  # type: ignore[call-overload]

    @property
    def T(self) -> Any:  # noqa: N802
        """The array with its dimensions in reverse order, without labels."""
        return self.transpose()


def _one(given: tuple[Any, ...]) -> Any:
    """Return the tuple of numbers that was given, also where it was given as one argument."""
    return given[0] if len(given) == 1 else given
