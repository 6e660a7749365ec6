"""What a network should put out: classes or responses, fetched in mini-batches."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from mlnet.data.sources.arrays import Index, check_finite, numeric_array, with_observations
from mlnet.data.sources.layout import to_engine
from mlnet.errors import DataError
from mlnet.labels import as_labels, categorical, categories


class ClassTargets:
    """Class numbers, counted from 0 in the order of ``classes``.

    Parameters
    ----------
    labels : categorical, or array of texts, integers or bools
        One for each observation.
    classes : list of texts
        Order of the classes; empty: the categories of the labels.
    count : int
        Number of observations of the predictors.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where labels are missing, of unknown classes, or not one for each observation.
    """

    def __init__(self, labels: Any, classes: list[str], count: int, where: str) -> None:
        found = as_labels(labels, where)
        _check_count(len(found), count, where)
        self.classes = classes or categories(found)
        self._codes = class_numbers(found, self.classes, where)

    @classmethod
    def of_codes(cls, labels: categorical, count: int, where: str) -> ClassTargets:
        """Return targets of labels some of which may be undefined: -1, which does not count."""
        result = object.__new__(cls)
        result.classes, result._codes = categories(labels), labels.codes.ravel()
        _check_count(len(result._codes), count, where)
        return result

    def __len__(self) -> int:
        return len(self._codes)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return class numbers, int64; ``dtype`` does not matter."""
        return self._codes[index].astype(np.int64)

    def repeated(self, counts: np.ndarray) -> ClassTargets:
        """Return targets in which each class comes ``counts`` (N,) times."""
        result = copy.copy(self)
        result._codes = np.repeat(self._codes, counts, axis=0)
        return result

    def present(self) -> int:
        """Return the number of different classes that occur."""
        return len(np.unique(self._codes))


def class_numbers(labels: categorical, classes: list[str], where: str) -> np.ndarray:
    """Return the number of each label in ``classes``, in the smallest type of integers that fits; -1 where undefined.

    Raises
    ------
    DataError
        Where labels are of unknown classes.
    """
    names, codes = categories(labels), labels.codes
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = sorted({names[code] for code in np.unique(codes) if code >= 0} - set(numbers))
    if unknown:
        raise DataError(f"{where}: needs classes out of [{_listed(classes)}], but has also {_listed(unknown)}.")
    table = [numbers.get(name, -1) for name in names] + [-1]  # the code -1 takes the last one
    return np.array(table, np.min_scalar_type(-max(2, len(classes))))[codes]


class ResponseTargets:
    """Numeric responses: (N, R) numbers, or (H, W, C, N) images.

    Parameters
    ----------
    responses : array_like
    dims : tuple of int
        Size that the network puts out for one observation.
    count : int
        Number of observations of the predictors.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where responses are not numeric or finite, or of another size or number.
    """

    def __init__(self, responses: Any, dims: tuple[int, ...], count: int, where: str) -> None:
        needed = "numeric responses (for classes end the network with softmaxLayer and classificationLayer)"
        array = numeric_array(responses, where, needed, "fiub")
        is_image = any(n != 1 for n in dims[:-1])
        if array.ndim == 4 or is_image:
            array = to_engine(with_observations(array, dims, "SSC"), "SSC")
        elif array.ndim < 2:
            array = array.reshape(-1, dims[-1]) if count == 1 and array.size == dims[-1] else array.reshape(-1, 1)
        if array.shape[1:3] == (1, 1) and not is_image:
            array = array[:, 0, 0]
        _check_count(len(array), count, where, fix=" Transpose it." if array.shape[::-1] == (count, dims[-1]) else "")
        expected = dims if is_image else dims[-1:]
        if array.shape[1:] != expected:
            came, needed = ("x".join(map(str, shape)) for shape in (array.shape[1:], expected))
            raise DataError(
                f"{where}: needs responses of size {needed} for each observation, as the network puts out, "
                f"but got {came}. Change the last fullyConnectedLayer or the responses."
            )
        check_finite(array, where)
        self._y = array
        self._dims = dims

    def __len__(self) -> int:
        return len(self._y)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return responses in the engines' order, in the shape that the network puts out."""
        batch: np.ndarray = np.ascontiguousarray(self._y[index], dtype)
        return batch.reshape(len(batch), *self._dims)

    def repeated(self, counts: np.ndarray) -> ResponseTargets:
        """Return targets in which each response comes ``counts`` (N,) times."""
        result = copy.copy(self)
        result._y = np.repeat(self._y, counts, axis=0)
        return result


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} others" if len(names) > 5 else ""
    return ", ".join(f"'{name}'" for name in names[:5]) + more


def _check_count(came: int, count: int, where: str, fix: str = "") -> None:
    if came != count:
        raise DataError(f"{where}: needs {count} entries, one for each observation of X, but got {came}.{fix}")
