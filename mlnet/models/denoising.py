"""DnCNN, which predicts the noise of an image."""

from __future__ import annotations

from typing import Any

from mlnet.errors import NotSupportedError
from mlnet.layers.activation import reluLayer
from mlnet.layers.base import Layer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.output import regressionLayer
from mlnet.models.options import network_function
from mlnet.network.layer_array import LayerArray
from mlnet.options import Argument, Group, Option
from mlnet.rules import choice, integer


@network_function(Option("NetworkDepth", 20, integer(3), "Number of convolutions."))
def dnCNNLayers(options: Any) -> LayerArray:
    """Return the layers of DnCNN: they take patches of 50x50 gray pixels and put out the noise in them.

    {parameters}

    Returns
    -------
    LayerArray
        59 layers for the default NetworkDepth of 20: convolutions of 64 filters of 3x3, batch normalization behind
        all but the first and the last, ReLU behind all but the last.

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    References
    ----------
    Zhang et al., "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", 2017.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = dnCNNLayers(NetworkDepth=3)
    >>> layers
      8x1 Layer array with layers:
    <BLANKLINE>
         1   'InputLayer'             Image Input           50x50x1 images
         2   'Conv1'                  Convolution           64 3x3x1 convolutions with stride [1  1] and padding [1  1  1  1]
         3   'ReLU1'                  ReLU                  ReLU
         4   'Conv2'                  Convolution           64 3x3x64 convolutions with stride [1  1] and padding [1  1  1  1]
         5   'BNorm2'                 Batch Normalization   Batch normalization with 64 channels
         6   'ReLU2'                  ReLU                  ReLU
         7   'Conv3'                  Convolution           1 3x3x64 convolutions with stride [1  1] and padding [1  1  1  1]
         8   'FinalRegressionLayer'   Regression Output     mean-squared-error
    """  # noqa: E501
    depth = options.NetworkDepth
    layers: list[Layer] = [imageInputLayer([50, 50, 1], Normalization="none", Name="InputLayer")]
    for number in range(1, depth + 1):
        filters = 64 if number < depth else 1
        channels = 64 if number > 1 else 1
        layers.append(
            convolution2dLayer(
                3, filters, NumChannels=channels, Padding=1, WeightsInitializer="he", Name=f"Conv{number}"
            )
        )
        if 1 < number < depth:
            layers.append(batchNormalizationLayer(NumChannels=64, Name=f"BNorm{number}"))
        if number < depth:
            layers.append(reluLayer(Name=f"ReLU{number}"))
    return LayerArray([*layers, regressionLayer(Name="FinalRegressionLayer")])


@network_function(
    Option("modelName", None, choice("DnCNN"), "Name of the network.", Group.PLAIN, Argument.REQUIRED),
)
def denoisingNetwork(options: Any) -> None:
    """Refuse to return a network that has learned to denoise images: trained weights are not shipped with mlnet.

    {parameters}

    Raises
    ------
    NotSupportedError
        Always; `dnCNNLayers` returns the layers, which are to be trained.
    OptionError, UnknownNameError
        Where the argument is missing, not allowed or misspelt.
    """
    raise NotSupportedError(
        f"denoisingNetwork: the trained network '{options.modelName}' is not shipped with mlnet. Train dnCNNLayers() "
        "with noisy patches as inputs and their noise as responses, or load a network of your own."
    )
