"""Normalization and whitening of the input data."""

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


class WhitenInputState(NamedTuple):
    """What the backward of `whiten_input` needs."""

    matrix: np.ndarray


def whiten_input(
    x: np.ndarray, *, mean: np.ndarray, matrix: np.ndarray, workspace: Workspace
) -> tuple[np.ndarray, WhitenInputState]:
    """Return ``W (x - mean)`` for each pixel, or for each observation as a whole, as the size of W (K, K) tells.

    ``mean`` broadcasts to one observation; the elements of whole observations are in the order of the array.
    """
    matrix = np.asarray(matrix, x.dtype)
    centred = workspace.scratch("centred", x.shape, x.dtype)
    np.subtract(x, np.asarray(mean, x.dtype), out=centred)
    output = workspace.empty("output", x.shape, x.dtype)
    np.matmul(centred.reshape(-1, len(matrix)), matrix.T, out=output.reshape(-1, len(matrix)))
    return output, WhitenInputState(matrix)


def whiten_input_backward(
    saved: WhitenInputState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``W' d_y``."""
    if not wanted[0]:
        return (None,)
    d_output = np.ascontiguousarray(d_output)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    np.matmul(d_output.reshape(-1, len(saved.matrix)), saved.matrix, out=d_x.reshape(-1, len(saved.matrix)))
    return (d_x,)
