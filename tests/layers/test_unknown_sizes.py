"""Sizes with unknown entries: what stands behind a mistake, and what layers say to it."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.table import TABLE

from layers.catalogue import make
from mlnet import (
    additionLayer,
    analyzeNetwork,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    depthConcatenationLayer,
    flattenLayer,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    reluLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.errors import NetworkError
from mlnet.layers.base import Size, SizeError, dims
from mlnet.layers.unknown import UNKNOWN, UnknownSizeError, is_known

CASES = [
    pytest.param(name, options, sizes, id=f"{name}-{'-'.join(size.format for size in sizes)}")
    for name, rows in TABLE.items()
    if name not in ("networkLayer", "maxUnpooling2dLayer")
    for options, sizes in rows
    if sizes
]


def test_an_unknown_length_agrees_with_every_number():
    assert UNKNOWN == 3 and [UNKNOWN] == [3] and max(3, UNKNOWN) == 3 and not UNKNOWN < 3 and not UNKNOWN > 3
    assert UNKNOWN != "auto" and not UNKNOWN % 7 and not is_known(2 * UNKNOWN + 1) and not is_known(5 - UNKNOWN)
    assert f"{UNKNOWN}" == str(UNKNOWN) == "?" and dims((3, UNKNOWN)) == "3x?"
    assert Size("SSC", (UNKNOWN, 4, 3)) == Size("SSC", (9, 4, 3)) != Size("SSC", (9, 5, 3))
    for use in (int, float, range):
        with pytest.raises(UnknownSizeError):
            use(UNKNOWN)
    with pytest.raises(TypeError):
        hash(UNKNOWN)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize(("name", "options", "sizes"), CASES)
def test_layers_find_nothing_wrong_with_unknown_entries(name, options, sizes, channels):
    layer = make(name, **options)
    blurred = [size.with_unknown(channels=channels) for size in sizes]
    try:
        found = layer.output_sizes(*blurred)
        assert list(layer.mistakes(*blurred)) == []
    except UnknownSizeError:
        return
    expected = layer.output_sizes(*sizes)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == other, f"{one} for {blurred}, but {other} for {sizes}"


def test_only_few_layers_cannot_go_on_without_height_and_width():
    stuck = set()
    for name, options, sizes in (case.values for case in CASES):
        try:
            make(name, **options).output_sizes(*(size.with_unknown(channels=False) for size in sizes))
        except UnknownSizeError:
            stuck.add(name)
    assert stuck <= {"functionLayer"}


def test_checks_go_on_behind_a_window_that_does_not_fit():
    layers = [
        imageInputLayer([8, 8, 3]),
        convolution2dLayer(11, 16),
        batchNormalizationLayer(Scale=[1, 2]),
        maxPooling2dLayer(2),
        convolution2dLayer(3, 8, NumChannels=4),
        flattenLayer(),
        fullyConnectedLayer(10),
        softmaxLayer(),
        classificationLayer(Classes=["a", "b"]),
    ]
    analysis = analyzeNetwork(layers)
    assert [mark[0] + 1 for mark in analysis.marks] == [2, 3, 5, 9]
    assert "1x1x16" in analysis.Mistakes[1] and "4 channels" in analysis.Mistakes[2]
    info = analysis.LayerInfo
    assert info.Activations[4] == "?(S) x ?(S) x 8(C) x 1(B)" and info.Activations[5] == "?(C) x 1(B)"
    assert info.NumLearnables[4] == 3 * 3 * 16 * 8 + 8 and info.NumLearnables[6] == 10  # the weights are not known
    with pytest.raises(NetworkError, match="4 mistakes"):
        trainNetwork(np.zeros((8, 8, 3, 2)), ["a", "b"], layers, trainingOptions("sgdm"))


def test_what_a_wrong_window_does_not_change_is_compared_with_other_branches():
    graph = layerGraph([imageInputLayer([8, 8, 3], Name="in"), convolution2dLayer(9, 5, Name="big")])
    graph = graph.addLayers([convolution2dLayer(3, 6, Name="small", Padding="same")])
    graph = graph.addLayers([additionLayer(2, Name="add"), reluLayer(Name="relu")])
    graph = graph.addLayers(depthConcatenationLayer(2, Name="cat"))
    wires = [("in", "small"), ("big", "add/in1"), ("small", "add/in2"), ("small", "cat/in1"), ("big", "cat/in2")]
    for source, destination in wires:
        graph = connectLayers(graph, source, destination)
    analysis = analyzeNetwork(graph)
    assert any("'add'" in each and "?x?x5, 8x8x6" in each for each in analysis.Mistakes)
    assert not any("'cat'" in each and "differ" in each for each in analysis.Mistakes)
    row = list(analysis.LayerInfo.Name).index("cat")
    assert analysis.LayerInfo.Activations[row] == "8(S) x 8(S) x 11(C) x 1(B)"


def test_a_function_is_not_called_with_sizes_that_nobody_knows():
    def never(x):
        raise AssertionError

    with pytest.raises(UnknownSizeError):
        functionLayer(never).output_sizes(Size("SSC", (UNKNOWN, UNKNOWN, 3)))
    with pytest.raises(SizeError):
        convolution2dLayer(3, 4).output_sizes(Size("C", (UNKNOWN,)))
