"""deeplabv3plusLayers: DeepLab v3+ around a known residual network."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mlnet.errors import NotSupportedError, OptionError
from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.combination import depthConcatenationLayer
from mlnet.layers.convolution import Convolution2DLayer, convolution2dLayer
from mlnet.layers.crop import crop2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.pixel_output import pixelClassificationLayer
from mlnet.layers.transposed_convolution import transposedConv2dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.options import image_size, network_function, num_classes
from mlnet.models.residual import resnet18, resnet50
from mlnet.models.weights import WEIGHTS, weights_not_shipped
from mlnet.network.layer_graph import LayerGraph, layerGraph
from mlnet.options import Argument, Group, Option
from mlnet.rules import choice, number

_NETWORKS = {"resnet18": (resnet18, "res2b_relu"), "resnet50": (resnet50, "activation_10_relu")}
"""The function of each network, and the layer whose details the decoder sees."""

_OTHERS = ("mobilenetv2", "xception", "inceptionresnetv2")
_RATES = (1, 6, 12, 18)
_NEW: dict[str, Any] = {"BiasLearnRateFactor": 0, "WeightLearnRateFactor": 10}


def bilinear(size: tuple[int, ...]) -> np.ndarray:
    """Return weights (height, width, filters, channels) with which a transposed convolution interpolates each channel.

    A filter of length 2s has the weights ``1 - |i - s + 1/2| / s``, for a stride of s.
    """
    height, width, filters, channels = size
    ramps = [1 - np.abs(np.arange(n) - (n - 1) / 2) / (n / 2) for n in (height, width)]
    return np.einsum("i,j,fc->ijfc", *ramps, np.eye(filters, channels))


def _unit(size: int, filters: int, conv: str, bn: str, relu: str, **options: Any) -> list[Layer]:
    return [
        convolution2dLayer(size, filters, Name=conv, **_NEW, **options),
        batchNormalizationLayer(Name=bn),
        reluLayer(Name=relu),
    ]


def _upsample(filters: int, name: str) -> Layer:
    """Return the layer that makes images four times as high and wide; it is not trained."""
    frozen = {"BiasLearnRateFactor": 0, "WeightLearnRateFactor": 0}
    return transposedConv2dLayer(8, filters, Stride=4, Cropping=2, WeightsInitializer=bilinear, Name=name, **frozen)


def _dilated(layer: Layer) -> Layer:
    """Return a layer of the encoder with the changes after which it halves the images four times instead of five.

    Stage 5 has no stride, and its filters of 3x3 pixels are dilated in place of it.
    """
    found = re.match(r"res([45])", layer.Name)
    new: Any = layer.copy()
    if layer.Name == "max_pooling2d_1":
        new.Padding = "same"
    elif found and isinstance(new, Convolution2DLayer):
        stage = found.group(1)
        has_stride = bool((new.Stride > 1).any())
        if stage == "4" and has_stride:
            new.Padding = "same"
        elif stage == "5":
            new.Stride = 1
            if (new.FilterSize > 1).any():
                new.Padding = "same"
                new.DilationFactor = 1 if has_stride else 2
    return new


def _encoder(options: Any) -> tuple[Assembly, str]:
    """Return the known network without its last four layers, for images of another size, and the name of its input."""
    build, _ = _NETWORKS[options.network]
    given = layerGraph(build(Weights=options.Weights))
    *layers, _, _, _, _ = given.Layers
    first: Any = layers[0]
    statistics = {name: getattr(first, name) for name in first.statistics() if getattr(first, name).size}
    statistics = {
        name: value.mean((0, 1), keepdims=True) if value.ndim == 3 else value for name, value in statistics.items()
    }
    first = imageInputLayer(options.imageSize, Normalization=first.Normalization, Name=first.Name, **statistics)
    net = Assembly()
    net.insert([first, *map(_dilated, layers[1:])], given.wires)
    return net, first.Name


@network_function(
    image_size("imageSize", "height width", needs_channels=True),
    num_classes(),
    Option(
        "network",
        None,
        choice(*_NETWORKS, *_OTHERS),
        "The known network in front; only 'resnet18' and 'resnet50' are there.",
        Group.PLAIN,
        Argument.REQUIRED,
    ),
    Option("DownsamplingFactor", 16, number(8, 16), "How much smaller the deepest features are; only 16 is there."),
    WEIGHTS,
)
def deeplabv3plusLayers(options: Any) -> LayerGraph:
    """Return DeepLab v3+ for semantic segmentation of images with three channels.

    ``lgraph = deeplabv3plusLayers([480, 640, 3], 5, 'resnet18', Weights='none')``. The known network without its last
    layers makes images 16 times smaller; four dilated convolutions look at surroundings of different sizes, and a
    decoder adds details. The two layers that make images larger interpolate bilinearly and are not trained; new
    convolutions learn ten times as fast as those of the known network.

    {parameters}

    Returns
    -------
    LayerGraph
        With a file as Weights, which is one for the known network (see `resnet18`), with values in the layers of that
        network. Of a Mean for each pixel the mean over the pixels is taken.

    Raises
    ------
    NotSupportedError
        Without Weights, or with ``Weights='imagenet'``, which MATLAB takes; for other networks; for a
        DownsamplingFactor of 8.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.
    DataError
        Where the file does not fit; the message lists every entry that does not.

    References
    ----------
    Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", 2018.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = deeplabv3plusLayers([480, 640, 3], 5, 'resnet18', Weights='none')
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [100x1 nnet.cnn.layer.Layer]
        Connections: [113x2 table]
         InputNames: {'data'}
        OutputNames: {'classification'}
    >>> lgraph = replaceLayer(lgraph, 'classification', pixelClassificationLayer(Name='labels'))
    """
    _check(options)
    net, first = _encoder(options)
    deepest, branches = net.last, []
    for place, rate in enumerate(_RATES, start=1):
        names = (f"aspp_Conv_{place}", f"aspp_BatchNorm_{place}", f"aspp_Relu_{place}")
        unit = _unit(1 if rate == 1 else 3, 256, *names, Padding="same", DilationFactor=rate)
        branches.append(net.append(*unit, after=deepest))
    net.append(depthConcatenationLayer(len(branches), Name="catAspp"), after=branches[0])
    for place, branch in enumerate(branches[1:], start=2):
        net.wire(branch, "catAspp", to=f"in{place}")
    up = net.append(*_unit(1, 256, "dec_c1", "dec_bn1", "dec_relu1"), _upsample(256, "dec_upsample1"))
    details = net.append(*_unit(1, 48, "dec_c2", "dec_bn2", "dec_relu2"), after=_NETWORKS[options.network][1])
    net.append(crop2dLayer("centercrop", Name="dec_crop1"), after=up)
    net.wire(details, "dec_crop1", to="ref")
    net.append(depthConcatenationLayer(2, Name="dec_cat1"), after=details)
    net.wire("dec_crop1", "dec_cat1", to="in2")
    net.append(
        *_unit(3, 256, "dec_c3", "dec_bn3", "dec_relu3", Padding="same"),
        *_unit(3, 256, "dec_c4", "dec_bn4", "dec_relu4", Padding="same"),
        convolution2dLayer(1, options.numClasses, Name="scorer", **_NEW),
        _upsample(options.numClasses, "dec_upsample2"),
        crop2dLayer("centercrop", Name="dec_crop2"),
        softmaxLayer(Name="softmax-out"),
        pixelClassificationLayer(Name="classification"),
    )
    net.wire(first, "dec_crop2", to="ref")
    return net.graph()


def _check(options: Any) -> None:
    """Refuse what is not there."""
    if options.network in _OTHERS:
        raise NotSupportedError(
            f"deeplabv3plusLayers: '{options.network}' is not there yet. Use 'resnet18' or 'resnet50'."
        )
    if options.DownsamplingFactor not in (8, 16):
        raise OptionError(
            f"deeplabv3plusLayers: DownsamplingFactor needs 8 or 16, but got {options.DownsamplingFactor}."
        )
    if options.DownsamplingFactor == 8:
        raise NotSupportedError("deeplabv3plusLayers: DownsamplingFactor=8 is not supported yet. Use 16.")
    if options.imageSize[2] != 3:
        raise OptionError(f"deeplabv3plusLayers: imageSize needs three channels, but got {options.imageSize[2]}.")
    if options.Weights == "imagenet":
        raise weights_not_shipped("deeplabv3plusLayers")
