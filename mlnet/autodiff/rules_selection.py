"""Selection: indexing and its reverse, choosing, sorting, padding, and what only asks about an array."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import FUNCTIONS, apply, call, data_of, dlarray
from mlnet.autodiff.rules_reduction import axes_of
from mlnet.autodiff.tape import Rule


def _is_basic(index: Any) -> bool:
    """Tell whether an index is made of numbers and ranges, so that no element can be chosen twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or isinstance(part, (int, slice, type(...))) for part in parts)


def _spread(g: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros of ``shape`` with ``g`` added at the elements that ``index`` chooses."""
    whole = np.zeros(shape, g.dtype)
    if _is_basic(index):
        whole[index] = g
    else:
        np.add.at(whole, index, g)
    return whole


def _replaced(x: np.ndarray, value: Any, index: Any) -> np.ndarray:
    whole = np.array(x)
    whole[index] = value
    return whole


_GETITEM: Rule = Rule(
    lambda x, index: x[index],
    (lambda g, y, x, index: call(_SPREAD, g, index=index, shape=x.shape),),
    formats.index,
)
_SPREAD: Rule = Rule(_spread, (lambda g, y, x, index, shape: g[index],), formats.drop)
_SETITEM: Rule = Rule(
    _replaced,
    (lambda g, y, x, v, index: call(_SETITEM, g, 0.0, index=index), lambda g, y, x, v, index: g[index]),
    formats.keep,
)
_WHERE = Rule(
    np.where,
    (None, lambda g, y, c, a, b: np.where(c, g, 0), lambda g, y, c, a, b: np.where(c, 0, g)),
)


def _getitem(x: Any, index: Any) -> Any:
    return apply(_GETITEM, (x,), {"index": _whole(index)})


def _setitem(x: Any, index: Any, value: Any) -> Any:
    if isinstance(value, dlarray):
        value = value if value.dtype == x.dtype else value.astype(x.dtype)
    else:
        value = np.asarray(value, x.dtype)
    return apply(_SETITEM, (x, value), {"index": _whole(index)})


def _whole(index: Any) -> Any:
    """Return an index of plain arrays: lists as arrays, whole numbers that came as doubles as integers."""
    if isinstance(index, tuple):
        return tuple(map(_whole, index))
    index = data_of(index)
    if isinstance(index, list):
        index = np.asarray(index)
    if isinstance(index, np.ndarray) and index.dtype.kind == "f" and (index == index.round()).all():
        index = index.astype(np.int64)
    return int(index) if isinstance(index, np.ndarray) and index.ndim == 0 and index.dtype != np.bool_ else index


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return np.nonzero(data_of(condition))
    return apply(_WHERE, (condition, x, y))


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    a = a if low is None else np.where(a < low, low, a)
    return a if high is None else np.where(a > high, high, a)


def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.ravel(a)[np.asarray(data_of(indices))]
    return a[(slice(None),) * axes_of(a, axis)[0] + (np.asarray(data_of(indices)),)]


def _take_along_axis(arr: Any, indices: Any, axis: int) -> Any:
    axis = axes_of(arr, axis)[0]
    places = list(np.ogrid[tuple(slice(length) for length in arr.shape)])
    places[axis] = np.asarray(data_of(indices))
    return arr[tuple(places)]


def _sort(a: Any, axis: int = -1) -> Any:
    return _take_along_axis(a, np.argsort(a, axis=axis), axis)


def _flip(m: Any, axis: Any = None) -> Any:
    axes = axes_of(m, axis)
    return m[tuple(slice(None, None, -1) if each in axes else slice(None) for each in range(m.ndim))]


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return _take(a, np.repeat(np.arange(a.shape[axis]), data_of(repeats)), axis)


def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(_roll(np.ravel(a), shift, 0), a.shape)
    for each, amount in zip(axes_of(a, axis), np.broadcast_to(shift, np.size(axis)).tolist(), strict=True):
        a = _take(a, np.roll(np.arange(a.shape[each]), amount), each)
    return a


def _pad(array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode != "constant":
        for axis, width in enumerate(widths):
            array = _take(array, np.pad(np.arange(array.shape[axis]), width, mode=mode), axis)
        return array
    shape = tuple(length + sum(width) for length, width in zip(array.shape, widths, strict=True))
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, array.shape, strict=True))
    return apply(_SETITEM, (np.full(shape, constant_values, array.dtype), array), {"index": inside})


def _diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    axis = axes_of(a, axis)[0]
    later, earlier = ((slice(None),) * axis + (part,) for part in (slice(1, None), slice(None, -1)))
    for _ in range(n):
        a = a[later] - a[earlier]
    return a


def _diagonal(a: Any, offset: int = 0) -> Any:
    rows, columns = np.nonzero(np.eye(a.shape[0], a.shape[1], k=offset))
    return np.moveaxis(a[rows, columns], 0, -1)


def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return _diagonal(v, k)
    return apply(_SPREAD, (v,), {"index": np.nonzero(np.diag(np.ones(v.size), k)), "shape": (v.size + abs(k),) * 2})


def _trace(a: Any, offset: int = 0) -> Any:
    return np.sum(_diagonal(a, offset), axis=-1)


def _asks(function: Any) -> Any:
    """Return a function of plain arrays that also takes dlarrays: what it returns has no derivative."""

    def ask(*args: Any, **options: Any) -> Any:
        return function(*map(data_of, args), **{name: data_of(value) for name, value in options.items()})

    return ask


FUNCTIONS.update(
    {
        operator.getitem: _getitem,
        operator.setitem: _setitem,
        np.where: _where,
        np.clip: _clip,
        np.take: _take,
        np.take_along_axis: _take_along_axis,
        np.sort: _sort,
        np.flip: _flip,
        np.fliplr: lambda m: _flip(m, 1),
        np.flipud: lambda m: _flip(m, 0),
        np.repeat: _repeat,
        np.roll: _roll,
        np.pad: _pad,
        np.diff: _diff,
        np.diagonal: _diagonal,
        np.diag: _diag,
        np.trace: _trace,
        np.tril: lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k, bool), m, 0),
        np.triu: lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k - 1, bool), 0, m),
    }
)
_QUESTIONS: tuple[Any, ...] = (np.shape, np.ndim, np.size, np.any, np.all, np.argmax, np.argmin, np.argsort, np.nonzero)
_QUESTIONS += (np.argwhere, np.flatnonzero, np.count_nonzero, np.searchsorted, np.allclose, np.array_equal)
_QUESTIONS += (
    np.isclose,
    np.unique,
    np.result_type,
    np.can_cast,
    np.may_share_memory,
    np.shares_memory,
    np.iscomplexobj,
)
FUNCTIONS.update({function: _asks(function) for function in _QUESTIONS})
