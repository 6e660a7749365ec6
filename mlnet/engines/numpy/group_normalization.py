"""Normalization of each observation by itself: group, layer and RMS normalization, and the mechanism that they share.

For each group: ``x_hat = (x - mean) / sqrt(variance + epsilon)``, ``y = scale x_hat + offset``. A group reaches over
the positions and some neighbouring channels of one observation; the variance is the biased one (divided by the number
of values). Without centring the mean counts as zero. Offset and scale have one value per channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.channels import parameter_gradients, pixels_per_row
from mlnet.parallel.blocks import run, split


class Groups(NamedTuple):
    """How an array of (observations, positions, groups, width) elements is cut.

    What lies in one observation and one group, ``positions * width`` elements, is normalized together.
    """

    observations: int
    positions: int
    groups: int
    width: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.groups * self.width

    @property
    def rows(self) -> tuple[int, int, int]:
        """The shape (observations, rows, length) in which rows are long enough for NumPy to be fast."""
        pixels = pixels_per_row(self.positions, self.channels)
        return self.observations, self.positions // pixels, pixels * self.channels

    def means(self, sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the means over groups, (observations, groups), float64, from sums (observations, channels).

        Each channel counts times its weight. A product with a vector is NumPy's fastest sum over rows.
        """
        if self.groups > 1:
            sums, weights = (sums * weights).reshape(-1, self.width), np.ones(self.width, sums.dtype)
        totals = np.dot(sums, weights).reshape(-1, self.groups)
        return totals.astype(np.float64) / (self.positions * self.width)

    def position_sums(self, x: np.ndarray) -> np.ndarray:
        """Return the sums over positions, (observations, channels), of an array in the shape of `rows`."""
        if self.positions == 1:
            return x.reshape(-1, self.channels)
        pixels = x.reshape(-1, self.positions, self.channels)
        return np.matmul(np.ones(self.positions, x.dtype), pixels)

    def spread(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return values (observations, groups) so that they meet the elements of their group in the shape of `rows`."""
        if self.groups == 1:
            return values.astype(dtype)[:, :, None]
        row = np.empty((len(values), 1, self.rows[2] // self.channels, self.groups, self.width), dtype)
        row[...] = values[:, None, None, :, None]
        return row.reshape(len(values), 1, -1)

    def repeat(self, values: np.ndarray) -> np.ndarray:
        """Return values (channels,) at the length of a row."""
        return np.tile(values, self.rows[2] // self.channels)


class NormalizationState(NamedTuple):
    """What the backward needs.

    ``x_hat`` is the normalized input, ``inverse_deviation`` (observations, groups), float64, what it was multiplied by,
    ``scale`` is (channels,); ``shapes`` are those of the parameters.
    """

    x_hat: np.ndarray
    inverse_deviation: np.ndarray
    groups: Groups
    is_centred: bool
    scale: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


class SequencesState(NamedTuple):
    """What the backward needs for sequences of different lengths: those of one length have a part of their own."""

    parts: tuple[tuple[np.ndarray, int, NormalizationState], ...]


State = NormalizationState | SequencesState
Cut = Callable[[tuple[int, ...]], Groups]


def group_normalization(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    *,
    groups: int,
    epsilon: float,
    workspace: Workspace,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, State]:
    """Normalize x (N, ..., C) over the positions and the channels of each of ``groups`` groups (Wu and He 2018).

    With as many groups as channels it is instance normalization (Ulyanov, Vedaldi and Lempitsky 2016). With
    ``lengths``, x are sequences (N, T, ..., C), and the positions are those of all time steps before the end.
    """

    def cut(shape: tuple[int, ...]) -> Groups:
        count, *positions, channels = shape
        assert channels % groups == 0, "Groups divide the channels."
        return Groups(count, math.prod(positions), groups, channels // groups)

    return _normalize_each(x, lengths, cut, (offset, scale), epsilon, True, workspace)


def group_normalization_backward(
    saved: State, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset and scale, see `normalize_gradients`."""
    return _gradients(saved, d_output, wanted, workspace)


def layer_normalization(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    *,
    axes: Sequence[int],
    epsilon: float,
    workspace: Workspace,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, State]:
    """Normalize x (N, ..., C) over the last ``axes`` (Ba, Kiros and Hinton 2016); ``lengths`` are of sequences."""
    return _normalize_each(x, lengths, _over_last(axes), (offset, scale), epsilon, True, workspace)


def layer_normalization_backward(
    saved: State, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset and scale, see `normalize_gradients`."""
    return _gradients(saved, d_output, wanted, workspace)


def rms_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    *,
    axes: Sequence[int],
    epsilon: float,
    workspace: Workspace,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, State]:
    """Return ``scale x / sqrt(mean(x^2) + epsilon)``, the mean over the last ``axes`` (Zhang and Sennrich 2019)."""
    return _normalize_each(x, lengths, _over_last(axes), (scale,), epsilon, False, workspace)


def rms_normalization_backward(
    saved: State, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x and scale, see `normalize_gradients`."""
    return _gradients(saved, d_output, wanted, workspace)


def normalize(
    x: np.ndarray,
    groups: Groups,
    parameters: tuple[np.ndarray, ...],
    *,
    epsilon: float,
    is_centred: bool,
    workspace: Workspace,
) -> tuple[np.ndarray, NormalizationState]:
    """Normalize an array by its groups; ``parameters`` are offset and scale, or scale alone.

    Squares are taken of ``x - near`` with the
    rounded mean ``near``, and the small rest of the mean is accounted for, so that a large mean costs no digits (the
    corrected two-pass algorithm of Chan, Golub and LeVeque 1983).
    """
    x = np.ascontiguousarray(x)
    vectors = [parameter.reshape(-1).astype(x.dtype) for parameter in parameters]
    scale, offset = vectors[-1], vectors[0] if len(vectors) > 1 else None
    x_hat = workspace.empty("x_hat", x.shape, x.dtype)
    inverse_deviation = np.empty((groups.observations, groups.groups))
    values, normalized = x.reshape(groups.rows), x_hat.reshape(groups.rows)
    output = workspace.empty("output", x.shape, x.dtype)
    target = output.reshape(groups.rows)
    factor, constant = groups.repeat(scale), None if offset is None else groups.repeat(offset)
    ones = np.ones(groups.channels, x.dtype)
    blocks = _blocks(groups, x.itemsize)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        centred, result = values[block], normalized[block]
        rest = None
        if is_centred:
            near = groups.means(groups.position_sums(centred), ones)
            centred = np.subtract(centred, groups.spread(near, x.dtype), out=result)
            rest = groups.means(groups.position_sums(centred), ones)
        square = workspace.scratch(("square", slot), centred.shape, x.dtype)
        np.multiply(centred, centred, out=square)
        variance = groups.means(groups.position_sums(square), ones)
        inverse = 1 / np.sqrt(np.maximum(variance if rest is None else variance - rest * rest, 0) + epsilon)
        inverse_deviation[block] = inverse
        np.multiply(centred, groups.spread(inverse, x.dtype), out=result)
        if rest is not None:
            np.subtract(result, groups.spread(rest * inverse, x.dtype), out=result)
        np.multiply(result, factor, out=target[block])
        if constant is not None:
            np.add(target[block], constant, out=target[block])

    run(task, len(blocks))
    shapes = tuple(parameter.shape for parameter in parameters)
    return output, NormalizationState(x_hat, inverse_deviation, groups, is_centred, scale, shapes)


def normalize_gradients(
    saved: NormalizationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x and of the parameters.

    With ``d = scale d_y`` and means over the group: ``d_x = (d - mean(d) - x_hat mean(d x_hat)) / deviation``, without
    ``mean(d)`` where nothing was centred; ``d_offset = sum of d_y``, ``d_scale = sum of d_y x_hat`` for each channel.
    """
    groups, x_hat = saved.groups, saved.x_hat
    dtype = x_hat.dtype
    d_output = np.ascontiguousarray(d_output)
    d_x = workspace.empty("d_x", x_hat.shape, dtype) if wanted[0] else None
    normalized, gradient = x_hat.reshape(groups.rows), d_output.reshape(groups.rows)
    factor = groups.repeat(saved.scale)
    blocks = _blocks(groups, dtype.itemsize)
    totals = np.empty((2, len(blocks), groups.channels))

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        d_y = gradient[block]
        product = workspace.scratch(("square", slot), d_y.shape, dtype)
        np.multiply(d_y, normalized[block], out=product)
        sums, product_sums = groups.position_sums(d_y), groups.position_sums(product)
        ones = np.ones(len(sums), dtype)
        totals[:, part] = np.dot(ones, sums), np.dot(ones, product_sums)
        if d_x is None:
            return
        result = d_x.reshape(groups.rows)[block]
        inverse = saved.inverse_deviation[block]
        # before ``product`` is overwritten: it may be the sums
        slope = groups.means(product_sums, saved.scale) * inverse
        np.multiply(d_y, factor, out=result)
        np.multiply(result, groups.spread(inverse, dtype), out=result)
        np.multiply(normalized[block], groups.spread(slope, dtype), out=product)
        np.subtract(result, product, out=result)
        if saved.is_centred:
            np.subtract(result, groups.spread(groups.means(sums, saved.scale) * inverse, dtype), out=result)

    run(task, len(blocks))
    gradients = np.add.reduce(totals, axis=1)[len(totals) - len(saved.shapes) :]
    return d_x, *parameter_gradients(gradients, saved.shapes, wanted[1:], dtype)


def _blocks(groups: Groups, itemsize: int) -> tuple[slice, ...]:
    return split(groups.observations, groups.positions * groups.channels * itemsize)


def _over_last(axes: Sequence[int]) -> Cut:
    """Return how arrays are cut whose last axes are normalized together."""

    def cut(shape: tuple[int, ...]) -> Groups:
        first = len(shape) - len(axes)
        assert sorted(axis % len(shape) for axis in axes) == list(range(first, len(shape))), "The axes are the last."
        return Groups(math.prod(shape[:first]), math.prod(shape[first:-1]), 1, shape[-1])

    return cut


def _normalize_each(
    x: np.ndarray,
    lengths: np.ndarray | None,
    cut: Cut,
    parameters: tuple[np.ndarray, ...],
    epsilon: float,
    is_centred: bool,
    workspace: Workspace,
) -> tuple[np.ndarray, State]:
    """Normalize an array; of sequences with different lengths those of one length together, without the padding."""
    if lengths is None or (lengths == lengths[:1]).all():
        return normalize(x, cut(x.shape), parameters, epsilon=epsilon, is_centred=is_centred, workspace=workspace)
    output = workspace.empty("output", x.shape, x.dtype)
    output[...] = 0
    parts = []
    for length in np.unique(lengths):
        index = np.flatnonzero(lengths == length)
        part = x[index, :length]
        y, saved = normalize(
            part, cut(part.shape), parameters, epsilon=epsilon, is_centred=is_centred, workspace=Workspace()
        )
        output[index, :length] = y
        parts.append((index, int(length), saved))
    return output, SequencesState(tuple(parts))


def _gradients(
    saved: State, d_output: np.ndarray, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of what `_normalize_each` computed."""
    if isinstance(saved, NormalizationState):
        return normalize_gradients(saved, d_output, wanted=wanted, workspace=workspace)
    d_x = workspace.empty("d_x", d_output.shape, d_output.dtype) if wanted[0] else None
    if d_x is not None:
        d_x[...] = 0
    totals: list[np.ndarray | None] = []
    for index, length, part in saved.parts:
        d_part, *others = normalize_gradients(part, d_output[index, :length], wanted=wanted, workspace=Workspace())
        if d_x is not None:
            d_x[index, :length] = d_part
        sums = [a if a is None or b is None else a + b for a, b in zip(totals, others, strict=False)]
        totals = sums or others
    return d_x, *totals
