"""Loss and metric of a network on a data set, with the statistics of prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.inputs import Source
from mlnet.data.sequences import SequenceClassTargets, SequenceResponseTargets
from mlnet.data.targets import ClassTargets, ResponseTargets
from mlnet.engines.base import Engine, Workspace
from mlnet.engines.program import Key, StepPlan
from mlnet.network.compile import validation_program
from mlnet.network.resolve import Resolved

Targets = ClassTargets | ResponseTargets | SequenceClassTargets | SequenceResponseTargets


class DataSet(NamedTuple):
    """Predictors and their targets."""

    predictors: Source
    targets: Targets


class Result(NamedTuple):
    """Loss, and accuracy in percent or root mean squared error."""

    loss: float
    metric: float


class Objective:
    """The loss of a network on one engine, and the metric that goes with it."""

    def __init__(self, network: Resolved, engine: Engine) -> None:
        layer = network.output_layer
        self._loss = engine.losses[layer.loss]
        self._weights: np.ndarray | None = None
        self.is_classification = layer.metric == "Accuracy"
        if self.is_classification and not isinstance(layer.ClassWeights, str):
            self._weights = np.asarray(layer.ClassWeights)

    def evaluate(
        self, z: np.ndarray, targets: np.ndarray, workspace: Any, lengths: np.ndarray | None = None
    ) -> tuple[Result, Any]:
        """Return loss and metric of a mini-batch, and the record that `gradient` needs.

        With ``lengths``, ``z`` are packed sequences: the loss of each is the mean over its time steps.
        """
        shares = None if lengths is None else np.repeat(1 / (len(lengths) * lengths), lengths)
        scores, loss, saved = self._loss.forward(z, targets, weights=self._weights, shares=shares, workspace=workspace)
        if self.is_classification:
            predicted = scores.reshape(-1, scores.shape[-1]).argmax(axis=1)
            return Result(loss, 100 * np.count_nonzero(predicted == targets.ravel()) / len(predicted)), saved
        return Result(loss, math.sqrt(2 * loss)), saved  # the loss is half the squared error

    def gradient(self, saved: Any, workspace: Any) -> np.ndarray:
        """Return the gradient of the loss with respect to what it took."""
        return self._loss.backward(saved, workspace=workspace)


class Validator:
    """Computes loss and metric over a whole data set in mini-batches."""

    def __init__(
        self, network: Resolved, engine: Engine, objective: Objective, data: DataSet, mini_batch_size: int
    ) -> None:
        self._plan = StepPlan(engine, engine.fuse(validation_program(network)))
        self._objective, self._data, self._size = objective, data, mini_batch_size

    def __call__(self, values: Mapping[Key, np.ndarray]) -> Result:
        """Return loss and metric with the given parameters and statistics."""
        workspace = Workspace()
        count = len(self._data.predictors)
        loss = metric = 0.0
        for start in range(0, count, self._size):
            index = slice(start, min(start + self._size, count))
            lengths = self._data.predictors.lengths(index)
            z = self._plan.forward(self._data.predictors.batch(index), values, lengths=lengths)
            targets = self._data.targets.batch(index)
            result, _ = self._objective.evaluate(z, targets, workspace, self._plan.output_lengths())
            share = (index.stop - index.start) / count
            loss += share * result.loss
            metric += share * (result.metric if self._objective.is_classification else result.metric**2)
        return Result(loss, metric if self._objective.is_classification else math.sqrt(metric))
