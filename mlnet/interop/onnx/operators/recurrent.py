"""LSTM, GRU and RNN, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.elementwise import TABLE as _ELEMENTWISE
from mlnet.interop.onnx.operators.elementwise import hard_sigmoid, softplus
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, plain

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_FUNCTIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_PLAIN = ("Relu", "Sigmoid", "Softsign", "Tanh")
_WITH_NUMBERS: dict[str, tuple[float | None, float | None]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0, None),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01, None),
    "ScaledTanh": (1.0, 1.0),
    "ThresholdedRelu": (1.0, None),
}
"""Functions with their default alpha and beta."""


def _function(name: str, alpha: float | None, beta: float | None) -> Callable[[Any], Any]:
    if name == "Affine":
        return lambda x: x * alpha + beta
    if name == "ScaledTanh":
        return lambda x: np.tanh(x * beta) * alpha
    if name == "HardSigmoid":
        return lambda x: hard_sigmoid(x, alpha or 0.0, beta or 0.0)
    if name == "Softplus":
        return softplus
    given = {} if alpha is None else {"alpha": alpha}
    return lambda x: _ELEMENTWISE[name](Use([x], given, 22))


def _functions(use: Use, kind: str, directions: int) -> list[list[Callable[[Any], Any]]]:
    names = use.get("activations", _FUNCTIONS[kind] * directions)
    proper = {name.lower(): name for name in (*_PLAIN, *_WITH_NUMBERS, "Softplus")}
    alphas, betas = (list(use.get(f"activation_{name}", [])) for name in ("alpha", "beta"))
    found = []
    for name in names:
        known = proper.get(str(name).lower())
        if known is None:
            raise NotComputed(f"the function {name}")
        defaults = _WITH_NUMBERS.get(known, (None, None))
        alpha = alphas.pop(0) if defaults[0] is not None and alphas else defaults[0]
        beta = betas.pop(0) if defaults[1] is not None and betas else defaults[1]
        found.append(_function(known, alpha, beta))
    each = len(_FUNCTIONS[kind])
    return [found[number * each : (number + 1) * each] for number in range(directions)]


def _recurrent(kind: str) -> Operator:
    """Return the operator of a recurrent layer."""

    def run(use: Use) -> Any:
        if use.get("clip") or use.get("input_forget"):
            raise NotComputed("one of the attributes clip, input_forget")
        x, batch_first = use.x, use.get("layout", 0)
        x = np.swapaxes(x, 0, 1) if batch_first else x
        weights, recurrent = use.inputs[1:3]
        directions, units = np.shape(recurrent)[0], np.shape(recurrent)[2]
        batch = np.shape(x)[1]
        bias = use.input(3)
        if bias is None:
            bias = np.zeros((directions, 2 * _GATES[kind] * units), plain(x).dtype)
        lengths = None if use.input(4) is None else plain(use.input(4))
        starts = [use.input(5), use.input(6) if kind == "LSTM" else None]
        starts = [np.swapaxes(each, 0, 1) if each is not None and batch_first else each for each in starts]
        first = [np.zeros((directions, batch, units), plain(x).dtype) if each is None else each for each in starts]
        is_back = use.get("direction", "forward") == "reverse"
        outputs, ends, cells = [], [], []
        for number, functions in enumerate(_functions(use, kind, directions)):
            cell = _CELLS[kind](use, number, weights[number], recurrent[number], bias[number], functions, units)
            made, hidden, state = _through(cell, x, [each[number] for each in first], lengths, is_back or number == 1)
            outputs.append(made)
            ends.append(hidden)
            cells.append(state)
        y, hidden, state = np.stack(outputs, axis=1), np.stack(ends), np.stack(cells)
        if batch_first:
            y, hidden, state = y.transpose((2, 0, 1, 3)), np.swapaxes(hidden, 0, 1), np.swapaxes(state, 0, 1)
        return (y, hidden, state) if kind == "LSTM" else (y, hidden)

    return run


def _through(cell: Any, x: Any, states: list[Any], lengths: Any, backwards: bool) -> tuple[Any, Any, Any]:
    """Return the outputs of all steps, and both states behind the last."""
    steps, made = np.shape(x)[0], {}
    hidden, state = states
    for number in range(steps)[:: -1 if backwards else 1]:
        new_hidden, new_state = cell(x[number], hidden, state)
        output = new_hidden
        if lengths is not None:
            inside = (number < lengths)[:, None]
            output = np.where(inside, new_hidden, plain(new_hidden) * 0)
            new_hidden, new_state = np.where(inside, new_hidden, hidden), np.where(inside, new_state, state)
        hidden, state, made[number] = new_hidden, new_state, output
    return np.stack([made[number] for number in range(steps)]), hidden, state


def _lstm(use: Use, number: int, weights: Any, recurrent: Any, bias: Any, functions: Any, units: int) -> Any:
    gate, candidate, output = functions
    total = bias[: 4 * units] + bias[4 * units :]
    peepholes = use.input(7)
    parts = [0, 0, 0] if peepholes is None else [peepholes[number][k * units : (k + 1) * units] for k in range(3)]

    def cell(x: Any, hidden: Any, state: Any) -> tuple[Any, Any]:
        gates = np.matmul(x, weights.T) + np.matmul(hidden, recurrent.T) + total
        i, o, f, g = (gates[:, k * units : (k + 1) * units] for k in range(4))
        i, f = gate(i + parts[0] * state), gate(f + parts[2] * state)
        new = f * state + i * candidate(g)
        return gate(o + parts[1] * new) * output(new), new

    return cell


def _gru(use: Use, number: int, weights: Any, recurrent: Any, bias: Any, functions: Any, units: int) -> Any:
    gate, candidate = functions
    both, after = slice(0, 2 * units), slice(2 * units, 3 * units)
    of_input, of_state = bias[: 3 * units], bias[3 * units :]
    is_after = use.get("linear_before_reset", 0)

    def cell(x: Any, hidden: Any, state: Any) -> tuple[Any, Any]:
        inside = np.matmul(x, weights.T) + of_input
        gates = gate(inside[:, both] + np.matmul(hidden, recurrent[both].T) + of_state[both])
        z, r = gates[:, :units], gates[:, units:]
        if is_after:
            h = candidate(inside[:, after] + r * (np.matmul(hidden, recurrent[after].T) + of_state[after]))
        else:
            h = candidate(inside[:, after] + np.matmul(r * hidden, recurrent[after].T) + of_state[after])
        return (1 - z) * h + z * hidden, state

    return cell


def _rnn(use: Use, number: int, weights: Any, recurrent: Any, bias: Any, functions: Any, units: int) -> Any:
    total = bias[:units] + bias[units:]

    def cell(x: Any, hidden: Any, state: Any) -> tuple[Any, Any]:
        return functions[0](np.matmul(x, weights.T) + np.matmul(hidden, recurrent.T) + total), state

    return cell


_CELLS: dict[str, Any] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
TABLE: dict[str, Operator] = {kind: _recurrent(kind) for kind in _GATES}
