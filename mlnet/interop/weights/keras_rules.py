"""How Keras names, orders and shapes the parameters of each kind of layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mlnet.interop.weights.attention_rules import keras_attention
from mlnet.interop.weights.projected_rules import projected
from mlnet.interop.weights.rule import Arrays, Maker, Rule, Unfit, class_token, made_by, per_channel
from mlnet.layers.attention import SelfAttentionLayer
from mlnet.layers.base import Layer, Size
from mlnet.layers.embedding import EmbeddingConcatenationLayer, PositionEmbeddingLayer, WordEmbeddingLayer
from mlnet.layers.filters import FilterLayer
from mlnet.layers.group_normalization import (
    GroupNormalizationLayer,
    InstanceNormalizationLayer,
    LayerNormalizationLayer,
    RMSNormalizationLayer,
)
from mlnet.layers.grouped_convolution import GroupedConvolution2DLayer
from mlnet.layers.linear import FullyConnectedLayer
from mlnet.layers.normalization import BatchNormalizationLayer
from mlnet.layers.patch_embedding import PatchEmbeddingLayer
from mlnet.layers.recurrent import BiLSTMLayer, GRULayer, LSTMLayer, LSTMProjectedLayer
from mlnet.layers.reparameterization import NORMALIZED
from mlnet.layers.smooth_activation import PReLULayer

_DIRECTION = re.compile(r"(forward|backward)_")
_CELL = re.compile(r"(lstm|gru)_cell(_\d+)?")
_NUMBER = re.compile(r":\d+$")
_SEED = "seed_generator_state"
"""What layers with chance keep, and nothing needs."""


def keras_rule_for(layer: Layer, size: Size, flattened: Size) -> Rule | None:
    """Return the rule of a layer that takes inputs of ``size``; None where there is none."""
    if getattr(layer, "WeightReparameterization", "none") == NORMALIZED:
        return None
    return made_by(_RULES, layer, size, flattened)


def are_paths(names: Iterable[str]) -> bool:
    """Tell whether any name is a path as Keras has them, 'conv1/kernel', and not 'a/b.weight'."""
    return any("/" in name and "." not in name.rpartition("/")[2] for name in names)


def names_with_dots(names: Iterable[str]) -> dict[str, str]:
    """Return names such as 'model.conv1.kernel' for the paths of Keras, 'model/conv1/kernel'.

    The cells of recurrent layers are left out, and their directions have the same names everywhere:
    'rnn/forward_lstm_3/lstm_cell/kernel:0' is 'rnn.forward_kernel'. A path whose new
    name another one has keeps its own.
    """
    found: dict[str, str] = {}
    for name in names:
        *parts, end = _NUMBER.sub("", name).split("/")
        if end == _SEED:
            continue
        parts = [part for part in parts if not _CELL.fullmatch(part)]
        direction = _DIRECTION.match(parts[-1]) if len(parts) > 1 else None
        if direction:
            parts.pop()
            end = f"{direction[1]}_{end}"
        plain = ".".join([*parts, end])
        found[name if plain in found.values() else plain] = name
    return {name: plain for plain, name in found.items()}


def keras_path(layer: Layer, end: str) -> str:
    """Return the path that Keras gives to an array, 'conv1/kernel', for the end of its name."""
    direction = _DIRECTION.match(end)
    if not isinstance(layer, (LSTMLayer, BiLSTMLayer, GRULayer, LSTMProjectedLayer)):
        return f"{layer.Name}/{end.replace('.', '/')}"
    cell = "gru" if isinstance(layer, GRULayer) else "lstm"
    parts = [f"{direction[0]}{cell}"] if direction else []
    return "/".join([layer.Name, *parts, f"{cell}_cell", _DIRECTION.sub("", end)])


def _kernel_and_bias(
    layer: Any,
    size: Size,
    shape: tuple[int, ...],
    to_ours: Callable[[np.ndarray], np.ndarray],
    to_theirs: Callable[[np.ndarray], np.ndarray],
    **more: Any,
) -> Rule:
    bias = layer.parameter_shape("Bias", size)
    return Rule(
        {"kernel": shape, "bias": (math.prod(bias),)},
        lambda given: {"Weights": to_ours(given["kernel"]), "Bias": given["bias"].reshape(bias, order="F")},
        lambda own: {"kernel": to_theirs(own["Weights"]), "bias": own["Bias"].ravel(order="F")},
        {"bias": 0},
        **more,
    )


def _filters(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of filters, whose axes are in the same order; transposed ones alike."""
    return _kernel_and_bias(layer, size, layer.parameter_shape("Weights", size), lambda w: w, lambda w: w)


def _grouped(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of filters (h, w, C, F, G), elsewhere (h, w, C, G F), or (h, w, G, F) for one channel each."""
    height, width, channels, each, groups = layer.parameter_shape("Weights", size)
    shape = (height, width, channels, groups * each)
    return _kernel_and_bias(
        layer,
        size,
        shape,
        lambda w: w.reshape(height, width, channels, groups, each).swapaxes(3, 4),
        lambda w: w.swapaxes(3, 4).reshape(shape),
        others={"kernel": (height, width, groups, each)} if channels == 1 else {},
        aliases={"kernel": "depthwise_kernel"} if channels == 1 else {},
    )


def _fully_connected(layer: Any, size: Size, flattened: Size) -> Rule:
    """Return the rule of a matrix whose rows count images with the channels fastest, then the last dimension."""
    rows, columns = layer.parameter_shape("Weights", size)
    spatial = flattened.spatial

    def to_ours(w: np.ndarray) -> np.ndarray:
        return w.reshape(*spatial, flattened.channels, rows).T.reshape(rows, columns)

    def to_theirs(w: np.ndarray) -> np.ndarray:
        return w.reshape(rows, flattened.channels, *spatial[::-1]).T.reshape(columns, rows)

    return _kernel_and_bias(layer, size, (columns, rows), to_ours, to_theirs)


def _prelu(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of slopes that positions share: 1 x 1 x C."""
    rule = per_channel(alpha="Alpha")(layer, size, size)
    ones = (1,) * len(size.spatial)
    return Rule(
        {"alpha": (*ones, size.channels)},
        rule.to_ours,
        lambda own: {"alpha": own["Alpha"].reshape(*ones, size.channels)},
        others={"alpha": (1, *ones, size.channels) if not ones else (size.channels,)},
    )


def _embedding(layer: Any, size: Size, _: Size) -> Rule:
    shape = layer.parameter_shape("Weights", size)
    return Rule(
        {"embeddings": shape[::-1]},
        lambda given: {"Weights": given["embeddings"].T},
        lambda own: {"embeddings": own["Weights"].T},
    )


def _in_order(value: np.ndarray, gates: int) -> np.ndarray:
    """Return rows z, r, candidate as r, z, candidate or back; those of an LSTM, i, f, candidate, o, as they are."""
    parts = np.split(value, gates)
    return np.concatenate([parts[1], parts[0], parts[2]] if gates == 3 else parts)


def _recurrent(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of a kernel, a recurrent kernel and a bias for each direction, a column for each unit of a gate.

    Gated recurrent units have two biases with reset_after=True, its default, and one without.
    """
    units, gates = int(layer.NumHiddenUnits), int(layer.gates)
    rows = gates * units
    starts = ["forward_", "backward_"] if layer.directions == 2 else [""]
    mode = layer.ResetGateMode if gates == 3 else ""
    biases = (2, rows) if gates == 3 else (rows,)
    shapes: dict[str, tuple[int, ...]] = {}
    for start in starts:
        shapes |= {f"{start}kernel": (size.channels, rows), f"{start}recurrent_kernel": (units, rows)}
        shapes |= {f"{start}bias": biases}

    def bias_to_ours(bias: np.ndarray) -> np.ndarray:
        if gates == 4:
            return bias
        if bias.shape != biases:
            return _in_order(bias, gates)
        first, second = (_in_order(part, gates) for part in bias)
        if mode.startswith("recurrent"):
            return np.concatenate([first, second])
        if np.any(second[2 * units :]):
            raise Unfit(f"it needs ResetGateMode='recurrent-bias-after-multiplication', but is '{mode}'")
        return first + second

    def to_ours(given: Arrays) -> Arrays:
        has_one = gates == 3 and given["bias"].shape != biases
        if has_one and mode != "before-multiplication":
            raise Unfit(f"a bias of reset_after=False needs ResetGateMode='before-multiplication', but is '{mode}'")
        if gates == 3 and not has_one and mode == "before-multiplication":
            needed = "recurrent-bias-after-multiplication"
            raise Unfit(f"a bias of reset_after=True needs ResetGateMode='{needed}', but is '{mode}'")
        return {
            "InputWeights": np.concatenate([_in_order(given[f"{start}kernel"].T, gates) for start in starts]),
            "RecurrentWeights": np.concatenate(
                [_in_order(given[f"{start}recurrent_kernel"].T, gates) for start in starts]
            ),
            "Bias": np.concatenate([bias_to_ours(given[f"{start}bias"]) for start in starts]).reshape(-1, 1),
        }

    def bias_to_theirs(bias: np.ndarray) -> np.ndarray:
        if gates == 4:
            return bias
        if mode == "before-multiplication":
            return _in_order(bias, gates)
        parts = np.split(bias, 2) if mode.startswith("recurrent") else [bias, np.zeros_like(bias)]
        return np.stack([_in_order(part, gates) for part in parts])

    def to_theirs(own: Arrays) -> Arrays:
        theirs: Arrays = {}
        parts = [np.split(own[name], len(starts)) for name in ("InputWeights", "RecurrentWeights", "Bias")]
        for start, inputs, recurrent, bias in zip(starts, *parts, strict=True):
            theirs[f"{start}kernel"] = _in_order(inputs, gates).T
            theirs[f"{start}recurrent_kernel"] = _in_order(recurrent, gates).T
            theirs[f"{start}bias"] = bias_to_theirs(bias.ravel())
        return theirs

    # Without a bias nothing tells the two kinds of reset gates apart: the one of the layer is taken.
    if mode == "before-multiplication":
        shapes["bias"], others = (rows,), {"bias": biases}
    else:
        others = {"bias": (rows,)} if gates == 3 else {}
    return Rule(shapes, to_ours, to_theirs, {name: 0 for name in shapes if name.endswith("bias")}, others)


_SCALE = {"gamma": "Scale", "beta": "Offset"}
_DEFAULTS: Mapping[str, float] = {"gamma": 1, "beta": 0}

_RULES: dict[type, Maker] = {
    SelfAttentionLayer: keras_attention,
    GroupedConvolution2DLayer: _grouped,
    FilterLayer: _filters,
    PatchEmbeddingLayer: _filters,
    FullyConnectedLayer: _fully_connected,
    BatchNormalizationLayer: per_channel(
        _DEFAULTS, **_SCALE, moving_mean="TrainedMean", moving_variance="TrainedVariance"
    ),
    GroupNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    InstanceNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    LayerNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    RMSNormalizationLayer: per_channel(scale="Scale"),
    PReLULayer: _prelu,
    WordEmbeddingLayer: _embedding,
    PositionEmbeddingLayer: _embedding,
    EmbeddingConcatenationLayer: class_token("weight"),
    LSTMLayer: _recurrent,
    BiLSTMLayer: _recurrent,
    GRULayer: _recurrent,
    LSTMProjectedLayer: projected(_recurrent, "kernel", "recurrent_kernel"),
}
