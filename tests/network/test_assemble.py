"""assembleNetwork: networks that predict without having been trained."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DAGNetwork,
    DataError,
    NetworkError,
    OptionError,
    SeriesNetwork,
    additionLayer,
    addLayers,
    analyzeNetwork,
    assembleNetwork,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    dlarray,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    networkDataLayout,
    predict,
    regressionLayer,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def test_a_trained_network_is_rebuilt_from_its_layers():
    rng(0)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int)
    layers = [featureInputLayer(3, Normalization="zscore"), fullyConnectedLayer(4), batchNormalizationLayer()]
    layers += [fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    net = trainNetwork(x, y, layers, trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=8, Verbose=False))
    again = assembleNetwork(net.Layers)
    assert isinstance(again, SeriesNetwork)
    np.testing.assert_array_equal(again.predict(x), net.predict(x))
    graph = assembleNetwork(layerGraph(net))
    assert isinstance(graph, DAGNetwork)
    np.testing.assert_array_equal(graph.predict(x), net.predict(x))
    assert np.all(graph.classify(x) == net.classify(x))


def test_everything_that_is_missing_is_listed():
    layers = [
        featureInputLayer(3, Normalization="zscore", Mean=0),
        fullyConnectedLayer(4, Bias=np.zeros(4), Name="fc"),
        batchNormalizationLayer(Offset=np.zeros(4), Scale=np.ones(4)),
        softmaxLayer(),
        classificationLayer(),
    ]
    with pytest.raises(NetworkError) as caught:
        assembleNetwork(layers)
    first, *lines = str(caught.value).split("\n")
    assert first == ("assembleNetwork: 5 parameters are missing. Set them, or train the network with trainNetwork.")
    assert lines == [
        "  Layer 1 'input' (Feature Input): needs StandardDeviation for Normalization='zscore', "
        "but got an empty StandardDeviation.",
        "  Layer 2 'fc' (Fully Connected): needs Weights of size 4x3, but got an empty Weights.",
        "  Layer 3 'batchnorm' (Batch Normalization): needs TrainedMean of size 4x1, but got an empty TrainedMean.",
        "  Layer 3 'batchnorm' (Batch Normalization): needs TrainedVariance of size 4x1, "
        "but got an empty TrainedVariance.",
        "  Layer 5 'classoutput' (Classification Output): needs Classes, but got 'auto'.",
    ]


def two_by_two():
    """Two inputs a (2 features), b (3), and two outputs: a W + b V, and b V."""
    graph = layerGraph([featureInputLayer(2, Name="a"), fullyConnectedLayer(1, Weights=[[1, 2]], Bias=0, Name="fa")])
    graph = addLayers(
        graph, [featureInputLayer(3, Name="b"), fullyConnectedLayer(1, Weights=[[1, 1, 1]], Bias=5, Name="fb")]
    )
    graph = addLayers(graph, [additionLayer(2, Name="add"), regressionLayer(Name="sum")])
    graph = addLayers(graph, regressionLayer(Name="single"))
    for source, destination in (("fa", "add/in1"), ("fb", "add/in2"), ("fb", "single")):
        graph = connectLayers(graph, source, destination)
    return graph


def test_several_inputs_and_outputs():
    net = assembleNetwork(two_by_two())
    assert net.InputNames == ["a", "b"] and net.OutputNames == ["sum", "single"]
    a, b = np.array([[1, 1], [2, 0]]), np.array([[1, 1, 1], [0, 0, 2]])
    total, single = np.array([[11], [9]]), np.array([[8], [7]])
    for given in (net.predict(a, b), net.predict((a, b)), net.predict({"b": b, "a": a}), predict(net, a, b)):
        assert isinstance(given, tuple)
        np.testing.assert_array_equal(given[0], total)
        np.testing.assert_array_equal(given[1], single)
    np.testing.assert_array_equal(net.predict(a, b, "MiniBatchSize", 1)[0], total)
    np.testing.assert_array_equal(net.activations((a, b), "fb"), single.T)
    with pytest.raises(NetworkError, match="training needs one output layer, but got 2: .*'sum'.*'single'"):
        trainNetwork((a, b), total, two_by_two(), trainingOptions("sgdm", Verbose=False))
    assert not analyzeNetwork(two_by_two()).Mistakes
    assert "one output layer" in analyzeNetwork(two_by_two(), "TargetUsage", "trainNetwork").Mistakes[0]
    body = [fullyConnectedLayer(2), softmaxLayer()]
    assert not analyzeNetwork([featureInputLayer(2), *body], TargetUsage="dlnetwork").Mistakes
    with pytest.raises(NetworkError, match="classify: needs a network with one output"):
        net.classify(a, b)


@pytest.mark.parametrize(
    "given, text",
    [
        ((np.ones((2, 2)),), "needs one entry for each of the 2 inputs a, b, but got 1 entries. Give \\(X1, X2\\)"),
        (np.ones((2, 2)), "needs one entry for each of the 2 inputs a, b, but got"),
        ({"a": np.ones((2, 2))}, "needs one entry for each of the 2 inputs"),
        (
            (np.ones((2, 2)), np.ones((3, 3))),
            "same number of observations for each input, but got 2 for 'a', 3 for 'b'",
        ),
        ((np.ones((2, 2)), np.ones((2, 2))), "X for 'b': needs observations x 3 features"),
    ],
)
def test_data_that_do_not_fit_the_inputs(given, text):
    with pytest.raises(Exception, match=text) as caught:
        assembleNetwork(two_by_two()).predict(given)
    assert type(caught.value).__name__ == "DataError"


def test_examples_give_the_sizes_of_open_inputs_without_initializing():
    graph = connectLayers(
        addLayers(layerGraph([fullyConnectedLayer(3, Name="a"), additionLayer(2, Name="add")]), reluLayer(Name="b")),
        "b",
        "add/in2",
    )
    net = dlnetwork(graph, Initialize=False)
    unknown = analyzeNetwork(net)
    assert unknown.Mistakes == [] and unknown.LayerInfo.Activations[0] != "3(C) x 1(B)"
    layouts = [dlarray(np.zeros((5, 2)), "CB"), networkDataLayout([3, np.nan], "CB")]
    for found in (analyzeNetwork(net, *layouts), analyzeNetwork(graph, *layouts, "TargetUsage", "dlnetwork")):
        assert found.Mistakes == [] and found.LayerInfo.Name == ["a", "add", "b"]
        assert found.LayerInfo.Activations == ["3(C) x 1(B)"] * 3
        assert found.LayerInfo.LearnableProperties[0] == "Weights 3x5, Bias 3x1"
        assert sorted(found.wires) == [(0, 1), (2, 1)] and "input of" not in found.to_html()
    assert not net.Initialized
    wrong = analyzeNetwork(net, layouts[0], networkDataLayout([4, np.nan], "CB"))
    assert len(wrong.Mistakes) == 1 and "'add' (Addition)" in wrong.Mistakes[0] and wrong.marks == [[1]]
    with pytest.raises(DataError, match="analyzeNetwork: needs an example of each of the 2 inputs a, b, but got 1"):
        analyzeNetwork(net, layouts[0])
    with pytest.raises(OptionError, match="examples of inputs are for TargetUsage='dlnetwork'"):
        analyzeNetwork(net, *layouts, TargetUsage="trainNetwork")


def test_a_dlnetwork_has_open_inputs_but_no_output_layers():
    layers = [featureInputLayer(2), additionLayer(2), fullyConnectedLayer(2), softmaxLayer, classificationLayer]
    found = analyzeNetwork(layers, TargetUsage="dlnetwork").Mistakes
    assert len(found) == 1 and found[0].startswith("Layer 5 (Classification Output): needs to be left out")
    assert analyzeNetwork(layers[:-1], TargetUsage="dlnetwork").Mistakes == []
