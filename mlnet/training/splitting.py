"""Mini-batches of sequences that are split into pieces of a given number of time steps (SequenceLength)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.sources.sequences import SequenceClassTargets, SequenceResponseTargets
from mlnet.engines.program import Key, StepPlan
from mlnet.network.pieces import Piece, Pieces
from mlnet.network.resolve import Resolved
from mlnet.network.run import states_behind
from mlnet.training.caller import caller
from mlnet.training.nets.targets import SeveralTargets
from mlnet.training.validation import DataSet


class SplitData:
    """A data set whose sequences are cut into pieces of ``length`` time steps; the last one of each may be shorter.

    The pieces of a mini-batch are mini-batches of their own, one after the other. Recurrent layers go on from the
    states behind the piece before (truncated backpropagation through time, Werbos, 1990; Williams and Peng, 1990).
    Targets of whole sequences are those of each of their pieces.

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
        self._pieces = Pieces(data.predictors, length, where or f"{caller()}: SequenceLength")
        self.data = DataSet(self._pieces.predictors, self._targets(data.targets, length))

    def _targets(self, targets: Any, length: int) -> Any:
        if isinstance(targets, SeveralTargets):
            return SeveralTargets([self._targets(part, length) for part in targets.parts])
        if isinstance(targets, (SequenceClassTargets, SequenceResponseTargets)):
            return targets.split(length, self._pieces.steps)
        return targets.repeated(self._pieces.counts)

    def pieces(self, observations: np.ndarray) -> list[Piece]:
        """Return the pieces of a mini-batch of observations, in the order of time."""
        return self._pieces.of(observations)


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
