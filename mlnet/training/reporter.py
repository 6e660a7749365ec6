"""Who hears of the progress of training: the printed table, the picture and the functions of OutputFcn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.options import describe
from mlnet.rules import EMPTY, is_empty
from mlnet.structure import Structure
from mlnet.training.caller import caller
from mlnet.training.full_batch.table import FullBatchTable
from mlnet.training.metering import Result
from mlnet.training.metrics import Metric, as_metrics
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress, ProgressTable
from mlnet.training.watching import TrainingWatch

BY_FUNCTION = "Stopped by OutputFcn"
BY_BUTTON = "Stopped manually"


class Reporter:
    """Passes progress on to the table (with Verbose), to the picture (with Plots) and to OutputFcn.

    ``metric`` is 'Accuracy' or 'RMSE'; ``more`` are the names of further metrics, ``per_epoch`` the iterations of an
    epoch, if that is known.
    """

    def __init__(
        self,
        options: TrainingOptions,
        metric: str,
        *,
        with_validation: bool,
        per_epoch: int | None = None,
        more: Sequence[str] = (),
    ) -> None:
        given = options.OutputFcn
        self._functions: list[Callable[[Structure], Any]] = (
            [] if is_empty(given) else given if isinstance(given, list) else [given]
        )
        self._metric, self._is_full_batch = metric, options.is_full_batch
        self._more = more
        self._table: ProgressTable | FullBatchTable | None = None
        if options.Verbose:
            asked = [each.Name for each in as_metrics(options.Metrics) if isinstance(each, Metric)]
            shown = metric if metric in asked or not options.is_full_batch else ""
            kind = FullBatchTable if options.is_full_batch else ProgressTable
            self._table = kind(shown, options.VerboseFrequency, with_validation=with_validation, more=more)
        self._picture = (
            TrainingWatch(options, metric, with_validation=with_validation, per_epoch=per_epoch, more=more)
            if options.Plots == "training-progress"
            else None
        )
        self._last: Progress | None = None

    def start(self) -> str:
        """Announce the start; return why to stop at once, or ''."""
        if self._picture is not None:
            self._picture.start()
        if self._table is not None:
            self._table.start()
        return BY_FUNCTION if self._call("start", None) else ""

    def __call__(self, progress: Progress) -> str:
        """Report an iteration; return why to stop, or ''."""
        self._last = progress
        if self._table is not None:
            self._table.update(progress)
        is_pressed = self._picture is not None and self._picture.update(progress)
        if self._call("iteration", progress):
            return BY_FUNCTION
        return BY_BUTTON if is_pressed else ""

    def close(self, reason: str | None, final: Result | None = None) -> None:
        """Close table and picture with the reason why training ended; None where an error ended it.

        ``final`` is the validation of the network that is returned.
        """
        if self._table is not None:
            self._table.close(reason)
        if self._picture is not None:
            self._picture.close(reason, final)

    def done(self) -> None:
        """Announce the end."""
        self._call("done", self._last)

    def _call(self, state: str, progress: Progress | None) -> bool:
        """Call all functions of OutputFcn, and return whether one of them asked to stop."""
        if not self._functions:
            return False
        information = self._information(state, progress)
        answers = [_stops(function(information)) for function in self._functions]
        return any(answers)

    def _information(self, state: str, progress: Progress | None) -> Structure:
        """Return what the functions of OutputFcn get."""

        def field(name: str) -> Any:
            return absent(np.nan if progress is None else getattr(progress, name))

        def absent(value: float) -> Any:
            return EMPTY if np.isnan(value) else value

        none = [np.nan] * len(self._more)
        training, validation = (none, none) if progress is None else (progress.training_more, progress.validation_more)
        more = {f"Training{name}": absent(value) for name, value in zip(self._more, training, strict=True)}
        more |= {f"Validation{name}": absent(value) for name, value in zip(self._more, validation or none, strict=True)}
        if self._is_full_batch:
            more |= {"GradientNorm": field("gradient_norm"), "StepNorm": field("step_norm")}
        return Structure(
            Epoch=field("epoch"),
            Iteration=field("iteration"),
            TimeSinceStart=field("seconds"),
            TrainingLoss=field("training_loss"),
            ValidationLoss=field("validation_loss"),
            BaseLearnRate=field("learn_rate"),
            **{f"Training{self._metric}": field("training_metric")},
            **{f"Validation{self._metric}": field("validation_metric")},
            **more,
            State=state,
        )


def _stops(answer: Any) -> bool:
    """Return what an OutputFcn has answered: true or false, nothing or [] for false."""
    if answer is None or is_empty(answer):
        return False
    if isinstance(answer, str) or np.size(answer) != 1 or np.asarray(answer).dtype.kind not in "biuf":
        raise OptionError(
            f"{caller()}: OutputFcn: needs to return true to stop, false or nothing to go on, but returned "
            f"{describe(answer)}."
        )
    return bool(np.ravel(answer)[0])
