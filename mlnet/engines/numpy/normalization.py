"""Batch normalization (Ioffe and Szegedy 2015), in training and with given statistics.

Per channel: ``x_hat = (x - mean) / sqrt(variance + epsilon)``, ``y = scale x_hat + offset``; the variance is the biased
one (divided by the number of values).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.channels import ChannelRows, parameter_gradients

_FAR = 4.0
"""Mean / deviation beyond which single precision would lose digits if the mean were not subtracted first."""


class BatchNormalizationState(NamedTuple):
    """What the backward needs; ``mean`` and ``variance`` (C,), float64, are those of the mini-batch, or as given.

    ``centre`` is the mean in the type of x, or None where it is small. ``gate`` is the output if it was rectified.
    """

    x: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    scale: np.ndarray
    inverse_deviation: np.ndarray
    centre: np.ndarray | None
    shapes: tuple[tuple[int, ...], ...]
    gate: np.ndarray | None


def batch_normalization(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    *,
    epsilon: float,
    workspace: Workspace,
    rectified: bool = False,
) -> tuple[np.ndarray, BatchNormalizationState]:
    """Normalize x (..., C) with its own statistics over all axes but the last; ``rectified`` applies ReLU as well."""
    x = np.ascontiguousarray(x)
    rows = ChannelRows(x, workspace)
    mean, variance = rows.moments()
    return _normalize(x, rows, offset, scale, mean, variance, epsilon, rectified, workspace)


def batch_normalization_backward(
    saved: BatchNormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset and scale.

    ``d_x = scale / deviation * (d_y - mean(d_y) - x_hat mean(d_y x_hat))``
    """
    rows = ChannelRows(saved.x, workspace)
    d_output, (d_offset, d_scale) = _sums(saved, rows, np.ascontiguousarray(d_output), workspace)
    d_x = None
    if wanted[0]:
        slope = -saved.inverse_deviation * d_scale / rows.count
        shift = -d_offset / rows.count - slope * _remainder(saved)
        d_x = workspace.empty("d_x", saved.x.shape, saved.x.dtype)
        rows.add_multiple(d_output, saved.centre, slope, shift, saved.scale * saved.inverse_deviation, d_x)
    return d_x, *parameter_gradients((d_offset, d_scale), saved.shapes, wanted[1:], saved.x.dtype)


def batch_normalization_inference(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float,
    workspace: Workspace,
    rectified: bool = False,
) -> tuple[np.ndarray, BatchNormalizationState]:
    """Normalize x (..., C) with the given statistics; ``rectified`` applies ReLU as well."""
    x = np.ascontiguousarray(x)
    rows = ChannelRows(x, workspace)
    flat_mean, flat_variance = (array.reshape(-1).astype(np.float64) for array in (mean, variance))
    output, saved = _normalize(x, rows, offset, scale, flat_mean, flat_variance, epsilon, rectified, workspace)
    return output, saved._replace(shapes=(*saved.shapes, mean.shape, variance.shape))


def batch_normalization_inference_backward(
    saved: BatchNormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset, scale, mean and variance."""
    rows = ChannelRows(saved.x, workspace)
    d_output, (d_offset, d_scale) = _sums(saved, rows, np.ascontiguousarray(d_output), workspace)
    slope = saved.scale * saved.inverse_deviation
    d_x = None
    if wanted[0]:
        d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
        ChannelRows(d_output, workspace).scale_and_shift(None, slope, np.zeros_like(slope), d_x)
    gradients = (d_offset, d_scale, -slope * d_offset, -0.5 * slope * saved.inverse_deviation * d_scale)
    return d_x, *parameter_gradients(gradients, saved.shapes, wanted[1:], saved.x.dtype)


def _normalize(
    x: np.ndarray,
    rows: ChannelRows,
    offset: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    rectified: bool,
    workspace: Workspace,
) -> tuple[np.ndarray, BatchNormalizationState]:
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    gamma = scale.reshape(-1).astype(np.float64)
    centre = mean.astype(x.dtype) if (np.abs(mean) * inverse_deviation).max(initial=0) > _FAR else None
    shapes = (offset.shape, scale.shape)
    output = workspace.empty("output", x.shape, x.dtype)
    gate = output if rectified else None
    saved = BatchNormalizationState(x, mean, variance, gamma, inverse_deviation, centre, shapes, gate)
    slope = gamma * inverse_deviation
    shift = offset.reshape(-1) - slope * _remainder(saved)
    rows.scale_and_shift(centre, slope, shift, output, rectified)
    return output, saved


def _remainder(saved: BatchNormalizationState) -> np.ndarray:
    """Return what is left of the mean once ``centre`` has been subtracted."""
    return saved.mean if saved.centre is None else saved.mean - saved.centre


def _sums(
    saved: BatchNormalizationState, rows: ChannelRows, d_output: np.ndarray, workspace: Workspace
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the gradient before ReLU, and those of offset and scale in float64."""
    gated = d_output
    if saved.gate is not None:
        gated = workspace.empty("d_x", d_output.shape, d_output.dtype)
    total, products = rows.gradient_sums(d_output, saved.centre, saved.gate, gated)
    return gated, (total, (products - _remainder(saved) * total) * saved.inverse_deviation)
