"""Numeric arrays as a source of mini-batches; the array itself is never copied or converted as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from mlnet.data.images.simple_augmentation import augmented
from mlnet.data.sources.layout import from_engine, to_engine
from mlnet.errors import DataError
from mlnet.options import describe

Index = slice | np.ndarray


class Predictors:
    """What goes into a network: an array whose observations are fetched by number.

    Parameters
    ----------
    data : array_like
        (H, W, C, N) for images, also (H, W, C), (H, W) for one; (N, C) for features, also (C,) for one, or (N,) where
        there is one feature.
    format : text
        Format of one observation, 'SSC' or 'C'.
    dims : tuple of int
        Size that the network's input layer expects, after complex data have been split.
    split_complex : bool
        Whether complex data become real channels followed by imaginary ones.
    function : callable, optional
        The user's normalization: takes a copy of a mini-batch in MATLAB's order and returns an array of that size.
    augmentation : texts
        'randcrop', which takes larger images, and 'randfliplr'; see `augmented`. While training, ``generator`` is set.
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
        augmentation: Collection[str] = (),
        where: str = "X",
    ) -> None:
        self.generator: np.random.Generator | None = None
        self.augmentation = augmentation
        array = numeric_array(data, where, "a numeric array", "fiubc")
        if array.size == 0:
            raise DataError(f"{where}: needs at least one observation, but got an empty array (shape {array.shape}).")
        is_complex = array.dtype.kind == "c"
        if is_complex and not split_complex:
            raise DataError(f"{where}: needs real numbers, but got complex ones. Set SplitComplexInputs=True.")
        expected = (*dims[:-1], dims[-1] // 2) if split_complex else dims
        self._x = to_engine(with_observations(array, expected, format), format)
        self._format, self._function, self._split = format, function, split_complex
        self._where, self.dims = where, dims
        came = self._x.shape[1:]
        if "randcrop" in augmentation and len(came) == len(expected) and came[-1] == expected[-1]:
            came = (*map(min, came[:-1], expected[:-1]), expected[-1])
        if came != expected:
            raise DataError(_size_message(where, came, expected, format, array.shape))

    def __len__(self) -> int:
        return len(self._x)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return the observations ``index`` in the engines' order."""
        batch = self._fetch(index)
        if self.augmentation:
            batch = augmented(batch, self.augmentation, self.dims[:-1], self.generator)
        if self._split:
            batch = np.concatenate([batch.real, batch.imag], axis=-1)
        if self._function is not None:
            batch = self._apply(from_engine(np.array(batch, dtype), self._format))
        return np.ascontiguousarray(batch, dtype)

    def _fetch(self, index: Index) -> np.ndarray:
        if not isinstance(index, slice) and self._x.flags.c_contiguous:
            return np.take(self._x, index, axis=0)  # faster
        given = from_engine(self._x, self._format)
        if isinstance(index, slice) or self._x.ndim == 2 or not given.flags.c_contiguous:
            return self._x[index]
        return to_engine(np.take(given, index, axis=-1), self._format)  # faster; would copy all of another order

    def _apply(self, batch: np.ndarray) -> np.ndarray:
        assert self._function is not None
        where, shape = f"{self._where}: the normalization function", batch.shape
        try:
            returned = self._function(batch)
        except Exception as error:
            raise DataError(f"{where} raised {type(error).__name__} for shape {shape}: {error}") from error
        result = numeric_array(returned, where, "to return a numeric array", "fiub")
        if result.shape != shape:
            raise DataError(f"{where} needs to return shape {shape}, but returned {result.shape}.")
        return to_engine(result, self._format)

    @property
    def is_single(self) -> bool:
        """False: what was given is never a single sequence."""
        return False

    @property
    def steps(self) -> None:
        """None: there are no time steps."""
        return None

    def lengths(self, index: Index) -> None:
        """Return None: these are no sequences."""

    def check_finite(self) -> None:
        """Raise `DataError` with the number of the first observation that has NaN or Inf."""
        check_finite(self._x, self._where)


def check_finite(x: np.ndarray, where: str, unit: str = "observation") -> None:
    """Raise `DataError` with the number (from 1) of the first observation, along the first axis, with NaN or Inf."""
    if x.dtype.kind not in "fc":
        return
    single = np.complex64 if x.dtype.kind == "c" else np.float32
    for chunk in chunks(len(x), x[:1].size):
        with np.errstate(over="ignore"):
            elements = np.asarray(np.isfinite(x[chunk].astype(single, copy=False)))
        finite = elements.reshape(len(elements), -1).all(axis=1)
        if not finite.all():
            first = chunk.start + int(np.argmin(finite))
            has = "a number too large for single precision" if np.isfinite(x[first]).all() else "NaN or Inf"
            raise DataError(f"{where}: needs finite numbers, but {unit} {first + 1} has {has}. Clean the data first.")


def chunks(count: int, size: int, elements: int = 1 << 20) -> Iterator[slice]:
    """Yield slices of observations of ``size`` elements each, so that a slice has about ``elements`` of them."""
    step = max(1, elements // max(size, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def numeric_array(data: Any, where: str, needed: str, kinds: str) -> np.ndarray:
    """Return ``data`` as an array, without a copy if it is one; raise `DataError` where its type is another kind."""
    try:
        array = np.asarray(data)
    except ValueError:
        arrays = all(isinstance(each, np.ndarray) for each in data)
        came = "arrays of different sizes" if arrays else "uneven lists"
        raise DataError(f"{where}: needs {needed}, but got a list of {came}.") from None
    if array.dtype.kind not in kinds:
        raise DataError(f"{where}: needs {needed}, but got {describe(data)}.")
    return array


def with_observations(array: np.ndarray, expected: tuple[int, ...], format: str) -> np.ndarray:
    """Give a single observation its missing dimensions, as MATLAB's trailing ones do."""
    if "S" in format:
        while array.ndim <= len(expected):
            array = array[..., np.newaxis]
        return array
    if array.ndim < 2 and expected == (1,):
        return array.reshape(-1, 1)
    return array[np.newaxis] if array.shape == expected else array


def _size_message(
    where: str, came: tuple[int, ...], expected: tuple[int, ...], format: str, shape: tuple[int, ...]
) -> str:
    if "S" not in format:
        fix = " Transpose it: rows are observations." if len(shape) == 2 and shape[:1] == expected else ""
        fix = " For images start with an imageInputLayer." if len(shape) > 2 else fix
        return f"{where}: needs observations x {expected[0]} features, but got an array of shape {shape}.{fix}"
    sizes = ["x".join(map(str, size)) for size in (came, expected)]
    text = f"{where}: the images are of size {sizes[0]}, but the input layer expects images of size {sizes[1]}."
    fix = _image_fix(shape, expected)
    order = " x ".join([*_SPATIAL[len(expected) - 1], "channels", "observations"])
    return f"{text} {fix}: {order}." if fix else text


_SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("height", "width", "depth")}
"""What the spatial dimensions of images are called, by their number."""


def _image_fix(shape: tuple[int, ...], image: tuple[int, ...]) -> str:
    """Return how images in another order become (spatial, C, N), where the order can be told from the shape."""
    *sides, channels = image
    plane = tuple(sides)
    if shape[1:] == image:
        return "Move the observations to the end, numpy.moveaxis(X, 0, -1)"
    if shape[1:] == (channels, *plane):
        return f"Reorder them, numpy.transpose(X, {(*range(2, len(image) + 1), 1, 0)})"
    if shape[:-1] == plane and channels == 1:
        return f"For {shape[-1]} images reshape it to {(*plane, 1, shape[-1])}"
    if shape[1:] == plane and channels == 1:
        return f"Reorder them, numpy.moveaxis(X, 0, -1).reshape{(*plane, 1, -1)}"
    if len(shape) == 2 and shape[1] == math.prod(image):
        return f"For one image in each row, numpy.moveaxis(X.reshape{(-1, *image)}, 0, -1)"
    return ""
