"""assembleNetwork: from layers that hold all their parameters to a network that predicts, without training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.errors import NetworkError, message
from mlnet.layers.base import Layer, Size, dims
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.resolve import resolve
from mlnet.network.trained import DAGNetwork, SeriesNetwork
from mlnet.network.wiring import where_text
from mlnet.rules import read_only


def assembleNetwork(layers: Any) -> SeriesNetwork | DAGNetwork:  # noqa: N802 - MATLAB's spelling
    """Return a network of layers that hold all parameters, ready for predicting.

    Parameters
    ----------
    layers : LayerArray, list of layers, or LayerGraph
        With learnable parameters, statistics and classes set, e.g. from another network or a file. A graph may have
        several input and output layers.

    Returns
    -------
    SeriesNetwork
        For an array.
    DAGNetwork
        For a graph.

    Raises
    ------
    NetworkError
        Where the layers do not make a network, or parameters are missing; the message lists every mistake.
    OptionError
        Where an element is not a layer, or one cannot compute with its parameters.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = [featureInputLayer(2), fullyConnectedLayer(1, Weights=[[1, 2]], Bias=3), regressionLayer()]
    >>> net = assembleNetwork(layers)
    >>> predict(net, [[10, 20]])
    array([[53.]], dtype=float32)
    """
    network = resolve(layers)
    mistakes = [
        message(where_text(index, layer), *mistake)
        for index, layer in enumerate(network.layers)
        for mistake in _missing(layer, network.input_size(index))
    ]
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        fix = "Set them, or train the network with trainNetwork."
        raise NetworkError(f"assembleNetwork: {len(mistakes)} parameters are missing. {fix}\n{listed}")
    complete = [_complete(layer, network.input_size(index)) for index, layer in enumerate(network.layers)]
    return (DAGNetwork if isinstance(layers, LayerGraph) else SeriesNetwork)(network.with_layers(complete))


def _parameters(layer: Layer) -> list[str]:
    return [*(learnable.name for learnable in layer.learnables), *layer.states]


def _complete(layer: Layer, size: Size) -> Layer:
    """Return a copy whose parameters have their full shapes, in single precision."""
    values = {
        name: read_only(getattr(layer, name).reshape(layer.parameter_shape(name, size)), np.float32)
        for name in _parameters(layer)
    }
    complete = layer.replaced(**values)
    complete.check_initialized()
    return complete


def _missing(layer: Layer, size: Size) -> Iterator[tuple[str, str]]:
    """Yield what a layer needs and what it has."""
    for name in _parameters(layer):
        if not getattr(layer, name).size:
            yield f"{name} of size {dims(layer.parameter_shape(name, size))}", f"an empty {name}"
    if isinstance(layer, InputLayer):
        for name in layer.statistics():
            if not getattr(layer, name).size:
                yield f"{name} for Normalization='{layer.Normalization}'", f"an empty {name}"
    if isinstance(layer, OutputLayer) and layer.metric == "Accuracy" and isinstance(layer.Classes, str):
        yield "Classes", f"'{layer.Classes}'"
