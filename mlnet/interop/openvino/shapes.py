"""Lengths of what the operations of OpenVINO's IR put out; -1 where they are open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlnet.interop.openvino.graph import OPEN, Shape


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of arrays that are stretched to each other."""
    rank = max(map(len, shapes))
    filled = [(*[1] * (rank - len(shape)), *shape) for shape in shapes]
    return tuple(_stretched(lengths) for lengths in zip(*filled, strict=True))


def _stretched(lengths: Sequence[int]) -> int:
    fixed = [length for length in lengths if length not in (1, OPEN)]
    if fixed:
        return fixed[0]
    return OPEN if OPEN in lengths else 1


def windows(lengths: Shape, extent: Sequence[int], stride: Sequence[int], pads: Any, *, same: bool) -> Shape:
    """Return how many windows there are; ``pads`` are (before, after)."""
    if same:
        return tuple(OPEN if n == OPEN else -(-n // step) for n, step in zip(lengths, stride, strict=True))
    return tuple(
        OPEN if n == OPEN else (n + before + after - size) // step + 1
        for n, size, step, before, after in zip(lengths, extent, stride, *pads, strict=True)
    )


def product(first: Shape, second: Shape) -> Shape:
    """Return the shape of the matrix product of arrays of two or more axes."""
    return (*broadcast(first[:-2], second[:-2]), first[-2], second[-1])


def reduced(shape: Shape, axes: Sequence[int], *, keep: bool) -> Shape:
    """Return the shape without some axes, or with 1 in their place."""
    gone = {axis % len(shape) for axis in axes}
    return tuple(1 if axis in gone else n for axis, n in enumerate(shape) if keep or axis not in gone)


def reshaped(shape: Shape, target: Sequence[int | None]) -> Shape:
    """Return ``target`` with 0 for lengths that are kept and -1 for what is left; None is a length that is open."""
    kept = {place for place, length in enumerate(target) if length == 0}
    left = [length for place, length in enumerate(shape) if place not in kept]
    others = [n for n in target if n not in (0, -1)]
    rest = OPEN
    if OPEN not in left and None not in others:
        rest = math.prod(left) // max(1, math.prod(n for n in others if n is not None))
    return tuple(
        shape[place] if n == 0 else rest if n == -1 else OPEN if n is None else n for place, n in enumerate(target)
    )


def joined(shapes: Sequence[Shape], axis: int) -> Shape:
    """Return the shape of arrays in a row along an axis."""
    axis %= len(shapes[0])
    lengths = [shape[axis] for shape in shapes]
    total = OPEN if OPEN in lengths else sum(lengths)
    return tuple(total if place == axis else max(shape[place] for shape in shapes) for place in range(len(shapes[0])))


def sliced(shape: Shape, starts: Sequence[int], ends: Sequence[int | None], axes: Sequence[int]) -> Shape:
    """Return the shape of a part of an array."""
    lengths = list(shape)
    for start, end, axis in zip(starts, ends, axes, strict=True):
        known = lengths[axis] != OPEN and end is not None
        lengths[axis] = len(range(lengths[axis])[start:end]) if known else OPEN
    return tuple(lengths)


def unsqueezed(shape: Shape, axes: Sequence[int]) -> Shape:
    """Return the shape with more axes of length 1."""
    lengths = list(shape)
    for axis in sorted(axis % (len(shape) + len(axes)) for axis in axes):
        lengths.insert(axis, 1)
    return tuple(lengths)
