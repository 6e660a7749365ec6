"""Convolution layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    channel_mistakes,
    layer_table,
    num_channels,
    parameter_mistakes,
)
from mlnet.layers.windows import padding_options, resolved_padding, window_options, window_output, window_text
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, either, integer, number, read_only, row

_WEIGHTS = Learnable("Weights", "Weight", "glorot", 1, "Height x width x NumChannels x NumFilters", WEIGHT_INITIALIZERS)
_BIAS = Learnable("Bias", "Bias", "zeros", 0, "1 x 1 x NumFilters")
_PADDING_VALUES = either(number(), choice("symmetric-include-edge", "symmetric-exclude-edge", "replicate"))


class Convolution2DLayer(Layer):
    """Slides filters over images."""

    type_name = "Convolution"
    base_name = "conv"
    learnables = (_WEIGHTS, _BIAS)
    shows_all_link: ClassVar[bool] = True
    _size, _stride = window_options("FilterSize", "the filters")
    table = layer_table(
        _size,
        num_channels(Group.HYPERPARAMETERS),
        Option("NumFilters", None, integer(), "Number of filters.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        _stride,
        Option(
            "DilationFactor",
            read_only([1, 1]),
            row(integer(), 2),
            "Vertical and horizontal step between the elements of a filter.",
            Group.HYPERPARAMETERS,
        ),
        *padding_options(),
        Option(
            "PaddingValue",
            0,
            _PADDING_VALUES,
            "Value of the added rows and columns, or how it is taken from the edge.",
            Group.HYPERPARAMETERS,
            shown=lambda layer: layer.PaddingValue != 0,
        ),
        *_WEIGHTS.options(),
        *_BIAS.options(),
    )

    def description(self) -> str:
        """Return e.g. "16 3x3 convolutions with stride [1  1] and padding [1  1  1  1]"."""
        filters = f"{self.FilterSize[0]}x{self.FilterSize[1]}"
        if self.NumChannels != "auto":
            filters += f"x{self.NumChannels}"
        return f"{self.NumFilters} {filters} convolutions with {window_text(self)}"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield channels and parameters that do not fit the input."""
        yield from channel_mistakes(self, size)
        yield from parameter_mistakes(self, size)

    def output_size(self, size: Size) -> Size:
        """Return the size of the filtered images."""
        return Size(size.format, (*window_output(self, size, self._extent()), self.NumFilters))

    def with_size(self, size: Size) -> Convolution2DLayer:
        """Return a copy with NumChannels set."""
        return self.replaced(NumChannels=size.channels)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return h x w x C x F for the weights and 1 x 1 x F for the bias."""
        height, width = (int(n) for n in self.FilterSize)
        return {"Weights": (height, width, size.channels, self.NumFilters), "Bias": (1, 1, self.NumFilters)}[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return filter area times channels, and filter area times filters."""
        area = int(self.FilterSize[0] * self.FilterSize[1])
        return area * size.channels, area * self.NumFilters

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the convolution with its padding resolved."""
        attributes = {
            "stride": tuple(int(n) for n in self.Stride),
            "dilation": tuple(int(n) for n in self.DilationFactor),
            "padding": resolved_padding(self, size.spatial, self._extent()),
            "padding_value": self.PaddingValue,
        }
        return Call("convolution2d", ("Weights", "Bias"), attributes)

    def _extent(self) -> tuple[int, int]:
        height, width = ((int(f) - 1) * int(d) + 1 for f, d in zip(self.FilterSize, self.DilationFactor, strict=True))
        return height, width


@constructs(Convolution2DLayer)
def convolution2dLayer() -> None:
    """Create a layer that slides filters over 2-D images and adds a bias.

    The output has ``floor((input + padding - ((FilterSize - 1) * DilationFactor + 1)) / Stride) + 1`` rows and
    columns. The filters are not flipped (cross-correlation).

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    'glorot': Glorot and Bengio, 2010; 'he': He et al., 2015; 'orthogonal': Saxe et al., 2014.

    Examples
    --------
    >>> from mlnet import convolution2dLayer
    >>> convolution2dLayer(3, 16, Padding='same', Name='conv_1')
      Convolution2DLayer with properties:
    <BLANKLINE>
                  Name: 'conv_1'
    <BLANKLINE>
       Hyperparameters
            FilterSize: [3 3]
           NumChannels: 'auto'
            NumFilters: 16
                Stride: [1 1]
        DilationFactor: [1 1]
           PaddingMode: 'same'
           PaddingSize: []
    <BLANKLINE>
       Learnable Parameters
               Weights: []
                  Bias: []
    <BLANKLINE>
      Show all properties
    """
