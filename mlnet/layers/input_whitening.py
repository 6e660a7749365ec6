"""Whitening as a normalization of the input layers: options, what does not fit, and the operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Call, Size, SizeError, dims
from mlnet.options import Group, Option
from mlnet.rules import EMPTY, array, number

WHITENINGS = {"pca-whitening": ("Mean", "WhiteningMatrix"), "zca-whitening": ("Mean", "WhiteningMatrix")}
"""The normalizations that whiten and the statistics that each uses."""

MOST_WHITENED = 4096
"""The most elements of an observation that is whitened as a whole: its matrix has the square of them."""

_MATRIX = (
    "C x C (per channel) or n x n (per element, x(:) in MATLAB's order) array; what multiplies the centred data, "
    "computed when training if []."
)
_EPSILON = "Times the mean eigenvalue of the covariance: added to the eigenvalues, of which the matrix has the roots."


def whitening_options() -> tuple[Option, Option]:
    """Return WhiteningMatrix and WhiteningEpsilon."""
    hyper = Group.HYPERPARAMETERS
    return (
        Option("WhiteningMatrix", EMPTY, array(), _MATRIX, hyper, shown=is_whitening),
        Option("WhiteningEpsilon", 1e-5, number(0, above=True), _EPSILON, hyper, shown=is_whitening),
    )


def is_whitening(layer: Any) -> bool:
    """Tell whether an input layer whitens."""
    return "WhiteningMatrix" in layer.statistics()


def check_whitening(layer: Any) -> None:
    """Refuse to whiten over everything, and matrices that are not square."""
    if layer.NormalizationDimension == "all":
        raise OptionError(
            f"{layer.where()}: NormalizationDimension: whitening needs 'auto', 'channel' or 'element', since it mixes "
            "channels or elements, but got 'all'."
        )
    matrix = layer.WhiteningMatrix
    if matrix.size > 1 and (matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]):
        raise OptionError(f"{layer.where()}: WhiteningMatrix: needs a square matrix, but got shape {matrix.shape}.")


def whitening_mistakes(layer: Any, size: Size) -> Iterator[SizeError]:
    """Yield a given matrix that does not fit, and observations that are too large to be whitened as a whole."""
    matrix = np.atleast_2d(layer.WhiteningMatrix)
    if matrix.size and len(matrix) not in (size.channels, size.count):
        sizes = dict.fromkeys((size.channels, size.count))
        needed = f"WhiteningMatrix of size {' or '.join(f'{n}x{n}' for n in sizes)}"
        yield SizeError(needed, f"WhiteningMatrix of size {dims(matrix.shape)}")
    elif not matrix.size and layer.NormalizationDimension == "element" and size.count > MOST_WHITENED:
        needed = f"at most {MOST_WHITENED} elements to whiten whole observations (NormalizationDimension='element')"
        yield SizeError(needed, f"{size.count} ({size})", "Use NormalizationDimension='channel', or smaller images.")


def whitening_call(layer: Any, size: Size) -> Call:
    """Return the whitening, with a matrix for whole observations in the engines' order of elements."""
    matrix = np.atleast_2d(layer.WhiteningMatrix)
    if len(matrix) == size.count:
        order = np.arange(size.count).reshape(size.dims, order="F").ravel()
        matrix = matrix[np.ix_(order, order)]
    return Call("whiten_input", (), {"mean": layer.statistic("Mean", size), "matrix": matrix})
