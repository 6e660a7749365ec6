"""Training with weight normalization and standardization: PyTorch, factors, prediction."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    OptionError,
    assembleNetwork,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    regressionLayer,
    reluLayer,
    rng,
    trainingOptions,
    trainNetwork,
)

torch = pytest.importorskip("torch")
SIDE, CHANNELS, FILTERS, BATCH, STEPS, L2 = 6, 2, 5, 8, 5, 0.01
RATES = {"weight-normalization": 0.05, "weight-standardization": 0.001}  # the outputs of the latter are large
RATE = 0.05
FLAT = (SIDE - 2) ** 2 * FILTERS


def first_values():
    generator = np.random.default_rng(0)
    return (
        generator.normal(0, 0.3, (3, 3, CHANNELS, FILTERS)).astype(np.float32),
        generator.normal(0, 0.1, (3, FLAT)).astype(np.float32),
    )


def data():
    generator = np.random.default_rng(1)
    x = generator.standard_normal((SIDE, SIDE, CHANNELS, BATCH * STEPS)).astype(np.float32)
    return x, x.mean(axis=(0, 1)).T @ np.array([[1, 2, -1], [0, 1, 3]]) * 5


def options(**changes):
    given = {"InitialLearnRate": RATE, "L2Regularization": L2, "MiniBatchSize": BATCH, "MaxEpochs": 1}
    return trainingOptions("sgdm", **{**given, "Shuffle": "never", "Verbose": False, **changes})


def trained(kind, x, y):
    conv, fc = first_values()
    rng(0)
    layers = [
        imageInputLayer([SIDE, SIDE, CHANNELS], Normalization="none"),
        convolution2dLayer(3, FILTERS, Weights=conv, WeightReparameterization=kind),
        reluLayer,
        fullyConnectedLayer(3, Weights=fc, WeightReparameterization=kind),
        regressionLayer,
    ]
    return trainNetwork(x, y, layers, options(InitialLearnRate=RATES[kind]), nargout=2)


class Standardized(torch.nn.Module):
    def forward(self, v):
        axes = tuple(range(1, v.ndim))
        variance = v.var(dim=axes, keepdim=True, correction=0)
        return (v - v.mean(dim=axes, keepdim=True)) / torch.sqrt(variance + 1e-5)


def peer(kind, x, y):
    """The same training in PyTorch: the losses, both layers and what they predict."""
    conv, fc = torch.nn.Conv2d(CHANNELS, FILTERS, 3), torch.nn.Linear(FLAT, 3)
    ours = first_values()
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(ours[0]).permute(3, 2, 0, 1))
        fc.weight.copy_(torch.tensor(ours[1]))
        conv.bias.zero_()
        fc.bias.zero_()
    for module in (conv, fc):
        if kind == "weight-normalization":
            torch.nn.utils.parametrizations.weight_norm(module)
        else:
            torch.nn.utils.parametrize.register_parametrization(module, "weight", Standardized(), unsafe=True)
    named = [pair for module in (conv, fc) for pair in module.named_parameters()]
    groups = [
        {"params": [p for name, p in named if name == "bias"], "weight_decay": 0},
        {"params": [p for name, p in named if name != "bias"], "weight_decay": L2},
    ]
    optimizer = torch.optim.SGD(groups, lr=RATES[kind], momentum=0.9)
    x, y = torch.tensor(x).permute(3, 2, 0, 1), torch.tensor(y.astype(np.float32))

    def network(part):
        return fc(torch.relu(conv(part)).permute(0, 1, 3, 2).flatten(1))  # height fastest

    losses = []
    for part in torch.arange(len(x)).split(BATCH):
        loss = ((network(x[part]) - y[part]) ** 2).sum() / 2 / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, conv, fc, network(x).numpy()


@pytest.mark.parametrize("kind", ["weight-normalization", "weight-standardization"])
def test_training_equals_pytorchs(kind):
    x, y = data()
    expected, conv, fc, predicted = peer(kind, x, y)
    net, info = trained(kind, x, y)
    assert len(info.TrainingLoss) == STEPS
    np.testing.assert_allclose(info.TrainingLoss, expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(x), predicted, rtol=1e-4, atol=1e-5)
    for layer, module in ((net.Layers[1], conv), (net.Layers[3], fc)):
        original = module.parametrizations.weight
        v = original.original1 if kind == "weight-normalization" else original.original
        v = v.detach().numpy()
        np.testing.assert_allclose(layer.Weights, v.transpose(2, 3, 1, 0) if v.ndim == 4 else v, atol=5e-6)
        np.testing.assert_allclose(layer.Bias.ravel(), module.bias.detach().numpy(), atol=5e-6)
        if kind == "weight-normalization":
            np.testing.assert_allclose(
                layer.WeightLength.ravel(), original.original0.detach().numpy().ravel(), rtol=1e-5
            )


def one_step(**given):
    """WeightLength before and after one step of gradient descent."""
    x = np.random.default_rng(2).standard_normal((BATCH, 4))
    weights = np.random.default_rng(3).standard_normal((1, 4)).astype(np.float32)
    rng(0)
    layers = [
        featureInputLayer(4),
        fullyConnectedLayer(1, Weights=weights, WeightReparameterization="weight-normalization", **given),
        regressionLayer,
    ]
    net = trainNetwork(x, x[:, 0], layers, options(Momentum=0))
    return np.linalg.norm(weights), net.Layers[1].WeightLength.item()


def test_factors_of_the_length_apply():
    start, plain = one_step(WeightLengthL2Factor=0)
    step = plain - start
    assert abs(step) > 1e-3
    assert one_step(WeightLengthL2Factor=0, WeightLengthLearnRateFactor=2)[1] == pytest.approx(
        start + 2 * step, rel=1e-6
    )
    assert one_step(WeightLengthLearnRateFactor=0)[1] == pytest.approx(start, rel=1e-7)
    decay = RATE * L2 * start
    assert decay > 1e-4 * start
    assert one_step()[1] == pytest.approx(plain - decay, rel=1e-6)
    assert one_step(WeightLengthL2Factor=3)[1] == pytest.approx(plain - 3 * decay, rel=1e-6)


def test_a_trained_network_can_be_trained_on():
    x, y = data()
    net, info = trained("weight-normalization", x, y)
    before = net.predict(x)
    still = trainNetwork(x, y, net.Layers, options(InitialLearnRate=1e-30))
    np.testing.assert_array_equal(still.predict(x), before)
    np.testing.assert_array_equal(still.Layers[1].WeightLength, net.Layers[1].WeightLength)
    rng(0)
    _, more = trainNetwork(x, y, net.Layers, options(MaxEpochs=5), nargout=2)
    assert more.TrainingLoss[-1] < info.TrainingLoss[-1]


@pytest.mark.parametrize("kind", ["weight-normalization", "weight-standardization"])
def test_trained_layers_make_a_network(kind):
    x, y = data()
    net, _ = trained(kind, x, y)
    np.testing.assert_array_equal(assembleNetwork(net.Layers).predict(x), net.predict(x))


def test_networks_are_not_assembled_of_filters_without_a_length_or_direction():
    layer = fullyConnectedLayer(1, Weights=[[1, 2]], Bias=3, WeightReparameterization="weight-normalization")
    with pytest.raises(NetworkError, match="WeightLength of size 1x1, but got an empty WeightLength"):
        assembleNetwork([featureInputLayer(2), layer, regressionLayer()])
    layer.WeightLength = 1
    net = assembleNetwork([featureInputLayer(2), layer, regressionLayer()])
    assert net.predict([[1, 2]]).item() == pytest.approx(3 + 5**0.5)
    layer.Weights = [[0, 0]]
    with pytest.raises(OptionError, match="not all zero"):
        assembleNetwork([featureInputLayer(2), layer, regressionLayer()])
