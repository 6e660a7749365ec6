"""Layer graphs: layers with connections between named ports."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from mlnet.errors import NetworkError, OptionError, UnknownNameError, nearest
from mlnet.layers.base import Layer
from mlnet.network.layer_array import LayerArray
from mlnet.network.names import automatic_names
from mlnet.options import Declared, Option, Shown, Table, describe
from mlnet.rules import choice
from mlnet.table import DataTable


class Port(NamedTuple):
    """An input or output of a layer."""

    layer: str
    name: str


class Connection(NamedTuple):
    """A wire from an output to an input."""

    source: Port
    destination: Port


class LayerGraph(Shown):
    """Layers and the connections between them.

    ``Layers`` is a layer array, ``Connections`` a table with the columns Source and Destination, ``InputNames`` and
    ``OutputNames`` list the input and output layers. A graph behaves as a value: the functions that change one
    (`addLayers`, `connectLayers`, ...) return a new graph. Make one with `layerGraph`.
    """

    def __init__(self, layers: Sequence[Layer] = (), connections: Iterable[Connection] = ()) -> None:
        self._layers = tuple(layers)
        self._connections = tuple(connections)

    @property
    def Layers(self) -> LayerArray:
        """The layers, as a copy."""
        return LayerArray(list(self._layers))

    @property
    def Connections(self) -> DataTable:
        """The connections; a port is named where a layer has several."""
        return DataTable(
            Source=[_port_text(self, wire.source, "outputs") for wire in self._connections],
            Destination=[_port_text(self, wire.destination, "inputs") for wire in self._connections],
        )

    @property
    def wires(self) -> tuple[Connection, ...]:
        """The connections as pairs of ports."""
        return self._connections

    @property
    def InputNames(self) -> list[str]:
        """Names of the input layers."""
        return [layer.Name for layer in self._layers if not layer.inputs]

    @property
    def OutputNames(self) -> list[str]:
        """Names of the output layers."""
        return [layer.Name for layer in self._layers if not layer.outputs]

    def addLayers(self, larray: Any) -> LayerGraph:
        """Return a graph with more layers; see `mlnet.addLayers`."""
        return addLayers(self, larray)

    def connectLayers(self, s: str, d: str) -> LayerGraph:
        """Return a graph with one more connection; see `mlnet.connectLayers`."""
        return connectLayers(self, s, d)

    def disconnectLayers(self, s: str, d: str) -> LayerGraph:
        """Return a graph without a connection; see `mlnet.disconnectLayers`."""
        return disconnectLayers(self, s, d)

    def removeLayers(self, layerNames: str | Sequence[str]) -> LayerGraph:  # noqa: N803
        """Return a graph without some layers; see `mlnet.removeLayers`."""
        return removeLayers(self, layerNames)

    def replaceLayer(self, layerName: str, larray: Any, *args: Any, **kwargs: Any) -> LayerGraph:  # noqa: N803
        """Return a graph in which layers stand in place of one layer; see `mlnet.replaceLayer`."""
        return replaceLayer(self, layerName, larray, *args, **kwargs)

    def layer(self, name: str, where: str) -> Layer:
        """Return the layer ``name``; raise `UnknownNameError` where there is none."""
        for layer in self._layers:
            if layer.Name == name:
                return layer
        names = [layer.Name for layer in self._layers]
        raise UnknownNameError(f"{where}: there is no layer '{name}'.{nearest(name, names)}")


def layerGraph(layers: Any = ()) -> LayerGraph:
    """Return a graph of layers.

    Parameters
    ----------
    layers : LayerArray, list of layers, network or nothing
        Layers of an array are connected one after the other; unnamed ones are named automatically. A network gives its
        layers and connections.

    Raises
    ------
    OptionError
        Where ``layers`` are no layers.
    NetworkError
        Where several layers have the same name.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = [imageInputLayer([8, 8, 1], Name='in'), reluLayer(Name='relu'), additionLayer(2, Name='add')]
    >>> lgraph = layerGraph(layers)
    >>> lgraph = connectLayers(lgraph, 'in', 'add/in2')
    >>> lgraph.Connections
      3x2 table
    <BLANKLINE>
         Source     Destination
        ________    ___________
    <BLANKLINE>
        {'in'  }    {'relu'   }
        {'relu'}    {'add/in1'}
        {'in'  }    {'add/in2'}
    """
    if isinstance(layers, LayerGraph):
        return layers
    if hasattr(layers, "to_graph"):
        graph = layers.to_graph()
        assert isinstance(graph, LayerGraph)
        return graph
    return _with_layers("layerGraph", LayerGraph(), layers)


Changed = TypeVar("Changed", bound=Callable[..., Any])


def of_networks_too(function: Changed) -> Changed:
    """Let a function that changes graphs change networks as well, into networks."""

    @functools.wraps(function)
    def change(lgraph: Any, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(lgraph, "with_graph"):
            return function(lgraph, *args, **kwargs)
        return lgraph.with_graph(function(lgraph.to_graph(), *args, **kwargs))

    return change  # type: ignore[return-value]


@of_networks_too
def addLayers(lgraph: LayerGraph, larray: Any) -> LayerGraph:
    """Return a graph with more layers, connected one after the other but not to the rest.

    Parameters
    ----------
    lgraph : LayerGraph or dlnetwork
        A network becomes one that is not initialized, and keeps the values that it has.
    larray : layer, LayerArray or list of layers
        Unnamed layers are named automatically.

    Raises
    ------
    NetworkError
        Where a name is already in the graph, or twice in ``larray``.
    OptionError
        Where ``larray`` are no layers.
    """
    return _with_layers("addLayers", lgraph, larray)


def _with_layers(function: str, lgraph: Any, larray: Any) -> LayerGraph:
    graph = _graph(function, lgraph)
    new = list(LayerArray(larray))
    named = automatic_names([*graph._layers, *new])[len(graph._layers) :]
    added = [layer.replaced(Name=name) for layer, name in zip(new, named, strict=True)]
    names = [layer.Name for layer in (*graph._layers, *added)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        listed = ", ".join(f"'{name}'" for name in repeated)
        raise NetworkError(f"{function}: layer names need to be unique, but these are there twice: {listed}.")
    wires = [_wire(source, destination) for source, destination in itertools.pairwise(added)]
    return LayerGraph([*graph._layers, *added], [*graph._connections, *(wire for wire in wires if wire)])


def _wire(source: Layer, destination: Layer) -> Connection | None:
    if not source.outputs or not destination.inputs:
        return None
    return Connection(Port(source.Name, source.outputs[0]), Port(destination.Name, destination.inputs[0]))


@of_networks_too
def connectLayers(lgraph: LayerGraph, s: str, d: str) -> LayerGraph:
    """Return a graph with one more connection.

    Parameters
    ----------
    lgraph : LayerGraph
    s : text
        Source: 'layer', or 'layer/port' where the layer has several outputs.
    d : text
        Destination: 'layer', or 'layer/port' where the layer has several inputs.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or port.
    NetworkError
        Where the input has a source already.
    OptionError
        Where a port has to be named.
    """
    graph = _graph("connectLayers", lgraph)
    source, destination = _ports("connectLayers", graph, s, d)
    for connection in graph._connections:
        if connection.destination == destination:
            raise NetworkError(
                f"connectLayers: the input '{d}' is connected to '{_port_text(graph, connection.source, 'outputs')}' "
                "already. Use disconnectLayers first."
            )
    return LayerGraph(graph._layers, [*graph._connections, Connection(source, destination)])


@of_networks_too
def disconnectLayers(lgraph: LayerGraph, s: str, d: str) -> LayerGraph:
    """Return a graph without the connection from ``s`` to ``d``; see `connectLayers`.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or port.
    NetworkError
        Where the two are not connected.
    """
    graph = _graph("disconnectLayers", lgraph)
    wire = Connection(*_ports("disconnectLayers", graph, s, d))
    if wire not in graph._connections:
        raise NetworkError(f"disconnectLayers: '{s}' and '{d}' are not connected.")
    return LayerGraph(graph._layers, [each for each in graph._connections if each != wire])


@of_networks_too
def removeLayers(lgraph: LayerGraph, layerNames: str | Sequence[str]) -> LayerGraph:  # noqa: N803
    """Return a graph without some layers and their connections.

    Raises
    ------
    UnknownNameError
        Where there is no such layer.
    """
    graph = _graph("removeLayers", lgraph)
    given = [layerNames] if isinstance(layerNames, str) else layerNames
    if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
        raise OptionError(f"removeLayers: needs the names of layers, but got {describe(layerNames)}.")
    gone = dict.fromkeys(given)
    names = [layer.Name for layer in graph._layers]
    unknown = [name for name in gone if name not in names]
    if unknown:
        listed = ", ".join(f"'{name}'" for name in unknown)
        raise UnknownNameError(f"removeLayers: there is no layer {listed}.{nearest(unknown[0], names)}")
    return LayerGraph(
        [layer for layer in graph._layers if layer.Name not in gone],
        [c for c in graph._connections if c.source.layer not in gone and c.destination.layer not in gone],
    )


class _ReplaceOptions(Declared):
    constructor_name = "replaceLayer"
    table = Table(Option("ReconnectBy", "name", choice("name", "order"), "How ports are matched: by name or by order."))


@of_networks_too
def replaceLayer(lgraph: LayerGraph, layerName: str, larray: Any, *args: Any, **kwargs: Any) -> LayerGraph:  # noqa: N803
    """Return a graph in which layers stand in place of one layer.

    Parameters
    ----------
    lgraph : LayerGraph
    layerName : text
        The layer to replace.
    larray : layer, LayerArray or list of layers
        Connected one after the other; the first takes over the inputs, the last the outputs.
    ReconnectBy : 'name' or 'order', default 'name'
        Whether ports are matched by their names or by their order.

    Raises
    ------
    UnknownNameError
        Where there is no such layer.
    NetworkError
        Where a new name is in the graph already, or a connection finds no port.
    """
    by_order = _ReplaceOptions(*args, **kwargs).ReconnectBy == "order"
    graph = _graph("replaceLayer", lgraph)
    old = graph.layer(layerName, "replaceLayer")
    place = [layer.Name for layer in graph._layers].index(layerName)
    added = _with_layers("replaceLayer", removeLayers(graph, layerName), larray)
    new = added._layers[len(graph._layers) - 1 :]
    if not new:
        raise OptionError("replaceLayer: needs at least one layer, but got none. Use removeLayers to remove one.")
    first, last = new[0], new[-1]

    def moved(port: Port, old_names: tuple[str, ...], layer: Layer, names: tuple[str, ...]) -> Port:
        position = old_names.index(port.name)
        if by_order and position < len(names):
            return Port(layer.Name, names[position])
        if not by_order and port.name in names:
            return Port(layer.Name, port.name)
        if len(names) == 1 == len(old_names):
            return Port(layer.Name, names[0])
        raise NetworkError(f"replaceLayer: '{layer.Name}' has no port for the connection of '{layerName}/{port.name}'.")

    wires = []
    for source, destination in graph._connections:
        if source.layer == layerName:
            source = moved(source, old.outputs, last, last.outputs)
        if destination.layer == layerName:
            destination = moved(destination, old.inputs, first, first.inputs)
        wires.append(Connection(source, destination))
    inner = [wire for wire in added._connections if wire not in graph._connections]
    kept = added._layers[: len(graph._layers) - 1]
    return LayerGraph([*kept[:place], *new, *kept[place:]], [*wires, *inner])


def _graph(function: str, lgraph: Any) -> LayerGraph:
    if lgraph is layerGraph:  # MATLAB calls functions without parentheses
        return LayerGraph()
    if not isinstance(lgraph, LayerGraph):
        raise OptionError(f"{function}: needs a layer graph (from layerGraph), but got {describe(lgraph)}.")
    return lgraph


def _ports(function: str, graph: LayerGraph, s: str, d: str) -> tuple[Port, Port]:
    return _port(function, graph, s, "outputs"), _port(function, graph, d, "inputs")


def _port(function: str, graph: LayerGraph, text: str, kind: str) -> Port:
    """Return the port that 'layer' or 'layer/port' names; ``kind`` is 'inputs' or 'outputs'."""
    if not isinstance(text, str):
        raise OptionError(f"{function}: needs 'layer' or 'layer/port', but got {describe(text)}.")
    exact = [layer for layer in graph._layers if layer.Name == text]
    name, _, port = (text, "", "") if exact else text.rpartition("/") if "/" in text else (text, "", "")
    names: tuple[str, ...] = getattr(graph.layer(name, function), kind)
    if port and port not in names:
        raise UnknownNameError(f"{function}: the layer '{name}' has no port '{port}'.{nearest(port, names)}")
    if not names:
        raise NetworkError(f"{function}: the layer '{name}' has no {kind}.")
    if not port and len(names) > 1:
        raise OptionError(f"{function}: '{name}' has the {kind} {', '.join(names)}. Name one: '{name}/{names[0]}'.")
    return Port(name, port or names[0])


def _port_text(graph: LayerGraph, port: Port, kind: str) -> str:
    names = getattr(graph.layer(port.layer, "layerGraph"), kind)
    return f"{port.layer}/{port.name}" if len(names) > 1 else port.layer
