"""Recurrent operations and attention, written with traced functions step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import data_of, dlarray
from mlnet.functional import traced

_GATES: dict[str, Callable[[dlarray], dlarray]] = {
    "sigmoid": traced.sigmoid,
    "hard-sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
}
_STATES: dict[str, Callable[[dlarray], dlarray]] = {
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "relu": traced.relu,
}
Ends = tuple[dlarray, ...]


def _start(state: dlarray, count: int, units: int) -> dlarray:
    """Return an initial state (N, H) of one that is (H, 1) or (N, H)."""
    return np.broadcast_to(state.reshape(1, units), (count, units)) if state.shape == (units, 1) else state


def _output(hidden: list[dlarray], output_mode: str) -> dlarray:
    return hidden[-1] if output_mode == "last" else np.stack(hidden, axis=1)


def run_lstm(
    x: dlarray,
    input_weights: dlarray,
    recurrent_weights: dlarray,
    bias: dlarray,
    hidden_state: dlarray,
    cell_state: dlarray,
    *,
    output_mode: str = "sequence",
    state_activation: str = "tanh",
    gate_activation: str = "sigmoid",
    reverse: bool = False,
    **_: Any,
) -> tuple[dlarray, Ends]:
    """Return the output of `mlnet.engines.numpy.lstm.lstm` and the states at the end."""
    gate, squash = _GATES[gate_activation], _STATES[state_activation]
    units, steps = recurrent_weights.shape[1], x.shape[1]
    h, c = _start(hidden_state, len(x), units), _start(cell_state, len(x), units)
    fed = np.matmul(x.reshape(-1, x.shape[2]), input_weights.T) + bias.reshape(-1)
    fed = fed.reshape(len(x), steps, 4 * units)
    hidden: list[dlarray] = []
    for step in reversed(range(steps)) if reverse else range(steps):
        z = fed[:, step] + np.matmul(h, recurrent_weights.T)
        i, f, g, o = (z[:, number * units : (number + 1) * units] for number in range(4))
        c = gate(f) * c + gate(i) * squash(g)
        h = gate(o) * squash(c)
        hidden.append(h)
    if reverse and output_mode != "last":
        hidden.reverse()
    return _output(hidden, output_mode), (h, c)


def run_bilstm(
    x: dlarray,
    input_weights: dlarray,
    recurrent_weights: dlarray,
    bias: dlarray,
    hidden_state: dlarray,
    cell_state: dlarray,
    **attributes: Any,
) -> tuple[dlarray, Ends]:
    """Return the outputs of the two directions side by side, and the states at their ends."""
    units = recurrent_weights.shape[1]
    states = [
        np.split(state, 2, axis=0 if state.shape == (2 * units, 1) else 1) for state in (hidden_state, cell_state)
    ]
    weights = [np.split(each, 2, axis=0) for each in (input_weights, recurrent_weights, bias)]
    halves = [
        run_lstm(x, *(each[number] for each in (*weights, *states)), reverse=number == 1, **attributes)
        for number in range(2)
    ]
    (first, ends), (second, others) = halves
    joined = tuple(np.concatenate(each, axis=1) for each in zip(ends, others, strict=True))
    return np.concatenate([first, second], axis=-1), joined


def run_projected_lstm(
    x: dlarray,
    input_weights: dlarray,
    recurrent_weights: dlarray,
    bias: dlarray,
    input_projector: dlarray,
    output_projector: dlarray,
    hidden_state: dlarray,
    cell_state: dlarray,
    **attributes: Any,
) -> tuple[dlarray, Ends]:
    """Return an LSTM whose gates see projections."""
    full = np.matmul(input_weights, input_projector.T), np.matmul(recurrent_weights, output_projector.T)
    return run_lstm(x, *full, bias, hidden_state, cell_state, **attributes)


def run_gru(
    x: dlarray,
    input_weights: dlarray,
    recurrent_weights: dlarray,
    bias: dlarray,
    hidden_state: dlarray,
    *,
    output_mode: str = "sequence",
    state_activation: str = "tanh",
    gate_activation: str = "sigmoid",
    reset_gate_mode: str = "after-multiplication",
    **_: Any,
) -> tuple[dlarray, Ends]:
    """Return the output of `mlnet.engines.numpy.gru.gru` and the state at the end."""
    gate, squash = _GATES[gate_activation], _STATES[state_activation]
    units, steps = recurrent_weights.shape[1], x.shape[1]
    rows = [slice(number * units, (number + 1) * units) for number in range(3)]
    b = bias.reshape(-1)
    recurrent_bias = b[3 * units :] if len(b) == 6 * units else None
    h = _start(hidden_state, len(x), units)
    fed = np.matmul(x.reshape(-1, x.shape[2]), input_weights.T) + b[: 3 * units]
    fed = fed.reshape(len(x), steps, 3 * units)
    hidden: list[dlarray] = []
    for step in range(steps):
        a = fed[:, step]
        back = np.matmul(h, recurrent_weights.T)
        if recurrent_bias is not None:
            back = back + recurrent_bias
        r, z = (gate(a[:, part] + back[:, part]) for part in rows[:2])
        if reset_gate_mode == "before-multiplication":
            k = squash(a[:, rows[2]] + np.matmul(r * h, recurrent_weights[rows[2]].T))
        else:
            k = squash(a[:, rows[2]] + r * back[:, rows[2]])
        h = (1 - z) * k + z * h
        hidden.append(h)
    return _output(hidden, output_mode), (h,)


RECURRENT: dict[str, Callable[..., tuple[dlarray, Ends]]] = {
    "lstm": run_lstm,
    "bilstm": run_bilstm,
    "projected_lstm": run_projected_lstm,
    "gru": run_gru,
}
"""The recurrent operations: output and states at the end."""


def recurrent_with_ports(
    x: dlarray, *arrays: dlarray, operation: str, states_in: int, states_out: int, **attributes: Any
) -> dlarray | tuple[dlarray, ...]:
    """Return a recurrent operation with states as inputs and outputs."""
    output, ends = RECURRENT[operation](x, *arrays[states_in:], *arrays[:states_in], **attributes)
    return (output, *ends[:states_out]) if states_out else output


def attention(
    query: dlarray,
    key: dlarray,
    value: dlarray,
    *mask: dlarray,
    heads: int,
    scale: float,
    causal: bool = False,
    scores: bool = False,
    saved: Any = None,
    **_: Any,
) -> dlarray | tuple[dlarray, dlarray]:
    """Return the attention of queries to keys with values, with its scores where they are put out."""
    q, k, v = _as_list(query), _as_list(key), _as_list(value)
    output, weights = _attended(q, k, v, mask, heads, scale, causal, saved.heads.dropped)
    output = output.reshape(*query.shape[:-1], output.shape[-1])
    return (output, np.transpose(weights, (0, 3, 2, 1))) if scores else output


def self_attention(
    x: dlarray,
    *arrays: dlarray,
    heads: int,
    scale: float,
    causal: bool = False,
    scores: bool = False,
    saved: Any = None,
    **_: Any,
) -> dlarray | tuple[dlarray, dlarray]:
    """Return the attention of x to itself between linear maps."""
    *masks, q, k, v, o, q_bias, k_bias, v_bias, o_bias = arrays
    given = _as_list(x)
    flat = given.reshape(-1, given.shape[2])
    queries, keys, values = (
        traced.linear(flat, weights, bias).reshape(*given.shape[:2], -1)
        for weights, bias in ((q, q_bias), (k, k_bias), (v, v_bias))
    )
    merged, weights = _attended(queries, keys, values, masks, heads, scale, causal, saved.heads.dropped)
    y = traced.linear(merged.reshape(-1, merged.shape[2]), o, o_bias).reshape(*x.shape[:-1], -1)
    return (y, np.transpose(weights, (0, 3, 2, 1))) if scores else y


def _as_list(x: dlarray) -> dlarray:
    return x if x.ndim == 3 else x.reshape(len(x), 1, -1)


def _by_head(x: dlarray, heads: int) -> dlarray:
    return np.transpose(x.reshape(*x.shape[:2], heads, -1), (0, 2, 1, 3))


def _attended(
    q: dlarray, k: dlarray, v: dlarray, masks: Any, heads: int, scale: float, causal: bool, dropped: Any
) -> tuple[dlarray, dlarray]:
    """Return the values by their scores, (N, Tq, Cv), and the scores (N, heads, Tq, Tk) before dropout."""
    seen = np.ones((len(q), 1, q.shape[1], k.shape[1]), bool)
    if causal:
        seen &= np.arange(k.shape[1]) <= np.arange(q.shape[1])[:, None]
    for mask in masks:
        seen &= _as_list(mask)._data[:, None, None, :, 0] != 0
    products = np.matmul(_by_head(q, heads), np.transpose(_by_head(k, heads), (0, 1, 3, 2))) * scale
    products = np.where(seen, products, -1e30)  # not infinite: its differences have to be numbers
    raised = np.exp(products - data_of(products).max(axis=-1, keepdims=True)) * seen
    total = np.sum(raised, axis=-1, keepdims=True)
    weights = raised / np.where(total > 0, total, 1)
    mixed = np.matmul(weights if dropped is None else weights * dropped.factors, _by_head(v, heads))
    return np.transpose(mixed, (0, 2, 1, 3)).reshape(len(q), q.shape[1], -1), weights
