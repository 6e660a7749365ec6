"""What the operations mean: the formulas, written with loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import scipy.linalg

_PAD_MODES = {"replicate": "edge", "symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}


def padded(x: np.ndarray, padding: tuple[int, int, int, int], value: Any) -> np.ndarray:
    """Return images with a border, by ``numpy.pad``."""
    top, bottom, left, right = padding
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    if isinstance(value, str):
        return np.pad(x, widths, mode=_PAD_MODES[value])
    return np.pad(x, widths, constant_values=value)


def window_starts(size: int, extent: int, stride: int) -> range:
    """Return where windows begin."""
    return range(0, size - extent + 1, stride)


def convolution2d(x, weights, bias, *, stride, dilation, padding, padding_value=0.0):
    x = padded(x, padding, padding_value)
    height, width, _, filters = weights.shape
    rows = window_starts(x.shape[1], (height - 1) * dilation[0] + 1, stride[0])
    columns = window_starts(x.shape[2], (width - 1) * dilation[1] + 1, stride[1])
    y = np.zeros((len(x), len(rows), len(columns), filters))
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            for i in range(height):
                for j in range(width):
                    y[:, p, q] += x[:, top + i * dilation[0], left + j * dilation[1]] @ weights[i, j]
    return y + bias.reshape(-1)


def fully_connected(x, weights, bias):
    y = np.zeros((len(x), len(weights)))
    for n, observation in enumerate(x):
        # MATLAB's order: the first axis runs fastest.
        y[n] = weights @ observation.ravel(order="F") + bias.ravel()
    return y.reshape(len(x), *[1] * (x.ndim - 2), len(weights))


def batch_normalization(x, offset, scale, *, epsilon, rectified=False):
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        values = x[..., c]
        mean = values.mean()
        variance = ((values - mean) ** 2).mean()
        y[..., c] = scale.flat[c] * (values - mean) / np.sqrt(variance + epsilon) + offset.flat[c]
    return np.maximum(y, 0) if rectified else y


def batch_normalization_inference(x, offset, scale, mean, variance, *, epsilon, rectified=False):
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        x_hat = (x[..., c] - mean.flat[c]) / np.sqrt(variance.flat[c] + epsilon)
        y[..., c] = scale.flat[c] * x_hat + offset.flat[c]
    return np.maximum(y, 0) if rectified else y


def group_normalization(x, offset, scale, *, groups, epsilon):
    y = np.empty_like(x)
    width = x.shape[-1] // groups
    for n, g in itertools.product(range(len(x)), range(groups)):
        mine = slice(g * width, (g + 1) * width)
        values = x[n, ..., mine]
        variance = ((values - values.mean()) ** 2).mean()
        x_hat = (values - values.mean()) / np.sqrt(variance + epsilon)
        y[n, ..., mine] = scale.ravel()[mine] * x_hat + offset.ravel()[mine]
    return y


def layer_normalization(x, offset, scale, *, axes, epsilon):
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[: x.ndim - len(axes)]):
        values = x[place]
        variance = ((values - values.mean()) ** 2).mean()
        y[place] = scale.ravel() * (values - values.mean()) / np.sqrt(variance + epsilon) + offset.ravel()
    return y


def rms_normalization(x, scale, *, axes, epsilon):
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[: x.ndim - len(axes)]):
        y[place] = scale.ravel() * x[place] / np.sqrt((x[place] ** 2).mean() + epsilon)
    return y


def whitening(x, offset, scale, *, groups, epsilon):
    means, matrices = [], []
    width = x.shape[-1] // groups
    for g in range(groups):
        values = x[..., g * width : (g + 1) * width].reshape(-1, width)
        mean = values.mean(axis=0)
        covariance = sum(np.outer(v - mean, v - mean) for v in values) / len(values)
        means.append(mean)
        matrices.append(np.real(scipy.linalg.fractional_matrix_power(covariance + epsilon * np.eye(width), -0.5)))
    return whitening_inference(x, offset, scale, np.concatenate(means), np.stack(matrices, axis=2))


def whitening_inference(x, offset, scale, mean, matrix):
    y = np.empty_like(x)
    width = len(matrix)
    for g, root in enumerate(np.moveaxis(matrix.reshape(width, width, -1), 2, 0)):
        mine = slice(g * width, (g + 1) * width)
        x_hat = np.stack([root @ (v - mean.ravel()[mine]) for v in x[..., mine].reshape(-1, width)])
        y[..., mine] = scale.ravel()[mine] * x_hat.reshape(y[..., mine].shape) + offset.ravel()[mine]
    return y


def cross_channel_normalization(x, *, window, alpha, beta, k):
    y = np.empty_like(x)
    channels = x.shape[-1]
    for c in range(channels):
        first, last = c - (window - 1) // 2, c + window // 2
        total = sum(x[..., i] ** 2 for i in range(max(0, first), min(channels - 1, last) + 1))
        y[..., c] = x[..., c] / (k + alpha * total / window) ** beta
    return y


def normalize_input(x, *, shift, scale):
    return np.stack([(image - (0 if shift is None else shift)) / (1 if scale is None else scale) for image in x])


def whiten_input(x, *, mean, matrix):
    y = np.empty_like(x)
    for n, observation in enumerate(x):
        centred = observation - mean
        if len(matrix) == observation.size:
            y[n] = (matrix @ centred.ravel()).reshape(observation.shape)
        else:
            for place in np.ndindex(observation.shape[:-1]):
                y[n][place] = matrix @ centred[place]
    return y


def weight_normalization(v, g, *, axes):
    w, lengths = np.empty_like(v), iter(g.ravel())
    for filter in _filters(v, axes):
        w[filter] = next(lengths) * v[filter] / math.sqrt((v[filter] ** 2).sum())
    return w


def weight_standardization(v, *, axes, epsilon):
    w = np.empty_like(v)
    for filter in _filters(v, axes):
        values = v[filter]
        variance = ((values - values.mean()) ** 2).sum() / values.size
        w[filter] = (values - values.mean()) / math.sqrt(variance + epsilon)
    return w


def _filters(v, axes):
    """Yield the index of each filter: everything along ``axes``."""
    others = [axis for axis in range(v.ndim) if axis not in axes]
    for place in itertools.product(*[range(v.shape[axis]) for axis in others]):
        index = [slice(None)] * v.ndim
        for axis, number in zip(others, place, strict=True):
            index[axis] = number
        yield tuple(index)


def max_pooling2d(x, *, pool_size, stride, padding):
    return _pooled(padded(x, padding, -np.inf), pool_size, stride, lambda window: window.max(axis=(1, 2)))


def average_pooling2d(x, *, pool_size, stride, padding, padding_value=0.0):
    if padding_value == "mean":
        x = padded(x, padding, np.nan)
        return _pooled(x, pool_size, stride, lambda window: np.nanmean(window, axis=(1, 2)))
    return _pooled(padded(x, padding, 0.0), pool_size, stride, lambda window: window.mean(axis=(1, 2)))


def _pooled(x, pool_size, stride, function):
    rows = window_starts(x.shape[1], pool_size[0], stride[0])
    columns = window_starts(x.shape[2], pool_size[1], stride[1])
    y = np.empty((len(x), len(rows), len(columns), x.shape[3]))
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            y[:, p, q] = function(x[:, top : top + pool_size[0], left : left + pool_size[1]])
    return y


def global_average_pooling(x):
    return np.stack([[[image.reshape(-1, image.shape[-1]).mean(axis=0)]] for image in x])


def global_max_pooling(x):
    return np.stack([[[image.reshape(-1, image.shape[-1]).max(axis=0)]] for image in x])


def relu(x):
    return _each(x, lambda value: max(value, 0.0))


def leaky_relu(x, *, scale):
    return _each(x, lambda value: value if value > 0 else scale * value)


def clipped_relu(x, *, ceiling):
    return _each(x, lambda value: min(max(value, 0.0), ceiling))


def elu(x, *, alpha):
    return _each(x, lambda value: value if value > 0 else alpha * (np.exp(value) - 1))


def tanh(x):
    return _each(x, np.tanh)


def sigmoid(x):
    return _each(x, lambda value: 1 / (1 + np.exp(-value)))


def swish(x):
    return _each(x, lambda value: value / (1 + math.exp(-value)))


def softplus(x):
    return _each(x, lambda value: math.log(1 + math.exp(value)))


def gelu(x, *, approximation="none"):
    if approximation == "none":
        return _each(x, lambda value: value / 2 * (1 + math.erf(value / math.sqrt(2))))
    return _each(x, lambda value: value / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (value + 0.044715 * value**3))))


def prelu(x, alpha):
    return np.where(x > 0, x, alpha.ravel() * x)


def scaling(x, *, scale, bias):
    return np.stack([scale * observation + bias for observation in x])


def softmax(x):
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        y[place] = np.exp(x[place]) / np.exp(x[place]).sum()
    return y


def _each(x, function):
    return np.array([function(value) for value in x.ravel()]).reshape(x.shape)


def adaptive_average_pooling(x, *, size):
    y = np.zeros((len(x), *size, x.shape[-1]))
    for place in np.ndindex(*size):
        window = [
            slice(math.floor(i * length / n), math.ceil((i + 1) * length / n))
            for i, n, length in zip(place, size, x.shape[1:-1], strict=True)
        ]
        y[(slice(None), *place)] = x[(slice(None), *window)].mean(axis=tuple(range(1, x.ndim - 1)))
    return y


def quadratic(x, *, size):
    elements = x.reshape(len(x), math.prod(x.shape[1:])).T
    products = [elements[i] * elements[j] for j in range(len(elements)) for i in range(j + 1)]
    return np.stack(products, axis=1).reshape(len(x), *size)
