"""Reads mini-batches, in the background if asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.sources.inputs import Inputs
from mlnet.data.sources.sequences import SequencePredictors
from mlnet.training.order import MiniBatch
from mlnet.training.reading_process import ReadingProcess, can_fork
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
        Whether some mini-batches are read ahead; a datastore can ask for it too. A process reads datastores where the
        system can make one, otherwise a thread.
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
        rows = rows_of(first.data.predictors)
        yield from (
            self._ahead(first, mini_batches)
            if self._in_background or (rows is not None and rows.datastore.in_background)
            else map(self._load, chain([first], mini_batches))
        )

    def _ahead(self, first: MiniBatch, others: Iterator[MiniBatch]) -> Iterator[Loaded]:
        """Yield mini-batches while others are read; the first one shows how large they are."""
        loaded = self._load(first)
        reader = self._process(loaded) or _Thread(self._load)
        waiting: deque[MiniBatch] = deque()
        try:
            for mini_batch in others:
                reader.ask(mini_batch)
                waiting.append(mini_batch)
                if len(waiting) == _AHEAD:
                    yield loaded
                    loaded = reader.answer(waiting.popleft())
            yield loaded
            while waiting:
                yield reader.answer(waiting.popleft())
        finally:
            reader.close()

    def _process(self, example: Loaded) -> _Process | None:
        """Return a process that reads mini-batches; None where a thread serves as well, or there can be none."""
        data = example.mini_batch.data
        rows = rows_of(data.predictors)
        parts = (*_parts(example.x), *_parts(example.targets))
        lengths = example.lengths if isinstance(example.lengths, tuple) else (example.lengths,)
        is_fixed = all(isinstance(part, np.ndarray) for part in parts) and all(each is None for each in lengths)
        if rows is None or not rows.datastore.forkable or not is_fixed or not can_fork():
            return None
        try:
            return _Process(self, example)
        except OSError:
            return None

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
            if not isinstance(part, SequencePredictors) and part.augmentation:
                part.generator = np.random.default_rng([self.seed, epoch, start, number])
        return data.predictors.batch(index, self._dtype), data.predictors.lengths(index)


class _Thread:
    """Reads mini-batches in another thread."""

    def __init__(self, load: Callable[[MiniBatch], Loaded]) -> None:
        self._load, self._found = load, deque[Future[Loaded]]()
        self._pool = ThreadPoolExecutor(1, "mlnet-reading")

    def ask(self, mini_batch: MiniBatch) -> None:
        self._found.append(self._pool.submit(self._load, mini_batch))

    def answer(self, mini_batch: MiniBatch) -> Loaded:
        return self._found.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Process:
    """Reads mini-batches in another process."""

    def __init__(self, loader: Loader, example: Loaded) -> None:
        data = example.mini_batch.data
        self._example, self._count = example, len(_parts(example.x))

        def read(request: tuple[Any, int, int]) -> list[np.ndarray]:
            x, _ = loader.predictors(data, *request)
            return [*_parts(x), *_parts(data.targets.batch(request[0]))]

        self._process = ReadingProcess(read, [*_parts(example.x), *_parts(example.targets)], _AHEAD)

    def ask(self, mini_batch: MiniBatch) -> None:
        self._process.ask((mini_batch.observations, mini_batch.epoch.number, mini_batch.start))

    def answer(self, mini_batch: MiniBatch) -> Loaded:
        found, example = self._process.answer(), self._example
        x, targets = found[: self._count], found[self._count :]
        return Loaded(
            mini_batch,
            tuple(x) if isinstance(example.x, tuple) else x[0],
            type(example.targets)(targets) if isinstance(example.targets, (tuple, list)) else targets[0],
            example.lengths,
        )

    def close(self) -> None:
        self._process.close()


def _parts(value: Any) -> tuple[Any, ...]:
    """Return the arrays of several inputs or outputs, or the only one."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


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
