"""Max pooling with indices, and unpooling: PyTorch, gradients, overlapping windows, wrong indices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.errors import DataError

from .gradients import check_gradients, scattered

POOL = NumpyEngine().operation("max_pooling2d_with_indices")
PLAIN = NumpyEngine().operation("max_pooling2d")
UNPOOL = NumpyEngine().operation("max_unpooling2d")
APART = [
    ((2, 4, 6, 3), (2, 2), (2, 2), (0, 0, 0, 0)),
    ((2, 5, 7, 3), (2, 2), (2, 2), (0, 0, 0, 0)),
    ((3, 7, 8, 1), (2, 3), (3, 4), (1, 0, 0, 1)),
    ((2, 5, 4, 2), (3, 3), (3, 3), (1, 1, 1, 1)),
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
]
OVERLAPPING = [
    ((2, 5, 6, 2), (3, 3), (2, 2), (0, 0, 0, 0)),
    ((2, 5, 6, 2), (3, 2), (1, 1), (1, 1, 0, 1)),
    ((2, 4, 4, 1), (2, 2), (2, 1), (0, 0, 0, 0)),
]
every_window = pytest.mark.parametrize("shape, pool_size, stride, padding", [*APART, *OVERLAPPING])


def pooled(x, pool_size, stride, padding, workspace=None):
    """Return copies of the output and of the indices."""
    outputs, _ = POOL.forward(
        x, pool_size=pool_size, stride=stride, padding=padding, workspace=workspace or Workspace()
    )
    return [each.copy() for each in outputs[:2]]


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unpooled(x, indices, size):
    """The formula, window by window; the last one wins."""
    n, rows, columns, channels = x.shape
    y = np.zeros((n, *size, channels))
    for i, p, q, c in np.ndindex(n, rows, columns, channels):
        if indices[i, p, q, c] >= 0:
            y[i, indices[i, p, q, c] // size[1], indices[i, p, q, c] % size[1], c] = x[i, p, q, c]
    return y


def first(x):
    """Return a tensor with the channels in front."""
    return torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@every_window
def test_indices_lead_to_the_maxima_and_each_pixel_is_named_once(shape, pool_size, stride, padding):
    x = draw(shape)
    y, indices = pooled(scattered(x), pool_size, stride, padding)
    expected, _ = PLAIN.forward(x, pool_size=pool_size, stride=stride, padding=padding, workspace=Workspace())
    np.testing.assert_array_equal(y, expected)
    assert indices.dtype == np.int32
    pixels = x.reshape(len(x), -1, x.shape[3])
    for n, c in np.ndindex(len(x), x.shape[3]):
        named = indices[n, ..., c].ravel()
        np.testing.assert_array_equal(pixels[n, named[named >= 0], c], y[n, ..., c].ravel()[named >= 0])
        maxima = y[n, ..., c].ravel()
        assert sorted(pixels[n, named[named >= 0], c]) == sorted(set(maxima))
        for window, value in enumerate(maxima):  # the last window of a maximum has it
            assert (named[window] >= 0) == (value not in maxima[window + 1 :])


@pytest.mark.parametrize("shape, pool_size, stride, padding", APART)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pytorch_agrees(shape, pool_size, stride, padding, dtype):
    # small whole numbers: many maxima are equal
    x = np.random.default_rng(0).integers(0, 3, shape).astype(dtype)
    y, indices = pooled(x, pool_size, stride, padding)
    top, bottom, left, right = padding
    border = torch.nn.functional.pad(first(x), (left, right, top, bottom), value=-np.inf)
    _, places = torch.nn.functional.max_pool2d(border, pool_size, stride, return_indices=True)
    width = shape[2] + left + right
    places = (places // width - top) * shape[2] + places % width - left
    np.testing.assert_array_equal(indices, places.numpy().transpose(0, 2, 3, 1))
    values = draw(y.shape, 1).astype(dtype)
    tensor = first(values).requires_grad_()
    expected = torch.nn.functional.max_unpool2d(tensor, places, pool_size, stride, output_size=shape[1:3])
    workspace = Workspace()
    found, saved = UNPOOL.forward(values, indices, x, size=shape[1:3], workspace=workspace)
    d_y = draw(shape, 2).astype(dtype)
    expected.backward(first(d_y))
    gradients = UNPOOL.backward(saved, d_y, wanted=(True, True, True), workspace=workspace)
    assert found.dtype == gradients[0].dtype == dtype and gradients[1:] == (None, None)
    np.testing.assert_array_equal(found, expected.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(gradients[0], tensor.grad.numpy().transpose(0, 2, 3, 1))


@every_window
def test_unpooling_is_the_formula(shape, pool_size, stride, padding):
    y, indices = pooled(draw(shape), pool_size, stride, padding)
    values, size = draw(y.shape, 1), shape[1:3]
    found, _ = UNPOOL.forward(scattered(values), indices, values, size=size, workspace=Workspace())
    np.testing.assert_array_equal(found, unpooled(values, indices, size))


def one_input(indices, size):
    """Return unpooling as an operation of the values alone."""

    def forward(x, *, workspace):
        return UNPOOL.forward(x, indices, x, size=size, workspace=workspace)

    def backward(saved, d_output, *, wanted, workspace):
        return UNPOOL.backward(saved, d_output, wanted=(*wanted, False, False), workspace=workspace)[:1]

    return Operation(forward, backward)


@every_window
def test_gradients_agree_with_differences(shape, pool_size, stride, padding):
    x = draw(shape)
    y, indices = pooled(x, pool_size, stride, padding)
    generator = np.random.default_rng(2)
    check_gradients(one_input(indices, shape[1:3]), [draw(y.shape, 1)], {}, (True,), generator)

    def forward(x, *, workspace, **attributes):
        outputs, saved = POOL.forward(x, workspace=workspace, **attributes)
        return outputs[0], saved

    def backward(saved, d_output, *, wanted, workspace):
        return POOL.backward(saved, (d_output, None, None), wanted=wanted, workspace=workspace)

    attributes = {"pool_size": pool_size, "stride": stride, "padding": padding}
    check_gradients(Operation(forward, backward), [x], attributes, (True,), generator)


def test_a_planted_error_is_found():
    y, indices = pooled(draw((2, 4, 6, 3)), (2, 2), (2, 2), (0, 0, 0, 0))
    right = one_input(indices, (4, 6))

    def backward(saved, d_output, **rest):
        return right.backward(saved, d_output[:, ::-1], **rest)

    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(Operation(right.forward, backward), [y], {}, (True,), np.random.default_rng(2))


@every_window
def test_used_workspaces_empty_batches_and_blocks(shape, pool_size, stride, padding):
    workspace, other = Workspace(), Workspace()
    for count in (2, 1, 5, 0, 2):
        x = np.resize(draw(shape), (count, *shape[1:]))
        used, fresh = (pooled(x, pool_size, stride, padding, each) for each in (workspace, Workspace()))
        for found, expected in zip(used, fresh, strict=True):
            np.testing.assert_array_equal(found, expected)
        y, saved = UNPOOL.forward(used[0], used[1], x, size=shape[1:3], workspace=other)
        assert y.shape == x.shape
        (d_x, _, _) = UNPOOL.backward(saved, x, wanted=(True, False, False), workspace=other)
        np.testing.assert_array_equal(d_x, used[0] * (used[1] >= 0))
        assert UNPOOL.backward(saved, x, wanted=(False,) * 3, workspace=other) == (None,) * 3


def test_many_blocks():
    x = draw((40, 32, 32, 16))
    y, indices = pooled(x, (2, 2), (2, 2), (0, 0, 0, 0))
    alone = pooled(x[7:8], (2, 2), (2, 2), (0, 0, 0, 0))
    np.testing.assert_array_equal(indices[7:8], alone[1])
    found, _ = UNPOOL.forward(y, indices, x, size=(32, 32), workspace=Workspace())
    np.testing.assert_array_equal(found, np.where(found == 0, 0, x))
    assert (found != 0).sum() == y.size


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_windows_without_a_maximum_have_an_index_inside_the_image(value):
    x = np.full((1, 3, 3, 2), value)
    for stride in ((2, 2), (3, 3)):
        y, indices = pooled(x, (3, 3), stride, (1, 1, 1, 1))
        assert (indices[indices >= 0] < 9).all() and np.array_equal(y, np.full(y.shape, value), equal_nan=True)


def test_the_third_output_has_the_shape_of_the_input_and_no_memory():
    x = draw((2, 4, 6, 3)).astype(np.float32)
    (_, _, shape), saved = POOL.forward(x, pool_size=(2, 2), stride=(2, 2), padding=(0, 0, 0, 0), workspace=Workspace())
    assert shape.shape == x.shape and shape.strides == (0,) * 4 and not shape.any()
    assert POOL.backward(saved, (None, None, None), wanted=(True,), workspace=Workspace()) == (None,)


@pytest.mark.parametrize(
    "indices", [np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 2), np.int32), np.full((1, 2, 2, 1), 16, np.int32)]
)
def test_wrong_indices_are_refused(indices):
    x = np.ones((1, 2, 2, 1))
    with pytest.raises(DataError, match=r"needs the indices of a max pooling of 4x4 pixels, of the shape \(1, 2, 2, 1"):
        UNPOOL.forward(x, indices, x, size=(4, 4), workspace=Workspace())
