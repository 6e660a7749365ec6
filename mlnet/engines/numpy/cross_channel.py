"""Local response normalization across channels (Krizhevsky, Sutskever and Hinton 2012)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class CrossChannelState(NamedTuple):
    """What the backward needs; ``base`` is k + alpha / window * sum of squares, ``power`` is base^-beta."""

    x: np.ndarray
    base: np.ndarray
    power: np.ndarray
    window: int
    alpha: float
    beta: float


def cross_channel_normalization(
    x: np.ndarray, *, window: int, alpha: float, beta: float, k: float, workspace: Workspace
) -> tuple[np.ndarray, CrossChannelState]:
    """Return ``x / (k + alpha ss / window)^beta``, ss being the sum of squares over a window of channels.

    The window of channel c reaches from c - floor((window - 1) / 2) to c + floor(window / 2); at the edges it is cut,
    while the divisor stays.
    """
    base = workspace.empty("base", x.shape, x.dtype)
    power = workspace.empty("power", x.shape, x.dtype)
    output = workspace.empty("output", x.shape, x.dtype)
    np.multiply(x, x, out=output)
    _window_sums(output, (window - 1) // 2, window // 2, base)
    np.multiply(base, alpha / window, out=base)
    np.add(base, k, out=base)
    np.power(base, -beta, out=power)
    np.multiply(x, power, out=output)
    return output, CrossChannelState(x, base, power, window, alpha, beta)


def cross_channel_normalization_backward(
    saved: CrossChannelState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``d_y base^-beta - 2 alpha beta / window * x * sum of d_y x base^(-beta - 1)``.

    The sum runs over the channels whose window holds this one: the window the other way round.
    """
    if not wanted[0]:
        return (None,)
    x, window = saved.x, saved.window
    d_x = workspace.empty("d_x", x.shape, x.dtype)
    product = workspace.scratch("product", x.shape, x.dtype)
    np.multiply(d_output, x, out=product)
    np.multiply(product, saved.power, out=product)
    np.divide(product, saved.base, out=product)
    _window_sums(product, window // 2, (window - 1) // 2, d_x)
    np.multiply(d_x, x, out=d_x)
    np.multiply(d_x, -2 * saved.alpha * saved.beta / window, out=d_x)
    np.multiply(d_output, saved.power, out=product)
    return (np.add(d_x, product, out=d_x),)


def _window_sums(values: np.ndarray, before: int, after: int, out: np.ndarray) -> None:
    """Write to each channel the sum over the channels from ``before`` in front of it to ``after`` behind it."""
    channels = values.shape[-1]
    np.copyto(out, values)
    for distance in range(1, min(after, channels - 1) + 1):
        out[..., : channels - distance] += values[..., distance:]
    for distance in range(1, min(before, channels - 1) + 1):
        out[..., distance:] += values[..., : channels - distance]
