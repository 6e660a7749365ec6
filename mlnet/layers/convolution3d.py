"""The convolution layer for 3-D images."""

from __future__ import annotations

from mlnet.layers.filters import ConvolutionLayer, convolution_options, filter_learnables, filter_length, filter_table
from mlnet.options import constructs


class Convolution3DLayer(ConvolutionLayer):
    """Slides filters over 3-D images."""

    type_name = "Convolution"
    base_name = "conv3d"
    dimensions = 3
    weights_and_bias = filter_learnables(3)
    length = filter_length(3)
    table = filter_table(3, weights_and_bias, *convolution_options(3))


@constructs(Convolution3DLayer)
def convolution3dLayer() -> None:
    """Create a layer that slides filters over 3-D images and adds a bias.

    The output has ``floor((input + padding - ((FilterSize - 1) * DilationFactor + 1)) / Stride) + 1`` elements in each
    dimension. The filters are not flipped (cross-correlation).

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import convolution3dLayer
    >>> convolution3dLayer(3, 16, Padding=1)
      Convolution3DLayer with properties:
    <BLANKLINE>
                  Name: ''
    <BLANKLINE>
       Hyperparameters
            FilterSize: [3 3 3]
           NumChannels: 'auto'
            NumFilters: 16
                Stride: [1 1 1]
        DilationFactor: [1 1 1]
           PaddingMode: 'manual'
           PaddingSize: [2x3 double]
    <BLANKLINE>
       Learnable Parameters
               Weights: []
                  Bias: []
    <BLANKLINE>
      Show all properties
    """
