"""From layers to a network: sizes, and every mistake in one message."""

from __future__ import annotations

import numpy as np
import pytest
from layers.catalogue import same

from mlnet import (
    LayerArray,
    NetworkError,
    OptionError,
    additionLayer,
    addLayers,
    averagePooling2dLayer,
    batchNormalizationLayer,
    classificationLayer,
    concatenationLayer,
    connectLayers,
    convolution1dLayer,
    convolution2dLayer,
    depthConcatenationLayer,
    dropoutLayer,
    featureInputLayer,
    flattenLayer,
    fullyConnectedLayer,
    globalAveragePooling2dLayer,
    gruLayer,
    image3dInputLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    regressionLayer,
    reluLayer,
    sequenceInputLayer,
    softmaxLayer,
)
from mlnet.network.resolve import resolve

IMAGE = imageInputLayer([28, 28, 1])
FEATURES = featureInputLayer(5)
HEAD = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
DIGITS = [
    IMAGE,
    [convolution2dLayer(3, 8, Padding="same"), batchNormalizationLayer, reluLayer, maxPooling2dLayer(2, Stride=2)],
    [convolution2dLayer(3, 16, Padding="same"), batchNormalizationLayer, reluLayer, maxPooling2dLayer(2, Stride=2)],
    [convolution2dLayer(5, 32, Padding=[1, 2], Stride=2), batchNormalizationLayer, reluLayer],
    HEAD,
]


def mistakes(layers):
    """Return the lines of the message about a network that cannot be."""
    with pytest.raises(NetworkError) as caught:
        resolve(layers)
    first, *lines = str(caught.value).split("\n")
    assert first == f"Invalid network, {len(lines)} mistake{'s' * (len(lines) > 1)}:"
    return [line.removeprefix("  ") for line in lines]


def test_names_sizes_and_channels_of_a_long_network():
    network = resolve(DIGITS)
    names = "imageinput conv_1 batchnorm_1 relu_1 maxpool_1 conv_2 batchnorm_2 relu_2 maxpool_2 conv_3 batchnorm_3 "
    assert [layer.Name for layer in network.layers] == (names + "relu_3 fc softmax classoutput").split()
    sizes = "28x28x1 28x28x8 28x28x8 28x28x8 14x14x8 14x14x16 14x14x16 14x14x16 7x7x16 3x4x32 3x4x32 3x4x32 "
    assert [str(size) for (size,) in network.sizes] == (sizes + "1x1x10 1x1x10 1x1x10").split()
    channels = [layer.NumChannels for layer in network.layers if "NumChannels" in layer.table.entries]
    assert channels == [1, 8, 8, 16, 16, 32]
    assert network.layers[-3].InputSize == 3 * 4 * 32
    assert (
        str(network.output_size) == "1x1x10" and str(network.input_size(0)) == str(network.input_size(1)) == "28x28x1"
    )
    assert network.input_layers == [network.layers[0]] and network.output_layer is network.layers[-1]


def test_what_is_given_does_not_change():
    layers = LayerArray(DIGITS)
    before = layers.copy()
    resolve(layers)
    assert all(same(a, b) for a, b in zip(layers, before, strict=True))
    assert batchNormalizationLayer().NumChannels == "auto"


def test_features_stay_features():
    network = resolve(
        [FEATURES, fullyConnectedLayer(7), batchNormalizationLayer, reluLayer, fullyConnectedLayer(2), regressionLayer]
    )
    assert [str(size) for (size,) in network.sizes[1:]] == ["7 features"] * 3 + ["2 features"] * 2


def test_resolved_layers_make_the_same_network_again():
    network = resolve(DIGITS)
    again = resolve(list(network.layers))
    assert all(same(a, b) for a, b in zip(network.layers, again.layers, strict=True))
    assert again.sizes == network.sizes


@pytest.mark.parametrize(
    "layers, expected",
    [
        ([], ["Network: needs layers, but got an empty array."]),
        (
            [fullyConnectedLayer(10), softmaxLayer, classificationLayer],
            ["Missing input layer: the first layer is Layer 1"],
        ),
        (
            [FEATURES, fullyConnectedLayer(10), softmaxLayer],
            ["Missing output layer: the last layer is Layer 3 (Softmax)"],
        ),
        (
            [FEATURES, fullyConnectedLayer(10), classificationLayer],
            ["Layer 3 (Classification Output): missing softmax"],
        ),
        (
            [FEATURES, softmaxLayer, reluLayer, classificationLayer],
            ["Layer 4 (Classification Output): missing softmax"],
        ),
        ([FEATURES, FEATURES, *HEAD], ["Layer 2 (Feature Input): an input layer stands only at the beginning"]),
        ([FEATURES, regressionLayer, *HEAD], ["Layer 2 (Regression Output): an output layer stands only at the end"]),
        (
            [FEATURES, reluLayer(Name="a"), reluLayer(Name="a"), reluLayer(Name="a"), *HEAD],
            ["Layers 2, 3 and 4 have the same name 'a'. Give each layer its own name, or ''."],
        ),
        (
            [FEATURES, convolution2dLayer(3, 8, Name="c"), *HEAD],
            ["Layer 2 'c' (Convolution): needs images (height x width x channels), but got 5 features. Start with an"],
        ),
        ([FEATURES, maxPooling2dLayer(2), *HEAD], ["Layer 2 (Max Pooling): needs images"]),
        ([FEATURES, globalAveragePooling2dLayer, *HEAD], ["Layer 2 (Global Average Pooling): needs images"]),
        (
            [IMAGE, maxPooling2dLayer(14, Stride=14), convolution2dLayer(5, 2, Padding=1), *HEAD],
            ["Layer 3 (Convolution): needs an input of at least 5x5 including padding, but got 2x2x1, with"],
        ),
        (
            [IMAGE, convolution2dLayer(15, 2, DilationFactor=2), *HEAD],
            ["Layer 2 (Convolution): needs an input of at least 29x29 including padding, but got 28x28x1"],
        ),
        (
            [IMAGE, averagePooling2dLayer([1, 29]), *HEAD],
            ["Layer 2 (Average Pooling): needs an input of at least 1x29 including padding"],
        ),
        (
            [IMAGE, convolution2dLayer(3, 8, NumChannels=3), *HEAD],
            ["Layer 2 (Convolution): needs 3 channels (NumChannels), but got an input of size 28x28x1. Leave"],
        ),
        (
            [IMAGE, batchNormalizationLayer(NumChannels=3), *HEAD],
            ["Layer 2 (Batch Normalization): needs 3 channels (NumChannels)"],
        ),
        (
            [FEATURES, batchNormalizationLayer(Scale=[1, 2]), *HEAD],
            ["Layer 2 (Batch Normalization): needs Scale of size 5x1, but got Scale of size 2x1."],
        ),
        (
            [
                IMAGE,
                convolution2dLayer(3, 8, Weights=np.ones((3, 3, 8))),
                convolution2dLayer(3, 8, Weights=np.ones(3)),
                *HEAD,
            ],
            ["Layer 3 (Convolution): needs Weights of size 3x3x8x8, but got Weights of size 3x1."],
        ),
        (
            [FEATURES, fullyConnectedLayer(2, Weights=np.ones((2, 99))), *HEAD],
            ["Layer 2 (Fully Connected): needs Weights of size 2x5, but got Weights of size 2x99."],
        ),
        (
            [imageInputLayer([4, 4, 3], Mean=[1, 2]), *HEAD],
            ["Layer 1 (Image Input): needs Mean of size 4x4x3, one value per channel or a scalar"],
        ),
        (
            [IMAGE, convolution2dLayer(3, 8), softmaxLayer, classificationLayer],
            ["Layer 4 (Classification Output): needs one score for each class, but got an input of size 26x26x8."],
        ),
        (
            [FEATURES, fullyConnectedLayer(3), softmaxLayer, classificationLayer(Classes=["a", "b"])],
            ["Layer 4 (Classification Output): needs 2 scores, one for each of the Classes, but got 3."],
        ),
        (
            [FEATURES, fullyConnectedLayer(3), regressionLayer(ResponseNames=["a", "b"])],
            ["Layer 3 (Regression Output): needs 3 ResponseNames, one for each response of the network, but got 2."],
        ),
    ],
)
def test_one_mistake(layers, expected):
    found = mistakes(layers)
    assert len(found) == len(expected), found
    for line, text in zip(found, expected, strict=True):
        assert line.startswith(text)


def test_trained_input_sizes_are_not_changed_silently():
    trained = resolve([FEATURES, fullyConnectedLayer(3), regressionLayer]).layers[1]
    (line,) = mistakes([featureInputLayer(6), trained, regressionLayer])
    assert line.startswith("Layer 2 'fc' (Fully Connected): needs 5 inputs (InputSize), but got 6 (6 features).")


def test_several_mistakes_together_in_one_message():
    found = mistakes(
        [
            imageInputLayer([8, 8, 3], Name="a"),
            convolution2dLayer(9, 4, Name="a"),  # too large; what follows is checked again behind the next known size
            reluLayer,
            fullyConnectedLayer(3),
            convolution2dLayer(3, 2),
            fullyConnectedLayer(4, Name="last"),
            batchNormalizationLayer(NumChannels=5),
            dropoutLayer,
            classificationLayer,
        ]
    )
    for text, line in zip(
        [
            "Layer 9 (Classification Output): missing softmax layer",
            "Layers 1 and 2 have the same name 'a'",
            "Layer 2 'a' (Convolution): needs an input of at least 9x9",
            "Layer 5 (Convolution): needs an input of at least 3x3 including padding, but got 1x1x3",
            "Layer 7 (Batch Normalization): needs 5 channels",
        ],
        found,
        strict=True,
    ):
        assert line.startswith(text)


def test_without_input_layer_the_rest_is_checked_as_far_as_sizes_are_known():
    found = mistakes(
        [
            convolution2dLayer(3, 2),
            fullyConnectedLayer(4),
            convolution2dLayer(1, 2),
            batchNormalizationLayer(NumChannels=3),
        ]
    )
    assert [line.split(":")[0] for line in found] == [
        "Missing input layer",
        "Missing output layer",
        "Layer 4 (Batch Normalization)",
    ]


def test_nothing_is_computed_before_the_mistakes_are_known():
    def fail(size):
        raise AssertionError("called")

    assert len(mistakes([FEATURES, fullyConnectedLayer(2, WeightsInitializer=fail), classificationLayer])) == 1
    resolve([FEATURES, fullyConnectedLayer(2, WeightsInitializer=fail), regressionLayer])


@pytest.mark.parametrize("layers", [None, 5, "layers", [reluLayer, 5], {}])
def test_what_is_no_layer(layers):
    with pytest.raises(OptionError, match="LayerArray: needs layers"):
        resolve(layers)


@pytest.mark.parametrize(
    ("first", "second", "layer", "fix"),
    [
        (imageInputLayer([1, 1, 4]), featureInputLayer(4), additionLayer(2), "Put a flattenLayer behind the images."),
        (sequenceInputLayer(4), featureInputLayer(4), concatenationLayer(1, 2), "Take the last time step"),
        (imageInputLayer([1, 1, 4]), image3dInputLayer([1, 1, 1, 4]), additionLayer(2), "Give all inputs the same dim"),
    ],
)
def test_inputs_of_two_kinds_are_one_mistake_that_tells_what_makes_them_alike(first, second, layer, fix):
    tail = [layer.replaced(Name="join"), fullyConnectedLayer(1, Name="fc"), regressionLayer(Name="out")]
    graph = layerGraph([first.replaced(Name="a"), *tail])
    graph = connectLayers(addLayers(graph, second.replaced(Name="b")), "b", "join/in2")
    (mistake,) = mistakes(graph)
    assert mistake.startswith("Layer 2 'join'") and "inputs of the same kind" in mistake and fix in mistake


@pytest.mark.parametrize("layer", [gruLayer(3), convolution1dLayer(1, 3)])
def test_sequences_of_images_need_a_flatten_layer(layer):
    layers = [
        sequenceInputLayer([6, 6, 2]),
        globalAveragePooling2dLayer,
        layer,
        fullyConnectedLayer(1),
        regressionLayer,
    ]
    (mistake,) = mistakes(layers)
    assert mistake.startswith("Layer 3") and mistake.endswith("Put a flattenLayer before this layer.")
    resolve([*layers[:2], flattenLayer, *layers[2:]])


@pytest.mark.parametrize("layer", [additionLayer(3, Name="join"), depthConcatenationLayer(3, Name="join")])
def test_inputs_that_do_not_meet_are_told_also_where_nothing_feeds_another(layer):
    tail = [layer, fullyConnectedLayer(1, Name="fc"), regressionLayer(Name="out")]
    graph = layerGraph([imageInputLayer([8, 8, 1], Name="in"), *tail])
    graph = connectLayers(addLayers(graph, convolution2dLayer(5, 2, Name="conv")), "in", "conv")
    unfed, size = sorted(mistakes(connectLayers(graph, "conv", "join/in2")), key=lambda line: "feeds" not in line)
    assert "nothing feeds the input 'in3'" in unfed
    assert size.startswith("Layer 2 'join'") and "8x8x1, 4x4x2" in size
