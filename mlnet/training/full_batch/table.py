"""The table of progress of the solvers that take all data at once, as MATLAB prints it for 'lbfgs'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.training.progress import Progress, time_text


class FullBatchTable:
    """Prints a row for iteration 1, every ``frequency`` iterations, each validation and the last iteration.

    ``metric`` is 'Accuracy', 'RMSE', or '' where neither is shown.
    """

    def __init__(self, metric: str, frequency: int, *, with_validation: bool, more: Sequence[str] = ()) -> None:
        self._frequency = frequency
        self._titles = ["Iteration", "TimeElapsed", "TrainingLoss"]
        self._titles += ["ValidationLoss"] if with_validation else []
        self._titles += ["GradientNorm", "StepNorm"]
        for name in filter(None, (metric, *more)):
            self._titles += [f"Training{name}", *([f"Validation{name}"] if with_validation else [])]
        self._metrics = (metric, *more)
        self._last: Progress | None = None
        self._printed = -1
        self._is_open = False

    def start(self) -> None:
        """Print the head of the table."""
        print(flush=True)
        self._line(self._titles)
        self._line(["_" * len(title) for title in self._titles])
        self._is_open = True

    def update(self, progress: Progress) -> None:
        """Print a row if it is time for one."""
        self._last = progress
        if progress.iteration <= 1 or progress.iteration % self._frequency == 0 or progress.is_validated:
            self._row(progress)

    def close(self, reason: str | None) -> None:
        """Print the last row and why training ended."""
        if not self._is_open:
            return
        self._is_open = False
        if self._last is not None and self._last.iteration != self._printed:
            self._row(self._last)
        if reason:
            print(f"Training stopped: {reason}", flush=True)

    def _row(self, progress: Progress) -> None:
        self._printed = progress.iteration
        cells = self._cells(progress)
        self._line([cells[title] for title in self._titles])

    def _cells(self, progress: Progress) -> dict[str, str]:
        values: dict[str, Any] = {
            "TrainingLoss": progress.training_loss,
            "ValidationLoss": progress.validation_loss,
            "GradientNorm": progress.gradient_norm,
            "StepNorm": progress.step_norm,
        }
        none = (np.nan,) * (len(self._metrics) - 1)
        training = (progress.training_metric, *(progress.training_more or none))
        validation = (progress.validation_metric, *(progress.validation_more or none))
        for name, of_training, of_validation in zip(self._metrics, training, validation, strict=True):
            values |= {f"Training{name}": of_training, f"Validation{name}": of_validation}
        cells = {title: "" if np.isnan(value) else number_text(value) for title, value in values.items()}
        return cells | {"Iteration": str(progress.iteration), "TimeElapsed": time_text(progress.seconds)}

    def _line(self, cells: Sequence[str]) -> None:
        pairs = zip(self._titles, cells, strict=True)
        print("".join(f"{cell:>{len(title) + 4}}" for title, cell in pairs), flush=True)


def number_text(value: float) -> str:
    """Return a number with up to five digits that count."""
    return f"{value:.5g}"
