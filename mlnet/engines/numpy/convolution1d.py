"""Convolution and transposed convolution along time, or along the one dimension of 1-D images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.convolution import ConvolutionState, convolution2d, convolution2d_backward
from mlnet.engines.numpy.time_padding import TimeBorder, TimePadding, need_steps, time_border, zeros_behind
from mlnet.engines.numpy.transposed_convolution import (
    TransposedConvolutionState,
    transposed_convolution2d,
    transposed_convolution2d_backward,
)


class Convolution1DState(NamedTuple):
    """What the backward of `convolution1d` needs."""

    border: TimeBorder
    convolution: ConvolutionState


class TransposedConvolution1DState(NamedTuple):
    """What the backward of `transposed_convolution1d` needs; ``steps`` and ``lengths`` go in and come out."""

    steps: Any
    lengths: Any
    convolution: TransposedConvolutionState


def convolution1d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: int,
    dilation: int,
    padding: TimePadding,
    padding_value: float | str = 0.0,
    lengths: Any = None,
    workspace: Workspace,
) -> tuple[np.ndarray, Convolution1DState]:
    """Convolve sequences (N, T, C) with weights (f, C, F) and add bias (1, F).

    ``y[n, p, f] = bias[f] + sum over i, c of x_padded[n, p stride + i dilation, c] * weights[i, c, f]``

    ``padding`` is (before, after) or 'same'; ``lengths`` (N,) are the numbers of steps of each observation, None for
    all of T. The border of an observation lies at its own end. Returns (N, steps, F), where an observation has
    floor((length + padding - extent) / stride) + 1 steps and zeros behind them. Raises `DataError` where an observation
    with its border is shorter than the filter.
    """
    extent = (len(weights) - 1) * dilation + 1
    border = time_border(x, lengths, extent, stride, padding, padding_value)
    images, convolution = convolution2d(
        border.images(x),
        weights[None],
        bias,
        stride=(1, stride),
        dilation=(1, dilation),
        padding=border.padding,
        padding_value=padding_value,
        workspace=workspace,
    )
    return border.output(images), Convolution1DState(border, convolution)


def convolution1d_backward(
    saved: Convolution1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    d_images, d_weights, d_bias = convolution2d_backward(
        saved.convolution, saved.border.d_output(d_output), wanted=wanted, workspace=workspace
    )
    return saved.border.from_images(d_images), None if d_weights is None else d_weights[0], d_bias


def transposed_convolution1d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: int,
    cropping: tuple[int, int],
    lengths: Any = None,
    workspace: Workspace,
) -> tuple[np.ndarray, TransposedConvolution1DState]:
    """Spread sequences (N, T, C) with weights (f, F, C) and add bias (1, F).

    ``y[n, p stride + i - before, f] = bias[f] + sum over p, i, c of x[n, p, c] * weights[i, f, c]``

    ``cropping`` is (before, after), a negative ``after`` adds steps of the bias alone; ``lengths`` as in
    `convolution1d`. Returns (N, steps, F), where an observation has (length - 1) * stride + f - before - after steps
    and zeros behind them. Raises `DataError` where nothing is left of an observation.
    """
    steps = np.full(1, x.shape[1]) if lengths is None else np.asarray(lengths)
    left = (steps - 1) * stride + len(weights) - sum(cropping)
    need_steps(left, steps, 1)
    images, convolution = transposed_convolution2d(
        zeros_behind(x, lengths)[:, None],
        weights[None],
        bias,
        stride=(1, stride),
        cropping=(0, 0, *cropping),
        workspace=workspace,
    )
    outside = None if lengths is None else left
    return zeros_behind(images[:, 0], outside), TransposedConvolution1DState(lengths, outside, convolution)


def transposed_convolution1d_backward(
    saved: TransposedConvolution1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    d_images, d_weights, d_bias = transposed_convolution2d_backward(
        saved.convolution, zeros_behind(d_output, saved.lengths)[:, None], wanted=wanted, workspace=workspace
    )
    d_x = None if d_images is None else zeros_behind(d_images[:, 0], saved.steps)
    return d_x, None if d_weights is None else d_weights[0], d_bias
