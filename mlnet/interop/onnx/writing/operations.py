"""Every operation that ONNX can express, as ONNX operators: elementwise, normalization, shapes, several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.interop.onnx.writing.attention import attention, self_attention
from mlnet.interop.onnx.writing.embedding import (
    embedding_concatenation,
    max_unpooling,
    patch_embedding,
    position_embedding,
    position_encoding,
    quadratic,
    value_encoding,
)
from mlnet.interop.onnx.writing.recurrent import bilstm, gru, lstm, projected_lstm, with_ports
from mlnet.interop.onnx.writing.step import NotInOnnx, Step
from mlnet.interop.onnx.writing.windows import (
    average_pooling,
    convolution,
    global_pooling,
    grouped_convolution,
    max_pooling,
    max_pooling_with_indices,
    transposed_convolution,
)

Exporter = Callable[[Step], Any]


def _unary(operator: str, **names: str) -> Exporter:
    """Return the exporter of an operator whose attributes are those of the operation, by ``names``."""

    def export(step: Step) -> str:
        attributes = {name: float(step.attributes[ours]) for name, ours in names.items()}
        return step.build.node(operator, step.inputs[0], **attributes)

    return export


def _clipped_relu(step: Step) -> str:
    build = step.build
    ends = build.constant("min", np.float32(0)), build.constant("max", np.float32(step.attributes["ceiling"]))
    return build.node("Clip", step.inputs[0], *ends)


def _swish(step: Step) -> str:
    (x,) = step.inputs
    return step.build.node("Mul", x, step.build.node("Sigmoid", x))


def _gelu(step: Step) -> str:
    build, (x,) = step.build, step.inputs
    is_tanh = step.attributes["approximation"] == "tanh"
    if build.opset >= 20:
        return build.node("Gelu", x, approximate="tanh" if is_tanh else "none")

    def number(value: float) -> str:
        return build.constant("number", np.float32(value))

    if is_tanh:
        cubic = build.node("Mul", build.node("Mul", x, build.node("Mul", x, x)), number(0.044715))
        gate = build.node("Tanh", build.node("Mul", build.node("Add", x, cubic), number(math.sqrt(2 / math.pi))))
    else:
        gate = build.node("Erf", build.node("Mul", x, number(math.sqrt(0.5))))
    half = build.node("Mul", x, number(0.5))
    return build.node("Mul", half, build.node("Add", gate, number(1)))


def _prelu(step: Step) -> str:
    return step.build.node(
        "PRelu", step.inputs[0], step.build.constant("Alpha", step.per_channel(step.parameters["Alpha"]))
    )


def _scaling(step: Step) -> str:
    build = step.build
    scaled = build.node("Mul", step.inputs[0], build.constant("Scale", step.spread(step.attributes["scale"])))
    return build.node("Add", scaled, build.constant("Bias", step.spread(step.attributes["bias"])))


def _softmax(step: Step) -> str:
    return step.build.node("Softmax", step.inputs[0], axis=step.channel_axis)


def _normalize_input(step: Step) -> str:
    (x,) = step.inputs
    for operator, name in (("Sub", "shift"), ("Div", "scale")):
        if step.attributes[name] is not None:
            x = step.build.node(operator, x, step.build.constant(name, step.spread(step.attributes[name])))
    return x


def _whiten_input(step: Step) -> str:
    """Return the linear map of each pixel as a convolution, or of whole observations as a matrix product."""
    build, size, matrix = step.build, step.size, np.asarray(step.attributes["matrix"])
    centred = build.node("Sub", step.inputs[0], build.constant("Mean", step.spread(step.attributes["mean"])))
    if len(matrix) == size.count and size.spatial:  # rows and columns in the order of (H, W, C)
        order = np.arange(size.count).reshape(size.dims)
        order = np.moveaxis(order, -1, 0).ravel()
        flat = build.reshaped(centred, [-1, size.count])
        product = build.node("MatMul", flat, build.constant("Matrix", matrix[np.ix_(order, order)].T))
        return build.reshaped(product, [-1, size.channels, *size.spatial])
    if not size.spatial:
        return build.node("MatMul", centred, build.constant("Matrix", matrix.T))
    filters = matrix.reshape(*matrix.shape, *[1] * len(size.spatial))
    return build.node("Conv", centred, build.constant("Matrix", filters))


def _fully_connected(step: Step) -> str:
    """Return the matrix product; (N, K), whatever came in.

    MATLAB counts the elements of images with height fastest, ONNX's Flatten with width (or depth) fastest.
    """
    build, size, weights = step.build, step.size, step.parameters["Weights"]
    bias = build.constant("Bias", step.parameters["Bias"].ravel())
    if size.format == "CT":
        product = build.node("MatMul", step.inputs[0], build.constant("Weights", weights.T))
        return build.node("Add", product, bias)
    spatial = size.spatial
    reordered = weights.reshape(len(weights), size.channels, *spatial[::-1])
    matrix = reordered.transpose(0, 1, *range(len(spatial) + 1, 1, -1)).reshape(weights.shape)
    x = build.node("Flatten", step.inputs[0], axis=1) if spatial else step.inputs[0]
    return build.node("Gemm", x, build.constant("Weights", matrix), bias, transB=1)


def _batch_normalization(step: Step) -> str:
    return _channel_map(step, step.parameters["TrainedMean"], step.parameters["TrainedVariance"])


def _channel_map(step: Step, mean: np.ndarray, variance: np.ndarray) -> str:
    build, values = step.build, step.parameters
    constants = [("Scale", values["Scale"]), ("Offset", values["Offset"]), ("Mean", mean), ("Variance", variance)]
    names = [build.constant(name, value.ravel()) for name, value in constants]
    return build.node("BatchNormalization", step.inputs[0], *names, epsilon=float(step.attributes["epsilon"]))


def _whitening(step: Step) -> str:
    """Return the whitening, with scale and offset, as one convolution of single pixels."""
    build, values = step.build, step.parameters
    matrix = values["TrainedWhiteningMatrix"]
    blocks = np.moveaxis(matrix, 2, 0) if matrix.ndim == 3 else matrix[None]
    scale, offset = values["Scale"].ravel(), values["Offset"].ravel()
    groups, width = blocks.shape[:2]
    filters = blocks.reshape(groups * width, width).astype(np.float64) * scale[:, None]
    mean = values["TrainedMean"].reshape(groups, width)
    bias = offset - np.einsum("gij,gj->gi", filters.reshape(groups, width, width), mean).ravel()
    spatial = max(1, len(step.size.spatial))
    x = step.inputs[0] if step.size.spatial else build.unsqueezed(step.inputs[0], 2)
    weights = build.constant("Weights", filters.reshape(*filters.shape, *[1] * spatial))
    output = build.node("Conv", x, weights, build.constant("Bias", bias), group=groups)
    return output if step.size.spatial else build.squeezed(output, 2)


def _group_normalization(step: Step) -> str:
    """Return the normalization: InstanceNormalization where each channel is a group, otherwise of reshaped groups."""
    build, size, groups = step.build, step.size, int(step.attributes["groups"])
    epsilon = float(step.attributes["epsilon"])
    x = step.inputs[0]
    if step.along_time:  # (S, N, C, ...) becomes (N, C, S, ...)
        more = range(3, 2 + len(size.dims))
        x = build.transposed(x, (1, 2, 0, *more))
    if not size.spatial and not step.along_time:
        x = build.unsqueezed(x, 2)
    offset, scale = (step.parameters[name].ravel() for name in ("Offset", "Scale"))
    if groups == size.channels:
        constants = build.constant("Scale", scale), build.constant("Offset", offset)
        x = build.node("InstanceNormalization", x, *constants, epsilon=epsilon)
    elif build.opset >= 21:
        constants = build.constant("Scale", scale), build.constant("Offset", offset)
        x = build.node("GroupNormalization", x, *constants, num_groups=groups, epsilon=epsilon)
    else:
        shape = build.node("Shape", x)
        plain = build.constant("ones", np.ones(groups)), build.constant("zeros", np.zeros(groups))
        grouped = build.reshaped(x, [0, groups, -1])
        x = build.node("Reshape", build.node("InstanceNormalization", grouped, *plain, epsilon=epsilon), shape)
        spatial = [1] * max(1, len(size.dims) - 1 + step.along_time)
        x = build.node("Mul", x, build.constant("Scale", scale.reshape(-1, *spatial)))
        x = build.node("Add", x, build.constant("Offset", offset.reshape(-1, *spatial)))
    if step.along_time:
        return build.transposed(x, (2, 0, 1, *range(3, 2 + len(size.dims))))
    return x if size.spatial else build.squeezed(x, 2)


def _layer_normalization(step: Step) -> str:
    """Return LayerNormalization where channels alone are normalized and last, otherwise one group of all."""
    build = step.build
    if len(step.attributes["axes"]) > 1:
        return _group_normalization(replace(step, attributes={**step.attributes, "groups": 1}))
    if build.opset < 17:
        raise NotInOnnx("a normalization that OpsetVersion 17 brings")
    x, back = _channels_last(step)
    constants = (build.constant(name, step.parameters[name].ravel()) for name in ("Scale", "Offset"))
    x = build.node("LayerNormalization", x, *constants, axis=-1, epsilon=float(step.attributes["epsilon"]))
    return back(x)


def _rms_normalization(step: Step) -> str:
    build, size = step.build, step.size
    count = len(step.attributes["axes"])
    lead = step.channel_axis
    axes = [lead] if count == 1 else list(range(lead, lead + len(size.dims)))
    if step.along_time and count > len(size.dims):
        axes = [0, *axes]
    x = step.inputs[0]
    power = build.mean(build.node("Mul", x, x), axes)
    shifted = build.node("Add", power, build.constant("Epsilon", np.float32(step.attributes["epsilon"])))
    x = build.node("Div", x, build.node("Sqrt", shifted))
    return build.node("Mul", x, build.constant("Scale", step.per_channel(step.parameters["Scale"])))


def _channels_last(step: Step) -> tuple[str, Callable[[str], str]]:
    """Return the input with its channels last, and the function that puts them back."""
    count, axis = len(step.size.dims), step.channel_axis
    lead, spatial = list(range(axis)), list(range(axis + 1, axis + count))
    x = step.build.transposed(step.inputs[0], [*lead, *spatial, axis])
    back = [*lead, axis + count - 1, *range(axis, axis + count - 1)]
    return x, lambda y: step.build.transposed(y, back)


def _cross_channel_normalization(step: Step) -> str:
    """Return LRN; the squares of an even window, which few programs take, are summed by a convolution."""
    build, call, size = step.build, step.attributes, step.size
    window, alpha, beta, k = int(call["window"]), float(call["alpha"]), float(call["beta"]), float(call["k"])
    (x,) = step.inputs
    if window % 2:
        return build.node("LRN", x, size=window, alpha=alpha, beta=beta, bias=k)
    channel = np.arange(size.channels)
    distance = channel - channel[:, None]  # of the channel that is summed from the one that is normalized
    inside = (distance >= -((window - 1) // 2)) & (distance <= window // 2)
    band = inside[:, :, None, None] * alpha / window
    base = build.node("Conv", build.node("Mul", x, x), build.constant("Window", band))
    base = build.node("Add", base, build.constant("K", np.float32(k)))
    return build.node("Div", x, build.node("Pow", base, build.constant("Beta", np.float32(beta))))


def _elementwise(operator: str, many: str) -> Exporter:
    def export(step: Step) -> str:
        first, *others = step.inputs
        if many and len(others) > 1:
            return step.build.node(many, *step.inputs)
        for other in others:
            first = step.build.node(operator, first, other)
        return first

    return export


def _concatenation(step: Step) -> str:
    axis = len(step.size.dims) + step.attributes["axis"]
    is_channel = axis == len(step.size.dims) - 1
    return step.build.node(
        "Concat", *step.inputs, axis=step.channel_axis if is_channel else step.channel_axis + 1 + axis
    )


def _reversed_axes(count: int) -> list[int]:
    """Return the order that turns (N, C, H, W, D) into (N, C, D, W, H), MATLAB's order of elements, and back."""
    return [0, 1, *range(count, 1, -1)]


def _flatten(step: Step) -> str:
    x = step.build.transposed(step.inputs[0], _reversed_axes(len(step.size.dims)))
    return step.build.node("Flatten", x, axis=1)


def _reshape(step: Step) -> str:
    x = step.build.transposed(step.inputs[0], _reversed_axes(len(step.size.dims)))
    size = step.attributes["size"]
    x = step.build.reshaped(x, [-1, *size[::-1]])
    return step.build.transposed(x, _reversed_axes(len(size)))


def _permute(step: Step) -> str:
    order = step.attributes["order"]
    place = {len(order) - 1: 1, **{axis: axis + 2 for axis in range(len(order) - 1)}}
    return step.build.transposed(step.inputs[0], [0, *(place[order[axis]] for axis in (-1, *range(len(order) - 1)))])


def _depth_to_space(step: Step) -> str:
    height, width = step.attributes["block"]
    mode = step.attributes["mode"].upper()
    if height == width:
        return step.build.node("DepthToSpace", step.inputs[0], blocksize=int(height), mode=mode)
    build, (rows, columns, depth) = step.build, step.size.dims
    channels = depth // (height * width)
    parts, order = [height, width, channels], (0, 3, 4, 1, 5, 2)
    if mode == "CRD":
        parts, order = [channels, height, width], (0, 1, 4, 2, 5, 3)
    x = build.transposed(build.reshaped(step.inputs[0], [-1, *parts, rows, columns]), order)
    return build.reshaped(x, [-1, channels, rows * height, columns * width])


def _space_to_depth(step: Step) -> str:
    build, (height, width) = step.build, step.attributes["block"]
    rows, columns, channels = step.size.dims
    high, wide = rows // height, columns // width
    x = _sliced(step, step.inputs[0], (0, 0), (high * height, wide * width))
    if height == width:
        return build.node("SpaceToDepth", x, blocksize=int(height))
    x = build.reshaped(x, [-1, channels, high, height, wide, width])
    return build.reshaped(build.transposed(x, (0, 3, 5, 1, 2, 4)), [-1, channels * height * width, high, wide])


def _crop(step: Step) -> str:
    offset = step.attributes["offset"]
    lengths = step.sizes[1].spatial
    return _sliced(step, step.inputs[0], offset, [a + b for a, b in zip(offset, lengths, strict=True)])


def _sliced(step: Step, x: str, starts: Any, ends: Any) -> str:
    """Return the window of the positions from ``starts`` to before ``ends``."""
    if not any(starts) and tuple(ends) == step.size.spatial:
        return x
    shape = step.build.shape
    return step.build.node("Slice", x, shape(list(starts)), shape(list(ends)), shape(list(range(2, 2 + len(ends)))))


def _resize(step: Step) -> str:
    build, call = step.build, step.attributes
    rounding = {"round": "round_prefer_ceil", "floor": "floor"}
    attributes: dict[str, Any] = {"coordinate_transformation_mode": call["transform"].replace("-", "_")}
    if call["method"] != "nearest":
        attributes["mode"] = "linear"
    elif call["rounding"] in rounding:
        attributes.update(mode="nearest", nearest_mode=rounding[call["rounding"]])
    else:
        factors = call["scale"] or np.divide(call["size"], step.size.spatial)
        smaller = {bool(factor < 1) for factor in factors if factor != 1}
        if len(smaller) > 1:
            raise NotInOnnx("NearestRoundingMode='onnx-10' where one side grows and the other shrinks")
        attributes.update(mode="nearest", nearest_mode="ceil" if smaller == {True} else "floor")
    (x, *_) = step.inputs
    if call["scale"] is not None:
        scales = build.constant("scales", np.array([1, 1, *call["scale"]], np.float32))
        return build.node("Resize", x, "", scales, **attributes)
    batch = build.node("Slice", build.node("Shape", x), build.shape([0]), build.shape([2]), build.shape([0]))
    sizes = build.node("Concat", batch, build.shape([int(n) for n in call["size"]]), axis=0)
    return build.node("Resize", x, "", "", sizes, **attributes)


def _adaptive_average_pooling(step: Step) -> str:
    """Return an AveragePool where the windows are equal, otherwise one product with a matrix for each side."""
    build, size = step.build, tuple(int(n) for n in step.attributes["size"])
    (x,) = step.inputs
    lengths = step.size.spatial
    if all(length % count == 0 for length, count in zip(lengths, size, strict=True)):
        window = [length // count for length, count in zip(lengths, size, strict=True)]
        return build.node("AveragePool", x, kernel_shape=window, strides=window)
    rows, columns = (_shares(length, count) for length, count in zip(lengths, size, strict=True))
    return build.node(
        "MatMul", build.node("MatMul", build.constant("Rows", rows), x), build.constant("Cols", columns.T)
    )


def _shares(length: int, count: int) -> np.ndarray:
    """Return the share (count, length) of each element in the mean of each window."""
    matrix = np.zeros((count, length))
    for window in range(count):
        start, stop = window * length // count, -(-(window + 1) * length // count)
        matrix[window, start:stop] = 1 / (stop - start)
    return matrix


def _word_embedding(step: Step) -> str:
    """Return the row of each word, counted from 1; unknown words are the last row, where there is one for them."""
    build, weights = step.build, step.parameters["Weights"]
    if weights.shape[1] == int(step.attributes["words"]) and not step.attributes["strict"]:
        raise NotInOnnx("words beyond the vocabulary")
    if step.size.spatial:
        raise NotInOnnx("images of words")
    number = build.node("Sub", step.inputs[0], build.constant("one", np.float32(1)))
    index = build.squeezed(build.node("Cast", number, to=7), step.channel_axis)
    return build.node("Gather", build.constant("Weights", weights.T), index, axis=0)


def _indexing(step: Step) -> str:
    if len(step.inputs) > 1:
        raise NotInOnnx("a mask")
    which = step.build.constant("index", np.int64(-1 if step.attributes["last"] else 0), np.int64)
    return step.build.node("Gather", step.inputs[0], which, axis=0 if step.along_time else 2)


_WINDOWS: dict[str, Exporter] = {
    f"{name}{count}d": export
    for name, export in (
        ("convolution", convolution),
        ("transposed_convolution", transposed_convolution),
        ("max_pooling", max_pooling),
        ("average_pooling", average_pooling),
    )
    for count in (1, 2, 3)
}

EXPORTERS: dict[str, Exporter] = {
    **_WINDOWS,
    "grouped_convolution2d": grouped_convolution,
    **{f"global_average_pooling{end}": global_pooling("Average") for end in ("", "1d", "3d")},
    **{f"global_max_pooling{end}": global_pooling("Max") for end in ("", "1d", "3d")},
    "adaptive_average_pooling": _adaptive_average_pooling,
    "fully_connected": _fully_connected,
    "batch_normalization_inference": _batch_normalization,
    "whitening_inference": _whitening,
    "group_normalization": _group_normalization,
    "layer_normalization": _layer_normalization,
    "rms_normalization": _rms_normalization,
    "cross_channel_normalization": _cross_channel_normalization,
    "normalize_input": _normalize_input,
    "whiten_input": _whiten_input,
    "relu": _unary("Relu"),
    "leaky_relu": _unary("LeakyRelu", alpha="scale"),
    "elu": _unary("Elu", alpha="alpha"),
    "tanh": _unary("Tanh"),
    "sigmoid": _unary("Sigmoid"),
    "softplus": _unary("Softplus"),
    "clipped_relu": _clipped_relu,
    "swish": _swish,
    "gelu": _gelu,
    "prelu": _prelu,
    "scaling": _scaling,
    "softmax": _softmax,
    "addition": _elementwise("Add", "Sum"),
    "multiplication": _elementwise("Mul", ""),
    "concatenation": _concatenation,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "crop": _crop,
    "resize": _resize,
    "word_embedding": _word_embedding,
    "indexing1d": _indexing,
    "lstm": lstm,
    "bilstm": bilstm,
    "gru": gru,
    "projected_lstm": projected_lstm,
    "recurrent_with_ports": with_ports,
    "attention": attention,
    "self_attention": self_attention,
    "position_embedding": position_embedding,
    "position_encoding": position_encoding,
    "value_encoding": value_encoding,
    "embedding_concatenation": embedding_concatenation,
    "patch_embedding": patch_embedding,
    "quadratic": quadratic,
    "max_pooling2d_with_indices": max_pooling_with_indices,
    "max_unpooling2d": max_unpooling,
}
"""How each operation is written; what is not here ONNX cannot express, or mlnet does not write it."""

ANY_SHAPE = {"relu", "leaky_relu", "elu", "tanh", "sigmoid", "softplus", "clipped_relu", "swish", "gelu"}
"""Operations that do not care in what shape their input is."""

WITH_TIME = {
    *ANY_SHAPE,
    "addition",
    "multiplication",
    "concatenation",
    "prelu",
    "scaling",
    "normalize_input",
    "softmax",
}
WITH_TIME |= {"rms_normalization", "word_embedding"}
"""Operations on single time steps that can take the axes (S, N) instead of (N)."""
