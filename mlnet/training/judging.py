"""Which network of a training is best, and when validation has stopped getting better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mlnet.engines.program import Key
from mlnet.errors import OptionError
from mlnet.training.caller import caller
from mlnet.training.metering import Result
from mlnet.training.options import TrainingOptions
from mlnet.training.progress import Progress
from mlnet.training.validation import Objective, Validator

CRITERION = "Met validation criterion"


@dataclass
class Best:
    """The best validation so far, and how many validations have passed since; values are kept where asked for.

    ``value`` is the loss, or the metric of ObjectiveMetricName, negative where higher is better.
    """

    value: float = math.inf
    iteration: int = 0
    waited: int = 0
    values: dict[Key, np.ndarray] = field(default_factory=dict)


class Judge:
    """Validates, and keeps the best network where OutputNetwork asks for it.

    Parameters
    ----------
    options : TrainingOptions
    objective : Objective
    validator : Validator or None

    Raises
    ------
    OptionError
        Where ObjectiveMetricName and OutputNetwork do not fit the metrics, the data or each other.
    """

    def __init__(self, options: TrainingOptions, objective: Objective, validator: Validator | None) -> None:
        self.best = Best()
        meters = objective.meters
        self._patience, self._meters, self._validator = options.ValidationPatience, meters, validator
        self._frequency, self._begins = options.ValidationFrequency, objective.validates_first
        self._name, higher = meters.objective(options.ObjectiveMetricName)
        self._sign = -1.0 if higher else 1.0
        kind = options.OutputNetwork
        if kind.startswith("best-validation") and validator is None:
            raise OptionError(f"{caller()}: OutputNetwork='{kind}' needs ValidationData. Give it, or leave it out.")
        if kind == "best-validation-loss" and self._name != "loss":
            raise OptionError(
                f"{caller()}: OutputNetwork='{kind}' is for the loss, but ObjectiveMetricName is '{self._name}'. "
                "Use 'best-validation'."
            )
        self._keeps = kind != "last-iteration" and validator is not None  # 'auto': the best one where there is one

    def is_time(self, iteration: int, *, is_last: bool) -> bool:
        """Tell whether an iteration is one to validate after."""
        is_first = iteration == 1 and not self._begins
        return is_first or iteration % self._frequency == 0 or is_last

    def first(self, rate: float, values: Callable[[], dict[Key, np.ndarray]]) -> Progress | None:
        """Validate before the first iteration, and return the result; None where that is not asked for."""
        if self._validator is None or not self._begins:
            return None
        progress = Progress(0, 0, 0.0, rate, math.nan, math.nan)
        self(progress, values)
        progress.training_more = (math.nan,) * len(progress.validation_more)
        return progress

    def __call__(self, progress: Progress, values: Callable[[], dict[Key, np.ndarray]]) -> None:
        """Fill in the results on the validation set, and keep the values that are the best so far."""
        if self._validator is None:
            return
        now, best = values(), self.best
        result = self._validator(now)
        progress.add_validation(result)
        value = self._sign * self._meters.value(self._name, result)
        if value < best.value:
            best.value, best.waited = value, 0
            if self._keeps:
                best.values = {key: array.copy() for key, array in now.items()}
                best.iteration = progress.iteration
        else:
            best.waited += 1

    def validate(self, values: dict[Key, np.ndarray]) -> Result | None:
        """Return loss and metrics on the validation set, or None where there is none."""
        return self._validator(values) if self._validator else None

    @property
    def has_waited(self) -> bool:
        """Tell whether as many validations as ValidationPatience have brought nothing better."""
        return bool(self.best.waited >= self._patience)
