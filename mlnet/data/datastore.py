"""What all datastores have: observations that are read by number, and the functions that read them in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from mlnet.errors import DataError
from mlnet.labels import categorical
from mlnet.options import Shown

D = TypeVar("D", bound="Datastore")


class Datastore(Shown, ABC):
    """Data that are read when they are needed: a row of columns for each observation.

    Networks take the first columns as their inputs and the last one as the response. Training reads rows by number, in
    any order and also from another thread than the caller's; `read` goes through them one after the other.
    """

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

    def labels(self) -> categorical | None:
        """Return the response of all observations where it is known without reading them; otherwise None."""
        return None

    def classes(self) -> list[str]:
        """Return the names of the classes of the responses where they are known without reading; otherwise []."""
        return []

    def describe_row(self, number: int) -> str:
        """Return how messages name an observation (from 0), e.g. with its file."""
        return f"observation {number + 1}"

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
        """Return the next rows, at most ``count``, and go on behind them.

        Raises
        ------
        DataError
            Where everything has been read.
        """
        if not self.hasdata():
            raise DataError(f"read: the {type(self).__name__} has no more data. Use reset.")
        stop = min(self._position + count, len(self))
        found = self.rows(range(self._position, stop))
        self._position = stop
        return found
