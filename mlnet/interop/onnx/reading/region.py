"""Operators that wait: they are computed together, in one layer, as soon as a layer behind them needs their output.

Small random arrays go along with them, so that a use that is not computed is found where it stands. What observations
and time steps become is found out by changing their numbers, and observations have to be the same one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.operators import OPERATORS, computed
from mlnet.interop.onnx.operators.use import NotComputed, room
from mlnet.interop.onnx.reading.axes import SPATIAL, NotImported, Tensor
from mlnet.interop.onnx.reading.function import GraphFunction, OnnxOperatorLayer, to_graph
from mlnet.layers.base import Size

_MOST_AXES = 4
_OBSERVATIONS, _STEPS = (2, 7), (4, 9)
"""Observations and time steps of the random arrays, and others to compare with."""


class Waiting:
    """The operators of an importer that wait, and the random arrays that tell what they do."""

    def __init__(self, importer: Any) -> None:
        self._importer = importer
        self.makers: dict[str, OnnxNode] = {}
        self._tried: dict[str, Any] = {}
        self._taken: dict[str, int] = {}
        self._pools: dict[str, np.ndarray] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.makers

    def add(self, node: OnnxNode) -> None:
        """Let an operator wait; raise `NotImported` where the table does not compute it."""
        if node.operator not in OPERATORS:
            raise NotImported("there is no layer for this operator")
        try:
            node = self.for_any_batch(node)
            made = self._made(node)
        except NotImported:
            raise
        except Exception as error:  # whatever NumPy raises for arrays that do not fit
            raise NotImported(reason_of(error)) from None
        for name, value in zip(node.outputs, made, strict=False):
            if name:
                self.makers[name], self._tried[name] = node, value
        self._release(node)

    def remember(self, node: OnnxNode) -> None:
        """Keep how outputs that layers, shapes or constants have taken over were made."""
        self.makers.update((name, node) for name in node.outputs if name)

    def _release(self, node: OnnxNode) -> None:
        """Forget arrays that no other operator takes."""
        for name in node.inputs:
            self._taken[name] = self._taken.get(name, 0) + 1
            if self._taken[name] >= self._importer.uses[name]:
                self._tried.pop(name, None)

    def for_any_batch(self, node: OnnxNode) -> OnnxNode:
        """Return a Reshape that keeps the number of observations where it is the one that the file is for."""
        importer = self._importer
        if node.operator != "Reshape" or importer.single or len(node.inputs) < 2:
            return node
        shape = importer.constants.get(node.inputs[1])
        batch = importer.graph.inputs[0].shape[0]
        if shape is None or shape.ndim != 1 or not len(shape) or shape[0] != batch:
            return node
        given = np.shape(self.tried(node.inputs[0]))
        if not given or given[0] != _OBSERVATIONS[0]:
            return node
        name = f"{node.inputs[1]}\0"
        importer.constants[name] = np.array([0, *shape[1:]], np.int64)
        return OnnxNode(node.operator, (node.inputs[0], name), node.outputs, node.attributes, node.name)

    def tried(self, name: str) -> Any:
        """Return what a tensor of the graph is for the random arrays."""
        importer = self._importer
        if name in self._tried:
            return self._tried[name]
        if name in importer.constants:
            return importer.constants[name]
        if name in importer.tensors and name not in importer.borders:
            return self._random(importer.tensors[name], _OBSERVATIONS[0], _STEPS[0])
        made = self._made(self.makers[name])
        return made[self.makers[name].outputs.index(name)]

    def _made(self, node: OnnxNode) -> tuple[Any, ...]:
        inputs = [self.tried(name) if name else None for name in node.inputs]
        with room(self._importer.room_left()):
            return computed(
                node.operator, inputs, node.attributes, self._importer.graph.opset, max(1, len(node.outputs))
            )

    def pool(self, tensor: Tensor) -> np.ndarray:
        """Return random numbers of a tensor in MATLAB's order, for the most observations and steps."""
        if tensor.port not in self._pools:
            generator = np.random.default_rng(len(self._pools))
            shape = (*tensor.size.dims, _OBSERVATIONS[1], *[_STEPS[1]] * tensor.size.is_sequence)
            if math.prod(shape) > self._importer.room_left():
                raise NotComputed(f"an input of {math.prod(shape)} elements")
            array = generator.normal(size=shape) if tensor.dtype == "float32" else generator.integers(0, 2, shape)
            self._pools[tensor.port] = array.astype(np.float32)
        return self._pools[tensor.port]

    def _random(self, tensor: Tensor, count: int, steps: int) -> np.ndarray:
        count = 1 if self._importer.single else count
        return np.asarray(to_graph(part_of(self.pool(tensor), tensor.size, slice(count), steps), tensor))

    def function(self, name: str) -> GraphFunction:
        """Return what computes a tensor of the graph from outputs of layers."""
        importer, nodes = self._importer, []
        tensors: dict[str, Tensor] = {}
        constants: dict[str, np.ndarray] = {}
        seen: set[str] = set()
        todo = [name]
        while todo:
            each = todo[-1]
            if each in seen or not each:
                todo.pop()
                continue
            if each in importer.constants:
                constants[each] = importer.constants[each]
            elif each in importer.tensors and each not in importer.borders:
                tensors[each] = importer.tensors[each]
            elif each not in self.makers:
                raise NotImported(f"it comes behind a placeholder whose output '{each}' has no known size")
            else:
                node = self.makers[each]
                missing = [other for other in node.inputs if other and other not in seen]
                if missing:
                    todo += missing
                    continue
                nodes.append(node)
                seen.update(node.outputs)
            seen.add(each)
            todo.pop()
        if not tensors:
            raise NotImported("an operator without an input that a layer computes")
        opset, single = importer.graph.opset, importer.single
        return GraphFunction(tuple(nodes), name, opset, constants, tensors, single)

    def settle(self, node: OnnxNode, name: str, *, last: bool = False) -> Tensor:
        """Add the layer that computes a tensor and return its output; ``last`` wants channels on the last axis."""
        function = self.function(name)
        try:
            with room(self._importer.room_left()):
                shaped = self.shaped(function, last)
        except NotImported:
            raise
        except Exception as error:  # whatever NumPy raises for arrays that do not fit
            raise NotImported(reason_of(error)) from None
        inputs = list(shaped.tensors.values())
        label = ", ".join(dict.fromkeys(each.operator for each in shaped.nodes)) or node.operator
        layer = OnnxOperatorLayer(PredictFcn=shaped, NumInputs=len(inputs), Formattable=True, Description=label)
        maker = shaped.nodes[-1] if shaped.nodes else node
        tensor: Tensor = self._importer.emit(maker, layer, inputs, shaped.axes)
        kind = "float32" if function_kind(shaped, self) == "f" else "int64"
        tensor = Tensor(tensor.port, tensor.size, tensor.axes, 1, kind)
        self._importer.tensors[name] = tensor
        return tensor

    def shaped(self, function: GraphFunction, last: bool) -> GraphFunction:
        """Return a function with the axes and the size of its output."""
        tensors = list(function.tensors.values())
        has_time = any(each.size.is_sequence for each in tensors)
        if function.single:
            if has_time:
                raise NotImported("an operator on sequences")
            shape, moving = np.shape(self._run(function, slice(1), _STEPS[0]))[1:], {}
        else:
            if any(not any("N" in axis for axis in each.axes) for each in tensors):
                raise NotImported("an input without observations")
            base = self._run(function, slice(_OBSERVATIONS[0]), _STEPS[0])
            shape = np.shape(base)
            moving = {"N": self._moved(function, shape, slice(_OBSERVATIONS[1]), _STEPS[0], _OBSERVATIONS)}
            if has_time:
                moved = self._moved(function, shape, slice(_OBSERVATIONS[0]), _STEPS[1], _STEPS)
                moving.update({"T": moved} if moved is not None else {})
            if moving["N"] is None:
                raise NotImported("an operator that mixes observations")
            self._check_apart(function, base, moving["N"])
        places = {axis: label for label, axis in moving.items()}
        fixed = [axis for axis in range(len(shape)) if axis not in places]
        if len(fixed) > _MOST_AXES or not math.prod(shape) or ("T" in moving and len(fixed) > 3):
            raise NotImported(f"an output of shape {shape}")
        names = ["C", *SPATIAL]
        if last and len(fixed) > 1:
            names = [*SPATIAL[: len(fixed) - 1], "C"]
        places.update(zip(fixed, names, strict=False))
        labels = [places[axis] for axis in range(len(shape))]
        lengths = dict(zip(labels, shape, strict=True))
        spatial = [lengths[label] for label in SPATIAL if label in lengths]
        size = Size("S" * len(spatial) + "C" + "T" * ("T" in moving), (*spatial, lengths.get("C", 1)))
        return GraphFunction(
            function.nodes,
            function.output,
            function.opset,
            function.constants,
            function.tensors,
            function.single,
            tuple((label,) for label in labels),
            size,
        )

    def _run(self, function: GraphFunction, chosen: slice, steps: int) -> np.ndarray:
        arrays = [part_of(self.pool(each), each.size, chosen, steps) for each in function.tensors.values()]
        return np.asarray(function.values(arrays))

    def _moved(
        self, function: GraphFunction, shape: Sequence[int], chosen: slice, steps: int, counts: tuple[int, int]
    ) -> int | None:
        """Return the axis whose length has become that of the new count; None where no axis changes."""
        other = np.shape(self._run(function, chosen, steps))
        if len(other) != len(shape):
            raise NotImported("an output whose axes depend on the data")
        changed = [axis for axis, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
        if not changed:
            return None
        (axis, *more) = changed
        if more or (shape[axis], other[axis]) != counts:
            raise NotImported("observations or time steps in one axis with something else, or in several")
        return axis

    def _check_apart(self, function: GraphFunction, whole: np.ndarray, axis: int) -> None:
        for number in range(whole.shape[axis]):
            one = self._run(function, slice(number, number + 1), _STEPS[0])
            part = np.take(whole, [number], axis=axis)
            if one.shape != part.shape or not np.allclose(
                one.astype(np.float64), part.astype(np.float64), rtol=1e-4, atol=1e-5, equal_nan=True
            ):
                raise NotImported("an operator that mixes observations")


def function_kind(function: GraphFunction, waiting: Waiting) -> str:
    """Return 'f' where the output has real numbers, otherwise another letter."""
    return "f" if np.asarray(waiting.tried(function.output)).dtype.kind == "f" else "i"


def part_of(pool: np.ndarray, size: Size, chosen: slice, steps: int) -> np.ndarray:
    """Return some observations of an array (S..., C, N) or (S..., C, N, T), and its first steps."""
    return pool[..., chosen, :steps] if size.is_sequence else pool[..., chosen]


def reason_of(error: Exception) -> str:
    """Return the first line of what went wrong."""
    text = str(error).strip().splitlines()
    return text[0] if isinstance(error, NotComputed) and text else f"{type(error).__name__}: {text[0] if text else ''}"


def fold(node: OnnxNode, opset: int, constants: Mapping[str, np.ndarray], left: float) -> Iterator[tuple[str, Any]]:
    """Yield the outputs of an operator on constants; raise `NotImported` where there are none, or no room."""
    try:
        inputs = [constants[name] if name else None for name in node.inputs]
        with room(left):
            made = computed(node.operator, inputs, node.attributes, opset, max(1, len(node.outputs)))
    except Exception as error:  # whatever NumPy raises for arrays that do not fit
        raise NotImported(reason_of(error)) from None
    for name, value in zip(node.outputs, made, strict=False):
        if name:
            yield name, value
