"""Operations that move elements and change none: flattening, reordering of axes, and blocks of pixels as channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class ShapeState(NamedTuple):
    """What the backward of `flatten` and `reshape` needs: the shape of the input."""

    shape: tuple[int, ...]


class PermutationState(NamedTuple):
    """What the backward of `permute` needs: the axes of the output, in the order of the input."""

    axes: tuple[int, ...]


class BlockState(NamedTuple):
    """What the backward of `depth_to_space` and `space_to_depth` needs."""

    shape: tuple[int, ...]
    block: tuple[int, int]
    mode: str


def flatten(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, ShapeState]:
    """Return the elements of each observation in MATLAB's order, (N, H W C) for images (N, H, W, C).

    ``y[n, h + H (w + W c)] = x[n, h, w, c]``: height fastest, then width, then channels.
    """
    return _columns(x, "output", workspace), ShapeState(x.shape)


def flatten_backward(
    saved: ShapeState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    return (_from_columns(d_output, saved.shape, "d_x", workspace) if wanted[0] else None,)


def reshape(x: np.ndarray, *, size: tuple[int, ...], workspace: Workspace) -> tuple[np.ndarray, ShapeState]:
    """Return the elements of each observation as an array of ``size``, (N, *size), both read in MATLAB's order."""
    columns = _columns(x, "columns", workspace)
    return _from_columns(columns, (len(x), *size), "output", workspace), ShapeState(x.shape)


def reshape_backward(
    saved: ShapeState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    if not wanted[0]:
        return (None,)
    return (_from_columns(_columns(d_output, "columns", workspace), saved.shape, "d_x", workspace),)


def permute(x: np.ndarray, *, order: tuple[int, ...], workspace: Workspace) -> tuple[np.ndarray, PermutationState]:
    """Return x with its axes reordered: axis i of an observation of the output is axis ``order[i]`` of the input."""
    axes = (0, *(1 + axis for axis in order))
    return _transposed(x, axes, "output", workspace), PermutationState(axes)


def permute_backward(
    saved: PermutationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    back = tuple(saved.axes.index(axis) for axis in range(len(saved.axes)))
    return (_transposed(d_output, back, "d_x", workspace) if wanted[0] else None,)


def depth_to_space(
    x: np.ndarray, *, block: tuple[int, int], mode: str, workspace: Workspace
) -> tuple[np.ndarray, BlockState]:
    """Return the channels as blocks of h x w pixels: (N, H, W, h w C) becomes (N, h H, w W, C).

    ``y[n, h i + a, w j + b, c] = x[n, i, j, k]`` with ``k = c + C (b + w a)`` for the mode 'dcr' (depth, column, row:
    depth fastest) and ``k = b + w (a + h c)`` for 'crd' (column fastest; PyTorch's pixel shuffle).
    """
    return _spread(x, block, mode, "output", workspace), BlockState(x.shape, block, mode)


def depth_to_space_backward(
    saved: BlockState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""
    return (_gathered(d_output, saved.block, saved.mode, "d_x", workspace) if wanted[0] else None,)


def space_to_depth(x: np.ndarray, *, block: tuple[int, int], workspace: Workspace) -> tuple[np.ndarray, BlockState]:
    """Return blocks of h x w pixels as channels: (N, H, W, C) becomes (N, floor(H / h), floor(W / w), h w C).

    ``y[n, i, j, c + C (b + w a)] = x[n, h i + a, w j + b, c]``, the order 'dcr' of `depth_to_space`. Rows and columns
    that fill no block are left out.
    """
    return _gathered(x, block, "dcr", "output", workspace), BlockState(x.shape, block, "dcr")


def space_to_depth_backward(
    saved: BlockState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: zero where pixels were left out."""
    if not wanted[0]:
        return (None,)
    spread = _spread(d_output, saved.block, saved.mode, "spread", workspace)
    if spread.shape == saved.shape:
        return (spread,)
    d_x = workspace.empty("d_x", saved.shape, d_output.dtype)
    d_x[...] = 0
    d_x[:, : spread.shape[1], : spread.shape[2]] = spread
    return (d_x,)


def _transposed(x: np.ndarray, axes: tuple[int, ...], name: str, workspace: Workspace) -> np.ndarray:
    """Return a contiguous copy of ``x`` with its axes in another order."""
    view = x.transpose(axes)
    output = workspace.empty(name, view.shape, x.dtype)
    np.copyto(output, view)
    return output


def _reversed_axes(ndim: int) -> tuple[int, ...]:
    return (0, *range(ndim - 1, 0, -1))


def _columns(x: np.ndarray, name: str, workspace: Workspace) -> np.ndarray:
    """Return the elements of each observation in MATLAB's order, the first axis fastest: (N, elements)."""
    reordered = _transposed(x, _reversed_axes(x.ndim), name, workspace)
    return reordered.reshape(len(x), int(np.prod(x.shape[1:])))


def _from_columns(columns: np.ndarray, shape: tuple[int, ...], name: str, workspace: Workspace) -> np.ndarray:
    """Return observations of ``shape`` from their elements in MATLAB's order: the reverse of `_columns`."""
    axes = _reversed_axes(len(shape))
    return _transposed(columns.reshape([shape[axis] for axis in axes]), axes, name, workspace)


def _spread(x: np.ndarray, block: tuple[int, int], mode: str, name: str, workspace: Workspace) -> np.ndarray:
    """Return (N, h H, w W, C) from (N, H, W, h w C)."""
    n, rows, columns, depth = x.shape
    height, width = block
    channels = depth // (height * width)
    if mode == "dcr":
        blocks, axes = x.reshape(n, rows, columns, height, width, channels), (0, 1, 3, 2, 4, 5)
    else:
        blocks, axes = x.reshape(n, rows, columns, channels, height, width), (0, 1, 4, 2, 5, 3)
    return _transposed(blocks, axes, name, workspace).reshape(n, height * rows, width * columns, channels)


def _gathered(x: np.ndarray, block: tuple[int, int], mode: str, name: str, workspace: Workspace) -> np.ndarray:
    """Return (N, H, W, h w C) from (N, h H, w W, C): the reverse of `_spread`, without pixels that fill no block."""
    height, width = block
    n, rows, columns, channels = len(x), x.shape[1] // height, x.shape[2] // width, x.shape[3]
    whole = x[:, : height * rows, : width * columns]
    blocks = whole.reshape(n, rows, height, columns, width, channels)
    axes = (0, 1, 3, 2, 4, 5) if mode == "dcr" else (0, 1, 3, 5, 2, 4)
    return _transposed(blocks, axes, name, workspace).reshape(n, rows, columns, height * width * channels)
