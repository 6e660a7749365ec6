"""Reads mini-batches, in the background if asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.inputs import Inputs
from mlnet.data.sequences import SequencePredictors
from mlnet.training.order import MiniBatch
from mlnet.training.targets import rows_of
from mlnet.training.validation import DataSet

_AHEAD = 3
"""Mini-batches that are read before they are needed."""
_AT_ONCE = 32
"""Observations that `read_once` reads together."""


class Loaded(NamedTuple):
    """A mini-batch with its data."""

    mini_batch: MiniBatch
    x: Any
    targets: np.ndarray
    lengths: Any


class Loader:
    """Reads the data of mini-batches.

    Parameters
    ----------
    seed : int
        Datastores and input layers that change data at random get a generator for each mini-batch, made of the seed,
        the epoch and the place in it, so that neither reading ahead nor going on later changes what they do.
    in_background : bool
        Whether another thread reads some mini-batches ahead; a datastore can ask for it too.
    dtype : type
        Of the inputs.
    """

    def __init__(self, seed: int, *, in_background: bool, dtype: type = np.float32) -> None:
        self.seed, self._in_background, self._dtype = seed, in_background, dtype

    def __call__(self, mini_batches: Iterable[MiniBatch]) -> Iterator[Loaded]:
        """Yield the mini-batches with their data, in their order."""
        mini_batches = iter(mini_batches)
        first = next(mini_batches, None)
        if first is None:
            return
        mini_batches = chain([first], mini_batches)
        rows = rows_of(first.data.predictors)
        if not self._in_background and not (rows is not None and rows.datastore.in_background):
            for mini_batch in mini_batches:
                yield self._load(mini_batch)
            return
        waiting: deque[Future[Loaded]] = deque()
        pool = ThreadPoolExecutor(1, "mlnet-reading")
        try:
            for mini_batch in mini_batches:
                waiting.append(pool.submit(self._load, mini_batch))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, mini_batch: MiniBatch) -> Loaded:
        data, index = mini_batch.data, mini_batch.observations
        x, lengths = self.predictors(data, index, mini_batch.epoch.number, mini_batch.start)
        return Loaded(mini_batch, x, data.targets.batch(index), lengths)

    def predictors(self, data: DataSet, index: Any, epoch: int, start: int) -> tuple[Any, Any]:
        """Return the inputs of a mini-batch, and the lengths of their sequences."""
        rows = rows_of(data.predictors)
        if rows is not None:
            rows.generator = np.random.default_rng([self.seed, epoch, start])
        parts = data.predictors.parts if isinstance(data.predictors, Inputs) else (data.predictors,)
        for number, part in enumerate(parts):
            if not isinstance(part, SequencePredictors):
                part.generator = np.random.default_rng([self.seed, epoch, start, number])
        return data.predictors.batch(index, self._dtype), data.predictors.lengths(index)


def read_once(data: DataSet) -> None:
    """Read data that come from a datastore, so that what cannot be read is said before training and not during it.

    Raises
    ------
    DataError
        With the name of the observation.
    """
    if rows_of(data.predictors) is None:
        return
    count = len(data.predictors)
    for start in range(0, count, _AT_ONCE):
        index = slice(start, min(start + _AT_ONCE, count))
        data.predictors.batch(index)
        data.targets.batch(index)
