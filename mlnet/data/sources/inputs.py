"""Data of networks with several inputs: one source of mini-batches for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlnet.data.sources.arrays import Index, Predictors
from mlnet.data.sources.reading import DatastorePredictors
from mlnet.data.sources.sequences import SequencePredictors, Steps
from mlnet.errors import DataError

Part = Predictors | SequencePredictors | DatastorePredictors
"""What gives mini-batches of one input."""


class Inputs:
    """What goes into a network of several inputs.

    Parameters
    ----------
    parts : sequence of Part
        The data of each input, with the same number of observations.
    names : sequence of texts
        Names of the input layers, for messages.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where the numbers of observations differ.
    """

    def __init__(self, parts: Sequence[Part], names: Sequence[str], where: str) -> None:
        self.parts = tuple(parts)
        counts = [len(part) for part in parts]
        if len(set(counts)) > 1:
            listed = ", ".join(f"{count} for '{name}'" for count, name in zip(counts, names, strict=True))
            raise DataError(f"{where}: needs the same number of observations for each input, but got {listed}.")

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def is_single(self) -> bool:
        """Whether the sequences came as one array without a list around it."""
        return any(isinstance(part, SequencePredictors) and part.is_single for part in self.parts)

    @property
    def steps(self) -> Steps | None:
        """The time steps of the first input of sequences."""
        return next((part.steps for part in self.parts if isinstance(part, SequencePredictors)), None)

    def batch(self, index: Index, dtype: type = np.float32) -> tuple[np.ndarray, ...]:
        """Return the observations ``index`` of each input in the engines' order."""
        return tuple(part.batch(index, dtype) for part in self.parts)

    def lengths(self, index: Index) -> tuple[np.ndarray | None, ...]:
        """Return the numbers of time steps of the observations ``index`` for each input; None without sequences."""
        return tuple(part.lengths(index) for part in self.parts)

    def check_finite(self) -> None:
        """Raise `DataError` with the number of the first observation that has NaN or Inf."""
        for part in self.parts:
            part.check_finite()


Source = Part | Inputs
"""What gives mini-batches of predictors."""
