"""Groups of operators that other libraries write for one layer, put together before a graph is imported.

Products are taken apart into a number, constant arrays, factors and divisors, so that the order in which a file
multiplies and divides plays no part. GELU and SiLU become Gelu and Swish; normalizations by the root mean square or by
mean and variance become RMSNormalization and LayerNormalization, with the attribute ``axes`` that the standard lacks.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxGraph, OnnxNode
from mlnet.interop.onnx.operators import computed
from mlnet.interop.onnx.operators.use import NotComputed

_DEPTH = 8
"""How many products behind one another are taken apart."""
_SMALL = 4096
"""Elements that a constant may have which is computed to be looked at."""


@dataclass
class Product:
    """A number times constant arrays times factors, divided by divisors."""

    number: float = 1.0
    arrays: list[str] = field(default_factory=list)
    factors: list[str] = field(default_factory=list)
    divisors: list[str] = field(default_factory=list)


class Fusing:
    """A graph with the node that makes each tensor."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._values: dict[str, np.ndarray | None] = {}

    def maker(self, name: str, *operators: str) -> OnnxNode | None:
        """Return the node that makes a tensor where it is one of some operators."""
        node = self.makers.get(name)
        while node is not None and node.operator in ("Identity", "Cast") and node.operator not in operators:
            if node.operator == "Cast" and node.attributes.get("to") != 1:
                return None
            name = node.inputs[0]
            node = self.makers.get(name)
        return node if node is not None and node.operator in operators else None

    def same(self, a: str, b: str) -> bool:
        """Tell whether two names mean the same tensor."""
        return self.plain(a) == self.plain(b)

    def plain(self, name: str) -> str:
        """Return a name without what only passes a tensor on."""
        node = self.makers.get(name)
        while node is not None and node.operator == "Identity":
            name = node.inputs[0]
            node = self.makers.get(name)
        return name

    def value(self, name: str) -> np.ndarray | None:
        """Return a constant, also one that a small computation makes; None for all else."""
        if name in self.graph.constants:
            return self.graph.constants[name]
        if name not in self._values:
            self._values[name] = None
            node = self.makers.get(name)
            if node is not None and node.operator in (
                "Constant",
                "Identity",
                "Cast",
                "Sqrt",
                "Div",
                "Mul",
                "Reciprocal",
            ):
                given = [self.value(each) for each in node.inputs]
                if all(each is not None and each.size <= _SMALL for each in given):
                    with suppress(NotComputed, ValueError, TypeError, AttributeError):
                        self._values[name] = computed(node.operator, given, node.attributes, self.graph.opset)[0]
        return self._values[name]

    def number(self, name: str) -> float | None:
        """Return the number that a constant of one element is."""
        value = self.value(name)
        return float(value.ravel()[0]) if value is not None and value.size == 1 and value.dtype.kind in "fiu" else None

    def product(self, name: str, depth: int = _DEPTH) -> Product:
        """Return the parts of what a tensor is a product of."""
        result = Product()
        self._take(name, result, False, depth)
        return result

    def _take(self, name: str, result: Product, divides: bool, depth: int) -> None:
        number = self.number(name)
        if number is not None and number != 0:
            result.number *= 1 / number if divides else number
            return
        if self.value(name) is not None:
            (result.divisors if divides else result.arrays).append(name)
            return
        node = self.maker(name, "Mul", "Div", "Reciprocal", "Pow", "Neg") if depth else None
        if node is not None and node.operator == "Mul":
            for each in node.inputs:
                self._take(each, result, divides, depth - 1)
            return
        if node is not None and node.operator in ("Div", "Reciprocal"):
            first, last = node.inputs if node.operator == "Div" else ("", node.inputs[0])
            if first:
                self._take(first, result, divides, depth - 1)
            self._take(last, result, not divides, depth - 1)
            return
        exponent = self.number(node.inputs[1]) if node is not None and node.operator == "Pow" else None
        if exponent in (2, 3) and node is not None:
            for _ in range(int(exponent or 0)):
                self._take(node.inputs[0], result, divides, depth - 1)
            return
        (result.divisors if divides else result.factors).append(self.plain(name))

    def added(self, name: str, number: float | None = None) -> tuple[str, float] | None:
        """Return what a tensor is besides a number that is added to it."""
        node = self.maker(name, "Add")
        for first, last in (node.inputs, node.inputs[::-1]) if node is not None else ():
            found = self.number(last)
            if found is not None and (number is None or math.isclose(found, number, rel_tol=1e-4)):
                return first, found
        return None

    # What a product can be.

    def gelu(self, product: Product) -> tuple[str, str] | None:
        """Return x and the approximation where a product is ``x Phi(x)``."""
        if product.arrays or product.divisors or len(product.factors) != 2 or not _close(product.number, 0.5):
            return None
        for x, gate in (product.factors, product.factors[::-1]):
            found = self.added(gate, 1.0)
            node = self.maker(found[0], "Erf", "Tanh") if found else None
            if node is None:
                continue
            inside = self.product(node.inputs[0])
            if inside.arrays or inside.divisors or len(inside.factors) != 1:
                continue
            if node.operator == "Erf" and _close(inside.number, math.sqrt(0.5)) and self.same(inside.factors[0], x):
                return x, "none"
            total = self.maker(inside.factors[0], "Add")
            if node.operator == "Tanh" and total is not None and _close(inside.number, math.sqrt(2 / math.pi)):
                for first, cubic in (total.inputs, total.inputs[::-1]):
                    parts = self.product(cubic)
                    is_cube = [self.same(each, x) for each in parts.factors] == [True] * 3
                    if self.same(first, x) and is_cube and _close(parts.number, 0.044715) and not parts.arrays:
                        return x, "tanh"
        return None

    def swish(self, product: Product) -> str | None:
        """Return x where a product is ``x / (1 + exp(-x))``."""
        if product.arrays or product.divisors or len(product.factors) != 2 or product.number != 1:
            return None
        for x, gate in (product.factors, product.factors[::-1]):
            node = self.maker(gate, "Sigmoid")
            if node is not None and self.same(node.inputs[0], x):
                return x
        return None

    def normalization(self, product: Product) -> OnnxNode | None:
        """Return the operator where a product is x or ``x - mean``, divided by the root of the mean of its squares."""
        if len(product.factors) != 1 or len(product.divisors) != 1 or len(product.arrays) > 1:
            return None
        (x,), (divisor,) = product.factors, product.divisors
        root = self.maker(divisor, "Sqrt")
        shifted = self.added(root.inputs[0]) if root is not None else None
        mean = self.maker(shifted[0], "ReduceMean") if shifted else None
        axes = self._axes(mean)
        if shifted is None or mean is None or axes is None or product.number != 1:
            return None
        squares = self.product(mean.inputs[0])
        if squares.arrays or squares.divisors or squares.number != 1 or len(squares.factors) != 2:
            return None
        if not all(self.same(each, x) for each in squares.factors):
            return None
        given: dict[str, Any] = {"epsilon": shifted[1], "axes": axes}
        centred = self.maker(x, "Sub")
        of_mean = self.maker(centred.inputs[1], "ReduceMean") if centred is not None else None
        scale = product.arrays[0] if product.arrays else self._one()
        if centred is not None and of_mean is not None:
            is_mean = self._axes(of_mean) == axes and self.same(centred.inputs[0], of_mean.inputs[0])
            if is_mean:
                return OnnxNode("LayerNormalization", (centred.inputs[0], scale), (), given)
        return OnnxNode("RMSNormalization", (x, scale), (), given)

    def _axes(self, node: OnnxNode | None) -> list[int] | None:
        if node is None or not node.attributes.get("keepdims", 1):
            return None
        axes = node.attributes.get("axes")
        if len(node.inputs) > 1:
            value = self.value(node.inputs[1])
            axes = None if value is None else [int(n) for n in value.ravel()]
        return list(axes) if axes else None

    def _one(self) -> str:
        self.graph.constants.setdefault("one\0", np.ones((), np.float32))
        return "one\0"


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-3)


def fused(graph: OnnxGraph) -> OnnxGraph:
    """Return a graph in which groups of operators have become one, without what nothing needs any more."""
    kinds = {node.operator for node in graph.nodes}
    if not kinds & {"Erf", "Tanh", "Sigmoid", "ReduceMean"}:
        return graph
    graph = replace(graph, constants=dict(graph.constants))
    work, nodes = Fusing(graph), []
    for node in graph.nodes:
        made = _replaced(work, node)
        nodes.append(made)
        if made is not node:
            work.makers[node.outputs[0]] = made
    return replace(graph, nodes=_needed(nodes, graph))


def _replaced(work: Fusing, node: OnnxNode) -> OnnxNode:
    if node.operator == "Add":
        return _with_offset(work, node)
    if node.operator not in ("Mul", "Div"):
        return node
    product = work.product(node.outputs[0])
    gelu = work.gelu(product)
    swish = work.swish(product)
    made: OnnxNode | None = None
    if gelu is not None:
        made = OnnxNode("Gelu", (gelu[0],), (), {"approximate": gelu[1]})
    elif swish is not None:
        made = OnnxNode("Swish", (swish,), (), {})
    else:
        made = work.normalization(product) or _with_scale(work, product)
    return node if made is None else replace(made, outputs=node.outputs, name=node.name)


def _with_scale(work: Fusing, product: Product) -> OnnxNode | None:
    """Return a normalization with the scale that its output is multiplied by."""
    if len(product.factors) != 1 or len(product.arrays) != 1 or product.divisors or product.number != 1:
        return None
    made = work.maker(product.factors[0], "LayerNormalization", "RMSNormalization")
    if made is None or made.inputs[1:] != ("one\0",):
        return None
    return replace(made, inputs=(made.inputs[0], product.arrays[0]))


def _with_offset(work: Fusing, node: OnnxNode) -> OnnxNode:
    """Return a LayerNormalization with the offset that is added to one."""
    for first, last in (node.inputs, node.inputs[::-1]):
        made = work.maker(first, "LayerNormalization")
        if made is not None and len(made.inputs) == 2 and "axes" in made.attributes and work.value(last) is not None:
            return replace(made, inputs=(*made.inputs, last), outputs=node.outputs, name=node.name)
    return node


def _needed(nodes: list[OnnxNode], graph: OnnxGraph) -> list[OnnxNode]:
    """Return the nodes on which outputs depend; those that had no use from the beginning stay."""
    before = Counter(name for node in graph.nodes for name in node.inputs)
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(tensor.name for tensor in graph.outputs)
    kept = []
    for node in reversed(nodes):
        if any(uses[name] for name in node.outputs if name) or not any(before[name] for name in node.outputs):
            kept.append(node)
        else:
            uses.subtract(node.inputs)
    return kept[::-1]
