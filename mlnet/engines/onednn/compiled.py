"""A program compiled for one shape of mini-batch: its nodes, each the library's or NumPy's, and all their memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.onednn import (
    activation,
    along_time,
    combination,
    convolution,
    folding,
    input,
    linear,
    normalization,
    over_channels,
    pooling,
    recurrent,
)
from mlnet.engines.onednn.along_time import PaddedNode
from mlnet.engines.onednn.fallback import Lengths, OperationNode, OtherWay
from mlnet.engines.onednn.fusion import PREFIX
from mlnet.engines.onednn.library import RefusedError, failure
from mlnet.engines.onednn.nodes import LibraryNode, Step
from mlnet.engines.onednn.normalization import FarFromZeroError
from mlnet.engines.onednn.objects import Call, Context
from mlnet.engines.onednn.tensors import Given, Produced, Tensor
from mlnet.engines.program import Key, Node, Program, Report, common_lengths

Schedule = Sequence[tuple[int, tuple[bool, ...]]]

AnyNode = LibraryNode | PaddedNode | OperationNode

_WAYS = 4
"""Ways back that are kept: for other sets of gradients, or into other arrays."""

BUILDERS: dict[str, type[LibraryNode]] = {
    "convolution1d": along_time.Convolution1d,
    "convolution2d": convolution.Convolution,
    "convolution3d": convolution.Convolution,
    "grouped_convolution2d": convolution.GroupedConvolution,
    "transposed_convolution2d": convolution.TransposedConvolution,
    "transposed_convolution3d": convolution.TransposedConvolution,
    "normalize_input": input.NormalizeInput,
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


def lacking(operation: str) -> str:
    """Return why the library never computes an operation, '' where it does."""
    return "" if operation in BUILDERS or operation in recurrent.OPERATIONS else "oneDNN does not have it"


class Compiled:
    """One program for one shape of mini-batch, and for one set of lengths where that are sequences.

    Nodes are built while the first mini-batch runs, when the shapes and layouts of their inputs are known.
    ``by_numpy`` has the numbers of nodes that the library is not to compute, and why; a node that turns out to be one
    is put into it, and `FarFromZeroError` raised: the plan has to be compiled again.

    ``is_sound`` is false while something runs, and stays so where that was interrupted, by Ctrl-C or for want of
    memory: what is built and what is put in may not fit together then, and it must not run again.
    """

    def __init__(
        self,
        context: Context,
        engine: Engine,
        program: Program,
        is_training: bool,
        by_numpy: dict[int, str],
        data_lengths: Sequence[Lengths] = (),
    ) -> None:
        self.by_numpy, self._data_lengths = by_numpy, data_lengths
        self.context = context
        self._engine, self._program, self._is_training = engine, program, is_training
        self.nodes: list[AnyNode] = []
        self.tensors: list[Tensor] = []
        self.lengths: list[Lengths] = []
        self._data: list[Given] = []
        self._shared: dict[Any, np.ndarray] = {}
        self._other_ways: dict[int, OperationNode] = {}
        self._d_outputs: dict[int, Given] = {}
        self._d_operands: dict[tuple[int, int], Given] = {}
        self._steps: list[Step] = []
        self._ends = [0]
        self._has_operations = False
        self._ways: dict[tuple[Any, ...], Way] = {}
        self._places: dict[int, int] = {}
        self.is_sound = True

    @property
    def is_mixed(self) -> bool:
        """Whether NumPy computes something, or is asked to for the first time."""
        return len(self.nodes) < len(self._program.nodes) or bool(self._other_ways) or self._has_operations

    def forward(
        self,
        data: Sequence[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
    ) -> None:
        """Compute all values, or those up to the node ``last``."""
        self.is_sound = False
        context = self.context
        context.step += 1
        context.generator = generator
        if not (context.is_final and parameters is context.parameters):
            context.parameters = parameters
            for binding in context.bindings:
                binding.update(parameters[binding.key])
            for prepare in context.preparations:
                prepare()
        if not self._data:
            self._data = [Given(context, array.shape) for array in data]
        for tensor, array in zip(self._data, data, strict=True):
            tensor.put(array)
        stop = len(self._program.nodes) if last is None else last + 1
        known = min(stop, len(self.nodes))
        run(self._steps if known == len(self.nodes) else self._steps[: self._ends[known]])
        for number in range(known, stop):
            node = self._built(number)
            run(node.steps)
            self.nodes.append(node)
            self._has_operations |= isinstance(node, OperationNode)
            self.tensors += node.outputs
            if context.is_final:
                self._note_places(number)
            plain = self._program.nodes[number]
            after = self._lengths_after(plain)
            self.lengths += [after, *[None if plain.time is not None else after] * (len(node.outputs) - 1)]
            self._steps += [step.run if isinstance(step, Call) else step for step in node.steps]
            self._ends.append(len(self._steps))
        far = None if context.moments is None else context.moments.far()
        if far is not None:
            error = FarFromZeroError(far.name)
            number = next(place for place, node in enumerate(self.nodes) if node.node is far)
            self.by_numpy[number] = str(error)
            raise error
        self.is_sound = True

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
        builder = builder_of(node)
        if builder is None:
            return self._by_operation(number, lacking(_plain_name(node)))
        plain, operands = node, self._operands(node)
        if node.operation.startswith(PREFIX):
            plain = replace(node, attributes={**node.attributes, "rectified": True})
        elif node.operation.startswith(folding.PREFIX) and len(node.inputs) > 1:
            plain = replace(node, attributes={**node.attributes, "onto": operands.pop(1)})
        try:
            if node.time is None:
                return builder(self.context, plain, operands, self._is_training, partial(self._may_overwrite, number))
            lengths, after = self.lengths_of(node.inputs[0]), self._lengths_after(node)
            if lengths is None or after is None:
                raise RefusedError("sequences that become one step")
            return PaddedNode(builder, self.context, plain, self._operands(node), self._is_training, lengths, after)
        except RefusedError as error:
            return self._by_operation(number, str(error))

    def _note_places(self, number: int) -> None:
        """Note where the outputs of a node lie, and let later values lie where no node behind it reads."""
        values = range(self._program.first_values[number], len(self.tensors))
        self._places.update({self.tensors[value].memory.address: value for value in values if self._is_own(value)})
        for value in set(self._program.nodes[number].inputs):
            if self._is_last_to_read(number, value):
                self.tensors[value].release()

    def _may_overwrite(self, number: int, tensor: Tensor) -> bool:
        values = [value for value in self._program.nodes[number].inputs if value >= 0]
        return self.context.is_final and any(
            self.tensors[value] is tensor and self._is_last_to_read(number, value) for value in values
        )

    def _is_own(self, value: int) -> bool:
        return isinstance(self.tensors[value], Produced)

    def _is_last_to_read(self, number: int, value: int) -> bool:
        """Tell whether the memory of a value is of no use behind the node ``number``.

        What NumPy makes of a value may be a part of the same memory, so that what it reads has to stay.
        """
        program = self._program
        if value < 0 or not self._is_own(value) or value in program.outputs:
            return False
        readers = [place for place, node in enumerate(program.nodes) if value in node.inputs]
        built = [self.nodes[place] for place in readers if place < len(self.nodes)]
        by_library = all(isinstance(node, LibraryNode) for node in built)
        return max(readers) <= number and by_library and self._places[self.tensors[value].memory.address] == value

    def _by_operation(self, number: int, reason: str, kind: type[OperationNode] = OperationNode) -> OperationNode:
        node = self._program.nodes[number]
        lengths, after = [self.lengths_of(source) for source in node.inputs], self._lengths_after(node)
        operation, workspace = self._engine.operation(node.operation), Workspace(self._shared)
        return kind(self.context, node, self._operands(node), operation, workspace, reason, lengths, after)

    def _operands(self, node: Node) -> list[Tensor | Key]:
        tensors = [self._data[-1 - source] if source < 0 else self.tensors[source] for source in node.inputs]
        return [*tensors, *[(node.name, parameter) for parameter in node.parameters]]

    def backward(
        self, d_outputs: Sequence[np.ndarray | None], schedule: Schedule
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients of the parameters and of the (first) data that the schedule wants."""
        self.is_sound = False
        for number, array in enumerate(d_outputs):
            if array is not None:
                if number not in self._d_outputs:
                    self._d_outputs[number] = Given(self.context, array.shape)
                self._d_outputs[number].put(array)
        key = (id(schedule), id(self.context.gradient_room), *[array is not None for array in d_outputs])
        way = self._ways.get(key)
        if way is None:
            while len(self._ways) >= _WAYS:
                del self._ways[next(iter(self._ways))]
            way = Way((schedule, self.context.gradient_room))
            self._go_back(way, d_outputs, schedule)
            self._ways[key] = way
        else:
            run(way.steps)
        self.is_sound = True
        return dict(way.gradients), None if way.d_data is None else way.d_data.array()

    def _go_back(self, way: Way, d_outputs: Sequence[np.ndarray | None], schedule: Schedule) -> None:
        """Build and run the way back through the nodes of the schedule."""
        program = self._program
        found: dict[int, list[Tensor]] = {}

        def keep(value: int, tensor: Tensor) -> None:
            tensor.readers += 1
            found.setdefault(value, []).append(tensor)

        for number, (value, array) in enumerate(zip(program.outputs, d_outputs, strict=True)):
            if array is not None:
                self._d_outputs[number].readers = 0
                keep(value, self._d_outputs[number])
        for number, wanted in schedule:
            node, first = program.nodes[number], program.first_values[number]
            d_values = [self._sum(way, found.pop(first + output, [])) for output in range(node.outputs)]
            if all(d_value is None for d_value in d_values):
                continue
            results = self._back_through(way, number, d_values, wanted)
            for place, result in enumerate(results):
                if result is None:
                    continue
                if place < len(node.inputs):
                    keep(node.inputs[place], self._as_tensor(way, number, place, result))
                else:
                    assert isinstance(result, np.ndarray)
                    way.gradients[node.name, node.parameters[place - len(node.inputs)]] = result
            self._have_read(d_values, results)
        way.d_data = self._sum(way, found.get(-1, []))

    def _have_read(self, tensors: Sequence[Tensor | None], results: Sequence[Tensor | np.ndarray | None]) -> None:
        """Let what comes lie in the memory of tensors that nobody else reads."""
        kept = {id(result.memory.array) for result in results if isinstance(result, Produced)}
        for tensor in tensors:
            if tensor is None:
                continue
            tensor.readers -= 1
            if isinstance(tensor, Produced) and tensor.readers == 0 and id(tensor.memory.array) not in kept:
                self.context.release(tensor.memory)

    def forget_data(self) -> None:
        """Let go of the data."""
        for tensor in self._data:
            tensor.forget()

    def close(self) -> None:
        """Take everything apart, so that memory is free at once: nodes and their steps refer to one another."""
        for each in [*self.nodes, *self._other_ways.values(), *self._ways.values()]:
            vars(each).clear()
        self.context.forgetters.clear()
        self.context.bindings.clear()
        for held in (self.nodes, self.tensors, self._data, self._other_ways, self._ways, self._d_outputs):
            held.clear()
        self._d_operands.clear()
        self._steps.clear()

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
                    getattr(node, "is_rounded", False),
                )
            )
        return found

    def _back_through(
        self, way: Way, number: int, d_values: list[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        node = self.nodes[number]
        if not isinstance(node, OperationNode) and number not in self._other_ways:
            try:
                backward = node.backward(d_values, wanted)
            except RefusedError as error:
                self._other_ways[number] = self._by_operation(number, f"backward: {error}", OtherWay)
            else:
                for step in backward.steps:
                    way.do(step)
                return backward.gradients
        other = self._other_ways.get(number, node)
        assert isinstance(other, OperationNode)
        names = self._program.nodes[number].parameters
        results: list[Tensor | np.ndarray | None] = []

        def compute() -> None:
            results[:] = other.backward(d_values, wanted)
            for name, result in zip(names, results[len(results) - len(names) :], strict=True):
                if result is not None:
                    assert isinstance(result, np.ndarray)
                    way.gradients[other.node.name, name] = result

        way.do(compute)
        return results

    def _as_tensor(self, way: Way, number: int, place: int, result: Tensor | np.ndarray) -> Tensor:
        if isinstance(result, Tensor):
            return result
        given = self._d_operands.setdefault((number, place), Given(self.context, result.shape))
        given.readers = 0
        way.do(partial(given.put, result))
        return given

    def _sum(self, way: Way, tensors: list[Tensor]) -> Tensor | None:
        """Return the sum of the gradients of one value, None where there is none."""
        if len(tensors) < 2:
            return tensors[0] if tensors else None
        total = self._built_sum(way, tensors)
        total.readers = 1
        self._have_read(tensors, [total])
        return total

    def _built_sum(self, way: Way, tensors: list[Tensor]) -> Tensor:
        for layout in (tensors[0].layout, self.context.plain(tensors[0].sizes)):
            steps: list[Step] = []
            try:
                found = combination.add(self.context, tensors, steps, layout, is_passing=True)[0]
            except RefusedError:
                continue
            for step in steps:
                way.do(step)
            return found
        total = Given(self.context, tensors[0].shape)
        room = np.empty(tensors[0].shape, np.float32)

        def add() -> None:
            np.add(tensors[0].array(), tensors[1].array(), out=room)
            for tensor in tensors[2:]:
                np.add(room, tensor.array(), out=room)
            total.put(room)

        way.do(add)
        return total


def builder_of(node: Node) -> type[LibraryNode] | None:
    """Return what makes calls of the library of a node, None where it has none."""
    return BUILDERS.get(_plain_name(node))


def _plain_name(node: Node) -> str:
    return node.operation.removeprefix(folding.PREFIX).removeprefix(PREFIX)


class Way:
    """One way back through a program: its calls in their order, and what they compute.

    ``owner`` is kept as long as the way is there.
    """

    def __init__(self, owner: object) -> None:
        self._kept = [owner]
        self.steps: list[Step] = []
        self.gradients: dict[Key, np.ndarray] = {}
        self.d_data: Tensor | None = None

    def do(self, step: Step) -> None:
        """Run a call, now and whenever the way is gone."""
        self._kept.append(step)
        self.steps.append(step.run if isinstance(step, Call) else step)
        run(self.steps[-1:])


def run(steps: Sequence[Step]) -> None:
    """Run calls one after the other; one of the library returns its status."""
    for step in steps:
        status = step()
        if status:
            assert isinstance(status, int)
            raise failure("primitive_execute", status)
