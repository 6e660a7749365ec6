"""Programs of networks, run operation by operation on traced arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.engines.program import Key, Node, Program
from mlnet.errors import DataError
from mlnet.functional import traced
from mlnet.functional.pairs import call_pair

Lengths = np.ndarray | None


class TracedRun:
    """What a program makes of traced arrays.

    ``values`` are the outputs of its nodes, ``lengths`` those of their sequences, ``saved`` the records of operations
    of the engine, by the number of the node.

    Parameters
    ----------
    program : Program
    data : sequence of dlarray
        The inputs in the layout of engines, sequences packed; all sequences have the same length.
    lengths : sequence of ndarray or None
        The lengths of the sequences of each input.
    parameters : mapping
        dlarrays by (layer name, parameter name).
    generator : Generator
        For random operations.
    """

    def __init__(
        self,
        program: Program,
        data: Sequence[dlarray],
        lengths: Sequence[Lengths],
        parameters: Mapping[Key, dlarray],
        generator: np.random.Generator,
    ) -> None:
        self._data, self._data_lengths = data, lengths
        self.program = program
        self.values: list[dlarray] = []
        self.lengths: list[Lengths] = []
        self.saved: dict[int, Any] = {}
        for number, node in enumerate(program.nodes):
            own = generator if node.random else None
            self._run(number, node, [parameters[node.name, each] for each in node.parameters], own)

    def outputs(self) -> list[tuple[dlarray, Lengths]]:
        """Return the outputs of the program and the lengths of their sequences."""
        return [(self._value(number), self._lengths_of(number)) for number in self.program.outputs]

    def _value(self, number: int) -> dlarray:
        return self._data[-1 - number] if number < 0 else self.values[number]

    def _lengths_of(self, number: int) -> Lengths:
        return self._data_lengths[-1 - number] if number < 0 else self.lengths[number]

    def _run(self, number: int, node: Node, parameters: list[dlarray], generator: np.random.Generator | None) -> None:
        inputs = [self._value(each) for each in node.inputs]
        steps = [self._lengths_of(each) for each in node.inputs]
        attributes = dict(node.attributes)
        after = next((own for own in steps if own is not None), None)
        if node.time is None:
            _check_equal(node.name, steps)
        else:
            assert steps[0] is not None, node.name
            inputs = [_padded(each, own) for each, own in zip(inputs, steps, strict=True)]
            attributes["lengths"] = steps[0]
            if any(own is not None for own in steps[1:]):
                attributes["more_lengths"] = tuple(steps[1:])
            after = node.time(steps[0])
        if node.operation == "custom_layer":
            self.saved[number] = SimpleNamespace(states={})
            attributes["states"] = self.saved[number].states
            attributes["generator"] = generator
        if node.operation in traced.OPERATIONS:
            found = traced.OPERATIONS[node.operation](*inputs, *parameters, **attributes)
            outputs = found if isinstance(found, tuple) else (found,)
        else:
            where = f"Layer '{node.name}' ({node.operation})"
            outputs, self.saved[number] = call_pair(
                where, node.operation, [*inputs, *parameters], attributes, generator=generator
            )
        for place, output in enumerate(outputs):
            own = after if place == 0 or node.time is None else None
            is_padded = node.time is not None and own is not None
            self.values.append(output.reshape(-1, *output.shape[2:]) if is_padded else output)
            self.lengths.append(own)


def _padded(array: dlarray, lengths: Lengths) -> dlarray:
    """Return packed sequences of one length with an axis for the time."""
    return array if lengths is None else array.reshape(len(lengths), -1, *array.shape[1:])


def _check_equal(name: str, steps: list[Lengths]) -> None:
    found = [own for own in steps if own is not None]
    for own in found[1:]:
        if not np.array_equal(own, found[0]):
            raise DataError(
                f"Layer '{name}': needs inputs of the same numbers of time steps, but got {found[0][0]} and {own[0]}."
            )
