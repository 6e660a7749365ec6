"""exportONNXNetwork: a trained network as an ONNX file, which is run and compared before it stands in its place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.select import select_engine
from mlnet.errors import DataError, NotSupportedError, OptionError
from mlnet.interop import onnx_file
from mlnet.interop.onnx_check import largest_difference
from mlnet.interop.onnx_graph import Builder, OnnxGraph, OnnxNode, OnnxTensor
from mlnet.interop.onnx_operations import ANY_SHAPE, EXPORTERS, WITH_TIME
from mlnet.interop.onnx_step import NotInOnnx, Step
from mlnet.layers.base import Call, Size
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.network.resolve import Resolved
from mlnet.network.trained import TrainedNetwork
from mlnet.network.wiring import Source, where_text
from mlnet.options import Argument, Declared, Group, Option, Table, describe
from mlnet.rules import Refused, Rule, choice, either, integer

_OLDEST, _NEWEST = 13, 22
_BATCH = 2


def _path(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise Refused
    return Path(value)


FILE = Option(
    "filename",
    None,
    Rule("the path of a file", _path, ("", 1, None)),
    "Path of the file.",
    Group.PLAIN,
    Argument.REQUIRED,
)


def _opset(value: Any) -> int:
    number = int(integer().convert(value))
    if not _OLDEST <= number <= _NEWEST:
        raise Refused
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused
    return value


class _Options(Declared):
    constructor_name = "exportONNXNetwork"
    table = Table(
        FILE,
        Option("NetworkName", "Network", Rule("a text", _text, ("", 1, None)), "Name of the graph in the file."),
        Option(
            "OpsetVersion",
            17,
            Rule(f"a version from {_OLDEST} to {_NEWEST}", _opset, (12, 23, "a", None)),
            "Version of the set of operators.",
        ),
        Option(
            "BatchSize",
            "dynamic",
            either(choice("dynamic"), integer()),
            "Number of observations that the file is for; any number if 'dynamic'.",
        ),
    )


def exportONNXNetwork(net: Any, *args: Any, nargout: int = 0, **kwargs: Any) -> float | None:  # noqa: N802
    """Write a trained network to an ONNX file.

    ``exportONNXNetwork(net, 'net.onnx')``. What is written is what `predict` computes: the normalization of the input
    layer is inside, dropout and output layers are not. Images are N x C x H x W, 3-D images N x C x H x W x D,
    features N x C, and sequences S x N x C (or S x N x C x H x W), all of one length in a mini-batch.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
    filename : text or path
        The file; it is replaced when the new one is complete and has been checked, and stays as it is after an error.
    NetworkName : text, default 'Network'
        Name of the graph in the file.
    OpsetVersion : integer from 13 to 22, default 17
        Version of the set of operators. Layer normalization over channels needs 17; group normalization is a single
        operator from 21 on.
    BatchSize : 'dynamic' or positive integer, default 'dynamic'
        Number of observations that the file is for.
    nargout : 0 or 1, default 0
        With 1, return the largest difference.

    Returns
    -------
    float
        With ``nargout=1``, the largest difference between `predict` and the file, for random data, computed by ONNX
        Runtime or, where that is not installed, by the definition in the package onnx.

    Raises
    ------
    NotSupportedError
        Where layers cannot be expressed; the message lists all of them.
    NetworkError
        Where the file would compute something else than `predict`: a fault of mlnet, or of the program that runs it.
    MissingExtraError
        Where the package onnx is not installed; ``pip install 'mlnet[onnx]'`` brings it.
    DataError
        Where the file cannot be written.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Differs from MATLAB: the default of OpsetVersion is newer, and the file is checked by running it.
    """
    function = _Options.constructor_name
    if not isinstance(net, TrainedNetwork):
        raise OptionError(f"{function}: needs a trained network (from trainNetwork), but got {describe(net)}.")
    if nargout not in (0, 1) or isinstance(nargout, bool):
        raise OptionError(f"{function}: nargout needs to be one of [0, 1], but is {nargout!r}.")
    options = _Options(*args, **kwargs)
    onnx_file.need_onnx(function)
    network = net._network
    graph = graph_of(network, options.NetworkName, options.OpsetVersion, options.BatchSize)
    content = onnx_file.to_bytes(function, graph)
    difference = largest_difference(
        net, graph, content, _BATCH if options.BatchSize == "dynamic" else options.BatchSize
    )
    _write(options.filename, content)
    return difference if nargout else None


def graph_of(network: Resolved, name: str, opset: int, batch: int | str = "dynamic") -> OnnxGraph:
    """Return the graph of a network.

    Raises
    ------
    NotSupportedError
        Where layers cannot be expressed; the message lists all of them.
    """
    writer = _Writer(network, Builder(name, opset), "N" if batch == "dynamic" else batch)
    for index in network.order:
        writer.add(index)
    if writer.mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in writer.mistakes)
        count = f"{len(writer.mistakes)} layer{'s' * (len(writer.mistakes) > 1)}"
        raise NotSupportedError(f"exportONNXNetwork: ONNX (version {opset}) cannot express {count}:\n{listed}")
    for index in network.output_indices:
        writer.finish(index)
    return writer.build.graph


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
            self._mistake(index, "methods of a class of a user" if isinstance(layer, CustomLayer) else "")
            return
        if None in inputs:
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

    def _mistake(self, index: int, reason: str) -> None:
        where = where_text(index, self._network.layers[index])
        self.mistakes.append(f"{where}: {reason}." if reason else f"{where}.")

    def finish(self, index: int) -> None:
        """Add an output of the graph, named after its output layer; images of one pixel are (N, C)."""
        value = self._values[Source(index)]
        size, x = value.size, value.name
        self.build.layer = self._network.layers[index].Name
        shape: tuple[int | str, ...] = (size.channels, *size.spatial)
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
        name = self.build.fresh(self._network.layers[index].Name)
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


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole, or as it was before."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise DataError(f"exportONNXNetwork: '{path}' cannot be written: {error}.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
