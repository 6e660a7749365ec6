"""Numeric arrays as a source of mini-batches; the array itself is never copied or converted as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mlnet.data.layout import from_engine, to_engine
from mlnet.errors import DataError

Index = slice | np.ndarray


class Predictors:
    """What goes into a network: an array whose observations are fetched by number.

    Parameters
    ----------
    data : array_like
        (H, W, C, N) for images, also (H, W, C), (H, W) for one; (N, C) for features, also (C,) for one.
    format : text
        Format of one observation, 'SSC' or 'C'.
    dims : tuple of int
        Size that the network's input layer expects, after complex data have been split.
    split_complex : bool
        Whether complex data become real channels followed by imaginary ones.
    function : callable, optional
        The user's normalization: takes and returns a mini-batch in MATLAB's order.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where the data are not numeric, of another size, or complex without being split.
    """

    def __init__(
        self,
        data: Any,
        format: str,
        dims: tuple[int, ...],
        *,
        split_complex: bool = False,
        function: Callable[[np.ndarray], Any] | None = None,
        where: str = "X",
    ) -> None:
        array = _numeric(data, where)
        is_complex = array.dtype.kind == "c"
        if is_complex and not split_complex:
            raise DataError(f"{where}: needs real numbers, but got complex ones. Set SplitComplexInputs=True.")
        expected = (*dims[:-1], dims[-1] // 2) if split_complex else dims
        self._x = to_engine(_with_observations(array, expected, format), format)
        self._format, self._function, self._split = format, function, split_complex
        self._where, self.dims = where, dims
        came = self._x.shape[1:]
        if came != expected:
            raise DataError(_size_message(where, came, expected, format, array.shape))
        if len(self._x) == 0:
            raise DataError(f"{where}: needs at least one observation, but got none (shape {array.shape}).")

    def __len__(self) -> int:
        return len(self._x)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return the observations ``index`` in the engines' order."""
        batch = self._fetch(index)
        if self._split:
            batch = np.concatenate([batch.real, batch.imag], axis=-1)
        if self._function is not None:
            batch = self._apply(batch)
        return np.ascontiguousarray(batch, dtype)

    def _fetch(self, index: Index) -> np.ndarray:
        if isinstance(index, slice) or self._x.flags.c_contiguous or self._x.ndim == 2:
            return self._x[index]
        return to_engine(np.take(from_engine(self._x, self._format), index, axis=-1), self._format)

    def _apply(self, batch: np.ndarray) -> np.ndarray:
        assert self._function is not None
        result = np.asarray(self._function(from_engine(batch, self._format)))
        if result.shape != from_engine(batch, self._format).shape:
            came, needed = result.shape, from_engine(batch, self._format).shape
            raise DataError(
                f"{self._where}: the normalization function needs to return shape {needed}, but returned {came}."
            )
        return to_engine(result, self._format)

    def check_finite(self) -> None:
        """Raise `DataError` with the number of the first observation that has NaN or Inf."""
        check_finite(self._x, self._where)


def check_finite(x: np.ndarray, where: str) -> None:
    """Raise `DataError` with the number (from 1) of the first observation, along the first axis, with NaN or Inf."""
    if x.dtype.kind not in "fc":
        return
    for chunk in chunks(len(x), x[:1].size):
        finite = np.isfinite(x[chunk]).reshape(chunk.stop - chunk.start, -1).all(axis=1)
        if not finite.all():
            first = chunk.start + int(np.argmin(finite)) + 1
            raise DataError(f"{where}: needs finite numbers, but observation {first} has NaN or Inf. Clean the data first.")


def chunks(count: int, size: int, elements: int = 1 << 20) -> Iterator[slice]:
    """Yield slices of observations of ``size`` elements each, so that a slice has about ``elements`` of them."""
    step = max(1, elements // max(size, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _numeric(data: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "fiubc":
        raise DataError(f"{where}: needs a numeric array, but got {type(data).__name__} of type {array.dtype}.")
    return array


def _with_observations(array: np.ndarray, expected: tuple[int, ...], format: str) -> np.ndarray:
    """Give a single observation its missing dimensions, as MATLAB's trailing ones do."""
    if "S" in format:
        while array.ndim <= len(expected):
            array = array[..., np.newaxis]
        return array
    return array[np.newaxis] if array.ndim == 1 and array.shape == expected else array


def _size_message(
    where: str, came: tuple[int, ...], expected: tuple[int, ...], format: str, shape: tuple[int, ...]
) -> str:
    if "S" not in format:
        fix = " Transpose it: rows are observations." if len(shape) == 2 and shape[:1] == expected else ""
        return f"{where}: needs observations x {expected[0]} features, but got an array of shape {shape}.{fix}"
    sizes = "x".join(map(str, came)), "x".join(map(str, expected))
    fix = ""
    if len(shape) == 3 and shape[:2] == expected[:2] and expected[2] == 1:
        fix = f" For {shape[2]} images reshape it to {(*shape[:2], 1, shape[2])}: height x width x channels x observations."
    elif len(shape) == 4 and shape[1:] == expected:
        fix = " Move the observations to the end: numpy.moveaxis(X, 0, -1)."
    return f"{where}: the images are of size {sizes[0]}, but the input layer expects images of size {sizes[1]}.{fix}"
