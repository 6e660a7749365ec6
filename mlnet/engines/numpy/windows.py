"""The windows that convolution and pooling slide over an image: how many there are and views of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

Pair = tuple[int, int]


class Windows(NamedTuple):
    """Windows over an already padded image: size, step and dilation, (vertical, horizontal) each."""

    size: Pair
    stride: Pair
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """The height and width that one window covers: (size - 1) * dilation + 1."""
        height, width = ((size - 1) * step + 1 for size, step in zip(self.size, self.dilation, strict=True))
        return height, width

    def grid(self, height: int, width: int) -> Pair:
        """Return how many windows fit below and beside each other: floor((size - extent) / stride) + 1, or 0."""
        rows, columns = self.extent
        return (
            max(0, (height - rows) // self.stride[0] + 1),
            max(0, (width - columns) // self.stride[1] + 1),
        )

    def tile(self, x: np.ndarray) -> bool:
        """Tell whether every pixel of ``x`` lies in exactly one window."""
        steps = zip(x.shape[1:3], self.size, self.stride, self.dilation, strict=True)
        return all(size == stride and length % size == 0 and dilation == 1 for length, size, stride, dilation in steps)

    def offsets(self) -> list[Pair]:
        """Return the places inside a window, row by row."""
        return [
            (row * self.dilation[0], column * self.dilation[1])
            for row in range(self.size[0])
            for column in range(self.size[1])
        ]

    def at(self, x: np.ndarray, offset: Pair) -> np.ndarray:
        """Return a view (N, rows, columns, C): the elements of ``x`` at one place of every window."""
        rows, columns = self.grid(*x.shape[1:3])
        top, left = offset
        down, right = self.stride
        return x[:, top : top + rows * down : down, left : left + columns * right : right][:, :rows, :columns]

    def view(self, x: np.ndarray) -> np.ndarray:
        """Return all windows of ``x`` (N, H, W, C) as a read-only view (N, rows, columns, h, w, C)."""
        n, height, width, channels = x.shape
        rows, columns = self.grid(height, width)
        s0, s1, s2, s3 = x.strides
        return as_strided(
            x,
            (n, rows, columns, *self.size, channels),
            (s0, s1 * self.stride[0], s2 * self.stride[1], s1 * self.dilation[0], s2 * self.dilation[1], s3),
            writeable=False,
        )
