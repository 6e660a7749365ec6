"""Losses of images of labels against PyTorch, with pixels that have no label."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.dice_loss import EPSILON
from mlnet.engines.numpy.engine import NumpyEngine

from .gradients import scattered

torch = pytest.importorskip("torch")
LOSSES = NumpyEngine().losses
SHAPES = [(2, 5, 4, 3), (3, 2, 3, 2, 4), (1, 1, 1, 2), (4, 3)]
WEIGHTS = np.array([0.5, 2, 0.3, 1.5])


def problem(shape, missing=0.3, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(0, 2, shape)
    targets = generator.integers(0, shape[-1], shape[:-1])
    targets[generator.random(targets.shape) < missing] = -1
    targets.ravel()[0] = shape[-1] - 1
    return z, targets


def cross_entropy(z, targets, weights, **_):
    total = torch.nn.functional.cross_entropy(
        z.movedim(-1, 1), targets, weight=weights, ignore_index=-1, reduction="sum"
    )
    return total / len(z)


def focal(z, targets, weights, alpha=0.25, gamma=2):
    has_class = targets >= 0
    p = torch.softmax(z, -1)[has_class].gather(1, targets[has_class][:, None])[:, 0]
    w = 1 if weights is None else weights[targets[has_class]]
    return (-w * alpha * (1 - p) ** gamma * torch.log(p)).sum() / len(z)


def dice(z, targets, weights):
    """Image by image, written out."""
    losses = []
    for scores, labels in zip(torch.softmax(z, -1), targets, strict=True):
        y, t = scores.reshape(-1, z.shape[-1]), labels.reshape(-1)
        y, t = y[t >= 0], torch.nn.functional.one_hot(t[t >= 0], z.shape[-1]).double()
        if not len(t):
            continue
        w = 1 / t.sum(0) ** 2
        w = torch.where(torch.isinf(w), w[~torch.isinf(w)].max(), w) * (1 if weights is None else weights)
        above = 2 * (w * (y * t).sum(0)).sum() + EPSILON
        losses.append(1 - above / ((w * (y**2 + t**2).sum(0)).sum() + EPSILON))
    return sum(losses) / len(losses)


PEERS = {"softmax_cross_entropy": cross_entropy, "softmax_focal": focal, "generalized_dice": dice}


def both(name, z, targets, weights=None, dtype=np.float64, **attributes):
    """Return (loss, gradient) by the engine and by PyTorch."""
    workspace = Workspace()
    kept = z.copy()
    given = scattered(z.astype(dtype))
    _, loss, saved = LOSSES[name].forward(given, targets, weights=weights, workspace=workspace, **attributes)
    d_z = LOSSES[name].backward(saved, workspace=workspace)
    np.testing.assert_array_equal(given, kept.astype(dtype))
    peer = torch.tensor(z, requires_grad=True)
    expected = PEERS[name](
        peer, torch.tensor(targets), None if weights is None else torch.tensor(weights), **attributes
    )
    expected.backward()
    return (loss, d_z), (expected.item(), peer.grad.numpy())


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_loss_and_gradient_are_pytorchs(name, shape, weighted, dtype):
    z, targets = problem(shape)
    weights = WEIGHTS[: shape[-1]] if weighted else None
    (loss, d_z), (expected, gradient) = both(name, z, targets, weights, dtype)
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    assert isinstance(loss, float) and loss == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert d_z.dtype == dtype and d_z.shape == z.shape
    np.testing.assert_allclose(d_z, gradient, rtol=10 * tolerance, atol=tolerance)
    assert not d_z[targets < 0].any()


@pytest.mark.parametrize("alpha, gamma", [(1, 0.5), (0.1, 4), (0.25, 1), (2, 3.3)])
def test_parameters_of_the_focal_loss(alpha, gamma):
    z, targets = problem((2, 5, 4, 3))
    (loss, d_z), (expected, gradient) = both("softmax_focal", z, targets, alpha=alpha, gamma=gamma)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(d_z, gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", PEERS)
def test_shares_weigh_the_observations(name):
    z, targets = problem((3, 4, 2, 3), missing=0)
    shares = np.array([0.5, 0, 3.0])
    parts = [LOSSES[name].forward(z[n : n + 1], targets[n : n + 1], workspace=Workspace())[1] for n in range(3)]
    workspace = Workspace()
    _, loss, saved = LOSSES[name].forward(z, targets, shares=shares, workspace=workspace)
    assert loss == pytest.approx(shares @ parts)
    assert not LOSSES[name].backward(saved, workspace=workspace)[1].any()


@pytest.mark.parametrize("name", PEERS)
def test_without_any_label_there_is_no_loss_and_no_gradient(name):
    z, _ = problem((2, 3, 3, 2))
    workspace = Workspace()
    _, loss, saved = LOSSES[name].forward(z, np.full((2, 3, 3), -1), workspace=workspace)
    assert loss == 0 and not LOSSES[name].backward(saved, workspace=workspace).any()


def test_images_without_labels_are_in_no_mean_of_dice():
    z, targets = problem((3, 4, 4, 2))
    targets[1] = -1
    (loss, _), (expected, _) = both("generalized_dice", z, targets)
    rest = LOSSES["generalized_dice"].forward(z[[0, 2]], targets[[0, 2]], workspace=Workspace())[1]
    assert loss == pytest.approx(expected) and loss == pytest.approx(rest)


def test_dice_is_near_zero_for_the_right_answer_and_near_one_for_the_wrong_one():
    targets = np.random.default_rng(0).integers(0, 2, (2, 6, 6))
    z = np.where(targets[..., None] == np.arange(2), 50.0, -50.0)
    dice = LOSSES["generalized_dice"]
    assert dice.forward(z, targets, workspace=Workspace())[1] == pytest.approx(0, abs=1e-12)
    assert dice.forward(-z, targets, workspace=Workspace())[1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.5, 1, 2])
def test_focal_loss_is_exact_where_a_score_is_zero_or_one(dtype, gamma):
    """With two classes ``log p = -log(1 + exp(-d))``, d the difference; p rounds to 1 or to 0 here."""
    d = np.array([30.0, 80, -80, -2000], dtype)
    z = np.stack([d, np.zeros_like(d)], axis=1)
    workspace = Workspace()
    loss = LOSSES["softmax_focal"]
    _, value, saved = loss.forward(z, np.zeros(4, int), alpha=1, gamma=gamma, workspace=workspace)
    d_z = loss.backward(saved, workspace=workspace)
    wide = d.astype(np.longdouble)
    q = np.exp(-np.logaddexp(0, wide))
    log_p = -np.logaddexp(0, -wide)
    assert value == pytest.approx(float(np.sum(-(q**gamma) * log_p)) / 4, rel=1e-6)
    slope = -(q**gamma - gamma * (1 - q) * q ** (gamma - 1) * np.where(q > 0, log_p, 0)) / 4
    expected = (slope * q).astype(float)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(d_z[:, 0], expected, rtol=tolerance, atol=1e-37)
    np.testing.assert_allclose(d_z[:, 1], -expected, rtol=tolerance, atol=1e-37)
