"""exportONNXNetwork: a trained network as an ONNX file, which is run and compared before it stands in its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlnet.errors import DataError, OptionError
from mlnet.interop.onnx import file as onnx_file
from mlnet.interop.onnx.check import largest_difference, observations
from mlnet.interop.onnx.writing.writer import graph_of
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.trained import DAGNetwork, TrainedNetwork
from mlnet.options import Argument, Declared, Group, Option, Table, describe
from mlnet.rules import Refused, Rule, choice, either, integer
from mlnet.storage.atomic import write_atomically

_OLDEST, _NEWEST = 13, 22


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


NETWORK_NAME = Option("NetworkName", "Network", Rule("a text", _text, ("", 1, None)), "Name of the graph in the file.")
BATCH_SIZE = Option(
    "BatchSize",
    "dynamic",
    either(choice("dynamic"), integer()),
    "Number of observations that the file is for; any number if 'dynamic'.",
)


class _Options(Declared):
    constructor_name = "exportONNXNetwork"
    table = Table(
        FILE,
        NETWORK_NAME,
        Option(
            "OpsetVersion",
            17,
            Rule(f"a version from {_OLDEST} to {_NEWEST}", _opset, (12, 23, "a", None)),
            "Version of the set of operators.",
        ),
        BATCH_SIZE,
    )


def exportONNXNetwork(net: Any, *args: Any, nargout: int = 0, **kwargs: Any) -> float | None:  # noqa: N802
    """Write a trained network to an ONNX file.

    ``exportONNXNetwork(net, 'net.onnx')``. What is written is what `predict` computes: the normalization of the input
    layer is inside, dropout and output layers are not. Images are N x C x H x W, 3-D images N x C x H x W x D,
    features N x C, and sequences S x N x C (or S x N x C x H x W), all of one length in a mini-batch.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork or dlnetwork
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
        Where a dlnetwork is not initialized.
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
    net = to_export(function, net, nargout)
    options = _Options(*args, **kwargs)
    onnx_file.need_onnx(function)
    network = net._network
    graph = graph_of(network, options.NetworkName, options.OpsetVersion, options.BatchSize)
    content = onnx_file.to_bytes(function, graph)
    difference = largest_difference(
        function, net, graph, onnx_file.runner(function, content), observations(options.BatchSize)
    )
    try:
        write_atomically(options.filename, lambda file: file.write(content))
    except OSError as error:
        raise DataError(f"{function}: '{options.filename}' cannot be written: {error.strerror or error}.") from error
    return difference if nargout else None


def to_export(function: str, net: Any, nargout: Any) -> TrainedNetwork:
    """Return a network with an output layer behind each output.

    Raises
    ------
    OptionError
        Where ``net`` is no network, or with a wrong number of outputs.
    NetworkError
        Where it is a dlnetwork that is not initialized.
    """
    if not isinstance(net, (TrainedNetwork, dlnetwork)):
        needed = "a network (from trainNetwork, trainnet, assembleNetwork or dlnetwork)"
        raise OptionError(f"{function}: needs {needed}, but got {describe(net)}.")
    if nargout not in (0, 1) or isinstance(nargout, bool):
        raise OptionError(f"{function}: nargout needs to be one of [0, 1], but is {nargout!r}.")
    return DAGNetwork(net.initialized(function)) if isinstance(net, dlnetwork) else net
