"""Losses: sums over all positions, each with its share, computed from the values before softmax where there is one.

Without ``shares`` each position counts 1/N, N the length of the first axis: the mean over the observations. Packed
sequences give each time step its share of its sequence. Positions whose class is -1 do not count.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.activation import write_softmax


class CrossEntropyState(NamedTuple):
    """What the backward of `softmax_cross_entropy` needs: scores (positions, K), targets and factors (positions,)."""

    scores: np.ndarray
    targets: np.ndarray
    factors: np.ndarray
    shape: tuple[int, ...]


class SquaredErrorState(NamedTuple):
    """What the backward of `half_mean_squared_error` needs: output - target, and a factor for each element."""

    difference: np.ndarray
    factor: np.ndarray


@lru_cache(maxsize=8)
def _numbers(count: int) -> np.ndarray:
    """Return 0, 1, ... that nobody changes."""
    numbers = np.arange(count)
    numbers.flags.writeable = False
    return numbers


def _shares(z: np.ndarray, shares: np.ndarray | None) -> np.ndarray:
    """Return the share of each observation or time step, (N, 1, ..., 1)."""
    given = np.full(1, 1 / max(1, len(z))) if shares is None else shares
    return given.astype(z.dtype).reshape(-1, *[1] * (z.ndim - 1))


def position_factors(
    z: np.ndarray, indices: np.ndarray, weights: np.ndarray | None, shares: np.ndarray | None
) -> np.ndarray:
    """Return how much each position counts, (positions,): its share times the weight of its class; 0 without class."""
    if weights is None and shares is None:
        return (indices >= 0) * z.dtype.type(1 / max(1, len(z)))
    factors = np.broadcast_to(_shares(z, shares), (*z.shape[:-1], 1)).reshape(-1)
    if weights is not None:
        factors = factors * weights.ravel().astype(z.dtype)[indices]
    return factors * (indices >= 0)


def softmax_cross_entropy(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, CrossEntropyState]:
    """Return softmax(z) and ``-sum of share w[t] log softmax(z)[t]`` over all positions.

    ``z`` (N, ..., K) are the values before softmax, ``targets`` (N, ...) class indices or -1, ``weights`` (K,) one
    weight per class, ``shares`` (N,).
    """
    scores = workspace.empty("scores", z.shape, z.dtype)
    log_total = write_softmax(z, scores).reshape(-1)
    indices = targets.reshape(-1)
    picked = z.reshape(-1, z.shape[-1])[_numbers(indices.size), indices]
    factors = position_factors(z, indices, weights, shares)
    loss = float(np.add.reduce((log_total - picked) * factors, dtype=np.float64))
    return scores, loss, CrossEntropyState(scores, indices, factors, z.shape)


def softmax_cross_entropy_backward(saved: CrossEntropyState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``(softmax(z) - one-hot target) w share``."""
    d_z = workspace.empty("d_z", saved.shape, saved.scores.dtype)
    np.copyto(d_z, saved.scores)
    rows = d_z.reshape(-1, saved.shape[-1])
    rows[_numbers(len(rows)), saved.targets] -= 1
    np.multiply(rows, saved.factors[:, None], out=rows)
    return d_z


def half_mean_squared_error(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, SquaredErrorState]:
    """Return z and ``1/2 sum of share w (z - t)^2``; ``targets`` has the shape of z up to axes of size 1.

    ``weights`` (K,) is one weight per channel, ``shares`` (N,).
    """
    difference = workspace.empty("difference", z.shape, z.dtype)
    np.subtract(z, targets.reshape(z.shape), out=difference)
    factor = _shares(z, shares)
    if weights is not None:
        factor = factor * weights.ravel().astype(z.dtype)
    loss = 0.5 * float(np.sum(difference * difference * factor, dtype=np.float64))
    return z, loss, SquaredErrorState(difference, factor)


def half_mean_squared_error_backward(saved: SquaredErrorState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``share w (z - t)``."""
    d_z = workspace.empty("d_z", saved.difference.shape, saved.difference.dtype)
    return np.multiply(saved.difference, saved.factor, out=d_z)
