"""Normalisation of the input data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class InputState(NamedTuple):
    """What the backward of `normalize_input` needs."""

    scale: np.ndarray | None


def normalize_input(
    x: np.ndarray, *, shift: np.ndarray | None, scale: np.ndarray | None, workspace: Workspace
) -> tuple[np.ndarray, InputState]:
    """Return ``(x - shift) / scale``; both broadcast to one observation, None leaves a step out."""
    output = workspace.empty("output", x.shape, x.dtype)
    shift, scale = (None if array is None else np.asarray(array, x.dtype) for array in (shift, scale))
    source = x
    if shift is not None:
        source = np.subtract(source, shift, out=output)
    if scale is not None:
        source = np.divide(source, scale, out=output)
    return source, InputState(scale)


def normalize_input_backward(
    saved: InputState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    if not wanted[0] or saved.scale is None:
        return (d_output if wanted[0] else None,)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    return (np.divide(d_output, saved.scale, out=d_x),)
