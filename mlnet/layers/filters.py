"""What layers of filters over one, two or three dimensions share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Learnable,
    Size,
    SizeError,
    channel_mistakes,
    layer_table,
    num_channels,
    parameter_mistakes,
)
from mlnet.layers.reparameterization import ReparameterizedLayer, reparameterization_options, weight_length
from mlnet.layers.windowed import (
    WindowedLayer,
    border_options,
    ones,
    per_dimension,
    scalar_or_tuple,
    vector,
    window_options,
)
from mlnet.options import Argument, Group, Option, Table
from mlnet.rules import choice, either, integer, number

_PADDING_VALUES = either(number(), choice("symmetric-include-edge", "symmetric-exclude-edge", "replicate"))
_WORDS = {1: "Length", 2: "Height x width", 3: "Height x width x depth"}
_ADDED = "What is added around the input; 'same' makes the output ceil(input / Stride)"

F = TypeVar("F", bound="FilterLayer")


def filter_learnables(count: int, order: str = "NumChannels x NumFilters") -> tuple[Learnable, Learnable]:
    """Return weights and bias of filters over ``count`` dimensions; ``order`` are the last two axes of the weights."""
    bias = _one_for_each(count)
    return (
        Learnable("Weights", "Weight", "glorot", 1, f"{_WORDS[count]} x {order}", WEIGHT_INITIALIZERS),
        Learnable("Bias", "Bias", "zeros", 0, bias),
    )


def filter_length(count: int) -> Learnable:
    """Return the length of filters over ``count`` dimensions."""
    return weight_length(_one_for_each(count))


def _one_for_each(count: int) -> str:
    return " x ".join(["1"] * count + ["NumFilters"])


def filter_table(count: int, learnables: tuple[Learnable, ...], *border: Any) -> Table:
    """Return the table of filters over ``count`` dimensions; ``border`` are the options after the stride."""
    size, stride = window_options("FilterSize", "the filters", count)
    return layer_table(
        size,
        num_channels(Group.HYPERPARAMETERS),
        Option("NumFilters", None, integer(), "Number of filters.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        stride,
        *border,
        *(option for learnable in learnables for option in learnable.options()),
        *reparameterization_options(filter_length(count)),
    )


def convolution_options(count: int) -> tuple[Any, ...]:
    """Return dilation, padding and padding value."""
    names, doc = (("same", "causal"), f"{_ADDED}, 'causal' adds before it only.") if count == 1 else (("same",), _ADDED)
    return (
        Option(
            "DilationFactor",
            ones(count),
            per_dimension(integer(), count),
            "Step between the elements of a filter.",
            Group.HYPERPARAMETERS,
        ),
        *border_options("Padding", count, doc if count == 1 else f"{doc}.", names),
        Option(
            "PaddingValue",
            0,
            _PADDING_VALUES,
            "Value of what is added, or how it is taken from the edge.",
            Group.HYPERPARAMETERS,
            shown=lambda layer: layer.PaddingValue != 0,
        ),
    )


class FilterLayer(ReparameterizedLayer, WindowedLayer):
    """A layer of filters with weights and a bias."""

    window = "FilterSize"
    kind: ClassVar[str] = "convolutions"
    shows_all_link: ClassVar[bool] = True

    def description(self) -> str:
        """Return e.g. "16 3x3x3 convolutions with stride [1  1  1] and padding 'same'"."""
        return f"{self.NumFilters} {self.size_text(self.NumChannels)} {self.kind} with {self.window_text()}"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield channels and parameters that do not fit the input."""
        yield from channel_mistakes(self, size)
        yield from parameter_mistakes(self, size)
        yield from self.reparameterization_mistakes(size)

    def with_size(self: F, size: Size) -> F:
        """Return a copy with NumChannels set."""
        return self.replaced(NumChannels=size.channels)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return filter size x C x F for the weights and 1 x ... x F for the bias and the lengths."""
        if name != "Weights":
            return (*[1] * self.dimensions, self.NumFilters)
        return (*vector(self.FilterSize), *self.last_axes(size))

    def last_axes(self, size: Size) -> tuple[int, int]:
        """Return the last two sizes of the weights."""
        return size.channels, self.NumFilters

    def fan_in_axes(self) -> tuple[int, ...]:
        """Return all axes but the last."""
        return tuple(range(self.dimensions + 1))

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return filter area times channels, and filter area times filters."""
        area = math.prod(vector(self.FilterSize))
        return area * size.channels, area * self.NumFilters


class ConvolutionLayer(FilterLayer):
    """Slides filters over one, two or three dimensions."""

    def output_size(self, size: Size) -> Size:
        """Return the size of what comes out; the number of time steps stays open."""
        return self.windows_output(size, self.NumFilters)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the convolution with its padding resolved."""
        dilation = scalar_or_tuple(vector(self.DilationFactor))
        more = {"dilation": dilation, "padding_value": self.PaddingValue}
        return self.reparameterized(self.windows_call("convolution", ("Weights", "Bias"), size, **more))
