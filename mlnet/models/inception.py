"""Known networks whose modules join branches along the channels: GoogLeNet and SqueezeNet."""

from __future__ import annotations

from typing import Any

from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.combination import depthConcatenationLayer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.dropout import dropoutLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.normalization import crossChannelNormalizationLayer
from mlnet.layers.output import classificationLayer
from mlnet.layers.pooling import globalAveragePooling2dLayer, maxPooling2dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.weights import known_network
from mlnet.network.layer_graph import LayerGraph

_ROUND_UP = [0, 1, 0, 1]
"""Padding with which windows of 3 and stride 2 make half of an even length, as rounding up did in the originals."""

_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Filters of GoogLeNet's modules, Szegedy et al., table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""


def _join(net: Assembly, name: str, branches: list[list[Layer]]) -> None:
    """Add branches behind the last layer, and the layer ``name`` that joins them along the channels."""
    start = net.last
    ends = [net.append(*branch, after=start) for branch in branches]
    net.append(depthConcatenationLayer(len(branches), Name=name), after=ends[0])
    for number, end in enumerate(ends[1:], start=2):
        net.wire(end, name, to=f"in{number}")


def _unit(prefix: str, name: str, size: int, filters: int, **options: Any) -> list[Layer]:
    """Return a convolution that keeps height and width, and its activation: 'prefix-name', 'prefix-relu_name'."""
    return [
        convolution2dLayer(size, filters, Padding=size // 2, Name=f"{prefix}-{name}", **options),
        reluLayer(Name=f"{prefix}-relu_{name}"),
    ]


@known_network
def googlenet() -> LayerGraph:
    """Return GoogLeNet, for 1000 classes of images of 224x224x3: 144 layers with 7.0 million learnables.

    The auxiliary classifiers of the publication are left out, as in MATLAB.

    {weights}

    References
    ----------
    Szegedy et al., "Going Deeper with Convolutions", 2014.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = googlenet(Weights='none')
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [144x1 nnet.cnn.layer.Layer]
        Connections: [170x2 table]
         InputNames: {'data'}
        OutputNames: {'output'}

    Transfer learning replaces the last learnable layer and the output layer:

    >>> lgraph = replaceLayer(lgraph, 'loss3-classifier', fullyConnectedLayer(5, Name='fc'))
    >>> lgraph = replaceLayer(lgraph, 'output', classificationLayer(Name='output'))
    """
    faster_bias = {"BiasLearnRateFactor": 2}
    net = Assembly(
        imageInputLayer([224, 224, 3], Name="data"),
        convolution2dLayer(7, 64, Stride=2, Padding=3, Name="conv1-7x7_s2", **faster_bias),
        reluLayer(Name="conv1-relu_7x7"),
        maxPooling2dLayer(3, Stride=2, Padding=_ROUND_UP, Name="pool1-3x3_s2"),
        crossChannelNormalizationLayer(5, K=1, Name="pool1-norm1"),
        *_unit("conv2", "3x3_reduce", 1, 64, **faster_bias),
        *_unit("conv2", "3x3", 3, 192, **faster_bias),
        crossChannelNormalizationLayer(5, K=1, Name="conv2-norm2"),
        maxPooling2dLayer(3, Stride=2, Padding=_ROUND_UP, Name="pool2-3x3_s2"),
    )
    for module, (one, reduce3, three, reduce5, five, projection) in _INCEPTION.items():
        name = f"inception_{module}"
        branches = [
            _unit(name, "1x1", 1, one, **faster_bias),
            [
                *_unit(name, "3x3_reduce", 1, reduce3, **faster_bias),
                *_unit(name, "3x3", 3, three, **faster_bias),
            ],
            [
                *_unit(name, "5x5_reduce", 1, reduce5, **faster_bias),
                *_unit(name, "5x5", 5, five, **faster_bias),
            ],
            [
                maxPooling2dLayer(3, Padding=1, Name=f"{name}-pool"),
                *_unit(name, "pool_proj", 1, projection, **faster_bias),
            ],
        ]
        _join(net, f"{name}-output", branches)
        if module in ("3b", "4e"):
            net.append(maxPooling2dLayer(3, Stride=2, Padding=_ROUND_UP, Name=f"pool{module[0]}-3x3_s2"))
    net.append(
        globalAveragePooling2dLayer(Name="pool5-7x7_s1"),
        dropoutLayer(0.4, Name="pool5-drop_7x7_s1"),
        fullyConnectedLayer(1000, Name="loss3-classifier", **faster_bias),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="output"),
    )
    return net.graph()


_FIRE = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}
"""Filters that squeeze, and filters of each size that expand, by the number of the fire module."""


@known_network
def squeezenet() -> LayerGraph:
    """Return SqueezeNet 1.1, for 1000 classes of images of 227x227x3: 68 layers with 1.24 million learnables.

    Version 1.1 has 3x3 filters in the first layer and makes the images small earlier than the publication.

    {weights}

    References
    ----------
    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = squeezenet(Weights='none')
    >>> lgraph.Layers[-6:]
      6x1 Layer array with layers:
    <BLANKLINE>
         1   'drop9'                             Dropout                  50% dropout
         2   'conv10'                            Convolution              1000 1x1 convolutions with stride [1  1] and padding [0  0  0  0]
         3   'relu_conv10'                       ReLU                     ReLU
         4   'pool10'                            Global Average Pooling   Global average pooling
         5   'prob'                              Softmax                  softmax
         6   'ClassificationLayer_predictions'   Classification Output    crossentropyex
    """  # noqa: E501
    net = Assembly(
        imageInputLayer([227, 227, 3], Name="data"),
        convolution2dLayer(3, 64, Stride=2, Name="conv1"),
        reluLayer(Name="relu_conv1"),
        maxPooling2dLayer(3, Stride=2, Name="pool1"),
    )
    for number, (squeeze, expand) in _FIRE.items():
        name = f"fire{number}"
        net.append(*_unit(name, "squeeze1x1", 1, squeeze))
        _join(net, f"{name}-concat", [_unit(name, f"expand{size}x{size}", size, expand) for size in (1, 3)])
        if number in (3, 5):
            net.append(maxPooling2dLayer(3, Stride=2, Padding=_ROUND_UP, Name=f"pool{number}"))
    net.append(
        dropoutLayer(0.5, Name="drop9"),
        convolution2dLayer(1, 1000, Name="conv10"),
        reluLayer(Name="relu_conv10"),
        globalAveragePooling2dLayer(Name="pool10"),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="ClassificationLayer_predictions"),
    )
    return net.graph()
