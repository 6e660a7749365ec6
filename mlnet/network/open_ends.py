"""Graphs without output layers, and without some input layers, as dlnetwork takes them.

Helper layers at the open ends make them graphs that are resolved and compiled as all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnet.errors import DataError, NetworkError, message
from mlnet.functional.batches import size_of
from mlnet.layers.base import Layer, Size, layer_table
from mlnet.layers.general_input import inputLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port


class EndLayer(OutputLayer):
    """Stands behind an output that the network puts out."""

    type_name = "Network Output"
    base_name = "end"
    table = layer_table()


class JoinedEndLayer(EndLayer):
    """Stands behind a softmax or sigmoid layer that the loss computes."""

    takes_activation = True


@dataclass(frozen=True)
class OpenEnds:
    """The ends of a graph: its input layers, and the inputs and outputs of layers that nothing feeds or uses."""

    graph: LayerGraph
    layers: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def input_names(self) -> list[str]:
        """Names of the input layers, then of the open inputs."""
        return [*self.layers, *(_text(port, self._layer(port).inputs) for port in self.inputs)]

    @property
    def output_names(self) -> list[str]:
        """Names of the open outputs."""
        return [_text(port, self._layer(port).outputs) for port in self.outputs]

    def example_sizes(self, examples: Sequence[Any], where: str) -> list[Size]:
        """Return the sizes of the open inputs by examples of them, or of these and of the input layers before them.

        Raises
        ------
        DataError
            Where there is not one for each, or one is not formatted.
        """
        if len(examples) not in ((len(self.inputs), len(self.input_names)) if self.inputs else (0, len(self.layers))):
            needed = f"an example of each of the {len(self.input_names)} inputs {', '.join(self.input_names)}"
            raise DataError(message(where, needed, f"{len(examples)}", "Give formatted dlarrays."))
        return [size_of(each, where) for each in (examples[-len(self.inputs) :] if self.inputs else ())]

    def closed(self, sizes: Sequence[Size]) -> LayerGraph:
        """Return the graph with a helper at each open end; ``sizes`` are those of the open inputs."""
        starts = [
            inputLayer(
                [*size.dims, *[np.nan] * (1 + size.is_sequence)],
                size.format.replace("T", "") + "B" + "T" * size.is_sequence,
                Name=f"input of {_text(port, self._layer(port).inputs)}",
            )
            for port, size in zip(self.inputs, sizes, strict=True)
        ]
        ends = [EndLayer(Name=f"output of {name}") for name in self.output_names]
        wires = [Connection(Port(each.Name, "out"), port) for each, port in zip(starts, self.inputs, strict=True)]
        wires += [Connection(port, Port(each.Name, "in")) for each, port in zip(ends, self.outputs, strict=True)]
        return LayerGraph([*self.graph.Layers, *starts, *ends], [*self.graph.wires, *wires])

    def _layer(self, port: Port) -> Layer:
        return self.graph.layer(port.layer, "dlnetwork")


def open_ends(graph: LayerGraph) -> OpenEnds:
    """Return the ends of a graph.

    Raises
    ------
    NetworkError
        Where it has output layers.
    """
    layers = list(graph.Layers)
    closing = [layer.where() for layer in layers if isinstance(layer, OutputLayer)]
    if closing:
        fix = "Leave it out, or use removeLayers: in a custom loop the loss is a function."
        raise NetworkError(f"dlnetwork: needs layers without output layers, but got {', '.join(closing)}. {fix}")
    fed = {wire.destination for wire in graph.wires}
    used = {wire.source for wire in graph.wires}
    inputs = [Port(layer.Name, name) for layer in layers for name in layer.inputs]
    outputs = [Port(layer.Name, name) for layer in layers for name in layer.outputs]
    return OpenEnds(
        graph,
        tuple(layer.Name for layer in layers if isinstance(layer, InputLayer)),
        tuple(port for port in inputs if port not in fed),
        tuple(port for port in outputs if port not in used),
    )


def _text(port: Port, names: tuple[str, ...]) -> str:
    return f"{port.layer}/{port.name}" if len(names) > 1 else port.layer
