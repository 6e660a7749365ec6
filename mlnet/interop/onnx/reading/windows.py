"""ONNX's operators with windows as layers: convolutions, transposed convolutions and pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import Axis, NotImported, Tensor
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.convolution1d import convolution1dLayer
from mlnet.layers.convolution3d import convolution3dLayer
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.pooling import (
    averagePooling2dLayer,
    globalAveragePooling2dLayer,
    globalMaxPooling2dLayer,
    maxPooling2dLayer,
)
from mlnet.layers.pooling1d import (
    averagePooling1dLayer,
    globalAveragePooling1dLayer,
    globalMaxPooling1dLayer,
    maxPooling1dLayer,
)
from mlnet.layers.pooling3d import (
    averagePooling3dLayer,
    globalAveragePooling3dLayer,
    globalMaxPooling3dLayer,
    maxPooling3dLayer,
)
from mlnet.layers.transposed_convolution import transposedConv1dLayer, transposedConv2dLayer, transposedConv3dLayer

_CONVOLUTIONS: dict[int, Any] = {1: convolution1dLayer, 2: convolution2dLayer, 3: convolution3dLayer}
_TRANSPOSED: dict[int, Any] = {1: transposedConv1dLayer, 2: transposedConv2dLayer, 3: transposedConv3dLayer}
_POOLING: dict[tuple[str, int], Any] = {
    ("MaxPool", 1): maxPooling1dLayer,
    ("MaxPool", 2): maxPooling2dLayer,
    ("MaxPool", 3): maxPooling3dLayer,
    ("AveragePool", 1): averagePooling1dLayer,
    ("AveragePool", 2): averagePooling2dLayer,
    ("AveragePool", 3): averagePooling3dLayer,
}
_GLOBAL: dict[tuple[str, int], Any] = {
    ("Max", 1): globalMaxPooling1dLayer,
    ("Max", 2): globalMaxPooling2dLayer,
    ("Max", 3): globalMaxPooling3dLayer,
    ("Average", 1): globalAveragePooling1dLayer,
    ("Average", 2): globalAveragePooling2dLayer,
    ("Average", 3): globalAveragePooling3dLayer,
}


def convolution(importer: Any, node: OnnxNode) -> None:
    """Add a convolution, or a grouped one."""
    x, count = _images(importer, node)
    filters = importer.constant(node.inputs[1])
    groups = node.attributes.get("group", 1)
    bias = _bias(importer, node, len(filters))
    options = {**_steps(node, count), "Padding": _border(node, count)}
    if node.inputs[0] in importer.borders:
        pads, options["PaddingValue"] = importer.borders[node.inputs[0]]
        options["Padding"] = _manual(np.array(pads).reshape(2, -1)[:, 2:], count)
    weights = filters.transpose(*range(2, 2 + count), 1, 0)
    size = _scalar(filters.shape[2:])
    if groups == 1:
        values = {"Weights": weights, "Bias": bias.reshape(*[1] * count, -1)}
        importer.put(node, _CONVOLUTIONS[count](size, len(filters), **options, **values), [x], x.axes)
        return
    if count != 2:
        raise NotImported("groups in other convolutions than those of images")
    each = len(filters) // groups
    weights = weights.reshape(*weights.shape[:-1], groups, each).swapaxes(-1, -2)
    values = {"Weights": weights, "Bias": bias.reshape(1, 1, groups, each).swapaxes(-1, -2)}
    importer.put(node, groupedConvolution2dLayer(size, each, groups, **options, **values), [x], x.axes)


def pad(importer: Any, node: OnnxNode) -> None:
    """Keep a border for the convolutions behind it, which have no other."""
    users = [other for other in importer.graph.nodes if node.outputs[0] in other.inputs]
    plain = all(user.operator == "Conv" and not np.any(user.attributes.get("pads", 0)) for user in users)
    automatic = any(user.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") for user in users)
    if not users or not plain or automatic or len([name for name in node.inputs[3:] if name]):
        raise NotImported("a border that is not that of a convolution")
    pads = importer.whole(node.inputs[1]) if len(node.inputs) > 1 else node.attributes["pads"]
    count = len(pads) // 2
    if min(pads) < 0 or any(pads[place] for place in (0, 1, count, count + 1)):
        raise NotImported("a border that cuts, or one around channels")
    mode = node.attributes.get("mode", "constant")
    value: Any = {"edge": "replicate", "reflect": "symmetric-exclude-edge"}.get(mode)
    if mode == "constant":
        value = float(importer.constant(node.inputs[2])) if len(node.inputs) > 2 and node.inputs[2] else 0.0
    if value is None:
        raise NotImported(f"a border of mode {mode}")
    importer.borders[node.outputs[0]] = (pads, value)
    importer.tensors[node.outputs[0]] = importer.tensor(node.inputs[0])


def transposed_convolution(importer: Any, node: OnnxNode) -> None:
    """Add a transposed convolution; output padding is cropping below zero, as far as 'same' has it."""
    x, count = _images(importer, node)
    filters = importer.constant(node.inputs[1])
    given = node.attributes
    if given.get("group", 1) > 1 or set(given.get("dilations", [1])) != {1} or "output_shape" in given:
        raise NotImported("groups, dilations or an output_shape")
    if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise NotImported(f"auto_pad {given['auto_pad']}")
    pads = np.array(given.get("pads", [0] * 2 * count)).reshape(2, count)
    pads[1] -= given.get("output_padding", [0] * count)
    size, stride = filters.shape[2:], given.get("strides", [1] * count)
    cropping: Any = _manual(pads, count)
    total = np.array([extent - step for extent, step in zip(size, stride, strict=True)])
    same = np.array([np.maximum(total, 0) // 2, total - np.maximum(total, 0) // 2])
    if np.array_equal(pads, same):
        cropping = "same"
    elif pads.min() < 0:
        raise NotImported("an output_padding")
    weights = filters.transpose(*range(2, 2 + count), 1, 0)
    values = {"Weights": weights, "Bias": _bias(importer, node, filters.shape[1]).reshape(*[1] * count, -1)}
    options = {"Stride": _scalar(stride), "Cropping": cropping, **values}
    importer.put(node, _TRANSPOSED[count](_scalar(size), filters.shape[1], **options), [x], x.axes)


def pooling(importer: Any, node: OnnxNode) -> None:
    """Add maximum or average pooling."""
    x, count = _images(importer, node)
    given = node.attributes
    if set(given.get("dilations", [1])) != {1} or (len(node.outputs) > 1 and importer.is_used(node.outputs[1])):
        raise NotImported("dilations, or the indices of the maxima")
    size, stride = given["kernel_shape"], given.get("strides", [1] * count)
    border = _border(node, count)
    if given.get("ceil_mode", 0):
        _need_no_rest(x, size, stride, given)
    options: dict[str, Any] = {"Stride": _scalar(stride), "Padding": border}
    has_border = isinstance(border, str) or np.any(border)
    if node.operator == "AveragePool" and has_border and not given.get("count_include_pad", 0):
        options["PaddingValue"] = "mean"
    importer.put(node, _POOLING[node.operator, count](_scalar(size), **options), [x], x.axes)


def global_pooling(kind: str, count: int) -> Callable[[Any, OnnxNode, Tensor, tuple[Axis, ...]], Tensor]:
    """Return the function that adds a pooling over all positions."""

    def add(importer: Any, node: OnnxNode, x: Tensor, order: tuple[Axis, ...]) -> Tensor:
        if (kind, count) not in _GLOBAL:
            raise NotImported("an input without positions")
        made: Tensor = importer.emit(node, _GLOBAL[kind, count](), [x], order)
        return made

    return add


def _need_no_rest(x: Tensor, size: list[int], stride: list[int], given: dict[str, Any]) -> None:
    pads = np.array(given.get("pads", [0] * 2 * len(size))).reshape(2, -1).sum(axis=0)
    lengths = x.size.spatial or (1,)
    if any((n + pad - extent) % step for n, pad, extent, step in zip(lengths, pads, size, stride, strict=True)):
        raise NotImported("ceil_mode where windows reach beyond the border")


def _images(importer: Any, node: OnnxNode) -> tuple[Tensor, int]:
    """Return the input, and how many dimensions its windows have; channels need to be the second axis."""
    x: Tensor = importer.standard(node, importer.tensor(node.inputs[0]))
    behind = [label for axis in x.axes[2:] for label in axis]
    wanted = ["T"] if x.size.format == "CT" else list("HWZ"[: len(x.size.spatial)])
    if x.axes[1:2] != (("C",),) or behind != wanted or len(x.axes) != 2 + len(wanted):
        raise NotImported("axes that are not observations, channels, positions")
    return x, len(wanted)


def _bias(importer: Any, node: OnnxNode, count: int) -> np.ndarray:
    has_bias = len(node.inputs) > 2 and node.inputs[2]
    bias: np.ndarray = importer.constant(node.inputs[2]) if has_bias else np.broadcast_to(np.float32(0), count)
    return bias


def _steps(node: OnnxNode, count: int) -> dict[str, Any]:
    given = node.attributes
    return {
        "Stride": _scalar(given.get("strides", [1] * count)),
        "DilationFactor": _scalar(given.get("dilations", [1] * count)),
    }


def _border(node: OnnxNode, count: int) -> Any:
    kind = node.attributes.get("auto_pad", "NOTSET")
    if kind == "SAME_UPPER":
        return "same"
    if kind == "SAME_LOWER":
        raise NotImported("auto_pad SAME_LOWER")
    pads = node.attributes.get("pads", [0] * 2 * count) if kind == "NOTSET" else [0] * 2 * count
    return _manual(np.array(pads).reshape(2, count), count)


def _manual(pads: np.ndarray, count: int) -> Any:
    """Return padding as layers take it: [top bottom left right], [before after], or two rows of three."""
    return pads.tolist() if count == 3 else pads.T.ravel().tolist()


def _scalar(values: Any) -> Any:
    numbers = [int(n) for n in values]
    return numbers[0] if len(numbers) == 1 else numbers
