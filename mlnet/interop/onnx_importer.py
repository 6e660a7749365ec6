"""From the graph of an ONNX file to layers: constants, shapes and tensors, node by node."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.errors import DataError, MlnetError
from mlnet.interop.onnx_axes import SPATIAL, Axis, NotImported, Symbol, Tensor, axes
from mlnet.interop.onnx_function import emit_operator
from mlnet.interop.onnx_graph import OnnxGraph, OnnxNode, OnnxTensor
from mlnet.interop.placeholder import PlaceholderLayer
from mlnet.layers.base import Layer, SizeError
from mlnet.layers.general_input import inputLayer
from mlnet.layers.input import featureInputLayer, imageInputLayer, sequenceInputLayer
from mlnet.layers.input3d import image3dInputLayer
from mlnet.layers.shape import flattenLayer, permuteLayer
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.rules import REFUSALS

Operator = Callable[["Importer", OnnxNode], None]


@dataclass
class Importer:
    """Turns a graph into layers and wires.

    ``tensors`` are outputs of layers by the names of the graph, ``shapes`` what has been computed from the lengths of
    tensors, ``borders`` pads and their value that wait for a convolution, ``missing`` what no layer stands for:
    (operator, reason). With ``single`` the graph is one for single observations: no axis is that of observations.
    """

    graph: OnnxGraph
    operators: dict[str, Operator]
    single: bool = False
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

    def run(self) -> None:
        """Add layers for all inputs and nodes."""
        for tensor in self.graph.inputs:
            self._add_input(tensor)
        for node in self.graph.nodes:
            self._add(node)

    def _add(self, node: OnnxNode) -> None:
        unknown = [name for name in node.inputs if name and not self._is_known(name)]
        layers, wires = len(self.layers), len(self.wires)
        try:
            if unknown:
                raise NotImported(f"it comes behind a placeholder whose output '{unknown[0]}' has no known size")
            if node.operator not in self.operators:
                raise NotImported("there is no layer for this operator")
            try:
                self.operators[node.operator](self, node)
            except (NotImported, MlnetError, *REFUSALS, LookupError, AttributeError) as reason:
                del self.layers[layers:], self.wires[wires:]
                self._add_operator(node, str(reason))
        except NotImported as reason:
            del self.layers[layers:], self.wires[wires:]
            self._add_placeholder(node, str(reason))

    def _add_operator(self, node: OnnxNode, reason: str) -> None:
        """Add layers that compute an operator by its definition; ``reason`` tells why there is no other layer."""
        layers, wires = len(self.layers), len(self.wires)
        try:
            if self._with_plain_inputs(node):
                return
            del self.layers[layers:], self.wires[wires:]
            emit_operator(self, node)
        except NotImported as other:
            raise NotImported(f"{reason} ({other})") from None

    def _with_plain_inputs(self, node: OnnxNode) -> bool:
        """Tell whether an operator has a layer once its inputs, with channels parted or joined, are made plain."""
        given = {name: self.tensors[name] for name in node.inputs if name in self.tensors}
        odd = [name for name, each in given.items() if any(len(axis) > 1 for axis in each.axes)]
        try:
            for name in odd:
                emit_operator(self, OnnxNode("Identity", (name,), (name,), {}, f"order_{name}"))
            if odd:
                self.operators[node.operator](self, node)
        except (NotImported, MlnetError, *REFUSALS, LookupError, AttributeError):
            odd = []
        if not odd:
            self.tensors.update(given)
        return bool(odd)

    def _is_known(self, name: str) -> bool:
        return name in self.tensors or name in self.constants or name in self.shapes

    def _add_placeholder(self, node: OnnxNode, reason: str) -> None:
        self.missing.append((node, reason))
        given = [self.tensors[name] for name in node.inputs if name in self.tensors]
        outputs = [name for name in node.outputs if name]
        name = self.unique(node)
        options = {"ONNXNode": node.operator, "Reason": reason, "Ins": len(given), "Outs": max(1, len(outputs))}
        layer = PlaceholderLayer(Name=name, **options)
        self.layers.append(layer)
        for port, tensor in zip(layer.inputs, given, strict=True):
            self._connect(tensor, Port(name, port))

    def _connect(self, tensor: Tensor, destination: Port) -> None:
        layer, _, port = tensor.port.partition("\0")
        self.wires.append(Connection(Port(layer, port), destination))

    def unique(self, node: OnnxNode) -> str:
        """Return a name for the layer of a node that no layer has."""
        stem = re.sub(r"[\s/]+", "_", (node.name or node.outputs[0] or node.operator)).strip("_") or node.operator
        taken = {layer.Name for layer in self.layers}
        count, name = 1, stem
        while name in taken:
            count, name = count + 1, f"{stem}_{count + 1}"
        return name

    def _add_input(self, tensor: OnnxTensor) -> None:
        node = OnnxNode("Input", (), (tensor.name,), {})
        layer, order = self._input_layer(tensor)
        layer = layer.replaced(Name=self.unique(node))
        self.layers.append(layer)
        self.tensors[tensor.name] = Tensor(f"{layer.Name}\0out", layer.size(), order)

    def _input_layer(self, tensor: OnnxTensor) -> tuple[Any, tuple[Axis, ...]]:
        """Return the layer of an input: axes whose lengths are open are observations and time steps."""
        shape = tensor.shape
        if self.single:
            return _single_input(shape)
        known = [length if isinstance(length, int) else None for length in shape]
        inner = known[1:]
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
            swaps = [n.attributes.get("perm") for n in self.graph.nodes if n.inputs[:1] == (tensor.name,)]
            return sequenceInputLayer(known[2]), axes(*("NTC" if [1, 0, 2] in swaps or known[1] else "TNC"))
        if len(shape) == 3 and known[1]:
            if known[2]:
                return inputLayer([known[2], known[1], np.nan], "SCB"), axes("N", "C", "H")
            return sequenceInputLayer(known[1]), axes("N", "C", "T")
        lengths = " x ".join(map(str, shape)) or "nothing"
        raise DataError(
            f"importONNX: the input '{tensor.name}' needs the lengths of channels and positions, but is {lengths}."
        )

    def _is_along_time(self, name: str) -> bool:
        """Tell whether an input of three axes has its channels last: the second is open, or layers are recurrent."""
        shape = next(tensor.shape for tensor in self.graph.inputs if tensor.name == name)
        reads = any(node.operator in ("LSTM", "GRU") for node in self.graph.nodes)
        return isinstance(shape[1], str) or reads

    # What the functions of operators use.

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
        self.layers.append(layer)
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
        name = port.partition("\0")[0]
        number = next(number for number, layer in enumerate(self.layers) if layer.Name == name)
        self.layers[number] = self.layers[number].replaced(**values)

    def layer_of(self, tensor: Tensor) -> Layer:
        """Return the layer that a tensor comes from."""
        name = tensor.port.partition("\0")[0]
        return next(layer for layer in self.layers if layer.Name == name)

    def finish(self, output: OnnxTensor, make: Callable[[Tensor], Sequence[Layer]]) -> None:
        """Add the layers behind an output of the graph."""
        node = OnnxNode("Output", (), (), {}, f"order_{output.name}")
        if output.name not in self.tensors:
            if self._is_known(output.name):
                self._add_placeholder(OnnxNode("Output", (), (), {}, output.name), "it is a constant")
            return
        try:
            tensor = self.standard(node, self.tensors[output.name])
        except NotImported as reason:
            same = OnnxNode("Identity", (output.name,), (f"order_{output.name}",), {}, f"order_{output.name}")
            self.uses[same.outputs[0]] += 1
            try:
                self._add_operator(same, str(reason))
            except NotImported as other:
                self._add_placeholder(OnnxNode("Output", (output.name,), (), {}, output.name), str(other))
                return
            tensor = self.tensors[same.outputs[0]]
        for layer in make(tensor):
            tensor_name = self.unique(OnnxNode(layer.base_name, (), (), {}, f"{layer.base_name}_{output.name}"))
            named = layer.replaced(Name=tensor_name)
            self.layers.append(named)
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
