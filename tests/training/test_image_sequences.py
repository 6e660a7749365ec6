"""Layers that pool, crop, resize and join, in sequences of images: every time step is computed by itself."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    adaptiveAveragePooling2dLayer,
    additionLayer,
    addLayers,
    averagePooling2dLayer,
    averagePooling3dLayer,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    convolution3dLayer,
    crop2dLayer,
    crop3dLayer,
    depthToSpace2dLayer,
    fullyConnectedLayer,
    globalAveragePooling2dLayer,
    globalMaxPooling3dLayer,
    layerGraph,
    maxPooling2dLayer,
    maxPooling3dLayer,
    multiplicationLayer,
    regressionLayer,
    resize2dLayer,
    resize3dLayer,
    rng,
    sequenceInputLayer,
    spaceToDepthLayer,
    trainingOptions,
    trainNetwork,
)

SMALLER, SMALLER3 = maxPooling2dLayer(3, Name="small"), maxPooling3dLayer(2, Name="small")
OPTIONS = trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=2, InitialLearnRate=1e-4, Verbose=False)


@pytest.mark.parametrize(
    "size, layer, reference",
    [
        ([6, 5, 2], maxPooling2dLayer(2, Stride=2), None),
        ([6, 5, 2], averagePooling2dLayer(3, Padding="same", PaddingValue="mean"), None),
        ([6, 5, 2], globalAveragePooling2dLayer(), None),
        ([6, 5, 2], adaptiveAveragePooling2dLayer([4, 2]), None),
        ([6, 5, 2], resize2dLayer(Scale=1.5, Method="bilinear"), None),
        ([6, 5, 2], resize2dLayer(EnableReferenceInput=True), SMALLER),
        ([6, 5, 2], crop2dLayer("centercrop"), SMALLER),
        ([6, 5, 2], crop2dLayer([2, 3]), SMALLER),
        ([6, 5, 2], concatenationLayer(1, 2), maxPooling2dLayer([2, 1], Name="small")),
        ([6, 5, 2], concatenationLayer(3, 2), averagePooling2dLayer(3, Padding="same", Name="small")),
        ([6, 5, 2], additionLayer(2), globalAveragePooling2dLayer(Name="small")),
        ([6, 5, 2], multiplicationLayer(2), maxPooling2dLayer([6, 1], Name="small")),
        ([6, 5, 2], depthToSpace2dLayer([1, 2]), None),
        ([6, 5, 2], spaceToDepthLayer(2), None),
        ([4, 3, 3, 2], averagePooling3dLayer(2, Padding=1, PaddingValue="mean"), None),
        ([4, 3, 3, 2], globalMaxPooling3dLayer(), None),
        ([4, 3, 3, 2], resize3dLayer(OutputSize=[5, 2, 4], Method="trilinear"), None),
        ([4, 3, 3, 2], resize3dLayer(EnableReferenceInput=True), SMALLER3),
        ([4, 3, 3, 2], crop3dLayer(), SMALLER3),
        ([4, 3, 3, 2], concatenationLayer(3, 2), maxPooling3dLayer([1, 1, 3], Name="small")),
        ([4, 3, 3, 2], crop3dLayer([2, 1, 2]), SMALLER3),
    ],
    ids=lambda value: getattr(value, "constructor_name", None),
)
def test_every_time_step_is_computed_by_itself(size, layer, reference):
    rng(0)
    generator = np.random.default_rng(0)
    x = [generator.standard_normal((*size, steps)) for steps in (3, 1, 4)]
    y = [each.reshape(-1, each.shape[-1])[:1] for each in x]
    convolution = convolution2dLayer if len(size) == 3 else convolution3dLayer
    first = [sequenceInputLayer(size, Name="in"), convolution(1, 2, Name="conv")]
    lgraph = layerGraph([*first, layer.replaced(Name="layer"), fullyConnectedLayer(1), regressionLayer()])
    if reference is not None:
        lgraph = addLayers(lgraph, reference)
        lgraph = connectLayers(connectLayers(lgraph, "conv", "small"), "small", f"layer/{layer.inputs[1]}")
    net = trainNetwork(x, y, lgraph, OPTIONS)
    for found, each in zip(net.predict(x), x, strict=True):
        for step in range(each.shape[-1]):
            (alone,) = net.predict([each[..., step : step + 1]])
            np.testing.assert_allclose(found[:, step : step + 1], alone, rtol=1e-5, atol=1e-6)
        assert np.ptp(found) > 0 or found.shape[1] == 1
