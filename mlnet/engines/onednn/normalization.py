"""Batch normalization, with ReLU in the same primitive."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Context, Memory
from mlnet.engines.onednn.tensors import Tensor
from mlnet.engines.program import Node

_PREFERRED = "bnorm_tbb_jit"
"""An implementation whose threads do not wait for one another inside: a few percent slower on idle cores, but many
times faster than the library's first choice where other programs want the cores too."""


_PART = 256
"""Channels for which a vector of a table of moments has room."""

FAR = 30.0
"""Mean / deviation beyond which sums in single precision lose digits that the result needs."""


class FarFromZeroError(RefusedError):
    """Values for which the library's normalization is not accurate enough: NumPy's takes over for good.

    ``name`` is that of the node.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"a mean is more than {FAR:g} deviations from zero: needs double precision")
        self.name = name


class Moments(NamedTuple):
    """Mean and variance (C,) of a mini-batch, or as given."""

    mean: np.ndarray
    variance: np.ndarray


class MomentTable:
    """The moments of all normalizations of a plan in a few vectors, so that they are checked at once."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._owners: list[list[Node]] = []
        self._used = 0

    def room(self, node: Node, channels: int, epsilon: float) -> Moments:
        """Return where a node can put its moments."""
        if not self._parts or self._used + channels > self._parts[-1].shape[1]:
            self._parts.append(np.zeros((4, max(_PART, channels)), np.float32))
            self._owners.append([])
            self._used = 0
        where = slice(self._used, self._used + channels)
        self._used += channels
        mean, variance, allowed, _ = self._parts[-1][:, where]
        allowed[...] = epsilon
        self._owners[-1] += [node] * channels
        return Moments(mean, variance)

    def far(self) -> Node | None:
        """Return a node of which a mean is too far from zero for its deviation, None where there is none."""
        for part, owners in zip(self._parts, self._owners, strict=True):
            mean, variance, epsilon, room = part
            np.add(variance, epsilon, out=room)
            room *= FAR**2
            far = np.greater(mean * mean, room)
            if np.logical_or.reduce(far):
                return owners[int(far.argmax())]
        return None


def room_for_moments(context: Context, node: Node, count: int, epsilon: float) -> Moments:
    """Return where a node is to put its moments, which are checked after a run."""
    if context.moments is None:
        context.moments = MomentTable()
    return context.moments.room(node, count, epsilon)


class BatchNormalization(LibraryNode):
    """``batch_normalization``: statistics of the mini-batch; offset and scale (1, 1, C)."""

    statistics_are_given = False

    def build(self, *, epsilon: float, rectified: bool = False) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        context, x = self.context, self.x
        channels = x.sizes[1]
        self._epsilon = epsilon
        self._flags = c.USE_SCALE | c.USE_SHIFT | (c.FUSE_RELU if rectified else 0)
        self._flags |= c.GLOBAL_STATISTICS if self.statistics_are_given else 0
        vector = context.strided((channels,), (1,))
        self._vector = vector
        keeps = self.is_training or not self.statistics_are_given
        self._forward = self.describe(
            "batch_normalization_forward",
            c.FORWARD_TRAINING if keeps else c.FORWARD_INFERENCE,
            self.layout,
            self.layout,
            epsilon,
            self._flags,
            prefer=_PREFERRED,
        )
        offset, scale = (self.parameter(number, vector, np.ravel) for number in (1, 2))
        self._scale, self._offset = scale, offset
        output = self.produced(x.shape, self.layout)
        if self.statistics_are_given:
            mean, variance = (self.parameter(number, vector, np.ravel).memory for number in (3, 4))
        else:
            self.saved = room_for_moments(context, self.node, channels, epsilon)
            mean, variance = (Memory(vector, array) for array in self.saved)
        self._common = {
            c.ARG_SRC: self.read(x, self.layout, self.steps),
            c.ARG_MEAN: mean,
            c.ARG_VARIANCE: variance,
            c.ARG_SCALE: scale.memory,
        }
        memories = {**self._common, c.ARG_SHIFT: offset.memory, c.ARG_DST: output.memory}
        self._workspace = self.workspace(self._forward, memories)
        self.steps.append(context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        require(self.is_training and not any(wanted[3:]), "no gradient of given statistics")
        steps: list[Step] = []
        description = self.describe(
            "batch_normalization_backward",
            c.BACKWARD,
            self.layout,
            self.layout,
            self.layout,
            self._epsilon,
            self._flags,
            self._forward,
            prefer=_PREFERRED,
        )
        d_x = self.overwriting(d_output, self.layout)
        d_offset, d_scale = (self.gradient(number) for number in (1, 2))
        memories = {
            **self._common,
            c.ARG_DIFF_DST: self.read(d_output, self.layout, steps),
            c.ARG_DIFF_SRC: d_x.memory,
            c.ARG_DIFF_SCALE: Memory(self._vector, d_scale),
            c.ARG_DIFF_SHIFT: Memory(self._vector, d_offset),
        }
        if self._workspace is not None:
            memories[c.ARG_WORKSPACE] = self._workspace
        steps.append(self.context.call(description, memories))
        found: list[Tensor | np.ndarray | None] = [d_x, d_offset, d_scale, None, None]
        return Backward(steps, [array if want else None for array, want in zip(found, wanted, strict=False)])


class GivenBatchNormalization(BatchNormalization):
    """``batch_normalization_inference``: statistics (1, 1, C) are given."""

    statistics_are_given = True
