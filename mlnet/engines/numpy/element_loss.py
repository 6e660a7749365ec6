"""Losses of targets of the size of what is put out: each element counts by its share, see `mlnet.engines.numpy.loss`.

``z`` and ``targets`` are (N, ..., K), ``weights`` (K,) one number per channel, ``shares`` (N,); without them each
observation counts 1/N.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.activation import write_softmax


class ElementState(NamedTuple):
    """What the backwards need: the gradient of the loss with respect to z."""

    d_z: np.ndarray


def _factor(z: np.ndarray, weights: np.ndarray | None, shares: np.ndarray | None) -> np.ndarray:
    """Return how much each element counts, expanding to the size of z."""
    given = np.full(1, 1 / max(1, len(z))) if shares is None else shares
    factor = given.astype(z.dtype).reshape(-1, *[1] * (z.ndim - 1))
    return factor if weights is None else factor * weights.ravel().astype(z.dtype)


def _total(losses: np.ndarray, factor: np.ndarray) -> float:
    return float(np.sum(losses * factor, dtype=np.float64))


def absolute_error(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, ElementState]:
    """Return z and ``sum of share w |z - t|``; the derivative where z = t is 0."""
    difference, factor = z - targets.reshape(z.shape), _factor(z, weights, shares)
    return z, _total(np.abs(difference), factor), ElementState(np.sign(difference) * factor)


def absolute_error_backward(saved: ElementState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``share w sign(z - t)``."""
    return saved.d_z


def huber_error(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    transition: float = 1.0,
    workspace: Workspace,
) -> tuple[np.ndarray, float, ElementState]:
    """Return z and the sum of share w ``d^2 / 2`` for |d| up to ``transition``, a line beyond it (Huber, 1964)."""
    difference, factor = z - targets.reshape(z.shape), _factor(z, weights, shares)
    cut = np.clip(difference, -transition, transition)
    return z, _total(cut * (difference - 0.5 * cut), factor), ElementState(cut * factor)


def huber_error_backward(saved: ElementState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``share w (z - t)``, the difference cut to the transition."""
    return saved.d_z


def sigmoid_cross_entropy(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, ElementState]:
    """Return s = sigmoid(z) and ``-sum of share w (t log s + (1 - t) log(1 - s))``.

    The loss of an element is ``max(z, 0) - z t + log(1 + exp(-|z|))``, which overflows nowhere.
    """
    t, factor = targets.reshape(z.shape), _factor(z, weights, shares)
    small = np.exp(-np.abs(z))
    scores = np.where(z >= 0, 1, small) / (1 + small)
    losses = np.maximum(z, 0) - z * t + np.log1p(small)
    return scores, _total(losses, factor), ElementState((scores - t) * factor)


def sigmoid_cross_entropy_backward(saved: ElementState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``share w (sigmoid(z) - t)``."""
    return saved.d_z


def softmax_soft_cross_entropy(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, ElementState]:
    """Return y = softmax(z) and ``-sum of share w t log y`` for targets that are probabilities of the classes."""
    scores = workspace.empty("scores", z.shape, z.dtype)
    log_total = write_softmax(z, scores)
    log_total = log_total.reshape(*z.shape[:-1], 1)
    weighted = targets.reshape(z.shape) * _factor(z, weights, shares)
    loss = float(np.sum((log_total - z) * weighted, dtype=np.float64))
    return scores, loss, ElementState(scores * weighted.sum(axis=-1, keepdims=True) - weighted)


def softmax_soft_cross_entropy_backward(saved: ElementState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``share w (softmax(z) sum(t) - t)``."""
    return saved.d_z
