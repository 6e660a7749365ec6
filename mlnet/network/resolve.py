"""From layers to a network that can be computed: names, sizes, and every mistake at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlnet.errors import NetworkError, message
from mlnet.layers.base import Layer, Size, SizeError
from mlnet.layers.combination import CombinationLayer, ElementwiseLayer
from mlnet.layers.input import FeatureInputLayer, InputLayer
from mlnet.layers.linear import FullyConnectedLayer
from mlnet.layers.output import OutputLayer
from mlnet.layers.unknown import UnknownSizeError
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.nested import outline_of
from mlnet.network.steps import TimeSteps
from mlnet.network.wiring import Source, Wiring, wiring_of


@dataclass(frozen=True)
class Resolved:
    """Layers with names, wires and sizes.

    ``layers`` are copies with nothing left to infer; ``sources[i]`` are the outputs that feed the inputs of layer
    ``i``; ``sizes[i]`` are the sizes of its outputs, for an input layer before normalization, for an output layer of
    what it takes; in ``order`` each layer comes after its sources. ``outline`` is the graph with its nested networks,
    which are unfolded here, or None where there are none.
    """

    layers: tuple[Layer, ...]
    sources: tuple[tuple[Source, ...], ...]
    sizes: tuple[tuple[Size, ...], ...]
    order: tuple[int, ...]
    outline: LayerGraph | None = None

    @property
    def input_layers(self) -> list[InputLayer]:
        """The input layers, in their order."""
        return [layer for layer in self.layers if isinstance(layer, InputLayer)]

    @property
    def output_indices(self) -> list[int]:
        """Numbers of the output layers, in their order."""
        return [index for index, layer in enumerate(self.layers) if isinstance(layer, OutputLayer)]

    @property
    def output_index(self) -> int:
        """Number of the (first) output layer."""
        return self.output_indices[0]

    @property
    def output_layer(self) -> OutputLayer:
        """The (first) output layer."""
        layer = self.layers[self.output_index]
        assert isinstance(layer, OutputLayer)
        return layer

    @property
    def output_size(self) -> Size:
        """The size of what the network predicts for one observation at its (first) output layer."""
        return self.sizes[self.output_index][0]

    def input_sizes(self, index: int) -> tuple[Size, ...]:
        """Return the sizes of what layer ``index`` takes; for an input layer that of one observation."""
        return tuple(self.sizes[layer][output] for layer, output in self.sources[index]) or self.sizes[index]

    def input_size(self, index: int) -> Size:
        """Return the size of the first input of layer ``index``."""
        return self.input_sizes(index)[0]

    def with_layers(self, layers: Sequence[Layer]) -> Resolved:
        """Return a network of the same wires and sizes with other values in its layers."""
        return replace(self, layers=tuple(layers))

    def with_output_layer(self, layer: OutputLayer) -> Resolved:
        """Return a network with another output layer."""
        layers = list(self.layers)
        layers[self.output_index] = layer
        return self.with_layers(layers)


def resolve(layers: Any, *, for_training: bool = False) -> Resolved:
    """Return the named layers, wires and sizes of a layer array or graph; training needs a single output layer.

    Raises
    ------
    NetworkError
        Where the layers do not make a network that can be trained; the message lists every mistake.
    OptionError
        Where an element is not a layer.
    """
    wiring, mistakes = wiring_of(layers)
    sized = Sizes(wiring)
    mistakes += sized.mistakes
    mistakes = mistakes or sized.open_sizes()
    if for_training:
        mistakes += several_outputs(wiring)
    if mistakes:
        raise invalid(mistakes)
    sources = tuple(tuple(source for source in row if source is not None) for row in wiring.sources)
    sizes = tuple(sized.sizes[index] for index in range(len(wiring.layers)))
    resolved = tuple(sized.layers[index] for index in range(len(wiring.layers)))
    return Resolved(resolved, sources, sizes, tuple(wiring.order()), outline_of(layers))


def invalid(mistakes: Sequence[str]) -> NetworkError:
    """Return the error that lists the mistakes of a network."""
    listed = "\n".join(f"  {mistake}" for mistake in mistakes)
    return NetworkError(f"Invalid network, {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}:\n{listed}")


def several_outputs(wiring: Wiring) -> list[str]:
    """Return the mistake of a network with several output layers, which training does not take."""
    outputs = [wiring.where(index) for index, layer in enumerate(wiring.layers) if isinstance(layer, OutputLayer)]
    if len(outputs) < 2:
        return []
    return [f"Network: training needs one output layer, but got {len(outputs)}: {', '.join(outputs)}."]


def with_min_lengths(graph: LayerGraph) -> LayerGraph:
    """Return a graph in which the input layers of sequences have the MinLength that all layers need."""
    wiring, _ = wiring_of(graph)
    needed = {wiring.layers[index].Name: length for index, length in Sizes(wiring).min_lengths.items()}
    layers = [each.replaced(MinLength=needed[each.Name]) if each.Name in needed else each for each in graph.Layers]
    return LayerGraph(layers, graph.wires)


class Sizes:
    """Carries sizes through a network as far as they are known, and collects what does not fit.

    ``sizes`` and ``layers`` (with nothing left to infer) are by the number of the layer.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.mistakes: list[str] = []
        self.sizes: dict[int, tuple[Size, ...]] = {}
        self.layers: dict[int, Layer] = {}
        self._has_features = any(isinstance(layer, FeatureInputLayer) for layer in wiring.layers)
        self._steps = TimeSteps(wiring)
        for index in wiring.order():
            self._visit(index)
        self.mistakes += [self._at(index, error) for index, error in self._steps.mistakes().items()]
        self.min_lengths = self._steps.min_lengths()

    def _visit(self, index: int) -> None:
        layer = self.wiring.layers[index]
        known = self.known(index)
        if isinstance(layer, InputLayer):
            known = [layer.size()]
        elif len(known) < len(layer.inputs):
            if isinstance(layer, CombinationLayer) and len(known) > 1:
                self._compare(index, known)
            if isinstance(layer, FullyConnectedLayer):
                # known whatever comes in: checks go on behind an earlier mistake
                self.sizes[index] = (Size("C" if self._has_features else "SSC", self._outputs(layer)),)
            return
        try:
            self.mistakes += [self._at(index, error) for error in layer.mistakes(*known)]
            self.sizes[index] = layer.output_sizes(*known)
            if all(size.is_known for size in known) or not layer.learnables:
                self.layers[index] = layer.with_size(*known)
                self._steps.visit(index, self.layers[index], known, self.sizes[index])
        except UnknownSizeError:
            return
        except SizeError as error:
            self.mistakes.append(self._at(index, error))
            self._go_on(index, known)

    def _go_on(self, index: int, known: list[Size]) -> None:
        """Note what is known of the output of a layer that cannot take its inputs, so that checks go on behind it.

        What does not depend on height and width, else what depends on no length at all. A sum has most likely the size
        of its first input.
        """
        if isinstance(self.wiring.layers[index], ElementwiseLayer):
            self.sizes[index] = (known[0],)
            return
        for channels in (False, True):
            try:
                blurred = [size.with_unknown(channels=channels) for size in known]
                self.sizes[index] = self.wiring.layers[index].output_sizes(*blurred)
                return
            except (SizeError, UnknownSizeError):
                continue

    def _compare(self, index: int, known: list[Size]) -> None:
        """Note where the inputs that are known do not go together, while nothing feeds another."""
        try:
            self.mistakes += [self._at(index, error) for error in self.wiring.layers[index].mistakes(*known)]
            self.wiring.layers[index].output_sizes(*known)
        except UnknownSizeError:
            return
        except SizeError as error:
            self.mistakes.append(self._at(index, error))

    def known(self, index: int) -> list[Size]:
        """Return the sizes of what layer ``index`` takes, as far as they are known."""
        sources = [source for source in self.wiring.sources[index] if source is not None]
        return [self.sizes[source.layer][source.output] for source in sources if source.layer in self.sizes]

    def open_sizes(self) -> list[str]:
        """Return the mistakes of layers that need to know sizes which differ from mini-batch to mini-batch."""
        needed, fix = "an input of the same size in every mini-batch", "Put a global pooling layer before this layer."
        return [
            message(self.wiring.where(index), needed, ", ".join(size.text for size in self.known(index)), fix)
            for index in self.wiring.order()
            if index not in self.layers and self.known(index)
        ]

    def _outputs(self, layer: FullyConnectedLayer) -> tuple[int, ...]:
        return (layer.OutputSize,) if self._has_features else (1, 1, layer.OutputSize)

    def _at(self, index: int, error: SizeError) -> str:
        return message(self.wiring.where(index), error.needed, error.came, error.fix)
