"""The focal loss (Lin et al. 2017, arXiv:1708.02002), computed from the values before softmax.

Symbols: y softmax, p the score of the class of a position, q = 1 - p as the sum of the other scores, so that it is
exact also where p rounds to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.activation import write_softmax
from mlnet.engines.numpy.loss import position_factors


class FocalState(NamedTuple):
    """What the backward of `softmax_focal` needs: scores (positions, K), targets, q and minus dL/d log p."""

    scores: np.ndarray
    targets: np.ndarray
    others: np.ndarray
    slope: np.ndarray
    shape: tuple[int, ...]


def softmax_focal(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    alpha: float = 0.25,
    gamma: float = 2,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, FocalState]:
    """Return softmax(z) and ``-sum of share w alpha (1 - p)^gamma log(p)`` over the positions that have a class.

    ``z`` (N, ..., K) are the values before softmax, ``targets`` (N, ...) class indices or -1, ``weights`` (K,) one
    weight per class, ``shares`` (N,).
    """
    scores = workspace.empty("scores", z.shape, z.dtype)
    log_total = write_softmax(z, scores).reshape(-1)
    indices = targets.reshape(-1)
    each = np.arange(indices.size)
    rest = workspace.empty("rest", (indices.size, z.shape[-1]), z.dtype)
    np.copyto(rest, scores.reshape(rest.shape))
    p = rest[each, indices]
    rest[each, indices] = 0
    q = np.add.reduce(rest, axis=1)
    log_p = z.reshape(rest.shape)[each, indices] - log_total
    is_small = q < 0.5  # there log(1 - q) is the exact one
    log_p[is_small] = np.log1p(-q[is_small])
    factors = alpha * position_factors(z, indices, weights, shares)
    modulation = factors * q**gamma
    loss = -float(np.add.reduce(modulation * log_p, dtype=np.float64))
    # d(q^gamma log p) / d log p = q^gamma (1 - gamma p log(p) / q), and -log(p) / q goes to 1 where q goes to 0
    ratio = np.divide(-log_p, q, out=np.ones_like(q), where=q > 0)
    slope = modulation * (1 + gamma * p * ratio)
    return scores, loss, FocalState(rest, indices, q, slope, z.shape)


def softmax_focal_backward(saved: FocalState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``slope y`` for the other classes and ``-slope q`` for the class of the position."""
    d_z = workspace.empty("d_z", saved.shape, saved.scores.dtype)
    rows = d_z.reshape(saved.scores.shape)
    np.copyto(rows, saved.scores)
    rows[np.arange(len(rows)), saved.targets] = -saved.others
    np.multiply(rows, saved.slope[:, None], out=rows)
    return d_z
