"""Loss and metrics of a network, of a mini-batch or of a data set that comes in mini-batches."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.sources.targets import ResponseTargets
from mlnet.errors import OptionError
from mlnet.layers.output import OutputLayer
from mlnet.rules import is_empty
from mlnet.training.caller import caller
from mlnet.training.counting import Count, check_labels, new_count
from mlnet.training.metrics import BY_NAME, Metric, named_metrics, objective_name


class Result(NamedTuple):
    """Loss; accuracy in percent or root mean squared error; and the values of further metrics."""

    loss: float
    metric: float
    more: tuple[float, ...] = ()


class Meters:
    """The metrics that options ask for.

    Parameters
    ----------
    given : value of the option Metrics
    layer : OutputLayer

    Raises
    ------
    OptionError
        Where metrics do not fit the network, or have the same name.
    """

    def __init__(self, given: Any, layer: OutputLayer) -> None:
        self._layer = layer
        self._take(given, layer.metric)

    def _take(self, given: Any, built_in: str) -> None:
        self._built_in = built_in
        self._metrics = named_metrics(given, caller())
        for metric in self._metrics.values():
            if isinstance(metric, Metric):
                self._check(metric)

    @property
    def names(self) -> list[str]:
        """Names of the metrics that are shown in addition to accuracy or RMSE."""
        return [name for name in self._metrics if name != self._built_in]

    def _check(self, metric: Metric) -> None:
        _check(metric, self._layer)

    def counts(self) -> Counts:
        """Return empty counts."""
        return Counts({name: new_count(metric, name) for name, metric in self._metrics.items()}, self._built_in)

    def check(self, targets: Any) -> None:
        """Raise `DataError` where numeric targets are not 0 and 1 and a metric needs labels."""
        if not any(isinstance(metric, Metric) and metric.is_multilabel for metric in self._metrics.values()):
            return
        if isinstance(targets, ResponseTargets):
            for start in range(0, len(targets), 1024):
                check_labels(targets.batch(slice(start, start + 1024)), f"{caller()}: Metrics: 'multilabel'")

    def of(self, result: Result, scores: np.ndarray, targets: np.ndarray) -> Result:
        """Return the result of a mini-batch with the values of all metrics."""
        if not self._metrics:
            return result
        counts = self.counts()
        counts.add(scores, targets)
        return counts.result(result)

    def objective(self, name: str) -> tuple[str, bool]:
        """Return the name of what decides which network is best, 'loss' or a metric, and whether higher is better.

        Raises
        ------
        OptionError
            Where there is no metric of that name.
        """
        found = objective_name(name, self._metrics, [self._built_in] if self._built_in else [], caller())
        metric = self._metrics.get(found)
        if isinstance(metric, Metric):
            return found, bool(metric.Maximize)
        return found, metric is None and found == "Accuracy"

    def value(self, name: str, result: Result) -> float:
        """Return the loss or a metric out of a result."""
        if name == "loss":
            return result.loss
        return result.metric if name == self._built_in else result.more[self.names.index(name)]


class Counts:
    """What metrics have added up."""

    def __init__(self, counts: dict[str, Count], built_in: str) -> None:
        self._counts, self._built_in = counts, built_in

    def add(self, scores: np.ndarray, targets: np.ndarray) -> None:
        """Take in a mini-batch, scores (N, ..., K) and classes (N, ...) or predictions and targets (N, ..., R)."""
        if not self._counts:
            return
        y = scores.reshape(-1, scores.shape[-1])
        if targets.dtype.kind == "i":
            t = targets.reshape(-1)
            y, t = y[t >= 0], t[t >= 0]
            if not len(y):
                return
        else:
            t = targets.reshape(y.shape)
        for name, count in self._counts.items():
            if count.is_multilabel:
                check_labels(t, f"{caller()}: Metrics: '{name}'")
            count.add(y, t)

    def result(self, result: Result) -> Result:
        """Return a result with the values of the metrics; one that is named as the built-in takes its place."""
        values = {name: count.value() for name, count in self._counts.items()}
        metric = values.pop(self._built_in, result.metric)
        return Result(result.loss, metric, tuple(values.values()))


class Average:
    """Loss and metrics over a data set that comes in mini-batches."""

    def __init__(self, meters: Meters, *, is_classification: bool) -> None:
        self._is_classification = is_classification
        self._results: list[tuple[float, float]] = []
        self._weights: list[tuple[int, int]] = []
        self._counts = meters.counts()

    def add(self, result: Result, weights: tuple[int, int], scores: np.ndarray, targets: np.ndarray) -> None:
        """Take in a mini-batch; ``weights`` tells how much its loss and its metric count."""
        metric = result.metric if self._is_classification else result.metric**2
        self._weights.append(weights)
        self._results.append((result.loss, metric if weights[1] else 0.0))
        self._counts.add(scores, targets)

    def result(self) -> Result:
        """Return loss and metrics of everything that was taken in."""
        loss, metric = (np.array(self._results) * self._weights).sum(axis=0) / np.sum(self._weights, axis=0)
        return self._counts.result(Result(float(loss), float(metric if self._is_classification else math.sqrt(metric))))


def _check(metric: Metric, layer: OutputLayer) -> None:
    where = f"{caller()}: Metrics: {type(metric).__name__} '{metric.Name}'"
    is_classification = layer.metric == "Accuracy"
    if metric.is_multilabel:
        if is_classification:
            raise OptionError(
                f"{where}: ClassificationMode='multilabel' is for a network that puts out a number for each label, "
                f"e.g. with sigmoidLayer and regressionLayer, but this one ends with {layer.where()}, which takes one "
                "class for each observation. Use 'single-label'."
            )
    elif metric.of_classes != is_classification:
        task, kind = ("classification", "regression") if metric.of_classes else ("regression", "classification")
        others = [name for name, each in BY_NAME.items() if each.of_classes == is_classification]
        raise OptionError(f"{where}: is for {task}, but this is a network for {kind}. Use {', '.join(others)}.")
    if not is_empty(metric.NetworkOutput) and metric.NetworkOutput != layer.Name:
        raise OptionError(
            f"{where}: NetworkOutput: needs the name of an output layer, '{layer.Name}', but is "
            f"'{metric.NetworkOutput}'."
        )
