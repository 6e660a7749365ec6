"""Arrays as a source of mini-batches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from mlnet import DataError
from mlnet.data.sources.arrays import Predictors, check_finite, chunks
from mlnet.data.sources.layout import columns_of, from_engine, to_engine


def images(data, dims=(4, 3, 2), **more):
    return Predictors(data, "SSC", dims, where="predict: X", **more)


def features(data, count=4, **more):
    return Predictors(data, "C", (count,), where="predict: X", **more)


def numbered(*shape, dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


ORDERS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "observations first": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0, -1),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1, :, :, ::-1][::-1, :, :, ::-1],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("index", [slice(1, 4), np.array([4, 0, 4]), slice(None)])
def test_mini_batches_in_every_memory_order(order, index):
    x = ORDERS[order](numbered(4, 3, 2, 5))
    batch = images(x).batch(index)
    assert batch.shape[1:] == (4, 3, 2) and batch.dtype == np.float32 and batch.flags.c_contiguous
    for row, number in zip(batch, np.arange(5)[index], strict=True):
        assert np.array_equal(row, x[..., number])


@pytest.mark.parametrize("shape, count", [((4, 3, 2, 5), 5), ((4, 3, 2, 1), 1), ((4, 3, 2), 1)])
def test_one_image_needs_no_fourth_dimension(shape, count):
    assert len(images(numbered(*shape))) == count
    assert len(images(numbered(4, 3), dims=(4, 3, 1))) == 1


@pytest.mark.parametrize("data, count, expected", [(numbered(5, 4), 4, 5), (numbered(4), 4, 1), ([1, 2, 3, 4], 4, 1)])
def test_features(data, count, expected):
    predictors = features(data, count)
    assert len(predictors) == expected and predictors.batch(slice(0, 1)).tolist() == [np.ravel(data)[:4].tolist()]


@pytest.mark.parametrize("data, expected", [(numbered(7), 7), (0.5, 1), ([0.5], 1), (numbered(3, 1), 3)])
def test_a_vector_is_many_observations_of_one_feature(data, expected):
    assert features(data, 1).batch(slice(None)).shape == (expected, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, np.float16, bool])
def test_data_are_neither_copied_nor_converted_as_a_whole(dtype):
    for x, predictors in (
        ((data := np.ones((4, 3, 2, 50), dtype)), images(data)),
        ((data := np.ones((50, 4), dtype)), features(data)),
    ):
        assert np.shares_memory(predictors._x, x) and predictors._x.dtype == dtype
        batch = predictors.batch(slice(0, 2))
        assert batch.dtype == np.float32 and not np.shares_memory(batch, x)
        assert predictors.batch(np.array([3, 1]), np.float64).dtype == np.float64


def test_memory_follows_the_mini_batch_and_not_the_data():
    x = np.zeros((32, 32, 3, 2000), np.uint8)  # 6 MB, 25 MB in single precision
    tracemalloc.start()
    try:
        predictors = Predictors(x, "SSC", (32, 32, 3))
        predictors.check_finite()
        predictors.batch(slice(0, 20))
        predictors.batch(np.arange(20)[::-1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e6


def test_finiteness_is_checked_in_parts():
    x = np.zeros((3_000_000, 1))
    tracemalloc.start()
    try:
        check_finite(x, "X")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6  # a mask of everything and its copy in single precision would be 15 MB


def test_data_do_not_change():
    x = numbered(6, 4)
    x.flags.writeable = False
    before = x.copy()

    def scale(batch):
        batch *= 2  # in place, as careless functions do
        return batch

    predictors = features(x, function=scale)
    for _ in range(2):
        assert np.array_equal(predictors.batch(slice(0, 6)), 2 * before)
    assert np.array_equal(x, before)


def test_the_function_takes_matlabs_order_in_single_precision():
    seen = []

    def center(batch):
        seen.append((batch.shape, batch.dtype))
        return batch - 100  # would wrap around in uint8

    x = np.full((4, 3, 2, 5), 7, np.uint8)
    assert np.all(images(x, function=center).batch(slice(0, 2)) == -93)
    assert seen == [((4, 3, 2, 2), np.float32)]


@pytest.mark.parametrize(
    "function, text",
    [
        (lambda x: x[:1], "the normalization function needs to return shape (5, 4), but returned (1, 4)"),
        (lambda x: None, "the normalization function: needs to return a numeric array, but got None"),
        (lambda x: "a", "needs to return a numeric array, but got 'a'"),
        (lambda x: x * 1j, "needs to return a numeric array"),
        (lambda x: 1 / 0, "the normalization function raised ZeroDivisionError for shape (5, 4): division by zero"),
    ],
)
def test_functions_that_return_something_else(function, text):
    with pytest.raises(DataError) as caught:
        features(numbered(5, 4), function=function).batch(slice(0, 5))
    assert str(caught.value).startswith("predict: X: ") and text in str(caught.value)


def test_complex_data_are_split_real_channels_first():
    x = numbered(2, 1, 1, 3) + 1j * (numbered(2, 1, 1, 3) + 10)
    batch = images(x, dims=(2, 1, 2), split_complex=True).batch(slice(None))
    assert batch[..., 0].tolist() == x[:, :, 0].real.transpose(2, 0, 1).tolist()
    assert batch[..., 1].tolist() == x[:, :, 0].imag.transpose(2, 0, 1).tolist()
    assert features(numbered(3, 2) + 5j, 4, split_complex=True).batch(slice(0, 1)).tolist() == [[0, 1, 5, 5]]
    assert features(numbered(3, 2), 4, split_complex=True).batch(slice(0, 1)).tolist() == [[0, 1, 0, 0]]


z = np.zeros


@pytest.mark.parametrize(
    "data, text",
    [
        (z((28, 28, 5)), "For 5 images reshape it to (28, 28, 1, 5)"),
        (z((5, 28, 28)), "numpy.moveaxis(X, 0, -1).reshape(28, 28, 1, -1)"),
        (z((5, 28, 28, 1)), "Move the observations to the end, numpy.moveaxis(X, 0, -1)"),
        (z((5, 1, 28, 28)), "Reorder them, numpy.transpose(X, (2, 3, 1, 0))"),
        (z((5, 784)), "For one image in each row, numpy.moveaxis(X.reshape(-1, 28, 28, 1), 0, -1)"),
        (z((28, 27)), "the images are of size 28x27x1, but the input layer expects images of size 28x28x1."),
        (z((28, 28, 3, 5)), "the images are of size 28x28x3"),
        (z((28, 28, 1, 2, 2)), "the images are of size 28x28x1x2"),
        (5, "the images are of size 1x1x1"),
        (z((28, 28, 1, 0)), "needs at least one observation, but got an empty array (shape (28, 28, 1, 0))"),
        ([], "needs at least one observation, but got an empty array (shape (0,))"),
        (None, "needs a numeric array, but got None"),
        ("data.mat", "needs a numeric array, but got 'data.mat'"),
        ([["a"]], "needs a numeric array, but got [['a']]"),
        ([[1], [1, 2]], "needs a numeric array, but got a list of uneven lists"),
        ({"x": 1}, "needs a numeric array, but got {'x': 1}"),
        (z((28, 28), complex), "needs real numbers, but got complex ones. Set SplitComplexInputs=True"),
    ],
)
def test_images_that_do_not_fit(data, text):
    with pytest.raises(DataError) as caught:
        images(data, dims=(28, 28, 1))
    assert str(caught.value).startswith("predict: X: ") and text in str(caught.value)


@pytest.mark.parametrize(
    "format, dims, data, text",
    [
        ("SC", (10, 3), z((9, 3, 8)), "the images are of size 9x3, but the input layer expects images of size 10x3."),
        ("SC", (10, 3), z(5), "the images are of size 5x1"),
        ("SC", (10, 3), z((8, 10, 3)), "numpy.moveaxis(X, 0, -1): length x channels x observations."),
        ("SC", (10, 3), z((8, 3, 10)), "numpy.transpose(X, (2, 1, 0)): length x channels x observations."),
        ("SC", (10, 1), z((8, 10)), "numpy.moveaxis(X, 0, -1).reshape(10, 1, -1)"),
        ("SSSC", (4, 5, 6, 2), z((8, 2, 4, 5, 6)), "numpy.transpose(X, (2, 3, 4, 1, 0)): height x width x depth x"),
        ("SSSC", (4, 5, 6, 1), z((4, 5, 6, 8)), "For 8 images reshape it to (4, 5, 6, 1, 8)"),
        ("SSSC", (4, 5, 6, 1), z((8, 120)), "numpy.moveaxis(X.reshape(-1, 4, 5, 6, 1), 0, -1)"),
    ],
)
def test_images_of_one_and_three_dimensions_that_do_not_fit(format, dims, data, text):
    with pytest.raises(DataError) as caught:
        Predictors(data, format, dims)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "fix, data",
    [
        (lambda x: x.reshape(4, 3, 1, 5), numbered(4, 3, 1, 5)[:, :, 0]),
        (lambda x: np.moveaxis(x, 0, -1).reshape(4, 3, 1, -1), np.moveaxis(numbered(4, 3, 5), -1, 0)),
        (lambda x: np.moveaxis(x, 0, -1), np.moveaxis(numbered(4, 3, 1, 5), -1, 0)),
        (lambda x: np.transpose(x, (2, 3, 1, 0)), np.transpose(numbered(4, 3, 1, 5), (3, 2, 0, 1))),
        (lambda x: np.moveaxis(x.reshape(-1, 4, 3, 1), 0, -1), np.moveaxis(numbered(4, 3, 5), -1, 0).reshape(5, 12)),
    ],
)
def test_the_fixes_that_messages_propose_work(fix, data):
    with pytest.raises(DataError):
        images(data, dims=(4, 3, 1))
    assert np.array_equal(fix(data), numbered(4, 3, 1, 5))


@pytest.mark.parametrize(
    "data, text",
    [
        (z((5, 3)), "needs observations x 4 features, but got an array of shape (5, 3)."),
        (z((4, 3)), "but got an array of shape (4, 3). Transpose it: rows are observations."),
        (z((28, 28, 1, 5)), "but got an array of shape (28, 28, 1, 5). For images start with an imageInputLayer."),
        (z(5), "but got an array of shape (5,)."),
        (7, "but got an array of shape ()."),
    ],
)
def test_features_that_do_not_fit(data, text):
    with pytest.raises(DataError) as caught:
        features(data)
    assert str(caught.value).endswith(text)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 3, 6])
def test_the_first_observation_that_is_not_finite_is_named(value, where):
    x = numbered(4, 3, 2, 7)
    x[1, 2, 1, where] = x[0, 0, 0, 6] = value
    with pytest.raises(
        DataError, match=f"predict: X: needs finite numbers, but observation {where + 1} has NaN or Inf"
    ):
        images(x).check_finite()
    with pytest.raises(DataError, match=f"observation {where + 1} has"):
        images(x + 0j, dims=(4, 3, 4), split_complex=True).check_finite()


def test_numbers_too_large_for_single_precision():
    with pytest.raises(DataError, match="observation 2 has a number too large for single precision"):
        features([[1, 2, 3, 4], [1, 1e39, 1, 1]]).check_finite()


@pytest.mark.parametrize("count, size, elements", [(10, 3, 7), (10, 100, 7), (0, 3, 7), (5, 0, 7), (1, 1, 1)])
def test_chunks_cover_everything_once(count, size, elements):
    parts = list(chunks(count, size, elements))
    assert [n for part in parts for n in range(count)[part]] == list(range(count))
    assert all((part.stop - part.start) * size <= max(elements, size) for part in parts)


def test_layout():
    x = numbered(4, 3, 2, 5)
    assert np.array_equal(to_engine(x, "SSC")[3], x[..., 3]) and np.shares_memory(to_engine(x, "SSC"), x)
    assert np.array_equal(from_engine(to_engine(x, "SSC"), "SSC"), x)
    assert to_engine(x[0, 0], "C") is from_engine(x[0, 0], "C") or np.array_equal(to_engine(x[0, 0], "C"), x[0, 0])
    column_major = np.stack([x[..., n].ravel(order="F") for n in range(5)])
    assert np.array_equal(columns_of(to_engine(x, "SSC")), column_major)
    assert np.array_equal(columns_of(x[0, 0]), x[0, 0])
