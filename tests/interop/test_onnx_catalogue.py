"""Every layer there is: in ONNX Runtime as predict computes it, or on the list of those that cannot be exported."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from layers.catalogue import REQUIRED, make

import mlnet
from mlnet.layers.input import InputLayer

from .networks import random_network
from .stacks import IMAGE, SEQUENCE, VOLUME, input_of
from .test_onnx_export import branches, differences, masked, unpooling

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

LINE = mlnet.inputLayer([12, 4, math.nan], "SCB")
NUMBERS = ("sequenceInputLayer", 1)


def chain(*layers):
    return [*layers, mlnet.regressionLayer()]


def _inputs(name):
    """Return networks of an input layer alone."""
    options = {"Mean": 0.5} if getattr(make(name), "Normalization", "") == "zerocenter" else {}
    return chain(make(name, **options), mlnet.identityLayer())


def _folding():
    fold, unfold = mlnet.sequenceFoldingLayer(Name="fold"), mlnet.sequenceUnfoldingLayer(Name="unfold")
    first = [mlnet.sequenceInputLayer([6, 5, 2]), fold, mlnet.convolution2dLayer(2, 3), unfold, mlnet.flattenLayer()]
    graph = mlnet.layerGraph(chain(*first))
    return mlnet.connectLayers(graph, "fold/miniBatchSize", "unfold/miniBatchSize")


def _crop3d():
    graph = mlnet.layerGraph([input_of(VOLUME), mlnet.averagePooling3dLayer(2, Name="small")])
    graph = mlnet.addLayers(graph, [mlnet.crop3dLayer(Name="crop"), mlnet.regressionLayer(Name="out")])
    first = graph.Layers[0].Name
    graph = mlnet.connectLayers(graph, first, "crop/in")
    return mlnet.connectLayers(graph, "small", "crop/ref")


def _words():
    return chain(mlnet.sequenceInputLayer(1), make("wordEmbeddingLayer"))


GRAPHS = {
    **dict.fromkeys(("attentionLayer",), lambda: masked(False, False, both=True)),
    "maxUnpooling2dLayer": lambda: unpooling(2, 2),
    **dict.fromkeys(("additionLayer", "multiplicationLayer", "depthConcatenationLayer"), branches),
    **dict.fromkeys(("concatenationLayer", "crop2dLayer"), branches),
    "crop3dLayer": _crop3d,
    "sequenceFoldingLayer": _folding,
    "sequenceUnfoldingLayer": _folding,
    "wordEmbeddingLayer": _words,
    "permuteLayer": lambda: chain(input_of(IMAGE), mlnet.permuteLayer([3, 1, 2])),
    "reshapeLayer": lambda: chain(input_of(IMAGE), mlnet.reshapeLayer([1, 1, []])),
    "resize2dLayer": lambda: chain(input_of(IMAGE), mlnet.resize2dLayer(Scale=2)),
    "resize3dLayer": lambda: chain(input_of(VOLUME), mlnet.resize3dLayer(Scale=2)),
    "crossChannelNormalizationLayer": lambda: chain(input_of(IMAGE), make("crossChannelNormalizationLayer")),
    "patchEmbeddingLayer": lambda: chain(input_of(IMAGE), make("patchEmbeddingLayer")),
    "embeddingConcatenationLayer": lambda: chain(LINE, make("embeddingConcatenationLayer")),
    "quadraticLayer": lambda: chain(mlnet.featureInputLayer(4), mlnet.quadraticLayer()),
    **{
        name: lambda name=name: [input_of(IMAGE), mlnet.softmaxLayer(), make(name, Classes=["a", "b", "c", "d"])]
        for name in ("pixelClassificationLayer", "dicePixelClassificationLayer")
    },
    **{
        name: lambda name=name: [mlnet.featureInputLayer(2), mlnet.softmaxLayer(), make(name, Classes=["a", "b"])]
        for name in ("classificationLayer", "focalLossLayer")
    },
    "regressionLayer": lambda: [mlnet.featureInputLayer(2), mlnet.regressionLayer()],
}
"""Networks with layers that do not follow an input alone."""

NOT_EXPORTED = {
    "functionLayer": "what it computes is a function of Python",
}
"""Layers that ONNX cannot express, with the reason; docs/onnx.md lists the same."""

_SEQUENCES = ("lstm", "bilstm", "gru", "selfAttention", "positionEmbedding", "sinusoidal", "indexing1d")


def network(name):
    if name in GRAPHS:
        return GRAPHS[name]()
    if isinstance(make(name), InputLayer):
        return _inputs(name)
    if name.startswith(_SEQUENCES):
        return chain(input_of(SEQUENCE), make(name))
    if "3d" in name.lower():
        return chain(input_of(VOLUME), make(name))
    if "1d" in name.lower():
        return chain(LINE, make(name))
    return chain(input_of(IMAGE), make(name))


@pytest.mark.parametrize("name", sorted(set(REQUIRED) - set(NOT_EXPORTED)))
def test_every_layer_is_exported_or_on_the_list(name):
    net = random_network(network(name))
    kind = getattr(mlnet, name).constructs
    unfolded = ("networkLayer",)
    assert name in unfolded or any(isinstance(layer, kind) for layer in net._network.layers)
    assert max(differences(net)) < 1e-5


@pytest.mark.parametrize("name", NOT_EXPORTED)
def test_a_layer_of_the_list_is_refused(name, tmp_path):
    with pytest.raises(mlnet.NotSupportedError, match="cannot express"):
        mlnet.exportONNXNetwork(random_network(network(name)), tmp_path / "net.onnx")


def test_the_list_is_that_of_the_documentation():
    text = (Path(mlnet.__file__).parent.parent / "docs" / "onnx.md").read_text()
    assert all(f"`{name}`: {reason}" in text for name, reason in NOT_EXPORTED.items())


def test_numbers_of_observations_play_no_part():
    net = random_network(network("convolution2dLayer"))
    assert max(differences(net, batches=(1, 2, 7))) < 1e-5
    assert np.isfinite(max(differences(net)))
