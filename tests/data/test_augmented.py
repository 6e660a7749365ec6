"""augmentedImageDatastore: sizes, colours, random changes, and where images come from."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from data.folders import classes, noise, save

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    augmentedImageDatastore,
    categorical,
    categories,
    hasdata,
    imageDataAugmenter,
    imageDatastore,
    read,
    readall,
    readByIndex,
    rng,
    shuffle,
    subset,
)
from mlnet.table import DataTable

X = np.random.default_rng(0).integers(0, 255, (6, 5, 1, 10)).astype(np.uint8)
Y = categorical(list("abababcaba"))
MOVES = imageDataAugmenter(RandXTranslation=[-4, 4], RandYTranslation=[-4, 4])


def test_from_files(tmp_path):
    images = classes(tmp_path)
    imds = imageDatastore(str(tmp_path), IncludeSubfolders=True, LabelSource="foldernames")
    auimds = augmentedImageDatastore([6, 5], imds)
    assert auimds.NumObservations == len(auimds) == 7 and auimds.Files == imds.Files
    auimds.MiniBatchSize = 4
    table, info = read(auimds, nargout=2)
    assert table.columns == ["input", "response"] and len(table) == 4 and info.Filename == imds.Files[:4]
    assert isinstance(table.response, categorical) and categories(table.response) == ["cat", "dog"]
    for found, image in zip(table.input, images.values(), strict=False):
        np.testing.assert_array_equal(found, image)
    assert len(read(auimds)) == 3 and not hasdata(auimds)
    assert readByIndex(auimds, [7, 1]).response.names().tolist() == ["dog", "cat"]
    assert len(readall(auimds)) == 7
    assert subset(auimds, [6]).Files == imds.Files[5:6] and sorted(shuffle(auimds).Files) == imds.Files
    unlabelled = augmentedImageDatastore([6, 5], imageDatastore(imds.Files))
    assert unlabelled.read().columns == ["input"]


def test_from_arrays_and_tables(tmp_path):
    labelled = augmentedImageDatastore([6, 5], X, Y)
    assert labelled.classes() == ["a", "b", "c"] and labelled.read().response.names().tolist() == list("abababcaba")
    np.testing.assert_array_equal(labelled.read_rows([3])[0][0], X[..., 3])
    assert augmentedImageDatastore([6, 5], X).read().columns == ["input"]
    assert augmentedImageDatastore([6, 5], X, list("abababcaba")).classes() == ["a", "b", "c"]
    numbers = augmentedImageDatastore([6, 5], X, np.arange(20.0).reshape(10, 2))
    np.testing.assert_array_equal(numbers.rows([4])[0][1], [[8, 9]])
    np.testing.assert_array_equal(augmentedImageDatastore([6, 5], X, X).rows([4])[0][1], X[..., 4])
    files = list(classes(tmp_path))
    frame = pandas.DataFrame(
        {"file": files, "kind": pandas.Categorical(["x", "y"] * 3 + ["x"], ["y", "x"]), "n": range(7)}
    )
    from_frame = augmentedImageDatastore([6, 5], frame, "kind")
    assert from_frame.classes() == ["y", "x"] and from_frame.Files == files
    np.testing.assert_array_equal(augmentedImageDatastore([6, 5], frame, ["n"]).rows([5])[0][1], [5])
    two = DataTable(file=files, a=list(range(7)), b=[0.5] * 7)
    np.testing.assert_array_equal(augmentedImageDatastore([6, 5], two).rows([5])[0][1], [[5, 0.5]])
    in_table = DataTable(image=[X[..., number] for number in range(10)], kind=list("abababcaba"))
    np.testing.assert_array_equal(augmentedImageDatastore([6, 5], in_table).rows([9])[0][0], X[..., 9])


@pytest.mark.parametrize("mode", ["resize", "centercrop", "randcrop"])
def test_sizes(mode):
    auimds = augmentedImageDatastore([4, 2], X, Y, OutputSizeMode=mode)
    found = auimds.rows(range(10), np.random.default_rng(0))
    assert all(row[0].shape == (4, 2, 1) for row in found)
    if mode == "centercrop":
        np.testing.assert_array_equal(found[3][0], X[1:5, 1:3, :, 3])
    if mode == "randcrop":
        corners = set()
        for trial in range(30):
            image = auimds.rows([3], np.random.default_rng(trial))[0][0]
            (corner,) = [
                (i, j) for i in range(3) for j in range(4) if np.array_equal(image, X[i : i + 4, j : j + 2, :, 3])
            ]
            corners.add(corner)
        assert len(corners) > 8, "of 12"


def test_colours():
    gray, rgb = noise(1, (4, 3)), noise(2, (4, 3, 3))
    both = DataTable(image=[gray, rgb, gray[..., np.newaxis]])
    to_rgb = [row[0] for row in augmentedImageDatastore([4, 3, 3], both, ColorPreprocessing="gray2rgb").rows(range(3))]
    np.testing.assert_array_equal(to_rgb[0], np.dstack([gray] * 3))
    np.testing.assert_array_equal(to_rgb[1], rgb)
    np.testing.assert_array_equal(to_rgb[2], to_rgb[0])
    to_gray = [row[0] for row in augmentedImageDatastore([4, 3, 1], both, ColorPreprocessing="rgb2gray").rows(range(3))]
    np.testing.assert_array_equal(to_gray[0], gray)
    luminance = 0.2989 * rgb[..., 0] + 0.5870 * rgb[..., 1] + 0.1140 * rgb[..., 2]
    assert to_gray[1].dtype == np.uint8 and abs(to_gray[1] - luminance).max() <= 0.5
    with pytest.raises(DataError, match="observation 1: needs an image of 3 channels, but got 1. .*'gray2rgb'"):
        augmentedImageDatastore([4, 3, 3], both).rows([0])


def test_random_changes_are_repeatable_and_independent_of_the_batches():
    auimds = augmentedImageDatastore([6, 5], X, Y, DataAugmentation=MOVES)
    first = [row[0] for row in auimds.rows(range(10), np.random.default_rng(0))]
    again = [row[0] for row in auimds.rows(range(10), np.random.default_rng(0))]
    other = [row[0] for row in auimds.rows(range(10), np.random.default_rng(1))]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other) and len({image.tobytes() for image in first}) > 7
    still = auimds.rows([2, 7])
    np.testing.assert_array_equal(auimds.rows([7])[0][0], still[1][0])  # without a generator: always the same
    rng(5)
    read_first = np.array(read(auimds).input)
    read_second = np.array(read(auimds.reset()).input)
    rng(5)
    np.testing.assert_array_equal(read(auimds.reset()).input, read_first)
    assert not np.array_equal(read_first, read_second)


def test_changes_come_before_the_size():
    turned = augmentedImageDatastore(
        [3, 2], X, OutputSizeMode="centercrop", DataAugmentation=imageDataAugmenter(RandXTranslation=[1, 1])
    )
    np.testing.assert_array_equal(turned.rows([0])[0][0], X[1:4, 0:2, :, 0])


def test_what_is_wrong_is_named(tmp_path):
    file = save(tmp_path / "small.png", noise(0))
    imds = imageDatastore(file)
    with pytest.raises(DataError, match="small.png: needs an image of at least 8x8 to be cut, but got 6x5"):
        read(augmentedImageDatastore([8, 8], imds, OutputSizeMode="centercrop"))
    with pytest.raises(OptionError, match="responses with an array or a table only, but got \\['a'\\]"):
        augmentedImageDatastore([8, 8], imds, ["a"])
    with pytest.raises(UnknownNameError, match="Did you mean 'DataAugmentation'"):
        augmentedImageDatastore([8, 8], imds, "DataAugmentatoin", MOVES)
    with pytest.raises(UnknownNameError, match="Did you mean 'DataAugmentation'"):
        augmentedImageDatastore([8, 8], imds, DataAugmentatoin=MOVES)
    with pytest.raises(OptionError, match="responses: needs one for each of 10 images, but got shape \\(3,\\)"):
        augmentedImageDatastore([8, 8], X, [1, 2, 3])
    with pytest.raises(UnknownNameError, match="no column 'kid'. Did you mean 'kind'"):
        augmentedImageDatastore([8, 8], DataTable(file=[file], kind=["a"]), "kid")
    with pytest.raises(DataError, match="needs files or images in the first column of the table, 'n'"):
        augmentedImageDatastore([8, 8], DataTable(n=[1, 2]))
    with pytest.raises(DataError, match="several columns of responses"):
        augmentedImageDatastore([8, 8], DataTable(file=[file], n=[1], kind=["a"]))
    with pytest.raises(OptionError, match="DataAugmentation: needs .*imageDataAugmenter"):
        augmentedImageDatastore([8, 8], X, DataAugmentation="all")
    with pytest.raises(OptionError, match="OutputSize: needs height and width"):
        augmentedImageDatastore(8, X)
    with pytest.raises(OptionError, match="source: needs a datastore of images"):
        augmentedImageDatastore([8, 8], np.zeros((8, 8)))
    with pytest.raises(OptionError, match="readByIndex: needs an augmentedImageDatastore"):
        readByIndex(imds, 1)
