"""Arrays in .npz files, without pickle."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from mlnet import DataError, OptionError, load, save


def test_arrays_come_back_as_numpy_has_them(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.array(5)}
    np.savez(tmp_path / "theirs.npz", **arrays, f=np.asfortranarray(arrays["a"]), e=np.zeros((0, 3)))
    found = load(tmp_path / "theirs.npz")
    assert all(np.array_equal(getattr(found, name), value) for name, value in arrays.items())
    assert found.a.dtype == np.float32 and found.a.flags.writeable and found.e.shape == (0, 3)
    assert np.array_equal(found.f, arrays["a"])
    save(tmp_path / "ours.npz", "a", arrays["a"], "-v6", n=3, names=["x", "y"])
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as again:
        assert np.array_equal(again["a"], arrays["a"]) and again["n"] == 3 and again["names"].tolist() == ["x", "y"]
    assert list(vars(load(tmp_path / "ours.npz", "n"))) == ["n"]
    with pytest.raises(DataError, match="no variable 'm'"):
        load(tmp_path / "ours.npz", "m")


def test_what_is_no_plain_array(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="x holds objects of Python"):
        load(tmp_path / "objects.npz")
    for bad in ({"a": 1}, [[1], [2, 3]], (1, "a")):
        with pytest.raises(OptionError, match="x: got .*ending .mat"):
            save(tmp_path / "bad.npz", x=bad)
    with pytest.raises(DataError, match="No such file"):
        load(tmp_path / "nothing.npz")
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as file:
        file.writestr("x.npy", stream.getvalue())
    with pytest.raises(DataError, match="x of size .* has 0 bytes"):
        load(tmp_path / "large.npz")
