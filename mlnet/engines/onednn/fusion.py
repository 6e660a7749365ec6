"""ReLU in one primitive with the convolution or addition before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.program import Node, Program

RECTIFIABLE = ("convolution2d", "convolution3d", "grouped_convolution2d", "transposed_convolution2d", "addition")
PREFIX = "rectified_"


def fuse(program: Program) -> Program:
    """Return the program with every ReLU that alone reads a convolution or addition merged with it."""
    readers = Counter(source for node in program.nodes for source in node.inputs)
    readers.update(program.outputs)
    place: dict[int, int] = {}
    owners: list[int] = []
    nodes: list[Node] = []
    for first, node in zip(program.first_values, program.nodes, strict=True):
        source = node.inputs[0] if node.inputs else -1
        if node.operation == "relu" and source >= 0 and readers[source] == 1 and _can_rectify(program, source):
            place[first] = place[source]
            at = owners[place[first]]
            nodes[at] = replace(nodes[at], operation=PREFIX + nodes[at].operation)
        else:
            place.update({first + output: len(owners) + output for output in range(node.outputs)})
            owners += [len(nodes)] * node.outputs
            nodes.append(replace(node, inputs=tuple(place.get(value, value) for value in node.inputs)))
    return Program(tuple(nodes), tuple(place.get(value, value) for value in program.outputs))


def _can_rectify(program: Program, value: int) -> bool:
    return program.nodes[program.owners[value]].operation in RECTIFIABLE


class _RectifiedState(NamedTuple):
    """What the backward needs: what the convolution saved, and its rectified output."""

    saved: Any
    output: np.ndarray


def rectified(operation: Operation) -> Operation:
    """Return an operation with ReLU behind it."""

    def forward(*arrays: np.ndarray, workspace: Workspace, **attributes: Any) -> tuple[np.ndarray, _RectifiedState]:
        output, saved = operation.forward(*arrays, workspace=workspace, **attributes)
        assert isinstance(output, np.ndarray)
        np.maximum(output, 0, out=output)
        return output, _RectifiedState(saved, output)

    def backward(
        saved: _RectifiedState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
    ) -> tuple[np.ndarray | None, ...]:
        gated = workspace.empty("gated", d_output.shape, d_output.dtype)
        np.multiply(d_output, saved.output > 0, out=gated)
        return operation.backward(saved.saved, gated, wanted=wanted, workspace=workspace)

    return Operation(forward, backward)


def with_rectified(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    """Return a table of operations with those that `fuse` makes."""
    return {**operations, **{PREFIX + name: rectified(operations[name]) for name in RECTIFIABLE}}
