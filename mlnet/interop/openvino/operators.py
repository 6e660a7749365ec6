"""Each ONNX operator that mlnet writes, as operations of OpenVINO's IR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.interop.folding import CHANNEL_SCALE
from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.openvino import shapes as ir_shapes
from mlnet.interop.openvino.graph import OPEN, IrBuilder, IrValue
from mlnet.interop.openvino.recurrent import recurrent
from mlnet.interop.openvino.windows import convolution, pad, pooling, scattering, transposed_convolution

Inputs = list[Any]
"""The values that an operator takes; None where an optional one is left out."""
Translator = Callable[[IrBuilder, OnnxNode, Inputs], Any]


def _unary(kind: str, opset: int = 1, **names: str) -> Translator:
    """Return the translator of an operator whose attributes have the names on the left, or the values that they say."""

    def add(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
        attributes = {name: node.attributes[theirs] for name, theirs in names.items()}
        return build.add(kind, opset, inputs[:1], inputs[0].shape, **attributes)

    return add


def binary(build: IrBuilder, kind: str, first: IrValue, second: IrValue) -> IrValue:
    """Add an operation on elements of two arrays that are stretched to each other."""
    shape = ir_shapes.broadcast(first.shape, second.shape)
    return build.add(kind, 1, [first, second], shape, auto_broadcast="numpy")


def _binary(kind: str) -> Translator:
    def add(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
        value, *others = inputs
        for other in others:
            value = binary(build, kind, value, other)
        return value

    return add


def _leaky(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    slope = build.constant(np.array([node.attributes["alpha"]]))
    return build.add("PReLU", 1, [inputs[0], slope], inputs[0].shape)


def _prelu(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return max(x, 0) + slope min(x, 0): a slope of one axis means another one in PReLU than in ONNX."""
    x, slope = inputs
    over = build.add("ReLU", 1, [x], x.shape)
    return binary(build, "Add", over, binary(build, "Multiply", slope, binary(build, "Subtract", x, over)))


def _clip(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    low, high = (float(_array(build, value)) for value in inputs[1:])
    return build.add("Clamp", 1, inputs[:1], inputs[0].shape, min=low, max=high)


def _gelu(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    mode = "tanh" if node.attributes["approximate"] == "tanh" else "erf"
    return build.add("Gelu", 7, inputs, inputs[0].shape, approximation_mode=mode)


def _array(build: IrBuilder, value: IrValue) -> np.ndarray:
    array = build.layers[value.layer].constant
    assert array is not None
    return array


def _softmax(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    axis = node.attributes["axis"] % inputs[0].rank
    return build.add("SoftMax", 1, inputs, inputs[0].shape, axis=axis)


def _matmul(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    shape = ir_shapes.product(inputs[0].shape, inputs[1].shape)
    return build.add("MatMul", 1, inputs, shape, transpose_a=False, transpose_b=False)


def _gemm(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, weights, bias = inputs
    shape = (x.shape[0], weights.shape[0])
    made = build.add("MatMul", 1, [x, weights], shape, transpose_a=False, transpose_b=True)
    return binary(build, "Add", made, bias)


def _spread(build: IrBuilder, values: np.ndarray, x: IrValue) -> IrValue:
    """Add one number for each channel, the second axis, so that it stretches to x."""
    return build.constant(np.reshape(values, (-1, *[1] * (x.rank - 2))))


def _batch_normalization(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return BatchNormInference; those that are to be folded no longer are in the graph."""
    return build.add("BatchNormInference", 5, inputs, inputs[0].shape, epsilon=node.attributes["epsilon"])


def _channel_scale(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, slope, shift = inputs
    made = binary(build, "Multiply", x, _spread(build, _array(build, slope), x))
    return binary(build, "Add", made, _spread(build, _array(build, shift), x))


def _instance_normalization(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, scale, offset = inputs
    made = _standardized(build, x, range(2, x.rank), node.attributes["epsilon"])
    made = binary(build, "Multiply", made, _spread(build, _array(build, scale), x))
    return binary(build, "Add", made, _spread(build, _array(build, offset), x))


def _standardized(build: IrBuilder, x: IrValue, axes: Any, epsilon: float) -> IrValue:
    places = build.whole(list(axes))
    return build.add("MVN", 6, [x, places], x.shape, normalize_variance=True, eps=epsilon, eps_mode="inside_sqrt")


def _group_normalization(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    options = {"num_groups": node.attributes["num_groups"], "epsilon": node.attributes["epsilon"]}
    return build.add("GroupNormalization", 12, inputs, inputs[0].shape, **options)


def _layer_normalization(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, scale, offset = inputs
    made = _standardized(build, x, [-1], node.attributes["epsilon"])
    return binary(build, "Add", binary(build, "Multiply", made, scale), offset)


def _lrn(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return ``x / (k + a s)^b`` as ``k^-b x / (1 + a/k s)^b``: the processor's LRN takes 1 for every k (2026.4)."""
    given = node.attributes
    options = {"alpha": given["alpha"] / given["bias"], "beta": given["beta"], "bias": 1.0, "size": given["size"]}
    made = build.add("LRN", 1, [inputs[0], build.whole([1])], inputs[0].shape, **options)
    return binary(build, "Multiply", made, build.constant(np.float32(given["bias"] ** -given["beta"])))


def _reduction(kind: str) -> Translator:
    def add(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
        keep = bool(node.attributes["keepdims"])
        shape = ir_shapes.reduced(inputs[0].shape, inputs[1].known, keep=keep)
        return build.add(kind, 1, inputs, shape, keep_dims=keep)

    return add


def _product(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return the number of elements of a shape."""
    lengths = inputs[0].known
    known = (None,) if None in lengths else (math.prod(lengths),)
    return build.add("ReduceProd", 1, inputs, (1,), known=known, keep_dims=True)


def _global(kind: str) -> Translator:
    def add(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
        axes = range(2, inputs[0].rank)
        shape = ir_shapes.reduced(inputs[0].shape, axes, keep=True)
        return build.add(kind, 1, [inputs[0], build.whole(list(axes))], shape, keep_dims=True)

    return add


def _reshape(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, target = inputs
    shape = ir_shapes.reshaped(x.shape, target.known)
    return build.add("Reshape", 1, [x, target], shape, special_zero=True)


def _flatten(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    (x,) = inputs
    count = OPEN if OPEN in x.shape[1:] else math.prod(x.shape[1:])
    return build.add("Reshape", 1, [x, build.whole([0, -1])], (x.shape[0], count), special_zero=True)


def _transpose(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    order = node.attributes["perm"]
    shape = tuple(inputs[0].shape[place] for place in order)
    return build.add("Transpose", 1, [inputs[0], build.whole(order)], shape)


def _concatenation(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    shape = ir_shapes.joined([value.shape for value in inputs], node.attributes["axis"])
    known = None
    if all(value.known is not None for value in inputs):
        known = tuple(number for value in inputs for number in value.known)
    return build.add("Concat", 1, inputs, shape, known=known, axis=node.attributes["axis"])


def _slice(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, starts, ends, axes = inputs
    steps = build.whole([1] * len(starts.known))
    shape = ir_shapes.sliced(x.shape, starts.known, ends.known, axes.known)
    known = x.known[starts.known[0] : ends.known[0]] if x.known is not None else None
    return build.add("Slice", 8, [x, starts, ends, steps, axes], shape, known=known)


def _shape(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    (x,) = inputs
    known = tuple(None if length == OPEN else length for length in x.shape)
    return build.add("ShapeOf", 3, [x], (x.rank,), numbers="i64", known=known, output_type="i64")


def _gather(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, index = inputs
    axis = node.attributes["axis"]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return build.add("Gather", 8, [x, index, build.whole(axis)], shape, batch_dims=0)


def _squeeze(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    return build.add("Squeeze", 1, inputs, ir_shapes.reduced(inputs[0].shape, inputs[1].known, keep=False))


def _unsqueeze(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    return build.add("Unsqueeze", 1, inputs, ir_shapes.unsqueezed(inputs[0].shape, inputs[1].known))


def _cast(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    kind = {1: "f32", 7: "i64"}[node.attributes["to"]]
    return build.add("Convert", 1, inputs, inputs[0].shape, numbers=kind, destination_type=kind)


def _expand(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    target = tuple(OPEN if n is None else n for n in inputs[1].known)
    shape = ir_shapes.broadcast(inputs[0].shape, target)
    return build.add("Broadcast", 3, inputs, shape, mode="bidirectional")


def _range(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    return build.add("Range", 4, inputs, (OPEN,), numbers="i64", output_type="i64")


def _lower_triangle(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    """Return the elements of the last two axes that are not right of the diagonal, and zeros."""
    x = inputs[0]
    counts = build.add("ShapeOf", 3, [x], (x.rank,), numbers="i64", output_type="i64")
    numbers = []
    for axis, new in ((-2, 1), (-1, 0)):
        length = build.add("Gather", 8, [counts, build.whole(axis), build.whole(0)], (), batch_dims=0)
        count = _range(build, node, [build.whole(0), length, build.whole(1)])
        shape = ir_shapes.unsqueezed(count.shape, [new])
        numbers.append(build.add("Unsqueeze", 1, [count, build.whole([new])], shape))
    rows, columns = numbers
    inside = build.add("LessEqual", 1, [columns, rows], (OPEN, OPEN), numbers="boolean", auto_broadcast="numpy")
    zero = build.constant(np.zeros(()))
    return build.add("Select", 1, [inside, x, zero], x.shape, numbers=x.kind, auto_broadcast="numpy")


def _blocks(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    batch, channels, rows, columns = inputs[0].shape
    size = node.attributes["blocksize"]
    if node.operator == "DepthToSpace":
        mode = {"DCR": "blocks_first", "CRD": "depth_first"}[node.attributes["mode"]]
        shape = (batch, channels // size**2, rows * size, columns * size)
    else:
        mode, shape = "blocks_first", (batch, channels * size**2, rows // size, columns // size)
    return build.add(node.operator, 1, inputs, shape, mode=mode, block_size=size)


def _resize(build: IrBuilder, node: OnnxNode, inputs: Inputs) -> IrValue:
    x, given = inputs[0], node.attributes
    lengths = x.shape[2:]
    if len(inputs) > 3:
        spatial = inputs[3].known[2:]
        target = build.whole(spatial)
    else:
        scales = _array(build, inputs[2])[2:]
        spatial = tuple(math.floor(float(n * factor)) for n, factor in zip(lengths, scales, strict=True))
        target = build.constant(scales)
    options = {
        "mode": "linear_onnx" if given["mode"] == "linear" else "nearest",
        "shape_calculation_mode": "sizes" if len(inputs) > 3 else "scales",
        "coordinate_transformation_mode": given["coordinate_transformation_mode"],
        "nearest_mode": given.get("nearest_mode", "round_prefer_floor"),
        "antialias": False,
        "pads_begin": [0] * x.rank,
        "pads_end": [0] * x.rank,
        "cube_coeff": -0.75,
    }
    places = build.whole(list(range(2, x.rank)))
    return build.add("Interpolate", 11, [x, target, places], (*x.shape[:2], *spatial), **options)


TRANSLATORS: dict[str, Translator] = {
    "Identity": lambda build, node, inputs: inputs[0],
    "Relu": _unary("ReLU"),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Elu": _unary("Elu", alpha="alpha"),
    "Tanh": _unary("Tanh"),
    "Sigmoid": _unary("Sigmoid"),
    "Softplus": _unary("SoftPlus", 4),
    "Erf": _unary("Erf"),
    "Sqrt": _unary("Sqrt"),
    "Sin": _unary("Sin"),
    "Sign": _unary("Sign"),
    "Abs": _unary("Abs"),
    "Cos": _unary("Cos"),
    "Gelu": _gelu,
    "Clip": _clip,
    "Softmax": _softmax,
    **{
        name: _binary(kind)
        for name, kind in (
            ("Add", "Add"),
            ("Sum", "Add"),
            ("Sub", "Subtract"),
            ("Mul", "Multiply"),
            ("Div", "Divide"),
            ("Pow", "Power"),
        )
    },
    "MatMul": _matmul,
    "Gemm": _gemm,
    "BatchNormalization": _batch_normalization,
    CHANNEL_SCALE: _channel_scale,
    "InstanceNormalization": _instance_normalization,
    "GroupNormalization": _group_normalization,
    "LayerNormalization": _layer_normalization,
    "LRN": _lrn,
    "ReduceMean": _reduction("ReduceMean"),
    "ReduceMax": _reduction("ReduceMax"),
    "ReduceProd": _product,
    "GlobalAveragePool": _global("ReduceMean"),
    "GlobalMaxPool": _global("ReduceMax"),
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "ScatterElements": scattering,
    "Pad": pad,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concatenation,
    "Slice": _slice,
    "Shape": _shape,
    "Gather": _gather,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Cast": _cast,
    "Expand": _expand,
    "Range": _range,
    "Trilu": _lower_triangle,
    "DepthToSpace": _blocks,
    "SpaceToDepth": _blocks,
    "Resize": _resize,
    "LSTM": recurrent,
    "GRU": recurrent,
}
"""How each operator is written."""
