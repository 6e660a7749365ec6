"""MinLength: how many time steps sequences need for the windows of all layers."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    NetworkError,
    additionLayer,
    analyzeNetwork,
    averagePooling1dLayer,
    classificationLayer,
    connectLayers,
    convolution1dLayer,
    convolution2dLayer,
    dlnetwork,
    fullyConnectedLayer,
    functionLayer,
    globalAveragePooling1dLayer,
    inputLayer,
    layerGraph,
    lstmLayer,
    maxPooling1dLayer,
    predict,
    regressionLayer,
    reluLayer,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

WINDOWS = [convolution1dLayer(11, 16), maxPooling1dLayer(2, Stride=2), convolution1dLayer(7, 8, DilationFactor=2)]
ENDING = [globalAveragePooling1dLayer(), fullyConnectedLayer(3), softmaxLayer(), classificationLayer()]


def mistakes(*layers):
    return analyzeNetwork(list(layers)).Mistakes


def test_the_shortest_sequence_that_fits_is_asked_for():
    (found,) = mistakes(sequenceInputLayer(12), *WINDOWS, *ENDING)
    needed = (13 - 1) * 2 + 2 + 11 - 1  # 13 steps before the last window, 26 before pooling
    assert "Layer 2 (1-D Convolution): needs at least 11 time steps, but got 1 of sequences of 1 (MinLength)" in found
    assert f"Set MinLength={needed} of sequenceInputLayer 'sequenceinput', which is enough for all layers" in found
    assert mistakes(sequenceInputLayer(12, MinLength=needed), *WINDOWS, *ENDING) == []
    (found,) = mistakes(sequenceInputLayer(12, MinLength=needed - 1), *WINDOWS, *ENDING)
    assert f"Layer 4 (1-D Convolution): needs at least 13 time steps, but got 12 of sequences of {needed - 1}" in found
    with pytest.raises(NetworkError, match=f"MinLength={needed}"):
        dlnetwork([sequenceInputLayer(12), *WINDOWS])


def test_the_proposed_length_is_the_shortest_that_a_network_computes():
    generator = np.random.default_rng(0)
    net = dlnetwork([sequenceInputLayer(2, MinLength=36), *WINDOWS, reluLayer()])
    assert np.isfinite(net.predict(dl(generator.normal(size=(2, 1, 36))))).all()


def dl(array):
    from mlnet import dlarray

    return dlarray(array, "CBT")


@pytest.mark.parametrize(
    "layers",
    [
        [convolution1dLayer(5, 3, Padding="same"), averagePooling1dLayer(4, Padding="same", Stride=3)],
        [convolution1dLayer(5, 3, Padding="causal", DilationFactor=4)],
        [convolution1dLayer(3, 3, Padding=1), lstmLayer(4, OutputMode="last"), fullyConnectedLayer(2)],
        [functionLayer(np.tanh), lstmLayer(3)],
    ],
)
def test_padded_windows_take_sequences_of_any_length(layers):
    assert mistakes(sequenceInputLayer(3), *layers, fullyConnectedLayer(1), regressionLayer()) == []


def test_no_length_is_asked_for_where_none_can_be_given():
    layers = [inputLayer([3, np.nan, np.nan], "CBT"), convolution1dLayer(3, 4), fullyConnectedLayer(1)]
    assert mistakes(*layers, regressionLayer()) == []
    images = [sequenceInputLayer([8, 8, 1]), convolution2dLayer(3, 2), fullyConnectedLayer(1), regressionLayer()]
    assert mistakes(*images) == []


def test_no_length_is_enough():
    layers = [sequenceInputLayer(1), maxPooling1dLayer(99, Stride=99), maxPooling1dLayer(99), *ENDING]
    (found,) = mistakes(*layers)
    assert "Layer 2 (1-D Max Pooling)" in found and "No MinLength is enough" not in found
    (found,) = mistakes(sequenceInputLayer(1), convolution1dLayer(5000, 2), *ENDING)
    assert "No MinLength is enough" in found


def branches(**options):
    first = sequenceInputLayer(3, MinLength=10, Name="in")
    graph = layerGraph([first, convolution1dLayer(3, 3, Name="conv", **options), additionLayer(2, Name="add")])
    graph = connectLayers(graph, "in", "add/in2")
    return analyzeNetwork(graph).Mistakes


def test_branches_with_different_numbers_of_steps():
    assert any("'add'" in each and "same numbers of time steps" in each for each in branches())
    assert not any("'add'" in each and "steps" in each for each in branches(Padding="same"))


def test_data_that_are_too_short_name_the_layer_and_the_shortest_sequence():
    x = [np.ones((2, length)) for length in (9, 7, 5, 6)]
    layers = [sequenceInputLayer(2, MinLength=7, Name="in"), convolution1dLayer(7, 2), *ENDING[:1]]
    layers += [fullyConnectedLayer(1), regressionLayer()]
    options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
    words = r"at least 7 time steps \(MinLength of 'in'\), but the shortest, sequence 3, has 5"
    with pytest.raises(DataError, match=words):
        trainNetwork(x, np.ones((4, 1)), layers, options)
    net = trainNetwork(x[:2], np.ones((2, 1)), layers, options)
    with pytest.raises(DataError, match=words):
        predict(net, x)


def test_pieces_that_are_too_short_are_refused_before_training():
    x = [np.ones((2, length)) for length in (14, 17)]
    layers = [sequenceInputLayer(2, MinLength=5), convolution1dLayer(5, 2), fullyConnectedLayer(1), regressionLayer()]
    layers[1] = convolution1dLayer(5, 2, Padding="same")
    options = trainingOptions("sgdm", MaxEpochs=1, SequenceLength=7, Verbose=False)
    with pytest.raises(DataError, match="sequence 2, which has 17, SequenceLength=7 leaves one of 3"):
        trainNetwork(x, [each[:1] for each in x], layers, options)
