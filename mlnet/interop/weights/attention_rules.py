"""How PyTorch and Keras name and shape the parameters of attention between linear maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.weights.rule import Arrays, Rule, Unfit
from mlnet.layers.base import Size

_KINDS = ("Query", "Key", "Value")


def torch_attention(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of MultiheadAttention: the maps of queries, keys and values in one matrix, and that behind.

    All have as many channels as the input there.
    """
    channels = size.channels
    shapes = {f"{kind}Weights": layer.parameter_shape(f"{kind}Weights", size) for kind in (*_KINDS, "Output")}
    bias = (channels, 1)
    is_square = all(shape == (channels, channels) for shape in shapes.values())

    def check() -> None:
        if not is_square:
            needed = f"NumKeyChannels, NumValueChannels and OutputSize of {channels}, as many as the input has channels"
            raise Unfit(f"MultiheadAttention needs {needed}")

    def to_ours(given: Arrays) -> Arrays:
        check()
        weights, biases = np.split(given["in_proj_weight"], 3), np.split(given["in_proj_bias"], 3)
        own = {f"{kind}Weights": each for kind, each in zip(_KINDS, weights, strict=True)}
        own |= {f"{kind}Bias": each.reshape(bias) for kind, each in zip(_KINDS, biases, strict=True)}
        return {**own, "OutputWeights": given["out_proj.weight"], "OutputBias": given["out_proj.bias"].reshape(bias)}

    def to_theirs(own: Arrays) -> Arrays:
        check()
        return {
            "in_proj_weight": np.concatenate([own[f"{kind}Weights"] for kind in _KINDS]),
            "in_proj_bias": np.concatenate([own[f"{kind}Bias"].ravel() for kind in _KINDS]),
            "out_proj.weight": own["OutputWeights"],
            "out_proj.bias": own["OutputBias"].ravel(),
        }

    theirs = {"in_proj_weight": (3 * channels, channels), "in_proj_bias": (3 * channels,)}
    theirs |= {"out_proj.weight": (channels, channels), "out_proj.bias": (channels,)}
    return Rule(theirs, to_ours, to_theirs, {"in_proj_bias": 0, "out_proj.bias": 0})


def keras_attention(layer: Any, size: Size, _: Size) -> Rule:
    """Return the rule of MultiHeadAttention: kernels (C, heads, channels of a head), the last one the other way."""
    heads = int(layer.NumHeads)
    names = {"query": "Query", "key": "Key", "value": "Value", "attention_output": "Output"}
    weights = {ours: layer.parameter_shape(f"{ours}Weights", size) for ours in names.values()}
    shapes: dict[str, tuple[int, ...]] = {}
    for theirs, ours in names.items():
        rows, columns = weights[ours]
        is_output = ours == "Output"
        shapes[f"{theirs}.kernel"] = (heads, columns // heads, rows) if is_output else (columns, heads, rows // heads)
        shapes[f"{theirs}.bias"] = (rows,) if is_output else (heads, rows // heads)

    def to_ours(given: Arrays) -> Arrays:
        own: Arrays = {}
        for theirs, ours in names.items():
            own[f"{ours}Weights"] = given[f"{theirs}.kernel"].reshape(weights[ours][::-1]).T
            own[f"{ours}Bias"] = given[f"{theirs}.bias"].reshape(-1, 1)
        return own

    def to_theirs(own: Arrays) -> Arrays:
        return {
            f"{theirs}.{end}": (own[f"{ours}Weights"].T if end == "kernel" else own[f"{ours}Bias"]).reshape(
                shapes[f"{theirs}.{end}"]
            )
            for theirs, ours in names.items()
            for end in ("kernel", "bias")
        }

    return Rule(shapes, to_ours, to_theirs, {name: 0 for name in shapes if name.endswith("bias")})
