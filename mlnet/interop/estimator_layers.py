"""The layers of an estimator: what is missing around them, and the size that its rows take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.errors import DataError, NetworkError, message
from mlnet.layers.activation import SoftmaxLayer, reluLayer, softmaxLayer
from mlnet.layers.base import Layer, Size
from mlnet.layers.input import InputLayer, featureInputLayer
from mlnet.layers.linear import FullyConnectedLayer, fullyConnectedLayer
from mlnet.layers.output import ClassificationOutputLayer, OutputLayer, classificationLayer, regressionLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph

_HIDDEN = 32


class Form(NamedTuple):
    """What the data of an estimator need: features, classes or responses, and the class of the output layer."""

    features: int
    outputs: int
    output_layer: type


def completed(layers: Any, form: Form, where: str) -> tuple[LayerArray | LayerGraph, Size]:
    """Return the layers of a whole network, and the size of its input.

    Raises
    ------
    NetworkError
        Where a graph lacks its ends, an output layer is of the wrong kind, or the input is no feature and no image.
    DataError
        Where the rows have another number of elements than the input layer takes.
    """
    if callable(layers) and not isinstance(layers, (LayerArray, LayerGraph)):
        layers = layers(form.features, form.outputs)
    if layers is None:
        layers = [fullyConnectedLayer(_HIDDEN), reluLayer()]
    if not isinstance(layers, LayerGraph):
        layers = _with_ends(LayerArray(layers), form)
    each = list(layers.Layers if isinstance(layers, LayerGraph) else layers)
    inputs = [layer for layer in each if isinstance(layer, InputLayer)]
    ends = [layer for layer in each if isinstance(layer, OutputLayer)]
    if len(inputs) != 1 or len(ends) != 1:
        came = f"{len(inputs)} input and {len(ends)} output layers"
        raise NetworkError(message(f"{where}: layers", "one input layer and one output layer", came))
    if not isinstance(ends[0], form.output_layer):
        needed = "classificationLayer" if form.output_layer is ClassificationOutputLayer else "regressionLayer"
        raise NetworkError(message(f"{where}: layers", f"a {needed} at the end", ends[0].where()))
    return layers, _size(inputs[0], form.features, where)


def shaped(X: np.ndarray, size: Size) -> np.ndarray:  # noqa: N803
    """Return rows (N, F) as the predictors of an input of ``size``: images (H, W, C, N), features as they are."""
    if size.format == "C":
        return X
    return np.moveaxis(X.reshape(len(X), *size.dims), 0, -1)


def _size(layer: InputLayer, features: int, where: str) -> Size:
    size = layer.size()
    if size.is_sequence:
        raise NetworkError(message(f"{where}: layers", "an input layer of features or images", layer.where()))
    if np.prod(size.dims) != features:
        needed = f"{int(np.prod(size.dims))} features for the input layer of {'x'.join(map(str, size.dims))}"
        raise DataError(message(f"{where}: X", needed, f"{features}"))
    return size


def _with_ends(layers: LayerArray, form: Form) -> LayerArray:
    found: list[Layer] = list(layers)
    if not found or not isinstance(found[0], InputLayer):
        found = [featureInputLayer(form.features, Normalization="zscore"), *found]
    last = found[-1]
    if isinstance(last, OutputLayer):
        return LayerArray(found)
    is_classifier = form.output_layer is ClassificationOutputLayer
    is_complete = is_classifier and isinstance(last, SoftmaxLayer)
    if not is_complete and not (isinstance(last, FullyConnectedLayer) and last.OutputSize == form.outputs):
        found.append(fullyConnectedLayer(form.outputs))
    if not is_classifier:
        return LayerArray([*found, regressionLayer()])
    return LayerArray([*found, *[softmaxLayer()] * (not is_complete), classificationLayer()])
