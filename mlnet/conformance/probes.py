"""Engines around an engine: they hand its operations what a layer must not depend on, and watch what they do.

A `Wrapper` makes another operation of that of a node. Each node of a program gets its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.conformance.differences import scattered
from mlnet.engines.base import Engine, Loss, Operation
from mlnet.engines.program import Node, Program

Wrapper = Callable[[Node, Operation], Operation]


class Probe(Engine):
    """An engine with its operations wrapped, for one program; they have the numbers of its nodes as names."""

    def __init__(self, engine: Engine, operations: Mapping[str, Operation]) -> None:
        self.name, self._engine, self._operations = engine.name, engine, operations

    @classmethod
    def around(cls, engine: Engine, program: Program, wrapper: Wrapper) -> tuple[Probe, Program]:
        """Return the engine, and the program that runs on it."""
        operations = {
            str(number): wrapper(node, engine.operation(node.operation)) for number, node in enumerate(program.nodes)
        }
        nodes = tuple(replace(node, operation=str(number)) for number, node in enumerate(program.nodes))
        return cls(engine, operations), replace(program, nodes=nodes)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The wrapped operations."""
        return self._operations

    @property
    def losses(self) -> Mapping[str, Loss]:
        """The losses of the engine."""
        return self._engine.losses

    def running(self) -> AbstractContextManager[None]:
        """Return the context of the engine."""
        return self._engine.running()


def scattering(node: Node, operation: Operation) -> Operation:
    """Hand over arrays whose elements do not lie next to one another."""

    def forward(*arrays: np.ndarray, **attributes: Any) -> Any:
        return operation.forward(*map(scattered, arrays), **attributes)

    def backward(saved: Any, d_output: Any, **more: Any) -> Any:
        return operation.backward(saved, _each(_scattered_or_none, d_output), **more)

    return Operation(forward, backward)


def guarding(node: Node, operation: Operation) -> Operation:
    """Raise AssertionError where the operation changes what it is given."""

    def forward(*arrays: np.ndarray, **attributes: Any) -> Any:
        before = [array.copy() for array in arrays]
        found = operation.forward(*arrays, **attributes)
        names = [f"input {n + 1}" for n in range(len(arrays) - len(node.parameters))] + list(node.parameters)
        _unchanged(f"The forward of '{node.operation}'", names, before, arrays)
        saved[id(found[1])] = (names, before, arrays)
        return found

    saved: dict[int, Any] = {}

    def backward(record: Any, d_output: Any, **more: Any) -> Any:
        gradients = d_output if isinstance(d_output, tuple) else (d_output,)
        before = [None if each is None else each.copy() for each in gradients]
        found = operation.backward(record, d_output, **more)
        what = f"The backward of '{node.operation}'"
        _unchanged(what, ["the gradient of its output"] * len(before), before, gradients)
        _unchanged(what, *saved[id(record)])
        return found

    return Operation(forward, backward)


def littering(node: Node, operation: Operation) -> Operation:
    """Put large numbers behind the ends of sequences, in data and in gradients."""
    time = node.time
    if time is None:
        return operation
    after: list[np.ndarray | None] = [None]

    def forward(*arrays: np.ndarray, lengths: np.ndarray, **attributes: Any) -> Any:
        own = [lengths, *attributes.get("more_lengths", ())]
        own += [None] * (len(arrays) - len(own))
        after[0] = time(lengths)
        littered = [_littered(array, each) for array, each in zip(arrays, own, strict=True)]
        return operation.forward(*littered, lengths=lengths, **attributes)

    def backward(saved: Any, d_output: Any, **more: Any) -> Any:
        first, *others = d_output if isinstance(d_output, tuple) else (d_output,)
        first = first if first is None else _littered(first, after[0])
        return operation.backward(saved, (first, *others) if isinstance(d_output, tuple) else first, **more)

    return Operation(forward, backward)


def _littered(array: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    if lengths is None:
        return array
    behind = np.arange(array.shape[1]) >= np.asarray(lengths)[:, None]
    littered = array.copy()
    littered[behind] = 1000 * (1 + np.random.default_rng(3).random(littered[behind].shape))
    return littered


def _unchanged(what: str, names: list[str], before: Any, after: Any) -> None:
    for name, old, new in zip(names, before, after, strict=True):
        if old is not None and not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            raise AssertionError(f"{what} needs to leave {name} as it is, but has changed it.")


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    return tuple(map(function, value)) if isinstance(value, tuple) else function(value)


def _scattered_or_none(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else scattered(array)
