"""From a resolved network to the program that an engine runs, and the values of its parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mlnet.engines.program import Key, Node, Program
from mlnet.layers.base import Call, Layer
from mlnet.layers.output import ClassificationOutputLayer
from mlnet.network.resolve import Resolved


def prediction_program(network: Resolved, last: int | None = None) -> Program:
    """Return the operations that predict, up to and including layer ``last`` (by default the output)."""
    return _program(network, network.output_index if last is None else last, training=False)


def training_program(network: Resolved) -> Program:
    """Return the operations of training, up to what the loss takes."""
    return _program(network, _below_loss(network), training=True)


def validation_program(network: Resolved) -> Program:
    """Return the operations that predict, up to what the loss takes."""
    return _program(network, _below_loss(network), training=False)


def statistics_program(network: Resolved, predicting: Collection[str] = ()) -> Program:
    """Return the operations of training without the random ones; the layers named in ``predicting`` predict."""
    return _program(network, _below_loss(network), training=True, random=False, predicting=predicting)


def _below_loss(network: Resolved) -> int:
    """Return the layer below the loss.

    The softmax before a classification layer belongs to the loss, whose gradient is then exact also where a
    probability is too small for a float.
    """
    (index,) = network.sources[network.output_index]
    if isinstance(network.output_layer, ClassificationOutputLayer):
        (index,) = network.sources[index]
    return index


def _program(
    network: Resolved, last: int, *, training: bool, random: bool = True, predicting: Collection[str] = ()
) -> Program:
    """Return the operations of layer ``last`` and of everything that it depends on."""
    needed = _ancestors(network, last)
    inputs = [index for index, layer in enumerate(network.layers) if not layer.inputs]
    nodes: list[Node] = []
    node_of: dict[int, int] = {}  # layers that pass their input on stand for the node before
    for index in network.order:
        if index not in needed:
            continue
        layer = network.layers[index]
        sources = tuple(node_of[source] for source in network.sources[index]) or (-1 - inputs.index(index),)
        call = layer.operation(*network.input_sizes(index), training=training and layer.Name not in predicting)
        if call is None or (call.random and not random):
            node_of[index] = sources[0]
        else:
            node_of[index] = len(nodes)
            nodes.append(as_node(layer.Name, sources, call))
    return Program(tuple(nodes))


def as_node(name: str, inputs: tuple[int, ...], call: Call) -> Node:
    """Return the node that runs a call of the layer ``name``."""
    fields = {field: value for field, value in vars(call).items() if field != "derived"}
    return Node(name=name, inputs=inputs, **fields)


def _ancestors(network: Resolved, index: int) -> set[int]:
    """Return a layer and all layers that it depends on."""
    found: set[int] = set()
    waiting = [index]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += network.sources[index]
    return found


def parameter_values(layers: Sequence[Layer], dtype: type = np.float32) -> dict[Key, np.ndarray]:
    """Return the learnables and states that layers hold, by (layer name, parameter name)."""
    values: dict[Key, np.ndarray] = {}
    for layer in layers:
        for name in [learnable.name for learnable in layer.learnables] + list(layer.states):
            value = getattr(layer, name)
            if value.size:
                values[layer.Name, name] = np.asarray(value, dtype)
    return values
