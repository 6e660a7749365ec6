"""How well the outlines of two segmentations agree."""

from __future__ import annotations

import math

import numpy as np

THRESHOLD = 0.0075
"""Distance up to which outlines agree, as a share of the diagonal of the image (Csurka et al., 2013)."""


def boundary(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask with a neighbour, above, below or beside them, that is outside of it.

    What is beyond the image is outside.
    """
    inside = np.pad(mask, 1)
    is_inner = mask.copy()
    for axis in range(mask.ndim):
        for step in (-1, 1):
            shifted = np.roll(inside, step, axis)
            is_inner &= shifted[(slice(1, -1),) * mask.ndim]
    return mask & ~is_inner


def boundary_score(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the F1 score of the outlines of two masks (H, W) (Csurka, Larlus and Perronnin, 2013).

    Precision is the share of the predicted outline that is near the true one, recall that of the true one near the
    predicted. 0 where one mask is empty, NaN where both are.
    """
    from scipy.ndimage import distance_transform_edt

    mine, real = boundary(predicted), boundary(truth)
    if not mine.any() and not real.any():
        return math.nan
    if not mine.any() or not real.any():
        return 0.0
    limit = THRESHOLD * math.hypot(*truth.shape)
    precision = float((distance_transform_edt(~real)[mine] <= limit).mean())
    recall = float((distance_transform_edt(~mine)[real] <= limit).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
