"""The functions against PyTorch, in double precision."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mlnet
from mlnet import dlarray, dlfeval, dlgradient
from mlnet.errors import DataError, MlnetError, OptionError

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def images(x):
    """MATLAB's H, W, C, N as PyTorch's N, C, H, W."""
    return x.permute(3, 2, 0, 1)


def back(x):
    return x.permute(2, 3, 1, 0)


def steps(x):
    """C, N, T as N, C, T."""
    return x.permute(1, 0, 2)


def filters(w):
    return w.permute(3, 2, 0, 1)


PROBABILITIES = np.random.default_rng(1).dirichlet(np.ones(3), 4).T
TARGETS = np.random.default_rng(2).dirichlet(np.ones(3), 4).T

CASES = {
    "relu": ([normal(3, 4)], lambda x: mlnet.relu(x), torch.relu),
    "leakyrelu": ([normal(3, 4)], lambda x: mlnet.leakyrelu(x), lambda x: F.leaky_relu(x, 0.01)),
    "sigmoid": ([normal(3, 4)], mlnet.sigmoid, torch.sigmoid),
    "softplus": ([normal(3, 4)], mlnet.softplus, F.softplus),
    "gelu": ([normal(3, 4)], mlnet.gelu, F.gelu),
    "gelu tanh": (
        [normal(3, 4)],
        lambda x: mlnet.gelu(x, "Approximation", "tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    "softmax": ([normal(3, 4)], lambda x: mlnet.softmax(x, DataFormat="CB"), lambda x: torch.softmax(x, 0)),
    "fullyconnect": (
        [normal(3, 4), normal(5, 3), normal(5, 1)],
        lambda x, w, b: mlnet.fullyconnect(dlarray(x, "CB"), w, b),
        lambda x, w, b: w @ x + b,
    ),
    "fullyconnect BC": (
        [normal(4, 3), normal(5, 3), normal(5, 1)],
        lambda x, w, b: mlnet.fullyconnect(x, w, b, DataFormat="BC"),
        lambda x, w, b: x @ w.T + b.T,
    ),
    "fullyconnect SSCB": (
        [normal(2, 3, 4, 5), normal(6, 24), normal(6, 1)],
        lambda x, w, b: mlnet.fullyconnect(dlarray(x, "SSCB"), w, b),
        lambda x, w, b: w @ x.permute(2, 1, 0, 3).reshape(24, 5) + b,
    ),
    "fullyconnect CBT": (
        [normal(3, 4, 2), normal(5, 3)],
        lambda x, w: mlnet.fullyconnect(dlarray(x, "CBT"), w, 1),
        lambda x, w: torch.einsum("oc,cbt->obt", w, x) + 1,
    ),
    "dlmtimes": (
        [normal(2, 3, 4), normal(3, 5, 4)],
        mlnet.dlmtimes,
        lambda a, b: torch.einsum("mkp,knp->mnp", a, b),
    ),
    "mse": (
        [normal(3, 4), normal(3, 4)],
        lambda y, t: mlnet.mse(dlarray(y, "CB"), dlarray(t, "CB")),
        lambda y, t: F.mse_loss(y, t, reduction="sum") / 8,
    ),
    "l1loss": (
        [normal(3, 4), normal(3, 4)],
        lambda y, t: mlnet.l1loss(dlarray(y, "CB"), t),
        lambda y, t: F.l1_loss(y, t, reduction="sum") / 4,
    ),
    "l2loss": (
        [normal(4, 3), normal(4, 3), normal(4, 1)],
        lambda y, t, w: mlnet.l2loss(y, t, w, DataFormat="CB", NormalizationFactor="all-elements"),
        lambda y, t, w: (w * (y - t) ** 2).mean(),
    ),
    "l2loss mask": (
        [normal(3, 4), normal(3, 4)],
        lambda y, t: mlnet.l2loss(
            dlarray(y, "CB"), t, Mask=np.arange(12).reshape(3, 4) % 3 == 0, NormalizationFactor="mask-included"
        ),
        lambda y, t: ((y - t) ** 2 * (torch.arange(12).reshape(3, 4) % 3 == 0)).sum() / 4,
    ),
    "huber": (
        [3 * normal(3, 4), 3 * normal(3, 4)],
        lambda y, t: mlnet.huber(dlarray(y, "CB"), t, TransitionPoint=2),
        lambda y, t: F.huber_loss(y, t, reduction="sum", delta=2.0) / 4,
    ),
    "crossentropy": (
        [PROBABILITIES],
        lambda y: mlnet.crossentropy(dlarray(y, "CB"), TARGETS),
        lambda y: -(torch.tensor(TARGETS) * torch.log(y)).sum() / 4,
    ),
    "crossentropy weights": (
        [PROBABILITIES],
        lambda y: mlnet.crossentropy(y, TARGETS, [1, 2, 3], DataFormat="CB", WeightsFormat="C"),
        lambda y: -(torch.tensor([[1.0], [2], [3]]) * torch.tensor(TARGETS) * torch.log(y)).sum() / 4,
    ),
    "crossentropy multilabel": (
        [PROBABILITIES],
        lambda y: mlnet.crossentropy(dlarray(y, "CB"), TARGETS, ClassificationMode="multilabel"),
        lambda y: F.binary_cross_entropy(y, torch.tensor(TARGETS), reduction="sum") / 4,
    ),
    "crossentropy none": (
        [PROBABILITIES],
        lambda y: mlnet.crossentropy(y, TARGETS, DataFormat="CB", Reduction="none"),
        lambda y: -torch.tensor(TARGETS) * torch.log(y),
    ),
    "batchnorm": (
        [normal(3, 2, 4, 5), normal(4), normal(4)],
        lambda x, o, s: mlnet.batchnorm(dlarray(x, "SSCB"), o, s),
        lambda x, o, s: back(F.batch_norm(images(x), None, None, s, o, training=True)),
    ),
    "batchnorm given": (
        [normal(4, 5), normal(4), normal(4), normal(4), np.abs(normal(4))],
        lambda x, o, s, m, v: mlnet.batchnorm(dlarray(x, "CB"), o, s, m, v, Epsilon=1e-3),
        lambda x, o, s, m, v: (s * (x.T - m) / torch.sqrt(v + 1e-3) + o).T,
    ),
    "layernorm": (
        [normal(4, 5), normal(4), normal(4)],
        lambda x, o, s: mlnet.layernorm(dlarray(x, "CB"), o, s),
        lambda x, o, s: F.layer_norm(x.T, (4,), s, o).T,
    ),
    "groupnorm": (
        [normal(3, 2, 4, 5), normal(4), normal(4)],
        lambda x, o, s: mlnet.groupnorm(dlarray(x, "SSCB"), 2, o, s),
        lambda x, o, s: back(F.group_norm(images(x), 2, s, o)),
    ),
    "instancenorm": (
        [normal(3, 2, 4, 5), normal(4), normal(4)],
        lambda x, o, s: mlnet.instancenorm(x, o, s, DataFormat="SSCB"),
        lambda x, o, s: back(F.instance_norm(images(x), None, None, s, o)),
    ),
    "crosschannelnorm": (
        [normal(3, 2, 6, 5)],
        lambda x: mlnet.crosschannelnorm(dlarray(x, "SSCB"), 5, Alpha=0.1),
        lambda x: back(F.local_response_norm(images(x), 5, alpha=0.1, beta=0.75, k=2.0)),
    ),
    "dlconv": (
        [normal(7, 6, 3, 2), normal(3, 2, 3, 5), normal(5)],
        lambda x, w, b: mlnet.dlconv(dlarray(x, "SSCB"), w, b, Stride=2, Padding=[1, 1, 0, 0]),
        lambda x, w, b: back(F.conv2d(images(x), filters(w), b, stride=2, padding=(1, 0))),
    ),
    "dlconv one image": (
        [normal(7, 6, 3), normal(3, 3, 3, 5)],
        lambda x, w: mlnet.dlconv(x, w, 0, "DataFormat", "SSC", "Padding", "same", "DilationFactor", 2),
        lambda x, w: back(F.conv2d(images(x[..., None]), filters(w), padding=2, dilation=2))[..., 0],
    ),
    "dlconv groups": (
        [normal(7, 6, 4, 2), normal(3, 3, 2, 3, 2), normal(6)],
        lambda x, w, b: mlnet.dlconv(dlarray(x, "SSCB"), w, b),
        lambda x, w, b: back(
            F.conv2d(images(x), w.permute(4, 3, 2, 0, 1).reshape(6, 2, 3, 3), b, groups=2)
        ),
    ),
    "dlconv time": (
        [normal(3, 2, 9), normal(4, 3, 5), normal(5)],
        lambda x, w, b: mlnet.dlconv(dlarray(x, "CBT"), w, b),
        lambda x, w, b: F.conv1d(steps(x), w.permute(2, 1, 0), b).permute(1, 0, 2),
    ),
    "dltranspconv": (
        [normal(4, 3, 3, 2), normal(3, 2, 5, 3), normal(5)],
        lambda x, w, b: mlnet.dltranspconv(dlarray(x, "SSCB"), w, b, Stride=2),
        lambda x, w, b: back(F.conv_transpose2d(images(x), w.permute(3, 2, 0, 1), b, stride=2)),
    ),
    "maxpool": (
        [normal(6, 7, 3, 2)],
        lambda x: mlnet.maxpool(dlarray(x, "SSCB"), 3, Stride=2),
        lambda x: back(F.max_pool2d(images(x), 3, 2)),
    ),
    "maxunpool": (
        [normal(6, 6, 3, 2)],
        lambda x: mlnet.maxunpool(*mlnet.maxpool(dlarray(x, "SSCB"), 2, Stride=2, nargout=3)),
        lambda x: back(F.max_unpool2d(*F.max_pool2d(images(x), 2, 2, return_indices=True), 2, 2)),
    ),
    "avgpool": (
        [normal(6, 7, 3, 2)],
        lambda x: mlnet.avgpool(dlarray(x, "SSCB"), [2, 3], Stride=2),
        lambda x: back(F.avg_pool2d(images(x), (2, 3), 2)),
    ),
    "avgpool global": (
        [normal(6, 7, 3, 2)],
        lambda x: mlnet.avgpool(dlarray(x, "SSCB"), "global"),
        lambda x: x.mean((0, 1), keepdim=True),
    ),
    "embed": (
        [normal(5, 7)],
        lambda w: mlnet.embed(dlarray([[1, 7, 3]], "CB"), w),
        lambda w: w[:, [0, 6, 2]],
    ),
    "attention": (
        [normal(8, 2, 5), normal(8, 2, 4), normal(6, 2, 4)],
        lambda q, k, v: mlnet.attention(*(dlarray(each, "CBT") for each in (q, k, v)), 2),
        lambda q, k, v: attended(q, k, v, 2),
    ),
    "attention weights": (
        [normal(8, 2, 5), normal(8, 2, 4), normal(6, 2, 4)],
        lambda q, k, v: mlnet.attention(*(dlarray(each, "CBT") for each in (q, k, v)), 2, nargout=2)[1],
        lambda q, k, v: attention_weights(q, k, 2) + 0 * v.sum(),
    ),
}  # fmt: skip


def attended(q, k, v, heads):
    parts = [each.permute(1, 2, 0).reshape(2, each.shape[2], heads, -1).transpose(1, 2) for each in (q, k, v)]
    y = F.scaled_dot_product_attention(*parts)
    return y.transpose(1, 2).reshape(2, q.shape[2], -1).permute(2, 0, 1)


def attention_weights(q, k, heads):
    """The weights (keys, queries, heads, observations)."""
    q, k = (each.permute(1, 2, 0).reshape(2, each.shape[2], heads, -1).transpose(1, 2) for each in (q, k))
    return torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1).permute(3, 2, 1, 0)


def compare(arrays, function, torch_function):
    """Compare outputs and gradients of a function of mlnet and one of PyTorch."""
    seeds = []

    def run(*given):
        found = function(*given)
        found = found if isinstance(found, tuple) else (found,)
        seeds[:] = [np.random.default_rng(5).normal(size=each.shape) for each in found]
        total = sum(np.sum(mlnet.stripdims(y) * seed) for y, seed in zip(found, seeds, strict=True))
        once = dlgradient(total, list(given), RetainData=True)
        twice = dlgradient(total, list(given))
        return found, once, twice

    copies = [each.copy() for each in arrays]
    outputs, gradients, again = dlfeval(run, *map(dlarray, arrays))
    inputs = [torch.tensor(each, requires_grad=True) for each in arrays]
    expected = torch_function(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    sum((y * torch.tensor(seed)).sum() for y, seed in zip(expected, seeds, strict=True)).backward()
    for y, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(y.extractdata(), wanted.detach().numpy(), rtol=1e-6, atol=1e-9)
    for gradient, repeated, wanted in zip(gradients, again, inputs, strict=True):
        np.testing.assert_allclose(gradient.extractdata(), wanted.grad.numpy(), rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(gradient.extractdata(), repeated.extractdata())
    for before, after in zip(copies, arrays, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", CASES)
def test_output_and_gradients_are_those_of_torch(name):
    compare(*CASES[name])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_functions_are_those_of_torch(kind):
    gates, units = {"lstm": 4, "gru": 3}[kind], 5
    module = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(3, units).double()
    with torch.no_grad():
        module.bias_hh_l0.zero_()
    order = [0, 1, 2, 3] if kind == "lstm" else [0, 1, 2]
    weights, recurrent, bias = (
        getattr(module, name).detach().numpy().reshape(gates, units, -1)[order].reshape(gates * units, -1)
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
    )
    states = [normal(units, 2) for _ in range(2 if kind == "lstm" else 1)]

    def run(x, w, r, b, *states):
        function = getattr(mlnet, kind)
        return function(dlarray(x, "CBT"), *states, w, r, b, nargout=len(states) + 1)

    def expected(x, w, r, b, *states):
        given = tuple(each.T[None] for each in states)
        parameters = {
            "weight_ih_l0": w, "weight_hh_l0": r, "bias_ih_l0": b[:, 0],
            "bias_hh_l0": torch.zeros(gates * units, dtype=torch.float64),
        }  # fmt: skip
        data = (x.permute(2, 1, 0), given if kind == "lstm" else given[0])
        y, ends = torch.func.functional_call(module, parameters, data)
        ends = ends if kind == "lstm" else (ends,)
        return (y.permute(2, 1, 0), *(each[0].T for each in ends))

    if kind == "gru":
        with torch.no_grad():
            module.bias_hh_l0.zero_()
        # PyTorch's update gate keeps the old state as MATLAB's does; its reset gate is after the multiplication.
    compare([normal(3, 2, 7), weights, recurrent, bias.reshape(-1, 1), *states], run, expected)


def test_batchnorm_updates_statistics():
    x, mu, variance = normal(4, 50), normal(4, 1), np.abs(normal(4, 1))
    _, new_mu, new_variance = mlnet.batchnorm(
        dlarray(x, "CB"), 0, 1, mu, variance, MeanDecay=0.8, VarianceDecay=0.3, nargout=3
    )
    np.testing.assert_allclose(new_mu.extractdata(), 0.8 * x.mean(1, keepdims=True) + 0.2 * mu)
    np.testing.assert_allclose(new_variance.extractdata(), 0.3 * x.var(1, keepdims=True) + 0.7 * variance)


def test_formats_of_results():
    x = dlarray(normal(7, 6, 3, 2), "SSCB")
    assert mlnet.dlconv(x, normal(3, 3, 3, 5), 0).dims() == "SSCB"
    assert mlnet.fullyconnect(x, normal(5, 126), 0).dims() == "CB"
    assert mlnet.relu(x).dims() == mlnet.softmax(x).dims() == "SSCB"
    assert mlnet.dlconv(normal(6, 3, 2), normal(3, 3, 5), 0, DataFormat="TCB").shape == (4, 5, 2)
    assert mlnet.mse(x, x).dims() == ""


def test_single_stays_single_beside_double_parameters():
    x = dlarray(normal(4, 3).astype("single"), "CB")
    assert mlnet.fullyconnect(x, normal(2, 4), 0).dtype == np.float32
    assert mlnet.mse(x, normal(4, 3)).dtype == np.float32


def test_crossentropy_of_labels_and_of_impossible_classes():
    labels = mlnet.categorical(["b", "a", "b"])
    y = dlarray([[0.25, 1, 0.5], [0.75, 0, 0.5]], "CB")
    assert mlnet.crossentropy(y, labels).item() == pytest.approx(-np.log([0.75, 1, 0.5]).mean())
    assert np.isfinite(mlnet.crossentropy(y, np.eye(2)[:, [1, 1, 1]]).item())


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: mlnet.fullyconnect(normal(3, 4), normal(5, 3), 0), DataError, "fullyconnect: X.*DataFormat"),
        (
            lambda: mlnet.fullyconnect(dlarray(normal(3, 4), "CB"), normal(5, 4), 0),
            DataError,
            "weights \\(outputs, 3\\)",
        ),
        (
            lambda: mlnet.mse(dlarray(normal(3, 4), "CB"), normal(3, 5)),
            DataError,
            "mse: targets.*3(C) x 4(B).*3(C) x 5(B)",
        ),
        (
            lambda: mlnet.crossentropy(dlarray(normal(3, 4), "CB"), mlnet.categorical([1, 2, 3, 4])),
            DataError,
            "crossentropy: targets.*4 labels of 3 classes.*4 labels of 4 classes",
        ),
        (
            lambda: mlnet.dlconv(dlarray(normal(4, 4, 1, 1), "SSCB"), normal(3, 3, 2, 1), 0),
            DataError,
            "dlconv: weights",
        ),
        (lambda: mlnet.dlconv(dlarray(normal(4, 4, 1, 1), "SSCB"), normal(3, 3), 0, Cropping=1), MlnetError, "dlconv"),
        (lambda: mlnet.dlconv(dlarray(normal(4, 4), "SS"), normal(3, 3), 0, Stride=0), OptionError, "dlconv: Stride"),
        (lambda: mlnet.dlconv(dlarray(normal(4, 4), "SS"), normal(5, 5), 0), DataError, "dlconv: needs an input"),
        (lambda: mlnet.batchnorm(dlarray(normal(3, 4), "CB"), [1, 2], 1), DataError, "batchnorm: offset"),
        (lambda: mlnet.lstm(dlarray(normal(3, 4), "CB"), 0, 0, 1, 1, 1), DataError, "lstm: X.*'CBT'"),
        (
            lambda: mlnet.crossentropy(dlarray(normal(3, 4), "CB"), normal(3, 4), [1, 2]),
            DataError,
            "crossentropy: weights",
        ),
        (lambda: mlnet.maxpool(dlarray(normal(4, 4), "SS"), 0), OptionError, "maxpool: PoolSize"),
        (lambda: mlnet.l2loss(dlarray(normal(4, 4), "CB"), 0, Reduction="mean"), OptionError, "l2loss: Reduction"),
    ],
)
def test_errors_name_the_function(call, error, text):
    with pytest.raises(error) as raised:
        call()
    pattern = text.replace("(C)", "\\(C\\)").replace("(B)", "\\(B\\)")
    assert re.search(pattern, str(raised.value)), str(raised.value)


def test_options_as_pairs():
    x = dlarray(np.random.default_rng(0).standard_normal((6, 6, 4, 2)), "SSCB")
    ones, zeros = np.ones(4), np.zeros(4)
    for pairs, named in (
        (mlnet.maxpool(x, 2, "Stride", 2), mlnet.maxpool(x, 2, Stride=2)),
        (mlnet.maxpool(x, "global"), mlnet.maxpool(x, [6, 6])),
        (mlnet.avgpool(x, 3, "stride", 1, "Padding", "same"), mlnet.avgpool(x, 3, Stride=1, Padding="same")),
        (mlnet.maxpool(x.extractdata(), 2, "dataformat", "SSCB"), mlnet.maxpool(x, 2)),
        (mlnet.layernorm(x, zeros, ones, "Epsilon", 0.1), mlnet.layernorm(x, zeros, ones, Epsilon=0.1)),
        (mlnet.groupnorm(x, 2, zeros, ones, "Epsilon", 0.1), mlnet.groupnorm(x, 2, zeros, ones, Epsilon=0.1)),
        (mlnet.instancenorm(x, zeros, ones, "Epsilon", 0.1), mlnet.instancenorm(x, zeros, ones, Epsilon=0.1)),
        (mlnet.crosschannelnorm(x, 3, "Alpha", 2), mlnet.crosschannelnorm(x, 3, Alpha=2)),
    ):
        np.testing.assert_array_equal(pairs.extractdata(), named.extractdata())
    with pytest.raises(OptionError, match="maxpool: needs pairs of name and value as options"):
        mlnet.maxpool(x, 2, "Stride")


def test_outputs_of_attention():
    x = dlarray(normal(4, 3, 5).astype("single"), "CBT")
    y, weights = mlnet.attention(x, x, x, 2, AttentionMask="causal", nargout=2)
    assert (y.dims(), weights.dims(), weights.dtype) == ("CBT", "", np.float32)
    np.testing.assert_allclose(y.extractdata(), mlnet.attention(x, x, x, 2, AttentionMask="causal").extractdata(), 1e-5)
    np.testing.assert_allclose(np.sum(weights, 0).extractdata(), 1, 1e-5)
    assert not np.tril(weights.extractdata()[:, :, 0, 0], -1).any()
    with pytest.raises(OptionError, match="attention: needs nargout 1 or 2, but got 3"):
        mlnet.attention(x, x, x, 2, nargout=3)
