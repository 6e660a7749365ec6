"""Mini-batches of sequences that are split into pieces of a given number of time steps (SequenceLength)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.data.sources.inputs import Inputs
from mlnet.data.sources.sequences import SequenceClassTargets, SequencePredictors, SequenceResponseTargets
from mlnet.engines.program import Key, StepPlan
from mlnet.errors import DataError
from mlnet.network.resolve import Resolved
from mlnet.network.run import states_behind
from mlnet.training.caller import caller
from mlnet.training.validation import DataSet


class Piece(NamedTuple):
    """Pieces that make one mini-batch: their numbers, and which rows of the piece before they go on from."""

    numbers: np.ndarray
    rows: np.ndarray | None


class SplitData:
    """A data set whose sequences are cut into pieces of ``length`` time steps; the last one of each may be shorter.

    The pieces of a mini-batch are mini-batches of their own, one after the other. Recurrent layers go on from the
    states behind the piece before (truncated backpropagation through time, Werbos, 1990; Williams and Peng, 1990).

    Parameters
    ----------
    data : DataSet
    length : int
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where the inputs of a network are not sequences of the same lengths.
    """

    def __init__(self, data: DataSet, length: int, where: str = "") -> None:
        where = where or f"{caller()}: SequenceLength"
        predictors = data.predictors
        parts = predictors.parts if isinstance(predictors, Inputs) else (predictors,)
        if predictors.steps is None:
            raise DataError(f"{where}: a number needs sequences, but the network takes none. Leave it out.")
        lengths = predictors.steps.lengths
        for part in parts:
            if not isinstance(part, SequencePredictors) or not np.array_equal(part.steps.lengths, lengths):
                raise DataError(f"{where}: a number needs inputs that are all sequences of the same lengths.")
        self._counts = -(-lengths // length)
        self._first = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        split = [part.split(length) for part in parts if isinstance(part, SequencePredictors)]
        targets: Any = data.targets
        if isinstance(targets, (SequenceClassTargets, SequenceResponseTargets)):
            targets = targets.split(length, split[0].steps)
        else:
            targets = targets.repeated(self._counts)
        self.data = DataSet(Inputs(split, [""] * len(split), where) if len(split) > 1 else split[0], targets)

    def pieces(self, observations: np.ndarray) -> list[Piece]:
        """Return the pieces of a mini-batch of observations, in the order of time."""
        result = []
        counts, first = self._counts[observations], self._first[observations]
        for number in range(int(counts.max(initial=0))):
            here = counts > number
            before = counts > number - 1
            result.append(Piece(first[here] + number, np.flatnonzero(here[before]) if number else None))
        return result


class CarriedStates:
    """The states of recurrent layers behind a piece, for the next one."""

    def __init__(self, network: Resolved) -> None:
        self._keys = [(layer.Name, state) for layer in network.layers for state in layer.states]
        self.found: dict[Key, np.ndarray] = {}

    def before(self, rows: np.ndarray | None) -> dict[Key, np.ndarray]:
        """Return the states (N, units) of the observations ``rows`` of the piece before; none for a first piece."""
        return {} if rows is None else {key: value[rows] for key, value in self.found.items()}

    def keep(self, plan: StepPlan) -> None:
        """Keep the states behind the mini-batch that ``plan`` ran last."""
        self.found = states_behind(plan, self._keys)
