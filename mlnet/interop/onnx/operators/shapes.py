"""Operators that move, join, part, repeat and make axes and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.elementwise import type_of
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, numbers, plain, whole_axis

_MOST = 2**28
"""Elements of a constant that is one number."""


def _reshape(use: Use) -> Any:
    shape = numbers(use.inputs[1]) if use.input(1) is not None else [int(n) for n in use.get("shape", [])]
    if not use.get("allowzero", 0):
        shape = [np.shape(use.x)[place] if length == 0 else length for place, length in enumerate(shape)]
    return use.x.reshape(tuple(shape))


def _flatten(use: Use) -> Any:
    axis = use.get("axis", 1)
    axis = axis + np.ndim(use.x) if axis < 0 else axis
    shape = np.shape(use.x)
    return use.x.reshape((math.prod(shape[:axis]), math.prod(shape[axis:])))


def _transpose(use: Use) -> Any:
    return use.x.transpose(tuple(use.get("perm", range(np.ndim(use.x))[::-1])))


def _squeeze(use: Use) -> Any:
    axes, shape = use.axes(), np.shape(use.x)
    gone = {whole_axis(axis, len(shape)) for axis in axes} if axes is not None else set()
    if axes is None:
        gone = {place for place, length in enumerate(shape) if length == 1}
    if any(shape[place] != 1 for place in gone):
        raise NotComputed("an axis that is longer than 1, left out")
    return use.x.reshape(tuple(length for place, length in enumerate(shape) if place not in gone))


def _unsqueeze(use: Use) -> Any:
    axes = use.axes() or []
    shape, count = list(np.shape(use.x)), np.ndim(use.x) + len(axes)
    for axis in sorted(whole_axis(axis, count) for axis in axes):
        shape.insert(axis, 1)
    return use.x.reshape(tuple(shape))


def _shape(use: Use) -> Any:
    return np.array(np.shape(use.x)[use.get("start", 0) : use.get("end")], np.int64)


def _expand(use: Use) -> Any:
    shape = np.broadcast_shapes(np.shape(use.x), tuple(numbers(use.inputs[1])))
    need(*shape)
    return np.broadcast_to(use.x, shape)


def _concatenation(use: Use) -> Any:
    need(sum(np.size(each) for each in use.inputs))
    return np.concatenate(list(use.inputs), axis=use.axis(1))


def _split(use: Use) -> Any:
    axis = use.axis(0)
    length, given = np.shape(use.x)[axis], use.input(1)
    parts = numbers(given) if given is not None else use.get("split")
    if parts is None:
        count = use.get("num_outputs", use.outputs)
        each = -(-length // count)
        parts = [max(0, min(each, length - each * number)) for number in range(count)]
    if sum(parts) != length or min(parts, default=0) < 0:
        raise NotComputed(f"parts of {parts} of {length} elements")
    ends = np.cumsum(parts).tolist()
    before = (slice(None),) * axis
    pieces = zip([0, *ends[:-1]], ends, strict=True)
    return tuple(use.x[(*before, slice(start, end))] for start, end in pieces)


def _slice(use: Use) -> Any:
    if use.input(1) is None:
        starts, ends, axes, steps = use.get("starts"), use.get("ends"), use.get("axes"), None
    else:
        starts, ends, axes, steps = (None if use.input(n) is None else numbers(use.input(n)) for n in range(1, 5))
    axes = range(len(starts)) if axes is None else axes
    chosen = [slice(None)] * np.ndim(use.x)
    for place, (start, end, axis) in enumerate(zip(starts, ends, axes, strict=True)):
        axis = whole_axis(axis, np.ndim(use.x))
        chosen[axis] = _window(start, end, 1 if steps is None else steps[place], np.shape(use.x)[axis])
    return use.x[tuple(chosen)]


def _window(start: int, end: int, step: int, length: int) -> slice:
    """Return a slice; ends far outside are those of the axis."""
    if step == 0:
        raise NotComputed("a step of 0")
    start, end = (n + length if n < 0 else n for n in (start, end))
    if step > 0:
        return slice(min(max(start, 0), length), min(max(end, 0), length), step)
    first, last = min(max(start, 0), length - 1), min(max(end, -1), length - 1)
    return slice(first, None if last < 0 else last, step)


def _tile(use: Use) -> Any:
    repeats = numbers(use.inputs[1])
    need(*(a * b for a, b in zip(np.shape(use.x), repeats, strict=True)))
    return np.tile(use.x, tuple(repeats))


def _pad(use: Use) -> Any:
    x, count = use.x, np.ndim(use.x)
    pads = numbers(use.inputs[1]) if use.input(1) is not None else use.get("pads", use.get("paddings"))
    axes = numbers(use.input(3)) if use.input(3) is not None else range(count)
    value = use.get("value", 0) if use.input(2) is None else plain(use.input(2)).ravel()[0]
    widths = [[0, 0] for _ in range(count)]
    for place, axis in enumerate(axes):
        widths[whole_axis(axis, count)] = [pads[place], pads[place + len(pads) // 2]]
    return padded(x, widths, use.get("mode", "constant"), value)


def padded(x: Any, widths: list[list[int]], mode: str = "constant", value: Any = 0) -> Any:
    """Return an array with a border, [before, after] of each axis; negative widths cut."""
    need(*(max(0, length + sum(pair)) for length, pair in zip(np.shape(x), widths, strict=True)))
    x = x[tuple(slice(max(0, -a), length - max(0, -b)) for length, (a, b) in zip(np.shape(x), widths, strict=True))]
    grown = [(max(0, a), max(0, b)) for a, b in widths]
    if not np.any(grown):
        return x
    if mode == "constant":
        return np.pad(x, grown, constant_values=like(value, x).item())
    kinds: dict[str, Any] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}
    if mode not in kinds:
        raise NotComputed(f"a border of mode {mode}")
    for axis, pair in enumerate(grown):
        if any(pair):
            x = np.take(x, np.pad(np.arange(np.shape(x)[axis]), pair, kinds[mode]), axis=axis)
    return x


def _blocks_to_space(use: Use) -> Any:
    x, block = use.x, use.get("blocksize")
    batch, channels, height, width = np.shape(x)
    depth = channels // block**2
    parts, order = (block, block, depth), (0, 3, 4, 1, 5, 2)
    if use.get("mode", "DCR") == "CRD":
        parts, order = (depth, block, block), (0, 1, 4, 2, 5, 3)
    return x.reshape((batch, *parts, height, width)).transpose(order).reshape((batch, depth, height * block, -1))


def _space_to_blocks(use: Use) -> Any:
    x, block = use.x, use.get("blocksize")
    batch, channels, height, width = np.shape(x)
    order = (0, 1, 3, 5, 2, 4) if use.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    parts = x.reshape((batch, channels, height // block, block, width // block, block)).transpose(order)
    return parts.reshape((batch, channels * block**2, height // block, width // block))


def _constant(use: Use) -> Any:
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if "value" in use.given:
        return np.asarray(use.given["value"])
    for name, kind in kinds.items():
        if name in use.given:
            return np.asarray(use.given[name], kind)
    raise NotComputed("a constant of texts or few values")


def _filled(use: Use) -> Any:
    shape = numbers(use.x)
    if min(shape, default=0) < 0 or math.prod(shape) > _MOST:
        raise NotComputed(f"a constant of more than {_MOST} elements: {shape}")
    value = np.ravel(use.get("value", np.zeros(1, np.float32)))
    return np.broadcast_to(value[0], shape)  # takes no memory


def _range(use: Use) -> Any:
    start, limit, step = (plain(each).ravel()[0] for each in use.inputs)
    if step == 0:
        raise NotComputed("a step of 0")
    count = max(0, math.ceil((limit - start) / step))
    need(count)
    return (start + np.arange(count) * step).astype(start.dtype)


def _eye(use: Use) -> Any:
    kind = type_of(use.get("dtype")) if "dtype" in use.given else plain(use.x).dtype
    rows, columns = np.shape(use.x)
    return np.eye(rows, columns, use.get("k", 0), kind)


def _triangle(use: Use) -> Any:
    x, offset = use.x, 0 if use.input(1) is None else numbers(use.input(1))[0]
    rows, columns = np.shape(x)[-2:]
    keep = np.tri(rows, columns, offset, bool) if not use.get("upper", 1) else ~np.tri(rows, columns, offset - 1, bool)
    return np.where(keep, x, like(0, x))


def _centred(use: Use) -> Any:
    shape, count = numbers(use.inputs[1]), np.ndim(use.x)
    axes = use.get("axes", range(count))
    widths = [[0, 0] for _ in range(count)]
    for axis, length in zip(axes, shape, strict=True):
        more = length - np.shape(use.x)[axis]
        before = more // 2 if more >= 0 else -(-more // 2)
        widths[whole_axis(axis, count)] = [before, more - before]
    return padded(use.x, widths)


TABLE: dict[str, Operator] = {
    "CenterCropPad": _centred,
    "Concat": _concatenation,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DepthToSpace": _blocks_to_space,
    "Expand": _expand,
    "EyeLike": _eye,
    "Flatten": _flatten,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda use: np.array(np.size(use.x), np.int64),
    "Slice": _slice,
    "SpaceToDepth": _space_to_blocks,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _triangle,
    "Unsqueeze": _unsqueeze,
}
