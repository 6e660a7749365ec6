"""Resizing images: one small matrix of weights for the height and one for the width."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.blocks import run, split


class ResizeState(NamedTuple):
    """What the backward of `resize` needs: both matrices, (rows, H) and (columns, W), and the shapes of the inputs."""

    vertical: np.ndarray
    horizontal: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


def resize(
    *inputs: np.ndarray,
    size: tuple[int, int],
    scale: tuple[float, float] | None,
    method: str,
    transform: str,
    rounding: str,
    workspace: Workspace,
) -> tuple[np.ndarray, ResizeState]:
    """Return the images ``inputs[0]`` (N, H, W, C) with the height and width ``size``.

    ``y[n, i, j, c] = sum_pq V[i, p] U[j, q] x[n, p, q, c]``; `weights` says what V (rows, H) and U (columns, W) are.
    A second input, the reference that ``size`` was taken of, has no influence.
    """
    x = inputs[0]
    scales = (None, None) if scale is None else scale
    vertical, horizontal = (
        weights(length, resized, factor, method, transform, rounding, x.dtype)
        for length, resized, factor in zip(x.shape[1:3], size, scales, strict=True)
    )
    output = _apply(vertical, horizontal, x, "output", workspace)
    return output, ResizeState(vertical, horizontal, tuple(each.shape for each in inputs))


def resize_backward(
    saved: ResizeState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of the images, by the transposed matrices, and of the reference: zero."""
    d_x = _apply(saved.vertical.T, saved.horizontal.T, d_output, "d_x", workspace) if wanted[0] else None
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
    counts. The ``method`` 'bilinear' takes ``1 - t`` of the pixel floor(p) and t of the next one, t = p - floor(p);
    'nearest' takes one pixel, by the ``rounding`` 'round' (halves up), 'floor', or 'onnx-10': up where the image gets
    smaller, otherwise down, as in version 10 of ONNX's operator Resize.
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


def _apply(vertical: np.ndarray, horizontal: np.ndarray, x: np.ndarray, name: str, workspace: Workspace) -> np.ndarray:
    """Return the products along height and width, a block of observations at a time."""
    n, height, width, channels = x.shape
    rows, columns = len(vertical), len(horizontal)
    output = workspace.empty(name, (n, rows, columns, channels), x.dtype)
    blocks = split(n, max(x[:1].nbytes, output[:1].nbytes))

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        count = block.stop - block.start
        scaled = workspace.scratch(("scaled", slot), (count, rows, width * channels), x.dtype)
        np.matmul(vertical, x[block].reshape(count, height, width * channels), out=scaled)
        target = output[block].reshape(count * rows, columns, channels)
        np.matmul(horizontal, scaled.reshape(count * rows, width, channels), out=target)

    run(task, len(blocks))
    return output
