"""Two-dimensional convolution of groups of channels, each with filters of its own.

``y[n, p, q, g F + f] = bias[f, g] + sum over i, j, c of x_padded[n, p s_v + i d_v, q s_h + j d_h, g C + c] *
weights[i, j, c, f, g]`` with C channels and F filters per group. Groups of several channels are convolutions; where
each channel is a group of its own (depth-wise), all channels are multiplied at once, place by place of the window.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import column_sums
from mlnet.engines.numpy.convolution import ConvolutionState, convolution2d, convolution2d_backward
from mlnet.engines.numpy.padding import Padding, pad, padded_size, unpad_gradient
from mlnet.engines.numpy.windows import Pair, Windows
from mlnet.parallel.blocks import run, split


class GroupedConvolutionState(NamedTuple):
    """What the backward of `grouped_convolution2d` needs: the convolution of each group, or one of all channels."""

    shape: tuple[int, ...]
    weights_shape: tuple[int, ...]
    groups: tuple[ConvolutionState, ...]


def grouped_convolution2d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
    padding_value: float | str = 0.0,
    workspace: Workspace,
) -> tuple[np.ndarray, GroupedConvolutionState]:
    """Convolve images (N, H, W, G * C) with weights (h, w, C, F, G) and add bias (1, 1, F, G).

    Returns (N, rows, columns, G * F), where rows = floor((H + padding - extent) / stride) + 1.
    """
    channels, filters, groups = weights.shape[2:]
    windows = Windows(weights.shape[:2], stride, dilation)
    grid = windows.grid(*padded_size(x.shape[1], x.shape[2], padding))
    output = workspace.empty("groups", (len(x), *grid, filters * groups), x.dtype)
    if channels == 1:
        repeated = np.ascontiguousarray(x) if filters == 1 else np.repeat(x, filters, axis=3)
        matrix = np.ascontiguousarray(weights.transpose(0, 1, 2, 4, 3)).reshape(-1, filters * groups)
        state = ConvolutionState(repeated, matrix, bias.shape, windows, padding, padding_value)
        _depthwise(state, bias.reshape(filters, groups).T.ravel(), output, workspace)
        return output, GroupedConvolutionState(x.shape, weights.shape, (state,))
    states = []
    for group in range(groups):
        y, state = convolution2d(
            x[..., group * channels : (group + 1) * channels],
            weights[..., group],
            bias[..., group],
            stride=stride,
            dilation=dilation,
            padding=padding,
            padding_value=padding_value,
            workspace=workspace,
        )
        output[..., group * filters : (group + 1) * filters] = y
        states.append(state)
    return output, GroupedConvolutionState(x.shape, weights.shape, tuple(states))


def grouped_convolution2d_backward(
    saved: GroupedConvolutionState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    channels, filters, groups = saved.weights_shape[2:]
    if channels == 1:
        return _depthwise_gradients(saved, np.ascontiguousarray(d_output), wanted, workspace)
    d_x = workspace.empty("d_groups", saved.shape, d_output.dtype) if wanted[0] else None
    d_weights = np.empty(saved.weights_shape, d_output.dtype) if wanted[1] else None
    d_bias = np.empty((1, 1, filters, groups), d_output.dtype) if wanted[2] else None
    for group, state in enumerate(saved.groups):
        d_y = d_output[..., group * filters : (group + 1) * filters]
        parts = convolution2d_backward(state, d_y, wanted=wanted, workspace=workspace)
        if d_x is not None:
            d_x[..., group * channels : (group + 1) * channels] = parts[0]
        if d_weights is not None:
            d_weights[..., group] = parts[1]
        if d_bias is not None:
            d_bias[..., group] = parts[2]
    return d_x, d_weights, d_bias


def _depthwise(state: ConvolutionState, bias: np.ndarray, output: np.ndarray, workspace: Workspace) -> None:
    """Write to ``output`` (N, rows, columns, C) each channel's own convolution; the weights are (h * w, C)."""
    rows = _rows(state, output)
    blocks = split(len(output), max(state.x[:1].nbytes, output[:1].nbytes))

    def task(part: int, slot: int) -> None:
        padded = _padded(state, blocks[part], slot, workspace)
        y = output[blocks[part]]
        y[...] = bias
        product = workspace.scratch(("product", slot), y.shape, y.dtype)
        for row, offset in zip(rows, state.windows.offsets(), strict=True):
            np.multiply(state.windows.at(padded, offset), row, out=product)
            np.add(y, product, out=y)

    run(task, len(blocks))


def _depthwise_gradients(
    saved: GroupedConvolutionState, d_output: np.ndarray, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    (state,) = saved.groups
    x, windows = state.x, state.windows
    height, width, _, filters, groups = saved.weights_shape
    rows = _rows(state, d_output)
    blocks = split(len(x), max(x[:1].nbytes, d_output[:1].nbytes))
    d_x = workspace.empty("d_x", x.shape, x.dtype) if wanted[0] else None
    d_matrices = np.zeros((len(blocks), *state.weights.shape), x.dtype)

    def task(part: int, slot: int) -> None:
        d_y = d_output[blocks[part]]
        padded = _padded(state, blocks[part], slot, workspace)
        product = workspace.scratch(("product", slot), d_y.shape, d_y.dtype)
        if wanted[1]:
            for number, offset in enumerate(windows.offsets()):
                np.multiply(windows.at(padded, offset), d_y, out=product)
                d_matrices[part, number] = column_sums(product.reshape(-1, x.shape[3]))
        if d_x is not None:
            d_padded = workspace.scratch(("d_padded", slot), padded.shape, x.dtype)
            d_padded[...] = 0
            for row, offset in zip(rows, windows.offsets(), strict=True):
                target = windows.at(d_padded, offset)
                target += np.multiply(d_y, row, out=product)
            unpad_gradient(d_padded, state.padding, state.padding_value, d_x[blocks[part]])

    run(task, len(blocks))
    d_weights = d_bias = None
    if wanted[1]:
        d_matrix = np.add.reduce(d_matrices, axis=0).reshape(height, width, 1, groups, filters)
        d_weights = np.ascontiguousarray(d_matrix.swapaxes(3, 4))
    if wanted[2]:
        sums = column_sums(d_output.reshape(-1, x.shape[3])).reshape(groups, filters)
        d_bias = np.ascontiguousarray(sums.T).reshape(state.bias_shape)
    if d_x is not None and filters > 1:
        d_x = np.add.reduce(d_x.reshape(*saved.shape, filters), axis=-1)
    return d_x, d_weights, d_bias


def _rows(state: ConvolutionState, y: np.ndarray) -> list[np.ndarray]:
    """Return for each place of the window its weights (columns, C): a whole row is multiplied in one go."""
    return [np.tile(weights, (y.shape[2], 1)) for weights in state.weights.astype(y.dtype, copy=False)]


def _padded(state: ConvolutionState, block: slice, slot: int, workspace: Workspace) -> np.ndarray:
    x = state.x[block]
    if not any(state.padding):
        return x
    shape = (len(x), *padded_size(x.shape[1], x.shape[2], state.padding), x.shape[3])
    padded = workspace.scratch(("padded", slot), shape, x.dtype)
    pad(x, state.padding, state.padding_value, padded)
    return padded
