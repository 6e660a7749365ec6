"""Whitening: identity covariance, gradients through the matrix root, equal eigenvalues, statistics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import whitening as module
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.matrix_root import inverse_root

from .gradients import check_gradients

OPERATIONS = NumpyEngine().operations

TRAINING, INFERENCE = OPERATIONS["whitening"], OPERATIONS["whitening_inference"]
CASES = [((6, 4, 5, 6), 1), ((6, 4, 5, 6), 2), ((6, 4, 5, 6), 6), ((30, 4), 1), ((30, 4), 2), ((1, 5, 6, 3), 1)]
CASES += [((9, 7, 4), 2), ((1, 4), 2), ((3, 6), 1)]


def parameter_shape(shape):
    return (1, 1, shape[-1]) if len(shape) == 4 else (shape[-1], 1)


def arrays_of(shape, seed=0):
    """Correlated data, offset and scale."""
    generator = np.random.default_rng(seed)
    mix = generator.standard_normal((shape[-1], shape[-1])) + 2 * np.eye(shape[-1])
    x = generator.standard_normal(shape) @ mix + generator.standard_normal(shape[-1])
    return [x, *[generator.standard_normal(parameter_shape(shape)) for _ in range(2)]]


def equal_eigenvalues(count, noise):
    """Data whose covariance is the identity, but for ``noise``."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((count, 4))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(count)
    return x + noise * generator.standard_normal(x.shape)


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_where_eigenvalues_are_equal(noise, groups):
    x = equal_eigenvalues(25, noise)
    generator = np.random.default_rng(1)
    arrays = [x, generator.standard_normal((4, 1)), generator.standard_normal((4, 1))]
    check_gradients(TRAINING, arrays, {"groups": groups, "epsilon": 1e-5}, (True,) * 3, np.random.default_rng(2))


@pytest.mark.parametrize("shape, groups", [case for case in CASES if np.prod(case[0][:-1]) > case[0][-1]])
def test_pytorch_agrees(shape, groups):
    """Differentiating through PyTorch's eigenvectors gives the same where eigenvalues differ."""
    arrays = arrays_of(shape, 3)
    workspace = Workspace()
    y, saved = TRAINING.forward(*arrays, groups=groups, epsilon=1e-3, workspace=workspace)
    d_y = np.random.default_rng(5).standard_normal(shape)
    found = TRAINING.backward(saved, d_y, wanted=(True,) * 3, workspace=workspace)
    x, offset, scale = (torch.tensor(array, requires_grad=True) for array in arrays)
    rows = x.reshape(-1, groups, shape[-1] // groups).movedim(1, 0)
    centred = rows - rows.mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(centred.mT @ centred / centred.shape[1])
    matrix = (vectors / torch.sqrt(values + 1e-3)[:, None, :]) @ vectors.mT
    theirs = (centred @ matrix).movedim(0, 1).reshape(shape) * scale.ravel() + offset.ravel()
    theirs.backward(torch.tensor(d_y))
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-8, atol=1e-8)
    for gradient, tensor in zip(found, (x, offset, scale), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype, mean", [(np.float64, 0.0), (np.float32, 0.0), (np.float32, 1000.0)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_output_is_white(dtype, mean, groups):
    """Its covariance is the identity but for epsilon: eigenvalues lambda / (lambda + epsilon)."""
    x = (arrays_of((100, 8, 8, 8))[0] + mean).astype(dtype)
    plain = np.zeros((1, 1, 8), dtype), np.ones((1, 1, 8), dtype)
    y, saved = TRAINING.forward(x, *plain, groups=groups, epsilon=1e-5, workspace=Workspace())
    assert y.dtype == dtype
    width = 8 // groups
    for g, covariance in enumerate(saved.covariance):
        rows = y.astype(np.float64).reshape(-1, groups, width)[:, g]
        matrix = covariance @ np.linalg.inv(covariance + 1e-5 * np.eye(width))
        accuracy = 1e-9 if dtype == np.float64 else 2e-4
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=accuracy)
        np.testing.assert_allclose(rows.T @ rows / len(rows), matrix, atol=accuracy)
        np.testing.assert_allclose(matrix, np.eye(width), atol=1e-3)


@pytest.mark.parametrize("mean", [0.0, 1000.0, -1000.0])
def test_single_precision_is_close_to_double(mean):
    x, offset, scale = arrays_of((64, 6, 6, 6))
    x = (x + mean).astype(np.float32)
    d_y = np.random.default_rng(5).standard_normal(x.shape)
    results = []
    for dtype in (np.float32, np.float64):
        workspace = Workspace()
        arrays = [array.astype(np.float32).astype(dtype) for array in (x, offset, scale)]
        y, saved = TRAINING.forward(*arrays, groups=2, epsilon=1e-5, workspace=workspace)
        gradients = TRAINING.backward(saved, d_y.astype(dtype), wanted=(True,) * 3, workspace=workspace)
        results.append([saved.mean, saved.covariance, y, *gradients])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1, np.abs(expected).max() / 100))


def test_statistics_are_those_of_the_data():
    x, offset, scale = arrays_of((10, 3, 3, 6))
    _, saved = TRAINING.forward(x, offset, scale, groups=2, epsilon=1e-5, workspace=Workspace())
    rows = x.reshape(-1, 6)
    assert saved.mean.dtype == saved.covariance.dtype == np.float64 and saved.covariance.shape == (2, 3, 3)
    np.testing.assert_allclose(saved.mean, rows.mean(axis=0), rtol=1e-12)
    whole = np.cov(rows.T, bias=True)
    np.testing.assert_allclose(saved.covariance, [whole[:3, :3], whole[3:, 3:]], rtol=1e-10, atol=1e-12)


def test_statistics_of_unequal_batches_merge_to_those_of_all():
    """What training does with ``saved.mean`` and ``saved.covariance``; sorted data, a large offset."""
    x = np.sort(np.random.default_rng(0).standard_normal((103, 4)), axis=0) + 1000
    count, mean, squares = 0, np.zeros(4), np.zeros((2, 2, 2))
    for batch in (x[:40], x[40:80], x[80:]):
        _, saved = TRAINING.forward(batch, np.zeros(4), np.ones(4), groups=2, epsilon=1e-5, workspace=Workspace())
        total = count + len(batch)
        difference = (saved.mean - mean).reshape(2, 2) * (count > 0)
        outer = difference[:, :, None] * difference[:, None, :]
        squares = squares + saved.covariance * len(batch) + outer * (count * len(batch) / total)
        mean = saved.mean if not count else mean + (saved.mean - mean) * len(batch) / total
        count = total
    whole = np.cov(x.T, bias=True)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(squares / count, [whole[:2, :2], whole[2:, 2:]], rtol=1e-9)
    matrix = inverse_root(squares / count, 1e-5)
    y, _ = TRAINING.forward(x, np.zeros(4), np.ones(4), groups=2, epsilon=1e-5, workspace=Workspace())
    found, _ = INFERENCE.forward(
        x, np.zeros(4), np.ones(4), mean, np.moveaxis(matrix, 0, 2), workspace=Workspace()
    )  # fmt: skip
    np.testing.assert_allclose(found, y, atol=1e-7)


@pytest.mark.parametrize("shape, groups", CASES)
def test_inference(shape, groups):
    x, offset, scale = arrays_of(shape, 4)
    generator = np.random.default_rng(6)
    width = shape[-1] // groups
    mean = generator.standard_normal(parameter_shape(shape))
    matrix = generator.standard_normal((width, width, groups))
    arrays = [x, offset, scale, mean, matrix]
    y, _ = INFERENCE.forward(*arrays, workspace=Workspace())
    for g in range(groups):
        mine = slice(g * width, (g + 1) * width)
        x_hat = np.einsum("ab,...b->...a", matrix[:, :, g], x[..., mine] - mean.ravel()[mine])
        np.testing.assert_allclose(y[..., mine], scale.ravel()[mine] * x_hat + offset.ravel()[mine], atol=1e-10)
    check_gradients(INFERENCE, arrays, {}, (True,) * 5, generator)
    together = y.copy()
    for n in range(len(x)):
        alone, _ = INFERENCE.forward(x[n : n + 1], *arrays[1:], workspace=Workspace())
        np.testing.assert_allclose(together[n : n + 1], alone, rtol=1e-12, atol=1e-12)
    empty, saved = INFERENCE.forward(x[:0], *arrays[1:], workspace=Workspace())
    gradients = INFERENCE.backward(saved, empty, wanted=(True,) * 5, workspace=Workspace())
    assert empty.shape == x[:0].shape and not any(gradient.any() for gradient in gradients)


def test_a_matrix_of_two_axes_is_one_group():
    x, offset, scale = arrays_of((5, 3))
    matrix = np.random.default_rng(0).standard_normal((3, 3))
    two, saved = INFERENCE.forward(x, offset, scale, np.zeros(3), matrix, workspace=Workspace())
    three, _ = INFERENCE.forward(x, offset, scale, np.zeros(3), matrix[:, :, None], workspace=Workspace())
    np.testing.assert_array_equal(two, three)
    gradients = INFERENCE.backward(saved, two, wanted=(True,) * 5, workspace=Workspace())
    assert gradients[4].shape == (3, 3)


def test_wanted_gradients_and_a_used_workspace():
    arrays = arrays_of((12, 3, 3, 4))
    d_y = np.random.default_rng(5).standard_normal(arrays[0].shape)
    used = Workspace()
    full = None
    for wanted in itertools.product((True, False), repeat=3):
        _, saved = TRAINING.forward(*arrays, groups=2, epsilon=1e-5, workspace=used)
        found = TRAINING.backward(saved, d_y, wanted=wanted, workspace=used)
        assert tuple(gradient is not None for gradient in found) == wanted
        full = full or [gradient.copy() for gradient in found]
        for gradient, expected in zip(found, full, strict=True):
            if gradient is not None:
                np.testing.assert_array_equal(gradient, expected)
        x, *others = arrays
        TRAINING.forward(np.concatenate([x, x]), *others, groups=1, epsilon=1e-5, workspace=used)


def test_channel_wise_is_batch_normalization():
    from mlnet.engines.numpy.engine import NumpyEngine

    arrays = arrays_of((8, 3, 3, 5))
    theirs, _ = NumpyEngine().operation("batch_normalization").forward(*arrays, epsilon=1e-5, workspace=Workspace())
    ours, _ = TRAINING.forward(*arrays, groups=5, epsilon=1e-5, workspace=Workspace())
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_one_value_gives_the_offset_and_no_gradient():
    x, offset, scale = arrays_of((1, 4))
    y, saved = TRAINING.forward(x, offset, scale, groups=2, epsilon=1e-5, workspace=Workspace())
    np.testing.assert_allclose(y, offset.reshape(1, 4), atol=1e-12)
    d_x, *_ = TRAINING.backward(saved, np.ones_like(y), wanted=(True,) * 3, workspace=Workspace())
    np.testing.assert_allclose(d_x, 0, atol=1e-9)


def test_nan_reaches_the_output():
    x, offset, scale = arrays_of((20, 4))
    x[3, 1] = np.nan
    y, saved = TRAINING.forward(x, offset, scale, groups=2, epsilon=1e-5, workspace=Workspace())
    d_x, *_ = TRAINING.backward(saved, np.ones_like(y), wanted=(True,) * 3, workspace=Workspace())
    assert np.isnan(y[:, :2]).all() and np.isnan(d_x[:, :2]).all()


def test_many_blocks(monkeypatch):
    arrays = arrays_of((40, 9, 9, 6))
    one, _ = TRAINING.forward(*arrays, groups=2, epsilon=1e-5, workspace=Workspace())
    monkeypatch.setattr(module, "split", lambda count, *_: [slice(i, min(i + 97, count)) for i in range(0, count, 97)])
    many, _ = TRAINING.forward(*arrays, groups=2, epsilon=1e-5, workspace=Workspace())
    np.testing.assert_allclose(one, many, rtol=1e-9, atol=1e-9)
    check_gradients(TRAINING, arrays, {"groups": 2, "epsilon": 1e-3}, (True,) * 3, np.random.default_rng(2))


@pytest.mark.parametrize("wrong", ["matrix as a constant", "no mean", "n - 1", "epsilon", "not symmetric", "scale"])
def test_a_planted_error_is_found(wrong):
    def backward(saved, d_output, *, wanted, workspace):
        if wrong == "matrix as a constant":
            saved = saved._replace(roots=np.full_like(saved.roots, 1e9))
        if wrong == "epsilon":
            saved = saved._replace(roots=np.sqrt(saved.roots**2 + 0.05))
        if wrong == "not symmetric":
            saved = saved._replace(vectors=saved.vectors * np.array([1.0, 1.05, 1.0]))
        if wrong == "scale":
            saved = saved._replace(scale=np.ones_like(saved.scale))
        d_x, *others = TRAINING.backward(saved, d_output, wanted=wanted, workspace=workspace)
        if wrong == "no mean":
            mean = d_output.mean(axis=0).reshape(2, 1, 3)
            d_x = d_x + (mean @ (saved.scale * saved.matrix)).reshape(-1)
        if wrong == "n - 1":
            count = d_x.size // d_x.shape[-1]
            constant = saved._replace(roots=np.full_like(saved.roots, 1e9))
            first, *_ = TRAINING.backward(constant, d_output, wanted=wanted, workspace=Workspace())
            d_x = first + (d_x - first) * count / (count - 1)
        return d_x, *others

    operation = Operation(TRAINING.forward, backward)
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(
            operation, arrays_of((30, 6), 1), {"groups": 2, "epsilon": 1e-2}, (True,) * 3, np.random.default_rng(2)
        )
