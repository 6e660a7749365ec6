"""Images of labels as the targets of a network that puts out scores for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.sources.arrays import Index
from mlnet.data.sources.layout import to_engine
from mlnet.data.sources.targets import class_numbers
from mlnet.errors import DataError
from mlnet.labels import categories, labels_of


class PixelTargets:
    """Class numbers of pixels or voxels, counted from 0 in the order of ``classes``; -1 where a label is undefined.

    Parameters
    ----------
    labels : categorical, or array of texts, integers or bools
        (H, W, N), also (H, W, 1, N), or (H, W) for one image; (H, W, D, N) and so on for 3-D images.
    classes : list of texts
        Order of the classes; empty: the categories of the labels.
    dims : tuple of int
        Height, width and, for 3-D images, depth of what the network puts out.
    count : int
        Number of observations of the predictors.
    where : text
        Beginning of error messages.
    empty : bool
        Whether all labels may be undefined.

    Raises
    ------
    DataError
        Where labels are of another size, of unknown classes, or all undefined.
    """

    def __init__(
        self, labels: Any, classes: list[str], dims: tuple[int, ...], count: int, where: str, *, empty: bool = False
    ) -> None:
        found = labels_of(labels, where)
        shape = found.shape
        if len(shape) == len(dims):
            shape = (*shape, 1)
        if len(shape) == len(dims) + 2 and shape[-2] == 1:
            shape = (*shape[:-2], shape[-1])
        if shape != (*dims, count):
            needed, came = ("x".join(map(str, size)) for size in ((*dims, count), found.shape))
            axes = " x ".join(("height", "width", "depth")[: len(dims)])
            raise DataError(
                f"{where}: needs labels of size {needed} ({axes} of what the network puts out x observations of X), "
                f"but got {came}.{_fix(found.shape, dims, count)}"
            )
        if (found.codes < 0).all() and not empty:
            raise DataError(f"{where}: needs pixels with a label, but all are undefined.")
        self.classes = classes or categories(found)
        numbers = class_numbers(found, self.classes, where).reshape(shape)
        self._codes = np.ascontiguousarray(to_engine(numbers, "SS"))

    def __len__(self) -> int:
        return len(self._codes)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return class numbers (N, H, W) or (N, H, W, D), int64; ``dtype`` does not matter."""
        return self._codes[index].astype(np.int64)

    def present(self) -> int:
        """Return the number of different classes that occur."""
        numbers = np.unique(self._codes)
        return len(numbers[numbers >= 0])


def _fix(came: tuple[int, ...], dims: tuple[int, ...], count: int) -> str:
    """Return what probably makes the labels fit."""
    if came == (count, *dims):
        return " Move the observations to the end, numpy.moveaxis(Y, 0, -1)."
    if max(came) == np.prod(came) == count:
        return (
            " For one class for each image put fullyConnectedLayer before the softmaxLayer and use classificationLayer."
        )
    if len(came) > len(dims) and came[-1] == count:
        return " Change the layers (Padding, Stride, Cropping) so that the network puts out this size, or the labels."
    return ""
