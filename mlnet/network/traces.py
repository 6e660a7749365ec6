"""Layers with code of users that would train without gradients."""

from __future__ import annotations

from mlnet.errors import message
from mlnet.layers.base import Layer
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.function import FunctionLayer
from mlnet.layers.output import OutputLayer
from mlnet.network.resolve import Resolved, invalid
from mlnet.network.wiring import where_text


def check_traces(network: Resolved, *, training: bool = True) -> None:
    """Raise where methods and functions of users lose gradients that training needs.

    ``training`` tells whether methods forward are looked at in place of predict.

    Raises
    ------
    NetworkError
        With all such layers.
    """
    mistakes = []
    trained: set[int] = set()  # layers with something trained in them or below them
    for index in network.order:
        layer = network.layers[index]
        below = any(source.layer in trained for source in network.sources[index])
        if below or _is_trained(layer):
            trained.add(index)
        if not isinstance(layer, (CustomLayer, FunctionLayer)) or isinstance(layer, OutputLayer):
            continue
        sizes = network.input_sizes(index)
        found = (
            layer.lost_trace(*sizes, below=below, training=training) if all(each.is_known for each in sizes) else None
        )
        if found is not None:
            mistakes.append(message(where_text(index, layer), found.needed, found.came, found.fix))
    if mistakes:
        raise invalid(mistakes)


def _is_trained(layer: Layer) -> bool:
    return any(rate for each in layer.learnables for rate, _ in layer.factors(each))
