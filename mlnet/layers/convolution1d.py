"""The convolution layer for sequences and 1-D images."""

from __future__ import annotations

from mlnet.layers.filters import ConvolutionLayer, convolution_options, filter_learnables, filter_length, filter_table
from mlnet.options import constructs


class Convolution1DLayer(ConvolutionLayer):
    """Slides filters along time, or over 1-D images."""

    type_name = "1-D Convolution"
    base_name = "conv1d"
    dimensions = 1
    weights_and_bias = filter_learnables(1)
    length = filter_length(1)
    table = filter_table(1, weights_and_bias, *convolution_options(1))


@constructs(Convolution1DLayer)
def convolution1dLayer() -> None:
    """Create a layer that slides filters along the time of sequences, or over 1-D images, and adds a bias.

    The output has ``floor((input + padding - ((FilterSize - 1) * DilationFactor + 1)) / Stride) + 1`` steps; 'causal'
    adds ``(FilterSize - 1) * DilationFactor`` steps before the input. The filters are not flipped (cross-correlation).

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Differs from MATLAB: the padding of each sequence lies at its own end, also where a mini-batch has sequences of
    different lengths. A sequence that is shorter than a filter, padding included, is refused with a `DataError`.

    Examples
    --------
    >>> from mlnet import convolution1dLayer
    >>> convolution1dLayer(3, 16, Padding='causal')
      Convolution1DLayer with properties:
    <BLANKLINE>
                  Name: ''
    <BLANKLINE>
       Hyperparameters
            FilterSize: 3
           NumChannels: 'auto'
            NumFilters: 16
                Stride: 1
        DilationFactor: 1
           PaddingMode: 'causal'
           PaddingSize: []
    <BLANKLINE>
       Learnable Parameters
               Weights: []
                  Bias: []
    <BLANKLINE>
      Show all properties
    """
