"""Custom layers with a network as a learnable parameter."""

from __future__ import annotations

import numpy as np
import pytest

from layers.test_custom import FEATURES, RESPONSES, failed, options
from mlnet import (
    DataError,
    Formattable,
    Layer,
    Learnable,
    NetworkError,
    OptionError,
    State,
    additionLayer,
    analyzeNetwork,
    batchNormalizationLayer,
    connectLayers,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    extractdata,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    initialize,
    layerGraph,
    load,
    predict,
    regressionLayer,
    rng,
    save,
    tanhLayer,
    trainingOptions,
    trainnet,
    trainNetwork,
)
from mlnet.layers.base import Size
from mlnet.table import ParameterTable


class residual(Layer, Formattable):
    Network = Learnable()

    def __init__(self, *layers, Name=""):
        super().__init__(Name=Name)
        self.Network = dlnetwork(list(layers), Initialize=False)

    def initialize(self, layout):
        self.Network = initialize(self.Network, layout)

    def predict(self, X):
        return X + self.Network.predict(X)


def test_a_network_as_a_parameter():
    rng(0)
    inner = [fullyConnectedLayer(4, Name="fc", BiasLearnRateFactor=0), tanhLayer(Name="tanh")]
    layer = residual(*inner, Name="own")
    assert not layer.Network.Initialized
    layers = [featureInputLayer(4), layer, fullyConnectedLayer(2), regressionLayer]
    rows = analyzeNetwork(layers).LayerInfo
    assert rows.LearnableProperties[1] == "Network/fc/Weights 4x4, Network/fc/Bias 4x1"
    first = layer.with_size(Size("C", (4,)))
    net = trainNetwork(FEATURES, RESPONSES, [layers[0], first, *layers[2:]], options())
    found, before = net.Layers[1].Network.Learnables.Value, first.Network.Learnables.Value
    assert not np.allclose(found[0], before[0]) and (found[1].extractdata() == before[1].extractdata()).all()
    graph = layerGraph([featureInputLayer(4, Name="x"), *inner, additionLayer(2, Name="sum")])
    plain = dlnetwork(connectLayers(graph, "x", "sum/in2"))
    plain.Learnables = ParameterTable(["fc", "fc"], ["Weights", "Bias"], before)
    X = dlarray(FEATURES.astype("single"), "BC")
    own = dlnetwork([featureInputLayer(4), first])
    np.testing.assert_allclose(predict(own, X).extractdata(), predict(plain, X).extractdata(), rtol=1e-6)
    assert own.Learnables.Parameter == ["Network/fc/Weights", "Network/fc/Bias"]
    assert failed(residual(*inner), 4) == {}
    with pytest.raises(OptionError, match="Network: needs .*, or a dlnetwork, but got 'net'"):
        layer.Network = "net"


class normalizing(residual):
    """Has a network with states, whose new values forward returns."""

    def forward(self, X):
        Z, state = self.Network.forward(X, nargout=2)
        return X + Z, state


class assigning(normalizing):
    def forward(self, X):
        Z, self.Network.State = self.Network.forward(X, nargout=2)
        return X + Z


class counting(normalizing):
    Count = State(0)

    def forward(self, X):
        Z, state = super().forward(X)
        return Z, state, self.Count + 1


KINDS = [normalizing, assigning, counting]
INNER = [fullyConnectedLayer(4, Name="fc"), batchNormalizationLayer(Name="bn")]
BATCH = dlarray((3 * FEATURES + 2).astype("single"), "BC")


def plain_graph():
    graph = layerGraph([featureInputLayer(4, Name="x", Normalization="none"), *INNER, additionLayer(2, Name="sum")])
    return connectLayers(graph, "x", "sum/in2")


def gradients(net, x):
    z, state = forward(net, x, nargout=2)
    return dlgradient(np.sum(np.sin(z)), net.Learnables), state


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_networks_in_loops_of_ones_own(kind):
    rng(0)
    own = dlnetwork([featureInputLayer(4, Normalization="none"), kind(*INNER, Name="own")])
    names = ["Network/bn/TrainedMean", "Network/bn/TrainedVariance"]
    assert own.State.Parameter == names + ["Count"] * (kind is counting)
    plain = dlnetwork(plain_graph())
    plain.Learnables = ParameterTable(["fc", "fc", "bn", "bn"], ["Weights", "Bias", "Offset", "Scale"],
                                      own.Learnables.Value)  # fmt: skip
    for _ in range(2):
        (found, state), (expected, wanted) = (dlfeval(gradients, net, BATCH) for net in (own, plain))
        assert extractdata(own.State.Value[0]).tolist() != extractdata(state.Value[0]).tolist()  # own has not changed
        for one, other in zip([*found.Value, *state.Value], [*expected.Value, *wanted.Value], strict=False):
            np.testing.assert_allclose(extractdata(one), extractdata(other), rtol=1e-4, atol=1e-6)
        own.State, plain.State = state, wanted
    np.testing.assert_allclose(extractdata(predict(own, BATCH)), extractdata(predict(plain, BATCH)), rtol=1e-4)
    if kind is counting:
        assert own.State.Value[2].item() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_networks_in_training(kind, tmp_path):
    def trained(inner, join, **more):
        rng(0)
        first = featureInputLayer(4, Name="x", Normalization="none")
        last = fullyConnectedLayer(2, Name="out", Weights=np.ones((2, 4)), Bias=np.zeros((2, 1)))
        graph = join(layerGraph([first, *inner, last]))
        chosen = trainingOptions("sgdm", MaxEpochs=3, MiniBatchSize=8, Shuffle="never", Verbose=False, **more)
        return trainnet(FEATURES, RESPONSES, graph, "mse", chosen)

    weights = np.random.default_rng(1).standard_normal((4, 4)) / 3
    inside = [fullyConnectedLayer(4, Name="fc", Weights=weights, Bias=np.zeros((4, 1))), INNER[1]]
    own = trained([kind(*inside, Name="own")], lambda graph: graph)
    plain = trained([*inside, additionLayer(2, Name="sum")], lambda graph: connectLayers(graph, "x", "sum/in2"))
    network = own.Layers[1].Network
    for one, other in zip(network.Learnables.Value, plain.Learnables.Value, strict=False):
        np.testing.assert_allclose(extractdata(one), extractdata(other), rtol=1e-4, atol=1e-6)
    still = trained([kind(*inside, Name="own")], lambda graph: graph, InitialLearnRate=1e-12).Layers[1].Network
    mean, variance = np.zeros(4), np.ones(4)
    for batch in np.split(FEATURES @ weights.T, 3) * 3:
        mean, variance = 0.9 * mean + 0.1 * batch.mean(0), 0.9 * variance + 0.1 * batch.var(0, ddof=1)
    np.testing.assert_allclose(extractdata(still.State.Value[0]).ravel(), mean, rtol=1e-4)
    np.testing.assert_allclose(extractdata(still.State.Value[1]).ravel(), variance, rtol=0.1)
    file = tmp_path / "own.mat"
    save(file, own=own)
    again = load(file, Layers=[kind]).own
    np.testing.assert_array_equal(extractdata(predict(again, BATCH)), extractdata(predict(own, BATCH)))
    assert failed(kind(*INNER), 4) == {}


def test_a_state_of_something_else_is_refused():
    class wrong(normalizing):
        def forward(self, X):
            return X, self.Network

    with pytest.raises((NetworkError, DataError), match=r"that returns the state of Network, as Network.forward\(X"):
        trainNetwork(FEATURES, RESPONSES, [featureInputLayer(4), wrong(*INNER), fullyConnectedLayer(2),
                     regressionLayer], options())  # fmt: skip


def test_trainnet_goes_on_from_a_checkpoint_with_classes(tmp_path):
    def train(layers, **more):
        rng(0)
        chosen = trainingOptions("adam", MaxEpochs=4, MiniBatchSize=8, Verbose=False, CheckpointPath=str(tmp_path),
                                 Shuffle="every-epoch")  # fmt: skip
        return trainnet(FEATURES, RESPONSES, layers, "mse", chosen, **more)

    layers = [featureInputLayer(4), counting(*INNER, Name="own"), fullyConnectedLayer(2)]
    whole = train(layers)
    (third,) = tmp_path.glob("net_checkpoint__9__*")
    again = train(str(third), Layers=[counting])
    assert again.State.Parameter == whole.State.Parameter and again.State.Value[2].item() == 12
    for table in ("Learnables", "State"):
        for one, other in zip(getattr(again, table).Value, getattr(whole, table).Value, strict=True):
            np.testing.assert_array_equal(extractdata(one), extractdata(other))
    with pytest.raises(DataError, match=r"Layers=\[counting\]"):
        train(str(third))
    with pytest.raises(OptionError, match="trainnet: Layers are the classes of custom layers in a checkpoint"):
        train(layers, Layers=[counting])
