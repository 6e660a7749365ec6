"""Cropping images to the size of others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class CropState(NamedTuple):
    """What the backward of `crop` needs: the window that was cut out, and the shapes of both inputs."""

    window: tuple[slice, ...]
    shape: tuple[int, ...]
    reference_shape: tuple[int, ...]


def crop(
    x: np.ndarray, reference: np.ndarray, *, offset: tuple[int, ...], workspace: Workspace
) -> tuple[np.ndarray, CropState]:
    """Return the window of x (N, H, W, C) that starts at ``offset`` and is as high and wide as ``reference``.

    ``y[n, i, j, c] = x[n, i + offset[0], j + offset[1], c]``; 3-D images (N, H, W, D, C) have three offsets. The values
    of ``reference`` do not matter.
    """
    spatial = reference.shape[1:-1]
    starts = zip(offset, spatial, strict=True)
    window = (slice(None), *[slice(start, start + length) for start, length in starts])
    output = workspace.empty("output", (len(x), *spatial, x.shape[-1]), x.dtype)
    np.copyto(output, x[window])
    return output, CropState(window, x.shape, reference.shape)


def crop_backward(
    saved: CropState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, zero outside the window, and of the reference, zero everywhere."""
    d_x = d_reference = None
    if wanted[0]:
        d_x = workspace.empty("d_x", saved.shape, d_output.dtype)
        d_x[...] = 0
        d_x[saved.window] = d_output
    if wanted[1]:
        d_reference = workspace.empty("d_reference", saved.reference_shape, d_output.dtype)
        d_reference[...] = 0
    return d_x, d_reference
