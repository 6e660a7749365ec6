"""Plain values -> the bytes of variables in a MAT-file."""

from __future__ import annotations

import re
from struct import pack
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.options import describe
from mlnet.storage import mat_format as mat
from mlnet.storage.mat_format import Tagged

_CLASS_OF = {name: number for number, name in mat.CLASSES.items()}
_ELEMENT_OF = {name: number for number, name in mat.NUMBERS.items()}
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_LARGEST = 2**31 - 1
"""Bytes of a variable, and elements along a dimension."""


class Notes:
    """What the format does not say: original names, and sizes that are not those of a matrix, by path."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, ...]] = {}

    def name(self, name: str) -> str:
        """Return a valid name for a field or variable; those that are none get a number."""
        if _IDENTIFIER.fullmatch(name) and not name.startswith(mat.RESERVED):
            return name
        if name not in self.names:
            self.names[name] = f"{mat.RESERVED}name_{len(self.names) + 1}"
        return self.names[name]

    def plain(self) -> dict[str, Any]:
        """Return the notes as a plain value."""
        return {
            "version": mat.VERSION,
            "names": list(self.names),
            "stored_names": list(self.names.values()),
            "paths": list(self.sizes),
            "sizes": [np.array([[*size]], float).reshape(1, -1) for size in self.sizes.values()],
        }


class Writer:
    """Collects the bytes of one variable in ``parts``.

    Parameters
    ----------
    notes : Notes
        What this writer adds to.
    where : text
        Beginning of messages.
    """

    def __init__(self, notes: Notes, where: str) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._notes, self._where = notes, where
        self._path: list[str] = []

    def variable(self, name: str, value: Any) -> list[bytes]:
        """Return the bytes of a variable."""
        self._path = [name]
        self._matrix(name.encode(), value)
        if self.size > _LARGEST:
            fix = "Save it with '-v7.3'."
            raise OptionError(f"{self._at()}: takes {self.size} bytes; a variable has at most 2 GB. {fix}")
        return self.parts

    def _at(self) -> str:
        return f"{self._where}: {'.'.join(self._path)}"

    def _add(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)

    def _element(self, kind: int, data: bytes) -> None:
        if len(data) <= 4:
            self._add(pack("<HH4s", kind, len(data), data))
            return
        self._add(pack("<II", kind, len(data) & 0xFFFFFFFF))
        self._add(data)
        if len(data) % 8:
            self._add(bytes(-len(data) % 8))

    def _matrix(self, name: bytes, value: Any) -> None:
        place, start = len(self.parts), self.size + 8
        self._add(bytes(8))
        if len(self._path) > mat.DEPTH:
            raise OptionError(f"{self._where}: {self._path[0]}: holds lists or structures of too many levels.")
        if isinstance(value, str):
            self._text(name, value)
        elif isinstance(value, (dict, Tagged)):
            self._structure(name, value)
        elif isinstance(value, (list, tuple)):
            self._cell(name, value)
        else:
            self._numbers(name, value)
        self.parts[place] = pack("<II", mat.MATRIX, (self.size - start) & 0xFFFFFFFF)

    def _head(self, name: bytes, kind: int, flags: int, size: tuple[int, ...]) -> None:
        if max(size) > _LARGEST:
            raise OptionError(
                f"{self._at()}: has size {size}; a dimension of a .mat file has at most 2^31 - 1 elements."
            )
        self._add(pack("<IIII", mat.UINT32, 8, kind | flags << 8, 0))
        self._element(mat.INT32, pack(f"<{len(size)}i", *size))
        self._element(mat.INT8, name)

    def _text(self, name: bytes, value: str) -> None:
        if value.isascii():
            kind, data, count = mat.UTF8, value.encode(), len(value)
        else:
            data = value.encode("utf-16-le", "surrogatepass")
            kind, count = mat.UTF16, len(data) // 2
        self._head(name, mat.CHAR, 0, (1, count) if count else (0, 0))
        self._element(kind, data)

    def _cell(self, name: bytes, values: list[Any] | tuple[Any, ...]) -> None:
        self._head(name, mat.CELL, 0, (1, len(values)) if values else (0, 0))
        for number, value in enumerate(values, start=1):
            self._path.append(str(number))
            self._matrix(b"", value)
            self._path.pop()

    def stored(self, value: dict[str, Any] | Tagged) -> dict[str, Any]:
        """Return the fields of a structure by the names that they have in the file."""
        tag, fields = ({mat.TAG: value.kind}, value.fields) if isinstance(value, Tagged) else ({}, value)
        for key in fields:
            if not isinstance(key, str):
                raise OptionError(f"{self._at()}: needs texts as names of fields, but got {describe(key)}.")
        return {**tag, **{self._notes.name(key): value for key, value in fields.items()}}

    def _structure(self, name: bytes, value: dict[str, Any] | Tagged) -> None:
        stored = self.stored(value)
        length = max([32, *(len(key) + 1 for key in stored)])
        self._head(name, mat.STRUCT, 0, (1, 1))
        self._element(mat.INT32, pack("<i", length))
        self._element(mat.INT8, b"".join(key.encode().ljust(length, b"\0") for key in stored))
        for key, each in stored.items():
            self._path.append(key)
            self._matrix(b"", each)
            self._path.pop()

    def array_of(self, value: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return a numeric value as an array, and its size in MATLAB."""
        try:
            array = np.zeros((0, 0)) if value is None else np.asarray(value)
        except (ValueError, OverflowError):
            array = np.asarray(None)
        if array.dtype.kind != "b" and _kind_of(array) not in _CLASS_OF:
            fix = " Convert it with astype." if array.dtype.kind in "fc" else ""
            raise OptionError(f"{self._at()}: {describe(value)} cannot be kept in a .mat file.{fix}")
        if isinstance(value, np.ndarray) and (array.ndim < 2 or array.size == 1):
            self._notes.sizes[".".join(self._path)] = array.shape
        return array, {0: (1, 1), 1: (array.size, 1)}.get(array.ndim, array.shape)

    def _numbers(self, name: bytes, value: Any) -> None:
        array, size = self.array_of(value)
        is_logical, is_complex, kind = array.dtype.kind == "b", array.dtype.kind == "c", _kind_of(array)
        self._head(name, _CLASS_OF[kind], is_logical * mat.LOGICAL_FLAG | is_complex * mat.COMPLEX_FLAG, size)
        for part in (array.real, array.imag) if is_complex else (array,):
            self._element(_ELEMENT_OF[kind], part.astype(f"<{kind}", copy=False).tobytes(order="F"))


def _kind_of(array: np.ndarray) -> str:
    """Return NumPy's type of the numbers that are stored; of real and imaginary parts for complex ones."""
    if array.dtype.kind == "b":
        return "u1"
    return f"f{array.dtype.itemsize // 2}" if array.dtype.kind == "c" else array.dtype.str[1:]
