"""From a trained network to the graph of an ONNX file, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.select import select_engine
from mlnet.errors import NotSupportedError
from mlnet.interop.onnx.graph import Builder, OnnxGraph, OnnxNode, OnnxTensor
from mlnet.interop.onnx.reading.function import OnnxOperatorLayer
from mlnet.interop.onnx.writing.operations import ANY_SHAPE, EXPORTERS, WITH_TIME
from mlnet.interop.onnx.writing.step import NotInOnnx, Step
from mlnet.layers.base import Call, Size
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.unknown import is_known
from mlnet.layers.unpooling import MaxUnpooling2DLayer
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source, where_text


def graph_of(
    network: Resolved, name: str, opset: int, batch: int | str = "dynamic", function: str = "exportONNXNetwork"
) -> OnnxGraph:
    """Return the graph of a network; ``function`` is who asks, for messages.

    Raises
    ------
    NotSupportedError
        Where layers cannot be expressed; the message lists all of them.
    """
    writer = _Writer(network, Builder(name, opset), "N" if batch == "dynamic" else batch)
    for index in network.order:
        writer.add(index)
    if writer.mistakes:
        refuse(function, f"ONNX (version {opset})", writer.mistakes)
    for index in network.output_indices:
        writer.finish(index)
    _name_after_layers(writer.build.graph)
    return writer.build.graph


_MOVING = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only move elements: beside others of a layer, none of them is called as the layer."""


def _name_after_layers(graph: OnnxGraph) -> None:
    """Let the operator that does a layer's work have its name, which the first one of the layer was given."""
    places: dict[str, list[int]] = {}
    for place, node in enumerate(graph.nodes):
        places.setdefault(node.layer, []).append(place)
    for layer, own in places.items():
        first = next((place for place in own if graph.nodes[place].name == layer), None)
        working = next((place for place in own if graph.nodes[place].operator not in _MOVING), None)
        if first is None or working in (None, first):
            continue
        one, other = graph.nodes[first], graph.nodes[working]
        graph.nodes[first], graph.nodes[working] = replace(one, name=other.name), replace(other, name=one.name)


def _end_name(name: str) -> str:
    """Return the name in a file: open ends of a dlnetwork are called after the layers there."""
    for word in ("input", "output"):
        if name.startswith(f"{word} of "):
            return f"{name.removeprefix(f'{word} of ')}_{word}".replace("/", "_")
    return name


def refuse(function: str, format_name: str, mistakes: list[str]) -> None:
    """Raise `NotSupportedError` with a list of all layers that a format cannot express."""
    listed = "\n".join(f"  {mistake}" for mistake in mistakes)
    count = f"{len(mistakes)} layer{'s' * (len(mistakes) > 1)}"
    raise NotSupportedError(f"{function}: {format_name} cannot express {count}:\n{listed}")


@dataclass(frozen=True)
class _Value:
    """A tensor; ``is_flat`` where images of one pixel are written as (N, C)."""

    name: str
    size: Size
    is_flat: bool = False


class _Writer:
    """Goes through a network and adds the operators of each layer."""

    def __init__(self, network: Resolved, build: Builder, batch: int | str) -> None:
        self.build, self.mistakes = build, []  # type: tuple[Builder, list[str]]
        self._network, self._batch = network, batch
        self._values: dict[Source, _Value] = {}
        self._engine: Engine = select_engine("none", "cpu")

    def add(self, index: int) -> None:
        """Add layer ``index``; what cannot be expressed becomes a mistake and leaves its outputs out."""
        network, layer = self._network, self._network.layers[index]
        self.build.layer = layer.Name
        if isinstance(layer, InputLayer):
            inputs = [self._input(index)]
            if callable(layer.Normalization):
                self._mistake(index, "a function as its Normalization")
                return
        else:
            inputs = [self._values.get(source) for source in network.sources[index]]  # type: ignore[misc]
        call = layer.operation(*network.input_sizes(index), training=False)
        if call is not None and call.operation not in EXPORTERS:
            reason = "methods of a class of a user" if isinstance(layer, CustomLayer) else ""
            self._mistake(index, f"{layer.computes}" if isinstance(layer, OnnxOperatorLayer) else reason)
            return
        if None in inputs:
            return
        if any(self._is_place(source) for source in network.sources[index]) and not isinstance(
            layer, MaxUnpooling2DLayer
        ):
            self._mistake(index, "the places of maxima, which are numbered otherwise in the file")
            return
        if call is None:
            for output, size in enumerate(network.sizes[index]):
                self._values[Source(index, output)] = _Value(inputs[0].name, size, inputs[0].is_flat)
            return
        try:
            for output, value in enumerate(self._outputs(index, call, inputs)):
                self._values[Source(index, output)] = value
        except NotInOnnx as reason:
            self._mistake(index, str(reason))

    def _is_place(self, source: Source) -> bool:
        """Tell whether an output has the indices or the size of unpooling."""
        return source.output > 0 and bool(getattr(self._network.layers[source.layer], "HasUnpoolingOutputs", False))

    def _mistake(self, index: int, reason: str) -> None:
        where = where_text(index, self._network.layers[index])
        self.mistakes.append(f"{where}: {reason}." if reason else f"{where}.")

    def finish(self, index: int) -> None:
        """Add an output of the graph, named after its output layer; images of one pixel are (N, C)."""
        value = self._values[Source(index)]
        size, x = value.size, value.name
        self.build.layer = _end_name(self._network.layers[index].Name)
        spatial = [n if is_known(n) else f"S{place}_{self.build.layer}" for place, n in enumerate(size.spatial, 1)]
        shape: tuple[int | str, ...] = (size.channels, *spatial)
        if size.is_sequence:
            shape = (f"S_{self.build.layer}", self._batch, *shape)
        elif size.is_flat:
            shape = (self._batch, size.channels)
            x = self.build.node("Flatten", x, axis=1) if size.spatial and not value.is_flat else x
        else:
            shape = (self._batch, *shape)
        name = self.build.fresh(self.build.layer)
        self.build.graph.nodes.append(OnnxNode("Identity", (x,), (name,), {}, name))
        self.build.graph.outputs.append(OnnxTensor(name, shape))

    def _input(self, index: int) -> _Value:
        size = self._network.sizes[index][0]
        name = self.build.fresh(_end_name(self._network.layers[index].Name))
        lead = ("S", self._batch) if size.is_sequence else (self._batch,)
        self.build.graph.inputs.append(OnnxTensor(name, (*lead, size.channels, *size.spatial)))
        return _Value(name, size)

    def _outputs(self, index: int, call: Call, inputs: list[_Value]) -> Iterator[_Value]:
        sizes = self._network.sizes[index]
        along_time = call.time is not None
        is_flat = any(value.is_flat for value in inputs)
        keeps = is_flat and (len(inputs) == 1) and call.operation in ANY_SHAPE | {"softmax", "fully_connected"}
        names = [value.name if keeps else self._shaped(value) for value in inputs]
        in_sizes = [_flat(value.size) if keeps and value.is_flat else value.size for value in inputs]
        folds = any(size.is_sequence for size in in_sizes) and not along_time and not _takes_time(call, in_sizes[0])
        if folds:
            names = [
                self.build.reshaped(name, [-1, *_tensor(size)]) for name, size in zip(names, in_sizes, strict=True)
            ]
            in_sizes = [_one_step(size) for size in in_sizes]
        step = Step(
            self.build, names, in_sizes, sizes, call.attributes, self._parameters(index, call), along_time=along_time
        )
        made = EXPORTERS[call.operation](step)
        for name, size in zip(made if isinstance(made, tuple) else (made,), sizes, strict=True):
            flattened = keeps or (call.operation == "fully_connected" and bool(size.spatial))
            if folds:
                yield _Value(self._unfolded(name, inputs[0], size, call), size)
            else:
                yield _Value(name, size, flattened and bool(size.spatial))

    def _shaped(self, value: _Value) -> str:
        return self.build.reshaped(value.name, [-1, *_tensor(value.size)]) if value.is_flat else value.name

    def _unfolded(self, name: str, source: _Value, size: Size, call: Call) -> str:
        """Return (S, N, ...) of (S N, ...), with S and N those of what the layer took."""
        build = self.build
        lead = build.node("Slice", build.node("Shape", source.name), *(build.shape([n]) for n in (0, 2, 0)))
        shape = build.node("Concat", lead, build.shape(_tensor(size)), axis=0)
        return build.node("Reshape", name, shape)

    def _parameters(self, index: int, call: Call) -> dict[str, np.ndarray]:
        """Return the parameters by name; one that is computed from others has the name that the layer gives it."""
        layer = self._network.layers[index]
        values = {name: np.asarray(getattr(layer, name), np.float32) for name in call.parameters}
        if call.derived is not None:
            operation = self._engine.operation(call.derived.operation)
            arrays = [np.asarray(getattr(layer, name), np.float32) for name in call.derived.parameters]
            value, _ = operation.forward(*arrays, workspace=Workspace(), **call.derived.attributes)
            values["Weights"] = np.array(value)
        return values


def _takes_time(call: Call, size: Size) -> bool:
    return call.operation in WITH_TIME or (
        call.operation in ("fully_connected", "layer_normalization") and size.format == "CT"
    )


def _tensor(size: Size) -> list[int]:
    """Return channels and positions, in the order of the file."""
    return [size.channels, *size.spatial]


def _flat(size: Size) -> Size:
    return Size("C", (size.channels,))


def _one_step(size: Size) -> Size:
    return Size(size.format.removesuffix("T"), size.dims)
