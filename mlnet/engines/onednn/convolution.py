"""Convolution and transposed convolution over any number of axes, with or without ReLU behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.activation import post_operations
from mlnet.engines.onednn.library import RefusedError, dims
from mlnet.engines.onednn.nodes import Backward, LibraryNode, Step, require
from mlnet.engines.onednn.objects import Attributes, Description, Memory, PrimitiveDescription
from mlnet.engines.onednn.tensors import Produced, Tensor

_HALF = 8
"""Channels of which the library makes blocks of 16."""

_LEAN = "jit:avx512_core"
"""An implementation that takes half as long where it finds channels last, not rounded up to a block; so does what comes
behind."""

_AXES = 4
"""Of images."""


class Convolution(LibraryNode):
    """``convolution2d`` and ``convolution3d``: weights (h, w, C, F), bias (1, 1, F)."""

    kind = "convolution"
    multiplies = True
    algorithm = c.CONVOLUTION_DIRECT
    _is_lean = False

    def build(
        self,
        *,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...] = (),
        padding_value: Any = 0.0,
        rectified: bool = False,
        followers: Any = (),
        onto: Tensor | None = None,
    ) -> Tensor:
        """Put the calls of the forward into ``steps`` and return the output; ``onto`` is what is added to."""
        require(padding_value == 0.0, "the border is not zero")
        require(min(padding) >= 0, "a negative border")
        shape, weights = self.x.shape, self.shape_of(1)
        axes = len(shape) - 2
        window = weights[:axes]
        before, after = padding[::2], padding[1::2]
        dilation = dilation or (1,) * axes
        spatial = self._output_size(shape[1:-1], window, stride, dilation, before, after)
        require(min(spatial, default=1) > 0, "an output without pixels")
        self._geometry = [dims(stride), dims(step - 1 for step in dilation), dims(before), dims(after)]
        self._rectified = rectified
        self._weights_layout, self._bias_layout, filters = self._layouts(weights, axes)
        self._weights = self.parameter(1, self._weights_layout)
        self._bias = self.parameter(2, self._bias_layout, self._bias_order())
        context = self.context
        self._sizes = (shape[0], filters, *spatial)
        require(onto is None or onto.sizes == self._sizes, "inputs that are repeated along an axis")
        computed = [Attributes.RECTIFIED] if rectified else post_operations(followers)
        require(not (self.is_rounded and self._has_few_channels()), "too few channels for bfloat16")
        self._forward = self._described(Attributes(context.library, computed), onto)
        given = self._forward.layout(c.QUERY_DST, self._sizes)
        output = self._output((shape[0], *spatial, filters), given.in_blocks() if self._is_lean else given, onto)
        source = self.read(self.x, self._forward.layout(c.QUERY_SRC, self.x.sizes), self.steps)
        matrix = self._weights_as(self._forward.layout(c.QUERY_WEIGHTS, self._weights_layout.dims), self.steps)
        memories = {c.ARG_SRC: source, c.ARG_WEIGHTS: matrix, c.ARG_BIAS: self._bias.memory}
        self.steps.append(context.call(self._forward, {**memories, c.ARG_DST: output.copy(given).memory}))
        return output

    def _output(self, shape: tuple[int, ...], layout: Description, onto: Tensor | None) -> Produced:
        """Return the output, with ``onto`` in its place."""
        if onto is None:
            return self.produced(shape, layout)
        is_other = isinstance(onto, Produced) and onto.memory is not self.x.memory
        if is_other and onto.layout == layout and self.may_overwrite(onto):
            return Produced(self.context, shape, layout, onto.memory)
        output = self.produced(shape, layout)
        self.steps.append(self.context.reorder(onto.memory, output.memory))
        return output

    def _described(self, attributes: Attributes, onto: Tensor | None) -> PrimitiveDescription:
        """Return the forward, for prediction with channels last if there is one: layouts of all layers agree then."""
        context, kind = self.context, c.FORWARD_TRAINING if self.is_training else c.FORWARD_INFERENCE
        weights, sizes = self.factor(self._weights_layout.dims), [self.x.sizes, self._sizes]
        plain = context.plain(sizes[0]), context.plain(sizes[1])
        choices = [(self.factor(sizes[0]), context.any(sizes[1]))]
        if context.is_final:
            choices.insert(0, plain)
        if not context.is_final and self._has_few_channels():
            parts = [kind, self.algorithm, choices[0][0], weights, self._bias_layout, plain[1], *self._geometry]
            found = context.describe(f"{self.kind}_forward", *parts, attributes=attributes, may_be_reference=True)
            self._is_lean = found.implementation.startswith(_LEAN)
            choices = [(choices[0][0], plain[1])] if self._is_lean else choices
        if onto is not None:
            choices = [(source, onto.layout) for source, _ in choices] + choices[-1:]
        for source, target in choices:
            parts = [kind, self.algorithm, source, weights, self._bias_layout, target, *self._geometry]
            try:
                return self.describe(f"{self.kind}_forward", *parts, attributes=attributes)
            except RefusedError as error:
                refused = error
        raise refused

    def _has_few_channels(self) -> bool:
        """Tell whether blocks of channels would be half empty, and channels last are nothing new for the neighbours."""
        channels, filters = self.x.sizes[1], self._sizes[1]
        is_image = self.kind == "convolution" and len(self._sizes) == len(self._weights_layout.dims) == _AXES
        return (
            is_image
            and _HALF in (channels, filters)
            and filters in c.TAG_BLOCKS
            and self.x.layout.is_same_memory(self.context.plain(self.x.sizes))
        )

    def _chosen(self, sizes: tuple[int, ...]) -> Description:
        """Return sizes of values whose layout the library is to choose, or channels last."""
        return self.context.plain(sizes) if self._is_lean else self.factor(sizes)

    def _weights_as(self, layout: Description, steps: list[Step]) -> Memory:
        return self.read(self._weights, layout, steps, counts=False)

    def _layouts(self, weights: tuple[int, ...], axes: int) -> tuple[Description, Description, int]:
        """Return the layouts of weights (h, w, C, F) and bias, and the number of filters."""
        channels, filters = weights[axes:]
        strides = _steps(weights)
        sizes = (filters, channels, *weights[:axes])
        layout = self.context.strided(sizes, (strides[axes + 1], strides[axes], *strides[:axes]))
        return layout, self.context.strided((filters,), (1,)), filters

    def _bias_order(self) -> Any:
        return None

    def _bias_room(self) -> np.ndarray:
        return self.gradient(2)

    def _bias_gradient(self, array: np.ndarray) -> np.ndarray:
        return array

    @staticmethod
    def _output_size(
        size: tuple[int, ...],
        window: tuple[int, ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        before: tuple[int, ...],
        after: tuple[int, ...],
    ) -> tuple[int, ...]:
        return tuple(
            (length + first + last - ((extent - 1) * apart + 1)) // step + 1
            for length, extent, step, apart, first, last in zip(
                size, window, stride, dilation, before, after, strict=True
            )
        )

    def build_backward(self, d_output: Tensor, wanted: tuple[bool, ...]) -> Backward:
        """Return the calls of the backward."""
        steps: list[Step] = []
        gradients: list[Tensor | np.ndarray | None] = [None, None, None]
        if self._rectified:
            d_output = self.before_relu(d_output, steps)
        if wanted[1] or wanted[2]:
            gradients[1:] = self._parameter_gradients(d_output, steps, wanted)
        if wanted[0]:
            gradients[0] = self._data_gradient(d_output, steps)
        return Backward(steps, gradients)

    def _parameter_gradients(self, d_output: Tensor, steps: list[Step], wanted: tuple[bool, ...]) -> list[Any]:
        context, sizes = self.context, self._weights_layout.dims
        description = self.describe(
            f"{self.kind}_backward_weights",
            self.algorithm,
            self.factor(self.x.sizes),
            context.any(sizes),
            self._bias_layout,
            self._chosen(self._sizes),
            *self._geometry,
            self._forward,
        )
        weights, after, d_weights = self.result(
            1, description.layout(c.QUERY_DIFF_WEIGHTS, sizes), self._weights_layout
        )
        flat = self._bias_room()
        memories = {
            c.ARG_SRC: self.read(self.x, description.layout(c.QUERY_SRC, self.x.sizes), steps),
            c.ARG_DIFF_DST: self.read(d_output, description.layout(c.QUERY_DIFF_DST, self._sizes), steps),
            c.ARG_DIFF_WEIGHTS: weights,
            c.ARG_DIFF_BIAS: Memory(self._bias_layout, flat),
        }
        steps += [context.call(description, memories), *after]
        d_bias = self._bias_gradient(flat)
        return [d_weights if wanted[1] else None, d_bias if wanted[2] else None]

    def _data_gradient(self, d_output: Tensor, steps: list[Step]) -> Produced:
        context, sizes = self.context, self._weights_layout.dims
        description = self.describe(
            f"{self.kind}_backward_data",
            self.algorithm,
            context.any(self.x.sizes),
            self.factor(sizes),
            self._chosen(self._sizes),
            *self._geometry,
            self._forward,
        )
        given = description.layout(c.QUERY_DIFF_SRC, self.x.sizes)
        d_x = self.passing(self.x.shape, given.in_blocks() if self._is_lean else given)
        memories = {
            c.ARG_DIFF_DST: self.read(d_output, description.layout(c.QUERY_DIFF_DST, self._sizes), steps),
            c.ARG_WEIGHTS: self._weights_as(description.layout(c.QUERY_WEIGHTS, sizes), steps),
            c.ARG_DIFF_SRC: d_x.copy(given).memory,
        }
        steps.append(context.call(description, memories))
        return d_x


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous array, in elements."""
    strides = [1]
    for length in shape[:0:-1]:
        strides.append(strides[-1] * length)
    return tuple(strides[::-1])


class GroupedConvolution(Convolution):
    """``grouped_convolution2d``: weights (h, w, C, F, G), bias (1, 1, F, G); the filters of a group lie together."""

    def _layouts(self, weights: tuple[int, ...], axes: int) -> tuple[Description, Description, int]:
        channels, filters, groups = weights[axes:]
        strides = _steps(weights)
        sizes = (groups, filters, channels, *weights[:axes])
        layout = self.context.strided(sizes, (1, strides[axes + 1], strides[axes], *strides[:axes]))
        return layout, self.context.strided((filters * groups,), (1,)), filters * groups

    def _bias_order(self) -> Any:
        return lambda bias: bias.reshape(bias.shape[-2:]).T.ravel()

    def _bias_room(self) -> np.ndarray:
        return np.zeros(self._bias_layout.dims, np.float32)

    def _bias_gradient(self, array: np.ndarray) -> np.ndarray:
        filters, groups = self.shape_of(2)[-2:]
        return array.reshape(groups, filters).T.reshape(self.shape_of(2))


class TransposedConvolution(Convolution):
    """``transposed_convolution2d``: weights (h, w, F, C), bias (1, 1, F)."""

    kind = "deconvolution"
    algorithm = c.DECONVOLUTION_DIRECT

    def build(self, *, stride: tuple[int, ...], cropping: tuple[int, ...], **attributes: Any) -> Tensor:  # type: ignore[override]
        """Put the calls of the forward into ``steps`` and return the output."""
        return super().build(stride=stride, padding=cropping, **attributes)

    def _layouts(self, weights: tuple[int, ...], axes: int) -> tuple[Description, Description, int]:
        filters, channels = weights[axes:]
        strides = _steps(weights)
        sizes = (filters, channels, *weights[:axes])
        layout = self.context.strided(sizes, (strides[axes], strides[axes + 1], *strides[:axes]))
        return layout, self.context.strided((filters,), (1,)), filters

    @staticmethod
    def _output_size(
        size: tuple[int, ...],
        window: tuple[int, ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        before: tuple[int, ...],
        after: tuple[int, ...],
    ) -> tuple[int, ...]:
        return tuple(
            (length - 1) * step + extent - first - last
            for length, extent, step, first, last in zip(size, window, stride, before, after, strict=True)
        )
