"""The first or the last position of a list."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.time_padding import need_steps
from mlnet.errors import DataError


class IndexingState(NamedTuple):
    """What the backward of `indexing1d` needs: the position that was taken of each observation."""

    input_shape: tuple[int, ...]
    positions: np.ndarray
    masks: tuple[tuple[int, ...], ...]


def indexing1d(
    x: np.ndarray, *mask: np.ndarray, last: bool, lengths: Any = None, more_lengths: Any = (), workspace: Workspace
) -> tuple[np.ndarray, IndexingState]:
    """Return the first or the last position of x (N, T, ..., C): (N, ..., C).

    Positions where the optional ``mask`` (N, T, 1) is 0, and those behind the ends, do not count. ``lengths`` (N,) are
    the numbers of time steps of each, None for T of them. Raises `DataError` for an observation without positions, and
    where x and mask have different numbers of steps.
    """
    if any(not np.array_equal(other, lengths) for other in more_lengths):
        raise DataError(
            f"1-D indexing: needs a mask with as many time steps as the data, {np.asarray(lengths).tolist()}, but got "
            f"{np.asarray(more_lengths[0]).tolist()}. Make their sequences equally long."
        )
    seen = np.ones(x.shape[:2], bool)
    if lengths is not None:
        seen &= np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
    for each in mask:
        seen &= each[:, :, 0] != 0
    found = seen.any(axis=1).astype(int)
    need_steps(found, found, 1)
    positions = x.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1) if last else np.argmax(seen, axis=1)
    output = x[np.arange(len(x)), positions]
    return output, IndexingState(x.shape, positions, tuple(each.shape for each in mask))


def indexing1d_backward(
    saved: IndexingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x, and of the mask, which has none (zeros)."""
    shapes = (saved.input_shape, *saved.masks)
    gradients = [np.zeros(shape, d_output.dtype) if want else None for shape, want in zip(shapes, wanted, strict=True)]
    if gradients[0] is not None:
        gradients[0][np.arange(len(d_output)), saved.positions] = d_output
    return tuple(gradients)
