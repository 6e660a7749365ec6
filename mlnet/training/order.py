"""Which observations make which mini-batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlnet.training.splitting import SplitData
from mlnet.training.validation import DataSet


@dataclass(frozen=True)
class Epoch:
    """One pass over the data: its number from 1, the order of the observations, and the generator's state behind it."""

    number: int
    order: np.ndarray
    generator_state: Mapping[str, Any]


class MiniBatch(NamedTuple):
    """``observations`` of ``data`` that make a step.

    ``start`` is the place of the first one in the order of the epoch. For pieces of split sequences, ``piece`` counts
    from 0 and ``rows`` are those of the piece before that go on.
    """

    epoch: Epoch
    start: int
    piece: int
    data: DataSet
    observations: slice | np.ndarray
    rows: np.ndarray | None
    ends_epoch: bool
    is_last: bool


class MiniBatches:
    """The mini-batches of a training, one after the other; an incomplete last one of an epoch is left out.

    Parameters
    ----------
    data : DataSet
    size : int
        Observations in a mini-batch.
    epochs : int
    shuffle : 'once', 'never' or 'every-epoch'
    generator : numpy.random.Generator
        Draws the orders.
    split : SplitData or None
        The data in pieces of time.
    """

    def __init__(
        self,
        data: DataSet,
        size: int,
        epochs: int,
        shuffle: str,
        generator: np.random.Generator,
        split: SplitData | None,
    ) -> None:
        self._data, self._size, self._epochs, self._shuffle = data, size, epochs, shuffle
        self._generator, self._split = generator, split
        self._count = len(data.predictors)
        self._first: tuple[Epoch | None, int, int] = (None, 0, 0)

    def go_on(self, epoch: Epoch, start: int, piece: int) -> None:
        """Let the first mini-batch be the one behind ``piece`` of the mini-batch that began at ``start``."""
        self._generator.bit_generator.state = epoch.generator_state
        self._first = (epoch, start, piece + 1)

    def __iter__(self) -> Iterator[MiniBatch]:
        epoch, begin, piece = self._first
        while epoch is None or epoch.number <= self._epochs:
            epoch = epoch or self._next_epoch(None)
            for start in range(begin, self._count - self._size + 1, self._size):
                yield from self._pieces(epoch, start, piece)
                piece = 0
            begin = 0
            if epoch.number == self._epochs:
                return
            epoch = self._next_epoch(epoch)

    def in_order_of(self, epoch: Epoch | None) -> Iterator[tuple[int, slice | np.ndarray]]:
        """Yield the start and the observations of mini-batches of all the data, an incomplete last one included."""
        order = np.arange(self._count) if epoch is None else epoch.order
        for start in range(0, self._count, self._size):
            yield start, self._observations(order, start)

    def _next_epoch(self, before: Epoch | None) -> Epoch:
        order = np.arange(self._count) if before is None else before.order
        if self._shuffle == "every-epoch" or (self._shuffle == "once" and before is None):
            order = self._generator.permutation(self._count)
        return Epoch(1 if before is None else before.number + 1, order, self._generator.bit_generator.state)

    def _pieces(self, epoch: Epoch, start: int, first: int) -> Iterator[MiniBatch]:
        observations = self._observations(epoch.order, start)
        ends_epoch, is_last_epoch = start + 2 * self._size > self._count, epoch.number == self._epochs
        if self._split is None:
            if first == 0:
                ends = (ends_epoch, ends_epoch and is_last_epoch)
                yield MiniBatch(epoch, start, 0, self._data, observations, None, *ends)
            return
        pieces = self._split.pieces(np.arange(self._count)[observations])
        for number, piece in enumerate(pieces):
            if number >= first:
                ends_all = ends_epoch and number == len(pieces) - 1
                ends = (ends_all, ends_all and is_last_epoch)
                yield MiniBatch(epoch, start, number, self._split.data, piece.numbers, piece.rows, *ends)

    def _observations(self, order: np.ndarray, start: int) -> slice | np.ndarray:
        stop = min(start + self._size, self._count)
        return slice(start, stop) if self._shuffle == "never" else order[start:stop]
