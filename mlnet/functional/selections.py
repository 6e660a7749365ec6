"""Maxima over windows and whole images: each is one element of the data, so that all higher derivatives are plain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mlnet.autodiff.array import dlarray


def largest_in_windows(
    x: dlarray, sizes: Sequence[int], strides: Sequence[int], padding: Sequence[tuple[int, int]]
) -> dlarray:
    """Return the largest element of each window of x (N, ..., C), the first one of equal ones.

    ``padding`` has the elements before and behind for each dimension; they are never the largest.
    """
    spatial = x.shape[1:-1]
    places = np.arange(int(np.prod(spatial))).reshape(spatial)
    places = np.pad(places, padding, constant_values=places.size)
    steps = tuple(slice(None, None, stride) for stride in strides)
    windows = sliding_window_view(places, tuple(sizes))[steps]
    grid = windows.shape[: len(spatial)]
    return _largest(x, windows.reshape(-1, int(np.prod(sizes)))).reshape(len(x), *grid, x.shape[-1])


def largest_of_all(x: dlarray) -> dlarray:
    """Return the largest element of each channel of x (N, ..., C), with dimensions of length 1."""
    found = _largest(x, np.arange(int(np.prod(x.shape[1:-1])))[None])
    return found.reshape(len(x), *[1] * (x.ndim - 2), x.shape[-1])


def _largest(x: dlarray, windows: np.ndarray) -> dlarray:
    """Return (N, windows, C); each row of ``windows`` has places of x, one more than there are for the border."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    border = np.full((len(x), 1, x.shape[-1]), -np.inf, x.dtype)
    values = np.concatenate([flat._data, border], axis=1)[:, windows]
    chosen = np.argmax(values, axis=2)
    places = windows[np.arange(len(windows))[None, :, None], chosen]
    return flat[np.arange(len(x))[:, None, None], places, np.arange(x.shape[-1])]


def _pairs(padding: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(padding[::2], padding[1::2], strict=True))


def max_pooling(x: dlarray, *, pool_size: Any, stride: Any, padding: Any, **_: Any) -> dlarray:
    """Return `max_pooling2d` or `max_pooling3d`."""
    return largest_in_windows(x, pool_size, stride, _pairs(padding))


def max_pooling1d(x: dlarray, *, pool_size: int, stride: int, padding: Any, **_: Any) -> dlarray:
    """Return `max_pooling1d`; 'same' makes ceil(steps / stride) steps."""
    if isinstance(padding, str):
        steps = x.shape[1]
        total = max((-(-steps // stride) - 1) * stride + pool_size - steps, 0)
        padding = (total // 2, total - total // 2)
    return largest_in_windows(x, (pool_size,), (stride,), [tuple(padding)])


def global_max_pooling1d(x: dlarray, **_: Any) -> dlarray:
    """Return the largest element of each channel of sequences (N, T, C): (N, C)."""
    return largest_of_all(x).reshape(len(x), -1)
