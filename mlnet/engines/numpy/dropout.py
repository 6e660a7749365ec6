"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class DropoutState(NamedTuple):
    """What the backward of `dropout` needs: 0 or 1 / (1 - probability) for each element."""

    factors: np.ndarray


def dropout(
    x: np.ndarray, *, probability: float, generator: np.random.Generator, workspace: Workspace
) -> tuple[np.ndarray, DropoutState]:
    """Set elements to zero where a uniform number is below ``probability``; divide the others by 1 - probability."""
    factors = workspace.empty("factors", x.shape, x.dtype)
    generator.random(dtype=x.dtype, out=factors)
    np.greater_equal(factors, probability, out=factors)
    np.multiply(factors, 1 / (1 - probability), out=factors)
    output = workspace.empty("output", x.shape, x.dtype)
    return np.multiply(x, factors, out=output), DropoutState(factors)


def dropout_backward(
    saved: DropoutState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    if not wanted[0]:
        return (None,)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    return (np.multiply(d_output, saved.factors, out=d_x),)
