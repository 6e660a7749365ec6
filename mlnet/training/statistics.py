"""Statistics of data: those of the input layer before training, those of normalization layers after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mlnet.data.sources.arrays import chunks
from mlnet.data.sources.inputs import Part
from mlnet.data.sources.layout import columns_of
from mlnet.engines.base import Engine
from mlnet.engines.program import Key, StepPlan
from mlnet.layers.base import Layer
from mlnet.layers.input import InputLayer
from mlnet.layers.input_whitening import is_whitening
from mlnet.layers.per_channel import PopulationLayer
from mlnet.matrix_root import whitening_matrix
from mlnet.network.compile import statistics_program
from mlnet.network.resolve import Resolved
from mlnet.rules import read_only


class Moments:
    """Count, mean and sum of squared deviations of values that come in parts, in double precision.

    In place of a variance (C,) there may be covariances (groups, K, K) of groups of neighbouring channels.
    Parts are merged by the formulas of Chan, Golub and LeVeque, 1979, so that neither large offsets nor parts of uneven
    size do harm.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(())
        self._squares: np.ndarray = np.zeros(())

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Add a part by its count, mean and variance or covariances (divided by the count)."""
        mean = np.asarray(mean, np.float64)
        total = self.count + count
        difference = mean - self.mean if self.count else np.zeros_like(mean)
        self.mean = self.mean + difference * (count / total) if self.count else mean
        variance = np.asarray(variance, np.float64)
        added = variance * count + _squares(difference, variance.shape) * (self.count * count / total)
        self._squares = self._squares + added if self.count else added
        self.count = total

    @property
    def variance(self) -> np.ndarray:
        """The variance or the covariances, divided by the count."""
        return self._squares / self.count


def _squares(difference: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return squares, or products within each group where ``shape`` is that of covariances."""
    if shape == difference.shape:
        return difference**2
    rows = difference.reshape(shape[:-1])
    return rows[..., :, None] * rows[..., None, :]


def missing_statistics(layer: InputLayer, *, reset: bool) -> list[str]:
    """Return the statistics that the normalization of the input layer uses and that training has to compute."""
    return [name for name in layer.statistics() if reset or not getattr(layer, name).size]


def with_input_statistics(layer: InputLayer, predictors: Part, *, reset: bool) -> InputLayer:
    """Return a copy of the input layer with the statistics of its normalization set.

    Given statistics are kept where ``reset`` is false. Statistics are taken over the whole training set: for each
    channel ('auto', 'channel'), for each element, or over everything ('all'). Variances and covariances are divided by
    the count.
    """
    missing = missing_statistics(layer, reset=reset)
    if not missing:
        return layer
    if is_whitening(layer):
        return _with_whitening(layer, predictors, missing)
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
        values[name] = read_only(value.reshape(shape), np.float32)
    return layer.replaced(**values)


def _statistics(predictors: Part, axes: tuple[int, ...]) -> dict[str, np.ndarray]:
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


def _with_whitening(layer: InputLayer, predictors: Part, missing: list[str]) -> InputLayer:
    """Return a copy of the input layer with the missing ones of Mean and WhiteningMatrix."""
    size = layer.size()
    is_whole = layer.NormalizationDimension == "element"
    moments = Moments()
    for chunk in chunks(len(predictors), size.count):
        x = predictors.batch(chunk, np.float64)
        rows = columns_of(x) if is_whole else x.reshape(-1, size.channels)
        mean = rows.mean(axis=0)
        centred = rows - mean
        moments.add(len(rows), mean, (centred.T @ centred)[None] / len(rows))
    values = {}
    if "Mean" in missing:
        shape = (*[1] * len(size.spatial), size.channels) if size.spatial else (size.channels, 1)
        mean = moments.mean.reshape(size.dims, order="F") if is_whole and size.spatial else moments.mean.reshape(shape)
        values["Mean"] = read_only(mean, np.float32)
    if "WhiteningMatrix" in missing:
        is_symmetric = layer.Normalization == "zca-whitening"
        matrix = whitening_matrix(moments.variance[0], layer.WhiteningEpsilon, is_symmetric=is_symmetric)
        values["WhiteningMatrix"] = read_only(matrix, np.float32)
    return layer.replaced(**values)


class MovingStatistics:
    """Moving moments of the inputs of all layers that predict by statistics of the training set.

    After each mini-batch: ``decay * batch + (1 - decay) * before``, starting from the layer's own values, otherwise
    from mean 0 and variance 1. Validation during training uses them.
    """

    def __init__(self, network: Resolved, plan: StepPlan) -> None:
        self._layers = population_nodes(network, plan)
        self.moments: dict[int, list[np.ndarray]] = {}
        found: list[tuple[int, np.ndarray, float]] = []
        for number, (index, layer) in self._layers.items():
            moments = layer.first_moments(network.input_size(index))
            decays = [float(getattr(layer, option)) for option in layer.decays]
            found += [(number, *pair) for pair in zip(moments, decays, strict=True)]
        self._flat = np.concatenate([np.zeros(0), *[moment.ravel() for _, moment, _ in found]])
        self._batch = np.zeros_like(self._flat)
        self._decays = np.repeat([decay for *_, decay in found], [moment.size for _, moment, _ in found])
        stop = 0
        for number, moment, _ in found:
            start, stop = stop, stop + moment.size
            self.moments.setdefault(number, []).append(self._flat[start:stop].reshape(moment.shape))

    def update(self, plan: StepPlan) -> None:
        """Take in the mini-batch that ``plan`` ran last."""
        if not self._layers:
            return
        parts = []
        for number, (_, layer) in self._layers.items():
            saved = plan.saved[number]
            parts += [saved.mean.ravel(), getattr(saved, layer.spread_field).ravel()]
        np.concatenate(parts, out=self._batch)
        self._batch -= self._flat
        self._batch *= self._decays
        self._flat += self._batch

    @property
    def values(self) -> dict[Key, np.ndarray]:
        """The states that belong to the moments as they are now."""
        result: dict[Key, np.ndarray] = {}
        for number, (_, layer) in self._layers.items():
            result.update(_states(layer, *self.moments[number]))
        return result


def keep_states(plan: StepPlan, values: dict[Key, np.ndarray]) -> None:
    """Put the states that custom layers have returned for the mini-batch that ``plan`` ran last in the place of values.

    A state that got another size, such as one for each observation, begins anew with each mini-batch.
    """
    for node, saved in zip(plan.program.nodes, plan.saved, strict=True):
        if node.is_custom:
            for name, value in saved.states.items():
                if value.shape == values[node.name, name].shape:
                    values[node.name, name][...] = value


def _states(layer: PopulationLayer, mean: np.ndarray, spread: np.ndarray) -> dict[Key, np.ndarray]:
    return {(layer.Name, name): value for name, value in layer.trained_states(mean, spread).items()}


def population_nodes(network: Resolved, plan: StepPlan) -> dict[int, tuple[int, PopulationLayer]]:
    """Return the number of each node that normalizes by the mini-batch, with the number of the layer and the layer."""
    layers = {layer.Name: (i, layer) for i, layer in enumerate(network.layers) if isinstance(layer, PopulationLayer)}
    return {number: layers[node.name] for number, node in enumerate(plan.program.nodes) if node.name in layers}


Batches = Callable[[], Iterable[tuple[Any, Any]]]
"""What gives the mini-batches (x, lengths) of one pass over the training set."""


def population_statistics(
    network: Resolved, engine: Engine, values: dict[Key, np.ndarray], batches: Batches
) -> dict[Key, np.ndarray]:
    """Return the states that belong to the moments of layer inputs over all ``batches``.

    One pass with the final parameters and without dropout. The input of a layer is what the layers below put out in
    that pass, in which normalizations are by the mini-batch, as in training. Second moments are divided by the count.
    """
    plan = engine.plan(engine.fuse(statistics_program(network)), is_training=False)
    return _one_pass(network, plan, population_nodes(network, plan), values, batches)


def exact_population_statistics(
    network: Resolved, engine: Engine, values: dict[Key, np.ndarray], batches: Batches
) -> dict[Key, np.ndarray]:
    """Return the states that belong to the moments of layer inputs as they are at prediction.

    One pass for each layer, from the first to the last: the layers below already have their final states.
    """
    result: dict[Key, np.ndarray] = {}
    fixed: set[str] = set()
    while True:
        plan = engine.plan(engine.fuse(statistics_program(network, fixed)), is_training=False)
        nodes = population_nodes(network, plan)
        number = next((number for number, (_, layer) in nodes.items() if layer.Name not in fixed), None)
        if number is None:
            return result
        found = _one_pass(network, plan, {number: nodes[number]}, {**values, **result}, batches)
        result.update({key: value.astype(np.float32) for key, value in found.items()})  # as the network keeps them
        fixed.add(nodes[number][1].Name)


def _one_pass(
    network: Resolved,
    plan: StepPlan,
    nodes: dict[int, tuple[int, PopulationLayer]],
    values: dict[Key, np.ndarray],
    batches: Batches,
) -> dict[Key, np.ndarray]:
    """Return the states of the layers of ``nodes``, from the moments that their operations save."""
    if not nodes:
        return {}
    moments = {number: Moments() for number in nodes}
    has_sequences = any(layer.size().is_sequence for layer in network.input_layers)
    for x, lengths in batches():
        plan.forward(x, values, last=max(nodes), lengths=lengths)
        observations = len(x[0] if isinstance(x, tuple) else x)
        for number, (index, layer) in nodes.items():
            saved, size = plan.saved[number], network.input_size(index)
            if has_sequences:
                count = plan.values[plan.program.first_values[number]].size // saved.mean.size
            else:  # without a look at the values, which an engine may keep in other layouts
                count = observations * size.count // size.channels
            moments[number].add(count, saved.mean, getattr(saved, layer.spread_field))
    result: dict[Key, np.ndarray] = {}
    for number, (_, layer) in nodes.items():
        result.update(_states(layer, moments[number].mean, moments[number].variance))
    return result


def with_values(network: Resolved, values: dict[Key, np.ndarray]) -> list[Layer]:
    """Return copies of the layers of a network that hold ``values``, as read-only single precision arrays."""
    result = []
    for index, layer in enumerate(network.layers):
        mine = {}
        for name in [learnable.name for learnable in layer.learnables] + list(layer.states):
            if (layer.Name, name) in values:
                shape = layer.parameter_shape(name, network.input_size(index))
                mine[name] = read_only(values[layer.Name, name].reshape(shape), np.float32)
        result.append(layer.replaced(**mine))
    return result
