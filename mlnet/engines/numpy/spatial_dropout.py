"""Dropout of whole channels (Tompson et al. 2015)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class SpatialDropoutState(NamedTuple):
    """What the backward of `spatial_dropout` needs: 0 or 1 / (1 - probability) for each channel, (N, 1, ..., C)."""

    factors: np.ndarray


def spatial_dropout(
    x: np.ndarray,
    *,
    probability: float,
    generator: np.random.Generator,
    lengths: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, SpatialDropoutState]:
    """Set channels of observations to zero where a uniform number is below ``probability``; scale the others.

    ``x`` is (N, ..., C); the numbers are (N, C), so that all pixels and all time steps of a channel go or stay
    together. What stays is divided by 1 - probability. ``lengths`` of sequences do not matter.
    """
    factors = workspace.empty("factors", (len(x), *[1] * (x.ndim - 2), x.shape[-1]), x.dtype)
    generator.random(dtype=x.dtype, out=factors)
    np.greater_equal(factors, probability, out=factors)
    np.multiply(factors, 1 / (1 - probability), out=factors)
    output = workspace.empty("output", x.shape, x.dtype)
    return np.multiply(x, factors, out=output), SpatialDropoutState(factors)


def spatial_dropout_backward(
    saved: SpatialDropoutState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    if not wanted[0]:
        return (None,)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    return (np.multiply(d_output, saved.factors, out=d_x),)
