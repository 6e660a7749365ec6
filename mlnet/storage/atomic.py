"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_CHUNK = 2**20


class _Checked:
    """Passes bytes on to a file, and keeps their number and their CRC-32."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = self.crc = 0

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        self._file.write(data)
        self.size, self.crc = self.size + len(data), zlib.crc32(data, self.crc)
        return len(data)


def write_atomically(path: str | os.PathLike[str], write: Callable[[_Checked], object]) -> None:
    """Let ``write`` fill a file that gets its name ``path`` when it is complete on the disk.

    The bytes go to a file of another name in the same folder, are flushed to the disk and read back, and then take the
    place of what is at ``path``. Whatever happens before leaves ``path`` as it was.

    Raises
    ------
    OSError
        Where the file cannot be written; no other file is left behind.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            checked = _Checked(file)
            write(checked)
            file.flush()
            os.fsync(file.fileno())
        _read_back(temporary, checked)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(target.parent)


def replace_atomically(path: str | os.PathLike[str], fill: Callable[[Path], object]) -> None:
    """Let ``fill`` make a file of another name, which takes the place of what is at ``path`` then.

    For files that are not written from the beginning to the end; ``fill`` brings them to the disk. Whatever happens
    before leaves ``path`` as it was.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        fill(temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(target.parent)


def _read_back(path: Path, written: _Checked) -> None:
    size = crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    if (size, crc) != (written.size, written.crc):
        raise OSError(f"{str(path)!r} does not hold what was written into it; the disk may be failing")


def _flush_folder(folder: Path) -> None:
    """Bring the name of a new file to the disk, where the system lets one open folders."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the file itself is on the disk
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
