"""Statistics of data: those of the input layer before training, those of batch normalization after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from mlnet.data.arrays import Predictors, chunks
from mlnet.data.sequences import SequencePredictors
from mlnet.engines.base import Engine
from mlnet.engines.program import Key, StepPlan
from mlnet.layers.base import Layer
from mlnet.layers.input import InputLayer
from mlnet.layers.normalization import BatchNormalizationLayer
from mlnet.network.compile import statistics_program
from mlnet.network.resolve import Resolved


class Moments:
    """Count, mean and sum of squared deviations of values that come in parts, in double precision.

    Parts are merged by the formulas of Chan, Golub and LeVeque, 1979, so that neither large offsets nor parts of uneven
    size do harm.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(())
        self._squares: np.ndarray = np.zeros(())

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Add a part by its count, mean and variance (divided by the count)."""
        mean = np.asarray(mean, np.float64)
        total = self.count + count
        difference = mean - self.mean if self.count else np.zeros_like(mean)
        self.mean = self.mean + difference * (count / total) if self.count else mean
        added = np.asarray(variance, np.float64) * count + difference**2 * (self.count * count / total)
        self._squares = self._squares + added if self.count else added
        self.count = total

    @property
    def variance(self) -> np.ndarray:
        """The variance, divided by the count."""
        return self._squares / self.count


def missing_statistics(layer: InputLayer, *, reset: bool) -> list[str]:
    """Return the statistics that the normalization of the input layer uses and that training has to compute."""
    return [name for name in layer.statistics() if reset or not getattr(layer, name).size]


def with_input_statistics(layer: InputLayer, predictors: Predictors | SequencePredictors, *, reset: bool) -> InputLayer:
    """Return a copy of the input layer with the statistics of its normalization set.

    Given statistics are kept where ``reset`` is false. Statistics are taken over the whole training set: for each
    channel ('auto', 'channel'), for each element, or over everything ('all'). StandardDeviation divides by the count.
    """
    missing = missing_statistics(layer, reset=reset)
    if not missing:
        return layer
    size = layer.size()
    axes: dict[str, tuple[int, ...]] = {
        "element": (0,),
        "all": tuple(range(len(size.dims) + 1)),
        "channel": tuple(range(len(size.dims))),
    }
    kind = "channel" if layer.NormalizationDimension == "auto" else layer.NormalizationDimension
    found = _statistics(predictors, axes[kind])
    values = {}
    for name in missing:
        value = found[name]
        shape = {"element": size.dims, "all": (1, 1)}.get(kind, (*[1] * len(size.spatial), size.channels))
        shape = shape if size.spatial or kind == "all" else (size.channels, 1)
        values[name] = value.astype(np.float32).reshape(shape)
        values[name].flags.writeable = False
    return layer.replaced(**values)


def _statistics(predictors: Predictors | SequencePredictors, axes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return mean, deviation and range of all data, reading them in chunks."""
    moments = Moments()
    highest: np.ndarray | None = None
    lowest: np.ndarray | None = None
    for chunk in chunks(len(predictors), int(np.prod(predictors.dims))):
        x = predictors.batch(chunk, np.float64)
        mean = x.mean(axis=axes)
        moments.add(x.size // mean.size, mean, x.var(axis=axes))
        high, low = x.max(axis=axes), x.min(axis=axes)
        highest = high if highest is None else np.maximum(highest, high)
        lowest = low if lowest is None else np.minimum(lowest, low)
    assert highest is not None and lowest is not None
    return {"Mean": moments.mean, "StandardDeviation": np.sqrt(moments.variance), "Max": highest, "Min": lowest}


class MovingStatistics:
    """Moving mean and variance of the inputs of all batch-normalization layers.

    After each mini-batch: ``decay * batch + (1 - decay) * before``, starting from the layer's own values, otherwise
    from mean 0 and variance 1. Validation during training uses them.
    """

    def __init__(self, network: Resolved, plan: StepPlan) -> None:
        self._nodes = batch_normalization_nodes(network, plan)
        self.values: dict[Key, np.ndarray] = {}
        self._decays: dict[str, tuple[float, float]] = {}
        for index, layer in enumerate(network.layers):
            if isinstance(layer, BatchNormalizationLayer):
                shape = layer.parameter_shape("TrainedMean", network.input_size(index))
                start = {"TrainedMean": 0.0, "TrainedVariance": 1.0}
                for name, value in start.items():
                    given = getattr(layer, name)
                    self.values[layer.Name, name] = (
                        given.astype(np.float64).reshape(shape) if given.size else np.full(shape, value)
                    )
                self._decays[layer.Name] = layer.MeanDecay, layer.VarianceDecay

    def update(self, plan: StepPlan) -> None:
        """Take in the mini-batch that ``plan`` ran last."""
        for number, name in self._nodes.items():
            saved = plan.saved[number]
            batch = (saved.mean, saved.variance)
            for state, value, decay in zip(("TrainedMean", "TrainedVariance"), batch, self._decays[name], strict=True):
                before = self.values[name, state]
                self.values[name, state] = decay * value.reshape(before.shape) + (1 - decay) * before


def batch_normalization_nodes(network: Resolved, plan: StepPlan) -> dict[int, str]:
    """Return the number and the layer name of the nodes that normalize by the mini-batch."""
    names = {layer.Name for layer in network.layers if isinstance(layer, BatchNormalizationLayer)}
    return {number: node.name for number, node in enumerate(plan.program.nodes) if node.name in names}


def population_statistics(
    network: Resolved,
    engine: Engine,
    values: dict[Key, np.ndarray],
    batches: Callable[[], Iterable[tuple[np.ndarray, np.ndarray | None]]],
) -> dict[Key, np.ndarray]:
    """Return mean and variance of the input of every batch-normalization layer over all ``batches`` (x, lengths).

    One pass with the final parameters and without dropout. The input of a layer is what the layers below put out in
    that pass, in which batch-normalization layers normalize by the mini-batch, as in training. Variances are divided by
    the count.
    """
    plan = StepPlan(engine, statistics_program(network))
    nodes = batch_normalization_nodes(network, plan)
    if not nodes:
        return {}
    moments = {name: Moments() for name in nodes.values()}
    for x, lengths in batches():
        plan.forward(x, values, last=max(nodes), lengths=lengths)
        for number, name in nodes.items():
            saved = plan.saved[number]
            count = plan.outputs[number].size // saved.mean.size
            moments[name].add(count, saved.mean.ravel(), saved.variance.ravel())
    result: dict[Key, np.ndarray] = {}
    for name, found in moments.items():
        result[name, "TrainedMean"], result[name, "TrainedVariance"] = found.mean, found.variance
    return result


def with_values(network: Resolved, values: dict[Key, np.ndarray]) -> list[Layer]:
    """Return copies of the layers of a network that hold ``values``, as read-only single precision arrays."""
    result = []
    for index, layer in enumerate(network.layers):
        mine = {}
        for name in [learnable.name for learnable in layer.learnables] + list(layer.states):
            if (layer.Name, name) in values:
                shape = layer.parameter_shape(name, network.input_size(index))
                mine[name] = np.array(values[layer.Name, name], np.float32).reshape(shape)
                mine[name].flags.writeable = False
        result.append(layer.replaced(**mine))
    return result
