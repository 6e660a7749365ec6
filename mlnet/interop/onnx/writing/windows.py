"""Operations with windows as ONNX operators: convolutions, transposed convolutions and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.writing.step import NotInOnnx, Step

_PAD_MODES = {"replicate": "edge", "symmetric-exclude-edge": "reflect"}


def convolution(step: Step) -> str:
    """Return the Conv of weights (..., C, F)."""
    weights = step.parameters["Weights"]
    count = weights.ndim - 2
    filters = weights.transpose(count + 1, count, *range(count))
    return _convolution(step, filters, step.parameters["Bias"], 1)


def grouped_convolution(step: Step) -> str:
    """Return the Conv of weights (h, w, C, F, G), whose filters ONNX counts group by group."""
    weights = step.parameters["Weights"]
    height, width, channels, _, groups = weights.shape
    filters = weights.transpose(4, 3, 2, 0, 1).reshape(-1, channels, height, width)
    bias = step.parameters["Bias"]
    return _convolution(step, filters, bias.reshape(bias.shape[-2:]).T, groups)


def _convolution(step: Step, filters: np.ndarray, bias: np.ndarray, groups: int) -> str:
    build, call = step.build, step.attributes
    x = step.windows_input()
    extent = [(n - 1) * d + 1 for n, d in zip(filters.shape[2:], _tuple(call["dilation"]), strict=True)]
    border = _border(call["padding"], extent, _tuple(call["stride"]))
    value = call.get("padding_value", 0)
    if value != 0:
        x, border = _padded(step, x, border, value), {"pads": [0] * 2 * len(extent)}
    output = build.node(
        "Conv",
        x,
        build.constant("Weights", filters),
        build.constant("Bias", bias.ravel()),
        kernel_shape=list(filters.shape[2:]),
        strides=list(_tuple(call["stride"])),
        dilations=list(_tuple(call["dilation"])),
        group=groups,
        **border,
    )
    return step.windows_output(output)


def transposed_convolution(step: Step) -> str:
    """Return the ConvTranspose of weights (..., F, C); what is added behind the end is its output padding."""
    build, call, weights = step.build, step.attributes, step.parameters["Weights"]
    count = weights.ndim - 2
    filters = weights.transpose(count + 1, count, *range(count))
    begins, ends = call["cropping"][::2], call["cropping"][1::2]
    output = build.node(
        "ConvTranspose",
        step.windows_input(),
        build.constant("Weights", filters),
        build.constant("Bias", step.parameters["Bias"].ravel()),
        kernel_shape=list(filters.shape[2:]),
        strides=list(_tuple(call["stride"])),
        pads=[int(n) for n in (*begins, *(max(n, 0) for n in ends))],
        output_padding=[int(max(-n, 0)) for n in ends],
    )
    return step.windows_output(output)


def max_pooling(step: Step) -> str:
    """Return the MaxPool; the border never is the maximum."""
    return _pooling(step, "MaxPool")


def max_pooling_with_indices(step: Step) -> tuple[str, str, str]:
    """Return the MaxPool, the places of its maxima among all elements, and the input, which tells its shape."""
    call = step.attributes
    size, stride = _tuple(call["pool_size"]), _tuple(call["stride"])
    options = {"kernel_shape": list(size), "strides": list(stride), **_border(call["padding"], size, stride)}
    output, places = step.build.nodes("MaxPool", step.inputs, [True, True], **options)
    return output, places, step.inputs[0]


def average_pooling(step: Step) -> str:
    """Return the AveragePool, which counts the zeros of the border or not."""
    counts = step.attributes.get("padding_value", 0) != "mean"
    return _pooling(step, "AveragePool", count_include_pad=int(counts))


def _pooling(step: Step, operator: str, **more: Any) -> str:
    call = step.attributes
    size, stride = _tuple(call["pool_size"]), _tuple(call["stride"])
    x, border = step.windows_input(), _border(call["padding"], size, stride)
    output = step.build.node(operator, x, kernel_shape=list(size), strides=list(stride), **border, **more)
    return step.windows_output(output)


def global_pooling(operator: str) -> Any:
    """Return the exporter of a pooling over all positions, or all time steps; ``operator`` is 'Average' or 'Max'."""

    def export(step: Step) -> str:
        build, x = step.build, step.inputs[0]
        if step.along_time:
            return (build.mean if operator == "Average" else build.maximum)(x, [0], keep=False)
        return build.node(f"Global{operator}Pool", x)

    return export


def _border(padding: Any, extent: Any, stride: tuple[int, ...]) -> dict[str, Any]:
    """Return the attributes of a border: 'same' along time, where nothing is known, is left to ONNX if it must."""
    if not isinstance(padding, str):
        return {"pads": [int(n) for n in (*padding[::2], *padding[1::2])]}
    if stride == (1,):
        total = int(extent[0]) - 1
        return {"pads": [total // 2, total - total // 2]}
    return {"auto_pad": "SAME_UPPER"}


def _padded(step: Step, x: str, border: dict[str, Any], value: Any) -> str:
    if "pads" not in border:
        raise NotInOnnx(f"Padding='same' with Stride > 1 and PaddingValue={value!r} along time")
    begins, ends = np.split(np.array(border["pads"]), 2)
    if isinstance(value, str) and value not in _PAD_MODES:
        return _mirrored(step, x, begins, ends)
    pads = step.build.constant("pads", np.array([0, 0, *begins, 0, 0, *ends]), np.int64)
    if isinstance(value, str):
        return step.build.node("Pad", x, pads, mode=_PAD_MODES[value])
    return step.build.node("Pad", x, pads, step.build.constant("value", np.float32(value)), mode="constant")


def _mirrored(step: Step, x: str, begins: np.ndarray, ends: np.ndarray) -> str:
    """Return the input with a border in which the edge is repeated: pixels by their numbers, axis by axis."""
    if step.along_time:
        raise NotInOnnx("PaddingValue='symmetric-include-edge' along time")
    for axis, (length, pads) in enumerate(zip(step.size.spatial, zip(begins, ends, strict=True), strict=True), start=2):
        if any(pads):
            numbers = np.pad(np.arange(length), pads, "symmetric")
            x = step.build.node("Gather", x, step.build.shape(numbers.tolist()), axis=axis)
    return x


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in np.ravel(value))
