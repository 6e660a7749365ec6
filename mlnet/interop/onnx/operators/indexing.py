"""Operators that choose, put and sort elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, numbers, plain, whole_axis


def _places(index: Any, length: int) -> np.ndarray:
    """Return indices counted from the first; raise where one is outside."""
    index = plain(index)
    index = index.astype(np.int64) if index.dtype.kind == "f" else index
    if index.size and not (-length <= index.min() and index.max() < length):
        raise IndexError(f"an index from {index.min()} to {index.max()} where there are {length}")
    return np.where(index < 0, index + length, index)


def _gather(use: Use) -> Any:
    axis = use.axis(0)
    shape = np.shape(use.x)
    index = _places(use.inputs[1], shape[axis])
    need(*shape[:axis], *index.shape, *shape[axis + 1 :])
    return np.take(use.x, index, axis=axis)


def _grid(index: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    """Return what indexes an array with other places along one axis."""
    places: list[Any] = list(np.indices(index.shape, sparse=True))
    places[axis] = index
    return tuple(places)


def _gather_elements(use: Use) -> Any:
    axis = use.axis(0)
    return use.x[_grid(_places(use.inputs[1], np.shape(use.x)[axis]), axis)]


def _rows(x: Any, index: np.ndarray, batch: int) -> tuple[np.ndarray, ...]:
    """Return what indexes the elements that rows of places mean."""
    lengths = np.shape(x)[batch : batch + index.shape[-1]]
    places = [_places(index[..., number], length) for number, length in enumerate(lengths)]
    lead = np.indices(index.shape[:-1], sparse=True)[:batch]
    return (*lead, *places)


def _gather_rows(use: Use) -> Any:
    batch = use.get("batch_dims", 0)
    index = plain(use.inputs[1])
    need(*index.shape[:-1], *np.shape(use.x)[batch + index.shape[-1] :])
    return use.x[_rows(use.x, index, batch)]


_REDUCTIONS: dict[str, Any] = {"none": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _put(use: Use, x: Any, place: tuple[np.ndarray, ...], updates: Any) -> Any:
    """Return the array with elements replaced, or joined with new ones; places may come several times."""
    join = _REDUCTIONS[use.get("reduction", "none")]
    shape = np.broadcast_shapes(*(each.shape for each in place))
    flat = [np.broadcast_to(each, shape).reshape(-1) for each in place]
    rows = updates.reshape((len(flat[0]), *np.shape(x)[len(place) :]))
    linear = np.ravel_multi_index(flat, np.shape(x)[: len(place)]) if len(flat[0]) else np.zeros(0, int)
    order = np.argsort(linear, kind="stable")
    turn = np.arange(len(linear)) - np.searchsorted(linear[order], linear[order])
    need(*np.shape(x))
    y = x.copy()
    for number in range(turn.max(initial=-1) + 1):  # what comes to one place goes there one after the other
        chosen = order[turn == number]
        where = tuple(each[chosen] for each in flat)
        y[where] = rows[chosen] if join is None else join(y[where], rows[chosen])
    return y


def _scatter_elements(use: Use) -> Any:
    axis = use.axis(0)
    index = _places(use.inputs[1], np.shape(use.x)[axis])
    return _put(use, use.x, _grid(index, axis), use.inputs[2])


def _scatter_rows(use: Use) -> Any:
    return _put(use, use.x, _rows(use.x, plain(use.inputs[1]), 0), use.inputs[2])


def _one_hot(use: Use) -> Any:
    index, depth, values = plain(use.x), numbers(use.inputs[1])[0], plain(use.inputs[2])
    axis = whole_axis(use.get("axis", -1), index.ndim + 1)
    need(*index.shape, depth)
    index = np.where(index < 0, index + depth, index)
    hot = np.expand_dims(index, axis) == np.arange(depth).reshape(-1, *[1] * (index.ndim - axis))
    return np.where(hot, values[1], values[0])


def _largest(use: Use) -> Any:
    axis = use.axis(-1)
    count = numbers(use.inputs[1])[0] if use.input(1) is not None else use.get("k")
    x = plain(use.x)
    if not 0 <= count <= x.shape[axis]:
        raise NotComputed(f"the {count} largest of {x.shape[axis]}")
    keys = -x if use.get("largest", 1) and x.dtype.kind in "fi" else x
    if use.get("largest", 1) and x.dtype.kind == "u":
        keys = x.max(initial=0) - x
    order = np.take(np.argsort(keys, axis=axis, kind="stable"), np.arange(count), axis=axis)
    return np.take_along_axis(use.x, order, axis=axis), order.astype(np.int64)


def _extreme(use: Use) -> Any:
    x, axis = plain(use.x), use.axis(0)
    find: Any = np.argmin if "Min" in use.given["operator"] else np.argmax
    if use.get("select_last_index", 0):
        found = x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis)
    else:
        found = find(x, axis=axis)
    return np.expand_dims(found, axis) if use.get("keepdims", 1) else np.asarray(found)


def _argument(name: str) -> Operator:
    return lambda use: _extreme(Use(use.inputs, {**use.given, "operator": name}, use.opset)).astype(np.int64)


def _compress(use: Use) -> Any:
    chosen = np.flatnonzero(plain(use.inputs[1]))
    if "axis" not in use.given:
        return use.x.reshape(-1)[chosen]
    return np.take(use.x, chosen, axis=use.axis(0))


def _reversed(use: Use) -> Any:
    x, lengths = use.x, numbers(use.inputs[1])
    batch, time = use.get("batch_axis", 1), use.get("time_axis", 0)
    steps = np.arange(np.shape(x)[time])[:, None]
    index = np.where(steps < np.array(lengths), np.array(lengths) - 1 - steps, steps)
    index = index if time < batch else index.T
    shape = [length if axis in (batch, time) else 1 for axis, length in enumerate(np.shape(x))]
    return np.take_along_axis(x, np.broadcast_to(index.reshape(shape), np.shape(x)), axis=time)


def _running_sum(use: Use) -> Any:
    x, axis = use.x, whole_axis(numbers(use.inputs[1])[0], np.ndim(use.x))
    backwards = use.get("reverse", 0)
    x = np.flip(x, axis) if backwards else x
    total = np.cumsum(x, axis=axis)
    if plain(total).dtype != plain(x).dtype:
        total = plain(total).astype(plain(x).dtype)
    if use.get("exclusive", 0):
        total = total - x
    return np.flip(total, axis) if backwards else total


def _hardest(use: Use) -> Any:
    x = plain(use.x)
    axis = use.axis(-1 if use.opset >= 13 else 1)
    if use.opset < 13:
        flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
        return np.eye(flat.shape[1], dtype=x.dtype)[flat.argmax(axis=1)].reshape(x.shape)
    index = np.expand_dims(x.argmax(axis=axis), axis)
    result = np.zeros_like(x)
    np.put_along_axis(result, index, like(1, x), axis=axis)
    return result


TABLE: dict[str, Operator] = {
    "ArgMax": _argument("Max"),
    "ArgMin": _argument("Min"),
    "Compress": _compress,
    "CumSum": _running_sum,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_rows,
    "Hardmax": _hardest,
    "NonZero": lambda use: np.array(np.nonzero(plain(use.x)), np.int64),
    "OneHot": _one_hot,
    "ReverseSequence": _reversed,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_rows,
    "TopK": _largest,
}
