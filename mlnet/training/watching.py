"""The board of `trainNetwork`: what Plots='training-progress' shows, in the order of MATLAB's progress window."""

from __future__ import annotations

import time

import numpy as np

from mlnet.training.board import Board, Curve, Panel, Watch
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress, accuracy_text, loss_text, rate_text, rmse_text, time_text
from mlnet.training.validation import Result

SCHEDULES = {"none": "Constant", "piecewise": "Piecewise"}


def curve_panels(metric: str, *, with_validation: bool) -> list[Panel]:
    """Return the panels of metric and loss, each with a training curve and perhaps a validation curve."""
    return [
        Panel(
            f"{label} (%)" if label == "Accuracy" else label,
            [Curve(f"Training{label}", "training")]
            + ([Curve(f"Validation{label}", "validation")] if with_validation else []),
            (0.0, 100.0) if label == "Accuracy" else None,
        )
        for label in (metric, "Loss")
    ]


class TrainingWatch:
    """Fills a board from the progress of a training.

    Parameters
    ----------
    options : TrainingOptions
    metric : 'Accuracy' or 'RMSE'
    with_validation : bool
    per_epoch : int or None
        Iterations of an epoch, if that is known.
    """

    def __init__(
        self, options: TrainingOptions, metric: str, *, with_validation: bool, per_epoch: int | None = None
    ) -> None:
        self._options, self._metric = options, metric
        self._with_validation, self._per_epoch = with_validation, per_epoch
        total = None if per_epoch is None else per_epoch * options.MaxEpochs
        self._total = "" if total is None else f" of {total}"
        schedule = options.LearnRateSchedule
        cycle = {"Epoch": "", "Iteration": ""}
        if per_epoch is not None:
            cycle |= {"Iterations per epoch": str(per_epoch), "Maximum iterations": str(total)}
        self._sections = {
            "Results": {"Status": "Training"},
            "Training time": {"Start time": time.strftime("%d-%b-%Y %H:%M:%S"), "Elapsed time": time_text(0)},
            "Training cycle": cycle,
            "Validation": {"Frequency": f"{options.ValidationFrequency} iterations"} if with_validation else {},
            "Other information": {
                "Hardware resource": "Single CPU",
                "Learning rate schedule": SCHEDULES.get(str(schedule), str(schedule)),
                "Learning rate": rate_text(options.InitialLearnRate),
            },
        }
        if not with_validation:
            del self._sections["Validation"]
        panels = curve_panels(metric, with_validation=with_validation)
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
        if self._per_epoch is None and progress.epoch != self._epoch:
            self._epoch = progress.epoch
            board.epochs.append(at)
        values = (
            (progress.training_metric, progress.validation_metric),
            (progress.training_loss, progress.validation_loss),
        )
        for panel, (training, validation) in zip(board.panels, values, strict=True):
            panel.curves[0].add(at, training)
            if not np.isnan(validation):
                panel.curves[1].add(at, validation)
        self._sections["Training time"]["Elapsed time"] = time_text(progress.seconds)
        self._sections["Training cycle"]["Epoch"] = f"{progress.epoch} of {self._options.MaxEpochs}"
        self._sections["Training cycle"]["Iteration"] = f"{at}{self._total}"
        self._sections["Other information"]["Learning rate"] = rate_text(progress.learn_rate)
        if not np.isnan(progress.validation_loss):
            self._results(Result(progress.validation_loss, progress.validation_metric))
        self._watch.update()
        return board.stop_requested

    def close(self, reason: str | None, final: Result | None) -> None:
        """Draw the end: why training ended (None after an error), and the result of the network that is returned."""
        self._sections["Results"]["Status"] = reason or "Interrupted"
        if final is not None and self._last is not None:
            self._results(final)
            for panel, value in zip(self.board.panels, (final.metric, final.loss), strict=True):
                panel.curves[1].add(self._last.iteration, value)
        self.board.is_finished = True
        self._watch.close()

    def _results(self, result: Result) -> None:
        as_metric = accuracy_text if self._metric == "Accuracy" else rmse_text
        label = "Validation accuracy" if self._metric == "Accuracy" else "Validation RMSE"
        self._sections["Results"][label] = as_metric(result.metric) or "NaN"
        self._sections["Results"]["Validation loss"] = loss_text(result.loss) or "NaN"
