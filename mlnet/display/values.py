"""A value as the rows of a property block show it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.labels import UNDEFINED, categorical
from mlnet.layers.function_text import function_text
from mlnet.network.layer_array import LayerArray
from mlnet.structure import Structure
from mlnet.table import DataTable

LONGEST_VECTOR = 10  # elements; a longer row vector shows its size and type
LONGEST_TEXT = 80  # characters; a longer cell or list of labels shows its size and type
SMALLEST_FIXED = 1.00001e-3  # numbers from here (0.001 itself has an exponent, also in single precision) ...
LARGEST_FIXED = 1e3  # ... to below here have four decimals, others an exponent
LARGEST_WHOLE = 1e9  # whole floating-point numbers below have no decimals and no exponent

_MATLAB_TYPES = {
    "float64": "double",
    "float32": "single",
    "float16": "half",
    "bool": "logical",
    "complex128": "double",
    "complex64": "single",
}
_SCALARS = (numbers.Real, np.bool_)


def value_text(value: Any) -> str:
    """Return ``value`` as MATLAB's property display shows it, on one line.

    Parameters
    ----------
    value : object
        Texts are quoted; numbers are in ``format short``; row vectors of up to 10 elements (arrays of one
        dimension are rows) and short lists are written out; other arrays and objects show size and type.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet.display.values import value_text
    >>> value_text(1e-5), value_text(np.array([28, 28, 1])), value_text(['in1', 'in2'])
    ('1.0000e-05', '[28 28 1]', "{'in1'  'in2'}")
    >>> value_text(np.zeros((3, 3, 1, 16), 'single'))
    '[3x3x1x16 single]'
    """
    if value is None:
        return "[]"
    if isinstance(value, str):
        return f"'{one_line(value)}'"
    if isinstance(value, _SCALARS):
        return number_text(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, (list, tuple)):
        return _cell(value)
    if isinstance(value, dlarray):
        return f"[{size_text(value.shape)} dlarray]"
    if isinstance(value, categorical):
        return _labels(value)
    if isinstance(value, LayerArray):
        return f"[{len(value)}x1 nnet.cnn.layer.Layer]" if len(value) else "[0x0 nnet.cnn.layer.Layer]"
    if isinstance(value, DataTable):
        return f"[{value.shape[0]}x{value.shape[1]} table]"
    if isinstance(value, Structure):
        return "[1x1 struct]"
    if isinstance(value, partial):
        return value_text(value.func)
    if callable(value) and hasattr(value, "__name__"):
        return one_line(function_text(value))
    return f"[1x1 {type(value).__name__}]"


def number_text(value: Any) -> str:
    """Return a real scalar in MATLAB's ``format short``: 0.1000, 1.0000e-05, 10, Inf; booleans as 1 and 0."""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < LARGEST_WHOLE:
        return str(int(value))
    fixed = f"{value:.4f}"
    if abs(value) >= SMALLEST_FIXED and abs(float(fixed)) < LARGEST_FIXED:
        return fixed
    return f"{value:.4e}"


def size_text(shape: tuple[int, ...]) -> str:
    """Return the size of an array as MATLAB writes it: one dimension is a row, trailing ones are dropped."""
    dims = [1, *shape] if len(shape) < 2 else list(shape)
    dims = [1, 1] if not shape else dims
    while len(dims) > 2 and dims[-1] == 1:
        dims.pop()
    return "x".join(map(str, dims))


def one_line(text: str) -> str:
    """Return ``text`` with line ends as arrows, as in MATLAB, and other control characters escaped."""
    text = text.replace("\r\n", "\n").replace("\n", "\u21b5")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _summary(array: np.ndarray) -> str:
    return f"[{size_text(array.shape)} {_MATLAB_TYPES.get(array.dtype.name, array.dtype.name)}]"


def _array(array: np.ndarray) -> str:
    if array.dtype.kind in "OUST":
        return _cell(array.tolist()) if array.ndim == 1 else f"{{{size_text(array.shape)} cell}}"
    if array.size == 0 and (array.ndim < 2 or array.shape == (0, 0)):
        return "[]"
    if array.dtype.kind not in "fiub":
        return _summary(array)
    if array.size == 1:
        return number_text(array.reshape(-1)[0])
    is_row = array.ndim == 1 or (array.ndim == 2 and len(array) == 1)
    if not is_row or not 0 < array.size <= LONGEST_VECTOR:
        return _summary(array)
    return "[" + " ".join(number_text(element) for element in array.reshape(-1)) + "]"


def _cell(elements: Iterable[Any]) -> str:
    parts = [_in_cell(element) for element in elements]
    text = f"{{{'  '.join(parts)}}}"
    return text if len(text) <= LONGEST_TEXT else f"{{1x{len(parts)} cell}}"


def _in_cell(value: Any) -> str:
    """Return an element of a cell: numbers in brackets, nested lists and labels by their size."""
    if isinstance(value, (list, tuple)):
        return f"{{{len(value)}x1 cell}}" if value else "{}"
    if isinstance(value, categorical):
        return _labels_summary(value)
    text = value_text(value)
    is_number = isinstance(value, _SCALARS) or (isinstance(value, np.ndarray) and text[0] not in "[{")
    return f"[{text}]" if is_number else text


def _labels(labels: categorical) -> str:
    if len(labels.shape) > 1 or not 0 < labels.size <= LONGEST_VECTOR:
        return _labels_summary(labels)
    names = [UNDEFINED if name is None else one_line(name) for name in labels.names().reshape(-1)]
    text = f"[{'    '.join(names)}]"
    return text if len(text) <= LONGEST_TEXT else _labels_summary(labels)


def _labels_summary(labels: categorical) -> str:
    """Return the size of labels; unlike numbers, labels of one dimension are a column."""
    count = len(labels.shape)
    shape = (*labels.shape, 1) if count == 1 and labels.size else (0, 0) if count == 1 else labels.shape
    return f"[{size_text(shape)} categorical]"
