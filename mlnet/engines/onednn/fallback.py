"""Nodes that NumPy computes inside a plan of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.onednn.nodes import Step
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.tensors import Given, Tensor
from mlnet.engines.program import Key, Node


class NumpyNode:
    """A node that an operation of NumPy computes; values of the library are copied to its layout and back.

    ``reason`` tells why.
    """

    def __init__(
        self,
        context: Context,
        node: Node,
        operands: Sequence[Tensor | Key],
        operation: Operation,
        workspace: Workspace,
        reason: str,
    ) -> None:
        self.context, self.node, self.operands, self.reason = context, node, operands, reason
        self._operation, self._workspace = operation, workspace
        self.implementations = ["numpy"]
        self.outputs: tuple[Tensor, ...] = ()
        self.saved: Any = None
        self.steps: list[Step] = [self.forward]
        self._gradients: dict[int, Given] = {}
        self._blocked_gradients = 0

    def forward(self) -> None:
        """Compute the outputs."""
        attributes: dict[str, Any] | Mapping[str, Any] = self.node.attributes
        if self.node.random:
            attributes = dict(attributes, generator=self.context.generator)
        arrays = [
            operand.array() if isinstance(operand, Tensor) else self.context.parameters[operand]
            for operand in self.operands
        ]
        output, self.saved = self._operation.forward(*arrays, workspace=self._workspace, **attributes)
        found = output if isinstance(output, tuple) else (output,)
        if not self.outputs:
            self.outputs = tuple(Given(self.context, array.shape) for array in found)
        for tensor, array in zip(self.outputs, found, strict=True):
            assert isinstance(tensor, Given)
            tensor.put(array)

    def backward(
        self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        """Compute the gradients that are wanted."""
        self._blocked_gradients = sum(tensor is not None and tensor.is_blocked for tensor in d_outputs)
        arrays = tuple(None if tensor is None else tensor.array() for tensor in d_outputs)
        results = self._operation.backward(
            self.saved,
            arrays[0] if self.node.outputs == 1 else arrays,
            wanted=wanted,
            workspace=self._workspace,
        )
        return [
            self._given(number, result) if isinstance(operand, Tensor) and result is not None else result
            for number, (operand, result) in enumerate(zip(self.operands, results, strict=True))
        ]

    def _given(self, number: int, array: np.ndarray) -> Given:
        if number not in self._gradients:
            self._gradients[number] = Given(self.context, array.shape)
        self._gradients[number].put(array)
        return self._gradients[number]

    @property
    def reorders(self) -> int:
        """The number of inputs and gradients that have to be copied out of a layout of the library."""
        blocked = sum(isinstance(operand, Tensor) and operand.is_blocked for operand in self.operands)
        return blocked + self._blocked_gradients


class OtherWay(NumpyNode):
    """The backward of a node whose forward is the library's: NumPy's forward runs first, for what it saves."""

    def backward(
        self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        """Compute the gradients that are wanted."""
        self.forward()
        return super().backward(d_outputs, wanted)
