"""From a layer array to a network that can be computed: names, sizes, and every mistake at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlnet.errors import NetworkError, message
from mlnet.layers.activation import SoftmaxLayer
from mlnet.layers.base import Layer, Size, SizeError
from mlnet.layers.input import FeatureInputLayer, InputLayer
from mlnet.layers.linear import FullyConnectedLayer
from mlnet.layers.output import ClassificationOutputLayer, OutputLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.names import automatic_names


@dataclass(frozen=True)
class Resolved:
    """A chain of layers with names and sizes.

    ``layers`` are copies with nothing left to infer; ``sizes[i]`` is the size that layer ``i`` puts out, for the input
    layer before normalization.
    """

    layers: tuple[Layer, ...]
    sizes: tuple[Size, ...]

    @property
    def input_layer(self) -> InputLayer:
        """The first layer."""
        layer = self.layers[0]
        assert isinstance(layer, InputLayer)
        return layer

    @property
    def output_layer(self) -> OutputLayer:
        """The last layer."""
        layer = self.layers[-1]
        assert isinstance(layer, OutputLayer)
        return layer

    @property
    def output_size(self) -> Size:
        """The size of what the network predicts for one observation."""
        return self.sizes[-1]

    def input_size(self, index: int) -> Size:
        """Return the size of what layer ``index`` takes."""
        return self.sizes[max(index - 1, 0)]

    def with_layers(self, layers: Sequence[Layer]) -> Resolved:
        """Return a network of the same sizes with other values in its layers."""
        return Resolved(tuple(layers), self.sizes)


def resolve(layers: Any) -> Resolved:
    """Return the named layers and sizes of a layer array.

    Raises
    ------
    NetworkError
        Where the layers do not make a network that can be trained; the message lists every mistake.
    OptionError
        Where an element is not a layer.
    """
    layers = list(LayerArray(layers))
    mistakes = list(_order_mistakes(layers)) + list(_name_mistakes(layers))
    named = [layer.replaced(Name=name) for layer, name in zip(layers, automatic_names(layers), strict=True)]
    resolved: list[Layer] = []
    sizes: list[Size] = []
    size: Size | None = None
    starts_with_features = bool(layers) and isinstance(layers[0], FeatureInputLayer)
    for number, (layer, given) in enumerate(zip(named, layers, strict=True), start=1):
        if isinstance(layer, InputLayer) and number == 1:
            size = layer.size()
        elif size is None and isinstance(layer, FullyConnectedLayer):
            # known whatever comes in: checks go on behind an earlier mistake
            size = Size("C", (layer.OutputSize,)) if starts_with_features else Size("SSC", (1, 1, layer.OutputSize))
            continue
        if size is None:
            continue
        try:
            mistakes += [_at(number, given, error) for error in layer.mistakes(size)]
            resolved.append(layer.with_size(size))
            size = layer.output_size(size)
            sizes.append(size)
        except SizeError as error:
            mistakes.append(_at(number, given, error))
            size = None
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise NetworkError(f"Invalid network, {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}:\n{listed}")
    return Resolved(tuple(resolved), tuple(sizes))


def _where(number: int, layer: Layer) -> str:
    name = f" '{layer.Name}'" if layer.Name else ""
    return f"Layer {number}{name} ({layer.type_name})"


def _at(number: int, layer: Layer, error: SizeError) -> str:
    return message(_where(number, layer), error.needed, error.came, error.fix)


def _order_mistakes(layers: list[Layer]) -> Iterator[str]:
    """Yield what is missing from the chain or stands in the wrong place."""
    if not layers:
        yield "Network: needs layers, but got an empty array. Start with an input layer and end with an output layer."
        return
    if not isinstance(layers[0], InputLayer):
        first = _where(1, layers[0])
        yield f"Missing input layer: the first layer is {first}. Start with e.g. imageInputLayer([28, 28, 1])."
    if not isinstance(layers[-1], OutputLayer):
        last = _where(len(layers), layers[-1])
        yield f"Missing output layer: the last layer is {last}. End with classificationLayer() or regressionLayer()."
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, InputLayer) and number > 1:
            yield f"{_where(number, layer)}: an input layer stands only at the beginning. Move or remove it."
        if isinstance(layer, OutputLayer) and number < len(layers):
            yield f"{_where(number, layer)}: an output layer stands only at the end. Move or remove it."
        if isinstance(layer, ClassificationOutputLayer) and not (
            number > 1 and isinstance(layers[number - 2], SoftmaxLayer)
        ):
            yield f"{_where(number, layer)}: missing softmax layer. Put softmaxLayer() right before it."


def _name_mistakes(layers: list[Layer]) -> Iterator[str]:
    """Yield names that several layers have."""
    numbers = defaultdict(list)
    for number, layer in enumerate(layers, start=1):
        if layer.Name:
            numbers[layer.Name].append(number)
    for name, same in numbers.items():
        if len(same) > 1:
            listed = ", ".join(map(str, same[:-1])) + f" and {same[-1]}"
            yield f"Layers {listed} have the same name '{name}'. Give each layer its own name, or ''."
