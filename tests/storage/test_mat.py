"""Plain values in MAT-files: back as they were, and as SciPy reads and writes them."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from mlnet import DataError, MlnetError, OptionError, categorical, load, save
from mlnet.storage import mat, mat_reader
from mlnet.storage.mat import Tagged
from mlnet.storage.networks import structure
from mlnet.structure import Structure

TYPES = ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "bool", "c8", "c16")
SHAPES = ((), (1,), (5,), (1, 1), (1, 5), (5, 1), (2, 3), (0,), (0, 0), (0, 3), (2, 3, 1), (1, 2, 3, 4))
TEXTS = ("", "a", "four", "a longer text\nof two lines", "äöü", "∑ 🙂 end", "nul\0inside", "'quoted'", "\udc80")


def written(*values, **options):
    return b"".join(mat.to_bytes({"x": values[0] if len(values) == 1 else list(values)}, "save", **options))


def through(value, **options):
    return mat.from_bytes(written(value, **options), "load")["x"]


def same(one, other):
    if isinstance(one, np.ndarray):
        return type(other) is np.ndarray and one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, Tagged)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays(dtype, is_compressed):
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        array = np.asarray(generator.integers(0, 100, shape)).astype(dtype)
        if array.dtype.kind == "c":
            array = np.asarray(array * array.dtype.type(0.5 + 1j))
        for given in (array, array.T.copy().T, np.asarray(np.flip(array))):
            found = through(given, is_compressed=is_compressed)
            assert same(given, found) and found.flags.c_contiguous and found.flags.writeable
            found = mat.from_bytes(written(given, is_compressed=is_compressed), "load", layout="F")["x"]
            assert same(given, found) and found.flags.f_contiguous and found.flags.writeable


def test_special_numbers():
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308])
    assert through(odd).tobytes() == odd.tobytes()
    both = np.empty(6, complex)
    both.real, both.imag = odd, odd[::-1]
    assert through(both).tobytes() == both.tobytes()
    for value in (True, 0, -(2**63), 2**64 - 1, 0.1, 1j, np.inf):
        assert same(value, through(value))
    assert through(np.float32(0.5)) == 0.5 and through(None).shape == (0, 0)


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text):
    assert through(text) == text
    assert through(text, is_compressed=True) == text


def test_lists_dictionaries_and_names():
    long = "name" * 20
    names = {"": 1, "ä b": 2, long: 3, long + "x": 4, "mlnet_class": "5", "mlnet_name_1": 6, "_a": 7, "1a": 8, "a": 9}
    value = {"nested": [[], {}, [1, [2.5, "x", np.arange(3.0)]], names, Tagged("thing", {"x": [Tagged("y", {})]})]}
    assert same(value, through(value))
    found = mat.from_bytes(b"".join(mat.to_bytes(names, "save")), "load")
    assert same(found, names)
    stored = scipy.io.loadmat(io.BytesIO(written(names)))["x"].dtype.names
    assert all(name.isidentifier() and len(name) <= 63 for name in stored)


def test_what_no_file_holds():
    for value in (object(), {1, 2}, np.float16(1), 2**70, np.array(["2020"], "M8[D]"), [[object()]], b"bytes"):
        with pytest.raises(OptionError, match="save: x.*cannot be kept in a .mat file"):
            written(value)
    with pytest.raises(OptionError, match="texts as names"):
        written({1: 2})
    circle: list = []
    circle.append(circle)
    with pytest.raises(OptionError, match="too many levels"):
        written(circle)


def test_scipy_reads_what_mlnet_writes():
    value = {
        "numbers": np.arange(6, dtype=np.float32).reshape(2, 3),
        "row": np.arange(3),
        "flag": True,
        "many": np.array([[True, False]]),
        "text": "abc",
        "short": "äö",
        "cells": ["a", 1.5, {"inner": np.array([[1 + 2j]])}],
        "nothing": [],
        "empty": {},
    }
    for is_compressed in (False, True):
        data = b"".join(mat.to_bytes(value, "save", is_compressed=is_compressed))
        found = scipy.io.loadmat(io.BytesIO(data), squeeze_me=False)
        assert found["numbers"].dtype == np.float32 and np.array_equal(found["numbers"], value["numbers"])
        assert found["row"].shape == (3, 1) and found["row"].dtype == np.int64
        assert (found["flag"].item() is True and found["many"].dtype == bool) or found["many"].tolist() == [[1, 0]]
        assert found["text"][0] == "abc" and found["short"][0] == "äö"
        assert found["cells"].shape == (1, 3) and found["cells"][0, 1].item() == 1.5
        assert found["cells"][0, 2]["inner"][0, 0].item() == 1 + 2j
        assert found["nothing"].shape == (0, 0) and found["mlnet_format"]["version"].item() == mat.mat.VERSION
        assert ("numbers", (2, 3), "single") in scipy.io.whosmat(io.BytesIO(data))
        assert ("many", (1, 2), "logical") in scipy.io.whosmat(io.BytesIO(data))


@pytest.mark.parametrize("is_compressed", [False, True])
def test_mlnet_reads_what_scipy_writes(tmp_path, is_compressed):
    cells = np.empty((2, 2), object)
    cells[:] = [["a", 1.0], [np.eye(2), "d"]]
    several = np.zeros((1, 2), [("name", object), ("size", object)])
    several[0, 0], several[0, 1] = ("first", 1.0), ("second", np.arange(3.0)[None])
    images = np.arange(2 * 3 * 1 * 4, dtype=np.uint8).reshape(2, 3, 1, 4)
    value = {"images": images, "column": np.arange(3.0)[:, None], "one": 5, "text": "hällo", "cells": cells}
    value |= {"several": several, "single": {"a": {"b": "c"}}, "flags": np.array([[True, False]])}
    value |= {"rows": np.array(["ab ", "cde"]), "wide": np.array(1 + 2j, np.complex64)}
    scipy.io.savemat(tmp_path / "foreign.mat", value, do_compression=is_compressed)
    found = load(tmp_path / "foreign")
    assert found.images.shape == images.shape and found.images.dtype == np.uint8
    assert np.array_equal(found.images, images)
    assert found.column.shape == (3, 1) and found.one == 5 and found.text == "hällo"
    assert found.cells[0] == ["a", 1.0] and np.array_equal(found.cells[1][0], np.eye(2)) and found.cells[1][1] == "d"
    assert [each.name for each in found.several] == ["first", "second"] and found.several[0].size == 1.0
    assert found.single.a.b == "c" and found.rows == ["ab", "cde"] and found.wide == 1 + 2j
    assert isinstance(found.single, Structure)
    assert np.array_equal(found.flags, [[True, False]])
    assert list(vars(load(tmp_path / "foreign.mat", "one", "text"))) == ["one", "text"]
    with pytest.raises(DataError, match="no variable 'tekst'. Did you mean 'text'"):
        load(tmp_path / "foreign.mat", "tekst")


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(0 if kind == 15 else -len(data) % 8)


def array(kind, size, *contents, name=b"x", flags=0):
    head = element(6, struct.pack("<II", kind | flags << 8, 0))
    return element(14, head + element(5, struct.pack(f"<{len(size)}i", *size)) + element(1, name) + b"".join(contents))


def file_of(*variables, order=b"IM", text=b"MATLAB 5.0 MAT-file, Platform: PCWIN64"):
    return text.ljust(116) + bytes(8) + b"\x00\x01" + order + b"".join(variables)


def opaque(name=b"x", class_name=b"categorical"):
    head = element(6, struct.pack("<II", 17, 0))
    return element(14, head + element(1, name) + element(1, b"MCOS") + element(1, class_name) + array(13, (1, 1)))


def test_objects_of_matlab(tmp_path):
    path = tmp_path / "objects.mat"
    path.write_bytes(file_of(opaque(b"Y"), array(6, (1, 1), element(9, struct.pack("<d", 3)), name=b"X")))
    assert load(path, "X").X == 3
    with pytest.raises(DataError, match="Y is a MATLAB object of class 'categorical'.*exportToMlnet"):
        load(path)
    for kind, words in ((16, "function handle"), (3, "an object")):
        with pytest.raises(DataError, match=words):
            mat.from_bytes(file_of(array(kind, (1, 1))), "load")
    inner = array(1, (1, 1), opaque(b""))
    with pytest.raises(DataError, match="x.1 is a MATLAB object"):
        mat.from_bytes(file_of(inner), "load")


def test_numbers_stored_in_a_smaller_type_and_the_other_byte_order():
    small = array(6, (1, 3), element(2, bytes([1, 2, 255])))
    found = mat.from_bytes(file_of(small), "load")["x"]
    assert found.dtype == np.float64 and found.tolist() == [[1, 2, 255]]
    units = array(4, (1, 2), element(4, "äb".encode("utf-16-le")))
    assert mat.from_bytes(file_of(units), "load")["x"] == "äb"

    def big(kind, data):
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    parts = [big(6, struct.pack(">II", 6, 0)), big(5, struct.pack(">ii", 1, 2)), struct.pack(">HH4s", 1, 1, b"x")]
    other = big(14, b"".join(parts) + big(9, struct.pack(">dd", 1.5, -2)))
    data = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + b"\x01\x00MI" + other
    assert mat.from_bytes(data, "load")["x"].tolist() == [[1.5, -2]]


def nested(levels):
    inner = b""
    for _ in range(levels):
        inner = array(1, (1, 1), inner or array(6, (0, 0), element(9, b"")))
    return inner


HUGE = 2**31 - 1
BAD = {
    "nothing": (b"", "no .mat file"),
    "foreign": (b"PNG" * 100, "no .mat file"),
    "cut": (file_of(array(6, (1, 1), element(9, bytes(8))))[:-4], "more bytes than there are"),
    "cut in a tag": (file_of(b"\x0e\0\0\0"), "middle of a value"),
    "many numbers": (file_of(array(6, (HUGE, HUGE), element(9, bytes(8)))), "has 1 elements"),
    "many cells": (file_of(array(1, (HUGE, 1))), "more cells than there are bytes"),
    "many structures": (file_of(array(2, (HUGE, 1), element(5, b"\x20\0\0\0"), element(1, b""))), "more structures"),
    "negative": (file_of(array(6, (-1, 1), element(9, bytes(8)))), "impossible size"),
    "no dimensions": (file_of(array(6, (), element(9, bytes(8)))), "impossible size"),
    "deep": (file_of(nested(150)), "more than 100 levels"),
    "no names": (file_of(array(2, (1, 1), element(5, bytes(4)), element(1, b"abcd"))), "names of the fields"),
    "class": (file_of(array(77, (1, 1))), "unknown class"),
    "text": (file_of(array(4, (2, 3), element(2, b"abcd"))), "text of size"),
    "encoding": (file_of(array(4, (1, 2), element(16, b"\xff\xff"))), "damaged .UnicodeDecodeError"),
    "zlib": (file_of(element(15, b"no zlib data")), "damaged .error"),
    "cut zlib": (file_of(element(15, zlib.compress(array(6, (0, 0), element(9, b"")))[:-6])), "middle of a compressed"),
    "not an array": (file_of(element(9, bytes(8))), "no array"),
    "check sum": (written(1.0)[:-8] + bytes(8), "check sum"),
    "shorter": (written(1.0)[:-8], "check sum"),
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_files(name):
    data, reason = BAD[name]
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=reason):
            mat.from_bytes(data, "load")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_bombs(monkeypatch):
    monkeypatch.setattr(mat_reader, "UNPACKED", 2**20)
    zeros = array(9, (1, 2**24), element(2, bytes(2**24)))
    packed = element(15, zlib.compress(zeros, 9))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than 200 times the size"):
            mat.from_bytes(file_of(packed), "load")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    monkeypatch.undo()
    assert mat.from_bytes(file_of(packed), "load")["x"].shape == (1, 2**24)


def test_newer_files_say_so(monkeypatch):
    monkeypatch.setattr(mat.mat, "VERSION", 7)
    data = written(1.0)
    monkeypatch.undo()
    with pytest.raises(DataError, match="version 7; this mlnet reads up to version 1"):
        mat.from_bytes(data, "load")


def test_save_and_load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = categorical(["a", "b"])
    save("file", "X", np.ones((2, 3)), "-v6", Y=labels, both=(1, "x"), file=structure({"a": 1, "self": "s"}))
    found = load("file")
    assert list(vars(found)) == ["X", "Y", "both", "file"] and found.both == (1, "x")
    assert vars(found.file) == {"a": 1, "self": "s"}
    assert (labels == found.Y).all() and (tmp_path / "file.mat").exists()
    save("compressed.mat", "X", np.zeros(1000))
    assert (tmp_path / "compressed.mat").stat().st_size < 1000 and load("compressed").X.shape == (1000,)
    for arguments, reason in (
        ((), "needs variables"),
        (("net",), "'net' has no value. Write save.file, net=net"),
        ((1, 2), "got 1 as a name"),
        (("-v7.4", "X", 1), "no option '-v7.4'"),
        (("-append",), "no option '-append'"),
    ):
        with pytest.raises(OptionError, match=reason):
            save("file", *arguments)
    with pytest.raises(OptionError, match="given twice"):
        save("file", "X", 1, X=2)
    for bad in (None, "", 3, ["file"]):
        with pytest.raises(OptionError, match="the name of a file"):
            save(bad, X=1)
        with pytest.raises(OptionError, match="the name of a file"):
            load(bad)
    with pytest.raises(DataError, match="cannot be written: No such file"):
        save(tmp_path / "missing" / "file.mat", X=1)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load("nothing")
    with pytest.raises(MlnetError, match="directory"):
        load(tmp_path)


def test_sparse_matrices(tmp_path):
    sparse = scipy.sparse.csc_matrix([[0, 1.5, 0], [2.5, 0, 0]])
    value = {"real": sparse, "both": sparse * 1j, "flags": sparse.astype(bool), "none": scipy.sparse.csc_matrix((2, 3))}
    scipy.io.savemat(tmp_path / "x.mat", value)
    found = load(tmp_path / "x.mat")
    for name, each in value.items():
        assert np.array_equal(getattr(found, name), each.toarray()), name
    large = array(5, (2**20, 2**20), element(5, bytes(8)), element(5, bytes(8)), element(9, bytes(8)))
    with pytest.raises(DataError, match="too large as a full one"):
        mat.from_bytes(file_of(large), "load")
    for places, starts in (((5,), (0, 1, 1)), ((0,), (0, 2, 1)), ((-1,), (0, 1, 1)), ((0,), (0, 1))):
        parts = [element(5, struct.pack(f"<{len(each)}i", *each)) for each in (places, starts)]
        with pytest.raises(DataError, match="damaged sparse matrix"):
            mat.from_bytes(file_of(array(5, (2, 2), *parts, element(9, struct.pack("<d", 3)))), "load")


def elements(*parts):
    """Return elements of (type, bytes), each filled up to 8 bytes."""
    return b"".join(struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8) for kind, data in parts)


def matlab_file(*parts):
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    return header + elements((14, elements(*parts)))


def whole(*numbers):
    return struct.pack(f"<{len(numbers)}i", *numbers)


@pytest.mark.parametrize("stored", [np.uint8, np.float64])
def test_logical_sparse_matrices_as_matlab_writes_them(stored):
    values = np.array([1, 1, 0], stored)
    flags = (6, whole(5 | 0x200, 3))
    parts = (flags, (5, whole(3, 2)), (1, b"s"), (5, whole(0, 2, 1)), (5, whole(0, 2, 3)), (9, values.tobytes()))
    found = mat.from_bytes(matlab_file(*parts), "load")["s"]
    assert found.dtype == bool
    np.testing.assert_array_equal(found, [[True, False], [False, False], [True, False]])
    with pytest.raises(DataError, match="cut off"):
        mat.from_bytes(matlab_file(*parts[:-1], (9, b"1111")), "load")


def test_sizes_and_names_of_other_types():
    parts = ((6, whole(6, 0)), (6, whole(1, 2)), (16, b"one"), (9, np.array([3.0, 4]).tobytes()))
    np.testing.assert_array_equal(mat.from_bytes(matlab_file(*parts), "load")["one"], [[3, 4]])
    with pytest.raises(DataError, match="cannot be read"):
        mat.from_bytes(matlab_file(parts[0], (6, whole(-1, -2)), *parts[2:]), "load")
    with pytest.raises(DataError, match="cannot be read"):
        mat.from_bytes(matlab_file(*parts[:2], (9, b"a name  "), parts[3]), "load")


def test_files_of_version_4_say_so(tmp_path):
    scipy.io.savemat(tmp_path / "old.mat", {"x": np.eye(2)}, format="4")
    with pytest.raises(DataError, match="version 4.*'-v7'"):
        load(tmp_path / "old.mat")
