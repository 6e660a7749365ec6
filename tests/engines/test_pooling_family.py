"""1-D and 3-D pooling: loop formulas, gradients, PyTorch, sequences of different lengths, equal maxima."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import pooling1d, pooling3d
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.errors import DataError

from .gradients import check_gradients, scattered
from .test_convolution_family import pairs, same_pairs

OPERATIONS = {
    name: Operation(getattr(module, name), getattr(module, f"{name}_backward"))
    for module, dimensions in [(pooling1d, "1d"), (pooling3d, "3d")]
    for name in [f"{kind}_pooling{dimensions}" for kind in ("max", "average", "global_max", "global_average")]
}


def reference(name, x, *, pool_size=None, stride=1, padding=(0,) * 6, padding_value=0.0):
    """The formula, window by window."""
    spatial = x.shape[1:-1]
    if pool_size is None:
        function = np.max if "max" in name else np.mean
        return function(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True)
    pool_size, stride = np.atleast_1d(pool_size), np.atleast_1d(stride)
    border = same_pairs(spatial, pool_size, stride) if padding == "same" else pairs(padding)
    fill = -np.inf if "max" in name else np.nan if padding_value == "mean" else 0.0
    x = np.pad(x, [(0, 0), *border, (0, 0)], constant_values=fill)
    counts = [(n - f) // s + 1 for n, f, s in zip(x.shape[1:-1], pool_size, stride, strict=True)]
    y = np.zeros((len(x), *counts, x.shape[-1]))
    for position in np.ndindex(*counts):
        window = [slice(p * s, p * s + f) for p, s, f in zip(position, stride, pool_size, strict=True)]
        values = x[(slice(None), *window)].reshape(len(x), -1, x.shape[-1])
        y[(slice(None), *position)] = values.max(axis=1) if "max" in name else np.nanmean(values, axis=1)
    return y


def _cases():
    line = [
        ((2, 7, 3), {"pool_size": 2, "stride": 2, "padding": (0, 0)}),
        ((2, 7, 3), {"pool_size": 3, "stride": 1, "padding": (1, 2)}),
        ((2, 8, 1), {"pool_size": 3, "stride": 2, "padding": "same"}),
        ((1, 1, 1), {"pool_size": 1, "stride": 1, "padding": (0, 0)}),
    ]
    boxes = [
        ((2, 4, 5, 4, 3), {"pool_size": (2, 2, 2), "stride": (2, 2, 2), "padding": (0,) * 6}),
        ((2, 4, 5, 3, 2), {"pool_size": (3, 2, 2), "stride": (1, 2, 1), "padding": (1, 1, 0, 1, 1, 0)}),
        ((2, 5, 3, 3, 1), {"pool_size": (2, 3, 1), "stride": (3, 1, 2), "padding": (1, 0, 2, 2, 0, 0)}),
        ((1, 1, 1, 1, 1), {"pool_size": (1, 1, 1), "stride": (1, 1, 1), "padding": (0,) * 6}),
    ]
    for dimensions, cases in (("1d", line), ("3d", boxes)):
        for shape, attributes in cases:
            yield f"max_pooling{dimensions}", shape, attributes
            yield f"average_pooling{dimensions}", shape, attributes
            yield f"average_pooling{dimensions}", shape, attributes | {"padding_value": "mean"}
        for shape in dict.fromkeys(shape for shape, _ in cases):
            yield f"global_max_pooling{dimensions}", shape, {}
            yield f"global_average_pooling{dimensions}", shape, {}


CASES = list(_cases())
LENGTHS = np.array([7, 3, 5, 4])
RAGGED: list[tuple[str, dict[str, Any]]] = [
    (name, {"pool_size": size, "stride": stride, "padding": padding} | more)
    for name, more in [
        ("max_pooling1d", {}),
        ("average_pooling1d", {}),
        ("average_pooling1d", {"padding_value": "mean"}),
    ]
    for size, stride, padding in [(2, 2, (0, 0)), (3, 2, "same"), (3, 1, (1, 2)), (3, 3, (2, 1))]
]
RAGGED += [("global_max_pooling1d", {}), ("global_average_pooling1d", {})]
every_case = pytest.mark.parametrize("name, shape, attributes", CASES, ids=lambda value: str(value).replace(" ", ""))
every_ragged = pytest.mark.parametrize("name, attributes", RAGGED, ids=lambda value: str(value).replace(" ", ""))


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def run_both(name, x, attributes, workspace=None):
    workspace = workspace or Workspace()
    y, saved = OPERATIONS[name].forward(x, workspace=workspace, **attributes)
    y = y.copy()
    d_y = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
    (d_x,) = OPERATIONS[name].backward(saved, d_y, wanted=(True,), workspace=workspace)
    assert OPERATIONS[name].backward(saved, d_y, wanted=(False,), workspace=workspace) == (None,)
    return [y, d_x.copy()]


@every_case
def test_forward_is_the_formula(name, shape, attributes):
    x = draw(shape)
    found, _ = OPERATIONS[name].forward(scattered(x), workspace=Workspace(), **attributes)
    expected = reference(name, x, **attributes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@every_case
def test_gradients_agree_with_differences(name, shape, attributes):
    check_gradients(OPERATIONS[name], [draw(shape, 1)], attributes, (True,), np.random.default_rng(2))


@every_case
def test_float32_empty_batches_and_used_workspaces(name, shape, attributes):
    x = draw(shape, 3)
    double = run_both(name, x, attributes)
    for found, expected in zip(run_both(name, x.astype(np.float32), attributes), double, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    workspace = Workspace()
    for part in (x, x[:1], np.concatenate([x, x]), x[:0], x):
        used = run_both(name, part, attributes, workspace)
        for found, expected in zip(used, run_both(name, part, attributes), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert run_both(name, x[:0], attributes)[0].shape == (0, *double[0].shape[1:])


@every_ragged
def test_different_lengths_are_one_by_one(name, attributes):
    x = draw((4, 7, 3)) - 3  # a zero behind the end must not be the maximum
    behind = np.arange(7) >= LENGTHS[:, None]
    x[behind] = 0
    y, d_x = run_both(name, x, dict(attributes, lengths=LENGTHS))
    d_y = np.random.default_rng(5).standard_normal(y.shape)
    assert y.ndim == (2 if name.startswith("global") else 3)
    for n, length in enumerate(LENGTHS):
        alone = x[n : n + 1, :length]
        expected = reference(name, alone, **attributes)
        mine = y[n].reshape(-1, 3)
        steps = expected.shape[1]
        np.testing.assert_allclose(mine[:steps], expected[0], rtol=1e-10, atol=1e-10)
        assert not mine[steps:].any()
        _, saved = OPERATIONS[name].forward(alone, workspace=Workspace(), **attributes)
        d_alone = d_y[n].reshape(1, -1, 3)[:, :steps]
        (expected,) = OPERATIONS[name].backward(saved, d_alone, wanted=(True,), workspace=Workspace())
        np.testing.assert_allclose(d_x[n, :length], expected[0], rtol=1e-10, atol=1e-10)
    assert not d_x[behind].any()


@every_ragged
def test_gradients_with_lengths_agree_with_differences(name, attributes):
    attributes = dict(attributes, lengths=LENGTHS)
    check_gradients(OPERATIONS[name], [draw((4, 7, 3), 1)], attributes, (True,), np.random.default_rng(2))


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("padding_value", [None, 0.0, "mean"])
def test_pytorch_agrees(dimensions, padding_value):
    # small whole numbers: many maxima are equal
    x = np.random.default_rng(0).integers(0, 3, (2, *[6, 5, 7][:dimensions], 3)).astype(float)
    size, stride, padding = [(3, 2, 3), (2, 2, 1), (1, 1, 0)] if dimensions == 3 else [3, 2, 1]
    attributes = {"pool_size": size, "stride": stride, "padding": tuple(np.repeat(padding, 2).tolist())}
    kind, more = ("max", {}) if padding_value is None else ("avg", {"count_include_pad": padding_value != "mean"})
    if padding_value is not None:
        attributes["padding_value"] = padding_value
    y, d_x = run_both({"max": "max", "avg": "average"}[kind] + f"_pooling{dimensions}d", x, attributes)
    first, back = (0, x.ndim - 1, *range(1, x.ndim - 1)), (0, *range(2, x.ndim), 1)
    tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(first))).requires_grad_()
    expected = getattr(torch.nn.functional, f"{kind}_pool{dimensions}d")(tensor, size, stride, padding, **more)
    d_y = np.random.default_rng(5).standard_normal(y.shape)
    expected.backward(torch.from_numpy(np.ascontiguousarray(d_y.transpose(first))))
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(back), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(d_x, tensor.grad.numpy().transpose(back), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["max_pooling1d", "average_pooling1d"])
def test_a_sequence_shorter_than_the_pool_is_named(name):
    attributes = {"pool_size": 3, "stride": 1, "padding": (0, 0)}
    with pytest.raises(DataError, match="Observation 2 of the mini-batch: needs at least 3 time steps, but got 2"):
        OPERATIONS[name].forward(draw((3, 5, 2)), lengths=np.array([5, 2, 3]), workspace=Workspace(), **attributes)


@pytest.mark.parametrize("name", ["global_max_pooling1d", "global_average_pooling1d"])
def test_a_sequence_without_steps_is_named(name):
    with pytest.raises(DataError, match="Observation 1 of the mini-batch: needs at least 1 time step, but got 0"):
        OPERATIONS[name].forward(draw((2, 5, 2)), lengths=np.array([0, 5]), workspace=Workspace())


@pytest.mark.parametrize(
    "spatial, size", [((6, 8), (3, 2)), ((7, 5), (3, 4)), ((3, 2), (5, 2)), ((5, 4, 3), (2, 4, 2))]
)
def test_adaptive_pooling_is_that_of_pytorch(spatial, size):
    x = draw((2, *spatial, 3))
    operation, workspace = NumpyEngine().operation("adaptive_average_pooling"), Workspace()
    y, saved = operation.forward(x, size=size, workspace=workspace)
    d_y = draw(y.shape, 1)
    (d_x,) = operation.backward(saved, d_y, wanted=(True,), workspace=workspace)
    first, back = (0, x.ndim - 1, *range(1, x.ndim - 1)), (0, *range(2, x.ndim), 1)
    tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(first))).requires_grad_()
    expected = getattr(torch.nn.functional, f"adaptive_avg_pool{len(size)}d")(tensor, size)
    expected.backward(torch.from_numpy(np.ascontiguousarray(d_y.transpose(first))))
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(back), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(d_x, tensor.grad.numpy().transpose(back), rtol=1e-10, atol=1e-12)
