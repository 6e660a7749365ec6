"""The convolution layer for images."""

from __future__ import annotations

from mlnet.layers.filters import ConvolutionLayer, convolution_options, filter_learnables, filter_length, filter_table
from mlnet.layers.windowed import in_image_words
from mlnet.options import constructs


class Convolution2DLayer(ConvolutionLayer):
    """Slides filters over images."""

    type_name = "Convolution"
    base_name = "conv"
    dimensions = 2
    weights_and_bias = filter_learnables(2)
    length = filter_length(2)
    table = filter_table(2, weights_and_bias, *in_image_words(convolution_options(2)))


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

    WeightReparameterization, which MATLAB has not: 'weight-normalization': Salimans and Kingma, "Weight
    Normalization", 2016. With WeightLengthInitializer='norm' the first output is that of the plain layer; filters of
    zeros are refused. WeightL2Factor then changes the step of the directions only, WeightLengthL2Factor is the penalty
    of the weights that are applied. 'weight-standardization': Qiao, Wang, Liu, Shen and Yuille, "Micro-Batch Training
    with Batch-Channel Normalization and Weight Standardization", 2019, meant to go before a normalization layer, as
    a filter of n weights then has the length sqrt(n).

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
