"""Nodes along time: their sequences are padded before and packed behind (`mlnet.engines.packing`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.onednn.convolution import Convolution, TransposedConvolution
from mlnet.engines.onednn.fallback import NumpyNode
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import LibraryNode, Operand, require
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.pooling import AveragePooling, MaxPooling
from mlnet.engines.onednn.recurrent import remarks
from mlnet.engines.onednn.tensors import Given, Tensor
from mlnet.engines.packing import pack, pad
from mlnet.engines.program import Node

Lengths = np.ndarray | None


class OperationNode(NumpyNode):
    """A node that an operation computes, along time or not, by the library where the operation is one of the engine's.

    ``lengths`` has those of each input, ``after`` those of the first output. ``always`` is why it is NumPy's; where
    it is '', the workspace tells.
    """

    def __init__(
        self,
        context: Context,
        node: Node,
        operands: Sequence[Operand],
        operation: Operation,
        workspace: Workspace,
        always: str,
        lengths: Sequence[Lengths] = (),
        after: Lengths = None,
    ) -> None:
        super().__init__(context, node, operands, operation, workspace, always)
        self._always, self._own = always, workspace
        self._lengths, self._after = lengths, after

    @property
    def reason(self) -> str:
        """Why NumPy computed it, '' if the library did."""
        return self._always or "; ".join(dict.fromkeys(remarks(self._own)))

    @reason.setter
    def reason(self, reason: str) -> None:
        self._always = reason

    def arrays(self) -> list[np.ndarray]:
        """Return what the operation takes."""
        found = super().arrays()
        for place, own in enumerate(self._lengths):
            if own is not None and self.node.time is not None:
                found[place] = pad(found[place], own)
        return found

    def attributes(self, generator: np.random.Generator | None) -> dict[str, Any]:
        """Return the attributes of the operation."""
        found = super().attributes(generator)
        if self.node.time is not None:
            found["lengths"] = self._lengths[0]
            if any(own is not None for own in self._lengths[1:]):
                found["more_lengths"] = tuple(self._lengths[1:])
        return found

    def results(self, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return what the operation has put out as the plan sees it."""
        if self.node.time is None or self._after is None:
            return arrays
        return [pack(arrays[0], self._after), *arrays[1:]]

    def d_results(self, arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray | None, ...]:
        """Return the gradients of the outputs as the operation sees them."""
        first, *others = arrays
        if self.node.time is not None and self._after is not None and first is not None:
            first = pad(first, self._after)
        return (first, *others)

    def d_operand(self, place: int, array: np.ndarray) -> np.ndarray:
        """Return the gradient of an input as the plan sees it."""
        own = self._lengths[place] if place < len(self._lengths) and self.node.time is not None else None
        return array if own is None else pack(array, own)


class PaddedNode:
    """A node of the library that sees sequences (N, T, ..., C), all of the same length.

    Parameters
    ----------
    kind : type
        What computes it.
    lengths, after : array
        Those of the input and of the output.

    Raises
    ------
    RefusedError
        Where the library does not compute it.
    """

    reason = ""

    def __init__(
        self,
        kind: type[LibraryNode],
        context: Context,
        node: Node,
        operands: Sequence[Operand],
        is_training: bool,
        lengths: np.ndarray,
        after: np.ndarray,
    ) -> None:
        require(len(after) and min(after) > 0, "an observation without windows")
        self.node, self._lengths, self._after = node, lengths, after
        x = operands[0]
        assert isinstance(x, Tensor)
        self._x = x
        first = pad(x.array(), lengths)
        self._padded = Given(context, first.shape)
        self._padded.put(first)
        self._inner = kind(context, node, [self._padded, *operands[1:]], is_training)
        shape = self._inner.output.shape
        if shape[:2] != (len(after), max(after)):
            raise RefusedError(f"{shape[1]} steps where {max(after)} were expected")
        self._given = Given(context, (int(after.sum()), *shape[2:]))
        self._d_output = Given(context, shape)
        self._d_x = Given(context, x.shape)
        self.outputs: tuple[Tensor, ...] = (self._given,)
        self.saved: Any = None
        self.implementations = self._inner.implementations

    def forward(self, generator: np.random.Generator | None) -> None:
        """Compute the output."""
        self._padded.put(pad(self._x.array(), self._lengths))
        self._inner.forward(generator)
        self._given.put(pack(self._inner.output.array(), self._after))

    def backward(
        self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]
    ) -> Sequence[Tensor | np.ndarray | None]:
        """Compute the gradients that are wanted."""
        (d_output,) = d_outputs
        assert d_output is not None
        self._d_output.put(pad(d_output.array(), self._after))
        d_x, *others = self._inner.backward([self._d_output], wanted)
        if isinstance(d_x, Tensor):
            self._d_x.put(pack(d_x.array(), self._lengths))
            d_x = self._d_x
        return [d_x, *others]

    @property
    def reorders(self) -> int:
        """The number of copies into other layouts in a step."""
        return self._inner.reorders + self._x.is_blocked


def steps_and_border(
    steps: int, extent: int, stride: int, padding: tuple[int, int] | str
) -> tuple[tuple[int], tuple[int, int]]:
    """Return the stride and the border of a window along time; 'same' gives an odd total to the end."""
    if isinstance(padding, str):
        total = max((-(-steps // stride) - 1) * stride + extent - steps, 0)
        padding = (total // 2, total - total // 2)
    return (stride,), (int(padding[0]), int(padding[1]))


class Convolution1d(Convolution):
    """``convolution1d``: weights (f, C, F), bias (1, F)."""

    def build(self, *, stride: int, dilation: int, padding: Any, **attributes: Any) -> Tensor:  # type: ignore[override]
        """Put the calls of the forward into ``steps`` and return the output."""
        extent = (self.shape_of(1)[0] - 1) * dilation + 1
        strides, border = steps_and_border(self.x.shape[1], extent, stride, padding)
        return super().build(stride=strides, dilation=(dilation,), padding=border, **attributes)


class TransposedConvolution1d(TransposedConvolution):
    """``transposed_convolution1d``: weights (f, F, C), bias (1, F)."""

    def build(self, *, stride: int, cropping: tuple[int, int]) -> Tensor:  # type: ignore[override]
        """Put the calls of the forward into ``steps`` and return the output."""
        return super().build(stride=(stride,), cropping=(int(cropping[0]), int(cropping[1])))


class MaxPooling1d(MaxPooling):
    """``max_pooling1d``."""

    def build(self, *, pool_size: int, stride: int, padding: Any) -> Tensor:  # type: ignore[override]
        """Put the calls of the forward into ``steps`` and return the output."""
        strides, border = steps_and_border(self.x.shape[1], pool_size, stride, padding)
        return super().build(pool_size=(pool_size,), stride=strides, padding=border)


class AveragePooling1d(AveragePooling):
    """``average_pooling1d``."""

    def build(  # type: ignore[override]
        self, *, pool_size: int, stride: int, padding: Any, padding_value: Any = 0.0
    ) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        strides, border = steps_and_border(self.x.shape[1], pool_size, stride, padding)
        return super().build(pool_size=(pool_size,), stride=strides, padding=border, padding_value=padding_value)
