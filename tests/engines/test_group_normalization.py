"""Group, instance, layer and RMS normalization: formulas, gradients, PyTorch, single precision, planted errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.channels import pixels_per_row
from mlnet.engines.numpy.engine import NumpyEngine

from . import reference
from .gradients import check_gradients, scattered

OPERATIONS = NumpyEngine().operations

GROUP = OPERATIONS["group_normalization"]
LAYER = OPERATIONS["layer_normalization"]
RMS = OPERATIONS["rms_normalization"]
EPSILON = 1e-5


def parameter_shape(x_shape):
    return (*[1] * (len(x_shape) - 2), x_shape[-1]) if len(x_shape) == 4 else (x_shape[-1], 1)


def arrays_of(shape, parameters, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(s) for s in (shape, *[parameter_shape(shape)] * parameters)]


def run_both(operation, arrays, attributes, workspace=None):
    """Return copies of the output and of all gradients, for a fixed random output gradient."""
    workspace = workspace or Workspace()
    y, saved = operation.forward(*arrays, workspace=workspace, **attributes)
    d_y = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
    gradients = operation.backward(saved, d_y, wanted=(True,) * len(arrays), workspace=workspace)
    return [y.copy(), *[gradient.copy() for gradient in gradients]]


def _torch_group(x, offset, scale, groups):
    return torch.nn.functional.group_norm(x.movedim(-1, 1), groups, scale.ravel(), offset.ravel(), EPSILON)


def _torch_instance(x, offset, scale):
    moved = x.movedim(-1, 1)
    return torch.nn.functional.instance_norm(moved, weight=scale.ravel(), bias=offset.ravel(), eps=EPSILON)


def _torch_layer(x, offset, scale, count):
    shape = x.shape[x.ndim - count :]
    weight, bias = (parameter.ravel().expand(shape) for parameter in (scale, offset))
    return torch.nn.functional.layer_norm(x, shape, weight, bias, EPSILON)


def _torch_rms(x, scale, count):
    shape = x.shape[x.ndim - count :]
    return torch.nn.functional.rms_norm(x, shape, scale.ravel().expand(shape), EPSILON)


@pytest.mark.parametrize(
    "operation, attributes, parameters, theirs",
    [
        (GROUP, {"groups": 1}, 2, lambda *a: _torch_group(*a, 1).movedim(1, -1)),
        (GROUP, {"groups": 4}, 2, lambda *a: _torch_group(*a, 4).movedim(1, -1)),
        (GROUP, {"groups": 8}, 2, lambda *a: _torch_instance(*a).movedim(1, -1)),
        (LAYER, {"axes": (1, 2, 3)}, 2, lambda *a: _torch_layer(*a, 3)),
        (LAYER, {"axes": (-1,)}, 2, lambda *a: _torch_layer(*a, 1)),
        (RMS, {"axes": (1, 2, 3)}, 1, lambda *a: _torch_rms(*a, 3)),
        (RMS, {"axes": (-1,)}, 1, lambda *a: _torch_rms(*a, 1)),
    ],
    ids=["group-1", "group-4", "instance", "layer", "layer-channels", "rms", "rms-channels"],
)
def test_pytorch_agrees(operation, attributes, parameters, theirs):
    arrays = arrays_of((5, 6, 7, 8), parameters, seed=3)
    found = run_both(operation, arrays, {**attributes, "epsilon": EPSILON})
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = theirs(*tensors)
    y.backward(torch.tensor(np.random.default_rng(5).standard_normal(y.shape)))
    np.testing.assert_allclose(found[0], y.detach().numpy(), rtol=1e-9, atol=1e-9)
    for gradient, tensor in zip(found[1:], tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", [(16, 32, 32, 8), (40, 100), (300, 20, 64), (1, 64, 64, 16)])
@pytest.mark.parametrize("kind", ["group", "layer", "channels"])
@pytest.mark.parametrize("mean", [1000.0, -1000.0])
def test_single_precision_with_a_large_mean(shape, kind, mean):
    generator = np.random.default_rng(0)
    x = (generator.standard_normal(shape) + mean).astype(np.float32)
    offset, scale = generator.standard_normal((2, *parameter_shape(shape))).astype(np.float32)
    d_y = generator.standard_normal(shape).astype(np.float32)
    axes = (-1,) if kind == "channels" else tuple(range(1, len(shape)))
    special = {"groups": 4} if kind == "group" else {"axes": axes}
    operation, attributes = (GROUP if kind == "group" else LAYER), {**special, "epsilon": EPSILON}
    results = []
    for dtype in (np.float32, np.float64):
        workspace = Workspace()
        arrays = [array.astype(dtype) for array in (x, offset, scale)]
        y, saved = operation.forward(*arrays, workspace=workspace, **attributes)
        gradients = operation.backward(saved, d_y.astype(dtype), wanted=(True,) * 3, workspace=workspace)
        results.append([y, *gradients])
    formula = reference.group_normalization if kind == "group" else reference.layer_normalization
    x, offset, scale = (array.astype(np.float64) for array in (x, offset, scale))
    np.testing.assert_allclose(results[1][0], formula(x, offset, scale, **attributes), rtol=1e-9, atol=1e-9)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("operation, attributes", [(GROUP, {"groups": 3}), (LAYER, {"axes": (1, 2, 3)})])
def test_a_constant_observation_gives_the_offset(operation, attributes):
    x = np.full((2, 4, 4, 6), 1000.1, np.float32)
    offset, scale = np.full((1, 1, 6), 0.5, np.float32), np.ones((1, 1, 6), np.float32)
    y, _ = operation.forward(x, offset, scale, epsilon=EPSILON, workspace=Workspace(), **attributes)
    np.testing.assert_allclose(y, 0.5, atol=1e-2)


def test_observations_with_statistics_far_apart_do_not_mix():
    """Each observation has its own mean and deviation, whatever its neighbours in the mini-batch."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((50, 8, 8, 4))
    moved = x * np.logspace(-2, 4, 50)[:, None, None, None] + np.linspace(-1e5, 1e5, 50)[:, None, None, None]
    attributes = {"groups": 2, "epsilon": 1e-12}
    plain, moved = (
        GROUP.forward(z, np.zeros((1, 1, 4)), np.ones((1, 1, 4)), workspace=Workspace(), **attributes)[0]
        for z in (x, moved)
    )
    np.testing.assert_allclose(moved, plain, atol=1e-6)


def test_nan_stays_in_its_group():
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 4))
    x[1, 0, 0, 3] = np.nan
    y, _ = GROUP.forward(x, np.zeros(4), np.ones(4), groups=2, epsilon=EPSILON, workspace=Workspace())
    assert np.isnan(y[1, :, :, 2:]).all() and not np.isnan(y[1, :, :, :2]).any() and not np.isnan(y[0]).any()


def test_rows_cut_the_positions_evenly():
    for positions, channels in itertools.product((1, 7, 64, 1024, 1025), (1, 3, 64, 5000)):
        pixels = pixels_per_row(positions, channels)
        assert positions % pixels == 0 and (pixels == 1 or pixels * channels <= 512)


def literal_backward(wrong):
    """The backward of group normalization by its formula, with one error planted; 'nothing' is the right one."""

    def backward(saved, d_output, *, wanted, workspace):
        x, scale, groups = saved.x, saved.scale, saved.groups
        width = x.shape[-1] // groups
        pixels = (len(x), -1, groups, width)
        values, d_y, gamma = x.reshape(pixels), d_output.reshape(pixels), scale.reshape(1, 1, groups, width)
        axes = {"axis": (0, 1, 3), "positions": (1,)}.get(wrong, (1, 3))
        count = np.prod([values.shape[axis] for axis in axes]) - (wrong == "n - 1")
        epsilon = 1e-2 if wrong == "epsilon" else saved.epsilon
        mean, variance = values.mean(axis=(1, 3), keepdims=True), values.var(axis=(1, 3), keepdims=True)
        deviation = np.sqrt(variance + epsilon)
        x_hat = (values - mean) / deviation
        d = d_y if wrong == "scale" else gamma * d_y
        d_mean = d.sum(axis=axes, keepdims=True) / count * (wrong != "mean")
        d_slope = (d * x_hat).sum(axis=axes, keepdims=True) / count * (wrong != "variance")
        d_x = (d - d_mean - x_hat * d_slope) / (1 if wrong == "deviation" else deviation)
        d_offset, d_scale = d_y.sum(axis=(0, 1)), (d_y * (values if wrong == "x for x_hat" else x_hat)).sum(axis=(0, 1))
        shape = saved.scale.shape
        return d_x.reshape(x.shape), d_offset.reshape(shape), d_scale.reshape(shape)

    return backward


class Remembered:
    """A forward that also keeps its arguments, for the literal backward."""

    def __init__(self, x, scale, groups, epsilon):
        self.x, self.scale, self.groups, self.epsilon = x.copy(), scale.copy(), groups, epsilon


def remembering_forward(x, offset, scale, *, groups, epsilon, workspace):
    y, _ = GROUP.forward(x, offset, scale, groups=groups, epsilon=epsilon, workspace=workspace)
    return y, Remembered(x, scale, groups, epsilon)


def check_literal(wrong):
    arrays = arrays_of((3, 4, 5, 6), 2, seed=1)
    operation = Operation(remembering_forward, literal_backward(wrong))
    check_gradients(operation, arrays, {"groups": 2, "epsilon": EPSILON}, (True,) * 3, np.random.default_rng(2))


def test_the_literal_backward_is_right():
    check_literal("nothing")


@pytest.mark.parametrize(
    "wrong", ["axis", "positions", "epsilon", "n - 1", "scale", "mean", "variance", "deviation", "x for x_hat"]
)
def test_a_planted_error_is_found(wrong):
    with pytest.raises(AssertionError, match="difference quotient"):
        check_literal(wrong)


def test_an_unbiased_variance_is_found():
    """The comparison with PyTorch and the formula notices n - 1 in the statistics themselves."""
    x, offset, scale = arrays_of((3, 4, 5, 6), 2)
    biased = reference.group_normalization(x, offset, scale, groups=2, epsilon=EPSILON)
    unbiased = biased * np.sqrt(59 / 60) + offset * (1 - np.sqrt(59 / 60))
    found, _ = GROUP.forward(x, offset, scale, groups=2, epsilon=EPSILON, workspace=Workspace())
    np.testing.assert_allclose(found, biased, rtol=1e-10, atol=1e-10)
    assert np.abs(found - unbiased).max() > 1e-3


SEQUENCES = [
    (GROUP, {"groups": 2}, 2, "group_normalization"),
    (LAYER, {"axes": (-2, -1)}, 2, "layer_normalization"),
    (RMS, {"axes": (-2, -1)}, 1, "rms_normalization"),
]


@pytest.mark.parametrize("operation, attributes, parameters, name", SEQUENCES)
@pytest.mark.parametrize("lengths", [(3, 5, 2, 5), (5, 5, 5, 5), (1, 5, 1, 1)])
def test_sequences_are_normalized_up_to_their_ends(operation, attributes, parameters, name, lengths):
    x, *others = arrays_of((4, 5, 6), parameters)
    attributes = {**attributes, "epsilon": 1e-2}
    expected = np.zeros_like(x)
    for n, length in enumerate(lengths):
        expected[n, :length] = getattr(reference, name)(x[n : n + 1, :length], *others, **attributes)[0]
    given = {**attributes, "lengths": np.array(lengths)}
    found, _ = operation.forward(scattered(x), *others, workspace=Workspace(), **given)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    check_gradients(operation, [x, *others], given, (True,) * (1 + parameters), np.random.default_rng(2))
    workspace = Workspace()
    _, saved = operation.forward(x, *others, workspace=workspace, **given)
    wanted = (False, True, False)[: 1 + parameters]
    found = operation.backward(saved, np.ones_like(x), wanted=wanted, workspace=workspace)
    assert tuple(gradient is not None for gradient in found) == wanted
