"""imageDataAugmenter, augment and the geometry behind them, against plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from data.folders import noise

from mlnet import DataError, OptionError, UnknownNameError, augment, categorical, imageDataAugmenter, rng
from mlnet.data.images.geometry import affine, resized, resized_codes, warped, warped_codes

IMAGE = noise(1, (7, 9))
PLAIN = {"x_reflection": False, "y_reflection": False, "rotation": 0, "x_scale": 1, "y_scale": 1}
PLAIN |= {"x_shear": 0, "y_shear": 0, "x_translation": 0, "y_translation": 0}


def change(image=IMAGE, fill=0, **changes):
    return warped(image, affine(**{**PLAIN, **changes}), np.array([float(fill)]))


def by_formula(image, point_of, fill=0.0):
    """Bilinear resampling, pixel by pixel: ``point_of`` takes a point of the result (x, y from the centre) back."""
    height, width = image.shape
    result = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            x, y = point_of(column - (width - 1) / 2, row - (height - 1) / 2)
            x, y = round(x + (width - 1) / 2, 9), round(y + (height - 1) / 2, 9)
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                result[row, column] = fill
                continue
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            u, v = x - left, y - top
            box = image[top : top + 2, left : left + 2].astype(float)
            result[row, column] = np.array([1 - v, v]) @ box @ np.array([1 - u, u])
    return result


def test_exact_changes():
    np.testing.assert_array_equal(change(x_reflection=True), IMAGE[:, ::-1])
    np.testing.assert_array_equal(change(y_reflection=True), IMAGE[::-1])
    np.testing.assert_array_equal(change(rotation=180), IMAGE[::-1, ::-1])
    square = noise(2, (6, 6))
    np.testing.assert_array_equal(change(square, rotation=90), np.rot90(square, -1))  # clockwise
    moved = np.full_like(IMAGE, 9)
    moved[2:, :-3] = IMAGE[:-2, 3:]
    np.testing.assert_array_equal(change(fill=9, x_translation=-3, y_translation=2), moved)
    np.testing.assert_array_equal(change(), IMAGE)


@pytest.mark.parametrize("angle", [13.0, -40.0])
def test_rotation_scale_shear_by_formula(angle):
    image = IMAGE.astype(np.float64)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = by_formula(image, lambda x, y: (c * x + s * y, -s * x + c * y), 5.0)
    np.testing.assert_allclose(change(image, 5, rotation=angle), turned, atol=1e-6)
    np.testing.assert_allclose(
        change(image, 5, x_scale=1.5, y_scale=0.8), by_formula(image, lambda x, y: (x / 1.5, y / 0.8), 5.0), atol=1e-6
    )
    t = math.tan(math.radians(angle))
    np.testing.assert_allclose(change(image, 5, x_shear=angle), by_formula(image, lambda x, y: (x - t * y, y), 5.0))
    np.testing.assert_allclose(change(image, 5, y_shear=angle), by_formula(image, lambda x, y: (x, y - t * x), 5.0))


def test_order_of_changes():
    image = IMAGE.astype(np.float64)

    def back(x, y):  # translation, rotation, shear y, shear x, scale, reflection, undone in this order
        x, y = x - 1.25, y + 0.5
        c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
        x, y = c * x + s * y, -s * x + c * y
        y -= math.tan(math.radians(-8)) * x
        x -= math.tan(math.radians(15)) * y
        return -x / 1.2, y / 0.9

    options = {"rotation": 20, "x_shear": 15, "y_shear": -8, "x_scale": 1.2, "y_scale": 0.9, "x_reflection": True}
    found = change(image, x_translation=1.25, y_translation=-0.5, **options)
    np.testing.assert_allclose(found, by_formula(image, back), atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool, np.int64])
def test_types_stay_and_are_rounded(kind):
    image = IMAGE > 128 if kind is bool else IMAGE.astype(kind)
    before = image.copy()
    found = change(image, rotation=30, fill=1)
    expected = change(image.astype(float), rotation=30, fill=1)
    assert found.dtype == kind and found.shape == image.shape
    if kind is bool:
        np.testing.assert_array_equal(found, expected >= 0.5)
    else:
        np.testing.assert_allclose(found.astype(float), expected, atol=0.5 if np.dtype(kind).kind in "iu" else 1e-4)
    np.testing.assert_array_equal(image, before)
    strided = np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2]
    np.testing.assert_array_equal(change(strided, rotation=30, fill=1), found)


def test_colours_and_fill_values():
    rgb = noise(4, (6, 8, 3))
    move = imageDataAugmenter(RandXTranslation=[3, 3], FillValue=[10, 20, 30])
    found = augment(move, rgb)
    np.testing.assert_array_equal(found[:, 3:], rgb[:, :-3])
    assert (found[:, :3] == [10, 20, 30]).all()
    assert (augment(move, rgb[..., 0])[:, :3] == 10).all(), "one channel takes the first"
    assert (augment(imageDataAugmenter(RandXTranslation=[3, 3], FillValue=300), rgb)[:, :3] == 255).all()
    turned = change(rgb, rotation=25)
    for channel in range(3):
        np.testing.assert_array_equal(turned[..., channel], change(rgb[..., channel], rotation=25))


def test_labels_are_not_mixed():
    labels = categorical(np.where(IMAGE > 128, "b", "a"))
    found = augment(imageDataAugmenter(RandXTranslation=[2, 2]), labels)
    np.testing.assert_array_equal(found.codes[:, 2:], labels.codes[:, :-2])
    assert (found.codes[:, :2] == -1).all()
    codes = np.arange(63).reshape(7, 9) * 100
    turned = warped_codes(codes, affine(**{**PLAIN, "rotation": 31, "x_scale": 1.3}))
    assert set(np.unique(turned)) <= {-1, *codes.ravel()} and (turned == -1).any()


def test_numbers_are_drawn_from_the_ranges():
    rng(4)
    generator = np.random.default_rng(0)
    augmenter = imageDataAugmenter(
        RandXReflection=True, RandXScale=[0.5, 2], RandYScale=[1, 1], RandXTranslation=[-3, 5], RandYTranslation=[2, 2]
    )
    drawn = [augmenter.draw(generator) for _ in range(400)]
    scales = np.array([each.a[0][0] for each in drawn])
    moves = np.array([each.b for each in drawn])
    assert 0.4 < (scales < 0).mean() < 0.6
    assert 0.5 <= abs(scales).min() < 0.55 and 1.95 < abs(scales).max() <= 2
    assert abs(abs(scales).mean() - 1.25) < 0.06
    assert (moves[:, 1] == 2).all() and -3 <= moves[:, 0].min() < -2.8 and 4.8 < moves[:, 0].max() <= 5
    assert all(each.a[1] == (0, 1) for each in drawn)
    both = [imageDataAugmenter(RandScale=[0.5, 2], RandXScale=[3, 4]).draw(generator).a for _ in range(20)]
    assert all(a[0][0] == a[1][1] <= 2 for a in both), "RandScale is for both directions"
    one = imageDataAugmenter(RandXTranslation=[-9, 9]).draw(np.random.default_rng(1)).b
    two = imageDataAugmenter(RandXTranslation=[-9, 9], RandRotation=[0, 9]).draw(np.random.default_rng(1)).b
    assert one == two, "an option changes nothing of others"


def test_the_same_after_rng():
    augmenter = imageDataAugmenter(RandRotation=[-90, 90], RandXReflection=1)
    rng(3)
    first, second = augment(augmenter, [IMAGE, IMAGE])
    assert not np.array_equal(first, second)
    rng(3)
    np.testing.assert_array_equal(augment(augmenter, IMAGE), first)


def test_functions_as_ranges():
    augmenter = imageDataAugmenter(RandXTranslation=lambda: 2, RandScale=lambda: 1)
    np.testing.assert_array_equal(augment(augmenter, IMAGE)[:, 2:], IMAGE[:, :-2])
    with pytest.raises(DataError, match="RandScale: the function returned 0, which is out of range"):
        augment(imageDataAugmenter(RandScale=lambda: 0), IMAGE)
    with pytest.raises(DataError, match="RandXShear: the function returned 90"):
        augment(imageDataAugmenter(RandXShear=lambda: 90), IMAGE)
    with pytest.raises(DataError, match="RandRotation: the function needs to return a number"):
        augment(imageDataAugmenter(RandRotation=lambda: "x"), IMAGE)


@pytest.mark.parametrize("option", imageDataAugmenter.constructs.table.options.values(), ids=lambda o: o.name)
def test_bad_values_raise_and_change_nothing(option):
    augmenter = imageDataAugmenter()
    for bad in option.rule.bad:
        with pytest.raises(OptionError, match=f"^imageDataAugmenter: {option.name}: needs"):
            imageDataAugmenter(**{option.name: bad})
        with pytest.raises(OptionError, match=f"^imageDataAugmenter: {option.name}: needs"):
            setattr(augmenter, option.name, bad)
    assert repr(augmenter) == repr(imageDataAugmenter())


def test_what_is_wrong_is_named():
    with pytest.raises(OptionError, match="augment: needs an imageDataAugmenter"):
        augment("no", IMAGE)
    with pytest.raises(OptionError, match="augment: needs an image"):
        augment(imageDataAugmenter(), np.zeros(3))
    with pytest.raises(UnknownNameError, match="Did you mean 'RandRotation'"):
        imageDataAugmenter(RandRotatin=[0, 1])


def test_resizing():
    ramp = np.outer(np.ones(3), np.arange(4.0))
    np.testing.assert_allclose(resized(ramp, (3, 8))[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-12)
    constant = np.full((5, 7, 3), 200, np.uint8)
    for size in ((2, 3), (11, 4), (1, 1)):
        found = resized(constant, size)
        assert found.shape == (*size, 3) and found.dtype == np.uint8 and (found == 200).all()
    checks = np.indices((16, 16)).sum(0) % 2 * 100.0
    assert abs(resized(checks, (4, 4)) - 50).max() < 7, "shrinking averages"
    np.testing.assert_array_equal(resized(IMAGE, (7, 9)), IMAGE)
    # widths of the triangle in the middle of 6 pixels that become 3: 1/8, 3/8, 3/8, 1/8
    np.testing.assert_allclose(resized(np.eye(6), (6, 3))[:, 1], [0, 0.125, 0.375, 0.375, 0.125, 0], atol=1e-12)
    assert resized(IMAGE > 128, (3, 3)).dtype == bool
    big = np.array([[2**31, 2**31]], np.uint32)
    assert (resized(big, (2, 5)) == 2**31).all()
    codes = np.array([[0, 1], [2, 3]])
    np.testing.assert_array_equal(resized_codes(codes, (4, 4)), np.kron(codes, np.ones((2, 2), int)))
    np.testing.assert_array_equal(resized_codes(np.arange(6).reshape(1, 6), (1, 3)), [[1, 3, 5]])
