"""Trained networks, and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mlnet.data.sources.layout import columns_of, from_engine
from mlnet.engines.program import Key
from mlnet.engines.select import select_engine
from mlnet.errors import NetworkError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical
from mlnet.layers.base import Size
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.output import ClassesOutputLayer
from mlnet.network import prepared
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.network.nested import folded
from mlnet.network.resolve import Resolved
from mlnet.network.run import Run, changing_states
from mlnet.network.wiring import Source
from mlnet.options import Declared, Option, Shown, Table, describe
from mlnet.rules import choice, either, integer, number, read_only
from mlnet.table import DataTable

MINI_BATCH = Option("MiniBatchSize", 128, integer(), "Observations that are computed at a time.")
ENVIRONMENT = Option(
    "ExecutionEnvironment", "auto", choice("auto", "cpu", "gpu", "multi-gpu", "parallel"), "Where to compute."
)
ACCELERATION = Option("Acceleration", "auto", choice("auto", "none", "mex"), "'none' is the NumPy reference.")
_SEQUENCES = (
    Option(
        "SequenceLength",
        "longest",
        either(choice("longest", "shortest"), integer()),
        "'shortest' takes as many time steps as the shortest sequence of a mini-batch has, a number cuts into pieces.",
    ),
    Option(
        "SequencePaddingDirection",
        "right",
        choice("right", "left"),
        "'left' takes the last time steps for 'shortest', 'right' the first.",
    ),
    Option("SequencePaddingValue", 0, number(), "Reaches no result, as sequences are packed."),
)


class _PredictOptions(Declared):
    constructor_name = "predict"
    table = Table(MINI_BATCH, ENVIRONMENT, ACCELERATION, *_SEQUENCES)


class _ClassifyOptions(_PredictOptions):
    constructor_name = "classify"


class _Quick(NamedTuple):
    """Options, and those of them that a mini-batch of plain arrays needs; ``size`` is 0 where it is to be cut."""

    options: _PredictOptions
    acceleration: str
    environment: str
    size: int


def _made(kind: Any, *args: Any, **kwargs: Any) -> _Quick:
    options = kind(*args, **kwargs)
    size = options.MiniBatchSize if isinstance(options.SequenceLength, str) else 0
    return _Quick(options, options.Acceleration, options.ExecutionEnvironment, size)


_made_once = lru_cache(maxsize=64, typed=True)(_made)
_SIMPLE = {int, str}


def _chosen(kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Quick:
    """Return the options of a call, which are made once where all of them are numbers and texts."""
    is_simple = _SIMPLE.issuperset(map(type, (*args, *kwargs.values())))
    return _made_once(kind, *args, **kwargs) if is_simple else _made(kind, *args, **kwargs)


class _UpdateOptions(_PredictOptions):
    constructor_name = "predictAndUpdateState"


class _ActivationsOptions(_PredictOptions):
    constructor_name = "activations"
    table = Table(
        MINI_BATCH,
        ENVIRONMENT,
        ACCELERATION,
        *_SEQUENCES,
        Option("OutputAs", "channels", choice("channels", "rows", "columns"), "Shape of the result."),
    )


T = TypeVar("T", bound="TrainedNetwork")


class TrainedNetwork(Shown):
    """Base of the trained networks: layers with all parameters."""

    def __init__(self, network: Resolved) -> None:
        if not isinstance(network, Resolved):
            fix = "Use trainNetwork, or assembleNetwork where the layers have their parameters."
            raise OptionError(f"{type(self).__name__}: cannot be made of {describe(network)}. {fix}")
        self._network = network

    @property
    def Layers(self) -> LayerArray:  # noqa: N802 - MATLAB's spelling
        """The layers, as a copy: to change a network, change the copy and train it."""
        return LayerArray(list(self._network.layers)) if self._network.outline is None else self.to_graph().Layers

    @property
    def InputNames(self) -> list[str]:  # noqa: N802
        """Names of the input layers."""
        return [layer.Name for layer in self._network.input_layers]

    @property
    def OutputNames(self) -> list[str]:  # noqa: N802
        """Names of the output layers."""
        return [self._network.layers[index].Name for index in self._network.output_indices]

    def predictAndUpdateState(self: T, X: Any, *args: Any, **kwargs: Any) -> tuple[T, Any]:  # noqa: N802, N803
        """Return the network with its states behind ``X``, and its output; see `mlnet.predictAndUpdateState`."""
        return predictAndUpdateState(self, X, *args, **kwargs)

    def classifyAndUpdateState(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802, N803
        """Return the network with its states behind ``X``, and the classes; see `mlnet.classifyAndUpdateState`."""
        return classifyAndUpdateState(self, X, *args, **kwargs)

    def resetState(self: T) -> T:  # noqa: N802
        """Return the network with its states set to zero; see `mlnet.resetState`."""
        return resetState(self)

    def to_graph(self) -> LayerGraph:
        """Return the layers and their connections."""
        layers = self._network.layers
        if self._network.outline is not None:
            return folded(self._network.outline, layers)
        wires = [
            Connection(
                Port(layers[source.layer].Name, layers[source.layer].outputs[source.output]), Port(layer.Name, port)
            )
            for layer, sources in zip(layers, self._network.sources, strict=True)
            for port, source in zip(layer.inputs, sources, strict=True)
        ]
        return LayerGraph(layers, wires)

    def predict(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return what the network puts out for ``X``; see `mlnet.predict`."""
        return predict(self, X, *args, **kwargs)

    def classify(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return the class of each observation of ``X``; see `mlnet.classify`."""
        return classify(self, X, *args, **kwargs)

    def activations(self, X: Any, layer: str | int, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return what a layer puts out for ``X``; see `mlnet.activations`."""
        return activations(self, X, layer, *args, **kwargs)


class SeriesNetwork(TrainedNetwork):
    """A trained chain of layers.

    ``Layers`` is the layer array with all parameters, ``InputNames`` and ``OutputNames`` list the names of the input
    and the output layer. `trainNetwork` makes it of a layer array.
    """


class DAGNetwork(TrainedNetwork):
    """A trained graph of layers.

    ``Layers`` is the layer array with all parameters, ``Connections`` the table of the connections, ``InputNames`` and
    ``OutputNames`` list the names of the input and the output layers. `trainNetwork` makes it of a layer graph.
    """

    @property
    def Connections(self) -> DataTable:  # noqa: N802
        """The connections, with the columns Source and Destination."""
        return self.to_graph().Connections


def predict(net: TrainedNetwork, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
    """Return what a network puts out for data, computed in mini-batches.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork or dlnetwork
        A dlnetwork takes what `forward` takes, ``predict(net, X1, ...)``, with its options, and returns what `forward`
        returns: without dropout, normalized by moving statistics, and traced inside `dlfeval`. What follows
        is about the other networks.
    X : array, or list of arrays
        Images (H, W, C, N), also one as (H, W, C) or (H, W); features (N, C); sequences as a list of (C, S) or
        (H, W, C, S) arrays, also one of them. For networks of several inputs a tuple with one entry for each, in the
        order of InputNames, or a dict by their names; the entries may also be given one after the other,
        ``predict(net, X1, X2)``. Also a datastore, of which the first columns count; a table; or an iterable of
        mini-batches, such as a generator or a `minibatchqueue`: each is the data of the input, or a tuple that begins
        with those of all inputs. One of them is in memory at a time.
    MiniBatchSize : positive integer, default 128
        Observations that are computed at a time; the result does not depend on it but for the rounding of single
        precision.
    Acceleration : 'auto' or 'none', default 'auto'
        'none' is the NumPy reference.
    ExecutionEnvironment : 'auto' or 'cpu', default 'auto'
        Where to compute.
    SequenceLength : 'longest', 'shortest' or positive integer, default 'longest'
        With 'shortest', the sequences of a mini-batch are cut to the length of its shortest one. A number cuts them
        into pieces of so many time steps, which are computed one after the other in less memory, with the states
        carried on: layers that look ahead, such as BiLSTM layers, see no more than a piece. Where the network puts out
        one value for a sequence, it is that of the last piece. Otherwise sequences stay as they are: nothing is padded,
        so that SequencePaddingValue reaches no result.
    SequencePaddingDirection : 'right' or 'left', default 'right'
        'left' cuts sequences at their beginning, 'right' at their end.

    Returns
    -------
    ndarray, float32
        (N, K) scores of the K classes or responses; (H, W, C, N) where the network puts out images. Where it puts out
        sequences, a list of (K, S) arrays, or one array for one sequence that was not in a list. NaN and Inf in the
        data go through to the scores of their observation, as in MATLAB and NumPy. Networks of several outputs give a
        tuple, ``Y1, Y2 = predict(net, X)``, in the order of OutputNames.

    Raises
    ------
    DataError
        Where ``X`` does not fit the input layer.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.
    """
    if isinstance(net, dlnetwork):
        return net.predict(X, *args, **kwargs)
    network = _network(net, "predict")
    X, args = _all_inputs(X, args)  # noqa: N806
    return _predicted(network, X, _chosen(_PredictOptions, args, kwargs))


def _predicted(network: Resolved, X: Any, chosen: _Quick) -> Any:  # noqa: N803
    """Return what a network puts out for data, a tuple where that are several outputs."""
    options, acceleration, environment, size = chosen
    if type(X) is np.ndarray and X.dtype.kind in "fiub":
        plain = prepared.predict_plain(network, select_engine(acceleration, environment), X, size)
        if plain is not None:
            return plain
    run = Run(network, X, options)
    scores = _all_scores(network, run)
    run.finish()
    return scores[0] if len(scores) == 1 else scores


def classify(net: TrainedNetwork, X: Any, *args: Any, nargout: int = 1, **kwargs: Any) -> Any:  # noqa: N803
    """Return the class with the highest score for each observation.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
        A network that ends with a classification layer.
    X, MiniBatchSize, Acceleration, ExecutionEnvironment, SequenceLength, SequencePaddingDirection
        As for `predict`.
    nargout : 1 or 2, default 1
        With 2, return ``labels, scores``.

    Returns
    -------
    categorical
        (N,) classes; undefined where a score is NaN. Where the network puts out sequences, a list with the classes of
        the time steps of each.
    ndarray, float32
        (N, K) scores, with ``nargout=2``.

    Raises
    ------
    NetworkError
        Where the network does not end with a classification layer.
    DataError, OptionError, UnknownNameError
        As for `predict`.

    Examples
    --------
    ``accuracy = numpy.mean(classify(net, XTest) == YTest)``
    """
    _check_nargout(nargout, "classify")
    network = _classifier(net, "classify")
    X, args = _all_inputs(X, args)  # noqa: N806
    scores = _predicted(network, X, _chosen(_ClassifyOptions, args, kwargs))
    labels = _classes(network, scores)
    return labels if nargout == 1 else (labels, scores)


def activations(net: TrainedNetwork, X: Any, layer: str | int, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
    """Return what one layer puts out for data, computed in mini-batches.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
    X, MiniBatchSize, Acceleration, ExecutionEnvironment, SequenceLength, SequencePaddingDirection
        As for `predict`.
    layer : text or int
        Name of the layer, or its number counted from 1; 'layer/output' for layers of several outputs.
    OutputAs : 'channels', 'rows' or 'columns', default 'channels'
        'channels': (H, W, C, N), for layers without spatial dimensions (C, N). 'rows': (N, elements), 'columns':
        (elements, N), with height fastest, then width, then channels. Sequences are always a list of (..., C, S),
        or one such array for one sequence.

    Returns
    -------
    ndarray, float32

    Raises
    ------
    UnknownNameError
        Where the network has no such layer.
    DataError, OptionError
        As for `predict`.
    """
    options = _ActivationsOptions(*args, **kwargs)
    network = _network(net, "activations")
    source = _source(network, layer)
    size = network.sizes[source.layer][source.output]
    run = Run(network, X, options, [source])
    (result,) = run.outputs()
    run.finish()
    if size.is_sequence:
        return result
    if size.is_known:
        result = result.reshape(len(result), *size.dims)
    if options.OutputAs == "channels":
        return from_engine(result, size.format) if size.spatial else result.T
    rows = columns_of(result)
    return rows if options.OutputAs == "rows" else rows.T


def predictAndUpdateState(net: T, X: Any, *args: Any, **kwargs: Any) -> tuple[T, Any]:  # noqa: N802, N803
    """Return the network with the states of its recurrent layers behind ``X``, and what it puts out.

    ``net, Y = predictAndUpdateState(net, X)``: the next call goes on where this one ended. The given network does not
    change.

    Parameters
    ----------
    net, X, MiniBatchSize, Acceleration, ExecutionEnvironment, SequenceLength, SequencePaddingDirection
        As for `predict`; ``X`` are sequences, the same number in each call.

    Returns
    -------
    SeriesNetwork or DAGNetwork
        With HiddenState and CellState of size units x N.
    array, or list of arrays
        As for `predict`.

    Raises
    ------
    DataError
        Where the network has the states of another number of sequences; use `resetState`.
    """
    network = _network(net, "predictAndUpdateState")
    X, args = _all_inputs(X, args)  # noqa: N806
    options = _UpdateOptions(*args, **kwargs)
    run = Run(network, X, options, carries=True)
    scores = _all_scores(network, run)
    updated = _with_states(net, run.states())
    run.finish(updated._network)
    return updated, scores[0] if len(scores) == 1 else scores


def classifyAndUpdateState(  # noqa: N802
    net: T,
    X: Any,  # noqa: N803
    *args: Any,
    nargout: int = 2,
    **kwargs: Any,
) -> Any:
    """Return the network with the states of its recurrent layers behind ``X``, and the classes.

    ``net, labels = classifyAndUpdateState(net, X)``, or with ``nargout=3`` ``net, labels, scores``; see
    `predictAndUpdateState` and `classify`.
    """
    _check_nargout(nargout, "classifyAndUpdateState", (2, 3))
    network = _classifier(net, "classifyAndUpdateState")
    updated, scores = predictAndUpdateState(net, X, *args, **kwargs)
    labels = _classes(network, scores)
    return (updated, labels) if nargout == 2 else (updated, labels, scores)


def resetState(net: T) -> T:  # noqa: N802
    """Return the network with the states of its recurrent layers set to zero; custom layers reset their own."""
    if isinstance(net, dlnetwork):
        return net.resetState()
    network = _network(net, "resetState")
    zeros = {
        (layer.Name, state): np.zeros(layer.parameter_shape(state, network.input_size(index)))
        for index, layer in enumerate(network.layers)
        for state in changing_states(layer)
    }
    zeros |= {
        (layer.Name, state): getattr(layer.with_reset_state(), state)
        for layer in network.layers
        if isinstance(layer, CustomLayer)
        for state in layer.states
    }
    return _with_states(net, zeros)


def _with_states(net: T, states: dict[Key, np.ndarray]) -> T:
    layers = []
    for layer in net._network.layers:
        mine = {name: read_only(value, np.float32) for (owner, name), value in states.items() if owner == layer.Name}
        layers.append(layer.replaced(**mine) if mine else layer)
    return type(net)(net._network.with_layers(layers))


def _all_inputs(X: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:  # noqa: N803
    """Return the data of all inputs, given one after the other, and the arguments behind them."""
    if not args:
        return X, args
    count = next((number for number, arg in enumerate(args) if isinstance(arg, str)), len(args))
    return ((X, *args[:count]) if count else X), args[count:]


def _all_scores(network: Resolved, run: Run) -> tuple[Any, ...]:
    """Return what a network puts out at its output layers, in MATLAB's form."""
    pairs = zip(network.output_indices, run.outputs(), strict=True)
    return tuple(_scores(network.sizes[index][0], output) for index, output in pairs)


def _scores(size: Size, output: Any) -> Any:
    """Return an output in MATLAB's form: (N, K), images (H, W, C, N), sequences (K, S)."""
    if size.is_sequence:
        whole = output if isinstance(output, list) else [output]
        whole = [each.reshape(size.channels, -1) if size.is_flat else each for each in whole]
        return whole if isinstance(output, list) else whole[0]
    return output.reshape(len(output), -1) if size.is_flat else from_engine(output, size.format)


def _classes(network: Resolved, scores: Any) -> Any:
    """Return the classes with the highest scores, for sequences those of each time step."""
    names = network.layers[network.output_index].class_names()
    if not network.output_size.is_sequence:
        return _labels(scores, names)
    return [_labels(each.T, names) for each in scores] if isinstance(scores, list) else _labels(scores.T, names)


def _labels(scores: np.ndarray, names: list[str]) -> categorical:
    """Return the class with the highest score in each row; undefined where a score is NaN."""
    return categorical.from_codes(np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1)), names)


def _classifier(net: Any, function: str) -> Resolved:
    network = _network(net, function)
    if len(network.output_indices) > 1:
        raise NetworkError(f"{function}: needs a network with one output, but it has {len(network.output_indices)}.")
    layer = network.output_layer
    if not isinstance(layer, ClassesOutputLayer) or layer.is_pixelwise(network.output_size):
        fix = " For the class of each pixel use semanticseg." if isinstance(layer, ClassesOutputLayer) else ""
        raise NetworkError(
            f"{function}: needs a network with a classification layer, but it ends with {layer.where()}.{fix}"
        )
    return network


def _network(net: Any, function: str) -> Resolved:
    if not isinstance(net, TrainedNetwork):
        raise OptionError(f"{function}: needs a trained network (from trainNetwork), but got {describe(net)}.")
    return net._network


def _source(network: Resolved, layer: str | int) -> Source:
    names = [each.Name for each in network.layers]
    if isinstance(layer, str):
        for index, each in enumerate(network.layers):
            if layer == each.Name:
                return Source(index)
            if layer.startswith(f"{each.Name}/") and layer[len(each.Name) + 1 :] in each.outputs:
                return Source(index, each.outputs.index(layer[len(each.Name) + 1 :]))
        raise UnknownNameError(f"activations: there is no layer '{layer}'.{nearest(layer, names)}")
    if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)) or not 1 <= layer <= len(names):
        raise OptionError(f"activations: needs a layer name or a number from 1 to {len(names)}, but got {layer!r}.")
    return Source(int(layer) - 1)


def _check_nargout(nargout: int, function: str, allowed: Sequence[int] = (1, 2)) -> None:
    if nargout not in allowed or isinstance(nargout, bool):
        raise OptionError(f"{function}: nargout needs to be one of {list(allowed)}, but is {nargout!r}.")
