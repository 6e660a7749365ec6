"""Sines and cosines of positions (Vaswani et al., 2017, "Attention Is All You Need").

Channels 2i and 2i + 1 are ``sin(p w)`` and ``cos(p w)`` with ``w = 10000 ** (-2 i / size)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.time_padding import zeros_behind


class PositionEncodingState(NamedTuple):
    """What the backward of `position_encoding` needs."""

    input_shape: tuple[int, ...]


class ValueEncodingState(NamedTuple):
    """What the backward of `value_encoding` needs: the encoding and the frequencies."""

    output: np.ndarray
    frequencies: np.ndarray


def position_encoding(
    x: np.ndarray, *, size: int, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, PositionEncodingState]:
    """Return the encoding of positions 1, 2, ..., T of x (N, T, ..., C): (N, T, ..., size), zeros behind the ends."""
    steps = np.arange(1, x.shape[1] + 1, dtype=np.float64)
    encoded = _encoded(steps, _frequencies(size)).astype(x.dtype)
    encoded = encoded.reshape(x.shape[1], *[1] * (x.ndim - 3), size)
    output = workspace.empty("output", (*x.shape[:-1], size), x.dtype)
    output[...] = encoded
    flat = zeros_behind(output.reshape(*x.shape[:2], -1), lengths) if output.size else output
    return flat.reshape(output.shape), PositionEncodingState(x.shape)


def position_encoding_backward(
    saved: PositionEncodingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x, which has none: zeros."""
    return (np.zeros(saved.input_shape, d_output.dtype) if wanted[0] else None,)


def value_encoding(x: np.ndarray, *, size: int, workspace: Workspace) -> tuple[np.ndarray, ValueEncodingState]:
    """Return the encoding of x (..., 1) as positions: (..., size)."""
    frequencies = _frequencies(size)
    output = _encoded(x[..., 0], frequencies).astype(x.dtype)
    return output, ValueEncodingState(output, frequencies)


def value_encoding_backward(
    saved: ValueEncodingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: sin' = cos and cos' = -sin, times the frequencies."""
    if not wanted[0]:
        return (None,)
    sines, cosines = saved.output[..., 0::2], saved.output[..., 1::2]
    slopes = (d_output[..., 0::2] * cosines - d_output[..., 1::2] * sines) * saved.frequencies
    return (slopes.sum(axis=-1, keepdims=True).astype(d_output.dtype),)


def _frequencies(size: int) -> np.ndarray:
    return np.asarray(10000.0 ** (-np.arange(0, size, 2) / size))


def _encoded(positions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return (..., size), sines and cosines by turns; computed in double precision."""
    angles = positions[..., None].astype(np.float64) * frequencies
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(*angles.shape[:-1], 2 * len(frequencies))
