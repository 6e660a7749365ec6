"""Arrays in .npz files of NumPy, read and written without pickle."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError, nearest
from mlnet.options import describe
from mlnet.storage.mat_reader import RATIO, UNPACKED, Unreadable

_DAMAGED: tuple[type[BaseException], ...] = (Unreadable, OSError, EOFError, ValueError, KeyError, TypeError)
_DAMAGED += (
    OverflowError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    SyntaxError,
    UnicodeError,
    AttributeError,
    IndexError,
)
_LARGEST_HEADER = 10_000


def from_file(path: Path, where: str, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of a file, or those with the given names.

    Memory: at most twice that of the arrays, which together are at most 256 MB or 200 times the size of the file.

    Raises
    ------
    DataError
        Where the file is damaged, or holds objects of Python, which would have to be run.
    """
    try:
        with zipfile.ZipFile(path) as file:
            of = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
            missing = [name for name in names if name not in of]
            left = max(UNPACKED, RATIO * path.stat().st_size)
            if missing:
                raise DataError(f"{where}: there is no variable '{missing[0]}'.{nearest(missing[0], of)}")
            found = {}
            for name in names or of:
                with file.open(of[name]) as member:
                    data = member.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise Unreadable(f"its arrays take more than {RATIO} times the size of the file")
                found[name] = _array(data, name)
            return found
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        reason = str(error) if isinstance(error, Unreadable) else f"it is damaged ({type(error).__name__}: {error})"
        raise DataError(f"{where}: cannot be read: {' '.join(reason.split())}.") from None


def _array(data: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream, max_header_size=_LARGEST_HEADER)
    else:
        header = np.lib.format.read_array_header_2_0(stream, max_header_size=_LARGEST_HEADER)
    size, is_fortran, dtype = header
    if dtype.hasobject:
        raise Unreadable(f"{name} holds objects of Python, which reading would have to run. Save plain arrays")
    start = stream.tell()
    if math.prod(size) * dtype.itemsize != len(data) - start or min(size, default=0) < 0:
        raise Unreadable(f"{name} of size {size} has {len(data) - start} bytes")
    if not dtype.itemsize:
        return np.zeros(size, dtype)
    return np.frombuffer(data, dtype, offset=start).reshape(size, order="F" if is_fortran else "C").copy()


def to_bytes(variables: dict[str, Any], where: str, *, is_compressed: bool) -> list[bytes]:
    """Return the bytes of a file; raise OptionError for what is no array, number or text."""
    arrays: dict[str, Any] = {}
    for name, value in variables.items():
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.hasobject or isinstance(value, (dict, tuple)):
            fix = "An .npz file holds arrays. Use the ending .mat for everything else."
            raise OptionError(f"{where}: {name}: got {describe(value)}. {fix}")
        arrays[name] = array
    stream = io.BytesIO()
    write: Any = np.savez_compressed if is_compressed else np.savez
    write(stream, **arrays)
    return [stream.getvalue()]
