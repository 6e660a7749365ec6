"""fcnLayers: the convolutions of VGG-16 with layers that make scores of every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.activation import softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.combination import additionLayer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.crop import crop2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.pixel_output import pixelClassificationLayer
from mlnet.layers.transposed_convolution import transposedConv2dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.deeplab import bilinear
from mlnet.models.options import image_size, network_function, num_classes
from mlnet.models.series import vgg16
from mlnet.models.weights import WEIGHTS, weights_not_shipped
from mlnet.network.layer_graph import LayerGraph
from mlnet.options import Option
from mlnet.rules import choice, read_only

_SKIPS = {"32s": (), "16s": (4,), "8s": (4, 3)}
"""The stages whose scores are added, by type."""


def _upsample(name: str, classes: int, stride: int) -> Layer:
    """Return the layer that makes scores ``stride`` times as high and wide."""
    return transposedConv2dLayer(
        2 * stride, classes, Stride=stride, WeightsInitializer=bilinear, BiasLearnRateFactor=0, Name=name
    )


@network_function(
    image_size("imageSize", "height width"),
    num_classes(),
    Option("Type", "8s", choice(*_SKIPS), "How much the coarsest scores that are added up are enlarged at the end."),
    WEIGHTS,
)
def fcnLayers(options: Any) -> LayerGraph:
    """Return a fully convolutional network for semantic segmentation around the convolutions of VGG-16.

    ``lgraph = fcnLayers([480, 640], 5, Weights='none')``; images have three channels. Type '32s' enlarges the last
    scores 32 times; '16s' adds those of pool4, '8s' those of pool3 too.

    Differs from MATLAB: the weights of VGG-16 are not shipped, so that Weights is needed. Crops are those of the
    centre.

    {parameters}

    Returns
    -------
    LayerGraph
        With a file as Weights, which is one for `vgg16`, with its weights in the convolutions conv1_1 to conv5_3, fc6
        and fc7.

    Raises
    ------
    NotSupportedError
        Without Weights, or with ``Weights='imagenet'``, which is what MATLAB does.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or images have another number of channels.
    DataError
        Where the file does not fit; the message lists every entry that does not.

    References
    ----------
    Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = fcnLayers([480, 640], 5, Type='8s', Weights='none')
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [51x1 nnet.cnn.layer.Layer]
        Connections: [55x2 table]
         InputNames: {'input'}
        OutputNames: {'pixelLabels'}
    """
    height, width, channels = options.imageSize.tolist()
    if channels not in (1, 3):
        raise OptionError(f"fcnLayers: imageSize: needs images with 3 channels, but got {height}x{width}x{channels}.")
    if options.Weights == "imagenet":
        raise weights_not_shipped("fcnLayers")
    classes = options.numClasses
    source = {layer.Name: layer for layer in vgg16(Weights=options.Weights).Layers} if options.Weights != "none" else {}
    net = Assembly(imageInputLayer([height, width, 3], Name="input"))
    net.append(*_encoder(source))
    net.append(convolution2dLayer(1, classes, WeightsInitializer="zeros", Name="score_fr"))
    skips = _SKIPS[options.Type]
    for number, stage in enumerate(skips):
        up = net.append(_upsample("upscore2" if number == 0 else f"upscore_pool{stage + 1}", classes, 2))
        score = net.append(
            convolution2dLayer(1, classes, WeightsInitializer="zeros", Name=f"score_pool{stage}"), after=f"pool{stage}"
        )
        crop = net.append(crop2dLayer("centercrop", Name=f"score_pool{stage}c"), after=score)
        net.wire(up, crop, to="ref")
        net.append(additionLayer(2, Name=f"fuse_pool{stage}"), after=up)
        net.wire(crop, f"fuse_pool{stage}", to="in2")
    stride = 32 >> len(skips)
    net.append(_upsample("upscore" if stride == 32 else f"upscore{stride}", classes, stride))
    net.append(crop2dLayer("centercrop", Name="score"))
    net.wire("input", "score", to="ref")
    net.append(softmaxLayer(Name="softmax"), pixelClassificationLayer(Name="pixelLabels"))
    return net.graph()


def _encoder(source: dict[str, Any]) -> list[Layer]:
    """Return the layers of VGG-16 up to fc7, all of them convolutions; with the weights of ``source`` if it has any.

    The first convolution adds 100 pixels around the image, so that scores cover all of it.
    """
    layers: list[Layer] = []
    for layer in vgg16("Weights", "none")[1:-3]:
        found: Any = source.get(layer.Name, layer)
        if layer.Name.startswith("fc"):
            size = 7 if layer.Name == "fc6" else 1
            values = {}
            if found.Weights.size:
                values = {"Weights": _as_filters(found.Weights, size), "Bias": found.Bias.reshape(1, 1, -1)}
            layers.append(convolution2dLayer(size, 4096, Name=layer.Name, **values))
        else:
            layers.append(found.replaced(Padding=read_only([100] * 4)) if layer.Name == "conv1_1" else found)
    return layers


def _as_filters(weights: np.ndarray, size: int) -> np.ndarray:
    """Return the weights of a fully connected layer, whose columns are in MATLAB's order, as filters."""
    return np.transpose(weights.reshape(len(weights), size, size, -1, order="F"), (1, 2, 3, 0))
