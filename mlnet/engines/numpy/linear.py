"""Fully connected layers: one matrix product, cut into pieces for the threads where it is large."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.parallel.blocks import run, split

_WORK = 1 << 23
"""Multiplications in a piece: fewer are not worth waking a thread."""


class FullyConnectedState(NamedTuple):
    """What the backward of `fully_connected` needs; ``x`` (N, in) and ``weights`` (out, in) in the order of images."""

    x: np.ndarray
    weights: np.ndarray
    input_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]


def fully_connected(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, workspace: Workspace
) -> tuple[np.ndarray, FullyConnectedState]:
    """Return ``y = x weights' + bias``, (N, out) for features (N, in), (N, 1, 1, out) for images (N, H, W, C).

    ``weights`` is (out, in), ``bias`` (out, 1). MATLAB flattens images with height fastest, then width, then
    channels, so the feature (h, w, c) meets the weight column h + H (w + W c).
    """
    flat = np.ascontiguousarray(x).reshape(len(x), weights.shape[1])
    matrix = _images_first(weights, x.shape[1:])
    output = workspace.empty("output", (len(x), len(weights)), x.dtype)
    _product(flat, matrix.T, output)
    np.add(output, bias.reshape(-1), out=output)
    shape = (len(x), *[1] * (x.ndim - 2), len(weights))
    return output.reshape(shape), FullyConnectedState(flat, matrix, x.shape, bias.shape)


def fully_connected_backward(
    saved: FullyConnectedState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    x, weights = saved.x, saved.weights
    d_output = np.ascontiguousarray(d_output).reshape(len(x), len(weights))
    d_x = d_weights = d_bias = None
    if wanted[0]:
        d_x = workspace.empty("d_x", x.shape, x.dtype)
        _product(d_output, weights, d_x)
        d_x = d_x.reshape(saved.input_shape)
    if wanted[1]:
        d_weights = workspace.empty("d_weights", weights.shape, x.dtype)
        _product(d_output.T, x, d_weights)
        d_weights = _channels_first(d_weights, saved.input_shape[1:], workspace)
    if wanted[2]:
        d_bias = np.add.reduce(d_output, axis=0).reshape(saved.bias_shape)
    return d_x, d_weights, d_bias


def _product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write ``a b`` to ``out``, cut along its longer side."""
    rows, columns = out.shape
    pieces = split(max(rows, columns), a.shape[1] * min(rows, columns), _WORK)

    def task(part: int, slot: int) -> None:
        piece = pieces[part]
        if rows > columns:
            np.matmul(a[piece], b, out=out[piece])
        else:
            np.matmul(a, b[:, piece], out=out[:, piece])

    run(task, len(pieces))


def _same_order(shape: tuple[int, ...]) -> bool:
    return sum(size > 1 for size in shape) <= 1


def _images_first(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reorder the columns of ``weights`` from MATLAB's order of pixels to that of images (H, W, C)."""
    if _same_order(shape):
        return np.ascontiguousarray(weights)
    columns = weights.reshape(len(weights), *reversed(shape))
    return np.ascontiguousarray(_reversed(columns)).reshape(weights.shape)


def _channels_first(d_weights: np.ndarray, shape: tuple[int, ...], workspace: Workspace) -> np.ndarray:
    """Reorder the columns of ``d_weights`` from images (H, W, C) to MATLAB's order of pixels."""
    if _same_order(shape):
        return d_weights
    pixels = _reversed(d_weights.reshape(len(d_weights), *shape))
    reordered = workspace.empty("reordered", pixels.shape, pixels.dtype)
    np.copyto(reordered, pixels)
    return reordered.reshape(d_weights.shape)


def _reversed(columns: np.ndarray) -> np.ndarray:
    """Return a view with all axes but the first in the reverse order."""
    return columns.transpose(0, *range(columns.ndim - 1, 0, -1))
