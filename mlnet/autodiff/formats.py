"""Formats: the labels of dimensions, 'S' spatial, 'C' channel, 'B' batch, 'T' time, 'U' unspecified.

Labels are always in this order. A result has labels only where there is one for each of its dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlnet.errors import DataError, message
from mlnet.options import describe

ORDER = "SCBTU"
SEVERAL = "SU"


def parsed(fmt: Any, shape: tuple[int, ...]) -> str:
    """Return the labels that a format gives to an array; raise `DataError` where it does not fit."""
    labels = fmt.upper() if isinstance(fmt, str) else ""
    once = [label for label in labels if label not in SEVERAL]
    if not labels or set(labels) - set(ORDER) or len(set(once)) < len(once):
        needed = "a format of the labels S, C, B, T and U, with C, B and T at most once"
        raise DataError(message("dlarray", needed, describe(fmt), "Write e.g. 'SSCB' or 'CB'."))
    if any(length != 1 for length in shape[len(labels) :]):
        raise DataError(message("dlarray", f"a label for each of {len(shape)} dimensions", f"'{labels}'"))
    return labels


def order_of(labels: str) -> list[int]:
    """Return the numbers of the dimensions in the order S, C, B, T, U."""
    return sorted(range(len(labels)), key=lambda axis: ORDER.index(labels[axis]))


def matched(labels: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[str, list[tuple[int, ...]]]:
    """Return the labels of an element-by-element result, and the shapes in which the inputs line up.

    Formatted inputs get a dimension of length 1 for each label that only others have; others are left as they are.
    """
    counts = {label: max(each.count(label) for each in labels) for label in ORDER}
    union = "".join(label * count for label, count in counts.items())
    aligned: list[tuple[int, ...]] = []
    for each, shape in zip(labels, shapes, strict=True):
        if not each:
            if len(shape) > len(union):
                needed = f"unformatted arrays of at most {len(union)} dimensions beside '{union}'"
                raise DataError(message("dlarray", needed, f"{len(shape)}"))
            aligned.append(shape)
            continue
        lengths: list[int] = []
        for label, count in counts.items():
            own = [length for one, length in zip(each, shape, strict=True) if one == label]
            lengths += own + [1] * (count - len(own))
        aligned.append(tuple(lengths))
    for axis, label in enumerate(union):
        found = {shape[axis - len(union)] for shape in aligned if len(shape) >= len(union) - axis} - {1}
        if len(found) > 1:
            listed = " and ".join(map(str, sorted(found)))
            raise DataError(message("dlarray", f"the same length along '{label}' (or 1)", listed))
    return union, aligned


def keep(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return the labels of the first input: the result has the same dimensions."""
    return labels[0]


def drop(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return no labels."""
    return ""


def reduce(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return the labels of the dimensions that are left."""
    if options["keepdims"]:
        return labels[0]
    return "".join(label for axis, label in enumerate(labels[0]) if axis not in options["axis"])


def join(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return the labels of joined arrays, which have to be the same."""
    given = {each for each in labels if each}
    if len(given) > 1:
        raise DataError(message("dlarray", "arrays of the same format to join", ", ".join(sorted(map(repr, given)))))
    return given.pop()


def product(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return the labels of a matrix product: those of the one formatted matrix."""
    if all(labels):
        fix = "Use stripdims on one of them."
        raise DataError(message("dlarray", "at most one formatted factor of a matrix product", repr(labels), fix))
    return "".join(labels) if ndims == [2, 2] else ""


def index(labels: list[str], ndims: list[int], options: dict[str, Any]) -> str:
    """Return the labels of the dimensions that an index leaves; none where it is more than numbers and ranges."""
    parts = options["index"] if isinstance(options["index"], tuple) else (options["index"],)
    arrays = sum(not isinstance(part, (int, slice, type(...))) for part in parts)
    if arrays > 1 or any(part is None for part in parts) or any(getattr(part, "ndim", 1) != 1 for part in parts):
        return ""
    missing = len(labels[0]) - sum(part is not Ellipsis for part in parts)
    whole: list[Any] = []
    for part in parts:
        whole += [slice(None)] * missing if part is Ellipsis else [part]
    whole += [slice(None)] * (len(labels[0]) - len(whole))
    if len(whole) > len(labels[0]):
        return ""  # NumPy says that there are too many
    return "".join(label for label, part in zip(labels[0], whole, strict=True) if not isinstance(part, int))
