"""Operations over the channels of each position: softmax, layer normalization, cross-channel normalization."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.normalization import room_for_moments
from mlnet.engines.onednn.objects import Memory
from mlnet.engines.onednn.tensors import Tensor


class Softmax(LibraryNode):
    """``softmax`` over the channels."""

    def build(self) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        layout = self.layout
        kind = c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE
        self._forward = self.describe("softmax_forward", kind, c.SOFTMAX_ACCURATE, layout, layout, 1)
        output = self.produced(self.x.shape, layout)
        memories = {c.ARG_SRC: self.read(self.x, layout, self.steps), c.ARG_DST: output.memory}
        self.steps.append(self.context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        layout = self.layout
        description = self.describe("softmax_backward", c.SOFTMAX_ACCURATE, layout, layout, layout, 1, self._forward)
        d_x = self.produced(self.x.shape, layout)
        memories = {
            c.ARG_DST: self.output.memory,
            c.ARG_DIFF_DST: self.read(d_output, layout, steps),
            c.ARG_DIFF_SRC: d_x.memory,
        }
        steps.append(self.context.call(description, memories))
        gradients: list[Tensor | np.ndarray | None] = [d_x]
        return Backward(steps, gradients)


class CrossChannelNormalization(LibraryNode):
    """``cross_channel_normalization``: the library's windows have as many channels before as behind."""

    def build(self, *, window: int, alpha: float, beta: float, k: float) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        require(window % 2, "a window of an even number of channels")
        self._numbers = (window, alpha, beta, k)
        layout = self.layout
        kind = c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE
        self._forward = self.describe("lrn_forward", kind, c.LRN_ACROSS_CHANNELS, layout, layout, *self._numbers)
        output = self.produced(self.x.shape, layout)
        memories = {c.ARG_SRC: self.read(self.x, layout, self.steps), c.ARG_DST: output.memory}
        self._workspace = self.workspace(self._forward, memories)
        self.steps.append(self.context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        layout = self.layout
        description = self.describe(
            "lrn_backward", c.LRN_ACROSS_CHANNELS, layout, layout, layout, *self._numbers, self._forward
        )
        d_x = self.produced(self.x.shape, layout)
        memories = {
            c.ARG_SRC: self.read(self.x, layout, steps, counts=False),
            c.ARG_DIFF_DST: self.read(d_output, layout, steps),
            c.ARG_DIFF_SRC: d_x.memory,
        }
        if self._workspace is not None:
            memories[c.ARG_WORKSPACE] = self._workspace
        steps.append(self.context.call(description, memories))
        gradients: list[Tensor | np.ndarray | None] = [d_x]
        return Backward(steps, gradients)


class LayerNormalization(LibraryNode):
    """``layer_normalization`` of the channels of each position; offset and scale have one number for each."""

    def build(self, *, axes: Sequence[int], epsilon: float) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        require(tuple(axes) == (-1,) or self.x.shape[1:-1] == (1,) * len(self.x.shape[1:-1]), "more axes than channels")
        context, x = self.context, self.x
        channels, rows = x.shape[-1], prod(x.shape[:-1])
        require(channels > 1, "a single channel")
        self._rows = context.strided((rows, channels), (channels, 1))
        self._vector, self._statistics = context.strided((channels,), (1,)), context.strided((rows,), (1,))
        self._plain, self._epsilon = context.plain(x.sizes), epsilon
        self._forward = self.describe(
            "layer_normalization_forward",
            c.FORWARD_TRAINING,
            self._rows,
            self._rows,
            self._statistics,
            epsilon,
            c.USE_SCALE | c.USE_SHIFT,
        )
        offset, scale = (self.parameter(number, self._vector, np.ravel) for number in (1, 2))
        output = self.produced(x.shape)
        moments = room_for_moments(context, self.node, rows, epsilon)
        mean, variance = (Memory(self._statistics, array) for array in moments)
        self._common = {
            c.ARG_SRC: self.read(x, self._plain, self.steps).seen_as(self._rows),
            c.ARG_MEAN: mean,
            c.ARG_VARIANCE: variance,
            c.ARG_SCALE: scale.memory,
            c.ARG_SHIFT: offset.memory,  # the backward needs it too, to no purpose
        }
        memories = {**self._common, c.ARG_DST: output.memory.seen_as(self._rows)}
        self.steps.append(context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        description = self.describe(
            "layer_normalization_backward",
            c.BACKWARD,
            self._rows,
            self._rows,
            self._rows,
            self._statistics,
            self._epsilon,
            c.USE_SCALE | c.USE_SHIFT,
            self._forward,
        )
        d_x = self.produced(self.x.shape)
        d_offset, d_scale = (np.zeros(self.shape_of(number), np.float32) for number in (1, 2))
        memories = {
            **self._common,
            c.ARG_DIFF_DST: self.read(d_output, self._plain, steps).seen_as(self._rows),
            c.ARG_DIFF_SRC: d_x.memory.seen_as(self._rows),
            c.ARG_DIFF_SCALE: Memory(self._vector, d_scale),
            c.ARG_DIFF_SHIFT: Memory(self._vector, d_offset),
        }
        steps.append(self.context.call(description, memories))
        found: list[Tensor | np.ndarray | None] = [d_x, d_offset, d_scale]
        return Backward(steps, [array if want else None for array, want in zip(found, wanted, strict=True)])
