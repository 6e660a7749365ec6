"""ONNX's operators with windows as operations of OpenVINO's IR."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.openvino import shapes as ir_shapes
from mlnet.interop.openvino.graph import OPEN, IrBuilder, IrValue

Inputs = list[Any]


def convolution(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return a Convolution or GroupConvolution, plus the bias."""
    x, weights, *bias = inputs
    count, groups = x.rank - 2, int(node.attributes.get("group", 1))
    extent, stride = weights.shape[2:], _numbers(node, "strides", 1, count)
    dilation = _numbers(node, "dilations", 1, count)
    reach = [(n - 1) * step + 1 for n, step in zip(extent, dilation, strict=True)]
    border, pads = _border(node, count)
    lengths = ir_shapes.windows(x.shape[2:], reach, stride, pads, same=border["auto_pad"] != "explicit")
    shape = (x.shape[0], weights.shape[0], *lengths)
    kind = "Convolution"
    if groups > 1:
        kind = "GroupConvolution"
        filters = build.layers[weights.layer].constant
        assert filters is not None
        weights = build.constant(filters.reshape(groups, -1, *filters.shape[1:]))
    made = build.add(kind, 1, [x, weights], shape, strides=stride, dilations=dilation, **border)
    return _with_bias(build, made, bias)


def transposed_convolution(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return a ConvolutionBackpropData, plus the bias."""
    x, weights, *bias = inputs
    count = x.rank - 2
    stride, more = _numbers(node, "strides", 1, count), _numbers(node, "output_padding", 0, count)
    border, (before, after) = _border(node, count)
    lengths = [
        OPEN if n == OPEN else (n - 1) * step + extent - first - last + extra
        for n, step, extent, first, last, extra in zip(
            x.shape[2:], stride, weights.shape[2:], before, after, more, strict=True
        )
    ]
    options = {"strides": stride, "dilations": [1] * count, "output_padding": more, **border}
    shape = (x.shape[0], weights.shape[1], *lengths)
    return _with_bias(build, build.add("ConvolutionBackpropData", 1, [x, weights], shape, **options), bias)


def _with_bias(build: IrBuilder, made: IrValue, bias: Inputs) -> IrValue:
    if not bias or bias[0] is None:
        return made
    values = build.layers[bias[0].layer].constant
    assert values is not None
    spread = build.constant(values.reshape(1, -1, *[1] * (made.rank - 2)))
    return build.add("Add", 1, [made, spread], made.shape, auto_broadcast="numpy")


def pooling(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> Any:
    """Return a MaxPool, with the places of the maxima in the whole array where they are wanted, or an AvgPool."""
    (x,) = inputs
    count, extent = x.rank - 2, node.attributes["kernel_shape"]
    stride = _numbers(node, "strides", 1, count)
    border, pads = _border(node, count)
    lengths = ir_shapes.windows(x.shape[2:], extent, stride, pads, same=border["auto_pad"] != "explicit")
    shape = (*x.shape[:2], *lengths)
    options: dict[str, Any] = {"kernel": extent, "strides": stride, "rounding_type": "floor", **border}
    if node.operator == "AveragePool":
        options["exclude-pad"] = not node.attributes.get("count_include_pad", 0)
        return build.add("AvgPool", 1, [x], shape, **options)
    if len(node.outputs) == 1:
        return build.add("MaxPool", 1, [x], shape, **options)
    outputs = [(shape, "f32"), (shape, "i64")]
    options |= {"dilations": [1] * count, "axis": 0, "index_element_type": "i64"}
    return build.several("MaxPool", 8, [x], outputs, **options)


def scattering(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return an array with some elements in place of others."""
    axis = build.whole(node.attributes["axis"])
    return build.add("ScatterElementsUpdate", 3, [*inputs, axis], inputs[0].shape)


def pad(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return a Pad of a constant, of the edge, or of what is reflected there."""
    x, pads, *value = inputs
    before, after = np.split(np.array(pads.known), 2)
    sums = before + after
    shape = tuple(OPEN if n == OPEN else int(n + more) for n, more in zip(x.shape, sums, strict=True))
    places = [build.whole(before), build.whole(after)]
    return build.add("Pad", 1, [x, *places, *value], shape, pad_mode=node.attributes["mode"])


def _numbers(node: OnnxNode, name: str, default: int, count: int) -> list[int]:
    return list(node.attributes.get(name, [default] * count))


def _border(node: OnnxNode, count: int) -> tuple[dict[str, Any], list[list[int]]]:
    """Return the attributes of a border, and its lengths before and after."""
    pads = _numbers(node, "pads", 0, 2 * count)
    is_same = node.attributes.get("auto_pad") == "SAME_UPPER"
    auto = "same_upper" if is_same else "explicit"
    return {"pads_begin": pads[:count], "pads_end": pads[count:], "auto_pad": auto}, [pads[:count], pads[count:]]
