"""What code of users makes of zeros: the sizes of outputs of layers that hold such code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.layers.base import Size, SizeError

STEPS = 5
"""Time steps of the sequences with which code is tried."""


def automatic_ports(base: str, count: int) -> list[str]:
    """Return 'in', or 'in1', 'in2', ..."""
    return [base] if count == 1 else [f"{base}{number}" for number in range(1, count + 1)]


def labels_of(size: Size) -> str:
    """Return the labels of a mini-batch: 'SSCB', 'CB', 'CBT'."""
    return size.format.replace("C", "CB")


def zeros(size: Size, count: int, *, formatted: bool, dtype: type = np.float32) -> dlarray:
    """Return zeros for ``count`` observations in MATLAB's order."""
    shape = (*size.dims, count, *[STEPS] * size.is_sequence)
    return wrap(np.zeros(shape, dtype), None, labels_of(size) if formatted else "")


def sizes_of_outputs(
    one: Sequence[dlarray], two: Sequence[dlarray], sizes: Sequence[Size], *, formatted: bool, what: str
) -> tuple[Size, ...]:
    """Return the size of each output from what came for one observation and for two; raise `SizeError` for others.

    ``what`` names in messages what has to be another one: "a function".
    """
    found = tuple(_size(*pair, sizes[0], formatted, what) for pair in zip(one, two, strict=True))
    if any(size.is_sequence for size in found[1:]):
        raise SizeError("time in the first output only", ", ".join(map(str, found)), "Use one layer for each output.")
    return found


def times(shape: tuple[int, ...]) -> str:
    """Return a shape as text: 5x4x3."""
    return "x".join(map(str, shape)) if len(shape) > 1 else "x".join(map(str, (*shape, 1, 1)[:2]))


def _size(one: dlarray, two: dlarray, first_input: Size, formatted: bool, what: str) -> Size:
    labels = _labels(one, first_input, formatted)
    batch, dims = labels.index("B"), []
    if one.ndim != two.ndim or (one.shape[batch], two.shape[batch]) != (1, 2):
        came = f"sizes {times(one.shape)} and {times(two.shape)} for 1 and 2 of them"
        raise SizeError(f"{what} that passes the number of observations on", came)
    for label, first, second in zip(labels, one.shape, two.shape, strict=True):
        if label == "T" and (first, second) != (STEPS, STEPS):
            came = f"{first} for {STEPS}"
            raise SizeError(f"{what} that keeps the number of time steps, or leaves time out", came)
        if label in "SC":
            dims.append(first)
            if first != second:
                came = f"sizes {times(one.shape)} and {times(two.shape)} for 1 and 2 observations"
                raise SizeError(f"{what} whose output has one size whatever the number of observations", came)
    return Size(labels.replace("B", ""), tuple(dims))


def _labels(output: dlarray, size: Size, formatted: bool) -> str:
    """Return the labels of an output; those of the first input where outputs have none."""
    given = labels_of(size)
    if not formatted:
        if output.ndim != len(given):
            fix = "Make the layer Formattable, and return a dlarray with a format such as 'CB'."
            raise SizeError(f"an output of {len(given)} dimensions like the first input", f"{output.ndim}", fix)
        return given
    labels = output.dims()
    if labels.lstrip("S") not in ("CB", "CBT"):
        needed = "an output with a format such as 'SSCB', 'CB' or 'CBT'"
        raise SizeError(needed, f"'{labels}'" if labels else "an unformatted one", "Return e.g. dlarray(Y, 'CB').")
    if "T" in labels and not size.is_sequence:
        raise SizeError("an output without time, as the first input has none", f"'{labels}'")
    return labels
