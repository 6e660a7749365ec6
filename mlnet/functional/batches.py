"""Formatted dlarrays as mini-batches in the layout of engines, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.autodiff.formats import ORDER
from mlnet.errors import DataError, message
from mlnet.functional.pairs import as_type
from mlnet.functional.traced import labels_of, to_engine, to_labelled
from mlnet.layers.base import Size
from mlnet.options import describe


class Batch(NamedTuple):
    """A mini-batch in the layout of engines.

    ``array`` is (N, S..., C), or (M, S..., C) for packed sequences of equal ``lengths``. ``labels`` came with the data.
    """

    array: dlarray
    lengths: np.ndarray | None
    labels: str

    def leaving(self, value: dlarray, size: Size, lengths: np.ndarray | None) -> dlarray:
        """Return an output as a formatted dlarray; dimensions that the data did not have are left out."""
        if lengths is not None:
            value = value.reshape(len(lengths), -1, *value.shape[1:])
        format = size.format if lengths is not None else size.format.replace("T", "")
        if size.is_known:
            value = value.reshape(*value.shape[: 1 + (lengths is not None)], *size.dims)
        labelled = to_labelled(value, format)
        gone = tuple(
            axis
            for axis, label in enumerate(labelled.dims())
            if label in ("BTC" if size.spatial else "BT") and label not in self.labels and labelled.shape[axis] == 1
        )
        return np.squeeze(labelled, axis=gone) if gone else labelled


def formatted(X: Any, where: str) -> dlarray:
    """Return a formatted dlarray; raise `DataError` for all else."""
    if not isinstance(X, dlarray) or not X.dims():
        came = "an unformatted dlarray" if isinstance(X, dlarray) else describe(X)
        raise DataError(
            message(where, "a formatted dlarray", came, "Write e.g. dlarray(X, 'CB') or dlarray(X, 'SSCB').")
        )
    if "U" in X.dims():
        raise DataError(message(where, "the labels S, C, B and T", f"'{X.dims()}'"))
    return X


def size_of(X: Any, where: str) -> Size:
    """Return the size of one observation of formatted data, or of a networkDataLayout."""
    if isinstance(X, networkDataLayout):
        labels, shape = X.Format, tuple(X.Size)
        known = [n for n, label in zip(shape, labels, strict=False) if label in "SC"]
        if not labels or "U" in labels or any(n != n for n in known):
            needed = "a layout with a format of the labels S, C, B and T, and numbers for S and C"
            raise DataError(message(where, needed, f"{list(shape)} with the format '{labels}'"))
    else:
        array = formatted(X, where)
        labels, shape = array.dims(), array.shape
    lengths = {label: [n for n, each in zip(shape, labels, strict=True) if each == label] for label in ORDER}
    channels = (lengths["C"] or [1])[0]
    return Size("S" * len(lengths["S"]) + "C" + "T" * len(lengths["T"]), (*lengths["S"], channels))


def batch_of(X: Any, size: Size, where: str, dtype: np.dtype | None = None) -> Batch:
    """Return data for an input of a size as a mini-batch.

    Raises
    ------
    DataError
        Where they are not formatted, or have another size.
    """
    array = formatted(X, where)
    own = size_of(array, where)
    is_step = size.is_sequence and not own.is_sequence
    if own.dims != size.dims or (own.is_sequence and not size.is_sequence):
        expected = dlarray_text(size)
        raise DataError(message(where, f"data of {expected}", f"{_sizes(array)}"))
    return entering(array, dtype, as_sequence=is_step)


def entering(array: dlarray, dtype: np.dtype | None = None, *, as_sequence: bool = False) -> Batch:
    """Return formatted data in the layout of engines; ``as_sequence`` gives those without time a single step."""
    labels = array.dims()
    full = labels_of(size_of(array, "").format)
    if as_sequence:
        full += "T"
    if full != labels:
        shape = dict.fromkeys(full, 1)
        lengths = iter([n for label in "SCBT" for n, each in zip(array.shape, labels, strict=True) if each == label])
        wanted = [next(lengths) if label in labels else shape[label] for label in full]
        plain = wrap(array._data, array._node).reshape(wanted)
        array = wrap(plain._data, plain._node, full)
    if dtype is not None:
        array = as_type(array, dtype)
    moved = to_engine(array)
    if "T" not in full:
        return Batch(moved, None, labels)
    steps = np.full(len(moved), moved.shape[1])
    return Batch(moved.reshape(-1, *moved.shape[2:]), steps, labels)


def dlarray_text(size: Size) -> str:
    """Return the dimensions of a mini-batch in words: 28(S) x 28(S) x 1(C)."""
    return " x ".join(f"{n}({label})" for n, label in zip(size.dims, size.format, strict=False))


def _sizes(array: dlarray) -> str:
    return " x ".join(f"{n}({label})" for n, label in zip(array.shape, array.dims(), strict=True))
