"""Arithmetic with one number per channel, on long rows.

With few channels NumPy's inner loops would be short. An array (..., C) is therefore seen as rows of several pixels,
and a vector (C,) is repeated to the length of a row.
"""

from __future__ import annotations

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.blocks import run, split

_ROW_LENGTH = 2048


class ChannelRows:
    """A contiguous array (N, ..., C), seen as (rows, pixels * C), and what is computed per channel.

    Sums are taken in the type of the array over one block, then in float64 over blocks and pixels.
    """

    def __init__(self, x: np.ndarray, workspace: Workspace) -> None:
        self._channels = x.shape[-1]
        self._pixels = _pixels_per_row(x[:1].size // max(1, self._channels), self._channels)
        self._length = self._pixels * self._channels
        self._x = x.reshape(-1, self._length)
        self._blocks = split(len(self._x), self._length * x.itemsize)
        self._workspace = workspace
        self.count = x.size // max(1, self._channels)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and biased variance of each channel, float64.

        Each block is centred around its own mean before it is squared; blocks are combined as Chan, Golub and
        LeVeque (1983) do, so that a large mean costs no digits.
        """
        centre = np.empty((len(self._blocks), self._channels))
        deviation, squares = np.empty_like(centre), np.empty_like(centre)

        def task(part: int, slot: int) -> None:
            x = self._x[self._blocks[part]]
            values = len(x) * self._pixels
            centre[part] = (self._per_channel(np.add.reduce(x, axis=0)) / values).astype(x.dtype)
            centred = self._temporary(x, slot)
            np.subtract(x, self._row(centre[part]), out=centred)
            deviation[part] = self._per_channel(np.add.reduce(centred, axis=0))
            np.multiply(centred, centred, out=centred)
            squares[part] = self._per_channel(np.add.reduce(centred, axis=0))

        run(task, len(self._blocks))
        values = np.array([[(block.stop - block.start) * self._pixels] for block in self._blocks])
        means = centre + deviation / values
        mean = (means * values).sum(axis=0) / self.count
        within = squares - deviation * deviation / values
        variance = (within + values * (means - mean) ** 2).sum(axis=0) / self.count
        return mean, variance

    def scale_and_shift(self, centre: np.ndarray, slope: np.ndarray, shift: np.ndarray, out: np.ndarray) -> None:
        """Write ``slope (x - centre) + shift`` to ``out``."""
        near = centre.astype(self._x.dtype)
        shift = shift - slope * (centre - near)
        target = out.reshape(self._x.shape)
        rows = [self._row(vector) for vector in (near, slope, shift)]

        def task(part: int, slot: int) -> None:
            block = self._blocks[part]
            y = target[block]
            np.subtract(self._x[block], rows[0], out=y)
            np.multiply(y, rows[1], out=y)
            np.add(y, rows[2], out=y)

        run(task, len(self._blocks))

    def gradient_sums(self, gradient: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums of ``gradient`` and of ``gradient (x - centre)`` for each channel, float64."""
        near = centre.astype(self._x.dtype)
        centre_row = self._row(near)
        d_y = gradient.reshape(self._x.shape)
        sums = np.empty((2, len(self._blocks), self._channels))

        def task(part: int, slot: int) -> None:
            block = self._blocks[part]
            product = self._temporary(self._x[block], slot)
            np.subtract(self._x[block], centre_row, out=product)
            np.multiply(product, d_y[block], out=product)
            sums[0, part] = self._per_channel(np.add.reduce(d_y[block], axis=0))
            sums[1, part] = self._per_channel(np.add.reduce(product, axis=0))

        run(task, len(self._blocks))
        total, products = sums.sum(axis=1)
        return total, products - (centre - near) * total

    def combine(
        self,
        gradient: np.ndarray,
        centre: np.ndarray,
        *,
        of_gradient: np.ndarray,
        of_centred: np.ndarray,
        constant: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Write ``of_gradient gradient + of_centred (x - centre) + constant`` to ``out``."""
        near = centre.astype(self._x.dtype)
        constant = constant - of_centred * (centre - near)
        rows = [self._row(vector) for vector in (near, of_centred, constant, of_gradient)]
        d_y, target = gradient.reshape(self._x.shape), out.reshape(self._x.shape)

        def task(part: int, slot: int) -> None:
            block = self._blocks[part]
            product, result = self._temporary(d_y[block], slot), target[block]
            np.subtract(self._x[block], rows[0], out=result)
            np.multiply(result, rows[1], out=result)
            np.add(result, rows[2], out=result)
            np.multiply(d_y[block], rows[3], out=product)
            np.add(result, product, out=result)

        run(task, len(self._blocks))

    def _temporary(self, block: np.ndarray, slot: int) -> np.ndarray:
        return self._workspace.scratch(("channels", slot), block.shape, block.dtype)

    def _row(self, vector: np.ndarray) -> np.ndarray:
        """Repeat one number per channel to the length of a row."""
        return np.tile(vector.astype(self._x.dtype), self._pixels)

    def _per_channel(self, row: np.ndarray) -> np.ndarray:
        """Sum a row over its pixels."""
        return row.reshape(self._pixels, self._channels).sum(axis=0, dtype=np.float64)  # type: ignore[no-any-return]


def _pixels_per_row(pixels: int, channels: int) -> int:
    """Return the largest divisor of ``pixels`` with which rows stay short enough for the first-level cache."""
    limit = max(1, _ROW_LENGTH // max(1, channels))
    return next(size for size in range(min(limit, max(1, pixels)), 0, -1) if pixels % size == 0)
