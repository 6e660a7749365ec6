"""Sizes with which layers are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mlnet.layers.base import Size

OTHER_SIZES = (
    Size("C", (1,)),
    Size("C", (3,)),
    Size("SC", (6, 3)),
    Size("SSC", (1, 1, 1)),
    Size("SSC", (5, 4, 3)),
    Size("SSSC", (4, 3, 5, 2)),
    Size("CT", (3,)),
    Size("SCT", (6, 3)),
    Size("SSCT", (5, 4, 3)),
    Size("SSSCT", (4, 3, 5, 2)),
)
"""One size of every kind of data, and some of a single element."""


def smaller(sizes: Sequence[Size]) -> Iterator[tuple[Size, ...]]:
    """Yield ``sizes`` with one channel, with one pixel, and with both."""
    for changed in (_one_channel, _one_pixel, lambda size: _one_pixel(_one_channel(size))):
        yield tuple(map(changed, sizes))


def _one_channel(size: Size) -> Size:
    return replace(size, dims=(*size.dims[:-1], 1))


def _one_pixel(size: Size) -> Size:
    return replace(size, dims=(*[1] * len(size.spatial), size.channels))
