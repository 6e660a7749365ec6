"""Gated recurrent units (Cho et al., 2014) in the three forms that differ in where the reset gate acts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.gates import (
    GATE_FUNCTIONS,
    STATE_FUNCTIONS,
    Function,
    inputs_gradient,
    ordered,
    preactivations,
    run_observations,
    run_steps,
    transposed,
    weights_gradient,
)
from mlnet.engines.numpy.sequences import (
    Steps,
    end_state,
    from_steps,
    hidden_gradients,
    plan_steps,
    start_state,
    start_state_gradient,
    with_ones,
    write_output,
)

_INPUT_ORDER = (0, 1, 2)
"""The gates that the input feeds are r, z and the candidate, as in the weights."""

_RECURRENT_ORDER = (2, 0, 1)
"""The products with the hidden state are those of the candidate, of r and of z."""


class GruState(NamedTuple):
    """What the backward of `gru` needs, and the state (N, H) at the end of each observation.

    By steps: ``inputs`` (steps, N, D + 1) with a channel of ones, ``hidden`` (steps + 1, N, H) from the initial state
    on, ``gates`` (3, steps, N, H) r, z and the candidate, and ``reset`` (steps, N, H), the factor of r that is not the
    hidden state (reset after the product) or r times the hidden state (before).
    """

    hidden_state: np.ndarray
    inputs: np.ndarray
    hidden: np.ndarray
    gates: np.ndarray
    reset: np.ndarray
    input_weights: np.ndarray
    recurrent_weights: np.ndarray
    bias_shape: tuple[int, ...]
    state_function: Function
    gate_function: Function
    resets_before: bool
    steps: Steps
    time: int
    state_shape: tuple[int, ...]


def gru(
    x: np.ndarray,
    input_weights: np.ndarray,
    recurrent_weights: np.ndarray,
    bias: np.ndarray,
    hidden_state: np.ndarray,
    *,
    lengths: Any = None,
    output_mode: str = "sequence",
    state_activation: str = "tanh",
    gate_activation: str = "sigmoid",
    reset_gate_mode: str = "after-multiplication",
    workspace: Workspace,
) -> tuple[np.ndarray, GruState]:
    """Run the sequences x (N, T, D) through a layer of H units.

    With the state function s and the gate function sigma, for each step::

        r = sigma(W_r x + b_r + R_r h)
        z = sigma(W_z x + b_z + R_z h)
        k = s(W_k x + b_k + r * (R_k h))         'after-multiplication'
        k = s(W_k x + b_k + R_k (r * h))         'before-multiplication'
        k = s(W_k x + b_k + r * (R_k h + c_k))   'recurrent-bias-after-multiplication'
        h = (1 - z) * k + z * h

    ``input_weights`` W (3 H, D), ``recurrent_weights`` R (3 H, H) and ``bias`` b (3 H, 1) hold the rows of r, z, k. In
    the last mode ``bias`` is (6 H, 1), b and then the recurrent c, of which c_r and c_z are added to b_r and b_z. The
    other arguments, the output and the saved ``hidden_state`` are those of `mlnet.engines.numpy.lstm.lstm`.
    """
    steps = plan_steps(x, lengths, False)
    observations, units, dtype = len(x), recurrent_weights.shape[1], x.dtype
    state, gate = STATE_FUNCTIONS[state_activation], GATE_FUNCTIONS[gate_activation]
    resets_before = reset_gate_mode == "before-multiplication"
    input_bias, candidate_bias = split_bias(bias, units)
    inputs = with_ones(x, steps, workspace)
    weights = ordered(np.concatenate([input_weights, input_bias], axis=1), _INPUT_ORDER)
    gates = preactivations(inputs, transposed(weights, (gate, gate, state), "weights", dtype, workspace), workspace)
    recurrent = ordered(recurrent_weights, _RECURRENT_ORDER)
    recurrent = transposed(recurrent, (state, gate, gate), "recurrent", dtype, workspace)
    hidden = workspace.empty("hidden", (steps.longest + 1, observations, units), dtype)
    reset = workspace.empty("reset", (steps.longest, observations, units), dtype)
    start_state(hidden_state, hidden[0])

    first = 1 if resets_before else 0  # which products with the hidden state itself there are

    def task(rows: slice, slot: int) -> None:
        products = workspace.scratch(("products", slot), (3, rows.stop - rows.start, units), dtype)
        with np.errstate(over="ignore"):
            for a, h_before, h, q, mask in zip(
                gates[:, :, rows].swapaxes(0, 1),
                *(hidden[:-1, rows], hidden[1:, rows], reset[:, rows], steps.masks(rows)),
                strict=True,
            ):
                r, z, k = a
                np.matmul(h_before, recurrent[first:], out=products[first:])
                np.add(a[:2], products[1:], out=products[1:])
                gate.apply(products[1:], a[:2])
                if resets_before:
                    np.multiply(r, h_before, out=q)
                    np.matmul(q, recurrent[0], out=products[0])
                else:
                    np.add(products[0], candidate_bias, out=q)
                    np.multiply(r, q, out=products[0])
                np.add(k, products[0], out=products[0])
                state.apply(products[0], k)
                np.subtract(h_before, k, out=h)
                np.multiply(h, z, out=h)
                np.add(h, k, out=h)
                if mask is not None:
                    np.multiply(h, mask, out=h)

    run_observations(task, observations, recurrent.size)
    last = end_state(hidden, steps)
    output = last if output_mode == "last" else write_output(hidden, steps, x.shape[1], workspace)
    saved = GruState(
        last,
        inputs,
        hidden,
        gates,
        reset,
        input_weights,
        recurrent_weights,
        bias.shape,
        state,
        gate,
        resets_before,
        steps,
        x.shape[1],
        hidden_state.shape,
    )
    return output, saved


def gru_backward(
    saved: GruState,
    d_output: np.ndarray,
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
    d_states: tuple[np.ndarray | None, ...] = (None,),
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, input weights, recurrent weights, bias and hidden state.

    ``d_states`` has a gradient (N, H) of the hidden state at the ends of the observations.
    """
    gates, dtype = saved.gates, saved.gates.dtype
    observations, units = saved.hidden.shape[1:]
    channels = saved.inputs.shape[2] - 1
    d_hidden = hidden_gradients(d_output, saved.steps, workspace, d_states[0])
    d_products = _derivatives(saved, workspace)
    d_gates = d_products[1:]
    recurrent = ordered(saved.recurrent_weights, _RECURRENT_ORDER).astype(dtype, copy=False)

    def task(rows: slice, slot: int) -> None:
        products = workspace.scratch(("products", slot), (3, rows.stop - rows.start, units), dtype)
        for d_p, d_h_before, d_h, (r, z, _) in zip(
            d_products[:, ::-1, rows].swapaxes(0, 1),
            *(d_hidden[-2::-1, rows], d_hidden[:0:-1, rows], gates[:, ::-1, rows].swapaxes(0, 1)),
            strict=True,
        ):
            d_q, d_r, _, d_k = d_p
            np.multiply(d_p[2:], d_h, out=d_p[2:])
            if saved.resets_before:
                np.matmul(d_k, recurrent[0], out=d_q)
                np.multiply(d_r, d_q, out=d_r)
                np.multiply(d_q, r, out=products[0])
                np.matmul(d_p[1:3], recurrent[1:], out=products[1:])
            else:
                np.multiply(d_r, d_k, out=d_r)
                np.multiply(d_k, r, out=d_q)
                np.matmul(d_p[:3], recurrent, out=products)
            np.multiply(d_h, z, out=d_h)
            np.add(d_h_before, d_h, out=d_h_before)
            np.add(d_h_before, np.add.reduce(products, axis=0), out=d_h_before)

    run_observations(task, observations, recurrent.size)
    d_x = d_input_weights = d_recurrent_weights = d_bias = None
    if wanted[0]:
        weights = ordered(saved.input_weights, _INPUT_ORDER).astype(dtype, copy=False)
        d_x = workspace.empty("d_x", (observations, saved.time, channels), dtype)
        from_steps(inputs_gradient(d_gates, weights, workspace), saved.steps, d_x)
    if wanted[1] or wanted[3]:
        both = weights_gradient(d_gates, saved.inputs, _INPUT_ORDER, "d_weights", workspace)
        d_input_weights = both[:, :channels] if wanted[1] else None
        d_bias = _bias_gradient(saved, both[:, channels:], d_products[0]) if wanted[3] else None
    if wanted[2]:
        d_recurrent_weights = _recurrent_gradient(saved, d_products, workspace)
    d_hidden_state = start_state_gradient(d_hidden[0], saved.state_shape) if wanted[4] else None
    return d_x, d_input_weights, d_recurrent_weights, d_bias, d_hidden_state


def split_bias(bias: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias (3 H, 1) of what comes before the functions, and the bias (H,) of what r multiplies."""
    input_bias, recurrent_bias = bias[: 3 * units], bias[3 * units :]
    if not recurrent_bias.size:
        return input_bias, np.zeros(units, bias.dtype)
    outside = input_bias.copy()
    outside[: 2 * units] += recurrent_bias[: 2 * units]
    return outside, recurrent_bias[2 * units :, 0]


def _bias_gradient(saved: GruState, d_input_bias: np.ndarray, d_candidate: np.ndarray) -> np.ndarray:
    """Return the gradient of the bias, from that of the first 3 H and of what r multiplies, (steps, N, H)."""
    units = d_candidate.shape[-1]
    if saved.bias_shape[0] == 3 * units:
        return d_input_bias
    d_inside = np.add.reduce(d_candidate, axis=(0, 1)).reshape(-1, 1)
    return np.concatenate([d_input_bias, d_input_bias[: 2 * units], d_inside])


def _recurrent_gradient(saved: GruState, d_products: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Return the gradient of the recurrent weights."""
    hidden, name = saved.hidden[:-1], "d_recurrent_weights"
    if not saved.resets_before:
        return weights_gradient(d_products[:3], hidden, _RECURRENT_ORDER, name, workspace)
    gates = weights_gradient(d_products[1:3], hidden, (0, 1), f"{name} of gates", workspace)
    candidate = weights_gradient(d_products[3:], saved.reset, (0,), f"{name} of candidate", workspace)
    return np.concatenate([gates, candidate])


def _derivatives(saved: GruState, workspace: Workspace) -> np.ndarray:
    """Return (4, steps, N, H): room for the gradient of what r multiplies, then factors of the gradients.

    These are the derivatives of k's preactivation (of r * h where the reset comes before the product) with respect to
    the preactivation of r, and of h with respect to the preactivations of z and k, in the order r, z, k.
    """
    gates = saved.gates
    result = workspace.scratch("d_gates", (4, *gates.shape[1:]), gates.dtype)

    def task(steps: slice) -> None:
        _, z, k = gates[:, steps]
        h_before = saved.hidden[:-1][steps]
        scratch, d_r, d_z, d_k = result[:, steps]
        saved.gate_function.derivative(gates[:2, steps], result[1:3, steps])
        saved.state_function.derivative(k, d_k)
        np.multiply(d_r, h_before if saved.resets_before else saved.reset[steps], out=d_r)
        np.multiply(d_z, np.subtract(h_before, k, out=scratch), out=d_z)
        np.multiply(d_k, np.subtract(1, z, out=scratch), out=d_k)

    run_steps(task, saved.steps.longest, gates[:, :1].nbytes)
    return result
