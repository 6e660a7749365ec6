"""Known networks: names, order, options, sizes and counts of what MATLAB's originals have."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

import mlnet
from mlnet import (
    LayerArray,
    NotSupportedError,
    OptionError,
    UnknownNameError,
    analyzeNetwork,
    classificationLayer,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    removeLayers,
    replaceLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def convolutions(*shapes):
    """Return the learnables of convolutions of (size, channels, filters) with bias."""
    return sum(size * size * channels * filters + filters for size, channels, filters in shapes)


def vgg(counts):
    shapes, channels = [], 3
    for stage, count in enumerate(counts):
        for _ in range(count):
            filters = (64, 128, 256, 512, 512)[stage]
            shapes.append((3, channels, filters))
            channels = filters
    return convolutions(*shapes, (7, 512, 4096), (1, 4096, 4096), (1, 4096, 1000))


def resnet(counts, *, is_bottleneck):
    """Return the learnables of a residual network, with biases: weights, biases, and two numbers for each channel."""
    shapes, channels = [(7, 3, 64)], 64
    for stage, count in enumerate(counts):
        width = 64 * 2**stage
        for block in range(count):
            made = 4 * width if is_bottleneck else width
            branch = [(1, channels, width), (3, width, width), (1, width, made)]
            shapes += branch if is_bottleneck else [(3, channels, width), (3, width, width)]
            if block == 0 and made != channels:
                shapes.append((1, channels, made))
            channels = made
    return convolutions(*shapes, (1, channels, 1000)) + sum(2 * filters for _, _, filters in shapes)


def fire(squeeze, expand, channels):
    return convolutions((1, channels, squeeze), (1, squeeze, expand), (3, squeeze, expand))


SQUEEZENET = (
    convolutions((3, 3, 64), (1, 512, 1000))
    + fire(16, 64, 64)
    + fire(16, 64, 128)
    + fire(32, 128, 128)
    + fire(32, 128, 256)
    + fire(48, 192, 256)
    + fire(48, 192, 384)
    + fire(64, 256, 384)
    + fire(64, 256, 512)
)
ALEXNET = (
    convolutions((11, 3, 96), (3, 256, 384), (6, 256, 4096), (1, 4096, 4096), (1, 4096, 1000))
    + 2 * convolutions((5, 48, 128), (3, 192, 192), (3, 192, 128))  # two groups
)
LEARNABLES = {
    # the published numbers beside them are those of the original models
    "alexnet": (ALEXNET, 60_965_224),
    "vgg16": (vgg((2, 2, 3, 3, 3)), 138_357_544),
    "vgg19": (vgg((2, 2, 4, 4, 4)), 143_667_240),
    "squeezenet": (SQUEEZENET, 1_235_496),
    "googlenet": (None, 6_998_552),
    # 11 689 512 and 44 549 160 without biases, and a bias of 4800 and 52 672 filters
    "resnet18": (resnet((2, 2, 2, 2), is_bottleneck=False), 11_689_512 + 4800),
    "resnet101": (resnet((3, 4, 23, 3), is_bottleneck=True), 44_549_160 + 52_672),
    "resnet50": (resnet((3, 4, 6, 3), is_bottleneck=True), 25_583_592),
    "darknet19": (None, 20_842_376 + 7200),
    "mobilenetv2": (None, 3_504_872 + 17_056),  # without the biases of the filters, and with them
}
LAYERS = {  # layers and connections
    "alexnet": (25, 24),
    "vgg16": (41, 40),
    "vgg19": (47, 46),
    "squeezenet": (68, 75),
    "googlenet": (144, 170),
    "resnet18": (71, 78),
    "resnet50": (177, 192),
    "resnet101": (347, 379),
    "mobilenetv2": (154, 163),
    "darknet19": (64, 63),
}
LAST = {  # what the layer before the first global pooling or fully connected layer puts out
    "alexnet": ("pool5", "6(S) x 6(S) x 256(C) x 1(B)"),
    "vgg16": ("pool5", "7(S) x 7(S) x 512(C) x 1(B)"),
    "vgg19": ("pool5", "7(S) x 7(S) x 512(C) x 1(B)"),
    "squeezenet": ("relu_conv10", "14(S) x 14(S) x 1000(C) x 1(B)"),
    "googlenet": ("inception_5b-output", "7(S) x 7(S) x 1024(C) x 1(B)"),
    "resnet18": ("res5b_relu", "7(S) x 7(S) x 512(C) x 1(B)"),
    "resnet50": ("activation_49_relu", "7(S) x 7(S) x 2048(C) x 1(B)"),
    "resnet101": ("res5c_relu", "7(S) x 7(S) x 2048(C) x 1(B)"),
    "darknet19": ("leaky18", "8(S) x 8(S) x 1024(C) x 1(B)"),
    "mobilenetv2": ("out_relu", "7(S) x 7(S) x 1280(C) x 1(B)"),
}


def build(name):
    return getattr(mlnet, name)("Weights", "none")


def layers_of(network):
    return network if isinstance(network, LayerArray) else network.Layers


def names_of(network):
    return [layer.Name for layer in layers_of(network)]


def joined(names):
    return " ".join(names)


def wires(graph):
    return set(graph.Connections.rows())


@pytest.mark.parametrize("name", LAYERS)
def test_counts_and_sizes(name):
    network = build(name)
    layers, connections = LAYERS[name]
    assert isinstance(network, LayerArray) == (name in ("alexnet", "darknet19", "vgg16", "vgg19"))
    assert (len(layers_of(network)), len(layerGraph(network).Connections)) == (layers, connections)
    analysis = analyzeNetwork(network)
    assert analysis.Mistakes == []
    computed, published = LEARNABLES[name]
    assert analysis.TotalLearnables == published
    assert computed in (None, published)
    sizes = dict(zip(analysis.LayerInfo.Name, analysis.LayerInfo.Activations, strict=True))
    place, size = LAST[name]
    assert sizes[place] == size
    input_size = {"alexnet": 227, "squeezenet": 227, "darknet19": 256}.get(name, 224)
    assert layers_of(network)[0].InputSize.tolist() == [input_size, input_size, 3]
    assert len(set(names_of(network))) == layers


def test_all_are_built_at_once():
    build("resnet50")
    start = time.process_time()
    build("resnet50")
    assert time.process_time() - start < 0.2


def test_alexnet_layer_by_layer():
    network = build("alexnet")
    assert joined(names_of(network)) == (
        "data conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
        "fc6 relu6 drop6 fc7 relu7 drop7 fc8 prob output"
    )
    text = {layer.Name: layer.description() for layer in network}
    assert text["conv1"] == "96 11x11 convolutions with stride [4  4] and padding [0  0  0  0]"
    assert text["conv2"] == "2 groups of 128 5x5 convolutions with stride [1  1] and padding [2  2  2  2]"
    assert text["conv3"] == "384 3x3 convolutions with stride [1  1] and padding [1  1  1  1]"
    assert text["conv4"] == "2 groups of 192 3x3 convolutions with stride [1  1] and padding [1  1  1  1]"
    assert text["conv5"] == "2 groups of 128 3x3 convolutions with stride [1  1] and padding [1  1  1  1]"
    assert text["norm1"] == text["norm2"] == "cross channel normalization with 5 channels per element"
    assert text["pool1"] == text["pool5"] == "3x3 max pooling with stride [2  2] and padding [0  0  0  0]"
    assert text["drop6"] == "50% dropout"
    with_bias = [layer for layer in network if hasattr(layer, "BiasLearnRateFactor")]
    assert {layer.BiasLearnRateFactor for layer in with_bias} == {2} and len(with_bias) == 8
    assert network[3].K == 1


def test_vgg_layer_by_layer():
    assert joined(names_of(build("vgg16"))) == (
        "input conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 conv2_2 relu2_2 pool2 conv3_1 "
        "relu3_1 conv3_2 relu3_2 conv3_3 relu3_3 pool3 conv4_1 relu4_1 conv4_2 relu4_2 conv4_3 relu4_3 "
        "pool4 conv5_1 relu5_1 conv5_2 relu5_2 conv5_3 relu5_3 pool5 fc6 relu6 drop6 fc7 relu7 drop7 fc8 "
        "prob output"
    )
    more = [name for name in names_of(build("vgg19")) if name not in names_of(build("vgg16"))]
    assert joined(more) == "conv3_4 relu3_4 conv4_4 relu4_4 conv5_4 relu5_4"
    assert {layer.WeightL2Factor for layer in build("vgg16") if hasattr(layer, "WeightL2Factor")} == {0}


def test_squeezenet_ends_as_matlab_prints_it():
    golden = """
     1   'fire9-relu_expand1x1'              ReLU                     ReLU
     2   'fire9-expand3x3'                   Convolution              256 3x3 convolutions with stride [1  1] and padding [1  1  1  1]
     3   'fire9-relu_expand3x3'              ReLU                     ReLU
     4   'fire9-concat'                      Depth concatenation      Depth concatenation of 2 inputs
     5   'drop9'                             Dropout                  50% dropout
     6   'conv10'                            Convolution              1000 1x1 convolutions with stride [1  1] and padding [0  0  0  0]
     7   'relu_conv10'                       ReLU                     ReLU
     8   'pool10'                            Global Average Pooling   Global average pooling
     9   'prob'                              Softmax                  softmax
    10   'ClassificationLayer_predictions'   Classification Output    crossentropyex"""  # noqa: E501
    shown = repr(build("squeezenet").Layers[-10:])
    assert shown.split("\n", 2)[2] == golden[1:]


def test_squeezenet_and_googlenet_modules():
    squeeze = build("squeezenet")
    assert joined(names_of(squeeze)[:12]) == (
        "data conv1 relu_conv1 pool1 fire2-squeeze1x1 fire2-relu_squeeze1x1 fire2-expand1x1 "
        "fire2-relu_expand1x1 fire2-expand3x3 fire2-relu_expand3x3 fire2-concat fire3-squeeze1x1"
    )
    assert wires(squeeze) >= {
        ("fire2-relu_squeeze1x1", "fire2-expand1x1"),
        ("fire2-relu_squeeze1x1", "fire2-expand3x3"),
        ("fire2-relu_expand1x1", "fire2-concat/in1"),
        ("fire2-relu_expand3x3", "fire2-concat/in2"),
    }
    google = build("googlenet")
    assert joined(names_of(google)[:27]) == (
        "data conv1-7x7_s2 conv1-relu_7x7 pool1-3x3_s2 pool1-norm1 conv2-3x3_reduce conv2-relu_3x3_reduce "
        "conv2-3x3 conv2-relu_3x3 conv2-norm2 pool2-3x3_s2 inception_3a-1x1 inception_3a-relu_1x1 "
        "inception_3a-3x3_reduce inception_3a-relu_3x3_reduce inception_3a-3x3 inception_3a-relu_3x3 "
        "inception_3a-5x5_reduce inception_3a-relu_5x5_reduce inception_3a-5x5 inception_3a-relu_5x5 "
        "inception_3a-pool inception_3a-pool_proj inception_3a-relu_pool_proj inception_3a-output "
        "inception_3b-1x1 inception_3b-relu_1x1"
    )
    assert joined(names_of(google)[-6:]) == (
        "inception_5b-output pool5-7x7_s1 pool5-drop_7x7_s1 loss3-classifier prob output"
    )
    assert wires(google) >= {
        ("inception_3a-relu_1x1", "inception_3a-output/in1"),
        ("inception_3a-relu_3x3", "inception_3a-output/in2"),
        ("inception_3a-relu_5x5", "inception_3a-output/in3"),
        ("inception_3a-relu_pool_proj", "inception_3a-output/in4"),
        ("inception_4e-output", "pool4-3x3_s2"),
        ("pool4-3x3_s2", "inception_5a-pool"),
    }


def test_resnet18_layer_by_layer():
    network = build("resnet18")
    assert joined(names_of(network)[:28]) == (
        "data conv1 bn_conv1 conv1_relu pool1 res2a_branch2a bn2a_branch2a res2a_branch2a_relu "
        "res2a_branch2b bn2a_branch2b res2a res2a_relu res2b_branch2a bn2b_branch2a res2b_branch2a_relu "
        "res2b_branch2b bn2b_branch2b res2b res2b_relu res3a_branch2a bn3a_branch2a res3a_branch2a_relu "
        "res3a_branch2b bn3a_branch2b res3a_branch1 bn3a_branch1 res3a res3a_relu"
    )
    assert joined(names_of(network)[-5:]) == "res5b_relu pool5 fc1000 prob ClassificationLayer_predictions"
    assert network.Layers[0].Normalization == "zscore"
    assert wires(network) >= {
        ("pool1", "res2a/in2"),
        ("bn2a_branch2b", "res2a/in1"),
        ("bn3a_branch2b", "res3a/in1"),
        ("bn3a_branch1", "res3a/in2"),
        ("res2b_relu", "res3a_branch1"),
    }
    filters = [layer for layer in network.Layers if hasattr(layer, "NumFilters")]
    assert {layer.BiasLearnRateFactor for layer in filters} == {0}


def test_resnet50_layer_by_layer():
    network = build("resnet50")
    assert joined(names_of(network)[:38]) == (
        "input_1 conv1 bn_conv1 activation_1_relu max_pooling2d_1 res2a_branch2a bn2a_branch2a "
        "activation_2_relu res2a_branch2b bn2a_branch2b activation_3_relu res2a_branch2c res2a_branch1 "
        "bn2a_branch2c bn2a_branch1 add_1 activation_4_relu res2b_branch2a bn2b_branch2a "
        "activation_5_relu res2b_branch2b bn2b_branch2b activation_6_relu res2b_branch2c bn2b_branch2c "
        "add_2 activation_7_relu res2c_branch2a bn2c_branch2a activation_8_relu res2c_branch2b "
        "bn2c_branch2b activation_9_relu res2c_branch2c bn2c_branch2c add_3 activation_10_relu "
        "res3a_branch2a"
    )
    assert joined(names_of(network)[-5:]) == (
        "activation_49_relu avg_pool fc1000 fc1000_softmax ClassificationLayer_fc1000"
    )
    assert wires(network) >= {
        ("max_pooling2d_1", "res2a_branch2a"),
        ("max_pooling2d_1", "res2a_branch1"),
        ("res2a_branch2c", "bn2a_branch2c"),
        ("res2a_branch1", "bn2a_branch1"),
        ("bn2a_branch2c", "add_1/in1"),
        ("bn2a_branch1", "add_1/in2"),
        ("activation_4_relu", "add_2/in2"),
    }
    text = {layer.Name: layer.description() for layer in network.Layers}
    assert text["res3a_branch2a"] == "128 1x1 convolutions with stride [2  2] and padding [0  0  0  0]"
    assert text["res3a_branch2b"] == "128 3x3 convolutions with stride [1  1] and padding 'same'"
    assert text["res3a_branch1"] == "512 1x1 convolutions with stride [2  2] and padding [0  0  0  0]"
    assert {layer.Epsilon for layer in network.Layers if hasattr(layer, "Epsilon")} == {0.001}


def test_darknet19_layer_by_layer():
    network = build("darknet19")
    names = names_of(network)
    assert joined(names[:9]) == "input conv1 batchnorm1 leaky1 pool1 conv2 batchnorm2 leaky2 pool2"
    assert joined(names[-7:]) == "conv18 batchnorm18 leaky18 conv19 avg1 softmax output"
    assert [name for name in names if "pool" in name] == [f"pool{number}" for number in range(1, 6)]
    convolutions_ = [layer for layer in network if layer.Name.startswith("conv")]
    assert [layer.FilterSize[0] for layer in convolutions_] == [3, 3, *[3, 1, 3] * 2, *[3, 1, 3, 1, 3] * 2, 1]
    assert network[0].Normalization == "rescale-zero-one" and network[3].Scale == 0.1


def test_mobilenetv2_layer_by_layer():
    graph = build("mobilenetv2")
    names = names_of(graph)
    assert joined(names[:13]) == (
        "input_1 Conv1 bn_Conv1 Conv1_relu expanded_conv_depthwise expanded_conv_depthwise_BN "
        "expanded_conv_depthwise_relu expanded_conv_project expanded_conv_project_BN block_1_expand block_1_expand_BN "
        "block_1_expand_relu block_1_depthwise"
    )
    assert joined(names[147:]) == (
        "Conv_1 Conv_1_bn out_relu global_average_pooling2d_1 Logits Logits_softmax ClassificationLayer_Logits"
    )
    sums = [int(name.split("_")[1]) for name in names if name.endswith("_add")]
    assert sums == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]
    assert {("block_4_add", "block_5_expand"), ("block_4_add", "block_5_add/in2")} < wires(graph)
    layers = dict(zip(names, graph.Layers, strict=True))
    strides = [number for number in range(1, 17) if layers[f"block_{number}_depthwise"].Stride[0] == 2]
    assert strides == [1, 3, 6, 13]
    made = [layers[f"block_{number}_project"].NumFilters for number in range(1, 17)]
    assert made == [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    assert layers["bn_Conv1"].Epsilon == 1e-3 and layers["Conv1_relu"].Ceiling == 6


def test_resnet101_layer_by_layer():
    names = names_of(build("resnet101"))
    sums = [name for name in names if re.fullmatch(r"res\d[a-z]\d*", name)]
    fourth = ["res4a", *(f"res4b{number}" for number in range(1, 23))]
    assert sums == [
        "res2a",
        "res2b",
        "res2c",
        "res3a",
        "res3b1",
        "res3b2",
        "res3b3",
        *fourth,
        "res5a",
        "res5b",
        "res5c",
    ]
    at = names.index("res3b1_branch2a")
    assert joined(names[at : at + 10]) == (
        "res3b1_branch2a bn3b1_branch2a res3b1_branch2a_relu res3b1_branch2b bn3b1_branch2b "
        "res3b1_branch2b_relu res3b1_branch2c bn3b1_branch2c res3b1 res3b1_relu"
    )


@pytest.mark.parametrize("name", LAYERS)
def test_trained_weights_are_not_there(name):
    function = getattr(mlnet, name)
    for call in (function, lambda: function("weights", "ImageNet")):
        with pytest.raises(NotSupportedError, match=f"{name}: trained weights .* not shipped .* Weights='file.npz'"):
            call()
    with pytest.raises(OptionError, match=f"{name}: Weights: needs 'none', or the path .* Did you mean 'none'"):
        function(Weights="nome")
    with pytest.raises(UnknownNameError, match="Did you mean 'Weights'"):
        function(wieghts="none")


def shrunken(network, count):
    """Return a graph for images of 32x32 with ``count`` classes, in which the last learnable layer is replaced."""
    graph = layerGraph(network)
    first, last = graph.Layers[0], graph.Layers[-3]
    graph = replaceLayer(graph, first.Name, imageInputLayer([32, 32, 3], Name=first.Name, Normalization="none"))
    return replaceLayer(graph, last.Name, fullyConnectedLayer(count, Name="fc", WeightLearnRateFactor=10))


def test_transfer_learning_by_graph():
    graph = shrunken(build("resnet18"), 2)
    graph = replaceLayer(graph, "ClassificationLayer_predictions", classificationLayer(Name="new_classoutput"))
    assert names_of(graph)[-4:] == ["pool5", "fc", "prob", "new_classoutput"]
    rng(0)
    x = np.random.default_rng(0).normal(size=(32, 32, 3, 16)).astype(np.float32)
    y = np.arange(16) % 2
    x[..., y == 1] += 1
    options = trainingOptions("sgdm", MaxEpochs=4, MiniBatchSize=8, InitialLearnRate=0.01, Verbose=False)
    net = trainNetwork(x, y, graph, options)
    assert np.mean(net.classify(x) == y) > 0.9
    assert [layer.Name for layer in net.Layers] == names_of(graph)
    assert not net.Layers[1].Bias.any()  # it is not trained


def test_transfer_learning_by_removing_layers():
    graph = removeLayers(build("googlenet"), ["loss3-classifier", "prob", "output"])
    new = [
        fullyConnectedLayer(3, "Name", "fc", "WeightLearnRateFactor", 20, "BiasLearnRateFactor", 20),
        softmaxLayer("Name", "softmax"),
        classificationLayer("Name", "classoutput"),
    ]
    graph = mlnet.connectLayers(mlnet.addLayers(graph, new), "pool5-drop_7x7_s1", "fc")
    assert analyzeNetwork(graph).Mistakes == []
    squeeze = replaceLayer(build("squeezenet"), "conv10", convolution2dLayer(1, 3, Name="new_conv"))
    assert analyzeNetwork(squeeze).Mistakes == []


def test_transfer_learning_by_layer_array():
    network = build("alexnet")
    transfer = network[:-3]
    layers = [
        *transfer,
        fullyConnectedLayer(4, WeightLearnRateFactor=20, BiasLearnRateFactor=20),
        softmaxLayer,
        classificationLayer,
    ]
    assert analyzeNetwork(layers).TotalLearnables == 60_965_224 - 4097 * 1000 + 4097 * 4
    assert len(transfer) == 22 and len(network) == 25
