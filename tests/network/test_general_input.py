"""inputLayer: data of any format."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlnet import (
    DataError,
    NotSupportedError,
    OptionError,
    analyzeNetwork,
    convolution1dLayer,
    convolution2dLayer,
    featureInputLayer,
    flattenLayer,
    fullyConnectedLayer,
    globalAveragePooling1dLayer,
    imageInputLayer,
    inputLayer,
    lstmLayer,
    maxPooling1dLayer,
    maxPooling2dLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    trainingOptions,
    trainNetwork,
)

NAN = math.nan
OPTIONS = trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=4, InitialLearnRate=0.01, Verbose=False)


def trained(first, rest, x, y):
    rng(0)
    net = trainNetwork(x, y, [first, *rest, regressionLayer()], OPTIONS)
    return net.predict(x)


IMAGES = np.random.default_rng(0).normal(size=(4, 3, 2, 8))
FEATURES = np.random.default_rng(0).normal(size=(8, 3))
SEQUENCES = np.random.default_rng(0).normal(size=(3, 5, 8))  # C x T x B
Y = np.random.default_rng(1).normal(size=(8, 1))


@pytest.mark.parametrize(
    "size, labels, data, plain, given, rest",
    [
        ([4, 3, 2, NAN], "SSCB", IMAGES, imageInputLayer([4, 3, 2], Normalization="none"), IMAGES, "image"),
        (
            [NAN, 2, 4, 3],
            "BCSS",
            IMAGES.transpose(3, 2, 0, 1),
            imageInputLayer([4, 3, 2], Normalization="none"),
            IMAGES,
            "image",
        ),
        ([3, NAN], "CB", FEATURES.T, featureInputLayer(3), FEATURES, "features"),
        ([NAN, 3], "BC", FEATURES, featureInputLayer(3), FEATURES, "features"),
        ([3, NAN, NAN], "CTB", SEQUENCES, sequenceInputLayer(3), list(np.moveaxis(SEQUENCES, -1, 0)), "sequence"),
        (
            [NAN, NAN, 3],
            "BTC",
            SEQUENCES.transpose(2, 1, 0),
            sequenceInputLayer(3),
            list(np.moveaxis(SEQUENCES, -1, 0)),
            "sequence",
        ),
        (
            [3, NAN, NAN],
            "CBT",
            list(np.moveaxis(SEQUENCES, -1, 0)),
            sequenceInputLayer(3),
            list(np.moveaxis(SEQUENCES, -1, 0)),
            "sequence",
        ),
        (
            [NAN, 3],
            "TC",
            [each.T for each in np.moveaxis(SEQUENCES, -1, 0)],
            sequenceInputLayer(3),
            list(np.moveaxis(SEQUENCES, -1, 0)),
            "sequence",
        ),
    ],
)
def test_the_same_as_the_layer_for_that_kind_of_data(size, labels, data, plain, given, rest):
    layers = {
        "image": [convolution2dLayer(2, 3), fullyConnectedLayer(1)],
        "features": [fullyConnectedLayer(1)],
        "sequence": [lstmLayer(4, OutputMode="last"), fullyConnectedLayer(1)],
    }[rest]
    expected = trained(plain, layers, given, Y)
    np.testing.assert_array_equal(trained(inputLayer(size, labels), layers, data, Y), expected)


def test_one_dimensional_images():
    """Convolution over the positions of 'SCB' data is that over the time of sequences of one length."""
    layers = [convolution1dLayer(3, 4, Padding="same"), globalAveragePooling1dLayer(), fullyConnectedLayer(1)]
    positions = SEQUENCES.transpose(1, 0, 2)  # S x C x B
    found = trained(inputLayer([5, 3, NAN], "SCB"), layers, positions, Y)
    expected = trained(sequenceInputLayer(3), layers, list(np.moveaxis(SEQUENCES, -1, 0)), Y)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    analysis = analyzeNetwork([inputLayer([5, 3, NAN], "SCB"), *layers, regressionLayer()])
    assert not analysis.Mistakes
    assert analysis.LayerInfo.Activations[0] == "5(S) x 3(C) x 1(B)"


def test_sizes_and_format_belong_together():
    with pytest.raises(OptionError, match="needs one size for each of the 4 .*, but has 3. For B and T give NaN"):
        inputLayer([28, 28, 1], "SSCB")
    with pytest.raises(NotSupportedError, match="NaN is supported for B and T only, but 'S' has no size"):
        inputLayer([NAN, 28, 1, NAN], "SSCB")
    with pytest.raises(OptionError, match="InputFormat"):
        inputLayer([28, 28, NAN], "SSB")


def test_data_of_another_size():
    with pytest.raises(
        DataError, match="the images are of size 4x3x2, but the input layer expects images of size 3x4x2"
    ):
        trained(inputLayer([3, 4, 2, NAN], "SSCB"), [fullyConnectedLayer(1)], IMAGES, Y)
    with pytest.raises(DataError, match="needs size 4 x time steps"):
        trained(
            inputLayer([4, NAN, NAN], "CTB"), [lstmLayer(2, OutputMode="last"), fullyConnectedLayer(1)], SEQUENCES, Y
        )


def test_sequences_of_one_dimensional_images_are_convolved_step_by_step():
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(7, 2, length)) for length in (3, 5, 2, 4)]
    y = generator.normal(size=(4, 1))
    layers = [convolution1dLayer(3, 4), maxPooling1dLayer(2, Stride=2), flattenLayer(), lstmLayer(3, OutputMode="last")]
    found = trained(sequenceInputLayer([7, 2]), [*layers, fullyConnectedLayer(1)], x, y)
    layers = [convolution2dLayer([3, 1], 4), maxPooling2dLayer([2, 1], Stride=[2, 1]), *layers[2:]]
    flat = [each[:, None] for each in x]
    expected = trained(sequenceInputLayer([7, 1, 2]), [*layers, fullyConnectedLayer(1)], flat, y)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
