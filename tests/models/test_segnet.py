"""segnetLayers: names, counts, the ways between encoder and decoder, and training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mlnet import (
    NotSupportedError,
    OptionError,
    analyzeNetwork,
    categorical,
    rng,
    segnetLayers,
    semanticseg,
    trainingOptions,
    trainNetwork,
    vgg16,
)
from mlnet.models import segnet


def names(graph, start=None, stop=None):
    return " ".join(layer.Name for layer in graph.Layers[start:stop])


def wires(graph):
    return set(graph.Connections.rows())


@pytest.mark.parametrize("depth, counts", [(2, (31, 34)), (4, (59, 66)), ("vgg16", (91, 100)), ("vgg19", (109, 118))])
def test_counts(depth, counts):
    graph = segnetLayers([64, 96, 3], 5, depth, Weights="none")
    assert (len(graph.Layers), len(graph.Connections)) == counts
    analysis = analyzeNetwork(graph)
    assert analysis.Mistakes == []
    assert analysis.LayerInfo.Activations[-1] == "64(S) x 96(S) x 5(C) x 1(B)"
    filters = [layer for layer in graph.Layers if hasattr(layer, "NumFilters")]
    assert {layer.BiasLearnRateFactor for layer in filters} == {0}


def test_layer_by_layer():
    graph = segnetLayers([480, 640, 3], 5, 2)
    assert names(graph) == (
        "inputImage encoder1_conv1 encoder1_bn_1 encoder1_relu_1 encoder1_conv2 encoder1_bn_2 encoder1_relu_2 "
        "encoder1_maxpool encoder2_conv1 encoder2_bn_1 encoder2_relu_1 encoder2_conv2 encoder2_bn_2 encoder2_relu_2 "
        "encoder2_maxpool decoder2_unpool decoder2_conv2 decoder2_bn_2 decoder2_relu_2 decoder2_conv1 decoder2_bn_1 "
        "decoder2_relu_1 decoder1_unpool decoder1_conv2 decoder1_bn_2 decoder1_relu_2 decoder1_conv1 decoder1_bn_1 "
        "decoder1_relu_1 softmax pixelLabels"
    )
    assert wires(graph) >= {
        ("encoder1_maxpool/out", "encoder2_conv1"),
        ("encoder1_maxpool/indices", "decoder1_unpool/indices"),
        ("encoder1_maxpool/size", "decoder1_unpool/size"),
        ("encoder2_maxpool/out", "decoder2_unpool/in"),
        ("decoder2_relu_1", "decoder1_unpool/in"),
    }
    text = graph.Layers[1].description()
    assert text == "64 3x3 convolutions with stride [1  1] and padding [1  1  1  1]"
    assert [layer.NumFilters for layer in graph.Layers if hasattr(layer, "NumFilters")] == [64] * 7 + [5]


def test_vgg_layer_by_layer():
    graph = segnetLayers([480, 640, 3], 5, "vgg16", "Weights", "none")
    assert names(graph, 0, 9) == ("inputImage conv1_1 bn_conv1_1 relu1_1 conv1_2 bn_conv1_2 relu1_2 pool1 conv2_1")
    # numbers that public scripts use
    numbers = {80: "decoder2_conv1", 77: "decoder2_conv2", 84: "decoder1_conv2", 91: "pixelLabels"}
    assert {number: graph.Layers(number).Name for number in numbers} == numbers
    filters = [layer.NumFilters for layer in graph.Layers[45:] if hasattr(layer, "NumFilters")]
    assert filters == [512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 5]


def test_stages_of_different_sizes():
    graph = segnetLayers([32, 32], 2, 2, NumConvolutionLayers=[1, 3], NumOutputChannels=[4, 8], FilterSize=[5, 2])
    filters = [layer.NumFilters for layer in graph.Layers if hasattr(layer, "NumFilters")]
    assert filters == [4, 8, 8, 8, 8, 8, 4, 2]
    assert graph.Layers(2).description() == "4 5x2 convolutions with stride [1  1] and padding 'same'"
    assert analyzeNetwork(graph).Mistakes == []


def test_training():
    generator = np.random.default_rng(0)
    codes = np.zeros((16, 16, 16), int)
    for number in range(16):
        top, left = generator.integers(0, 8, 2)
        codes[top : top + 8, left : left + 8, number] = 1
    x, y = codes[:, :, None] + generator.normal(0, 0.2, (16, 16, 1, 16)), categorical(codes, [0, 1], ["back", "square"])
    graph = segnetLayers([16, 16], 2, 1, NumOutputChannels=8)
    rng(0)
    options = trainingOptions("adam", MaxEpochs=15, MiniBatchSize=4, InitialLearnRate=0.02, Verbose=False)
    net = trainNetwork(x, y, graph, options)
    assert np.mean(semanticseg(x, net) == y) > 0.9


def test_the_encoder_takes_the_weights_of_a_file(tmp_path, monkeypatch):
    # a file of VGG-16 has half a gigabyte: its convolutions come from a stand-in
    convolutions = [layer for layer in vgg16(Weights="none") if layer.Name.startswith("conv")]
    info = analyzeNetwork(vgg16(Weights="none")).LayerInfo
    shapes = dict(zip(info.Name, info.LearnableProperties, strict=True))
    weights = {}
    for layer in convolutions:
        size = shapes[layer.Name].split(",")[0].removeprefix("Weights ")
        weights[layer.Name] = np.full([int(n) for n in size.split("x")], len(weights), np.float32)

    known = SimpleNamespace(Layers=[layer.replaced(Weights=weights[layer.Name]) for layer in convolutions])
    monkeypatch.setitem(segnet._VGG, "vgg16", (lambda Weights: known, (2, 2, 3, 3, 3)))
    graph = segnetLayers([32, 32, 3], 2, "vgg16", Weights=tmp_path / "vgg16.npz")
    layers = {layer.Name: layer for layer in graph.Layers}
    assert all((layers[name].Weights == value).all() for name, value in weights.items()) and len(weights) == 13
    assert layers["decoder1_conv1"].Weights.size == 0
    assert analyzeNetwork(graph).Mistakes == []


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: segnetLayers([32, 32], 2), OptionError, "the argument encoderDepth is missing"),
        (lambda: segnetLayers([32, 32, 3], 2, "vgg16"), NotSupportedError, "segnetLayers: trained weights"),
        (
            lambda: segnetLayers([32, 32, 3], 2, "vgg11"),
            OptionError,
            "encoderDepth: needs one of 'vgg16', 'vgg19', or a",
        ),
        (lambda: segnetLayers([32, 32], 2, 0), OptionError, "encoderDepth: needs"),
        (lambda: segnetLayers([32, 32], 2, "vgg16", Weights="none"), OptionError, "three channels, but got 1"),
        (
            lambda: segnetLayers([32, 32, 3], 2, "vgg16", Weights="none", FilterSize=5),
            OptionError,
            "FilterSize does not go with 'vgg16'",
        ),
        (
            lambda: segnetLayers([32, 32], 2, 3, NumOutputChannels=[8, 8]),
            OptionError,
            "NumOutputChannels needs one number, or 3, one for each stage, but got .8, 8.",
        ),
        (lambda: segnetLayers([32, 32], 2, 3, Weights="x.npz"), OptionError, "only with 'vgg16' and 'vgg19'"),
    ],
)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
