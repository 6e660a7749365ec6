"""Operators that reduce axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, plain, whole_axis

Reduction = Callable[[Any, tuple[int, ...]], Any]


def _reduction(function: Reduction) -> Operator:
    """Return the operator that reduces axes; none means all of them, unless the file says otherwise."""

    def run(use: Use) -> Any:
        x, axes = use.x, use.axes()
        if not axes:
            if use.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(np.ndim(x)))
        places = tuple(whole_axis(axis, np.ndim(x)) for axis in axes)
        y = function(x, places) if np.ndim(x) else x
        if plain(y).dtype != plain(x).dtype:
            y = y.astype(plain(x).dtype)
        kept = tuple(1 if axis in places else length for axis, length in enumerate(np.shape(x)))
        return y.reshape(kept) if use.get("keepdims", 1) and np.ndim(x) else y

    return run


def _extreme(function: Any, empty: float) -> Reduction:
    def run(x: Any, axes: tuple[int, ...]) -> Any:
        if np.size(x):
            return function(x, axis=axes)
        kind = plain(x).dtype
        value: Any = empty
        if kind.kind in "iub":
            limits = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
            value = limits[empty > 0]
        return np.full([n for axis, n in enumerate(np.shape(x)) if axis not in axes], value, kind)

    return run


def _log_sum_exp(x: Any, axes: tuple[int, ...]) -> Any:
    if not np.size(x):
        return np.log(np.sum(np.exp(x), axis=axes))
    top = plain(x).max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axes)) + top.squeeze(axes)


def softmax(x: Any, axis: int) -> Any:
    """Return the softmax along an axis."""
    top = plain(x).max(axis=axis, keepdims=True, initial=-np.inf)
    shifted = np.exp(x - np.where(np.isfinite(top), top, 0).astype(plain(x).dtype))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = x - plain(x).max(axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _along_channels(function: Callable[[Any, int], Any]) -> Operator:
    """Return the operator of a function along an axis; before version 13 along all axes from one on."""

    def run(use: Use) -> Any:
        if use.opset >= 13:
            return function(use.x, use.axis(-1))
        axis, shape = use.axis(1), np.shape(use.x)
        return function(use.x.reshape((int(np.prod(shape[:axis])), -1)), 1).reshape(shape)

    return run


def _matmul(use: Use) -> Any:
    a, b = use.inputs
    if np.ndim(a) > 1 and np.ndim(b) > 1:
        need(*np.broadcast_shapes(np.shape(a)[:-2], np.shape(b)[:-2]), np.shape(a)[-2], np.shape(b)[-1])
    return np.matmul(a, b)


def _gemm(use: Use) -> Any:
    a, b = use.inputs[:2]
    a = a.T if use.get("transA", 0) else a
    b = b.T if use.get("transB", 0) else b
    need(np.shape(a)[0], np.shape(b)[1])
    y = np.matmul(a, b)
    alpha, beta = use.get("alpha", 1.0), use.get("beta", 1.0)
    y = y if alpha == 1 else y * like(alpha, y)
    if use.input(2) is None or beta == 0:
        return y
    return y + (use.inputs[2] if beta == 1 else use.inputs[2] * like(beta, y))


def _einsum(use: Use) -> Any:
    text = str(use.get("equation")).replace(" ", "")
    terms, _, result = text.partition("->")
    if "..." not in text and "->" in text and len(terms.split(",")) == len(use.inputs):
        lengths = {
            letter: length
            for term, x in zip(terms.split(","), use.inputs, strict=True)
            for letter, length in zip(term, np.shape(x), strict=True)
        }
        need(*(lengths[letter] for letter in result))
    elif len(use.inputs) > 2:
        raise NotComputed(f"the products {text}")
    return np.einsum(text, *use.inputs)


TABLE: dict[str, Operator] = {
    "Det": lambda use: np.asarray(np.linalg.det(use.x)) if isinstance(use.x, np.ndarray) else np.linalg.det(use.x),
    "Einsum": _einsum,
    "Gemm": _gemm,
    "LogSoftmax": _along_channels(_log_softmax),
    "MatMul": _matmul,
    "ReduceL1": _reduction(lambda x, axes: np.sum(np.abs(x), axis=axes)),
    "ReduceL2": _reduction(lambda x, axes: np.sqrt(np.sum(x * x, axis=axes))),
    "ReduceLogSum": _reduction(lambda x, axes: np.log(np.sum(x, axis=axes))),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(_extreme(np.max, -np.inf)),
    "ReduceMean": _reduction(lambda x, axes: np.mean(x, axis=axes)),
    "ReduceMin": _reduction(_extreme(np.min, np.inf)),
    "ReduceProd": _reduction(lambda x, axes: np.prod(x, axis=axes)),
    "ReduceSum": _reduction(lambda x, axes: np.sum(x, axis=axes)),
    "ReduceSumSquare": _reduction(lambda x, axes: np.sum(x * x, axis=axes)),
    "Softmax": _along_channels(softmax),
}
