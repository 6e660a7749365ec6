"""Categorical arrays as aligned columns of labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlnet.display.values import one_line, size_text
from mlnet.labels import UNDEFINED, categorical

LONGEST_COLUMN = 60  # rows; a longer array is cut in the middle
LONGEST_LINE = 80  # characters; wider arrays are shown in blocks of columns
_BEFORE = " " * 5
_BETWEEN = " " * 6


def labels_text(labels: categorical) -> str:
    """Return a categorical array as MATLAB prints it; an array of one dimension is a column.

    More than 60 rows are cut in the middle, more than 80 characters go into blocks of columns, and arrays of
    more than two dimensions into pages ``(:,:,k)``.
    """
    shape = _shape(labels)
    if labels.size == 0:
        return f"  {size_text(shape)} empty categorical array"
    header = "  categorical" if labels.size == 1 else f"  {size_text(shape)} categorical array"
    texts = [UNDEFINED if name is None else one_line(name) for name in labels.names().ravel()]
    return "\n\n".join([header, *_pages(np.array(texts, dtype=object).reshape(shape))])


def _shape(labels: categorical) -> tuple[int, ...]:
    """Return the size in MATLAB's sense: a column for one dimension, 0x0 where it is empty."""
    if len(labels.shape) > 1:
        return labels.shape
    return (labels.size, 1) if labels.size else (0, 0)


def _pages(names: np.ndarray) -> Iterator[str]:
    if names.ndim == 2:
        yield from _column_blocks(names)
        return
    for index in np.ndindex(names.shape[:1:-1]):  # the first of the further dimensions runs fastest
        numbers = index[::-1]
        yield f"(:,:,{','.join(str(number + 1) for number in numbers)}) ="
        yield from _column_blocks(names[(slice(None), slice(None), *numbers)])


def _column_blocks(names: np.ndarray) -> Iterator[str]:
    """Yield the rows, in blocks of as many columns as fit; each block has a title where there are several."""
    widths = [max(map(len, column)) for column in names.T]
    blocks: list[list[int]] = [[]]
    for column in range(len(widths)):
        length = sum(widths[each] + len(_BETWEEN) for each in [*blocks[-1], column])
        if blocks[-1] and length > LONGEST_LINE:
            blocks.append([])
        blocks[-1].append(column)
    for block in blocks:
        if len(blocks) > 1:
            first, last = block[0] + 1, block[-1] + 1
            yield f"  Columns {first} through {last}" if last > first else f"  Column {first}"
        yield "\n".join(_lines(names[:, block], [widths[column] for column in block]))


def _lines(names: np.ndarray, widths: list[int]) -> list[str]:
    half = LONGEST_COLUMN // 2
    is_cut = len(names) > LONGEST_COLUMN
    kept = np.concatenate([names[:half], names[-half:]]) if is_cut else names
    lines = [
        _BEFORE + _BETWEEN.join(f"{name:<{width}}" for name, width in zip(row, widths, strict=True)).rstrip()
        for row in kept
    ]
    return [*lines[:half], f"{_BEFORE}...", *lines[half:]] if is_cut else lines
