"""The convolution layer for images."""

from __future__ import annotations

from mlnet.layers.filters import ConvolutionLayer, convolution_options, filter_learnables, filter_table
from mlnet.layers.windowed import in_image_words
from mlnet.options import constructs


class Convolution2DLayer(ConvolutionLayer):
    """Slides filters over images."""

    type_name = "Convolution"
    base_name = "conv"
    dimensions = 2
    learnables = filter_learnables(2)
    table = filter_table(2, learnables, *in_image_words(convolution_options(2)))


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
