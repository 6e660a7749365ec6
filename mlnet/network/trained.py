"""Trained networks, and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.arrays import Predictors
from mlnet.data.layout import columns_of, from_engine
from mlnet.data.sequences import SequencePredictors, unpack
from mlnet.engines.program import StepPlan
from mlnet.engines.select import select_engine
from mlnet.errors import NetworkError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical
from mlnet.layers.input import SequenceInputLayer
from mlnet.layers.output import ClassificationOutputLayer
from mlnet.network.compile import parameter_values, prediction_program
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import Connection, LayerGraph, Port
from mlnet.network.resolve import Resolved
from mlnet.options import Declared, Option, Shown, Table, describe
from mlnet.rules import choice, integer
from mlnet.table import DataTable

_MINI_BATCH = Option("MiniBatchSize", 128, integer(), "Observations that are computed at a time.")
_ENVIRONMENT = Option(
    "ExecutionEnvironment", "auto", choice("auto", "cpu", "gpu", "multi-gpu", "parallel"), "Where to compute."
)
_ACCELERATION = Option("Acceleration", "auto", choice("auto", "none", "mex"), "'none' is the NumPy reference.")


class _PredictOptions(Declared):
    constructor_name = "predict"
    table = Table(_MINI_BATCH, _ENVIRONMENT, _ACCELERATION)


class _ClassifyOptions(_PredictOptions):
    constructor_name = "classify"


class _ActivationsOptions(_PredictOptions):
    constructor_name = "activations"
    table = Table(
        _MINI_BATCH,
        _ENVIRONMENT,
        _ACCELERATION,
        Option("OutputAs", "channels", choice("channels", "rows", "columns"), "Shape of the result."),
    )


class TrainedNetwork(Shown):
    """Base of the trained networks: layers with all parameters, from one input to one output."""

    def __init__(self, network: Resolved) -> None:
        self._network = network

    @property
    def Layers(self) -> LayerArray:  # noqa: N802 - MATLAB's spelling
        """The layers, as a copy: to change a network, change the copy and train it."""
        return LayerArray(list(self._network.layers))

    @property
    def InputNames(self) -> list[str]:  # noqa: N802
        """Names of the input layers."""
        return [layer.Name for layer in self._network.input_layers]

    @property
    def OutputNames(self) -> list[str]:  # noqa: N802
        """Names of the output layers."""
        return [self._network.output_layer.Name]

    def to_graph(self) -> LayerGraph:
        """Return the layers and their connections."""
        layers = self._network.layers
        wires = [
            Connection(Port(layers[source].Name, layers[source].outputs[0]), Port(layer.Name, port))
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
    net : SeriesNetwork or DAGNetwork
    X : array, or list of arrays
        Images (H, W, C, N), also one as (H, W, C) or (H, W); features (N, C); sequences as a list of (C, S) or
        (H, W, C, S) arrays, also one of them.
    MiniBatchSize : positive integer, default 128
        Observations that are computed at a time; the result does not depend on it.
    Acceleration : 'auto' or 'none', default 'auto'
        'none' is the NumPy reference.
    ExecutionEnvironment : 'auto' or 'cpu', default 'auto'
        Where to compute.

    Returns
    -------
    ndarray, float32
        (N, K) scores of the K classes or responses; (H, W, C, N) where the network puts out images. Where it puts out
        sequences, a list of (K, S) arrays, or one array for one sequence that was not in a list.

    Raises
    ------
    DataError
        Where ``X`` does not fit the input layer.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.
    """
    options = _PredictOptions(*args, **kwargs)
    network = _network(net, "predict")
    result, size = _run(network, X, options, network.output_index), network.output_size
    is_flat = size.is_flat
    if size.is_sequence:
        whole = result if isinstance(result, list) else [result]
        whole = [each.reshape(size.channels, -1) if is_flat else each for each in whole]
        return whole if isinstance(result, list) else whole[0]
    return result.reshape(len(result), -1) if is_flat else from_engine(result, size.format)


def classify(net: TrainedNetwork, X: Any, *args: Any, nargout: int = 1, **kwargs: Any) -> Any:  # noqa: N803
    """Return the class with the highest score for each observation.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
        A network that ends with a classification layer.
    X, MiniBatchSize, Acceleration, ExecutionEnvironment
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
    options = _ClassifyOptions(*args, **kwargs)
    _check_nargout(nargout, "classify")
    network = _network(net, "classify")
    output = network.output_layer
    if not isinstance(output, ClassificationOutputLayer):
        raise NetworkError(f"classify: needs a network with a classification layer, but it ends with {output.where()}.")
    scores = predict(net, X, **options._values)
    names = output.class_names()
    if network.output_size.is_sequence:
        labels = [_labels(each.T, names) for each in scores] if isinstance(scores, list) else _labels(scores.T, names)
    else:
        labels = _labels(scores, names)
    return labels if nargout == 1 else (labels, scores)


def _labels(scores: np.ndarray, names: list[str]) -> categorical:
    """Return the class with the highest score in each row."""
    return categorical.from_codes(np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1)), names)


def activations(net: TrainedNetwork, X: Any, layer: str | int, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
    """Return what one layer puts out for data, computed in mini-batches.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
    X, MiniBatchSize, Acceleration, ExecutionEnvironment
        As for `predict`.
    layer : text or int
        Name of the layer, or its number counted from 1.
    OutputAs : 'channels', 'rows' or 'columns', default 'channels'
        'channels': (H, W, C, N), for layers without spatial dimensions (C, N). 'rows': (N, elements), 'columns':
        (elements, N), with height fastest, then width, then channels. Sequences are always a list of (..., C, S).

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
    last = _layer_index(network, layer)
    size = network.sizes[last]
    result = _run(network, X, options, last)
    if isinstance(result, list):
        return result
    result = result.reshape(len(result), *size.dims)
    if options.OutputAs == "channels":
        return from_engine(result, size.format) if size.spatial else result.T
    rows = columns_of(result)
    return rows if options.OutputAs == "rows" else rows.T


def _run(network: Resolved, X: Any, options: Declared, last: int) -> Any:  # noqa: N803
    """Return what layer ``last`` puts out, in the engines' order; sequences as in MATLAB."""
    engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
    plan = StepPlan(engine, prediction_program(network, last))
    values = parameter_values(network.layers)
    predictors = predictors_for(network, X, f"{options.constructor_name}: X")
    outputs, sequences = [], []
    for start in range(0, len(predictors), options.MiniBatchSize):
        index = slice(start, start + options.MiniBatchSize)
        output = plan.forward(predictors.batch(index), values, lengths=predictors.lengths(index))
        lengths = plan.output_lengths()
        if lengths is None:
            outputs.append(output.copy())
        else:
            sequences += unpack(output.copy(), lengths)
    if not sequences:
        return np.concatenate(outputs)
    return sequences[0] if isinstance(predictors, SequencePredictors) and predictors.is_single else sequences


def predictors_for(
    network: Resolved,
    X: Any,  # noqa: N803
    where: str,
    keep: str = "all",
) -> Predictors | SequencePredictors:
    """Return ``X`` as mini-batches for the input layer of a network; ``keep`` is for sequences, see `Steps`."""
    (layer,) = network.input_layers
    function = layer.Normalization if callable(layer.Normalization) else None
    size, split = layer.size(), layer.SplitComplexInputs
    if isinstance(layer, SequenceInputLayer):
        return SequencePredictors(
            X, size.dims, split_complex=split, function=function, min_length=layer.MinLength, keep=keep, where=where
        )
    return Predictors(X, size.format, size.dims, split_complex=split, function=function, where=where)


def _network(net: Any, function: str) -> Resolved:
    if not isinstance(net, TrainedNetwork):
        raise OptionError(f"{function}: needs a trained network (from trainNetwork), but got {describe(net)}.")
    return net._network


def _layer_index(network: Resolved, layer: str | int) -> int:
    names = [each.Name for each in network.layers]
    if isinstance(layer, str):
        if layer not in names:
            raise UnknownNameError(f"activations: there is no layer '{layer}'.{nearest(layer, names)}")
        return names.index(layer)
    if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)) or not 1 <= layer <= len(names):
        raise OptionError(f"activations: needs a layer name or a number from 1 to {len(names)}, but got {layer!r}.")
    return int(layer) - 1


def _check_nargout(nargout: int, function: str, allowed: Sequence[int] = (1, 2)) -> None:
    if nargout not in allowed or isinstance(nargout, bool):
        raise OptionError(f"{function}: nargout needs to be one of {list(allowed)}, but is {nargout!r}.")
