"""Functions of operator layers as plain values, so that imported networks can be kept in files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.operators import NEWEST, OLDEST, OPERATORS
from mlnet.interop.onnx.operators.use import room
from mlnet.interop.onnx.reading.axes import SPATIAL, Axis, Tensor
from mlnet.layers.base import Size

_ROOM = 2**24
"""Elements that an array may have while a function from a file is tried."""
_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_FORMATS = {"S" * count + "C" + time for count in range(len(SPATIAL) + 1) for time in ("", "T")}


def to_plain(function: Any) -> dict[str, Any]:
    """Return the fields of a `GraphFunction` as texts, numbers, arrays, lists and dictionaries.

    Raises
    ------
    TypeError
        Where a constant is of a type that files do not hold.
    """
    return {
        "nodes": [
            [node.operator, list(node.inputs), list(node.outputs), node.name]
            + [[[name, _constant(value)] for name, value in node.attributes.items()]]
            for node in function.nodes
        ],
        "output": function.output,
        "opset": function.opset,
        "constants": [[name, _constant(value)] for name, value in function.constants.items()],
        "tensors": [
            [name, _size(each.size), _axes(each.axes), each.directions, each.dtype]
            for name, each in function.tensors.items()
        ],
        "single": function.single,
        "axes": _axes(function.axes),
        "size": _size(function.size),
    }


def fields_of(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `GraphFunction` for what `to_plain` made of them.

    Raises
    ------
    ValueError, TypeError, KeyError
        Where there is another one, or the operators are none of the table or not in order.
    """
    nodes = tuple(_node(each) for each in _list(plain["nodes"]))
    constants = {_text(name): _value(value) for name, value in _list(plain["constants"])}
    constants = {name: np.asarray(value) for name, value in constants.items()}
    tensors = {
        _text(name): Tensor(_text(name), _size_of(size), _axes_of(axes), _whole(directions, 1), _text(dtype))
        for name, size, axes, directions, dtype in _list(plain["tensors"])
    }
    known = {"", *constants, *tensors}
    for node in nodes:
        if node.operator not in OPERATORS or not known.issuperset(node.inputs):
            raise ValueError(f"the operator {node.operator} of its {len(nodes)} is unknown, or its inputs are")
        known.update(node.outputs)
    output, opset = _text(plain["output"]), _whole(plain["opset"], OLDEST)
    if output not in known or not tensors or opset > NEWEST:
        raise ValueError("its operators make no function")
    if any(each.dtype not in ("float32", "int64", "bool") for each in tensors.values()):
        raise ValueError("its inputs are of unknown types")
    return {
        "nodes": nodes,
        "output": output,
        "opset": opset,
        "constants": constants,
        "tensors": tensors,
        "single": bool(plain["single"]),
        "axes": _axes_of(plain["axes"]),
        "size": _size_of(plain["size"]),
    }


def check(function: Any) -> None:
    """Compute a function for zeros, and raise ValueError where its output is of another size than it says."""
    steps, counts = 3, (1, 2)
    for count in counts:
        shapes = [(*each.size.dims, count, *[steps] * each.size.is_sequence) for each in function.tensors.values()]
        if any(math.prod(shape) > _ROOM for shape in shapes):
            raise ValueError("its inputs are too large to be true")
        with room(_ROOM), np.errstate(all="ignore"):
            found = np.shape(function.to_matlab(function.values([np.zeros(shape, np.float32) for shape in shapes])))
        if found != (*function.size.dims, count, *[steps] * function.size.is_sequence):
            raise ValueError(f"its output is of size {found}")


def _node(plain: Any) -> OnnxNode:
    operator, inputs, outputs, name, attributes = _list(plain)
    given = {_text(key): _value(value) for key, value in _list(attributes)}
    return OnnxNode(
        _text(operator), tuple(map(_text, _list(inputs))), tuple(map(_text, _list(outputs))), given, _text(name)
    )


def _constant(value: Any) -> dict[str, Any]:
    """Return an attribute or a constant with its type and shape."""
    if isinstance(value, str):
        return {"type": "text", "values": value}
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return {"type": "texts", "values": list(value)}
    array = np.asarray(value)
    if array.dtype.name not in _TYPES:
        raise TypeError(f"numbers of the type {array.dtype}")
    kind = "array" if isinstance(value, np.ndarray) else "list" if isinstance(value, (list, tuple)) else "number"
    return {"type": kind, "dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel()}


def _value(plain: Any) -> Any:
    kind = plain["type"]
    if kind == "text":
        return _text(plain["values"])
    if kind == "texts":
        return [_text(each) for each in _list(plain["values"])]
    if plain["dtype"] not in _TYPES or kind not in ("array", "list", "number"):
        raise ValueError(f"numbers of the type {plain['dtype']}")
    shape = tuple(_whole(each, 0) for each in _list(plain["shape"]))
    array = np.array(plain["values"]).astype(plain["dtype"]).reshape(shape)
    if kind == "array":
        return array
    return array.tolist() if kind == "list" or not shape else array.item()


def _size(size: Size) -> list[Any]:
    return [size.format, [int(each) for each in size.dims]]


def _size_of(plain: Any) -> Size:
    format, dims = _list(plain)
    if format not in _FORMATS or len(_list(dims)) != len(format.rstrip("T")):
        raise ValueError(f"a size of the format {format!r}")
    return Size(format, tuple(_whole(each, 1) for each in dims))


def _axes(axes: tuple[Axis, ...]) -> list[list[str]]:
    return [list(axis) for axis in axes]


def _axes_of(plain: Any) -> tuple[Axis, ...]:
    found = tuple(tuple(_list(axis)) for axis in _list(plain))
    if not all(label in ("N", "T", "C", "D", "1", *SPATIAL) for axis in found for label in axis):
        raise ValueError("axes of unknown names")
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _whole(value: Any, least: int) -> int:
    if isinstance(value, bool) or int(value) != value or not least <= value < 2**31:
        raise ValueError(f"the number {value}")
    return int(value)
