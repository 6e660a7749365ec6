"""Where the oneDNN library is: an environment variable, an installed package, or the system."""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mlnet.engines.onednn.library import Library, UnusableError

VARIABLE = "MLNET_ONEDNN"
"""The environment variable that names the file of the library; nothing else is tried then."""

PACKAGES = ("onednn-cpu-gomp", "onednn-cpu-iomp", "onednn-cpu-tbb", "onednn")
NAMES = {"win32": "dnnl.dll", "darwin": "libdnnl.3.dylib"}
NAME = NAMES.get(sys.platform, "libdnnl.so.3")

_lock = threading.Lock()
_found: dict[str | None, Library | UnusableError] = {}


def load() -> Library:
    """Return the library; it is loaded once, and so is the reason why it cannot be.

    Raises
    ------
    UnusableError
        Where there is none, or none that works.
    """
    wanted = os.environ[VARIABLE] if VARIABLE in os.environ else None  # noqa: SIM401 - quicker
    found = _found.get(wanted)
    if found is None:
        with _lock:
            if wanted not in _found:
                try:
                    _found[wanted] = _load(wanted)
                except UnusableError as error:
                    _found[wanted] = error
            found = _found[wanted]
    if isinstance(found, UnusableError):
        raise UnusableError(str(found))
    return found


def _load(wanted: str | None) -> Library:
    if wanted is not None:
        check_file(Path(wanted), f"{VARIABLE}: ")
        return Library(wanted)
    reasons = []
    for path in _installed():
        try:
            check_file(path)
            return Library(str(path))
        except UnusableError as error:
            reasons.append(str(error))
    try:
        return Library(NAME)
    except UnusableError as error:
        if not reasons:
            raise UnusableError(f"not installed ({error})") from None
        reasons.append(str(error))
    raise UnusableError("; ".join(dict.fromkeys(reasons)))


def _installed() -> Iterator[Path]:
    """Yield the library's file of each package that is installed."""
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == NAME:
                yield Path(str(file.locate())).resolve()


def check_file(path: Path, where: str = "") -> None:
    """Raise `UnusableError` where a file is missing or cut short: the loader of Linux would end the process then."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise UnusableError(f"{where}{path} cannot be read: {error}") from None
    if not sys.platform.startswith("linux"):
        return
    if head[:4] != b"\x7fELF" or len(head) < 64:
        raise UnusableError(f"{where}{path} is no shared library")
    if head[4:6] == b"\x02\x01":  # 64 bits, little endian: e_shoff, e_shentsize and e_shnum of the ELF header
        (sections,) = struct.unpack_from("<Q", head, 40)
        each, number = struct.unpack_from("<HH", head, 58)
        if sections + each * number > size:
            raise UnusableError(f"{where}{path} is cut short: {size} bytes")
