"""Attention as matrix products and a softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.interop.onnx_step import NotInOnnx, Step
from mlnet.layers.base import Size

_FAR = 1e9
"""What is taken from the scores of keys that a query does not see."""


def self_attention(step: Step) -> Any:
    """Return the attention of a list to itself, between the linear maps."""
    x = _steps_first(step, step.inputs[0], step.size)
    queries, keys, values = (_mapped(step, x, name) for name in ("Query", "Key", "Value"))
    return _with_scores(
        step, _attend(step, queries, keys, values, step.inputs[1:]), lambda y: _mapped(step, y, "Output")
    )


def _with_scores(step: Step, made: tuple[str, str], finish: Callable[[str], str]) -> Any:
    """Return the output, and the scores (N, heads, keys, queries) if they are put out."""
    output = _steps_back(step, finish(made[0]))
    return (output, step.build.transposed(made[1], (0, 1, 3, 2))) if step.attributes["scores"] else output


def attention(step: Step) -> Any:
    """Return the attention of queries to keys and their values."""
    queries, keys, values = (_steps_first(step, x, size) for x, size in zip(step.inputs[:3], step.sizes, strict=False))
    return _with_scores(step, _attend(step, queries, keys, values, step.inputs[3:]), lambda y: y)


def _mapped(step: Step, x: str, name: str) -> str:
    build = step.build
    weights = build.constant(f"{name}Weights", step.parameters[f"{name}Weights"].T)
    return build.node("Add", build.node("MatMul", x, weights), build.constant(f"{name}Bias", _bias(step, name)))


def _bias(step: Step, name: str) -> np.ndarray:
    return step.parameters[f"{name}Bias"].ravel()


def _attend(step: Step, queries: str, keys: str, values: str, masks: Sequence[str]) -> tuple[str, str]:
    """Return (steps, N, C) of three of them, each head a part of the channels, and the scores (N, heads, Tq, Tk)."""
    build, call = step.build, step.attributes
    heads = int(call["heads"])
    orders = ((1, 2, 0, 3), (1, 2, 3, 0), (1, 2, 0, 3))
    q, k, v = (
        build.transposed(build.node("Reshape", x, build.shape([0, 0, heads, -1])), order)
        for x, order in zip((queries, keys, values), orders, strict=True)
    )
    scores = build.node("Mul", build.node("MatMul", q, k), build.constant("Scale", np.float32(call["scale"])))
    unseen = ""
    if call["causal"]:
        if build.opset < 14:
            raise NotInOnnx("AttentionMask='causal' before OpsetVersion 14")
        ones = build.node("Add", build.node("Mul", scores, _number(step, 0)), _number(step, 1))
        unseen = build.node("Sub", build.node("Trilu", ones, upper=0), _number(step, 1))
        scores = build.node("Add", scores, build.node("Mul", unseen, _number(step, _FAR)))
    weights = _weights(step, scores, masks, unseen)
    mixed = build.node("MatMul", weights, v)
    return build.reshaped(build.transposed(mixed, (2, 0, 1, 3)), [0, 0, -1]), weights


def _weights(step: Step, scores: str, masks: Sequence[str], unseen: str) -> str:
    """Return the softmax of scores; with a mask (S, N, 1), or (N, 1, L) of 1-D images, it is 0 where that is 0.

    ``unseen`` is -1 for keys behind a query, 0 for all others.
    """
    build = step.build
    if not masks:
        return build.node("Softmax", scores, axis=-1)
    order = (1, 2, 0) if step.sizes[-1].format == "CT" else (0, 1, 2)
    flags = build.unsqueezed(build.transposed(masks[0], order), 1)  # (N, 1, 1, Tk)
    absent = build.node("Cast", build.node("Equal", flags, _number(step, 0)), to=1)
    far = build.node("Sub", scores, build.node("Mul", absent, _number(step, _FAR)))
    present = build.node("Sub", _number(step, 1), absent)
    if unseen:
        present = build.node("Mul", present, build.node("Add", unseen, _number(step, 1)))
    return build.node("Mul", build.node("Softmax", far, axis=-1), present)  # 0 also where no key is left


def _number(step: Step, value: float) -> str:
    return step.build.constant("number", np.float32(value))


def _steps_first(step: Step, x: str, size: Size) -> str:
    """Return (steps, N, C); elements of 1-D images (N, C, L) are steps too."""
    if size.format not in ("CT", "SC"):
        raise NotInOnnx(f"inputs that are no lists of elements, but {size}")
    return x if size.format == "CT" else step.build.transposed(x, (2, 0, 1))


def _steps_back(step: Step, x: str) -> str:
    return x if step.size.format == "CT" else step.build.transposed(x, (1, 2, 0))
