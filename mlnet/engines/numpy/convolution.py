"""Two-dimensional convolution: windows are copied into the rows of a matrix, one product per block of images.

``y[n, p, q, f] = bias[f] + sum over i, j, c of x_padded[n, p s_v + i d_v, q s_h + j d_h, c] * weights[i, j, c, f]``
(cross-correlation: the filter is not flipped).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import column_sums
from mlnet.engines.numpy.padding import Padding, pad, padded_size, unpad_gradient
from mlnet.engines.numpy.windows import Pair, Windows
from mlnet.parallel.blocks import run, split

_FEW_CHANNELS = 4
"""Up to here a row of a window is too short to be copied by itself."""

_LANES = 16
_LANE_BYTES = 1 << 24
"""Weight gradients are summed in up to 16 lanes of blocks, fewer where the sums would take more than 16 MB."""


class ConvolutionState(NamedTuple):
    """What the backward of `convolution2d` needs; ``x`` is the unpadded input."""

    x: np.ndarray
    weights: np.ndarray
    bias_shape: tuple[int, ...]
    windows: Windows
    padding: Padding
    padding_value: float | str


def convolution2d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
    padding_value: float | str = 0.0,
    workspace: Workspace,
) -> tuple[np.ndarray, ConvolutionState]:
    """Convolve images (N, H, W, C) with weights (h, w, C, F) and add bias (1, 1, F).

    Returns (N, rows, columns, F), where rows = floor((H + padding - extent) / stride) + 1.
    """
    x = np.ascontiguousarray(x)
    windows = Windows(weights.shape[:2], stride, dilation)
    columns = _Columns(x.shape, windows, padding, padding_value, x.dtype)
    filters = weights.shape[3]
    matrix = np.ascontiguousarray(weights).reshape(-1, filters)
    output = workspace.empty("output", (len(x), *columns.count, filters), x.dtype)
    row = np.tile(bias.ravel(), columns.count[1])
    blocks = split(len(x), columns.bytes_each)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        y = output[block]
        np.dot(columns.fill(x[block], slot, workspace), matrix, out=y.reshape(-1, filters))
        lines = y.reshape(-1, len(row))
        np.add(lines, row, out=lines)

    run(task, len(blocks))
    return output, ConvolutionState(x, weights, bias.shape, windows, padding, padding_value)


def convolution2d_backward(
    saved: ConvolutionState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    x, weights, windows = saved.x, saved.weights, saved.windows
    d_output = np.ascontiguousarray(d_output)
    filters = weights.shape[3]
    columns = _Columns(x.shape, windows, saved.padding, saved.padding_value, x.dtype)
    blocks = split(len(x), columns.bytes_each)
    lanes = _lanes(len(blocks), weights.nbytes)
    d_x = workspace.empty("d_x", x.shape, x.dtype) if wanted[0] else None
    transposed = _Transposed(saved, d_output) if wanted[0] else None
    d_weights = workspace.scratch("d_weights", (len(lanes), columns.length, filters), x.dtype)
    d_bias = np.zeros((len(lanes), filters), x.dtype)
    if wanted[1]:
        d_weights[...] = 0

    def task(part: int, slot: int) -> None:
        for block in blocks[lanes[part]]:
            d_y = d_output[block].reshape(-1, filters)
            if wanted[1]:
                product = workspace.scratch(("product", slot), (columns.length, filters), x.dtype)
                # np.matmul would keep the interpreter lock: it releases it by the size of the result only.
                np.dot(columns.fill(x[block], slot, workspace).T, d_y, out=product)
                d_weights[part] += product
            if wanted[2]:
                d_bias[part] += column_sums(d_y)
            if transposed is not None and d_x is not None:
                transposed.write(block, d_x[block], slot, workspace)

    run(task, len(lanes))
    return (
        d_x,
        np.add.reduce(d_weights, axis=0).reshape(weights.shape) if wanted[1] else None,
        np.add.reduce(d_bias, axis=0).reshape(saved.bias_shape) if wanted[2] else None,
    )


def _lanes(blocks: int, weight_bytes: int) -> tuple[slice, ...]:
    """Cut the blocks into lanes; each sums its weight gradients one after the other and needs room for one sum."""
    most = max(2, min(_LANES, _LANE_BYTES // max(1, weight_bytes)))
    return split(blocks, 1, max(1, -(-blocks // most)))


class _Columns:
    """Copies the windows of a block of images into the rows of a matrix (positions, h * w * C)."""

    def __init__(
        self, shape: tuple[int, ...], windows: Windows, padding: Padding, value: float | str, dtype: np.dtype
    ) -> None:
        self.padded = padded_size(shape[1], shape[2], padding)
        self.count = windows.grid(*self.padded)
        self.length = windows.size[0] * windows.size[1] * shape[3]
        self.bytes_each = self.count[0] * self.count[1] * self.length * dtype.itemsize
        self._windows, self._padding, self._value = windows, padding, value
        self._as_is = windows.size == windows.stride == (1, 1) and not any(padding)
        self._planar = shape[3] <= _FEW_CHANNELS and windows.stride[1] == 1

    def fill(self, x: np.ndarray, slot: int, workspace: Workspace) -> np.ndarray:
        """Return the matrix for the images ``x``; it is valid until the next call with this slot."""
        if self._as_is:
            return x.reshape(-1, self.length)
        n, channels = len(x), x.shape[3]
        if self._planar:
            # Rows of a window are short here, so each place in the window gets a row of its own, for all positions.
            planes = workspace.scratch(("padded", slot), (channels, n, *self.padded), x.dtype)
            pad(x, self._padding, self._value, planes.transpose(1, 2, 3, 0))
            view = self._windows.view(planes.transpose(1, 2, 3, 0)).transpose(3, 4, 5, 0, 1, 2)
        elif any(self._padding):
            padded = workspace.scratch(("padded", slot), (n, *self.padded, channels), x.dtype)
            pad(x, self._padding, self._value, padded)
            view = self._windows.view(padded)
        else:
            view = self._windows.view(x)
        columns = workspace.scratch(("columns", slot), view.shape, x.dtype)
        np.copyto(columns, view)
        return columns.reshape(self.length, -1).T if self._planar else columns.reshape(-1, self.length)


class _Transposed:
    """Computes the gradient of the input, block by block."""

    def __init__(self, saved: ConvolutionState, d_output: np.ndarray) -> None:
        self._saved, self._d_output = saved, d_output
        channels, filters = saved.weights.shape[2:]
        self._channels = channels
        if saved.windows.stride == (1, 1):
            # The gradient is a convolution again: of the padded d_output, with the filter turned by 180 degrees.
            flipped = saved.weights[::-1, ::-1].transpose(0, 1, 3, 2)
            self._matrix = np.ascontiguousarray(flipped).reshape(-1, channels)
            rows, columns = (extent - 1 for extent in saved.windows.extent)
            top, bottom, left, right = (0, 0, 0, 0) if self._folds else saved.padding
            self._columns = _Columns(
                d_output.shape,
                saved.windows,
                (rows - top, rows - bottom, columns - left, columns - right),
                0.0,
                d_output.dtype,
            )
        else:
            self._matrix = np.ascontiguousarray(saved.weights.reshape(-1, filters).T)

    @property
    def _folds(self) -> bool:
        return isinstance(self._saved.padding_value, str)

    def write(self, block: slice, d_x: np.ndarray, slot: int, workspace: Workspace) -> None:
        """Write the gradient of one block of images into ``d_x``."""
        saved, d_y = self._saved, self._d_output[block]
        if saved.windows.stride != (1, 1):
            self._scatter(d_y, d_x, slot, workspace)
            return
        matrix = self._columns.fill(d_y, slot, workspace)
        if not self._folds:
            np.dot(matrix, self._matrix, out=d_x.reshape(-1, self._channels))
            return
        padded = self._padded(d_x, slot, workspace)
        np.dot(matrix, self._matrix, out=padded.reshape(-1, self._channels))
        unpad_gradient(padded, saved.padding, saved.padding_value, d_x)

    def _scatter(self, d_y: np.ndarray, d_x: np.ndarray, slot: int, workspace: Workspace) -> None:
        """Add the gradient of each place of the windows to the pixels it came from."""
        saved = self._saved
        n, rows, columns, filters = d_y.shape
        d_columns = workspace.scratch(("columns", slot), (n * rows * columns, self._matrix.shape[1]), d_y.dtype)
        np.dot(d_y.reshape(-1, filters), self._matrix, out=d_columns)
        d_places = d_columns.reshape(n, rows, columns, -1, self._channels)
        padded = self._padded(d_x, slot, workspace)
        padded[...] = 0
        for number, offset in enumerate(saved.windows.offsets()):
            target = saved.windows.at(padded, offset)
            target += d_places[:, :, :, number]
        unpad_gradient(padded, saved.padding, saved.padding_value, d_x)

    def _padded(self, d_x: np.ndarray, slot: int, workspace: Workspace) -> np.ndarray:
        shape = (len(d_x), *padded_size(d_x.shape[1], d_x.shape[2], self._saved.padding), self._channels)
        return workspace.scratch(("padded", slot), shape, d_x.dtype)
