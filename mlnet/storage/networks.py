"""Layers, graphs, networks, options and labels <-> plain values.

An object becomes a `Tagged` structure of its options. It is made again from a closed table of classes and through the
checks of its options, so that reading a file runs nothing that is in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, MlnetError, OptionError, message, nearest
from mlnet.labels import categorical, categories
from mlnet.layers.base import Layer
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.network.assemble import assembleNetwork
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.network.run import changing_states
from mlnet.network.trained import DAGNetwork, SeriesNetwork, TrainedNetwork
from mlnet.options import Declared, describe
from mlnet.storage.kinds import Kinds
from mlnet.storage.mat_format import Tagged
from mlnet.structure import Structure

_CUSTOM: ContextVar[Mapping[str, type[CustomLayer]]] = ContextVar("_CUSTOM", default=MappingProxyType({}))
"""The classes of custom layers that may be made from the file that is being read."""
_LARGEST = {"NumInputs": 2**12, "NumOutputs": 2**12}
_LARGEST_OPTION = 2**26
"""Larger whole numbers among the options of a layer are taken for damage: they would make sizes without end."""


def encode(value: Any, where: str) -> Any:
    """Return a value as a plain one.

    Raises
    ------
    OptionError
        For functions and other objects that cannot be kept; the message says where they are.
    """
    if isinstance(value, categorical):
        # from 1, and 0 where undefined, as MATLAB's numbers of categories
        return Tagged("categorical", {"codes": value.codes + 1, "categories": categories(value)})
    if isinstance(value, Declared):
        return _encode_declared(value, where)
    if isinstance(value, LayerArray):
        return Tagged("LayerArray", {"Layers": [encode(layer, where) for layer in value]})
    if isinstance(value, LayerGraph):
        return Tagged("LayerGraph", _encode_graph(value, where))
    if isinstance(value, SeriesNetwork):
        return Tagged("SeriesNetwork", {"Layers": [encode(layer, where) for layer in value.Layers]})
    if isinstance(value, DAGNetwork):
        return Tagged("DAGNetwork", _encode_graph(value.to_graph(), where))
    if isinstance(value, dlnetwork):
        return Tagged(
            "dlnetwork", _encode_graph(value.to_graph(), where) | {"sizes": encode(value.input_sizes(), where)}
        )
    if isinstance(value, dlarray):
        array = np.asarray(value._data)
        kept = {"values": array.ravel(), "type": array.dtype.name, "shape": list(array.shape), "labels": value.dims()}
        return Tagged("dlarray", kept)
    if isinstance(value, Structure):
        value = vars(value)
    if isinstance(value, dict):
        return {name: encode(each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, tuple):
        return Tagged("tuple", {"items": [encode(each, where) for each in value]})
    if isinstance(value, list):
        return [encode(each, where) for each in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return encode(value.tolist(), where)
    if value is None or isinstance(value, (bool, int, float, complex, str, np.generic, np.ndarray)):
        return value
    if _is_kept(value):
        try:
            plain = value.to_plain()
        except TypeError as error:
            raise OptionError(f"{where}: {error} cannot be kept in a file.") from None
        return Tagged("value", {"constructor": type(value).__name__, "fields": encode(plain, where)})
    fix = "a function cannot be kept in a file" if callable(value) else "it cannot be kept in a file"
    raise OptionError(f"{where}: got {describe(value)}: {fix}. Save arrays, numbers, texts or networks.")


def _encode_declared(value: Declared, where: str) -> Tagged:
    is_custom = isinstance(value, CustomLayer)
    name = value.constructor_name if isinstance(value, Layer) and not is_custom else type(value).__name__
    if not is_custom and Kinds.table().get(name) is not type(value):
        raise OptionError(f"{where}: {describe(value)} cannot be kept in a file: it is no layer of mlnet.")
    kept: dict[str, Any] = {}
    for option, each in value._values.items():
        is_kept = isinstance(each, (LayerArray, LayerGraph, categorical, Declared)) or _is_kept(each)
        if callable(each) and not is_kept:
            if not _has_value(value, option):
                raise OptionError(
                    f"{where}: {value.where()}: {option} is {describe(each)}, and functions cannot be kept in a file. "
                    + _without_function(value, option)
                )
        else:
            kept[option] = encode(each, f"{where}: {value.where()}: {option}")
    return Tagged("custom layer" if is_custom else "object", {"constructor": name, "options": kept})


def _is_kept(value: Any) -> bool:
    """Tell whether a value says itself how it is kept."""
    return hasattr(value, "to_plain") and type(value) is Kinds.values().get(type(value).__name__)


def _has_value(value: Declared, option: str) -> bool:
    """Tell whether ``option`` is the initializer of a parameter that has its value already."""
    if not isinstance(value, Layer):
        return False
    learnables = {each.initializer_option: each.name for each in value.learnables}
    return option in learnables and getattr(value, learnables[option]).size > 0


def _without_function(value: Declared, option: str) -> str:
    if option.endswith("Initializer"):
        return f"Set {option.removesuffix('Initializer')}, or give the name of an initializer."
    if option == "Normalization":
        return "Normalize the data before, with Normalization='none'."
    if isinstance(value, Layer):
        return "Keep the code that makes the layer, and save its neighbours."
    return f"Leave {option} out, and set it after loading."


def _encode_graph(graph: LayerGraph, where: str) -> dict[str, Any]:
    return {
        "Layers": [encode(layer, where) for layer in graph.Layers],
        "sources": [wire.source.layer for wire in graph.wires],
        "outputs": [wire.source.name for wire in graph.wires],
        "destinations": [wire.destination.layer for wire in graph.wires],
        "inputs": [wire.destination.name for wire in graph.wires],
    }


def decode(value: Any, where: str) -> Any:
    """Return what `encode` was given; dictionaries as structures.

    Raises
    ------
    DataError
        Where the plain value stands for nothing, or for a layer or network that cannot be.
    """
    if isinstance(value, dict):
        return structure({name: decode(each, f"{where}.{name}") for name, each in value.items()})
    if isinstance(value, list):
        return [decode(each, where) for each in value]
    if isinstance(value, Tagged):
        try:
            return _object(value, where)
        except DataError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, MlnetError) as error:
            what = str(error) if isinstance(error, MlnetError) else f"{type(error).__name__}: {error}"
            raise DataError(f"{where}: the {value.kind} in it is damaged or of another version ({what}).") from None
    return value


def structure(fields: dict[str, Any]) -> Structure:
    """Return a structure with any names of fields."""
    result = Structure()
    vars(result).update(fields)
    return result


def _object(value: Tagged, where: str) -> Any:
    fields = value.fields
    if value.kind in ("object", "custom layer"):
        return _declared(fields, where, is_custom=value.kind == "custom layer")
    if value.kind == "value":
        return Kinds.values()[fields["constructor"]].of_plain(_plain(fields["fields"]))
    if value.kind == "tuple":
        return tuple(decode(each, where) for each in _list(fields["items"]))
    if value.kind == "dlarray":
        if fields["type"] not in ("float32", "float64", "bool"):
            raise ValueError(f"numbers of the type {fields['type']}")
        shape = tuple(map(int, _list(fields["shape"])))
        return dlarray(np.array(fields["values"]).astype(fields["type"]).reshape(shape), str(fields["labels"]))
    if value.kind == "categorical":
        return _categorical(fields)
    if value.kind in ("LayerArray", "SeriesNetwork"):
        array = LayerArray(_layers(fields, where))
        return array if value.kind == "LayerArray" else _network(array)
    if value.kind in ("LayerGraph", "DAGNetwork"):
        graph = _graph(fields, where)
        return graph if value.kind == "LayerGraph" else _network(graph)
    if value.kind == "dlnetwork":
        sizes = [(str(format), tuple(map(int, dims))) for format, dims in decode(_list(fields["sizes"]), where)]
        return dlnetwork.of_sizes(_graph(fields, where), sizes)
    raise DataError(
        f"{where}: it has an object of the unknown kind '{value.kind}'; it is of a newer version or damaged."
    )


@contextmanager
def custom_classes(layers: Any, where: str) -> Iterator[None]:
    """Let files name the classes of custom layers that the caller passes: a class, or several, or layers of them.

    Raises
    ------
    OptionError
        Where something else is passed, or two classes of one name.
    """
    given = list(layers) if isinstance(layers, (list, tuple, set, LayerArray)) else [layers]
    classes = {each if isinstance(each, type) else type(each) for each in given}
    for each in given:
        if not issubclass(each if isinstance(each, type) else type(each), CustomLayer):
            raise OptionError(message(where, "classes of custom layers", describe(each), "Write Layers=[myLayer]."))
    table = {each.__name__: each for each in classes}
    if len(table) < len(classes):
        twice = sorted(name for name, count in Counter(each.__name__ for each in classes).items() if count > 1)
        raise OptionError(message(where, "classes of different names", f"several named '{twice[0]}'"))
    token = _CUSTOM.set(table)
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def _declared(fields: dict[str, Any], where: str, *, is_custom: bool = False) -> Declared:
    name, options = fields["constructor"], fields["options"]
    table: Mapping[str, type[Declared]] = _CUSTOM.get() if is_custom else Kinds.table()
    if is_custom and name not in table:
        raise DataError(
            f"{where}: it has a layer of the class '{name}', which is no class of mlnet. Give it: Layers=[{name}]."
        )
    if name not in table:
        raise DataError(f"{where}: there is no '{name}'.{nearest(name, table)}")
    if not isinstance(options, dict):
        raise TypeError("its options are no structure")
    made = table[name].from_values({option: _in_rows(decode(each, where)) for option, each in options.items()})
    if isinstance(made, Layer):
        check_whole(made)
    return made


def _plain(fields: Any) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise TypeError("its fields are no structure")
    return fields


def _in_rows(value: Any) -> Any:
    """Return an array with the last dimension fastest, in which products round as in a network that was not loaded."""
    return np.array(value, order="C") if isinstance(value, np.ndarray) else value


def check_whole(layer: Layer) -> None:
    """Refuse whole numbers that no layer has, before sizes are made of them."""
    for option, value in layer._values.items():
        if isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype.kind == "i"):
            numbers = np.abs(np.asarray(value))
            if numbers.max(initial=0) > _LARGEST.get(option, _LARGEST_OPTION):
                raise OptionError(f"{layer.where()}: {option} of {numbers.max()} is too large to be true")


def _layers(fields: dict[str, Any], where: str) -> list[Layer]:
    found = [decode(each, where) for each in _list(fields["Layers"])]
    for each in found:
        if not isinstance(each, Layer):
            raise TypeError(f"{describe(each)} among its layers")
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _graph(fields: dict[str, Any], where: str) -> LayerGraph:
    layers = _layers(fields, where)
    columns = [_list(fields[name]) for name in ("sources", "outputs", "destinations", "inputs")]
    return checked_graph(layers, [Connection(Port(a, b), Port(c, d)) for a, b, c, d in zip(*columns, strict=True)])


def checked_graph(layers: list[Layer], wires: list[Connection]) -> LayerGraph:
    """Return a graph; raise ValueError where the connections do not fit the layers."""
    outputs = Counter(Port(layer.Name, name) for layer in layers for name in layer.outputs)
    inputs = Counter(Port(layer.Name, name) for layer in layers for name in layer.inputs)
    names = Counter(layer.Name for layer in layers)
    odd = [wire for wire in wires if wire.source not in outputs or wire.destination not in inputs]
    taken = Counter(wire.destination for wire in wires)
    if odd or max(names.values(), default=1) > 1 or max(taken.values(), default=1) > 1:
        raise ValueError("its connections do not fit its layers")
    return LayerGraph(layers, wires)


def _network(layers: LayerArray | LayerGraph) -> TrainedNetwork:
    """Return the network of layers that hold all parameters, with their states as they are."""
    states = dict(_states(layers))
    if isinstance(layers, LayerGraph):
        return _with_states(assembleNetwork(LayerGraph(_first(layers.Layers), layers.wires)), states)
    return _with_states(assembleNetwork(_first(layers)), states)


def _states(layers: LayerArray | LayerGraph, prefix: str = "") -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield the states of recurrent layers, by the names that nested layers have in the whole network."""
    for layer in layers.Layers if isinstance(layers, LayerGraph) else layers:
        if hasattr(type(layer), "Network"):
            yield from _states(layer.Network, f"{prefix}{layer.Name}:")
        kept = {state: getattr(layer, state) for state in changing_states(layer)}
        if kept:
            yield f"{prefix}{layer.Name}", kept


def _first(layers: LayerArray) -> list[Layer]:
    """Return layers with the states of the first of several sequences, which are those that layers are checked with."""
    result: list[Layer] = []
    for layer in layers:
        if hasattr(type(layer), "Network"):
            graph = layer.Network
            layer = layer.replaced(Network=LayerGraph(_first(graph.Layers), graph.wires))
        firsts = {
            state: getattr(layer, state)[:, :1] for state in changing_states(layer) if getattr(layer, state).ndim == 2
        }
        result.append(layer.replaced(**firsts))
    return result


def _with_states(net: Any, states: dict[str, dict[str, np.ndarray]]) -> TrainedNetwork:
    layers = []
    for layer in net._network.layers:
        mine = {
            name: value for name, value in states.get(layer.Name, {}).items() if value.ndim == 2 and value.shape[1] > 1
        }
        layers.append(layer.replaced(**mine))
    return type(net)(net._network.with_layers(layers))


def _categorical(fields: dict[str, Any]) -> categorical:
    names = fields["categories"]
    codes = np.asarray(fields["codes"])
    names = [names] if isinstance(names, str) else _list(names)
    fits = codes.dtype.kind in "iuf" and (not codes.size or (codes.min() >= 0 and codes.max() <= len(names)))
    if not fits or len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise ValueError("its codes do not fit its categories")
    return categorical.from_codes(codes.astype(np.int64) - 1, names)
