"""Activation functions, element by element, and softmax over the channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import rectify
from mlnet.parallel.blocks import run_elementwise


class ActivationState(NamedTuple):
    """What the backward of an activation needs: its input or its output, and the constant of the function."""

    array: np.ndarray
    constant: float = 0.0


def relu(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return ``max(x, 0)``."""
    output = _map(rectify, x, workspace)
    return output, ActivationState(output)


def relu_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: that of y where y > 0."""
    return _map_gradient(lambda y, d_y, d_x: np.multiply(d_y, y > 0, out=d_x), saved, d_output, wanted, workspace)


def leaky_relu(x: np.ndarray, *, scale: float, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return x where it is positive, ``scale * x`` elsewhere."""
    larger = np.maximum if scale <= 1 else np.minimum

    def function(x: np.ndarray, y: np.ndarray) -> None:
        np.multiply(x, scale, out=y)
        larger(x, y, out=y)

    x = np.ascontiguousarray(x)
    return _map(function, x, workspace), ActivationState(x, scale)


def leaky_relu_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x."""

    def function(x: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.greater(x, 0, out=d_x)
        np.multiply(d_x, 1 - saved.constant, out=d_x)
        np.add(d_x, saved.constant, out=d_x)
        np.multiply(d_x, d_y, out=d_x)

    return _map_gradient(function, saved, d_output, wanted, workspace)


def clipped_relu(x: np.ndarray, *, ceiling: float, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return ``min(max(x, 0), ceiling)``."""
    output = _map(lambda x, y: np.clip(x, 0, ceiling, out=y), x, workspace)
    return output, ActivationState(output, ceiling)


def clipped_relu_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: that of y where 0 < y < ceiling."""

    def function(y: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.multiply(d_y, (y > 0) & (y < saved.constant), out=d_x)

    return _map_gradient(function, saved, d_output, wanted, workspace)


def elu(x: np.ndarray, *, alpha: float, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return x where it is positive, ``alpha * (exp(x) - 1)`` elsewhere."""

    def function(x: np.ndarray, y: np.ndarray) -> None:
        np.minimum(x, 0, out=y)
        np.expm1(y, out=y)
        np.multiply(y, alpha, out=y)
        np.add(y, np.maximum(x, 0), out=y)

    x = np.ascontiguousarray(x)
    return _map(function, x, workspace), ActivationState(x, alpha)


def elu_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: that of y, times ``alpha * exp(x)`` where x is not positive.

    Written as ``alpha * exp(min(x, 0)) + (1 - alpha) [x > 0]``, because choosing element by element is slow.
    """

    def function(x: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.minimum(x, 0, out=d_x)
        np.exp(d_x, out=d_x)
        np.multiply(d_x, saved.constant, out=d_x)
        np.add(d_x, np.multiply(x > 0, 1 - saved.constant, dtype=x.dtype), out=d_x)
        np.multiply(d_x, d_y, out=d_x)

    return _map_gradient(function, saved, d_output, wanted, workspace)


def tanh(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return the hyperbolic tangent."""
    output = _map(lambda x, y: np.tanh(x, out=y), x, workspace)
    return output, ActivationState(output)


def tanh_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: that of y times ``1 - y^2``."""

    def function(y: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.multiply(y, y, out=d_x)
        np.subtract(1, d_x, out=d_x)
        np.multiply(d_x, d_y, out=d_x)

    return _map_gradient(function, saved, d_output, wanted, workspace)


def sigmoid(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return ``1 / (1 + exp(-x))``."""

    def function(x: np.ndarray, y: np.ndarray) -> None:
        np.negative(x, out=y)
        with np.errstate(over="ignore"):  # infinity is right here: it ends as 0
            np.exp(y, out=y)
        np.add(y, 1, out=y)
        np.reciprocal(y, out=y)

    output = _map(function, x, workspace)
    return output, ActivationState(output)


def sigmoid_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: that of y times ``y (1 - y)``."""

    def function(y: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.subtract(1, y, out=d_x)
        np.multiply(d_x, y, out=d_x)
        np.multiply(d_x, d_y, out=d_x)

    return _map_gradient(function, saved, d_output, wanted, workspace)


def softmax(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, ActivationState]:
    """Return ``exp(x) / sum of exp(x)`` over the last axis."""
    output = workspace.empty("output", x.shape, x.dtype)
    write_softmax(x, output)
    return output, ActivationState(output)


def softmax_backward(
    saved: ActivationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``y (d_y - sum of d_y y)``."""
    if not wanted[0]:
        return (None,)
    y = saved.array
    d_x = workspace.empty("d_x", y.shape, y.dtype)
    np.multiply(d_output, y, out=d_x)
    total = np.add.reduce(d_x, axis=-1, keepdims=True)
    np.subtract(d_output, total, out=d_x)
    return (np.multiply(d_x, y, out=d_x),)


def write_softmax(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Write the softmax over the last axis to ``y`` and return ``log(sum of exp(x))``, last axis of size 1."""
    largest = np.maximum.reduce(x, axis=-1, keepdims=True)
    np.subtract(x, largest, out=y)
    np.exp(y, out=y)
    total = np.add.reduce(y, axis=-1, keepdims=True)
    np.divide(y, total, out=y)
    return np.log(total) + largest


def _map(function: Callable[..., object], x: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Return the output that ``function(x, y)`` writes."""
    output = workspace.empty("output", x.shape, x.dtype)
    run_elementwise(function, np.ascontiguousarray(x), output)
    return output


def _map_gradient(
    function: Callable[..., object],
    saved: ActivationState,
    d_output: np.ndarray,
    wanted: tuple[bool, ...],
    workspace: Workspace,
) -> tuple[np.ndarray | None, ...]:
    """Return the input gradient that ``function(saved array, d_y, d_x)`` writes."""
    if not wanted[0]:
        return (None,)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    run_elementwise(function, saved.array, np.ascontiguousarray(d_output), d_x)
    return (d_x,)
