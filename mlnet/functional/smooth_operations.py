"""Normalizations and what else is a formula of a few lines, written with traced functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.functional.traced import linear, relu


def _centred(x: dlarray, axes: tuple[int, ...]) -> dlarray:
    return x - np.mean(x, axis=axes, keepdims=True)


def _standardized(x: dlarray, axes: tuple[int, ...], epsilon: float) -> dlarray:
    centred = _centred(x, axes)
    return centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)


def batch_normalization(
    x: dlarray, offset: dlarray, scale: dlarray, *, epsilon: float, rectified: bool = False, **_: Any
) -> dlarray:
    """Return x (..., C) normalized for each channel, rectified if asked for."""
    y = _standardized(x, tuple(range(x.ndim - 1)), epsilon) * scale.reshape(-1) + offset.reshape(-1)
    return relu(y) if rectified else y


def batch_normalization_inference(
    x: dlarray,
    offset: dlarray,
    scale: dlarray,
    mean: dlarray,
    variance: dlarray,
    *,
    epsilon: float,
    rectified: bool = False,
    **_: Any,
) -> dlarray:
    """Return x (..., C) normalized for each channel by given statistics, rectified if asked for."""
    factor = scale.reshape(-1) / np.sqrt(variance.reshape(-1) + epsilon)
    y = (x - mean.reshape(-1)) * factor + offset.reshape(-1)
    return relu(y) if rectified else y


def group_normalization(
    x: dlarray, offset: dlarray, scale: dlarray, *, groups: int, epsilon: float, **_: Any
) -> dlarray:
    """Return each observation of x (N, ..., C) normalized over positions and groups of channels."""
    grouped = x.reshape(len(x), math.prod(x.shape[1:-1]), groups, x.shape[-1] // groups)
    return _standardized(grouped, (1, 3), epsilon).reshape(x.shape) * scale.reshape(-1) + offset.reshape(-1)


def layer_normalization(
    x: dlarray, offset: dlarray, scale: dlarray, *, axes: Sequence[int], epsilon: float, **_: Any
) -> dlarray:
    """Return x (N, ..., C) normalized over its last ``axes``."""
    return _standardized(x, tuple(axes), epsilon) * scale.reshape(-1) + offset.reshape(-1)


def rms_normalization(x: dlarray, scale: dlarray, *, axes: Sequence[int], epsilon: float, **_: Any) -> dlarray:
    """Return x (N, ..., C) divided by its root mean square over the last ``axes``."""
    return x / np.sqrt(np.mean(x * x, axis=tuple(axes), keepdims=True) + epsilon) * scale.reshape(-1)


def cross_channel_normalization(x: dlarray, *, window: int, alpha: float, beta: float, k: float, **_: Any) -> dlarray:
    """Return x (..., C) divided by a power of the squares in the channels around each."""
    channel = np.arange(x.shape[-1])
    distance = channel[:, None] - channel  # of the channel that is read behind the one that is written
    near = (distance >= -((window - 1) // 2)) & (distance <= window // 2)
    squares = (x * x).reshape(-1, x.shape[-1]) @ near.astype(x.dtype)
    return x * (k + alpha / window * squares.reshape(x.shape)) ** -beta


def dropout(x: dlarray, *, saved: Any, **_: Any) -> dlarray:
    """Return x without the elements that were dropped."""
    return x * saved.factors


def prelu(x: dlarray, alpha: dlarray, **_: Any) -> dlarray:
    """Return x (..., C) where it is positive, ``alpha x`` elsewhere."""
    return np.where(x > 0, x, alpha.reshape(-1) * x)


def quadratic(x: dlarray, *, size: tuple[int, ...], **_: Any) -> dlarray:
    """Return the products of the elements of each observation."""
    flat = x.reshape(len(x), -1)
    second, first = np.tril_indices(flat.shape[1])
    return (flat[:, first] * flat[:, second]).reshape(len(x), *size)


def value_encoding(x: dlarray, *, saved: Any, **_: Any) -> dlarray:
    """Return sines and cosines of x (..., 1) by turns."""
    angles = x * saved.frequencies.astype(x.dtype)
    both = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return both.reshape(*x.shape[:-1], 2 * len(saved.frequencies))


def whiten_input(x: dlarray, *, mean: Any, matrix: Any, **_: Any) -> dlarray:
    """Return ``W (x - mean)`` for each pixel or observation."""
    w = np.asarray(matrix, x.dtype)
    return ((x - np.asarray(mean, x.dtype)).reshape(-1, len(w)) @ w.T).reshape(x.shape)


def whitening_inference(
    x: dlarray, offset: dlarray, scale: dlarray, mean: dlarray, whitening_matrix: dlarray, **_: Any
) -> dlarray:
    """Return ``scale (W (x - mean)) + offset`` for x (..., C) and W (K, K, G)."""
    width = whitening_matrix.shape[0]
    matrices = np.transpose(whitening_matrix.reshape(width, width, -1), (2, 1, 0))
    centred = (x - mean.reshape(-1)).reshape(-1, len(matrices), width)
    white = np.transpose(np.matmul(np.transpose(centred, (1, 0, 2)), matrices), (1, 0, 2))
    return white.reshape(x.shape) * scale.reshape(-1) + offset.reshape(-1)


def weight_normalization(v: dlarray, g: dlarray, *, axes: tuple[int, ...], **_: Any) -> dlarray:
    """Return ``g v / ||v||`` for each filter."""
    length = np.sqrt(np.sum(v * v, axis=tuple(axes), keepdims=True))
    return v * (g.reshape(length.shape) / length)


def weight_standardization(v: dlarray, *, axes: tuple[int, ...], epsilon: float, **_: Any) -> dlarray:
    """Return each filter with mean 0 and variance 1."""
    return _standardized(v, tuple(axes), epsilon)


def embedding_concatenation(x: dlarray, weights: dlarray, **_: Any) -> dlarray:
    """Return the vector ``weights`` and behind it the positions of x (N, T, C)."""
    first = np.broadcast_to(weights.reshape(1, 1, -1), (len(x), 1, x.shape[2]))
    return np.concatenate([first, x], axis=1)


def patch_embedding(x: dlarray, weights: dlarray, bias: dlarray, *, by_rows: bool, **_: Any) -> dlarray:
    """Return a vector for each patch of images (N, ..., C): (N, patches, O)."""
    patch = weights.shape[:-2]
    grid = [n // p for n, p in zip(x.shape[1:-1], patch, strict=True)]
    cut = x[(slice(None), *[slice(n * p) for n, p in zip(grid, patch, strict=True)])]
    split = cut.reshape(len(x), *[n for pair in zip(grid, patch, strict=True) for n in pair], x.shape[-1])
    along = range(1, 2 * len(grid), 2)
    order = (0, *(along if by_rows else reversed(along)), *(axis + 1 for axis in along), split.ndim - 1)
    matrix = weights.reshape(-1, weights.shape[-1])
    pixels = split.transpose(order).reshape(-1, matrix.shape[0])
    return linear(pixels, matrix.T, bias.reshape(-1, 1)).reshape(len(x), -1, matrix.shape[1])
