"""Putting the graph of a known network together, branch by branch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from mlnet.layers.base import Layer
from mlnet.layers.combination import additionLayer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port


class Assembly:
    """Layers and wires of a graph in the making.

    A graph that behaves as a value is copied with each change; this one grows in place, so that networks of hundreds of
    layers are there at once.
    """

    def __init__(self, *layers: Layer) -> None:
        self._layers: list[Layer] = []
        self._wires: list[Connection] = []
        self._by_name: dict[str, Layer] = {}
        if layers:
            self.append(*layers)

    @property
    def last(self) -> str:
        """Name of the layer that was added last."""
        return self._layers[-1].Name

    def append(self, *layers: Layer, after: str | None = None) -> str:
        """Add a chain behind the layer ``after``, by default the last one, and return the name of its last layer."""
        feeding = self._layers[-1:] if after is None else [self._by_name[after]]
        self._layers += layers
        self._by_name.update((layer.Name, layer) for layer in layers)
        for source, destination in itertools.pairwise([*feeding, *layers]):
            self._wires.append(
                Connection(Port(source.Name, source.outputs[0]), Port(destination.Name, destination.inputs[0]))
            )
        return self.last

    def insert(self, layers: Sequence[Layer], wires: Iterable[Connection]) -> None:
        """Add layers of another graph, with those of its ``wires`` that are between them."""
        self._by_name.update((layer.Name, layer) for layer in layers)
        self._layers += layers
        self._wires += [
            wire for wire in wires if wire.source.layer in self._by_name and wire.destination.layer in self._by_name
        ]

    def wire(self, source: str, destination: str, *, to: str, output: str = "out") -> None:
        """Feed the input ``to`` of one layer by an output of another."""
        self._wires.append(Connection(Port(source, output), Port(destination, to)))

    def graph(self) -> LayerGraph:
        """Return the graph."""
        return LayerGraph(self._layers, self._wires)

    def residual(self, main: list[Layer], shortcut: list[Layer], name: str, *, alternates: bool = False) -> str:
        """Add two branches behind the last layer and their sum, and return the name of the sum.

        The sum takes the branch ``main`` at 'in1' and the ``shortcut``, where it is empty the last layer, at 'in2'. The
        layers of the shortcut come behind those of the branch, or between the last of them (``alternates``).
        """
        start = self.last
        self.append(*main)
        end = main[-1].Name
        skip = self.append(*shortcut, after=start) if shortcut else start
        if shortcut and alternates:
            count = len(shortcut)
            ends = self._layers[-2 * count : -count]
            self._layers[-2 * count :] = [layer for pair in zip(ends, shortcut, strict=True) for layer in pair]
        self.append(additionLayer(2, Name=name), after=end)
        self.wire(skip, name, to="in2")
        return name


def conv_bn(size: int, filters: int, conv: str, bn: str, epsilon: float = 1e-5, **options: Any) -> list[Layer]:
    """Return a convolution and its batch normalization, with their names."""
    return [
        convolution2dLayer(size, filters, Name=conv, **options),
        batchNormalizationLayer(Name=bn, Epsilon=epsilon),
    ]
