"""Weights from other parameters: weight normalization and weight standardization.

A filter is what lies along ``axes``, its fan-in; the axes left over number the filters. Sums are taken in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace

Axes = tuple[int, ...]


class WeightNormalizationState(NamedTuple):
    """What the backward needs; ``ratio`` is g / ||v||, ``length`` ||v||, both float64 and 1 along the fan-in."""

    v: np.ndarray
    ratio: np.ndarray
    length: np.ndarray
    length_shape: tuple[int, ...]
    axes: Axes


class WeightStandardizationState(NamedTuple):
    """What the backward needs; ``inverse_deviation`` is float64 and 1 along the fan-in."""

    weights: np.ndarray
    inverse_deviation: np.ndarray
    axes: Axes


def weight_normalization(
    v: np.ndarray, g: np.ndarray, *, axes: Axes, workspace: Workspace
) -> tuple[np.ndarray, WeightNormalizationState]:
    """Return ``w = g v / ||v||`` for each filter (Salimans and Kingma 2016, equation 2).

    ``g`` has one number for each filter, in the order of the axes of ``v`` that are not in ``axes``.
    """
    length = np.sqrt(_sums(v, v, axes, workspace))
    ratio = g.reshape(length.shape).astype(np.float64) / length
    weights = workspace.empty("weights", v.shape, v.dtype)
    np.multiply(v, ratio.astype(v.dtype), out=weights)
    return weights, WeightNormalizationState(v, ratio, length, g.shape, axes)


def weight_normalization_backward(
    saved: WeightNormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of v and g.

    ``d_g = sum(d_w v) / ||v||`` and ``d_v = g / ||v|| (d_w - d_g v / ||v||)`` (Salimans and Kingma 2016, equation 3).
    """
    v, ratio, length = saved.v, saved.ratio, saved.length
    d_g = _sums(d_output, v, saved.axes, workspace) / length
    d_v = None
    if wanted[0]:
        d_v = workspace.empty("d_v", v.shape, v.dtype)
        np.multiply(v, (-d_g / length).astype(v.dtype), out=d_v)
        np.add(d_v, d_output, out=d_v)
        np.multiply(d_v, ratio.astype(v.dtype), out=d_v)
    return d_v, d_g.reshape(saved.length_shape).astype(v.dtype) if wanted[1] else None


def weight_standardization(
    v: np.ndarray, *, axes: Axes, epsilon: float, workspace: Workspace
) -> tuple[np.ndarray, WeightStandardizationState]:
    """Return ``w = (v - mean) / sqrt(variance + epsilon)`` for each filter (Qiao et al. 2019, section 3.1).

    The variance is the biased one (divided by the number of weights in a filter).
    """
    count = v.size // max(1, _filters(v, axes))
    mean = np.add.reduce(v, axis=axes, dtype=np.float64, keepdims=True) / count
    near = mean.astype(v.dtype)
    weights = workspace.empty("weights", v.shape, v.dtype)
    np.subtract(v, near, out=weights)
    rest = mean - near
    variance = _sums(weights, weights, axes, workspace) / count - rest * rest
    inverse_deviation = 1 / np.sqrt(np.maximum(variance, 0) + epsilon)
    np.subtract(weights, rest.astype(v.dtype), out=weights)
    np.multiply(weights, inverse_deviation.astype(v.dtype), out=weights)
    return weights, WeightStandardizationState(weights, inverse_deviation, axes)


def weight_standardization_backward(
    saved: WeightStandardizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of v: ``d_v = (d_w - mean(d_w) - w mean(d_w w)) / deviation``, means over the fan-in."""
    if not wanted[0]:
        return (None,)
    w, axes = saved.weights, saved.axes
    count = w.size // max(1, _filters(w, axes))
    mean = np.add.reduce(d_output, axis=axes, dtype=np.float64, keepdims=True) / count
    slope = _sums(d_output, w, axes, workspace) / count
    d_v = workspace.empty("d_v", w.shape, w.dtype)
    np.multiply(w, (-slope).astype(w.dtype), out=d_v)
    np.add(d_v, d_output, out=d_v)
    np.subtract(d_v, mean.astype(w.dtype), out=d_v)
    return (np.multiply(d_v, saved.inverse_deviation.astype(w.dtype), out=d_v),)


def _filters(v: np.ndarray, axes: Axes) -> int:
    """Return how many filters there are."""
    count = 1
    for axis, size in enumerate(v.shape):
        count *= 1 if axis in axes else size
    return count


def _sums(a: np.ndarray, b: np.ndarray, axes: Axes, workspace: Workspace) -> np.ndarray:
    """Return the sums of ``a b`` along ``axes``, which become 1, in float64."""
    product = workspace.scratch("product", a.shape, np.dtype(np.float64))
    np.multiply(a, b, out=product, dtype=np.float64)
    return np.add.reduce(product, axis=axes, keepdims=True)
