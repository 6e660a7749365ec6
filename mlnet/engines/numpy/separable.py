"""Products of images with one small matrix for each spatial dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.parallel.blocks import run, split


def along_each(matrices: Sequence[np.ndarray], x: np.ndarray, name: str, workspace: Workspace) -> np.ndarray:
    """Return ``y[n, i, j, c] = sum_pq V[i, p] U[j, q] x[n, p, q, c]`` for the matrices V (rows, H) and U (columns, W).

    For 3-D images x (N, H, W, D, C) there are three matrices. The result belongs to ``workspace``, under ``name``.
    """
    if len(matrices) == 3:
        first, *others = matrices
        n, height, *plane = x.shape
        planes = along_each(others, x.reshape(n * height, *plane), f"{name}, planes", workspace)
        rest = planes.shape[1:]
        flat = planes.reshape(n, height, 1, math.prod(rest))
        return _along_two(first, None, flat, name, workspace).reshape(n, len(first), *rest)
    vertical, horizontal = matrices
    return _along_two(vertical, horizontal, x, name, workspace)


def _along_two(
    vertical: np.ndarray, horizontal: np.ndarray | None, x: np.ndarray, name: str, workspace: Workspace
) -> np.ndarray:
    """Return the products along height and width (None: along height only), a block of observations at a time."""
    n, height, width, channels = x.shape
    rows, columns = len(vertical), width if horizontal is None else len(horizontal)
    output = workspace.empty(name, (n, rows, columns, channels), x.dtype)
    blocks = split(n, max(x[:1].nbytes, output[:1].nbytes))

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        count = block.stop - block.start
        scaled = output[block].reshape(count, rows, columns * channels)
        if horizontal is not None:
            scaled = workspace.scratch(("scaled", slot), (count, rows, width * channels), x.dtype)
        np.matmul(vertical, x[block].reshape(count, height, width * channels), out=scaled)
        if horizontal is not None:
            target = output[block].reshape(count * rows, columns, channels)
            np.matmul(horizontal, scaled.reshape(count * rows, width, channels), out=target)

    run(task, len(blocks))
    return output
