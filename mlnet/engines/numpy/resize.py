"""Resizing images: one small matrix of weights for each spatial dimension."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.separable import along_each


class ResizeState(NamedTuple):
    """What the backward of `resize` needs: the matrix of each spatial dimension and the shapes of the inputs."""

    matrices: tuple[np.ndarray, ...]
    shapes: tuple[tuple[int, ...], ...]


def resize(
    *inputs: np.ndarray,
    size: tuple[int, ...],
    scale: tuple[float, ...] | None,
    method: str,
    transform: str,
    rounding: str,
    workspace: Workspace,
) -> tuple[np.ndarray, ResizeState]:
    """Return the images ``inputs[0]`` (N, H, W, C) with the height and width ``size``, or 3-D ones with the depth too.

    ``y[n, i, j, c] = sum_pq V[i, p] U[j, q] x[n, p, q, c]``; `weights` says what V (rows, H) and U (columns, W) are.
    A second input, the reference that ``size`` was taken of, has no influence.
    """
    x = inputs[0]
    matrices = tuple(
        weights(length, resized, factor, method, transform, rounding, x.dtype)
        for length, resized, factor in zip(x.shape[1:-1], size, scale or (None,) * len(size), strict=True)
    )
    output = along_each(matrices, x, "output", workspace)
    return output, ResizeState(matrices, tuple(each.shape for each in inputs))


def resize_backward(
    saved: ResizeState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of the images, by the transposed matrices, and of the reference: zero."""
    d_x = along_each([matrix.T for matrix in saved.matrices], d_output, "d_x", workspace) if wanted[0] else None
    if len(wanted) == 1:
        return (d_x,)
    d_reference = None
    if wanted[1]:
        d_reference = workspace.empty("d_reference", saved.shapes[1], d_output.dtype)
        d_reference[...] = 0
    return d_x, d_reference


@lru_cache(maxsize=256)
def weights(
    length: int, resized: int, scale: float | None, method: str, transform: str, rounding: str, dtype: Any
) -> np.ndarray:
    """Return the weights (resized, length) of the old pixels in the new ones.

    The new pixel i lies at ``p = (i + 1/2) / s - 1/2`` of the old ones for the ``transform`` 'half-pixel', at
    ``p = i / s`` for 'asymmetric'; s is ``scale``, or resized / length where there is none. Beyond the edges the edge
    counts. The ``method`` 'bilinear', or 'trilinear', takes ``1 - t`` of the pixel floor(p) and t of the next one,
    ``t = p - floor(p)``; 'nearest' takes one pixel, by the ``rounding`` 'round' (halves up), 'floor', or 'onnx-10': up
    where the image gets smaller, otherwise down, as in version 10 of ONNX's operator Resize.
    """
    shift = 0.5 if transform == "half-pixel" else 0.0
    old, new = (length, resized) if scale is None else (1, scale)
    position = (np.arange(resized) + shift) * old / new - shift
    if method == "nearest":
        position = _rounded(position, rounding, is_smaller=new < old)
    position = position.clip(0, length - 1)
    lower = np.floor(position).astype(np.intp)
    part = position - lower
    rows = np.arange(resized)
    matrix = np.zeros((resized, length))
    matrix[rows, lower] = 1 - part
    matrix[rows, np.minimum(lower + 1, length - 1)] += part
    matrix = matrix.astype(dtype)
    matrix.flags.writeable = False
    return matrix


def _rounded(position: np.ndarray, rounding: str, *, is_smaller: bool) -> np.ndarray:
    if rounding == "round":
        return np.floor(position + 0.5)
    return np.ceil(position) if rounding == "onnx-10" and is_smaller else np.floor(position)
