"""Several outputs as one array: a node of the tape has one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Part = tuple[int, tuple[int, ...]]
"""Where an array begins in a row, and its shape."""


def in_a_row(outputs: Sequence[Any]) -> Any:
    """Return the elements of all outputs of the type of the first one, one output after the other."""
    return np.concatenate([each.ravel() for each in outputs if each.dtype == outputs[0].dtype])


def parts_of(outputs: Sequence[Any]) -> list[Part | None]:
    """Return for each output where it is in the row; None for those that are not in it."""
    start, parts = 0, []
    for each in outputs:
        inside = each.dtype == outputs[0].dtype
        parts.append((start, each.shape) if inside else None)
        start += each.size * inside
    return parts


def carved(row: Any, part: Part) -> Any:
    """Return the array of a shape that begins at a place of a row."""
    start, shape = part
    return row[start : start + int(np.prod(shape))].reshape(shape)
