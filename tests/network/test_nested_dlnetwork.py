"""networkLayer in a dlnetwork and in trainnet: the same as its layers in the place of it."""

import numpy as np

from mlnet import (
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    networkLayer,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainnet,
)

X = np.random.default_rng(0).standard_normal((12, 2))


def layers(nested):
    inner = [fullyConnectedLayer(4, Name="fc"), reluLayer(Name="relu")]
    middle = [networkLayer(inner, Name="block")] if nested else inner
    return [featureInputLayer(2, Name="in"), *middle, fullyConnectedLayer(3, Name="last"), softmaxLayer(Name="out")]


def step(net, x):
    y = net.forward(x)
    return y, dlgradient(np.sum(y**2), net.Learnables)


def test_dlnetwork_with_a_network_layer_computes_and_differentiates():
    found = []
    for nested in (True, False):
        rng(1)
        net = dlnetwork(layers(nested))
        found.append(dlfeval(step, net, dlarray(X, "BC")))
    assert next(found[0][1].rows())[0] == "block:fc"
    assert np.array_equal(found[0][0].extractdata(), found[1][0].extractdata())
    for one, other in zip(found[0][1].rows(), found[1][1].rows(), strict=True):
        assert one[2].extractdata().any() and np.array_equal(one[2].extractdata(), other[2].extractdata())


def test_open_network_layer_takes_an_example():
    net = dlnetwork([networkLayer([fullyConnectedLayer(4, Name="fc")], Name="block")], dlarray(X, "BC"))
    assert net.Initialized and net.InputNames == net.OutputNames == ["block:fc"]


def test_trainnet_trains_the_layers_of_a_network_layer():
    options = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=4, Verbose=False)
    targets = np.eye(3)[np.arange(12) % 3]
    values = []
    for nested in (True, False):
        rng(1)
        net = trainnet(X, targets, layers(nested), "crossentropy", options)
        values.append([row[2].extractdata() for row in net.Learnables.rows()])
    assert all(np.array_equal(*pair) for pair in zip(*values, strict=True))
