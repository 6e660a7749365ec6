"""MAT-files of version 7.3: back as they were, and as an independent writer makes them in MATLAB's layout."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from damage import Watch
from interop.networks import random_network
from test_damaged_files import graph

from mlnet import DataError, MissingExtraError, OptionError, categorical, load, predict, save
from mlnet.network.trained import DAGNetwork
from mlnet.storage import hdf, hdf_writer
from mlnet.storage.mat import Tagged
from storage.test_mat import SHAPES, TEXTS, TYPES, same

h5py = pytest.importorskip("h5py")
resource = pytest.importorskip("resource")
X = np.random.default_rng(0).normal(size=(8, 3))


def through(path, value, **options):
    hdf_writer.fill(path, {"x": value}, "save")
    try:
        return hdf.from_file(path, "load", **options)["x"]
    finally:
        path.unlink()


@pytest.mark.parametrize("dtype", TYPES)
def test_arrays(dtype, tmp_path):
    values = []
    for shape in SHAPES:
        array = np.asarray(np.random.default_rng(0).integers(0, 100, shape)).astype(dtype)
        values.append(np.asarray(array * array.dtype.type(0.5 + 1j)) if array.dtype.kind == "c" else array)
    if values[0].dtype.kind == "c":  # MATLAB does not tell empty arrays that are complex from real ones
        values = [each if each.size else each.real for each in values]
    assert same(values, through(tmp_path / "x", values))
    found = through(tmp_path / "x", values, layout="F")
    assert same(values, found) and all(each.flags.f_contiguous and each.flags.writeable for each in found)


def test_other_values(tmp_path):
    long = "name" * 20
    names = {"": 1, "ä b": 2, long: 3, long + "x": 4, "mlnet_class": "5", "_a": 7, "z": 8, "a": 9}
    value = {"nested": [[], {}, [1, [2.5, "x", np.arange(3.0)]], names, Tagged("thing", {"x": [Tagged("y", {})]})]}
    value |= {"texts": list(TEXTS), "many": np.array([[True, False]]), "flag": True, "one": 0.1, "complex": 1 + 2j}
    assert same(value, through(tmp_path / "x", value))
    assert through(tmp_path / "x", None).shape == (0, 0)
    for bad in (object(), np.float16(1), {1: 2}):
        with pytest.raises(OptionError, match="save: x"):
            hdf_writer.fill(tmp_path / "bad", {"x": bad}, "save")


def test_save_and_load_a_network(tmp_path):
    net = random_network(graph())
    save(tmp_path / "net.mat", "-v7.3", net=net, labels=categorical(["a", "b"]))
    found = load(tmp_path / "net")
    assert type(found.net) is DAGNetwork and np.array_equal(predict(found.net, X), predict(net, X))
    assert (found.labels == categorical(["a", "b"])).all()
    assert list(vars(load(tmp_path / "net", "labels"))) == ["labels"]
    with pytest.raises(DataError, match="no variable 'lables'. Did you mean 'labels'"):
        load(tmp_path / "net", "lables")
    data = (tmp_path / "net.mat").read_bytes()
    assert data.startswith(b"MATLAB 7.3 MAT-file, Platform: mlnet") and data[124:128] == b"\x00\x02IM"
    assert data[512:516] == b"\x89HDF" and os.listdir(tmp_path) == ["net.mat"]
    (tmp_path / "net.mat").write_bytes(data[:-1] + b"x")
    with pytest.raises(DataError, match="check sum does not fit"):
        load(tmp_path / "net")
    with pytest.raises(OptionError):
        save(tmp_path / "net.mat", "-v7.3", x=object())
    assert (tmp_path / "net.mat").read_bytes() == data[:-1] + b"x" and os.listdir(tmp_path) == ["net.mat"]
    with pytest.raises(DataError, match="cannot be written"):
        save(tmp_path / "missing" / "net.mat", "-v7.3", x=1)


def test_what_is_written_is_what_matlab_reads(tmp_path):
    save(tmp_path / "x.mat", "-v7.3", a=np.arange(6.0).reshape(2, 3), s={"t": "hä", "f": True}, c=[1, []])
    with h5py.File(tmp_path / "x.mat") as file:
        assert file["a"].shape == (3, 2) and file["a"].attrs["MATLAB_class"] == b"double"
        assert np.array_equal(file["a"][()].T, np.arange(6.0).reshape(2, 3))
        assert file["s"].attrs["MATLAB_class"] == b"struct"
        assert [b"".join(name) for name in file["s"].attrs["MATLAB_fields"]] == [b"t", b"f"]
        text = file["s/t"]
        assert text.dtype == np.uint16 and text[()].ravel().tolist() == [ord("h"), ord("ä")] and text.shape == (2, 1)
        assert text.attrs["MATLAB_int_decode"] == 2 and file["s/f"].attrs["MATLAB_class"] == b"logical"
        first, second = (file[reference] for reference in file["c"][()].ravel())
        assert first[()] == 1 and second.attrs["MATLAB_empty"] == 1 and second[()].tolist() == [0, 0]


def put(group, name, data, kind, **attributes):
    made = group.create_dataset(name, data=data)
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    for attribute, value in attributes.items():
        made.attrs[f"MATLAB_{attribute}"] = value
    return made


def matlab_file(path):
    """Write a file as MATLAB does, with chunks, packed, with an object in it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        numbers = np.arange(24, dtype=np.uint8).reshape(4, 1, 3, 2)
        made = file.create_dataset("images", data=numbers, chunks=True, compression=3, shuffle=True)
        made.attrs["MATLAB_class"] = np.bytes_("uint8")
        put(file, "one", [[5.0]], "double")
        put(file, "rows", np.array([[97, 99], [98, 100], [32, 101]], "u2"), "char", int_decode=np.int32(2))
        put(file, "nothing", np.array([0, 3], "u8"), "single", empty=np.uint8(1))
        put(file, "flags", np.array([[1], [0]], "u1"), "logical", int_decode=np.int32(1))
        both = np.array([[(1, 2)]], [("real", "f8"), ("imag", "f8")])
        put(file, "both", both, "double")
        cells = np.empty((2, 2), h5py.ref_dtype)
        for number, place in enumerate(np.ndindex(2, 2)):
            cells[place] = put(refs, f"c{number}", [[float(number)]], "double").ref
        put(file, "cells", cells, "cell")
        group = file.create_group("several")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for field in ("name", "size"):
            column = np.empty((2, 1), h5py.ref_dtype)
            for number in range(2):
                column[number, 0] = put(refs, f"{field}{number}", [[ord(field[number])]], "double").ref
            group.create_dataset(field, data=column)
        sparse = file.create_group("sparse")
        sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(3)
        sparse["data"], sparse["ir"], sparse["jc"] = [1.5, 2.5], np.array([2, 0], "u8"), np.array([0, 1, 1, 2], "u8")
        put(file, "T", np.array([[3707764736, 2, 1, 1, 1, 1]], "u4"), "table", object_decode=np.int32(3))
        handle = file.create_group("handle")
        handle.attrs["MATLAB_class"] = np.bytes_("function_handle")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat".ljust(116) + bytes(8) + b"\x00\x02IM")


GOOD = ("images", "one", "rows", "nothing", "flags", "both", "cells", "several", "sparse")


def test_files_of_matlab(tmp_path):
    matlab_file(tmp_path / "x.mat")
    found = load(tmp_path / "x.mat", *GOOD)
    assert found.images.shape == (2, 3, 1, 4) and found.images.dtype == np.uint8
    assert np.array_equal(found.images, np.arange(24).reshape(4, 1, 3, 2).T)
    assert found.one == 5 and found.rows == ["ab", "cde"] and found.both == 1 + 2j
    assert found.nothing.shape == (0, 3) and found.nothing.dtype == np.float32
    assert found.flags.tolist() == [[True, False]]
    assert found.cells == [[0, 2], [1, 3]]
    assert [each.name for each in found.several] == [110, 97] and found.several[1].size == ord("i")
    assert found.sparse.tolist() == [[0, 0, 2.5], [0, 0, 0], [1.5, 0, 0]]
    with pytest.raises(DataError, match="T is a MATLAB object of class 'table'.*exportToMlnet.struct.'T', {T}"):
        load(tmp_path / "x.mat", "T")
    with pytest.raises(DataError, match="handle is a function handle"):
        load(tmp_path / "x.mat", "handle")


def change(path, function):
    with h5py.File(path, "w", userblock_size=512) as file:
        function(file)
    with pytest.raises(DataError) as caught:
        load(path)
    return str(caught.value)


def test_no_other_file_is_touched_and_nothing_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf, "UNPACKED", 2**24)
    path, other = tmp_path / "x.mat", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        put(file, "x", [[1.0]], "double")
    layout = h5py.VirtualLayout((1, 1), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", (1, 1))

    def circle(file):
        references = np.empty((1, 1), h5py.ref_dtype)
        made = put(file, "x", references, "cell")
        made[0, 0] = made.ref

    def laughs(file):
        last = put(file.create_group("#refs#"), "a", [[1.0]], "double")
        for number in range(40):
            references = np.full((2, 1), last.ref, h5py.ref_dtype)
            last = put(file if number == 39 else file["#refs#"], f"x{number}", references, "cell")

    def virtual(file):
        file.create_virtual_dataset("x", layout).attrs["MATLAB_class"] = np.bytes_("double")

    def large(file):
        made = file.create_dataset("x", (2**20, 2**20), "f8", chunks=(2**10, 2**10))
        made.attrs["MATLAB_class"] = np.bytes_("double")

    def outside(file):
        made = file.create_dataset("x", (1, 1), "f8", external=[(str(other), 0, 8)])
        made.attrs["MATLAB_class"] = np.bytes_("double")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for function, reason in (
        (lambda file: file.__setitem__("x", h5py.ExternalLink(str(other), "x")), "x is a link to another place"),
        (lambda file: file.__setitem__("x", h5py.SoftLink("/y")), "x is a link to another place"),
        (virtual, "x is in another file"),
        (outside, "x is in another file"),
        (circle, "more than 100 levels"),
        (laughs, "more than 200 times"),
        (large, "more than 200 times"),
        (lambda file: file.create_dataset("x", data=[1.0]), "HDF5 file that MATLAB has not written"),
        (lambda file: put(file, "x", [b"abc"], "char"), "elements of an unknown type"),
    ):
        assert reason in change(path, function)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "kilobytes"


def test_packed_parts_of_any_size_and_kind(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(7, 5, 9)) * 100
    kinds = {"double": "f8", "single": "f4", "int16": "i2", "uint8": "u1"}
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        for kind, dtype in kinds.items():
            for shuffle in (True, False):
                data = np.abs(numbers).astype(dtype).astype(f">{dtype}" if shuffle else dtype)
                options = {"chunks": (3, 5, 4), "shuffle": shuffle}
                made = file.create_dataset(f"{kind}{int(shuffle)}", data=data, compression=5, **options)
                made.attrs["MATLAB_class"] = np.bytes_(kind)
        made = file.create_dataset("part", (6, 4), "f8", chunks=(3, 2), compression=1, fillvalue=2.5)
        made[3:, :2] = 7
        made.attrs["MATLAB_class"] = np.bytes_("double")
        both = np.zeros((4, 3), [("real", "f8"), ("imag", "f8")])
        both["imag"] = 3
        made = file.create_dataset("both", data=both, chunks=(2, 2), compression=1)
        made.attrs["MATLAB_class"] = np.bytes_("double")
    found = load(tmp_path / "x.mat")
    for kind, dtype in kinds.items():
        for shuffle in "01":
            array = getattr(found, kind + shuffle)
            assert np.array_equal(array, np.abs(numbers).astype(dtype).T) and array.dtype == dtype
    assert found.part.tolist() == [[2.5] * 3 + [7] * 3] * 2 + [[2.5] * 6] * 2
    assert np.array_equal(found.both, np.full((3, 4), 3j))


@pytest.mark.parametrize("dtype", ["f8", "f8, f8", "reference"])
def test_parts_that_unpack_to_more_than_their_share(dtype, tmp_path):
    """The library would unpack as much as there is: 300 MB of a file of 300 kB."""
    path = tmp_path / "x.mat"
    kind = h5py.ref_dtype if dtype == "reference" else np.dtype("f8")
    if dtype == "f8, f8":
        kind = np.dtype([("real", "f8"), ("imag", "f8")])
    for data, chunks, reason in (
        (zlib.compress(bytes(300 * 2**20), 9), (64, 64), "does not unpack to its size"),
        (b"", (2**12, 2**12), "more than it has"),
    ):
        with h5py.File(path, "w", userblock_size=512) as file:
            made = file.create_dataset("x", (64, 64), kind, maxshape=(None, None), chunks=chunks, compression=1)
            made.attrs["MATLAB_class"] = np.bytes_("cell" if dtype == "reference" else "double")
            if data:
                made.id.write_direct_chunk((0, 0), data)
        watch = Watch()
        with watch.over(path), pytest.raises(DataError, match=reason):
            load(path)
        assert watch.memory < 2**24


def test_many_empty_cells_are_one_array_in_files_of_matlab(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf, "UNPACKED", 2**22)
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        empty = put(file.create_group("#refs#"), "a", np.array([0, 0], "u8"), "double", empty=np.uint8(1))
        put(file, "x", np.full((1, 2_000), empty.ref, h5py.ref_dtype), "cell")
    found = load(tmp_path / "x.mat").x
    assert len(found) == 2_000 and found[-1].shape == (0, 0)


def test_without_the_package(tmp_path, monkeypatch):
    save(tmp_path / "x.mat", "-v7.3", x=1)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"load: .*need the package h5py: pip install 'mlnet\[mat73\]'"):
        load(tmp_path / "x.mat")
    with pytest.raises(MissingExtraError, match="save"):
        save(tmp_path / "y.mat", "-v7.3", x=1)
    assert os.listdir(tmp_path) == ["x.mat"]
