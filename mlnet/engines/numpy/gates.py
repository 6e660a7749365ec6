"""What LSTM and GRU share: the functions of gates and states, and the products of all steps at once.

Preactivations of G gates are arrays (G, steps, N, H), so that each gate of one step is contiguous. Weights (G H, C)
hold the gates in MATLAB's order, one below the other; an operation may keep them in another ``order``, so that gates
with the same function are neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.parallel.blocks import run, split

_WORK = 1 << 21
"""Multiplications in a piece of a product: fewer are not worth waking a thread."""

_STEP_WORK = 1 << 24
"""Multiplications of one step in a piece: the many short calls of smaller ones would only fight for the interpreter."""


class Function(NamedTuple):
    """A function of gates or states: ``apply(scale * x, out)``, and the ``derivative(y, out)`` at x from the value y.

    The weights of a gate are multiplied by ``scale`` beforehand, which spares each step a call. A function of gates
    overwrites x, which is in the cache while ``out`` is not.
    """

    apply: Callable[[np.ndarray, np.ndarray], object]
    derivative: Callable[[np.ndarray, np.ndarray], object]
    scale: float = 1.0


def _sigmoid(minus_x: np.ndarray, out: np.ndarray) -> None:
    """Write ``1 / (1 + exp(-x))``; the exponential may overflow, then the value is 0."""
    np.exp(minus_x, out=minus_x)
    np.add(minus_x, 1, out=minus_x)
    np.reciprocal(minus_x, out=out)


def _sigmoid_derivative(y: np.ndarray, out: np.ndarray) -> None:
    """Write ``y (1 - y)``."""
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)


def _hard_sigmoid(fifth_of_x: np.ndarray, out: np.ndarray) -> None:
    """Write ``0.2 x + 0.5``, at least 0 and at most 1."""
    np.add(fifth_of_x, 0.5, out=fifth_of_x)
    np.clip(fifth_of_x, 0, 1, out=out)


def _hard_sigmoid_derivative(y: np.ndarray, out: np.ndarray) -> None:
    np.multiply((y > 0) & (y < 1), 0.2, out=out, casting="same_kind")


def _tanh_derivative(y: np.ndarray, out: np.ndarray) -> None:
    """Write ``1 - y^2``."""
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)


def _softsign(x: np.ndarray, out: np.ndarray) -> None:
    """Write ``x / (1 + |x|)``."""
    np.divide(x, np.abs(x) + 1, out=out)


def _softsign_derivative(y: np.ndarray, out: np.ndarray) -> None:
    """Write ``(1 - |y|)^2``, which is ``1 / (1 + |x|)^2``."""
    np.abs(y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, out, out=out)


def _relu(x: np.ndarray, out: np.ndarray) -> None:
    """Write ``max(x, 0)``."""
    np.maximum(x, 0, out=out)


def _relu_derivative(y: np.ndarray, out: np.ndarray) -> None:
    np.greater(y, 0, out=out)


GATE_FUNCTIONS = {
    "sigmoid": Function(_sigmoid, _sigmoid_derivative, -1.0),
    "hard-sigmoid": Function(_hard_sigmoid, _hard_sigmoid_derivative, 0.2),
}
STATE_FUNCTIONS = {
    "tanh": Function(lambda x, out: np.tanh(x, out=out), _tanh_derivative),
    "softsign": Function(_softsign, _softsign_derivative),
    "relu": Function(_relu, _relu_derivative),
}


def run_observations(task: Callable[[slice, int], None], observations: int, work: int) -> None:
    """Call ``task(rows, slot)`` on slices of the observations, each of which costs ``work`` multiplications a step."""
    pieces = split(observations, work, _STEP_WORK)
    run(lambda part, slot: task(pieces[part], slot), len(pieces))


def run_steps(task: Callable[[slice], None], steps: int, bytes_each: int) -> None:
    """Call ``task(steps)`` on slices of the steps, each of which has ``bytes_each`` bytes."""
    pieces = split(steps, bytes_each)
    run(lambda part, slot: task(pieces[part]), len(pieces))


def ordered(weights: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Return weights (G H, C) gate by gate, (G, H, C), in another order."""
    return weights.reshape(len(order), -1, weights.shape[1])[list(order)]


def transposed(
    blocks: np.ndarray, functions: Sequence[Function], name: str, dtype: np.dtype, workspace: Workspace
) -> np.ndarray:
    """Return the matrices (G, H, C) for the preactivations of ``functions``: (G, C, H), contiguous and scaled."""
    gates, units, channels = blocks.shape
    result = workspace.scratch(name, (gates, channels, units), dtype)
    scales = np.array([function.scale for function in functions], dtype).reshape(-1, 1, 1)
    np.multiply(blocks.transpose(0, 2, 1), scales, out=result, casting="same_kind")
    return result


def preactivations(inputs: np.ndarray, weights: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Return ``inputs`` (steps, N, C) times ``weights`` (G, C, H) for all steps, (G, steps, N, H)."""
    steps, observations, channels = inputs.shape
    gates, _, units = weights.shape
    result = workspace.empty("gates", (gates, steps, observations, units), inputs.dtype)
    flat, out = inputs.reshape(-1, channels), result.reshape(gates, -1, units)
    rows = split(len(flat), weights.size, _WORK)

    def task(part: int, slot: int) -> None:
        np.matmul(flat[rows[part]], weights, out=out[:, rows[part]])

    run(task, len(rows))
    return result


def weights_gradient(
    d_gates: np.ndarray, x: np.ndarray, order: Sequence[int], name: str, workspace: Workspace
) -> np.ndarray:
    """Return the gradient of weights (G H, C) that multiply x (steps, N, C); ``d_gates`` are in another order."""
    gates, _, _, units = d_gates.shape
    channels = x.shape[-1]
    flat, d_flat = x.reshape(-1, channels), d_gates.reshape(gates, -1, units)
    result = workspace.empty(name, (gates * units, channels), x.dtype)
    d_weights = result.reshape(gates, units, channels)
    pieces = split(gates, units * flat.size, _WORK)

    def task(part: int, slot: int) -> None:
        for gate in range(gates)[pieces[part]]:
            np.matmul(d_flat[gate].T, flat, out=d_weights[order[gate]])

    run(task, len(pieces))
    return result


def inputs_gradient(d_gates: np.ndarray, weights: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Return the gradient (steps, N, C) of what ``weights`` (G, H, C) multiply in all steps."""
    gates, steps, observations, units = d_gates.shape
    channels = weights.shape[2]
    result = workspace.scratch("d_inputs", (steps, observations, channels), d_gates.dtype)
    flat, d_flat = result.reshape(-1, channels), d_gates.reshape(gates, -1, units)
    rows = split(len(flat), weights.size, _WORK)

    def task(part: int, slot: int) -> None:
        here = rows[part]
        shape = (gates, here.stop - here.start, channels)
        products = workspace.scratch(("d_inputs by gates", slot), shape, d_gates.dtype)
        np.matmul(d_flat[:, here], weights, out=products)
        np.add.reduce(products, axis=0, out=flat[here])

    run(task, len(rows))
    return result
