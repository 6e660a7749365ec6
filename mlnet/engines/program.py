"""A network as the engines see it: operations in order, and the plan that runs them one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.packing import pack, pad

Key = tuple[str, str]
"""(layer name, parameter name): the key of a learnable or state value."""

TimeRule = Callable[[np.ndarray], np.ndarray | None]
"""What an operation along time makes of the lengths of sequences; None where it puts out one step for each."""


@dataclass(frozen=True)
class Node:
    """One operation of a program.

    ``inputs`` are numbers of earlier nodes, -1 for the data. ``parameters`` names the arrays that follow the inputs, in
    the operation's order; their values come from a table keyed by (``name``, parameter). ``random`` operations take a
    ``generator``. Operations along time have a rule ``time``: they take their first input padded, with ``lengths``; all
    others see packed sequences (`mlnet.engines.packing`).
    """

    name: str
    operation: str
    inputs: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    random: bool = False
    time: TimeRule | None = None
    outputs: int = 1


@dataclass(frozen=True)
class Program:
    """Operations in an order in which every input comes before its use; the last node is the output."""

    nodes: tuple[Node, ...]


class StepPlan:
    """Runs a program operation by operation on one engine, with buffers kept between runs.

    Arrays that `forward` and `backward` return are overwritten by the next run.
    """

    def __init__(self, engine: Engine, program: Program) -> None:
        shared: dict[Any, np.ndarray] = {}
        self.program = program
        self._running = engine.running
        self._schedules: dict[tuple[frozenset[Key], bool], list[tuple[int, tuple[bool, ...]]]] = {}
        self._operations = [engine.operation(node.operation) for node in program.nodes]
        self._workspaces = [Workspace(shared) for _ in program.nodes]
        self.outputs: list[np.ndarray] = []
        self.saved: list[Any] = []
        self.lengths: list[np.ndarray | None] = []
        self._data_lengths: np.ndarray | None = None

    def forward(
        self,
        x: np.ndarray,
        values: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None = None,
        last: int | None = None,
        lengths: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the output of node ``last`` (by default the final one) for the mini-batch ``x``.

        For sequences, ``x`` is packed and ``lengths`` tells the number of steps of each; `lengths_of` those put out.
        """
        nodes = self.program.nodes
        count = len(nodes) if last is None else last + 1
        self.outputs, self.saved, self.lengths, self._data_lengths = [], [], [], lengths
        with self._running():
            for node, operation, workspace in zip(nodes[:count], self._operations, self._workspaces, strict=False):
                arrays = [x if source < 0 else self.outputs[source] for source in node.inputs]
                arrays += [values[node.name, parameter] for parameter in node.parameters]
                attributes = dict(node.attributes, generator=generator) if node.random else node.attributes
                steps = self.lengths_of(node.inputs[0])
                if node.time is not None:
                    assert steps is not None, node.name
                    arrays[0] = pad(arrays[0], steps)
                    attributes = dict(attributes, lengths=steps)
                    steps = node.time(steps)
                output, saved = operation.forward(*arrays, workspace=workspace, **attributes)
                if node.time is not None and steps is not None:
                    output = pack(output, steps)
                self.outputs.append(output)
                self.saved.append(saved)
                self.lengths.append(steps)
        return self.outputs[-1] if count else x

    def output_lengths(self) -> np.ndarray | None:
        """Return the lengths of the sequences that `forward` returned last; None where there are none."""
        return self.lengths_of(len(self.outputs) - 1)

    def lengths_of(self, number: int) -> np.ndarray | None:
        """Return the lengths of the sequences that a node put out last, -1 for the data; None where there are none."""
        return self._data_lengths if number < 0 else self.lengths[number]

    def backward(
        self, d_output: np.ndarray, wanted: Collection[Key], want_input: bool = False
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients of the parameters in ``wanted`` and, if asked for, of the data.

        Nothing is computed for nodes below which no gradient is wanted.
        """
        nodes = self.program.nodes
        d_outputs: dict[int, np.ndarray] = {len(nodes) - 1: d_output}
        gradients: dict[Key, np.ndarray] = {}
        with self._running():
            for number, flags in self._schedule(frozenset(wanted), want_input):
                if number not in d_outputs:
                    continue
                node = nodes[number]
                gradient = d_outputs.pop(number)
                before, after = self.lengths_of(node.inputs[0]), self.lengths[number]
                if node.time is not None and after is not None:
                    gradient = pad(gradient, after)
                results = self._operations[number].backward(
                    self.saved[number], gradient, wanted=flags, workspace=self._workspaces[number]
                )
                if node.time is not None and before is not None and results[0] is not None:
                    results = (pack(results[0], before), *results[1:])
                for source, d_input in zip(node.inputs, results, strict=False):
                    if d_input is not None:
                        d_outputs[source] = d_outputs[source] + d_input if source in d_outputs else d_input
                for parameter, d_parameter in zip(node.parameters, results[len(node.inputs) :], strict=True):
                    if d_parameter is not None:
                        gradients[node.name, parameter] = d_parameter
        return gradients, d_outputs.get(-1)

    def _schedule(self, wanted: frozenset[Key], want_input: bool) -> list[tuple[int, tuple[bool, ...]]]:
        """Return the nodes to go back through, last one first, and which gradients each has to give."""
        if (wanted, want_input) not in self._schedules:
            needed = self._needed(wanted, want_input)
            schedule = []
            for number, node in enumerate(self.program.nodes):
                flags = [want_input if source < 0 else needed[source] for source in node.inputs]
                flags += [(node.name, parameter) in wanted for parameter in node.parameters]
                if needed[number]:
                    schedule.append((number, tuple(flags)))
            self._schedules[wanted, want_input] = schedule[::-1]
        return self._schedules[wanted, want_input]

    def _needed(self, wanted: Collection[Key], want_input: bool) -> list[bool]:
        """Tell for each node whether a gradient is wanted for it or for anything below it."""
        needed: list[bool] = []
        for node in self.program.nodes:
            below = any(want_input if source < 0 else needed[source] for source in node.inputs)
            needed.append(below or any((node.name, parameter) in wanted for parameter in node.parameters))
        return needed
