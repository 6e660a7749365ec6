"""arrayDatastore, combine, transform, and the parts of datastores."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from data.folders import classes

from mlnet import (
    DataError,
    OptionError,
    arrayDatastore,
    augmentedImageDatastore,
    categorical,
    categories,
    combine,
    hasdata,
    imageDatastore,
    onehotencode,
    preview,
    read,
    readall,
    rng,
    shuffle,
    subset,
    transform,
)
from mlnet.data.datastores.datastore import Datastore
from mlnet.table import DataTable

A = np.arange(24.0).reshape(4, 6)


def test_arrays_by_dimension():
    ds = arrayDatastore(A)
    assert len(ds) == 4
    (row,) = read(ds)
    np.testing.assert_array_equal(row, A[:1])
    (column,) = arrayDatastore(A, IterationDimension=2).readall()[3:4]
    np.testing.assert_array_equal(column, A[:, 3:4])
    images = np.arange(120).reshape(2, 3, 4, 5)
    (image,) = read(arrayDatastore(images, IterationDimension=4))
    np.testing.assert_array_equal(image, images[..., 0])
    (page,) = read(arrayDatastore(images, IterationDimension=2))
    assert page.shape == (2, 1, 4, 5)
    assert read(arrayDatastore([3, 4])) == [3]
    several = arrayDatastore(A, ReadSize=3)
    assert [part.shape for part in read(several)] == [(1, 6)] * 3 and len(read(several)) == 1


def test_output_type_same():
    same = arrayDatastore(A, OutputType="same", ReadSize=3)
    np.testing.assert_array_equal(read(same), A[:3])
    np.testing.assert_array_equal(read(same), A[3:])
    images = np.arange(120).reshape(2, 3, 4, 5)
    stacked = arrayDatastore(images, IterationDimension=4, OutputType="same", ReadSize=2)
    np.testing.assert_array_equal(read(stacked), images[..., :2])
    labels = categorical(["a", "b", "a"], ["b", "a", "c"])
    found = arrayDatastore(labels, OutputType="same").readall()
    assert found.names().tolist() == ["a", "b", "a"] and categories(found) == ["b", "a", "c"]
    x = [np.zeros((2, 3)), np.ones((2, 4))]
    assert read(arrayDatastore(x, OutputType="same"))[0] is x[0] is read(arrayDatastore(x))[0]


def test_tables():
    frame = pandas.DataFrame({"x": [1.5, 2.5], "kind": ["b", "a"]})
    ds = arrayDatastore(frame)
    assert read(ds) == [[1.5, "b"]] or read(ds.reset()) == [1.5, "b"]
    assert ds.rows([1]) == [(2.5, "a")] and ds.classes() == ["a", "b"]
    same = arrayDatastore(DataTable(x=[1, 2, 3], y=["a", "b", "a"]), OutputType="same", ReadSize=2)
    table = read(same)
    assert isinstance(table, DataTable) and table.x == [1, 2] and table.y.names().tolist() == ["a", "b"]
    assert subset(same, [3]).readall().x == [3]


def test_labels_of_arrays():
    assert arrayDatastore(["b", "a"]).classes() == ["a", "b"]
    assert arrayDatastore(np.array(["b", "a"])).labels().names().tolist() == ["b", "a"]
    pixels = categorical(np.array([["a", "b"], ["b", "b"]]))
    assert arrayDatastore([pixels, pixels]).classes() == ["a", "b"] and arrayDatastore([pixels]).labels() is None
    stack = categorical.from_codes(np.zeros((2, 3, 4)), ["sky", "road"])
    ds = arrayDatastore(stack, IterationDimension=3)
    assert ds.classes() == ["sky", "road"] and read(ds)[0].shape == (2, 3) and ds.labels() is None
    assert arrayDatastore(A).labels() is None and arrayDatastore([np.zeros(2)]).labels() is None


def test_a_memory_map_stays_on_the_disk(tmp_path):
    np.save(tmp_path / "x.npy", A)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    ds = arrayDatastore(mapped)
    assert isinstance(ds.rows([2])[0][0], np.memmap)
    part = shuffle(subset(ds, [4, 2]))
    assert isinstance(part.rows([0])[0][0], np.memmap)
    assert sorted(float(x[0, 0]) for x in readall(part)) == [6, 18]


def test_combining(tmp_path):
    images = classes(tmp_path)
    imds = imageDatastore(str(tmp_path), IncludeSubfolders=True, LabelSource="foldernames")
    labels = categorical(list("xyxyxyx"))
    both = combine(imds, arrayDatastore(labels))
    image, label = read(both)
    np.testing.assert_array_equal(image, next(iter(images.values())))
    assert label == "x" and both.labels().names().tolist() == list("xyxyxyx") and both.describe_row(1) == imds.Files[1]
    _, info = read(both, nargout=2)
    assert info[0].Filename == imds.Files[1]
    assert combine(imds, imds).labels() is None and combine(imds, imds).classes() == [], "labels of images do not count"
    assert [len(row) for row in readall(both)] == [2] * 7
    few = imds.combine(arrayDatastore(labels)).subset([3, 1])
    assert few.labels().names().tolist() == ["x", "x"] and few.describe_row(0) == imds.Files[2]
    nested = combine(arrayDatastore(A), combine(arrayDatastore(A), arrayDatastore([1, 2, 3, 4])))
    assert [np.size(value) for value in read(nested)] == [6, 6, 1]
    table = combine(augmentedImageDatastore([6, 5], imds), arrayDatastore(labels))
    assert len(table.rows([0])[0]) == 3
    with pytest.raises(OptionError, match="read the same number of observations, but got \\[128, 1\\]"):
        read(table)
    with pytest.raises(OptionError, match="same number of observations, but got \\[7, 4\\]"):
        combine(imds, arrayDatastore(A))
    with pytest.raises(OptionError, match="combine: needs datastores, but got"):
        combine(imds, labels)


def test_several_observations_of_combined_ones():
    both = combine(arrayDatastore(A, ReadSize=3), arrayDatastore([1, 2, 3, 4], ReadSize=3))
    rows = read(both)
    assert [row[1] for row in rows] == [1, 2, 3] and len(read(both)) == 1 and not hasdata(both)


def test_transforming(tmp_path):
    classes(tmp_path)
    imds = imageDatastore(str(tmp_path), IncludeSubfolders=True, LabelSource="foldernames")
    half = transform(imds, lambda image: image // 2)
    np.testing.assert_array_equal(read(half), imds.readimage(1) // 2)
    np.testing.assert_array_equal(half.rows([3])[0][0], imds.readimage(4) // 2)
    assert len(half.rows([3])[0]) == 1 and len(readall(half)) == 7
    np.testing.assert_array_equal(preview(half), imds.readimage(1) // 2)
    labelled = transform(
        imds, lambda image, info: ([image, info.Label], {**info.fields(), "seen": True}), IncludeInfo=True
    )
    assert labelled.rows([5])[0][1] == "dog"
    data, info = read(labelled, nargout=2)
    assert data[1] == "cat" and info["seen"]
    pairs = transform(imds, lambda image, info: ((image, info.Label), info), "IncludeInfo", True)
    assert pairs.rows([5])[0][1] == "dog"
    sums = transform(arrayDatastore([1, 2]), arrayDatastore([10, 20]), lambda x, y: x[0] + y[0])
    assert readall(sums) == [11, 22] and sums.rows([1]) == [(22,)]
    twice = imds.transform(lambda image: image // 2).transform(lambda image: image * 0)
    assert (
        not read(twice).any()
        and read(twice).shape == (6, 5)
        and len(twice.subset([1, 2])) == 2
        and twice.describe_row(1) == imds.Files[1]
    )
    imds.ReadSize = 2
    assert len(read(transform(imds, lambda images: [image + 1 for image in images]))) == 2


def test_a_label_that_is_read_keeps_the_categories_of_all(tmp_path):
    labels = categorical(["dog", None, "cat"], ["cat", "dog", "fox"])
    both = combine(arrayDatastore(A[:3]), arrayDatastore(labels))
    encoded = transform(both, lambda row: [row[0], onehotencode(row[1], 1)])
    np.testing.assert_array_equal(np.squeeze([row[1] for row in readall(encoded)][::2]), [[0, 1, 0], [1, 0, 0]])
    assert categories(read(arrayDatastore(labels))[0]) == ["cat", "dog", "fox"]
    classes(tmp_path)
    imds = imageDatastore(str(tmp_path), IncludeSubfolders=True, LabelSource="foldernames")
    last = transform(imds, lambda image, info: ([image, onehotencode(info.Label, 1)], info), IncludeInfo=True)
    np.testing.assert_array_equal(readall(last)[-1][1].ravel(), [0, 1])


def test_what_a_function_may_return():
    def rows(function, source=None):
        return transform(source or arrayDatastore([5, 6]), function).rows([0])[0]

    assert rows(lambda x: (x[0], "a")) == (5, "a") == rows(lambda x: [x[0], "a"]) == rows(lambda x: [[x[0], "a"]])
    assert rows(lambda x: DataTable(u=[x[0]], v=["a"])) == (5, "a")
    assert rows(lambda x: pandas.DataFrame({"u": [1], "v": ["a"]})) == (1, "a")
    with pytest.raises(DataError, match="needs to return the columns of one observation, but got \\[\\]"):
        rows(lambda x: [])
    with pytest.raises(DataError, match="the function <lambda> for observation 1 raised ZeroDivisionError"):
        rows(lambda x: 1 / 0)
    with pytest.raises(DataError, match="needs to return data and information"):
        transform(arrayDatastore([5]), lambda x, info: x, IncludeInfo=True).read()
    with pytest.raises(OptionError, match="needs a function behind the datastores, but got"):
        transform(arrayDatastore([5]), 5)
    with pytest.raises(OptionError, match="IncludeInfo: needs true or false"):
        transform(arrayDatastore([5]), len, IncludeInfo="yes")
    with pytest.raises(OptionError, match="same number of observations"):
        transform(arrayDatastore([5]), arrayDatastore([5, 6]), len)


def test_random_sources_of_a_transformation():
    class Noise(Datastore):
        def __len__(self):
            return 3

        def rows(self, numbers, generator=None):
            generator = generator or np.random.default_rng(0)
            return [(generator.random(),) for _ in numbers]

    ds = transform(Noise(), lambda row: row[0] + 1)
    one, two = ds.rows([0, 1], np.random.default_rng(1)), ds.rows([0, 1], np.random.default_rng(1))
    assert one == two != ds.rows([0, 1], np.random.default_rng(2)) and one[0][0] > 1
    rng(7)
    first = read(ds)
    rng(7)
    assert read(ds.reset()) == first
    own = Noise()
    assert subset(own, [2]).describe_row(0) == "observation 2" and len(shuffle(own)) == 3
    assert str(own) == "  Noise with properties:\n\n    NumObservations: 3"
    assert subset(subset(own, [3, 2]), [2]).describe_row(0) == "observation 2"


def test_what_is_wrong_is_named():
    with pytest.raises(OptionError, match="IterationDimension: needs a dimension of the data, 1 to 2, but got 3"):
        arrayDatastore(A, IterationDimension=3)
    with pytest.raises(OptionError, match="A: needs an array"):
        arrayDatastore(5)
    with pytest.raises(OptionError, match="OutputType is read-only"):
        arrayDatastore(A).OutputType = "same"
    with pytest.raises(DataError, match="is empty"):
        read(arrayDatastore(A[:0]))
    with pytest.raises(IndexError, match="numbers from 1 to 4"):
        arrayDatastore(A).partition(4, 5)
