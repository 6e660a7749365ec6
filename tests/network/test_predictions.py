"""Predictions against those in double precision, layer by layer: merged normalizations, plans that are kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mlnet import (
    activations,
    additionLayer,
    assembleNetwork,
    batchNormalizationLayer,
    connectLayers,
    convolution2dLayer,
    fullyConnectedLayer,
    groupedConvolution2dLayer,
    imageInputLayer,
    layerGraph,
    regressionLayer,
    reluLayer,
    replaceLayer,
    rng,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import StepPlan
from mlnet.network.compile import parameter_values, prediction_program

X = np.random.default_rng(3).normal(2, 3, (7, 5, 4, 12)).astype(np.float32)
Y = np.random.default_rng(4).normal(size=(12, 2))
BIAS = {"BiasInitializer": "narrow-normal"}


def trained(*layers, connections=(), epochs=2):
    rng(0)
    stack = [imageInputLayer([7, 5, 4], Name="in"), *layers, fullyConnectedLayer(2, Name="end"), regressionLayer]
    graph = layerGraph(stack)
    for pair in connections:
        graph = connectLayers(graph, *pair)
    options = trainingOptions("sgdm", MaxEpochs=epochs, MiniBatchSize=4, InitialLearnRate=0.01, Verbose=False)
    return trainNetwork(X, Y, graph if connections else stack, options)


def plain(net, x):
    """Predict operation by operation with the values of the layers, in double precision."""
    program, values = prediction_program(net._network), parameter_values(net._network.layers, np.float64)
    plan = StepPlan(NumpyEngine(), program)
    return plan.forward(np.ascontiguousarray(x.transpose(3, 0, 1, 2), dtype=np.float64), values).reshape(-1, 2)


@pytest.mark.parametrize(
    "layers",
    [
        (convolution2dLayer(3, 5), batchNormalizationLayer),
        (
            convolution2dLayer([2, 1], 3, Padding=1, PaddingValue=2, BiasInitializer="narrow-normal"),
            batchNormalizationLayer,
            reluLayer,
        ),
        (groupedConvolution2dLayer(3, 3, 2, BiasInitializer="narrow-normal"), batchNormalizationLayer),
        (groupedConvolution2dLayer(3, 2, "channel-wise", BiasInitializer="narrow-normal"), batchNormalizationLayer),
        (fullyConnectedLayer(6), batchNormalizationLayer, tanhLayer),
    ],
    ids=["convolution", "rectified", "grouped", "channel-wise", "fully connected"],
)
def test_a_normalization_is_folded_into_the_layer_before(layers):
    net = trained(*layers)
    expected = plain(net, X)
    assert np.abs(net.predict(X) - expected).max() < 3e-6 * np.abs(expected).max()


def test_with_weights_and_statistics_far_from_one():
    random = np.random.default_rng(8)
    values = {
        name: random.uniform(low, high, (1, 1, 5))
        for name, low, high in [
            ("Offset", -3, 3),
            ("Scale", -2, 4),
            ("TrainedMean", 5, 9),
            ("TrainedVariance", 0.01, 40),
        ]
    }
    net = trained(convolution2dLayer(3, 5, Name="conv"), batchNormalizationLayer(Name="bn"), epochs=1)
    graph = layerGraph(net)
    net = assembleNetwork(replaceLayer(graph, "bn", batchNormalizationLayer(Name="bn", **values)))
    expected = plain(net, X)
    assert np.abs(net.predict(X) - expected).max() < 1e-5 * np.abs(expected).max()


def test_what_somebody_else_reads_too():
    net = trained(
        convolution2dLayer(3, 4, Padding="same", Name="conv"),
        batchNormalizationLayer(Name="bn"),
        additionLayer(2, Name="add"),
        connections=[("conv", "add/in2")],
    )
    assert np.allclose(net.predict(X), plain(net, X), rtol=1e-5, atol=1e-5)


def test_weights_that_are_computed_and_normalizations_behind_other_layers():
    for layer in (convolution2dLayer(3, 4, WeightReparameterization="weight-standardization"), reluLayer):
        net = trained(layer, batchNormalizationLayer)
        assert np.allclose(net.predict(X), plain(net, X), rtol=1e-5, atol=1e-5)


def test_activations_between_them_are_those_of_the_layer():
    net = trained(convolution2dLayer(3, 5, Name="conv"), batchNormalizationLayer(Name="bn"), reluLayer(Name="relu"))
    before, after = activations(net, X, "conv"), activations(net, X, "bn")
    layer = net.Layers(3)
    slope = layer.Scale / np.sqrt(layer.TrainedVariance + layer.Epsilon)
    assert np.allclose(
        (before - layer.TrainedMean[..., None]) * slope[..., None] + layer.Offset[..., None], after, atol=1e-5
    )
    assert np.allclose(np.maximum(after, 0), activations(net, X, "relu"), atol=1e-5)


def test_networks_of_the_same_layers_take_turns():
    nets = [trained(convolution2dLayer(3, 5), batchNormalizationLayer, epochs=epochs) for epochs in (1, 2, 3)]
    expected = [plain(net, X) for net in nets]
    for _ in range(3):
        for net, right in zip(nets, expected, strict=True):
            assert np.allclose(net.predict(X), right, rtol=1e-4, atol=1e-5)


def test_one_network_in_two_threads():
    net = trained(convolution2dLayer(3, 5), batchNormalizationLayer)
    batches = [X, X[..., ::-1] * 2]
    expected = [net.predict(batch) for batch in batches]
    wrong = []

    def work(number):
        for _ in range(50):
            if not np.array_equal(net.predict(batches[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
