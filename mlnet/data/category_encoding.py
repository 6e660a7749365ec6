"""Categories as numbers, or as an indicator for each category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError
from mlnet.labels import categorical, categories


class Encoder:
    """Turns categories into numbers; the categories are those of the first data.

    Parameters
    ----------
    data : categorical, or list of them
    """

    def __init__(self, data: categorical | list[categorical] | tuple[categorical, ...]) -> None:
        parts = data if isinstance(data, (list, tuple)) else [data]
        names = categories(parts[0])
        if any(categories(part) != names for part in parts):
            names = sorted({name for part in parts for name in categories(part)})
        self._names = list(names)

    @classmethod
    def of(cls, names: Sequence[str]) -> Encoder:
        """Return an encoder of the categories ``names``."""
        return cls(categorical.from_codes(np.arange(len(names)), list(names)))

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, in the order of their numbers."""
        return tuple(self._names)

    def column(self, data: categorical, where: str, *, one_hot: bool) -> Any:
        """Return a column of a table as numbers, or as a list of indicators for each row."""
        numbers = self.numbers(data, where)
        return list(self.indicators(numbers[:, np.newaxis])) if one_hot else numbers

    def numbers(self, data: Any, where: str) -> Any:
        """Return the numbers of the categories, from 1; NaN where undefined."""
        if isinstance(data, (list, tuple)):
            return [self.numbers(part, where) for part in data]
        unknown = [name for name in categories(data) if name not in self._names]
        if unknown:
            raise DataError(
                f"{where}: needs the categories {self._names} of the training data, but has '{unknown[0]}'."
            )
        table = np.array([self._names.index(name) + 1 for name in categories(data)] + [np.nan])
        return table[data.codes]

    def one_hot(self, numbers: Any, *, has_rows: bool) -> Any:
        """Return an indicator for each category in place of each channel: (N, C), or the last axis but one."""
        if isinstance(numbers, list):
            return [self.one_hot(each, has_rows=False) for each in numbers]
        if has_rows:
            return self.indicators(numbers.reshape(len(numbers), -1))
        axis = numbers.ndim - 2
        return np.moveaxis(self.indicators(np.moveaxis(numbers, axis, -1)), -1, axis)

    def indicators(self, numbers: np.ndarray) -> np.ndarray:
        """Return numbers (..., C) as indicators (..., C K), NaN for all K where a number is NaN."""
        known = np.where(np.isnan(numbers)[..., np.newaxis], np.nan, 1.0)
        hot = (numbers[..., np.newaxis] == np.arange(1, len(self._names) + 1)) * known
        return hot.reshape(*numbers.shape[:-1], -1)
