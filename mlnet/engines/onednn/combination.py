"""Operations with several inputs: sums, and joining along the channels."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float, c_void_p

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Attributes, Context, Description, Memory
from mlnet.engines.onednn.tensors import Copy, Produced, Tensor


def add(
    context: Context, tensors: Sequence[Tensor], steps: list[Step], layout: Description, *, is_passing: bool = False
) -> tuple[Produced, list[Copy]]:
    """Put into ``steps`` the sum of tensors of one shape; return it, and the copies it needs."""
    copies = [tensor.copy(layout) for tensor in tensors]
    steps += [copy.update for copy in copies if copy.is_needed]
    memory = None
    if is_passing:
        first = tensors[0]
        is_free = isinstance(first, Produced) and first.readers == 1 and first.layout == layout
        memory = first.memory if is_free else context.reused(layout)
    total = Produced(context, tensors[0].shape, layout, memory)
    count = len(tensors)
    description = context.describe(
        "sum", layout, count, (c_float * count)(*[1.0] * count), (c_void_p * count)(*[layout.handle] * count)
    )
    memories = {c.ARG_MULTIPLE_SRC + number: copy.memory for number, copy in enumerate(copies)}
    steps.append(context.call(description, {**memories, c.ARG_DST: total.memory}))
    return total, [copy for copy in copies if copy.is_needed]


class Addition(LibraryNode):
    """``addition`` of inputs of one shape."""

    def build(self, *, rectified: bool = False) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        tensors = [self.tensor(number) for number in range(len(self.operands))]
        require(len({tensor.shape for tensor in tensors}) == 1, "inputs that are repeated along an axis")
        self._rectified = rectified
        if rectified:
            return self._rectified_sum(tensors)
        output, copies = add(self.context, tensors, self.steps, self.layout)
        self._copies += copies
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward: none but those of ReLU, all inputs have the gradient of the output."""
        steps: list[Step] = []
        d_sum = self.before_relu(d_output, steps) if self._rectified else d_output
        return Backward(steps, [d_sum if want else None for want in wanted])

    def _rectified_sum(self, tensors: Sequence[Tensor]) -> Produced:
        """Return the sum with ReLU behind the last addition."""
        require(len(tensors) > 1, "one input only")
        output = self.produced(self.x.shape, self.layout)
        source, *others = [self.read(tensor, self.layout, self.steps) for tensor in tensors]
        for number, other in enumerate(others):
            after = [Attributes.RECTIFIED] if number == len(others) - 1 else []
            attributes, layout = Attributes(self.context.library, after), self.layout
            description = self.describe("binary", c.BINARY_ADD, layout, layout, layout, attributes=attributes)
            memories = {c.ARG_SRC: source, c.ARG_SECOND_SRC: other, c.ARG_DST: output.memory}
            self.steps.append(self.context.call(description, memories))
            source = output.memory
        return output


class Multiplication(LibraryNode):
    """``multiplication`` of inputs of one shape."""

    def build(self) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        tensors = [self.tensor(number) for number in range(len(self.operands))]
        require(len(tensors) > 1, "one input only")
        require(len({tensor.shape for tensor in tensors}) == 1, "inputs that are repeated along an axis")
        memories = [self.read(tensor, self.layout, self.steps) for tensor in tensors]
        return self._product(memories, self.steps)

    def _product(self, memories: Sequence[Memory], steps: list[Step]) -> Produced:
        """Put into ``steps`` the product of several memories, and return it."""
        first, *others = memories
        for memory in others:
            result = self.produced(self.x.shape, self.layout)
            description = self.describe("binary", c.BINARY_MULTIPLY, self.layout, self.layout, self.layout)
            call = {c.ARG_SRC: first, c.ARG_SECOND_SRC: memory, c.ARG_DST: result.memory}
            steps.append(self.context.call(description, call))
            first = result.memory
        return result

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward: the gradient of the output times the other inputs."""
        steps: list[Step] = []
        given = self.read(d_output, self.layout, steps)
        inputs = [self.read(self.tensor(number), self.layout, steps, counts=False) for number in range(len(wanted))]
        gradients: list[Tensor | np.ndarray | None] = [
            self._product([given, *inputs[:number], *inputs[number + 1 :]], steps) if want else None
            for number, want in enumerate(wanted)
        ]
        return Backward(steps, gradients)


class Concatenation(LibraryNode):
    """``concatenation`` of any axis but the first."""

    def build(self, *, axis: int) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        context = self.context
        tensors = [self.tensor(number) for number in range(len(self.operands))]
        shape = list(tensors[0].shape)
        require(-len(shape) < axis < 0, "joined along the observations")
        shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
        self._axis = axis
        self._axis_there = 1 if axis == -1 else len(shape) + axis + 1
        sizes = (shape[0], shape[-1], *shape[1:-1])
        count = len(tensors)
        plain = self.layout == context.plain(self.x.sizes)
        layouts = [context.plain(tensor.sizes) if plain else tensor.layout for tensor in tensors]
        handles = (c_void_p * count)(*[layout.handle for layout in layouts])
        description = self.describe(
            "concat", context.plain(sizes) if plain else context.any(sizes), count, self._axis_there, handles
        )
        output = self.produced(tuple(shape), description.layout(c.QUERY_DST, sizes))
        memories: dict[int, Memory] = {
            c.ARG_MULTIPLE_SRC + number: self.read(tensor, layout, self.steps)
            for number, (tensor, layout) in enumerate(zip(tensors, layouts, strict=True))
        }
        self.steps.append(context.call(description, {**memories, c.ARG_DST: output.memory}))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward: each input has a part of the gradient of the output."""
        steps: list[Step] = []
        gradients: list[Tensor | np.ndarray | None] = []
        start = 0
        for number, want in enumerate(wanted):
            tensor = self.tensor(number)
            offsets = [0] * len(tensor.sizes)
            offsets[self._axis_there] = start
            start += tensor.shape[self._axis]
            if not want:
                gradients.append(None)
                continue
            whole = self.read(d_output, self._whole(d_output), steps)
            part = self.passing(tensor.shape, tensor.layout)
            seen = whole.seen_as(whole.description.part(tensor.sizes, offsets))
            steps.append(self.context.reorder(seen, part.memory))
            gradients.append(part)
        return Backward(steps, gradients)

    def _whole(self, d_output: Tensor) -> Description:
        """Return a layout of the gradient that can be cut: blocks of channels can only between blocks."""
        return self.context.plain(d_output.sizes) if self._axis == -1 else d_output.layout
