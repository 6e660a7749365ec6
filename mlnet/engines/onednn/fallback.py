"""Nodes that an operation computes inside a plan of the library: NumPy's, or the engine's own for recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.onednn.nodes import Operand, Step
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.recurrent import remarks
from mlnet.engines.onednn.tensors import Given, Tensor
from mlnet.engines.packing import pack, pad
from mlnet.engines.program import Node

Lengths = np.ndarray | None


class OperationNode:
    """A node that an operation computes, along time or not; values of the library are copied to its layout and back.

    ``lengths`` has those of the sequences of each input, ``after`` those of the first output. ``always`` is why it is
    NumPy's; where it is '', the workspace tells whether the operation was one of the engine's.
    """

    def __init__(
        self,
        context: Context,
        node: Node,
        operands: Sequence[Operand],
        operation: Operation,
        workspace: Workspace,
        always: str,
        lengths: Sequence[Lengths],
        after: Lengths,
    ) -> None:
        self.context, self.node, self.operands = context, node, operands
        self._operation, self._workspace, self._always = operation, workspace, always
        along_time = node.time is not None
        self._lengths = list(lengths) if along_time else [None] * len(lengths)
        self._after = after if along_time else None
        self.implementations = ["numpy"]
        self.outputs: tuple[Tensor, ...] = ()
        self.saved: Any = None
        self.steps: list[Step] = [self.forward]
        self._gradients: dict[int, Given] = {}
        self._blocked_gradients = 0

    @property
    def reason(self) -> str:
        """Why NumPy computed it, '' if the library did."""
        return self._always or "; ".join(dict.fromkeys(remarks(self._workspace)))

    def forward(self) -> None:
        """Compute the outputs."""
        output, self.saved = self._operation.forward(*self._arrays(), workspace=self._workspace, **self._attributes())
        found = list(output) if isinstance(output, tuple) else [output]
        found[0] = found[0] if self._after is None else pack(found[0], self._after)
        if not self.outputs:
            self.outputs = tuple(Given(self.context, array.shape) for array in found)
        for tensor, array in zip(self.outputs, found, strict=True):
            assert isinstance(tensor, Given)
            tensor.put(array)

    def _arrays(self) -> list[np.ndarray]:
        arrays = [
            operand.array() if isinstance(operand, Tensor) else self.context.parameters[operand]
            for operand in self.operands
        ]
        for place, own in enumerate(self._lengths):
            if own is not None:
                arrays[place] = pad(arrays[place], own)
        return arrays

    def _attributes(self) -> dict[str, Any]:
        found = dict(self.node.attributes)
        if self.node.random:
            found["generator"] = self.context.generator
        if self.node.time is not None:
            found["lengths"] = self._lengths[0]
            if any(own is not None for own in self._lengths[1:]):
                found["more_lengths"] = tuple(self._lengths[1:])
        return found

    def backward(
        self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        """Compute the gradients that are wanted."""
        self._blocked_gradients = sum(tensor is not None and tensor.is_blocked for tensor in d_outputs)
        arrays = [None if tensor is None else tensor.array() for tensor in d_outputs]
        if self._after is not None and arrays[0] is not None:
            arrays[0] = pad(arrays[0], self._after)
        results = self._operation.backward(
            self.saved,
            arrays[0] if self.node.outputs == 1 else tuple(arrays),
            wanted=wanted,
            workspace=self._workspace,
        )
        return [
            self._given(number, result) if isinstance(operand, Tensor) and result is not None else result
            for number, (operand, result) in enumerate(zip(self.operands, results, strict=True))
        ]

    def _given(self, number: int, array: np.ndarray) -> Given:
        own = self._lengths[number]
        array = array if own is None else pack(array, own)
        if number not in self._gradients:
            self._gradients[number] = Given(self.context, array.shape)
        self._gradients[number].put(array)
        return self._gradients[number]

    @property
    def reorders(self) -> int:
        """The number of inputs and gradients that have to be copied out of a layout of the library."""
        blocked = sum(isinstance(operand, Tensor) and operand.is_blocked for operand in self.operands)
        return blocked + self._blocked_gradients


class OtherWay(OperationNode):
    """The backward of a node whose forward is the library's: NumPy's forward runs first, for what it saves."""

    def backward(
        self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        """Compute the gradients that are wanted."""
        self.forward()
        return super().backward(d_outputs, wanted)
