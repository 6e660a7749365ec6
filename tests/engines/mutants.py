"""Normalizations written as formulas, with typical errors that can be planted one at a time.

A mutant takes the name of an error in its forward or its backward, and returns the operation; '' is the right one.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from mlnet.engines.base import Operation

AXES = (1, 3)
"""What is normalized together in the view (observations, positions, groups, width)."""


def _view(kind, x, attributes):
    """The shape (observations, positions, groups, width) in which positions and width are normalized together."""
    channels = x.shape[-1]
    if kind == "batch":
        return (1, -1, channels, 1)
    if kind in ("group", "instance"):
        return (len(x), -1, attributes["groups"], channels // attributes["groups"])
    first = x.ndim - len(attributes["axes"])
    return (int(np.prod(x.shape[:first])), -1, 1, channels)


def _moments(v, error, epsilon, is_centred):
    """Mean, deviation and count of the view, with an error in them."""
    axes = {"over positions": (1,), "over channels": (1, 2, 3), "over the batch": (0, 1, 3)}.get(error, AXES)
    count = np.prod([v.shape[axis] for axis in axes])
    centred = is_centred != (error == "centring the other way")
    mean = v.mean(axis=axes, keepdims=True) if centred else 0 * v.mean(axis=axes, keepdims=True)
    divisor = max(count - 1, 0.5) if error == "n - 1" else count
    variance = ((v - mean) ** 2).sum(axis=axes, keepdims=True) / divisor
    if error == "epsilon outside the root":
        return mean, np.sqrt(variance) + epsilon
    return mean, np.sqrt(variance + (0 if error == "no epsilon" else epsilon))


def normalization(kind, forward_error="", backward_error=""):
    """Batch, group, instance, layer or RMS normalization."""
    is_centred = kind != "rms"

    def forward(x, *parameters, workspace, epsilon, **attributes):
        shape = _view(kind, x, attributes)
        v = x.reshape(shape)
        given = parameters if is_centred else (np.zeros(x.shape[-1]), *parameters)
        offset, scale = (p.reshape(1, 1, *v.shape[2:]) for p in given)
        mean, deviation = _moments(v, forward_error, epsilon, is_centred)
        x_hat = (v - mean) / deviation
        y = x_hat * (1 if forward_error == "no scale" else scale) + (0 if forward_error == "no offset" else offset)
        saved = SimpleNamespace(v=v.copy(), scale=scale.copy(), epsilon=epsilon, shape=parameters[0].shape)
        return y.reshape(x.shape), saved

    def backward(saved, d_output, *, wanted, workspace):
        v, error = saved.v, backward_error
        d_y = d_output.reshape(v.shape)
        mean, deviation = _moments(v, error if error == "no epsilon" else "", saved.epsilon, is_centred)
        x_hat = (v - mean) / deviation
        axes = {"over positions": (1,), "over channels": (1, 2, 3), "over the batch": (0, 1, 3)}.get(error, AXES)
        count = np.prod([v.shape[axis] for axis in axes])
        count = max(count - 1, 0.5) if error == "n - 1" else count
        d = d_y if error == "no scale" else saved.scale * d_y
        d_x = d.copy()
        if is_centred != (error == "mean forgotten" or error == "centring the other way"):
            d_x -= d.sum(axis=axes, keepdims=True) / count
        if error != "variance forgotten":
            d_x -= x_hat * (d * x_hat).sum(axis=axes, keepdims=True) / count
        d_x /= 1 if error == "no deviation" else deviation
        d_offset = d_y.mean(axis=(0, 1)) if error == "mean for sum" else d_y.sum(axis=(0, 1))
        d_scale = (d_y * (v if error == "x for x_hat" else x_hat)).sum(axis=(0, 1))
        gradients = (d_offset, d_scale) if is_centred else (d_scale,)
        return d_x.reshape(d_output.shape), *[each.reshape(saved.shape) for each in gradients]

    return Operation(forward, backward)


def whitening(forward_error="", backward_error=""):
    """Whitening of groups of channels by the symmetric root."""

    def rows_of(x, groups):
        return x.reshape(-1, groups, x.shape[-1] // groups).transpose(1, 0, 2).copy()

    def parts(x, groups, epsilon, error):
        if error == "over all groups":
            groups = 1
        rows = rows_of(x, groups)
        rows -= 0 if error == "no mean" else rows.mean(axis=1, keepdims=True)
        count = max(rows.shape[1] - (error == "n - 1"), 0.5)
        values, vectors = np.linalg.eigh(rows.transpose(0, 2, 1) @ rows / count)
        return rows, vectors, np.sqrt(np.maximum(values, 0) + (1e-12 if error == "no epsilon" else epsilon))

    def forward(x, offset, scale, *, groups, epsilon, workspace):
        rows, vectors, roots = parts(x, groups, epsilon, forward_error)
        roots = roots**2 if forward_error == "no root" else roots
        white = rows @ (vectors / roots[:, None, :])
        if forward_error != "PCA for ZCA":
            white = white @ vectors.transpose(0, 2, 1)
        white = white.transpose(1, 0, 2).reshape(x.shape)
        y = white * (1 if forward_error == "no scale" else scale.ravel()) + offset.ravel()
        return y, SimpleNamespace(x=x.copy(), scale=scale.copy(), groups=groups, epsilon=epsilon)

    def backward(saved, d_output, *, wanted, workspace):
        error = backward_error
        rows, vectors, roots = parts(saved.x, saved.groups, saved.epsilon, error if error == "no epsilon" else "")
        d_y = rows_of(d_output, saved.groups)
        gamma = saved.scale.reshape(saved.groups, 1, -1)
        d = d_y if error == "no scale" else d_y * gamma
        matrix = (vectors / roots[:, None, :]) @ vectors.transpose(0, 2, 1)
        s_i, s_j = roots[:, :, None], roots[:, None, :]
        factors = -1 / (s_i * s_j * (1 if error == "missing factor" else s_i + s_j))
        d_matrix = d.transpose(0, 2, 1) @ rows
        if error != "not symmetric":
            d_matrix = (d_matrix + d_matrix.transpose(0, 2, 1)) / 2
        turned = vectors.transpose(0, 2, 1) @ d_matrix @ vectors
        d_covariance = vectors @ (factors * turned) @ vectors.transpose(0, 2, 1)
        d_x = (d - (0 if error == "mean forgotten" else d.mean(axis=1, keepdims=True))) @ matrix
        count = rows.shape[1] - (error == "n - 1")
        if error != "covariance forgotten":
            d_x += (1 if error == "half of it" else 2) / max(count, 0.5) * rows @ d_covariance.transpose(0, 2, 1)
        d_x = d_x.transpose(1, 0, 2).reshape(saved.x.shape)
        white = rows if error == "x for x_hat" else rows @ matrix
        shape = saved.scale.shape
        return d_x, d_y.sum(axis=1).reshape(shape), (d_y * white).sum(axis=1).reshape(shape)

    return Operation(forward, backward)


def cross_channel(forward_error="", backward_error=""):
    """Cross-channel normalization."""

    def windows(channels, window, *, is_turned):
        """Ones where channel j is in the window of channel i."""
        distance = np.arange(channels)[None] - np.arange(channels)[:, None]
        inside = (distance >= -((window - 1) // 2)) & (distance <= window // 2)
        return (inside.T if is_turned else inside).astype(float)

    def base_of(x, window, alpha, k, error):
        inside = windows(x.shape[-1], window, is_turned=error == "window turned round")
        divisor = {"not divided by the window": 1, "n - 1": max(window - 1, 0.5)}.get(error, window)
        if error == "divided by what is there":
            divisor = inside.sum(axis=1)
        square = np.abs(x) if error == "no square" else x**2
        return (0 if error == "no k" else k) + alpha / divisor * (square @ inside.T)

    def forward(x, *, window, alpha, beta, k, workspace):
        base = base_of(x, window, alpha, k, forward_error)
        saved = SimpleNamespace(x=x.copy(), window=window, alpha=alpha, beta=beta, k=k)
        return x / base ** (1 if forward_error == "no power" else beta), saved

    def backward(saved, d_y, *, wanted, workspace):
        error, x = backward_error, saved.x
        base = base_of(x, saved.window, saved.alpha, saved.k, error if error == "no k" else "")
        inside = windows(x.shape[-1], saved.window, is_turned=error != "window not turned round")
        inner = (d_y * x * base ** (-saved.beta - (error != "wrong power"))) @ inside.T
        factor = (1 if error == "missing factor" else 2) * saved.alpha * saved.beta
        factor /= 1 if error == "not divided by the window" else saved.window
        return (d_y * base**-saved.beta - (0 if error == "sum forgotten" else factor * x * inner),)

    return Operation(forward, backward)


def _other_axes(v, axes, error):
    """The axes of the fan-in, or wrong ones."""
    if error == "over all filters":
        return tuple(range(v.ndim))
    return axes[:-1] if error == "without the channels" else axes


def weight_normalization(forward_error="", backward_error=""):
    """Weight normalization."""

    def length_of(v, axes, error):
        axes = _other_axes(v, axes, error)
        square = (v**2).mean(axis=axes, keepdims=True) if error == "mean for sum" else (v**2).sum(axes, keepdims=True)
        return square if error == "no root" else np.sqrt(square)

    def forward(v, g, *, axes, workspace):
        shape = tuple(1 if axis in axes else n for axis, n in enumerate(v.shape))
        gain = 1 if forward_error == "no length" else g.reshape(shape)
        saved = SimpleNamespace(v=v.copy(), g=g.copy(), axes=axes, shape=shape)
        return gain * v / length_of(v, axes, forward_error), saved

    def backward(saved, d_w, *, wanted, workspace):
        v, axes, error = saved.v, saved.axes, backward_error
        length, g = length_of(v, axes, ""), saved.g.reshape(saved.shape)
        over = _other_axes(v, axes, error)
        d_g = (d_w * v).sum(axis=over, keepdims=True) / length
        projection = 0 if error == "direction forgotten" else d_g * v / (1 if error == "missing factor" else length)
        d_v = (1 if error == "no length" else g) / length * (d_w - projection)
        d_g = (d_w * v).sum(axis=axes) if error == "v for its direction" else (d_w * v / length).sum(axis=axes)
        return d_v, d_g.reshape(saved.g.shape)

    return Operation(forward, backward)


def weight_standardization(forward_error="", backward_error=""):
    """Weight standardization."""

    def moments(v, axes, epsilon, error):
        axes = _other_axes(v, axes, error)
        mean = (0 if error == "no mean" else 1) * v.mean(axis=axes, keepdims=True)
        count = np.prod([v.shape[axis] for axis in axes])
        divisor = max(count - 1, 0.5) if error == "n - 1" else count
        variance = ((v - mean) ** 2).sum(axis=axes, keepdims=True) / divisor
        return mean, np.sqrt(variance + (0 if error == "no epsilon" else epsilon))

    def forward(v, *, axes, epsilon, workspace):
        mean, deviation = moments(v, axes, epsilon, forward_error)
        return (v - mean) / deviation, SimpleNamespace(v=v.copy(), axes=axes, epsilon=epsilon)

    def backward(saved, d_w, *, wanted, workspace):
        v, axes, error = saved.v, saved.axes, backward_error
        mean, deviation = moments(v, axes, saved.epsilon, error if error == "no epsilon" else "")
        w = (v - mean) / deviation
        over = _other_axes(v, axes, error)
        count = np.prod([v.shape[axis] for axis in over])
        count = max(count - 1, 0.5) if error == "n - 1" else count
        d_v = d_w.copy()
        d_v -= 0 if error == "mean forgotten" else d_w.sum(axis=over, keepdims=True) / count
        d_v -= 0 if error == "variance forgotten" else w * (d_w * w).sum(axis=over, keepdims=True) / count
        return (d_v / (1 if error == "no deviation" else deviation),)

    return Operation(forward, backward)
