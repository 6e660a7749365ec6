"""Products with constant matrices, tables of vectors, and choices of time steps as layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import NotImported, Tensor
from mlnet.layers.base import Layer
from mlnet.layers.convolution import Convolution2DLayer, convolution2dLayer
from mlnet.layers.convolution1d import Convolution1DLayer, convolution1dLayer
from mlnet.layers.convolution3d import Convolution3DLayer, convolution3dLayer
from mlnet.layers.embedding import wordEmbeddingLayer
from mlnet.layers.indexing import indexing1dLayer
from mlnet.layers.linear import FullyConnectedLayer, fullyConnectedLayer
from mlnet.layers.smooth_activation import ScalingLayer, scalingLayer

_OF_POSITIONS: dict[int, Any] = {1: convolution1dLayer, 2: convolution2dLayer, 3: convolution3dLayer}
_WITH_BIAS = (FullyConnectedLayer, Convolution1DLayer, Convolution2DLayer, Convolution3DLayer)


def product(importer: Any, node: OnnxNode) -> None:
    """Add a fully connected layer, or a convolution of single positions."""
    options = node.attributes
    weights = importer.constant(node.inputs[1])
    if node.operator == "MatMul" or not options.get("transB", 0):
        weights = weights.T
    if options.get("transA", 0) or weights.ndim != 2:
        raise NotImported("a transposed input, or a matrix of more than two axes")
    if options.get("alpha", 1) != 1:
        weights = weights * np.float32(options["alpha"])
    bias: Any = np.broadcast_to(np.float32(0), len(weights))
    if node.operator == "Gemm" and len(node.inputs) > 2 and node.inputs[2]:
        bias = bias + np.float32(options.get("beta", 1)) * importer.constant(node.inputs[2]).ravel()
    x = importer.tensor(node.inputs[0])
    joined = x.axes[-1]
    if "C" not in joined or (len(joined) > 1 and len(x.axes) > 2 and not x.is_channels(joined)):
        raise NotImported("a product over something else than channels")
    spatial = "HWZ"[: len(x.size.spatial)]
    if any(x.length(label) != 1 for label in spatial if label not in joined):
        importer.put(node, _of_positions(x, weights, bias), [x], x.axes)
        return
    importer.put(node, _of_whole(x, weights, bias, spatial), [x], x.axes)


def _of_whole(x: Tensor, weights: np.ndarray, bias: np.ndarray, spatial: str) -> Layer:
    """Return a fully connected layer, its columns in the order in which MATLAB counts the elements of images."""
    joined = x.axes[-1]
    lengths = [x.length(label) or 1 for label in joined]
    if math.prod(lengths) != weights.shape[1]:
        raise NotImported(f"{weights.shape[1]} inputs where there are {math.prod(lengths)}")
    present = [label for label in ("C", *reversed(spatial)) if label in joined]
    blocks = weights.reshape(len(weights), *lengths)
    weights = blocks.transpose(0, *(1 + joined.index(label) for label in present)).reshape(weights.shape)
    return fullyConnectedLayer(len(weights), Weights=weights, Bias=bias.reshape(-1, 1))


def _of_positions(x: Tensor, weights: np.ndarray, bias: np.ndarray) -> Layer:
    """Return a convolution whose filters have one element for each channel."""
    count = len(x.size.spatial)
    if not x.is_channels(x.axes[-1]) or x.size.is_sequence or weights.shape[1] != x.size.channels:
        raise NotImported("a product for each position")
    values = {"Weights": weights.T.reshape(*[1] * count, *weights.T.shape), "Bias": bias.reshape(*[1] * count, -1)}
    layer: Layer = _OF_POSITIONS[count](1, len(weights), **values)
    return layer


def add_bias(importer: Any, x: Tensor, value: np.ndarray) -> bool:
    """Tell whether a vector that is added belongs to the product before it, and if so put it there."""
    layer = importer.layer_of(x)
    if not isinstance(layer, _WITH_BIAS) or not importer.is_alone(x) or not x.is_channels(x.axes[-1]):
        return False
    if not value.shape[-1:] == (x.size.channels,) == (value.size,):
        return False
    importer.replace_layer(x.port, Bias=(layer.Bias.ravel() + value.ravel()).reshape(layer.Bias.shape))
    return True


def gather(importer: Any, node: OnnxNode) -> None:
    """Add a word embedding, or the first or last time step."""
    if node.inputs[0] in importer.constants and node.inputs[1] in importer.tensors:
        _word_embedding(importer, node)
        return
    x = importer.tensor(node.inputs[0])
    axis, index = node.attributes.get("axis", 0) % len(x.axes), importer.constant(node.inputs[1])
    if x.axes[axis] != ("T",) or index.ndim > 0 or int(index) not in (0, -1):
        raise NotImported("elements that are not the first or last time step")
    left = tuple(each for number, each in enumerate(x.axes) if number != axis)
    importer.put(node, indexing1dLayer("last" if int(index) else "first"), [x], left)


def _word_embedding(importer: Any, node: OnnxNode) -> None:
    """Add a table of vectors; words are counted from 1, so that 1 is added before, or not taken away any more."""
    table, x = importer.constant(node.inputs[0]), importer.tensor(node.inputs[1])
    labels = [label for axis in x.axes for label in axis]
    if table.ndim != 2 or node.attributes.get("axis", 0) or x.size.channels != 1 or "C" in labels:
        raise NotImported("elements that are not vectors of words")
    layer = importer.layer_of(x)
    if (
        isinstance(layer, ScalingLayer)
        and importer.is_alone(x)
        and np.all(layer.Scale == 1)
        and np.all(layer.Bias == -1)
    ):
        importer.replace_layer(x.port, Bias=np.zeros((), np.float32))
    else:
        x = importer.emit(node, scalingLayer(Bias=1), [x], x.axes)
    words = wordEmbeddingLayer(table.shape[1], len(table), Weights=table.T, OOVMode="error")
    importer.put(node, words, [x], (*x.axes, ("C",)))
