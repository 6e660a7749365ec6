"""Functions element by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step
from mlnet.engines.onednn.objects import Attributes
from mlnet.engines.onednn.tensors import Tensor


class _Function(NamedTuple):
    """The algorithm, and its backward where that starts from the output; attributes that become its constants."""

    algorithm: int
    by_output: bool
    constants: tuple[str | float, str | float]


FUNCTIONS = {
    "relu": _Function(c.ELTWISE_RELU_BY_OUTPUT, True, (0.0, 0.0)),
    "leaky_relu": _Function(c.ELTWISE_RELU, False, ("scale", 0.0)),
    "clipped_relu": _Function(c.ELTWISE_CLIP, False, (0.0, "ceiling")),
    "elu": _Function(c.ELTWISE_ELU, False, ("alpha", 0.0)),
    "tanh": _Function(c.ELTWISE_TANH_BY_OUTPUT, True, (0.0, 0.0)),
    "swish": _Function(c.ELTWISE_SWISH, False, (1.0, 0.0)),
    "gelu": _Function(c.ELTWISE_GELU, False, (0.0, 0.0)),
    "sigmoid": _Function(c.ELTWISE_LOGISTIC_BY_OUTPUT, True, (0.0, 0.0)),
}
"""The operations."""


_AFTER = {
    c.ELTWISE_RELU_BY_OUTPUT: c.ELTWISE_RELU,
    c.ELTWISE_TANH_BY_OUTPUT: c.ELTWISE_TANH,
    c.ELTWISE_LOGISTIC_BY_OUTPUT: c.ELTWISE_LOGISTIC,
}
"""What is computed behind another primitive instead."""


def function_of(operation: str, attributes: Mapping[str, Any]) -> tuple[int, float, float]:
    """Return the algorithm of an operation, and its constants."""
    function = FUNCTIONS[operation]
    is_tanh = attributes.get("approximation") == "tanh"
    first, second = (attributes[constant] if isinstance(constant, str) else constant for constant in function.constants)
    return c.ELTWISE_GELU_TANH if is_tanh else function.algorithm, first, second


def post_operations(followers: Sequence[tuple[str, Any]]) -> list[tuple[int, float, float]]:
    """Return what `Attributes` takes for operations that follow another one, additions among them."""
    found = []
    for name, attributes in followers:
        if name == "addition":
            found.append(Attributes.ADDED)
        else:
            algorithm, first, second = function_of(name, dict(attributes))
            found.append((_AFTER.get(algorithm, algorithm), first, second))
    return found


class Activation(LibraryNode):
    """One of `FUNCTIONS`."""

    def build(self, **attributes: Any) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        algorithm, *self._constants = function_of(self.node.operation, attributes)
        self._function = FUNCTIONS[self.node.operation]._replace(algorithm=algorithm)
        self._forward = self.describe(
            "eltwise_forward",
            c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE,
            self._function.algorithm,
            self.layout,
            self.layout,
            *self._constants,
        )
        output = self.produced(self.x.shape, self.layout)
        memories = {c.ARG_SRC: self.read(self.x, self.layout, self.steps), c.ARG_DST: output.memory}
        self.steps.append(self.context.call(self._forward, memories))
        return output

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        layout = self.layout
        description = self.describe(
            "eltwise_backward", self._function.algorithm, layout, layout, layout, *self._constants, self._forward
        )
        d_x = self.overwriting(d_output, layout)
        source = self.output.memory if self._function.by_output else self.read(self.x, layout, steps, counts=False)
        memories = {
            c.ARG_DST if self._function.by_output else c.ARG_SRC: source,
            c.ARG_DIFF_DST: self.read(d_output, layout, steps),
            c.ARG_DIFF_SRC: d_x.memory,
        }
        steps.append(self.context.call(description, memories))
        gradients: list[Tensor | np.ndarray | None] = [d_x]
        return Backward(steps, gradients)
