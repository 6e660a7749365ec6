"""Operators that no layer stands for as layers that compute them, with derivatives, by the table of operators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.operators import computed
from mlnet.interop.onnx.operators.use import NotComputed
from mlnet.interop.onnx.reading import kept
from mlnet.interop.onnx.reading.axes import SPATIAL, Axis, Tensor
from mlnet.layers.base import Call, Size, no_lengths, same_lengths
from mlnet.layers.function import FunctionLayer
from mlnet.storage.kinds import Kinds


@dataclass(frozen=True)
class GraphFunction:
    """What a layer computes: arrays of MATLAB's order to those of the graph, operators one by one, and back.

    ``tensors`` are the inputs by their names, ``single`` says that the operators take one observation, without an axis
    for them, ``axes`` are those of the output, ``size`` is that of one observation of it.
    """

    nodes: tuple[OnnxNode, ...]
    output: str
    opset: int
    constants: Mapping[str, np.ndarray]
    tensors: Mapping[str, Tensor]
    single: bool
    axes: tuple[Axis, ...] = ()
    size: Size = field(default=Size("C", (1,)))

    def to_plain(self) -> dict[str, Any]:
        """Return plain values for a file."""
        return kept.to_plain(self)

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> GraphFunction:
        """Return the function of plain values; raise ValueError or TypeError where they stand for none."""
        made = cls(**kept.fields_of(plain))
        try:
            kept.check(made)
        except Exception as error:  # whatever NumPy raises for arrays that do not fit
            raise ValueError(f"its operators cannot be computed ({type(error).__name__})") from None
        return made

    def __call__(self, *given: Any) -> dlarray:
        """Return the output, a dlarray with a format, of inputs (S..., C, N) or (S..., C, N, T)."""
        arrays = [unformatted(each) if isinstance(each, dlarray) else each for each in given]
        traces = any(isinstance(each, dlarray) and each._node is not None for each in arrays)
        if not traces:
            arrays = [each._data if isinstance(each, dlarray) else each for each in arrays]
        made = self.to_matlab(self.values(arrays))
        return dlarray(made, "S" * len(self.size.spatial) + "CB" + "T" * self.size.is_sequence)

    def values(self, arrays: Sequence[Any]) -> Any:
        """Return the output with the axes of the graph, with one for observations before them if ``single``."""
        named = list(zip(self.tensors, self.tensors.values(), arrays, strict=True))
        if not self.single:
            return self.of_graph({name: to_graph(x, each) for name, each, x in named})
        results = []
        for number in range(arrays[0].shape[-1]):
            one = {name: to_graph(x[..., number : number + 1], each) for name, each, x in named}
            results.append(self.of_graph(one))
        return np.stack(results)

    def of_graph(self, values: Mapping[str, Any]) -> Any:
        """Return the output of arrays by their names, with the axes of the graph."""
        known: dict[str, Any] = {**self.constants, **values}
        for node in self.nodes:
            inputs = [known[name] if name else None for name in node.inputs]
            made = computed(node.operator, inputs, node.attributes, self.opset, len(node.outputs))
            known.update((name, each) for name, each in zip(node.outputs, made, strict=False) if name)
        return known[self.output]

    def to_matlab(self, y: Any) -> Any:
        """Return an output of `values` in MATLAB's order: (S..., C, N), or (S..., C, N, T)."""
        dims = dict(zip([*SPATIAL[: len(self.size.spatial)], "C"], self.size.dims, strict=True))
        labels = ["N"] * self.single + [label for axis in self.axes for label in axis]
        order = [*SPATIAL[: len(self.size.spatial)], "C", "N", *["T"] * self.size.is_sequence]
        lengths = [dims.get(label, -1) for label in labels]
        if lengths.count(-1) > 1:  # observations and time steps, each an axis of its own
            lengths = [
                n if label in dims else np.shape(y)[place]
                for place, (label, n) in enumerate(zip(labels, lengths, strict=True))
            ]
        y = y.reshape(tuple(lengths)).astype(np.float32 if np.asarray(_data(y)).dtype.kind != "f" else _data(y).dtype)
        missing = [label for label in order if label not in labels]
        y = y.reshape((*np.shape(y), *[1] * len(missing)))
        names = [*labels, *missing]
        return y.transpose(tuple(names.index(label) for label in order))


def _data(x: Any) -> Any:
    return x._data if isinstance(x, dlarray) else x


class OnnxOperatorLayer(FunctionLayer):
    """Computes operators of an ONNX file; gradients go through it."""

    type_name = "ONNX Operator"
    base_name = "operator"
    constructor_name = "OnnxOperatorLayer"

    @property
    def computes(self) -> str:
        """What the layer computes, for messages."""
        names = list(dict.fromkeys(node.operator for node in self.PredictFcn.nodes))
        return f"it computes operators of an ONNX file ({', '.join(names)})"

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size found on import; for inputs of other sizes, what the function makes of zeros."""
        known: GraphFunction = self.PredictFcn
        if tuple(each.size for each in known.tensors.values()) == sizes:
            return (known.size,)
        return super().output_sizes(*sizes)

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the call of the operators."""
        (output,) = self.output_sizes(*sizes)
        attributes = {
            "function": self.PredictFcn,
            "formats": tuple(size.format for size in sizes),
            "outputs": ((output.format, output.dims),),
            "formatted": True,
            "apart": any(size.is_sequence for size in sizes),
            "traced": training,
        }
        time = None
        if sizes[0].is_sequence:
            time = same_lengths if output.is_sequence else no_lengths
        return Call("user_function", (), attributes, time=time)


def to_graph(x: Any, tensor: Tensor) -> Any:
    """Return an array (S..., C, N) or (S..., C, N, T) with the axes of a tensor; labels that it lacks have length 1."""
    names = [*SPATIAL[: len(tensor.size.spatial)], "D", "C", "N", *["T"] * tensor.size.is_sequence]
    labels = [label for axis in tensor.axes for label in axis if label != "1"]
    shape = list(np.shape(x))
    place = names.index("D")
    shape[place : place + 1] = [1, shape[place]]
    if "D" in labels:
        shape[place : place + 2] = [tensor.directions, shape[place + 1] // tensor.directions]
    lengths = dict(zip(names, shape, strict=True))
    if any(lengths[name] != 1 for name in names if name not in labels):
        raise NotComputed("axes that a tensor has lost")
    kept = [name for name in names if name in labels]
    array = x.reshape(tuple(lengths[name] for name in kept)).transpose(tuple(kept.index(label) for label in labels))
    array = array.reshape(tuple(math.prod(lengths.get(label, 1) for label in axis) for axis in tensor.axes))
    return array if tensor.dtype == "float32" else np.asarray(_data(array)).astype(tensor.dtype)


Kinds.register_value(GraphFunction)
Kinds.register(OnnxOperatorLayer)
