"""From a resolved network to the program that an engine runs, and the values of its parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mlnet.engines.program import Key, Node, Program
from mlnet.layers.base import Call, Layer
from mlnet.layers.output import OutputLayer
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source


def prediction_program(network: Resolved, ends: Sequence[Source] = ()) -> Program:
    """Return the operations that predict the outputs ``ends`` of layers, by default those of the output layers."""
    outputs = [Source(index) for index in network.output_indices]
    return _program(network, ends or outputs, training=False)


def training_program(network: Resolved) -> Program:
    """Return the operations of training, up to what the loss takes."""
    return _program(network, below_losses(network), training=True)


def layer_program(network: Resolved, ends: Sequence[Source], *, training: bool) -> Program:
    """Return the operations of the outputs ``ends`` of layers, for training or prediction."""
    return _program(network, ends, training=training)


def validation_program(network: Resolved) -> Program:
    """Return the operations that predict, up to what the loss takes."""
    return _program(network, below_losses(network), training=False)


def statistics_program(network: Resolved, predicting: Collection[str] = ()) -> Program:
    """Return the operations of training; layers with random ones and those named in ``predicting`` predict."""
    return _program(network, below_losses(network), training=True, random=False, predicting=predicting)


def below_losses(network: Resolved) -> list[Source]:
    """Return what the loss takes of each output.

    The softmax before a layer that compares with classes belongs to the loss, whose gradient is then exact also where
    a probability is too small for a float.
    """
    found = []
    for index in network.output_indices:
        (source,) = network.sources[index]
        layer = network.layers[index]
        if isinstance(layer, OutputLayer) and layer.takes_activation:
            (source,) = network.sources[source.layer]
        found.append(source)
    return found


def _program(
    network: Resolved, ends: Sequence[Source], *, training: bool, random: bool = True, predicting: Collection[str] = ()
) -> Program:
    """Return the operations of the outputs ``ends`` of layers and of everything that they depend on."""
    needed = _ancestors(network, ends)
    inputs = [index for index, layer in enumerate(network.layers) if not layer.inputs]
    nodes: list[Node] = []
    value_of: dict[Source, int] = {}  # layers that pass their input on put out the value before
    count = 0
    for index in network.order:
        if index not in needed:
            continue
        layer = network.layers[index]
        sources = tuple(value_of[source] for source in network.sources[index]) or (-1 - inputs.index(index),)
        call = layer.operation(*network.input_sizes(index), training=training and layer.Name not in predicting)
        if call is not None and call.random and not random:
            call = layer.operation(*network.input_sizes(index), training=False)
        if call is None:
            value_of.update({Source(index, output): sources[0] for output in range(max(1, len(layer.outputs)))})
            continue
        if call.derived is not None:
            nodes.append(as_node(layer.Name, (), call.derived))
            sources, count = (*sources, count), count + 1
        nodes.append(as_node(layer.Name, sources, call))
        value_of.update({Source(index, output): count + output for output in range(call.outputs)})
        count += call.outputs
    return Program(tuple(nodes), tuple(value_of[source] for source in ends))


def as_node(name: str, inputs: tuple[int, ...], call: Call) -> Node:
    """Return the node that runs a call of the layer ``name``."""
    fields = {field: value for field, value in vars(call).items() if field != "derived"}
    return Node(name=name, inputs=inputs, **fields)


def _ancestors(network: Resolved, ends: Sequence[Source]) -> set[int]:
    """Return the layers of ``ends`` and all layers that they depend on."""
    found: set[int] = set()
    waiting = [end.layer for end in ends]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += [source.layer for source in network.sources[index]]
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
