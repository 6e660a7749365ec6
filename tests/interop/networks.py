"""Small networks with random parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.table import case_of

import mlnet
from mlnet.network.resolve import resolve
from mlnet.rules import read_only
from mlnet.training.statistics import with_values

POSITIVE = {"TrainedVariance", "StandardDeviation"}


def random_network(layers: Any, seed: int = 0) -> Any:
    """Return a network of layers, with random numbers for all parameters that have none."""
    generator = np.random.default_rng(seed)
    network = resolve(layers)
    filled = []
    for index, layer in enumerate(network.layers):
        values = {}
        for name in [*(each.name for each in layer.learnables), *layer.states]:
            shape = layer.parameter_shape(name, network.input_size(index))
            value = generator.normal(0, 0.5, shape)
            if name == "TrainedWhiteningMatrix":
                value = value + np.eye(*shape[:2]).reshape(*shape[:2], *[1] * (len(shape) - 2))
            if np.size(getattr(layer, name)):
                continue
            values[name] = read_only(np.abs(value) + 0.3 if name in POSITIVE else value, np.float32)
        filled.append(layer.replaced(**values))
    kind = mlnet.DAGNetwork if isinstance(layers, mlnet.LayerGraph) else mlnet.SeriesNetwork
    return kind(network.with_layers(filled))


def filled(name: str, row: Any) -> mlnet.DAGNetwork:
    """Return a network of a row of the conformance table, with random parameters."""
    case = case_of(name, row)
    values = {key: value.astype(np.float32) for key, value in case.parameters.items()}
    return mlnet.DAGNetwork(case.with_statistics.with_layers(with_values(case.with_statistics, values)))
