"""Operators that no layer stands for as layers that compute them by ONNX's own definition."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import NotSupportedError
from mlnet.interop import onnx_file
from mlnet.interop.onnx_axes import SPATIAL, NotImported, Tensor, axes
from mlnet.interop.onnx_graph import OnnxNode
from mlnet.layers.base import Call, Size
from mlnet.layers.function import FunctionLayer

_MOST_AXES = 4
_TRIED = 7
"""Observations with which it is found out whether they stay apart."""
_SMALL = 2**22
_MULTIPLE = 256
"""An output may have ``_SMALL`` elements more than ``_MULTIPLE`` times those of inputs and constants."""


class OnnxOperatorLayer(FunctionLayer):
    """Computes an operator of ONNX by its definition; it cannot be trained."""

    type_name = "ONNX Operator"
    base_name = "operator"
    constructor_name = "OnnxOperatorLayer"

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the call of the operator; raise `NotSupportedError` for training."""
        if training:
            raise NotSupportedError(
                f"{self.where()}: ONNX's {self.Description} has no gradient here. Replace the layer with replaceLayer."
            )
        return super().operation(*sizes, training=training)


@dataclass
class OperatorFunction:
    """What a layer computes: arrays of MATLAB's order to those of the graph, the operator, and back.

    ``tensors`` are the inputs by their names, ``single`` says that an operator takes one observation, without an axis
    for them.
    """

    node: OnnxNode
    output: str
    opset: int
    constants: Mapping[str, np.ndarray]
    tensors: Mapping[str, Tensor]
    single: bool
    _run: Callable[[Mapping[str, np.ndarray]], np.ndarray] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what can be made anew."""
        return {**self.__dict__, "_run": None}

    def __call__(self, *given: Any) -> dlarray:
        """Return the output, a dlarray with a format, of inputs (S..., C, N)."""
        arrays = [np.asarray(each.extractdata() if isinstance(each, dlarray) else each) for each in given]
        made = self.computed(arrays)
        count = made.ndim - 1
        made = made.reshape(len(made), 1) if not count else made
        order = [*range(2, made.ndim), 1, 0]
        return dlarray(made.transpose(order), "S" * (made.ndim - 2) + "CB")

    def computed(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the output, observations first, of inputs (S..., C, N)."""
        if not self.single:
            return self._operator([to_graph(x, each) for x, each in zip(arrays, self.tensors.values(), strict=True)])
        results = []
        for number in range(arrays[0].shape[-1]):
            one = [x[..., number : number + 1] for x in arrays]
            results.append(
                self._operator([to_graph(x, each) for x, each in zip(one, self.tensors.values(), strict=True)])
            )
        return np.stack(results)

    def _operator(self, inputs: list[np.ndarray]) -> np.ndarray:
        if self._run is None:
            self._run = onnx_file.operator(self.node, self.output, self.opset, self.constants)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = self._run(dict(zip(self.tensors, inputs, strict=True)))
        return np.asarray(found, np.float32)


def to_graph(x: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return an array (S..., C, N) with the axes of a tensor; labels that it lacks have length 1."""
    names = [*SPATIAL[: len(tensor.size.spatial)], "C", "N"]
    labels = [label for axis in tensor.axes for label in axis if label != "1"]
    lengths = dict(zip(names, x.shape, strict=True))
    kept = [name for name in names if name in labels]
    array = x.reshape([lengths[name] for name in kept]).transpose([kept.index(label) for label in labels])
    return array.reshape([math.prod(lengths.get(label, 1) for label in axis) for axis in tensor.axes])


def emit_operator(importer: Any, node: OnnxNode) -> None:
    """Add a layer for each output of an operator that is used; raise `NotImported` where none can compute it.

    What observations become is found out with random numbers: the output for several of them has to be that for each.
    """
    names = list(dict.fromkeys(name for name in node.inputs if name in importer.tensors))
    tensors = {name: importer.tensors[name] for name in names}
    constants = {name: _constant(importer, name) for name in node.inputs if name and name not in tensors}
    if node.operator == "Reshape" and names and "N" in importer.tensors[names[0]].axes[0]:
        constants = {name: _kept_batch(importer, value) for name, value in constants.items()}
    if not tensors:
        importer.constants.update(_folded(node, importer.graph.opset, constants))
        return
    held = [{label for axis in each.axes for label in axis} for each in tensors.values()]
    if any("T" in labels or "D" in labels for labels in held):
        raise NotImported("an operator on sequences")
    single = not any("N" in labels for labels in held)
    if not single and any(each.axes[:1] != (("N",),) for each in tensors.values()):
        raise NotImported("observations that are not the first axis")
    made: dict[str, Tensor] = {}
    for output in node.outputs:
        if not importer.is_used(output):
            continue
        function = OperatorFunction(node, output, importer.graph.opset, constants, tensors, single)
        count = _count_of_axes(function)
        options = {"NumInputs": len(tensors), "Formattable": True, "Description": node.operator}
        layer = OnnxOperatorLayer(PredictFcn=function, **options)
        labels = axes(*([] if single else ["N"]), *["C", *SPATIAL][:count])
        made[output] = importer.emit(node, layer, list(tensors.values()), labels)
    importer.tensors.update(made)


def _kept_batch(importer: Any, shape: np.ndarray) -> np.ndarray:
    """Return a shape that keeps the first length where it is the number of observations that the file is for."""
    batch = importer.graph.inputs[0].shape[0]
    return np.array([0, *shape[1:]], shape.dtype) if shape.ndim == 1 and shape[:1].tolist() == [batch] else shape


def _folded(node: OnnxNode, opset: int, constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of an operator on constants."""
    limit = _SMALL + _MULTIPLE * sum(x.size for x in constants.values())
    made = {}
    try:
        for output in filter(None, node.outputs):
            onnx_file.check_length(node, output, opset, constants, {}, limit)
            made[output] = np.asarray(onnx_file.operator(node, output, opset, constants)({}))
    except Exception as error:  # whatever ONNX's definition raises
        raise NotImported(f"{type(error).__name__}: {error}".splitlines()[0]) from None
    return made


def _constant(importer: Any, name: str) -> np.ndarray:
    if name in importer.shapes:
        if not all(isinstance(length, int) for length in importer.shapes[name]):
            raise NotImported("a shape that depends on the data")
        return np.array(importer.shapes[name], np.int64)
    array: np.ndarray = importer.constant(name)
    return array


def _count_of_axes(function: OperatorFunction) -> int:
    """Return how many axes one observation of the output has."""
    generator = np.random.default_rng(0)
    shapes = [(*each.size.spatial, each.size.channels) for each in function.tensors.values()]
    arrays = [generator.normal(size=(*shape, 1 if function.single else _TRIED)).astype(np.float32) for shape in shapes]
    elements = sum(x.size for x in (*arrays, *function.constants.values()))
    inputs = {name: to_graph(x, each).shape for x, (name, each) in zip(arrays, function.tensors.items(), strict=True)}
    try:
        limit = _SMALL + _MULTIPLE * elements
        onnx_file.check_length(function.node, function.output, function.opset, function.constants, inputs, limit)
        whole = function.computed(arrays)
        singles = [[x[..., n : n + 1] for x in arrays] for n in range(arrays[0].shape[-1])]
        parts = [function.computed(each) for each in singles]
    except Exception as error:  # whatever ONNX's definition raises
        raise NotImported(f"{type(error).__name__}: {error}".splitlines()[0]) from None
    if whole.ndim - 1 > _MOST_AXES or not whole.size:
        raise NotImported(f"an output of shape {whole.shape}")
    is_apart = len(whole) == len(parts) and all(part.shape == (1, *whole.shape[1:]) for part in parts)
    if not is_apart or not np.allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-5, equal_nan=True):
        raise NotImported("an operator that mixes observations")
    return whole.ndim - 1
