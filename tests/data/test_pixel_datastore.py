"""pixelLabelDatastore and pixelLabelImageDatastore."""

from __future__ import annotations

import numpy as np
import pytest
from data.folders import noise, save
from PIL import Image

from mlnet import (
    DataError,
    OptionError,
    categorical,
    categories,
    countEachLabel,
    imageDataAugmenter,
    imageDatastore,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
    read,
    readall,
    readimage,
    shuffle,
    subset,
)

NAMES = ["sky", "road", "car"]
CODES = [np.random.default_rng(number).integers(-1, 3, (6, 5)) for number in range(4)]


def written(folder, values=(10, 20, 30), other=99):
    table = np.array([*values, other], np.uint8)
    for number, codes in enumerate(CODES):
        save(folder / "labels" / f"{number}.png", table[codes])
        save(folder / "images" / f"{number}.png", noise(number))
    return str(folder / "images"), str(folder / "labels")


def pair(folder, **options):
    images, labels = written(folder)
    return pixelLabelImageDatastore(imageDatastore(images), pixelLabelDatastore(labels, NAMES, [10, 20, 30]), **options)


def test_numbers(tmp_path):
    _, labels = written(tmp_path)
    pxds = pixelLabelDatastore(labels, NAMES, [10, 20, 30])
    (first,) = read(pxds)
    assert categories(first) == pxds.ClassNames == pxds.classes() == NAMES
    for number, codes in enumerate(CODES):
        np.testing.assert_array_equal(readimage(pxds, number + 1).codes, codes)
    assert len(readall(pxds)) == len(pxds) == 4
    np.testing.assert_array_equal(subset(pxds, [3]).read()[0].codes, CODES[2])
    together = pixelLabelDatastore(labels, ["sky", "rest"], [[10], [20, 30]])
    np.testing.assert_array_equal(together.readimage(1).codes, np.minimum(CODES[0], 1))
    shuffled = pixelLabelDatastore(labels, NAMES[::-1], np.array([30, 20, 10]))
    assert np.all(shuffled.readimage(1).names() == readimage(pxds, 1).names())


def test_three_columns_of_numbers_are_no_colours(tmp_path):
    save(tmp_path / "a.png", np.array([[1, 2, 3], [3, 2, 1]], np.uint8))
    pxds = pixelLabelDatastore(str(tmp_path), NAMES, [1, 2, 3])
    np.testing.assert_array_equal(pxds.readimage(1).codes, [[0, 1, 2], [2, 1, 0]])
    save(tmp_path / "a.png", np.dstack([np.array([[1, 2, 3]], np.uint8)] * 3))
    np.testing.assert_array_equal(pxds.readimage(1).codes, [[0, 1, 2]], "grey saved as RGB")


def test_colours_and_palettes(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255], [1, 2, 3]], np.uint8)
    save(tmp_path / "a.png", colours[CODES[0]])
    pxds = pixelLabelDatastore(str(tmp_path), NAMES, colours[:3])
    np.testing.assert_array_equal(pxds.readimage(1).codes, CODES[0])
    np.testing.assert_array_equal(
        pixelLabelDatastore(str(tmp_path), NAMES, colours[:3].tolist()).readimage(1).codes, CODES[0]
    )
    several = pixelLabelDatastore(str(tmp_path), ["sky", "rest"], [colours[:1], colours[1:3]])
    np.testing.assert_array_equal(several.readimage(1).codes, np.minimum(CODES[0], 1))
    with pytest.raises(DataError, match=r"a.png: needs an image of numbers \(H, W\), .* shape \(6, 5, 3\)"):
        pixelLabelDatastore(str(tmp_path), NAMES, [1, 2, 3]).read()
    image = Image.new("P", (2, 1))
    image.putdata([2, 1])
    image.putpalette([9, 9, 9] * 3)
    image.save(tmp_path / "palette.png")
    indexed = pixelLabelDatastore(str(tmp_path / "palette.png"), NAMES, [0, 1, 2])
    np.testing.assert_array_equal(indexed.readimage(1).codes, [[2, 1]], "numbers into the palette")
    with pytest.raises(DataError, match=r"palette.png: needs an image of colours"):
        pixelLabelDatastore(str(tmp_path / "palette.png"), NAMES, colours[:3]).read()


def test_a_read_function(tmp_path):
    images, _ = written(tmp_path)
    pxds = pixelLabelDatastore(
        images, ["dark", "bright"], [0, 1], ReadFcn=lambda name: np.asarray(Image.open(name)) > 128
    )
    np.testing.assert_array_equal(pxds.readimage(2).codes, noise(1) > 128)
    named = pixelLabelDatastore(images, ["b", "a"], [0, 1], ReadFcn=lambda name: categorical([["a", "b", "c"]]))
    np.testing.assert_array_equal(named.readimage(1).codes, [[1, 0, -1]])


def test_counts_of_pixels(tmp_path):
    _, labels = written(tmp_path)
    table = countEachLabel(pixelLabelDatastore(labels, [*NAMES, "none"], [10, 20, 30, 40]))
    all_codes = np.stack(CODES)
    assert table.Name == [*NAMES, "none"]
    assert table.PixelCount.tolist() == [int((all_codes == code).sum()) for code in range(4)]
    assert table.ImagePixelCount.tolist() == [120, 120, 120, 0]
    np.testing.assert_array_equal(countEachLabel(pair(tmp_path)).PixelCount, table.PixelCount[:3])
    frequency = table.PixelCount[:3] / table.ImagePixelCount[:3]
    assert (np.median(frequency) / frequency).shape == (3,), "class weights, as MATLAB scripts compute them"


def test_images_with_labels(tmp_path):
    ds = pair(tmp_path)
    ds.MiniBatchSize = 3
    table = read(ds)
    assert table.columns == ["inputImage", "pixelLabelImage"] and len(table) == 3 and ds.NumObservations == 4
    np.testing.assert_array_equal(table.inputImage[2], noise(2))
    np.testing.assert_array_equal(table.pixelLabelImage[2].codes, CODES[2])
    assert ds.classes() == NAMES and ds.Images[0].endswith("images/0.png")
    mixed = shuffle(ds)
    for number, name in enumerate(mixed.Images):
        which = int(name.split("/")[-1][0])
        np.testing.assert_array_equal(mixed.rows([number])[0][0], noise(which))
        np.testing.assert_array_equal(mixed.rows([number])[0][1].codes, CODES[which])


@pytest.mark.parametrize("mode", ["resize", "centercrop", "randcrop"])
def test_changes_are_the_same_for_labels(tmp_path, mode):
    _, labels = written(tmp_path, (0, 1, 2), 3)
    same = imageDatastore(labels)  # the labels as images: after the same moves they must be the same
    moves = iter(range(-100, 100))
    whole = imageDataAugmenter(
        RandXReflection=True, RandRotation=lambda: 180, RandXTranslation=lambda: next(moves) % 3, FillValue=3
    )
    options = {"OutputSize": [6, 5] if mode == "resize" else [4, 3], "OutputSizeMode": mode, "DataAugmentation": whole}
    ds = pixelLabelImageDatastore(same, pixelLabelDatastore(labels, NAMES, [0, 1, 2]), **options)
    seen = set()
    for seed in range(6):
        for image, label in ds.rows(range(4), np.random.default_rng(seed)):
            np.testing.assert_array_equal(np.where(image == 3, -1, image.astype(int)), label.codes)
            seen.add(image.tobytes())
    assert len(seen) > 6


def test_what_is_wrong_is_named(tmp_path):
    images, labels = written(tmp_path)
    pxds = pixelLabelDatastore(labels, NAMES, [10, 20, 30])
    with pytest.raises(OptionError, match="needs as many images of labels as images, but got 4 and 2"):
        pixelLabelImageDatastore(subset(imageDatastore(images), [1, 2]), pxds)
    save(tmp_path / "images" / "1.png", noise(0, (3, 5)))
    with pytest.raises(
        DataError, match=r"images/1.png: needs labels of the size of the image, 3x5, .*labels/1.png has 6x5"
    ):
        read(pixelLabelImageDatastore(imageDatastore(images), pxds))
    with pytest.raises(OptionError, match="needs one PixelLabelID for each of 3 classes, not 2"):
        pixelLabelDatastore(labels, NAMES, [1, 2])
    with pytest.raises(OptionError, match="needs different values for the classes"):
        pixelLabelDatastore(labels, NAMES, [1, 2, 2])
    with pytest.raises(OptionError, match="needs numbers or colours, but got both"):
        pixelLabelDatastore(labels, ["a", "b"], [np.array([1]), np.array([[1, 2, 3]])])
    with pytest.raises(OptionError, match="ClassNames: needs a list of different names"):
        pixelLabelDatastore(labels, ["a", "a", "b"], [1, 2, 3])
    with pytest.raises(OptionError, match="PixelLabelID: needs one number or colour"):
        pixelLabelDatastore(labels, NAMES, [0.5, 1, 2])
    with pytest.raises(OptionError, match="pxds: needs a pixelLabelDatastore"):
        pixelLabelImageDatastore(imageDatastore(images), imageDatastore(labels))
    with pytest.raises(DataError, match="cannot|no image"):
        (tmp_path / "labels" / "0.png").write_bytes(b"x")
        read(pxds)
