"""addInputLayer."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    OptionError,
    UnknownNameError,
    addInputLayer,
    additionLayer,
    connectLayers,
    dlarray,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    predict,
    reluLayer,
    softmaxLayer,
)


def two_open_inputs():
    graph = layerGraph([fullyConnectedLayer(3, Name="a"), additionLayer(2, Name="add"), softmaxLayer(Name="s")])
    graph = graph.addLayers(fullyConnectedLayer(3, Name="b"))
    return dlnetwork(connectLayers(graph, "b", "add/in2"), Initialize=False)


def test_the_only_open_input_is_fed():
    net = dlnetwork([fullyConnectedLayer(3, Name="fc"), reluLayer(Name="r")], Initialize=False)
    wider = addInputLayer(net, featureInputLayer(5, Normalization="none", Name="in"))
    assert (net.InputNames, wider.InputNames, wider.Initialized) == (["fc"], ["in"], False)
    assert predict(wider.initialize(), dlarray(np.ones((5, 2)), "CB")).shape == (3, 2)


def test_an_initialized_network_keeps_its_values():
    x = dlarray(np.random.default_rng(0).normal(size=(5, 2)), "CB")
    net = dlnetwork([fullyConnectedLayer(3, Name="fc")], x)
    wider = addInputLayer(net, featureInputLayer(5, Name="in"))
    assert wider.Initialized
    np.testing.assert_array_equal(predict(wider, x), predict(net, x))
    assert not addInputLayer(net, featureInputLayer(5), Initialize=False).Initialized


def test_one_of_several_open_inputs_is_named():
    net = two_open_inputs()
    with pytest.raises(NetworkError, match="the inputs a, b are open"):
        addInputLayer(net, featureInputLayer(4))
    wider = addInputLayer(addInputLayer(net, featureInputLayer(4), "b"), featureInputLayer(2), "a", "Initialize", True)
    assert wider.Initialized and len(wider.InputNames) == 2
    with pytest.raises(UnknownNameError, match="no open input is called 'c'"):
        addInputLayer(net, featureInputLayer(4), "c")


def test_refusals():
    net = dlnetwork([featureInputLayer(4, Name="in"), fullyConnectedLayer(2, Name="fc")])
    with pytest.raises(NetworkError, match="every input of the network is fed"):
        addInputLayer(net, featureInputLayer(4, Name="more"))
    with pytest.raises(OptionError, match="needs an input layer"):
        addInputLayer(two_open_inputs(), reluLayer(), "a")
    with pytest.raises(OptionError, match="needs a dlnetwork"):
        addInputLayer(layerGraph(), featureInputLayer(4))
