"""Nodes of a plan that the library computes: a list of calls forward, and one for each use backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.objects import Context, Description, Memory, PrimitiveDescription
from mlnet.engines.onednn.tensors import Binding, Copy, Given, Produced, Tensor, sizes_of
from mlnet.engines.program import Key, Node

Operand = Tensor | Key
"""What a node takes: a value of the plan, or a parameter by its key."""

Step = Callable[[], object]


@dataclass
class Backward:
    """The calls of one way back, and the gradient of each operand, None where it is not wanted."""

    steps: list[Step]
    gradients: list[Tensor | np.ndarray | None]


class LibraryNode(ABC):
    """A node that the library computes.

    Parameters
    ----------
    context : Context
    node : Node
    operands : sequence of Operand
        Inputs and parameters in the operation's order.
    is_training : bool
        A backward will follow.

    Raises
    ------
    RefusedError
        Where the library does not compute it.

    Notes
    -----
    ``may_overwrite`` tells of a tensor whether nobody reads it any more when the node has.
    ``layout`` is what the first input is to be read in, where the library does not choose.
    """

    reason = ""
    multiplies: ClassVar[bool] = False
    """Whether its inputs may be in bfloat16."""
    build: Callable[..., Tensor]
    """Takes the attributes of the node, puts the calls of the forward into ``steps`` and returns the output."""

    def __init__(
        self,
        context: Context,
        node: Node,
        operands: Sequence[Operand],
        is_training: bool,
        may_overwrite: Callable[[Tensor], bool] = lambda tensor: False,
    ) -> None:
        self.context, self.node, self.operands, self.is_training = context, node, operands, is_training
        self.may_overwrite = may_overwrite
        self.is_rounded = False
        self.saved: Any = None
        self.output = self._built()

    def _built(self) -> Tensor:
        """Build for the layout of the input, or where the library refuses that for channels last."""
        plain = self.context.plain(self.x.sizes)
        refused: RefusedError | None = None
        layouts = [plain] if self.x.layout == plain else [self.x.layout, plain]
        precisions = [True, False] if self.context.is_mixed and self.multiplies else [False]
        for self.is_rounded, layout in product(precisions, layouts):
            self.layout = layout
            self.steps: list[Step] = []
            self.implementations: list[str] = []
            self._copies: list[Copy] = []
            try:
                return self.build(**self.node.attributes)
            except RefusedError as error:
                refused = refused or error
        assert refused is not None
        raise refused

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the node puts out."""
        return (self.output,)

    @abstractmethod
    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""

    def backward(self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward and the gradients that are wanted."""
        (d_output,) = d_outputs
        assert d_output is not None
        return self.build_backward(d_output, wanted)

    @property
    def reorders(self) -> int:
        """The number of copies into other layouts in a step, those of parameters left out."""
        return sum(copy.is_needed for copy in self._copies)

    # What the builders are made of.

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.tensor(0)

    def tensor(self, number: int) -> Tensor:
        """Return an operand that is a value of the plan."""
        operand = self.operands[number]
        if not isinstance(operand, Tensor):
            raise RefusedError(f"operand {number} is a parameter")
        return operand

    def shape_of(self, number: int) -> tuple[int, ...]:
        """Return the shape of an operand as NumPy sees it."""
        operand = self.operands[number]
        return operand.shape if isinstance(operand, Tensor) else self.context.parameters[operand].shape

    def parameter(self, number: int, layout: Description, order: Callable[[Any], Any] | None = None) -> Given:
        """Return an operand with a layout of its own; ``order`` brings its elements in order first."""
        operand = self.operands[number]
        shape = self.shape_of(number)
        given = Given(self.context, shape if order is None else layout.dims, layout)
        if not isinstance(operand, Tensor):
            Binding(self.context, operand, given, order)
            given.is_parameter = True
            return given

        def put() -> None:
            array = operand.array()
            given.put(array if order is None else order(array))

        put()
        self.steps.append(put)
        return given

    def read(self, tensor: Tensor, layout: Description, steps: list[Step], *, counts: bool = True) -> Memory:
        """Return a tensor in the layout that a primitive wants; what has to be done for it is put into ``steps``."""
        copy = tensor.copy(layout)
        if copy.is_needed and tensor.is_parameter and self.context.is_final:
            copy.update()
            self.context.preparations.append(copy.update)
        elif copy.is_needed:
            steps.append(copy.update)
            if counts:
                self._copies.append(copy)
        return copy.memory

    def result(self, number: int, chosen: Description, layout: Description) -> tuple[Memory, list[Step], np.ndarray]:
        """Return memory for the gradient of a parameter, what to do afterwards, and the array that has it then."""
        array = self.gradient(number)
        target = Memory(layout, array)
        if chosen == layout:
            return target, [], array
        memory = self.context.memory(chosen)
        return memory, [self.context.reorder(memory, target)], array

    def describe(self, create: str, *arguments: Any, **options: Any) -> PrimitiveDescription:
        """Return a primitive descriptor, and note which implementation it is."""
        description = self.context.describe(create, *arguments, **options)
        self.implementations.append(description.implementation)
        return description

    def workspace(self, description: PrimitiveDescription, memories: dict[int, Memory]) -> Memory | None:
        """Put the workspace of a forward into ``memories`` and return it, None where it has none."""
        layout = description.description(c.QUERY_WORKSPACE)
        if layout is None:
            return None
        memories[c.ARG_WORKSPACE] = self.context.memory(layout)
        return memories[c.ARG_WORKSPACE]

    def gradient(self, number: int) -> np.ndarray:
        """Return where the gradient of an operand that is a parameter is to be put."""
        return self.context.gradient(self.operands[number], self.shape_of(number))

    def factor(self, sizes: tuple[int, ...]) -> Description:
        """Return sizes of what is multiplied: in bfloat16 where the plan is in mixed precision."""
        return self.context.rounded(sizes) if self.is_rounded else self.context.any(sizes)

    def before_relu(self, d_output: Tensor, steps: list[Step]) -> Tensor:
        """Return the gradient of what ReLU has made the output of."""
        layout = self.output.layout
        same = self.describe("eltwise_forward", c.FORWARD_TRAINING, c.ELTWISE_RELU_BY_OUTPUT, layout, layout, 0.0, 0.0)
        description = self.describe(
            "eltwise_backward", c.ELTWISE_RELU_BY_OUTPUT, layout, layout, layout, 0.0, 0.0, same
        )
        gated = self.overwriting(d_output, layout)
        memories = {
            c.ARG_DST: self.output.memory,
            c.ARG_DIFF_DST: self.read(d_output, layout, steps),
            c.ARG_DIFF_SRC: gated.memory,
        }
        steps.append(self.context.call(description, memories))
        return gated

    def overwriting(self, d_output: Tensor, layout: Description) -> Produced:
        """Return a tensor of the shape of ``d_output`` for a primitive that can put its result where that is."""
        if isinstance(d_output, Produced) and d_output.readers == 1 and d_output.layout == layout:
            return Produced(self.context, d_output.shape, layout, d_output.memory)
        return self.passing(d_output.shape, layout)

    def passing(self, shape: tuple[int, ...], layout: Description | None = None) -> Produced:
        """Return a new tensor of the way back: others lie in its memory when it has been read."""
        layout = layout or self.context.plain(sizes_of(shape))
        return Produced(self.context, shape, layout, self.context.reused(layout))

    def produced(self, shape: tuple[int, ...], layout: Description | None = None) -> Produced:
        """Return a new tensor that the library computes."""
        return Produced(self.context, shape, layout)


def require(condition: object, reason: str) -> None:
    """Raise `RefusedError` where something that the library needs is not so."""
    if not condition:
        raise RefusedError(reason)
