"""Who hears of the progress of trainnet, and the object that tells of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.options import Shown
from mlnet.rules import EMPTY
from mlnet.structure import Structure
from mlnet.table import DataTable
from mlnet.training.full_batch.table import FullBatchTable
from mlnet.training.nets.table import NetTable
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress
from mlnet.training.reporter import Reporter


class NetReporter(Reporter):
    """Passes the progress of trainnet on; see `Reporter`."""

    def __init__(
        self, options: TrainingOptions, *, with_validation: bool, per_epoch: int | None, more: Sequence[str]
    ) -> None:
        super().__init__(
            options.replaced(Verbose=False), "", with_validation=with_validation, per_epoch=per_epoch, more=more
        )
        if options.Verbose and options.is_full_batch:
            self._table = FullBatchTable("", options.VerboseFrequency, with_validation=with_validation, more=more)
        elif options.Verbose:
            self._table = NetTable(options.VerboseFrequency, with_validation=with_validation, more=more)

    def __call__(self, progress: Progress) -> str:
        """Report an iteration; return why to stop, or ''. Iteration 0 is for the table alone."""
        if progress.iteration:
            return super().__call__(progress)
        if self._table is not None:
            self._table.update(progress)
        return ""

    def _information(self, state: str, progress: Progress | None) -> Structure:
        fields: dict[str, Any] = {}
        if progress is not None:
            fields = {**row_of(progress, self._more, self._is_full_batch)}
            validated = progress.validation_more or (np.nan,) * len(self._more)
            fields["ValidationLoss"] = progress.validation_loss
            fields |= {f"Validation{name}": value for name, value in zip(self._more, validated, strict=True)}
        names = ["Epoch", "Iteration", "TimeElapsed", "LearnRate", "TrainingLoss", "ValidationLoss"]
        if self._is_full_batch:
            names = ["Iteration", "TimeElapsed", "TrainingLoss", "ValidationLoss", "GradientNorm", "StepNorm"]
        names += [f"{kind}{name}" for name in self._more for kind in ("Training", "Validation")]
        found = {name: fields.get(name, np.nan) for name in names}
        return Structure(**{name: EMPTY if np.isnan(value) else value for name, value in found.items()}, State=state)


def row_of(progress: Progress, more: Sequence[str], is_full_batch: bool) -> dict[str, float]:
    """Return what a table of training has for an iteration, by the names of its columns; times are in seconds."""
    row: dict[str, float] = {"Epoch": progress.epoch} if not is_full_batch else {}
    row |= {"Iteration": progress.iteration, "TimeElapsed": progress.seconds}
    row |= {} if is_full_batch else {"LearnRate": progress.learn_rate}
    row["TrainingLoss"] = progress.training_loss
    if is_full_batch:
        row |= {"GradientNorm": progress.gradient_norm, "StepNorm": progress.step_norm}
    return row | {f"Training{name}": value for name, value in zip(more, progress.training_more, strict=True)}


class TrainingInfo(Shown):
    """What `trainnet` tells of a training.

    ``TrainingHistory`` is a table with a row for each iteration: Epoch, Iteration, TimeElapsed in seconds, LearnRate,
    TrainingLoss, and a column for each metric, such as TrainingAccuracy (for 'lbfgs' and 'lm' GradientNorm and StepNorm
    in place of Epoch and LearnRate). ``ValidationHistory`` has a row for each validation: Iteration, ValidationLoss and
    the metrics. ``OutputNetworkIteration`` is the iteration of the network that was returned, ``StopReason`` tells why
    training ended.
    """

    def __init__(self, history: Sequence[Progress], first: Progress | None, more: Sequence[str], **ending: Any) -> None:
        is_full_batch: bool = ending.pop("is_full_batch")
        rows = [row_of(progress, more, is_full_batch) for progress in history]
        names = list(rows[0]) if rows else ["Iteration", "TrainingLoss"]
        self.TrainingHistory = DataTable(**{name: _column([row[name] for row in rows], name) for name in names})
        validated = [each for each in ([] if first is None else [first]) + list(history) if each.is_validated]
        columns: dict[str, list[float]] = {
            "Iteration": [each.iteration for each in validated],
            "ValidationLoss": [each.validation_loss for each in validated],
        }
        for number, name in enumerate(more):
            columns[f"Validation{name}"] = [each.validation_more[number] for each in validated]
        self.ValidationHistory = DataTable(**{name: _column(values, name) for name, values in columns.items()})
        self.OutputNetworkIteration: int = ending["iteration"]
        self.StopReason: str = ending["reason"]


def _column(values: Sequence[float], name: str) -> np.ndarray:
    return np.array(values, int if name in ("Epoch", "Iteration") else float)
