"""Known networks that are chains of layers: AlexNet, the VGG networks and DarkNet-19."""

from __future__ import annotations

from typing import Any

from mlnet.layers.activation import leakyReluLayer, reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.dropout import dropoutLayer
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.normalization import batchNormalizationLayer, crossChannelNormalizationLayer
from mlnet.layers.output import classificationLayer
from mlnet.layers.pooling import globalAveragePooling2dLayer, maxPooling2dLayer
from mlnet.models.weights import known_network
from mlnet.network.layer_array import LayerArray


def _classifier(**options: Any) -> list[Layer]:
    """Return the fully connected layers that AlexNet and the VGG networks end with."""
    hidden = [
        [
            fullyConnectedLayer(4096, Name=f"fc{number}", **options),
            reluLayer(Name=f"relu{number}"),
            dropoutLayer(0.5, Name=f"drop{number}"),
        ]
        for number in (6, 7)
    ]
    return [
        *(layer for part in hidden for layer in part),
        fullyConnectedLayer(1000, Name="fc8", **options),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="output"),
    ]


@known_network
def alexnet() -> LayerArray:
    """Return AlexNet, for 1000 classes of images of 227x227x3: 25 layers with 61.0 million learnables.

    The convolutions conv2, conv4 and conv5 have two groups.

    {weights}

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = alexnet(Weights='none')
    >>> layers[5:9]
      4x1 Layer array with layers:
    <BLANKLINE>
         1   'conv2'   Grouped Convolution           2 groups of 128 5x5 convolutions with stride [1  1] and padding [2  2  2  2]
         2   'relu2'   ReLU                          ReLU
         3   'norm2'   Cross Channel Normalization   cross channel normalization with 5 channels per element
         4   'pool2'   Max Pooling                   3x3 max pooling with stride [2  2] and padding [0  0  0  0]

    Transfer learning keeps all but the last three layers:

    >>> layers = [*layers[:-3], fullyConnectedLayer(5), softmaxLayer(), classificationLayer()]
    >>> analyzeNetwork(layers).TotalLearnables
    56888709
    """  # noqa: E501
    faster_bias: dict[str, Any] = {"BiasLearnRateFactor": 2}

    def pooled(number: int) -> list[Layer]:
        return [
            crossChannelNormalizationLayer(5, K=1, Name=f"norm{number}"),
            maxPooling2dLayer(3, Stride=2, Name=f"pool{number}"),
        ]

    return LayerArray(
        [
            imageInputLayer([227, 227, 3], Name="data"),
            convolution2dLayer(11, 96, Stride=4, Name="conv1", **faster_bias),
            reluLayer(Name="relu1"),
            *pooled(1),
            groupedConvolution2dLayer(5, 128, 2, Padding=2, Name="conv2", **faster_bias),
            reluLayer(Name="relu2"),
            *pooled(2),
            convolution2dLayer(3, 384, Padding=1, Name="conv3", **faster_bias),
            reluLayer(Name="relu3"),
            groupedConvolution2dLayer(3, 192, 2, Padding=1, Name="conv4", **faster_bias),
            reluLayer(Name="relu4"),
            groupedConvolution2dLayer(3, 128, 2, Padding=1, Name="conv5", **faster_bias),
            reluLayer(Name="relu5"),
            maxPooling2dLayer(3, Stride=2, Name="pool5"),
            *_classifier(**faster_bias),
        ]
    )


def vgg_stages(counts: tuple[int, ...]) -> list[Layer]:
    """Return the stages of a VGG network: ``counts`` convolutions in each, then a maximum over 2x2 pixels."""
    layers: list[Layer] = []
    for stage, count in enumerate(counts, start=1):
        filters = 64 * min(2 ** (stage - 1), 8)
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            layers += [
                convolution2dLayer(3, filters, Padding=1, WeightL2Factor=0, Name=name),
                reluLayer(Name=f"relu{stage}_{number}"),
            ]
        layers.append(maxPooling2dLayer(2, Stride=2, Name=f"pool{stage}"))
    return layers


def _vgg(counts: tuple[int, ...]) -> LayerArray:
    first = imageInputLayer([224, 224, 3], Name="input")
    return LayerArray([first, *vgg_stages(counts), *_classifier(WeightL2Factor=0)])


@known_network
def vgg16() -> LayerArray:
    """Return VGG-16, for 1000 classes of images of 224x224x3: 41 layers with 138.4 million learnables.

    As in MATLAB, WeightL2Factor is 0.

    {weights}

    References
    ----------
    Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = vgg16(Weights='none')
    >>> analyzeNetwork(layers).TotalLearnables
    138357544
    """
    return _vgg((2, 2, 3, 3, 3))


@known_network
def vgg19() -> LayerArray:
    """Return VGG-19, for 1000 classes of images of 224x224x3: 47 layers with 143.7 million learnables.

    As in MATLAB, WeightL2Factor is 0.

    {weights}

    References
    ----------
    Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = vgg19(Weights='none')
    >>> analyzeNetwork(layers).TotalLearnables
    143667240
    """
    return _vgg((2, 2, 4, 4, 4))


_DARKNET = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
"""Filters of the convolutions of each stage: Redmon and Farhadi, table 6; every second of a stage has windows of 1."""


@known_network
def darknet19() -> LayerArray:
    """Return DarkNet-19, for 1000 classes of images of 256x256x3: 64 layers with 20.8 million learnables.

    As in MATLAB, the convolutions have a bias; it starts at zero and, but for the last one, is not trained here.

    {weights}

    References
    ----------
    Redmon and Farhadi, "YOLO9000: Better, Faster, Stronger", 2016.

    Examples
    --------
    >>> from mlnet import *
    >>> layers = darknet19(Weights='none')
    >>> len(layers)
    64
    >>> layers[-4:]
      4x1 Layer array with layers:
    <BLANKLINE>
         1   'conv19'    Convolution              1000 1x1 convolutions with stride [1  1] and padding 'same'
         2   'avg1'      Global Average Pooling   Global average pooling
         3   'softmax'   Softmax                  softmax
         4   'output'    Classification Output    crossentropyex
    """
    layers: list[Layer] = [imageInputLayer([256, 256, 3], Normalization="rescale-zero-one", Name="input")]
    number = 0
    for stage, filters in enumerate(_DARKNET):
        if stage:
            layers.append(maxPooling2dLayer(2, Stride=2, Name=f"pool{stage}"))
        for place, count in enumerate(filters):
            number += 1
            size = 1 if place % 2 else 3
            layers += [
                convolution2dLayer(size, count, Padding="same", BiasLearnRateFactor=0, Name=f"conv{number}"),
                batchNormalizationLayer(Name=f"batchnorm{number}"),
                leakyReluLayer(0.1, Name=f"leaky{number}"),
            ]
    layers += [
        convolution2dLayer(1, 1000, Padding="same", Name="conv19"),
        globalAveragePooling2dLayer(Name="avg1"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="output"),
    ]
    return LayerArray(layers)
