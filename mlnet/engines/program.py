"""A network as the engines see it: operations in order, and the plan that runs them one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace, bytes_of
from mlnet.engines.packing import pack, pad
from mlnet.errors import DataError

Key = tuple[str, str]
"""(layer name, parameter name): the key of a learnable or state value."""

TimeRule = Callable[[np.ndarray], np.ndarray | None]
"""What an operation along time makes of the lengths of sequences; None where it puts out one step for each."""


@dataclass(frozen=True)
class Node:
    """One operation of a program.

    ``inputs`` are numbers of values: of the outputs of earlier nodes, counted one after the other from 0, or -1, -2,
    ... for the data of the first, second, ... input. ``parameters`` names the arrays that follow the inputs, in the
    operation's order; their values come from a table keyed by (``name``, parameter). ``random`` operations take a
    ``generator``. An operation with several ``outputs`` returns and its backward takes tuples.

    Operations along time have a rule ``time``: they take the inputs that are sequences padded, with the ``lengths`` of
    the first, and ``more_lengths`` where further inputs are sequences; their further outputs are one for each
    observation. All other operations see packed sequences (`mlnet.engines.packing`).
    """

    name: str
    operation: str
    inputs: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    random: bool = False
    time: TimeRule | None = None
    outputs: int = 1

    @property
    def is_custom(self) -> bool:
        """Whether a class of the user computes the node: its record has the new ``states`` by name."""
        return self.operation.startswith("custom_layer")

    @property
    def is_of_users(self) -> bool:
        """Whether code of the user computes the node, which may do what it likes: start threads, say."""
        return self.is_custom or self.operation == "user_function"


@dataclass(frozen=True)
class Program:
    """Operations in an order in which every input comes before its use.

    ``outputs`` are the numbers of the values that are put out, by default the first one of the last node.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", (self.first_values[-1] if self.nodes else -1,))

    @cached_property
    def first_values(self) -> tuple[int, ...]:
        """The number of the first output of each node."""
        counts = [node.outputs for node in self.nodes]
        return tuple(accumulate(counts[:-1], initial=0)) if counts else ()

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """The number of the node that each value is an output of."""
        return tuple(number for number, node in enumerate(self.nodes) for _ in range(node.outputs))


@dataclass(frozen=True)
class Report:
    """Which engine runs a node, why it is not a faster one, and how often values change their layout for it.

    ``reorders`` counts copies of whole values in one step, ``implementations`` names what runs, ``is_rounded`` tells
    whether it takes numbers in bfloat16.
    """

    name: str
    operation: str
    engine: str
    reason: str = ""
    reorders: int = 0
    implementations: tuple[str, ...] = ()
    is_rounded: bool = False


Data = np.ndarray | Sequence[np.ndarray]
"""A mini-batch, or one for each input of a network."""


class StepPlan:
    """Runs a program operation by operation on one engine, with buffers kept between runs.

    Arrays that `forward` and `backward` return are overwritten by the next run. ``values`` and ``lengths`` have what
    was put out last and the lengths of its sequences, by the number of the value; ``saved`` the records of the nodes.
    ``gradient_room`` may be given arrays in which a plan can put gradients of parameters, instead of arrays of its own.
    """

    def __init__(self, engine: Engine, program: Program) -> None:
        self._shared: dict[Any, np.ndarray] = {}
        self.program = program
        self._running = engine.running
        self._schedules: dict[tuple[frozenset[Key], bool], list[tuple[int, tuple[bool, ...]]]] = {}
        self._operations = [engine.operation(node.operation) for node in program.nodes]
        self._workspaces = [Workspace(self._shared) for _ in program.nodes]
        self.values: list[np.ndarray] = []
        self.saved: list[Any] = []
        self.lengths: list[np.ndarray | None] = []
        self._data_lengths: Sequence[np.ndarray | None] = ()
        self.gradient_room: Mapping[Key, np.ndarray] = {}

    def forward(
        self,
        x: Data,
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None = None,
        last: int | None = None,
        lengths: np.ndarray | Sequence[np.ndarray | None] | None = None,
    ) -> np.ndarray:
        """Return the first output for the mini-batch ``x``; node ``last`` is the last one to run if given.

        For sequences, ``x`` is packed and ``lengths`` tells the number of steps of each; `output_lengths` those put
        out. Networks of several inputs take tuples of both.
        """
        nodes = self.program.nodes
        data = [x] if isinstance(x, np.ndarray) else list(x)
        self._data_lengths = list(lengths) if isinstance(lengths, (tuple, list)) else [lengths]  # type: ignore[list-item]
        self.values, self.saved, self.lengths = [], [], []
        stop = len(nodes) if last is None else last + 1
        with self._running():
            for node, operation, workspace in zip(nodes[:stop], self._operations, self._workspaces, strict=False):
                arrays = [data[-1 - source] if source < 0 else self.values[source] for source in node.inputs]
                steps = [self.lengths_of(source) for source in node.inputs]
                attributes: dict[str, Any] | Mapping[str, Any] = node.attributes
                after = common_lengths(node, steps)
                if node.random:
                    attributes = dict(attributes, generator=generator)
                if node.time is not None:
                    assert steps[0] is not None, node.name
                    arrays = [_padded(array, own) for array, own in zip(arrays, steps, strict=True)]
                    attributes = dict(attributes, lengths=steps[0])
                    if any(own is not None for own in steps[1:]):
                        attributes["more_lengths"] = tuple(steps[1:])
                    after = node.time(steps[0])
                arrays += [parameters[node.name, parameter] for parameter in node.parameters]
                output, saved = operation.forward(*arrays, workspace=workspace, **attributes)
                self.saved.append(saved)
                self._keep(node, output if isinstance(output, tuple) else (output,), after)
        return self.output(data, 0) if last is None else self.values[-1]

    def again(self, x: np.ndarray, parameters: Mapping[Key, np.ndarray]) -> np.ndarray | None:
        """Return the first output for a mini-batch like one that `forward` has computed, by the shortest way.

        None where there is no shorter way than `forward`. `output` and the rest tell nothing of it.
        """
        return None

    def _keep(self, node: Node, outputs: Sequence[np.ndarray], lengths: np.ndarray | None) -> None:
        for number, output in enumerate(outputs):
            along_time = node.time is not None
            own = lengths if number == 0 or not along_time else None
            self.values.append(pack(output, own) if along_time and own is not None else output)
            self.lengths.append(own)

    def output(self, x: Data, number: int = 0) -> np.ndarray:
        """Return one of the outputs that `forward` has computed for ``x``."""
        value = self.program.outputs[number]
        return self.values[value] if value >= 0 else (x if isinstance(x, np.ndarray) else x[-1 - value])

    def output_lengths(self, number: int = 0) -> np.ndarray | None:
        """Return the lengths of the sequences of an output; None where it has none."""
        return self.lengths_of(self.program.outputs[number])

    def lengths_of(self, value: int) -> np.ndarray | None:
        """Return the lengths of the sequences of a value, -1, -2, ... for the data; None where it has none."""
        return self._data_lengths[-1 - value] if value < 0 else self.lengths[value]

    def backward(
        self, d_output: np.ndarray | Sequence[np.ndarray | None], wanted: Collection[Key], want_input: bool = False
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients of the parameters in ``wanted`` and, if asked for, of the (first) data.

        ``d_output`` is the gradient of the output, or one for each output of the program. Nothing is computed for nodes
        below which no gradient is wanted.
        """
        nodes, first_values = self.program.nodes, self.program.first_values
        given = [d_output] if isinstance(d_output, np.ndarray) else d_output
        d_values: dict[int, np.ndarray] = {}
        for value, d_value in zip(self.program.outputs, given, strict=True):
            _add(d_values, value, d_value)
        gradients: dict[Key, np.ndarray] = {}
        with self._running():
            for number, flags in self._schedule(frozenset(wanted), want_input):
                node, first = nodes[number], first_values[number]
                d_outputs = [d_values.pop(first + output, None) for output in range(node.outputs)]
                if all(d_value is None for d_value in d_outputs):
                    continue
                steps = [self.lengths_of(source) for source in node.inputs]
                if node.time is not None:
                    d_outputs[0] = _padded(d_outputs[0], self.lengths[first])
                results = self._operations[number].backward(
                    self.saved[number],
                    d_outputs[0] if node.outputs == 1 else tuple(d_outputs),
                    wanted=flags,
                    workspace=self._workspaces[number],
                )
                for source, own, d_input in zip(node.inputs, steps, results, strict=False):
                    is_padded = node.time is not None and own is not None and d_input is not None
                    _add(d_values, source, pack(d_input, own) if is_padded else d_input)  # type: ignore[arg-type]
                for parameter, d_parameter in zip(node.parameters, results[len(node.inputs) :], strict=True):
                    if d_parameter is not None:
                        gradients[node.name, parameter] = d_parameter
        return gradients, d_values.get(-1)

    @property
    def allocated(self) -> int:
        """The number of bytes that the plan keeps between runs."""
        return bytes_of(self._shared) + sum(each.allocated for each in self._workspaces)

    def forget(self) -> None:
        """Let go of the data of the last run."""
        self.values, self.saved, self.lengths, self._data_lengths = [], [], [], ()

    def report(self) -> list[Report]:
        """Return for each node how the last mini-batch was computed."""
        return [Report(node.name, node.operation, "numpy") for node in self.program.nodes]

    def _schedule(self, wanted: frozenset[Key], want_input: bool) -> list[tuple[int, tuple[bool, ...]]]:
        """Return the nodes to go back through, last one first, and which gradients each has to give."""
        if (wanted, want_input) not in self._schedules:
            needed: list[bool] = []
            schedule = []
            for number, node in enumerate(self.program.nodes):
                flags = [
                    want_input and source == -1 if source < 0 else needed[self.program.owners[source]]
                    for source in node.inputs
                ]
                flags += [(node.name, parameter) in wanted for parameter in node.parameters]
                needed.append(any(flags))
                if needed[number]:
                    schedule.append((number, tuple(flags)))
            self._schedules[wanted, want_input] = schedule[::-1]
        return self._schedules[wanted, want_input]


def _padded(array: Any, lengths: np.ndarray | None) -> Any:
    return array if array is None or lengths is None else pad(array, lengths)


def _add(d_values: dict[int, np.ndarray], value: int, d_value: np.ndarray | None) -> None:
    if d_value is not None:
        d_values[value] = d_values[value] + d_value if value in d_values else d_value


def common_lengths(node: Node, steps: list[np.ndarray | None]) -> np.ndarray | None:
    """Return the lengths of the sequences that a node takes step by step; None where it takes none."""
    found = [own for own in steps if own is not None]
    if node.time is None:
        for own in found[1:]:
            if own is not found[0] and not np.array_equal(own, found[0]):
                raise DataError(
                    f"Layer '{node.name}': needs inputs of the same numbers of time steps, but got {found[0].tolist()} "
                    f"and {own.tolist()}. Make the sequences of the inputs equally long."
                )
    return found[0] if found else None
