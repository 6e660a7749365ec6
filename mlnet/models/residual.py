"""Known residual networks: ResNet-18, ResNet-50 and ResNet-101."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.output import classificationLayer
from mlnet.layers.pooling import globalAveragePooling2dLayer, maxPooling2dLayer
from mlnet.models.assembly import Assembly, conv_bn
from mlnet.models.weights import known_network
from mlnet.network.layer_graph import LayerGraph

_NO_BIAS = {"BiasLearnRateFactor": 0}
"""The convolutions have no bias: it starts at zero and is not trained."""

Shapes = Callable[[int], list[tuple[int, int]]]
"""From the filters of a stage to (size, filters) of the convolutions of its blocks."""


def _basic(filters: int) -> list[tuple[int, int]]:
    return [(3, filters), (3, filters)]


def _bottleneck(filters: int) -> list[tuple[int, int]]:
    return [(1, filters), (3, filters), (1, 4 * filters)]


class _Caffe:
    """How the networks that came from Caffe name the layers of a block."""

    epsilon = 1e-5
    padding: Any = 1
    alternates = False

    def activation(self, place: str) -> str:
        """Return the name of the next activation, the one behind ``place``."""
        return f"res{place}_relu"

    def sum(self, block: str) -> str:
        """Return the name of the next sum, that of ``block``."""
        return f"res{block}"


class _Keras(_Caffe):
    """How the network that came from Keras does: activations and sums are numbered through."""

    epsilon = 1e-3
    padding = "same"
    alternates = True

    def __init__(self) -> None:
        self.activations, self.sums = 1, 0

    def activation(self, place: str) -> str:
        """Return 'activation_2_relu', 'activation_3_relu', ..."""
        self.activations += 1
        return f"activation_{self.activations}_relu"

    def sum(self, block: str) -> str:
        """Return 'add_1', 'add_2', ..."""
        self.sums += 1
        return f"add_{self.sums}"


def _block_names(counts: tuple[int, ...], numbered: tuple[int, ...] = ()) -> list[list[str]]:
    """Return the names of blocks by stage: 2a, 2b, 2c, ..., in ``numbered`` stages 2a, 2b1, 2b2, ..."""
    names = []
    for stage, count in enumerate(counts, start=2):
        others = [f"b{number}" for number in range(1, count)] if stage in numbered else list("bcdefg"[: count - 1])
        names.append([f"{stage}{block}" for block in ("a", *others)])
    return names


def _add_stages(net: Assembly, names: list[list[str]], shapes: Shapes, style: _Caffe) -> None:
    """Add stages of blocks; each stage but the first begins with a stride of 2."""
    channels = 64
    for stage, blocks in enumerate(names):
        for number, name in enumerate(blocks):
            stride = 2 if number == 0 and stage > 0 else 1
            channels = _add_block(net, name, channels, shapes(64 * 2**stage), stride, style)


def _add_block(
    net: Assembly, name: str, channels: int, shapes: list[tuple[int, int]], stride: int, style: _Caffe
) -> int:
    """Add convolutions around which a shortcut leads, and return the number of channels behind their sum.

    The first convolution has the stride. The shortcut is a convolution where the branch changes the size.
    """
    main: list[Layer] = []
    place = ""
    for letter, (size, filters) in zip("abc"[: len(shapes)], shapes, strict=True):
        if main:
            main.append(reluLayer(Name=style.activation(place)))
        place = f"{name}_branch2{letter}"
        options = {"Padding": style.padding if size > 1 else 0, "Stride": 1 if main else stride, **_NO_BIAS}
        main += conv_bn(size, filters, f"res{place}", f"bn{place}", style.epsilon, **options)
    made = shapes[-1][1]
    shortcut = []
    if stride > 1 or made != channels:
        place = f"{name}_branch1"
        shortcut = conv_bn(1, made, f"res{place}", f"bn{place}", style.epsilon, Stride=stride, **_NO_BIAS)
    net.residual(main, shortcut, style.sum(name), alternates=style.alternates)
    net.append(reluLayer(Name=style.activation(name)))
    return made


def _caffe_ending(net: Assembly) -> LayerGraph:
    net.append(
        globalAveragePooling2dLayer(Name="pool5"),
        fullyConnectedLayer(1000, Name="fc1000"),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="ClassificationLayer_predictions"),
    )
    return net.graph()


def _caffe_beginning(normalization: str, padding: Any) -> Assembly:
    return Assembly(
        imageInputLayer([224, 224, 3], Normalization=normalization, Name="data"),
        *conv_bn(7, 64, "conv1", "bn_conv1", Stride=2, Padding=3, **_NO_BIAS),
        reluLayer(Name="conv1_relu"),
        maxPooling2dLayer(3, Stride=2, Padding=padding, Name="pool1"),
    )


@known_network
def resnet18() -> LayerGraph:
    """Return ResNet-18, for 1000 classes of images of 224x224x3: 71 layers with 11.7 million learnables.

    As in MATLAB, the convolutions have a bias that starts at zero and is not trained.

    {weights}

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = resnet18(Weights='none')
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [71x1 nnet.cnn.layer.Layer]
        Connections: [78x2 table]
         InputNames: {'data'}
        OutputNames: {'ClassificationLayer_predictions'}

    Transfer learning replaces the last learnable layer and the output layer:

    >>> lgraph = replaceLayer(lgraph, 'fc1000', fullyConnectedLayer(5, Name='fc'))
    >>> lgraph = replaceLayer(lgraph, 'ClassificationLayer_predictions', classificationLayer(Name='output'))
    """
    net = _caffe_beginning("zscore", 1)
    _add_stages(net, _block_names((2, 2, 2, 2)), _basic, _Caffe())
    return _caffe_ending(net)


@known_network
def resnet101() -> LayerGraph:
    """Return ResNet-101, for 1000 classes of images of 224x224x3: 347 layers with 44.6 million learnables.

    As in MATLAB, the convolutions have a bias that starts at zero and is not trained.

    {weights}

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = resnet101(Weights='none')
    >>> len(lgraph.Layers), len(lgraph.Connections)
    (347, 379)
    """
    net = _caffe_beginning("zerocenter", [0, 1, 0, 1])
    _add_stages(net, _block_names((3, 4, 23, 3), numbered=(3, 4)), _bottleneck, _Caffe())
    return _caffe_ending(net)


@known_network
def resnet50() -> LayerGraph:
    """Return ResNet-50, for 1000 classes of images of 224x224x3: 177 layers with 25.6 million learnables.

    As in MATLAB, batch normalization has an Epsilon of 0.001, and all convolutions but the first, and fc1000, have a
    bias that starts at zero and is not trained.

    {weights}

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = resnet50(Weights='none')
    >>> lgraph.Layers[-5:]
      5x1 Layer array with layers:
    <BLANKLINE>
         1   'activation_49_relu'           ReLU                     ReLU
         2   'avg_pool'                     Global Average Pooling   Global average pooling
         3   'fc1000'                       Fully Connected          1000 fully connected layer
         4   'fc1000_softmax'               Softmax                  softmax
         5   'ClassificationLayer_fc1000'   Classification Output    crossentropyex
    """
    style = _Keras()
    net = Assembly(
        imageInputLayer([224, 224, 3], Name="input_1"),
        *conv_bn(7, 64, "conv1", "bn_conv1", style.epsilon, Stride=2, Padding=3),
        reluLayer(Name="activation_1_relu"),
        maxPooling2dLayer(3, Stride=2, Padding=1, Name="max_pooling2d_1"),
    )
    _add_stages(net, _block_names((3, 4, 6, 3)), _bottleneck, style)
    net.append(
        globalAveragePooling2dLayer(Name="avg_pool"),
        fullyConnectedLayer(1000, Name="fc1000", **_NO_BIAS),
        softmaxLayer(Name="fc1000_softmax"),
        classificationLayer(Name="ClassificationLayer_fc1000"),
    )
    return net.graph()
