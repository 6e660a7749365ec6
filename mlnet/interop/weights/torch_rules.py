"""How PyTorch and its like name, order and shape the parameters of each kind of layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.interop.weights.attention_rules import torch_attention
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


def rule_for(layer: Layer, size: Size, flattened: Size) -> Rule | None:
    """Return the rule of a layer that takes inputs of ``size``; None where there is none.

    ``flattened`` is the size of the images whose elements a fully connected layer takes.
    """
    rule = made_by(_RULES, layer, size, flattened)
    is_normalized = getattr(layer, "WeightReparameterization", "none") == NORMALIZED
    return _weight_normalized(rule, layer, size) if rule and is_normalized else rule


def _filters(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of filters (height, width, C, F), elsewhere (F, C, height, width); transposed ones alike."""
    shape = layer.parameter_shape("Weights", size)
    count = len(shape) - 2
    back = (*range(2, count + 2), 1, 0)
    there = (count + 1, count, *range(count))
    return _weights_and_bias(
        layer, size, tuple(shape[n] for n in there), lambda w: w.transpose(back), lambda w: w.transpose(there)
    )


def _weights_and_bias(
    layer: Any,
    size: Size,
    shape: tuple[int, ...],
    to_ours: Callable[[np.ndarray], np.ndarray],
    to_theirs: Callable[[np.ndarray], np.ndarray],
    bias_to_ours: Callable[[np.ndarray], np.ndarray] | None = None,
    bias_to_theirs: Callable[[np.ndarray], np.ndarray] = np.ravel,
) -> Rule:
    bias = layer.parameter_shape("Bias", size)
    turn = bias_to_ours or (lambda b: b.reshape(bias))
    return Rule(
        {"weight": shape, "bias": (math.prod(bias),)},
        lambda given: {"Weights": to_ours(given["weight"]), "Bias": turn(given["bias"])},
        lambda own: {"weight": to_theirs(own["Weights"]), "bias": bias_to_theirs(own["Bias"])},
        {"bias": 0},
    )


def _weight_normalized(rule: Rule, layer: Any, size: Size) -> Rule:
    """Return the rule with the lengths of filters as weight_norm names them, in PyTorch before and since 2.0.

    Lengths come in the order of biases; those of transposed filters are what weight_norm has with dim=1.
    """
    ours, bias = layer.parameter_shape("WeightLength", size), layer.parameter_shape("Bias", size)
    weight = rule.shapes["weight"]
    axis = int(isinstance(layer, FilterLayer) and layer.fan_in_axes()[-1] == len(weight) - 1)
    lengths = tuple(math.prod(ours) if place == axis else 1 for place in range(len(weight)))

    def to_ours(given: Arrays) -> Arrays:
        v = given["weight_v"]
        length = rule.to_ours({"weight": v, "bias": given["weight_g"].ravel()})["Bias"]
        return {**rule.to_ours({"weight": v, "bias": given["bias"]}), "WeightLength": length.reshape(ours)}

    def to_theirs(own: Arrays) -> Arrays:
        theirs = rule.to_theirs(own)
        length = rule.to_theirs({**own, "Bias": own["WeightLength"].reshape(bias)})["bias"]
        return {"weight_v": theirs["weight"], "weight_g": length.reshape(lengths), "bias": theirs["bias"]}

    new = "parametrizations.weight.original"
    return replace(
        rule,
        shapes={"weight_v": weight, "weight_g": lengths, "bias": rule.shapes["bias"]},
        to_ours=to_ours,
        to_theirs=to_theirs,
        aliases={"weight_g": f"{new}0", "weight_v": f"{new}1"},
    )


def _grouped(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of filters (h, w, C, F, G), elsewhere (G F, C, h, w) with the filters of a group together."""
    height, width, channels, each, groups = layer.parameter_shape("Weights", size)

    def to_ours(w: np.ndarray) -> np.ndarray:
        return w.reshape(groups, each, channels, height, width).transpose(3, 4, 2, 1, 0)

    def to_theirs(w: np.ndarray) -> np.ndarray:
        return w.transpose(4, 3, 2, 0, 1).reshape(groups * each, channels, height, width)

    return _weights_and_bias(
        layer,
        size,
        (groups * each, channels, height, width),
        to_ours,
        to_theirs,
        lambda b: b.reshape(groups, each).T.reshape(1, 1, each, groups),
        lambda b: b.reshape(each, groups).T.ravel(),
    )


def _fully_connected(layer: Any, size: Size, flattened: Size) -> Rule:
    """Return the rule of a matrix whose columns count images with the last dimension fastest, then the channels."""
    rows, columns = layer.parameter_shape("Weights", size)
    spatial = flattened.spatial
    reverse = (0, 1, *range(len(spatial) + 1, 1, -1))

    def to_ours(w: np.ndarray) -> np.ndarray:
        return w.reshape(rows, flattened.channels, *spatial).transpose(reverse).reshape(rows, columns)

    def to_theirs(w: np.ndarray) -> np.ndarray:
        return w.reshape(rows, flattened.channels, *spatial[::-1]).transpose(reverse).reshape(rows, columns)

    return _weights_and_bias(layer, size, (rows, columns), to_ours, to_theirs)


def _embedding(layer: Any, size: Size, _: Size) -> Rule:
    shape = layer.parameter_shape("Weights", size)
    return Rule(
        {"weight": shape[::-1]},
        lambda given: {"Weights": given["weight"].T},
        lambda own: {"weight": own["Weights"].T},
    )


def _prelu(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of a slope for each channel, or one for all of them."""
    rule = per_channel(weight="Alpha")(layer, size, size)

    def to_ours(given: Arrays) -> Arrays:
        return rule.to_ours({"weight": np.broadcast_to(given["weight"], size.channels)})

    return replace(rule, to_ours=to_ours, others={"weight": (1,)})


def _recurrent(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of gates in our order, i, f, g, o or r, z, candidate, with two biases for each direction."""
    units, gates = int(layer.NumHiddenUnits), int(layer.gates)
    rows = gates * units
    ends = ["_l0", "_l0_reverse"][: layer.directions]
    keeps_both = layer.parameter_shape("Bias", size)[0] == 2 * rows * layer.directions
    shapes: dict[str, tuple[int, ...]] = {}
    for end in ends:
        shapes |= {f"weight_ih{end}": (rows, size.channels), f"weight_hh{end}": (rows, units)}
        shapes |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)}

    def to_ours(given: Arrays) -> Arrays:
        biases = [(given[f"bias_ih{end}"], given[f"bias_hh{end}"]) for end in ends]
        if keeps_both:
            bias = np.concatenate([part for pair in biases for part in pair])
        else:
            if gates == 3 and (layer.ResetGateMode != "after-multiplication" or np.any(biases[0][1][2 * units :])):
                mode = "recurrent-bias-after-multiplication"
                raise Unfit(f"it needs ResetGateMode='{mode}', but is '{layer.ResetGateMode}'")
            bias = np.concatenate([first + second for first, second in biases])
        return {
            "InputWeights": np.concatenate([given[f"weight_ih{end}"] for end in ends]),
            "RecurrentWeights": np.concatenate([given[f"weight_hh{end}"] for end in ends]),
            "Bias": bias.reshape(-1, 1),
        }

    def to_theirs(own: Arrays) -> Arrays:
        if gates == 3 and layer.ResetGateMode == "before-multiplication":
            raise Unfit(f"there is nothing like ResetGateMode='{layer.ResetGateMode}'")
        theirs: Arrays = {}
        parts = [np.split(own[name], len(ends)) for name in ("InputWeights", "RecurrentWeights", "Bias")]
        for end, inputs, recurrent, bias in zip(ends, *parts, strict=True):
            first, second = np.split(bias.ravel(), 2) if keeps_both else (bias.ravel(), np.zeros(rows, np.float32))
            theirs |= {f"weight_ih{end}": inputs, f"weight_hh{end}": recurrent}
            theirs |= {f"bias_ih{end}": first, f"bias_hh{end}": second}
        return theirs

    return Rule(shapes, to_ours, to_theirs, {name: 0 for name in shapes if name.startswith("bias")})


_SCALE = {"weight": "Scale", "bias": "Offset"}
_DEFAULTS: Mapping[str, float] = {"weight": 1, "bias": 0}
"""What normalizations have that learn nothing (affine=False)."""

_RULES: dict[type, Maker] = {
    SelfAttentionLayer: torch_attention,
    GroupedConvolution2DLayer: _grouped,
    FilterLayer: _filters,
    PatchEmbeddingLayer: _filters,
    FullyConnectedLayer: _fully_connected,
    BatchNormalizationLayer: per_channel(
        _DEFAULTS, **_SCALE, running_mean="TrainedMean", running_var="TrainedVariance"
    ),
    GroupNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    InstanceNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    LayerNormalizationLayer: per_channel(_DEFAULTS, **_SCALE),
    RMSNormalizationLayer: per_channel({"weight": 1}, weight="Scale"),
    PReLULayer: _prelu,
    WordEmbeddingLayer: _embedding,
    PositionEmbeddingLayer: _embedding,
    EmbeddingConcatenationLayer: class_token("weight"),
    LSTMLayer: _recurrent,
    BiLSTMLayer: _recurrent,
    GRULayer: _recurrent,
    LSTMProjectedLayer: projected(_recurrent, "weight_ih_l0", "weight_hh_l0"),
}
