"""Categorical arrays: labels out of a fixed list of categories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError
from mlnet.options import Shown

UNDEFINED = "<undefined>"


class categorical(Shown):  # noqa: N801 - MATLAB's spelling
    """An array of labels, each out of a fixed list of categories.

    Parameters
    ----------
    data : array_like of texts, integers, bools or numbers, or a categorical
        The labels. None and NaN are undefined.
    valueset : sequence, optional
        The values that are categories, in their order; other values become undefined. By default the distinct values
        of ``data``, sorted: texts by character, numbers by size.
    catnames : sequence of texts, optional
        Names of the categories, by default the values as texts (numbers as '1', '2.5'; bools as 'false', 'true').

    Raises
    ------
    OptionError
        Where ``catnames`` does not fit ``valueset``, or a category appears twice.

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

    def __init__(
        self, data: Any, valueset: Sequence[Any] | np.ndarray | None = None, catnames: Sequence[str] | None = None
    ) -> None:
        if isinstance(data, categorical):
            names = data.names()
            values = _as_values(valueset) if valueset is not None else data._categories
        else:
            names = _names(_as_array(data))
            values = _as_values(valueset) if valueset is not None else _distinct(_as_array(data))
        lookup = {name: code for code, name in enumerate(values)}
        if len(lookup) != len(values):
            raise OptionError(f"categorical: needs different values in the value set, but got {values}.")
        if catnames is not None and len(catnames) != len(values):
            raise OptionError(f"categorical: needs {len(values)} category names, but got {len(catnames)}.")
        flat = np.fromiter((lookup.get(name, -1) for name in names.ravel()), np.int64, names.size)
        self._codes = flat.reshape(names.shape)
        self._categories = values if catnames is None else [str(name) for name in catnames]

    @classmethod
    def from_codes(cls, codes: np.ndarray, names: Sequence[str]) -> categorical:
        """Return an array from category numbers, counted from 0; -1 is undefined."""
        result = cls.__new__(cls)
        result._codes = np.asarray(codes, np.int64)
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
        codes = self._codes[index]
        if np.ndim(codes) == 0:
            return self._categories[codes] if codes >= 0 else None
        return categorical.from_codes(codes, self._categories)

    def __call__(self, number: int) -> Any:
        """Return the label with MATLAB's number, counted from 1."""
        if not 1 <= number <= self.size:
            raise IndexError(f"categorical: needs an index from 1 to {self.size}, but got {number}.")
        return self[number - 1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.names().astype(dtype) if dtype is not None else self.names()

    def __eq__(self, other: object) -> Any:
        mine = self.names()
        if not isinstance(other, categorical):
            other = _names(_as_array(other))
        theirs = other.names() if isinstance(other, categorical) else other
        try:
            mine, theirs = np.broadcast_arrays(mine, theirs)
        except ValueError:
            raise DataError(f"categorical: needs labels of shape {self.shape}, but got {theirs.shape}.") from None
        return np.asarray((mine == theirs) & (mine != None), bool)  # noqa: E711 - undefined equals nothing

    def __ne__(self, other: object) -> Any:
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]


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


def as_labels(data: Any, where: str) -> categorical:
    """Return class labels as a one-dimensional categorical array; a column (N, 1) is flattened.

    Raises
    ------
    DataError
        Where the data are not labels (fractions, several columns) or some are undefined.
    """
    labels = data if isinstance(data, categorical) else None
    if labels is None:
        array = _as_array(data)
        if array.dtype.kind == "f":
            finite = np.isfinite(array)
            if not finite.all():
                first = int(np.flatnonzero(~finite.ravel())[0])
                raise DataError(f"{where}: needs a class for every observation, but number {first + 1} is undefined.")
            if (array != np.floor(array)).any():
                raise DataError(
                    f"{where}: needs class labels (categorical, texts, integers or bools), but got fractional numbers. "
                    "For regression end the network with a regressionLayer."
                )
        elif array.dtype.kind not in "OUSiub":
            raise DataError(f"{where}: needs class labels, but got an array of type {array.dtype}.")
        labels = categorical(array)
    if labels.size != max(labels.shape, default=0):
        raise DataError(f"{where}: needs one class for each observation (N x 1), but got shape {labels.shape}.")
    labels = categorical.from_codes(labels.codes.ravel(), categories(labels))
    undefined = np.flatnonzero(labels.codes < 0)
    if undefined.size:
        raise DataError(f"{where}: needs a class for every observation, but number {undefined[0] + 1} is undefined.")
    return labels


def _as_array(data: Any) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError("categorical: needs an array of labels, but got a list of uneven lists.") from None
    if array.dtype.kind == "U" and not isinstance(data, (str, np.ndarray)):
        return np.asarray(data, dtype=object)  # a mixed list such as [1, 'a'] keeps what each element is
    return array


def _names(array: np.ndarray) -> np.ndarray:
    """Return the labels as texts, None where they are undefined."""
    result = np.empty(array.shape, dtype=object)
    distinct: dict[Any, str | None] = {}
    flat = result.reshape(-1)
    for position, value in enumerate(array.ravel().tolist()):
        if value not in distinct:
            distinct[value] = _name(value)
        flat[position] = distinct[value]
    return flat.reshape(array.shape)


def _name(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value in ("", UNDEFINED):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def _distinct(array: np.ndarray) -> list[str]:
    values = {value for value in array.ravel().tolist() if _name(value) is not None}
    if any(isinstance(value, str) for value in values):
        return sorted({str(_name(value)) for value in values})
    return list(dict.fromkeys(str(_name(value)) for value in sorted(values)))


def _as_values(values: Iterable[Any]) -> list[str]:
    names = values._categories if isinstance(values, categorical) else _names(_as_array(values)).ravel().tolist()
    return [str(name) for name in names]
