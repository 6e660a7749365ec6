"""From a resolved network to the program that an engine runs, and the values of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlnet.engines.program import Key, Node, Program
from mlnet.layers.activation import SoftmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.output import ClassificationOutputLayer
from mlnet.network.resolve import Resolved


def prediction_program(network: Resolved, last: int | None = None) -> Program:
    """Return the operations that predict, up to and including layer ``last`` (by default all)."""
    count = len(network.layers) if last is None else last + 1
    return _program(network, network.layers[:count], training=False)


def training_program(network: Resolved) -> Program:
    """Return the operations of training, up to what the loss takes."""
    return _program(network, _below_loss(network), training=True)


def validation_program(network: Resolved) -> Program:
    """Return the operations that predict, up to what the loss takes."""
    return _program(network, _below_loss(network), training=False)


def statistics_program(network: Resolved) -> Program:
    """Return the operations of training without the random ones."""
    return _program(network, _below_loss(network), training=True, random=False)


def _below_loss(network: Resolved) -> Sequence[Layer]:
    """Return the layers below the loss.

    The softmax before a classification layer belongs to the loss, whose gradient is then exact also where a
    probability is too small for a float.
    """
    layers = network.layers
    if isinstance(layers[-1], ClassificationOutputLayer):
        assert isinstance(layers[-2], SoftmaxLayer)
        return layers[:-2]
    return layers


def _program(network: Resolved, layers: Sequence[Layer], *, training: bool, random: bool = True) -> Program:
    nodes: list[Node] = []
    for index, layer in enumerate(layers):
        call = layer.operation(network.input_size(index), training=training)
        if call is not None and (random or not call.random):
            source = (len(nodes) - 1,)
            nodes.append(Node(layer.Name, call.operation, source, call.parameters, call.attributes, call.random))
    return Program(tuple(nodes))


def parameter_values(layers: Sequence[Layer], dtype: type = np.float32) -> dict[Key, np.ndarray]:
    """Return the learnables and states that layers hold, by (layer name, parameter name)."""
    values: dict[Key, np.ndarray] = {}
    for layer in layers:
        for name in [learnable.name for learnable in layer.learnables] + list(layer.states):
            value = getattr(layer, name)
            if value.size:
                values[layer.Name, name] = np.asarray(value, dtype)
    return values
