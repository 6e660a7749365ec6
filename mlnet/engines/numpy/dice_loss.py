"""The generalized Dice loss of images (Sudre et al. 2017, arXiv:1707.03237), computed from the values before softmax.

Symbols: y softmax, t one-hot targets, w weights of the classes of one image, m the pixels that have a class.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.activation import write_softmax

EPSILON = 1e-8


class DiceState(NamedTuple):
    """What the backward of `generalized_dice` needs.

    ``scores`` (N, M, K), ``targets`` (N, M), the ``dice`` of each image (N,), and ``slope`` (N, K), with which the
    gradient of the scores is ``slope (dice y - t)``.
    """

    scores: np.ndarray
    targets: np.ndarray
    dice: np.ndarray
    slope: np.ndarray
    shape: tuple[int, ...]


def generalized_dice(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, DiceState]:
    """Return softmax(z) and ``sum of share (1 - dice)`` over the images.

    ``dice = (2 sum w y t + e) / (sum w (y^2 + t^2) + e)`` with ``w = 1 / (sum_m t)^2``; a class that an image does not
    have gets the largest w of those that it has. ``z`` (N, ..., K) are the values before softmax, ``targets`` (N, ...)
    class indices or -1, ``weights`` (K,) further factors of w, ``shares`` (N,); without them the images that have
    pixels with a class count the same.
    """
    scores = workspace.empty("scores", z.shape, z.dtype)
    write_softmax(z, scores)
    n, k = len(z), z.shape[-1]
    y, t = scores.reshape(n, -1, k), targets.reshape(n, -1)
    has_class = t >= 0
    cells = (t + k * np.arange(n)[:, None])[has_class]  # (image, class) as one number
    picked = np.take_along_axis(y, t[..., None], axis=2)[..., 0][has_class]
    area = np.bincount(cells, minlength=n * k).reshape(n, k)
    overlap = np.bincount(cells, picked, minlength=n * k).reshape(n, k)
    square = workspace.scratch("square", y.shape, z.dtype)
    np.multiply(y, y, out=square)
    np.multiply(square, has_class[..., None], out=square)
    squares = np.add.reduce(square, axis=1, dtype=np.float64)

    w = np.divide(1, area.astype(float) ** 2, out=np.zeros(area.shape), where=area > 0)
    w = np.where(area > 0, w, w.max(axis=1, keepdims=True))
    if weights is not None:
        w = w * np.ravel(weights)
    total = np.sum(w * (squares + area), axis=1) + EPSILON
    dice = (2 * np.sum(w * overlap, axis=1) + EPSILON) / total
    if shares is None:
        counts = has_class.any(axis=1)
        shares = counts.astype(float) / max(1, int(counts.sum()))
    slope = 2 * w * (shares / total)[:, None]
    loss = float(np.sum(shares * (1 - dice)))
    return scores, loss, DiceState(y, t, dice.astype(z.dtype), slope.astype(z.dtype), z.shape)


def generalized_dice_backward(saved: DiceState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z: ``y (g - sum of g y)`` with ``g = slope (dice y - t)``, 0 where there is no class."""
    y, t = saved.scores, saved.targets[..., None]
    d_z = workspace.empty("d_z", saved.shape, y.dtype)
    g = d_z.reshape(y.shape)
    np.multiply(y, saved.dice[:, None, None], out=g)
    np.put_along_axis(g, t, np.take_along_axis(g, t, axis=2) - 1, axis=2)
    np.multiply(g, saved.slope[:, None, :], out=g)
    np.multiply(g, t >= 0, out=g)
    product = workspace.scratch("product", y.shape, y.dtype)
    np.multiply(g, y, out=product)
    np.subtract(g, np.add.reduce(product, axis=2, keepdims=True), out=g)
    np.multiply(g, y, out=g)
    return d_z
