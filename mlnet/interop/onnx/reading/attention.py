"""Attention in ONNX files as layers: found by its products and its softmax, accepted where the layer computes the same.

What is between queries, keys and values and the output may be written in any way: operators that wait are computed for
random arrays, and a layer whose heads, scale and mask make the same of them takes their place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.select import select_engine
from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.operators.use import room
from mlnet.interop.onnx.reading.axes import NotImported, Tensor
from mlnet.interop.onnx.reading.function import GraphFunction
from mlnet.interop.onnx.reading.region import part_of, reason_of
from mlnet.layers.attention import attentionLayer
from mlnet.layers.embedding import embeddingConcatenationLayer
from mlnet.layers.smooth_activation import ScalingLayer

_PASSING = {
    *("Identity", "Transpose", "Reshape", "Mul", "Div", "Unsqueeze", "Squeeze", "Dropout", "Cast", "Expand"),
    *("Add", "Sub", "Where", "Clip", "Split", "Slice", "Pow", "Tile", "Equal", "Not"),
}
"""Operators through which a tensor is followed to where it comes from."""
_MOST_OPERATORS = 120
_COUNT, _STEPS = 2, 5


@dataclass(frozen=True)
class _Found:
    """Names of queries, keys and values, of a mask or '', and of the output of the softmax."""

    queries: str
    keys: str
    values: str
    mask: str
    weights: str


def attention(importer: Any, node: OnnxNode) -> bool:
    """Add an attention layer where a node is the end of one; tell whether it is."""
    waiting = importer.waiting
    if not any(name in waiting and name not in importer.tensors for name in node.inputs[:1]) or importer.single:
        return False
    name = node.outputs[0]
    try:
        waiting.makers[name] = waiting.for_any_batch(node)
        function = waiting.function(name)
        found = _parts(importer, function, node)
        if found is None:
            return False
        made = _accepted(importer, function, found)
    except Exception:  # arrays that do not fit: no attention
        made = None
    finally:
        del waiting.makers[name]
    if made is None:
        return False
    layer, tensors, shaped = made
    importer.put(node, layer, tensors, shaped.axes)
    return True


def _parts(importer: Any, function: GraphFunction, node: OnnxNode) -> _Found | None:
    """Return what goes into an attention, None where there is no single softmax between products."""
    kinds = [each.operator for each in function.nodes]
    if len(kinds) > _MOST_OPERATORS:
        return None
    made = {name: each for each in function.nodes for name in each.outputs}
    if "Attention" in kinds and kinds.count("Attention") == 1 and "Softmax" not in kinds:
        one = next(each for each in function.nodes if each.operator == "Attention")
        ends = [_origin(importer, made, name) for name in one.inputs[:3]]
        weights = ""
    elif kinds.count("Softmax") == 1:
        (weights,) = (each.outputs[0] for each in function.nodes if each.operator == "Softmax")
        last = _behind(function, weights)
        scores = _before(made, weights)
        if last is None or scores is None:
            return None
        ends = [_origin(importer, made, name) for name in (*scores.inputs, last.inputs[1])]
    else:
        return None
    if None in ends or not all(importer.tensors[name].size.format in ("CT", "SC") for name in ends):
        return None
    read = {name for each in function.nodes if each.operator not in ("Shape", "Size") for name in each.inputs}
    others = [name for name in function.tensors if name not in ends and name in read]
    ports = {importer.tensors[name].port for name in ends}
    others = [name for name in others if importer.tensors[name].port not in ports]
    plain = {importer.tensors[name].port for name in others}
    others = [
        name
        for name in others
        if (found := _scaled(importer, name)[0]) == importer.tensors[name].port or found not in plain
    ]
    if len(others) > 1:
        return None
    queries, keys, values = (str(name) for name in ends)
    return _Found(queries, keys, values, others[0] if others else "", weights)


def _scaled(importer: Any, name: str) -> tuple[str, Any, Any]:
    """Return the tensor from which scaling layers make another one, and the scale and bias of all of them together."""
    port, scale, bias = importer.tensors[name].port, np.float32(1), np.float32(0)
    while True:
        layer = importer.layer_at(port)
        if not isinstance(layer, ScalingLayer):
            return port, scale, bias
        scale, bias = scale * layer.Scale, scale * layer.Bias + bias
        port = next("\0".join(wire.source) for wire in importer.wires if wire.destination.layer == layer.Name)


def _behind(function: GraphFunction, weights: str) -> OnnxNode | None:
    """Return the product of the weights with the values."""
    names = {weights}
    for node in function.nodes:
        if node.operator == "MatMul" and node.inputs[0] in names:
            return node
        if node.operator in _PASSING and names & set(node.inputs):
            names.update(node.outputs)
    return None


def _before(made: dict[str, OnnxNode], weights: str) -> OnnxNode | None:
    """Return the product of queries and keys before the softmax."""
    todo = [made[weights].inputs[0]]
    while todo:
        node = made.get(todo.pop(0))
        if node is not None and node.operator == "MatMul":
            return node
        if node is not None and node.operator in _PASSING:
            todo += node.inputs
    return None


def _origin(importer: Any, made: dict[str, OnnxNode], name: str) -> str | None:
    """Return the output of a layer from which a tensor comes, through what changes no channels."""
    for _ in range(_MOST_OPERATORS):
        if name in importer.tensors:
            return name
        node = made.get(name)
        if node is None or node.operator not in _PASSING:
            return None
        following = [each for each in node.inputs if each in made or each in importer.tensors]
        if not following:
            return None
        name = following[0]
    return None


def _accepted(importer: Any, function: GraphFunction, found: _Found) -> tuple[Any, list[Tensor], GraphFunction] | None:
    """Return the layer that computes what a function computes, its inputs, and the function with its axes."""
    waiting = importer.waiting
    try:
        with room(importer.room_left()):
            shaped = waiting.shaped(function, True)
    except NotImported:
        raise
    except Exception as error:  # whatever NumPy raises for arrays that do not fit
        raise NotImported(reason_of(error)) from None
    tensors = [importer.tensors[name] for name in (found.queries, found.keys, found.values, found.mask) if name]
    if shaped.size.format != tensors[0].size.format:
        return None
    pools = {
        name: part_of(waiting.pool(each), each.size, slice(_COUNT), _STEPS) for name, each in function.tensors.items()
    }
    if found.mask:
        ones = (pools[found.mask] > 0).astype(np.float32)
        ones[(..., 0) if importer.tensors[found.mask].size.is_sequence else 0] = 1  # a causal query sees something
        port = importer.tensors[found.mask].port
        pools = {name: ones if importer.tensors[name].port == port else x for name, x in pools.items()}
        for name in pools:
            source, scale, bias = _scaled(importer, name)
            if source == port:
                pools[name] = (scale * ones + bias).astype(np.float32)
    expected = _steps_last(np.asarray(shaped.to_matlab(shaped.values(list(pools.values())))), shaped.size.format)
    lists = [
        _steps_last(pools[name], importer.tensors[name].size.format)
        for name in (found.queries, found.keys, found.values)
    ]
    mask = [_steps_last(pools[found.mask], importer.tensors[found.mask].size.format)] if found.mask else []
    if found.mask and importer.tensors[found.mask].size.channels != 1:
        return None
    scores = np.shape(waiting.tried(found.weights)) if found.weights else ()
    operation = select_engine("none", "cpu").operation("attention")
    for heads, scale, causal in _candidates(function, scores, lists):
        attributes = {"heads": heads, "scale": scale, "causal": causal, "scores": False}
        try:
            output, _ = operation.forward(*lists, *mask, workspace=Workspace(), **attributes)
        except (ValueError, IndexError):
            continue
        assert isinstance(output, np.ndarray)
        if output.shape == expected.shape and np.allclose(output, expected, rtol=1e-4, atol=1e-5):
            automatic = math.isclose(scale, 1 / math.sqrt(lists[1].shape[-1] // heads), rel_tol=1e-5)
            layer = attentionLayer(
                heads,
                Scale="auto" if automatic else scale,
                AttentionMask="causal" if causal else "none",
                HasPaddingMaskInput=bool(found.mask),
            )
            return layer, tensors, shaped
    return None


def _steps_last(x: np.ndarray, format: str) -> np.ndarray:
    """Return (N, T, C) of (C, N, T), or of (T, C, N)."""
    return np.ascontiguousarray(x.transpose((1, 2, 0) if format == "CT" else (2, 0, 1)))


def _candidates(
    function: GraphFunction, scores: tuple[int, ...], lists: list[np.ndarray]
) -> Iterator[tuple[int, float, bool]]:
    """Yield numbers of heads, scales and masks."""
    channels = lists[1].shape[-1]
    heads = {n for n in scores[:-2] if 0 < n <= channels and channels % n == 0} or {1}
    for node in function.nodes:
        heads |= {int(node.attributes.get(name, 1)) for name in ("q_num_heads",)}
    numbers = [
        abs(float(value.ravel()[0]))
        for value in function.constants.values()
        if value.size == 1 and value.dtype.kind == "f"
    ]
    given = [node.attributes["scale"] for node in function.nodes if "scale" in node.attributes]
    scales = [each for n in (*numbers, *given) if n and np.isfinite(n) for each in (n, 1 / n, n * n, 1 / (n * n))]
    for count, causal in itertools.product(sorted(heads, reverse=True), (False, True)):
        automatic = 1 / math.sqrt(channels // count)
        for scale in dict.fromkeys([automatic, 1.0, *scales]):
            if 1e-6 < scale < 1e6:
                yield count, scale, causal


def concatenation(importer: Any, node: OnnxNode) -> bool:
    """Add the layer that puts a vector before a list where a node does that; tell whether it does."""
    if len(node.inputs) != 2 or node.inputs[1] not in importer.tensors or importer.single:
        return False
    maker = importer.waiting.makers.get(node.inputs[0])
    if maker is None or maker.operator != "Expand" or maker.inputs[0] not in importer.constants:
        return False
    x, vector = importer.tensors[node.inputs[1]], importer.constants[maker.inputs[0]]
    axis = node.attributes["axis"] % len(x.axes)
    if x.size.format not in ("CT", "SC") or x.axes[axis] not in (("T",), ("H",)) or vector.size != x.size.channels:
        return False
    if ("C",) not in x.axes or importer.uses[node.inputs[0]] > 1:
        return False
    lengths = (1,) * (len(x.axes) - vector.ndim) + vector.shape
    if lengths[x.axes.index(("C",))] != vector.size:
        return False
    layer = embeddingConcatenationLayer(Weights=np.asarray(vector, np.float32).reshape(-1, 1))
    importer.put(node, layer, [x], x.axes)
    return True


PATTERNS = {"Reshape": attention, "Attention": attention, "Transpose": attention, "Concat": concatenation}
"""What can be the last operator of a layer that is written as several."""
