"""Recurrent operations whose states come in from other layers, or go out to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.gru import gru, gru_backward
from mlnet.engines.numpy.lstm import lstm, lstm_backward
from mlnet.engines.numpy.recurrent import bilstm, bilstm_backward, projected_lstm, projected_lstm_backward

_OPERATIONS: Mapping[str, Operation] = {
    "lstm": Operation(lstm, lstm_backward),
    "bilstm": Operation(bilstm, bilstm_backward),
    "projected_lstm": Operation(projected_lstm, projected_lstm_backward),
    "gru": Operation(gru, gru_backward),
}
_STATES = ("hidden_state", "cell_state")


class PortsState(NamedTuple):
    """What the backward needs: the record of the operation, its name, numbers of ports and the shape of the output."""

    inner: Any
    operation: str
    states_in: int
    states_out: int
    shape: tuple[int, ...]
    dtype: Any

    @property
    def hidden_state(self) -> np.ndarray:
        """The hidden states (N, H) at the ends."""
        return self.inner.hidden_state

    @property
    def cell_state(self) -> np.ndarray:
        """The cell states (N, H) at the ends."""
        return self.inner.cell_state


def recurrent_with_ports(
    x: np.ndarray,
    *arrays: np.ndarray,
    operation: str,
    states_in: int,
    states_out: int,
    workspace: Workspace,
    operations: Mapping[str, Operation] = _OPERATIONS,
    **attributes: Any,
) -> tuple[np.ndarray | tuple[np.ndarray, ...], PortsState]:
    """Run 'lstm', 'bilstm', 'projected_lstm' or 'gru' with states as inputs and outputs.

    After x come ``states_in`` states (N, H) and then the parameters, which end with the states where none come in. The
    outputs are that of the operation and ``states_out`` states (N, H) at the ends of the observations. ``operations``
    has the operations.
    """
    forward, _ = operations[operation]
    states, parameters = arrays[:states_in], arrays[states_in:]
    output, inner = forward(x, *parameters, *states, workspace=workspace, **attributes)
    assert isinstance(output, np.ndarray)
    saved = PortsState(inner, operation, states_in, states_out, output.shape, output.dtype)
    if not states_out:
        return output, saved
    return (output, *(getattr(inner, state) for state in _STATES[:states_out])), saved


def recurrent_with_ports_backward(
    saved: PortsState,
    d_output: np.ndarray | tuple[np.ndarray | None, ...],
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
    operations: Mapping[str, Operation] = _OPERATIONS,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, the states that came in and the parameters."""
    _, backward = operations[saved.operation]
    count = saved.states_in
    d_first, *d_states = d_output if isinstance(d_output, tuple) else (d_output,)
    if d_first is None:
        d_first = np.zeros(saved.shape, saved.dtype)
    given = {"d_states": tuple(d_states)} if d_states else {}
    order = (wanted[0], *wanted[1 + count :], *wanted[1 : 1 + count])
    d_x, *others = backward(saved.inner, d_first, wanted=order, workspace=workspace, **given)
    split = len(others) - count
    return d_x, *others[split:], *others[:split]
