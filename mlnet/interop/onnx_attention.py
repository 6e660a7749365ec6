"""Attention as matrix products and a softmax."""

from __future__ import annotations

import numpy as np

from mlnet.interop.onnx_step import NotInOnnx, Step
from mlnet.layers.base import Size

_FAR = 1e9
"""What is taken from the scores of keys that a query does not see."""


def self_attention(step: Step) -> str:
    """Return the attention of a list to itself, between the linear maps."""
    if len(step.inputs) > 1:
        raise NotInOnnx("a mask")
    x = _steps_first(step, step.inputs[0], step.size)
    queries, keys, values = (_mapped(step, x, name) for name in ("Query", "Key", "Value"))
    return _steps_back(step, _mapped(step, _attend(step, queries, keys, values), "Output"))


def attention(step: Step) -> str:
    """Return the attention of queries to keys and their values."""
    if len(step.inputs) > 3:
        raise NotInOnnx("a mask")
    lists = [_steps_first(step, x, size) for x, size in zip(step.inputs, step.sizes, strict=True)]
    return _steps_back(step, _attend(step, *lists))


def _mapped(step: Step, x: str, name: str) -> str:
    build = step.build
    weights = build.constant(f"{name}Weights", step.parameters[f"{name}Weights"].T)
    return build.node("Add", build.node("MatMul", x, weights), build.constant(f"{name}Bias", _bias(step, name)))


def _bias(step: Step, name: str) -> np.ndarray:
    return step.parameters[f"{name}Bias"].ravel()


def _attend(step: Step, queries: str, keys: str, values: str) -> str:
    """Return (steps, N, C) of three of them; each head has a part of the channels."""
    build, call = step.build, step.attributes
    if call["scores"]:
        raise NotInOnnx("HasScoresOutput=True")
    heads = int(call["heads"])
    orders = ((1, 2, 0, 3), (1, 2, 3, 0), (1, 2, 0, 3))
    q, k, v = (
        build.transposed(build.node("Reshape", x, build.shape([0, 0, heads, -1])), order)
        for x, order in zip((queries, keys, values), orders, strict=True)
    )
    scores = build.node("Mul", build.node("MatMul", q, k), build.constant("Scale", np.float32(call["scale"])))
    if call["causal"]:
        if build.opset < 14:
            raise NotInOnnx("AttentionMask='causal' before OpsetVersion 14")
        ones = build.node("Add", build.node("Mul", scores, _number(step, 0)), _number(step, 1))
        unseen = build.node("Sub", build.node("Trilu", ones, upper=0), _number(step, 1))
        scores = build.node("Add", scores, build.node("Mul", unseen, _number(step, _FAR)))
    mixed = build.node("MatMul", build.node("Softmax", scores, axis=-1), v)
    return build.reshaped(build.transposed(mixed, (2, 0, 1, 3)), [0, 0, -1])


def _number(step: Step, value: float) -> str:
    return step.build.constant("number", np.float32(value))


def _steps_first(step: Step, x: str, size: Size) -> str:
    """Return (steps, N, C); elements of 1-D images (N, C, L) are steps too."""
    if size.format not in ("CT", "SC"):
        raise NotInOnnx(f"inputs that are no lists of elements, but {size}")
    return x if size.format == "CT" else step.build.transposed(x, (2, 0, 1))


def _steps_back(step: Step, x: str) -> str:
    return x if step.size.format == "CT" else step.build.transposed(x, (1, 2, 0))
