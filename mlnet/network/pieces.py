"""Sequences in pieces of some number of time steps (SequenceLength), and mini-batches of pieces in order of time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.data.sources.inputs import Inputs
from mlnet.data.sources.sequences import SequencePredictors
from mlnet.errors import DataError


class Piece(NamedTuple):
    """Pieces that make one mini-batch: their numbers, and which rows of the piece before they go on from."""

    numbers: np.ndarray
    rows: np.ndarray | None


class Pieces:
    """Sequences that are cut into pieces of ``length`` time steps; the last one of each may be shorter.

    ``predictors`` have the pieces as their observations, ``counts`` is the number of pieces of each sequence.

    Parameters
    ----------
    predictors : Source
        What a network takes.
    length : int
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where the inputs of a network are not sequences of the same lengths.
    """

    def __init__(self, predictors: Any, length: int, where: str) -> None:
        parts = predictors.parts if isinstance(predictors, Inputs) else (predictors,)
        if getattr(predictors, "steps", None) is None:
            raise DataError(f"{where}: a number needs sequences, but the network takes none. Leave it out.")
        lengths = predictors.steps.lengths
        for part in parts:
            if not isinstance(part, SequencePredictors) or not np.array_equal(part.steps.lengths, lengths):
                raise DataError(f"{where}: a number needs inputs that are all sequences of the same lengths.")
        split = [part.split(length) for part in parts if isinstance(part, SequencePredictors)]
        self.counts = -(-lengths // length)
        self.steps = split[0].steps
        self.predictors: Any = Inputs(split, [""] * len(split), where) if len(split) > 1 else split[0]
        self._first = np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    def of(self, observations: np.ndarray) -> list[Piece]:
        """Return the pieces of a mini-batch of observations, in the order of time."""
        result = []
        counts, first = self.counts[observations], self._first[observations]
        for number in range(int(counts.max(initial=0))):
            here = counts > number
            before = counts > number - 1
            result.append(Piece(first[here] + number, np.flatnonzero(here[before]) if number else None))
        return result
