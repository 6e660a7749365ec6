"""Targets of the outputs of a network without output layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnet.data.sources.arrays import Index, check_finite, numeric_array
from mlnet.data.sources.inputs import Source
from mlnet.data.sources.layout import to_engine
from mlnet.data.sources.reading import DatastoreResponses, Rows, response_column
from mlnet.data.sources.targets import ClassTargets, ResponseTargets
from mlnet.errors import DataError, message
from mlnet.labels import categorical
from mlnet.layers.base import Size
from mlnet.options import describe
from mlnet.training.nets.losses import NetLoss
from mlnet.training.targets import ClassesTargets, class_targets, response_targets


class FreeTargets:
    """Numbers of any size for a loss that is a function: (N,), (N, R), (H, W, C, N) or (H, W, D, C, N).

    ``size`` is that of one observation.
    """

    def __init__(self, data: Any, count: int, where: str) -> None:
        array = numeric_array(data, where, "a numeric array", "fiub")
        if array.ndim < 2:
            array = array.reshape(-1, 1)
        format = {2: "C", 4: "SSC", 5: "SSSC"}.get(array.ndim, "")
        if not format:
            needed = "N x R numbers, or images H x W x C x N"
            raise DataError(message(where, needed, f"shape {array.shape}", "Set TargetDataFormats."))
        array = array if format == "C" else to_engine(array, format)
        if len(array) != count:
            needed = f"{count} entries, one for each observation of X"
            raise DataError(message(where, needed, f"{len(array)}"))
        check_finite(array, where)
        self._y, self.size = array, Size(format, array.shape[1:])

    def __len__(self) -> int:
        return len(self._y)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return the targets in the engines' order."""
        return np.ascontiguousarray(self._y[index], dtype)

    def repeated(self, counts: np.ndarray) -> FreeTargets:
        """Return targets in which each comes ``counts`` (N,) times."""
        result = object.__new__(FreeTargets)
        result._y, result.size = np.repeat(self._y, counts, axis=0), self.size
        return result


class SeveralTargets:
    """The targets of several outputs."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)

    def batch(self, index: Index, dtype: type = np.float32) -> tuple[np.ndarray, ...]:
        """Return the targets of each output."""
        return tuple(part.batch(index, dtype) for part in self.parts)


@dataclass(frozen=True)
class Labels:
    """The classes of an output, '[]' where the labels tell them, and whether there is a label for each pixel."""

    names: list[str]
    pixelwise: bool

    def class_names(self) -> list[str]:
        """Return the names of the classes."""
        return self.names

    def is_pixelwise(self, size: Size) -> bool:
        """Tell whether scores are compared with an image of labels."""
        return self.pixelwise


def output_targets(
    loss: NetLoss, size: Size, predictors: Source, given: Any, names: list[str], where: str, column: int = -1
) -> Any:
    """Return the targets of one output.

    Parameters
    ----------
    loss : NetLoss
    size : Size
        Of what the network puts out there.
    predictors : Source
    given : array, list, or Rows
        Labels or numbers, or the rows of a datastore.
    names : list of texts
        The classes of the training data; empty where these are they.
    where : text
        Beginning of messages.
    column : int
        That of a datastore.

    Raises
    ------
    DataError
        Where they do not fit the loss or the output.
    """
    if isinstance(given, Rows):
        (first,), _ = given.column(column, slice(0, 1))
        has_classes = is_labels([first]) or _are_numbers_of_classes(loss, size, [first], 1)
        if not (size.is_sequence or has_classes) and (loss.function is None or np.size(first) == size.count):
            return DatastoreResponses(given, size.dims, column)
        given = response_column(given) if column == -1 else _column(given, column)
        if loss.function is not None and not is_labels(given) and not size.is_sequence:
            given = np.stack([np.asarray(each) for each in given], axis=0 if np.ndim(first) < 2 else -1)
            given = given.reshape(len(given), -1) if np.ndim(first) < 2 else given
    if loss.name == "indexcrossentropy" and not is_labels(given):
        given = _classes_of_indices(given, size.channels, where)
        if isinstance(given, categorical) and size.is_flat and not size.is_sequence:
            return ClassTargets.of_codes(given, len(predictors), where)
    if is_labels(given) or _are_numbers_of_classes(loss, size, given, len(predictors)):
        return _class_targets(loss, size, predictors, given, names, where)
    if loss.function is not None and not size.is_sequence:
        try:
            return response_targets(size, predictors, given, where)
        except DataError:
            return FreeTargets(given, len(predictors), where)
    return response_targets(size, predictors, given, where)


def _column(rows: Rows, column: int) -> list[Any]:
    return [value for start in range(0, len(rows), 128) for value in rows.column(column, slice(start, start + 128))[0]]


def _class_targets(loss: NetLoss, size: Size, predictors: Source, given: Any, names: list[str], where: str) -> Any:
    if loss.is_of_responses:
        fix = "Use 'crossentropy' for classes, or CategoricalTargetEncoding."
        raise DataError(message(where, f"numbers for the loss '{loss.name}'", describe(given), fix))
    count = len(predictors)
    pixelwise = not size.is_flat and not size.is_sequence and len(size.spatial) > 0 and np.size(given) != count
    targets: ClassesTargets = class_targets(Labels(names, pixelwise), size, predictors, given, where)
    found = len(targets.classes)
    if loss.name == "binary-crossentropy":
        return _as_numbers(targets, size, count, where)
    if loss.function is None and found != size.channels:
        needed = f"as many classes as the network puts out ({size})"
        fix = f"Change the last fullyConnectedLayer to {found}."
        raise DataError(message(where, needed, f"{found}", fix))
    return targets


def _as_numbers(targets: ClassesTargets, size: Size, count: int, where: str) -> ResponseTargets:
    """Return classes as one number for each of them, or as that of the second one of two."""
    classes = len(targets.classes)
    if not isinstance(targets, ClassTargets) or (classes != size.channels and (classes, size.channels) != (2, 1)):
        needed = f"numbers from 0 to 1 of the size that the network puts out ({size})"
        raise DataError(message(where, needed, f"labels of {classes} classes"))
    codes = targets.batch(slice(None))
    hot = codes[:, None] == np.arange(classes)
    return ResponseTargets((hot[:, 1:] if size.channels == 1 else hot).astype(np.float32), size.dims, count, where)


def is_labels(given: Any) -> bool:
    """Tell whether targets are categories or texts, or sequences of them."""
    if isinstance(given, (list, tuple)):
        return bool(len(given)) and all(isinstance(each, str) or is_labels(each) for each in given[:3])
    if isinstance(given, categorical):
        return True
    return isinstance(given, str) or (not np.isscalar(given) and np.asarray(given).dtype.kind == "U")


def _are_numbers_of_classes(loss: NetLoss, size: Size, given: Any, count: int) -> bool:
    """Tell whether targets of a loss of classes are one number for each observation where K scores are put out."""
    if loss.name not in ("crossentropy", "indexcrossentropy") or size.channels < 2 or size.is_sequence:
        return False
    try:
        array = np.asarray(given)
    except ValueError:
        return False
    return array.dtype.kind in "iub" and array.size == count * size.count // size.channels


def _classes_of_indices(given: Any, count: int, where: str) -> Any:
    """Return numbers of classes, from 1, as labels; 0 counts as undefined."""
    if isinstance(given, (list, tuple)) and any(np.ndim(each) for each in given):
        return [_classes_of_indices(each, count, where) for each in given]
    array = numeric_array(given, where, "numbers of classes", "fiub")
    if ((array < 0) | (array > count) | (array != np.round(array))).any():
        needed = f"numbers of classes from 1 to {count}"
        raise DataError(message(where, needed, f"{array.min():g} to {array.max():g}"))
    return categorical.from_codes(array.astype(np.int64) - 1, [str(number) for number in range(1, count + 1)])


def names_of(targets: Any) -> list[list[str]]:
    """Return the classes of the targets of each output; an empty list for numbers."""
    parts = targets.parts if isinstance(targets, SeveralTargets) else (targets,)
    return [list(getattr(part, "classes", [])) for part in parts]
