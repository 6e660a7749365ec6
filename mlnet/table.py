"""Tables: named columns of the same length, as MATLAB's ``table``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlnet.errors import MissingExtraError, OptionError, UnknownNameError, nearest
from mlnet.options import Shown


class DataTable(Shown):
    """Columns of the same length, read as attributes (``t.Source``) or by name (``t['Source']``).

    Columns are lists; a categorical one stays categorical, and an array of numbers an array. ``len(t)`` is
    the number of rows, ``t.rows()`` yields them as tuples, and ``t.to_pandas()`` gives a DataFrame.

    Raises
    ------
    OptionError
        Where the columns differ in length.
    """

    def __init__(self, **columns: Sequence[Any] | np.ndarray | Shown) -> None:
        lengths = {name: len(values) for name, values in columns.items()}  # type: ignore[arg-type]
        if len(set(lengths.values())) > 1:
            raise OptionError(f"table: needs columns of the same length, but got {lengths}.")
        self._columns: dict[str, Any] = {n: _kept(values) for n, values in columns.items()}

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self), len(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), []))

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns:
            raise UnknownNameError(f"table: there is no column '{name}'.{nearest(str(name), self._columns)}")
        return _kept(self._columns[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows."""
        return zip(*self._columns.values(), strict=True)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame.

        Raises
        ------
        MissingExtraError
            Where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame({name: list(values) for name, values in self._columns.items()})


def _kept(values: Any) -> Any:
    """Return a column as a list of its own, but labels as they are and an array of numbers as an array."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "if":
        return values.copy()
    return values if isinstance(values, Shown) else list(values)


class NamedRows(DataTable):
    """A table whose rows have names, ``RowNames``."""

    def __init__(self, names: Sequence[str], columns: dict[str, Sequence[Any]]) -> None:
        super().__init__(**columns)
        self._row_names = list(names)

    @property
    def RowNames(self) -> list[str]:  # noqa: N802 - MATLAB's spelling
        """Names of the rows."""
        return list(self._row_names)


class ParameterTable(DataTable):
    """The parameters of a network: columns Layer, Parameter and Value; texts are shown as strings, arrays by size."""

    def __init__(self, Layer: Sequence[str], Parameter: Sequence[str], Value: Sequence[Any]) -> None:  # noqa: N803
        super().__init__(Layer=Layer, Parameter=Parameter, Value=Value)
