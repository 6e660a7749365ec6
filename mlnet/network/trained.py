"""Trained networks, and what they predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlnet.data.arrays import Predictors
from mlnet.data.layout import columns_of, from_engine
from mlnet.engines.program import StepPlan
from mlnet.engines.select import select_engine
from mlnet.errors import NetworkError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical
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

    def predict(self, X: Any, *args: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803
        """Return what the network puts out for ``X``; see `mlnet.predict`."""
        return predict(self, X, *args, **kwargs)

    def classify(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return the class of each observation of ``X``; see `mlnet.classify`."""
        return classify(self, X, *args, **kwargs)

    def activations(self, X: Any, layer: str | int, *args: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803
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


def predict(net: TrainedNetwork, X: Any, *args: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803
    """Return what a network puts out for data, computed in mini-batches.

    Parameters
    ----------
    net : SeriesNetwork or DAGNetwork
    X : array
        Images (H, W, C, N), also one as (H, W, C) or (H, W); features (N, C).
    MiniBatchSize : positive integer, default 128
        Observations that are computed at a time; the result does not depend on it.
    Acceleration : 'auto' or 'none', default 'auto'
        'none' is the NumPy reference.
    ExecutionEnvironment : 'auto' or 'cpu', default 'auto'
        Where to compute.

    Returns
    -------
    ndarray, float32
        (N, K) scores of the K classes or responses; (H, W, C, N) where the network puts out images.

    Raises
    ------
    DataError
        Where ``X`` does not fit the input layer.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.
    """
    options = _PredictOptions(*args, **kwargs)
    network = _network(net, "predict")
    batches = list(_batches(network, X, options, None))
    result = np.concatenate(batches)
    if network.output_size.count == network.output_size.channels:
        return result.reshape(len(result), -1)
    return from_engine(result, network.output_size.format)


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
        (N,) classes; undefined where a score is NaN.
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
    codes = np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1))
    labels = categorical.from_codes(codes, output.class_names())
    return labels if nargout == 1 else (labels, scores)


def activations(net: TrainedNetwork, X: Any, layer: str | int, *args: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803
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
        (elements, N), with height fastest, then width, then channels.

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
    result = np.concatenate(list(_batches(network, X, options, last)))
    result = result.reshape(len(result), *size.dims)
    if options.OutputAs == "channels":
        return from_engine(result, size.format) if size.spatial else result.T
    rows = columns_of(result)
    return rows if options.OutputAs == "rows" else rows.T


def _batches(network: Resolved, X: Any, options: Declared, last: int | None) -> Iterator[np.ndarray]:  # noqa: N803
    """Yield the output of layer ``last`` for each mini-batch."""
    engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
    plan = StepPlan(engine, prediction_program(network, last))
    values = parameter_values(network.layers)
    predictors = predictors_for(network, X, f"{options.constructor_name}: X")
    for start in range(0, len(predictors), options.MiniBatchSize):
        batch = predictors.batch(slice(start, start + options.MiniBatchSize))
        yield plan.forward(batch, values).copy()


def predictors_for(network: Resolved, X: Any, where: str) -> Predictors:  # noqa: N803
    """Return ``X`` as mini-batches for the input layer of a network."""
    (layer,) = network.input_layers
    function = layer.Normalization if callable(layer.Normalization) else None
    size = layer.size()
    return Predictors(X, size.format, size.dims, split_complex=layer.SplitComplexInputs, function=function, where=where)


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
