"""importWeights and exportWeights: the parameters of a network from and to arrays as PyTorch names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnet.errors import DataError, NotSupportedError, OptionError, suggestion
from mlnet.interop.weight_rules import Arrays, Rule, Unfit, rule_for
from mlnet.layers.base import Layer, Size, dims
from mlnet.layers.shape import FlattenLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.nested import folded
from mlnet.network.resolve import Resolved, resolve
from mlnet.network.trained import TrainedNetwork
from mlnet.network.wiring import where_text
from mlnet.options import describe
from mlnet.rules import read_only

_COUNTER = ".num_batches_tracked"
"""What batch normalization counts elsewhere, and nothing needs."""


def importWeights(net: Any, stateDict: Any) -> Any:  # noqa: N802, N803 - the spelling of the public face
    """Return a network or layers with the parameters of another library.

    ``layers = importWeights(layers, torch_model.state_dict())``. The arrays of the layer 'conv1' are found as
    'conv1.weight', 'conv1.bias'; a layer may also be named with '_' or '-' where the arrays have '.'. Axes are put in
    MATLAB's order: filters (F, C, h, w) become h x w x C x F; the columns of a fully connected layer behind images are
    put from (C, h, w) to MATLAB's order of elements; LSTMs have the sum of their two biases.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork, LayerArray, list of layers, or LayerGraph
        The layers need to make a network, so that all sizes are known.
    stateDict : dict
        Arrays by name: 'name.weight', 'name.bias', 'name.running_mean', 'name.running_var', 'name.weight_ih_l0', ...
        A bias that is missing is zero. 'num_batches_tracked' is left out.

    Returns
    -------
    network, LayerArray or LayerGraph
        As ``net``, with the values.

    Raises
    ------
    DataError
        Where arrays are missing, unknown, of another shape or not finite; the message lists all of them.
    NotSupportedError
        Where layers have parameters that there is no rule for; the message lists all of them.
    OptionError, NetworkError
        Where ``net`` are no layers, or do not make a network.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import *
    >>> layers = [featureInputLayer(2), fullyConnectedLayer(1, Name='fc'), regressionLayer()]
    >>> layers = importWeights(layers, {'fc.weight': np.array([[1, 2]]), 'fc.bias': np.array([3])})
    >>> predict(assembleNetwork(layers), [[10, 20]])
    array([[53.]], dtype=float32)
    """
    network = _resolved(net)
    if not isinstance(stateDict, Mapping) or not all(isinstance(name, str) for name in stateDict):
        raise OptionError(f"importWeights: stateDict: needs a dict of arrays by name, but got {describe(stateDict)}.")
    rules = _rules("importWeights", network)
    reader = _Reader({name: value for name, value in stateDict.items() if not name.endswith(_COUNTER)})
    filled = [
        reader.filled(where_text(index, layer), layer, rules[index]) if index in rules else layer
        for index, layer in enumerate(network.layers)
    ]
    mistakes = reader.mistakes + reader.unknown()
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        count = f"{len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        raise DataError(f"importWeights: the arrays do not fit the network, {count}:\n{listed}")
    if isinstance(net, TrainedNetwork):
        return type(net)(network.with_layers(filled))
    if network.outline is not None:
        graph = folded(network.outline, filled)
        return graph if isinstance(net, LayerGraph) else graph.Layers
    return LayerGraph(filled, net.wires) if isinstance(net, LayerGraph) else LayerArray(filled)


def exportWeights(net: Any) -> Arrays:  # noqa: N802
    """Return the parameters of a network as arrays with the names, axes and shapes of PyTorch.

    The reverse of `importWeights`: ``torch_model.load_state_dict({k: torch.tensor(v) for k, v in ...})``.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork, LayerArray, list of layers, or LayerGraph
        With values for all parameters.

    Returns
    -------
    dict
        Arrays, float32, by 'layer.weight', 'layer.bias', ...

    Raises
    ------
    DataError
        Where parameters have no values.
    NotSupportedError
        Where layers have parameters that there is no rule for; the message lists all of them.
    OptionError, NetworkError
        Where ``net`` are no layers, or do not make a network.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = [featureInputLayer(2), fullyConnectedLayer(1, Name='fc', Weights=[[1, 2]], Bias=3), regressionLayer()]
    >>> exportWeights(layers)['fc.weight']
    array([[1., 2.]], dtype=float32)
    """
    network = _resolved(net)
    arrays: Arrays = {}
    mistakes = []
    for index, rule in _rules("exportWeights", network).items():
        layer = network.layers[index]
        size = network.input_size(index)
        names = _parameters(layer)
        empty = [name for name in names if not getattr(layer, name).size]
        if empty:
            mistakes.append(f"{where_text(index, layer)}: {', '.join(empty)} have no values.")
            continue
        own = {name: getattr(layer, name).reshape(layer.parameter_shape(name, size)) for name in names}
        try:
            theirs = rule.to_theirs(own)
        except Unfit as reason:
            mistakes.append(f"{where_text(index, layer)}: {reason}.")
            continue
        arrays |= {f"{layer.Name}.{end}": np.array(value, np.float32) for end, value in theirs.items()}
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise DataError(f"exportWeights: not all parameters can be written:\n{listed}")
    return arrays


def _resolved(net: Any) -> Resolved:
    return net._network if isinstance(net, TrainedNetwork) else resolve(net)


def _parameters(layer: Layer) -> list[str]:
    """Return the names of the learnables and statistics; states of sequences belong to data."""
    states = [name for name in layer.states if name not in ("HiddenState", "CellState")]
    return [*(learnable.name for learnable in layer.learnables), *states]


def _rules(function: str, network: Resolved) -> dict[int, Rule]:
    """Return the rules of the layers with parameters, by their numbers."""
    rules: dict[int, Rule] = {}
    without = []
    for index, layer in enumerate(network.layers):
        if not _parameters(layer):
            continue
        rule = rule_for(layer, network.input_size(index), _flattened(network, index))
        if rule is None:
            without.append(where_text(index, layer))
        else:
            rules[index] = rule
    if without:
        listed = "\n".join(f"  {where}" for where in without)
        raise NotSupportedError(f"{function}: there is no rule for the parameters of {len(without)} layers:\n{listed}")
    return rules


def _flattened(network: Resolved, index: int) -> Size:
    """Return the size of the images whose elements come to a layer, through layers that keep their places."""
    size = network.input_size(index)
    while len(network.sources[index]) == 1:
        source = network.sources[index][0].layer
        if isinstance(network.layers[source], FlattenLayer):
            return network.input_size(source)
        if not network.sources[source] or network.input_size(source) != size or _parameters(network.layers[source]):
            break
        index = source
    return size


class _Reader:
    """Fills layers from arrays, and collects what does not fit."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.mistakes: list[str] = []
        self._arrays = arrays
        self._known: set[str] = set()

    def filled(self, where: str, layer: Layer, rule: Rule) -> Layer:
        """Return a layer with the values of its arrays."""
        prefix = self._prefix(layer.Name, rule)
        count = len(self.mistakes)
        given = {end: self._array(f"{prefix}.{end}", shape, end in rule.optional) for end, shape in rule.shapes.items()}
        if len(self.mistakes) > count:
            return layer
        try:
            values = rule.to_ours(given)
        except Unfit as reason:
            self.mistakes.append(f"{where}: {reason}.")
            return layer
        return layer.replaced(**{name: read_only(np.array(value), np.float32) for name, value in values.items()})

    def unknown(self) -> list[str]:
        """Return the mistakes of arrays that no layer has."""
        more = [name for name in self._arrays if name not in self._known]
        return [f"'{name}' belongs to no layer. {suggestion(name, self._known)}".strip() for name in more]

    def _prefix(self, name: str, rule: Rule) -> str:
        """Return the beginning of the names of a layer's arrays: its name, or one with dots where that has others."""
        if any(f"{name}.{end}" in self._arrays for end in rule.shapes):
            return name
        plain = name.replace("-", "_")
        for key in self._arrays:
            prefix, _, end = key.rpartition(".")
            if end in rule.shapes and prefix.replace(".", "_").replace("-", "_") == plain:
                return prefix
        return name

    def _array(self, name: str, shape: tuple[int, ...], is_optional: bool) -> np.ndarray:
        self._known.add(name)
        zeros = np.zeros(shape, np.float32)
        if name not in self._arrays:
            if not is_optional:
                self.mistakes.append(f"'{name}' is missing.")
            return zeros
        value = self._arrays[name]
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            self.mistakes.append(f"'{name}' needs numbers, but is {describe(self._arrays[name])}.")
            return zeros
        if array.shape != shape:
            self.mistakes.append(f"'{name}' needs size {dims(shape)}, but has size {dims(array.shape)}.")
            return zeros
        if not np.isfinite(array).all():
            self.mistakes.append(f"'{name}' is not finite.")
            return zeros
        return array
