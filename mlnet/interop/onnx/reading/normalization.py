"""ONNX's normalizations over channels, or over channels and positions, as layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import NotImported, Tensor
from mlnet.layers.group_normalization import layerNormalizationLayer, rmsNormalizationLayer


def normalization(importer: Any, node: OnnxNode) -> None:
    """Add a layer normalization, or one by the root mean square."""
    x = importer.plain(node, importer.tensor(node.inputs[0]))
    given, count = node.attributes, len(x.axes)
    if any(importer.is_used(name) for name in node.outputs[1:]):
        raise NotImported("the mean or the deviation as an output")
    axes = given.get("axes") or range(given.get("axis", -1) % count, count)
    dimension = _dimension(x, sorted(axis % count for axis in axes))
    values = {"Scale": _per_channel(importer.constant(node.inputs[1]), x)}
    make: Any = rmsNormalizationLayer
    if node.operator == "LayerNormalization":
        make = layerNormalizationLayer
        has_offset = len(node.inputs) > 2 and node.inputs[2]
        values["Offset"] = _per_channel(importer.constant(node.inputs[2]) if has_offset else np.zeros(()), x)
    layer = make(OperationDimension=dimension, Epsilon=given.get("epsilon", 1e-5), **values)
    importer.put(node, layer, [x], x.axes)


def _dimension(x: Tensor, axes: list[int]) -> str:
    """Return over what axes of a tensor are, in the layer's word."""
    labels = {label for axis in axes for label in x.axes[axis] if label != "1"}
    spatial = set("HWZ"[: len(x.size.spatial)])
    long = {label for label in spatial if x.length(label) != 1}
    if labels - spatial == {"C"} and labels & spatial <= spatial - long:
        return "channel-only"
    if labels | (spatial - long) == {"C", *spatial}:
        return "spatial-channel"
    if x.size.is_sequence and labels | (spatial - long) == {"C", "T", *spatial}:
        return "batch-excluded"
    raise NotImported("a normalization over something else than channels, or channels and positions")


def _per_channel(values: np.ndarray, x: Tensor) -> np.ndarray:
    """Return a number for each channel, in MATLAB's shape, of what broadcasts to a tensor."""
    place, count = x.axis_of_channels(), x.size.channels
    lengths = (1,) * (len(x.axes) - values.ndim) + values.shape
    if values.size == 1:
        values = np.full(count, values.ravel()[0])
    elif values.size != count or lengths[place] != count:
        raise NotImported("a scale that is not one number for each channel")
    flat = np.asarray(values, np.float32).ravel()
    return flat.reshape(*[1] * len(x.size.spatial), -1) if x.size.spatial else flat.reshape(-1, 1)
