"""Operators that move, join and part axes, and constants and shapes: what becomes no layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import NotImported, Symbol
from mlnet.interop.onnx.reading.importer import Importer, Operator

_MOST_ELEMENTS = 2**28
"""Of a constant that is made of one number."""


def transpose(importer: Importer, node: OnnxNode) -> None:
    """Change the order of axes."""
    x = importer.tensor(node.inputs[0])
    order = node.attributes.get("perm", list(range(len(x.axes)))[::-1])
    importer.tensors[node.outputs[0]] = x.transposed(order)


def flatten(importer: Importer, node: OnnxNode) -> None:
    """Join axes into two."""
    x = importer.tensor(node.inputs[0])
    axis = node.attributes.get("axis", 1) % len(x.axes)
    joined = [tuple(label for each in part for label in each) for part in (x.axes[:axis], x.axes[axis:])]
    importer.tensors[node.outputs[0]] = x.with_axes([each or ("1",) for each in joined])


def reshape(importer: Importer, node: OnnxNode) -> None:
    """Join or part axes."""
    x = importer.tensor(node.inputs[0])
    shape: list[Symbol] = list(importer.shapes.get(node.inputs[1]) or importer.whole(node.inputs[1]))
    importer.tensors[node.outputs[0]] = x.reshaped(shape, keeps_zero=bool(node.attributes.get("allowzero", 0)))


def places(importer: Importer, node: OnnxNode) -> list[int] | None:
    """Return the axes that an operator names, as an input or an attribute."""
    if len(node.inputs) > 1:
        return importer.whole(node.inputs[1])
    return node.attributes.get("axes")


def squeeze(importer: Importer, node: OnnxNode) -> None:
    """Leave out axes of length 1."""
    if node.inputs[0] in importer.shapes:
        importer.shapes[node.outputs[0]] = importer.shapes[node.inputs[0]]
        return
    importer.tensors[node.outputs[0]] = importer.tensor(node.inputs[0]).squeezed(places(importer, node))


def unsqueeze(importer: Importer, node: OnnxNode) -> None:
    """Add axes of length 1."""
    if node.inputs[0] in importer.shapes:
        importer.shapes[node.outputs[0]] = importer.shapes[node.inputs[0]]
        return
    importer.tensors[node.outputs[0]] = importer.tensor(node.inputs[0]).unsqueezed(places(importer, node) or [])


def same(importer: Importer, node: OnnxNode) -> None:
    """Give what comes in another name."""
    kinds: list[dict[str, Any]] = [importer.tensors, importer.constants, importer.shapes]
    for kind in kinds:
        if node.inputs[0] in kind:
            kind[node.outputs[0]] = kind[node.inputs[0]]


def cast(importer: Importer, node: OnnxNode) -> None:
    """Give a tensor another type, which changes no number of those that layers put out."""
    x = importer.tensors.get(node.inputs[0])
    if x is None:
        same(importer, node)
        return
    kind = {1: "float32", 6: "int64", 7: "int64", 9: "bool"}.get(int(node.attributes["to"]))
    if kind is None or (kind == "float32" and x.dtype != "float32" and not importer.is_whole(x)) or kind == "bool":
        raise NotImported("a change of type that changes numbers")
    importer.tensors[node.outputs[0]] = replace(x, dtype=kind)


def constant(importer: Importer, node: OnnxNode) -> None:
    """Keep a constant."""
    names = ("value", "value_float", "value_floats", "value_int", "value_ints")
    values = [node.attributes[name] for name in names if name in node.attributes]
    if not values:
        raise NotImported("a constant of texts or few values")
    value = np.asarray(values[0])
    importer.constants[node.outputs[0]] = value.astype(np.float32) if value.dtype == np.float64 else value


def shape(importer: Importer, node: OnnxNode) -> None:
    """Keep the lengths of a tensor."""
    x = importer.tensor(node.inputs[0])
    if importer.single:
        whole = [math.prod(x.length(label) or 1 for label in axis) for axis in x.axes]
        importer.constants[node.outputs[0]] = np.array(
            whole[node.attributes.get("start", 0) : node.attributes.get("end", len(whole))], np.int64
        )
        return
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(x.axes))
    importer.shapes[node.outputs[0]] = [*x.axes[start:end]]


def _symbols(importer: Importer, name: str) -> list[Symbol]:
    return importer.shapes[name] if name in importer.shapes else list(importer.whole(name))


def of_shapes(otherwise: Operator | None) -> Operator:
    """Return the function of an operator that also works on shapes; ``otherwise`` is the one of tensors."""

    def add(importer: Importer, node: OnnxNode) -> None:
        is_shape = any(name in importer.shapes for name in node.inputs)
        if not is_shape and otherwise is not None:
            return otherwise(importer, node)
        first = _symbols(importer, node.inputs[0])
        if node.operator == "Concat":
            result = [symbol for name in node.inputs for symbol in _symbols(importer, name)]
        elif node.operator == "Gather":
            result = [first[index] for index in importer.whole(node.inputs[1])]
        else:
            start, end, *more = (importer.whole(name) for name in node.inputs[1:])
            if (more[1:] or [[1]])[0] != [1]:
                raise NotImported("a shape of every second length")
            result = first[start[0] : end[0]]
        importer.shapes[node.outputs[0]] = result
        return None

    return add


def filled(importer: Importer, node: OnnxNode) -> None:
    """Keep a constant that takes no memory; one of unknown size as a single number, as states of zeros are made."""
    if node.operator == "Expand":
        value, target = importer.constant(node.inputs[0]), node.inputs[1]
    else:
        value, target = np.ravel(node.attributes.get("value", np.zeros(1, np.float32))), node.inputs[0]
    symbols = _symbols(importer, target)
    users = [other.operator for other in importer.graph.nodes if node.outputs[0] in other.inputs]
    if not all(isinstance(length, int) for length in symbols) and not set(users) <= {"LSTM", "GRU"}:
        raise NotImported("a constant whose size depends on the data")
    lengths = [length for length in symbols if isinstance(length, int)]
    if len(lengths) == len(symbols):
        if min(lengths, default=0) < 0 or math.prod(lengths) > _MOST_ELEMENTS:
            raise NotImported(f"a constant of shape {lengths}")
        value = np.broadcast_to(value, np.broadcast_shapes(value.shape, lengths) if lengths else ())
    importer.constants[node.outputs[0]] = value
