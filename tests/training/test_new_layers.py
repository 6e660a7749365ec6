"""Normalization layers and activations with a formula of their own in whole networks, as a user trains them."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    analyzeNetwork,
    classificationLayer,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    geluLayer,
    groupNormalizationLayer,
    imageInputLayer,
    instanceNormalizationLayer,
    layerNormalizationLayer,
    preluLayer,
    regressionLayer,
    rmsNormalizationLayer,
    rng,
    scalingLayer,
    sequenceInputLayer,
    softmaxLayer,
    softplusLayer,
    swishLayer,
    trainingOptions,
    trainNetwork,
    whiteningLayer,
)

MAKERS = {
    "group": lambda: groupNormalizationLayer(2),
    "instance": instanceNormalizationLayer,
    "layer": layerNormalizationLayer,
    "layer-excluded": lambda: layerNormalizationLayer(OperationDimension="batch-excluded"),
    "rms": rmsNormalizationLayer,
    "rms-excluded": lambda: rmsNormalizationLayer(OperationDimension="batch-excluded"),
    "whitening": whiteningLayer,
    "whitening-2": lambda: whiteningLayer(2),
    "swish": swishLayer,
    "softplus": softplusLayer,
    "gelu": geluLayer,
    "prelu": preluLayer,
    "scaling": lambda: scalingLayer(Scale=[1, 0.5, 2, 1], Bias=0.5),
}
every_layer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def options(**changes):
    return trainingOptions(
        "adam", **{"MaxEpochs": 15, "MiniBatchSize": 20, "InitialLearnRate": 0.01, "Verbose": False, **changes}
    )


@every_layer
def test_images_are_classified(make):
    rng(0)
    x = np.random.default_rng(0).normal(5, 1, (8, 7, 3, 90))
    y = np.arange(90) % 2 == 0
    x[2:5, 2:5, 0, y] += 2
    layers = [
        imageInputLayer([8, 7, 3]),
        convolution2dLayer(3, 4),
        make(),
        fullyConnectedLayer(2),
        softmaxLayer(),
        classificationLayer(),
    ]
    net, info = trainNetwork(x, y, layers, options(ValidationData=(x, y)), nargout=2)
    assert info.FinalValidationAccuracy > 90
    expected = net.predict(x)
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=7), expected, atol=1e-5)
    found = "\n".join(layer.description() for layer in net.Layers)
    assert net.Layers[2].description() in found
    analysis = str(analyzeNetwork(layers))
    assert net.Layers[2].type_name in analysis and "no mistakes" in analysis


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "instance"])  # refuses features
def test_features_are_regressed(name):
    rng(0)
    x = np.random.default_rng(0).normal(1000, 3, (90, 5))
    layers = [
        featureInputLayer(5, Normalization="zscore"),
        fullyConnectedLayer(4),
        MAKERS[name](),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    y = (x[:, 0] - 1000) / 3
    net, info = trainNetwork(x, y, layers, options(MaxEpochs=40), nargout=2)
    assert info.TrainingRMSE[-4:].mean() < 0.8 * info.TrainingRMSE[0]
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=7), net.predict(x), atol=1e-4)


@every_layer
def test_sequences_do_not_see_their_neighbours(make):
    """Also where a layer normalizes over time: neither padding nor other sequences change a prediction."""
    rng(0)
    generator = np.random.default_rng(0)
    x = [generator.normal(3, 2, (4, length)) for length in (5, 2, 9, 4, 7, 3, 3, 8)]
    y = [np.cumsum(each[:1], axis=1) for each in x]
    layers = [sequenceInputLayer(4), make(), fullyConnectedLayer(1), regressionLayer()]
    net = trainNetwork(x, y, layers, options(MaxEpochs=3, MiniBatchSize=3))
    for size in (1, 3, 8):
        for found, alone in zip(net.predict(x, MiniBatchSize=size), x, strict=True):
            np.testing.assert_allclose(found, net.predict([alone])[0], rtol=1e-4, atol=1e-5)


def test_all_mistakes_at_once():
    layers = [
        imageInputLayer([8, 7, 3]),
        groupNormalizationLayer(2, NumChannels=4),
        whiteningLayer(2),
        rmsNormalizationLayer(NumChannels=5),
        preluLayer(Alpha=[1, 2]),
        scalingLayer(Scale=[1, 2]),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    with pytest.raises(NetworkError) as caught:
        trainNetwork(np.zeros((8, 7, 3, 4)), np.zeros(4), layers, options())
    text = str(caught.value)
    assert "6 mistakes" in text
    for part in (
        "Layer 2 (Group Normalization): needs channels that 2 groups (NumGroups) divide, but got 3 channels.",
        "Layer 2 (Group Normalization): needs 4 channels (NumChannels)",
        "Layer 3 (Whitening): needs channels that 2 groups",
        "Layer 4 (RMS Normalization): needs 5 channels (NumChannels)",
        "Layer 5 (PReLU): needs Alpha of size 1x1x3, but got Alpha of size 2x1.",
        "Layer 6 (Scaling): needs Scale that expands to 8x7x3",
    ):
        assert part in text
    analysis = analyzeNetwork(layers)
    assert "6 mistakes" in str(analysis)
