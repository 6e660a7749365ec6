"""writeall: datastores as folders of files."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from mlnet import (
    DataError,
    OptionError,
    arrayDatastore,
    augmentedImageDatastore,
    combine,
    imageDatastore,
    transform,
    writeall,
)


@pytest.fixture
def images(tmp_path):
    for number in range(4):
        folder = tmp_path / "in" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), 10 * number, np.uint8)).save(folder / f"{number // 2}.png")
    return imageDatastore(tmp_path / "in", IncludeSubfolders=True, LabelSource="foldernames")


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folders_and_formats(images, tmp_path):
    out = tmp_path / "out"
    writeall(images, out)
    assert names_in(out) == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    again = imageDatastore(out, IncludeSubfolders=True, LabelSource="foldernames")
    assert (again.Labels == images.Labels).all()
    assert all(np.array_equal(one, other) for one, other in zip(again.readall(), images.readall(), strict=True))
    writeall(images, out, "OutputFormat", "bmp", FilenamePrefix="x_", FilenameSuffix="_y")
    assert "a/x_0_y.bmp" in names_in(out) and np.array(Image.open(out / "b/x_1_y.bmp"))[0, 0] == 30
    flat = tmp_path / "flat"
    with pytest.raises(OptionError, match="would both be written into.*duplicate"):
        writeall(images, flat, FolderLayout="flatten")
    assert not flat.exists()
    writeall(images.subset([1, 2]), flat, FolderLayout="flatten", OutputFormat="npy")
    assert names_in(flat) == ["0.npy", "1.npy"] and np.load(flat / "1.npy").max() == 20


def test_changed_images(images, tmp_path):
    for number, store in enumerate(
        (transform(images, lambda image: image + 1), combine(transform(images, lambda image: image + 1), images))
    ):
        writeall(store, tmp_path / str(number), OutputFormat="png")
        found = np.array(Image.open(tmp_path / str(number) / "b/1.png"))
        assert found.shape == (4, 6) and found.max() == 31
    writeall(augmentedImageDatastore([2, 3], images), tmp_path / "small", OutputFormat="npy")
    assert all(np.load(tmp_path / "small" / name).shape == (2, 3) for name in names_in(tmp_path / "small"))
    assert len(names_in(tmp_path / "small")) == 4


def test_a_function_that_writes(images, tmp_path):
    seen = []

    def write(data, information, output_format):
        seen.append((os.path.relpath(information.SuggestedOutputName, information.Location), output_format))
        assert os.path.isfile(information.ReadInfo.Filename) and data.shape == (4, 6)
        np.save(information.SuggestedOutputName.replace(".png", ""), data)

    writeall(images, tmp_path / "out", WriteFcn=write)
    assert seen[0] == (os.path.join("a", "0.png"), "png") and names_in(tmp_path / "out")[0] == "a/0.npy"

    def fail(*_):
        raise ValueError("no")

    with pytest.raises(DataError, match=r"0.png.*: the WriteFcn raised ValueError: no"):
        writeall(images, tmp_path / "out", WriteFcn=fail)


def test_mistakes(images, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="is a file of the datastore. Give another folder"):
        writeall(images, tmp_path / "in")
    with pytest.raises(DataError, match="needs an image.*Give a WriteFcn"):
        writeall(arrayDatastore(["a"]), tmp_path / "out")
    with pytest.raises(DataError, match=r"needs an image of 8 or 16 bits.*float64"):
        writeall(arrayDatastore(np.zeros((2, 2, 1)), IterationDimension=3), tmp_path / "out")
    for bad in (1, "", None):
        with pytest.raises(OptionError, match="outputLocation: needs the name of a folder"):
            writeall(images, bad)
    with pytest.raises(OptionError, match="writeall: needs a datastore, but got 1"):
        writeall(1, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        writeall(images, tmp_path / "file" / "below")

    def full(*_):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match="cannot be written .No space left"):
        writeall(images, tmp_path / "full")
    assert not names_in(tmp_path / "full")
