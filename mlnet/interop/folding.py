"""Batch normalization as part of the convolution or matrix product before it, or as a product and a sum."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from mlnet.interop.onnx.graph import OnnxGraph, OnnxNode

CHANNEL_SCALE = "mlnet.ChannelScale"
"""An operator of no standard: the second axis times the second input, plus the third."""

_FILTER_AXES = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}
"""Which axis of the weights counts the outputs."""


def fold_batch_normalization(graph: OnnxGraph) -> OnnxGraph:
    """Return a graph without batch normalization: ``y = a x + b`` for each channel, with numbers a and b.

    Where nothing else takes the output of a convolution or matrix product, its weights and bias become
    ``a weights`` and ``a bias + b``. Computed in double precision.
    """
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    uses.update(tensor.name for tensor in graph.outputs)
    nodes: list[OnnxNode] = []
    constants = dict(graph.constants)
    makers: dict[str, int] = {}
    for node in graph.nodes:
        if node.operator != "BatchNormalization":
            makers.update(dict.fromkeys(node.outputs, len(nodes)))
            nodes.append(node)
            continue
        scale, offset, mean, variance = (constants[name].astype(np.float64) for name in node.inputs[1:])
        slope = scale / np.sqrt(variance + node.attributes["epsilon"])
        shift = offset - slope * mean
        x = node.inputs[0]
        place = makers.get(x, -1)
        if place >= 0 and nodes[place].operator in _FILTER_AXES and uses[x] == 1:
            nodes[place] = _folded(nodes[place], node, slope, shift, constants)
            makers[node.outputs[0]] = place
            continue
        slopes, shifts = f"{node.outputs[0]}/slope", f"{node.outputs[0]}/shift"
        constants[slopes], constants[shifts] = slope.astype(np.float32), shift.astype(np.float32)
        nodes.append(replace(node, operator=CHANNEL_SCALE, inputs=(x, slopes, shifts), attributes={}))
    return replace(graph, nodes=nodes, constants=constants)


def _folded(
    maker: OnnxNode, node: OnnxNode, slope: np.ndarray, shift: np.ndarray, constants: dict[str, np.ndarray]
) -> OnnxNode:
    """Return the operator with weights and bias of both, under the name of the later output."""
    x, weights, bias = maker.inputs
    array, axis = constants[weights], _FILTER_AXES[maker.operator]
    shape = [1] * array.ndim
    shape[axis] = -1
    names = f"{weights}/folded", f"{bias}/folded"
    constants[names[0]] = (array * slope.reshape(shape)).astype(np.float32)
    constants[names[1]] = (constants[bias] * slope + shift).astype(np.float32)
    return replace(maker, inputs=(x, *names), outputs=node.outputs)
