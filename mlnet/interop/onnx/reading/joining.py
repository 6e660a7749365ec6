"""Imported layers that together are one: linear maps around an attention become a self-attention."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from mlnet.layers.attention import AttentionLayer, selfAttentionLayer
from mlnet.layers.base import Layer
from mlnet.layers.convolution1d import Convolution1DLayer
from mlnet.layers.linear import FullyConnectedLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port

_PARTS = ("Query", "Key", "Value", "Output")


def joined(graph: LayerGraph) -> LayerGraph:
    """Return a graph whose attentions have the linear maps around them inside, where nothing else needs those."""
    layers = {layer.Name: layer for layer in graph.Layers}
    for attention in [layer for layer in layers.values() if isinstance(layer, AttentionLayer)]:
        graph = _joined_one(graph, attention)
    return graph


def _joined_one(graph: LayerGraph, attention: AttentionLayer) -> LayerGraph:
    if attention.Scale != "auto":
        return graph
    layers = {layer.Name: layer for layer in graph.Layers}
    into: dict[str, dict[str, Port]] = defaultdict(dict)
    out: dict[str, list[Port]] = defaultdict(list)
    for wire in graph.wires:
        into[wire.destination.layer][wire.destination.name] = wire.source
        out[wire.source.layer].append(wire.destination)
    sources = [into[attention.Name].get(name) for name in ("query", "key", "value")]
    names = [source.layer for source in sources if source is not None]
    ends = [port.layer for port in out[attention.Name]]
    if len(set(names)) != 3 or len(ends) != 1 or any(len(out[name]) != 1 for name in names):
        return graph
    maps = [layers[name] for name in (*names, ends[0])]
    origins = {into[name].get("in") for name in names}
    if len(origins) != 1 or None in origins or not all(map(_is_map, maps)):
        return graph
    weights = [_weights(layer) for layer in maps]
    if weights[0].shape != weights[1].shape or weights[3].shape[1] != weights[2].shape[0]:
        return graph
    values: dict[str, Any] = {}
    for part, layer, matrix in zip(_PARTS, maps, weights, strict=True):
        values[f"{part}Weights"], values[f"{part}Bias"] = matrix, layer.Bias.reshape(-1, 1)
    layer = selfAttentionLayer(
        attention.NumHeads,
        len(weights[0]),
        NumValueChannels=len(weights[2]),
        OutputSize=len(weights[3]),
        AttentionMask=attention.AttentionMask,
        HasPaddingMaskInput=attention.HasPaddingMaskInput,
        Name=attention.Name,
        **values,
    )
    (origin,) = origins
    assert origin is not None
    gone = {*names, ends[0]}
    wires = [Connection(origin, Port(attention.Name, "in"))]
    for wire in graph.wires:
        if wire.destination.layer in gone or wire.source.layer in names:
            continue
        source = Port(attention.Name, "out") if wire.source.layer == ends[0] else wire.source
        if wire.destination == Port(attention.Name, "mask") or wire.destination.layer != attention.Name:
            wires.append(Connection(source, wire.destination))
    kept = [layer if each.Name == attention.Name else each for each in graph.Layers if each.Name not in gone]
    return LayerGraph(kept, wires)


def _is_map(layer: Layer) -> bool:
    if isinstance(layer, Convolution1DLayer):
        return bool(layer.Weights.shape[:1] == (1,) and np.all(layer.Padding == 0) and np.all(layer.Stride == 1))
    return isinstance(layer, FullyConnectedLayer)


def _weights(layer: Layer) -> np.ndarray:
    """Return the matrix (outputs, inputs) of a linear map of channels."""
    weights: np.ndarray = layer.Weights
    return weights if weights.ndim == 2 else weights[0].T
