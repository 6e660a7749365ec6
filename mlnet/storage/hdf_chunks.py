"""Packed parts of arrays in HDF5 files, unpacked here: the library would let them become as large as they like."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.storage.mat_reader import Unreadable

DEFLATE, SHUFFLE = 1, 2
FILTERS = {DEFLATE, SHUFFLE}
"""What MATLAB packs with; both are in the library, so that no other code is loaded."""
_SMALLEST = 2**24
"""Bytes that a part may have at least, so that large ones of small arrays are read."""


def read(h5py: Any, found: Any, size: int, name: str) -> np.ndarray:
    """Return an array that is stored in parts, each of which unpacks to its own size and no more.

    Parameters
    ----------
    h5py : the package
    found : h5py.Dataset
    size : int
        Bytes of the file.
    name : text
        For messages.
    """
    filters = _filters(found, name)
    kind = found.id.get_type()
    bytes_of_part = math.prod(found.chunks) * kind.get_size()
    if bytes_of_part > max(_SMALLEST, 2 * found.size * kind.get_size()):
        raise Unreadable(f"{name} is stored in parts of {bytes_of_part} bytes, more than it has")
    if not filters:
        return np.asarray(found[()])
    is_plain = found.dtype.kind in "iuf" and kind == h5py.h5t.py_create(found.dtype)
    array = np.full(found.shape, found.fillvalue, found.dtype) if is_plain else None
    for place, length in _parts(found):
        if length > size:
            raise Unreadable(f"{name} has a part of more bytes than there are")
        skipped, packed = found.id.read_direct_chunk(place)
        data = _unpacked(packed, filters, skipped, bytes_of_part, kind.get_size(), name)
        if array is not None:
            inside = tuple(slice(at, at + n) for at, n in zip(place, found.chunks, strict=True))
            part = array[inside]
            part[...] = np.frombuffer(data, found.dtype).reshape(found.chunks)[tuple(map(slice, part.shape))]
    return np.asarray(found[()]) if array is None else array


def _filters(found: Any, name: str) -> list[int]:
    layout = found.id.get_create_plist()
    filters = [layout.get_filter(number)[0] for number in range(layout.get_nfilters())]
    if not FILTERS.issuperset(filters):
        raise Unreadable(f"{name} is packed with a filter that MATLAB does not use")
    return filters


def _parts(found: Any) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield where each part begins, and how many bytes it has in the file."""
    parts: list[Any] = []
    if hasattr(found.id, "chunk_iter"):
        found.id.chunk_iter(parts.append)
    else:
        parts += [found.id.get_chunk_info(number) for number in range(found.id.get_num_chunks())]
    for part in parts:
        if all(at < n for at, n in zip(part.chunk_offset, found.shape, strict=True)):
            yield tuple(part.chunk_offset), int(part.size)


def _unpacked(data: bytes, filters: list[int], skipped: int, size: int, width: int, name: str) -> bytes:
    for number, kind in reversed(list(enumerate(filters))):
        if skipped >> number & 1:
            continue
        if kind == DEFLATE:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, size + 1)
        elif width > 1 and len(data) == size:
            data = np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()
    if len(data) != size:
        raise Unreadable(f"{name} has a part that does not unpack to its size")
    return data
