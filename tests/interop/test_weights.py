"""importWeights and exportWeights, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import DataError, NotSupportedError, OptionError, exportWeights, importWeights, predict

from .networks import random_network

torch = pytest.importorskip("torch")
nn = torch.nn


def randomised(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 0.5 if "running_var" in name else torch.randn(value.shape) / 3)
    return model.eval()


def image_pair():
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(3, 6, (3, 2), stride=(1, 2), padding=1))
    model.add_module("bn1", nn.BatchNorm2d(6))
    model.add_module("relu", nn.ReLU())
    model.add_module("group", nn.Conv2d(6, 4, 3, groups=2, bias=False))
    model.add_module("gn", nn.GroupNorm(2, 4))
    model.add_module("slope", nn.PReLU(4))
    model.add_module("up", nn.ConvTranspose2d(4, 5, (2, 3), stride=2))
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc1", nn.Linear(5 * 10 * 7, 7))
    model.add_module("fc2", nn.Linear(7, 2))
    layers = [
        mlnet.imageInputLayer([7, 9, 3], Normalization="none"),
        mlnet.convolution2dLayer([3, 2], 6, Stride=[1, 2], Padding=1, Name="conv1"),
        mlnet.batchNormalizationLayer(Name="bn1"),
        mlnet.reluLayer(),
        mlnet.groupedConvolution2dLayer(3, 2, 2, Name="group"),
        mlnet.groupNormalizationLayer(2, Name="gn"),
        mlnet.preluLayer(Name="slope"),
        mlnet.transposedConv2dLayer([2, 3], 5, Stride=2, Name="up"),
        mlnet.fullyConnectedLayer(7, Name="fc1"),
        mlnet.fullyConnectedLayer(2, Name="fc2"),
        mlnet.regressionLayer(),
    ]
    return randomised(model), layers


@pytest.mark.parametrize("flattens", [False, True])
def test_images(flattens):
    model, layers = image_pair()
    if flattens:
        layers[8:8] = [mlnet.flattenLayer(), mlnet.dropoutLayer(0.5)]
    x = np.random.default_rng(0).normal(size=(4, 3, 7, 9)).astype(np.float32)
    expected = model(torch.tensor(x)).detach().numpy()
    filled = importWeights(layers, model.state_dict())
    assert isinstance(filled, mlnet.LayerArray) and not layers[1].Weights.size
    found = predict(mlnet.assembleNetwork(filled), x.transpose(2, 3, 1, 0))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["lstm", "bilstm", "gru"])
def test_sequences(kind):
    recurrent = (nn.GRU if kind == "gru" else nn.LSTM)(3, 5, bidirectional=kind == "bilstm", batch_first=True)
    randomised(recurrent)
    options = {"ResetGateMode": "recurrent-bias-after-multiplication"} if kind == "gru" else {}
    layer = getattr(mlnet, f"{kind}Layer")(5, Name="rnn", **options)
    layers = [mlnet.sequenceInputLayer(3), layer, mlnet.regressionLayer()]
    arrays = {f"rnn.{name}": value for name, value in recurrent.state_dict().items()}
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    expected = recurrent(torch.tensor(x))[0].detach().numpy()
    found = predict(mlnet.assembleNetwork(importWeights(layers, arrays)), list(x.transpose(0, 2, 1)))
    np.testing.assert_allclose(np.stack(found).transpose(0, 2, 1), expected, rtol=1e-4, atol=1e-5)


def test_there_and_back():
    model, layers = image_pair()
    given = {name: value.numpy() for name, value in model.state_dict().items() if "tracked" not in name}
    net = mlnet.assembleNetwork(importWeights(layers, given))
    back = exportWeights(net)
    assert set(back) == {*given, "group.bias"}
    for name, value in given.items():
        np.testing.assert_array_equal(back[name], value)
    again = importWeights(net, back)
    assert isinstance(again, mlnet.SeriesNetwork)
    x = np.random.default_rng(0).normal(size=(7, 9, 3, 2))
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


@pytest.mark.parametrize("layer", [mlnet.lstmLayer(4), mlnet.bilstmLayer(4), mlnet.gruLayer(4)])
def test_recurrent_layers_there_and_back(layer):
    net = random_network([mlnet.sequenceInputLayer(3), layer, mlnet.regressionLayer()])
    x = [np.random.default_rng(0).normal(size=(3, 5))]
    np.testing.assert_allclose(importWeights(net, exportWeights(net)).predict(x)[0], net.predict(x)[0], rtol=1e-6)


def test_graphs_and_names_with_dots():
    graph = mlnet.layerGraph([mlnet.featureInputLayer(2), mlnet.fullyConnectedLayer(1, Name="block_0-fc")])
    graph = mlnet.connectLayers(mlnet.addLayers(graph, mlnet.regressionLayer(Name="out")), "block_0-fc", "out")
    filled = importWeights(graph, {"block.0.fc.weight": np.array([[1, 2]]), "block.0.fc.bias": np.array([3])})
    assert isinstance(filled, mlnet.LayerGraph)
    assert predict(mlnet.assembleNetwork(filled), [[10, 20]]) == 53


def test_every_mistake_is_listed():
    model, layers = image_pair()
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    arrays["fc1.weight"] = arrays["fc1.weight"].T
    arrays["fc2.bias"] = np.array([1, np.nan])
    arrays["gn.weight"] = "text"
    arrays["bn1.running_means"] = arrays.pop("bn1.running_mean")
    with pytest.raises(DataError) as error:
        importWeights(layers, arrays)
    text = str(error.value)
    for part in ("5 mistakes", "7x350", "not finite", "needs numbers", "'bn1.running_mean' is missing", "Did you mean"):
        assert part in text


def test_a_reset_gate_that_elsewhere_has_two_biases():
    layers = [mlnet.sequenceInputLayer(3), mlnet.gruLayer(5, Name="rnn"), mlnet.regressionLayer()]
    arrays = {f"rnn.{name}": value for name, value in randomised(nn.GRU(3, 5)).state_dict().items()}
    with pytest.raises(DataError, match="recurrent-bias-after-multiplication"):
        importWeights(layers, arrays)


def test_what_there_is_no_rule_for_is_named():
    layers = [mlnet.featureInputLayer(4), mlnet.whiteningLayer(Name="white"), mlnet.regressionLayer()]
    with pytest.raises(NotSupportedError, match="white"):
        exportWeights(layers)
    normalized = mlnet.fullyConnectedLayer(2, WeightReparameterization="weight-normalization", Name="fc")
    with pytest.raises(NotSupportedError, match="fc"):
        importWeights(
            [mlnet.featureInputLayer(4), normalized, mlnet.regressionLayer()], {"fc/kernel": np.zeros((4, 2))}
        )


def test_arguments():
    _, layers = image_pair()
    with pytest.raises(OptionError, match="stateDict"):
        importWeights(layers, [1, 2])
    with pytest.raises(DataError, match="have no values"):
        exportWeights(layers)


def test_a_dlnetwork():
    net = mlnet.dlnetwork([mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2, Name="fc")])
    model = nn.Sequential()
    model.add_module("fc", nn.Linear(3, 2))
    filled = importWeights(net, model.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("single")
    expected = model(torch.tensor(x)).detach().numpy()
    assert isinstance(filled, mlnet.dlnetwork) and not np.allclose(mlnet.minibatchpredict(net, x), expected)
    np.testing.assert_allclose(mlnet.minibatchpredict(filled, x), expected, rtol=1e-5, atol=1e-6)
    model.load_state_dict({name: torch.tensor(value) for name, value in exportWeights(net).items()})
    np.testing.assert_allclose(mlnet.minibatchpredict(net, x), model(torch.tensor(x)).detach().numpy(), atol=1e-5)
    with pytest.raises(mlnet.NetworkError, match="exportWeights: needs the size of the input fc"):
        exportWeights(mlnet.dlnetwork([mlnet.fullyConnectedLayer(2)], Initialize=False))


def test_a_module_in_place_of_its_arrays():
    with pytest.raises(OptionError, match=r"state_dict\(\)"):
        importWeights([mlnet.featureInputLayer(3), mlnet.regressionLayer()], nn.Linear(3, 2))
