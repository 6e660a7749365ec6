"""dlnetwork: a network for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from operator import is_not
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, is_traced, wrap
from mlnet.autodiff.containers import NestedNetwork
from mlnet.engines.program import Key
from mlnet.errors import DataError, NetworkError, OptionError, UnknownNameError, message, nearest
from mlnet.functional.batches import Batch, batch_of
from mlnet.functional.whole import AnyRun, Plans, run_program
from mlnet.layers.base import Layer, Size, dims
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.per_channel import PopulationLayer
from mlnet.network.compile import layer_program
from mlnet.network.ends import as_state, check_statistics, normalized, put_out_size, source_named
from mlnet.network.initialize import initialize as first_values
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph, layerGraph
from mlnet.network.nested import outline_of, unfolded
from mlnet.network.open_ends import EndLayer, OpenEnds, open_ends
from mlnet.network.plain_inputs import Forms
from mlnet.network.resolve import Resolved, resolve
from mlnet.network.run import STATE_FIELDS
from mlnet.network.traces import check_traces
from mlnet.network.wiring import Source
from mlnet.options import Declared, Option, Shown, Table, describe
from mlnet.randomness import spawn_generators
from mlnet.rules import EMPTY, either, flag, read_only, text, texts
from mlnet.table import DataTable, ParameterTable


class _Options(Declared):
    constructor_name = "dlnetwork"
    table = Table(Option("Initialize", True, flag(), "Whether learnables get their first values."))


class _RunOptions(Declared):
    constructor_name = "forward"
    table = Table(
        Option("Outputs", [], either(texts(), text()), "The layers whose outputs are wanted."),
        Option("InputDataFormats", "auto", either(text(), texts()), "The formats of data without labels."),
    )


class _PredictOptions(_RunOptions):
    constructor_name = "predict"


_Filled = tuple[Resolved | None, list[np.ndarray], Resolved | None]
"""A network, values of its parameters, and the network with these values."""


class dlnetwork(NestedNetwork, Shown):
    """A network for training loops of one's own.

    Its learnables are dlarrays. Given to a function through `dlfeval` they are traced, so that the gradients of a loss
    are ``dlgradient(loss, net.Learnables)``. Outputs that no layer uses are the outputs of the network; inputs that no
    layer feeds are inputs of it, after the input layers.

    Functions that change a network return a new one; only assigning ``net.Learnables`` or ``net.State``, or their
    values (``net.Learnables.Value[0] = W``), changes the network itself.

    Parameters
    ----------
    layers : LayerArray, list of layers or LayerGraph, optional
        Without output layers. The layers of a `networkLayer` 'net' become layers of the network, 'net:conv' and so on.
    *X : dlarray or networkDataLayout, optional
        Examples or layouts of formatted inputs, one for each input, from which sizes are taken where there is no input
        layer.
    Initialize : true or false (1 or 0), default True
        Whether learnables get their first values now. Without it, or where the size of an input is not known, use
        `initialize`.

    Raises
    ------
    NetworkError
        Where the layers do not make a network; the message lists every mistake.
    OptionError, UnknownNameError
        Where an element is not a layer, or an option is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import *
    >>> dlnetwork([featureInputLayer(2), fullyConnectedLayer(20), tanhLayer, fullyConnectedLayer(1)])
      dlnetwork with properties:
    <BLANKLINE>
             Layers: [4x1 nnet.cnn.layer.Layer]
        Connections: [3x2 table]
         Learnables: [4x3 table]
              State: [0x3 table]
         InputNames: {'input'}
        OutputNames: {'fc_2'}
        Initialized: 1
    <BLANKLINE>
      View summary with summary.
    """

    _filled: _Filled

    def __init__(self, layers: Any = (), *X: Any, **options: Any) -> None:
        count = next((number for number, each in enumerate(X) if isinstance(each, str)), len(X))
        chosen = _Options(*X[count:], **options)
        graph = layerGraph(layers)
        self._ends = open_ends(graph if outline_of(graph) is None else unfolded(graph))
        self._network: Resolved | None = None
        self._filled = (None, [], None)
        self._learnables: dict[Key, dlarray] = {}
        self._states: dict[Key, dlarray] = {}
        self._programs: dict[Any, Plans] = {}
        self._checked: set[bool] = set()
        examples = X[:count]
        if chosen.Initialize and len(self._ends.graph.Layers) and (examples or not self._ends.inputs):
            self._initialize(examples)

    @property
    def Layers(self) -> LayerArray:
        """The layers with the values of their parameters, as a copy."""
        return self.to_graph().Layers

    @property
    def Connections(self) -> DataTable:
        """The connections, with the columns Source and Destination."""
        return self.to_graph().Connections

    @property
    def InputNames(self) -> list[str]:
        """Names of the input layers, then of the inputs that nothing feeds."""
        return self._ends.input_names

    @property
    def OutputNames(self) -> list[str]:
        """Names of the outputs that no layer uses."""
        return self._ends.output_names

    @property
    def Initialized(self) -> bool:  # type: ignore[override]
        """Whether all learnables have values."""
        return self._network is not None

    @property
    def Learnables(self) -> ParameterTable:
        """The learnable parameters: a table with the columns Layer, Parameter and Value (dlarrays)."""
        return self._table("Learnables", self._learnables, lambda layer: [each.name for each in layer.learnables])

    @Learnables.setter
    def Learnables(self, table: DataTable) -> None:
        self._learnables = self._assigned("Learnables", self._learnables, table)

    @property
    def State(self) -> ParameterTable:
        """The states, such as moving statistics: a table with the columns Layer, Parameter and Value (dlarrays)."""
        return self._table("State", self._states, lambda layer: list(layer.states))

    @State.setter
    def State(self, table: DataTable) -> None:
        self._states = self._assigned("State", self._states, table)

    def forward(self, *X: Any, **options: Any) -> Any:
        """Return what the network puts out in training; see `mlnet.forward`."""
        return self._run("forward", X, options, training=True)

    def predict(self, *X: Any, **options: Any) -> Any:
        """Return what the network puts out at prediction; see `mlnet.predict`."""
        return self._run("predict", X, options, training=False)

    def initialize(self, *X: Any) -> dlnetwork:
        """Return the network with first values; see `mlnet.initialize`."""
        net = self._copy()
        net._initialize(X)
        return net

    def resetState(self) -> dlnetwork:
        """Return the network with the states of its recurrent layers set to zero."""
        net = self._copy()
        network = self._resolved("resetState")
        for index, layer in enumerate(network.layers):
            if isinstance(layer, CustomLayer):
                reset = layer.with_reset_state()
                net._states |= {
                    (layer.Name, name): wrap(np.array(getattr(reset, name), np.float32)) for name in layer.states
                }
                continue
            for name in layer.states:
                if name in STATE_FIELDS:
                    shape = layer.parameter_shape(name, network.input_size(index))
                    net._states[layer.Name, name] = wrap(np.zeros(shape, np.float32))
        return net

    def with_arrays(self, function: Callable[[dlarray], Any]) -> dlnetwork:
        """Return a copy with ``function`` applied to each learnable and state."""
        net = self._copy()
        net._learnables = {key: function(value) for key, value in self._learnables.items()}
        net._states = {key: function(value) for key, value in self._states.items()}
        return net

    def with_learnables(self, function: Callable[[Key, dlarray], dlarray]) -> dlnetwork:
        """Return a copy with ``function`` applied to the key and value of each learnable."""
        net = self._copy()
        net._learnables = {key: function(key, value) for key, value in self._learnables.items()}
        return net

    def with_states(self, function: Callable[[Key, dlarray], dlarray]) -> dlnetwork:
        """Return a copy with ``function`` applied to the key and value of each state."""
        net = self._copy()
        net._states = {key: function(key, value) for key, value in self._states.items()}
        return net

    def with_state_table(self, table: Any) -> dlnetwork:
        """Return a copy with the states of a table like its State."""
        net = self._copy()
        net.State = table
        return net

    def learnable_keys(self) -> list[Key]:
        """Return (layer name, parameter name) of each learnable."""
        return list(self._learnables)

    def state_keys(self) -> list[Key]:
        """Return (layer name, parameter name) of each state."""
        return list(self._states)

    def learnable_value(self, key: Key) -> dlarray:
        """Return a learnable."""
        return self._learnables[key]

    def state_value(self, key: Key) -> dlarray:
        """Return a state."""
        return self._states[key]

    def factors_of(self, key: Key) -> list[tuple[float, float]]:
        """Return (learning-rate factor, L2 factor) for each block of rows of a learnable."""
        layer = self._ends.graph.layer(key[0], "dlnetwork")
        return layer.factors(layer.learnable(key[1]))

    def with_option(self, name: str, option: str, value: Any) -> dlnetwork:
        """Return a copy in which an option of the layer ``name`` has another value."""

        def changed(layers: Iterable[Layer]) -> list[Layer]:
            return [each.replaced(**{option: value}) if each.Name == name else each for each in layers]

        net = self._copy()
        net._ends = open_ends(LayerGraph(changed(self._ends.graph.Layers), self._ends.graph.wires))
        if self._network is not None:
            net._network = self._network.with_layers(changed(self._network.layers))
        return net

    def with_graph(self, graph: LayerGraph) -> dlnetwork:
        """Return a network of changed layers, not initialized; set values are kept."""
        return dlnetwork(graph, Initialize=False)

    def to_graph(self) -> LayerGraph:
        """Return the layers, with the values of their parameters, and their connections."""
        if self._network is None:
            return self._ends.graph
        layers = [
            self._with_values(layer)
            for layer in self._network.layers
            if not isinstance(layer, EndLayer) and not layer.Name.startswith("input of ")
        ]
        return LayerGraph(layers, self._ends.graph.wires)

    def to_resolved(self, where: str) -> tuple[OpenEnds, Resolved]:
        """Return the open ends, and the layers with helpers at the ends, with their sizes and the values they have.

        Raises
        ------
        NetworkError
            Where the layers do not make a network, or the size of an input is not known.
        """
        if self._network is not None:
            return self._ends, self._network.with_layers([self._with_values(each) for each in self._network.layers])
        if self._ends.inputs:
            names = ", ".join(self._ends.input_names[len(self._ends.layers) :])
            fix = "Put an input layer before it, or use net = initialize(net, X) with an example."
            raise NetworkError(message(where, f"the size of the input {names}", "no input layer", fix))
        return self._ends, resolve(self._ends.closed([]))

    def initialized(self, where: str) -> Resolved:
        """Return the layers with all values, ready to run.

        Raises
        ------
        NetworkError
            Where the network is not initialized, or an input layer has no statistics.
        """
        network = self._resolved(where)
        for layer in network.input_layers:
            check_statistics(layer)
        arrays = [value._data for value in (*self._learnables.values(), *self._states.values())]
        before, known, filled = self._filled
        if filled is None or before is not network or len(known) != len(arrays) or any(map(is_not, known, arrays)):
            filled = network.with_layers([self._with_values(each) for each in network.layers])
            self._filled = (network, arrays, filled)
        return filled

    @classmethod
    def of(cls, ends: OpenEnds, network: Resolved) -> dlnetwork:
        """Return an initialized network of layers that hold all values, with helpers at its open ends."""
        net = cls()
        net._ends = ends
        net._take(network)
        return net

    def input_sizes(self) -> list[list[Any]]:
        """Return format and dimensions of the inputs without a layer; an empty list where it is not initialized."""
        if self._network is None:
            return []
        sizes = [layer.size() for layer in self._network.input_layers[len(self._ends.layers) :]]
        return [[size.format, [int(each) for each in size.dims]] for size in sizes] or [["", []]]

    @classmethod
    def of_sizes(cls, graph: LayerGraph, sizes: Sequence[tuple[str, tuple[int, ...]]]) -> dlnetwork:
        """Return the network of layers with values, for what `input_sizes` returned."""
        net = cls(graph, Initialize=False)
        if not sizes:
            return net
        ends = net._ends
        return cls.of(ends, resolve(ends.closed([Size(format, dims) for format, dims in sizes if format])))

    def _copy(self) -> dlnetwork:
        net = object.__new__(dlnetwork)
        net.__dict__.update(self.__dict__)
        net._learnables = {key: copy(value) for key, value in self._learnables.items()}
        net._states = {key: copy(value) for key, value in self._states.items()}
        return net

    def _initialize(self, examples: Sequence[Any]) -> None:
        ends = self._ends
        network = resolve(ends.closed(ends.example_sizes(examples, "initialize")))
        generator = spawn_generators().initialization
        layers = []
        for index, layer in enumerate(network.layers):
            size = network.input_size(index)
            layer = first_values(layer, size, generator)
            if isinstance(layer, PopulationLayer):
                first = layer.trained_states(*layer.first_moments(size))
                layer = layer.replaced(**{name: read_only(value, np.float32) for name, value in first.items()})
            layers.append(layer)
        self._take(network.with_layers(layers))

    def _take(self, network: Resolved) -> None:
        """Take over a network with the values that its layers hold."""
        for index, layer in enumerate(network.layers):
            size = network.input_size(index)
            for name in [each.name for each in layer.learnables]:
                self._learnables[layer.Name, name] = wrap(np.array(getattr(layer, name), np.float32))
            for name in layer.states:
                value = getattr(layer, name)
                shape = layer.parameter_shape(name, size)
                self._states[layer.Name, name] = wrap(
                    as_state(value, shape) if value.size else np.zeros(shape, np.float32)
                )
        self._network, self._programs, self._checked = network, {}, set()

    def _table(self, what: str, values: dict[Key, dlarray], names: Callable[[Layer], list[str]]) -> ParameterTable:
        if self._network is None:
            keys = [(layer.Name, name) for layer in self._ends.graph.Layers for name in names(layer)]
            found = [getattr(self._ends.graph.layer(layer, "dlnetwork"), name) for layer, name in keys]
            shown = [wrap(np.array(value, np.float32)) if value.size else EMPTY for value in found]
        else:
            keys, shown = list(values), list(values.values())
        owners, parameters = [layer for layer, _ in keys], [name for _, name in keys]
        return ParameterTable(owners, parameters, shown, lambda rows: setattr(self, what, rows))

    def _assigned(self, what: str, values: dict[Key, dlarray], table: Any) -> dict[Key, dlarray]:
        """Return the values with those of a table in their place."""
        where = f"dlnetwork: {what}"
        if not isinstance(table, DataTable) or table.columns != ["Layer", "Parameter", "Value"]:
            raise DataError(message(where, "a table with the columns Layer, Parameter and Value", describe(table)))
        self._resolved(where)
        new = dict(values)
        for layer, parameter, value in table.rows():
            if (layer, parameter) not in values:
                known = [f"{one}/{other}" for one, other in values]
                raise UnknownNameError(f"{where}: there is no '{layer}/{parameter}'.{nearest(layer, known)}")
            array = value if isinstance(value, dlarray) else dlarray(value)
            old = values[layer, parameter]
            is_state = what == "State" and (parameter in STATE_FIELDS and array.shape[:1] == old.shape[:1])
            is_state |= what == "State" and isinstance(self._ends.graph.layer(layer, where), CustomLayer)
            if array.shape != old.shape and not is_state:
                came = f"size {dims(array.shape)}"
                raise DataError(message(f"{where}: {layer}/{parameter}", f"size {dims(old.shape)}", came))
            new[layer, parameter] = array
        return new

    def _resolved(self, where: str) -> Resolved:
        if self._network is None:
            fix = "Use net = initialize(net), with an example of each input where there is no input layer."
            raise NetworkError(message(where, "an initialized network", "one that is not", fix))
        return self._network

    def _with_values(self, layer: Layer) -> Layer:
        table = {**self._learnables, **self._states}
        mine = {
            name: read_only(value._data, np.float32) for (owner, name), value in table.items() if owner == layer.Name
        }
        return layer.replaced(**mine)

    def _run(self, where: str, X: Sequence[Any], options: dict[str, Any], *, training: bool) -> Any:
        network = self._resolved(where)
        nargout = options.pop("nargout", None)
        count = next((number for number, each in enumerate(X) if isinstance(each, str)), len(X))
        chosen = (_RunOptions if training else _PredictOptions)(*X[count:], **options)
        forms = Forms(chosen.InputDataFormats, [layer.size() for layer in network.input_layers], where)
        wanted = chosen.Outputs
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        ends = tuple(self._source(name, where) for name in names)
        key = (ends, training)
        self._check_traces(network, X[:count], training=training)
        if key not in self._programs:
            outputs = ends or [Source(index) for index in network.output_indices]
            self._programs[key] = Plans(layer_program(network, outputs, training=training))
        batches = self._batches(where, X[:count], forms)
        parameters = dict(self._learnables)
        custom = {(each.Name, name) for each in network.layers if isinstance(each, CustomLayer) for name in each.states}
        for (layer, name), value in self._states.items():
            several = name in STATE_FIELDS and value.shape[1] > 1 and (layer, name) not in custom
            parameters[layer, name] = value.transpose() if several else value
        run = run_program(
            self._programs[key], [each.array for each in batches], [each.lengths for each in batches], parameters
        )
        sources = ends or tuple(Source(index) for index in network.output_indices)
        sizes = [put_out_size(network, source) for source in sources]
        results: list[Any] = [
            forms.leaving(batches[0].leaving(value, size, lengths))
            for (value, lengths), size in zip(run.outputs(), sizes, strict=True)
        ]
        nargout = len(results) if nargout is None else nargout
        if nargout not in range(1, len(results) + 2):
            needed = f"nargout from 1 to {len(results) + 1}: the outputs, and the state"
            raise OptionError(message(where, needed, describe(nargout)))
        if nargout > len(results):
            results.append(self._state_behind(run, training=training))
        return results[0] if nargout == 1 else tuple(results[:nargout])

    def _check_traces(self, network: Resolved, X: Sequence[Any], *, training: bool) -> None:
        """Refuse layers that would lose gradients, once, and where gradients may be wanted."""
        given = [*self._learnables.values(), *X]
        if training in self._checked or not any(isinstance(x, dlarray) and is_traced(x) for x in given):
            return
        check_traces(network, training=training)
        self._checked.add(training)

    def _batches(self, where: str, X: Sequence[Any], forms: Forms) -> list[Batch]:
        names, network = self.InputNames, self._resolved(where)
        if len(X) != len(names):
            needed = f"one array for each of the inputs {', '.join(names)}"
            raise DataError(message(where, needed, f"{len(X)}", f"Write {where}(net, X1, ...)."))
        kinds = [value.dtype for value in self._learnables.values() if value.dtype.kind == "f"]
        layers = network.input_layers
        for layer in layers:
            check_statistics(layer)
        return [
            batch_of(
                normalized(forms.entering(number, each, f"{where}: {name}"), layer, f"{where}: {name}"),
                layer.size(),
                f"{where}: {name}",
                kinds[0] if kinds else None,
            )
            for number, (each, layer, name) in enumerate(zip(X, layers, names, strict=True))
        ]

    def _source(self, name: str, where: str) -> Source:
        return source_named(self._resolved(where), name, where)

    def _state_behind(self, run: AnyRun, *, training: bool) -> ParameterTable:
        """Return the states after a run: moving statistics, and the states of recurrent layers."""
        network = self._resolved("forward")
        layers = {layer.Name: (index, layer) for index, layer in enumerate(network.layers)}
        states = dict(self._states)
        for number, saved in run.saved.items():
            node = run.program.nodes[number]
            if node.is_custom:
                found = {(node.name, name): value for name, value in saved.states.items()}
                states |= {key: wrap(np.array(value, states[key].dtype)) for key, value in found.items()}
                continue
            index, layer = layers[node.name]
            if isinstance(layer, PopulationLayer) and training:
                moving = self._with_values(layer).first_moments(network.input_size(index))
                batch = (saved.mean, getattr(saved, layer.spread_field))
                decays = [float(getattr(layer, option)) for option in layer.decays]
                mixed = [
                    (1 - decay) * before + decay * np.reshape(new, np.shape(before))
                    for before, new, decay in zip(moving, batch, decays, strict=True)
                ]
                for name, value in layer.trained_states(*mixed).items():
                    old = states[layer.Name, name]
                    states[layer.Name, name] = wrap(np.array(value, old.dtype).reshape(old.shape))
            for name, field in STATE_FIELDS.items():
                if (layer.Name, name) in states and hasattr(saved, field):
                    states[layer.Name, name] = wrap(np.array(getattr(saved, field).T))
        return ParameterTable([key[0] for key in states], [key[1] for key in states], list(states.values()))
