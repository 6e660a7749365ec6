"""Fully connected layers: the inner product of the library."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.activation import post_operations
from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Attributes, Description, Memory, PrimitiveDescription
from mlnet.engines.onednn.tensors import Tensor

_FEW = 1 << 23
"""Products below which rounding the factors takes longer than it saves."""


class FullyConnected(LibraryNode):
    """``fully_connected``: weights (out, in), bias (out, 1).

    MATLAB flattens images with height fastest, then width, then channels; as strides of (out, C, H, W) that costs
    nothing here.
    """

    multiplies = True

    def build(self, *, followers: Any = ()) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output."""
        shape = self.x.shape
        n, channels, *spatial = self.x.sizes
        out = self.shape_of(1)[0]
        inside = [prod(spatial[:axis]) for axis in range(len(spatial))]
        context = self.context
        require(not self.is_rounded or out * prod(shape) >= _FEW, "too few products for bfloat16")
        strides = (prod(spatial) * channels, prod(spatial), *inside)
        self._weights_layout = context.strided((out, channels, *spatial), strides)
        self._own_layout = self._best_layout(context.plain((n, out)))
        self._bias_layout = context.strided((out,), (1,))
        self._flat = context.plain((n, out))
        self._weights = self.parameter(1, self._weights_layout)
        bias = self.parameter(2, self._bias_layout, np.ravel)
        self._forward = self.describe(
            "inner_product_forward",
            c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE,
            self.factor(self.x.sizes) if self.is_rounded else self.layout,
            self.factor(self._weights_layout.dims) if self.is_rounded else self._own_layout,
            self._bias_layout,
            self._flat,
            attributes=Attributes(context.library, post_operations(followers)),
        )
        output = self.produced((n, *[1] * len(spatial), out))
        memories = {
            c.ARG_SRC: self.read(self.x, self._forward.layout(c.QUERY_SRC, self.x.sizes), self.steps),
            c.ARG_WEIGHTS: self._matrix(self._forward.layout(c.QUERY_WEIGHTS, self._weights_layout.dims), self.steps),
            c.ARG_BIAS: bias.memory,
            c.ARG_DST: output.memory.seen_as(self._flat),
        }
        self.steps.append(context.call(self._forward, memories))
        assert len(shape) == len(self.x.sizes)
        return output

    def _best_layout(self, flat: Description) -> Description:
        """Return the layout of the weights in which no primitive needs another one.

        Behind features that is the parameter's own: copies would take longer than they save. Behind images it is the
        one in which the gradient of the data is wanted.
        """
        context, own = self.context, self._weights_layout
        if len(own.dims) == 2 and not context.is_final:
            return own
        whichever = context.any(own.dims)
        bias = context.strided(own.dims[:1], (1,))
        kind = c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE
        forward = context.describe("inner_product_forward", kind, self.layout, whichever, bias, flat)
        if not self.is_training:
            return forward.layout(c.QUERY_WEIGHTS, own.dims)
        try:
            back = context.describe("inner_product_backward_data", self.layout, whichever, flat, forward)
        except RefusedError:  # the way back will be NumPy's
            return forward.layout(c.QUERY_WEIGHTS, own.dims)
        return back.layout(c.QUERY_WEIGHTS, own.dims)

    def _rounded(self, given: Memory, description: PrimitiveDescription, steps: list[Step]) -> Memory:
        """Return the gradient of the output as a primitive wants it."""
        layout = description.layout(c.QUERY_DIFF_DST, self._flat.dims)
        if layout == self._flat:
            return given
        memory = self.context.memory(layout)
        steps.append(self.context.reorder(given, memory))
        return memory

    def _matrix(self, layout: Description, steps: list[Step]) -> Memory:
        return self.read(self._weights, layout, steps, counts=False)

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        gradients: list[Tensor | np.ndarray | None] = [None, None, None]
        context, sizes = self.context, self._weights_layout.dims
        given = self.read(d_output, context.plain(d_output.sizes), steps).seen_as(self._flat)
        if wanted[1] or wanted[2]:
            description = self.describe(
                "inner_product_backward_weights",
                self.factor(self.x.sizes) if self.is_rounded else self.layout,
                context.any(sizes) if self.is_rounded else self._own_layout,
                self._bias_layout,
                self.factor(self._flat.dims) if self.is_rounded else self._flat,
                self._forward,
            )
            weights, after, d_weights = self.result(
                1, description.layout(c.QUERY_DIFF_WEIGHTS, sizes), self._weights_layout
            )
            d_bias = self.gradient(2)
            memories: dict[int, Any] = {
                c.ARG_SRC: self.read(self.x, description.layout(c.QUERY_SRC, self.x.sizes), steps),
                c.ARG_DIFF_DST: self._rounded(given, description, steps),
                c.ARG_DIFF_WEIGHTS: weights,
                c.ARG_DIFF_BIAS: Memory(self._bias_layout, d_bias),
            }
            steps += [context.call(description, memories), *after]
            gradients[1:] = [d_weights if wanted[1] else None, d_bias if wanted[2] else None]
        if wanted[0]:
            description = self.describe(
                "inner_product_backward_data",
                self.layout,
                self.factor(sizes) if self.is_rounded else self._own_layout,
                self.factor(self._flat.dims) if self.is_rounded else self._flat,
                self._forward,
            )
            d_x = self.passing(self.x.shape, description.layout(c.QUERY_DIFF_SRC, self.x.sizes))
            memories = {
                c.ARG_DIFF_DST: self._rounded(given, description, steps),
                c.ARG_WEIGHTS: self._matrix(description.layout(c.QUERY_WEIGHTS, sizes), steps),
                c.ARG_DIFF_SRC: d_x.memory,
            }
            steps.append(context.call(description, memories))
            gradients[0] = d_x
        return Backward(steps, gradients)
