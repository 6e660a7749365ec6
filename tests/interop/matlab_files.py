"""Files as exportToMlnet.m writes them, of networks here: by SciPy, from the layout that the script documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.io

import mlnet
from mlnet.layers.base import Layer
from mlnet.network.layer_graph import LayerGraph

LEFT_TO_OTHERS = {"Padding", "Cropping"}
"""Options that are no properties in MATLAB; PaddingMode and PaddingSize tell them."""
MINE = {"WeightLength", "WeightReparameterization", "WeightLengthInitializer", "WhiteningEpsilon", "WhiteningMatrix"}


def cells(values: Any) -> np.ndarray:
    """Return a row of cells."""
    array = np.empty((1, len(values)), object)
    for number, value in enumerate(values):
        array[0, number] = plain(value)
    return array


def plain(value: Any) -> Any:
    """Return a value as SciPy writes what MATLAB has."""
    if isinstance(value, mlnet.categorical):
        names = mlnet.categories(value)
        return {"mlnet_class": "categorical", "codes": value.codes + 1.0, "categories": cells(names)}
    if isinstance(value, LayerGraph):
        return network_record(value, "dlnetwork")
    if isinstance(value, np.ufunc):
        return {"mlnet_function": value.__name__}
    if callable(value) and not isinstance(value, np.ndarray):
        return {"mlnet_function": "@(sz)rand(sz)"}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return cells(value)
    if value is None:
        return np.zeros((0, 0))
    if isinstance(value, np.ndarray):
        return np.atleast_2d(value)
    return value if isinstance(value, (str, bool)) else np.atleast_2d(np.asarray(value, float))


def layer_record(layer: Layer, package: str = "nnet.cnn.layer") -> dict[str, Any]:
    names = [name for name in layer.table.entries if name not in LEFT_TO_OTHERS and name not in MINE]
    properties = {name: plain(getattr(layer, name)) for name in names}
    return {"class": f"{package}.{type(layer).__name__}", "properties": properties}


def network_record(net: Any, kind: str) -> dict[str, Any]:
    graph = net if isinstance(net, LayerGraph) else net.to_graph()
    by_name = {layer.Name: layer for layer in graph.Layers}

    def port(port: Any, names: tuple[str, ...]) -> str:
        return port.layer if len(names) == 1 else f"{port.layer}/{port.name}"

    sources = [port(wire.source, by_name[wire.source.layer].outputs) for wire in graph.wires]
    destinations = [port(wire.destination, by_name[wire.destination.layer].inputs) for wire in graph.wires]
    has_connections = kind != "SeriesNetwork"
    return {
        "version": 1.0,
        "matlab": "9.14.0.2206163 (R2023a)",
        "class": kind,
        "layers": cells([layer_record(layer) for layer in graph.Layers]),
        "has_connections": has_connections,
        "sources": cells(sources if has_connections else []),
        "destinations": cells(destinations if has_connections else []),
    }


def record_of(net: Any, kind: str = "DAGNetwork", inputs: Any = (), outputs: Any = (), **more: Any) -> dict[str, Any]:
    """Return the structure for a network; inputs and outputs are pairs of data and format."""
    samples = {
        name: cells([{"data": data, "format": form} for data, form in given])
        for name, given in (("inputs", inputs), ("outputs", outputs))
    }
    return {**network_record(net, kind), **samples, "options": np.zeros((0, 0)), "notes": cells([]), **more}


def write(file: Any, record: dict[str, Any]) -> None:
    scipy.io.savemat(file, {"mlnet_export": record}, long_field_names=True, do_compression=True)
