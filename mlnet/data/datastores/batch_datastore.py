"""batchDatastore: mini-batches of any Python iterable as a datastore."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical, categories
from mlnet.options import describe

_Rows = list[tuple[Any, ...]]


class BatchDatastore(Datastore):
    """The datastore that `batchDatastore` makes.

    One mini-batch is kept in memory. Reading goes forward, or starts over.
    """

    forkable = False

    def __init__(self, batches: Any) -> None:
        super().__init__()
        if isinstance(batches, (str, np.ndarray, categorical)) or not (
            callable(batches) or hasattr(batches, "__iter__")
        ):
            raise OptionError(
                f"batchDatastore: needs an iterable of mini-batches, or a function that makes one, but got "
                f"{describe(batches)}."
            )
        if hasattr(batches, "__next__"):
            raise OptionError(
                "batchDatastore: needs an iterable that can be read more than once, but got an iterator. Give the "
                "function that makes it, or a list."
            )
        self._batches = batches
        self._lock = threading.Lock()
        self._edges, self._labels = self._look_through()
        self._iterator: Iterator[Any] = iter(())
        self._number, self._current = len(self._edges), list[tuple[Any, ...]]()

    def __len__(self) -> int:
        return self._edges[-1]

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> _Rows:
        """Return observations in the order of the mini-batches.

        Raises
        ------
        DataError
            Where the numbers do not rise, and the mini-batches are not in a list.
        """
        wanted = [int(number) for number in numbers]
        listed = isinstance(self._batches, (list, tuple))
        if not listed and any(after < before for before, after in pairwise(wanted)):
            raise DataError(
                "batchDatastore: an iterable of mini-batches can be read in its own order only. Set Shuffle='never' in "
                "trainingOptions, and shuffle in the iterable."
            )
        with self._lock:
            return [self._row(number) for number in wanted]

    def read_size(self) -> int:
        """Return the size of the next mini-batch."""
        place = int(np.searchsorted(self._edges, self._position, side="right"))
        return self._edges[place] - self._position if place < len(self._edges) else 1

    def gathered(self, rows: _Rows, *, single: bool) -> list[list[Any]]:
        """Return a list of rows, also of a single one."""
        return [list(row) for row in rows]

    def labels(self) -> categorical | None:
        """Return the last column, where it has labels."""
        return self._labels

    def classes(self) -> list[str]:
        """Return the categories of the labels."""
        return [] if self._labels is None else categories(self._labels)

    def _row(self, number: int) -> tuple[Any, ...]:
        place = int(np.searchsorted(self._edges, number, side="right")) - 1
        if isinstance(self._batches, (list, tuple)):
            if place != self._number:
                self._current, self._number = rows_of_batch(self._batches[place], place), place
        else:
            if place < self._number:
                self._iterator, self._number = iter(self._fresh()), -1
            while self._number < place:
                batch = next(self._iterator, None)
                self._number += 1
                if batch is None:
                    self._changed(self._number)
                self._current = rows_of_batch(batch, self._number)
        if len(self._current) != self._edges[place + 1] - self._edges[place]:
            self._changed(place)
        return self._current[number - self._edges[place]]

    def _fresh(self) -> Iterable[Any]:
        return self._batches() if callable(self._batches) else self._batches

    def _changed(self, place: int) -> None:
        self._number = len(self._edges)
        raise DataError(
            f"batchDatastore: mini-batch {place + 1} has another size than before. The iterable needs to give "
            "mini-batches of the same sizes each time."
        )

    def _look_through(self) -> tuple[list[int], categorical | None]:
        """Return where mini-batches begin and the last one ends, and the labels; reads everything once."""
        edges, labels, has_labels = [0], list[Any](), True
        names: list[str] | None = None
        for place, batch in enumerate(self._fresh()):
            rows = rows_of_batch(batch, place)
            edges.append(edges[-1] + len(rows))
            has_labels = has_labels and all(len(row) > 1 and _is_label(row[-1]) for row in rows)
            if has_labels:
                labels += [row[-1] for row in rows]
            else:
                labels.clear()
            if isinstance(batch, (tuple, list)) and isinstance(batch[-1], categorical):
                names = categories(batch[-1])
        if edges[-1] == 0:
            raise DataError("batchDatastore: needs at least one observation, but the iterable is empty.")
        return edges, categorical(labels, names) if has_labels else None


def rows_of_batch(batch: Any, place: int) -> _Rows:
    """Return the observations of a mini-batch: its predictors, or a tuple or list of predictors and responses."""
    columns = [_elements(column) for column in (batch if isinstance(batch, (tuple, list)) else [batch])]
    counts = [len(column) for column in columns]
    if len(set(counts)) != 1:
        raise DataError(
            f"batchDatastore: mini-batch {place + 1}: needs the same number of observations in each column, but got "
            f"{counts}. Observations are the last dimension of images (H, W, C, N) and the first of features (N, C)."
        )
    return list(zip(*columns, strict=True))


def _elements(column: Any) -> list[Any]:
    if isinstance(column, (list, tuple, categorical)):
        return list(column)
    array = np.asarray(column)
    if array.ndim == 0:
        raise DataError(f"batchDatastore: needs arrays or lists in a mini-batch, but got {describe(column)}.")
    return list(np.moveaxis(array, -1, 0)) if array.ndim > 2 else list(array)


def _is_label(value: Any) -> bool:
    return isinstance(value, str) or (np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iub")


def batchDatastore(batches: Iterable[Any] | Callable[[], Iterable[Any]]) -> BatchDatastore:
    """Create a datastore of the mini-batches of an iterable; MATLAB has no such function.

    Parameters
    ----------
    batches : iterable, or function that returns one
        Each mini-batch is a tuple of predictors and responses, in the order that `trainNetwork` takes them: images
        (H, W, C, N), features (N, C), labels (N,), lists with one element for each observation. It is read once to
        count the observations, then once in each epoch. Training takes observations one by one, so MiniBatchSize may
        be another size.

    Returns
    -------
    BatchDatastore
        `read` returns a list of the rows of a mini-batch. One mini-batch is in memory at a time.

    Raises
    ------
    OptionError
        Where it is no iterable, or one that can be read only once, such as a generator.
    DataError
        Where columns have different numbers of observations. When data are read, where sizes have changed, or in an
        order that is not that of the iterable: only lists and tuples can be shuffled in training.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import batchDatastore
    >>> def batches():
    ...     for seed in range(3):
    ...         yield np.random.default_rng(seed).random((4, 2)), ['a', 'b', 'a', 'b']
    >>> ds = batchDatastore(batches)
    >>> len(ds), ds.classes(), len(ds.read())
    (12, ['a', 'b'], 4)
    """
    return BatchDatastore(batches)
