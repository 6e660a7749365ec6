"""Weight normalization and standardization: formulas, gradients, PyTorch, single precision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from . import reference
from .gradients import check_gradients, scattered

torch = pytest.importorskip("torch")
NORMALIZATION = NumpyEngine().operation("weight_normalization")
STANDARDIZATION = NumpyEngine().operation("weight_standardization")
SHAPES = {
    "fully connected": ((7, 5), (1,), (7, 1)),
    "1-D": ((3, 4, 5), (0, 1), (1, 5)),
    "2-D": ((3, 2, 4, 5), (0, 1, 2), (1, 1, 5)),
    "3-D": ((3, 2, 2, 3, 4), (0, 1, 2, 3), (1, 1, 1, 4)),
    "grouped": ((3, 2, 2, 3, 4), (0, 1, 2), (1, 1, 3, 4)),
    "transposed": ((3, 2, 5, 4), (0, 1, 3), (1, 1, 5)),
    "transposed 3-D": ((2, 3, 1, 5, 2), (0, 1, 2, 4), (1, 1, 1, 5)),
    "one filter": ((2, 1, 1, 1), (0, 1, 2), (1, 1, 1)),
}
"""Shape of the weights, axes of the fan-in, shape of the lengths."""
every_shape = pytest.mark.parametrize("shape, axes, lengths", SHAPES.values(), ids=SHAPES)


def arrays_of(shape, lengths, seed=0):
    generator = np.random.default_rng(seed)
    return generator.standard_normal(shape), generator.standard_normal(lengths)


@every_shape
def test_forward_is_the_formula(shape, axes, lengths):
    v, g = arrays_of(shape, lengths)
    for given in (v, scattered(v)):
        w, _ = NORMALIZATION.forward(given, g, axes=axes, workspace=Workspace())
        np.testing.assert_allclose(w, reference.weight_normalization(v, g, axes=axes), rtol=1e-12, atol=1e-12)
        w, _ = STANDARDIZATION.forward(given, axes=axes, epsilon=1e-2, workspace=Workspace())
        expected = reference.weight_standardization(v, axes=axes, epsilon=1e-2)
        np.testing.assert_allclose(w, expected, rtol=1e-12, atol=1e-12)


@every_shape
def test_gradients(shape, axes, lengths):
    v, g = arrays_of(shape, lengths, 1)
    generator = np.random.default_rng(2)
    for wanted in itertools.product((True, False), repeat=2):
        check_gradients(NORMALIZATION, [v, g], {"axes": axes}, wanted, generator)
    for epsilon in (1e-5, 0.5):
        for wanted in ((True,), (False,)):
            check_gradients(STANDARDIZATION, [v], {"axes": axes, "epsilon": epsilon}, wanted, generator)


@every_shape
def test_the_applied_filters_have_the_length_or_the_moments(shape, axes, lengths):
    v, g = arrays_of(shape, lengths, 3)
    w, _ = NORMALIZATION.forward(v, g, axes=axes, workspace=Workspace())
    np.testing.assert_allclose(np.sqrt((w**2).sum(axis=axes)).ravel(), np.abs(g).ravel())
    w, _ = STANDARDIZATION.forward(v, axes=axes, epsilon=1e-5, workspace=Workspace())
    variance = v.var(axis=axes)
    np.testing.assert_allclose(w.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(w.var(axis=axes), variance / (variance + 1e-5))


@every_shape
def test_the_gradient_is_at_right_angles_to_the_filter(shape, axes, lengths):
    """The length of v changes nothing, and what is added before standardization neither."""
    v, g = arrays_of(shape, lengths, 4)
    d_w = np.random.default_rng(5).standard_normal(shape)
    _, saved = NORMALIZATION.forward(v, g, axes=axes, workspace=Workspace())
    d_v, _ = NORMALIZATION.backward(saved, d_w, wanted=(True, True), workspace=Workspace())
    np.testing.assert_allclose((d_v * v).sum(axis=axes), 0, atol=1e-12)
    _, saved = STANDARDIZATION.forward(v, axes=axes, epsilon=1e-5, workspace=Workspace())
    (d_v,) = STANDARDIZATION.backward(saved, d_w, wanted=(True,), workspace=Workspace())
    np.testing.assert_allclose(d_v.sum(axis=axes), 0, atol=1e-9)


def peer(kind):
    """A PyTorch layer with weight normalization, how its weights become ours, and the axes of our fan-in."""
    if kind == "conv":
        return torch.nn.Conv2d(4, 5, (3, 2), dtype=torch.float64), 0, (2, 3, 1, 0), (0, 1, 2)
    if kind == "transposed":  # PyTorch has the filters on its second axis
        return torch.nn.ConvTranspose2d(4, 5, (3, 2), dtype=torch.float64), 1, (2, 3, 1, 0), (0, 1, 3)
    return torch.nn.Linear(4, 5, dtype=torch.float64), 0, (0, 1), (1,)


@pytest.mark.parametrize("kind", ["conv", "transposed", "fc"])
def test_pytorchs_weight_norm_agrees(kind):
    module, dim, order, axes = peer(kind)
    module = torch.nn.utils.parametrizations.weight_norm(module, dim=dim)
    g, v = module.parametrizations.weight.original0, module.parametrizations.weight.original1
    with torch.no_grad():
        g.mul_(torch.linspace(-1, 2, g.numel()).reshape(g.shape))
    d_w = np.random.default_rng(0).standard_normal(tuple(v.shape))
    module.weight.backward(torch.tensor(d_w))
    ours = [a.detach().numpy().transpose(order) for a in (v, module.weight, v.grad)]
    # our fully connected filters are rows; those of transposed convolutions lie on the third axis of (h, w, F, C)
    workspace = Workspace()
    w, saved = NORMALIZATION.forward(ours[0], g.detach().numpy().ravel(), axes=axes, workspace=workspace)
    np.testing.assert_allclose(w, ours[1], rtol=1e-12)
    found = NORMALIZATION.backward(saved, d_w.transpose(order), wanted=(True, True), workspace=workspace)
    np.testing.assert_allclose(found[0], ours[2], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1], g.grad.numpy().ravel(), rtol=1e-10)


@every_shape
def test_standardization_agrees_with_pytorch(shape, axes, lengths):
    v, _ = arrays_of(shape, lengths, 6)
    d_w = np.random.default_rng(7).standard_normal(shape)
    theirs = torch.tensor(v, requires_grad=True)
    mean, variance = theirs.mean(dim=axes, keepdim=True), theirs.var(dim=axes, keepdim=True, correction=0)
    ((theirs - mean) / torch.sqrt(variance + 1e-3)).backward(torch.tensor(d_w))
    _, saved = STANDARDIZATION.forward(v, axes=axes, epsilon=1e-3, workspace=Workspace())
    (d_v,) = STANDARDIZATION.backward(saved, d_w, wanted=(True,), workspace=Workspace())
    np.testing.assert_allclose(d_v, theirs.grad.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape, axes, lengths", list(SHAPES.values())[:-1], ids=list(SHAPES)[:-1])
@pytest.mark.parametrize("scale, shift", [(1, 0), (1e-25, 0), (1e15, 0), (1, 1000)])
def test_single_precision_is_close_to_double(shape, axes, lengths, scale, shift):
    v, g = arrays_of(shape, lengths, 8)
    v = (v * scale + shift).astype(np.float32)
    d_w = np.random.default_rng(9).standard_normal(shape)
    results = []
    for dtype in (np.float32, np.float64):
        workspace = Workspace()
        w, saved = NORMALIZATION.forward(v.astype(dtype), g.astype(dtype), axes=axes, workspace=workspace)
        w = w.copy()
        gradients = NORMALIZATION.backward(saved, d_w.astype(dtype), wanted=(True, True), workspace=workspace)
        workspace = Workspace()
        s, saved = STANDARDIZATION.forward(v.astype(dtype), axes=axes, epsilon=1e-5, workspace=workspace)
        (d_v,) = STANDARDIZATION.backward(saved, d_w.astype(dtype), wanted=(True,), workspace=workspace)
        results.append([w, *gradients, s, d_v])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == np.float32 and np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * np.abs(expected).max())


def test_a_used_workspace_gives_what_a_fresh_one_gives():
    used = Workspace()
    for shape, axes, lengths in SHAPES.values():
        v, g = arrays_of(shape, lengths)
        results = []
        for workspace in (used, Workspace()):
            w, saved = NORMALIZATION.forward(v, g, axes=axes, workspace=workspace)
            gradients = NORMALIZATION.backward(saved, v + 1, wanted=(True, True), workspace=workspace)
            s, state = STANDARDIZATION.forward(v, axes=axes, epsilon=1e-5, workspace=workspace.part("second"))
            (d_v,) = STANDARDIZATION.backward(state, v + 1, wanted=(True,), workspace=workspace.part("second"))
            results.append([array.copy() for array in (w, *gradients, s, d_v)])
        for found, expected in zip(*results, strict=True):
            np.testing.assert_array_equal(found, expected)
