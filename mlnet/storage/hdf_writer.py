"""Plain values -> a MAT-file of version 7.3."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.storage import hdf
from mlnet.storage import mat_format as mat
from mlnet.storage.mat_format import Tagged
from mlnet.storage.mat_writer import Notes, Writer

_NUMBER = re.compile(r"errno = (\d+)")


def fill(path: Path, variables: dict[str, Any], where: str) -> None:
    """Write variables into a new file, with MATLAB's header and a check sum.

    Raises
    ------
    OptionError
        For a value that is not plain.
    MissingExtraError
        Where the package h5py is not installed.
    OSError
        Where the file cannot be written.
    """
    h5py = hdf.h5py_for(where)
    try:
        with h5py.File(path, "w", userblock_size=hdf.BLOCK, libver="earliest") as file:
            notes = Notes()
            writer = HdfWriter(h5py, file, notes, where)
            for name, value in variables.items():
                writer.add(notes.name(name), value)
            HdfWriter(h5py, file, Notes(), where).add(mat.NOTES, notes.plain())
    except (OSError, RuntimeError) as error:
        raise _of_the_system(error) from error
    text = f"{hdf.SIGN}, CRC-32: {hdf.check_sum(path):08x} HDF5 schema 1.00 .".ljust(116).encode()
    with open(path, "r+b") as out:
        out.write((text + bytes(8) + b"\x00\x02IM").ljust(hdf.BLOCK, b"\0"))
        out.flush()
        os.fsync(out.fileno())


def _of_the_system(error: OSError | RuntimeError) -> OSError:
    """Return the error of the system behind one of the library, which speaks of places in the file and of its name."""
    found = _NUMBER.search(str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else 0)
    return OSError(number, os.strerror(number)) if number else OSError("the library HDF5 could not write it")


class HdfWriter(Writer):
    """Adds variables to a file; arrays have their dimensions reversed there.

    Parameters
    ----------
    h5py : the package
    file : h5py.File
    notes : Notes
        What this writer adds to.
    where : text
        Beginning of messages.
    """

    def __init__(self, h5py: Any, file: Any, notes: Notes, where: str) -> None:
        super().__init__(notes, where)
        self._h5py, self._file = h5py, file
        self._count = len(file["#refs#"]) if "#refs#" in file else 0

    def add(self, name: str, value: Any) -> None:
        """Add a variable."""
        self._path = [name]
        self._put(self._file, name, value)

    def _put(self, group: Any, name: str, value: Any) -> Any:
        if len(self._path) > mat.DEPTH:
            raise OptionError(f"{self._where}: {self._path[0]}: holds lists or structures of too many levels.")
        if isinstance(value, str):
            codes = np.frombuffer(value.encode("utf-16-le", "surrogatepass"), "<u2").reshape(1, -1)
            return self._dataset(group, name, codes if codes.size else np.zeros((0, 0), "u2"), "char", decode=2)
        if isinstance(value, (dict, Tagged)):
            return self._group(group, name, value)
        if isinstance(value, (list, tuple)):
            return self._cells(group, name, value)
        array, size = self.array_of(value)
        array = array.reshape(size)
        if array.dtype.kind == "b":
            return self._dataset(group, name, array.astype("u1"), "logical", decode=1)
        if array.dtype.kind == "c":
            kind = f"f{array.dtype.itemsize // 2}"
            parts = np.empty(array.shape, [("real", kind), ("imag", kind)])
            parts["real"], parts["imag"] = array.real, array.imag
            return self._dataset(group, name, parts, hdf.CLASS_OF[kind])
        return self._dataset(group, name, array, hdf.CLASS_OF[array.dtype.str[1:]])

    def _dataset(self, group: Any, name: str, array: np.ndarray, kind: str, decode: int = 0) -> Any:
        made = group.create_dataset(name, data=array.T if array.size else np.array(array.shape, "u8"))
        made.attrs["MATLAB_class"] = np.bytes_(kind)
        if not array.size:
            made.attrs["MATLAB_empty"] = np.uint8(1)
        if decode:
            made.attrs["MATLAB_int_decode"] = np.int32(decode)
        return made

    def _group(self, group: Any, name: str, value: dict[str, Any] | Tagged) -> Any:
        made = group.create_group(name)
        stored = self.stored(value)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        if stored:
            fields = np.empty(len(stored), object)
            for number, key in enumerate(stored):
                fields[number] = np.array([*key], "S1")
            made.attrs.create("MATLAB_fields", fields, dtype=self._h5py.vlen_dtype(np.dtype("S1")))
        for key, each in stored.items():
            self._path.append(key)
            self._put(made, key, each)
            self._path.pop()
        return made

    def _cells(self, group: Any, name: str, values: list[Any] | tuple[Any, ...]) -> Any:
        if not values:
            return self._dataset(group, name, np.zeros((0, 0), "u8"), "cell")
        places = self._file.require_group("#refs#")
        references = np.empty((len(values), 1), self._h5py.ref_dtype)
        for number, value in enumerate(values):
            self._path.append(str(number + 1))
            self._count += 1
            references[number, 0] = self._put(places, f"r{self._count}", value).ref
            self._path.pop()
        made = group.create_dataset(name, data=references, dtype=self._h5py.ref_dtype)
        made.attrs["MATLAB_class"] = np.bytes_("cell")
        return made
