"""Merges neighbouring operations of a program where one pass over memory can do the work of two.

A batch normalization whose only reader is a ReLU becomes one that rectifies its output itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mlnet.engines.program import Node, Program

_RECTIFIABLE = ("batch_normalization", "batch_normalization_inference")


def fuse(program: Program) -> Program:
    """Return a program with the same output and gradients and fewer nodes.

    A merged node keeps the name, and with it the parameters, of its first part; the output of that part cannot be
    looked at any more.
    """
    readers = Counter(source for node in program.nodes for source in node.inputs)
    readers.update(program.outputs)
    place: dict[int, int] = {}  # from values of the program to those of the new one
    owners: list[int] = []
    nodes: list[Node] = []
    for first, node in zip(program.first_values, program.nodes, strict=True):
        if _rectifies(program, node, readers):
            place[first] = place[node.inputs[0]]
            at = owners[place[first]]
            nodes[at] = replace(nodes[at], attributes={**nodes[at].attributes, "rectified": True})
        else:
            place.update({first + output: len(owners) + output for output in range(node.outputs)})
            owners += [len(nodes)] * node.outputs
            nodes.append(replace(node, inputs=tuple(place.get(source, source) for source in node.inputs)))
    return Program(tuple(nodes), tuple(place.get(value, value) for value in program.outputs))


def _rectifies(program: Program, node: Node, readers: Counter[int]) -> bool:
    """Tell whether ``node`` is a ReLU that alone reads a normalization."""
    if node.operation != "relu" or node.inputs[0] < 0:
        return False
    source = program.nodes[program.owners[node.inputs[0]]]
    return source.operation in _RECTIFIABLE and readers[node.inputs[0]] == 1
