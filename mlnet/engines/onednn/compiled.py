"""A program compiled for one shape of mini-batch: its nodes, each the library's or NumPy's, and all their memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.onednn import (
    activation,
    along_time,
    combination,
    convolution,
    linear,
    normalization,
    over_channels,
    pooling,
    recurrent,
)
from mlnet.engines.onednn.along_time import Lengths, OperationNode, PaddedNode
from mlnet.engines.onednn.fallback import NumpyNode, OtherWay
from mlnet.engines.onednn.fusion import PREFIX
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import LibraryNode, Step
from mlnet.engines.onednn.normalization import FarFromZeroError
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.tensors import Given, Tensor
from mlnet.engines.program import Key, Node, Program, Report, common_lengths

Schedule = Sequence[tuple[int, tuple[bool, ...]]]

AnyNode = LibraryNode | NumpyNode | PaddedNode

BUILDERS: dict[str, type[LibraryNode]] = {
    "convolution1d": along_time.Convolution1d,
    "convolution2d": convolution.Convolution,
    "convolution3d": convolution.Convolution,
    "grouped_convolution2d": convolution.GroupedConvolution,
    "transposed_convolution2d": convolution.TransposedConvolution,
    "transposed_convolution3d": convolution.TransposedConvolution,
    "fully_connected": linear.FullyConnected,
    "batch_normalization": normalization.BatchNormalization,
    "batch_normalization_inference": normalization.GivenBatchNormalization,
    "transposed_convolution1d": along_time.TransposedConvolution1d,
    "max_pooling1d": along_time.MaxPooling1d,
    "average_pooling1d": along_time.AveragePooling1d,
    "max_pooling2d": pooling.MaxPooling,
    "max_pooling3d": pooling.MaxPooling,
    "average_pooling2d": pooling.AveragePooling,
    "average_pooling3d": pooling.AveragePooling,
    "global_average_pooling": pooling.GlobalAveragePooling,
    "global_max_pooling": pooling.GlobalMaxPooling,
    **dict.fromkeys(("global_average_pooling1d", "global_average_pooling3d"), pooling.GlobalAveragePooling),
    **dict.fromkeys(("global_max_pooling1d", "global_max_pooling3d"), pooling.GlobalMaxPooling),
    "addition": combination.Addition,
    "concatenation": combination.Concatenation,
    "multiplication": combination.Multiplication,
    "softmax": over_channels.Softmax,
    "layer_normalization": over_channels.LayerNormalization,
    "cross_channel_normalization": over_channels.CrossChannelNormalization,
    **dict.fromkeys(activation.FUNCTIONS, activation.Activation),
}
"""What the library computes, by operation."""


class Compiled:
    """One program for one shape of mini-batch, and for one set of lengths where that are sequences.

    Nodes are built while the first mini-batch runs, when the shapes and layouts of their inputs are known.
    ``by_numpy`` has the numbers of nodes that the library is not to compute, and why; a node that turns out to be one
    is put into it, and `FarFromZeroError` raised: the plan has to be compiled again. ``workspaces`` are those of the
    operations that are no calls of the library; programs that do not run at the same time may share them.
    """

    def __init__(
        self,
        context: Context,
        engine: Engine,
        program: Program,
        is_training: bool,
        by_numpy: dict[int, str],
        workspaces: Sequence[Workspace],
        data_lengths: Sequence[Lengths] = (),
    ) -> None:
        self.by_numpy, self._workspaces, self._data_lengths = by_numpy, workspaces, data_lengths
        self.context = context
        self._engine, self._program, self._is_training = engine, program, is_training
        self.nodes: list[AnyNode] = []
        self.tensors: list[Tensor] = []
        self.lengths: list[Lengths] = []
        self._data: list[Given] = []
        self._shared: dict[Any, np.ndarray] = {}
        self._other_ways: dict[int, OtherWay] = {}
        self._d_outputs: dict[int, Given] = {}
        self._d_operands: dict[tuple[int, int], Given] = {}
        self._sums: dict[tuple[int, ...], tuple[Tensor, list[Step]]] = {}

    def forward(
        self,
        data: Sequence[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
    ) -> None:
        """Compute all values, or those up to the node ``last``."""
        self.context.step += 1
        self.context.parameters = parameters
        if not self._data:
            self._data = [Given(self.context, array.shape) for array in data]
        for tensor, array in zip(self._data, data, strict=True):
            tensor.put(array)
        for number in range(len(self._program.nodes) if last is None else last + 1):
            is_new = number == len(self.nodes)
            node = self._built(number) if is_new else self.nodes[number]
            try:
                node.forward(generator)
            except FarFromZeroError as error:
                self.by_numpy[number] = str(error)
                raise
            if is_new:
                self.nodes.append(node)
                self.tensors += node.outputs
                after = self._lengths_after(self._program.nodes[number])
                along_time = self._program.nodes[number].time is not None
                self.lengths += [after, *[None if along_time else after] * (len(node.outputs) - 1)]

    def lengths_of(self, value: int) -> Lengths:
        """Return the lengths of the sequences of a value, -1, -2, ... for the data; None where it has none."""
        if value >= 0:
            return self.lengths[value]
        return self._data_lengths[-1 - value] if -1 - value < len(self._data_lengths) else None

    def _lengths_after(self, node: Node) -> Lengths:
        lengths = [self.lengths_of(source) for source in node.inputs]
        if node.time is None:
            return common_lengths(node, lengths)
        assert lengths[0] is not None, node.name
        return node.time(lengths[0])

    def _built(self, number: int) -> AnyNode:
        node = self._program.nodes[number]
        if number in self.by_numpy:
            return self._by_operation(number, self.by_numpy[number])
        if node.operation in recurrent.OPERATIONS:
            return self._by_operation(number, "")
        rectified = node.operation.startswith(PREFIX)
        builder = BUILDERS.get(node.operation.removeprefix(PREFIX))
        if builder is None:
            return self._by_operation(number, "oneDNN does not have it")
        plain = node if not rectified else Node(**{**vars(node), "attributes": {**node.attributes, "rectified": True}})
        try:
            if node.time is None:
                return builder(self.context, plain, self._operands(node), self._is_training)
            lengths, after = self.lengths_of(node.inputs[0]), self._lengths_after(node)
            if lengths is None or after is None:
                raise RefusedError("sequences that become one step")
            return PaddedNode(builder, self.context, plain, self._operands(node), self._is_training, lengths, after)
        except RefusedError as error:
            return self._by_operation(number, str(error))

    def _by_operation(self, number: int, reason: str) -> OperationNode:
        node = self._program.nodes[number]
        lengths, after = [self.lengths_of(source) for source in node.inputs], self._lengths_after(node)
        operation, workspace = self._engine.operation(node.operation), self._workspaces[number]
        return OperationNode(self.context, node, self._operands(node), operation, workspace, reason, lengths, after)

    def _operands(self, node: Node) -> list[Tensor | Key]:
        tensors = [self._data[-1 - source] if source < 0 else self.tensors[source] for source in node.inputs]
        return [*tensors, *[(node.name, parameter) for parameter in node.parameters]]

    def backward(
        self, d_outputs: Sequence[np.ndarray | None], schedule: Schedule
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients of the parameters and of the (first) data that the schedule wants."""
        program = self._program
        found: dict[int, list[Tensor]] = {}
        for number, (value, array) in enumerate(zip(program.outputs, d_outputs, strict=True)):
            if array is not None:
                if number not in self._d_outputs:
                    self._d_outputs[number] = Given(self.context, array.shape)
                self._d_outputs[number].put(array)
                found.setdefault(value, []).append(self._d_outputs[number])
        gradients: dict[Key, np.ndarray] = {}
        for number, wanted in schedule:
            node, first = program.nodes[number], program.first_values[number]
            d_values = [self._sum(found.pop(first + output, [])) for output in range(node.outputs)]
            if all(d_value is None for d_value in d_values):
                continue
            results = self._node_backward(number, d_values, wanted)
            for place, result in enumerate(results):
                if result is None:
                    continue
                if place < len(node.inputs):
                    found.setdefault(node.inputs[place], []).append(self._as_tensor(number, place, result))
                else:
                    assert isinstance(result, np.ndarray)
                    gradients[node.name, node.parameters[place - len(node.inputs)]] = result
        d_data = self._sum(found.get(-1, []))
        return gradients, None if d_data is None else d_data.array()

    def close(self) -> None:
        """Take everything apart, so that memory is free at once: nodes and their steps refer to one another."""
        for node in [*self.nodes, *self._other_ways.values()]:
            vars(node).clear()
        self.context.forgetters.clear()
        for held in (self.nodes, self.tensors, self._data, self._other_ways, self._sums, self._d_outputs):
            held.clear()
        self._d_operands.clear()

    def report(self) -> list[Report]:
        """Return for each node who computes it, why not the library, and the copies between layouts."""
        found = []
        for number, node in enumerate(self.nodes):
            other = self._other_ways.get(number)
            reasons = [each for each in (node.reason, other.reason if other else "") if each]
            found.append(
                Report(
                    node.node.name,
                    node.node.operation,
                    "numpy" if node.reason else "onednn" if other is None else "onednn, numpy",
                    "; ".join(reasons),
                    node.reorders + (other.reorders if other else 0),
                    tuple(node.implementations),
                )
            )
        return found

    def _node_backward(
        self, number: int, d_values: list[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        if number not in self._other_ways:
            try:
                return self.nodes[number].backward(d_values, wanted)
            except RefusedError as error:
                node = self._program.nodes[number]
                operation, workspace = self._engine.operation(node.operation), Workspace(self._shared)
                reason = f"backward: {error}"
                self._other_ways[number] = OtherWay(
                    self.context, node, self._operands(node), operation, workspace, reason
                )
        return self._other_ways[number].backward(d_values, wanted)

    def _as_tensor(self, number: int, place: int, result: Tensor | np.ndarray) -> Tensor:
        if isinstance(result, Tensor):
            return result
        if (number, place) not in self._d_operands:
            self._d_operands[number, place] = Given(self.context, result.shape)
        self._d_operands[number, place].put(result)
        return self._d_operands[number, place]

    def _sum(self, tensors: list[Tensor]) -> Tensor | None:
        """Return the sum of the gradients of one value, None where there is none."""
        if len(tensors) < 2:
            return tensors[0] if tensors else None
        key = tuple(id(tensor) for tensor in tensors)
        if key not in self._sums:
            self._sums[key] = self._built_sum(tensors)
        total, steps = self._sums[key]
        for step in steps:
            step()
        return total

    def _built_sum(self, tensors: list[Tensor]) -> tuple[Tensor, list[Step]]:
        for layout in (tensors[0].layout, self.context.plain(tensors[0].sizes)):
            steps: list[Step] = []
            try:
                return combination.add(self.context, tensors, steps, layout)[0], steps
            except RefusedError:
                continue
        total = Given(self.context, tensors[0].shape)
        room = np.empty(tensors[0].shape, np.float32)

        def add() -> None:
            np.add(tensors[0].array(), tensors[1].array(), out=room)
            for tensor in tensors[2:]:
                np.add(room, tensor.array(), out=room)

        add()
        total.put(room)
        return total, [add]
