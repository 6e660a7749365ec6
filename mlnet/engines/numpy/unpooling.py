"""Maximum pooling that tells where the maxima were, and unpooling that puts values back there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.padding import Padding
from mlnet.engines.numpy.pooling import MaxPoolingState, max_pooling2d, max_pooling2d_backward, with_border
from mlnet.engines.numpy.windows import Pair, Windows
from mlnet.errors import DataError
from mlnet.parallel.blocks import run, split


class MaxUnpoolingState(NamedTuple):
    """What the backward of `max_unpooling2d` needs: the indices, and height and width of the output."""

    indices: np.ndarray
    size: Pair


def max_pooling2d_with_indices(
    x: np.ndarray, *, pool_size: Pair, stride: Pair, padding: Padding, workspace: Workspace
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], MaxPoolingState]:
    """Return the output of `max_pooling2d`, the indices of the maxima, and zeros that have the shape of x.

    ``indices`` (N, rows, columns, C), int32, count the pixels of one channel of x row by row from 0; of equal maxima
    the first one in the window is meant. Where windows overlap and several have the same maximum, the last of them, row
    by row, has its index and the others have -1. The zeros tell later operations a shape and take no memory.
    """
    output, saved = max_pooling2d(x, pool_size=pool_size, stride=stride, padding=padding, workspace=workspace)
    x, windows = saved.x, saved.windows
    places = _places(x.shape[1:3], windows, padding)
    indices = workspace.empty("indices", output.shape, np.int32)
    blocks = split(len(x), x[:1].nbytes)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        padded = with_border(x[block], padding, -np.inf, slot, workspace)
        found, y = indices[block], output[block]
        np.copyto(found, places[0])  # NaN is equal to nothing
        for offset, place in reversed(list(zip(windows.offsets(), places, strict=True))):
            np.copyto(found, place, where=windows.at(padded, offset) == y)

    run(task, len(blocks))
    if len(x) and any(step < size for step, size in zip(stride, pool_size, strict=True)):
        _keep_last(indices, (x.shape[1], x.shape[2]))
    shape = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    return (output, indices, shape), saved


def max_pooling2d_with_indices_backward(
    saved: MaxPoolingState,
    d_output: tuple[np.ndarray | None, ...],
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x, that of `max_pooling2d`; indices and shape have no gradient."""
    if d_output[0] is None:
        return (None,)
    return max_pooling2d_backward(saved, d_output[0], wanted=wanted, workspace=workspace)


def max_unpooling2d(
    x: np.ndarray, indices: np.ndarray, shape: np.ndarray, *, size: Pair, workspace: Workspace
) -> tuple[np.ndarray, MaxUnpoolingState]:
    """Return images (N, H, W, C) of the height and width ``size``, zero but for the values of x at their indices.

    ``y[n, i // W, i % W, c] = x[n, p, q, c]`` with ``i = indices[n, p, q, c]``, which leaves out where i is -1.
    ``shape`` has no influence. Raises `DataError` for indices that are none of a max pooling of such images.
    """
    height, width = size
    if indices.dtype.kind != "i" or indices.shape != x.shape or (indices.size and indices.max() >= height * width):
        raise DataError(
            f"Max unpooling: needs the indices of a max pooling of {height}x{width} pixels, of the shape {x.shape}, "
            f"but got an array of shape {indices.shape} and type {indices.dtype}. Connect 'indices' and 'size' with "
            f"the outputs of those names of one maxPooling2dLayer."
        )
    output = workspace.empty("output", (len(x), height, width, x.shape[3]), x.dtype)
    blocks = split(len(x), output[:1].nbytes)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        y = output[block]
        y[...] = 0
        flat, kept = _flat(indices[block], size)
        if kept is None:
            y.reshape(-1)[flat] = x[block]
        else:
            y.reshape(-1)[flat[kept]] = x[block][kept]

    run(task, len(blocks))
    return output, MaxUnpoolingState(indices, size)


def max_unpooling2d_backward(
    saved: MaxUnpoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x, taken from where its values went; indices and shape have none."""
    if not wanted[0]:
        return (None,) * 3
    d_output = np.ascontiguousarray(d_output)
    d_x = workspace.empty("d_x", saved.indices.shape, d_output.dtype)
    blocks = split(len(d_x), d_output[:1].nbytes)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        flat, kept = _flat(saved.indices[block], saved.size)
        gradient = d_x[block]
        np.take(d_output[block].reshape(-1), flat, out=gradient, mode="clip")
        if kept is not None:
            np.copyto(gradient, 0, where=~kept)

    run(task, len(blocks))
    return d_x, None, None


def _places(size: tuple[int, ...], windows: Windows, padding: Padding) -> list[np.ndarray]:
    """Return for each place inside a window the index (rows, columns, 1) of its pixel; at a border the nearest one."""
    height, width = size
    top, bottom, left, right = padding
    rows = np.arange(-top, height + bottom).clip(0, height - 1)
    columns = np.arange(-left, width + right).clip(0, width - 1)
    pixels = (rows[:, None] * width + columns).astype(np.int32)[None, :, :, None]
    return [windows.at(pixels, offset)[0] for offset in windows.offsets()]


def _keep_last(indices: np.ndarray, size: Pair) -> None:
    """Write -1 where a later window of the same channel has the same index."""
    numbers = np.arange(indices[0].size, dtype=np.int32).reshape(indices.shape[1:])
    for found in indices:
        flat, _ = _flat(found[None], size)
        owners = np.empty(size[0] * size[1] * found.shape[-1], np.int32)
        owners[flat[0]] = numbers  # of equal indices NumPy keeps what comes last
        np.copyto(found, -1, where=owners[flat[0]] != numbers)


def _flat(indices: np.ndarray, size: Pair) -> tuple[np.ndarray, np.ndarray | None]:
    """Return indices into flat images (N, H, W, C), and which of them count, None for all."""
    n, _, _, channels = indices.shape
    flat = indices.astype(np.intp)
    flat *= channels
    flat += np.arange(channels)
    flat += (np.arange(n) * (size[0] * size[1] * channels))[:, None, None, None]
    kept = indices >= 0
    return flat, None if kept.all() else kept
