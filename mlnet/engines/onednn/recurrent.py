"""LSTM and GRU by the library: the observations are shared among threads, each of which runs all steps of its own.

The threads of the library itself would wait for one another in each step; these meet once in a pass. Sequences of
different lengths are sorted, so that short ones need few steps. What is computed behind the end of a sequence is not
looked at, and no gradient starts there, so that nothing comes back from there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import recurrent, recurrent_ports
from mlnet.engines.numpy.gru import split_bias
from mlnet.engines.numpy.sequences import Steps, plan_steps, start_state, start_state_gradient
from mlnet.engines.onednn import teams
from mlnet.engines.onednn.cells import GATES, Cell
from mlnet.engines.onednn.library import Library, OutOfMemoryError, RefusedError
from mlnet.parallel.blocks import run
from mlnet.parallel.cores import threads

OPERATIONS = ("lstm", "bilstm", "gru", "projected_lstm", "recurrent_with_ports")

REMARK = "by NumPy"
"""The name under which a workspace keeps the reason why its operation was NumPy's the last time, in a list."""

_WORK = 1 << 21
"""Multiplications of a pass that are worth waking a thread."""

_FEWEST = 4
"""Observations of a group."""

_KEPT = 16
"""Cells that an operation keeps: sequences of other lengths, smaller mini-batches."""

_ORDER = [1, 0, 2]
"""The gates r, z, k of a GRU in the library's order, and the other way round."""


class _Group(NamedTuple):
    """The cell of some observations, ``rows`` of the mini-batch, and the number of steps that it reads."""

    cell: Cell
    rows: Any
    steps: int


@dataclass
class RecurrentState:
    """What the backward needs, and the states (N, H) at the end of each observation."""

    groups: list[_Group]
    steps: Steps
    time: int
    operation: str
    arrays: tuple[np.ndarray, ...]
    attributes: Mapping[str, Any]
    reference: Operation
    numpy_record: Any = None

    @property
    def hidden_state(self) -> np.ndarray:
        """The hidden states at the ends."""
        return self._end(0)

    @property
    def cell_state(self) -> np.ndarray:
        """The cell states at the ends; the library does not tell those of sequences of different lengths."""
        return self._end(1) if self.steps.lengths is None else self.by_numpy().cell_state

    def _end(self, number: int) -> np.ndarray:
        observations, units = len(self.arrays[0]), self.arrays[2].shape[1]
        states = np.empty((observations, units), np.float32)
        for group in self.groups:
            states[group.rows] = _ends(group, self.steps) if number == 0 else group.cell.end[number]
        return states

    def by_numpy(self) -> Any:
        """Return NumPy's record of the same."""
        if self.numpy_record is None:
            _, self.numpy_record = self.reference.forward(*self.arrays, workspace=Workspace(), **self.attributes)
        return self.numpy_record


class Recurrent:
    """The operations; what the library does not compute is done by ``reference``."""

    def __init__(self, library: Library, reference: Mapping[str, Operation]) -> None:
        self._library, self._reference = library, reference
        lstm, gru = (Operation(partial(self._run, name), partial(self._back, name)) for name in ("lstm", "gru"))
        bilstm, projected = (
            Operation(partial(forward, one=lstm), partial(backward, one=lstm))
            for forward, backward in (
                (recurrent.bilstm, recurrent.bilstm_backward),
                (recurrent.projected_lstm, recurrent.projected_lstm_backward),
            )
        )
        table = {"lstm": lstm, "bilstm": bilstm, "gru": gru, "projected_lstm": projected}
        ports = Operation(
            partial(recurrent_ports.recurrent_with_ports, operations=table),
            partial(recurrent_ports.recurrent_with_ports_backward, operations=table),
        )
        self.operations: dict[str, Operation] = {**table, "recurrent_with_ports": ports}
        assert tuple(self.operations) == OPERATIONS

    def _run(
        self, name: str, *arrays: np.ndarray, workspace: Workspace, **attributes: Any
    ) -> tuple[np.ndarray | tuple[np.ndarray, ...], Any]:
        remarks = workspace.keep(REMARK, list)
        remarks[:] = [_refusal(arrays, attributes)]
        if not remarks[0]:
            try:
                return self._forward(name, arrays, attributes, workspace)
            except RefusedError as error:
                remarks[0] = str(error)
            except OutOfMemoryError as error:
                remarks[0] = str(error)
        return self._reference[name].forward(*arrays, workspace=workspace, **attributes)

    def _forward(
        self, name: str, arrays: tuple[np.ndarray, ...], attributes: Mapping[str, Any], workspace: Workspace
    ) -> tuple[np.ndarray, RecurrentState]:
        x, input_weights, recurrent_weights, bias, *states = arrays
        observations, time, channels = x.shape
        units = recurrent_weights.shape[1]
        steps = plan_steps(x, attributes.get("lengths"), attributes.get("reverse", False))
        resets_before = attributes.get("reset_gate_mode") == "before-multiplication"
        kind = "lstm" if name == "lstm" else "gru" if resets_before else "lbr_gru"
        work = observations * time * GATES[kind] * units * (channels + units)
        groups = self._groups(kind, steps, (observations, channels, units), work, workspace)
        is_last = attributes.get("output_mode") == "last"
        shape = (observations, units) if is_last else (observations, time, units)
        output = workspace.empty("output", shape, np.float32)
        weights = [_ordered(each, name) for each in (input_weights, recurrent_weights)]

        def task(part: int, slot: int) -> None:
            cell, rows, count = groups[part]
            _read(x, steps, rows, count, cell.x)
            for state, start in zip(states, cell.start, strict=True):
                start_state(state if state.shape == (units, 1) else state[rows], start)
            cell.put_weights(*weights)
            cell.bias[...] = _bias(kind, bias, units)
            with teams.alone(self._library):
                cell.forward()
            if is_last:
                output[rows] = _ends(groups[part], steps)
            else:
                _write(cell.y, steps, rows, count, output)

        run(task, len(groups))
        return output, RecurrentState(groups, steps, time, name, arrays, attributes, self._reference[name])

    def _groups(
        self, kind: str, steps: Steps, sizes: tuple[int, int, int], work: int, workspace: Workspace
    ) -> list[_Group]:
        """Return the cells of the observations; those of different lengths are sorted."""
        observations, channels, units = sizes
        number = max(1, min(threads(), observations // _FEWEST, work // _WORK))
        cells = workspace.keep("cells", OrderedDict)
        order = None if steps.lengths is None else np.argsort(-steps.lengths, kind="stable")
        groups = []
        for part in range(number):
            piece = slice(observations * part // number, observations * (part + 1) // number)
            rows: Any = piece if order is None else order[piece]
            longest = steps.longest if steps.lengths is None else int(steps.lengths[rows].max())
            key = (teams.generation(), part, kind, _rounded(longest, steps), piece.stop - piece.start, channels, units)
            if key not in cells:
                with teams.alone(self._library):
                    cells[key] = Cell(self._library, *key[2:])
            cells.move_to_end(key)
            groups.append(_Group(cells[key], rows, longest))
        while len(cells) > max(_KEPT, number):
            cells.popitem(last=False)
        return groups

    def _back(
        self,
        name: str,
        saved: Any,
        d_output: np.ndarray,
        *,
        wanted: tuple[bool, ...],
        workspace: Workspace,
        d_states: tuple[np.ndarray | None, ...] = (),
    ) -> tuple[np.ndarray | None, ...]:
        given = {"d_states": d_states} if d_states else {}
        if not isinstance(saved, RecurrentState):
            return self._reference[name].backward(saved, d_output, wanted=wanted, workspace=workspace, **given)
        reason = ""
        if saved.steps.lengths is not None and any(each is not None for each in d_states):
            reason = "gradients of states behind sequences of different lengths"
        else:
            try:
                with teams.alone(self._library):
                    for group in saved.groups:
                        group.cell.prepare_backward()
            except (RefusedError, OutOfMemoryError) as error:
                reason = str(error)
        if reason:
            workspace.keep(REMARK, list)[:] = [f"backward: {reason}"]
            return self._reference[name].backward(
                saved.by_numpy(), d_output, wanted=wanted, workspace=Workspace(), **given
            )
        return self._gradients(saved, d_output, wanted, workspace, d_states)

    def _gradients(
        self,
        saved: RecurrentState,
        d_output: np.ndarray,
        wanted: tuple[bool, ...],
        workspace: Workspace,
        d_states: tuple[np.ndarray | None, ...],
    ) -> tuple[np.ndarray | None, ...]:
        groups, steps = saved.groups, saved.steps
        x, input_weights, recurrent_weights, bias, *states = saved.arrays
        d_x = workspace.empty("d_x", x.shape, np.float32) if wanted[0] else None
        d_starts = [np.empty((len(x), recurrent_weights.shape[1]), np.float32) for _ in states]

        def task(part: int, slot: int) -> None:
            cell, rows, count = groups[part]
            _put_gradients(groups[part], steps, d_output, d_states)
            with teams.alone(self._library):
                cell.backward()
            if d_x is not None:
                _write(cell.d_x, steps, rows, count, d_x)
            for d_start, found in zip(d_starts, cell.d_start, strict=True):
                d_start[rows] = found
            if steps.lengths is not None and d_output.ndim == 2:  # what has no steps ends as it starts
                d_starts[0][rows] += np.where(steps.lengths[rows, None] > 0, 0, d_output[rows])

        run(task, len(groups))
        cells = [group.cell for group in groups]
        d_input, d_recurrent = (
            _sum([cell.d_weights[number] for cell in cells], weights.shape) if want else None
            for number, (weights, want) in enumerate(((input_weights, wanted[1]), (recurrent_weights, wanted[2])))
        )
        d_bias = _bias_gradient(cells, bias.shape) if wanted[3] else None
        d_states_found = [
            start_state_gradient(d_start, state.shape) if want else None
            for d_start, state, want in zip(d_starts, states, wanted[4:], strict=True)
        ]
        return d_x, d_input, d_recurrent, d_bias, *d_states_found


def _refusal(arrays: tuple[np.ndarray, ...], attributes: Mapping[str, Any]) -> str:
    """Return why the library is not to compute it, '' if it is."""
    for option, needed in (("state_activation", "tanh"), ("gate_activation", "sigmoid")):
        if attributes.get(option, needed) != needed:
            return f"oneDNN has no recurrent layers with '{attributes[option]}'"
    if any(array.dtype != np.float32 for array in arrays):
        return f"data of type {next(array.dtype for array in arrays if array.dtype != np.float32)}"
    if any(array.size == 0 for array in arrays):
        return "nothing to compute"
    lengths = attributes.get("lengths")
    if lengths is not None and not np.max(lengths, initial=0):
        return "no time steps"
    return ""


def _rounded(longest: int, steps: Steps) -> int:
    """Return for how many steps a cell is made: a few numbers only where sequences have different lengths."""
    if steps.lengths is None:
        return longest
    unit = 1 << max(0, longest.bit_length() - 4)
    return max(1, -(-longest // unit) * unit)


def _read(x: np.ndarray, steps: Steps, rows: Any, count: int, out: np.ndarray) -> None:
    """Write sequences (N, T, C) to ``out`` (steps, rows, C) in the order of the steps, zeros behind the ends."""
    if steps.lengths is None:
        x = x[rows, : steps.longest]
        out[...] = (x[:, ::-1] if steps.reverse else x).transpose(1, 0, 2)
        return
    if steps.order is not None:
        out[:count] = x[rows, steps.order[:count, rows]]
    else:
        out[:count] = x[rows, :count].transpose(1, 0, 2)
    assert steps.ended is not None
    out[:count][steps.ended[:count, rows]] = 0
    out[count:] = 0


def _write(y: np.ndarray, steps: Steps, rows: Any, count: int, out: np.ndarray) -> None:
    """Write ``y`` (steps, rows, C) to the sequences ``out`` (N, T, C), zeros behind the ends."""
    if steps.lengths is None:
        out[rows, : steps.longest] = (y[::-1] if steps.reverse else y).transpose(1, 0, 2)
        out[rows, steps.longest :] = 0
        return
    assert steps.ended is not None
    if steps.order is not None:
        found = y[steps.order[:count, rows].T, np.arange(len(rows))[:, None]]
    else:
        found = y[:count].transpose(1, 0, 2).copy()
    found[steps.ended[:count, rows].T] = 0
    out[rows, :count] = found
    out[rows, count:] = 0


def _ends(group: _Group, steps: Steps) -> np.ndarray:
    """Return the hidden states (rows, H) at the ends of the observations of a group."""
    if steps.lengths is None:
        return group.cell.end[0]
    lengths = steps.lengths[group.rows]
    found = group.cell.y[np.maximum(lengths, 1) - 1, np.arange(len(lengths))]
    return np.where(lengths[:, None] > 0, found, group.cell.start[0])


def _put_gradients(group: _Group, steps: Steps, d_output: np.ndarray, d_states: tuple[np.ndarray | None, ...]) -> None:
    """Fill in the gradients of what a cell puts out."""
    cell, rows, count = group
    for number, d_end in enumerate(cell.d_end):
        given = d_states[number] if number < len(d_states) else None
        d_end[...] = 0 if given is None else given[rows]
    if d_output.ndim == 3:
        _read(d_output, steps, rows, count, cell.d_y)
        cell.d_y_is_zero = False
        return
    if not cell.d_y_is_zero:
        cell.d_y[...] = 0
        cell.d_y_is_zero = True
    if steps.lengths is None:
        cell.d_end[0] += d_output[rows]
    else:
        lengths = steps.lengths[rows]
        here = np.flatnonzero(lengths)
        cell.d_y[lengths[here] - 1, here] = d_output[rows[here]]
        cell.d_y_is_zero = False


def _ordered(weights: np.ndarray, name: str) -> np.ndarray:
    """Return weights (G H, C) in the library's order of gates, contiguous."""
    if name == "gru":
        weights = weights.reshape(3, -1, weights.shape[1])[_ORDER]
    return np.ascontiguousarray(weights)


def _sum(found: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return the sum of the gradients (G, H, C) of all groups as the weights (G H, C) lie."""
    total = np.add.reduce(found, axis=0) if len(found) > 2 else found[0] + found[1] if len(found) == 2 else found[0]
    return (total[_ORDER] if len(total) == len(_ORDER) else total).reshape(shape)


def _bias(kind: str, bias: np.ndarray, units: int) -> np.ndarray:
    """Return the bias (G or more, H) as the library has it."""
    if kind == "lstm":
        return bias.reshape(-1, units)
    outside, inside = split_bias(bias, units)
    ordered = outside.reshape(3, units)[_ORDER]
    return ordered if kind == "gru" else np.concatenate([ordered, inside[None]])


def _bias_gradient(cells: list[Cell], shape: tuple[int, ...]) -> np.ndarray:
    total = np.add.reduce([cell.d_bias for cell in cells], axis=0)
    units = total.shape[1]
    if cells[0].kind == "lstm":
        return total.reshape(shape)
    outside = total[_ORDER].reshape(-1, 1)
    if shape[0] == 3 * units:
        return outside
    inside = outside[2 * units :] if cells[0].kind == "gru" else total[3].reshape(-1, 1)
    return np.concatenate([outside, outside[: 2 * units], inside])


def remarks(workspace: Workspace) -> list[str]:
    """Return why an operation with this workspace, or parts of it, was NumPy's the last time."""
    found = [each for each in workspace.keep(REMARK, list) if each]
    for part in workspace.parts:
        found += remarks(part)
    return found
