"""Maximum and average over windows and over whole images."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import dims
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Memory
from mlnet.engines.onednn.tensors import Tensor


class Pooling(LibraryNode):
    """What all kinds of pooling share."""

    algorithm = c.POOLING_MAX

    def pool(self, size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], algorithm: int) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        context, x = self.context, self.x
        before, after = padding[::2], padding[1::2]
        require(min(padding) >= 0, "a negative border")
        require(all(p < k for p, k in zip((*before, *after), (*size, *size), strict=True)), "windows of border alone")
        spatial = tuple(
            (length + first + last - extent) // step + 1
            for length, extent, step, first, last in zip(x.shape[1:-1], size, stride, before, after, strict=True)
        )
        require(min(spatial) > 0, "an output without pixels")
        self._algorithm = algorithm
        self._geometry = [dims(stride), dims(size), dims([0] * len(size)), dims(before), dims(after)]
        sizes = (*x.sizes[:2], *spatial)
        layout = self.layout
        self._forward = self.describe(
            "pooling_forward",
            c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE,
            algorithm,
            layout,
            context.any(sizes),
            *self._geometry,
        )
        output = self.produced((x.shape[0], *spatial, sizes[1]), self._forward.layout(c.QUERY_DST, sizes))
        memories = {c.ARG_SRC: self.read(x, layout, self.steps), c.ARG_DST: output.memory}
        self._workspace: Memory | None = self.workspace(self._forward, memories)
        self.steps.append(context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        require(self.is_training, "a plan without a way back")
        context, layout = self.context, self.output.layout
        steps: list[Step] = []
        description = self.describe(
            "pooling_backward",
            self._algorithm,
            self.layout,
            layout,
            *self._geometry,
            self._forward,
        )
        d_x = self.passing(self.x.shape, self.layout)
        memories = {c.ARG_DIFF_DST: self.read(d_output, layout, steps), c.ARG_DIFF_SRC: d_x.memory}
        if self._workspace is not None:
            memories[c.ARG_WORKSPACE] = self._workspace
        steps.append(context.call(description, memories))
        gradients: list[Tensor | np.ndarray | None] = [d_x]
        return Backward(steps, gradients)


class MaxPooling(Pooling):
    """``max_pooling2d`` and ``max_pooling3d``."""

    def build(self, *, pool_size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        return self.pool(pool_size, stride, padding, c.POOLING_MAX)


class AveragePooling(Pooling):
    """``average_pooling2d`` and ``average_pooling3d``: zeros of the border count, or pixels of the image only."""

    def build(
        self,
        *,
        pool_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        padding_value: Any = 0.0,
    ) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        counts = padding_value != "mean" and any(padding)
        return self.pool(pool_size, stride, padding, c.POOLING_AVERAGE_WITH_BORDER if counts else c.POOLING_AVERAGE)


class GlobalAveragePooling(Pooling):
    """``global_average_pooling``: one window over the whole image."""

    def build(self) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        size = self.x.shape[1:-1]
        return self.pool(size, (1,) * len(size), (0, 0) * len(size), c.POOLING_AVERAGE)


class GlobalMaxPooling(Pooling):
    """``global_max_pooling``: one window over the whole image."""

    def build(self) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        size = self.x.shape[1:-1]
        return self.pool(size, (1,) * len(size), (0, 0) * len(size), c.POOLING_MAX)
