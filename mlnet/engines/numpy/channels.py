"""Arithmetic with one number per channel, on long rows.

With few channels NumPy's inner loops would be short. An array (..., C) is therefore seen as rows of several pixels,
and a vector (C,) is repeated to the length of a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import column_sums, rectify
from mlnet.parallel.blocks import run, split

_ROW_LENGTH = 512


class ChannelRows:
    """A contiguous array (N, ..., C), seen as (rows, pixels * C), and what is computed per channel.

    Sums are taken in the type of the array over one block, then in float64 over blocks and pixels. Where a method
    takes a ``centre`` (C,), it is of the type of the array and subtracted first; None stands for zero.
    """

    def __init__(self, x: np.ndarray, workspace: Workspace) -> None:
        self._channels = x.shape[-1]
        self._pixels, self._blocks = _layout(x.shape, x.itemsize)
        self._x = x.reshape(-1, self._pixels * self._channels)
        self._workspace = workspace
        self.count = x.size // max(1, self._channels)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and biased variance of each channel, float64.

        Each column of each block is centred around its own mean before it is squared; these groups are combined as
        Chan, Golub and LeVeque (1983) do, so that a large mean costs no digits.
        """
        centre, deviation, squares = sums = self._sums(3)

        def task(part: int, slot: int) -> None:
            x = self._x[self._blocks[part]]
            near = column_sums(x, centre[part])
            np.divide(near, len(x), out=near)
            centred = self._temporary(x, slot)
            np.subtract(x, near, out=centred)
            column_sums(centred, deviation[part])
            np.multiply(centred, centred, out=centred)
            column_sums(centred, squares[part])

        run(task, len(self._blocks))
        if sums.size == 3 * self._channels:
            centre, deviation, squares = sums.reshape(3, -1).astype(np.float64)
            offset = deviation / self.count
            return centre + offset, squares / self.count - offset * offset
        centre, deviation, squares = sums.astype(np.float64)
        sizes = np.array([[block.stop - block.start] for block in self._blocks])
        means = centre + deviation / sizes
        mean = self._per_channel(means * sizes) / self.count
        distance = (means.reshape(-1, self._channels) - mean).reshape(means.shape)
        within = squares - deviation * deviation / sizes
        return mean, self._per_channel(within + sizes * distance * distance) / self.count

    def scale_and_shift(
        self,
        centre: np.ndarray | None,
        slope: np.ndarray,
        shift: np.ndarray,
        out: np.ndarray,
        rectified: bool = False,
    ) -> None:
        """Write ``slope (x - centre) + shift`` to ``out``, or zero instead of what is negative if ``rectified``."""
        target = out.reshape(self._x.shape)
        near, factor, constant = (self._row(vector) for vector in (centre, slope, shift))

        def task(part: int, slot: int) -> None:
            x, y = self._x[self._blocks[part]], target[self._blocks[part]]
            if near is not None:
                x = np.subtract(x, near, out=y)
            np.multiply(x, factor, out=y)
            np.add(y, constant, out=y)
            if rectified:
                rectify(y, y)

        run(task, len(self._blocks))

    def gradient_sums(
        self,
        gradient: np.ndarray,
        centre: np.ndarray | None,
        gate: np.ndarray | None = None,
        gated: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums of ``gradient`` and of ``gradient (x - centre)`` for each channel, float64.

        With a ``gate``, only the gradient where it is positive counts; that is written to ``gated``.
        """
        d_y = gradient.reshape(self._x.shape)
        totals, products = self._sums(2)
        near = self._row(centre)
        if gate is not None:
            gate, gated = gate.reshape(self._x.shape), gated.reshape(self._x.shape)

        def task(part: int, slot: int) -> None:
            block = self._blocks[part]
            x, d = self._x[block], d_y[block]
            if gate is not None:
                d = np.multiply(d, gate[block] > 0, out=gated[block])
            product = self._temporary(x, slot)
            if near is not None:
                x = np.subtract(x, near, out=product)
            np.multiply(x, d, out=product)
            column_sums(d, totals[part])
            column_sums(product, products[part])

        run(task, len(self._blocks))
        return self._per_channel(totals.astype(np.float64)), self._per_channel(products.astype(np.float64))

    def add_multiple(
        self,
        gradient: np.ndarray,
        centre: np.ndarray | None,
        slope: np.ndarray,
        shift: np.ndarray,
        factor: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Write ``factor (gradient + slope (x - centre) + shift)`` to ``out``, which may be ``gradient`` itself."""
        d_y, target = gradient.reshape(self._x.shape), out.reshape(self._x.shape)
        near, slope, shift, factor = (self._row(vector) for vector in (centre, slope, shift, factor))

        def task(part: int, slot: int) -> None:
            block = self._blocks[part]
            x, result = self._x[block], target[block]
            multiple = self._temporary(x, slot)
            if near is not None:
                x = np.subtract(x, near, out=multiple)
            np.multiply(x, slope, out=multiple)
            np.add(multiple, shift, out=multiple)
            np.add(multiple, d_y[block], out=multiple)
            np.multiply(multiple, factor, out=result)

        run(task, len(self._blocks))

    def _temporary(self, block: np.ndarray, slot: int) -> np.ndarray:
        return self._workspace.scratch(("channels", slot), block.shape, block.dtype)

    def _row(self, vector: Any) -> Any:
        """Repeat one number per channel to the length of a row."""
        if vector is None or self._pixels == 1:
            return None if vector is None else vector.astype(self._x.dtype)
        row = np.empty((self._pixels, self._channels), self._x.dtype)
        row[...] = vector
        return row.reshape(-1)

    def _sums(self, number: int) -> np.ndarray:
        """Return room for ``number`` sums over each column of each block."""
        return np.empty((number, len(self._blocks), self._x.shape[1]), self._x.dtype)

    def _per_channel(self, sums: np.ndarray) -> np.ndarray:
        """Add up sums over columns (blocks, pixels * C), float64, to one for each channel."""
        return column_sums(sums.reshape(-1, self._channels))


@lru_cache(maxsize=1024)
def _layout(shape: tuple[int, ...], itemsize: int) -> tuple[int, tuple[slice, ...]]:
    """Return the pixels in a row and the blocks of rows."""
    channels = shape[-1]
    pixels = int(np.prod(shape[1:-1]))
    per_row = pixels_per_row(pixels, channels)
    return per_row, split(shape[0] * pixels // per_row, per_row * channels * itemsize)


@lru_cache(maxsize=1024)
def pixels_per_row(pixels: int, channels: int) -> int:
    """Return how many pixels to put into a row: a divisor of ``pixels``, and rows stay in the first-level cache."""
    most = max(1, min(pixels, _ROW_LENGTH // max(1, channels)))
    return next(size for size in range(most, 0, -1) if pixels % size == 0)


def parameter_gradients(
    gradients: Iterable[np.ndarray], shapes: Iterable[tuple[int, ...]], wanted: Iterable[bool], dtype: Any
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients that are wanted, each in the shape of its parameter."""
    return tuple(
        gradient.astype(dtype).reshape(shape) if want else None
        for gradient, shape, want in zip(gradients, shapes, wanted, strict=True)
    )
