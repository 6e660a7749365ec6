"""The board of `trainNetwork`: what Plots='training-progress' shows, in the order of MATLAB's progress window."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.training.board import Board, Curve, Panel, Watch
from mlnet.training.metering import Result
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress, accuracy_text, loss_text, rate_text, rmse_text, time_text
from mlnet.training.schedules import Schedule


def schedule_text(value: Any) -> str:
    """Return the name of a learn-rate schedule, or of several."""
    if isinstance(value, list):
        return ", ".join(schedule_text(each) for each in value)
    if not isinstance(value, (str, Schedule)):
        return "Function"
    name = value if isinstance(value, str) else type(value).__name__.removesuffix("LearnRate")
    return "Constant" if name == "none" else name.capitalize()


def curve_panels(metric: str, *, with_validation: bool, more: Sequence[str] = ()) -> list[Panel]:
    """Return the panels of metrics and loss, each with a training curve and perhaps a validation curve."""
    return [
        Panel(
            f"{label} (%)" if label == "Accuracy" else label,
            [Curve(f"Training{label}", "training")]
            + ([Curve(f"Validation{label}", "validation")] if with_validation else []),
            (0.0, 100.0) if label == "Accuracy" else None,
        )
        for label in (*filter(None, (metric,)), *more, "Loss")
    ]


class TrainingWatch:
    """Fills a board from the progress of a training.

    Parameters
    ----------
    options : TrainingOptions
    metric : 'Accuracy', 'RMSE' or ''
    with_validation : bool
    per_epoch : int or None
        Iterations of an epoch, if that is known.
    more : sequence of texts
        Names of further metrics.
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
        self._options, self._metric, self._more = options, metric, more
        self._per_epoch = per_epoch
        if options.is_full_batch:
            total = options.MaxIterations
        else:
            total = None if per_epoch is None else per_epoch * options.MaxEpochs
        self._total = "" if total is None else f" of {total}"
        cycle = {"Iteration": ""} if options.is_full_batch else {"Epoch": "", "Iteration": ""}
        if per_epoch is not None:
            cycle |= {"Iterations per epoch": str(per_epoch), "Maximum iterations": str(total)}
        self._sections = {
            "Results": {"Status": "Training"},
            "Training time": {"Start time": time.strftime("%d-%b-%Y %H:%M:%S"), "Elapsed time": time_text(0)},
            "Training cycle": cycle,
            "Validation": {"Frequency": f"{options.ValidationFrequency} iterations"} if with_validation else {},
            "Other information": {"Hardware resource": "Single CPU"},
        }
        if not options.is_full_batch:
            self._sections["Other information"] |= {
                "Learning rate schedule": schedule_text(options.LearnRateSchedule),
                "Learning rate": rate_text(options.InitialLearnRate),
            }
        if not with_validation:
            del self._sections["Validation"]
        panels = curve_panels(metric, with_validation=with_validation, more=more)
        self.board = Board("Training progress", "Iteration", panels, self._sections, end=total)
        if per_epoch is not None:
            self.board.epochs = [1.0 + per_epoch * epoch for epoch in range(options.MaxEpochs)]
        self._watch = Watch(self.board)
        self._epoch = 0
        self._last: Progress | None = None

    def start(self) -> None:
        """Open the picture."""
        self._watch.open()

    def update(self, progress: Progress) -> bool:
        """Take in an iteration, and return whether the stop button was pressed."""
        self._last = progress
        board, at = self.board, progress.iteration
        if self._per_epoch is None and progress.epoch != self._epoch and not self._options.is_full_batch:
            self._epoch = progress.epoch
            board.epochs.append(at)
        none = (np.nan,) * len(self._more)
        values = (
            (progress.training_metric, progress.validation_metric),
            *zip(progress.training_more, progress.validation_more or none, strict=True),
            (progress.training_loss, progress.validation_loss),
        )
        if not self._metric:
            values = values[1:]
        for panel, (training, validation) in zip(board.panels, values, strict=True):
            panel.curves[0].add(at, training)
            if not np.isnan(validation):
                panel.curves[1].add(at, validation)
        self._sections["Training time"]["Elapsed time"] = time_text(progress.seconds)
        self._sections["Training cycle"]["Iteration"] = f"{at}{self._total}"
        if not self._options.is_full_batch:
            self._sections["Training cycle"]["Epoch"] = f"{progress.epoch} of {self._options.MaxEpochs}"
            self._sections["Other information"]["Learning rate"] = rate_text(progress.learn_rate)
        if not np.isnan(progress.validation_loss):
            found = progress.validation_loss, progress.validation_metric, progress.validation_more
            self._results(Result(*found))
        self._watch.update()
        return board.stop_requested

    def close(self, reason: str | None, final: Result | None) -> None:
        """Draw the end: why training ended (None after an error), and the result of the network that is returned."""
        self._sections["Results"]["Status"] = reason or "Interrupted"
        if final is not None and self._last is not None:
            self._results(final)
            found = (final.metric, *final.more, final.loss) if self._metric else (*final.more, final.loss)
            for panel, value in zip(self.board.panels, found, strict=True):
                panel.curves[1].add(self._last.iteration, value)
        self.board.is_finished = True
        self._watch.close()

    def _results(self, result: Result) -> None:
        if self._metric:
            self._metric_result(result)
        for name, value in zip(self._more, result.more, strict=True):
            self._sections["Results"][f"Validation {name}"] = loss_text(value) or "NaN"
        self._sections["Results"]["Validation loss"] = loss_text(result.loss) or "NaN"

    def _metric_result(self, result: Result) -> None:
        as_metric = accuracy_text if self._metric == "Accuracy" else rmse_text
        label = "Validation accuracy" if self._metric == "Accuracy" else "Validation RMSE"
        self._sections["Results"][label] = as_metric(result.metric) or "NaN"
