"""What all datastores have: observations that are read by number, and the functions that read them in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical
from mlnet.options import Shown, describe, from_one
from mlnet.randomness import data_generator
from mlnet.structure import Structure

D = TypeVar("D", bound="Datastore")
_PREVIEW = 8
"""Observations that `Datastore.preview` returns at most."""


class Datastore(Shown, ABC):
    """Data that are read when they are needed: a row of columns for each observation.

    Networks take the first columns as their inputs and the last one as the response. Training reads rows by number, in
    any order and also in another thread or process than the caller's; `read` goes through them one after the other.
    """

    in_background = False
    """Whether training shall read this datastore in the background, whatever its options say."""
    forkable = True
    """Whether a copy of this process can read it: what it needs must not be made by other threads meanwhile."""
    response_advice = ""
    """What messages propose where a response is needed and the datastore has none."""
    reads_response: ClassVar[bool] = True
    """Whether the response is among what `read` returns."""

    def __init__(self) -> None:
        self._position = 0

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of observations."""

    @abstractmethod
    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the columns of the observations ``numbers`` (from 0); nothing of the datastore changes.

        Datastores that change data at random draw from ``generator``; without one they do the same in each call.
        """

    def read_rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the columns that `read` returns, by default those that a network takes."""
        return self.rows(numbers, generator)

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return rows as `read` returns them: the columns of a ``single`` one, otherwise a list with one for each."""
        return list(rows[0]) if single else [list(row) for row in rows]

    def observed(
        self, numbers: Sequence[int], generator: np.random.Generator | None, *, single: bool, informed: bool
    ) -> tuple[Any, Any]:
        """Return observations as `read` does, and where they come from if that is asked for."""
        data = self.gathered(self.read_rows(numbers, generator), single=single)
        return data, self.information(numbers) if informed else None

    def information(self, numbers: Sequence[int]) -> Any:
        """Return what `read` tells about the observations ``numbers`` as its second output."""
        return Structure()

    def read_size(self) -> int:
        """Return how many observations `read` returns."""
        return 1

    def labels(self) -> categorical | None:
        """Return the response of all observations where it is known without reading them; otherwise None."""
        return None

    def classes(self) -> list[str]:
        """Return the names of the classes of the responses where they are known without reading; otherwise []."""
        return []

    def describe_row(self, number: int) -> str:
        """Return how messages name an observation (from 0), e.g. with its file."""
        return f"observation {number + 1}"

    def selected(self, numbers: Sequence[int]) -> Datastore:
        """Return a datastore of the observations ``numbers`` (from 0), in that order."""
        from mlnet.data.datastores.combined import SubsetDatastore

        return SubsetDatastore(self, numbers)

    def hasdata(self) -> bool:
        """Tell whether `read` has something left to return."""
        return self._position < len(self)

    def reset(self: D) -> D:
        """Let `read` start again from the first observation, and return the datastore."""
        self._position = 0
        return self

    def progress(self) -> float:
        """Return how much has been read, from 0 to 1."""
        return self._position / len(self) if len(self) else 1.0

    def take(self, count: int) -> list[tuple[Any, ...]]:
        """Return the next rows as networks take them, at most ``count``, and go on behind them.

        Raises
        ------
        DataError
            Where everything has been read.
        """
        start = self._position
        return self.rows(self._next(count), data_generator()) if start < len(self) else self._exhausted()

    def read(self, nargout: int = 1) -> Any:
        """Return the next observations; with ``nargout=2`` also where they come from."""
        if not self.hasdata():
            self._exhausted()
        size = self.read_size()
        return self._read(self._next(size), single=size == 1, nargout=nargout)

    def readall(self, nargout: int = 1) -> Any:
        """Return all observations; where `read` goes on does not change."""
        if not len(self):
            self._exhausted()
        return self._read(range(len(self)), single=False, nargout=nargout)

    def preview(self) -> Any:
        """Return the first observations, as `read` does and at most 8; where `read` goes on does not change."""
        if not len(self):
            self._exhausted()
        size = self.read_size()
        return self._read(range(min(size, _PREVIEW, len(self))), single=size == 1, nargout=1, start_over=True)

    def subset(self, numbers: Any) -> Any:
        """Return a datastore of some observations: numbers from 1, or one logical value for each."""
        where = f"subset of {describe(self)}"
        given = np.asarray(numbers)
        if given.dtype == bool and given.size != len(self):
            raise OptionError(f"{where}: needs {len(self)} logical values, but got {given.size}.")
        chosen = np.flatnonzero(given) if given.dtype == bool else from_one(where, numbers, len(self)).ravel()
        return self.selected(chosen.tolist())

    def shuffle(self) -> Any:
        """Return a datastore with the observations in random order; `rng` makes it repeatable."""
        return self.selected(data_generator().permutation(len(self)).tolist())

    def partition(self, count: int, number: int) -> Any:
        """Return part ``number`` (from 1) of ``count`` parts of neighbouring observations."""
        (part,) = from_one(f"partition of {describe(self)}", [number], count).tolist()
        edges = np.linspace(0, len(self), count + 1).round().astype(int)
        return self.selected(range(edges[part], edges[part + 1]))

    def transform(self, function: Callable[..., Any], IncludeInfo: bool = False) -> Any:  # noqa: N803
        """Return a datastore that reads what ``function`` makes of the data of this one; see `transform`."""
        from mlnet.data.datastores.combined import transform

        return transform(self, function, IncludeInfo=IncludeInfo)

    def combine(self, *others: Datastore) -> Any:
        """Return a datastore with the columns of this one and of others; see `combine`."""
        from mlnet.data.datastores.combined import combine

        return combine(self, *others)

    def countEachLabel(self) -> Any:
        """Return how often each label occurs; see `countEachLabel`."""
        from mlnet.data.datastores.label_counts import countEachLabel

        return countEachLabel(self)

    def splitEachLabel(self, *parts: Any, **options: Any) -> Any:
        """Split the observations of each label; see `splitEachLabel`."""
        from mlnet.data.datastores.label_counts import splitEachLabel

        return splitEachLabel(self, *parts, **options)

    def _next(self, count: int) -> range:
        start = self._position
        self._position = min(start + count, len(self))
        return range(start, self._position)

    def _exhausted(self) -> Any:
        if len(self):
            raise DataError(f"read: the {type(self).__name__} has no more data. Use reset.")
        raise DataError(f"read: the {type(self).__name__} is empty.")

    def _read(self, numbers: Sequence[int], *, single: bool, nargout: int, start_over: bool = False) -> Any:
        if nargout not in (1, 2) or isinstance(nargout, bool):
            raise OptionError(f"read: nargout needs to be 1 or 2, but is {nargout!r}.")
        generator = None if start_over else data_generator()
        found = self.observed(numbers, generator, single=single, informed=nargout == 2)
        return found if nargout == 2 else found[0]
