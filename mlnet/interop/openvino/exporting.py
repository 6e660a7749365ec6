"""exportOpenVINO: a trained network as the two files of OpenVINO's IR."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlnet.errors import DataError, OptionError
from mlnet.interop.folding import fold_batch_normalization
from mlnet.interop.onnx.check import largest_difference, observations
from mlnet.interop.onnx.graph import OnnxGraph
from mlnet.interop.onnx.writing.exporting import BATCH_SIZE, FILE, NETWORK_NAME, to_export
from mlnet.interop.onnx.writing.step import NotInOnnx
from mlnet.interop.onnx.writing.writer import graph_of, refuse
from mlnet.interop.openvino import file as openvino_file
from mlnet.interop.openvino.graph import OPEN, IrBuilder
from mlnet.interop.openvino.operators import TRANSLATORS
from mlnet.interop.openvino.xml import to_files
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import where_text
from mlnet.options import Declared, Option, Table
from mlnet.rules import choice
from mlnet.storage.together import write_together

_OPSET = 22
"""Version of the ONNX operators on the way, which has normalization of groups and GELU as single operators."""


class _Options(Declared):
    constructor_name = "exportOpenVINO"
    table = Table(
        FILE,
        NETWORK_NAME,
        BATCH_SIZE,
        Option(
            "BatchNormalization",
            "folded",
            choice("folded", "inference"),
            "Whether batch normalization is part of the weights before it, or an operation.",
        ),
    )


def exportOpenVINO(net: Any, *args: Any, nargout: int = 0, **kwargs: Any) -> float | None:  # noqa: N802
    """Write a trained network as OpenVINO's intermediate representation: an .xml and a .bin file.

    ``exportOpenVINO(net, 'net.xml')`` writes net.xml and net.bin. What is written is what `predict` computes, in single
    precision: the normalization of the input layer is inside, dropout and output layers are not. Images are
    N x C x H x W, 3-D images N x C x H x W x D, features N x C, and sequences S x N x C (or S x N x C x H x W), all of
    one length in a mini-batch.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork or dlnetwork
    filename : text or path
        The .xml file; the .bin file stands beside it under the same name. Files that are there are replaced when both
        new ones are complete and have been checked, and stay as they are after an error.
    NetworkName : text, default 'Network'
        Name of the model in the file.
    BatchSize : 'dynamic' or positive integer, default 'dynamic'
        Number of observations that the file is for.
    BatchNormalization : 'folded' or 'inference', default 'folded'
        With 'folded', batch normalization becomes part of the weights of the convolution or fully connected layer
        before it, or where there is none, a product and a sum. With 'inference', it is the operation
        BatchNormInference (opset 5), which `batchNormInference` computes as well.
    nargout : 0 or 1, default 0
        With 1, return the largest difference.

    Returns
    -------
    float
        With ``nargout=1``, the largest difference between `predict` and the files, for random data, computed by the
        OpenVINO runtime on the processor.

    Raises
    ------
    NotSupportedError
        Where layers cannot be expressed; the message lists all of them.
    NetworkError
        Where the files would compute something else than `predict`: a fault of mlnet, or of the program that runs them.
        Where a dlnetwork is not initialized.
    MissingExtraError
        With ``nargout=1``, where the package openvino is not installed; ``pip install 'mlnet[openvino]'`` brings it.
    DataError
        Where the files cannot be written.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Not in MATLAB. The files are written without OpenVINO, and checked before they get their names where the package
    openvino is installed. The operations are those of OpenVINO 2024.0 and newer.

    Cannot be written: functionLayer and custom layers, which are code; indexing1dLayer with a mask, wordEmbeddingLayer
    of images, functions as Normalization, states of several sequences, and indices of maxPooling2dLayer that do not go
    to a maxUnpooling2dLayer.
    """
    function = _Options.constructor_name
    net = to_export(function, net, nargout)
    options = _Options(*args, **kwargs)
    xml_path = _xml_path(options.filename)
    if nargout:
        openvino_file.need_openvino(function)
    batch = options.BatchSize
    graph = graph_of(net._network, options.NetworkName, _OPSET, batch, function)
    xml, content = to_files(ir_of(graph, net._network, options.BatchNormalization))
    difference = None
    if openvino_file.is_installed():
        run = openvino_file.runner(xml, content)
        difference = largest_difference(function, net, graph, run, observations(batch))
    try:
        write_together({xml_path.with_suffix(".bin"): content, xml_path: xml})
    except OSError as error:
        raise DataError(f"{function}: '{options.filename}' cannot be written: {error.strerror or error}.") from error
    return difference if nargout else None


def _xml_path(path: Path) -> Path:
    """Return the path of the .xml file, for names with and without that ending."""
    if path.suffix.lower() == ".xml":
        return path
    if path.suffix.lower() == ".bin":
        raise OptionError(f"exportOpenVINO: filename needs to be that of the .xml file, but is {os.fspath(path)!r}.")
    return path.with_name(f"{path.name}.xml")


def ir_of(graph: OnnxGraph, network: Resolved, batch_normalization: str = "folded") -> IrBuilder:
    """Return the IR of a graph of ONNX operators that was made from a network.

    Raises
    ------
    NotSupportedError
        Where layers cannot be expressed; the message lists all of them.
    """
    if batch_normalization == "folded":
        graph = fold_batch_normalization(graph)
    build = IrBuilder(graph.name)
    values: dict[str, Any] = {}
    for tensor in graph.inputs:
        lengths = tuple(length if isinstance(length, int) else OPEN for length in tensor.shape)
        values[tensor.name] = build.parameter(tensor.name, lengths)
    mistakes: dict[str, str] = {}
    for node in graph.nodes:
        build.stem = node.name
        for name in node.inputs:
            if name in graph.constants and name not in values:
                array = graph.constants[name]
                values[name] = build.constant(array, array.dtype.type)
        if any(name and name not in values for name in node.inputs):
            continue  # behind a layer that cannot be expressed
        try:
            made = TRANSLATORS[node.operator](build, node, [values.get(name) for name in node.inputs])
        except NotInOnnx as reason:
            mistakes[node.layer] = str(reason)
            continue
        for name, value in zip(node.outputs, made if isinstance(made, list) else [made], strict=False):
            values[name] = value
    if mistakes:
        places = {layer.Name: where_text(index, layer) for index, layer in enumerate(network.layers)}
        refuse("exportOpenVINO", "OpenVINO", [f"{places[name]}: {reason}." for name, reason in mistakes.items()])
    for tensor in graph.outputs:
        build.result(tensor.name, values[tensor.name])
    return build
