"""Memory for the values of a plan, in large pages where the system has them.

Values are read and written in a row: pages of 4 KiB end the reading ahead of the processor again and again, and have to
be looked up, on virtual machines twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap

import numpy as np

from mlnet.engines.onednn.library import OutOfMemoryError

_ALIGNMENT = 64

_PAGE = 1 << 21
"""Bytes of a large page."""

_FIRST = 1 << 20
"""Bytes of all arrays of a plan up to which large pages are not worth their size."""

_BETWEEN = 4096 + 64
"""Bytes left free between arrays, so that they do not begin at the same places in the caches."""


class Rooms:
    """Gives out arrays of bytes, all zeros, from a few large pieces of memory, which live as long as their arrays."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._used: list[int] = []
        self._given = 0

    def zeros(self, size: int) -> np.ndarray:
        """Return ``size`` bytes of zeros at an address that vector instructions like."""
        self._given += size
        if self._given < _FIRST or not hasattr(mmap, "MADV_HUGEPAGE"):
            return zeros(size)
        needed = size + _BETWEEN
        number = next((n for n, piece in enumerate(self._pieces) if self._used[n] + needed <= piece.size), None)
        if number is None:
            number = len(self._pieces)
            self._pieces.append(_piece(needed))
            self._used.append(0)
        start = self._used[number]
        self._used[number] += -(-needed // _ALIGNMENT) * _ALIGNMENT
        return self._pieces[number][start : start + size]


def _piece(size: int) -> np.ndarray:
    """Return at least ``size`` bytes of zeros that begin with a large page."""
    size = -(-size // _PAGE) * _PAGE
    try:
        memory = mmap.mmap(-1, size + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise _no_memory(size) from None
    with contextlib.suppress(OSError):  # a system without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(memory, np.uint8)
    start = -address_of(raw) % _PAGE
    return raw[start : start + size]


def zeros(size: int) -> np.ndarray:
    """Return ``size`` bytes of zeros of the usual memory, at an address that vector instructions like."""
    try:
        raw = np.zeros(size + _ALIGNMENT, np.uint8)
    except MemoryError:
        raise _no_memory(size) from None
    start = -address_of(raw) % _ALIGNMENT
    return raw[start : start + size]


def _no_memory(size: int) -> OutOfMemoryError:
    return OutOfMemoryError(f"oneDNN: no memory for {size / 2**20:.0f} MiB of values. Use a smaller MiniBatchSize.")


def address_of(array: np.ndarray) -> int:
    """Return where the first element of an array is."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # the fastest way
    except (TypeError, ValueError, BufferError):  # not writeable, or nothing in it
        return array.__array_interface__["data"][0]
