"""Attention with heads that are axes or parts of the channels, masks, windows and keys of steps before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.elementwise import type_of
from mlnet.interop.onnx.operators.shapes import padded
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, plain


def _heads(x: Any, count: int) -> Any:
    """Return (N, heads, steps, channels) of (N, steps, heads x channels)."""
    return np.swapaxes(x.reshape((*np.shape(x)[:2], count, -1)), 1, 2) if np.ndim(x) == 3 else x


def _positions(use: Use, rows: int, past: int) -> np.ndarray:
    """Return the number of each query among the keys: (N, 1, queries, 1), or (queries, 1)."""
    number = np.arange(rows)[:, None]
    if use.input(6) is not None:
        return number + plain(use.inputs[6]).reshape(-1, 1, 1, 1) - rows
    return number + past


def _seen(use: Use, rows: int, columns: int, past: int) -> Any:
    """Return which keys queries see, True where they see all of them."""
    query, key = _positions(use, rows, past), np.arange(columns)
    seen: Any = True
    if use.get("is_causal", 0):
        seen = key <= query
    left, right = use.get("left_window_size", -1), use.get("right_window_size", -1)
    if left >= 0:
        seen = seen & (key >= query - left)
    if right >= 0:
        seen = seen & (key <= query + right)
    if use.input(6) is not None:
        seen = seen & (key < plain(use.inputs[6]).reshape(-1, 1, 1, 1))
    return seen


def _softmax(use: Use, scores: Any) -> Any:
    """Return the weights of keys; zeros where a query sees none."""
    kind = plain(scores).dtype
    precise = scores.astype(type_of(use.get("softmax_precision"))) if use.get("softmax_precision") else scores
    top = plain(precise).max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(precise - np.where(np.isfinite(top), top, 0).astype(plain(precise).dtype))
    total = np.sum(weights, axis=-1, keepdims=True)
    return (weights / np.where(plain(total) == 0, like(1, total), total)).astype(kind)


def _attention(use: Use) -> Any:
    """Return the values of keys, weighted by the softmax of scores, then keys, values and scores if wanted."""
    is_flat = np.ndim(use.x) == 3
    counts = use.get("q_num_heads"), use.get("kv_num_heads"), use.get("kv_num_heads")
    q, k, v = (_heads(x, count) for x, count in zip(use.inputs[:3], counts, strict=True))
    past = 0
    if use.input(4) is not None:
        past = np.shape(use.inputs[4])[2]
        k, v = (np.concatenate([before, now], axis=2) for before, now in ((use.inputs[4], k), (use.inputs[5], v)))
    present = k, v
    repeats = np.shape(q)[1] // np.shape(k)[1]
    if repeats > 1:
        k, v = (np.repeat(each, repeats, axis=1) for each in (k, v))
    root = math.sqrt(use.get("scale", 0) or 1 / math.sqrt(np.shape(q)[-1]))
    need(*np.shape(q)[:3], np.shape(k)[2])
    scores = kept = np.matmul(q * root, np.swapaxes(k, -1, -2) * root)
    rows, columns = np.shape(scores)[-2:]
    mode, cap = use.get("qk_matmul_output_mode", 0), use.get("softcap", 0.0)
    scores = np.tanh(scores / cap) * cap if cap else scores
    kept = scores if mode == 1 else kept
    mask, seen = use.input(3), _seen(use, rows, columns, past)
    if mask is not None:
        is_choice = plain(mask).dtype == np.bool_
        more = columns - np.shape(mask)[-1]
        if more > 0:
            widths = [[0, 0]] * (np.ndim(mask) - 1) + [[0, more]]
            mask = padded(mask, widths, "constant", False if is_choice else -np.inf)
        if is_choice:
            seen = seen & plain(mask)
        else:
            scores = scores + mask
    if seen is not True:
        scores = np.where(seen, scores, like(-np.inf, scores))
    kept = scores if mode == 2 else kept
    weights = _softmax(use, scores)
    kept = weights if mode == 3 else kept
    y = np.matmul(weights, v)
    if is_flat:
        batch, heads, length, size = np.shape(y)
        y = np.swapaxes(y, 1, 2).reshape((batch, length, heads * size))
    return (y, *present, kept)[: use.outputs] if use.outputs > 1 else y


def _rotated(use: Use) -> Any:
    """Turn pairs of channels by the angles of their positions."""
    x, cosines, sines = use.inputs[:3]
    shape = np.shape(x)
    if len(shape) == 3 and not use.get("num_heads", 0):
        raise NotComputed("a rotation without num_heads")
    x = _heads(x, use.get("num_heads", 0))
    if use.input(3) is not None:
        places = plain(use.inputs[3])
        cosines, sines = np.take(cosines, places, axis=0), np.take(sines, places, axis=0)
    count = use.get("rotary_embedding_dim", 0) or np.shape(x)[-1]
    half = count // 2
    cosines, sines = (np.expand_dims(each[..., :half], 1) for each in (cosines, sines))
    turned, rest = x[..., :count], x[..., count:]
    by_turns = use.get("interleaved", 0)
    first, second = (turned[..., 0::2], turned[..., 1::2]) if by_turns else (turned[..., :half], turned[..., half:])
    pair = [first * cosines - second * sines, first * sines + second * cosines]
    y = np.stack(pair, axis=-1).reshape(np.shape(turned)) if by_turns else np.concatenate(pair, axis=-1)
    y = np.concatenate([y, rest], axis=-1) if np.shape(rest)[-1] else y
    return np.swapaxes(y, 1, 2).reshape(shape) if len(shape) == 3 else y


TABLE: dict[str, Operator] = {"Attention": _attention, "RotaryEmbedding": _rotated}
