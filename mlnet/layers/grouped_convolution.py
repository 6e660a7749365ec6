"""The convolution layer with groups of channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Learnable,
    Size,
    SizeError,
    auto_or,
    group_mistakes,
    layer_table,
    parameter_mistakes,
)
from mlnet.layers.filters import convolution_options
from mlnet.layers.reparameterization import ReparameterizedLayer, reparameterization_options, weight_length
from mlnet.layers.windowed import WindowedLayer, vector, window_options
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, either, integer

_SHAPE = "Height x width x NumChannelsPerGroup x NumFiltersPerGroup x NumGroups"
_WEIGHTS = Learnable("Weights", "Weight", "glorot", 1, _SHAPE, WEIGHT_INITIALIZERS)
_BIAS = Learnable("Bias", "Bias", "zeros", 0, "1 x 1 x NumFiltersPerGroup x NumGroups")
_LENGTH = weight_length(_BIAS.shape)
_CHANNELS = "Number of channels of one group; inferred from the network when training if 'auto'."
_GROUPS = (
    "Number of groups, a divisor of the channels; 'channel-wise': each channel is a group (depth-wise convolution)."
)


class GroupedConvolution2DLayer(ReparameterizedLayer, WindowedLayer):
    """Slides filters over images, each over the channels of its group only."""

    type_name = "Grouped Convolution"
    base_name = "groupedconv"
    dimensions = 2
    window = "FilterSize"
    weights_and_bias = (_WEIGHTS, _BIAS)
    length = _LENGTH
    shows_all_link: ClassVar[bool] = True
    _size, _stride = window_options("FilterSize", "the filters", 2)
    table = layer_table(
        _size,
        Option(
            "NumFiltersPerGroup",
            None,
            integer(),
            "Number of filters of one group.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option(
            "NumGroups",
            None,
            either(choice("channel-wise"), integer()),
            _GROUPS,
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option("NumChannelsPerGroup", "auto", auto_or(integer()), _CHANNELS, Group.HYPERPARAMETERS, Argument.NONE),
        _stride,
        *convolution_options(2),
        *_WEIGHTS.options(),
        *_BIAS.options(),
        *reparameterization_options(_LENGTH),
    )

    def description(self) -> str:
        """Return e.g. "2 groups of 128 5x5x48 convolutions with stride [1  1] and padding [2  2  2  2]"."""
        groups = "channel-wise" if self.NumGroups == "channel-wise" else self.NumGroups
        filters = self.size_text(self.NumChannelsPerGroup)
        return f"{groups} groups of {self.NumFiltersPerGroup} {filters} convolutions with {self.window_text()}"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield groups, channels and parameters that do not fit the input."""
        groups = self.group_count(size)
        uneven = list(group_mistakes(groups, size))
        if uneven:
            yield from uneven
            return
        if self.NumChannelsPerGroup not in ("auto", size.channels // groups):
            needed = f"{self.NumChannelsPerGroup * groups} channels (NumChannelsPerGroup times NumGroups)"
            fix = f"Use a new {self.constructor_name}, or keep the layers before it as they were."
            yield SizeError(needed, f"an input of {size.text}", fix)
        yield from parameter_mistakes(self, size)
        yield from self.reparameterization_mistakes(size)

    def group_count(self, size: Size) -> int:
        """Return the number of groups for inputs of ``size``."""
        return size.channels if self.NumGroups == "channel-wise" else self.NumGroups

    def output_size(self, size: Size) -> Size:
        """Return the size of the filtered images."""
        return self.windows_output(size, self.NumFiltersPerGroup * self.group_count(size))

    def with_size(self, size: Size) -> GroupedConvolution2DLayer:
        """Return a copy with the numbers of groups and of channels in each set."""
        groups = self.group_count(size)
        return self.replaced(NumGroups=groups, NumChannelsPerGroup=size.channels // groups)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return h x w x C x F x G for the weights and 1 x 1 x F x G for the bias and the lengths."""
        groups = self.group_count(size)
        last = (self.NumFiltersPerGroup, groups)
        return (1, 1, *last) if name != "Weights" else (*vector(self.FilterSize), size.channels // groups, *last)

    def fan_in_axes(self) -> tuple[int, ...]:
        """Return height, width and channels of a group."""
        return (0, 1, 2)

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return filter area times channels, and filter area times filters, both of one group."""
        area = math.prod(vector(self.FilterSize))
        return area * (size.channels // self.group_count(size)), area * self.NumFiltersPerGroup

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the convolution with its padding resolved."""
        more = {"dilation": vector(self.DilationFactor), "padding_value": self.PaddingValue}
        return self.reparameterized(self.windows_call("grouped_convolution", ("Weights", "Bias"), size, **more))


@constructs(GroupedConvolution2DLayer)
def groupedConvolution2dLayer() -> None:
    """Create a layer that slides filters over groups of channels of 2-D images and adds a bias.

    The channels are cut into NumGroups groups of neighbours; each has NumFiltersPerGroup filters that see nothing of
    the other groups, and the output has the channels of the groups one after the other.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Krizhevsky et al., 2012; 'channel-wise': Chollet, 2017. Initializers count the channels and filters of one group.

    Examples
    --------
    >>> from mlnet import groupedConvolution2dLayer
    >>> groupedConvolution2dLayer(5, 128, 2, Padding=2)
      GroupedConvolution2DLayer with properties:
    <BLANKLINE>
                       Name: ''
    <BLANKLINE>
       Hyperparameters
                 FilterSize: [5 5]
         NumFiltersPerGroup: 128
                  NumGroups: 2
        NumChannelsPerGroup: 'auto'
                     Stride: [1 1]
             DilationFactor: [1 1]
                PaddingMode: 'manual'
                PaddingSize: [2 2 2 2]
    <BLANKLINE>
       Learnable Parameters
                    Weights: []
                       Bias: []
    <BLANKLINE>
      Show all properties
    """
