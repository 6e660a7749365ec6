"""Transposed convolution layers, which make images and sequences larger."""

from __future__ import annotations

from functools import partial

import numpy as np

from mlnet.layers.base import Call, Learnable, Size, SizeError
from mlnet.layers.filters import FilterLayer, filter_learnables, filter_length, filter_table
from mlnet.layers.windowed import (
    border_options,
    border_pairs,
    is_along_time,
    need_dimensions,
    scalar_or_tuple,
    vector,
)
from mlnet.options import Table, constructs

_ORDER = "NumFilters x NumChannels"
_CROPPING = "What is cut off around the output; 'same' makes the output input * Stride."


def _table(count: int, learnables: tuple[Learnable, ...]) -> Table:
    return filter_table(count, learnables, *border_options("Cropping", count, _CROPPING))


class _TransposedConvolutionLayer(FilterLayer):
    """Spreads each element of the input with filters."""

    border = "Cropping"
    kind = "transposed convolutions"

    def output_size(self, size: Size) -> Size:
        """Return ``(input - 1) * Stride + FilterSize - cropping``; the number of time steps stays open."""
        need_dimensions(size, self.dimensions)
        if is_along_time(self, size):
            return Size(size.format, (self.NumFilters,))
        sizes = zip(size.spatial, vector(self.Stride), self.extents(), self._cropping(), strict=True)
        spatial = tuple((n - 1) * step + extent - sum(crop) for n, step, extent, crop in sizes)
        if min(spatial) < 1:
            came = f"{size}, of which cropping leaves {'x'.join(str(max(0, n)) for n in spatial)}"
            raise SizeError("an input of which cropping leaves something", came, "Use less cropping or larger filters.")
        return Size(size.format, (*spatial, self.NumFilters))

    def last_axes(self, size: Size) -> tuple[int, int]:
        """Return filters before channels."""
        return self.NumFilters, size.channels

    def fan_in_axes(self) -> tuple[int, ...]:
        """Return the axes of the filter size and the last."""
        return (*range(self.dimensions), self.dimensions + 1)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the transposed convolution with its cropping resolved."""
        stride, cropping = vector(self.Stride), tuple(n for pair in self._cropping() for n in pair)
        time = None
        if is_along_time(self, size):
            time = partial(_lengths, extent=self.extents()[0], stride=stride[0], cropping=sum(cropping))
        attributes = {"stride": scalar_or_tuple(stride), "cropping": cropping}
        name = f"transposed_convolution{self.dimensions}d"
        return self.reparameterized(Call(name, ("Weights", "Bias"), attributes, time=time))

    def _cropping(self) -> list[tuple[int, int]]:
        """Return (before, after) of each dimension.

        'same' cuts off ``FilterSize - Stride``, an odd total gives the extra element to the end; where the stride is
        larger, the missing elements are added at the end.
        """
        if not isinstance(self.Cropping, str):
            return border_pairs(self.Cropping)
        totals = [extent - step for extent, step in zip(self.extents(), vector(self.Stride), strict=True)]
        return [(max(0, total) // 2, total - max(0, total) // 2) for total in totals]


def _lengths(lengths: np.ndarray, *, extent: int, stride: int, cropping: int) -> np.ndarray:
    """Return how many steps sequences with ``lengths`` have after cropping; none where nothing is left."""
    return np.maximum((lengths - 1) * stride + extent - cropping, 0)


class TransposedConvolution1DLayer(_TransposedConvolutionLayer):
    """Makes sequences longer, or 1-D images larger."""

    type_name = "1-D Transposed Convolution"
    base_name = "transposed-conv1d"
    dimensions = 1
    weights_and_bias = filter_learnables(1, _ORDER)
    length = filter_length(1)
    table = _table(1, weights_and_bias)


@constructs(TransposedConvolution1DLayer)
def transposedConv1dLayer() -> None:
    """Create a layer that spreads each step of sequences or 1-D images with filters, and adds a bias.

    The output has ``(input - 1) * Stride + FilterSize - cropping`` steps.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import transposedConv1dLayer
    >>> transposedConv1dLayer(4, 16, Stride=2, Cropping='same').description()
    "16 4 transposed convolutions with stride 2 and cropping 'same'"
    """


class TransposedConvolution2DLayer(_TransposedConvolutionLayer):
    """Makes images larger."""

    type_name = "Transposed Convolution"
    base_name = "transposed-conv"
    dimensions = 2
    weights_and_bias = filter_learnables(2, _ORDER)
    length = filter_length(2)
    table = _table(2, weights_and_bias)


@constructs(TransposedConvolution2DLayer)
def transposedConv2dLayer() -> None:
    """Create a layer that spreads each pixel of 2-D images with filters, and adds a bias.

    It is what a convolution does to gradients, as a layer: the output has
    ``(input - 1) * Stride + FilterSize - cropping`` rows and columns. The weights have filters before channels.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Zeiler et al., 2010. With Cropping='same' an odd total cuts the extra row off the bottom, the extra column off the
    right; where Stride is larger than FilterSize, rows and columns of the bias are added there.

    Examples
    --------
    >>> from mlnet import transposedConv2dLayer
    >>> transposedConv2dLayer(4, 16, Stride=2, Cropping=1)
      TransposedConvolution2DLayer with properties:
    <BLANKLINE>
                Name: ''
    <BLANKLINE>
       Hyperparameters
          FilterSize: [4 4]
         NumChannels: 'auto'
          NumFilters: 16
              Stride: [2 2]
        CroppingMode: 'manual'
        CroppingSize: [1 1 1 1]
    <BLANKLINE>
       Learnable Parameters
             Weights: []
                Bias: []
    <BLANKLINE>
      Show all properties
    """


class TransposedConvolution3DLayer(_TransposedConvolutionLayer):
    """Makes 3-D images larger."""

    type_name = "Transposed Convolution"
    base_name = "transposed-conv3d"
    dimensions = 3
    weights_and_bias = filter_learnables(3, _ORDER)
    length = filter_length(3)
    table = _table(3, weights_and_bias)


@constructs(TransposedConvolution3DLayer)
def transposedConv3dLayer() -> None:
    """Create a layer that spreads each element of 3-D images with filters, and adds a bias.

    The output has ``(input - 1) * Stride + FilterSize - cropping`` elements in each dimension.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import transposedConv3dLayer
    >>> transposedConv3dLayer(2, 8, Stride=2).description()
    '8 2x2x2 transposed convolutions with stride [2  2  2] and cropping [0  0  0; 0  0  0]'
    """
