"""Activation functions without a corner, the parametrized ReLU, and scaling by constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.channels import pixels_per_row
from mlnet.parallel.blocks import run, run_elementwise, split

_FAR = 40.0
"""Beyond this distance from zero the functions here have reached their limits, in single and double precision."""

_TANH_FACTOR = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715


class GateState(NamedTuple):
    """What the backward of ``y = x g(x)`` needs: x, g(x), and ``slope(x, g, out)`` that writes the derivative of g."""

    x: np.ndarray
    gate: np.ndarray
    slope: Callable[[np.ndarray, np.ndarray, np.ndarray], object]


class SoftplusState(NamedTuple):
    """What the backward of `softplus` needs: its output."""

    y: np.ndarray


class PReLUState(NamedTuple):
    """What the backward of `prelu` needs."""

    x: np.ndarray
    alpha: np.ndarray


class ScalingState(NamedTuple):
    """What the backward of `scaling` needs."""

    scale: np.ndarray


def swish(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, GateState]:
    """Return ``x s(x)`` with ``s(x) = 1 / (1 + exp(-x))`` (Ramachandran, Zoph and Le 2017)."""
    return _gated(_sigmoid, _sigmoid_slope, x, workspace)


def swish_backward(
    saved: GateState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``(s + x s (1 - s)) d_y``."""
    return _gated_gradient(saved, d_output, wanted, workspace)


def gelu(x: np.ndarray, *, approximation: str = "none", workspace: Workspace) -> tuple[np.ndarray, GateState]:
    """Return ``x / 2 (1 + erf(x / sqrt(2)))`` (Hendrycks and Gimpel 2016).

    With the approximation 'tanh', ``tanh(sqrt(2 / pi) (x + 0.044715 x^3))`` stands for the error function.
    """
    gates = {"none": (_normal_distribution, _normal_density), "tanh": (_tanh_gate, _tanh_gate_slope)}
    return _gated(*gates[approximation], x, workspace)


def gelu_backward(
    saved: GateState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``(P + x p) d_y`` with the normal distribution P and its density p.

    With the approximation 'tanh', P is ``(1 + tanh(u)) / 2`` and p its derivative ``2 P (1 - P) u'``.
    """
    return _gated_gradient(saved, d_output, wanted, workspace)


def softplus(x: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, SoftplusState]:
    """Return ``log(1 + exp(x))``, computed as ``max(x, 0) + log(1 + exp(-|x|))``."""

    def function(x: np.ndarray, y: np.ndarray) -> None:
        np.log1p(_exponential(x, y), out=y)
        np.add(y, np.maximum(x, 0), out=y)

    output = workspace.empty("output", x.shape, x.dtype)
    run_elementwise(function, np.ascontiguousarray(x), output)
    return output, SoftplusState(output)


def softplus_backward(
    saved: SoftplusState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``d_y / (1 + exp(-x)) = (1 - exp(-y)) d_y``."""
    if not wanted[0]:
        return (None,)

    def function(y: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        np.negative(y, out=d_x)
        np.expm1(d_x, out=d_x)
        np.multiply(d_x, d_y, out=d_x)
        np.negative(d_x, out=d_x)

    d_x = workspace.empty("d_x", saved.y.shape, saved.y.dtype)
    run_elementwise(function, saved.y, np.ascontiguousarray(d_output), d_x)
    return (d_x,)


def prelu(x: np.ndarray, alpha: np.ndarray, *, workspace: Workspace) -> tuple[np.ndarray, PReLUState]:
    """Return x (..., C) where it is positive, ``alpha x`` elsewhere, alpha having C elements (He et al. 2015)."""
    x = np.ascontiguousarray(x)
    row, blocks = _rows(x, alpha)
    output = workspace.empty("output", x.shape, x.dtype)
    values, target = x.reshape(-1, row.size), output.reshape(-1, row.size)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        negative = workspace.scratch(("prelu", slot), values[block].shape, x.dtype)
        np.minimum(values[block], 0, out=negative)
        np.multiply(negative, row, out=negative)
        np.maximum(values[block], 0, out=target[block])
        np.add(target[block], negative, out=target[block])

    run(task, len(blocks))
    return output, PReLUState(x, alpha)


def prelu_backward(
    saved: PReLUState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x and alpha.

    ``d_x = d_y`` where x > 0, else ``alpha d_y``; ``d_alpha = sum of d_y min(x, 0)`` for each channel.
    """
    x, alpha = saved.x, saved.alpha
    row, blocks = _rows(x, alpha)
    d_x = workspace.empty("d_x", x.shape, x.dtype) if wanted[0] else None
    values, gradient = x.reshape(-1, row.size), np.ascontiguousarray(d_output).reshape(-1, row.size)
    totals = np.empty((len(blocks), row.size), x.dtype)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        d_y = gradient[block]
        if d_x is not None:
            slope = d_x.reshape(-1, row.size)[block]
            np.greater(values[block], 0, out=slope)  # 1 or 0, and from that 1 or alpha: choosing is slow
            np.multiply(slope, 1 - row, out=slope)
            np.add(slope, row, out=slope)
            np.multiply(slope, d_y, out=slope)
        if wanted[1]:
            product = workspace.scratch(("prelu", slot), d_y.shape, x.dtype)
            np.minimum(values[block], 0, out=product)
            np.multiply(product, d_y, out=product)
            np.dot(np.ones(len(product), x.dtype), product, out=totals[part])

    run(task, len(blocks))
    d_alpha = None
    if wanted[1]:
        per_channel = totals.reshape(-1, alpha.size)
        d_alpha = np.add.reduce(per_channel, axis=0, dtype=np.float64).astype(x.dtype).reshape(alpha.shape)
    return d_x, d_alpha


def scaling(
    x: np.ndarray, *, scale: float | np.ndarray, bias: float | np.ndarray, workspace: Workspace
) -> tuple[np.ndarray, ScalingState]:
    """Return ``scale x + bias``; both are numbers, or arrays that expand to the size of an observation."""
    factor = np.asarray(scale, x.dtype)
    output = workspace.empty("output", x.shape, x.dtype)
    np.multiply(x, factor, out=output)
    np.add(output, np.asarray(bias, x.dtype), out=output)
    return output, ScalingState(factor)


def scaling_backward(
    saved: ScalingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``scale d_y``."""
    if not wanted[0]:
        return (None,)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
    return (np.multiply(d_output, saved.scale, out=d_x),)


def _gated(
    function: Callable[[np.ndarray, np.ndarray], object],
    slope: Callable[[np.ndarray, np.ndarray, np.ndarray], object],
    x: np.ndarray,
    workspace: Workspace,
) -> tuple[np.ndarray, GateState]:
    """Return ``x g(x)``; ``function(x, g)`` writes the gate, ``slope(x, g, out)`` its derivative."""

    def task(x: np.ndarray, gate: np.ndarray, y: np.ndarray) -> None:
        function(x, gate)
        np.multiply(x, gate, out=y)

    x = np.ascontiguousarray(x)
    gate, output = (workspace.empty(name, x.shape, x.dtype) for name in ("gate", "output"))
    run_elementwise(task, x, gate, output)
    return output, GateState(x, gate, slope)


def _gated_gradient(
    saved: GateState, d_output: np.ndarray, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``(g + x g') d_y``."""
    if not wanted[0]:
        return (None,)

    def task(x: np.ndarray, gate: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> None:
        saved.slope(x, gate, d_x)
        np.multiply(d_x, x, out=d_x)
        np.add(d_x, gate, out=d_x)
        np.multiply(d_x, d_y, out=d_x)

    d_x = workspace.empty("d_x", saved.x.shape, saved.x.dtype)
    run_elementwise(task, saved.x, saved.gate, np.ascontiguousarray(d_output), d_x)
    return (d_x,)


def _exponential(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write ``exp(-|x|)``, which never overflows."""
    np.abs(x, out=out)
    np.negative(out, out=out)
    return np.exp(out, out=out)


def _sigmoid(x: np.ndarray, gate: np.ndarray) -> None:
    """Write ``1 / (1 + exp(-x))`` as ``exp(min(x, 0)) / (1 + exp(-|x|))``, to full precision on both sides."""
    np.add(_exponential(x, gate), 1, out=gate)
    np.divide(np.exp(np.minimum(x, 0)), gate, out=gate)


def _sigmoid_slope(x: np.ndarray, gate: np.ndarray, slope: np.ndarray) -> None:
    np.subtract(1, gate, out=slope)
    np.multiply(slope, gate, out=slope)


def _normal_distribution(x: np.ndarray, gate: np.ndarray) -> None:
    from scipy.special import erfc  # here, so that importing mlnet stays light

    # (1 + erf(z)) / 2 is erfc(-z) / 2, which does not cancel where z is negative
    np.multiply(x, -math.sqrt(0.5), out=gate)
    erfc(gate, out=gate)
    np.multiply(gate, 0.5, out=gate)


def _normal_density(x: np.ndarray, gate: np.ndarray, slope: np.ndarray) -> None:
    np.clip(x, -_FAR, _FAR, out=slope)
    np.multiply(slope, slope, out=slope)
    np.multiply(slope, -0.5, out=slope)
    np.exp(slope, out=slope)
    np.multiply(slope, math.sqrt(0.5 / math.pi), out=slope)


def _tanh_gate(x: np.ndarray, gate: np.ndarray) -> None:
    # (1 + tanh(u)) / 2 is sigmoid(2 u), which does not cancel where u is negative
    near = np.clip(x, -_FAR, _FAR)
    _sigmoid(2 * _TANH_FACTOR * near * (1 + _TANH_CUBIC * near * near), gate)


def _tanh_gate_slope(x: np.ndarray, gate: np.ndarray, slope: np.ndarray) -> None:
    near = np.clip(x, -_FAR, _FAR)
    _sigmoid_slope(x, gate, slope)
    np.multiply(slope, 2 * _TANH_FACTOR * (1 + 3 * _TANH_CUBIC * near * near), out=slope)


def _rows(x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Return ``alpha`` repeated to a row of several pixels, and the blocks of such rows."""
    channels = x.shape[-1]
    pixels = pixels_per_row(math.prod(x.shape[1:-1]), channels)
    row = np.tile(alpha.reshape(-1).astype(x.dtype), pixels)
    return row, split(math.prod(x.shape[:-1]) // pixels, row.nbytes)
