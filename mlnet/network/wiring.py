"""Which layer feeds which: layer arrays and layer graphs in one form, and the mistakes in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mlnet.layers.activation import SoftmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import ClassesOutputLayer, OutputLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph, Port
from mlnet.network.names import automatic_names
from mlnet.network.nested import outline_of, unfolded


class Source(NamedTuple):
    """An output of a layer, both by their numbers."""

    layer: int
    output: int = 0


@dataclass(frozen=True)
class Wiring:
    """Named layers, and for each of their inputs the output that feeds it; None where nothing does.

    ``given`` are the layers as they came, for messages.
    """

    layers: tuple[Layer, ...]
    given: tuple[Layer, ...]
    sources: tuple[tuple[Source | None, ...], ...]

    def where(self, index: int) -> str:
        """Return how messages name a layer."""
        return where_text(index, self.given[index])

    def order(self) -> list[int]:
        """Return the layers in an order in which each comes after what feeds it; those in cycles are left out."""
        waiting = {
            index: {source.layer for source in sources if source is not None}
            for index, sources in enumerate(self.sources)
        }
        order: list[int] = []
        ready = [index for index, sources in waiting.items() if not sources]
        while ready:
            index = ready.pop(0)
            order.append(index)
            for other, sources in waiting.items():
                if index in sources:
                    sources.remove(index)
                    if not sources:
                        ready.append(other)
        return order

    def cycles(self) -> list[list[int]]:
        """Return the layers that make cycles, one list for each group of layers that all reach one another."""
        left = set(range(len(self.layers))) - set(self.order())
        feeds = {index: {source.layer for source in self.sources[index] if source is not None} & left for index in left}
        above = {index: _reached(feeds, index) for index in left}
        groups: list[list[int]] = []
        for index in sorted(left):
            group = sorted(other for other in above[index] if index in above[other])
            if group and group not in groups:
                groups.append(group)
        return groups


def _reached(feeds: dict[int, set[int]], start: int) -> set[int]:
    """Return what can be reached from ``start`` in one or more steps."""
    found: set[int] = set()
    waiting = list(feeds[start])
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += feeds[index]
    return found


def where_text(index: int, layer: Layer) -> str:
    """Return how messages name layer ``index`` of a network."""
    name = f" '{layer.Name}'" if layer.Name else ""
    return f"Layer {index + 1}{name} ({layer.type_name})"


def wiring_of(layers: Any) -> tuple[Wiring, list[str]]:
    """Return the wiring of a layer array or graph, and every mistake in it that has nothing to do with sizes.

    Raises
    ------
    OptionError
        Where an element of an array is not a layer.
    """
    outline = outline_of(layers)
    if outline is not None:
        layers = unfolded(outline)
    if isinstance(layers, LayerGraph):
        wiring = _graph_wiring(layers)
        return wiring, list(_graph_mistakes(wiring))
    wiring = _chain_wiring(list(LayerArray(layers)))
    return wiring, [*_chain_mistakes(wiring), *_name_mistakes(wiring)]


def _chain_wiring(given: list[Layer]) -> Wiring:
    """Feed the first input of each layer by the layer before."""
    named = [layer.replaced(Name=name) for layer, name in zip(given, automatic_names(given), strict=True)]
    sources = []
    for index, layer in enumerate(given):
        before = Source(index - 1) if index and given[index - 1].outputs else None
        sources.append(tuple(before if number == 0 else None for number in range(len(layer.inputs))))
    return Wiring(tuple(named), tuple(given), tuple(sources))


def _graph_wiring(graph: LayerGraph) -> Wiring:
    layers = tuple(graph.Layers)
    numbers = {layer.Name: number for number, layer in enumerate(layers)}
    fed_by = {}
    for wire in graph.wires:
        number = numbers[wire.source.layer]
        fed_by[wire.destination] = Source(number, layers[number].outputs.index(wire.source.name))
    sources = tuple(tuple(fed_by.get(Port(layer.Name, port)) for port in layer.inputs) for layer in layers)
    return Wiring(layers, layers, sources)


def _chain_mistakes(wiring: Wiring) -> Iterator[str]:
    """Yield what is missing from the chain or stands in the wrong place."""
    layers = wiring.given
    if not layers:
        yield "Network: needs layers, but got an empty array. Start with an input layer and end with an output layer."
        return
    if not isinstance(layers[0], InputLayer):
        first = wiring.where(0)
        yield f"Missing input layer: the first layer is {first}. Start with e.g. imageInputLayer([28, 28, 1])."
    if not isinstance(layers[-1], OutputLayer):
        last = wiring.where(len(layers) - 1)
        yield f"Missing output layer: the last layer is {last}. End with classificationLayer() or regressionLayer()."
    for index, layer in enumerate(layers):
        if isinstance(layer, InputLayer) and index > 0:
            yield f"{wiring.where(index)}: an input layer stands only at the beginning. Move or remove it."
        if isinstance(layer, OutputLayer) and index < len(layers) - 1:
            yield f"{wiring.where(index)}: an output layer stands only at the end. Move or remove it."
        if len(layer.inputs) > 1:
            ports = ", ".join(layer.inputs[1:])
            yield f"{wiring.where(index)}: nothing feeds {ports}. Make a layerGraph and use connectLayers."
    yield from _softmax_mistakes(wiring)


def _graph_mistakes(wiring: Wiring) -> Iterator[str]:
    """Yield missing layers, ports that nothing feeds, outputs that nothing uses, and cycles."""
    layers = wiring.layers
    if not any(isinstance(layer, InputLayer) for layer in layers):
        yield "Missing input layer. Add one, e.g. imageInputLayer([28, 28, 1])."
    if not any(isinstance(layer, OutputLayer) for layer in layers):
        yield "Missing output layer. Add classificationLayer() or regressionLayer()."
    used = {source for sources in wiring.sources for source in sources}
    for index, layer in enumerate(layers):
        for port, source in zip(layer.inputs, wiring.sources[index], strict=True):
            if source is None:
                name = f"{layer.Name}/{port}" if len(layer.inputs) > 1 else layer.Name
                fix = f"Use connectLayers(lgraph, ..., '{name}')."
                yield f"{wiring.where(index)}: nothing feeds the input '{port}'. {fix}"
        unused = [port for number, port in enumerate(layer.outputs) if Source(index, number) not in used]
        if unused and len(unused) == len(layer.outputs):
            yield f"{wiring.where(index)}: nothing uses its output. Connect it, or remove the layer."
        elif unused:
            listed = " and ".join(f"'{layer.Name}/{port}'" for port in unused)
            yield f"{wiring.where(index)}: nothing uses {listed}. Connect it, or create the layer without it."
    for cycle in wiring.cycles():
        listed = ", ".join(f"'{layers[index].Name}'" for index in cycle)
        yield f"Network: the layers {listed} make a cycle. Disconnect one of them."
    yield from _softmax_mistakes(wiring)


def _softmax_mistakes(wiring: Wiring) -> Iterator[str]:
    for index, layer in enumerate(wiring.given):
        if isinstance(layer, ClassesOutputLayer) and layer.takes_activation:
            (source,) = wiring.sources[index]
            if source is None or not isinstance(wiring.given[source.layer], SoftmaxLayer):
                yield f"{wiring.where(index)}: missing softmax layer. Put softmaxLayer() right before it."


def _name_mistakes(wiring: Wiring) -> Iterator[str]:
    """Yield names that several layers have."""
    numbers = defaultdict(list)
    for number, layer in enumerate(wiring.given, start=1):
        if layer.Name:
            numbers[layer.Name].append(number)
    for name, same in numbers.items():
        if len(same) > 1:
            listed = ", ".join(map(str, same[:-1])) + f" and {same[-1]}"
            yield f"Layers {listed} have the same name '{name}'. Give each layer its own name, or ''."
