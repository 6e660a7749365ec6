"""What is made of LSTMs: one in both directions, and one with projectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.lstm import LstmState, lstm, lstm_backward

_DIRECTIONS = ("forward", "backward")
_LSTM = Operation(lstm, lstm_backward)


class BilstmState(NamedTuple):
    """The records of the two directions, and the states (N, 2 H) at their ends, forward then backward."""

    hidden_state: np.ndarray
    cell_state: np.ndarray
    halves: tuple[LstmState, ...]
    state_axes: tuple[int, ...]


def bilstm(
    x: np.ndarray,
    input_weights: np.ndarray,
    recurrent_weights: np.ndarray,
    bias: np.ndarray,
    hidden_state: np.ndarray,
    cell_state: np.ndarray,
    *,
    workspace: Workspace,
    one: Operation = _LSTM,
    **attributes: Any,
) -> tuple[np.ndarray, BilstmState]:
    """Run the sequences x (N, T, D) through two LSTMs of H units, one of them from the last step to the first.

    Weights and bias have 8 H rows, i, f, g, o of the forward direction and then of the backward one; initial states are
    (2 H, 1) or (N, 2 H). ``attributes`` are those of `lstm` except ``reverse``. The output has 2 H channels, forward
    then backward; with ``output_mode`` 'last' the backward half is its value at the first time step. ``one`` is the
    LSTM in one direction.
    """
    units = recurrent_weights.shape[1]
    state_axes = tuple(0 if state.shape == (2 * units, 1) else 1 for state in (hidden_state, cell_state))
    halves = zip(
        *(np.split(array, 2) for array in (input_weights, recurrent_weights, bias)),
        np.split(hidden_state, 2, axis=state_axes[0]),
        np.split(cell_state, 2, axis=state_axes[1]),
        strict=True,
    )
    results = [
        one.forward(x, *half, reverse=direction == "backward", workspace=workspace.part(direction), **attributes)
        for half, direction in zip(halves, _DIRECTIONS, strict=True)
    ]
    outputs, records = zip(*results, strict=True)
    output = workspace.empty("output", (*outputs[0].shape[:-1], 2 * units), x.dtype)
    np.concatenate(outputs, axis=-1, out=output)
    states = [
        np.concatenate([getattr(half, name) for half in records], axis=1) for name in ("hidden_state", "cell_state")
    ]
    return output, BilstmState(states[0], states[1], records, state_axes)


def bilstm_backward(
    saved: BilstmState,
    d_output: np.ndarray,
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
    d_states: tuple[np.ndarray | None, ...] = (None, None),
    one: Operation = _LSTM,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, input weights, recurrent weights, bias, hidden state and cell state.

    ``d_states`` are gradients (N, 2 H) of the hidden and the cell states at the ends.
    """
    d_halves = zip(*([None, None] if each is None else np.split(each, 2, axis=1) for each in d_states), strict=True)
    (d_x, *forward), (d_x_backward, *backward) = (
        one.backward(half, d_half, wanted=wanted, workspace=workspace.part(direction), d_states=d_ends)
        for half, d_half, direction, d_ends in zip(
            saved.halves, np.split(d_output, 2, axis=-1), _DIRECTIONS, d_halves, strict=True
        )
    )
    if d_x is not None and d_x_backward is not None:
        np.add(d_x, d_x_backward, out=d_x)
    axes = (0, 0, 0, *saved.state_axes)
    joined = (
        np.concatenate([first, second], axis=axis) if first is not None and second is not None else None
        for first, second, axis in zip(forward, backward, axes, strict=True)
    )
    return d_x, *joined


class ProjectedLstmState(NamedTuple):
    """The record of the LSTM with the projected weights, its states (N, H), and the factors of those weights."""

    hidden_state: np.ndarray
    cell_state: np.ndarray
    inner: LstmState
    factors: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def projected_lstm(
    x: np.ndarray,
    input_weights: np.ndarray,
    recurrent_weights: np.ndarray,
    bias: np.ndarray,
    input_projector: np.ndarray,
    output_projector: np.ndarray,
    hidden_state: np.ndarray,
    cell_state: np.ndarray,
    *,
    workspace: Workspace,
    one: Operation = _LSTM,
    **attributes: Any,
) -> tuple[np.ndarray, ProjectedLstmState]:
    """Run the sequences x (N, T, D) through an LSTM whose gates see projections of x and h, as in MATLAB.

    In the formulas of `lstm`, x becomes ``P' x`` and the h of the step before becomes ``Q' h`` with the
    ``input_projector`` P (D, ip) and the ``output_projector`` Q (H, op); ``input_weights`` are (4 H, ip) and
    ``recurrent_weights`` (4 H, op). The output is h itself with H channels; in the LSTM of Sak et al. (2014) and in
    PyTorch it is the projection.

    Computed as an LSTM with the weights ``W P'`` and ``R Q'``: the same up to rounding, and one product a step.
    ``attributes`` are those of `lstm`, and ``one`` is that LSTM.
    """
    factors = ((input_weights, input_projector), (recurrent_weights, output_projector))
    full = [weights @ projector.T for weights, projector in factors]
    output, inner = one.forward(x, full[0], full[1], bias, hidden_state, cell_state, workspace=workspace, **attributes)
    assert isinstance(output, np.ndarray)
    return output, ProjectedLstmState(inner.hidden_state, inner.cell_state, inner, factors)


def projected_lstm_backward(
    saved: ProjectedLstmState,
    d_output: np.ndarray,
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
    d_states: tuple[np.ndarray | None, ...] = (None, None),
    one: Operation = _LSTM,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, input weights, recurrent weights, bias, the two projectors, hidden and cell state."""
    want_x, want_input, want_recurrent, want_bias, want_projector, want_output_projector, *want_states = wanted
    inner = (want_x, want_input or want_projector, want_recurrent or want_output_projector, want_bias, *want_states)
    d_x, d_input, d_recurrent, d_bias, *d_starts = one.backward(
        saved.inner, d_output, wanted=inner, workspace=workspace, d_states=d_states
    )
    (d_input_weights, d_projector), (d_recurrent_weights, d_output_projector) = (
        (
            d_full @ projector if d_full is not None and want_weights else None,
            d_full.T @ weights if d_full is not None and want else None,
        )
        for d_full, (weights, projector), want_weights, want in (
            (d_input, saved.factors[0], want_input, want_projector),
            (d_recurrent, saved.factors[1], want_recurrent, want_output_projector),
        )
    )
    return d_x, d_input_weights, d_recurrent_weights, d_bias, d_projector, d_output_projector, *d_starts
