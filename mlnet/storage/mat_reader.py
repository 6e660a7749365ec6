"""The bytes of a MAT-file -> plain values; every size in the file is checked before anything of that size is made."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import Any, Literal, NamedTuple

import numpy as np

from mlnet.storage import mat_format as mat
from mlnet.storage.mat_format import SCRIPTS, Tagged

UNPACKED, RATIO = 2**28, 200
"""Compressed variables of a file may unpack to 256 MB together, or to 200 times the size of the file."""


class Unreadable(Exception):  # noqa: N818 - the caller turns it into a DataError that names the file
    """The bytes are damaged, or hold what is no plain value."""


class Variable(NamedTuple):
    """A variable that has not been read: its name, the bytes it is in, and where."""

    name: str
    data: memoryview
    start: int
    end: int


class Reader:
    """Reads the variables of a file.

    Parameters
    ----------
    data : bytes
        What follows the header of the file.
    order : '<' or '>'
        The order of the bytes of a number.
    layout : 'C' or 'F'
        Whether arrays have the last or the first dimension fastest.
    """

    def __init__(self, data: memoryview, order: str, layout: Literal["C", "F"]) -> None:
        self._data, self._order, self._layout = data, order, layout
        self._left = max(UNPACKED, RATIO * len(data))
        self.names: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, ...]] = {}

    def variables(self) -> Iterator[Variable]:
        """Yield the variables of the file in their order."""
        at = 0
        while at < len(self._data):
            kind, start, size, behind = self._tag(self._data, at, len(self._data))
            data, end = self._data, start + size
            if kind == mat.COMPRESSED:
                data, behind = self._unpacked(data[start:end]), end
                kind, start, size, _ = self._tag(data, 0, len(data))
                end = start + size
            if kind != mat.MATRIX:
                raise Unreadable("it has a variable that is no array")
            if end > start:
                yield Variable(self._name(data, start, end), data, start, end)
            at = behind

    def read(self, variable: Variable) -> Any:
        """Return the value of a variable."""
        return self._matrix(variable.data, variable.start, variable.end, (variable.name,))

    def _tag(self, data: memoryview, at: int, end: int) -> tuple[int, int, int, int]:
        """Return type, start and size of the element at ``at``, and where the next one begins."""
        if at + 8 > end:
            raise Unreadable("it ends in the middle of a value")
        (first,) = unpack_from(f"{self._order}I", data, at)
        if first >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, behind = first & 0xFFFF, first >> 16, at + 4, at + 8
            if size > 4:
                raise Unreadable("it has an element of an impossible size")
        else:
            (size,) = unpack_from(f"{self._order}I", data, at + 4)
            kind, start = first, at + 8
            behind = min(start + size + -size % 8, end)
        if start + size > end:
            raise Unreadable("a value needs more bytes than there are")
        return kind, start, size, behind

    def _unpacked(self, data: memoryview) -> memoryview:
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(data, self._left + 1)
        if len(found) > self._left:
            raise Unreadable(f"its variables unpack to more than {RATIO} times the size of the file")
        if not unpacker.eof:
            raise Unreadable("it ends in the middle of a compressed variable")
        self._left -= len(found)
        return memoryview(found)

    def _numbers(self, data: memoryview, at: int, end: int, kinds: tuple[int, ...]) -> tuple[np.ndarray, int]:
        """Return the numbers of the element at ``at``, and where the next one begins."""
        kind, start, size, behind = self._tag(data, at, end)
        if kind not in kinds:
            raise Unreadable(f"it has an element of type {kind} in the place of another one")
        dtype = np.dtype(f"{self._order}{mat.NUMBERS[kind]}")
        if size % dtype.itemsize:
            raise Unreadable("it has a number that is cut off")
        return np.frombuffer(data, dtype, size // dtype.itemsize, start), behind

    def _flags(self, data: memoryview, start: int, end: int) -> tuple[int, int, int]:
        """Return class and flags of an array, and what comes behind them."""
        flags, at = self._numbers(data, start, end, (mat.UINT32,))
        if flags.size != 2:
            raise Unreadable("it has an array without a class")
        return int(flags[0]) & 0xFF, int(flags[0]) >> 8 & 0xFF, at

    def _name(self, data: memoryview, start: int, end: int) -> str:
        kind, _, at = self._flags(data, start, end)
        if kind != mat.OPAQUE:
            _, at = self._numbers(data, at, end, (mat.INT32, mat.UINT32))
        return self._characters(data, at, end)[0]

    def _characters(self, data: memoryview, at: int, end: int) -> tuple[str, int]:
        kind, start, size, behind = self._tag(data, at, end)
        if kind not in (1, 2, mat.UTF8):
            raise Unreadable(f"it has a name of type {kind}")
        return bytes(data[start : start + size]).decode(mat.TEXTS[kind]), behind

    def _matrix(self, data: memoryview, start: int, end: int, path: tuple[str, ...]) -> Any:
        if start == end:
            return np.zeros((0, 0))
        if len(path) > mat.DEPTH:
            raise Unreadable(f"it has structures or cells of more than {mat.DEPTH} levels")
        kind, flags, at = self._flags(data, start, end)
        if kind in (mat.OPAQUE, mat.OBJECT, mat.FUNCTION):
            raise Unreadable(self._no_plain_value(data, kind, at, end, path))
        numbers, at = self._numbers(data, at, end, (mat.INT32, mat.UINT32))  # some other programs write the second
        size = tuple(numbers.tolist())
        if not 2 <= len(size) <= 32 or min(size) < 0:
            raise Unreadable(f"{'.'.join(path)} has the impossible size {size}")
        _, at = self._characters(data, at, end)
        if kind in mat.CLASSES:
            return self._array(data, at, end, path, size, kind, flags)
        if kind == mat.SPARSE:
            return self._sparse(data, at, end, path, size, flags)
        if kind == mat.CHAR:
            return self._text(data, at, end, size)
        if kind == mat.CELL:
            return self._cell(data, at, end, path, size)
        if kind == mat.STRUCT:
            return self._structures(data, at, end, path, size)
        raise Unreadable(f"{'.'.join(path)} has an unknown class")

    def _no_plain_value(self, data: memoryview, kind: int, at: int, end: int, path: tuple[str, ...]) -> str:
        """Return why a value cannot be read, and what to do in MATLAB."""
        what = {mat.FUNCTION: "a function handle", mat.OBJECT: "an object"}.get(kind, "an object")
        if kind == mat.OPAQUE:
            for _ in range(3):  # name, system, class
                class_name, at = self._characters(data, at, end)
            what = f"a MATLAB object of class {class_name!r}"
        return no_plain_value(".".join(path), what)

    def _array(
        self, data: memoryview, at: int, end: int, path: tuple[str, ...], size: tuple[int, ...], kind: int, flags: int
    ) -> Any:
        count, dtype = math.prod(size), np.dtype(mat.CLASSES[kind])
        parts = []
        for _ in range(2 if flags & mat.COMPLEX_FLAG else 1):
            found, at = self._numbers(data, at, end, tuple(mat.NUMBERS))
            if found.size != count:
                raise Unreadable(f"{'.'.join(path)} of size {size} has {found.size} elements")
            parts.append(found.reshape(size, order="F").astype(dtype, order=self._layout))
        array = parts[0]
        if len(parts) == 2:
            array = parts[0] + 1j * parts[1] if dtype.kind == "f" else parts[0] + 1j * parts[1].astype(float)
            array.real, array.imag = parts  # the sum makes NaN of 1j * Inf
        elif flags & mat.LOGICAL_FLAG:
            array = array.astype(bool)
        if self.sizes:
            noted = self.sizes.get(".".join(path))
            if noted is not None and math.prod(noted) == array.size:
                return array.reshape(noted)
        return array.item() if array.size == 1 and array.ndim == 2 else array

    def _sparse(
        self, data: memoryview, at: int, end: int, path: tuple[str, ...], size: tuple[int, ...], flags: int
    ) -> Any:
        """Return a sparse matrix as an array of all its elements."""
        name = ".".join(path)
        if len(size) != 2 or 16 * size[0] * size[1] > self._left:
            raise Unreadable(f"{name} is a sparse matrix of size {size}, too large as a full one")
        self._left -= 16 * size[0] * size[1]
        parts: list[np.ndarray] = []
        for number in range(4 if flags & mat.COMPLEX_FLAG else 3):
            _, start, length, behind = self._tag(data, at, end)
            if number == 2 and flags & mat.LOGICAL_FLAG and length == parts[0].size:
                # MATLAB says that logical values are doubles, and writes a byte for each
                parts.append(np.frombuffer(data, np.uint8, length, start))
                at = behind
            else:
                found, at = self._numbers(data, at, end, tuple(mat.NUMBERS))
                parts.append(found)
        values = parts[2] if len(parts) == 3 else parts[2][: parts[3].size] + 1j * parts[3][: parts[2].size]
        if flags & mat.LOGICAL_FLAG:
            values = values.astype(bool)
        elif values.dtype.kind != "c":
            values = values.astype(float)
        return densely(*size, parts[0], parts[1], values, name)

    def _text(self, data: memoryview, at: int, end: int, size: tuple[int, ...]) -> Any:
        kind, start, length, _ = self._tag(data, at, end)
        if kind not in mat.TEXTS:
            raise Unreadable(f"it has a text of type {kind}")
        encoding = mat.TEXTS[kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self._order == "<" else "-be"
        text = bytes(data[start : start + length]).decode(
            encoding, "surrogatepass" if encoding[:4] == "utf-" else "strict"
        )
        if math.prod(size) == 0:
            return ""
        rows = size[0]
        if rows == 1:
            return text
        if rows * (len(text) // rows) != math.prod(size) or rows > len(text):
            raise Unreadable(f"a text of size {size} has {len(text)} characters")
        return [text[row::rows].rstrip() for row in range(rows)]

    def _cell(self, data: memoryview, at: int, end: int, path: tuple[str, ...], size: tuple[int, ...]) -> list[Any]:
        count = math.prod(size)
        if 8 * count > end - at:
            raise Unreadable(f"{'.'.join(path)} has more cells than there are bytes")
        values = []
        for number in range(1, count + 1):
            value, at = self._inner(data, at, end, (*path, str(number)))
            values.append(value)
        return nested(values, size)

    def _inner(self, data: memoryview, at: int, end: int, path: tuple[str, ...]) -> tuple[Any, int]:
        kind, start, size, behind = self._tag(data, at, end)
        if kind != mat.MATRIX:
            raise Unreadable(f"{'.'.join(path)} is no array")
        return self._matrix(data, start, start + size, path), behind

    def _structures(self, data: memoryview, at: int, end: int, path: tuple[str, ...], size: tuple[int, ...]) -> Any:
        lengths, at = self._numbers(data, at, end, (mat.INT32,))
        kind, start, total, at = self._tag(data, at, end)
        length = int(lengths[0]) if lengths.size == 1 else 0
        if kind not in (1, 2) or length < 1 or total % length:
            raise Unreadable(f"the names of the fields of {'.'.join(path)} are damaged")
        block = bytes(data[start : start + total])
        names = [block[place : place + length].split(b"\0")[0].decode("latin-1") for place in range(0, total, length)]
        count = math.prod(size)
        if 8 * count * max(1, len(names)) > end - at + 8 * (count == 1):
            raise Unreadable(f"{'.'.join(path)} has more structures than there are bytes")
        values = []
        for number in range(1, count + 1):
            inner = path if count == 1 else (*path, str(number))
            fields = {}
            for name in names:
                fields[self.names.get(name, name)], at = self._inner(data, at, end, (*inner, name))
            tag = fields.pop(mat.TAG, None) if mat.TAG in names else None
            values.append(Tagged(tag, fields) if isinstance(tag, str) else fields)
        return values[0] if count == 1 else nested(values, size)


def no_plain_value(name: str, what: str) -> str:
    """Return why a value cannot be read, and what to do in MATLAB."""
    return (
        f"{name} is {what}, which only MATLAB can read. In MATLAB, with addpath('{SCRIPTS}'), write networks with "
        f"exportToMlnet(net, file), for importNetworkFromMATLAB, and other values with "
        f"exportToMlnet(struct('{name.split('.')[0]}', {{{name.split('.')[0]}}}), file); or load other variables by "
        "their names"
    )


def densely(rows: int, columns: int, places: Any, starts: Any, values: Any, name: str) -> np.ndarray:
    """Return the array of a sparse matrix: column c has ``values[starts[c] : starts[c + 1]]`` at these ``places``."""
    counts = np.diff(starts.astype(np.int64))
    total = int(counts.sum()) if counts.size else 0
    fits = counts.size == columns and (counts >= 0).all() and (not columns or starts[0] == 0)
    if not fits or total > min(places.size, values.size):
        raise Unreadable(f"{name} is a damaged sparse matrix")
    rows_of = places[:total].astype(np.int64)
    if total and not (rows_of.min() >= 0 and rows_of.max() < rows):
        raise Unreadable(f"{name} is a damaged sparse matrix")
    array = np.zeros((rows, columns), values.dtype, order="F")
    array[rows_of, np.repeat(np.arange(columns), counts)] = values[:total]
    return array


def nested(values: list[Any], size: tuple[int, ...]) -> list[Any]:
    """Return values in MATLAB's order as a list, for matrices as a list of rows."""
    if len(values) == max(size) or not values:
        return values
    array = np.empty(len(values), object)
    for number, value in enumerate(values):
        array[number] = value
    return array.reshape(size, order="F").tolist()
