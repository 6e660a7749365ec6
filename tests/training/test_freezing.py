"""Transfer learning: frozen layers, what they cost, how they are shown, and their statistics."""

import numpy as np
import pytest

from mlnet import (
    LayerArray,
    OptionError,
    UnknownNameError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    getL2Factor,
    getLearnRateFactor,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    properties,
    regressionLayer,
    reluLayer,
    replaceLayer,
    rng,
    sequenceInputLayer,
    setL2Factor,
    setLearnRateFactor,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.base import Operation
from mlnet.engines.numpy.engine import NumpyEngine

X = np.random.default_rng(0).normal(2, 3, (6, 6, 1, 24))
Y = np.array(["a", "b"])[(X.mean(axis=(0, 1, 2)) > 2).astype(int)]
NEW_Y = np.array(["x", "y", "z"])[np.arange(24) % 3]


def options(**more):
    return trainingOptions("sgdm", **{"MaxEpochs": 2, "MiniBatchSize": 8, "Verbose": False, **more})


# What MATLAB's examples of transfer learning ship as helper functions, in Python.
def freezeWeights(layers):
    for number in range(len(layers)):
        for name in properties(layers[number]):
            if name.endswith("LearnRateFactor"):
                setattr(layers[number], name, 0)
    return layers


def createLgraphUsingConnections(layers, connections):
    lgraph = layerGraph()
    for number in range(len(layers)):
        lgraph = addLayers(lgraph, layers[number])
    for row in range(len(connections)):
        lgraph = connectLayers(lgraph, connections.Source[row], connections.Destination[row])
    return lgraph


@pytest.fixture(scope="module")
def network():
    """A trained network with a shortcut: input, conv1, bn1, relu, conv2, bn2, add (with relu), fc, ..."""
    layers = [
        imageInputLayer([6, 6, 1], Name="in"),
        convolution2dLayer(3, 4, Padding="same", Name="conv1"),
        batchNormalizationLayer(Name="bn1"),
        reluLayer(Name="relu"),
        convolution2dLayer(3, 4, Padding="same", Name="conv2"),
        batchNormalizationLayer(Name="bn2"),
        additionLayer(2, Name="add"),
        fullyConnectedLayer(2, Name="fc"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="output"),
    ]
    rng(0)
    return trainNetwork(X, Y, connectLayers(layerGraph(layers), "relu", "add/in2"), options())


def transferred(network, frozen=7):
    lgraph = layerGraph(network)
    lgraph = replaceLayer(lgraph, "fc", fullyConnectedLayer(3, Name="new_fc", WeightLearnRateFactor=10))
    lgraph = replaceLayer(lgraph, "output", classificationLayer(Name="new_output"))
    layers, connections = lgraph.Layers, lgraph.Connections
    layers[:frozen] = freezeWeights(layers[:frozen])
    return createLgraphUsingConnections(layers, connections)


LEARNABLES = {"conv1": ("Weights", "Bias"), "bn1": ("Offset", "Scale"), "conv2": ("Weights", "Bias"),
              "bn2": ("Offset", "Scale")}  # fmt: skip
STATES = ("TrainedMean", "TrainedVariance")


def by_name(net):
    return {layer.Name: layer for layer in net.Layers}


def test_the_helper_functions_of_scripts_freeze_and_rebuild(network):
    rng(1)
    net = trainNetwork(X, NEW_Y, transferred(network), options(L2Regularization=0.1))
    before, after = by_name(network), by_name(net)
    for name, parameters in LEARNABLES.items():
        for parameter in parameters:
            np.testing.assert_array_equal(getattr(after[name], parameter), getattr(before[name], parameter))
    assert after["new_output"].ClassNames == ["x", "y", "z"]
    rng(1)
    free = by_name(trainNetwork(X, NEW_Y, transferred(network, 0), options()))
    assert not np.array_equal(free["conv1"].Weights, before["conv1"].Weights)


def test_frozen_layers_are_not_differentiated(network, monkeypatch):
    called = []

    class Counting(NumpyEngine):
        def operation(self, name):
            pair = super().operation(name)

            def backward(*args, **kwargs):
                called.append(name)
                return pair.backward(*args, **kwargs)

            return Operation(pair.forward, backward)

        def fuse(self, program):
            return program

    monkeypatch.setattr("mlnet.training.train.select_engine", lambda *_: Counting())
    trainNetwork(X, NEW_Y, transferred(network), options(MaxEpochs=1))
    assert called == ["fully_connected"] * 3, "three steps, and nothing below the new layer"
    called.clear()
    trainNetwork(X, NEW_Y, transferred(network, 4), options(MaxEpochs=1))
    assert called.count("convolution2d") == 3, "conv2, but not conv1 below it"
    called.clear()
    trainNetwork(X, NEW_Y, transferred(network, 0), options(MaxEpochs=1))
    assert called.count("convolution2d") == 6


def test_statistics_of_frozen_layers(network):
    before = by_name(network)
    other = 5 * X + 1
    graph = transferred(network)

    def train(**more):
        rng(1)
        return by_name(trainNetwork(other, NEW_Y, graph, options(ResetInputNormalization=False, **more)))

    population = train()
    assert not np.allclose(population["bn1"].TrainedMean, before["bn1"].TrainedMean), "as in MATLAB"
    moving = train(BatchNormalizationStatistics="moving")
    assert not np.allclose(moving["bn1"].TrainedMean, before["bn1"].TrainedMean)
    layers, connections = graph.Layers, graph.Connections
    for layer in layers:
        if layer.Name == "bn1":
            layer.MeanDecay, layer.VarianceDecay = 0, 0
    graph = createLgraphUsingConnections(layers, connections)
    fixed = train(BatchNormalizationStatistics="moving", ValidationData=(other, NEW_Y))
    for state in STATES:
        np.testing.assert_array_equal(getattr(fixed["bn1"], state), getattr(before["bn1"], state))
        assert not np.allclose(getattr(fixed["bn2"], state), getattr(before["bn2"], state))


def test_factors_can_be_set_by_name_in_place():
    layers = LayerArray([convolution2dLayer(3, 4), reluLayer(), lstmLayer(3)])
    freezeWeights(layers)
    assert (layers[0].WeightLearnRateFactor, layers[0].BiasLearnRateFactor) == (0, 0)
    assert not np.any(layers[2].InputWeightsLearnRateFactor) and not np.any(layers[2].RecurrentWeightsLearnRateFactor)
    assert [name for name in properties(layers[1]) if name.endswith("Factor")] == []


def test_analysis_tells_what_is_frozen(network):
    analysis = analyzeNetwork(transferred(network))
    count = (9 + 1) * 4 + 8 + (9 * 4 + 1) * 4 + 8
    assert analysis.TotalFrozen == sum(analysis.LayerInfo.NumFrozen) == count
    assert analysis.TotalLearnables == count + 3 * 144 + 3
    plain = dict(zip(analysis.LayerInfo.Name, analysis.LayerInfo.LearnableProperties, strict=True))
    assert plain["conv1"] == "Weights 3x3x1x4, Bias 1x1x4"
    rows = dict(zip(analysis.LayerInfo.Name, analysis.learnables, strict=True))
    assert rows["conv1"] == "Weights 3x3x1x4 (frozen), Bias 1x1x4 (frozen)"
    assert rows["new_fc"] == "Weights 3x144, Bias 3x1"
    text = repr(analysis)
    assert text.splitlines()[0].endswith(f"{analysis.TotalLearnables} learnables ({count} frozen), no mistakes")
    assert "Offset 1x1x4 (frozen), Scale 1x1x4 (frozen)" in text
    assert f"<b>{count}</b>frozen" in analysis.to_html()
    free = analyzeNetwork(network)
    assert free.TotalFrozen == 0 and "frozen" not in repr(free) + free.to_html()


def test_analysis_of_gates_that_are_frozen():
    lstm = lstmLayer(3, InputWeightsLearnRateFactor=[0, 1, 0, 1], BiasLearnRateFactor=0)
    analysis = analyzeNetwork([sequenceInputLayer(2), lstm, fullyConnectedLayer(1), regressionLayer()])
    assert analysis.learnables[1] == "InputWeights 12x2 (partly frozen), RecurrentWeights 12x3, Bias 12x1 (frozen)"
    assert analysis.LayerInfo.NumFrozen == [0, 12 + 12, 0, 0]


@pytest.mark.parametrize("initialize", [True, False])
def test_factors_of_a_dlnetwork(initialize):
    net = dlnetwork([featureInputLayer(2), fullyConnectedLayer(3, Name="fc")], Initialize=initialize)
    frozen = setLearnRateFactor(setL2Factor(net, "fc/Bias", 3), "fc", "Weights", 0)
    assert getLearnRateFactor(frozen, "fc/Weights") == 0 and getL2Factor(frozen, "fc", "Bias") == 3
    assert frozen.factors_of(("fc", "Weights")) == [(0, 1)] and frozen.Initialized == initialize
    assert frozen.Layers[1].WeightLearnRateFactor == 0 and analyzeNetwork(frozen).TotalFrozen == 6
    assert getLearnRateFactor(net, "fc/Weights") == 1 and net.Layers[1].BiasL2Factor == 0
    if initialize:
        np.testing.assert_array_equal(frozen.Learnables.Value[0].extractdata(), net.Learnables.Value[0].extractdata())
    with pytest.raises(UnknownNameError, match="there is no layer 'fd'"):
        setLearnRateFactor(net, "fd", "Weights", 0)
    with pytest.raises(OptionError, match=r"setLearnRateFactor\(net, 'layer/parameter', ...\), but got 'Weights'"):
        setLearnRateFactor(net, "Weights", 0)
    with pytest.raises(OptionError, match="WeightLearnRateFactor: needs a number of at least 0, but got -1"):
        setLearnRateFactor(net, "fc/Weights", -1)
