"""A graph of ONNX as plain data, and how one is put together: nothing here needs the package `onnx`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OnnxNode:
    """One operator: inputs and outputs are names of tensors, '' where an optional one is left out.

    ``layer`` is the layer that it was made for.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    name: str = ""
    layer: str = ""

    @property
    def where(self) -> str:
        """How messages name the node."""
        return f"{self.operator} '{self.name or self.outputs[0]}'"


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output of a graph: lengths are numbers, or names where they are not fixed."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"


@dataclass
class OnnxGraph:
    """Nodes in an order in which they can be computed, and the constants that they take."""

    name: str
    opset: int
    inputs: list[OnnxTensor] = field(default_factory=list)
    outputs: list[OnnxTensor] = field(default_factory=list)
    nodes: list[OnnxNode] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """How many numbers the constants have."""
        return sum(value.size for value in self.constants.values())


class Builder:
    """Adds nodes and constants, named after the layer that they are made for, to a graph."""

    def __init__(self, name: str, opset: int) -> None:
        self.graph = OnnxGraph(name, opset)
        self.layer = ""
        self._taken: dict[str, int] = {}

    @property
    def opset(self) -> int:
        """Version of the set of operators."""
        return self.graph.opset

    def fresh(self, stem: str) -> str:
        """Return a name that nothing has yet: ``stem``, or that with a number behind it."""
        count = self._taken[stem] = self._taken.get(stem, 0) + 1
        return stem if count == 1 else self.fresh(f"{stem}_{count}")

    def nodes(self, operator: str, inputs: Sequence[str], outputs: Sequence[bool], **attributes: Any) -> list[str]:
        """Add a node and return the names of its outputs, '' for those that are not wanted."""
        name = self.fresh(self.layer)
        names = [self.fresh(f"{name}:{operator}") if wanted else "" for wanted in outputs]
        while names and not names[-1]:
            names.pop()
        self.graph.nodes.append(OnnxNode(operator, tuple(inputs), tuple(names), attributes, name, self.layer))
        return names

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.nodes(operator, inputs, [True], **attributes)[0]

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        """Add a constant and return its name."""
        full = self.fresh(f"{self.layer}_{name}")
        self.graph.constants[full] = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        return full

    def shape(self, lengths: Sequence[int]) -> str:
        """Add a list of whole numbers and return its name."""
        return self.constant("shape", list(lengths), np.int64)

    def reshaped(self, x: str, lengths: Sequence[int]) -> str:
        """Return x with other lengths: 0 keeps one, -1 is what is left."""
        return self.node("Reshape", x, self.shape(lengths))

    def transposed(self, x: str, order: Sequence[int]) -> str:
        """Return x with its axes in another order."""
        order = list(order)
        return x if order == list(range(len(order))) else self.node("Transpose", x, perm=order)

    def mean(self, x: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Return the mean over axes, which version 18 of the operators takes as an input."""
        return self._reduced("ReduceMean", x, axes, keep)

    def maximum(self, x: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Return the maximum over axes."""
        return self._reduced("ReduceMax", x, axes, keep)

    def product(self, x: str, axes: Sequence[int]) -> str:
        """Return the product over axes, which stay with length 1."""
        return self._reduced("ReduceProd", x, axes, True)

    def _reduced(self, operator: str, x: str, axes: Sequence[int], keep: bool) -> str:
        if self.opset < 18:
            return self.node(operator, x, axes=list(axes), keepdims=int(keep))
        return self.node(operator, x, self.shape(axes), keepdims=int(keep))

    def squeezed(self, x: str, axis: int) -> str:
        """Return x without an axis of length 1."""
        return self.node("Squeeze", x, self.shape([axis]))

    def unsqueezed(self, x: str, axis: int) -> str:
        """Return x with one more axis of length 1."""
        return self.node("Unsqueeze", x, self.shape([axis]))
