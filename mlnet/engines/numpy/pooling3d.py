"""Maximum and average over boxes of 3-D images (N, H, W, D, C), and over whole ones.

Both separate: first over width and depth, then over height. The first of equal maxima, row by row, stays the first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.convolution3d import Padding3D, Triple
from mlnet.engines.numpy.pooling import (
    GlobalPoolingState,
    average_pooling2d,
    average_pooling2d_backward,
    global_average_pooling,
    global_average_pooling_backward,
    global_max_pooling,
    global_max_pooling_backward,
    max_pooling2d,
    max_pooling2d_backward,
)


class Pooling3DState(NamedTuple):
    """What the backward of a pooling over boxes needs: the states of both steps and the shape in between."""

    shape: tuple[int, ...]
    between: tuple[int, ...]
    planes: Any
    heights: Any


class GlobalPooling3DState(NamedTuple):
    """What the backward of pooling over whole 3-D images needs."""

    shape: tuple[int, ...]
    pooling: GlobalPoolingState


def max_pooling3d(
    x: np.ndarray, *, pool_size: Triple, stride: Triple, padding: Padding3D, workspace: Workspace
) -> tuple[np.ndarray, Pooling3DState]:
    """Return the maximum of each box (N, rows, columns, layers, C); the border never is the maximum.

    ``padding`` is (top, bottom, left, right, front, back).
    """
    return _pooled(max_pooling2d, x, pool_size, stride, padding, workspace)


def max_pooling3d_backward(
    saved: Pooling3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one in its box, row by row, gets it."""
    return _gradient(max_pooling2d_backward, saved, d_output, wanted, workspace)


def average_pooling3d(
    x: np.ndarray,
    *,
    pool_size: Triple,
    stride: Triple,
    padding: Padding3D,
    padding_value: float | str = 0.0,
    workspace: Workspace,
) -> tuple[np.ndarray, Pooling3DState]:
    """Return the mean of each box (N, rows, columns, layers, C).

    With ``padding_value=0.0`` the zeros of the border count, with ``'mean'`` only elements of the image do.
    """
    return _pooled(average_pooling2d, x, pool_size, stride, padding, workspace, padding_value=padding_value)


def average_pooling3d_backward(
    saved: Pooling3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: each element gets its share from every box it lies in."""
    return _gradient(average_pooling2d_backward, saved, d_output, wanted, workspace)


def global_average_pooling3d(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, GlobalPooling3DState]:
    """Return the mean over height, width and depth, (N, 1, 1, 1, C)."""
    output, pooling = global_average_pooling(_as_images(x), workspace=workspace)
    return output[:, None], GlobalPooling3DState(x.shape, pooling)


def global_average_pooling3d_backward(
    saved: GlobalPooling3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: an equal share for each element."""
    (d_x,) = global_average_pooling_backward(saved.pooling, d_output[:, 0], wanted=wanted, workspace=workspace)
    return (None if d_x is None else d_x.reshape(saved.shape),)


def global_max_pooling3d(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, GlobalPooling3DState]:
    """Return the maximum over height, width and depth, (N, 1, 1, 1, C)."""
    output, pooling = global_max_pooling(_as_images(x), workspace=workspace)
    return output[:, None], GlobalPooling3DState(x.shape, pooling)


def global_max_pooling3d_backward(
    saved: GlobalPooling3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one, row by row, gets it."""
    (d_x,) = global_max_pooling_backward(saved.pooling, d_output[:, 0], wanted=wanted, workspace=workspace)
    return (None if d_x is None else d_x.reshape(saved.shape),)


def _pooled(
    function: Any,
    x: np.ndarray,
    pool_size: Triple,
    stride: Triple,
    padding: Padding3D,
    workspace: Workspace,
    **more: Any,
) -> tuple[np.ndarray, Pooling3DState]:
    """Pool over width and depth, then over height."""
    n, height, width, depth, channels = x.shape
    top, bottom, *others = padding
    y, planes = function(
        x.reshape(n * height, width, depth, channels),
        pool_size=pool_size[1:],
        stride=stride[1:],
        padding=tuple(others),
        workspace=workspace.part("planes"),
        **more,
    )
    _, columns, layers, _ = between = y.shape
    y, heights = function(
        y.reshape(n, height, columns * layers, channels),
        pool_size=(pool_size[0], 1),
        stride=(stride[0], 1),
        padding=(top, bottom, 0, 0),
        workspace=workspace.part("heights"),
        **more,
    )
    state = Pooling3DState(x.shape, between, planes, heights)
    return y.reshape(n, y.shape[1], columns, layers, channels), state


def _gradient(
    function: Any, saved: Pooling3DState, d_output: np.ndarray, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    if not wanted[0]:
        return (None,)
    n, rows, columns, layers, channels = d_output.shape
    d_heights = d_output.reshape(n, rows, columns * layers, channels)
    (d_planes,) = function(saved.heights, d_heights, wanted=wanted, workspace=workspace.part("heights"))
    d_planes = d_planes.reshape(saved.between)
    (d_x,) = function(saved.planes, d_planes, wanted=wanted, workspace=workspace.part("planes"))
    return (d_x.reshape(saved.shape),)


def _as_images(x: np.ndarray) -> np.ndarray:
    n, height, width, depth, channels = x.shape
    return x.reshape(n, height * width, depth, channels)
