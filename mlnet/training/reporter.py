"""Who hears of the progress of training: the printed table and the functions of OutputFcn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.rules import EMPTY, is_empty
from mlnet.structure import Structure
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress, ProgressTable


class Reporter:
    """Passes progress on to the table (with Verbose) and to OutputFcn.

    ``metric`` is 'Accuracy' or 'RMSE'.
    """

    def __init__(self, options: TrainingOptions, metric: str, *, with_validation: bool) -> None:
        given = options.OutputFcn
        self._functions: list[Callable[[Structure], Any]] = (
            [] if is_empty(given) else given if isinstance(given, list) else [given]
        )
        self._metric = metric
        self._table = (
            ProgressTable(metric, options.VerboseFrequency, with_validation=with_validation)
            if options.Verbose
            else None
        )
        self._last: Progress | None = None

    def start(self) -> bool:
        """Announce the start; return whether to stop at once."""
        if self._table is not None:
            self._table.start()
        return self._call("start", None)

    def __call__(self, progress: Progress) -> bool:
        """Report an iteration; return whether to stop."""
        self._last = progress
        if self._table is not None:
            self._table.update(progress)
        return self._call("iteration", progress)

    def close(self, reason: str | None) -> None:
        """Close the table with the reason why training ended; None where an error ended it."""
        if self._table is not None:
            self._table.close(reason)

    def done(self) -> None:
        """Announce the end."""
        self._call("done", self._last)

    def _call(self, state: str, progress: Progress | None) -> bool:
        """Call all functions of OutputFcn, and return whether one of them asked to stop."""
        if not self._functions:
            return False

        def field(name: str) -> Any:
            value = np.nan if progress is None else getattr(progress, name)
            return EMPTY if np.isnan(value) else value

        information = Structure(
            Epoch=field("epoch"),
            Iteration=field("iteration"),
            TimeSinceStart=field("seconds"),
            TrainingLoss=field("training_loss"),
            ValidationLoss=field("validation_loss"),
            BaseLearnRate=field("learn_rate"),
            **{f"Training{self._metric}": field("training_metric")},
            **{f"Validation{self._metric}": field("validation_metric")},
            State=state,
        )
        answers = [function(information) for function in self._functions]
        return any(not is_empty(answer) and bool(answer) for answer in answers)
