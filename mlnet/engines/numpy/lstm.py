"""Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gate (Gers, Schmidhuber and Cummins, 2000)."""

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
    end_gradients,
    end_state,
    from_steps,
    hidden_gradients,
    plan_steps,
    start_state,
    start_state_gradient,
    with_ones,
    write_output,
)

_ORDER = (3, 0, 1, 2)
"""Inside, the gates are o, i, f, g: those with the gate function are neighbours, and those behind c are."""


class LstmState(NamedTuple):
    """What the backward of `lstm` needs, and the states (N, H) at the end of each observation.

    By steps: ``inputs`` (steps, N, D + 1) with a channel of ones, ``hidden`` and ``cell`` (steps + 1, N, H) from the
    initial states on, ``gates`` (4, steps, N, H) o, i, f, g, and ``squashed`` (steps, N, H), the state function of the
    cell states.
    """

    hidden_state: np.ndarray
    cell_state: np.ndarray
    inputs: np.ndarray
    hidden: np.ndarray
    cell: np.ndarray
    gates: np.ndarray
    squashed: np.ndarray
    input_weights: np.ndarray
    recurrent_weights: np.ndarray
    state_function: Function
    gate_function: Function
    steps: Steps
    time: int
    state_shapes: tuple[tuple[int, ...], tuple[int, ...]]


def lstm(
    x: np.ndarray,
    input_weights: np.ndarray,
    recurrent_weights: np.ndarray,
    bias: np.ndarray,
    hidden_state: np.ndarray,
    cell_state: np.ndarray,
    *,
    lengths: Any = None,
    output_mode: str = "sequence",
    state_activation: str = "tanh",
    gate_activation: str = "sigmoid",
    reverse: bool = False,
    workspace: Workspace,
) -> tuple[np.ndarray, LstmState]:
    """Run the sequences x (N, T, D) through a layer of H units.

    With the state function s and the gate function sigma, for each step::

        i = sigma(W_i x + R_i h + b_i)      c = f * c + i * g
        f = sigma(W_f x + R_f h + b_f)      h = o * s(c)
        g = s(W_g x + R_g h + b_g)
        o = sigma(W_o x + R_o h + b_o)

    ``input_weights`` W (4 H, D), ``recurrent_weights`` R (4 H, H) and ``bias`` b (4 H, 1) hold the rows of i, f, g, o.
    ``hidden_state`` and ``cell_state`` are the initial h and c, (H, 1) for all observations or (N, H). ``lengths`` (N,)
    are the numbers of steps that belong to each observation, None for all T. ``state_activation`` is 'tanh',
    'softsign' or 'relu', ``gate_activation`` 'sigmoid' or 'hard-sigmoid'. With ``reverse`` each observation runs from
    its own last step to the first.

    The output is h at each step (N, T, H), 0 behind the end of an observation; with ``output_mode`` 'last' it is h
    after the last step that was run, (N, H). The saved ``hidden_state`` and ``cell_state`` (N, H) are the states then.
    """
    steps = plan_steps(x, lengths, reverse)
    observations, units, dtype = len(x), recurrent_weights.shape[1], x.dtype
    state, gate = STATE_FUNCTIONS[state_activation], GATE_FUNCTIONS[gate_activation]
    functions = (gate, gate, gate, state)
    inputs = with_ones(x, steps, workspace)
    weights = ordered(np.concatenate([input_weights, bias], axis=1), _ORDER)
    gates = preactivations(inputs, transposed(weights, functions, "weights", dtype, workspace), workspace)
    recurrent = transposed(ordered(recurrent_weights, _ORDER), functions, "recurrent", dtype, workspace)
    hidden = workspace.empty("hidden", (steps.longest + 1, observations, units), dtype)
    cell = workspace.empty("cell", hidden.shape, dtype)
    squashed = workspace.empty("squashed", (steps.longest, observations, units), dtype)
    start_state(hidden_state, hidden[0])
    start_state(cell_state, cell[0])

    def task(rows: slice, slot: int) -> None:
        products = workspace.scratch(("products", slot), (4, rows.stop - rows.start, units), dtype)
        with np.errstate(over="ignore"):
            for z, h_before, h, c_before, c, s, mask in zip(
                gates[:, :, rows].swapaxes(0, 1),
                *(hidden[:-1, rows], hidden[1:, rows], cell[:-1, rows], cell[1:, rows], squashed[:, rows]),
                steps.masks(rows),
                strict=True,
            ):
                np.matmul(h_before, recurrent, out=products)
                np.add(z, products, out=products)
                gate.apply(products[:3], z[:3])
                state.apply(products[3], z[3])
                o, i, f, g = z
                np.multiply(f, c_before, out=c)
                np.multiply(i, g, out=products[0])
                np.add(c, products[0], out=c)
                state.apply(c, s)
                np.multiply(o, s, out=h)
                if mask is not None:
                    np.multiply(h, mask, out=h)

    run_observations(task, observations, recurrent.size)
    last = end_state(hidden, steps)
    output = last if output_mode == "last" else write_output(hidden, steps, x.shape[1], workspace)
    saved = LstmState(
        last,
        end_state(cell, steps),
        inputs,
        hidden,
        cell,
        gates,
        squashed,
        input_weights,
        recurrent_weights,
        state,
        gate,
        steps,
        x.shape[1],
        (hidden_state.shape, cell_state.shape),
    )
    return output, saved


def lstm_backward(
    saved: LstmState,
    d_output: np.ndarray,
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
    d_states: tuple[np.ndarray | None, ...] = (None, None),
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, input weights, recurrent weights, bias, hidden state and cell state.

    ``d_states`` are gradients (N, H) of the hidden and the cell state at the ends of the observations.
    """
    inputs, gates, dtype = saved.inputs, saved.gates, saved.gates.dtype
    observations, units = saved.hidden.shape[1:]
    channels = inputs.shape[2] - 1
    d_hidden = hidden_gradients(d_output, saved.steps, workspace, d_states[0])
    d_gates, to_cell = _derivatives(saved, workspace)
    recurrent = ordered(saved.recurrent_weights, _ORDER).astype(dtype, copy=False)
    d_cell = workspace.scratch("d_cell", (observations, units), dtype)
    d_cell[...] = 0

    def task(rows: slice, slot: int) -> None:
        products = workspace.scratch(("products", slot), (4, rows.stop - rows.start, units), dtype)
        d_c = d_cell[rows]
        for d_z, d_h_before, d_h, h_to_c, f, d_end in zip(
            d_gates[:, ::-1, rows].swapaxes(0, 1),
            *(d_hidden[-2::-1, rows], d_hidden[:0:-1, rows], to_cell[::-1, rows], gates[2, ::-1, rows]),
            end_gradients(d_states[1], saved.steps, rows),
            strict=True,
        ):
            if d_end is not None:
                np.add(d_c, d_end, out=d_c)
            np.multiply(d_h, h_to_c, out=products[0])
            np.add(d_c, products[0], out=d_c)
            np.multiply(d_z[0], d_h, out=d_z[0])
            np.multiply(d_z[1:], d_c, out=d_z[1:])
            np.multiply(d_c, f, out=d_c)
            np.matmul(d_z, recurrent, out=products)
            np.add(d_h_before, np.add.reduce(products, axis=0), out=d_h_before)

    run_observations(task, observations, recurrent.size)
    d_x = d_input_weights = d_recurrent_weights = d_bias = None
    if wanted[0]:
        weights = ordered(saved.input_weights, _ORDER).astype(dtype, copy=False)
        d_x = workspace.empty("d_x", (observations, saved.time, channels), dtype)
        from_steps(inputs_gradient(d_gates, weights, workspace), saved.steps, d_x)
    if wanted[1] or wanted[3]:
        both = weights_gradient(d_gates, inputs, _ORDER, "d_weights", workspace)
        d_input_weights = both[:, :channels] if wanted[1] else None
        d_bias = both[:, channels:] if wanted[3] else None
    if wanted[2]:
        d_recurrent_weights = weights_gradient(d_gates, saved.hidden[:-1], _ORDER, "d_recurrent_weights", workspace)
    d_hidden_state = start_state_gradient(d_hidden[0], saved.state_shapes[0]) if wanted[4] else None
    d_cell_state = start_state_gradient(d_cell, saved.state_shapes[1]) if wanted[5] else None
    return d_x, d_input_weights, d_recurrent_weights, d_bias, d_hidden_state, d_cell_state


def _derivatives(saved: LstmState, workspace: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """Return what the gradients of one step are multiplied by, for all steps at once.

    The first array (4, steps, N, H) holds the derivative of h with respect to the preactivation of o, and those of c
    with respect to the ones of i, f and g; the second (steps, N, H) the derivative of h with respect to c.
    """
    result = workspace.scratch("d_gates", saved.gates.shape, saved.gates.dtype)
    to_cell = workspace.scratch("to cell", saved.squashed.shape, saved.gates.dtype)

    def task(steps: slice) -> None:
        o, i, _, g = saved.gates[:, steps]
        squashed, d_z = saved.squashed[steps], result[:, steps]
        saved.gate_function.derivative(saved.gates[:3, steps], d_z[:3])
        saved.state_function.derivative(g, d_z[3])
        for derivative, other in zip(d_z, (squashed, g, saved.cell[:-1][steps], i), strict=True):
            np.multiply(derivative, other, out=derivative)
        saved.state_function.derivative(squashed, to_cell[steps])
        np.multiply(to_cell[steps], o, out=to_cell[steps])

    run_steps(task, saved.steps.longest, saved.gates[:, :1].nbytes)
    return result, to_cell
