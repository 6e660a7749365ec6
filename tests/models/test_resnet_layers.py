"""resnetLayers: names, sizes, the kinds of blocks, and training."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    OptionError,
    UnknownNameError,
    analyzeNetwork,
    fullyConnectedLayer,
    replaceLayer,
    resnetLayers,
    rng,
    trainingOptions,
    trainNetwork,
)

SMALL = {
    "InitialFilterSize": 3,
    "InitialNumFilters": 8,
    "InitialStride": 1,
    "InitialPoolingLayer": "none",
    "StackDepth": [1, 2],
    "NumFilters": [8, 16],
}


def names(graph, start=None, stop=None):
    return " ".join(layer.Name for layer in graph.Layers[start:stop])


def wires(graph):
    return set(graph.Connections.rows())


def test_the_default_is_resnet50():
    graph = resnetLayers([224, 224, 3], 1000)
    assert (len(graph.Layers), len(graph.Connections)) == (177, 192)
    analysis = analyzeNetwork(graph)
    assert analysis.Mistakes == []
    assert analysis.TotalLearnables == 25_583_592  # with the biases, as `resnet50`
    sizes = dict(zip(analysis.LayerInfo.Name, analysis.LayerInfo.Activations, strict=True))
    assert sizes["maxpool1"] == "56(S) x 56(S) x 64(C) x 1(B)"
    assert sizes["stack4_block3_relu3"] == "7(S) x 7(S) x 2048(C) x 1(B)"
    assert names(graph, 0, 17) == (
        "input conv1 bn1 relu1 maxpool1 stack1_block1_conv1 stack1_block1_bn1 stack1_block1_relu1 stack1_block1_conv2 "
        "stack1_block1_bn2 stack1_block1_relu2 stack1_block1_conv3 stack1_block1_bn3 stack1_block1_skip_conv "
        "stack1_block1_skip_bn stack1_block1_add stack1_block1_relu3"
    )
    assert names(graph, -4) == "gap fc softmax output"
    assert wires(graph) >= {
        ("maxpool1", "stack1_block1_conv1"),
        ("maxpool1", "stack1_block1_skip_conv"),
        ("stack1_block1_bn3", "stack1_block1_add/in1"),
        ("stack1_block1_skip_bn", "stack1_block1_add/in2"),
        ("stack1_block1_relu3", "stack1_block2_add/in2"),
    }
    assert {layer.WeightsInitializer for layer in graph.Layers if hasattr(layer, "WeightsInitializer")} == {"he"}


def test_resnet101_by_depth():
    graph = resnetLayers([224, 224, 3], 10, StackDepth=[3, 4, 23, 3], NumFilters=[64, 128, 256, 512])
    assert (len(graph.Layers), len(graph.Connections)) == (347, 379)


def test_blocks_without_bottleneck():
    graph = resnetLayers([16, 16], 10, BottleneckType="none", **SMALL)
    assert names(graph, 1, 23) == (
        "conv1 bn1 relu1 stack1_block1_conv1 stack1_block1_bn1 stack1_block1_relu1 stack1_block1_conv2 "
        "stack1_block1_bn2 stack1_block1_add stack1_block1_relu2 stack2_block1_conv1 stack2_block1_bn1 "
        "stack2_block1_relu1 stack2_block1_conv2 stack2_block1_bn2 stack2_block1_skip_conv stack2_block1_skip_bn "
        "stack2_block1_add stack2_block1_relu2 stack2_block2_conv1 stack2_block2_bn1 stack2_block2_relu1"
    )
    assert ("relu1", "stack1_block1_add/in2") in wires(graph)
    strides = [layer.Stride.tolist() for layer in graph.Layers if layer.Name.endswith(("block1_conv1", "skip_conv"))]
    assert strides == [[1, 1], [2, 2], [2, 2]]


def test_batch_normalization_behind_the_sum():
    graph = resnetLayers([16, 16], 10, ResidualBlockType="batchnorm-after-add", **SMALL)
    assert names(graph, 4, 15) == (
        "stack1_block1_conv1 stack1_block1_bn1 stack1_block1_relu1 stack1_block1_conv2 stack1_block1_bn2 "
        "stack1_block1_relu2 stack1_block1_conv3 stack1_block1_skip_conv stack1_block1_add stack1_block1_bn3 "
        "stack1_block1_relu3"
    )
    assert wires(graph) >= {
        ("stack1_block1_conv3", "stack1_block1_add/in1"),
        ("stack1_block1_skip_conv", "stack1_block1_add/in2"),
        ("stack1_block1_add", "stack1_block1_bn3"),
        ("stack1_block1_bn3", "stack1_block1_relu3"),
    }
    assert analyzeNetwork(graph).Mistakes == []


@pytest.mark.parametrize("pool, name", [("max", "maxpool1"), ("average", "avgpool1"), ("none", "relu1")])
def test_first_pooling(pool, name):
    graph = resnetLayers([32, 32, 3], 2, InitialPoolingLayer=pool, Normalization="zscore")
    assert graph.Layers(1).Normalization == "zscore"
    assert (name, "stack1_block1_conv1") in wires(graph)


@pytest.mark.parametrize("kind", ["batchnorm-before-add", "batchnorm-after-add"])
def test_training(kind):
    rng(0)
    x = np.random.default_rng(0).normal(size=(16, 16, 2, 32)).astype(np.float32)
    y = np.arange(32) % 3
    x += y
    graph = resnetLayers([16, 16, 2], 3, ResidualBlockType=kind, BottleneckType="none", **SMALL)
    options = trainingOptions("adam", MaxEpochs=5, MiniBatchSize=8, InitialLearnRate=0.01, Verbose=False)
    net = trainNetwork(x, y, graph, options)
    assert np.mean(net.classify(x) == y) > 0.9
    again = replaceLayer(net.to_graph(), "fc", fullyConnectedLayer(2, Name="fc2"))
    assert analyzeNetwork(again).TotalLearnables == analyzeNetwork(graph).TotalLearnables - 17


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: resnetLayers([224, 224, 3]), OptionError, "resnetLayers: the argument numClasses is missing"),
        (
            lambda: resnetLayers([224], 2),
            OptionError,
            r"inputSize: needs \[height width channels\] or \[height width\]",
        ),
        (lambda: resnetLayers([32, 32], 1), OptionError, "numClasses: needs an integer of at least 2, but got 1"),
        (lambda: resnetLayers([32, 32], 2, StackDepth=[]), OptionError, "StackDepth: needs a vector of positive"),
        (lambda: resnetLayers([32, 32], 2, StackDepth=[2, 0]), OptionError, "StackDepth: needs a vector of positive"),
        (
            lambda: resnetLayers([32, 32], 2, StackDepth=[2, 2]),
            OptionError,
            "NumFilters needs as many values as StackDepth, 2, but got 4",
        ),
        (lambda: resnetLayers([32, 32], 2, ResidualBlockType="bottleneck"), OptionError, "'batchnorm-after-add'"),
        (lambda: resnetLayers([32, 32], 2, "StackDpeth", [1]), UnknownNameError, "Did you mean 'StackDepth'"),
        (lambda: resnetLayers([32, 32], 2, nargout=2), UnknownNameError, "there is no option 'nargout'"),
    ],
)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
