"""What stands around a layer that is tried: input and output layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlnet.errors import NetworkError
from mlnet.layers.activation import SoftmaxLayer
from mlnet.layers.base import Layer, Size
from mlnet.layers.general_input import inputLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer, regressionLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.network.resolve import Resolved, resolve
from mlnet.network.wiring import Source

NAME = "layer"
"""The name of the layer that is tried."""


def network_of(layer: Layer, sizes: Sequence[Size]) -> Resolved:
    """Return a network of one layer between input and output layers, or of an input or output layer and what it needs.

    Raises
    ------
    NetworkError
        Where the layer does not take the sizes.
    """
    named = layer.replaced(Name=NAME)
    before = [] if isinstance(layer, InputLayer) else [_input(f"in{n}", size) for n, size in enumerate(sizes, start=1)]
    after = [regressionLayer(Name=f"out{number}") for number in range(1, len(layer.outputs) + 1)]
    pairs = [(Port(source.Name, "out"), Port(NAME, port)) for source, port in zip(before, layer.inputs, strict=True)]
    pairs += [(Port(NAME, port), Port(target.Name, "in")) for port, target in zip(layer.outputs, after, strict=True)]
    wires = [Connection(*pair) for pair in pairs]
    try:
        return resolve(LayerGraph([*before, named, *after], wires))
    except NetworkError:
        if not isinstance(layer, OutputLayer):
            raise
        between = SoftmaxLayer(Name="softmax")  # what output layers of classes need before them
        wires = [Connection(Port("in1", "out"), Port("softmax", "in")), Connection(Port("softmax", "out"), wires[0][1])]
        return resolve(LayerGraph([*before, between, named], wires))


def _input(name: str, size: Size) -> Layer:
    labels = size.format.removesuffix("T")
    rest = "BT" if size.is_sequence else "B"
    layer: Layer = inputLayer([*size.dims, *[np.nan] * len(rest)], labels + rest, Name=name)
    return layer


def ends_of(network: Resolved) -> list[Source]:
    """Return the outputs that are looked at: those of the layer, without numbers that only tell the mini-batch size."""
    ends = [network.sources[index][0] for index in network.output_indices]
    return [
        end
        for end in ends
        if end.output == 0
        or network.layers[end.layer].operation(*network.input_sizes(end.layer), training=False) is not None
    ]
