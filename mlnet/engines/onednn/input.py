"""Normalization of the data."""

from __future__ import annotations

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.nodes import Backward, LibraryNode, require
from mlnet.engines.onednn.objects import Memory
from mlnet.engines.onednn.tensors import Tensor, sizes_of


class NormalizeInput(LibraryNode):
    """``normalize_input``: ``(x - shift) / scale``, both as wide as one observation or repeated along its axes."""

    def build(self, *, shift: np.ndarray | None, scale: np.ndarray | None) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        parts = [(c.BINARY_SUBTRACT, shift), (c.BINARY_DIVIDE, scale)]
        given = [(algorithm, self._wide(array)) for algorithm, array in parts if array is not None]
        require(given, "nothing to compute")
        output = self.produced(self.x.shape, self.layout)
        source = self.read(self.x, self.layout, self.steps)
        for algorithm, other in given:
            description = self.describe("binary", algorithm, self.layout, other.description, self.layout)
            memories = {c.ARG_SRC: source, c.ARG_SECOND_SRC: other, c.ARG_DST: output.memory}
            self.steps.append(self.context.call(description, memories))
            source = output.memory
        return output

    def _wide(self, array: np.ndarray) -> Memory:
        """Return memory for an array that is repeated along the observations."""
        shape = (1,) * (len(self.x.shape) - np.ndim(array)) + np.shape(array)
        return Memory(self.context.plain(sizes_of(shape)), np.array(array, np.float32, order="C").reshape(shape))

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Refuse: hardly anybody wants the gradient of the data."""
        require(not wanted[0], "the gradient of the data")
        return Backward([], [None])
