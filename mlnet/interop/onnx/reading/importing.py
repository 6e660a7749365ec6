"""importONNXNetwork, importONNXLayers and importNetworkFromONNX: layers from ONNX files."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError, MlnetError, NotSupportedError
from mlnet.interop.onnx import file as onnx_file
from mlnet.interop.onnx.graph import OnnxGraph
from mlnet.interop.onnx.reading.attention import PATTERNS
from mlnet.interop.onnx.reading.axes import Tensor
from mlnet.interop.onnx.reading.fusing import fused
from mlnet.interop.onnx.reading.importer import Importer, is_of_fixed_lengths
from mlnet.interop.onnx.reading.joining import joined
from mlnet.interop.onnx.reading.operators import OPERATORS
from mlnet.interop.onnx.writing.exporting import FILE
from mlnet.labels import categorical
from mlnet.layers.activation import SoftmaxLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.output import classificationLayer, regressionLayer
from mlnet.layers.pixel_output import pixelClassificationLayer
from mlnet.network.assemble import assembleNetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.resolve import with_min_lengths
from mlnet.network.trained import DAGNetwork, SeriesNetwork
from mlnet.options import Declared, Option, Table
from mlnet.rules import REFUSALS, Refused, Rule, choice, either, flag

_KINDS = ("classification", "regression", "pixelclassification")


def _classes(value: Any) -> list[str]:
    try:
        names = None if isinstance(value, str) else [str(name) for name in np.ravel(np.array(categorical(value)))]
    except MlnetError:
        names = None
    if not names or len(set(names)) != len(names):
        raise Refused
    return names


def _kind(default: str) -> Option:
    return Option("OutputLayerType", default, choice(*_KINDS), "Kind of the output layers that are added.")


_CLASSES = Option(
    "Classes",
    "auto",
    either(choice("auto"), Rule("a list of different classes", _classes, (1, None, ["a", "a"]))),
    "Classes of the output layer; '1', '2', ... if 'auto'.",
)


class _NetworkOptions(Declared):
    constructor_name = "importONNXNetwork"
    table = Table(FILE, _kind("classification"), _CLASSES)


class _PlainOptions(Declared):
    constructor_name = "importNetworkFromONNX"
    table = Table(FILE)


class _LayersOptions(Declared):
    constructor_name = "importONNXLayers"
    table = Table(
        FILE, _kind("regression"), _CLASSES, Option("ImportWeights", True, flag(), "Whether layers have their values.")
    )


def importONNXNetwork(*args: Any, **kwargs: Any) -> SeriesNetwork | DAGNetwork:  # noqa: N802
    """Return the network in an ONNX file.

    Nothing in the file is run. Images are taken as N x C x H x W, 3-D images as N x C x H x W x D, features as N x C,
    sequences as S x N x C, with the lengths of observations and time steps open.

    Parameters
    ----------
    filename : text or path
    OutputLayerType : 'classification', 'regression' or 'pixelclassification', default 'classification'
        Kind of the output layer that is added behind each output. A softmaxLayer is added before the first and the last
        kind where there is none: the scores are probabilities then.
    Classes : 'auto' or list, default 'auto'
        Classes of the output layer; '1', '2', ... if 'auto'.

    Returns
    -------
    SeriesNetwork
        Where the layers make a chain.
    DAGNetwork
        For all others.

    Raises
    ------
    DataError
        Where the file cannot be read, is no correct model, or has inputs of unknown size.
    NotSupportedError
        Where operators have no layer; the message lists all of them. `importONNXLayers` imports the others.
    MissingExtraError
        Where the package onnx is not installed; ``pip install 'mlnet[onnx]'`` brings it.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.
    """
    options = _NetworkOptions(*args, **kwargs)
    return _network(options, options.OutputLayerType, options.Classes)


def importNetworkFromONNX(*args: Any, **kwargs: Any) -> SeriesNetwork | DAGNetwork:  # noqa: N802
    """Return the network in an ONNX file, with what the file computes as the result of `predict`.

    Parameters
    ----------
    filename : text or path

    Returns
    -------
    SeriesNetwork or DAGNetwork
        With regression layers behind its outputs, which compute nothing. MATLAB returns a dlnetwork.

    Notes
    -----
    Operators that are known, but used in a way that no layer has, become layers that compute them by ONNX's definition;
    they predict and cannot be trained. In files whose lengths are all fixed and whose operators mix observations, the
    whole input is one observation, its first axis the channels.

    Raises
    ------
    DataError, NotSupportedError, MissingExtraError, OptionError, UnknownNameError
        As for `importONNXNetwork`.
    """
    return _network(_PlainOptions(*args, **kwargs), "regression", "auto")


def _network(options: Declared, kind: str, classes: Any) -> SeriesNetwork | DAGNetwork:
    function = options.constructor_name
    importer = _imported(function, options.filename, kind, classes)
    if importer.missing:
        listed = "\n".join(f"  {node.where}: {reason}." for node, reason in importer.missing)
        count = f"{len(importer.missing)} operator{'s' * (len(importer.missing) > 1)}"
        fix = "importONNXLayers puts placeholders in their place."
        raise NotSupportedError(f"{function}: '{options.filename}' has {count} without a layer. {fix}\n{listed}")
    return assembleNetwork(_chain_or_graph(importer.layer_graph()))


def importONNXLayers(*args: Any, **kwargs: Any) -> LayerArray | LayerGraph:  # noqa: N802
    """Return the layers in an ONNX file, with placeholders for operators that no layer computes.

    Parameters
    ----------
    filename : text or path
    OutputLayerType : 'classification', 'regression' or 'pixelclassification', default 'regression'
        Kind of the output layer that is added behind each output.
    Classes : 'auto' or list, default 'auto'
        Classes of the output layer; '1', '2', ... if 'auto'.
    ImportWeights : bool, default True
        Whether the layers have the values of the file, or none, to be trained from the beginning.

    Returns
    -------
    LayerArray
        Where the layers make a chain.
    LayerGraph
        For all others. A warning names the placeholders; see `findPlaceholderLayers`.

    Raises
    ------
    DataError, MissingExtraError, OptionError, UnknownNameError
        As for `importONNXNetwork`.
    """
    options = _LayersOptions(*args, **kwargs)
    function = options.constructor_name
    importer = _imported(function, options.filename, options.OutputLayerType, options.Classes)
    if importer.missing:
        listed = "\n".join(f"  {node.where}: {reason}." for node, reason in importer.missing)
        warnings.warn(f"{function}: there are placeholder layers; see findPlaceholderLayers.\n{listed}", stacklevel=2)
    if not options.ImportWeights:
        importer.layers = [_without_values(layer) for layer in importer.layers]
    return _chain_or_graph(importer.layer_graph())


def _without_values(layer: Layer) -> Layer:
    names = [*(each.name for each in layer.learnables), *layer.states]
    return layer.replaced(**{name: layer.table.options[name].default for name in names})


def _imported(function: str, path: Any, kind: str, classes: Any) -> Importer:
    graph = onnx_file.read(function, path)
    try:
        return layers_of(graph, lambda importer, tensor: _output_layers(importer, tensor, kind, classes))
    except (DataError, NotSupportedError):
        raise
    except (MlnetError, *REFUSALS, LookupError, AttributeError) as error:
        raise DataError(f"{function}: '{path}' is not a correct model: {error}.") from error


def layers_of(graph: OnnxGraph, ends: Callable[[Importer, Tensor], Sequence[Layer]]) -> Importer:
    """Return the layers of a graph, with ``ends`` behind each output.

    The first axis is that of observations. Where that leaves something without a layer, axes that can be exchanged are,
    and where all lengths are fixed, the graph is one for a single observation.
    """
    graph = fused(graph)
    first: Importer | None = None
    error: DataError | None = None
    readings: list[dict[str, Any]] = [{}]
    if any(len(tensor.shape) == 3 or tensor.dtype != "float32" for tensor in graph.inputs):
        readings.append({"swapped": True})
    if is_of_fixed_lengths(graph):
        readings.append({"single": True})
    for reading in readings:
        importer = Importer(graph, OPERATORS, PATTERNS, **reading)
        try:
            _fill(importer, ends)
        except DataError as wrong:
            error = error or wrong
            continue
        if not importer.missing:
            return importer
        first = first or importer
    if first is None:
        assert error is not None
        raise error
    return first


def _fill(importer: Importer, ends: Callable[[Importer, Tensor], Sequence[Layer]]) -> None:
    importer.run()
    for output in importer.graph.outputs:
        importer.finish(output, lambda tensor: ends(importer, tensor))


def _output_layers(importer: Importer, tensor: Tensor, kind: str, classes: Any) -> Sequence[Layer]:
    if kind == "regression":
        return [regressionLayer()]
    names = np.arange(1, tensor.size.channels + 1).astype(str).tolist() if classes == "auto" else classes
    if len(names) != tensor.size.channels:
        raise DataError(f"Classes needs {tensor.size.channels} classes, but has {len(names)}")
    make = classificationLayer if kind == "classification" else pixelClassificationLayer
    has_softmax = isinstance(importer.layer_of(tensor), SoftmaxLayer)
    return [*([] if has_softmax else [softmaxLayer()]), make(Classes=names)]


def _chain_or_graph(graph: LayerGraph) -> LayerArray | LayerGraph:
    """Return an array where each layer feeds the next one and nothing else."""
    graph = with_min_lengths(joined(graph))
    names = [layer.Name for layer in graph.Layers]
    pairs = {(wire.source.layer, wire.destination.layer) for wire in graph.wires}
    is_chain = len(graph.wires) == len(names) - 1 and pairs == set(itertools.pairwise(names))
    return graph.Layers if is_chain else graph
