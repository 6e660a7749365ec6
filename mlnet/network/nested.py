"""networkLayer: a network as a layer of another one.

Networks are computed with their nested networks unfolded: an inner layer 'conv' of the network layer 'net' is the layer
'net:conv' then, and trained networks are folded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlnet.errors import MlnetError, NetworkError, OptionError
from mlnet.layers.base import Layer, layer_table, ports
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import Connection, LayerGraph, Port, layerGraph
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule


def _network(value: Any) -> LayerGraph:
    try:
        return layerGraph(value)
    except MlnetError:
        raise Refused from None


class NetworkLayer(Layer):
    """Holds a network."""

    type_name = "Network"
    base_name = "network"
    table = layer_table(
        Option(
            "Network",
            None,
            Rule("layers, a layer graph or a network", _network, (1, "net", None, [1])),
            "The network, without input and output layers.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        *ports("input", Group.PLAIN),
        *ports("output", Group.PLAIN),
    )

    def check(self) -> None:
        """Refuse networks without free ends, and with layers that stand only at the ends of a whole network."""
        ends = [layer.Name for layer in self.Network.Layers if isinstance(layer, (InputLayer, OutputLayer))]
        if ends:
            listed = ", ".join(f"'{name}'" for name in ends)
            raise NetworkError(
                f"{self.where()}: Network: needs a network without input and output layers, but has {listed}. "
                "Use removeLayers."
            )
        for kind in ("inputs", "outputs"):
            if not free_ports(self.Network, kind):
                raise OptionError(f"{self.where()}: Network: needs {kind} that are not connected, but has none.")

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs: 'in', or 'in1', 'in2', ... in the order of the free inputs of the layers."""
        return _numbered("in", len(free_ports(self.Network, "inputs")))

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs: 'out', or 'out1', 'out2', ... in the order of the free outputs of the layers."""
        return _numbered("out", len(free_ports(self.Network, "outputs")))

    def description(self) -> str:
        """Return e.g. "Network with 5 layers"."""
        return f"Network with {len(self.Network.Layers)} layers"


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}{number}" for number in range(1, count + 1))


def free_ports(graph: LayerGraph, kind: str) -> list[Port]:
    """Return the 'inputs' or 'outputs' of the layers of a graph that are not connected."""
    used = {wire.destination if kind == "inputs" else wire.source for wire in graph.wires}
    return [
        Port(layer.Name, name)
        for layer in graph.Layers
        for name in getattr(layer, kind)
        if Port(layer.Name, name) not in used
    ]


@constructs(NetworkLayer)
def networkLayer() -> None:  # noqa: N802 - MATLAB's spelling
    """Create a layer that holds a network.

    The inputs and outputs of the layer are the ports of the inner layers that are not connected, in the order of the
    layers. Inner layers train as all others; in tables and messages the layer 'conv' of the network layer 'net' is
    'net:conv'.

    {parameters}

    Raises
    ------
    NetworkError
        Where the network has input or output layers.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import fullyConnectedLayer, networkLayer, reluLayer
    >>> networkLayer([fullyConnectedLayer(8), reluLayer(), fullyConnectedLayer(4)], Name='block')
      NetworkLayer with properties:
    <BLANKLINE>
               Name: 'block'
            Network: [1x1 LayerGraph]
          NumInputs: 1
         InputNames: {'in'}
         NumOutputs: 1
        OutputNames: {'out'}
    """


def outline_of(layers: Any) -> LayerGraph | None:
    """Return the graph of a layer array or graph that holds network layers, otherwise None."""
    graph = layers if isinstance(layers, LayerGraph) else None
    array = LayerArray(layers) if graph is None else graph.Layers
    if not any(isinstance(layer, NetworkLayer) for layer in array):
        return None
    return layerGraph(array) if graph is None else graph


def unfolded(graph: LayerGraph) -> LayerGraph:
    """Return a graph in which the layers of nested networks stand in the places of their network layers."""
    layers: list[Layer] = []
    wires: list[Connection] = []
    place: dict[Port, Port] = {}  # from ports of network layers to those of inner layers
    for layer in graph.Layers:
        if not isinstance(layer, NetworkLayer):
            layers.append(layer)
            continue
        inner = unfolded(layer.Network)
        prefix = f"{layer.Name}:"
        layers += [each.replaced(Name=prefix + each.Name) for each in inner.Layers]
        wires += [Connection(_moved(wire.source, prefix), _moved(wire.destination, prefix)) for wire in inner.wires]
        for kind in ("inputs", "outputs"):
            ends = free_ports(inner, kind)
            pairs = zip(getattr(layer, kind), ends, strict=True)
            place.update({Port(layer.Name, name): _moved(port, prefix) for name, port in pairs})
    wires += [
        Connection(place.get(wire.source, wire.source), place.get(wire.destination, wire.destination))
        for wire in graph.wires
    ]
    return LayerGraph(layers, wires)


def folded(outline: LayerGraph, layers: Iterable[Layer]) -> LayerGraph:
    """Return the graph ``outline`` with the values of unfolded ``layers``: the reverse of `unfolded`."""
    by_name = {layer.Name: layer for layer in layers}
    result: list[Layer] = []
    for layer in outline.Layers:
        if isinstance(layer, NetworkLayer):
            prefix = f"{layer.Name}:"
            inner = [
                each.replaced(Name=name.removeprefix(prefix))
                for name, each in by_name.items()
                if name.startswith(prefix)
            ]
            result.append(layer.replaced(Network=folded(layer.Network, inner)))
        else:
            result.append(by_name[layer.Name])
    return LayerGraph(result, outline.wires)


def _moved(port: Port, prefix: str) -> Port:
    return Port(prefix + port.layer, port.name)
