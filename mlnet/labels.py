"""Categorical arrays: labels out of a fixed list of categories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError
from mlnet.options import Shown, describe, from_one
from mlnet.rules import texts

UNDEFINED = "<undefined>"


class categorical(Shown):  # noqa: N801 - MATLAB's spelling
    """An array of labels, each out of a fixed list of categories.

    Parameters
    ----------
    data : array_like of texts, integers, bools or numbers, or a categorical
        The labels. None, NaN and '' are undefined.
    valueset : sequence, optional
        The values that are categories, in their order; other values become undefined. By default the distinct values
        of ``data``, sorted: texts by character, numbers by size.
    catnames : sequence of texts, optional
        Names of the categories, by default the values as texts (numbers as '1', '2.5'; bools as 'false', 'true').
        Values with the same name become one category.

    Raises
    ------
    DataError
        Where the data are no labels.
    OptionError
        Where ``catnames`` does not fit ``valueset``, or a value of it is undefined or appears twice.

    Notes
    -----
    An array of one dimension is a column: in comparisons (N,) and (N, 1) go together. ``y[0]`` and ``y(1)`` are the
    first label; ``y([1, 2])`` counts from 1 and down the columns.

    Examples
    --------
    >>> from mlnet import categorical, categories
    >>> y = categorical([7, 1, 7])
    >>> y
      3x1 categorical array
    <BLANKLINE>
         7
         1
         7
    >>> categories(y)
    ['1', '7']
    >>> (y == 7).tolist()
    [True, False, True]
    """

    __array_ufunc__ = None  # lets `array == labels` come here too
    __hash__ = None  # type: ignore[assignment]
    _codes: np.ndarray
    _categories: list[str]

    def __init__(
        self, data: Any, valueset: Sequence[Any] | np.ndarray | None = None, catnames: Sequence[str] | None = None
    ) -> None:
        places: Any = slice(None)
        if isinstance(data, categorical):
            names, values = data.names(), data._categories
            shape = data.shape
        else:
            array = _as_array(data, "categorical")
            shape = array.shape
            if array.dtype.kind in "biufU":  # label images have many elements and few values
                array, places = np.unique(array, return_inverse=True)
            names = _names(array)
            values = _distinct(array, names) if valueset is None else []
        if valueset is not None:
            values = _value_set(valueset)
        categories = values if catnames is None else _category_names(catnames, len(values))
        self._categories = list(dict.fromkeys(categories))
        numbers = {name: number for number, name in enumerate(self._categories)}
        codes = {value: numbers[name] for value, name in zip(values, categories, strict=True)}
        flat = np.fromiter((codes.get(name, -1) for name in names.ravel()), np.int64, names.size)
        self._codes = flat[places].reshape(shape)

    @classmethod
    def from_codes(cls, codes: np.ndarray, names: Sequence[str]) -> categorical:
        """Return an array from category numbers, counted from 0; -1 is undefined."""
        result = cls.__new__(cls)
        result._codes = np.array(codes, np.int64)
        result._categories = list(names)
        return result

    @property
    def codes(self) -> np.ndarray:
        """Category numbers, counted from 0, int64; -1 where undefined."""
        return self._codes.copy()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._codes.shape

    @property
    def size(self) -> int:
        """Number of labels."""
        return self._codes.size

    def names(self) -> np.ndarray:
        """Return the labels as an object array of texts; None where undefined."""
        table = np.array([*self._categories, None], dtype=object)
        return table[self._codes]

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.names())

    def __getitem__(self, index: Any) -> Any:
        return self._of(self._codes[index])

    def __call__(self, number: int | Sequence[int]) -> Any:
        """Return the label with MATLAB's number, counted from 1, or the array of several numbers."""
        return self._of(self._codes.ravel(order="F")[from_one("categorical", number, self.size)])

    def _of(self, codes: Any) -> Any:
        if np.ndim(codes) == 0:
            return self._categories[codes] if codes >= 0 else None
        return categorical.from_codes(codes, self._categories)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.names().astype(dtype) if dtype is not None else self.names()

    def __eq__(self, other: object) -> Any:
        mine = self.names()
        theirs = other.names() if isinstance(other, categorical) else _names(_as_array(other, "categorical"))
        if mine.size == theirs.size and _is_column(mine) and _is_column(theirs):
            theirs = theirs.reshape(mine.shape)
        try:
            mine, theirs = np.broadcast_arrays(mine, theirs)
        except ValueError:
            raise DataError(f"categorical: needs labels of shape {self.shape}, but got {theirs.shape}.") from None
        return np.asarray((mine == theirs) & (mine != None), bool)  # noqa: E711 - undefined equals nothing

    def __ne__(self, other: object) -> Any:
        return ~(self == other)


def categories(labels: categorical) -> list[str]:
    """Return the names of the categories of a categorical array, in their order.

    Raises
    ------
    DataError
        Where ``labels`` is not categorical.
    """
    if not isinstance(labels, categorical):
        raise DataError(f"categories: needs a categorical array, but got {type(labels).__name__}.")
    return list(labels._categories)


def labels_of(data: Any, where: str) -> categorical:
    """Return class labels of any shape as a categorical array; raise `DataError` where the data are measurements."""
    return data if isinstance(data, categorical) else categorical(_whole_labels(data, where))


def as_labels(data: Any, where: str) -> categorical:
    """Return class labels as a one-dimensional categorical array; a column (N, 1) or a row (1, N) is flattened.

    Raises
    ------
    DataError
        Where the data are not labels (fractions, several columns) or some are undefined.
    """
    labels = labels_of(data, where)
    if labels.size != max(labels.shape):
        fix = " For one-hot rows give numpy.argmax(Y, axis=1)." if len(labels.shape) == 2 else ""
        raise DataError(f"{where}: needs one class for each observation (N x 1), but got shape {labels.shape}.{fix}")
    undefined = np.flatnonzero(labels.codes < 0)
    if undefined.size:
        raise DataError(f"{where}: needs a class for every observation, but number {undefined[0] + 1} is undefined.")
    return categorical.from_codes(labels.codes.ravel(), categories(labels))


def _whole_labels(data: Any, where: str) -> np.ndarray:
    """Return data that can be labels of classes as an array; refuse measurements."""
    array = _as_array(data, where)
    if array.dtype.kind == "f" and (~np.isnan(array) & (np.isinf(array) | (array != np.floor(array)))).any():
        raise DataError(
            f"{where}: needs class labels (categorical, texts, integers or bools), but got fractional or infinite "
            "numbers. For regression end the network with a regressionLayer."
        )
    return array


def _as_array(data: Any, where: str) -> np.ndarray:
    """Return labels as an array of at least one dimension."""
    try:
        array = np.asarray(data)
        if array.dtype.kind == "U" and not isinstance(data, (str, np.ndarray)):
            array = np.asarray(data, dtype=object)  # a mixed list such as [1, 'a'] keeps what each element is
    except ValueError:
        raise DataError(f"{where}: needs an array of labels, but got a list of uneven lists.") from None
    odd = [each for each in array.ravel() if not _is_label(each)] if array.dtype.kind == "O" else []
    if odd or array.dtype.kind not in "OUSiubfmM":
        came = describe(odd[0]) if odd else f"an array of type {array.dtype}"
        raise DataError(f"{where}: needs labels (texts, integers, bools or numbers), but got {came}.")
    return np.atleast_1d(array)


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, bytes)) or not isinstance(value, (Iterable, complex))


def _is_column(array: np.ndarray) -> bool:
    return array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)


def _names(array: np.ndarray) -> np.ndarray:
    """Return the labels as texts, None where they are undefined."""
    names: dict[tuple[type, Any], str | None] = {}
    flat = np.empty(array.size, dtype=object)
    for position, value in enumerate(array.ravel().tolist()):
        key = type(value), value  # True and 1 are equal, but not the same label
        if key not in names:
            names[key] = _name(value)
        flat[position] = names[key]
    return flat.reshape(array.shape)


def _name(value: Any) -> str | None:
    if value is None or value != value or value in ("", b"", UNDEFINED):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return f"{value:.15g}".replace("inf", "Inf")
    return str(value)


def _distinct(array: np.ndarray, names: np.ndarray) -> list[str]:
    """Return the different names, sorted by their values."""
    values = dict(zip(names.ravel(), array.ravel().tolist(), strict=True))
    values.pop(None, None)
    try:
        return sorted(values, key=lambda name: values[name])
    except TypeError:  # texts and numbers have no order
        return sorted(values)


def _value_set(values: Sequence[Any] | np.ndarray | categorical) -> list[str]:
    if isinstance(values, categorical):
        names = values.names().ravel().tolist()
    else:
        names = _names(_as_array(values, "categorical: valueset")).ravel().tolist()
    if None in names or len(set(names)) != len(names):
        raise OptionError(f"categorical: valueset needs different, defined values, but got {describe(names)}.")
    return names


def _category_names(names: Sequence[str], count: int) -> list[str]:
    rule = texts()
    if not rule.takes(names) or len(rule.convert(names)) != count:
        raise OptionError(f"categorical: catnames needs {count} texts, one for each value, but got {describe(names)}.")
    return list(rule.convert(names))
