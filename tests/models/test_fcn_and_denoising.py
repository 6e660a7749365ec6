"""fcnLayers, dnCNNLayers and denoisingNetwork."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NotSupportedError,
    OptionError,
    analyzeNetwork,
    denoisingNetwork,
    dnCNNLayers,
    fcnLayers,
    imageInputLayer,
    pixelClassificationLayer,
    removeLayers,
    replaceLayer,
    trainingOptions,
    trainNetwork,
    vgg16,
)
from mlnet.models.fcn import _as_filters

CLASSES = 4
FIXED = 138_357_544 - (4096 * 1000 + 1000)  # VGG-16 without its last layer


def scored(channels):
    return channels * CLASSES + CLASSES


def enlarged(stride):
    return (2 * stride) ** 2 * CLASSES**2 + CLASSES


@pytest.mark.parametrize(
    "kind, layers, connections, learnables",
    [
        ("32s", 43, 43, scored(4096) + enlarged(32)),
        ("16s", 47, 49, scored(4096) + scored(512) + enlarged(2) + enlarged(16)),
        ("8s", 51, 55, scored(4096) + scored(512) + scored(256) + 2 * enlarged(2) + enlarged(8)),
    ],
)
def test_fcn_counts(kind, layers, connections, learnables):
    graph = fcnLayers([240, 300], CLASSES, "Type", kind, "Weights", "none")
    analysis = analyzeNetwork(graph)
    assert analysis.Mistakes == [] and analysis.TotalLearnables == FIXED + learnables
    assert (len(graph.Layers), len(graph.Connections)) == (layers, connections)
    sizes = dict(zip(analysis.LayerInfo.Name, analysis.LayerInfo.Activations, strict=True))
    assert sizes["score"] == "240(S) x 300(S) x 4(C) x 1(B)" and sizes["pool5"].startswith("13(S) x 15(S) x 512(C)")


def test_fcn_takes_another_output_layer():
    graph = fcnLayers([227, 227], 2, Weights="none")
    graph = removeLayers(graph, "pixelLabels")
    graph = graph.addLayers(pixelClassificationLayer(Name="labels", Classes=["a", "b"], ClassWeights=[1, 3]))
    assert analyzeNetwork(graph.connectLayers("softmax", "labels")).Mistakes == []
    assert (
        analyzeNetwork(replaceLayer(graph, "input", imageInputLayer([64, 64, 3], Name="in"))).LayerInfo.Name[0] == "in"
    )


def test_fcn_refusals():
    with pytest.raises(NotSupportedError, match="not shipped"):
        fcnLayers([240, 300], 2)
    with pytest.raises(OptionError, match="3 channels"):
        fcnLayers([240, 300, 2], 2, Weights="none")


def test_fully_connected_weights_become_filters_that_compute_the_same():
    generator = np.random.default_rng(0)
    x, weights = generator.normal(size=(7, 7, 5)), generator.normal(size=(6, 7 * 7 * 5))
    filters = _as_filters(weights, 7)
    assert filters.shape == (7, 7, 5, 6)
    np.testing.assert_allclose(np.einsum("ijc,ijcf->f", x, filters), weights @ x.ravel(order="F"))


def test_vgg_ends_as_fcn_expects():
    assert [layer.Name for layer in vgg16(Weights="none")][-3:] == ["fc8", "prob", "output"]


def test_dncnn():
    layers = dnCNNLayers()
    assert len(layers) == 59 and [layer.Name for layer in layers[:4]] == ["InputLayer", "Conv1", "ReLU1", "Conv2"]
    analysis = analyzeNetwork(layers)
    hidden = 18 * (9 * 64 * 64 + 64 + 2 * 64)
    assert analysis.TotalLearnables == 9 * 64 + 64 + hidden + 9 * 64 + 1 and analysis.Mistakes == []
    assert len(dnCNNLayers("NetworkDepth", 17)) == 50
    with pytest.raises(OptionError, match="NetworkDepth"):
        dnCNNLayers(NetworkDepth=2)


def test_a_short_dncnn_learns():
    noise = np.random.default_rng(0).normal(0, 0.1, (50, 50, 1, 4)).astype(np.float32)
    options = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=2, Verbose=False)
    _, info = trainNetwork(noise + 0.5, noise, dnCNNLayers(NetworkDepth=3), options, nargout=2)
    assert info.TrainingLoss[-1] < info.TrainingLoss[0]


def test_the_denoising_network_tells_what_to_do():
    with pytest.raises(NotSupportedError, match=r"Train dnCNNLayers\(\)"):
        denoisingNetwork("DnCNN")
    with pytest.raises(OptionError):
        denoisingNetwork("other")
