"""The one place that imports the packages onnx and onnxruntime: files to plain graphs and back, and running them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.errors import DataError, MissingExtraError
from mlnet.interop.onnx.graph import OnnxGraph, OnnxNode, OnnxTensor
from mlnet.interop.onnx.operators import OLDEST
from mlnet.interop.onnx.values import Values
from mlnet.version import __version__

_LARGEST = 2**31 - 1
"""Bytes that a file without further files can have."""
_MOST_NODES = 20_000
"""Operators that a file may have: a few bytes each, they become layers of thousands of bytes."""


def need_onnx(function: str) -> None:
    """Raise `MissingExtraError` where the package is not installed."""
    _onnx(function)


def _onnx(function: str) -> Any:
    try:
        import onnx
        import onnx.reference
    except ImportError as error:
        raise MissingExtraError(f"{function}: needs the package onnx. Use: pip install 'mlnet[onnx]'") from error
    return onnx


def to_bytes(function: str, graph: OnnxGraph) -> bytes:
    """Return the content of a file, checked for being a correct graph.

    Raises
    ------
    DataError
        Where the file would be larger than 2 GB, the most that one file can hold.
    """
    onnx = _onnx(function)
    helper, tensors = onnx.helper, onnx.numpy_helper
    if sum(value.nbytes for value in graph.constants.values()) > _LARGEST - 2**20:
        raise DataError(f"{function}: the parameters need more than 2 GB, the most that an ONNX file can hold.")
    nodes = [
        helper.make_node(node.operator, node.inputs, node.outputs, node.name, **node.attributes) for node in graph.nodes
    ]
    ends = [
        [helper.make_tensor_value_info(each.name, onnx.TensorProto.FLOAT, each.shape) for each in group]
        for group in (graph.inputs, graph.outputs)
    ]
    constants = [tensors.from_array(value, name) for name, value in graph.constants.items()]
    proto = helper.make_graph(nodes, graph.name, *ends, constants)
    opsets = [helper.make_opsetid("", graph.opset)]
    versions = {"ir_version": helper.find_min_ir_version_for(opsets)}
    model = helper.make_model(
        proto, producer_name="mlnet", producer_version=__version__, opset_imports=opsets, **versions
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def read(function: str, path: Path) -> OnnxGraph:
    """Return the graph of a file; nothing in it is run, and nothing outside its folder is read.

    Raises
    ------
    DataError
        Where the file cannot be read or is no correct model.
    """
    onnx = _onnx(function)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{function}: '{path}': cannot be read: {error.strerror or error}.") from error
    try:
        model = onnx.load_model_from_string(content)
        if not model.graph.node:
            raise ValueError("it has no operators, or is another kind of file")
        opset, newest = _opset(model), onnx.defs.onnx_opset_version()
        if not OLDEST <= opset <= newest:
            fix = "Convert it with onnx.version_converter, or install a newer onnx"
            raise ValueError(
                f"it has version {opset} of the operators; those from {OLDEST} to {newest} are read. {fix}"
            )
        return _graph(onnx, model, path.parent)
    except Exception as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise DataError(f"{function}: '{path}' cannot be read as an ONNX model: {reason}.") from error


def _opset(model: Any) -> int:
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)


def graph_of_model(model: Any) -> OnnxGraph:
    """Return the graph of a model of the package onnx, whose values are all inside."""
    return _graph(_onnx("importONNX"), model, None)


def _graph(onnx: Any, model: Any, folder: Path | None) -> OnnxGraph:
    graph = model.graph
    opset = _opset(model)
    if not graph.node:
        raise ValueError("it has no operators")
    if len(graph.node) > _MOST_NODES:
        raise ValueError(f"it has {len(graph.node)} operators; up to {_MOST_NODES} are read")
    if graph.sparse_initializer:
        raise ValueError("it has sparse values")
    values = Values(onnx, folder)
    constants = {tensor.name: values.array(tensor) for tensor in graph.initializer}
    _check(onnx, model)
    nodes = []
    for node in graph.node:
        attributes = {each.name: _attribute(onnx, each, values) for each in node.attribute}
        domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        operator = domain + node.op_type
        nodes.append(OnnxNode(operator, tuple(node.input), tuple(node.output), attributes, node.name))
    inputs = [_tensor(each) for each in graph.input if each.name not in constants]
    return OnnxGraph(graph.name, opset, inputs, [_tensor(each) for each in graph.output], nodes, constants)


def _check(onnx: Any, model: Any) -> None:
    """Raise where a model is not correct; its values are not part of that, and need not be copied."""
    given = {each.name for each in model.graph.input}
    skeleton = _without_values(onnx, model)
    for tensor in model.graph.initializer:
        if tensor.name not in given:
            made = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            skeleton.graph.input.append(made)
    onnx.checker.check_model(skeleton)


def _without_values(onnx: Any, model: Any) -> Any:
    """Return a model without the values of its constants."""
    skeleton = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            for inner, content in value.ListFields():
                if inner.name not in ("initializer", "sparse_initializer"):
                    _copy(skeleton.graph, inner, content)
        else:
            _copy(skeleton, field, value)
    return skeleton


def _copy(target: Any, field: Any, value: Any) -> None:
    if hasattr(value, "MergeFrom") and not hasattr(value, "append"):
        getattr(target, field.name).CopyFrom(value)
    elif hasattr(value, "append"):
        getattr(target, field.name).MergeFrom(value)
    else:
        setattr(target, field.name, value)


def _attribute(onnx: Any, attribute: Any, values: Values) -> Any:
    kinds = onnx.AttributeProto
    if attribute.type in (kinds.GRAPH, kinds.GRAPHS, kinds.SPARSE_TENSOR, kinds.SPARSE_TENSORS, kinds.TYPE_PROTO):
        return "another graph, or what has no layer"
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == kinds.TENSOR:
        return values.array(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):  # the shortest number that is the same in single precision: 1e-05
        return float(str(np.float32(value)))
    return [each.decode() if isinstance(each, bytes) else each for each in value] if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return not isinstance(value, (str, bytes, int, float)) and hasattr(value, "__iter__")


def _tensor(value: Any) -> OnnxTensor:
    lengths = value.type.tensor_type.shape.dim
    kind = {6: "int64", 7: "int64", 9: "bool"}.get(value.type.tensor_type.elem_type, "float32")
    return OnnxTensor(value.name, tuple(each.dim_value or each.dim_param or "?" for each in lengths), kind)


def _definition(function: str, content: bytes) -> Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]:
    onnx = _onnx(function)
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(content))
    return lambda feeds: evaluator.run(None, dict(feeds))


def runner(function: str, content: bytes) -> Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]:
    """Return a function that computes a model from its inputs: in ONNX Runtime, or by ONNX's own definition."""
    _onnx(function)
    try:
        runtime: Any = import_module("onnxruntime")
    except ImportError:
        return _definition(function, content)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    inference = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda feeds: inference.run(None, dict(feeds))
