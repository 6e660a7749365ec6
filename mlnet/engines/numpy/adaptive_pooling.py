"""Means over as many windows as the output is to have pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.separable import along_each


class AdaptivePoolingState(NamedTuple):
    """What the backward of `adaptive_average_pooling` needs: the matrix of each spatial dimension."""

    matrices: tuple[np.ndarray, ...]


def adaptive_average_pooling(
    x: np.ndarray, *, size: tuple[int, ...], workspace: Workspace
) -> tuple[np.ndarray, AdaptivePoolingState]:
    """Return the mean of each window of x (N, H, W, C), as many windows below and beside each other as ``size`` says.

    Window i of n covers the rows ``floor(i H / n)`` to ``ceil((i + 1) H / n) - 1``, and columns likewise.
    """
    lengths = zip(x.shape[1:-1], size, strict=True)
    matrices = tuple(shares(length, count, x.dtype) for length, count in lengths)
    return along_each(matrices, x, "output", workspace), AdaptivePoolingState(matrices)


def adaptive_average_pooling_backward(
    saved: AdaptivePoolingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: each pixel gets its share from every window it lies in."""
    if not wanted[0]:
        return (None,)
    return (along_each([matrix.T for matrix in saved.matrices], d_output, "d_x", workspace),)


@lru_cache(maxsize=256)
def shares(length: int, count: int, dtype: Any) -> np.ndarray:
    """Return the share (count, length) of each element in the mean of each of ``count`` windows."""
    matrix = np.zeros((count, length), dtype)
    for window in range(count):
        start, stop = window * length // count, -(-(window + 1) * length // count)
        matrix[window, start:stop] = 1 / (stop - start)
    matrix.flags.writeable = False
    return matrix
