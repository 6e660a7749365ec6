"""Shapes: other orders of dimensions, other shapes, repetition, joining and splitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import FUNCTIONS, apply, dlarray, wrap
from mlnet.autodiff.rules_reduction import axes_of
from mlnet.autodiff.tape import Rule

_RESHAPE = Rule(
    np.reshape,
    (lambda g, y, x, shape, order: np.reshape(g, x.shape, order=order),),
    formats.drop,
)
_TRANSPOSE = Rule(
    np.transpose,
    (lambda g, y, x, axes: np.transpose(g, tuple(np.argsort(axes).tolist())),),
    formats.drop,
)
_BROADCAST = Rule(np.broadcast_to, (lambda g, y, x, shape: g,), formats.drop)
_ASTYPE = Rule(lambda x, dtype: x.astype(dtype), (lambda g, y, x, dtype: g,), formats.keep)
_ZEROS, _ONES = Rule(np.zeros_like, (), formats.keep), Rule(np.ones_like, (), formats.keep)
_FULL = Rule(np.full_like, (), formats.keep)
_ROUND = Rule(np.round, (lambda g, y, x, decimals: np.zeros_like(g),), formats.keep)


def _joined(*arrays: Any, axis: int) -> Any:
    return np.concatenate(arrays, axis=axis)


def _part_of_joined(position: int, g: Any, y: Any, *arrays: Any, axis: int) -> Any:
    start = sum(array.shape[axis] for array in arrays[:position])
    return g[(slice(None),) * axis + (slice(start, start + arrays[position].shape[axis]),)]


_CONCATENATE = Rule(_joined, _part_of_joined, formats.join)


def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
    if isinstance(shape, (int, np.integer)):
        shape = (shape,)
    return apply(_RESHAPE, (a,), {"shape": tuple(int(each) for each in shape), "order": order})


def _transpose(a: Any, axes: Any = None) -> Any:
    axes = tuple(range(a.ndim))[::-1] if axes is None else axes_of(a, axes)
    return apply(_TRANSPOSE, (a,), {"axes": axes})


def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return _transpose(a, axes)


def _moved(a: Any, source: Any, destination: Any) -> list[int]:
    """Return the order of the dimensions after some have been moved."""
    moving, places = axes_of(a, source), axes_of(a, destination)
    order = [axis for axis in range(a.ndim) if axis not in moving]
    for place, axis in sorted(zip(places, moving, strict=True)):
        order.insert(place, axis)
    return order


def _broadcast_to(array: Any, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return apply(_BROADCAST, (array,), {"shape": shape})


def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*(np.shape(each) for each in args))
    return tuple(np.broadcast_to(each, shape) for each in args)


def _ravel(a: Any, order: str = "C") -> Any:
    return _reshape(a, (-1,), order)


def _expand_dims(a: Any, axis: Any) -> Any:
    given = (axis,) if np.ndim(axis) == 0 else tuple(axis)
    count = a.ndim + len(given)
    places = {each % count for each in given}
    lengths = iter(a.shape)
    return _reshape(a, tuple(1 if place in places else next(lengths) for place in range(count)))


def _squeeze(a: Any, axis: Any = None) -> Any:
    shape = a.shape
    gone = [each for each, length in enumerate(shape) if length == 1] if axis is None else axes_of(a, axis)
    if any(shape[each] != 1 for each in gone):
        raise ValueError(f"cannot squeeze dimensions of an array of shape {shape} that are longer than 1")
    if a.dims():
        return a[tuple(0 if each in gone else slice(None) for each in range(a.ndim))]
    return _reshape(a, tuple(length for each, length in enumerate(shape) if each not in gone))


def _at_least(ndim: int) -> Any:
    def extend(*arrays: Any) -> Any:
        found = [
            each if each.ndim >= ndim else _reshape(each, (1,) * (ndim - each.ndim) + each.shape) for each in arrays
        ]
        return found[0] if len(found) == 1 else tuple(found)

    return extend


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    arrays = tuple(arrays)
    if axis is None:
        arrays, axis = tuple(np.ravel(each) for each in arrays), 0
    arrays = tuple(each if isinstance(each, dlarray) else np.asarray(each) for each in arrays)
    return apply(_CONCATENATE, arrays, {"axis": axes_of(arrays[0], axis)[0]})


def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return np.concatenate([np.expand_dims(each, axis) for each in arrays], axis=axis)


def _vstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_2d(each) for each in tup], axis=0)


def _hstack(tup: Sequence[Any]) -> Any:
    whole = [np.atleast_1d(each) for each in tup]
    return np.concatenate(whole, axis=0 if whole[0].ndim == 1 else 1)


def _column_stack(tup: Sequence[Any]) -> Any:
    return np.concatenate([each if np.ndim(each) > 1 else np.reshape(each, (-1, 1)) for each in tup], axis=1)


def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return np.concatenate([arr, values], axis=axis)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    axis = axes_of(ary, axis)[0]
    numbers = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError(f"cannot split a dimension of {ary.shape[axis]} into {indices_or_sections} equal parts")
    return _parts(ary, numbers, axis)


def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    axis = axes_of(ary, axis)[0]
    return _parts(ary, np.array_split(np.arange(ary.shape[axis]), indices_or_sections), axis)


def _parts(array: Any, numbers: list[np.ndarray], axis: int) -> list[Any]:
    bounds = [(int(each[0]), int(each[-1]) + 1) if each.size else (0, 0) for each in numbers]
    return [array[(slice(None),) * axis + (slice(*bound),)] for bound in bounds]


def _tile(A: Any, reps: Any) -> Any:  # noqa: N803
    given = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    array = A if A.ndim >= len(given) else _reshape(A, (1,) * (len(given) - A.ndim) + A.shape)
    for axis, count in zip(range(array.ndim - len(given), array.ndim), given, strict=True):
        if count != 1:
            array = np.take(array, np.tile(np.arange(array.shape[axis]), count), axis=axis)
    return array


def _full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    return apply(_FULL, (a,), {"fill_value": fill_value, "dtype": dtype})


FUNCTIONS.update(
    {
        np.reshape: _reshape,
        np.transpose: _transpose,
        np.swapaxes: _swapaxes,
        np.moveaxis: lambda a, source, destination: _transpose(a, _moved(a, source, destination)),
        np.broadcast_to: _broadcast_to,
        np.broadcast_arrays: _broadcast_arrays,
        np.ravel: _ravel,
        np.expand_dims: _expand_dims,
        np.squeeze: _squeeze,
        np.atleast_1d: _at_least(1),
        np.atleast_2d: _at_least(2),
        np.concatenate: _concatenate,
        np.stack: _stack,
        np.vstack: _vstack,
        np.hstack: _hstack,
        np.column_stack: _column_stack,
        np.append: _append,
        np.split: _split,
        np.array_split: _array_split,
        np.tile: _tile,
        np.ndarray.astype: lambda x, dtype: apply(_ASTYPE, (x,), {"dtype": dtype}),
        np.copy: lambda a: wrap(a._data.copy(), a._node, a._labels),
        np.zeros_like: lambda a, dtype=None: apply(_ZEROS, (a,), {"dtype": dtype}),
        np.ones_like: lambda a, dtype=None: apply(_ONES, (a,), {"dtype": dtype}),
        np.full_like: _full_like,
        np.round: lambda a, decimals=0: apply(_ROUND, (a,), {"decimals": decimals}),
        np.around: lambda a, decimals=0: apply(_ROUND, (a,), {"decimals": decimals}),
    }
)
if hasattr(np, "permute_dims"):  # NumPy 2
    FUNCTIONS.update({np.permute_dims: _transpose, np.matrix_transpose: lambda x: _swapaxes(x, -1, -2)})
