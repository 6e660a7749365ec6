"""imageDatastore: which files it finds, what it reads, labels, and files that cannot be read."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest
from data.folders import classes, noise, save
from PIL import Image
from scipy.io import savemat

from mlnet import (
    DataError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
    categorical,
    categories,
    hasdata,
    imageDatastore,
    numel,
    numpartitions,
    partition,
    preview,
    progress,
    read,
    readall,
    readDatastoreImage,
    readimage,
    reset,
    rng,
    shuffle,
    subset,
)


@pytest.fixture
def folder(tmp_path):
    classes(tmp_path)
    return tmp_path


def datastore(folder, **options):
    return imageDatastore(str(folder), IncludeSubfolders=True, LabelSource="foldernames", **options)


def names(imds):
    return ["/".join(name.replace("\\", "/").split("/")[-2:]) for name in imds.Files]


def test_files_and_labels(folder):
    imds = datastore(folder)
    assert names(imds) == [*(f"cat/{n}.png" for n in range(4)), *(f"dog/{n}.png" for n in range(3))]
    assert imds.Labels.names().tolist() == ["cat"] * 4 + ["dog"] * 3 and categories(imds.Labels) == ["cat", "dog"]
    assert numel(imds.Files) == len(imds) == numpartitions(imds) == 7
    assert [name.split("/")[-1] for name in imds.Folders] == ["cat", "dog"]
    pairs = imageDatastore(str(folder), "includesubfolders", True, "labelsource", "foldernames")
    assert pairs.Files == imds.Files
    for number, expected in enumerate(classes(folder).values()):
        np.testing.assert_array_equal(readimage(imds, number + 1), expected)
        np.testing.assert_array_equal(imds.readimage(number + 1), expected)


def test_locations_extensions_and_order(tmp_path):
    for name in ("b10.png", "b2.png", "a.PNG", "sub/c.png", "sub/deep/d.png", "e.bmp"):
        save(tmp_path / name, noise(0))
    (tmp_path / "notes.txt").write_text("no image")

    def found(*location, **options):
        return [name.split("/")[-1] for name in names(imageDatastore(*location, **options))]

    here = str(tmp_path)
    assert found(here) == ["a.PNG", "b10.png", "b2.png", "e.bmp"], "sorted by character"
    everything = ["a.PNG", "b10.png", "b2.png", "e.bmp", "c.png", "d.png"]
    assert found(here, IncludeSubfolders=True) == everything, "the files of a folder, then its subfolders"
    assert found(here, FileExtensions=".png") == found(here, FileExtensions=["PNG"]) == ["a.PNG", "b10.png", "b2.png"]
    assert found(f"{here}/b*.png") == ["b10.png", "b2.png"]
    assert found([f"{here}/b2.png", f"{here}/a.PNG"]) == ["b2.png", "a.PNG"], "given files keep their order"
    assert found([f"{here}/sub", f"{here}/sub/deep"]) == ["c.png", "d.png"]
    assert found(tmp_path / "sub") == ["c.png"]


def test_reading_in_order(folder):
    imds = datastore(folder)
    expected = list(classes(folder).values())
    np.testing.assert_array_equal(preview(imds), expected[0])
    image, info = read(imds, nargout=2)
    np.testing.assert_array_equal(image, expected[0])
    assert info.Filename == imds.Files[0] and info.FileSize > 0 and info.Label == "cat"
    assert progress(imds) == pytest.approx(1 / 7)
    imds.ReadSize = 4
    several, info = imds.read(nargout=2)
    assert isinstance(several, list) and len(several) == 4 and info.Filename == imds.Files[1:5]
    assert info.Label.names().tolist() == ["cat"] * 3 + ["dog"]
    assert len(read(imds)) == 2 and not hasdata(imds) and progress(imds) == 1.0
    with pytest.raises(DataError, match="no more data. Use reset"):
        read(imds)
    assert hasdata(reset(imds))
    count = 0
    while hasdata(imds):
        count += len(read(imds))
    assert count == 7
    for image, wanted in zip(readall(imds), expected, strict=True):
        np.testing.assert_array_equal(image, wanted)
    assert not hasdata(imds), "readall does not go back"
    with pytest.raises(OptionError, match="nargout needs to be 1 or 2"):
        read(reset(imds), nargout=3)
    with pytest.raises(IndexError, match="numbers from 1 to 7"):
        readimage(imds, 8)


def test_kinds_of_images(tmp_path):
    generator = np.random.default_rng(0)
    rgb = generator.integers(0, 256, (4, 3, 3)).astype(np.uint8)
    gray16 = generator.integers(0, 60000, (4, 3)).astype(np.uint16)
    alpha = np.dstack([rgb, np.full((4, 3), 7, np.uint8)])
    logical = generator.random((4, 3)) < 0.5
    for name, image in (("rgb", rgb), ("gray16", gray16), ("alpha", alpha), ("logical", logical)):
        found = readDatastoreImage(save(tmp_path / f"{name}.png", image))
        expected = image[..., :3] if name == "alpha" else image
        assert found.dtype == image.dtype
        np.testing.assert_array_equal(found, expected)
    palette = Image.new("P", (2, 2))
    palette.putdata([0, 1, 2, 0])
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(readDatastoreImage(str(tmp_path / "palette.png"))[0, 1], [40, 50, 60])
    save(tmp_path / "wrong.bmp", rgb)
    (tmp_path / "wrong.bmp").rename(tmp_path / "wrong.png")
    np.testing.assert_array_equal(readDatastoreImage(str(tmp_path / "wrong.png")), rgb)


def test_arrays_need_no_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.save(tmp_path / "a.npy", noise(0))
    savemat(tmp_path / "b.mat", {"x": noise(1), "comment": "text"})
    savemat(tmp_path / "two.mat", {"x": noise(1), "y": noise(2)})
    found = imageDatastore(str(tmp_path), FileExtensions=[".npy", ".mat"])
    np.testing.assert_array_equal(found.readimage(1), noise(0))
    np.testing.assert_array_equal(found.readimage(2), noise(1))
    with pytest.raises(DataError, match="two.mat: the file needs one numeric variable, but has 2"):
        found.readimage(3)
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(MissingExtraError, match="pip install pillow"):
        imageDatastore(str(tmp_path / "c.png")).read()


def test_labels_of_every_kind(folder):
    imds = datastore(folder)
    imds.Labels = categorical(["x", "y"] * 3 + ["x"])
    assert categories(imds.Labels) == ["x", "y"]
    imds.Labels = ["a", "b", "a", "b", "a", "b", "c"]
    assert imds.labels().names().tolist()[-1] == "c"
    imds.Labels = np.arange(7) / 2
    assert imds.labels() is None and imds.rows([3])[0][1] == 1.5
    imds.Labels = np.arange(7.0)
    assert imds.classes() == list("0123456")
    given = imageDatastore(imds.Files, labels := "Labels", list("abababa"))
    assert given.Labels.names().tolist() == list("abababa") and labels
    for wrong in (["a"], categorical(["a", "b"]), np.zeros(8)):
        with pytest.raises(OptionError, match="Labels: needs 7 labels, one for each file, but got"):
            imds.Labels = wrong
    with pytest.raises(OptionError, match="Labels: needs 7 labels"):
        imageDatastore(imds.Files, Labels=["a", "b"])
    with pytest.raises(OptionError, match="Labels or LabelSource='foldernames', but got both"):
        datastore(folder, Labels=list("abababa"))


def test_files_can_be_assigned(folder, tmp_path):
    imds = datastore(folder)
    files = imds.Files
    imds.Files = files[5:2:-1]
    assert imds.Labels.names().tolist() == ["dog", "dog", "cat"], "labels go with their files"
    new = save(tmp_path / "cow" / "0.png", noise(0))
    imds.Files = [new, files[0]]
    assert imds.Labels.names().tolist() == ["cow", "cat"]
    given = imageDatastore(files, Labels=list("abababa"))
    with pytest.raises(OptionError, match="the labels of new files are not known"):
        given.Files = [new]
    imds.Files[0] = "changed"
    assert imds.Files[0] == new


def test_parts_of_it(folder):
    imds = datastore(folder)
    few = subset(imds, [7, 1])
    assert names(few) == ["dog/2.png", "cat/0.png"] and few.Labels.names().tolist() == ["dog", "cat"]
    assert type(few) is type(imds) and categories(few.Labels) == ["cat", "dog"]
    assert names(imds.subset(np.arange(7) == 2)) == ["cat/2.png"]
    assert [len(partition(imds, 3, number)) for number in (1, 2, 3)] == [2, 3, 2]
    assert [name for number in (1, 2, 3) for name in partition(imds, 3, number).Files] == imds.Files
    rng(1)
    first = shuffle(imds)
    second = imds.shuffle()
    rng(1)
    assert shuffle(imds).Files == first.Files != second.Files
    assert sorted(first.Files) == imds.Files != first.Files
    by_name = dict(zip(imds.Files, imds.Labels, strict=True))
    assert [by_name[name] for name in first.Files] == first.Labels.names().tolist()
    for wrong in ([0], [8], [1.5]):
        with pytest.raises(IndexError, match="numbers from 1 to 7"):
            subset(imds, wrong)
    with pytest.raises(OptionError, match="needs 7 logical values, but got 2"):
        subset(imds, [True, False])
    for twin in (copy.copy(imds), copy.deepcopy(imds), pickle.loads(pickle.dumps(imds))):
        twin.Labels = ["z"] * 7
        assert twin.Files == imds.Files and categories(imds.Labels) == ["cat", "dog"]
        np.testing.assert_array_equal(twin.read(), imds.readimage(1))


def test_read_function(folder):
    imds = datastore(folder, ReadFcn=lambda name: readDatastoreImage(name) * 0 + 7)
    assert (read(imds) == 7).all()
    imds.ReadFcn = lambda name: 1 / 0
    with pytest.raises(DataError, match=r"1.png: the ReadFcn raised ZeroDivisionError: .*UnreadableFiles='skip'"):
        read(imds)
    imds.ReadFcn = lambda name: "text"
    with pytest.raises(DataError, match="needs to return a numeric image"):
        read(imds)
    with pytest.raises(OptionError, match="ReadFcn: needs a function"):
        imds.ReadFcn = "imread"


def broken(folder):
    whole = (folder / "cat" / "1.png").read_bytes()
    (folder / "cat" / "1.png").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "dog" / "0.png").write_bytes(b"no image")
    (folder / "dog" / "2.png").write_bytes(b"")


def test_unreadable_files_are_named(folder):
    broken(folder)
    imds = datastore(folder)
    for number, name in ((2, "cat/1.png"), (5, "dog/0.png"), (7, "dog/2.png")):
        with pytest.raises(DataError, match=f"{name}: the file is no image, or damaged or incomplete.*'skip'") as found:
            readimage(imds, number)
        assert " object at " not in str(found.value)
    (folder / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match="dog/1.png: the file does not exist"):
        readimage(imds, 6)


def test_unreadable_files_can_be_left_out(folder):
    broken(folder)
    with pytest.warns(UserWarning, match="left out 3 of 7 files, which cannot be read: 1.png, 0.png, 2.png") as caught:
        imds = datastore(folder, UnreadableFiles="skip")
    assert len(caught) == 1
    assert names(imds) == ["cat/0.png", "cat/2.png", "cat/3.png", "dog/1.png"]
    assert imds.Labels.names().tolist() == ["cat"] * 3 + ["dog"]
    assert len(readall(imds)) == 4 and len(imds.SkippedFiles) == 3
    with pytest.warns(UserWarning, match="left out 3 of 7"):
        labelled = imageDatastore(str(folder), IncludeSubfolders=True, Labels=list("abcdefg"), UnreadableFiles="skip")
    assert labelled.Labels.names().tolist() == list("acdf"), "labels were those of all the files"
    with pytest.raises(DataError, match="none of 1 files can be read"):
        imageDatastore(str(folder / "dog" / "0.png"), UnreadableFiles="skip")


def test_what_is_wrong_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="there is no file or folder '.*nowhere'"):
        imageDatastore(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="there are no files with .*set IncludeSubfolders=True"):
        imageDatastore(str(folder))
    with pytest.raises(DataError, match="there are no files with .tif"):
        datastore(folder, FileExtensions=".tif")
    with pytest.raises(UnknownNameError, match="Did you mean 'ReadFcn'"):
        datastore(folder, ReadFnc=len)
    imds = datastore(folder)
    with pytest.raises(UnknownNameError, match="Did you mean 'ReadSize'"):
        imds.ReadSiz = 3
    with pytest.raises(OptionError, match="IncludeSubfolders is read-only: give it when"):
        imds.IncludeSubfolders = False
    with pytest.raises(OptionError, match="ReadSize: needs a positive integer"):
        imds.ReadSize = 0
    with pytest.raises(OptionError, match="location: needs a folder"):
        imageDatastore(5)
    for function in (read, hasdata, shuffle):
        with pytest.raises(OptionError, match=f"{function.__name__}: needs a datastore, but got \\[1\\]"):
            function([1])
    assert "read" in dir(imds) and "Labels" in dir(imds) and "location" not in dir(imds)
