"""Metrics of networks without output layers, which may have several outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.errors import OptionError
from mlnet.rules import is_empty
from mlnet.training.caller import caller
from mlnet.training.counting import Count, FunctionCount, new_count
from mlnet.training.metering import Counts, Meters, Result
from mlnet.training.metrics import BY_NAME, Metric


class Output(NamedTuple):
    """An output: its name, whether its targets are classes, and whether each number is a yes or no of its own."""

    name: str
    has_classes: bool
    is_binary: bool = False


class NetMeters(Meters):
    """The metrics that options ask for, of the outputs of a network.

    Raises
    ------
    OptionError
        Where metrics do not fit the network, or have the same name.
    """

    def __init__(self, given: Any, outputs: Sequence[Output]) -> None:
        self._outputs = list(outputs)
        self._take(given, "")

    def counts(self) -> Counts:
        """Return empty counts."""
        parts = {name: (new_count(metric, name), self._place(metric)) for name, metric in self._metrics.items()}
        return NetCounts(parts, self._outputs)

    def _place(self, metric: Any) -> int | None:
        """Return the number of the output that a metric is of; None for functions, which take all."""
        if not isinstance(metric, Metric):
            return None
        return (
            0 if is_empty(metric.NetworkOutput) else [each.name for each in self._outputs].index(metric.NetworkOutput)
        )

    def _check(self, metric: Metric) -> None:
        where = f"{caller()}: Metrics: {type(metric).__name__} '{metric.Name}'"
        names = [each.name for each in self._outputs]
        listed = ", ".join(f"'{name}'" for name in names)
        if is_empty(metric.NetworkOutput):
            if len(names) > 1:
                raise OptionError(
                    f"{where}: NetworkOutput: needs one of the outputs {listed} of this network, but is []."
                )
        elif metric.NetworkOutput not in names:
            raise OptionError(f"{where}: NetworkOutput: needs one of {listed}, but is '{metric.NetworkOutput}'.")
        output = self._outputs[self._place(metric) or 0]
        if metric.is_multilabel:
            if output.has_classes and not output.is_binary:
                raise OptionError(f"{where}: ClassificationMode='multilabel' is for numbers, one for each label.")
        elif metric.of_classes != output.has_classes:
            task, kind = ("classes", "responses") if metric.of_classes else ("responses", "classes")
            others = [name for name, each in BY_NAME.items() if each.of_classes == output.has_classes]
            raise OptionError(
                f"{where}: is for {task}, but the targets of '{output.name}' are {kind}. Use {', '.join(others)}."
            )


class NetCounts(Counts):
    """What metrics of several outputs have added up."""

    def __init__(self, parts: dict[str, tuple[Count, int | None]], outputs: Sequence[Output]) -> None:
        super().__init__({name: count for name, (count, _) in parts.items()}, "")
        self._places = {name: place for name, (_, place) in parts.items()}
        self._outputs = outputs

    def add(self, scores: Any, targets: Any) -> None:
        """Take in a mini-batch: what each output puts out, and its targets."""
        if not self._counts:
            return
        ys = scores if isinstance(scores, tuple) else (scores,)
        ts = targets if isinstance(targets, tuple) else (targets,)
        for name, count in self._counts.items():
            place = self._places[name]
            if isinstance(count, FunctionCount):
                count.add_outputs([_rows(y) for y in ys], [_one_hot(t, y) for t, y in zip(ts, ys, strict=True)])
                continue
            y, t = ys[place or 0], ts[place or 0]
            if count.is_multilabel:
                y, t = _rows(y), _rows(t)
            else:
                y, t = _matched(y, t, self._outputs[place or 0])
            if len(y):
                count.add(y, t)

    def result(self, result: Result) -> Result:
        """Return a result with the values of the metrics."""
        return Result(result.loss, result.metric, tuple(count.value() for count in self._counts.values()))


def _rows(y: np.ndarray) -> np.ndarray:
    return y.reshape(-1, y.shape[-1])


def _one_hot(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    if t.dtype.kind != "i":
        return _rows(t)
    return (t.reshape(-1, 1) == np.arange(y.shape[-1])).astype(y.dtype)


def _matched(y: np.ndarray, t: np.ndarray, output: Output) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (M, K) and classes (M,), or predictions and targets (M, R)."""
    y = _rows(y)
    if not output.has_classes:
        return y, t.reshape(y.shape)
    if t.dtype.kind == "i":
        t = t.reshape(-1)
        return y[t >= 0], t[t >= 0]
    t = t.reshape(y.shape)
    if output.is_binary or y.shape[1] == 1:
        y = y.reshape(-1, 1)
        return np.concatenate([1 - y, y], axis=1), (t.reshape(-1) > 0.5).astype(np.int64)
    return y, t.argmax(axis=1)
