"""Maximum and average over windows, and over whole images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.padding import Padding, inner, pad, padded_size
from mlnet.engines.numpy.windows import Pair, Windows
from mlnet.parallel.blocks import run, split


class MaxPoolingState(NamedTuple):
    """What the backward of `max_pooling2d` needs."""

    x: np.ndarray
    output: np.ndarray
    windows: Windows
    padding: Padding


class AveragePoolingState(NamedTuple):
    """What the backward of `average_pooling2d` needs; ``weight`` (rows, columns, 1) is 1 / number of values."""

    shape: tuple[int, ...]
    weight: np.ndarray
    windows: Windows
    padding: Padding


class GlobalPoolingState(NamedTuple):
    """What the backward of pooling over whole images needs: input and output, or the shape of the input only."""

    shape: tuple[int, ...]
    x: np.ndarray | None = None
    output: np.ndarray | None = None


def max_pooling2d(
    x: np.ndarray, *, pool_size: Pair, stride: Pair, padding: Padding, workspace: Workspace
) -> tuple[np.ndarray, MaxPoolingState]:
    """Return the maximum of each window (N, rows, columns, C); the border never is the maximum."""
    x = np.ascontiguousarray(x)
    windows = Windows(pool_size, stride)
    rows, columns = windows.grid(*padded_size(x.shape[1], x.shape[2], padding))
    output = workspace.empty("output", (len(x), rows, columns, x.shape[3]), x.dtype)
    blocks = split(len(x), x[:1].nbytes)

    def task(part: int, slot: int) -> None:
        padded = with_border(x[blocks[part]], padding, -np.inf, slot, workspace)
        y = output[blocks[part]]
        first, *others = windows.offsets()
        np.copyto(y, windows.at(padded, first))
        for offset in others:
            np.maximum(y, windows.at(padded, offset), out=y)

    run(task, len(blocks))
    return output, MaxPoolingState(x, output, windows, padding)


def max_pooling2d_backward(
    saved: MaxPoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one in its window, row by row, gets it (as in PyTorch)."""
    if not wanted[0]:
        return (None,)
    x, windows, padding = saved.x, saved.windows, saved.padding
    d_x = workspace.empty("d_x", x.shape, x.dtype)
    blocks = split(len(x), x[:1].nbytes)
    apart = windows.stride[0] >= windows.size[0] and windows.stride[1] >= windows.size[1]

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        padded = with_border(x[block], padding, -np.inf, slot, workspace)
        d_padded = d_x[block]
        if any(padding):
            d_padded = workspace.scratch(("d_padded", slot), padded.shape, x.dtype)
        if not windows.tile(padded):
            d_padded[...] = 0
        y, d_y = saved.output[block], d_output[block]
        open_windows = np.ones(y.shape, bool)
        for offset in windows.offsets():
            here = windows.at(padded, offset) == y
            here &= open_windows
            open_windows ^= here
            target = windows.at(d_padded, offset)
            if apart:
                np.multiply(d_y, here, out=target)
            else:
                target += d_y * here
        if any(padding):
            np.copyto(d_x[block], inner(d_padded, padding))

    run(task, len(blocks))
    return (d_x,)


def average_pooling2d(
    x: np.ndarray,
    *,
    pool_size: Pair,
    stride: Pair,
    padding: Padding,
    padding_value: float | str = 0.0,
    workspace: Workspace,
) -> tuple[np.ndarray, AveragePoolingState]:
    """Return the mean of each window (N, rows, columns, C).

    With ``padding_value=0.0`` the zeros of the border count, with ``'mean'`` only pixels of the image do.
    """
    windows = Windows(pool_size, stride)
    weight = _weights(x, windows, padding, padding_value)
    output = workspace.empty("output", (len(x), *weight.shape[:2], x.shape[3]), x.dtype)
    blocks = split(len(x), x[:1].nbytes)

    def task(part: int, slot: int) -> None:
        padded = with_border(x[blocks[part]], padding, 0.0, slot, workspace)
        y = output[blocks[part]]
        first, *others = windows.offsets()
        np.copyto(y, windows.at(padded, first))
        for offset in others:
            np.add(y, windows.at(padded, offset), out=y)
        np.multiply(y, weight, out=y)

    run(task, len(blocks))
    return output, AveragePoolingState(x.shape, weight, windows, padding)


def average_pooling2d_backward(
    saved: AveragePoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: each pixel gets its share from every window it lies in."""
    if not wanted[0]:
        return (None,)
    padding = saved.padding
    d_x = workspace.empty("d_x", saved.shape, d_output.dtype)
    blocks = split(len(d_x), d_x[:1].nbytes)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        d_y = workspace.scratch(("d_y", slot), d_output[block].shape, d_output.dtype)
        np.multiply(d_output[block], saved.weight, out=d_y)
        d_padded = d_x[block]
        if any(padding):
            shape = (len(d_y), *padded_size(saved.shape[1], saved.shape[2], padding), saved.shape[3])
            d_padded = workspace.scratch(("d_padded", slot), shape, d_output.dtype)
        d_padded[...] = 0
        for offset in saved.windows.offsets():
            target = saved.windows.at(d_padded, offset)
            target += d_y
        if any(padding):
            np.copyto(d_x[block], inner(d_padded, padding))

    run(task, len(blocks))
    return (d_x,)


def global_average_pooling(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, GlobalPoolingState]:
    """Return the mean over height and width, (N, 1, 1, C)."""
    output = workspace.empty("output", (len(x), 1, 1, x.shape[3]), x.dtype)
    np.mean(x, axis=(1, 2), keepdims=True, out=output)
    return output, GlobalPoolingState(x.shape)


def global_average_pooling_backward(
    saved: GlobalPoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: an equal share for each pixel."""
    if not wanted[0]:
        return (None,)
    d_x = workspace.empty("d_x", saved.shape, d_output.dtype)
    np.copyto(d_x, d_output / (saved.shape[1] * saved.shape[2]))
    return (d_x,)


def global_max_pooling(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, GlobalPoolingState]:
    """Return the maximum over height and width, (N, 1, 1, C)."""
    x = np.ascontiguousarray(x)
    output = workspace.empty("output", (len(x), 1, 1, x.shape[3]), x.dtype)
    np.maximum.reduce(x, axis=(1, 2), keepdims=True, out=output)
    return output, GlobalPoolingState(x.shape, x, output)


def global_max_pooling_backward(
    saved: GlobalPoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one, row by row, gets it."""
    if not wanted[0] or saved.x is None:
        return (None,)
    n, height, width, channels = saved.shape
    d_x = workspace.empty("d_x", saved.shape, d_output.dtype)
    d_x[...] = 0
    place = np.argmax(saved.x.reshape(n, height * width, channels), axis=1, keepdims=True)
    np.put_along_axis(d_x.reshape(n, height * width, channels), place, d_output.reshape(n, 1, channels), axis=1)
    return (d_x,)


def with_border(x: np.ndarray, padding: Padding, value: float, slot: int, workspace: Workspace) -> np.ndarray:
    """Return images with a border of ``value``, in memory that belongs to the thread ``slot``."""
    if not any(padding):
        return x
    shape = (len(x), *padded_size(x.shape[1], x.shape[2], padding), x.shape[3])
    padded = workspace.scratch(("padded", slot), shape, x.dtype)
    pad(x, padding, value, padded)
    return padded


def _weights(x: np.ndarray, windows: Windows, padding: Padding, padding_value: float | str) -> np.ndarray:
    """Return for each window 1 / the number of values that its mean is taken of, (rows, columns, 1)."""
    height, width = padded_size(x.shape[1], x.shape[2], padding)
    counted = np.ones((1, height, width, 1), x.dtype)
    if padding_value == "mean":
        counted[...] = 0
        inner(counted, padding)[...] = 1
    numbers = windows.view(counted).sum(axis=(0, 3, 4))
    return 1 / np.maximum(numbers, 1)
