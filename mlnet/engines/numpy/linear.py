"""Fully connected layers: one matrix product."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class FullyConnectedState(NamedTuple):
    """What the backward of `fully_connected` needs; ``x`` is a matrix (N, in), its features in ``order``."""

    x: np.ndarray
    weights: np.ndarray
    input_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]


def fully_connected(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, workspace: Workspace
) -> tuple[np.ndarray, FullyConnectedState]:
    """Return ``y = x weights' + bias`` (N, out) for features (N, in) or images (N, H, W, C).

    ``weights`` is (out, in), ``bias`` (out, 1). MATLAB flattens images with height fastest, then width, then
    channels, so the feature (h, w, c) meets the weight column h + H (w + W c).
    """
    x = np.ascontiguousarray(x)
    flat = x.reshape(len(x), weights.shape[1])
    matrix = _images_first(weights, x.shape[1:])
    output = workspace.empty("output", (len(x), len(weights)), x.dtype)
    np.matmul(flat, matrix.T, out=output)
    np.add(output, bias.ravel(), out=output)
    return output, FullyConnectedState(flat, matrix, x.shape, bias.shape)


def fully_connected_backward(
    saved: FullyConnectedState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    d_x = d_weights = d_bias = None
    if wanted[0]:
        d_x = workspace.empty("d_x", saved.input_shape, d_output.dtype)
        np.matmul(d_output, saved.weights, out=d_x.reshape(saved.x.shape))
    if wanted[1]:
        d_weights = workspace.empty("d_weights", saved.weights.shape, d_output.dtype)
        np.matmul(d_output.T, saved.x, out=d_weights)
        d_weights = _channels_first(d_weights, saved.input_shape[1:])
    if wanted[2]:
        d_bias = np.add.reduce(d_output, axis=0).reshape(saved.bias_shape)
    return d_x, d_weights, d_bias


def _images_first(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reorder the columns of ``weights`` from MATLAB's order of pixels to that of images (H, W, C)."""
    if len(shape) == 1 or sum(size > 1 for size in shape) <= 1:
        return np.ascontiguousarray(weights)
    columns = weights.reshape(len(weights), *reversed(shape))
    return np.ascontiguousarray(columns.transpose(0, 3, 2, 1)).reshape(weights.shape)


def _channels_first(d_weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reorder the columns of ``d_weights`` from images (H, W, C) to MATLAB's order of pixels."""
    if len(shape) == 1 or sum(size > 1 for size in shape) <= 1:
        return d_weights
    pixels = d_weights.reshape(len(d_weights), *shape)
    return np.ascontiguousarray(pixels.transpose(0, 3, 2, 1)).reshape(d_weights.shape)
