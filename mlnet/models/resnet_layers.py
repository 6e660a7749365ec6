"""resnetLayers: residual networks of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.input import NORMALIZATIONS, imageInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.output import classificationLayer
from mlnet.layers.pooling import averagePooling2dLayer, globalAveragePooling2dLayer, maxPooling2dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.options import image_size, network_function, num_classes
from mlnet.network.layer_graph import LayerGraph
from mlnet.options import Option
from mlnet.rules import Refused, Rule, choice, integer, is_empty, read_only, row

_POOLS = {"max": (maxPooling2dLayer, "maxpool1"), "average": (averagePooling2dLayer, "avgpool1"), "none": None}


def _integers(value: Any) -> np.ndarray:
    if is_empty(value) or isinstance(value, str):
        raise Refused
    return row(integer(), int(np.size(value)), expand=False).convert(value)


_SIZE = row(integer(), 2)
_VECTOR = Rule("a vector of positive integers", _integers, ("x", [], None, [0, 1], [1.5]))


def _conv(name: str, size: Any, filters: int, stride: Any = 1) -> Layer:
    return convolution2dLayer(size, filters, Stride=stride, Padding="same", WeightsInitializer="he", Name=name)


def _block(net: Assembly, name: str, filters: int, stride: int, channels: int, options: Any) -> int:
    """Add a residual block, and return the number of channels that it puts out."""
    is_last_bn_behind = options.ResidualBlockType == "batchnorm-after-add"
    sizes = [(3, filters), (3, filters)]
    if options.BottleneckType != "none":
        sizes = [(1, filters), (3, filters), (1, 4 * filters)]
    made, last = sizes[-1][1], len(sizes)
    main: list[Layer] = []
    for number, (size, count) in enumerate(sizes, start=1):
        if main:
            main.append(reluLayer(Name=f"{name}_relu{number - 1}"))
        main.append(_conv(f"{name}_conv{number}", size, count, 1 if main else stride))
        main.append(batchNormalizationLayer(Name=f"{name}_bn{number}"))
    ending: list[Layer] = [reluLayer(Name=f"{name}_relu{last}")]
    shortcut: list[Layer] = []
    if stride > 1 or made != channels:
        shortcut = [_conv(f"{name}_skip_conv", 1, made, stride), batchNormalizationLayer(Name=f"{name}_skip_bn")]
    if is_last_bn_behind:
        ending.insert(0, main.pop())
        shortcut = shortcut[:1]
    net.residual(main, shortcut, f"{name}_add")
    net.append(*ending)
    return made


@network_function(
    image_size("inputSize", "height width"),
    num_classes(),
    Option("InitialFilterSize", read_only([7, 7]), _SIZE, "Size of the first filters."),
    Option("InitialNumFilters", 64, integer(), "Number of the first filters."),
    Option("InitialStride", read_only([2, 2]), _SIZE, "Step of the first filters."),
    Option("InitialPoolingLayer", "max", choice(*_POOLS), "Pooling of 3x3 pixels with stride 2 behind them."),
    Option(
        "ResidualBlockType",
        "batchnorm-before-add",
        choice("batchnorm-before-add", "batchnorm-after-add"),
        "Whether the last batch normalization of a block stands before the sum or behind it.",
    ),
    Option(
        "BottleneckType",
        "downsample-first-conv",
        choice("downsample-first-conv", "none"),
        "Blocks of three convolutions, of which the first has the stride, or of two ('none').",
    ),
    Option("StackDepth", read_only([3, 4, 6, 3]), _VECTOR, "Number of blocks in each stack."),
    Option("NumFilters", read_only([64, 128, 256, 512]), _VECTOR, "Number of filters in each stack."),
    Option("Normalization", "zerocenter", choice(*NORMALIZATIONS), "How the images are normalized."),
)
def resnetLayers(options: Any) -> LayerGraph:
    """Return a residual network with an image input and a classification output, without weights.

    Stacks of blocks follow one another; each but the first begins with a stride of 2. In a block, a shortcut leads
    around two or three convolutions; where the block changes the size, the shortcut is a convolution of 1x1 pixel. With
    a bottleneck the last of three convolutions has four times as many filters. All convolutions have Padding='same',
    and their weights start by 'he'.

    {parameters}

    Returns
    -------
    LayerGraph

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or StackDepth and NumFilters do not have the same length.

    Notes
    -----
    Differs from MATLAB: images may be smaller than InitialStride times the stride of the pooling times the strides of
    the stacks; they shrink to one pixel.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = resnetLayers([224, 224, 3], 10)
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [177x1 nnet.cnn.layer.Layer]
        Connections: [192x2 table]
         InputNames: {'input'}
        OutputNames: {'output'}
    >>> lgraph = resnetLayers([32, 32], 10, InitialFilterSize=3, InitialNumFilters=16, InitialStride=1,
    ...     InitialPoolingLayer='none', BottleneckType='none', StackDepth=[3, 3, 3], NumFilters=[16, 32, 64])
    >>> analyzeNetwork(lgraph).TotalLearnables
    272970
    """
    depths, filters = options.StackDepth.tolist(), options.NumFilters.tolist()
    if len(depths) != len(filters):
        raise OptionError(
            f"resnetLayers: NumFilters needs as many values as StackDepth, {len(depths)}, but got {len(filters)}."
        )
    net = Assembly(
        imageInputLayer(options.inputSize, Normalization=options.Normalization, Name="input"),
        _conv("conv1", options.InitialFilterSize, options.InitialNumFilters, options.InitialStride),
        batchNormalizationLayer(Name="bn1"),
        reluLayer(Name="relu1"),
    )
    pool = _POOLS[options.InitialPoolingLayer]
    if pool:
        net.append(pool[0](3, Stride=2, Padding="same", Name=pool[1]))
    channels = options.InitialNumFilters
    for stack, (depth, count) in enumerate(zip(depths, filters, strict=True), start=1):
        for block in range(1, depth + 1):
            stride = 2 if stack > 1 and block == 1 else 1
            channels = _block(net, f"stack{stack}_block{block}", count, stride, channels, options)
    net.append(
        globalAveragePooling2dLayer(Name="gap"),
        fullyConnectedLayer(options.numClasses, WeightsInitializer="he", Name="fc"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="output"),
    )
    return net.graph()
