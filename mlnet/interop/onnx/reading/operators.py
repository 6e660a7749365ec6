"""What each operator of ONNX becomes: a layer, other axes of the same tensor, or a constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import NotImported, Tensor, axes
from mlnet.interop.onnx.reading.importer import Importer, Operator
from mlnet.interop.onnx.reading.linear import add_bias, gather, product
from mlnet.interop.onnx.reading.normalization import normalization
from mlnet.interop.onnx.reading.recurrent import recurrent
from mlnet.interop.onnx.reading.shapes import (
    cast,
    constant,
    filled,
    flatten,
    of_shapes,
    places,
    reshape,
    same,
    shape,
    squeeze,
    transpose,
    unsqueeze,
)
from mlnet.interop.onnx.reading.windows import convolution, global_pooling, pad, pooling, transposed_convolution
from mlnet.layers.activation import (
    clippedReluLayer,
    eluLayer,
    leakyReluLayer,
    reluLayer,
    sigmoidLayer,
    softmaxLayer,
    tanhLayer,
)
from mlnet.layers.combination import additionLayer, concatenationLayer, depthConcatenationLayer, multiplicationLayer
from mlnet.layers.dropout import dropoutLayer
from mlnet.layers.group_normalization import groupNormalizationLayer, instanceNormalizationLayer
from mlnet.layers.input import FeatureInputLayer, ImagesLayer
from mlnet.layers.normalization import batchNormalizationLayer, crossChannelNormalizationLayer
from mlnet.layers.resize import depthToSpace2dLayer, resize2dLayer, spaceToDepthLayer
from mlnet.layers.resize3d import resize3dLayer
from mlnet.layers.smooth_activation import ScalingLayer, geluLayer, preluLayer, scalingLayer, softplusLayer, swishLayer

_SMALLEST_EPSILON = 1e-5


def _activation(make: Callable[[dict[str, Any]], Any]) -> Operator:
    """Return the function of an operator that works on single elements."""

    def add(importer: Importer, node: OnnxNode) -> None:
        x = importer.tensor(node.inputs[0])
        importer.tensors[node.outputs[0]] = _keeping(importer.emit(node, make(node.attributes), [x], x.axes), x)

    return add


def _keeping(output: Tensor, x: Tensor) -> Tensor:
    return Tensor(output.port, output.size, x.axes, x.directions)


def _swish(importer: Importer, node: OnnxNode) -> None:
    if node.attributes.get("alpha", 1.0) != 1:
        raise NotImported("another alpha than 1")
    _activation(lambda _: swishLayer())(importer, node)


def _clip(importer: Importer, node: OnnxNode) -> None:
    low, high = node.attributes.get("min"), node.attributes.get("max")
    limits = [importer.constant(name).item() if name else None for name in (*node.inputs[1:3], "", "")]
    low, high = limits[0] if low is None else low, limits[1] if high is None else high
    if low != 0:
        raise NotImported("a lower limit that is not 0")
    _activation(lambda _: reluLayer() if high is None or high > 1e30 else clippedReluLayer(high))(importer, node)


def _prelu(importer: Importer, node: OnnxNode) -> None:
    x = importer.plain(node, importer.tensor(node.inputs[0]))
    slope = importer.constant(node.inputs[1])
    if slope.size not in (1, x.size.channels):
        raise NotImported("slopes that are not one for each channel")
    alpha = np.full(x.size.channels, slope.item()) if slope.size == 1 else slope.ravel()
    shape = (*[1] * len(x.size.spatial), -1) if x.size.spatial else (-1, 1)
    importer.put(node, preluLayer(Alpha=alpha.reshape(shape)), [x], x.axes)


def _softmax(importer: Importer, node: OnnxNode) -> None:
    x = importer.plain(node, importer.tensor(node.inputs[0]))
    default = -1 if importer.graph.opset >= 13 else 1
    if node.attributes.get("axis", default) % len(x.axes) != x.axis_of_channels():
        raise NotImported("a softmax over something else than channels")
    if importer.graph.opset < 13 and not x.size.is_flat and x.axis_of_channels() < len(x.axes) - 1:
        raise NotImported("a softmax over channels and positions")
    importer.put(node, softmaxLayer(), [x], x.axes)


def _arithmetic(importer: Importer, node: OnnxNode) -> None:
    """Add a sum or product of tensors, or with constants a normalization of the input, a bias or a scaling."""
    constants = [name for name in node.inputs if name in importer.constants]
    if not constants:
        return _combination(importer, node)
    if len(node.inputs) != 2 or len(constants) != 1:
        raise NotImported("constants among more than two inputs")
    is_second = node.inputs[1] == constants[0]
    x = importer.tensor(node.inputs[0 if is_second else 1])
    value = importer.constant(constants[0])
    operator = node.operator
    scale: Any
    bias: Any
    if not is_second and operator in ("Sub", "Div"):
        if operator == "Div":
            raise NotImported("a constant that is divided by a tensor")
        scale, bias = np.float32(-1), value
    else:
        scale = value if operator == "Mul" else 1 / value if operator == "Div" else np.float32(1)
        bias = value if operator == "Add" else -value if operator == "Sub" else np.float32(0)
    if is_second and _normalizes(importer, node, x, value):
        return None
    if operator == "Add" and add_bias(importer, x, value):
        importer.tensors[node.outputs[0]] = x
        return None
    if np.size(value) > 1:
        x = importer.plain(node, x)
    before = importer.layer_of(x)
    if isinstance(before, ScalingLayer) and not np.any(before.Bias) and operator == "Add" and importer.is_alone(x):
        importer.replace_layer(x.port, Bias=_of_observation(x, bias))
        importer.tensors[node.outputs[0]] = x
        return None
    layer = scalingLayer(Scale=_of_observation(x, scale), Bias=_of_observation(x, bias))
    return importer.put(node, layer, [x], x.axes)


def _normalizes(importer: Importer, node: OnnxNode, x: Tensor, value: np.ndarray) -> bool:
    """Tell whether a subtraction or division belongs to the input layer, and if so put it there."""
    layer = importer.layer_of(x)
    if not isinstance(layer, (ImagesLayer, FeatureInputLayer)) or not importer.is_alone(x):
        return False
    steps = {("Sub", "none"): ("zerocenter", "Mean"), ("Div", "zerocenter"): ("zscore", "StandardDeviation")}
    found = steps.get((node.operator, layer.Normalization))
    if found is None or (found[0] == "zscore" and not np.all(value > 0)):
        return False
    array = _of_observation(x, value)
    importer.replace_layer(x.port, Normalization=found[0], **{found[1]: array})
    importer.tensors[node.outputs[0]] = x
    return True


def _of_observation(x: Tensor, value: Any) -> np.ndarray:
    """Return what broadcasts to a tensor in the order of MATLAB: positions, then channels."""
    array = np.asarray(value, np.float32)
    if array.size == 1:
        return array.reshape(())
    array = array.reshape((1,) * (len(x.axes) - array.ndim) + array.shape)
    labels = ["C" if x.is_channels(axis) else axis[0] for axis in x.axes]
    if any(array.shape[number] != 1 for number, label in enumerate(labels) if label in "NT"):
        raise NotImported("a constant with an axis for observations")
    places = [labels.index(label) for label in "HWZ" if label in labels]
    others = [number for number in range(len(labels)) if number not in (*places, labels.index("C"))]
    array = array.transpose(*others, *places, labels.index("C"))
    array = array.reshape(array.shape[len(others) :])
    missing = len(x.size.spatial) - len(places)
    array = array.reshape((1,) * missing + array.shape)
    return array if x.size.spatial else array.reshape(-1, 1)


def _combination(importer: Importer, node: OnnxNode) -> None:
    if node.operator not in ("Add", "Sum", "Mul"):
        raise NotImported("a difference or quotient of tensors")
    inputs = [importer.tensor(name) for name in node.inputs]
    if len(inputs) == 1:
        importer.tensors[node.outputs[0]] = inputs[0]
        return
    if len({tensor.axes for tensor in inputs}) > 1:
        inputs = [importer.plain(node, tensor) for tensor in inputs]
        places = {(len(tensor.axes), tensor.axis_of_channels()) for tensor in inputs}
        if len(places) > 1 or len({tensor.size.format for tensor in inputs}) > 1:
            raise NotImported("tensors whose axes are in different orders")
    layer = (multiplicationLayer if node.operator == "Mul" else additionLayer)(len(inputs))
    importer.tensors[node.outputs[0]] = _keeping(importer.emit(node, layer, inputs, inputs[0].axes), inputs[0])


def _concatenation(importer: Importer, node: OnnxNode) -> None:
    if node.outputs[0] in importer.shapes:
        return
    inputs = [importer.plain(node, importer.tensor(name)) for name in node.inputs]
    axis = node.attributes["axis"] % len(inputs[0].axes)
    if axis == inputs[0].axis_of_channels():
        spatial = len(inputs[0].size.spatial)
        layer = depthConcatenationLayer(len(inputs)) if spatial == 2 else concatenationLayer(spatial + 1, len(inputs))
    elif inputs[0].axes[axis][0] in "HWZ" and len(inputs[0].axes[axis]) == 1:
        layer = concatenationLayer("HWZ".index(inputs[0].axes[axis][0]) + 1, len(inputs))
    else:
        raise NotImported("observations or time steps that are joined")
    importer.put(node, layer, inputs, inputs[0].axes)


def _batch_normalization(importer: Importer, node: OnnxNode) -> None:
    x = _channels_second(importer, node)
    if node.attributes.get("training_mode", 0):
        raise NotImported("the statistics of the mini-batch")
    names = ("Scale", "Offset", "TrainedMean", "TrainedVariance")
    values = {
        name: _per_channel(importer.constant(source), x) for name, source in zip(names, node.inputs[1:], strict=True)
    }
    epsilon = node.attributes.get("epsilon", 1e-5)
    if epsilon < _SMALLEST_EPSILON:
        values["TrainedVariance"] = values["TrainedVariance"] + (epsilon - _SMALLEST_EPSILON)
        epsilon = _SMALLEST_EPSILON
    if np.any(values["TrainedVariance"] < 0):
        raise NotImported("a variance that is smaller than the smallest Epsilon")
    importer.put(node, batchNormalizationLayer(Epsilon=epsilon, **values), [x], x.axes)


def _per_channel(values: np.ndarray, x: Tensor) -> np.ndarray:
    return values.reshape(*[1] * len(x.size.spatial), -1) if x.size.spatial else values.reshape(-1, 1)


def _channels_second(importer: Importer, node: OnnxNode) -> Tensor:
    x = importer.plain(node, importer.tensor(node.inputs[0]))
    if x.axis_of_channels() != 1:
        raise NotImported("channels that are not the second axis")
    return x


def _group_normalization(importer: Importer, node: OnnxNode) -> None:
    x = _channels_second(importer, node)
    if x.axes[0] != ("N",):
        raise NotImported("observations that are not the first axis")
    values = {
        name: importer.constant(source) for name, source in zip(("Scale", "Offset"), node.inputs[1:], strict=True)
    }
    if any(value.size != x.size.channels for value in values.values()):
        raise NotImported("a scale for each group")
    shaped = {name: _per_channel(value, x) for name, value in values.items()}
    epsilon = node.attributes.get("epsilon", 1e-5)
    layer: Any
    if node.operator == "InstanceNormalization":
        layer = instanceNormalizationLayer(Epsilon=epsilon, **shaped)
    else:
        layer = groupNormalizationLayer(node.attributes["num_groups"], Epsilon=epsilon, **shaped)
    importer.put(node, layer, [x], x.axes)


def _cross_channel(importer: Importer, node: OnnxNode) -> None:
    x, given = _channels_second(importer, node), node.attributes
    options = {"Alpha": given.get("alpha", 1e-4), "Beta": given.get("beta", 0.75), "K": given.get("bias", 1.0)}
    importer.put(node, crossChannelNormalizationLayer(given["size"], **options), [x], x.axes)


def _blocks(importer: Importer, node: OnnxNode) -> None:
    x, size = _channels_second(importer, node), node.attributes["blocksize"]
    is_spread = node.operator == "DepthToSpace"
    mode = node.attributes.get("mode", "DCR").lower()
    if not is_spread and mode != "dcr":
        raise NotImported("another order of the blocks")
    importer.put(node, depthToSpace2dLayer(size, Mode=mode) if is_spread else spaceToDepthLayer(size), [x], x.axes)


def _resize(importer: Importer, node: OnnxNode) -> None:
    x, given = _channels_second(importer, node), node.attributes
    others = {"axes": None, "antialias": 0, "keep_aspect_ratio_policy": "stretch"}
    if any(given.get(name, plain) != plain for name, plain in others.items()):
        raise NotImported(f"one of the attributes {', '.join(others)}")
    if len(node.inputs) < 2:
        raise NotImported("factors that are attributes")
    _, _, scales, sizes = [*node.inputs, "", "", ""][:4] if node.operator == "Resize" else ["", "", node.inputs[1], ""]
    options: dict[str, Any] = {}
    if sizes:
        shape = importer.shapes.get(sizes) or importer.whole(sizes)
        if not all(isinstance(length, int) for length in shape[2:]):
            raise NotImported("a size that is computed")
        options["OutputSize"] = list(shape[2:])
    else:
        options["Scale"] = [float(factor) for factor in importer.constant(scales)[2:]]
    transform = given.get("coordinate_transformation_mode", "half_pixel" if node.operator == "Resize" else "asymmetric")
    if transform == "pytorch_half_pixel":
        transform = "half_pixel"  # they differ where the new side is one pixel long
        if 1 in options.get("OutputSize", []):
            raise NotImported("pytorch_half_pixel and a side of one pixel")
    rounding = {"round_prefer_ceil": "round", "floor": "floor"}
    if transform not in ("half_pixel", "asymmetric"):
        raise NotImported(f"the transformation {transform}")
    options["GeometricTransformMode"] = transform.replace("_", "-")
    mode = given.get("mode", "nearest")
    is_volume = len(x.size.spatial) == 3
    if mode == "nearest":
        nearest = given.get("nearest_mode", "round_prefer_floor" if node.operator == "Resize" else "floor")
        factors = options.get("Scale") or np.divide(options["OutputSize"], x.size.spatial)
        is_whole = all(float(factor).is_integer() and factor >= 1 for factor in factors)
        if nearest == "round_prefer_floor" and transform == "half_pixel" and is_whole:
            nearest = "round_prefer_ceil"  # no new pixel lies halfway between two old ones
        if nearest == "ceil" and all(factor <= 1 for factor in factors):
            nearest = "onnx-10"
        rounding["onnx-10"] = "onnx-10"
        if nearest not in rounding:
            raise NotImported(f"the rounding {nearest}")
        options["NearestRoundingMode"] = rounding[nearest]
    elif mode != "linear":
        raise NotImported(f"the mode {mode}")
    options["Method"] = "nearest" if mode == "nearest" else "trilinear" if is_volume else "bilinear"
    importer.put(node, (resize3dLayer if is_volume else resize2dLayer)(**options), [x], x.axes)


def _reduction(importer: Importer, node: OnnxNode) -> None:
    """Add global pooling over all positions, or over all time steps."""
    x = importer.tensor(node.inputs[0])
    reduced = {place % len(x.axes) for place in places(importer, node) or range(len(x.axes))}
    kind = "Average" if node.operator == "ReduceMean" else "Max"
    labels = [label for place in sorted(reduced) for label in x.axes[place]]
    keeps = node.attributes.get("keepdims", 1)
    if labels == ["T"] and x.size.format == "CT":
        if keeps:
            raise NotImported("a mean over time that stays an axis")
        left = tuple(axis for axis in x.axes if axis != ("T",))
        importer.tensors[node.outputs[0]] = global_pooling(kind, 1)(importer, node, x, left)
        return
    count = len(x.size.spatial)
    if labels != list("HWZ"[:count]) or not count:
        raise NotImported("a reduction of something else than all positions")
    made = global_pooling(kind, count)(importer, node, x, x.axes)
    importer.tensors[node.outputs[0]] = made if keeps else made.squeezed(sorted(reduced))


def _dropout(importer: Importer, node: OnnxNode) -> None:
    x = importer.tensor(node.inputs[0])
    ratio = node.attributes.get("ratio", 0.5)
    if len(node.inputs) > 1 and node.inputs[1]:
        ratio = float(importer.constant(node.inputs[1]))
    trains = len(node.inputs) > 2 and node.inputs[2] and bool(importer.constant(node.inputs[2]))
    if trains or not 0 <= ratio < 1 or any(importer.is_used(name) for name in node.outputs[1:]):
        raise NotImported("a mask, or dropout that is not for training only")
    importer.tensors[node.outputs[0]] = _keeping(importer.emit(node, dropoutLayer(ratio), [x], x.axes), x)


OPERATORS: dict[str, Operator] = {
    "Relu": _activation(lambda _: reluLayer()),
    "LeakyRelu": _activation(lambda given: leakyReluLayer(given.get("alpha", 0.01))),
    "Elu": _activation(lambda given: eluLayer(given.get("alpha", 1.0))),
    "Tanh": _activation(lambda _: tanhLayer()),
    "Sigmoid": _activation(lambda _: sigmoidLayer()),
    "Softplus": _activation(lambda _: softplusLayer()),
    "Gelu": _activation(lambda given: geluLayer(Approximation=given.get("approximate", "none"))),
    "Clip": _clip,
    "PRelu": _prelu,
    "Softmax": _softmax,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), _arithmetic),
    "Concat": of_shapes(_concatenation),
    "Slice": of_shapes(None),
    "Gather": of_shapes(gather),
    "Gemm": product,
    "MatMul": product,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _group_normalization,
    "GroupNormalization": _group_normalization,
    "LayerNormalization": normalization,
    "RMSNormalization": normalization,
    "Swish": _swish,
    "LRN": _cross_channel,
    "DepthToSpace": _blocks,
    "SpaceToDepth": _blocks,
    "Resize": _resize,
    "Upsample": _resize,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "Pad": pad,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "GlobalAveragePool": lambda importer, node: _global(importer, node, "Average"),
    "GlobalMaxPool": lambda importer, node: _global(importer, node, "Max"),
    "ReduceMean": _reduction,
    "ReduceMax": _reduction,
    "Transpose": transpose,
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Identity": same,
    "Cast": cast,
    "Dropout": _dropout,
    "Constant": constant,
    "Shape": shape,
    "Expand": filled,
    "ConstantOfShape": filled,
    "LSTM": recurrent,
    "GRU": recurrent,
}
"""What the operators that are known become."""


def _global(importer: Importer, node: OnnxNode, kind: str) -> None:
    x = _channels_second(importer, node)
    if x.axes == axes("N", "C", "T"):
        raise NotImported("a mean over time that stays an axis")
    importer.tensors[node.outputs[0]] = global_pooling(kind, len(x.size.spatial))(importer, node, x, x.axes)
