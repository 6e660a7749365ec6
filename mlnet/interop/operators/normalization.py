"""Operators that normalize."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.interop.operators.shapes import padded
from mlnet.interop.operators.use import NotComputed, Operator, Use, like, plain


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


def _rotated(use: Use) -> Any:
    """Turn pairs of channels by the angles of their positions."""
    x, cosines, sines = use.inputs[:3]
    shape = np.shape(x)
    if len(shape) == 3:
        heads = use.get("num_heads", 0)
        if not heads:
            raise NotComputed("a rotation without num_heads")
        x = np.swapaxes(x.reshape((*shape[:2], heads, shape[2] // heads)), 1, 2)
    if use.input(3) is not None:
        places = plain(use.inputs[3])
        cosines, sines = np.take(cosines, places, axis=0), np.take(sines, places, axis=0)
    count = use.get("rotary_embedding_dim", 0) or np.shape(x)[-1]
    half = count // 2
    cosines, sines = (np.expand_dims(each[..., :half], 1) for each in (cosines, sines))
    turned, rest = x[..., :count], x[..., count:]
    is_by_turns = use.get("interleaved", 0)
    first, second = (turned[..., 0::2], turned[..., 1::2]) if is_by_turns else (turned[..., :half], turned[..., half:])
    pair = [first * cosines - second * sines, first * sines + second * cosines]
    y = np.stack(pair, axis=-1).reshape(np.shape(turned)) if is_by_turns else np.concatenate(pair, axis=-1)
    y = np.concatenate([y, rest], axis=-1) if np.shape(rest)[-1] else y
    return np.swapaxes(y, 1, 2).reshape(shape) if len(shape) == 3 else y


def _attention(use: Use) -> Any:
    """Return the values of keys, weighted by the softmax of scores; heads are axes or parts of the channels."""
    q, k, v, mask = use.inputs[0], use.inputs[1], use.inputs[2], use.input(3)
    left_out = [use.input(4), use.input(5), use.input(6)]
    is_flat = np.ndim(q) == 3
    windows = [use.get(f"{side}_window_size", -1) for side in ("left", "right")]
    if max(windows) >= 0:
        raise NotComputed("keys in a window only")
    if any(each is not None for each in left_out) or use.get("softmax_precision") not in (None, 1):
        raise NotComputed("past keys, lengths, or softmax_precision")
    if use.outputs > 1:
        raise NotComputed("keys, values or scores as outputs")
    if is_flat:
        counts = use.get("q_num_heads"), use.get("kv_num_heads"), use.get("kv_num_heads")
        q, k, v = (
            np.swapaxes(each.reshape((*np.shape(each)[:2], count, -1)), 1, 2)
            for each, count in zip((q, k, v), counts, strict=True)
        )
    repeats = np.shape(q)[1] // np.shape(k)[1]
    if repeats > 1:
        k, v = (np.repeat(each, repeats, axis=1) for each in (k, v))
    scale = use.get("scale", 0) or 1 / math.sqrt(np.shape(q)[-1])
    root = math.sqrt(scale)
    scores = np.matmul(q * root, np.swapaxes(k, -1, -2) * root)
    cap = use.get("softcap", 0.0)
    rows, columns = np.shape(scores)[-2:]
    scores = np.tanh(scores / cap) * cap if cap else scores
    if use.get("is_causal", 0):
        scores = np.where(np.tri(rows, columns, 0, bool), scores, like(-np.inf, scores))
    if mask is not None:
        is_choice = plain(mask).dtype == np.bool_
        widths = [[0, 0]] * (np.ndim(mask) - 1) + [[0, columns - np.shape(mask)[-1]]]
        if widths[-1][1]:
            mask = padded(mask, widths, "constant", False if is_choice else -np.inf)
        scores = np.where(plain(mask), scores, like(-np.inf, scores)) if is_choice else scores + mask
    top = plain(scores).max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = np.sum(weights, axis=-1, keepdims=True)
    weights = np.where(
        plain(total) == 0, like(0, scores), weights / np.where(plain(total) == 0, like(1, scores), total)
    )
    y = np.matmul(weights, v)
    if not is_flat:
        return y
    batch, heads, steps, size = np.shape(y)
    return np.swapaxes(y, 1, 2).reshape((batch, steps, heads * size))


TABLE: dict[str, Operator] = {
    "Attention": _attention,
    "BatchNormalization": _batch,
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LRN": _cross_channel,
    "LayerNormalization": _layer,
    "LpNormalization": _length,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _root_mean_square,
    "RotaryEmbedding": _rotated,
}
