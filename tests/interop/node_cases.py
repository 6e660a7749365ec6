"""ONNX's own tests of single operators, run through layers.

A test has one operator, its inputs and its outputs. It counts where mlnet imports that operator and all numbers that
come in or go out are float32, as those of layers are. Inputs that are no data of a network (weights, shapes, scales)
become constants of the file, as they are in files of networks.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mlnet import assembleNetwork, predict
from mlnet.errors import MlnetError
from mlnet.interop.onnx import file as onnx_file
from mlnet.interop.onnx.operators import OPERATORS as TABLE
from mlnet.interop.onnx.reading.axes import Tensor
from mlnet.interop.onnx.reading.importer import Importer
from mlnet.interop.onnx.reading.importing import _chain_or_graph, layers_of
from mlnet.interop.onnx.reading.operators import OPERATORS as LAYERS
from mlnet.layers.output import regressionLayer


@dataclass(frozen=True)
class Outcome:
    """What became of a test: '' where all is right."""

    name: str
    operators: tuple[str, ...]
    reason: str


LARGE = 5000
"""Elements times places in windows, above which poolings are left out: the package takes long for what it expects."""


@cache
def all_cases() -> list[Any]:
    """Return the tests of the package, without large poolings, which take most of the time of collecting them."""
    from onnx.reference.ops import op_pool_common

    pool, large = op_pool_common.pool, []

    def pooled(
        padded: np.ndarray, shape: Any, kernel: Any, strides: Any, out_shape: Any, *rest: Any, **more: Any
    ) -> Any:
        if np.prod(out_shape) * np.prod(shape[:2]) * np.prod(kernel) <= LARGE:
            return pool(padded, shape, kernel, strides, out_shape, *rest, **more)
        large.append(np.zeros([*shape[:2], *out_shape], padded.dtype))
        return large[-1]

    op_pool_common.pool = pooled
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from onnx.backend.test.case.node import collect_testcases

            found = [case for case in collect_testcases(None) if case.model is not None]
    finally:
        op_pool_common.pool = pool
    return [case for case in found if not any(each is other for each in case.data_sets[0][1] for other in large)]


def cases() -> list[Any]:
    """Return the tests that count; those of operators in parts are left to the test of the table of operators."""
    return [case for case in all_cases() if "_expanded" not in case.name and _counts(case)]


def _counts(case: Any) -> bool:
    if any(node.op_type not in {*LAYERS, *TABLE} or node.domain for node in case.model.graph.node):
        return False
    if not any(getattr(x, "dtype", None) == np.float32 for x in case.data_sets[0][0]):
        return False
    arrays = [each for data in case.data_sets for each in (*data[0][:1], *data[1][:1])]
    return all(isinstance(each, np.ndarray) and each.dtype == np.float32 for each in arrays)


def outcome(case: Any) -> Outcome:
    """Run a test, with as many inputs as data as can be."""
    operators = tuple(sorted({node.op_type for node in case.model.graph.node}))
    names = [each.name for each in case.model.graph.input]
    inputs, outputs = case.data_sets[0]
    floats = [name for name, x in zip(names, inputs, strict=False) if x.dtype == np.float32 and x.ndim]
    reason = "no input"
    for data in dict.fromkeys((tuple(floats), tuple(floats[:1]))):
        try:
            reason = _run(case, dict(zip(names, inputs, strict=False)), data, outputs)
        except MlnetError as error:
            reason = str(error)
        if not reason:
            break
    return Outcome(case.name, operators, reason)


def _run(case: Any, values: dict[str, np.ndarray], data: tuple[str, ...], expected: list[np.ndarray]) -> str:
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    kept = [each for each in model.graph.input if each.name in data]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for name, value in values.items():
        if name not in data:
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    ends: list[Tensor] = []

    def end(importer: Importer, tensor: Tensor) -> list[Any]:
        if importer.single and not firsts:
            ends.clear()
            firsts.append(tensor)
        ends.append(tensor)
        return [regressionLayer()]

    firsts: list[Tensor] = []
    importer = layers_of(onnx_file.graph_of_model(model), end)
    if importer.missing:
        return "; ".join(f"{node.operator}: {reason}" for node, reason in importer.missing)
    net = assembleNetwork(_chain_or_graph(importer.layer_graph()))
    feeds = [_to_matlab(values[name], importer.tensors[name]) for name in data]
    found = predict(net, tuple(feeds) if len(feeds) > 1 else feeds[0])
    for ours, theirs, tensor in zip(found if len(ends) > 1 else [found], expected, ends, strict=True):
        array = _to_onnx(ours, tensor)
        if array.shape != theirs.shape:
            return f"shape {array.shape} instead of {theirs.shape}"
        if not np.allclose(array, theirs, rtol=case.rtol, atol=max(case.atol, 1e-6), equal_nan=True):
            return f"differs by {np.abs(array - theirs).max():.3g}"
    return ""


def _labels(tensor: Tensor) -> list[str]:
    return [label for axis in tensor.axes for label in axis if label != "1"]


def _to_matlab(x: np.ndarray, tensor: Tensor) -> Any:
    """Return an array of the graph in the order of predict."""
    labels = _labels(tensor)
    if "N" not in labels:
        x, labels = x[None], ["N", *labels]
    if "T" in labels:
        order = [labels.index(label) for label in "NHWZCT" if label in labels]
        return list(x.transpose(order))
    if len(labels) == 2:
        return x
    return x.transpose([labels.index(label) for label in "HWZCN" if label in labels])


def _to_onnx(x: Any, tensor: Tensor) -> np.ndarray:
    """Return what predict puts out with the axes of the graph."""
    x = np.stack(x) if isinstance(x, list) else x
    matlab = ["N", *"HWZ"[: len(tensor.size.spatial)], "C", "T"] if tensor.size.is_sequence else []
    matlab = matlab or (["N", "C"] if x.ndim == 2 else [*"HWZ"[: len(tensor.size.spatial)], "C", "N"])
    labels = [label for label in _labels(tensor) if label in matlab]
    lengths = dict(zip(matlab, x.shape, strict=True))
    array = x.transpose([matlab.index(label) for label in [*labels, *(m for m in matlab if m not in labels)]])
    shape = [int(np.prod([lengths.get(label, 1) for label in axis])) for axis in tensor.axes]
    return array.reshape(shape)
