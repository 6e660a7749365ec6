"""Training step by step against PyTorch: same weights, same mini-batches, 30 steps."""

import math

import numpy as np
import pytest

from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    maxPooling2dLayer,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

torch = pytest.importorskip("torch")

L2, BATCH, STEPS = 1e-3, 16, 30
SIDE, CHANNELS, CLASSES = 10, 2, 4
FLAT = (SIDE // 2) ** 2 * 8


def initial():
    generator = np.random.default_rng(5)
    return {
        "conv": generator.normal(0, 0.2, (3, 3, CHANNELS, 8)).astype(np.float32),
        "scale": generator.uniform(0.5, 1.5, 8).astype(np.float32),
        "offset": generator.normal(0, 0.1, 8).astype(np.float32),
        "fc": generator.normal(0, 0.1, (CLASSES, FLAT)).astype(np.float32),
    }


def data():
    generator = np.random.default_rng(6)
    x = generator.normal(0, 1, (SIDE, SIDE, CHANNELS, BATCH * STEPS)).astype(np.float32)
    y = generator.integers(0, CLASSES, BATCH * STEPS)
    x += 0.3 * y  # something to learn
    return x, y


def layers(start, bias_factor=2):
    return [
        imageInputLayer([SIDE, SIDE, CHANNELS], Normalization="none"),
        convolution2dLayer(3, 8, Padding="same", Weights=start["conv"], BiasLearnRateFactor=bias_factor),
        batchNormalizationLayer(Scale=start["scale"], Offset=start["offset"], ScaleL2Factor=0, OffsetL2Factor=0),
        reluLayer,
        maxPooling2dLayer(2, Stride=2),
        fullyConnectedLayer(CLASSES, Weights=start["fc"]),
        softmaxLayer,
        classificationLayer,
    ]


class Peer(torch.nn.Module):
    """The same network in PyTorch."""

    def __init__(self, start):
        super().__init__()
        self.conv = torch.nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(8, eps=1e-5)
        self.fc = torch.nn.Linear(FLAT, CLASSES)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor(start["conv"]).permute(3, 2, 0, 1))
            self.bn.weight.copy_(torch.tensor(start["scale"]))
            self.bn.bias.copy_(torch.tensor(start["offset"]))
            self.fc.weight.copy_(torch.tensor(start["fc"]))
            self.conv.bias.zero_()
            self.fc.bias.zero_()

    def forward(self, x):
        z = torch.nn.functional.max_pool2d(torch.relu(self.bn(self.conv(x))), 2)
        return self.fc(z.permute(0, 1, 3, 2).flatten(1))  # height fastest, then width, then channels

    def groups(self, rate, bias_factor):
        weights = [self.conv.weight, self.fc.weight]
        return [
            {"params": weights, "weight_decay": L2},
            {"params": [self.conv.bias], "lr": bias_factor * rate},
            {"params": [self.bn.weight, self.bn.bias, self.fc.bias]},
        ]


def peer_losses(x, y, make_optimizer, rate, bias_factor=2):
    peer = Peer(initial())
    optimizer = make_optimizer(peer.groups(rate, bias_factor), rate)
    x, y = torch.tensor(x).permute(3, 2, 0, 1), torch.tensor(y)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        loss = torch.nn.functional.cross_entropy(peer(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), peer


class DocumentedAdam(torch.optim.Optimizer):
    """Adam as the options document it: epsilon is added before the correction of the bias."""

    def __init__(self, groups, lr):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                g = p.grad + group["weight_decay"] * p
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
                s = state["s"] = 0.999 * state.get("s", 0) + 0.001 * g * g
                p -= group["lr"] * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (s.sqrt() + 1e-8)


def sgdm(groups, rate):
    return torch.optim.SGD(groups, lr=rate, momentum=0.9)


def rmsprop(groups, rate):
    return torch.optim.RMSprop(groups, lr=rate, alpha=0.9, eps=1e-8)


@pytest.mark.parametrize(
    ("solver", "make_optimizer", "rate"),
    [("sgdm", sgdm, 0.05), ("adam", DocumentedAdam, 1e-3), ("rmsprop", rmsprop, 1e-3)],
)
def test_losses_and_parameters_equal_pytorchs(solver, make_optimizer, rate):
    x, y = data()
    # Under batch normalization the bias before it has no gradient but rounding errors, which Adam and RMSProp scale up.
    bias_factor = 2 if solver == "sgdm" else 0
    expected, peer = peer_losses(x, y, make_optimizer, rate, bias_factor)
    options = trainingOptions(
        solver,
        InitialLearnRate=rate,
        L2Regularization=L2,
        MiniBatchSize=BATCH,
        MaxEpochs=1,
        Shuffle="never",
        Verbose=False,
        BatchNormalizationStatistics="moving",
    )
    rng(0)
    net, info = trainNetwork(x, y, layers(initial(), bias_factor), options, nargout=2)
    assert len(info.TrainingLoss) == STEPS
    np.testing.assert_allclose(info.TrainingLoss, expected, rtol=1e-4)
    assert expected[-3:].mean() < expected[:3].mean()
    conv = peer.conv.weight.detach().permute(2, 3, 1, 0).numpy()
    np.testing.assert_allclose(net.Layers[1].Weights, conv, atol=5e-4)
    np.testing.assert_allclose(net.Layers[5].Weights, peer.fc.weight.detach().numpy(), atol=5e-4)
    mean = peer.bn.running_mean.numpy()
    np.testing.assert_allclose(net.Layers[2].TrainedMean.ravel(), mean, atol=5e-4)
    size = BATCH * SIDE * SIDE  # PyTorch's running variance divides by the count less one
    variance = (peer.bn.running_var.numpy() - 0.9**STEPS) * (size - 1) / size + 0.9**STEPS
    np.testing.assert_allclose(net.Layers[2].TrainedVariance.ravel(), variance, rtol=1e-3)


def test_predictions_equal_pytorchs():
    x, y = data()
    _, peer = peer_losses(x, y, sgdm, 0.05)
    trained = layers(initial())
    with torch.no_grad():
        peer.eval()
        expected = torch.softmax(peer(torch.tensor(x).permute(3, 2, 0, 1)), dim=1).numpy()
        values = {
            (1, "Weights"): peer.conv.weight.permute(2, 3, 1, 0).numpy(),
            (1, "Bias"): peer.conv.bias.numpy(),
            (2, "Scale"): peer.bn.weight.numpy(),
            (2, "Offset"): peer.bn.bias.numpy(),
            (2, "TrainedMean"): peer.bn.running_mean.numpy(),
            (2, "TrainedVariance"): peer.bn.running_var.numpy(),
            (5, "Weights"): peer.fc.weight.numpy(),
            (5, "Bias"): peer.fc.bias.numpy(),
        }
    for (index, name), value in values.items():
        layer = trained[index]
        setattr(layer, name, value)
    nothing = trainingOptions(
        "sgdm",
        InitialLearnRate=1e-30,
        MaxEpochs=1,
        MiniBatchSize=BATCH * STEPS,
        Verbose=False,
        BatchNormalizationStatistics="moving",
    )
    trained[2].MeanDecay = trained[2].VarianceDecay = 0
    net = trainNetwork(x, y, trained, nothing)
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-5)
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=7), net.predict(x, MiniBatchSize=480), atol=2e-6)
