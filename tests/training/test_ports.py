"""Training of networks with several inputs, and with states that go from layer to layer."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    batchNormalizationLayer,
    classificationLayer,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    disconnectLayers,
    featureInputLayer,
    flattenLayer,
    fullyConnectedLayer,
    gruLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def options(**more):
    return trainingOptions("adam", **{"MaxEpochs": 30, "MiniBatchSize": 16, "Verbose": False, **more})


def test_images_and_features_together():
    """The class is told by neither input alone; the statistics of each input are its own."""
    generator = np.random.default_rng(0)
    bright, large = generator.integers(0, 2, (2, 160))
    images = generator.normal(bright * 3.0, 0.3, (6, 5, 1, 160)) + 100
    features = np.stack([large * 10.0 - 50, generator.normal(size=160)], axis=1)
    y = bright ^ large
    graph = layerGraph(
        [
            imageInputLayer([6, 5, 1], Name="images"),
            convolution2dLayer(3, 4, Padding="same", Name="conv"),
            batchNormalizationLayer(Name="bn"),
            reluLayer(Name="relu"),
            flattenLayer(Name="flat"),
            concatenationLayer(1, 2, Name="cat"),
            fullyConnectedLayer(16, Name="fc1"),
            reluLayer(Name="relu2"),
            fullyConnectedLayer(2, Name="fc2"),
            softmaxLayer(Name="softmax"),
            classificationLayer(Name="out"),
        ]
    )
    graph = addLayers(graph, featureInputLayer(2, Normalization="zscore", Name="features"))
    graph = connectLayers(graph, "features", "cat/in2")
    assert not analyzeNetwork(graph).Mistakes
    rng(0)
    data = ((images, features), y)
    net = trainNetwork(*data, graph, options(InitialLearnRate=0.01, ValidationData=data, ValidationFrequency=50))
    assert net.InputNames == ["images", "features"]
    assert np.mean(net.classify(images, features) == y) > 0.97
    by_name = {layer.Name: layer for layer in net.Layers}
    np.testing.assert_allclose(by_name["images"].Mean.ravel(), images.mean(), rtol=1e-5)
    np.testing.assert_allclose(by_name["features"].Mean.ravel(), features.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_name["features"].StandardDeviation.ravel(), features.std(axis=0), rtol=1e-5)
    assert by_name["bn"].TrainedMean.size == 4
    with pytest.raises(DataError, match="same number of observations for each input"):
        trainNetwork((images, features[:-1]), y, graph, options())


@pytest.mark.parametrize("recurrent, ports", [(lstmLayer, ("hidden", "cell")), (gruLayer, ("hidden",))])
def test_an_encoder_gives_its_states_to_a_decoder(recurrent, ports):
    """The decoder sees only noise: what it puts out can come from nothing but the states of the encoder."""
    generator = np.random.default_rng(0)
    level = generator.choice([-1.0, 1.0], 64)
    x = [generator.normal(value, 0.3, (2, length)) for value, length in zip(level, [3, 6, 4, 5] * 16, strict=True)]
    noise = [generator.normal(size=(1, length)) for length in [4, 2, 3, 4] * 16]
    y = [np.full((1, each.shape[1]), value) for each, value in zip(noise, level, strict=True)]
    graph = layerGraph([sequenceInputLayer(1, Name="noise")])
    decoder = [recurrent(8, HasStateInputs=True, Name="decoder"), fullyConnectedLayer(1, Name="fc"), regressionLayer()]
    encoder = [sequenceInputLayer(2, Name="x"), recurrent(8, HasStateOutputs=True, OutputMode="last", Name="encoder")]
    graph = addLayers(addLayers(graph, decoder), encoder)
    graph = connectLayers(graph, "noise", "decoder/in")
    for port in ports:
        graph = connectLayers(graph, f"encoder/{port}", f"decoder/{port}")
    # every output needs a reader: the last output joins the hidden state, which is the same
    graph = addLayers(graph, [additionLayer(2, Name="add"), fullyConnectedLayer(8, Name="mix")])
    graph = connectLayers(connectLayers(graph, "encoder/out", "add/in1"), "encoder/hidden", "add/in2")
    mistakes = analyzeNetwork(graph).Mistakes
    assert len(mistakes) == 1 and "nothing uses its output" in mistakes[0]
    graph = disconnectLayers(graph, "encoder/hidden", "decoder/hidden")
    graph = connectLayers(graph, "mix", "decoder/hidden")
    assert not analyzeNetwork(graph).Mistakes
    rng(0)
    net = trainNetwork((noise, x), y, graph, options(InitialLearnRate=0.02, MaxEpochs=40))
    predicted = net.predict(noise, x)
    assert [each.shape for each in predicted] == [each.shape for each in y]
    assert np.mean([np.mean(np.sign(each) == target) for each, target in zip(predicted, y, strict=True)]) > 0.95
    info = dict(zip(*(analyzeNetwork(net).LayerInfo[key] for key in ("Name", "States")), strict=True))
    assert info["decoder"] == ""
    assert "HiddenState" in info["encoder"]


def test_inputs_of_different_lengths_meet():
    graph = layerGraph([sequenceInputLayer(1, Name="a"), additionLayer(2, Name="add"), fullyConnectedLayer(1)])
    graph = addLayers(graph, [regressionLayer(Name="out")])
    graph = addLayers(graph, sequenceInputLayer(1, Name="b"))
    graph = connectLayers(connectLayers(graph, "b", "add/in2"), "fc", "out")
    a, b = [np.ones((1, 3)), np.ones((1, 4))], [np.ones((1, 4)), np.ones((1, 3))]
    with pytest.raises(DataError, match="Layer 'add': needs inputs of the same numbers of time steps"):
        trainNetwork((a, b), a, graph, options())
