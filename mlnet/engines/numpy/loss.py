"""Losses: the mean over the observations, computed from the values before softmax where there is one."""

from __future__ import annotations

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
    """What the backward of `half_mean_squared_error` needs: factor (output - target)."""

    difference: np.ndarray
    factor: np.ndarray | float


def softmax_cross_entropy(
    z: np.ndarray, targets: np.ndarray, *, weights: np.ndarray | None = None, workspace: Workspace
) -> tuple[np.ndarray, float, CrossEntropyState]:
    """Return softmax(z) and ``-1/N sum of w[t] log softmax(z)[t]`` over all positions.

    ``z`` (N, ..., K) are the values before softmax, ``targets`` (N, ...) class indices, ``weights`` (K,) one weight
    per class. N is the number of observations, whatever the number of positions in each.
    """
    scores = workspace.empty("scores", z.shape, z.dtype)
    log_total = write_softmax(z, scores).reshape(-1)
    indices = targets.reshape(-1)
    picked = z.reshape(-1, z.shape[-1])[np.arange(indices.size), indices]
    weight = np.ones(1, z.dtype) if weights is None else weights.ravel().astype(z.dtype)[indices]
    loss = float(np.add.reduce((log_total - picked) * weight, dtype=np.float64)) / max(1, len(z))
    factors = weight / max(1, len(z))
    return scores, loss, CrossEntropyState(scores, indices, factors, z.shape)


def softmax_cross_entropy_backward(saved: CrossEntropyState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``(softmax(z) - one-hot target) w / N``."""
    d_z = workspace.empty("d_z", saved.shape, saved.scores.dtype)
    np.copyto(d_z, saved.scores)
    rows = d_z.reshape(-1, saved.shape[-1])
    rows[np.arange(len(rows)), saved.targets] -= 1
    np.multiply(rows, saved.factors[:, None], out=rows)
    return d_z


def half_mean_squared_error(
    z: np.ndarray, targets: np.ndarray, *, weights: np.ndarray | None = None, workspace: Workspace
) -> tuple[np.ndarray, float, SquaredErrorState]:
    """Return z and ``1/(2 N) sum of (z - t)^2``; ``targets`` has the shape of z up to axes of size 1."""
    difference = workspace.empty("difference", z.shape, z.dtype)
    np.subtract(z, targets.reshape(z.shape), out=difference)
    factor = 1 / max(1, len(z)) if weights is None else weights / max(1, len(z))
    flat = np.multiply(difference, difference) * factor
    return z, 0.5 * float(np.sum(flat, dtype=np.float64)), SquaredErrorState(difference, factor)


def half_mean_squared_error_backward(saved: SquaredErrorState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``(z - t) / N``."""
    d_z = workspace.empty("d_z", saved.difference.shape, saved.difference.dtype)
    return np.multiply(saved.difference, saved.factor, out=d_z)
