"""dlarrays as MATLAB prints them: size with labels and type, then the numbers, page by page."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.display.values import LARGEST_FIXED, LARGEST_WHOLE, number_text, size_text

WIDTH = 80  # characters; more columns go into blocks
MOST_ELEMENTS = 1000  # a larger array shows its size and type alone
_TYPES = {"float64": "", "float32": "single ", "bool": "logical "}


def dlarray_text(array: dlarray) -> str:
    """Return the header, as in ``3(C) x 2(B) single dlarray``, and the numbers of an array."""
    data = array.extractdata()
    header = f"  {_size(data.shape, array.dims())} {_TYPES.get(data.dtype.name, f'{data.dtype.name} ')}dlarray"
    if not 0 < data.size <= MOST_ELEMENTS:
        return header
    if data.ndim < 2:
        data = data.reshape((-1, 1) if array.dims() else (1, -1))
    if data.size == 1 and data.dtype != np.bool_:
        value = data.item()
        return f"{header}\n\n{number_text(value):>{6 if value == np.floor(value) else 10}}"
    scale, width, decimals = _style(data)
    rows = [f"   1.0e{scale:+03d} *\n"] if scale else []
    scaled = data / 10.0**scale if scale else data
    if data.ndim == 2:
        return "\n".join([header, "", *rows, *_matrix(scaled, width, decimals)])
    lines = [header, "", *rows]
    for index in itertools.product(*(range(length) for length in reversed(data.shape[2:]))):
        page = ",".join(str(number + 1) for number in index[::-1])
        where: tuple[Any, ...] = (..., *index[::-1])
        lines += ["", f"(:,:,{page}) =", "", *_matrix(scaled[where], width, decimals), ""]
    return "\n".join(lines).rstrip("\n")


def _size(shape: tuple[int, ...], labels: str) -> str:
    if not labels:
        return size_text(shape)
    if len(labels) == 1:
        shape, labels = (*shape, 1), f"{labels}U"
    return " x ".join(f"{length}({label})" for length, label in zip(shape, labels, strict=True))


def _style(data: np.ndarray) -> tuple[int, int, int | None]:
    """Return the exponent of the common factor, the width of a column and the decimals, None for whole numbers.

    As in ``format short``: numbers below 0.001 or from 1000 share a factor.
    """
    if data.dtype == np.bool_:
        return 0, 4, None
    finite = np.abs(data[np.isfinite(data)].astype(np.float64))
    largest = float(finite.max(initial=0))
    if (finite == np.floor(finite)).all() and largest < LARGEST_WHOLE:
        return 0, 6 if largest < LARGEST_FIXED else 12, None
    if 1e-3 <= largest < LARGEST_FIXED:
        return 0, 10, 4
    return int(np.floor(np.log10(largest))), 10, 4


def _matrix(data: np.ndarray, width: int, decimals: int | None) -> list[str]:
    """Return the rows of a matrix, in blocks of columns where it is wide."""
    columns = max(1, WIDTH // width)
    if data.shape[1] <= columns:
        return [_row(row, width, decimals) for row in data]
    lines: list[str] = []
    for start in range(0, data.shape[1], columns):
        end = min(start + columns, data.shape[1])
        title = f"  Columns {start + 1} through {end}" if end > start + 1 else f"  Column {end}"
        lines += ["", title, "", *(_row(row[start:end], width, decimals) for row in data)]
    return lines[1:]


def _row(row: np.ndarray, width: int, decimals: int | None) -> str:
    return "".join(f"{_number(value, decimals):>{width}}" for value in row.tolist())


def _number(value: float, decimals: int | None) -> str:
    if not np.isfinite(value):
        return number_text(value)
    if decimals is None:
        return str(int(value))
    return "0" if value == 0 else f"{value:.{decimals}f}"
