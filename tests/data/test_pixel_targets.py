"""Images of labels: their places, numbers and missing labels."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import DataError, categorical
from mlnet.data.sources.pixel_targets import PixelTargets
from mlnet.labels import labels_of


def targets(labels, dims, count, classes=()):
    return PixelTargets(labels, list(classes), dims, count, "trainNetwork: Y")


CODES = np.random.default_rng(0).integers(-1, 3, (4, 5, 7))
LABELS = categorical.from_codes(CODES, ["a", "b", "c"])


@pytest.mark.parametrize("given", [LABELS, LABELS[:, :, None], LABELS.names()])
def test_places_stay_where_they_are(given):
    found = targets(given, (4, 5), 7)
    assert found.classes == ["a", "b", "c"] and len(found) == 7 and found.present() == 3
    batch = found.batch(np.array([6, 2]))
    assert batch.dtype == np.int64 and batch.shape == (2, 4, 5)
    np.testing.assert_array_equal(batch[0], CODES[:, :, 6])
    np.testing.assert_array_equal(batch[1], CODES[:, :, 2])
    np.testing.assert_array_equal(found.batch(slice(3, 4))[0], CODES[:, :, 3])


def test_given_classes_are_the_order():
    found = targets(LABELS, (4, 5), 7, ["c", "x", "b", "a"])
    np.testing.assert_array_equal(found.batch(slice(None)), np.moveaxis(np.array([3, 2, 0, -1])[CODES], -1, 0))
    with pytest.raises(DataError, match=r"needs classes out of \['a', 'b'\], but has also 'c'"):
        targets(LABELS, (4, 5), 7, ["a", "b"])


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 1, 1)])
def test_one_image(shape):
    codes = np.arange(20) % 3
    found = targets(categorical.from_codes(codes.reshape(shape), ["a", "b", "c"]), (4, 5), 1)
    np.testing.assert_array_equal(found.batch(slice(None))[0].ravel(), codes)


def test_volumes_and_the_smallest_network_output():
    codes = np.random.default_rng(1).integers(0, 2, (2, 3, 4, 1, 5))
    found = targets(codes, (2, 3, 4), 5)
    np.testing.assert_array_equal(found.batch(np.array([3]))[0], codes[:, :, :, 0, 3])
    assert targets(np.array([[[1, 0, 1]]]), (1, 1), 3).batch(slice(None)).ravel().tolist() == [1, 0, 1]


def test_many_classes_fit():
    codes = np.arange(300).reshape(1, 300, 1)
    assert targets(codes, (1, 300), 1).batch(slice(None)).ravel().tolist() == list(range(300))


@pytest.mark.parametrize("shape", [(5, 4, 7), (4, 5, 2, 7), (4, 5, 6), (7,), (4, 5), (7, 4, 5), (4, 5, 1, 1, 7)])
def test_other_sizes_are_refused(shape):
    with pytest.raises(DataError) as caught:
        targets(np.zeros(shape, int), (4, 5), 7)
    came = "x".join(map(str, shape))
    assert "needs labels of size 4x5x7 (height x width of what the network puts out" in str(caught.value)
    assert f"but got {came}." in str(caught.value)
    assert ("numpy.moveaxis(Y, 0, -1)" in str(caught.value)) == (shape == (7, 4, 5))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.bool_, "U1"])
def test_large_label_images_are_not_named_pixel_by_pixel(dtype, monkeypatch):
    numbers = np.random.default_rng(0).integers(0, 2, (16, 16, 20))
    sizes, names = [], mlnet.labels._names
    monkeypatch.setattr(mlnet.labels, "_names", lambda array: (sizes.append(array.size), names(array))[1])
    found = labels_of(numbers.astype(dtype), "Y")
    assert sizes == [2]
    assert found.shape == numbers.shape and (found.codes == numbers).all()


def test_numbers_keep_order_names_and_missing_ones_in_arrays_of_any_shape():
    found = labels_of(np.array([[10.0, np.nan], [-2.0, 9.0]]), "Y")
    assert found.names().tolist() == [["10", None], ["-2", "9"]] and found.codes.tolist() == [[2, -1], [0, 1]]
    assert categorical(np.array([[3, 1], [2, 9]]), [1, 3, 2], ["x", "y", "x"]).codes.tolist() == [[1, 0], [0, -1]]
    assert categorical(np.zeros((0, 4), int)).shape == (0, 4)
