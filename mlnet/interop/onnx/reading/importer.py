"""From the graph of an ONNX file to layers: constants, shapes and tensors, node by node."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.errors import DataError, MlnetError
from mlnet.interop.onnx.graph import OnnxGraph, OnnxNode, OnnxTensor
from mlnet.interop.onnx.operators import OPERATORS as TABLE
from mlnet.interop.onnx.operators import VIEWS
from mlnet.interop.onnx.reading.axes import SPATIAL, Axis, NotImported, Symbol, Tensor, axes
from mlnet.interop.onnx.reading.placeholder import PlaceholderLayer
from mlnet.interop.onnx.reading.region import Waiting, fold
from mlnet.layers.base import Layer, SizeError
from mlnet.layers.general_input import inputLayer
from mlnet.layers.input import InputLayer, featureInputLayer, imageInputLayer, sequenceInputLayer
from mlnet.layers.input3d import image3dInputLayer
from mlnet.layers.shape import flattenLayer, permuteLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.rules import REFUSALS, is_repeated

Operator = Callable[["Importer", OnnxNode], None]
Pattern = Callable[[Any, OnnxNode], bool]

SETTLES = {
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"),
    *("LSTM", "GRU", "LRN", "Resize"),
}
"""Operators for whose layers those before them stop to wait."""
LAST = {"Gemm", "MatMul", "LayerNormalization", "RMSNormalization"}
"""Those among them that want channels on the last axis."""
_OF_ANY_TYPE = {
    *("Cast", "Gather", "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Shape"),
}
"""Operators whose layers also take whole numbers and logical values."""
_OF_ANY_SIZE = {*VIEWS, "Gemm", "MatMul", "Conv", "ConvTranspose"}
"""Operators whose layers share the memory of constants."""
_ROOM, _MULTIPLE = 2**24, 4
"""An array that is made on import may have ``_ROOM`` elements more than ``_MULTIPLE`` times those of the file."""


@dataclass
class Importer:
    """Turns a graph into layers and wires.

    ``tensors`` are outputs of layers by the names of the graph, ``shapes`` what has been computed from the lengths of
    tensors, ``borders`` pads and their value that wait for a convolution, ``missing`` what no layer stands for:
    (operator, reason). With ``single`` the graph is one for single observations: no axis is that of observations; with
    ``swapped`` two axes of inputs are exchanged of which nothing in the file says which is which.
    """

    graph: OnnxGraph
    operators: dict[str, Operator]
    patterns: Mapping[str, Pattern]
    single: bool = False
    swapped: bool = False
    layers: list[Layer] = field(default_factory=list)
    wires: list[Connection] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    shapes: dict[str, list[Symbol]] = field(default_factory=dict)
    borders: dict[str, tuple[list[int], Any]] = field(default_factory=dict)
    missing: list[tuple[OnnxNode, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Count how often each tensor is used, and keep the constants apart from those of the graph."""
        self.constants = dict(self.graph.constants)
        self.uses = Counter(name for node in self.graph.nodes for name in node.inputs)
        self.uses.update(tensor.name for tensor in self.graph.outputs)
        self.waiting, self.folded = Waiting(self), 0
        self._by_name: dict[str, int] = {}
        self.whole_inputs: set[str] = set()

    def run(self) -> None:
        """Add layers for all inputs and nodes."""
        for tensor in self.graph.inputs:
            self._add_input(tensor)
        for node in self.graph.nodes:
            self._add(node)

    def _add(self, node: OnnxNode) -> None:
        unknown = [name for name in node.inputs if name and not self._is_known(name)]
        try:
            if unknown:
                raise NotImported(f"it comes behind a placeholder whose output '{unknown[0]}' has no known size")
            if node.operator not in self.operators and node.operator not in TABLE:
                raise NotImported("there is no layer for this operator")
            reason = self._as_layer(node)
            if reason is None:
                self.waiting.remember(node)
                return
            try:
                self.waiting.add(node)
            except NotImported as other:
                raise NotImported(f"{reason} ({other})" if reason else str(other)) from None
        except NotImported as verdict:
            self._add_placeholder(node, str(verdict))

    def _as_layer(self, node: OnnxNode) -> str | None:
        """Add a node as constants, shapes or layers; return None, or the reason why it has to wait."""
        if all(not name or name in self.constants for name in node.inputs) and node.operator in TABLE:
            self._fold(node)
            return None
        large = [
            name for name in node.inputs if name in self.constants and self.constants[name].size > self.room_left()
        ]
        if large and node.operator not in _OF_ANY_SIZE:
            raise NotImported(f"a constant of {self.constants[large[0]].size} elements")
        if node.operator in self.patterns and self.patterns[node.operator](self, node):
            return None
        kinds = {self.tensors[name].dtype for name in node.inputs if name in self.tensors}
        if kinds - {"float32"} and node.operator not in _OF_ANY_TYPE:
            return ""
        waits = [name for name in node.inputs if name in self.waiting and not self._is_settled(name)]
        if node.operator not in self.operators or (waits and node.operator not in SETTLES):
            return ""
        reason = self._attempt(node, waits)
        odd = [name for name in node.inputs if name in self.tensors and self._is_odd(name)]
        if reason and odd and not waits and node.operator in SETTLES:
            return None if self._attempt(node, odd) is None else reason
        return reason

    def _fold(self, node: OnnxNode) -> None:
        """Compute an operator on constants."""
        inputs = [self.constants[name] for name in node.inputs if name]
        for name, value in fold(node, self.graph.opset, self.constants, self.room_left()):
            self.constants[name] = value
            if not is_repeated(value) and not any(np.may_share_memory(value, each) for each in inputs):
                self.folded += value.size

    def room_left(self) -> float:
        """Return how many elements the next array may have."""
        return _ROOM + _MULTIPLE * self.graph.elements - self.folded

    def _is_odd(self, name: str) -> bool:
        return any(len(axis) > 1 for axis in self.tensors[name].axes)

    def _is_settled(self, name: str) -> bool:
        return name in self.tensors or name in self.constants or name in self.shapes

    def _attempt(self, node: OnnxNode, waits: Sequence[str]) -> str | None:
        """Add a node as layers, and those before it that it waits for; return None, or why it cannot be."""
        layers, wires, kept = len(self.layers), len(self.wires), {name: self.tensors.get(name) for name in waits}
        try:
            for name in waits:
                if name in self.tensors:  # channels and positions in one axis become an axis of their own
                    other = f"{name}\0plain"
                    self.waiting.makers[other] = OnnxNode("Identity", (name,), (other,), {}, f"order_{name}")
                    self.tensors[name] = self.waiting.settle(node, other, last=node.operator in LAST)
                else:
                    self.waiting.settle(node, name, last=node.operator in LAST)
            self.operators[node.operator](self, node)
        except (NotImported, MlnetError, *REFUSALS, LookupError, AttributeError) as reason:
            self._drop(layers, wires)
            for name, tensor in kept.items():
                self.tensors.pop(name, None)
                if tensor is not None:
                    self.tensors[name] = tensor
            return str(reason) or type(reason).__name__
        return None

    def _drop(self, layers: int, wires: int) -> None:
        for layer in self.layers[layers:]:
            del self._by_name[layer.Name]
        del self.layers[layers:], self.wires[wires:]

    def _is_known(self, name: str) -> bool:
        return self._is_settled(name) or name in self.waiting

    def _add_placeholder(self, node: OnnxNode, reason: str) -> None:
        self.missing.append((node, reason))
        given = [self.tensors[name] for name in node.inputs if name in self.tensors]
        outputs = [name for name in node.outputs if name]
        name = self.unique(node)
        options = {"ONNXNode": node.operator, "Reason": reason, "Ins": len(given), "Outs": max(1, len(outputs))}
        layer = PlaceholderLayer(Name=name, **options)
        self.append(layer)
        for port, tensor in zip(layer.inputs, given, strict=True):
            self._connect(tensor, Port(name, port))

    def _connect(self, tensor: Tensor, destination: Port) -> None:
        layer, _, port = tensor.port.partition("\0")
        self.wires.append(Connection(Port(layer, port), destination))

    def unique(self, node: OnnxNode) -> str:
        """Return a name for the layer of a node that no layer has."""
        stem = re.sub(r"[\s/\0]+", "_", (node.name or node.outputs[0] or node.operator)).strip("_") or node.operator
        count, name = 1, stem
        while name in self._by_name:
            count, name = count + 1, f"{stem}_{count + 1}"
        return name

    def _add_input(self, tensor: OnnxTensor) -> None:
        node = OnnxNode("Input", (), (tensor.name,), {})
        layer, order = self._input_layer(tensor)
        layer = layer.replaced(Name=self.unique(node))
        self.append(layer)
        if tensor.dtype != "float32":
            self.whole_inputs.add(layer.Name)
        self.tensors[tensor.name] = Tensor(f"{layer.Name}\0out", layer.size(), order, 1, tensor.dtype)

    def append(self, layer: Layer) -> None:
        """Add a layer, whose name nothing has yet."""
        self._by_name[layer.Name] = len(self.layers)
        self.layers.append(layer)

    def _input_layer(self, tensor: OnnxTensor) -> tuple[Any, tuple[Axis, ...]]:
        """Return the layer of an input: axes whose lengths are open are observations and time steps."""
        shape = tensor.shape
        if self.single:
            return _single_input(shape)
        known = [length if isinstance(length, int) else None for length in shape]
        inner = known[1:]
        if len(shape) == 2 and inner[0] and tensor.dtype != "float32":
            return inputLayer([inner[0], 1, np.nan], "SCB"), axes("N", "H")
        if len(shape) == 2 and inner[0]:
            return featureInputLayer(inner[0]), axes("N", "C")
        if len(shape) == 4 and None not in inner:
            channels, *spatial = inner
            return imageInputLayer([*spatial, channels], Normalization="none"), axes("N", "C", "H", "W")
        if len(shape) == 5 and None not in known[2:]:
            channels, *spatial = known[1:] if inner[0] else known[2:]
            if inner[0]:
                return image3dInputLayer([*spatial, channels], Normalization="none"), axes("N", "C", "H", "W", "Z")
            return sequenceInputLayer([*spatial, channels]), axes("T", "N", "C", "H", "W")
        if len(shape) == 3 and known[2] and not known[0] and self._is_along_time(tensor.name):
            is_first = self._has_observations_first(tensor)
            return sequenceInputLayer(known[2]), axes(*("NTC" if is_first != self.swapped else "TNC"))
        if len(shape) == 3 and known[1]:
            if known[2] and self._reads_last(tensor.name) != self.swapped:
                return inputLayer([known[1], known[2], np.nan], "SCB"), axes("N", "H", "C")
            if known[2]:
                return inputLayer([known[2], known[1], np.nan], "SCB"), axes("N", "C", "H")
            return sequenceInputLayer(known[1]), axes("N", "C", "T")
        if len(shape) == 2 and tensor.dtype != "float32":
            return sequenceInputLayer(1), axes(*("TN" if self.swapped else "NT"))
        lengths = " x ".join(map(str, shape)) or "nothing"
        raise DataError(
            f"importONNX: the input '{tensor.name}' needs the lengths of channels and positions, but is {lengths}."
        )

    def _is_along_time(self, name: str) -> bool:
        """Tell whether an input of three axes has its channels last: the second is open, or layers are recurrent."""
        shape = next(tensor.shape for tensor in self.graph.inputs if tensor.name == name)
        return isinstance(shape[1], str) or self._is_recurrent()

    def _is_recurrent(self) -> bool:
        return any(node.operator in ("LSTM", "GRU", "RNN") for node in self.graph.nodes)

    def _has_observations_first(self, tensor: OnnxTensor) -> bool:
        """Tell whether observations come before time steps in an input."""
        first, second = tensor.shape[:2]
        if isinstance(second, int):
            return True
        if self._is_recurrent():
            return [1, 0, 2] in [n.attributes.get("perm") for n in self.graph.nodes if n.inputs[:1] == (tensor.name,)]
        return str(first)[:1].lower() not in "st"

    def _reads_last(self, name: str) -> bool:
        """Tell whether the first operators behind an input that see channels see them on the last axis."""
        todo, seen = [name], {name}
        while todo:
            name = todo.pop(0)
            for node in self.graph.nodes:
                if name in node.inputs and not seen & set(node.outputs):
                    if (
                        node.operator in LAST and node.inputs[1] in self.graph.constants
                    ) or node.operator == "Attention":
                        return True
                    if node.operator in SETTLES or node.operator in ("Transpose", "Reshape", "Flatten", "Gather"):
                        return False
                    seen.update(node.outputs)
                    todo += node.outputs
        return False

    # What the functions of operators use.

    def is_whole(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is an input of whole numbers."""
        return isinstance(self.layer_of(tensor), InputLayer) and tensor.port.partition("\0")[0] in self.whole_inputs

    def tensor(self, name: str) -> Tensor:
        """Return an input that is the output of a layer."""
        if name not in self.tensors:
            raise NotImported(f"the input '{name}' is not computed by a layer")
        return self.tensors[name]

    def constant(self, name: str) -> np.ndarray:
        """Return an input that is a constant."""
        if name not in self.constants:
            raise NotImported(f"the input '{name}' is not a constant")
        return self.constants[name]

    def whole(self, name: str) -> list[int]:
        """Return an input that is a constant list of whole numbers."""
        return [int(n) for n in np.ravel(self.constant(name))]

    def is_used(self, name: str) -> bool:
        """Tell whether anything takes a tensor."""
        return bool(name) and self.uses[name] > 0

    def is_alone(self, tensor: Tensor) -> bool:
        """Tell whether nothing takes the output of a layer twice, so that a change of the layer reaches one place."""
        names = [name for name, other in self.tensors.items() if other.port == tensor.port]
        return all(self.uses[name] == 1 for name in names)

    def emit(self, node: OnnxNode, layer: Layer, inputs: Sequence[Tensor], order: tuple[Axis, ...]) -> Tensor:
        """Add a layer and return its first output, with the axes that the graph sees."""
        sizes = [tensor.size for tensor in inputs]
        name = self.unique(node)
        layer = layer.replaced(Name=name)
        mistakes = list(layer.mistakes(*sizes))
        if mistakes:
            raise NotImported(f"it needs {mistakes[0].needed}, but got {mistakes[0].came}")
        try:
            size = layer.output_sizes(*sizes)[0]
        except SizeError as error:
            raise NotImported(f"it needs {error.needed}, but got {error.came}") from None
        self.append(layer)
        for port, tensor in zip(layer.inputs, inputs, strict=True):
            self._connect(tensor, Port(name, port))
        return Tensor(f"{name}\0{layer.outputs[0]}", size, order)

    def put(self, node: OnnxNode, layer: Layer, inputs: Sequence[Tensor], order: tuple[Axis, ...]) -> None:
        """Add a layer that computes the first output of a node."""
        self.tensors[node.outputs[0]] = self.emit(node, layer, inputs, order)

    def plain(self, node: OnnxNode, tensor: Tensor) -> Tensor:
        """Return a tensor whose channels are one axis: joined channels and positions become features in a layer."""
        if any(tensor.is_channels(axis) for axis in tensor.axes):
            return tensor
        lead = tensor.axes[:-1]
        if not {label for axis in lead for label in axis} <= {"N", "T"}:
            raise NotImported("channels and positions in one axis")
        joined, spatial = tensor.axes[-1], "HWZ"[: len(tensor.size.spatial)]
        matlab = ("C", *reversed(spatial))
        if set(joined) != set(matlab):
            raise NotImported("channels and positions in one axis")
        if joined[0] != "C" or not spatial:
            raise NotImported("positions before channels in one axis")
        if joined != matlab:
            order = [spatial.index(label) + 1 for label in reversed(joined[1:])]
            tensor = self.emit(node, permuteLayer([*order, len(order) + 1]), [tensor], tensor.axes)
        return self.emit(node, flattenLayer(), [tensor], (*lead, ("C",)))

    def standard(self, node: OnnxNode, tensor: Tensor) -> Tensor:
        """Return a tensor with channels before positions: what stands before is moved there by a layer."""
        if any(len(axis) > 1 and set(axis) <= set(SPATIAL) for axis in tensor.axes):
            raise NotImported("positions of images in one axis")
        held = ["N" in axis for axis in tensor.axes if axis != ("T",)]
        if any(held[1:]):
            raise NotImported("observations behind channels or positions")
        labels = tuple(axis[0] for axis in tensor.axes if axis not in (("N",), ("T",), ("T", "N")))
        spatial = "HWZ"[: len(tensor.size.spatial)]
        if any(len(axis) > 1 for axis in tensor.axes[1:]):
            return self.plain(node, tensor)
        if set(labels) != {"C", *spatial} or labels == ("C", *spatial):
            return tensor
        place = {label: number for number, label in enumerate((*spatial, "C"), start=1)}
        order = [place[label] for label in (*labels[1:], labels[0])]
        lead = tensor.axes[: len(tensor.axes) - len(labels)]
        return self.emit(node, permuteLayer(order), [tensor], (*lead, *axes("C", *spatial)))

    def replace_layer(self, port: str, **values: Any) -> None:
        """Set options of the layer that a tensor comes from."""
        number = self._by_name[port.partition("\0")[0]]
        self.layers[number] = self.layers[number].replaced(**values)

    def layer_of(self, tensor: Tensor) -> Layer:
        """Return the layer that a tensor comes from."""
        return self.layer_at(tensor.port)

    def layer_at(self, port: str) -> Layer:
        """Return the layer whose output a port is."""
        return self.layers[self._by_name[port.partition("\0")[0]]]

    def finish(self, output: OnnxTensor, make: Callable[[Tensor], Sequence[Layer]]) -> None:
        """Add the layers behind an output of the graph."""
        node = OnnxNode("Output", (), (), {}, f"order_{output.name}")
        if output.name not in self.tensors and output.name in self.waiting and output.name not in self.constants:
            try:
                self.waiting.settle(node, output.name)
            except NotImported as reason:
                self._add_placeholder(OnnxNode("Output", (output.name,), (), {}, output.name), str(reason))
                return
        if output.name not in self.tensors:
            if self._is_known(output.name):
                self._add_placeholder(OnnxNode("Output", (), (), {}, output.name), "it is a constant")
            return
        layers, wires = len(self.layers), len(self.wires)
        try:
            try:
                tensor = self.tensors[output.name]
                tensor = tensor if tensor.axes == axes("N", "H", "C") else self.standard(node, tensor)
            except NotImported:
                self._drop(layers, wires)
                other = f"order_{output.name}"
                self.waiting.makers[other] = OnnxNode("Identity", (output.name,), (other,), {}, other)
                tensor = self.waiting.settle(node, other)
        except NotImported as reason:
            self._drop(layers, wires)
            self._add_placeholder(OnnxNode("Output", (output.name,), (), {}, output.name), str(reason))
            return
        for layer in make(tensor):
            tensor_name = self.unique(OnnxNode(layer.base_name, (), (), {}, f"{layer.base_name}_{output.name}"))
            named = layer.replaced(Name=tensor_name)
            self.append(named)
            self._connect(tensor, Port(tensor_name, "in"))
            tensor = Tensor(f"{tensor_name}\0out", tensor.size, tensor.axes)

    def layer_graph(self) -> LayerGraph:
        """Return what has been made."""
        return LayerGraph(self.layers, self.wires)


def is_of_fixed_lengths(graph: OnnxGraph) -> bool:
    """Tell whether a graph can be one for single observations."""
    shapes = [tensor.shape for tensor in graph.inputs]
    return all(1 <= len(shape) <= 4 and all(isinstance(n, int) and n > 0 for n in shape) for shape in shapes)


def _single_input(shape: Sequence[int | str]) -> tuple[Any, tuple[Axis, ...]]:
    """Return the input layer of a tensor that is one observation: its first axis are the channels."""
    channels, *spatial = shape
    order = axes(*["C", *SPATIAL][: len(shape)])
    if not spatial:
        return featureInputLayer(channels), order
    if len(spatial) == 1:
        return inputLayer([*spatial, channels, np.nan], "SCB"), order
    make: Any = imageInputLayer if len(spatial) == 2 else image3dInputLayer
    return make([*spatial, channels], Normalization="none"), order
