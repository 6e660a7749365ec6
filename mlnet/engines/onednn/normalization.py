"""Batch normalization, with ReLU in the same primitive."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Memory
from mlnet.engines.onednn.tensors import Tensor

_PREFERRED = "bnorm_tbb_jit"
"""An implementation whose threads do not wait for one another inside: a few percent slower on idle cores, but many
times faster than the library's first choice where other programs want the cores too."""


FAR = 30.0
"""Mean / deviation beyond which sums in single precision lose digits that the result needs."""


class FarFromZeroError(RefusedError):
    """Values for which the library's normalization is not accurate enough: NumPy's takes over for good."""


class Moments(NamedTuple):
    """Mean and variance (C,) of a mini-batch, or as given."""

    mean: np.ndarray
    variance: np.ndarray


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
            arrays = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
            mean, variance = (Memory(vector, array) for array in arrays)
            self.saved = Moments(*arrays)
        self._common = {
            c.ARG_SRC: self.read(x, self.layout, self.steps),
            c.ARG_MEAN: mean,
            c.ARG_VARIANCE: variance,
            c.ARG_SCALE: scale.memory,
        }
        memories = {**self._common, c.ARG_SHIFT: offset.memory, c.ARG_DST: output.memory}
        self._workspace = self.workspace(self._forward, memories)
        self.steps.append(context.call(self._forward, memories))
        if not self.statistics_are_given:
            self.steps.append(self._check)
        return output

    def _check(self) -> None:
        """Raise `FarFromZeroError` where the mean of a channel is too far from zero for its deviation."""
        mean, variance = self.saved
        if (mean * mean > FAR**2 * (variance + self._epsilon)).any():
            raise FarFromZeroError(f"a channel has a mean of more than {FAR:g} deviations: needs double precision")

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        require(self.is_training and not any(wanted[3:]), "no gradient of given statistics")
        context, x = self.context, self.x
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
        d_x = self.produced(x.shape, self.layout)
        d_offset, d_scale = (np.zeros(self.shape_of(number), np.float32) for number in (1, 2))
        memories = {
            **self._common,
            c.ARG_DIFF_DST: self.read(d_output, self.layout, steps),
            c.ARG_DIFF_SRC: d_x.memory,
            c.ARG_DIFF_SCALE: Memory(self._vector, d_scale),
            c.ARG_DIFF_SHIFT: Memory(self._vector, d_offset),
        }
        if self._workspace is not None:
            memories[c.ARG_WORKSPACE] = self._workspace
        steps.append(context.call(description, memories))
        found: list[Tensor | np.ndarray | None] = [d_x, d_offset, d_scale, None, None]
        return Backward(steps, [array if want else None for array, want in zip(found, wanted, strict=False)])


class GivenBatchNormalization(BatchNormalization):
    """``batch_normalization_inference``: statistics (1, 1, C) are given."""

    statistics_are_given = True
