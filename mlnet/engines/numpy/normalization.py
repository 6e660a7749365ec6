"""Batch normalization (Ioffe and Szegedy 2015), in training and with given statistics.

Per channel: ``x_hat = (x - mean) / sqrt(variance + epsilon)``, ``y = scale x_hat + offset``; the variance is the biased
one (divided by the number of values).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.channels import ChannelRows


class BatchNormalizationState(NamedTuple):
    """What the backward needs; ``mean`` and ``variance`` (C,), float64, are those of the mini-batch, or as given."""

    x: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    scale: np.ndarray
    inverse_deviation: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


def batch_normalization(
    x: np.ndarray, offset: np.ndarray, scale: np.ndarray, *, epsilon: float, workspace: Workspace
) -> tuple[np.ndarray, BatchNormalizationState]:
    """Normalize x (..., C) with its own statistics over all axes but the last."""
    x = np.ascontiguousarray(x)
    mean, variance = ChannelRows(x, workspace).moments()
    return _normalize(x, offset, scale, mean, variance, epsilon, (offset.shape, scale.shape), workspace)


def batch_normalization_backward(
    saved: BatchNormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset and scale.

    ``d_x = scale / deviation * (d_y - mean(d_y) - x_hat mean(d_y x_hat))``
    """
    d_output = np.ascontiguousarray(d_output)
    rows = ChannelRows(saved.x, workspace)
    d_offset, d_centred = rows.gradient_sums(d_output, saved.mean)
    d_scale = d_centred * saved.inverse_deviation
    d_x = None
    if wanted[0]:
        slope = saved.scale * saved.inverse_deviation
        d_x = workspace.empty("d_x", saved.x.shape, saved.x.dtype)
        rows.combine(
            d_output,
            saved.mean,
            of_gradient=slope,
            of_centred=-slope * saved.inverse_deviation * d_scale / rows.count,
            constant=-slope * d_offset / rows.count,
            out=d_x,
        )
    return d_x, *_parameter_gradients(saved, (d_offset, d_scale), wanted[1:])


def batch_normalization_inference(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float,
    workspace: Workspace,
) -> tuple[np.ndarray, BatchNormalizationState]:
    """Normalize x (..., C) with the given statistics."""
    shapes = (offset.shape, scale.shape, mean.shape, variance.shape)
    mean, variance = (array.ravel().astype(np.float64) for array in (mean, variance))
    return _normalize(np.ascontiguousarray(x), offset, scale, mean, variance, epsilon, shapes, workspace)


def batch_normalization_inference_backward(
    saved: BatchNormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset, scale, mean and variance."""
    d_output = np.ascontiguousarray(d_output)
    slope = saved.scale * saved.inverse_deviation
    rows = ChannelRows(d_output, workspace)
    d_x = None
    if wanted[0]:
        d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
        rows.scale_and_shift(np.zeros_like(slope), slope, np.zeros_like(slope), d_x)
    if not any(wanted[1:]):
        return d_x, None, None, None, None
    d_offset, d_centred = ChannelRows(saved.x, workspace).gradient_sums(d_output, saved.mean)
    gradients = (
        d_offset,
        d_centred * saved.inverse_deviation,
        -slope * d_offset,
        -0.5 * slope * saved.inverse_deviation**2 * d_centred,
    )
    return d_x, *_parameter_gradients(saved, gradients, wanted[1:])


def _normalize(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    shapes: tuple[tuple[int, ...], ...],
    workspace: Workspace,
) -> tuple[np.ndarray, BatchNormalizationState]:
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    gamma = scale.ravel().astype(np.float64)
    output = workspace.empty("output", x.shape, x.dtype)
    ChannelRows(x, workspace).scale_and_shift(mean, gamma * inverse_deviation, offset.ravel(), output)
    return output, BatchNormalizationState(x, mean, variance, gamma, inverse_deviation, shapes)


def _parameter_gradients(
    saved: BatchNormalizationState, gradients: tuple[np.ndarray, ...], wanted: tuple[bool, ...]
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients that are wanted, each in the shape and type of its parameter."""
    return tuple(
        gradient.astype(saved.x.dtype).reshape(shape) if want else None
        for gradient, shape, want in zip(gradients, saved.shapes, wanted, strict=True)
    )
