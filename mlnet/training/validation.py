"""Loss and metric of a network on a data set, with the statistics of prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.sources.inputs import Source
from mlnet.engines.base import Engine, Workspace
from mlnet.engines.program import Key, StepPlan
from mlnet.errors import DataError
from mlnet.layers.output import ClassesOutputLayer
from mlnet.network.compile import validation_program
from mlnet.network.resolve import Resolved
from mlnet.rules import EMPTY
from mlnet.training.caller import caller
from mlnet.training.metering import Average, Meters, Result
from mlnet.training.options import TrainingOptions


class DataSet(NamedTuple):
    """Predictors and their targets: `Targets`, or those of several outputs."""

    predictors: Source
    targets: Any


def put_out(plan: StepPlan, x: Any) -> tuple[Any, Any]:
    """Return what a plan has put out for ``x``, and the lengths of its sequences; tuples for several outputs."""
    count = len(plan.program.outputs)
    if count == 1:
        return plan.output(x), plan.output_lengths()
    numbers = range(count)
    return tuple(plan.output(x, n) for n in numbers), tuple(plan.output_lengths(n) for n in numbers)


class Objective:
    """The loss of a network on one engine, and the metrics that go with it.

    ``needs_all`` tells that the loss of all data is not the mean of those of mini-batches, ``validates_first`` that
    the network is validated before the first iteration instead of behind it, ``advice`` what to do about a loss that is
    not finite where all outputs are.
    """

    needs_all = False
    validates_first = False
    advice = "Lower InitialLearnRate, or set GradientThreshold=1."

    def __init__(self, network: Resolved, engine: Engine, meters: Meters | None = None) -> None:
        layer = network.output_layer
        self.meters = meters or Meters(EMPTY, layer)
        self._loss, self._attributes = engine.losses[layer.loss], layer.loss_attributes()
        self._by_position = layer.averages == "positions"
        self._weights = layer.class_weights() if isinstance(layer, ClassesOutputLayer) else None
        self.is_classification = layer.metric == "Accuracy"
        self._takes_lengths = layer.takes_lengths
        self._squared_error = engine.losses["half_mean_squared_error"]
        self._is_squared_error = layer.loss == "half_mean_squared_error"
        self.is_least_squares = layer.loss == "half_mean_squared_error"
        self.least_squares_message = (
            f"Layer '{layer.Name}' ({layer.type_name}): the solver 'lm' needs a regressionLayer, whose loss is a sum "
            "of squares."
        )

    @classmethod
    def of(cls, network: Resolved, engine: Engine, options: TrainingOptions) -> Objective:
        """Return the loss of the output layer of a network, with the metrics that options ask for."""
        return cls(network, engine, Meters(options.Metrics, network.output_layer))

    def evaluate(self, z: Any, targets: Any, workspace: Any, lengths: Any = None) -> tuple[Result, Any, Any]:
        """Return loss and metric of a mini-batch, its scores or predictions, and the record that `gradient` needs.

        With ``lengths``, ``z`` are packed sequences: the loss of each is the mean over its time steps. The accuracy of
        a mini-batch of images without any label is NaN, its loss 0.
        """
        if lengths is not None and len(z) != len(targets):
            raise DataError(
                f"{caller()}: Y: needs a target for each of the {len(z)} time steps that the network puts out for a "
                f"mini-batch, but has {len(targets)}, as many as X. Keep the number of time steps: Stride 1 and "
                "Padding='same' or 'causal'."
            )
        shares = None
        if lengths is not None:
            shares = np.repeat(1 / (len(lengths) * lengths), lengths)
        elif self._by_position:
            shares = np.full(len(z), 1 / max(1, int(np.count_nonzero(targets >= 0))))
        attributes = {**self._attributes, "lengths": lengths} if self._takes_lengths else self._attributes
        scores, loss, saved = self._loss.forward(
            z, targets, weights=self._weights, shares=shares, workspace=workspace, **attributes
        )
        if not self.is_classification:
            half = loss
            if not self._is_squared_error:
                _, half, _ = self._squared_error.forward(scores, targets, shares=shares, workspace=Workspace())
            return Result(loss, math.sqrt(2 * half)), scores, saved
        labelled = np.count_nonzero(targets >= 0)
        correct = np.count_nonzero(scores.reshape(-1, scores.shape[-1]).argmax(axis=1) == targets.ravel())
        return Result(loss, 100 * correct / labelled if labelled else math.nan), scores, saved

    def counts(self, targets: Any, observations: int, lengths: Any = None) -> tuple[int, int]:
        """Return how much loss and metric of a mini-batch count in those of a data set.

        For images of labels these are the pixels with a label; for a loss that is a mean over images, the images.
        """
        if lengths is not None or targets.ndim == 1 or not self.is_classification:
            return observations, observations
        labelled = targets >= 0
        pixels = int(np.count_nonzero(labelled))
        images = int(np.count_nonzero(labelled.reshape(observations, -1).any(axis=1)))
        return (pixels if self._by_position else images), pixels

    def average(self) -> Average:
        """Return what adds up the results of mini-batches to those of a data set."""
        return Average(self.meters, is_classification=self.is_classification)

    def residual_shares(self, saved: Any) -> np.ndarray:
        """Return how much half the square of each residual counts in a loss that is a sum of squares."""
        return np.asarray(saved.factor)

    def gradient(self, saved: Any, workspace: Any) -> Any:
        """Return the gradient of the loss with respect to what it took."""
        return self._loss.backward(saved, workspace=workspace)


MakesObjective = Callable[[Resolved, Engine, TrainingOptions], Objective]
"""What makes the loss of a network on an engine, with the metrics that options ask for."""


class Validator:
    """Computes loss and metric over a whole data set in mini-batches."""

    def __init__(
        self, network: Resolved, engine: Engine, objective: Objective, data: DataSet, mini_batch_size: int
    ) -> None:
        self._plan = engine.plan(engine.fuse(validation_program(network)), is_training=False)
        self._objective, self._data, self._size = objective, data, mini_batch_size

    def __call__(self, values: Mapping[Key, np.ndarray]) -> Result:
        """Return loss and metric with the given parameters and statistics."""
        workspace = Workspace()
        values = {key: np.asarray(value, np.float32) for key, value in values.items()}  # as the network keeps them
        count, average = len(self._data.predictors), self._objective.average()
        for start in range(0, count, self._size):
            index = slice(start, min(start + self._size, count))
            lengths = self._data.predictors.lengths(index)
            x = self._data.predictors.batch(index)
            self._plan.forward(x, values, lengths=lengths)
            z, lengths = put_out(self._plan, x)
            targets = self._data.targets.batch(index)
            result, scores, _ = self._objective.evaluate(z, targets, workspace, lengths)
            average.add(result, self._objective.counts(targets, index.stop - index.start, lengths), scores, targets)
        return average.result()
