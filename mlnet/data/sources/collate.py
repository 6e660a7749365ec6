"""From observations to one array, and arrays in another type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError, message
from mlnet.labels import categorical, categories
from mlnet.options import describe

_MORE = "Give a MiniBatchFcn that makes one array of them, for sequences with padsequences."


def column(values: Sequence[Any], known: categorical | None, names: Sequence[str]) -> Any:
    """Return the observations of one column as a list; labels as a categorical array with all their categories.

    ``known`` are the labels of all observations where they are known, ``names`` the classes of the datastore.
    """
    if known is not None:
        return categorical(_texts(values), categories(known))
    if all(isinstance(value, (str, np.str_)) or value is None for value in values):
        return categorical(_texts(values), list(names)) if names else categorical(_texts(values))
    if all(isinstance(value, categorical) and value.size == 1 for value in values):
        joined = list(dict.fromkeys(name for value in values for name in categories(value)))
        return categorical(_texts(values), joined)
    return list(values)


def _texts(values: Sequence[Any]) -> np.ndarray:
    flat: np.ndarray = np.empty(len(values), object)
    flat[:] = [value.names().item() if isinstance(value, categorical) else value for value in values]
    return flat


def collated(values: Any, fmt: str, where: str) -> Any:
    """Return observations as one array, side by side along the dimension 'B' of the format ``fmt``."""
    if isinstance(values, categorical):
        codes = _joined(list(values.codes.reshape(-1, 1, 1)), fmt, where)
        return categorical.from_codes(codes, categories(values))
    if all(isinstance(value, categorical) for value in values):  # images of labels
        names = list(dict.fromkeys(name for value in values for name in categories(value)))
        codes = _joined([categorical(value, names).codes for value in values], fmt, where)
        return categorical.from_codes(codes, names)
    arrays = [np.asarray(value) for value in values]
    if any(array.dtype.kind not in "fiub" for array in arrays):
        odd = next(value for value, array in zip(values, arrays, strict=True) if array.dtype.kind not in "fiub")
        raise DataError(message(where, "numeric observations or labels", describe(odd), _MORE))
    return _joined(arrays, fmt, where)


def _joined(arrays: list[np.ndarray], fmt: str, where: str) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        came = " and ".join(map(str, sorted(shapes)[:2]))
        raise DataError(message(where, "observations of one size", f"shapes {came}", _MORE))
    (shape,) = shapes
    axis = fmt.upper().find("B") if "B" in fmt.upper() else (0 if len(shape) == 2 and shape[0] == 1 else len(shape))
    if axis < len(shape) and shape[axis] == 1:
        return np.concatenate(arrays, axis)
    missing = (1,) * (axis - len(shape))
    return np.stack([array.reshape((*shape, *missing)) for array in arrays], axis)


def cast(data: Any, type_name: str, where: str) -> np.ndarray:
    """Return an array in the type of MATLAB's name; labels as numbers of categories, from 1, undefined as NaN or 0."""
    dtype = np.dtype({"logical": "bool"}.get(type_name, type_name))
    if isinstance(data, categorical):
        codes = data.codes + 1
        return np.where(codes > 0, codes, np.nan).astype(dtype) if dtype.kind == "f" else codes.astype(dtype)
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError(message(where, "one array", "a list of arrays of different sizes", _MORE)) from None
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "numbers", describe(data), "For labels use onehotencode in a MiniBatchFcn."))
    if dtype.kind in "iu" and array.dtype.kind == "f":  # as MATLAB casts: to the nearest, cut to the range
        limits = np.iinfo(dtype)
        double = np.nan_to_num(array.astype(np.float64))
        rounded = np.sign(double) * np.floor(np.abs(double) + 0.5)
        highest = np.nextafter(2.0**63, 0) if limits.max > 2**53 else limits.max  # the last double below 2^63
        return np.clip(rounded, limits.min, highest).astype(dtype)
    return array.astype(dtype)
