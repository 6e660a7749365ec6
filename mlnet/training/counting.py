"""What metrics add up over the mini-batches of a data set, so that their values are those of all the data at once."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, MlnetError
from mlnet.options import describe
from mlnet.training.caller import caller
from mlnet.training.metrics import (
    AccuracyMetric,
    AUCMetric,
    FScoreMetric,
    MAPEMetric,
    Metric,
    PrecisionMetric,
    RecallMetric,
    RMSEMetric,
    RSquaredMetric,
)
from mlnet.training.statistics import Moments

THRESHOLD = 0.5
"""Scores above it are predictions, where observations have any number of labels."""


class Count(ABC):
    """Sums over data that come in parts."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric
        self.is_multilabel = isinstance(metric, Metric) and metric.is_multilabel

    @abstractmethod
    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        """Take in a part: scores (N, K) and classes (N,), or predictions and targets (N, R).

        For several labels, scores (N, K) and targets (N, K) of 0 and 1.
        """

    def copied(self) -> Count:
        """Return a count that goes on by itself."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (list, Moments)):
                setattr(twin, name, copy.copy(value))
        return twin

    @abstractmethod
    def value(self) -> float:
        """Return the metric of all parts; NaN where it is not defined."""


class _Accuracy(Count):
    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        self._found: np.ndarray = np.zeros(0)
        self._all: np.ndarray = np.zeros(0)
        self._labels: np.ndarray | None = None

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        if self.is_multilabel:
            right = ((y > THRESHOLD) == (t > THRESHOLD)).sum(axis=0)
            real = (t > THRESHOLD).sum(axis=0)
            sums = np.array([right, np.full(len(right), len(t)), real])
            self._labels = sums if self._labels is None else self._labels + sums
            return
        own = y[np.arange(len(t)), t][:, None]
        is_before = (y > own) | ((y == own) & (np.arange(y.shape[1]) < t[:, None]))  # of equal scores the first wins
        hit = is_before.sum(axis=1) < self.metric.NumTopKClasses
        classes = y.shape[1]
        self._all = np.bincount(t, minlength=classes) + (self._all if self._all.size else 0)
        self._found = np.bincount(t[hit], minlength=classes) + (self._found if self._found.size else 0)

    def value(self) -> float:
        if self._labels is not None:  # of each label: right ones, all, and how often it is there
            right, every, real = self._labels
            if self.metric.AverageType == "micro":
                return 100 * _ratio(right.sum(), every.sum())
            return 100 * _mean(right / every, real if self.metric.AverageType == "weighted" else None)
        if self.metric.AverageType == "macro":
            there = self._all > 0
            return 100 * _mean(self._found[there] / self._all[there])
        return 100 * _ratio(self._found.sum(), self._all.sum())  # the same for 'micro' and 'weighted'


class _Confusion(Count):
    """Precision, recall and F-score from the numbers of true and false positives and negatives of each class."""

    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        self._sums: np.ndarray | None = None

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        classes, predicted = y.shape[1], y.argmax(axis=1)
        if self.is_multilabel:
            y, t = y > THRESHOLD, t > THRESHOLD
            sums = np.array([each.sum(axis=0) for each in (y & t, y, t)])
        else:
            sums = np.array([np.bincount(each, minlength=classes) for each in (t[t == predicted], predicted, t)])
        self._sums = sums if self._sums is None else self._sums + sums

    def value(self) -> float:
        if self._sums is None:
            return float("nan")
        kind = self.metric.AverageType
        both, predicted, real = self._sums.sum(axis=1, keepdims=True) if kind == "micro" else self._sums
        there = (predicted > 0) | (real > 0)
        values = self._of(both[there], predicted[there], real[there])
        return _mean(values, real[there] if kind == "weighted" else None)

    def _of(self, both: np.ndarray, predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
        if isinstance(self.metric, PrecisionMetric):
            return both / np.maximum(predicted, 1)
        if isinstance(self.metric, RecallMetric):
            return both / np.maximum(real, 1)
        b2 = self.metric.Beta**2
        return (1 + b2) * both / (b2 * real + predicted)


class _Area(Count):
    """Keeps all scores: the area under the curve depends on the order of all of them."""

    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        self._parts.append((y.copy(), t.copy()))

    def value(self) -> float:
        if not self._parts:
            return float("nan")
        y, t = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        is_class = t > THRESHOLD if self.is_multilabel else t[:, None] == np.arange(y.shape[1])
        if self.metric.AverageType == "micro":
            return area_under_curve(y.ravel(), is_class.ravel())
        areas = np.array([area_under_curve(y[:, k], is_class[:, k]) for k in range(y.shape[1])])
        there = ~np.isnan(areas)
        counts = is_class.sum(axis=0)[there] if self.metric.AverageType == "weighted" else None
        return _mean(areas[there], counts)


def area_under_curve(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative in the right order (Mann and Whitney, 1947)."""
    positives = int(is_positive.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks = (below + (counts + 1) / 2)[places.reshape(-1)]
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


class _Errors(Count):
    """Root mean squared error, and mean absolute percentage error."""

    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        self._sum, self._count = 0.0, 0

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        error = t - y.astype(np.float64)
        if isinstance(self.metric, MAPEMetric):
            with np.errstate(divide="ignore", invalid="ignore"):
                self._sum += float(np.abs(error / t).sum())
        else:
            self._sum += float((error * error).sum())
        self._count += error.size

    def value(self) -> float:
        mean = _ratio(self._sum, self._count)
        return 100 * mean if isinstance(self.metric, MAPEMetric) else float(np.sqrt(mean))


class _RSquared(Count):
    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        self._moments, self._errors = Moments(), 0.0

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        target = t.astype(np.float64)
        self._moments.add(len(t), target.mean(axis=0), target.var(axis=0))
        self._errors = self._errors + ((y - target) ** 2).sum(axis=0)

    def value(self) -> float:
        total = self._moments.variance * self._moments.count
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(total > 0, 1 - self._errors / total, np.nan)
        return float(values.mean())


class FunctionCount(Count):
    """Calls a user's function with all predictions and targets at once.

    They are dlarrays of the format 'CB', channels x observations; time steps and pixels count as observations.
    Classes come one-hot.
    """

    def __init__(self, metric: Callable[..., Any], name: str) -> None:
        super().__init__(metric)
        self._name = name
        self._parts: list[list[np.ndarray]] = []

    def add(self, y: np.ndarray, t: np.ndarray) -> None:
        """Keep a part."""
        targets = t if t.ndim == 2 else (t[:, None] == np.arange(y.shape[1])).astype(y.dtype)
        self.add_outputs([y], [targets])

    def add_outputs(self, ys: Sequence[np.ndarray], ts: Sequence[np.ndarray]) -> None:
        """Keep a part of several outputs, with the targets (M, R) of each."""
        self._parts.append([each.copy() for each in (*ys, *ts)])

    def value(self) -> float:
        """Return what the function makes of all parts."""
        if not self._parts:
            return float("nan")
        arrays = [np.concatenate(part) for part in zip(*self._parts, strict=True)]
        where = f"{caller()}: Metrics: the function '{self._name}'"
        try:
            found = self.metric(*[dlarray(each.T, "CB") for each in arrays])
        except MlnetError:
            raise
        except Exception as error:
            raise DataError(f"{where} raised {type(error).__name__}: {error}") from error
        try:
            return np.asarray(found.extractdata() if isinstance(found, dlarray) else found, float).item()
        except (TypeError, ValueError):
            raise DataError(f"{where} needs to return a number, but returned {describe(found)}.") from None


_COUNTS: dict[type[Metric], type[Count]] = {
    AccuracyMetric: _Accuracy,
    PrecisionMetric: _Confusion,
    RecallMetric: _Confusion,
    FScoreMetric: _Confusion,
    AUCMetric: _Area,
    RMSEMetric: _Errors,
    MAPEMetric: _Errors,
    RSquaredMetric: _RSquared,
}


def new_count(metric: Metric | Callable[..., Any], name: str) -> Count:
    """Return an empty count for a metric or function."""
    return _COUNTS[type(metric)](metric) if isinstance(metric, Metric) else FunctionCount(metric, name)


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    if not values.size or (weights is not None and not weights.sum()):
        return float("nan")
    return float(np.average(values, weights=weights))


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def check_labels(targets: np.ndarray, where: str) -> None:
    """Raise `DataError` where targets are not 0 and 1."""
    others = targets[(targets != 0) & (targets != 1)]
    if others.size:
        raise DataError(
            f"{where}: needs targets of 0 and 1, one for each label (ClassificationMode='multilabel'), but got "
            f"{others.flat[0]:g}."
        )
