"""The built-in digits: their form, that they are the same everywhere, and that they are a fair task."""

import math
import tracemalloc
import zlib

import numpy as np
import pytest

from mlnet import categories, digitTest4DArrayData, digitTrain4DArrayData
from mlnet.data import digits


@pytest.fixture(scope="module")
def train_digits():
    return digits.draw_digits(digits.TRAIN_SEED, 500)


@pytest.fixture(scope="module")
def unseen_digits():
    return digits.draw_digits(digits.TEST_SEED, 500)


@pytest.mark.parametrize(
    ("public", "drawn"),
    [(digitTrain4DArrayData, "train_digits"), (digitTest4DArrayData, "unseen_digits")],
    ids=["train", "test"],
)
def test_public_form(public, drawn, request):
    images, labels, drawn_angles = request.getfixturevalue(drawn)
    X, y, angles = public()
    assert X.shape == (28, 28, 1, 5000) and X.dtype == np.float64
    assert X.min() == 0.0 and X.max() == 1.0
    assert X.transpose(3, 0, 1, 2).flags.c_contiguous
    # Written without the transposition of the code: pixel (row 9, column 13) of image 41.
    assert X[9, 13, 0, 41] == images[41, 9, 13, 0] / 255
    np.testing.assert_array_equal(X[:, :, 0, 4999] * 255, images[4999, :, :, 0])
    assert categories(y) == list("0123456789")
    assert (y == 3).sum() == 500
    for digit in range(10):
        np.testing.assert_array_equal(y == digit, labels == digit)
    assert angles.shape == (5000,) and angles.dtype == np.float64
    np.testing.assert_array_equal(angles, drawn_angles)


@pytest.mark.parametrize(
    ("drawn", "images_sum", "labels_sum", "angles_sum"),
    [("train_digits", 2727252098, 1599232490, 405598856), ("unseen_digits", 2789242079, 826660020, 3094109551)],
)
def test_same_bits_everywhere(drawn, images_sum, labels_sum, angles_sum, request):
    images, labels, angles = request.getfixturevalue(drawn)
    assert zlib.crc32(labels.astype(np.uint8).tobytes()) == labels_sum
    assert zlib.crc32(angles.astype(np.int8).tobytes()) == angles_sum
    assert zlib.crc32(images.tobytes()) == images_sum


def test_a_second_call_draws_the_same_and_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    first, second = digits.draw_digits(3, 5), digits.draw_digits(3, 5)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert (digits.draw_digits(4, 5)[0] != first[0]).any()


def test_no_image_occurs_twice(train_digits, unseen_digits):
    both = {image.tobytes() for images in (train_digits[0], unseen_digits[0]) for image in images}
    assert len(both) == 10_000


def test_classes_are_mixed(train_digits, unseen_digits):
    for _, labels, _ in (train_digits, unseen_digits):
        np.testing.assert_array_equal(np.bincount(labels), [500] * 10)
        in_batches = np.array([np.bincount(batch, minlength=10) for batch in labels.reshape(-1, 250)])
        assert in_batches.min() > 5 and in_batches.max() < 50  # 25 each on average


def test_a_number_of_images_that_is_no_multiple_of_the_block():
    images, labels, angles = digits.draw_digits(5, 27)
    assert images.shape == (270, 28, 28, 1) and labels.shape == angles.shape == (270,)
    assert images.max(axis=(1, 2, 3)).min() > 100


def test_angles_are_whole_degrees_and_evenly_spread(train_digits):
    angles = train_digits[2]
    np.testing.assert_array_equal(angles, np.rint(angles))
    assert (angles.min(), angles.max()) == (-45, 45)
    counts = np.bincount((angles + 45).astype(int))
    assert counts.min() > 25 and counts.max() < 90  # 5000 / 91 = 55 each


def test_positive_angles_turn_clockwise(train_digits):
    images, labels, angles = train_digits
    ones = images[labels == 1, :, :, 0] / 255.0
    rows, columns = np.mgrid[:28, :28]
    weights = ones / ones.sum(axis=(1, 2), keepdims=True)
    right = columns - (weights * columns).sum(axis=(1, 2), keepdims=True)
    up = (weights * rows).sum(axis=(1, 2), keepdims=True) - rows
    # The main axis of the ink, measured from upright to the right.
    axis = 0.5 * np.arctan2(
        2 * (weights * right * up).sum(axis=(1, 2)), (weights * (up * up - right * right)).sum(axis=(1, 2))
    )
    error = np.degrees(axis) - angles[labels == 1]
    assert abs(np.median(error)) < 10  # handwriting leans a little to the right
    assert np.corrcoef(np.degrees(axis), angles[labels == 1])[0, 1] > 0.9


def test_sine_and_cosine():
    degrees = np.arange(-45.0, 46.0)
    sine, cosine = digits._sine_and_cosine(degrees)
    np.testing.assert_allclose(sine, [math.sin(math.radians(a)) for a in degrees], rtol=0, atol=3e-9)
    np.testing.assert_allclose(cosine, [math.cos(math.radians(a)) for a in degrees], rtol=0, atol=3e-9)


def test_digits_are_white_on_black_and_inside_the_image(train_digits, unseen_digits):
    for images, _, _ in (train_digits, unseen_digits):
        share = (images > 127).mean(axis=(1, 2, 3))
        assert share.min() > 0.01 and share.max() < 0.4
        assert images.max(axis=(1, 2, 3)).min() > 100
        border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
        assert (border > 250).any(axis=(1, 2)).mean() < 0.02


def test_every_variant_is_drawn_where_its_strokes_are():
    shapes = digits._pen_shapes()
    np.testing.assert_array_equal(shapes.weights.sum(axis=2), np.ones(shapes.weights.shape[:2]))
    assert (np.diff(shapes.first_variant) >= 4).all()
    assert shapes.first_variant[-1] == len(shapes.controls)
    picked = np.take_along_axis(shapes.controls[:, :, None], shapes.indices.reshape(len(shapes.controls), -1, 1, 1), 1)
    points = (picked.reshape(*shapes.indices.shape, 2) * shapes.weights[..., None]).sum(axis=2)
    # A plain stroke from e0 to e12: x = 0, y from -1 to 1 in even steps.
    straight = points[shapes.first_variant[1]]
    np.testing.assert_array_equal(straight[:, 0], 0.0)
    np.testing.assert_allclose(straight[:, 1], np.linspace(-1, 1, digits.POINTS_PER_DIGIT), rtol=0, atol=0.07)
    # The angular 7, A0 I0 e6 c12: its corner is exactly on the way of the pen or next to it.
    assert np.abs(points[shapes.first_variant[7]] - [4 / 6, -1.0]).sum(axis=1).min() < 0.05


def test_ink_of_a_round_pen():
    # A pen of radius 2 at column 10, row 20 on the paper, and at column 20, row 5 at the height sqrt(3).
    x, y = np.array([[10.0, 20.0]]), np.array([[20.0, 5.0]])
    image = digits._ink(x, y, np.array([2.0]), np.array([3.0]))[0]
    assert [image[20, 10 + across] for across in range(4)] == [255, 255, 128, 0]
    assert image[21, 12] == image[18, 9] == round((2.5 - math.sqrt(5)) * 255)
    assert image[5, 20] == round((2.5 - math.sqrt(3)) * 255)
    assert image[5, 21] == image[4, 20] == 128  # distance 1, height sqrt(3): 2 in all
    assert image[5, 22] == 0


def test_little_memory_besides_the_result():
    tracemalloc.start()
    try:
        digits.draw_digits(digits.TRAIN_SEED, 500)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6  # 4 MB of images and the work on one block


def test_nothing_is_drawn_at_import():
    assert not [name for name, value in vars(digits).items() if isinstance(value, np.ndarray)]


def test_the_task_is_fair_but_not_linear(train_digits, unseen_digits):
    """Least squares on the pixels is far from perfect, nearest neighbours show that the labels can be learnt."""
    x, x_test = (
        np.c_[images.reshape(5000, -1) / 255.0, np.ones(5000)] for images in (train_digits[0], unseen_digits[0])
    )
    one_hot = np.eye(10)[train_digits[1]]
    linear = np.linalg.solve(x.T @ x + 10.0 * np.eye(785), x.T @ one_hot)
    assert 0.70 < np.mean((x_test @ linear).argmax(axis=1) == unseen_digits[1]) < 0.92
    few = x_test[:1000]
    distances = (x * x).sum(axis=1) - 2.0 * few @ x.T
    assert np.mean(train_digits[1][distances.argmin(axis=1)] == unseen_digits[1][:1000]) > 0.90
