"""segnetLayers: encoder and decoder that hand on where the maxima were."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.pixel_output import pixelClassificationLayer
from mlnet.layers.pooling import maxPooling2dLayer
from mlnet.layers.unpooling import maxUnpooling2dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.options import image_size, network_function, num_classes
from mlnet.models.series import vgg16, vgg19
from mlnet.models.weights import WEIGHTS, weights_not_shipped
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.options import Argument, Group, Option, describe
from mlnet.rules import Refused, Rule, choice, either, integer, is_empty, read_only, row

_VGG = {"vgg16": (vgg16, (2, 2, 3, 3, 3)), "vgg19": (vgg19, (2, 2, 4, 4, 4))}
_VGG_CHANNELS = (64, 128, 256, 512, 512)


def _one_or_several(value: Any) -> np.ndarray:
    if is_empty(value) or isinstance(value, str):
        raise Refused
    return row(integer(), int(np.size(value)), expand=False).convert(value)


_COUNTS = Rule("a positive integer or one for each stage", _one_or_several, ("x", [], None, 0, [1, 0], 1.5))


def _unit(size: Any, filters: int, conv: str, bn: str, relu: str) -> list[Layer]:
    """Return a convolution that keeps height and width, whose bias stays zero, with what follows."""
    height, width = np.broadcast_to(size, 2).tolist()
    padding: Any = "same"
    if height % 2 and width % 2:
        padding = [height // 2, height // 2, width // 2, width // 2]
    return [
        convolution2dLayer(size, filters, Padding=padding, BiasLearnRateFactor=0, Name=conv),
        batchNormalizationLayer(Name=bn),
        reluLayer(Name=relu),
    ]


def _named(place: str, number: int) -> tuple[str, str, str]:
    return f"{place}_conv{number}", f"{place}_bn_{number}", f"{place}_relu_{number}"


def _vgg_named(place: str, number: int) -> tuple[str, str, str]:
    end = f"{place.removeprefix('encoder')}_{number}"
    return f"conv{end}", f"bn_conv{end}", f"relu{end}"


@network_function(
    image_size("imageSize", "height width"),
    num_classes(),
    Option(
        "encoderDepth",
        None,
        either(choice(*_VGG), integer()),
        "Number of stages that halve the images, or the network whose convolutions make the encoder.",
        Group.PLAIN,
        Argument.REQUIRED,
    ),
    Option("NumConvolutionLayers", read_only([2]), _COUNTS, "Number of convolutions in a stage."),
    Option("NumOutputChannels", read_only([64]), _COUNTS, "Number of filters in a stage."),
    Option("FilterSize", read_only([3, 3]), row(integer(), 2), "Size of the filters, pixels."),
    WEIGHTS,
)
def segnetLayers(options: Any) -> LayerGraph:
    """Return a SegNet for semantic segmentation of images.

    ``lgraph = segnetLayers([480, 640, 3], 5, 4)`` has stages of its own, without weights;
    ``lgraph = segnetLayers([480, 640, 3], 5, 'vgg16', Weights='none')`` the convolutions of VGG-16 as the encoder. Each
    stage of the encoder ends with a max pooling layer, which tells the same stage of the decoder where the maxima were.
    Batch normalization follows each convolution, whose bias stays zero.

    {parameters}

    Returns
    -------
    LayerGraph
        With a file as Weights, which is one for `vgg16` or `vgg19`, with its weights in the encoder.

    Raises
    ------
    NotSupportedError
        For 'vgg16' and 'vgg19' without Weights, or with ``Weights='imagenet'``, which MATLAB takes.
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or does not go with the encoder.
    DataError
        Where the file does not fit; the message lists every entry that does not.

    References
    ----------
    Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
    Segmentation", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = segnetLayers([480, 640, 3], 5, 4)
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [59x1 nnet.cnn.layer.Layer]
        Connections: [66x2 table]
         InputNames: {'inputImage'}
        OutputNames: {'pixelLabels'}
    """
    is_vgg = options.encoderDepth in _VGG
    counts, channels, names = (_from_vgg if is_vgg else _from_options)(options)
    net = Assembly(imageInputLayer(options.imageSize, Name="inputImage"))
    pools = []
    for stage, (count, filters) in enumerate(zip(counts, channels, strict=True), start=1):
        for number in range(1, count + 1):
            net.append(*_unit(options.FilterSize, filters, *names(f"encoder{stage}", number)))
        pools.append(f"pool{stage}" if is_vgg else f"encoder{stage}_maxpool")
        net.append(maxPooling2dLayer(2, Stride=2, HasUnpoolingOutputs=True, Name=pools[-1]))
    for stage in range(len(counts), 0, -1):
        place = f"decoder{stage}"
        unpool = net.append(maxUnpooling2dLayer(Name=f"{place}_unpool"))
        for port in ("indices", "size"):
            net.wire(pools[stage - 1], unpool, to=port, output=port)
        for number in range(counts[stage - 1], 0, -1):
            filters = channels[stage - 1]
            if number == 1:
                filters = channels[stage - 2] if stage > 1 else options.numClasses
            net.append(*_unit(options.FilterSize, filters, *_named(place, number)))
    net.append(softmaxLayer(Name="softmax"), pixelClassificationLayer(Name="pixelLabels"))
    return _with_encoder(net.graph(), options) if is_vgg else net.graph()


def _from_options(options: Any) -> tuple[list[int], list[int], Any]:
    """Return convolutions and filters of each stage, and how the layers of the encoder are named."""
    found = []
    for name in ("NumConvolutionLayers", "NumOutputChannels"):
        value = getattr(options, name)
        if len(value) not in (1, options.encoderDepth):
            raise OptionError(
                f"segnetLayers: {name} needs one number, or {options.encoderDepth}, one for each stage, "
                f"but got {describe(value)}."
            )
        found.append(np.broadcast_to(value, options.encoderDepth).tolist())
    if options.Weights not in ("none", "imagenet"):
        raise OptionError("segnetLayers: Weights from a file go only with 'vgg16' and 'vgg19'.")
    return found[0], found[1], _named


def _from_vgg(options: Any) -> tuple[list[int], list[int], Any]:
    """Return convolutions and filters of each stage, and how the layers of the encoder are named."""
    if options.Weights == "imagenet":
        raise weights_not_shipped("segnetLayers")
    if options.imageSize[2] != 3:
        raise OptionError(
            f"segnetLayers: '{options.encoderDepth}' needs an imageSize of three channels, but got "
            f"{options.imageSize[2]}."
        )
    for name, standard in (("NumConvolutionLayers", [2]), ("NumOutputChannels", [64]), ("FilterSize", [3, 3])):
        if getattr(options, name).tolist() != standard:
            raise OptionError(f"segnetLayers: {name} does not go with '{options.encoderDepth}'. Leave it out.")
    return list(_VGG[options.encoderDepth][1]), list(_VGG_CHANNELS), _vgg_named


def _with_encoder(graph: LayerGraph, options: Any) -> LayerGraph:
    """Return the graph with the weights of a file in its encoder."""
    if options.Weights == "none":
        return graph
    known: LayerArray = _VGG[options.encoderDepth][0](Weights=options.Weights).Layers
    weights = {layer.Name: layer.Weights for layer in known if layer.Name.startswith("conv")}
    layers = [layer.replaced(Weights=weights[layer.Name]) if layer.Name in weights else layer for layer in graph.Layers]
    return LayerGraph(layers, graph.wires)
