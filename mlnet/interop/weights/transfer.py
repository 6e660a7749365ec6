"""importWeights and exportWeights: the parameters of a network from and to arrays as PyTorch or Keras name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnet.errors import DataError, NotSupportedError, OptionError, suggestion
from mlnet.interop.weights.keras_rules import are_paths, keras_path, keras_rule_for, names_with_dots
from mlnet.interop.weights.rule import Arrays, Rule, Unfit
from mlnet.interop.weights.torch_rules import rule_for
from mlnet.layers.base import Layer, Size, dims
from mlnet.layers.shape import FlattenLayer
from mlnet.network.dlnetwork import dlnetwork
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
    put from (C, h, w) to MATLAB's order of elements; LSTMs have the sum of their two biases. Self-attention is that of
    MultiheadAttention ('name.in_proj_weight', 'name.out_proj.weight', ...), weight normalization that of weight_norm
    ('name.weight_g', 'name.weight_v', or since 2.0 'name.parametrizations.weight.original0'), a projected LSTM one
    whose weights are the products with the projectors; importing takes them apart where their rank allows it.

    Arrays of Keras are known by the '/' in their names: ``importWeights(layers, {w.path: w for w in model.weights})``.
    A layer is found by the end of the path before 'kernel', 'bias', 'gamma', ...; the columns of a fully connected
    layer behind images are put from (h, w, C), and the gates of a GRU from z, r, h. Self-attention is that of
    MultiHeadAttention.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork, dlnetwork, LayerArray, list of layers, or LayerGraph
        The layers need to make a network, so that all sizes are known.
    stateDict : dict
        Arrays by name: 'name.weight', 'name.bias', 'name.running_mean', 'name.running_var', 'name.weight_ih_l0', ...
        A bias that is missing is zero. 'num_batches_tracked' is left out. Or by path: 'name/kernel', 'name/bias',
        'name/gamma', 'name/beta', 'name/moving_mean', 'name/moving_variance', 'name/lstm_cell/recurrent_kernel', ...
        Where a normalization there can leave out scale or offset, one that is missing is 1 or 0.

    Returns
    -------
    network, LayerArray or LayerGraph
        As ``net``, with the values.

    Raises
    ------
    DataError
        Where arrays are missing, unknown, of another shape or not finite; the message lists all of them.
    NotSupportedError
        Where layers have parameters that there is no rule for (whiteningLayer; weight normalization in Keras); the
        message lists all of them.
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
    network = _resolved(net, "importWeights")
    if not isinstance(stateDict, Mapping) or not all(isinstance(name, str) for name in stateDict):
        fix = " Give its state_dict()." if hasattr(stateDict, "state_dict") else ""
        if hasattr(stateDict, "weights"):
            fix = " Give {w.path: w for w in model.weights}."
        raise OptionError(
            f"importWeights: stateDict: needs a dict of arrays by name, but got {describe(stateDict)}.{fix}"
        )
    is_keras = are_paths(stateDict)
    rules = _rules("importWeights", network, is_keras)
    counted = [name for name in stateDict if not name.endswith(_COUNTER)]
    reader = _Reader(stateDict, names_with_dots(counted) if is_keras else dict(zip(counted, counted, strict=True)))
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
    if isinstance(net, dlnetwork):
        return dlnetwork.of(net.to_resolved("importWeights")[0], network.with_layers(filled))
    if network.outline is not None:
        graph = folded(network.outline, filled)
        return graph if isinstance(net, LayerGraph) else graph.Layers
    return LayerGraph(filled, net.wires) if isinstance(net, LayerGraph) else LayerArray(filled)


def exportWeights(net: Any, library: str = "pytorch") -> Arrays:  # noqa: N802
    """Return the parameters of a network as arrays with the names, axes and shapes of PyTorch or Keras.

    The reverse of `importWeights`: ``torch_model.load_state_dict({k: torch.tensor(v) for k, v in ...})``; for Keras,
    ``w.assign(arrays[w.path])`` for each w of ``model.weights``, whose paths may begin with the name of the model.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork, dlnetwork, LayerArray, list of layers, or LayerGraph
        With values for all parameters.
    library : 'pytorch' or 'keras', default 'pytorch'
        Whose names and shapes the arrays have.

    Returns
    -------
    dict
        Arrays, float32, by 'layer.weight', 'layer.bias', ..., or by 'layer/kernel', 'layer/bias', ...

    Raises
    ------
    DataError
        Where parameters have no values.
    NotSupportedError
        Where layers have parameters that there is no rule for; the message lists all of them.
    OptionError, NetworkError
        Where ``net`` are no layers, or do not make a network; where ``library`` is another.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = [featureInputLayer(2), fullyConnectedLayer(1, Name='fc', Weights=[[1, 2]], Bias=3), regressionLayer()]
    >>> exportWeights(layers)['fc.weight']
    array([[1., 2.]], dtype=float32)
    """
    if library not in ("pytorch", "keras"):
        raise OptionError(f"exportWeights: library: needs one of 'pytorch', 'keras', but got {describe(library)}.")
    is_keras = library == "keras"
    network = _resolved(net, "exportWeights")
    arrays: Arrays = {}
    mistakes = []
    for index, rule in _rules("exportWeights", network, is_keras).items():
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
        name_of = keras_path if is_keras else _dotted
        arrays |= {name_of(layer, end): np.array(value, np.float32, order="C") for end, value in theirs.items()}
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise DataError(f"exportWeights: not all parameters can be written:\n{listed}")
    return arrays


def _resolved(net: Any, function: str) -> Resolved:
    if isinstance(net, dlnetwork):
        return net.to_resolved(function)[1]
    return net._network if isinstance(net, TrainedNetwork) else resolve(net)


def _dotted(layer: Layer, end: str) -> str:
    return f"{layer.Name}.{end}"


def _parameters(layer: Layer) -> list[str]:
    """Return the names of the learnables and statistics; states of sequences belong to data."""
    states = [name for name in layer.states if name not in ("HiddenState", "CellState")]
    return [*(learnable.name for learnable in layer.learnables), *states]


def _rules(function: str, network: Resolved, is_keras: bool) -> dict[int, Rule]:
    """Return the rules of the layers with parameters, by their numbers."""
    rules: dict[int, Rule] = {}
    without = []
    for index, layer in enumerate(network.layers):
        if not _parameters(layer):
            continue
        find = keras_rule_for if is_keras else rule_for
        rule = find(layer, network.input_size(index), _flattened(network, index))
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

    def __init__(self, arrays: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Take arrays, and the names with dots of those that count."""
        self.mistakes: list[str] = []
        self._arrays = {plain: arrays[name] for name, plain in names.items()}
        self._spelt = {plain: name for name, plain in names.items()}
        self._are_paths = any(plain != name for name, plain in names.items())
        self._known: set[str] = set()

    def filled(self, where: str, layer: Layer, rule: Rule) -> Layer:
        """Return a layer with the values of its arrays."""
        prefixes = self._prefixes(layer.Name, rule)
        if len(prefixes) > 1:
            self.mistakes.append(f"{where}: {len(prefixes)} layers of the arrays have its name: {', '.join(prefixes)}.")
            self._known |= {f"{prefix}.{end}" for prefix in prefixes for end in rule.shapes}
            return layer
        count = len(self.mistakes)
        given = {end: self._array(prefixes[0], end, rule) for end in rule.shapes}
        if len(self.mistakes) > count:
            return layer
        try:
            values = rule.to_ours(given)
        except Unfit as reason:
            self.mistakes.append(f"{where}: {reason}.")
            return layer
        return layer.replaced(
            **{name: read_only(np.array(value, order="C"), np.float32) for name, value in values.items()}
        )

    def unknown(self) -> list[str]:
        """Return the mistakes of arrays that no layer has."""
        more = [name for name in self._arrays if name not in self._known]
        return [f"'{self._spelt[name]}' belongs to no layer. {suggestion(name, self._known)}".strip() for name in more]

    def _prefixes(self, name: str, rule: Rule) -> list[str]:
        """Return the beginnings that the names of a layer's arrays may have.

        That is its name, or one with dots where the name has others, or for paths the end of one.
        """
        ends = {*rule.shapes, *rule.aliases.values()}
        if any(f"{name}.{end}" in self._arrays for end in ends):
            return [name]
        plain = _underscored(name)
        there = list(
            dict.fromkeys(key[: -len(end) - 1] for key in self._arrays for end in ends if key.endswith(f".{end}"))
        )
        exact = [prefix for prefix in there if _underscored(prefix) == plain][:1]
        if exact or not self._are_paths:
            return exact or [name]
        within = [
            prefix
            for prefix in there
            if any(_underscored(prefix[at + 1 :]) == plain for at, sign in enumerate(prefix) if sign == ".")
        ]
        return within or [name]

    def _array(self, prefix: str, end: str, rule: Rule) -> np.ndarray:
        name = f"{prefix}.{end}"
        alias = f"{prefix}.{rule.aliases.get(end, end)}"
        if name not in self._arrays and alias in self._arrays:
            name = alias
        self._known.add(name)
        shape = rule.shapes[end]
        instead = np.full(shape, rule.optional.get(end, 0), np.float32)
        if name not in self._arrays:
            if end not in rule.optional:
                self.mistakes.append(f"'{name}' is missing.")
            return instead
        value = self._arrays[name]
        spelt = self._spelt[name]
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            self.mistakes.append(f"'{spelt}' needs numbers, but is {describe(self._arrays[name])}.")
            return instead
        if array.shape not in (shape, rule.others.get(end, shape)):
            self.mistakes.append(f"'{spelt}' needs size {dims(shape)}, but has size {dims(array.shape)}.")
            return instead
        if not np.isfinite(array).all():
            self.mistakes.append(f"'{spelt}' is not finite.")
            return instead
        return array


def _underscored(name: str) -> str:
    return name.replace(".", "_").replace("-", "_").replace("/", "_")
