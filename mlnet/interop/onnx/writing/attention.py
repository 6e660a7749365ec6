"""Attention as matrix products and a softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.interop.onnx.writing.step import NotInOnnx, Step
from mlnet.layers.base import Size

_FAR = 1e9
"""What is taken from the scores of keys that a query does not see."""


def self_attention(step: Step) -> Any:
    """Return the attention of a list to itself, between the linear maps, and its scores if they are put out."""
    x = _steps_first(step, step.inputs[0], step.size)
    queries, keys, values = (_mapped(step, x, name) for name in ("Query", "Key", "Value"))
    mixed, scores = _attend(step, queries, keys, values, step.inputs[1:])
    return _outputs(step, _mapped(step, mixed, "Output"), scores)


def attention(step: Step) -> Any:
    """Return the attention of queries to keys and their values, and its scores if they are put out."""
    lists = zip(step.inputs[:3], step.sizes, strict=False)
    queries, keys, values = (_steps_first(step, x, size) for x, size in lists)
    return _outputs(step, *_attend(step, queries, keys, values, step.inputs[3:]))


def _outputs(step: Step, x: str, scores: str) -> Any:
    """Return the output in the form of the input; scores as images, keys x queries x heads."""
    output = _steps_back(step, x)
    return (output, step.build.transposed(scores, (0, 1, 3, 2))) if step.attributes["scores"] else output


def _mapped(step: Step, x: str, name: str) -> str:
    build = step.build
    weights = build.constant(f"{name}Weights", step.parameters[f"{name}Weights"].T)
    return build.node("Add", build.node("MatMul", x, weights), build.constant(f"{name}Bias", _bias(step, name)))


def _bias(step: Step, name: str) -> np.ndarray:
    return step.parameters[f"{name}Bias"].ravel()


def _attend(step: Step, queries: str, keys: str, values: str, masks: Sequence[str]) -> tuple[str, str]:
    """Return (steps, N, C) of three of them, where each head has a part of the channels, and scores (N, heads, Q, K).

    Scores of keys that are not seen are 0, also where a query sees none.
    """
    build, call = step.build, step.attributes
    heads = int(call["heads"])
    orders = ((1, 2, 0, 3), (1, 2, 3, 0), (1, 2, 0, 3))
    q, k, v = (
        build.transposed(build.node("Reshape", x, build.shape([0, 0, heads, -1])), order)
        for x, order in zip((queries, keys, values), orders, strict=True)
    )
    scores = build.node("Mul", build.node("MatMul", q, k), build.constant("Scale", np.float32(call["scale"])))
    seen = [_seen(step, mask, step.sizes[-1]) for mask in masks]
    if call["causal"]:
        if build.opset < 14:
            raise NotInOnnx("AttentionMask='causal' before OpsetVersion 14")
        ones = build.node("Add", build.node("Mul", scores, _number(step, 0)), _number(step, 1))
        seen.append(build.node("Trilu", ones, upper=0))
    for each in seen:
        unseen = build.node("Sub", each, _number(step, 1))
        scores = build.node("Add", scores, build.node("Mul", unseen, _number(step, _FAR)))
    scores = build.node("Softmax", scores, axis=-1)
    if masks:
        for each in seen:
            scores = build.node("Mul", scores, each)
    mixed = build.node("MatMul", scores, v)
    return build.reshaped(build.transposed(mixed, (2, 0, 1, 3)), [0, 0, -1]), scores


def _seen(step: Step, mask: str, size: Size) -> str:
    """Return (N, 1, 1, keys), 1 where a mask is not 0."""
    build = step.build
    x = build.transposed(_steps_first(step, mask, size), (1, 2, 0))
    return build.unsqueezed(build.node("Sign", build.node("Abs", x)), 1)


def _number(step: Step, value: float) -> str:
    return step.build.constant("number", np.float32(value))


def _steps_first(step: Step, x: str, size: Size) -> str:
    """Return (steps, N, C); elements of 1-D images (N, C, L) are steps too, and features are one step."""
    if size.format == "C":
        return step.build.unsqueezed(x, 0)
    return x if size.format == "CT" else step.build.transposed(x, (2, 0, 1))


def _steps_back(step: Step, x: str) -> str:
    if step.size.format == "C":
        return step.build.squeezed(x, 0)
    return x if step.size.format == "CT" else step.build.transposed(x, (1, 2, 0))
