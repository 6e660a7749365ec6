"""Windows along time: sequences (N, T, C) of different lengths, each with a border of its own.

Operations along time see a sequence as an image of height 1. Where all sequences are as long as the array, the border
is left to the operations on images; otherwise every sequence is copied to an array that has its border around it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.numpy.padding import Padding, edge_sources
from mlnet.errors import DataError

TimePadding = tuple[int, int] | str
"""(before, after), or 'same' for ceil(length / stride) steps, an odd total giving the extra step to the end."""


class TimeBorder(NamedTuple):
    """The border of a mini-batch of sequences of ``shape`` (N, T, C).

    ``padding`` is what is left to the operations on images, ``value`` is that of the border or how it repeats the edge.
    Where sequences differ, ``sources`` (N, width) tells which step each place of the bordered sequences is copied from,
    -1 for none, and ``lengths`` (N,) how many steps the windows make of each; otherwise these are None.
    """

    shape: tuple[int, ...]
    padding: Padding
    value: float | str
    sources: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def images(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, T, C) as images (N, 1, width, C)."""
        if self.sources is None:
            return x[:, None]
        bordered = x[np.arange(len(x))[:, None], self.sources]
        bordered[self.sources < 0] = 0.0 if isinstance(self.value, str) else self.value
        return bordered[:, None]

    def from_images(self, d_images: np.ndarray | None) -> np.ndarray | None:
        """Return the gradient of x (N, T, C) from that of its `images`."""
        if d_images is None or self.sources is None:
            return None if d_images is None else d_images[:, 0]
        d_x = np.zeros(self.shape, d_images.dtype)
        copied = np.nonzero(self.sources >= 0)
        places = copied[0], self.sources[copied]
        if isinstance(self.value, str):
            np.add.at(d_x, places, d_images[:, 0][copied])
        else:
            d_x[places] = d_images[:, 0][copied]
        return d_x

    def output(self, images: np.ndarray) -> np.ndarray:
        """Return the steps (N, T', C) that windows made of `images`, with zeros behind the ends."""
        return zeros_behind(images[:, 0], self.lengths)

    def d_output(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the images that `output` takes."""
        return zeros_behind(d_output, self.lengths)[:, None]


def time_border(
    x: np.ndarray, lengths: Any, extent: int, stride: int, padding: TimePadding, value: float | str = 0.0
) -> TimeBorder:
    """Return the border of the sequences x (N, T, C) for windows of ``extent`` steps that move by ``stride``.

    ``lengths`` (N,) are the numbers of steps of each, None for all of T. Raises `DataError` where an observation with
    its border is shorter than a window.
    """
    is_even = lengths is None or bool(np.all(np.asarray(lengths) == x.shape[1]))
    steps = np.full(1, x.shape[1]) if is_even else np.asarray(lengths)
    if isinstance(padding, str):
        total = np.maximum((-(-steps // stride) - 1) * stride + extent - steps, 0)
        before, after = total // 2, total - total // 2
    else:
        before, after = (np.full(len(steps), amount) for amount in padding)
    need_steps(steps + before + after, steps, extent)
    if is_even:
        return TimeBorder(x.shape, (0, 0, int(before[0]), int(after[0])), value)
    output = (steps + before + after - extent) // stride + 1
    place = np.arange((int(output.max()) - 1) * stride + extent)
    sources = place - before[:, None]
    sources[(sources < 0) | (sources >= steps[:, None])] = -1
    if isinstance(value, str):
        for row, size, first, last in zip(sources, steps, before, after, strict=True):
            repeated = edge_sources(int(size), int(first), int(last), value)[: len(row)]
            row[: len(repeated)] = repeated
    return TimeBorder(x.shape, (0, 0, 0, 0), value, sources, output)


def need_steps(found: np.ndarray, steps: np.ndarray, needed: int) -> None:
    """Raise `DataError` for the first observation with less than ``needed`` steps, found after padding or cropping."""
    short = np.flatnonzero(found < needed)
    if short.size:
        number = int(short[0])
        changed = "" if found[number] == steps[number] else f", {int(found[number])} after padding or cropping"
        wanted = f"{needed} time step{'s' * (needed > 1)}"
        raise DataError(
            f"Observation {number + 1} of the mini-batch: needs at least {wanted}, but got "
            f"{int(steps[number])}{changed}. Use longer sequences, a smaller window or more padding."
        )


def zeros_behind(x: np.ndarray, lengths: Any) -> np.ndarray:
    """Return x (N, T, C) with zeros behind the ends: x itself where nothing lies there, otherwise a copy."""
    if lengths is None or bool(np.all(np.asarray(lengths) == x.shape[1])):
        return x
    inside = np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
    return np.where(inside[:, :, None], x, np.zeros((), x.dtype))
