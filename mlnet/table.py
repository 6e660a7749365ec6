"""Tables: named columns of the same length, as MATLAB's ``table``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mlnet.errors import MissingExtraError, OptionError, UnknownNameError, nearest
from mlnet.options import Shown


class DataTable(Shown):
    """Columns of the same length, read and assigned as attributes (``t.Source``) or by name (``t['Source']``).

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

    def __setitem__(self, name: str, values: Any) -> None:
        count = len(values) if hasattr(values, "__len__") else 1
        if self._columns and count != len(self):
            raise OptionError(f"table: {name}: needs {len(self)} values, one for each row, but got {count}.")
        self._columns[name] = _kept(values)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            self[name] = value

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
    """The parameters of a network: columns Layer, Parameter and Value; texts are shown as strings, arrays by size.

    Values are assigned as a column (``t.Value = values``) or one by one (``t.Value[0] = value``). In the table of
    a network that changes the network (``net.Learnables.Value[0] = value``); ``copy.copy(t)`` is a table by itself.
    """

    def __init__(
        self,
        Layer: Sequence[str],  # noqa: N803
        Parameter: Sequence[str],  # noqa: N803
        Value: Sequence[Any],  # noqa: N803
        assign: Callable[[ParameterTable], None] | None = None,
    ) -> None:
        super().__init__(Layer=Layer, Parameter=Parameter, Value=Value)
        self._assign = assign
        """Takes the rows that change over into the network."""

    def __getitem__(self, name: str) -> Any:
        values = super().__getitem__(name)
        return _Values(values, self) if name == "Value" else values

    def __setitem__(self, name: str, values: Any) -> None:
        before = self._columns.get(name)
        super().__setitem__(name, values)
        if name == "Value" and self._assign is not None:
            try:
                self._assign(self)
            except Exception:
                self._columns[name] = before
                raise

    def __reduce__(self) -> tuple[Any, ...]:
        return ParameterTable, tuple(self._columns[name] for name in ("Layer", "Parameter", "Value"))

    def put(self, number: int, value: Any) -> None:
        """Assign the value of a row."""
        columns = self._columns
        if self._assign is not None:
            self._assign(ParameterTable([columns["Layer"][number]], [columns["Parameter"][number]], [value]))
        columns["Value"][number] = value


class _Values(list[Any]):
    """The values of a table of parameters; assigned elements are elements of the table."""

    def __init__(self, values: Iterable[Any] = (), table: ParameterTable | None = None) -> None:
        super().__init__(values)
        self._table = table

    def __setitem__(self, index: Any, value: Any) -> None:
        before = list(self)
        numbers: Sequence[int]
        super().__setitem__(index, value)
        if isinstance(index, slice):
            numbers = range(len(before))[index]
            if len(self) != len(before):
                count = len(numbers) + len(self) - len(before)
                super().__setitem__(slice(None), before)
                raise OptionError(f"table: Value: needs {len(numbers)} values, one for each row, but got {count}.")
        else:
            numbers = [range(len(before))[index]]
        if self._table is not None:
            for number in numbers:
                self._table.put(number, self[number])

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
