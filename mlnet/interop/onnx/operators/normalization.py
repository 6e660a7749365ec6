"""Operators that normalize."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.shapes import padded
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, plain


def _per_channel(values: Any, x: Any) -> Any:
    return values.reshape((-1, *[1] * (np.ndim(x) - 2)))


def _batch(use: Use) -> Any:
    x, scale, offset, mean, variance = use.inputs[:5]
    if use.get("training_mode", 0) or (use.opset < 14 and use.outputs > 1):
        raise NotComputed("the statistics of the mini-batch")
    factor = scale / np.sqrt(variance + like(use.get("epsilon", 1e-5), variance))
    return (x - _per_channel(mean, x)) * _per_channel(factor, x) + _per_channel(offset, x)


def standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """Return what has mean 0 and variance 1 over axes."""
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)


def _instance(use: Use) -> Any:
    x, scale, offset = use.inputs
    y = standardized(x, tuple(range(2, np.ndim(x))), use.get("epsilon", 1e-5))
    return y * _per_channel(scale, x) + _per_channel(offset, x)


def _group(use: Use) -> Any:
    x, scale, offset = use.inputs
    shape, groups = np.shape(x), use.get("num_groups")
    y = standardized(x.reshape((shape[0], groups, -1)), (2,), use.get("epsilon", 1e-5))
    if use.opset < 21 and np.size(scale) == groups:  # a scale for each group
        scale, offset = (np.repeat(each, shape[1] // groups) for each in (scale, offset))
    return y.reshape(shape) * _per_channel(scale, x) + _per_channel(offset, x)


def _normalized(use: Use) -> tuple[int, ...]:
    """Return the axes from one on, or those that fusing has found."""
    given = use.get("axes")
    return tuple(given) if given is not None else tuple(range(use.axis(-1), np.ndim(use.x)))


def _layer(use: Use) -> Any:
    x, axes, epsilon = use.x, _normalized(use), use.get("epsilon", 1e-5)
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    factor = 1 / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
    y = centred * factor * use.inputs[1]
    y = y if use.input(2) is None else y + use.inputs[2]
    return (y, mean, factor)[: use.outputs] if use.outputs > 1 else y


def _root_mean_square(use: Use) -> Any:
    x = use.x
    power = np.mean(x * x, axis=_normalized(use), keepdims=True)
    return x / np.sqrt(power + use.get("epsilon", 1e-5)) * use.inputs[1]


def _cross_channel(use: Use) -> Any:
    x, size, count = use.x, use.get("size"), np.shape(use.x)[1]
    before, after = (size - 1) // 2, size // 2
    squares = padded(x * x, [[0, 0], [before, after], *[[0, 0]] * (np.ndim(x) - 2)])
    total: Any = 0
    for place in range(min(size, before + count + after)):
        total = total + squares[:, place : place + count]
    return x / (use.get("bias", 1.0) + total * (use.get("alpha", 1e-4) / size)) ** use.get("beta", 0.75)


def _length(use: Use) -> Any:
    x, axis, power = use.x, use.axis(-1), use.get("p", 2)
    total = np.sum(np.abs(x), axis=axis, keepdims=True)
    if power == 2:
        total = np.sqrt(np.sum(x * x, axis=axis, keepdims=True))
    return np.where(plain(total) == 0, like(0, x), x / np.where(plain(total) == 0, like(1, x), total))


def _mean_variance(use: Use) -> Any:
    x, axes = use.x, tuple(use.get("axes", [0, 2, 3]))
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred / (np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True)) + 1e-9)


TABLE: dict[str, Operator] = {
    "BatchNormalization": _batch,
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LRN": _cross_channel,
    "LayerNormalization": _layer,
    "LpNormalization": _length,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _root_mean_square,
}
