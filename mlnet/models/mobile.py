"""A known network of separable convolutions: MobileNet-v2."""

from __future__ import annotations

from typing import Any

from mlnet.layers.activation import clippedReluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.output import classificationLayer
from mlnet.layers.pooling import globalAveragePooling2dLayer
from mlnet.models.assembly import Assembly, conv_bn
from mlnet.models.weights import known_network
from mlnet.network.layer_graph import LayerGraph

_EPSILON = 1e-3
_OPTIONS: dict[str, Any] = {"Padding": "same", "BiasLearnRateFactor": 0}
"""The convolutions have no bias: it starts at zero and is not trained."""

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and stride of the first block: Sandler et al., table 2."""


def _block(name: str, channels: int, expansion: int, made: int, stride: int) -> list[Layer]:
    """Return the layers that expand the channels, filter each of them and project them down."""
    wide = channels * expansion
    expand: list[Layer] = []
    if expansion > 1:
        expand = [
            *conv_bn(1, wide, f"{name}_expand", f"{name}_expand_BN", _EPSILON, **_OPTIONS),
            clippedReluLayer(6, Name=f"{name}_expand_relu"),
        ]
    return [
        *expand,
        groupedConvolution2dLayer(3, 1, "channel-wise", Stride=stride, Name=f"{name}_depthwise", **_OPTIONS),
        batchNormalizationLayer(Name=f"{name}_depthwise_BN", Epsilon=_EPSILON),
        clippedReluLayer(6, Name=f"{name}_depthwise_relu"),
        *conv_bn(1, made, f"{name}_project", f"{name}_project_BN", _EPSILON, **_OPTIONS),
    ]


@known_network
def mobilenetv2() -> LayerGraph:
    """Return MobileNet-v2, for 1000 classes of images of 224x224x3: 154 layers with 3.5 million learnables.

    As in MATLAB, batch normalization has an Epsilon of 0.001, and the convolutions have a bias, which starts at zero
    and is not trained here.

    {weights}

    References
    ----------
    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = mobilenetv2(Weights='none')
    >>> len(lgraph.Layers), len(lgraph.Connections)
    (154, 163)
    >>> lgraph.Layers[-4:]
      4x1 Layer array with layers:
    <BLANKLINE>
         1   'global_average_pooling2d_1'   Global Average Pooling   Global average pooling
         2   'Logits'                       Fully Connected          1000 fully connected layer
         3   'Logits_softmax'               Softmax                  softmax
         4   'ClassificationLayer_Logits'   Classification Output    crossentropyex
    """
    net = Assembly(
        imageInputLayer([224, 224, 3], Normalization="zscore", Name="input_1"),
        *conv_bn(3, 32, "Conv1", "bn_Conv1", _EPSILON, Stride=2, **_OPTIONS),
        clippedReluLayer(6, Name="Conv1_relu"),
    )
    channels, number = 32, 0
    for expansion, made, count, first in _STAGES:
        for place in range(count):
            name = f"block_{number}" if number else "expanded_conv"
            layers = _block(name, channels, expansion, made, first if place == 0 else 1)
            if place:
                net.residual(layers, [], f"{name}_add")
            else:
                net.append(*layers)
            channels, number = made, number + 1
    net.append(
        *conv_bn(1, 1280, "Conv_1", "Conv_1_bn", _EPSILON, BiasLearnRateFactor=0),
        clippedReluLayer(6, Name="out_relu"),
        globalAveragePooling2dLayer(Name="global_average_pooling2d_1"),
        fullyConnectedLayer(1000, Name="Logits"),
        softmaxLayer(Name="Logits_softmax"),
        classificationLayer(Name="ClassificationLayer_Logits"),
    )
    return net.graph()
