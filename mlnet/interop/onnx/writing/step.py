"""One operation on its way into an ONNX graph.

Tensors in the graph are observations first, channels second: images (N, C, H, W), 3-D images (N, C, H, W, D), features
(N, C). Sequences have their time steps before that, as ONNX's recurrent operators want them: (S, N, C) and
(S, N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import Builder
from mlnet.layers.base import Size


class NotInOnnx(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """An operation, or an option of it, that ONNX cannot express."""


@dataclass
class Step:
    """One operation: its inputs as tensors with their sizes, its attributes and the values of its parameters.

    ``sizes`` are those of one observation; for operations along time they are those of sequences.
    """

    build: Builder
    inputs: list[str]
    sizes: Sequence[Size]
    output_sizes: Sequence[Size]
    attributes: Mapping[str, Any]
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    along_time: bool = False

    @property
    def size(self) -> Size:
        """The size of the first input."""
        return self.sizes[0]

    @property
    def channel_axis(self) -> int:
        """Where the channels are."""
        return 2 if self.size.is_sequence else 1

    def windows_input(self) -> str:
        """Return the first input with its positions behind the channels: time steps (S, N, C) become (N, C, S)."""
        return self.build.transposed(self.inputs[0], (1, 2, 0)) if self.along_time else self.inputs[0]

    def windows_output(self, x: str) -> str:
        """Return the reverse of `windows_input`."""
        return self.build.transposed(x, (2, 0, 1)) if self.along_time else x

    def spread(self, value: Any) -> np.ndarray:
        """Return what broadcasts to one observation, channels last, so that it broadcasts to a tensor."""
        array = np.asarray(value, np.float32)
        count = len(self.size.dims)
        if array.size == 1:
            return array.reshape(())
        if array.ndim < count:
            array = array.reshape((1,) * (count - array.ndim) + array.shape)
        return np.moveaxis(array, -1, 0)

    def per_channel(self, value: np.ndarray) -> np.ndarray:
        """Return one number for each channel so that it broadcasts to a tensor."""
        return value.reshape(-1, *[1] * (len(self.size.dims) - 1))
