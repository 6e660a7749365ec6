"""Transposed, grouped, 1-D and 3-D convolution: loop formulas, gradients, PyTorch, sequences of different lengths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import convolution1d, convolution3d, grouped_convolution, transposed_convolution
from mlnet.engines.numpy.convolution import convolution2d, convolution2d_backward
from mlnet.errors import DataError

from .gradients import check_gradients, scattered

OPERATIONS = {
    name: Operation(getattr(module, name), getattr(module, f"{name}_backward"))
    for module, name in [
        (transposed_convolution, "transposed_convolution2d"),
        (grouped_convolution, "grouped_convolution2d"),
        (convolution1d, "convolution1d"),
        (convolution1d, "transposed_convolution1d"),
        (convolution3d, "convolution3d"),
        (convolution3d, "transposed_convolution3d"),
    ]
}
MODES = {"replicate": "edge", "symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}


def pairs(values) -> list[tuple[int, int]]:
    return list(zip(values[::2], values[1::2], strict=True))


def same_pairs(spatial, extents, strides) -> list[tuple[int, int]]:
    totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(spatial, extents, strides, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def convolution(x, weights, bias, *, stride, dilation, padding, padding_value=0.0):
    """The formula in any number of dimensions, position by position."""
    stride, dilation = np.atleast_1d(stride), np.atleast_1d(dilation)
    size = weights.shape[:-2]
    extents = [(f - 1) * d + 1 for f, d in zip(size, dilation, strict=True)]
    border = same_pairs(x.shape[1:-1], extents, stride) if padding == "same" else pairs(padding)
    widths = [(0, 0), *border, (0, 0)]
    if isinstance(padding_value, str):
        x = np.pad(x, widths, mode=MODES[padding_value])
    else:
        x = np.pad(x, widths, constant_values=padding_value)
    counts = [(n - e) // s + 1 for n, e, s in zip(x.shape[1:-1], extents, stride, strict=True)]
    y = np.zeros((len(x), *counts, weights.shape[-1]))
    for position in np.ndindex(*counts):
        for place in np.ndindex(*size):
            source = tuple(np.array(position) * stride + np.array(place) * dilation)
            y[(slice(None), *position)] += x[(slice(None), *source)] @ weights[place]
    return y + bias.ravel()


def transposed(x, weights, bias, *, stride, cropping):
    """Every position of the input adds its filters to the output; then the borders are cut off."""
    stride = np.atleast_1d(stride)
    size, crops = weights.shape[:-2], pairs(cropping)
    inner = [(n - 1) * s + f - a - b for n, s, f, (a, b) in zip(x.shape[1:-1], stride, size, crops, strict=True)]
    whole = [n + a + max(b, 0) for n, (a, b) in zip(inner, crops, strict=True)]
    y = np.zeros((len(x), *whole, weights.shape[-2]))
    for position in np.ndindex(*x.shape[1:-1]):
        for place in np.ndindex(*size):
            target = tuple(np.array(position) * stride + np.array(place))
            y[(slice(None), *target)] += x[(slice(None), *position)] @ weights[place].T
    cut = [slice(a, a + n) for n, (a, _) in zip(inner, crops, strict=True)]
    return y[(slice(None), *cut)] + bias.ravel()


def grouped(x, weights, bias, **attributes):
    channels, _, groups = weights.shape[2:]
    parts = [
        convolution(x[..., g * channels : (g + 1) * channels], weights[..., g], bias[..., g], **attributes)
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=-1)


REFERENCES = {
    "transposed_convolution2d": transposed,
    "grouped_convolution2d": grouped,
    "convolution1d": convolution,
    "transposed_convolution1d": transposed,
    "convolution3d": convolution,
    "transposed_convolution3d": transposed,
}


def _windows(count, **changes: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"stride": (1,) * count, "dilation": (1,) * count, "padding": (0, 0) * count}
    if count == 1:
        defaults.update(stride=1, dilation=1)
    return defaults | changes


CASES: list[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    *[
        ("transposed_convolution2d", (x, w, (1, 1, w[2])), {"stride": stride, "cropping": cropping})
        for x, w, stride, cropping in [
            ((2, 3, 4, 3), (3, 2, 4, 3), (1, 1), (0, 0, 0, 0)),
            ((2, 3, 4, 5), (3, 3, 2, 5), (2, 2), (0, 1, 0, 1)),
            ((2, 3, 4, 2), (4, 5, 3, 2), (2, 3), (1, 1, 2, 0)),
            ((2, 5, 4, 2), (3, 3, 1, 2), (1, 1), (1, 1, 1, 1)),
            ((2, 5, 6, 2), (2, 3, 3, 2), (1, 1), (3, 1, 0, 4)),
            ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0, 0, 0)),
            ((2, 3, 2, 3), (1, 2, 2, 3), (3, 4), (0, -2, 0, -2)),
            ((2, 4, 3, 2), (1, 7, 3, 2), (1, 2), (0, 0, 2, 3)),
        ]
    ],
    *[
        ("grouped_convolution2d", (x, w, (1, 1, *w[3:])), _windows(2, **changes))
        for x, w, changes in [
            ((2, 5, 4, 6), (3, 2, 3, 4, 2), {"padding": (1, 1, 0, 1)}),
            ((2, 5, 4, 6), (3, 3, 2, 1, 3), {"stride": (2, 1), "padding": (1, 2, 1, 1), "padding_value": 1.5}),
            ((2, 6, 5, 4), (2, 2, 4, 3, 1), {"dilation": (2, 1)}),
            ((2, 6, 5, 4), (2, 2, 2, 2, 2), {"padding": (1, 1, 1, 1), "padding_value": "replicate"}),
            ((2, 5, 6, 4), (3, 3, 1, 1, 4), {"padding": (1, 1, 1, 1)}),
            ((2, 5, 6, 3), (3, 2, 1, 1, 3), {"stride": (2, 3), "padding": (0, 1, 2, 1)}),
            ((2, 7, 6, 3), (2, 2, 1, 2, 3), {"dilation": (3, 2), "padding": (1, 0, 0, 2), "padding_value": -1.0}),
            ((2, 4, 5, 2), (3, 3, 1, 3, 2), {"padding": (1, 1, 2, 1), "padding_value": "symmetric-include-edge"}),
            ((1, 1, 1, 1), (1, 1, 1, 1, 1), {}),
        ]
    ],
    *[
        ("convolution1d", (x, w, (1, w[2])), _windows(1, **changes))
        for x, w, changes in [
            ((2, 7, 3), (3, 3, 4), {}),
            ((2, 7, 1), (4, 1, 2), {"padding": (2, 1), "stride": 2}),
            ((2, 8, 2), (3, 2, 3), {"padding": "same", "stride": 3}),
            ((2, 8, 2), (2, 2, 1), {"padding": "same", "dilation": 2}),
            ((2, 6, 2), (3, 2, 2), {"padding": (4, 0), "dilation": 2}),
            ((2, 5, 2), (3, 2, 2), {"padding": (1, 2), "padding_value": 2.5}),
            ((2, 5, 2), (3, 2, 2), {"padding": (2, 1), "padding_value": "symmetric-exclude-edge", "stride": 2}),
            ((1, 1, 1), (1, 1, 1), {}),
        ]
    ],
    *[
        ("transposed_convolution1d", (x, w, (1, w[1])), {"stride": stride, "cropping": cropping})
        for x, w, stride, cropping in [
            ((2, 4, 3), (3, 2, 3), 1, (0, 0)),
            ((2, 4, 3), (4, 2, 3), 2, (1, 1)),
            ((2, 4, 2), (2, 1, 2), 3, (0, -1)),
        ]
    ],
    *[
        ("convolution3d", (x, w, (1, 1, 1, w[4])), _windows(3, **changes))
        for x, w, changes in [
            ((2, 4, 3, 5, 2), (2, 2, 3, 2, 3), {}),
            ((2, 4, 5, 3, 2), (3, 3, 2, 2, 2), {"padding": (1, 1, 2, 0, 0, 1), "stride": (2, 1, 2)}),
            ((2, 5, 4, 4, 1), (2, 1, 2, 1, 2), {"dilation": (2, 1, 3), "padding": (0, 1, 0, 0, 1, 1)}),
            ((2, 3, 3, 3, 2), (2, 3, 2, 2, 1), {"padding": (1, 1, 1, 1, 1, 0), "padding_value": "replicate"}),
            ((2, 3, 3, 3, 1), (3, 2, 2, 1, 1), {"padding": (1, 0, 0, 1, 1, 1), "padding_value": -1.5}),
            ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), {}),
        ]
    ],
    *[
        ("transposed_convolution3d", (x, w, (1, 1, 1, w[3])), {"stride": stride, "cropping": cropping})
        for x, w, stride, cropping in [
            ((2, 2, 3, 2, 3), (2, 3, 2, 2, 3), (1, 1, 1), (0, 0, 0, 0, 0, 0)),
            ((2, 2, 3, 3, 2), (3, 2, 4, 3, 2), (2, 1, 3), (1, 0, 0, 0, 1, 1)),
            ((2, 2, 2, 2, 1), (1, 2, 1, 2, 1), (3, 2, 2), (0, -2, 0, 0, 0, -1)),
        ]
    ],
]
RAGGED = [
    ("convolution1d", (3, 3, 2), {"stride": 1, "dilation": 1, "padding": (0, 0)}),
    ("convolution1d", (3, 3, 2), {"stride": 2, "dilation": 1, "padding": "same"}),
    ("convolution1d", (4, 3, 2), {"stride": 3, "dilation": 1, "padding": "same", "padding_value": 1.5}),
    ("convolution1d", (3, 3, 2), {"stride": 1, "dilation": 2, "padding": (4, 0)}),
    ("convolution1d", (3, 3, 2), {"stride": 2, "dilation": 1, "padding": (1, 2), "padding_value": "replicate"}),
    ("convolution1d", (2, 3, 2), {"stride": 3, "dilation": 1, "padding": (1, 1), "padding_value": -1}),
    ("transposed_convolution1d", (3, 2, 3), {"stride": 2, "cropping": (1, 1)}),
    ("transposed_convolution1d", (2, 2, 3), {"stride": 3, "cropping": (0, -1)}),
    ("transposed_convolution1d", (4, 2, 3), {"stride": 1, "cropping": (1, 2)}),
]
LENGTHS = np.array([7, 3, 5, 4])

every_case = pytest.mark.parametrize(
    "name, shapes, attributes", CASES, ids=lambda value: str(value).replace(" ", "").replace("'", "")
)
every_ragged = pytest.mark.parametrize("name, filters, attributes", RAGGED, ids=lambda value: str(value))


def draw(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def run_both(name, arrays, attributes, workspace=None):
    """Return copies of the output and of all gradients, for an output gradient that depends on the shape only."""
    workspace = workspace or Workspace()
    y, saved = OPERATIONS[name].forward(*arrays, workspace=workspace, **attributes)
    y = y.copy()
    d_y = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
    gradients = OPERATIONS[name].backward(saved, d_y, wanted=(True,) * len(arrays), workspace=workspace)
    return [y, *[gradient.copy() for gradient in gradients]]


@every_case
def test_forward_is_the_formula(name, shapes, attributes):
    arrays = draw(shapes)
    found, _ = OPERATIONS[name].forward(*map(scattered, arrays), workspace=Workspace(), **attributes)
    expected = REFERENCES[name](*arrays, **attributes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@every_case
def test_gradients_agree_with_differences(name, shapes, attributes):
    check_gradients(OPERATIONS[name], draw(shapes, 1), attributes, (True,) * 3, np.random.default_rng(2))


@every_case
def test_wanted_gradients_only(name, shapes, attributes):
    arrays = draw(shapes)
    full = run_both(name, arrays, attributes)[1:]
    for wanted in itertools.product((False, True), repeat=3):
        workspace = Workspace()
        y, saved = OPERATIONS[name].forward(*arrays, workspace=workspace, **attributes)
        d_y = np.random.default_rng(5).standard_normal(y.shape)
        gradients = OPERATIONS[name].backward(saved, d_y, wanted=wanted, workspace=workspace)
        assert tuple(gradient is not None for gradient in gradients) == wanted
        for gradient, expected in zip(gradients, full, strict=True):
            if gradient is not None:
                np.testing.assert_array_equal(gradient, expected)


@every_case
def test_float32_empty_batches_and_used_workspaces(name, shapes, attributes):
    x, *others = draw(shapes, 3)
    double = run_both(name, [x, *others], attributes)
    single = run_both(name, [array.astype(np.float32) for array in (x, *others)], attributes)
    for found, expected in zip(single, double, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
    workspace = Workspace()
    for part in (x, x[:1], np.concatenate([x, x]), x[:0], x):
        used = run_both(name, [part, *others], attributes, workspace)
        for found, expected in zip(used, run_both(name, [part, *others], attributes), strict=True):
            np.testing.assert_array_equal(found, expected)
    empty = run_both(name, [x[:0], *others], attributes)
    assert empty[0].shape == (0, *double[0].shape[1:]) and empty[1].shape == (0, *x.shape[1:])
    assert not empty[2].any() and not empty[3].any()


@every_ragged
def test_different_lengths_are_one_by_one(name, filters, attributes):
    x, weights = draw([(4, 7, 3), filters])
    features = filters[2] if name == "convolution1d" else filters[1]
    bias = np.arange(1.0, features + 1).reshape(1, -1)
    behind = np.arange(7) >= LENGTHS[:, None]
    x[behind] = 0
    y, *gradients = run_both(name, [x, weights, bias], dict(attributes, lengths=LENGTHS))
    d_y = np.random.default_rng(5).standard_normal(y.shape)
    d_weights = np.zeros_like(weights)
    for n, length in enumerate(LENGTHS):
        alone = x[n : n + 1, :length]
        expected = REFERENCES[name](alone, weights, bias, **attributes)
        steps = expected.shape[1]
        np.testing.assert_allclose(y[n : n + 1, :steps], expected, rtol=1e-10, atol=1e-10)
        assert not y[n, steps:].any()
        _, saved = OPERATIONS[name].forward(alone, weights, bias, workspace=Workspace(), **attributes)
        d_alone, d_w, _ = OPERATIONS[name].backward(
            saved, d_y[n : n + 1, :steps], wanted=(True,) * 3, workspace=Workspace()
        )
        np.testing.assert_allclose(gradients[0][n, :length], d_alone[0], rtol=1e-10, atol=1e-10)
        d_weights += d_w
    np.testing.assert_allclose(gradients[1], d_weights, rtol=1e-10, atol=1e-10)
    assert not gradients[0][behind].any()


@every_ragged
def test_gradients_with_lengths_agree_with_differences(name, filters, attributes):
    features = filters[2] if name == "convolution1d" else filters[1]
    arrays = draw([(4, 7, 3), filters, (1, features)])
    check_gradients(OPERATIONS[name], arrays, dict(attributes, lengths=LENGTHS), (True,) * 3, np.random.default_rng(2))


def test_a_sequence_shorter_than_the_filter_is_named():
    x, weights, bias = draw([(3, 6, 2), (4, 2, 3), (1, 3)])
    attributes = {"stride": 1, "dilation": 1, "padding": (0, 0)}
    message = "Observation 2 of the mini-batch: needs at least 4 time steps, but got 3. Use longer sequences"
    with pytest.raises(DataError, match=message):
        convolution1d.convolution1d(x, weights, bias, **attributes, lengths=np.array([6, 3, 2]), workspace=Workspace())
    with pytest.raises(DataError, match="Observation 1 .* 7 time steps, but got 6"):
        convolution1d.convolution1d(x, weights, bias, **attributes | {"dilation": 2}, workspace=Workspace())
    with pytest.raises(DataError, match="needs at least 7 time steps, but got 1, 3 after padding or cropping"):
        convolution1d.convolution1d(
            x,
            weights,
            bias,
            **attributes | {"dilation": 2, "padding": (1, 1)},
            lengths=np.array([6, 6, 1]),
            workspace=Workspace(),
        )
    with pytest.raises(DataError, match="Observation 3 .* needs at least 1 time step, but got 1, 0 after"):
        convolution1d.transposed_convolution1d(
            x,
            weights.transpose(0, 2, 1),
            bias,
            stride=1,
            cropping=(2, 2),
            lengths=np.array([6, 6, 1]),
            workspace=Workspace(),
        )


def test_depthwise_is_a_convolution_with_a_diagonal():
    x, weights, bias = draw([(70, 12, 11, 32), (3, 3, 1, 1, 32), (1, 1, 1, 32)])
    attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1)}
    y, *gradients = run_both("grouped_convolution2d", [x, weights, bias], attributes)
    full = np.zeros((3, 3, 32, 32))
    full[:, :, np.arange(32), np.arange(32)] = weights[:, :, 0, 0]
    expected, saved = convolution2d(x, full, bias.reshape(1, 1, 32), **attributes, workspace=Workspace())
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
    d_y = np.random.default_rng(5).standard_normal(y.shape)
    d_x, d_full, d_bias = convolution2d_backward(saved, d_y, wanted=(True,) * 3, workspace=Workspace())
    np.testing.assert_allclose(gradients[0], d_x, rtol=1e-9, atol=1e-9)
    diagonal = d_full[:, :, np.arange(32), np.arange(32)]
    np.testing.assert_allclose(gradients[1][:, :, 0, 0], diagonal, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(gradients[2].ravel(), d_bias.ravel(), rtol=1e-9, atol=1e-8)


def to_torch(array, *order):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(order))).requires_grad_()


def channels_first(x):
    return to_torch(x, 0, x.ndim - 1, *range(1, x.ndim - 1))


def filters_first(weights, dimensions):
    """Return the last axes in reverse order before the others: (..., C, F) as (F, C, ...)."""
    return to_torch(weights, dimensions + 1, dimensions, *range(dimensions))


TORCH: list[tuple[str, tuple, dict[str, Any], Any]] = [
    ("transposed_convolution2d", ((3, 5, 4, 3), (4, 3, 2, 3)), {"stride": (2, 3), "cropping": (1, 1, 0, 0)}, (1, 0)),
    ("transposed_convolution1d", ((3, 5, 3), (4, 2, 3)), {"stride": 2, "cropping": (1, 1)}, 1),
    (
        "transposed_convolution3d",
        ((2, 3, 4, 3, 2), (3, 2, 4, 3, 2)),
        {"stride": (2, 1, 3), "cropping": (1, 1, 0, 0, 1, 1)},
        (1, 0, 1),
    ),
    ("convolution1d", ((3, 9, 3), (4, 3, 2)), {"stride": 2, "dilation": 2, "padding": (1, 1)}, 1),
    (
        "convolution3d",
        ((2, 6, 7, 5, 3), (3, 2, 3, 3, 4)),
        {"stride": (2, 1, 2), "dilation": (1, 2, 1), "padding": (1, 1, 2, 2, 0, 0)},
        (1, 2, 0),
    ),
]


@pytest.mark.parametrize("name, shapes, attributes, padding", TORCH, ids=lambda value: str(value))
def test_pytorch_agrees(name, shapes, attributes, padding):
    dimensions = len(shapes[0]) - 2
    is_transposed = name.startswith("transposed")
    filters = shapes[1][-2] if is_transposed else shapes[1][-1]
    x, weights, bias = draw([*shapes, (filters,)])
    y, *gradients = run_both(name, [x, weights, bias], attributes)
    tensors = [channels_first(x), filters_first(weights, dimensions), to_torch(bias, 0)]
    function = getattr(torch.nn.functional, f"conv{'_transpose' * is_transposed}{dimensions}d")
    more = {"dilation": attributes["dilation"]} if "dilation" in attributes else {}
    expected = function(*tensors, stride=attributes["stride"], padding=padding, **more)
    expected.backward(channels_first(np.random.default_rng(5).standard_normal(y.shape)).detach())
    back = [0, *range(2, dimensions + 2), 1]
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(back), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gradients[0], tensors[0].grad.numpy().transpose(back), rtol=1e-9, atol=1e-9)
    d_weights = tensors[1].grad.numpy().transpose(*range(2, dimensions + 2), 1, 0)
    np.testing.assert_allclose(gradients[1], d_weights, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gradients[2], tensors[2].grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels, filters, groups", [(3, 2, 2), (1, 1, 4), (1, 3, 4)])
def test_groups_of_pytorch_agree(channels, filters, groups):
    x, weights, bias = draw([(3, 7, 6, channels * groups), (3, 2, channels, filters, groups), (1, 1, filters, groups)])
    attributes = {"stride": (2, 1), "dilation": (1, 2), "padding": (1, 1, 2, 2)}
    y, *gradients = run_both("grouped_convolution2d", [x, weights, bias], attributes)
    flat = weights.transpose(4, 3, 2, 0, 1).reshape(groups * filters, channels, 3, 2)
    tensors = [channels_first(x), torch.from_numpy(flat).requires_grad_(), torch.from_numpy(bias[0, 0].T.ravel())]
    expected = torch.nn.functional.conv2d(*tensors, stride=(2, 1), dilation=(1, 2), padding=(1, 2), groups=groups)
    expected.backward(channels_first(np.random.default_rng(5).standard_normal(y.shape)).detach())
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gradients[0], tensors[0].grad.numpy().transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9)
    d_flat = gradients[1].transpose(4, 3, 2, 0, 1).reshape(flat.shape)
    np.testing.assert_allclose(d_flat, tensors[1].grad.numpy(), rtol=1e-9, atol=1e-9)


def test_a_planted_error_is_found():
    right = OPERATIONS["convolution1d"]

    def backward(saved, d_output, *, wanted, workspace):
        d_x, *others = right.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return (d_x * 1.001, *others)

    arrays = draw([(2, 6, 3), (3, 3, 2), (1, 2)])
    attributes = {"stride": 1, "dilation": 1, "padding": "same"}
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(Operation(right.forward, backward), arrays, attributes, (True,) * 3, np.random.default_rng(2))
