"""The table of progress that training prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from mlnet.training.metering import Result


class _Column(NamedTuple):
    title: str
    subtitle: str
    width: int


_COLUMNS = {
    "epoch": _Column("Epoch", "", 9),
    "iteration": _Column("Iteration", "", 13),
    "time": _Column("Time Elapsed", "(hh:mm:ss)", 16),
    "training metric": _Column("Mini-batch", "{metric}", 14),
    "validation metric": _Column("Validation", "{metric}", 14),
    "training loss": _Column("Mini-batch", "Loss", 14),
    "validation loss": _Column("Validation", "Loss", 14),
    "rate": _Column("Base Learning", "Rate", 17),
}


@dataclass
class Progress:
    """Where training stands after an iteration; NaN where there was no validation.

    Metrics are accuracies in percent or root mean squared errors; those that Metrics asks for are in the fields with
    ``more``. Norms are for the solvers of all data at once.
    """

    epoch: int
    iteration: int
    seconds: float
    learn_rate: float
    training_loss: float
    training_metric: float
    validation_loss: float = np.nan
    validation_metric: float = np.nan
    gradient_norm: float = np.nan
    step_norm: float = np.nan
    training_more: tuple[float, ...] = ()
    validation_more: tuple[float, ...] = ()

    @property
    def is_validated(self) -> bool:
        """Tell whether there was a validation after this iteration."""
        return not np.isnan(self.validation_loss)

    def add_validation(self, result: Result) -> None:
        """Fill in what a validation found."""
        self.validation_loss, self.validation_metric, self.validation_more = result

    def numbers(self) -> list[float]:
        """Return all fields as one row of numbers."""
        first = [getattr(self, name) for name in _NUMBERS]
        after = self.validation_more or (np.nan,) * len(self.training_more)
        return [float(value) for value in (*first, *self.training_more, *after)]

    @classmethod
    def from_numbers(cls, row: list[float]) -> Progress:
        """Return the progress that `numbers` made a row of."""
        count = len(_NUMBERS)
        result = cls(int(row[0]), int(row[1]), row[2], row[3], row[4], row[5])
        for name, value in zip(_NUMBERS[6:], row[6:count], strict=True):
            setattr(result, name, value)
        half = (len(row) - count) // 2
        result.training_more = tuple(row[count : count + half])
        if result.is_validated:
            result.validation_more = tuple(row[count + half :])
        return result


_NUMBERS = [field.name for field in fields(Progress) if not field.name.endswith("_more")]


class ProgressTable:
    """Prints a row for iteration 1, every ``frequency`` iterations, each validation and the last iteration."""

    def __init__(self, metric: str, frequency: int, *, with_validation: bool, more: Sequence[str] = ()) -> None:
        self._metric, self._frequency, self._more = metric, frequency, more
        columns = {
            f"{kind} {name}": _Column(title, name, max(14, len(name) + 2))
            for name in more
            for kind, title in (("training", "Mini-batch"), ("validation", "Validation"))
        }
        at = list(_COLUMNS).index("training loss")  # behind the metric that every table has
        order = [*list(_COLUMNS)[:at], *columns, *list(_COLUMNS)[at:]]
        columns |= _COLUMNS
        self._columns = {key: columns[key] for key in order if with_validation or not key.startswith("validation")}
        self._last: Progress | None = None
        self._printed = 0
        self._is_open = False

    def start(self) -> None:
        """Print the head of the table."""
        self._print(self._border())
        columns = self._columns.values()
        for titles in ([column.title for column in columns], [column.subtitle for column in columns]):
            cells = [
                f"{title.format(metric=self._metric):^{column.width}}"
                for title, column in zip(titles, columns, strict=True)
            ]
            self._print("|" + "|".join(cells) + "|")
        self._print(self._border())
        self._is_open = True

    def update(self, progress: Progress) -> None:
        """Print a row if it is time for one."""
        self._last = progress
        if progress.iteration == 1 or progress.iteration % self._frequency == 0 or progress.is_validated:
            self._row(progress)

    def close(self, reason: str | None) -> None:
        """Print the last row, the closing border and why training ended."""
        if not self._is_open:
            return
        self._is_open = False
        if self._last is not None and self._last.iteration != self._printed:
            self._row(self._last)
        self._print(self._border())
        if reason:
            self._print(f"Training finished: {reason}.")

    def _row(self, progress: Progress) -> None:
        self._printed = progress.iteration
        as_metric = accuracy_text if self._metric == "Accuracy" else rmse_text
        cells = {
            "epoch": str(progress.epoch),
            "iteration": str(progress.iteration),
            "time": time_text(progress.seconds),
            "training metric": as_metric(progress.training_metric),
            "validation metric": as_metric(progress.validation_metric),
            "training loss": loss_text(progress.training_loss),
            "validation loss": loss_text(progress.validation_loss),
            "rate": rate_text(progress.learn_rate),
        }
        for kind, values in (("training", progress.training_more), ("validation", progress.validation_more)):
            for name, value in zip(self._more, values or [np.nan] * len(self._more), strict=True):
                cells[f"{kind} {name}"] = loss_text(value)
        self._print("|" + "|".join(f"{cells[key]:>{column.width - 1}} " for key, column in self._columns.items()) + "|")

    def _border(self) -> str:
        return "|" + "=" * (sum(column.width + 1 for column in self._columns.values()) - 1) + "|"

    @staticmethod
    def _print(line: str) -> None:
        print(line, flush=True)


def time_text(seconds: float) -> str:
    """Return seconds as hh:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def accuracy_text(percent: float) -> str:
    """Return an accuracy with two decimals; empty for NaN."""
    return "" if np.isnan(percent) else f"{percent:.2f}%"


def rmse_text(value: float) -> str:
    """Return a root mean squared error with two decimals; empty for NaN."""
    return "" if np.isnan(value) else f"{value:.2f}"


def loss_text(value: float) -> str:
    """Return a loss with four decimals, one decimal from 100 on, with an exponent below 0.001; empty for NaN."""
    if np.isnan(value):
        return ""
    return f"{value:.1f}" if value >= 100 else rate_text(value)


def rate_text(value: float) -> str:
    """Return a number with four decimals, with an exponent below 0.001."""
    return f"{value:.4e}" if 0 < value < 0.001 else f"{value:.4f}"
