"""networkLayer: the same as its layers in the place of it."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    OptionError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    assembleNetwork,
    batchNormalizationLayer,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    networkLayer,
    regressionLayer,
    reluLayer,
    rng,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X.sum(axis=1)
OPTIONS = trainingOptions("sgdm", MaxEpochs=3, MiniBatchSize=5, InitialLearnRate=0.01, Verbose=False)


def block():
    return [fullyConnectedLayer(4, Name="fc"), batchNormalizationLayer(Name="bn"), reluLayer(Name="relu")]


def trained(layers):
    rng(0)
    return trainNetwork(X, Y, layers, OPTIONS)


def test_a_nested_network_trains_as_its_layers():
    flat = trained([featureInputLayer(3), *block(), fullyConnectedLayer(1, Name="last"), regressionLayer()])
    nested = [
        featureInputLayer(3),
        networkLayer(block(), Name="net"),
        fullyConnectedLayer(1, Name="last"),
        regressionLayer(),
    ]
    net = trained(nested)
    np.testing.assert_array_equal(net.predict(X), flat.predict(X))
    assert [layer.Name for layer in net.Layers] == ["input", "net", "last", "regressionoutput"]
    inner = net.Layers(2).Network.Layers
    np.testing.assert_array_equal(inner(1).Weights, flat.Layers(2).Weights)
    np.testing.assert_array_equal(inner(2).TrainedMean, flat.Layers(3).TrainedMean)
    assert networkLayer(block()).Network.Layers(1).Weights.size == 0, "the given layers have not changed"
    np.testing.assert_array_equal(net.activations(X, "net:relu"), flat.activations(X, "relu"))
    np.testing.assert_array_equal(assembleNetwork(net.Layers).predict(X), flat.predict(X))
    assert analyzeNetwork(net).LayerInfo.Name[1:4] == ["net:fc", "net:bn", "net:relu"]


def test_several_ports_and_depths():
    """A residual block with two inputs inside of a network inside of a network."""
    inner = connectLayers(
        addLayers(
            layerGraph([fullyConnectedLayer(4, Name="fc"), additionLayer(2, Name="add")]), tanhLayer(Name="tanh")
        ),
        "tanh",
        "add/in2",
    )
    layer = networkLayer(inner, Name="two")
    assert layer.InputNames == ["in1", "in2"] and layer.OutputNames == ["out"]
    outer = networkLayer(addLayers(layerGraph(), layer), Name="outer")
    assert outer.InputNames == ["in1", "in2"]
    graph = layerGraph([featureInputLayer(3, Name="x"), fullyConnectedLayer(4, Name="first")])
    graph = addLayers(addLayers(graph, outer), [fullyConnectedLayer(1, Name="last"), regressionLayer(Name="y")])
    for source, destination in (("x", "outer/in1"), ("first", "outer/in2"), ("outer", "last")):
        graph = connectLayers(graph, source, destination)
    net = trained(graph)
    assert [each.Name for each in net.Layers] == ["x", "first", "outer", "last", "y"]
    fc = net.Layers(3).Network.Layers(1).Network.Layers(1)
    assert fc.Weights.shape == (4, 3)
    first = X @ net.Layers(2).Weights.T + net.Layers(2).Bias.T
    hidden = X @ fc.Weights.T + fc.Bias.T + np.tanh(first)
    np.testing.assert_allclose(
        net.predict(X), hidden @ net.Layers(4).Weights.T + net.Layers(4).Bias.T, rtol=1e-4, atol=1e-5
    )


def test_what_makes_no_network_layer():
    with pytest.raises(NetworkError, match="without input and output layers, but has 'input', 'regressionoutput'"):
        networkLayer([featureInputLayer(3), fullyConnectedLayer(1), regressionLayer()])
    with pytest.raises(OptionError, match="Network: needs inputs that are not connected"):
        networkLayer([])
    with pytest.raises(OptionError, match="networkLayer: Network: needs layers, a layer graph or a network"):
        networkLayer(5)
    with pytest.raises(NetworkError, match="'net:bn' \\(Batch Normalization\\): needs 7 channels"):
        trained(
            [
                featureInputLayer(3),
                networkLayer([batchNormalizationLayer(Name="bn").replaced(NumChannels=7)], Name="net"),
                fullyConnectedLayer(1),
                regressionLayer(),
            ]
        )
