"""Sums, means, extremes and other reductions along dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import FUNCTIONS, apply
from mlnet.autodiff.tape import Rule
from mlnet.errors import DataError, NotSupportedError, message

Axis = Any


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    """Return the numbers of the dimensions that ``axis`` stands for, from 0; None and 'all' stand for all of them."""
    if axis is None or (isinstance(axis, str) and axis == "all"):
        return tuple(range(x.ndim))
    if isinstance(axis, str):
        raise DataError(message("dlarray", "an axis, counted from 0, or 'all'", f"axis '{axis}'"))
    given = tuple(axis) if isinstance(axis, (tuple, list, range, np.ndarray)) else (axis,)
    ndim = x.ndim
    found = tuple([int(each) + ndim if each < 0 else int(each) for each in given])
    if found and not (min(found) >= 0 and max(found) < ndim):
        raise DataError(message("dlarray", f"an axis of its {ndim} dimensions, counted from 0", f"axis {axis}"))
    return found


def _kept(part: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Return a reduced array with dimensions of length 1 in the place of those that are gone."""
    return np.reshape(part, tuple(1 if number in axis else length for number, length in enumerate(x.shape)))


def _plain_sum(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    dtype = np.float64 if x.dtype == np.bool_ else None  # counting logical values gives doubles, as in MATLAB
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)


def _extreme_gradient(g: Any, y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the gradient shared evenly by the elements that are equal to the extreme."""
    share = (x == _kept(y, x, axis)).astype(x.dtype)
    return _kept(g, x, axis) * (share / np.sum(share, axis=axis, keepdims=True))


def _sum_gradient(g: Any, y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.broadcast_to(_kept(g, x, axis), x.shape)


_SUM = Rule(_plain_sum, (_sum_gradient,), formats.reduce)
_MAX = Rule(np.max, (_extreme_gradient,), formats.reduce)
_MIN = Rule(np.min, (_extreme_gradient,), formats.reduce)
_CUMSUM = Rule(
    np.cumsum,
    (lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis),),
    formats.keep,
)


def sum_(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Return the sum over dimensions."""
    return apply(_SUM, (a,), {"axis": axes_of(a, axis), "keepdims": bool(keepdims)})


def _max(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return apply(_MAX, (a,), {"axis": axes_of(a, axis), "keepdims": bool(keepdims)})


def _min(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return apply(_MIN, (a,), {"axis": axes_of(a, axis), "keepdims": bool(keepdims)})


def _count(a: Any, axis: Axis) -> int:
    return math.prod([a.shape[each] for each in axes_of(a, axis)])


def _mean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return sum_(a, axis, keepdims=keepdims) / _count(a, axis)


def _var(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    deviation = a - _mean(a, axis, keepdims=True)
    return sum_(deviation * deviation, axis, keepdims=keepdims) / (_count(a, axis) - ddof)


def _std(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(_var(a, axis, ddof=ddof, keepdims=keepdims))


def _prod(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Return the product as a tree of products of two, which has derivatives of any order also at 0."""
    axes = axes_of(a, axis)
    for each in axes:
        product = a
        while product.shape[each] != 1:
            count = product.shape[each]
            if count == 0:
                product = np.ones_like(sum_(product, each, keepdims=True))
                break
            first, second, rest = np.split(product, [count // 2, 2 * (count // 2)], axis=each)
            product = first * second if count % 2 == 0 else np.concatenate([first * second, rest], axis=each)
        a = product
    return a if keepdims else np.squeeze(a, axis=axes)


def _cumsum(a: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return apply(_CUMSUM, (a,), {"axis": axis})


def _ptp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return _max(a, axis, keepdims=keepdims) - _min(a, axis, keepdims=keepdims)


def _average(a: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    if np.ndim(weights) == 1 and axis is not None:
        shape = [1] * np.ndim(a)
        shape[axis] = -1
        weights = np.reshape(weights, shape)
    weights = weights * np.ones(np.shape(a), a.dtype)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    return np.sum(a * weights, axis=axis, keepdims=keepdims) / total


def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return norms of vectors, or the Frobenius norm of matrices; the derivative at 0 is 0."""
    axes = axes_of(x, axis)
    if len(axes) == 1 or (ord is None and axis is None):
        if ord in (None, 2):
            return _root_of_squares(x, axes, keepdims)
        if ord == 1:
            return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
        if ord in (np.inf, -np.inf):
            extreme = np.max if ord > 0 else np.min
            return extreme(np.abs(x), axis=axes, keepdims=keepdims)
        if isinstance(ord, (int, float)) and ord > 0:
            return np.sum(np.abs(x) ** ord, axis=axes, keepdims=keepdims) ** (1 / ord)
    elif ord in (None, "fro"):
        return _root_of_squares(x, axes, keepdims)
    came = f"the norm {ord!r} of {len(axes)} dimensions"
    raise NotSupportedError(message("np.linalg.norm", "a norm of vectors, or 'fro' of matrices, for a dlarray", came))


def _root_of_squares(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = np.sum(x * x, axis=axes, keepdims=keepdims)
    is_positive = squares > 0
    return np.where(is_positive, np.sqrt(np.where(is_positive, squares, 1)), 0)


FUNCTIONS.update(
    {
        np.sum: sum_,
        np.max: _max,
        np.amax: _max,
        np.min: _min,
        np.amin: _min,
        np.mean: _mean,
        np.average: _average,
        np.var: _var,
        np.std: _std,
        np.prod: _prod,
        np.ptp: _ptp,
        np.cumsum: _cumsum,
        np.linalg.norm: _norm,
    }
)
