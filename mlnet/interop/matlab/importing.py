"""importNetworkFromMATLAB: networks that exportToMlnet.m has written."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, MlnetError, NetworkError, NotSupportedError, OptionError
from mlnet.interop.matlab.records import Records, difference
from mlnet.network.assemble import assembleNetwork
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph, layerGraph
from mlnet.network.nested import unfolded
from mlnet.network.trained import predict
from mlnet.options import Argument, Declared, Group, Option, Table, describe
from mlnet.rules import Refused, Rule, number
from mlnet.storage import files
from mlnet.storage.mat_format import SCRIPTS
from mlnet.storage.networks import decode
from mlnet.structure import Structure

_VARIABLE = "mlnet_export"
_VERSION = 1


def matlabFolder() -> str:  # noqa: N802 - the spelling of the public face
    """Return the folder with mlnet's functions for MATLAB: exportToMlnet, which writes what Python cannot read itself.

    In MATLAB: ``addpath('...')`` with this folder, then ``exportToMlnet(net, 'net.mat')``; here
    `importNetworkFromMATLAB`. ``help exportToMlnet`` tells what else it writes.

    Examples
    --------
    >>> import os
    >>> from mlnet import matlabFolder
    >>> os.listdir(matlabFolder())
    ['exportToMlnet.m']
    """
    return str(SCRIPTS)


def _file(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise Refused
    return Path(value)


def _custom(value: Any) -> dict[str, Callable[[Structure], Any]]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and callable(each) for name, each in value.items()):
        raise Refused
    return dict(value)


class _Options(Declared):
    constructor_name = "importNetworkFromMATLAB"
    table = Table(
        Option(
            "filename",
            None,
            Rule("the path of a file", _file, ("", 1, None)),
            "Path of the file.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        Option("Tolerance", 1e-4, number(0, infinite=True), "Largest difference for the sample."),
        Option(
            "CustomLayers",
            {},
            Rule("a dict from names of classes to functions", _custom, (1, "a", None, {"a": 1}, [1])),
            "Functions that make the layers of classes of your own.",
        ),
    )


def importNetworkFromMATLAB(*args: Any, nargout: int = 1, **kwargs: Any) -> Any:  # noqa: N802
    """Return a network that MATLAB has written with exportToMlnet.

    In MATLAB, with `matlabFolder` on the path: ``exportToMlnet(net, 'net.mat')``. Then, here,
    ``net = importNetworkFromMATLAB('net.mat')``. The file has a sample with what MATLAB predicts for it, and the
    network has to predict the same. Nothing in the file is run.

    Parameters
    ----------
    filename : text or path
    Tolerance : number of at least 0, or Inf, default 1e-4
        Largest difference for the sample, over the largest number that MATLAB predicts, which counts as 1 at least.
    CustomLayers : dict, default {}
        Functions by names of classes that mlnet does not have, ``{'myLayer': function}``: they take a structure of the
        layer's properties and return a layer.
    nargout : 1 or 2, default 1
        With 2, return ``net, report``.

    Returns
    -------
    SeriesNetwork, DAGNetwork, dlnetwork, LayerArray or LayerGraph
        What was written.
    Structure
        With ``nargout=2``: Difference for the sample (NaN without one), LeftOut (texts: properties that have no
        counterpart), Notes (of exportToMlnet), Options (training options, or None), Class and Release in MATLAB.

    Raises
    ------
    DataError
        Where the file cannot be read, or is none of exportToMlnet.
    NotSupportedError
        Where layers have no counterpart; the message lists all of them.
    NetworkError
        Where the network predicts something else than MATLAB for the sample, or layers do not make a network.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Warns
    -----
    UserWarning
        Where the file has no sample, so that nothing was compared.
    """
    function = _Options.constructor_name
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"{function}: nargout needs to be one of [1, 2], but is {nargout!r}.")
    options = _Options(*args, **kwargs)
    where = f"{function}: {str(options.filename)!r}"
    record = _record(options.filename, where)
    records = Records(options.CustomLayers)
    try:
        layers = records.graph(record)
        if not records.mistakes:
            net = _network(record, layers)
    except DataError as error:
        raise DataError(f"{where}: cannot be read: {error}.") from None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise DataError(f"{where}: cannot be read: it is damaged ({type(error).__name__}: {error}).") from None
    if records.mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in records.mistakes)
        fix = "Replace them in MATLAB, or give functions that make them as CustomLayers."
        raise NotSupportedError(f"{where}: {len(records.mistakes)} layers cannot be made. {fix}\n{listed}")
    found = _compared(net, record, where, options.Tolerance)
    if nargout == 1:
        return net
    fields = record.fields()
    report = Structure(
        Difference=found,
        LeftOut=records.left_out,
        Notes=fields.get("notes", []),
        Options=records.options(fields.get("options")),
        Class=fields.get("class"),
        Release=fields.get("matlab"),
    )
    return net, report


def _record(file: Path, where: str) -> Structure:
    """Return what exportToMlnet has written."""
    variables = files.read(files.path_of(file, "load"), where)
    record = decode(variables.get(_VARIABLE), where)
    if not isinstance(record, Structure) or "version" not in record.fields():
        fix = "Networks that mlnet has saved are read with load."
        raise DataError(f"{where}: is no file of exportToMlnet(net, file), a function for MATLAB in {SCRIPTS}. {fix}")
    if not isinstance(record.version, (int, float)) or not 1 <= record.version <= _VERSION:
        raise DataError(f"{where}: is of version {_version(record)}; this mlnet reads up to version {_VERSION}.")
    return record


def _version(record: Structure) -> str:
    version = record.version
    return f"{version:g}" if isinstance(version, (int, float)) else describe(version)


def _network(record: Structure, layers: Any) -> Any:
    kind = record.fields().get("class")
    if kind == "dlnetwork":
        graph = unfolded(layerGraph(layers))
        try:
            net, inputs = dlnetwork(graph), record.fields().get("inputs")
            if not net.Initialized and isinstance(inputs, list) and inputs:
                net = net.initialize(*map(_formatted, inputs))
            return net
        except MlnetError as error:
            raise NetworkError(f"importNetworkFromMATLAB: {error}") from None
    if kind in ("SeriesNetwork", "DAGNetwork"):
        return assembleNetwork(layers)
    return layers if isinstance(layers, LayerGraph) else LayerArray(layers)


def _compared(net: Any, record: Structure, where: str, tolerance: float) -> float:
    """Return the difference of predictions for the sample, NaN where there is none."""
    inputs, outputs = (record.fields().get(name, []) for name in ("inputs", "outputs"))
    if isinstance(net, (LayerArray, LayerGraph)):
        return math.nan
    if not isinstance(inputs, list) or not inputs or not isinstance(outputs, list) or not outputs:
        fix = "Write it with exportToMlnet(net, file, 'Sample', X)."
        warnings.warn(f"{where}: has no sample, so that nothing was compared. {fix}", UserWarning, stacklevel=3)
        return math.nan
    try:
        found = _predicted(net, inputs)
        expected = [each.data for each in outputs]
        largest = difference(found if len(expected) > 1 else (found,), expected)
    except (MlnetError, TypeError, ValueError, AttributeError) as error:
        raise NetworkError(f"{where}: the sample in it cannot be compared: {error}.") from None
    if not largest <= tolerance:
        raise NetworkError(
            f"{where}: for the sample in it, the network predicts values that differ by {largest:.3g} from those of "
            f"MATLAB (Tolerance is {tolerance:g}). With Tolerance=inf it is returned all the same."
        )
    return largest


def _predicted(net: Any, inputs: list[Structure]) -> Any:
    if isinstance(net, dlnetwork):
        found = net.predict(*map(_formatted, inputs))
        return tuple(each.extractdata() for each in found) if isinstance(found, tuple) else found.extractdata()
    data = [each.data for each in inputs]
    return predict(net, tuple(data) if len(data) > 1 else data[0])


def _formatted(each: Structure) -> dlarray:
    data = np.asarray(each.data, np.float32)
    size = data.shape + (1,) * (len(each.format) - data.ndim)
    return dlarray(data.reshape(size), each.format)
