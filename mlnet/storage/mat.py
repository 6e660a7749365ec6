"""Plain values <-> MAT-files of level 5, which MATLAB, Octave and SciPy read as well.

Dictionaries are structures, lists are cells, vectors are columns, None is ``[]``; `Tagged` values are structures with
one field more. Names that MATLAB would not take are replaced, and told in the variable ``mlnet_format`` together with
the sizes of vectors, so that reading gives what was written. Files of mlnet have a check sum in their header.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from mlnet.errors import DataError, nearest
from mlnet.storage import mat_format as mat
from mlnet.storage.mat_format import Tagged as Tagged
from mlnet.storage.mat_reader import Reader, Unreadable
from mlnet.storage.mat_writer import Notes, Writer
from mlnet.storage.notes import take_notes

_SUM = re.compile(re.escape(mat.SIGN) + r", CRC-32: ([0-9a-f]{8}) ")
_LEVEL = 1
"""zlib's level: of single precision weights the others make hardly less."""

_DAMAGED = (Unreadable, ValueError, OverflowError, struct.error, zlib.error, MemoryError)


_OLD_HEADER = 20
"""Bytes before the first name in files of version 4."""


def to_bytes(variables: dict[str, Any], where: str, *, is_compressed: bool = False) -> list[bytes]:
    """Return the bytes of a file, in parts.

    Raises
    ------
    OptionError
        For a value that is not plain, and for variables of more than 2 GB.
    """
    notes = Notes()
    parts: list[bytes] = []
    for name, value in variables.items():
        parts += _packed(Writer(notes, where).variable(notes.name(name), value), is_compressed)
    parts = _packed(Writer(Notes(), where).variable(mat.NOTES, notes.plain()), is_compressed) + parts
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    text = f"{mat.SIGN}, CRC-32: {crc:08x} ".ljust(116).encode()
    return [text + bytes(8) + struct.pack("<H2s", 0x0100, b"IM"), *parts]


def _packed(parts: list[bytes], is_compressed: bool) -> list[bytes]:
    if not is_compressed:
        return parts
    packer = zlib.compressobj(_LEVEL)
    packed = [data for part in parts if (data := packer.compress(part))] + [packer.flush()]
    return [struct.pack("<II", mat.COMPRESSED, sum(map(len, packed))), *packed]


def from_bytes(data: bytes, where: str, names: Sequence[str] = (), layout: Literal["C", "F"] = "C") -> dict[str, Any]:
    """Return the variables of a file, or those with the given names, as plain values.

    With the ``layout`` 'F', arrays stay in MATLAB's order, so that large ones need no more time than reading them.

    Memory: the size of the file, that of its unpacked variables (see `mat_reader.RATIO`), and up to 8 times that where
    numbers are stored in a smaller type than theirs.

    Raises
    ------
    DataError
        Where the bytes are damaged, no MAT-file, or hold objects that only MATLAB can read.
    """
    try:
        with np.errstate(all="ignore"):
            return dict(_variables(data, names, layout))
    except _DAMAGED as error:
        reason = str(error) if isinstance(error, Unreadable) else f"it is damaged ({type(error).__name__}: {error})"
        raise DataError(f"{where}: cannot be read: {reason}.") from None
    except UnknownVariable as error:
        raise DataError(f"{where}: {error}") from None


class UnknownVariable(Exception):  # noqa: N818 - becomes a DataError
    """A variable that was asked for is not in the file."""


def _variables(data: bytes, names: Sequence[str], layout: Literal["C", "F"]) -> Iterator[tuple[str, Any]]:
    reader = Reader(memoryview(data)[mat.HEADER :], _byte_order(data), layout)
    found = [variable for variable in reader.variables() if variable.name]  # one without a name is MATLAB's own
    for variable in found:
        if variable.name == mat.NOTES:
            take_notes(reader, reader.read(variable))
    of = {reader.names.get(variable.name, variable.name): variable for variable in found if variable.name != mat.NOTES}
    for name in names:
        if name not in of:
            raise UnknownVariable(f"there is no variable '{name}'.{nearest(name, of)}")
    for name in names or of:
        yield name, reader.read(of[name])


def _byte_order(data: bytes) -> str:
    """Return the byte order of a file after checking its header and check sum."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if len(data) < mat.HEADER or order is None or struct.unpack_from(f"{order}H", data, 124) != (0x0100,):
        if len(data) >= _OLD_HEADER and 0 in data[:4]:  # the others begin with a text
            raise Unreadable(
                "it is of version 4, or no .mat file. In MATLAB, load it and write it with save(..., '-v7')"
            )
        raise Unreadable("it is no .mat file of version 6 or 7, or damaged")
    found = _SUM.match(data[:116].decode("latin-1"))
    if found and int(found[1], 16) != zlib.crc32(memoryview(data)[mat.HEADER :]):
        raise Unreadable("it is damaged or incomplete: its check sum does not fit")
    return order
