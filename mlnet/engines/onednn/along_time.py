"""Nodes along time: their sequences are padded before and packed behind (`mlnet.engines.packing`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.engines.onednn.convolution import Convolution, TransposedConvolution
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Operand, Step, require
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.pooling import AveragePooling, MaxPooling
from mlnet.engines.onednn.tensors import Given, Tensor
from mlnet.engines.packing import pack, pad
from mlnet.engines.program import Node


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
        self.outputs: tuple[Tensor, ...] = (self._given,)
        self.saved: Any = None
        self.implementations = self._inner.implementations
        self.steps: list[Step] = [self._pad, *self._inner.steps, self._pack]

    def _pad(self) -> None:
        self._padded.put(pad(self._x.array(), self._lengths))

    def _pack(self) -> None:
        self._given.put(pack(self._inner.output.array(), self._after))

    def backward(self, d_outputs: Sequence[Tensor | None], wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward and the gradients that are wanted."""
        (d_output,) = d_outputs
        assert d_output is not None
        padded = Given(self._inner.context, self._inner.output.shape)
        inner = self._inner.backward([padded], wanted)
        steps: list[Step] = [lambda: padded.put(pad(d_output.array(), self._after)), *inner.steps]
        d_padded, *others = inner.gradients
        if not isinstance(d_padded, Tensor):
            return Backward(steps, inner.gradients)
        d_x = Given(self._inner.context, self._x.shape)
        steps.append(lambda: d_x.put(pack(d_padded.array(), self._lengths)))
        return Backward(steps, [d_x, *others])

    @property
    def is_rounded(self) -> bool:
        """Whether its inputs are in bfloat16."""
        return self._inner.is_rounded

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
