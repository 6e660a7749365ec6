"""exportNetworkToMATLAB: a network as a function of MATLAB and a .mat file, which make it again there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.select import engine_named
from mlnet.errors import DataError, NotSupportedError, OptionError
from mlnet.interop.code import Matlab, chain_of, graph_code
from mlnet.interop.matlab.layers import NOT_IN_MATLAB, OLDEST, SINCE
from mlnet.interop.onnx.reading.function import OnnxOperatorLayer
from mlnet.labels import categorical
from mlnet.layers.base import Call, Layer
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.input_whitening import is_whitening
from mlnet.layers.per_channel import PerChannelLayer
from mlnet.layers.reparameterization import ReparameterizedLayer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.network.nested import unfolded
from mlnet.network.run import STATE_FIELDS
from mlnet.network.trained import SeriesNetwork, TrainedNetwork
from mlnet.network.wiring import where_text
from mlnet.options import Argument, Declared, Group, Option, Table, describe
from mlnet.rules import EMPTY, Refused, Rule, read_only
from mlnet.storage import mat
from mlnet.storage.together import write_together
from mlnet.version import __version__

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_RESERVED = "break case catch classdef continue else elseif end for function global if otherwise parfor persistent "
_KEYWORDS = frozenset((_RESERVED + "return spmd switch try while").split())
_INLINE = 16
"""Larger arrays are in the .mat file, as are all learned ones."""


def _folder(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise Refused
    return Path(value)


def _function_name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value in _KEYWORDS:
        raise Refused
    return value


class _Options(Declared):
    constructor_name = "exportNetworkToMATLAB"
    table = Table(
        Option(
            "folder",
            None,
            Rule("the path of a folder", _folder, ("", 1, None)),
            "Path of the folder.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        Option(
            "FunctionName",
            "trainedNetwork",
            Rule("a name that MATLAB takes for a function", _function_name, ("", "1a", "a b", "end", 1, None)),
            "Name of the function and of both files.",
        ),
    )


def exportNetworkToMATLAB(net: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N802 - the spelling of the public face
    """Write a network as a function of MATLAB, with a .mat file, that makes it again there.

    ``exportNetworkToMATLAB(net, 'folder')`` writes trainedNetwork.m and trainedNetwork.mat; in MATLAB,
    ``net = trainedNetwork()`` returns the network: from ``assembleNetwork`` where it has output layers, from
    ``dlnetwork`` for a dlnetwork. `codeFor` shows the code without values.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork or dlnetwork
    folder : text or path
        Is made where it is not there. Files of these names in it are replaced.
    FunctionName : text, default 'trainedNetwork'
        Name of the function and of both files.

    Raises
    ------
    NotSupportedError
        Where the network has what MATLAB does not: RMS normalization, whitening, functions of Python; the message
        lists all of it.
    DataError
        Where the files cannot be written.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Weights are those that are applied: with WeightReparameterization, the normalized ones. The layers of a networkLayer
    stand in the network itself. '/' and ':' in names become '_'. The head of the function tells all of this, and the
    release of MATLAB that the layers need.

    Examples
    --------
    >>> import os, tempfile
    >>> from mlnet import *
    >>> layers = [featureInputLayer(2), fullyConnectedLayer(1, Weights=[[1, 2]], Bias=3), regressionLayer()]
    >>> folder = tempfile.mkdtemp()
    >>> exportNetworkToMATLAB(assembleNetwork(layers), folder, FunctionName='line')
    >>> sorted(os.listdir(folder))
    ['line.m', 'line.mat']
    """
    function = _Options.constructor_name
    if not isinstance(net, (TrainedNetwork, dlnetwork)):
        raise OptionError(
            f"{function}: needs a network (from trainNetwork, assembleNetwork or dlnetwork), but got {describe(net)}. "
            "codeFor(layers, 'matlab') writes layers without values."
        )
    options = _Options(*args, **kwargs)
    code, values = network_code(net, options.FunctionName)
    where = f"{function}: {str(options.folder)!r}"
    parts = mat.to_bytes(values, where, is_compressed=True)
    try:
        options.folder.mkdir(exist_ok=True)
        file = options.folder / f"{options.FunctionName}.m"
        write_together({file.with_suffix(".mat"): b"".join(parts), file: code.encode()})
    except OSError as error:
        raise DataError(f"{where}: cannot be written: {error.strerror or error}.") from error


def network_code(net: TrainedNetwork | dlnetwork, name: str) -> tuple[str, dict[str, Any]]:
    """Return the function ``name`` that makes a network again, and the variables of its .mat file.

    Raises
    ------
    NotSupportedError
        Where MATLAB has no such layers; the message lists all of them.
    """
    writer = _Exporter()
    graph = writer.prepared(unfolded(net.to_graph()))
    lines = _layers(writer, net, graph)
    if writer.mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in writer.mistakes)
        raise NotSupportedError(f"exportNetworkToMATLAB: MATLAB cannot have all of this network:\n{listed}")
    is_array = lines[0].startswith("layers")
    made = "layers" if is_array else "lgraph"
    if isinstance(net, TrainedNetwork):
        last = f"net = assembleNetwork({made});"
    elif net.Initialized and any(isinstance(layer, InputLayer) for layer in graph.Layers):
        last = f"net = dlnetwork({made});"
    else:
        last = f"net = dlnetwork({made}, 'Initialize', false);"
        writer.notes.append("use initialize(net, X) with examples of the inputs before predicting.")
    releases = [SINCE.get(layer.constructor_name, OLDEST) for layer in graph.Layers]
    head = [
        f"function net = {name}()",
        f"% Return a network that mlnet {__version__} has written.",
        f"% Needs {name}.mat in the folder of this file, and MATLAB {max(releases, default=OLDEST)} or later.",
        *(f"% Note: {note}" for note in writer.notes),
    ]
    load = [f"p = load(fullfile(fileparts(mfilename('fullpath')), '{name}.mat'));"] if writer.values else []
    return "\n".join([*head, *load, *lines, last, "end", ""]), writer.values


def _layers(writer: _Exporter, net: TrainedNetwork | dlnetwork, graph: LayerGraph) -> list[str]:
    if isinstance(net, SeriesNetwork):
        try:
            return writer.array("layers", chain_of(graph))
        except ValueError:  # a networkLayer that is no chain
            pass
    return graph_code(writer, graph)


class _Exporter(Matlab):
    """Code whose learned values are in ``values``, fields of variables that have the names of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.values: dict[str, dict[str, np.ndarray]] = {}
        self._variables: dict[str, str] = {}

    def prepared(self, graph: LayerGraph) -> LayerGraph:
        """Return a graph that MATLAB can have; what it cannot is in ``mistakes``."""
        names = self._names(list(graph.Layers))
        layers = []
        for number, layer in enumerate(graph.Layers):
            where = where_text(number, layer)
            if isinstance(layer, CustomLayer):
                self.mistakes.append(f"{where}: is a custom layer of Python, which MATLAB cannot run.")
            if layer.constructor_name in NOT_IN_MATLAB:
                self.mistakes.append(f"{where}: {NOT_IN_MATLAB[layer.constructor_name]}.")
            if isinstance(layer, InputLayer) and is_whitening(layer):
                self.mistakes.append(
                    f"{where}: Normalization is '{layer.Normalization}', which MATLAB does not have. Whiten the data "
                    "before, or train with 'zscore'."
                )
            if isinstance(layer, ReparameterizedLayer) and layer.WeightReparameterization != "none":
                self.notes.append(f"the Weights of '{names[layer.Name]}' are with {layer.WeightReparameterization}.")
                layer = _folded(layer)
            layers.append(layer.replaced(Name=names[layer.Name]))
        wires = [Connection(_renamed(wire.source, names), _renamed(wire.destination, names)) for wire in graph.wires]
        return LayerGraph(layers, wires)

    def _names(self, layers: list[Layer]) -> dict[str, str]:
        """Return names that MATLAB takes, by those that there are, and find names of variables for them."""
        taken = {layer.Name for layer in layers if not re.search("[/:]", layer.Name)}
        names = {name: name for name in taken}
        for layer in layers:
            if layer.Name not in names:
                names[layer.Name] = _free(re.sub("[/:]", "_", layer.Name), taken)
                self.notes.append(f"the layer '{layer.Name}' is '{names[layer.Name]}' here.")
        used: set[str] = set()
        for name in names.values():
            plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:50]
            self._variables[name] = _free(plain if plain[:1].isalpha() else f"layer_{plain}", used)
        return names

    def learned(self, layer: Layer, number: int, name: str) -> str | None:
        """Return the field that holds a learned value."""
        value = getattr(layer, name)
        if name in STATE_FIELDS and not value.any():
            return None  # as without it
        if name in STATE_FIELDS and value.ndim == 2 and value.shape[1] > 1:
            self.mistakes.append(f"{where_text(number, layer)}: {name} is of several sequences. Use resetState before.")
        return self._stored(layer, name, value) if value.size else None

    def option(self, layer: Layer, number: int, name: str) -> str | None:
        """Return the value of an option, or the field that holds it."""
        value = getattr(layer, name)
        if name.startswith(("WeightLength", "Whitening")) or (name.endswith("Initializer") and callable(value)):
            return None  # what MATLAB does not have, and what has made the value of a parameter
        if name == "NumChannels" and isinstance(layer, PerChannelLayer):
            return None  # MATLAB takes it from the parameters
        is_statistic = isinstance(layer, InputLayer) and name in layer.statistics()
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and (is_statistic or value.size > _INLINE):
            return self._stored(layer, name, value)
        if isinstance(layer, OnnxOperatorLayer) and name == "PredictFcn":
            self.mistakes.append(f"{where_text(number, layer)}: {layer.computes}, for which MATLAB has no layer.")
            return None
        if callable(value) and not isinstance(value, (np.ufunc, LayerGraph, categorical)):
            self.mistakes.append(
                f"{where_text(number, layer)}: {name} is {describe(value)}, which is no function of MATLAB."
            )
            return None
        return super().option(layer, number, name)

    def _stored(self, layer: Layer, name: str, value: np.ndarray) -> str:
        variable = self._variables[layer.Name]
        self.values.setdefault(variable, {})[name] = value
        return f"p.{variable}.{name}"


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _renamed(port: Port, names: dict[str, str]) -> Port:
    return Port(names[port.layer], port.name)


def _folded(layer: Any) -> Any:
    """Return a layer whose Weights are those that are applied."""
    derived = layer.reparameterized(Call("", ("Weights",))).derived
    arrays = [np.asarray(getattr(layer, name), np.float32) for name in derived.parameters]
    weights, _ = (
        engine_named("numpy").operation(derived.operation).forward(*arrays, workspace=Workspace(), **derived.attributes)
    )
    return layer.replaced(Weights=read_only(weights), WeightReparameterization="none", WeightLength=EMPTY)
