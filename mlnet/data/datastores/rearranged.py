"""A datastore whose columns go through functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.labels import categorical


class RearrangedDatastore(Datastore):
    """A datastore whose columns are arranged; None leaves a column as it is, the last one is for the response."""

    def __init__(
        self, source: Datastore, functions: Sequence[Callable[[Any], Any] | None], *, keeps_labels: bool
    ) -> None:
        super().__init__()
        self._keeps_labels = keeps_labels
        self._source, self._functions = source, functions
        self.in_background, self.forkable = source.in_background, source.forkable
        self.response_advice = source.response_advice

    def __len__(self) -> int:
        return len(self._source)

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the arranged columns of the observations ``numbers``."""
        return [
            tuple(
                value if function is None else function(value)
                for value, function in zip(row, self._functions, strict=False)
            )
            for row in self._source.rows(numbers, generator)
        ]

    def labels(self) -> categorical | None:
        """Return the labels of the source, where they are not encoded."""
        return self._source.labels() if self._keeps_labels else None

    def classes(self) -> list[str]:
        """Return the classes of the source."""
        return self._source.classes()

    def describe_row(self, number: int) -> str:
        """Return how messages name an observation."""
        return self._source.describe_row(number)
