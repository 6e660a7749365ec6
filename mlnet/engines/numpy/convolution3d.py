"""Convolution and transposed convolution of 3-D images (N, H, W, D, C).

The planes that a filter covers along the height become channels of 2-D images: one convolution over width and depth,
with h * C channels, does the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import column_sums
from mlnet.engines.numpy.convolution import ConvolutionState, convolution2d, convolution2d_backward
from mlnet.engines.numpy.padding import Padding, pad, unpad_gradient
from mlnet.engines.numpy.transposed_convolution import (
    TransposedConvolutionState,
    transposed_convolution2d,
    transposed_convolution2d_backward,
)
from mlnet.engines.numpy.windows import Windows

Triple = tuple[int, int, int]
Padding3D = tuple[int, int, int, int, int, int]
"""(top, bottom, left, right, front, back)"""


class _Planes(NamedTuple):
    """Which planes of 3-D images of ``shape`` lie in a window along the height, and the border above and below."""

    shape: tuple[int, ...]
    windows: Windows
    padding: Padding
    value: float | str

    @classmethod
    def of(
        cls, shape: tuple[int, ...], size: int, stride: int, dilation: int, border: tuple[int, int], value: float | str
    ) -> _Planes:
        """Return the planes for windows of ``size`` rows and a ``border`` (top, bottom)."""
        return cls(shape, Windows((size, 1), (stride, 1), (dilation, 1)), (*border, 0, 0), value)

    @property
    def padded(self) -> tuple[int, ...]:
        """The shape of the padded images, with width and depth as one dimension."""
        n, height, width, depth, channels = self.shape
        return n, height + self.padding[0] + self.padding[1], width * depth, channels

    @property
    def rows(self) -> int:
        """The number of windows along the height."""
        return self.windows.grid(*self.padded[1:3])[0]

    def stack(self, x: np.ndarray, workspace: Workspace) -> np.ndarray:
        """Return x (N, H, W, D, C) as images (N * rows, W, D, h * C)."""
        n, height, width, depth, channels = self.shape
        x = x.reshape(n, height, width * depth, channels)
        if any(self.padding):
            padded = workspace.empty("padded volume", self.padded, x.dtype)
            pad(x, self.padding, self.value, padded)
            x = padded
        view = self.windows.view(x)
        images = workspace.empty("planes", view.shape, x.dtype)
        np.copyto(images, view)
        return images.reshape(n * self.rows, width, depth, self.windows.size[0] * channels)

    def unstack(self, images: np.ndarray, workspace: Workspace) -> np.ndarray:
        """Return (N, H, W, D, C), the sum of all that `stack` copied: its gradient."""
        n, height, width, depth, channels = self.shape
        places = images.reshape(n, self.rows, width * depth, self.windows.size[0], channels)
        padded = workspace.empty("padded volume", self.padded, images.dtype)
        padded[...] = 0
        for number, offset in enumerate(self.windows.offsets()):
            target = self.windows.at(padded, offset)
            target += places[:, :, :, number]
        volume = workspace.empty("volume", (n, height, width * depth, channels), images.dtype)
        unpad_gradient(padded, self.padding, self.value, volume)
        return volume.reshape(self.shape)


class Convolution3DState(NamedTuple):
    """What the backward of `convolution3d` needs."""

    planes: _Planes
    weights_shape: tuple[int, ...]
    convolution: ConvolutionState


class TransposedConvolution3DState(NamedTuple):
    """What the backward of `transposed_convolution3d` needs."""

    x_shape: tuple[int, ...]
    planes: _Planes
    weights_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]
    convolution: TransposedConvolutionState


def convolution3d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Padding3D,
    padding_value: float | str = 0.0,
    workspace: Workspace,
) -> tuple[np.ndarray, Convolution3DState]:
    """Convolve 3-D images (N, H, W, D, C) with weights (h, w, d, C, F) and add bias (1, 1, 1, F).

    ``y[n, p, q, r, f] = bias[f] + sum over i, j, k, c of x_padded[n, p s_v + i d_v, q s_h + j d_h, r s_d + k d_d, c] *
    weights[i, j, k, c, f]``

    Returns (N, rows, columns, layers, F), where rows = floor((H + padding - extent) / stride) + 1.
    """
    top, bottom, left, right, front, back = padding
    height, width, depth, channels, filters = weights.shape
    planes = _Planes.of(x.shape, height, stride[0], dilation[0], (top, bottom), padding_value)
    images, convolution = convolution2d(
        planes.stack(x, workspace),
        weights.transpose(1, 2, 0, 3, 4).reshape(width, depth, height * channels, filters),
        bias,
        stride=stride[1:],
        dilation=dilation[1:],
        padding=(left, right, front, back),
        padding_value=padding_value,
        workspace=workspace,
    )
    state = Convolution3DState(planes, weights.shape, convolution)
    return images.reshape(len(x), planes.rows, *images.shape[1:]), state


def convolution3d_backward(
    saved: Convolution3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    height, width, depth, channels, filters = saved.weights_shape
    n, rows, *others = d_output.shape
    d_x, d_weights, d_bias = convolution2d_backward(
        saved.convolution, d_output.reshape(n * rows, *others), wanted=wanted, workspace=workspace
    )
    if d_x is not None:
        d_x = saved.planes.unstack(d_x, workspace)
    if d_weights is not None:
        d_weights = d_weights.reshape(width, depth, height, channels, filters).transpose(2, 0, 1, 3, 4)
    return d_x, d_weights, d_bias


def transposed_convolution3d(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, stride: Triple, cropping: Padding3D, workspace: Workspace
) -> tuple[np.ndarray, TransposedConvolution3DState]:
    """Spread 3-D images (N, H, W, D, C) with weights (h, w, d, F, C) and add bias (1, 1, 1, F).

    ``y[n, p s_v + i - top, q s_h + j - left, r s_d + k - front, f] = bias[f] + sum over p, q, r, i, j, k, c of
    x[n, p, q, r, c] * weights[i, j, k, f, c]``

    Returns (N, rows, columns, layers, F), where rows = (H - 1) * stride + h - top - bottom. ``cropping`` is (top,
    bottom, left, right, front, back); a negative bottom, right or back adds elements of the bias alone.
    """
    top, bottom, left, right, front, back = cropping
    height, width, depth, filters, channels = weights.shape
    n, in_height = x.shape[:2]
    spread, convolution = transposed_convolution2d(
        x.reshape(n * in_height, *x.shape[2:]),
        weights.transpose(1, 2, 0, 3, 4).reshape(width, depth, height * filters, channels),
        np.zeros(height * filters, x.dtype),
        stride=stride[1:],
        cropping=(left, right, front, back),
        workspace=workspace,
    )
    shape = (n, (in_height - 1) * stride[0] + height - top - bottom, *spread.shape[1:3], filters)
    planes = _Planes.of(shape, height, stride[0], 1, (top, max(0, bottom)), 0.0)
    volume = planes.unstack(spread, workspace)
    np.add(volume, bias.ravel(), out=volume)
    return volume, TransposedConvolution3DState(x.shape, planes, weights.shape, bias.shape, convolution)


def transposed_convolution3d_backward(
    saved: TransposedConvolution3DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    height, width, depth, filters, channels = saved.weights_shape
    d_x, d_weights, _ = transposed_convolution2d_backward(
        saved.convolution,
        saved.planes.stack(d_output, workspace),
        wanted=(*wanted[:2], False),
        workspace=workspace,
    )
    d_bias = None
    if d_x is not None:
        d_x = d_x.reshape(saved.x_shape)
    if d_weights is not None:
        d_weights = d_weights.reshape(width, depth, height, filters, channels).transpose(2, 0, 1, 3, 4)
    if wanted[2]:
        d_bias = column_sums(d_output.reshape(-1, filters)).reshape(saved.bias_shape)
    return d_x, d_weights, d_bias
