"""MAT-files of version 7.3, which are HDF5 files with MATLAB's header: what is in them as plain values, and back.

The format is not documented by MATLAB; it is as MATLAB R2006b and later write it: cells refer to objects in the group
``#refs#``, structures are groups, texts are numbers of 16 bits, dimensions are reversed, and attributes that begin with
``MATLAB_`` tell classes and sizes of empty arrays.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlnet.errors import DataError, MissingExtraError, nearest
from mlnet.storage import hdf_chunks
from mlnet.storage import mat_format as mat
from mlnet.storage.mat_format import Tagged
from mlnet.storage.mat_reader import RATIO, UNPACKED, Unreadable, densely, nested, no_plain_value
from mlnet.storage.notes import take_notes

BLOCK = 512
"""Bytes of MATLAB's header before those of HDF5."""
SIGN = "MATLAB 7.3 MAT-file, Platform: mlnet"
_SUM = re.compile(re.escape(SIGN).encode() + rb", CRC-32: ([0-9a-f]{8}) ")
_HDF = b"\x89HDF\r\n\x1a\n"
_ARRAY, _CONTAINER = 2**10, 2**14
"""What an array, and a cell or structure, count as in bytes, so that those that are referred to again and again come to
an end. MATLAB has one empty array for all empty elements of a cell, but no cell twice."""
_LARGEST_ATTRIBUTE = 2**16
_NUMBERS = {
    "double": "f8",
    "single": "f4",
    **{f"{sign}int{8 * n}": f"{sign or 'i'}{n}" for sign in ("", "u") for n in (1, 2, 4, 8)},
}
"""Classes of numeric arrays, with NumPy's types."""
CLASS_OF = {kind: name for name, kind in _NUMBERS.items()}
_DAMAGED: tuple[type[BaseException], ...] = (Unreadable, ValueError, OverflowError, MemoryError, OSError, RuntimeError)
_DAMAGED += (KeyError, TypeError, AttributeError, IndexError, SystemError)


def is_hdf(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of version 7.3."""
    return head[:10] == b"MATLAB 7.3" or head[:8] == _HDF or head[BLOCK : BLOCK + 8] == _HDF


def h5py_for(where: str) -> Any:
    """Return the package h5py; raise `MissingExtraError` where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            f"{where}: files of version 7.3 need the package h5py: pip install 'mlnet[mat73]'. Or write version 7: in "
            "MATLAB with save(file, ..., '-v7'), for variables of less than 2 GB."
        ) from None
    return h5py


def from_file(path: Path, where: str, names: Sequence[str] = (), layout: Literal["C", "F"] = "C") -> dict[str, Any]:
    """Return the variables of a file, or those with the given names, as plain values.

    Memory: that of the arrays, which together are at most 256 MB or 200 times the size of the file, and up to 8 times
    that where numbers are stored in a smaller type than theirs. Packed arrays are unpacked part by part, none of them
    to more than its share; what the library itself takes for a damaged file is a few megabytes.

    Raises
    ------
    DataError
        Where the file is damaged, is no file of MATLAB, or holds objects that only MATLAB can read.
    MissingExtraError
        Where the package h5py is not installed.
    """
    h5py = h5py_for(where)
    try:
        is_whole = _check_sum(path)
        with h5py.File(path, "r", locking=False) as file:
            reader = Reader(h5py, file, path.stat().st_size, layout, is_whole=is_whole)
            found = reader.variables(names)
    except _DAMAGED as error:
        reason = str(error) if isinstance(error, Unreadable) else f"it is damaged ({type(error).__name__}: {error})"
        raise DataError(f"{where}: cannot be read: {' '.join(reason.split())}.") from None
    if isinstance(found, str):
        raise DataError(f"{where}: {found}")
    return found


def check_sum(path: Path) -> int:
    """Return the CRC-32 of what follows the header."""
    crc = 0
    with open(path, "rb") as file:
        file.seek(BLOCK)
        while chunk := file.read(2**20):
            crc = zlib.crc32(chunk, crc)
    return crc


def _check_sum(path: Path) -> bool:
    """Tell whether a file is one of mlnet's; refuse a damaged one of these before anything in it is looked at."""
    with open(path, "rb") as file:
        found = _SUM.match(file.read(BLOCK))
    if found and int(found[1], 16) != check_sum(path):
        raise Unreadable("it is damaged or incomplete: its check sum does not fit")
    return found is not None


class Reader:
    """Reads the variables of a file.

    Parameters
    ----------
    h5py : the package
    file : h5py.File
    size : int
        Bytes of the file, which arrays may be 200 times as large as.
    layout : 'C' or 'F'
        Whether arrays have the last or the first dimension fastest.
    is_whole : bool
        Whether the check sum of the file is right.
    """

    def __init__(self, h5py: Any, file: Any, size: int, layout: Literal["C", "F"], *, is_whole: bool) -> None:
        self._is_whole = is_whole
        self._h5py, self._file, self._layout = h5py, file, layout
        self._size, self._left = size, max(UNPACKED, RATIO * size)
        self.names: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, ...]] = {}

    def variables(self, names: Sequence[str]) -> dict[str, Any] | str:
        """Return variables, or why there is none of a name."""
        found = [name for name in self._file if not name.startswith("#")]
        if mat.NOTES in found:
            take_notes(self, self._member(self._file, mat.NOTES, (mat.NOTES,)))
        of = {self.names.get(name, name): name for name in found if name != mat.NOTES}
        for name in names:
            if name not in of:
                return f"there is no variable '{name}'.{nearest(name, of)}"
        return {name: self._member(self._file, of[name], (of[name],)) for name in names or of}

    def _member(self, group: Any, name: str, path: tuple[str, ...]) -> Any:
        if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
            raise Unreadable(f"{'.'.join(path)} is a link to another place")
        return self._value(group[name], path)

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unreadable(f"its variables take more than {RATIO} times the size of the file")

    def _value(self, found: Any, path: tuple[str, ...]) -> Any:
        if len(path) > mat.DEPTH:
            raise Unreadable(f"it has structures or cells of more than {mat.DEPTH} levels")
        kind = _text_of(_attribute(found, "MATLAB_class"))
        self._take(_CONTAINER if kind in ("cell", "struct") else _ARRAY)
        name = ".".join(path)
        if "MATLAB_object_decode" in found.attrs or kind == "function_handle":
            what = "a function handle" if kind == "function_handle" else f"a MATLAB object of class {kind!r}"
            raise Unreadable(no_plain_value(name, what))
        if isinstance(found, self._h5py.Group):
            if "MATLAB_sparse" in found.attrs:
                return self._sparse(found, path, kind)
            if kind not in ("struct", ""):
                raise Unreadable(no_plain_value(name, f"a MATLAB object of class {kind!r}"))
            return self._structures(found, path)
        if not isinstance(found, self._h5py.Dataset):
            raise Unreadable(f"{name} is no array")
        if not kind:
            raise Unreadable(f"{name} has no class: it is an HDF5 file that MATLAB has not written")
        if kind == "struct" and "MATLAB_empty" in found.attrs:
            return []
        if kind == "cell":
            return self._cell(found, path)
        if kind == "char":
            return self._text(found, path)
        if kind != "logical" and kind not in _NUMBERS:
            raise Unreadable(no_plain_value(name, f"a MATLAB object of class {kind!r}"))
        return self._shaped(self._array(found, path, "?" if kind == "logical" else _NUMBERS[kind]), path)

    def _raw(self, found: Any, path: tuple[str, ...]) -> np.ndarray:
        """Return what a dataset holds, with MATLAB's dimensions, after a look at how large it is."""
        name = ".".join(path)
        if found.shape is None or found.ndim > 32:
            raise Unreadable(f"{name} has no size")
        if found.is_virtual or found.external:
            raise Unreadable(f"{name} is in another file")
        dtype = found.dtype
        if dtype.hasobject and self._h5py.check_ref_dtype(dtype) is not self._h5py.Reference:
            raise Unreadable(f"{name} has elements of an unknown type")
        if dtype.kind not in "fiubOV" or dtype.itemsize > 16:
            raise Unreadable(f"{name} has elements of an unknown type")
        self._take(found.size * dtype.itemsize)
        if found.chunks is not None:
            return hdf_chunks.read(self._h5py, found, self._size, name).T
        return np.asarray(found[()]).T

    def _array(self, found: Any, path: tuple[str, ...], kind: str) -> np.ndarray:
        raw = self._raw(found, path)
        if _attribute(found, "MATLAB_empty"):
            size: tuple[int, ...] = tuple(int(n) for n in raw.ravel()[:32])
            if raw.dtype.kind not in "iuf" or np.prod(size, dtype=object) or min(size, default=0) < 0:
                raise Unreadable(f"{'.'.join(path)} has the impossible size {size}")
            return np.zeros(size if len(size) > 1 else (0, 0), kind)
        if raw.dtype.names is not None:
            if raw.dtype.names != ("real", "imag"):
                raise Unreadable(f"{'.'.join(path)} has elements of an unknown type")
            array = np.empty(raw.shape, np.result_type(kind, np.complex64), order=self._layout)
            array.real, array.imag = raw["real"], raw["imag"]
            return array
        if raw.dtype.kind not in "fiub":
            raise Unreadable(f"{'.'.join(path)} has elements of an unknown type")
        return raw.astype(kind, order=self._layout, copy=not (raw.flags.writeable and raw.dtype == kind))

    def _shaped(self, array: np.ndarray, path: tuple[str, ...]) -> Any:
        noted = self.sizes.get(".".join(path))
        if noted is not None and math.prod(noted) == array.size:
            return array.reshape(noted)
        return array.item() if array.size == 1 and array.ndim == 2 else array

    def _text(self, found: Any, path: tuple[str, ...]) -> Any:
        array = self._array(found, path, "u4" if found.dtype.itemsize > 2 else "u2")
        if array.ndim > 2 or not array.size:
            return ""
        rows = [row.astype("<u2").tobytes().decode("utf-16-le", "surrogatepass") for row in np.atleast_2d(array)]
        return rows[0] if len(rows) == 1 else [row.rstrip() for row in rows]

    def _references(self, found: Any, path: tuple[str, ...]) -> tuple[list[Any], tuple[int, ...]]:
        raw = self._raw(found, path)
        if self._h5py.check_ref_dtype(found.dtype) is not self._h5py.Reference:
            raise Unreadable(f"{'.'.join(path)} does not refer to its elements")
        return list(raw.ravel(order="F")), raw.shape

    def _cell(self, found: Any, path: tuple[str, ...]) -> list[Any]:
        if _attribute(found, "MATLAB_empty"):
            return []
        references, size = self._references(found, path)
        values = [self._referred(each, (*path, str(number))) for number, each in enumerate(references, start=1)]
        return nested(values, size)

    def _referred(self, reference: Any, path: tuple[str, ...]) -> Any:
        if not reference:
            return np.zeros((0, 0))
        return self._value(self._file[reference], path)

    def _structures(self, group: Any, path: tuple[str, ...]) -> Any:
        names = self._fields(group)
        first = group.get(names[0]) if names else None
        if isinstance(first, self._h5py.Dataset) and "MATLAB_class" not in first.attrs and first.dtype.hasobject:
            return self._several(group, names, path)
        return self._tagged({name: self._member(group, name, (*path, name)) for name in names})

    def _fields(self, group: Any) -> list[str]:
        """Return the names of fields in their order.

        MATLAB keeps the order in an attribute whose lengths the library takes for true: a damaged one makes it ask for
        gigabytes. Where no check sum says that the file is whole, the order is that of the places in the file, in which
        MATLAB writes fields one after the other.
        """
        names = [str(name) for name in group]
        given = _attribute(group, "MATLAB_fields") if self._is_whole else None
        if given is not None:
            order = [b"".join(np.ravel(each).tolist()).decode("latin-1") for each in given]
            return order if sorted(order) == sorted(names) else names
        return sorted(names, key=lambda name: int(self._h5py.h5o.get_info(group.id, name.encode()).addr))

    def _several(self, group: Any, names: list[str], path: tuple[str, ...]) -> Any:
        columns = {name: self._references(group[name], (*path, name)) for name in names}
        size = columns[names[0]][1]
        if any(each != size for _, each in columns.values()):
            raise Unreadable(f"{'.'.join(path)} has fields of different sizes")
        values = []
        for number in range(math.prod(size)):
            inner = (*path, str(number + 1))
            fields = {name: self._referred(column[number], (*inner, name)) for name, (column, _) in columns.items()}
            values.append(self._tagged(fields))
        return nested(values, size)

    def _tagged(self, fields: dict[str, Any]) -> Any:
        tag = fields.pop(mat.TAG, None) if mat.TAG in fields else None
        named = {self.names.get(name, name): value for name, value in fields.items()}
        return Tagged(tag, named) if isinstance(tag, str) else named

    def _sparse(self, group: Any, path: tuple[str, ...], kind: str) -> np.ndarray:
        """Return a sparse matrix as an array of all its elements."""
        rows = int(_attribute(group, "MATLAB_sparse"))
        starts = self._array(group["jc"], (*path, "jc"), "i8").ravel()
        columns = max(0, starts.size - 1)
        dtype = "?" if kind == "logical" else "f8"
        if rows < 0 or rows * columns > max(0, self._left):
            raise Unreadable(f"{'.'.join(path)} is a sparse matrix of size {rows}x{columns}, too large as a full one")
        self._take(rows * columns * 8)
        if "data" not in group:
            return np.zeros((rows, columns), dtype)
        places = self._array(group["ir"], (*path, "ir"), "i8").ravel()
        values = self._array(group["data"], (*path, "data"), dtype).ravel()
        return densely(rows, columns, places, starts, values, ".".join(path))


def _attribute(found: Any, name: str) -> Any:
    """Return an attribute, after a look at its size, or None where there is none."""
    if name not in found.attrs:
        return None
    known = found.attrs.get_id(name)
    if max(1, math.prod(known.shape)) * max(known.dtype.itemsize, known.get_type().get_size()) > _LARGEST_ATTRIBUTE:
        raise Unreadable(f"the attribute {name} is damaged")
    return found.attrs[name]


def _text_of(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""
