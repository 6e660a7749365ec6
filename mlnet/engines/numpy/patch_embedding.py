"""Vectors for patches of images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.linear import FullyConnectedState, fully_connected, fully_connected_backward


class PatchEmbeddingState(NamedTuple):
    """What the backward of `patch_embedding` needs; ``order`` makes pixels of patches from those of images."""

    product: FullyConnectedState
    input_shape: tuple[int, ...]
    grid: tuple[int, ...]
    order: tuple[int, ...]
    weights_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]


def patch_embedding(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, by_rows: bool, workspace: Workspace
) -> tuple[np.ndarray, PatchEmbeddingState]:
    """Return a vector for each patch of images x (N, H, W, C), or of one or three dimensions: (N, patches, O).

    ``weights`` (patch height, patch width, C, O) and ``bias`` (1, 1, O) are those of a convolution whose stride is the
    size of the patches; rows and columns behind the last whole patch are left out. Patches come with the first
    dimension fastest, with ``by_rows`` with the last one fastest.
    """
    patch, spatial = weights.shape[:-2], x.shape[1:-1]
    grid = tuple(n // p for n, p in zip(spatial, patch, strict=True))
    cut = x[(slice(None), *[slice(n * p) for n, p in zip(grid, patch, strict=True)])]
    split = cut.reshape(len(x), *[n for pair in zip(grid, patch, strict=True) for n in pair], x.shape[-1])
    along = range(1, 2 * len(grid), 2)
    order = (0, *(along if by_rows else reversed(along)), *(axis + 1 for axis in along), split.ndim - 1)
    count = int(np.prod(grid))
    pixels = split.transpose(order).reshape(len(x) * count, int(np.prod(weights.shape[:-1])))
    matrix = weights.reshape(-1, weights.shape[-1]).T
    output, product = fully_connected(pixels, matrix, bias.reshape(-1, 1), workspace=workspace)
    saved = PatchEmbeddingState(product, x.shape, grid, order, weights.shape, bias.shape)
    return output.reshape(len(x), count, weights.shape[-1]), saved


def patch_embedding_backward(
    saved: PatchEmbeddingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    flat = d_output.reshape(-1, d_output.shape[-1])
    d_pixels, d_matrix, d_bias = fully_connected_backward(saved.product, flat, wanted=wanted, workspace=workspace)
    d_x = None
    if d_pixels is not None:
        patch = saved.weights_shape[:-2]
        shape = [n for pair in zip(saved.grid, patch, strict=True) for n in pair]
        split = (saved.input_shape[0], *shape, saved.input_shape[-1])
        whole = d_pixels.reshape([split[axis] for axis in saved.order]).transpose(np.argsort(saved.order))
        d_x = np.zeros(saved.input_shape, d_pixels.dtype)
        cut = [n * p for n, p in zip(saved.grid, patch, strict=True)]
        d_x[(slice(None), *map(slice, cut))] = whole.reshape(len(d_x), *cut, saved.input_shape[-1])
    return (
        d_x,
        None if d_matrix is None else np.ascontiguousarray(d_matrix.T).reshape(saved.weights_shape),
        None if d_bias is None else d_bias.reshape(saved.bias_shape),
    )
