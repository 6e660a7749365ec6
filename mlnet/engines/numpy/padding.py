"""Borders around images (N, H, W, C), and the way back for gradients.

A border holds one value, or repeats pixels of the image: ``'replicate'`` its edge, ``'symmetric-include-edge'`` and
``'symmetric-exclude-edge'`` its mirror image with and without the edge itself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Padding = tuple[int, int, int, int]
"""(top, bottom, left, right)"""

_MODES = {"replicate": "edge", "symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}


def padded_size(height: int, width: int, padding: Padding) -> tuple[int, int]:
    """Return height and width with the border."""
    top, bottom, left, right = padding
    return height + top + bottom, width + left + right


def inner(padded: np.ndarray, padding: Padding) -> np.ndarray:
    """Return the view of a padded array that leaves out the border."""
    top, bottom, left, right = padding
    return padded[:, top : padded.shape[1] - bottom, left : padded.shape[2] - right]


def pad(x: np.ndarray, padding: Padding, value: float | str, out: np.ndarray) -> None:
    """Write ``x`` with a border into ``out``; negative padding cuts rows or columns off."""
    top, bottom, left, right = padding
    if min(padding) < 0:
        cut = tuple(max(0, -p) for p in padding)
        x = inner(x, cut)  # type: ignore[arg-type]
        top, bottom, left, right = (max(0, p) for p in padding)
    if isinstance(value, str):
        rows = edge_sources(x.shape[1], top, bottom, value)
        columns = edge_sources(x.shape[2], left, right, value)
        np.copyto(out, x[:, rows][:, :, columns])
        return
    height, width = out.shape[1:3]
    out[:, top : height - bottom, left : width - right] = x
    out[:, :top] = value
    out[:, height - bottom :] = value
    out[:, top : height - bottom, :left] = value
    out[:, top : height - bottom, width - right :] = value


def unpad_gradient(d_padded: np.ndarray, padding: Padding, value: float | str, d_x: np.ndarray) -> None:
    """Write to ``d_x`` the gradient of the image, from that of the padded image, which may be changed."""
    if isinstance(value, str):
        top, bottom, left, right = padding
        _fold(d_padded, 1, top, bottom, value)
        _fold(d_padded, 2, left, right, value)
    np.copyto(d_x, inner(d_padded, padding))


def _fold(d_padded: np.ndarray, axis: int, before: int, after: int, mode: str) -> None:
    """Add each row of the border along ``axis`` to the row that it repeats."""
    rows = np.moveaxis(d_padded, axis, 0)
    size = len(rows) - before - after
    sources = edge_sources(size, before, after, mode)
    for place in (*range(before), *range(before + size, len(rows))):
        rows[before + sources[place]] += rows[place]


@lru_cache(maxsize=256)
def edge_sources(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """Return for each place of a padded axis the place it is copied from."""
    return np.pad(np.arange(size), (before, after), mode=_MODES[mode])  # type: ignore[call-overload]
