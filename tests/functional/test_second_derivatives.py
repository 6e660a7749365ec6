"""Second and third derivatives of the functions against PyTorch, in double precision."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

import mlnet
from mlnet import (
    batchNormalizationLayer,
    convolution2dLayer,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dropoutLayer,
    forward,
    fullyConnectedLayer,
    imageInputLayer,
    leakyReluLayer,
    reluLayer,
)
from mlnet.functional import whole
from tests.functional.test_functions import CASES


def standardized(x, axes, offset, scale):
    mean = x.mean(axes, keepdim=True)
    variance = ((x - mean) ** 2).mean(axes, keepdim=True)
    rows = (1,) * (2 if x.ndim == 4 else 0) + (-1, 1)
    return (x - mean) / torch.sqrt(variance + 1e-5) * scale.reshape(rows) + offset.reshape(rows)


FORMULAS = {
    "batchnorm": lambda x, o, s: standardized(x, (0, 1, 3), o, s),
    "layernorm": lambda x, o, s: standardized(x, (0,), o, s),
    "instancenorm": lambda x, o, s: standardized(x, (0, 1), o, s),
}
"""For what PyTorch's own functions have wrong third derivatives: they take the saved statistics as constants."""


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_are_those_of_torch(name):
    arrays, function, torch_function = CASES[name]
    compare_thrice(arrays, function, FORMULAS.get(name, torch_function))


def compare_thrice(arrays, function, torch_function):
    """Compare the first three derivatives along a direction, and the gradients of the first two."""
    seed = np.random.default_rng(3)
    ways = [seed.normal(size=each.shape) for each in arrays]
    factors = []

    def run(*given):
        found = function(*given)
        y = mlnet.stripdims(found[0] if isinstance(found, tuple) else found)
        factors[:] = [np.random.default_rng(5).normal(size=y.shape)]
        total = np.sum(factors[0] * y * y) + np.sum(factors[0] * y)
        first = dlgradient(total, list(given), EnableHigherDerivatives=True)
        along = sum(np.sum(mlnet.stripdims(g) * way) for g, way in zip(first, ways, strict=True))
        second = dlgradient(along, list(given), EnableHigherDerivatives=True)
        third = dlgradient(
            sum(np.sum(mlnet.stripdims(g) * way) for g, way in zip(second, ways, strict=True)), list(given)
        )
        return along, second, third

    along, second, third = dlfeval(run, *map(dlarray, arrays))
    inputs = [torch.tensor(each, requires_grad=True) for each in arrays]
    found = torch_function(*inputs)
    y = found[0] if isinstance(found, tuple) else found
    factor = torch.tensor(factors[0])
    value = (factor * y * y).sum() + (factor * y).sum()
    tensors = [torch.tensor(way) for way in ways]
    expected = []
    for _ in range(3):
        expected.append(value)
        parts = [None] * len(inputs)
        if value.requires_grad:
            parts = torch.autograd.grad(value, inputs, create_graph=True, allow_unused=True)
        parts = [torch.zeros_like(x) if part is None else part for part, x in zip(parts, inputs, strict=True)]
        value = sum((part * way).sum() for part, way in zip(parts, tensors, strict=True))
        expected.append(parts)
    np.testing.assert_allclose(along.item(), float(expected[2].detach()), rtol=1e-6, atol=1e-8)
    for gradients, wanted in ((second, expected[3]), (third, expected[5])):
        for one, other in zip(gradients, wanted, strict=True):
            scale = max(1.0, float(other.detach().abs().max()))
            np.testing.assert_allclose(
                one.extractdata(), other.detach().numpy(force=True), rtol=1e-6, atol=1e-8 * scale
            )


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_convolutions_of_any_kind(data):
    dimensions = data.draw(st.integers(1, 3))
    draw = lambda low, high: [data.draw(st.integers(low, high)) for _ in range(dimensions)]  # noqa: E731
    groups = data.draw(st.integers(1, 3)) if dimensions == 2 else 1
    channels, filters, count = (data.draw(st.integers(1, 2)) for _ in range(3))
    size, stride, dilation, padding = draw(1, 3), draw(1, 2), draw(1, 2), draw(0, 2)
    spatial = [data.draw(st.integers((k - 1) * d + 1, 6)) for k, d in zip(size, dilation, strict=True)]
    random = np.random.default_rng(0)
    x = random.normal(size=(*spatial, groups * channels, count))
    grouped = (groups,) if groups > 1 else ()
    w = random.normal(size=(*size, channels, filters, *grouped))
    b = random.normal(size=groups * filters)
    options = {
        "Stride": stride if dimensions > 1 else stride[0],
        "DilationFactor": dilation if dimensions > 1 else dilation[0],
        "Padding": padding if dimensions > 1 else padding[0],
    }

    def ours(x, w, b):
        return mlnet.dlconv(dlarray(x, "S" * dimensions + "CB"), w, b, **options)

    def theirs(x, w, b):
        to = (dimensions + 1, dimensions, *range(dimensions))
        if groups > 1:
            w = w.permute(4, 3, 2, 0, 1).reshape(groups * filters, channels, *size)
        else:
            w = w.permute(to)
        function = (F.conv1d, F.conv2d, F.conv3d)[dimensions - 1]
        y = function(
            x.permute(to).contiguous(),
            w.contiguous(),
            b,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        return y.permute(*range(2, dimensions + 2), 1, 0)

    compare_thrice([x, w, b], ours, theirs)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_functions(kind):
    random, units = np.random.default_rng(0), 3
    gates, states = (4, 2) if kind == "lstm" else (3, 1)
    shapes = [(2, 2, 4), *[(units, 2)] * states, (gates * units, 2), (gates * units, units), (gates * units, 1)]

    def steps(x, *given):
        """Follow the formulas of MATLAB's page."""
        *starts, w, r, b = given
        h, c = starts[0], starts[-1]
        found = []
        for step in range(x.shape[2]):
            fed, back = (w @ x[:, :, step] + b).chunk(gates), (r @ h).chunk(gates)
            if kind == "lstm":
                i, f, g, o = (one + two for one, two in zip(fed, back, strict=True))
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:
                reset, update = (torch.sigmoid(one + two) for one, two in zip(fed[:2], back[:2], strict=True))
                h = (1 - update) * torch.tanh(fed[2] + reset * back[2]) + update * h
            found.append(h)
        return torch.stack(found, 2)

    function = getattr(mlnet, kind)
    compare_thrice(
        [random.normal(size=shape) for shape in shapes], lambda x, *more: function(dlarray(x, "CBT"), *more), steps
    )


def critic(*more):
    mlnet.rng(0)
    return dlnetwork(
        [
            imageInputLayer([8, 8, 2], Normalization="none"),
            convolution2dLayer(3, 4, Stride=2, Padding=1, Name="conv"),
            leakyReluLayer(0.2),
            *more,
            convolution2dLayer(3, 5, Name="conv2"),
            mlnet.tanhLayer(),
            fullyConnectedLayer(1, Name="fc"),
        ]
    )


def penalty_loss(net, real, made):
    """Return the loss of a critic of Gulrajani et al., 2017, and its gradients."""
    mixed = 0.3 * real + 0.7 * made
    scores, score = forward(net, real), forward(net, made)
    slope = dlgradient(np.sum(forward(net, mixed)), mixed, EnableHigherDerivatives=True)
    norm = np.sqrt(np.sum(mlnet.stripdims(slope) ** 2, axis=(0, 1, 2)) + 1e-12)
    loss = np.mean(score) - np.mean(scores) + 10 * np.mean((norm - 1) ** 2)
    return loss, dlgradient(mlnet.stripdims(loss), net.Learnables)


def photos(seed):
    return dlarray(np.random.default_rng(seed).normal(size=(8, 8, 2, 5)).astype("single"), "SSCB")


@pytest.mark.parametrize("dtype", ["single", "double"])
def test_gradient_penalty_of_a_critic_with_convolutions(dtype):
    net = mlnet.dlupdate(lambda w: w.astype(dtype), critic())
    loss, gradients = dlfeval(penalty_loss, net, photos(0).astype(dtype), photos(1).astype(dtype))
    values = {
        f"{layer}/{name}": torch.tensor(value.extractdata().astype("double"), requires_grad=True)
        for layer, name, value in net.Learnables.rows()
    }

    def network(x):
        filters = [values[f"{name}/Weights"].permute(3, 2, 0, 1) for name in ("conv", "conv2")]
        y = F.leaky_relu(F.conv2d(x, filters[0], values["conv/Bias"].ravel(), stride=2, padding=1), 0.2)
        y = torch.tanh(F.conv2d(y, filters[1], values["conv2/Bias"].ravel()))
        return y.permute(0, 1, 3, 2).reshape(5, -1) @ values["fc/Weights"].T + values["fc/Bias"].ravel()

    real, made = (torch.tensor(photos(n).extractdata().astype("double")).permute(3, 2, 0, 1) for n in (0, 1))
    mixed = (0.3 * real + 0.7 * made).requires_grad_()
    (slope,) = torch.autograd.grad(network(mixed).sum(), mixed, create_graph=True)
    norm = torch.sqrt((slope**2).sum((1, 2, 3)) + 1e-12)
    expected = network(made).mean() - network(real).mean() + 10 * ((norm - 1) ** 2).mean()
    expected.backward()
    limits = {"rtol": 1e-6, "atol": 1e-9} if dtype == "double" else {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(loss.item(), expected.item(), **limits)
    for layer, name, gradient in gradients.rows():
        np.testing.assert_allclose(gradient.extractdata(), values[f"{layer}/{name}"].grad.numpy(), **limits)


def test_networks_that_plans_run_have_second_derivatives(monkeypatch):
    """With normalization by the mini-batch, and the same elements dropped in both ways."""
    net = critic(batchNormalizationLayer(), reluLayer(), dropoutLayer(0.4))
    found = []
    for by_plan in (True, False):
        with monkeypatch.context() as patch:
            if not by_plan:
                patch.setattr(whole.Plans, "suit", lambda *_: False)
            mlnet.rng(3)
            found.append(dlfeval(penalty_loss, net, photos(0), photos(1)))
    for one, other in zip(found[0][1]["Value"], found[1][1]["Value"], strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata(), rtol=2e-3, atol=2e-4)
