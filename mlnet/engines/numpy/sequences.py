"""Padded mini-batches of sequences: (N, T, C) outside, step by step (L, N, C) inside recurrent operations.

L is the length of the longest sequence: steps beyond it are not run. What lies behind the end of a sequence enters as
zeros, and the hidden state behind it is set to zero, so that everything stays finite; as no gradient starts there, none
comes back from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class Steps(NamedTuple):
    """In which order and how long the observations of a mini-batch run.

    ``longest`` L is the number of steps of the longest observation. Where observations have different ends, ``lengths``
    (N,) are their numbers of steps, ``ended`` (L, N) tells which are over, ``running`` (L, N, 1) is 1 before the end
    and 0 behind it, and ``order`` (L, N) is the time step that each observation takes as its next one when it runs in
    reverse; otherwise these are None. ``shortest`` is the number of steps before any observation ends.
    """

    longest: int
    shortest: int
    reverse: bool
    lengths: np.ndarray | None = None
    ended: np.ndarray | None = None
    running: np.ndarray | None = None
    order: np.ndarray | None = None

    def masks(self, rows: slice) -> Iterable[np.ndarray | None]:
        """Return for each step what the hidden states (``rows``, H) are multiplied by, or None for 1."""
        if self.running is None:
            return [None] * self.longest
        return [None] * self.shortest + list(self.running[self.shortest :, rows])


def plan_steps(x: np.ndarray, lengths: Any, reverse: bool) -> Steps:
    """Return the steps of the sequences x (N, T, C) with ``lengths`` (N,), or None where all of T belong to them."""
    if lengths is None or not len(x):
        return Steps(x.shape[1], x.shape[1], reverse)
    lengths = np.asarray(lengths)
    longest, shortest = int(lengths.max()), int(lengths.min())
    assert lengths.shape == x.shape[:1] and shortest >= 0 and longest <= x.shape[1], lengths
    if longest == shortest:
        return Steps(longest, longest, reverse)
    time = np.arange(longest)[:, None]
    ended = time >= lengths
    running = np.logical_not(ended)[:, :, None].astype(x.dtype)
    order = np.where(ended, time, lengths - 1 - time) if reverse else None
    return Steps(longest, shortest, reverse, lengths, ended, running, order)


def to_steps(x: np.ndarray, steps: Steps, out: np.ndarray) -> None:
    """Write the sequences x (N, T, C) to ``out`` (L, N, C) in the order of the steps, zeros behind the ends."""
    if steps.order is not None:
        out[...] = x[np.arange(len(x)), steps.order]
    else:
        x = x[:, : steps.longest]
        out[...] = (x[:, ::-1] if steps.reverse else x).transpose(1, 0, 2)
    if steps.ended is not None:
        out[steps.ended] = 0


def from_steps(x: np.ndarray, steps: Steps, out: np.ndarray) -> None:
    """Write x (L, N, C), which is zero behind the ends, to sequences ``out`` (N, T, C)."""
    if steps.order is not None:  # its own inverse
        out[:, : steps.longest] = x[steps.order.T, np.arange(len(out))[:, None]]
    else:
        out[:, : steps.longest] = (x[::-1] if steps.reverse else x).transpose(1, 0, 2)
    out[:, steps.longest :] = 0


def with_ones(x: np.ndarray, steps: Steps, workspace: Workspace) -> np.ndarray:
    """Return x by steps with a last channel of ones, (L, N, C + 1), so that weights times it include a bias."""
    channels = x.shape[2]
    inputs = workspace.empty("inputs", (steps.longest, len(x), channels + 1), x.dtype)
    to_steps(x, steps, inputs[:, :, :channels])
    inputs[:, :, channels] = 1
    return inputs


def start_state(state: np.ndarray, out: np.ndarray) -> None:
    """Write an initial state, (H, 1) for all observations or (N, H), to ``out`` (N, H)."""
    out[...] = state.T if state.shape == (out.shape[1], 1) else state


def start_state_gradient(d_state: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the gradient of an initial state of ``shape`` from that of each observation's, (N, H)."""
    if shape == (d_state.shape[1], 1):
        return np.add.reduce(d_state, axis=0).reshape(shape)
    return d_state.copy()


def end_state(states: np.ndarray, steps: Steps) -> np.ndarray:
    """Return a copy (N, H) of the state at each observation's end; ``states`` (L + 1, N, H) start before step 1."""
    return states[_ends(steps, states.shape[1])].copy()


def write_output(hidden: np.ndarray, steps: Steps, time: int, workspace: Workspace) -> np.ndarray:
    """Return the hidden states (L + 1, N, H) as the sequences (N, time, H) that a layer puts out."""
    output = workspace.empty("output", (hidden.shape[1], time, hidden.shape[2]), hidden.dtype)
    from_steps(hidden[1:], steps, output)
    return output


def hidden_gradients(
    d_output: np.ndarray, steps: Steps, workspace: Workspace, d_end: np.ndarray | None = None
) -> np.ndarray:
    """Return what ``d_output``, (N, T, H) or (N, H) for the last step only, gives to the hidden states.

    ``d_end`` (N, H) is a gradient of the states at the ends. The result (L + 1, N, H) starts with the initial states.
    """
    shape = (steps.longest + 1, len(d_output), d_output.shape[-1])
    d_hidden = workspace.scratch("d_hidden", shape, d_output.dtype)
    if d_output.ndim == 3:
        d_hidden[0] = 0
        to_steps(d_output, steps, d_hidden[1:])
    else:
        d_hidden[...] = 0
        d_hidden[_ends(steps, len(d_output))] = d_output
    if d_end is not None:
        d_hidden[_ends(steps, len(d_output))] += d_end
    return d_hidden


def end_gradients(d_end: np.ndarray | None, steps: Steps, rows: slice) -> Iterable[np.ndarray | None]:
    """Return for each step, the last one first, what the gradient ``d_end`` (N, H) of the states at the ends adds.

    Only observations (``rows``) that end with the step get something; None where there are none.
    """
    if d_end is None:
        return [None] * steps.longest
    if steps.lengths is None:
        return [d_end[rows], *[None] * (steps.longest - 1)][: steps.longest]
    ends = [steps.lengths[rows] == step for step in range(steps.longest, 0, -1)]
    return [d_end[rows] * here[:, None] if here.any() else None for here in ends]


def _ends(steps: Steps, observations: int) -> Any:
    """Return the index of the state at each observation's end in an array of all states."""
    return steps.longest if steps.lengths is None else (steps.lengths, np.arange(observations))
