"""U-Net and DeepLab v3+: names, sizes, counts, mistakes and training."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NotSupportedError,
    OptionError,
    UnknownNameError,
    analyzeNetwork,
    categorical,
    deeplabv3plusLayers,
    image3dInputLayer,
    imageInputLayer,
    pixelClassificationLayer,
    removeLayers,
    replaceLayer,
    resnet18,
    rng,
    semanticseg,
    trainingOptions,
    trainNetwork,
    unet3dLayers,
    unetLayers,
)
from mlnet.models.deeplab import bilinear


def names(graph, start=None, stop=None):
    return " ".join(layer.Name for layer in graph.Layers[start:stop])


def wires(graph):
    return set(graph.Connections.rows())


def sizes(graph):
    analysis = analyzeNetwork(graph)
    assert analysis.Mistakes == []
    return dict(zip(analysis.LayerInfo.Name, analysis.LayerInfo.Activations, strict=True))


def test_unet_of_the_publication():
    graph, size = unetLayers([572, 572, 1], 2, ConvolutionPadding="valid", nargout=2)
    assert size == [388, 388, 2]
    assert analyzeNetwork(graph).TotalLearnables == 31_030_658
    found = sizes(graph)
    assert found["Bridge-ReLU-2"] == "28(S) x 28(S) x 1024(C) x 1(B)"
    assert found["Crop2d-1"] == "56(S) x 56(S) x 512(C) x 1(B)"
    assert found["Segmentation-Layer"] == "388(S) x 388(S) x 2(C) x 1(B)"
    assert wires(graph) >= {
        ("Encoder-Stage-4-DropOut", "Crop2d-1/in"),
        ("Decoder-Stage-1-UpReLU", "Crop2d-1/ref"),
        ("Crop2d-1", "Decoder-Stage-1-DepthConcatenation/in2"),
    }


def test_unet_layer_by_layer():
    graph, size = unetLayers([480, 640, 3], 5, "EncoderDepth", 3, nargout=2)
    assert size == [480, 640, 5]
    assert (len(graph.Layers), len(graph.Connections)) == (46, 48)
    assert names(graph, 0, 8) == (
        "ImageInputLayer Encoder-Stage-1-Conv-1 Encoder-Stage-1-ReLU-1 Encoder-Stage-1-Conv-2 Encoder-Stage-1-ReLU-2 "
        "Encoder-Stage-1-MaxPool Encoder-Stage-2-Conv-1 Encoder-Stage-2-ReLU-1"
    )
    assert names(graph, 11, 31) == (
        "Encoder-Stage-3-Conv-1 Encoder-Stage-3-ReLU-1 Encoder-Stage-3-Conv-2 Encoder-Stage-3-ReLU-2 "
        "Encoder-Stage-3-DropOut Encoder-Stage-3-MaxPool Bridge-Conv-1 Bridge-ReLU-1 Bridge-Conv-2 Bridge-ReLU-2 "
        "Bridge-DropOut Decoder-Stage-1-UpConv Decoder-Stage-1-UpReLU Decoder-Stage-1-DepthConcatenation "
        "Decoder-Stage-1-Conv-1 Decoder-Stage-1-ReLU-1 Decoder-Stage-1-Conv-2 Decoder-Stage-1-ReLU-2 "
        "Decoder-Stage-2-UpConv Decoder-Stage-2-UpReLU"
    )
    assert names(graph, -4) == "Decoder-Stage-3-ReLU-2 Final-ConvolutionLayer Softmax-Layer Segmentation-Layer"
    assert wires(graph) >= {
        ("Encoder-Stage-3-DropOut", "Decoder-Stage-1-DepthConcatenation/in2"),
        ("Decoder-Stage-1-UpReLU", "Decoder-Stage-1-DepthConcatenation/in1"),
        ("Encoder-Stage-1-ReLU-2", "Decoder-Stage-3-DepthConcatenation/in2"),
        ("Encoder-Stage-1-ReLU-2", "Encoder-Stage-1-MaxPool"),
    }
    assert sizes(graph)["Segmentation-Layer"] == "480(S) x 640(S) x 5(C) x 1(B)"
    up = graph.Layers[22]
    assert (up.NumFilters, up.WeightsInitializer, up.BiasLearnRateFactor) == (256, "he", 2)
    filters = [layer.NumFilters for layer in graph.Layers if "-Conv-1" in layer.Name]
    assert filters == [64, 128, 256, 512, 256, 128, 64]


def test_unet_counts_of_the_default():
    graph = unetLayers([256, 256], 2)
    assert (len(graph.Layers), len(graph.Connections)) == (58, 61)
    assert graph.Layers(1).InputSize.tolist() == [256, 256, 1]


@pytest.mark.parametrize("padding, filters", [("same", 5), ("same", [3, 1]), ("valid", 3), ("valid", [1, 3])])
def test_unet_output_size_is_that_of_the_network(padding, filters):
    given = {"EncoderDepth": 2, "NumFirstEncoderFilters": 2, "FilterSize": filters, "ConvolutionPadding": padding}
    graph, size = unetLayers([64, 60, 2], 3, nargout=2, **given)
    assert sizes(graph)["Segmentation-Layer"] == f"{size[0]}(S) x {size[1]}(S) x {size[2]}(C) x 1(B)"


def squares(count, shape):
    """Return noisy images of ``shape`` with a bright corner, and labels of the same size."""
    generator = np.random.default_rng(0)
    codes = np.zeros((*shape, count), int)
    for number in range(count):
        start = generator.integers(0, min(shape) // 2, len(shape))
        codes[(*(slice(n, n + min(shape) // 2) for n in start), number)] = 1
    x = codes + generator.normal(0, 0.2, codes.shape)
    return np.expand_dims(x, -2), categorical(codes, [0, 1], ["back", "square"])


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_unet_learns(padding):
    graph, size = unetLayers(
        [28, 28, 1], 2, EncoderDepth=1, NumFirstEncoderFilters=4, ConvolutionPadding=padding, nargout=2
    )
    x, y = squares(16, (28, 28))
    border = (28 - size[0]) // 2
    y = y[border : 28 - border, border : 28 - border]
    rng(0)
    options = trainingOptions("adam", MaxEpochs=20, MiniBatchSize=4, InitialLearnRate=0.01, Verbose=False)
    net = trainNetwork(x, y, graph, options)
    found = semanticseg(x, net)
    assert found.shape == y.shape
    assert np.mean(found == y) > 0.95


def test_unet_with_other_ends():
    # both from public scripts: another input layer by name, and the last layer taken off
    graph = unetLayers([256, 64], 2, EncoderDepth=4)
    graph = replaceLayer(graph, "ImageInputLayer", imageInputLayer([256, 64, 1], Name="ImageInputLayer", Mean=0.5))
    assert graph.Layers(1).Mean == 0.5
    graph = replaceLayer(
        graph, "Segmentation-Layer", pixelClassificationLayer(Name="labels", Classes=["a", "b"], ClassWeights=[1, 3])
    )
    assert sizes(graph)["labels"] == "256(S) x 64(S) x 2(C) x 1(B)"
    assert names(removeLayers(graph, "labels"), -2) == "Final-ConvolutionLayer Softmax-Layer"


def test_unet3d_layer_by_layer():
    graph, size = unet3dLayers([32, 24, 16, 3], 5, EncoderDepth=2, NumFirstEncoderFilters=16, nargout=2)
    assert size == [32, 24, 16, 5]
    assert (len(graph.Layers), len(graph.Connections)) == (40, 41)
    assert isinstance(graph.Layers[0], type(image3dInputLayer([1, 1, 1])))
    assert names(graph, 0, 9) == (
        "ImageInputLayer Encoder-Stage-1-Conv-1 Encoder-Stage-1-BN-1 Encoder-Stage-1-ReLU-1 Encoder-Stage-1-Conv-2 "
        "Encoder-Stage-1-BN-2 Encoder-Stage-1-ReLU-2 Encoder-Stage-1-MaxPool Encoder-Stage-2-Conv-1"
    )
    assert names(graph, 21, 30) == (
        "Decoder-Stage-1-UpConv Decoder-Stage-1-Concatenation Decoder-Stage-1-Conv-1 Decoder-Stage-1-BN-1 "
        "Decoder-Stage-1-ReLU-1 Decoder-Stage-1-Conv-2 Decoder-Stage-1-BN-2 Decoder-Stage-1-ReLU-2 "
        "Decoder-Stage-2-UpConv"
    )
    filters = [layer.NumFilters for layer in graph.Layers if hasattr(layer, "NumFilters")]
    assert filters == [16, 32, 32, 64, 64, 128, 128, 64, 64, 64, 32, 32, 5]
    assert wires(graph) >= {
        ("Encoder-Stage-2-ReLU-2", "Decoder-Stage-1-Concatenation/in2"),
        ("Decoder-Stage-1-UpConv", "Decoder-Stage-1-Concatenation/in1"),
    }
    assert sizes(graph)["Segmentation-Layer"] == "32(S) x 24(S) x 16(S) x 5(C) x 1(B)"


def test_unet3d_of_the_publication():
    graph, size = unet3dLayers([132, 132, 116, 3], 3, NumFirstEncoderFilters=32, ConvolutionPadding="valid", nargout=2)
    assert size == [44, 44, 28, 3]
    assert sizes(graph)["Segmentation-Layer"] == "44(S) x 44(S) x 28(S) x 3(C) x 1(B)"
    assert wires(graph) >= {
        ("Encoder-Stage-3-ReLU-2", "Crop3d-1/in"),
        ("Decoder-Stage-1-UpConv", "Crop3d-1/ref"),
        ("Crop3d-1", "Decoder-Stage-1-Concatenation/in2"),
    }


def test_unet3d_learns():
    x, y = squares(8, (8, 8, 8))
    rng(0)
    graph = unet3dLayers([8, 8, 8], 2, EncoderDepth=1, NumFirstEncoderFilters=2)
    options = trainingOptions("adam", MaxEpochs=25, MiniBatchSize=4, InitialLearnRate=0.03, Verbose=False)
    net = trainNetwork(x, y, graph, options)
    assert np.mean(semanticseg(x, net) == y) > 0.9


@pytest.mark.parametrize("network, counts", [("resnet18", (100, 113)), ("resnet50", (206, 227))])
def test_deeplab_counts(network, counts):
    graph = deeplabv3plusLayers([64, 96, 3], 7, network, Weights="none")
    assert (len(graph.Layers), len(graph.Connections)) == counts
    found = sizes(graph)
    assert found["catAspp"] == "4(S) x 6(S) x 1024(C) x 1(B)"
    assert found["dec_cat1"] == "16(S) x 24(S) x 304(C) x 1(B)"
    assert found["classification"] == "64(S) x 96(S) x 7(C) x 1(B)"


def test_deeplab_layer_by_layer():
    graph = deeplabv3plusLayers([480, 640, 3], 5, "resnet18", Weights="none")
    assert names(graph, 65) == (
        "res5b res5b_relu aspp_Conv_1 aspp_BatchNorm_1 aspp_Relu_1 aspp_Conv_2 aspp_BatchNorm_2 aspp_Relu_2 "
        "aspp_Conv_3 aspp_BatchNorm_3 aspp_Relu_3 aspp_Conv_4 aspp_BatchNorm_4 aspp_Relu_4 catAspp dec_c1 dec_bn1 "
        "dec_relu1 dec_upsample1 dec_c2 dec_bn2 dec_relu2 dec_crop1 dec_cat1 dec_c3 dec_bn3 dec_relu3 dec_c4 dec_bn4 "
        "dec_relu4 scorer dec_upsample2 dec_crop2 softmax-out classification"
    )
    assert wires(graph) >= {
        ("data", "conv1"),
        ("data", "dec_crop2/ref"),
        ("res2b_relu", "dec_c2"),
        ("res5b_relu", "aspp_Conv_4"),
        ("aspp_Relu_4", "catAspp/in4"),
        ("dec_upsample1", "dec_crop1/in"),
        ("dec_relu2", "dec_crop1/ref"),
        ("dec_relu2", "dec_cat1/in1"),
        ("dec_crop1", "dec_cat1/in2"),
        ("dec_upsample2", "dec_crop2/in"),
    }
    text = {layer.Name: layer.description() for layer in graph.Layers}
    assert text["res4a_branch2a"] == "256 3x3 convolutions with stride [2  2] and padding 'same'"
    assert text["res4a_branch1"] == "256 1x1 convolutions with stride [2  2] and padding 'same'"
    assert text["res5a_branch2a"] == "512 3x3 convolutions with stride [1  1] and padding 'same'"
    assert text["res5a_branch1"] == "512 1x1 convolutions with stride [1  1] and padding [0  0  0  0]"
    assert text["res5b_branch2b"] == (
        "512 3x3 convolutions with stride [1  1], dilation factor [2  2], and padding 'same'"
    )
    assert text["aspp_Conv_4"] == (
        "256 3x3 convolutions with stride [1  1], dilation factor [18  18], and padding 'same'"
    )
    assert text["dec_upsample2"] == "5 8x8 transposed convolutions with stride [4  4] and cropping [2  2  2  2]"
    factors = {layer.Name: layer.WeightLearnRateFactor for layer in graph.Layers if hasattr(layer, "NumFilters")}
    assert (factors["conv1"], factors["aspp_Conv_1"], factors["scorer"], factors["dec_upsample1"]) == (1, 10, 10, 0)


def test_deeplab_encoder_is_the_known_network():
    known, graph = resnet18(Weights="none"), deeplabv3plusLayers([224, 224, 3], 5, "resnet18", Weights="none")
    assert names(graph, 0, 67) == names(known, 0, -4)
    assert wires(known) - wires(graph) == {
        ("res5b_relu", "pool5"),
        ("pool5", "fc1000"),
        ("fc1000", "prob"),
        ("prob", "ClassificationLayer_predictions"),
    }


def test_bilinear_weights_interpolate():
    weights = bilinear((8, 8, 2, 2))
    assert weights.shape == (8, 8, 2, 2)
    assert not weights[:, :, 0, 1].any()
    one = weights[:, :, 0, 0]
    np.testing.assert_allclose(one, np.outer(one[:, 3], one[3]) / one[3, 3])
    # shifted by the stride they add up to one: a constant image stays constant
    np.testing.assert_allclose(one.reshape(2, 4, 2, 4).sum((0, 2)), 1)
    np.testing.assert_allclose(one[:, 3] / one[3, 3], np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 7)


def test_deeplab_learns_and_keeps_what_is_frozen():
    x, y = squares(4, (32, 32))
    x = np.repeat(x, 3, axis=2)
    graph = deeplabv3plusLayers([32, 32, 3], 2, "resnet18", Weights="none")
    graph = replaceLayer(graph, "classification", pixelClassificationLayer(Name="labels", Classes=["back", "square"]))
    rng(0)
    options = trainingOptions("sgdm", MaxEpochs=4, MiniBatchSize=2, InitialLearnRate=1e-3, Verbose=False)
    net, info = trainNetwork(x, y, graph, options, nargout=2)
    assert info.TrainingLoss[-1] < info.TrainingLoss[0]
    layers = {layer.Name: layer for layer in net.Layers}
    np.testing.assert_allclose(layers["dec_upsample2"].Weights, bilinear((8, 8, 2, 2)), rtol=1e-6)
    assert not layers["scorer"].Bias.any()


def test_deeplab_takes_the_weights_of_a_file(tmp_path):
    known = resnet18(Weights="none")
    info = analyzeNetwork(known).LayerInfo
    generator = np.random.default_rng(0)
    entries = {"data/Mean": np.full((224, 224, 3), 2.0), "data/StandardDeviation": np.ones((1, 1, 3))}
    for name, *columns in zip(info.Name, info.LearnableProperties, info.States, strict=True):
        for text in (part for column in columns for part in column.split(", ") if part):
            parameter, size = text.split(" ")
            entries[f"{name}/{parameter}"] = generator.uniform(0.1, 1, [int(n) for n in size.split("x")])
    np.savez(tmp_path / "resnet18.npz", **entries)
    graph = deeplabv3plusLayers([64, 64, 3], 2, "resnet18", Weights=tmp_path / "resnet18.npz")
    layers = {layer.Name: layer for layer in graph.Layers}
    np.testing.assert_allclose(layers["res5b_branch2b"].Weights, entries["res5b_branch2b/Weights"], rtol=1e-6)
    np.testing.assert_allclose(layers["bn_conv1"].TrainedMean, entries["bn_conv1/TrainedMean"], rtol=1e-6)
    np.testing.assert_array_equal(layers["data"].Mean, np.full((1, 1, 3), 2.0))
    assert layers["scorer"].Weights.size == 0
    assert sizes(graph)["classification"] == "64(S) x 64(S) x 2(C) x 1(B)"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: unetLayers([30, 32], 2),
            OptionError,
            "multiples of 16, 2.EncoderDepth, but got 30x32. Use e.g. .32 32",
        ),
        (
            lambda: unetLayers([64, 64], 2, ConvolutionPadding="valid"),
            OptionError,
            "too small for .* nothing .* is left",
        ),
        (lambda: unetLayers([64, 64]), OptionError, "unetLayers: the argument numClasses is missing"),
        (lambda: unetLayers([64, 64], 1), OptionError, "numClasses: needs an integer of at least 2"),
        (
            lambda: unetLayers(64, 2),
            OptionError,
            "imageSize: needs .height width channels. or .height width., but got 64",
        ),
        (lambda: unetLayers([64, 64], 2, nargout=3), OptionError, "nargout needs to be from 1 to 2, but is 3"),
        (lambda: unetLayers([64, 64], 2, Depth=3), UnknownNameError, "there is no option 'Depth'"),
        (lambda: unet3dLayers([64, 64], 2), OptionError, "inputSize: needs .height width depth channels. or"),
        (lambda: unet3dLayers([12, 8, 8], 2), OptionError, "unet3dLayers: needs images whose sides are multiples of 8"),
        (
            lambda: deeplabv3plusLayers([64, 64, 3], 2, "resnet18"),
            NotSupportedError,
            "deeplabv3plusLayers: trained weig",
        ),
        (lambda: deeplabv3plusLayers([64, 64, 3], 2, "xception"), NotSupportedError, "'xception' is not there yet"),
        (lambda: deeplabv3plusLayers([64, 64, 3], 2, "resnet"), OptionError, "network: needs one of 'resnet18'"),
        (lambda: deeplabv3plusLayers([64, 64], 2, "resnet18"), OptionError, "imageSize: needs .height width channels."),
        (
            lambda: deeplabv3plusLayers([64, 64, 1], 2, "resnet18", Weights="none"),
            OptionError,
            "imageSize needs three channels, but got 1",
        ),
        (
            lambda: deeplabv3plusLayers([64, 64, 3], 2, "resnet18", DownsamplingFactor=8, Weights="none"),
            NotSupportedError,
            "DownsamplingFactor=8",
        ),
        (
            lambda: deeplabv3plusLayers([64, 64, 3], 2, "resnet18", DownsamplingFactor=12),
            OptionError,
            "DownsamplingFactor needs 8 or 16, but got 12",
        ),
    ],
)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
