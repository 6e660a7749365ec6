"""Flattening, reordering, blocks of pixels, cropping, resizing and spatial dropout."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import crop, resize, shape, spatial_dropout

from .gradients import check_gradients, scattered

OPERATIONS = {
    name: Operation(forward, getattr(module, f"{name}_backward"))
    for module in (shape, resize, crop, spatial_dropout)
    for name, forward in vars(module).items()
    if hasattr(module, f"{name}_backward")
}
NEAREST = [
    ("nearest", transform, rounding)
    for transform in ("half-pixel", "asymmetric")
    for rounding in ("round", "floor", "onnx-10")
]
MODES = [*NEAREST, ("bilinear", "half-pixel", "round"), ("bilinear", "asymmetric", "round")]
TRILINEAR = ("trilinear", "half-pixel", "round")
SIZES = [
    ((5, 4), (10, 8), None),
    ((5, 4), (7, 9), None),
    ((6, 8), (3, 2), None),
    ((7, 5), (3, 4), None),
    ((5, 4), (5, 4), None),
    ((1, 1), (3, 2), None),
    ((4, 3), (1, 1), None),
    ((5, 4), (7, 6), (1.5, 1.6)),
    ((7, 5), (3, 1), (0.5, 0.3)),
]


def resizing(size, scale, mode) -> dict[str, Any]:
    method, transform, rounding = mode
    return {"size": size, "scale": scale, "method": method, "transform": transform, "rounding": rounding}


CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    *[("flatten", [shape], {}) for shape in [(2, 3, 4, 5), (3, 1, 1, 4), (1, 2, 3, 1), (2, 3)]],
    ("reshape", [(2, 3, 4, 5)], {"size": (6, 5, 2)}),
    ("reshape", [(2, 12)], {"size": (2, 3, 2)}),
    ("reshape", [(2, 1, 1, 1)], {"size": (1, 1, 1)}),
    ("permute", [(2, 3, 4, 5)], {"order": (1, 0, 2)}),
    ("permute", [(2, 3, 4, 5)], {"order": (2, 0, 1)}),
    ("permute", [(2, 3, 4, 5)], {"order": (1, 2, 0)}),
    *[
        ("depth_to_space", [(2, 2, 3, channels)], {"block": block, "mode": mode})
        for (block, channels), mode in itertools.product([((2, 3), 12), ((1, 2), 2), ((1, 1), 3)], ["dcr", "crd"])
    ],
    ("space_to_depth", [(2, 4, 6, 3)], {"block": (2, 3)}),
    ("space_to_depth", [(2, 5, 7, 2)], {"block": (2, 3)}),
    ("space_to_depth", [(1, 3, 2, 2)], {"block": (1, 1)}),
    ("crop", [(2, 5, 6, 3), (2, 3, 2, 4)], {"offset": (1, 3)}),
    ("crop", [(2, 5, 6, 3), (2, 5, 6, 1)], {"offset": (0, 0)}),
    *[
        ("resize", [(2, *old, 3)], resizing(new, scale, mode))
        for (old, new, scale), mode in zip(SIZES, [*MODES, MODES[6]], strict=True)
    ],
    ("resize", [(2, 4, 3, 2), (2, 6, 5, 1)], resizing((6, 5), None, MODES[6])),
    ("resize", [(2, 4, 3, 5, 2)], resizing((3, 6, 7), None, TRILINEAR)),
    ("resize", [(2, 4, 3, 5, 2), (2, 2, 2, 3, 1)], resizing((2, 2, 3), None, MODES[0])),
    ("crop", [(2, 5, 6, 4, 3), (2, 3, 2, 3, 1)], {"offset": (1, 3, 0)}),
]
every_case = pytest.mark.parametrize(
    "name, shapes, attributes",
    CASES,
    ids=[f"{name}-{shapes}-{number}" for number, (name, shapes, _) in enumerate(CASES)],
)


def arrays_of(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(each) for each in shapes]


def forward(name, *arrays, **attributes):
    return OPERATIONS[name].forward(*arrays, workspace=Workspace(), **attributes)[0]


def both(name, arrays, attributes, workspace):
    """Return copies of the output and of all gradients for a fixed output gradient."""
    output, saved = OPERATIONS[name].forward(*arrays, workspace=workspace, **attributes)
    d_output = np.random.default_rng(5).standard_normal(output.shape).astype(output.dtype)
    kept = d_output.copy()
    gradients = OPERATIONS[name].backward(saved, d_output, wanted=(True,) * len(arrays), workspace=workspace)
    np.testing.assert_array_equal(d_output, kept)
    return [output.copy(), *[gradient.copy() for gradient in gradients]]


# ----- what holds for all of them


@every_case
def test_gradients_agree_with_differences(name, shapes, attributes):
    arrays = arrays_of(shapes, 1)
    check_gradients(OPERATIONS[name], arrays, attributes, (True,) * len(arrays), np.random.default_rng(2))


@every_case
def test_wanted_gradients_only(name, shapes, attributes):
    arrays = arrays_of(shapes)
    full = both(name, arrays, attributes, Workspace())[1:]
    for wanted in itertools.product((False, True), repeat=len(arrays)):
        workspace = Workspace()
        output, saved = OPERATIONS[name].forward(*arrays, workspace=workspace, **attributes)
        d_output = np.random.default_rng(5).standard_normal(output.shape)
        gradients = OPERATIONS[name].backward(saved, d_output, wanted=wanted, workspace=workspace)
        assert tuple(gradient is not None for gradient in gradients) == wanted
        for gradient, expected in zip(gradients, full, strict=True):
            if gradient is not None:
                np.testing.assert_array_equal(gradient, expected)


@every_case
def test_any_input_gives_the_same(name, shapes, attributes):
    """Non-contiguous, single, observation by observation, none at all, and in a used workspace."""
    arrays = arrays_of(shapes)
    expected = both(name, arrays, attributes, Workspace())
    np.testing.assert_allclose(
        forward(name, *[scattered(array) for array in arrays], **attributes), expected[0], rtol=1e-12
    )
    single = both(name, [array.astype(np.float32) for array in arrays], attributes, Workspace())
    for found, exact in zip(single, expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)
    for n in range(len(arrays[0])):
        alone = forward(name, *[array[n : n + 1] for array in arrays], **attributes)
        np.testing.assert_allclose(alone, expected[0][n : n + 1], rtol=1e-12)
    workspace = Workspace()
    for count in (2, 1, 5, 0, 2):
        some = [np.resize(array, (count, *array.shape[1:])) for array in arrays]
        used, fresh = both(name, some, attributes, workspace), both(name, some, attributes, Workspace())
        for found, exact in zip(used, fresh, strict=True):
            np.testing.assert_array_equal(found, exact)
        assert used[0].shape == (count, *expected[0].shape[1:])


@pytest.mark.parametrize("name", ["flatten", "depth_to_space", "crop"])
def test_a_planted_error_is_found(name):
    _, shapes, attributes = next(case for case in CASES if case[0] == name)

    def backward(saved, d_output, *, wanted, workspace):
        d_x, *others = OPERATIONS[name].backward(saved, d_output, wanted=wanted, workspace=workspace)
        return (d_x[:, ::-1], *others)

    operation = Operation(OPERATIONS[name].forward, backward)
    arrays = arrays_of(shapes)
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(operation, arrays, attributes, (True,) * len(arrays), np.random.default_rng(2))


# ----- formulas


def test_flatten_is_column_major():
    (x,) = arrays_of([(2, 3, 4, 5)])
    y = forward("flatten", x)
    for h, w, c in np.ndindex(3, 4, 5):
        np.testing.assert_array_equal(y[:, h + 3 * (w + 4 * c)], x[:, h, w, c])


def test_reshape_is_that_of_matlab():
    (x,) = arrays_of([(2, 3, 4, 5)])
    y = forward("reshape", x, size=(6, 5, 2))
    for n in range(2):
        np.testing.assert_array_equal(y[n], x[n].reshape((6, 5, 2), order="F"))


def test_permute_is_that_of_matlab():
    (x,) = arrays_of([(2, 3, 4, 5)])
    y = forward("permute", x, order=(2, 0, 1))
    assert y.shape == (2, 5, 3, 4)
    for h, w, c in np.ndindex(3, 4, 5):
        np.testing.assert_array_equal(y[:, c, h, w], x[:, h, w, c])


def test_depth_to_space_gives_the_values_of_the_documentation():
    """depthToSpace(reshape(1:48,2,2,12), 2), from its reference page."""
    x = np.arange(1, 49).reshape((2, 2, 12), order="F")[None].astype(float)
    y = forward("depth_to_space", x, block=(2, 2), mode="dcr")
    first = [[1, 13, 3, 15], [25, 37, 27, 39], [2, 14, 4, 16], [26, 38, 28, 40]]
    np.testing.assert_array_equal(y[0, :, :, 0], first)
    np.testing.assert_array_equal(y[0, :, :, 2], np.array(first) + 8)


def test_space_to_depth_gives_the_values_of_the_documentation():
    """spaceToDepth(reshape(1:48,4,4,3), 2), from its reference page."""
    x = np.arange(1, 49).reshape((4, 4, 3), order="F")[None].astype(float)
    y = forward("space_to_depth", x, block=(2, 2))
    for channel, pixels in {
        0: [[1, 9], [3, 11]],
        1: [[17, 25], [19, 27]],
        3: [[5, 13], [7, 15]],
        6: [[2, 10], [4, 12]],
    }.items():
        np.testing.assert_array_equal(y[0, :, :, channel], pixels)


@pytest.mark.parametrize("mode", ["dcr", "crd"])
def test_depth_to_space_is_the_formula(mode):
    (x,) = arrays_of([(2, 2, 3, 30)])
    (h, w), channels = (2, 3), 5
    y = forward("depth_to_space", x, block=(h, w), mode=mode)
    for i, j, a, b, c in np.ndindex(2, 3, h, w, channels):
        k = c + channels * (b + w * a) if mode == "dcr" else b + w * (a + h * c)
        np.testing.assert_array_equal(y[:, h * i + a, w * j + b, c], x[:, i, j, k])


def test_blocks_are_those_of_pytorch_and_can_be_undone():
    (x,) = arrays_of([(2, 3, 4, 12)])
    y = forward("depth_to_space", x, block=(2, 2), mode="crd")
    expected = torch.pixel_shuffle(torch.tensor(x.transpose(0, 3, 1, 2)), 2).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(y, expected)
    spread = forward("depth_to_space", x, block=(3, 2), mode="dcr")
    np.testing.assert_array_equal(forward("space_to_depth", spread, block=(3, 2)), x)


def test_crop_takes_the_window():
    x, reference = arrays_of([(2, 5, 6, 3), (2, 3, 2, 4)])
    y = forward("crop", x, reference, offset=(1, 3))
    np.testing.assert_array_equal(y, x[:, 1:4, 3:5])


def test_crop_takes_the_box():
    x, reference = arrays_of([(2, 5, 6, 4, 3), (2, 3, 2, 3, 1)])
    np.testing.assert_array_equal(forward("crop", x, reference, offset=(1, 3, 1)), x[:, 1:4, 3:5, 1:])


# ----- resizing


def pixel_weights(length, resized, scale, mode, new):
    """Return {old pixel: weight} of one new pixel, by the formula of the documentation string."""
    method, transform, rounding = mode
    factor = resized / length if scale is None else scale
    p = (new + 0.5) / factor - 0.5 if transform == "half-pixel" else new / factor
    p = round(p, 9)  # 2.9999999996 is 3
    if method == "nearest":
        rounded = {"round": math.floor(p + 0.5), "floor": math.floor(p)}
        rounded["onnx-10"] = math.ceil(p) if factor < 1 else math.floor(p)
        return {min(max(rounded[rounding], 0), length - 1): 1.0}
    p = min(max(p, 0), length - 1)
    lower, t = math.floor(p), p - math.floor(p)
    return {lower: 1 - t} | ({lower + 1: t} if t else {})


@pytest.mark.parametrize("mode", MODES, ids="-".join)
@pytest.mark.parametrize("old, new, scale", SIZES)
def test_resize_is_the_formula(old, new, scale, mode):
    (x,) = arrays_of([(2, *old, 3)])
    y = forward("resize", x, **resizing(new, scale, mode))
    scales = (None, None) if scale is None else scale
    expected = np.zeros((2, *new, 3))
    for i, j in np.ndindex(*new):
        for p, v in pixel_weights(old[0], new[0], scales[0], mode, i).items():
            for q, u in pixel_weights(old[1], new[1], scales[1], mode, j).items():
                expected[:, i, j] += v * u * x[:, p, q]
    np.testing.assert_allclose(y, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("old, new, scale", SIZES)
@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("bilinear", ("bilinear", "half-pixel", "round")),
        ("nearest", ("nearest", "asymmetric", "floor")),
        ("nearest-exact", ("nearest", "half-pixel", "round")),
    ],
)
def test_resize_is_that_of_pytorch(old, new, scale, theirs, ours):
    (x,) = arrays_of([(2, *old, 3)])
    images = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    how: dict[str, Any] = {"size": new} if scale is None else {"scale_factor": scale}
    if theirs == "bilinear":
        how["align_corners"] = False
    expected = torch.nn.functional.interpolate(images, mode=theirs, **how)
    d_output = np.random.default_rng(5).standard_normal((2, *new, 3))
    expected.backward(torch.tensor(d_output.transpose(0, 3, 1, 2)))
    operation, workspace = OPERATIONS["resize"], Workspace()
    y, saved = operation.forward(x, **resizing(new, scale, ours), workspace=workspace)
    (d_x,) = operation.backward(saved, d_output, wanted=(True,), workspace=workspace)
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(d_x, images.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("old, new, scale", [((4, 3, 5), (3, 6, 7), None), ((2, 3, 4), (3, 4, 2), (1.5, 1.6, 0.5))])
@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("trilinear", TRILINEAR),
        ("nearest", ("nearest", "asymmetric", "floor")),
        ("nearest-exact", ("nearest", "half-pixel", "round")),
    ],
)
def test_resize_of_boxes_is_that_of_pytorch(old, new, scale, theirs, ours):
    (x,) = arrays_of([(2, *old, 3)])
    images = torch.tensor(x.transpose(0, 4, 1, 2, 3), requires_grad=True)
    how: dict[str, Any] = {"size": new} if scale is None else {"scale_factor": scale}
    if theirs == "trilinear":
        how["align_corners"] = False
    expected = torch.nn.functional.interpolate(images, mode=theirs, **how)
    d_output = np.random.default_rng(5).standard_normal((2, *new, 3))
    expected.backward(torch.tensor(d_output.transpose(0, 4, 1, 2, 3)))
    operation, workspace = OPERATIONS["resize"], Workspace()
    y, saved = operation.forward(x, **resizing(new, scale, ours), workspace=workspace)
    (d_x,) = operation.backward(saved, d_output, wanted=(True,), workspace=workspace)
    np.testing.assert_allclose(y, expected.detach().numpy().transpose(0, 2, 3, 4, 1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(d_x, images.grad.numpy().transpose(0, 2, 3, 4, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_weights_of_a_pixel_add_up_to_one(mode):
    for length, resized in itertools.product((1, 2, 5, 8), (1, 3, 8, 17)):
        matrix = resize.weights(length, resized, None, *mode, np.float64)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
        assert (matrix >= 0).all()
        assert not matrix.flags.writeable


def test_resize_in_many_blocks():
    (x,) = arrays_of([(40, 32, 32, 16)])
    attributes = resizing((64, 48), None, MODES[6])
    y = forward("resize", x, **attributes)
    np.testing.assert_array_equal(y[7:8], forward("resize", x[7:8], **attributes))
    np.testing.assert_array_equal(y[39:], forward("resize", x[39:], **attributes))


# ----- spatial dropout


@pytest.mark.parametrize("dims", [(40, 3, 4, 50), (40, 6, 50), (40, 50)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_channels_whose_number_is_below_the_probability_go(dims, dtype, probability):
    x = np.random.default_rng(0).standard_normal(dims).astype(dtype)
    operation, workspace = OPERATIONS["spatial_dropout"], Workspace()
    y, saved = operation.forward(
        x, probability=probability, generator=np.random.default_rng(7), lengths=None, workspace=workspace
    )
    numbers = np.random.default_rng(7).random((40, 50), dtype)
    kept = (numbers >= probability).reshape(40, *[1] * (len(dims) - 2), 50)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.where(kept, x / (1 - probability), 0), rtol=1e-6)
    d_y = np.random.default_rng(1).standard_normal(dims).astype(dtype)
    (d_x,) = operation.backward(saved, d_y, wanted=(True,), workspace=workspace)
    np.testing.assert_allclose(d_x, np.where(kept, d_y / (1 - probability), 0), rtol=1e-6)
    assert operation.backward(saved, d_y, wanted=(False,), workspace=workspace) == (None,)
