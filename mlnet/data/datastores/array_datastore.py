"""arrayDatastore: data in memory as a datastore."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from mlnet.data.datastores.combined import SubsetDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.declared import READ_SIZE, DeclaredDatastore
from mlnet.data.sources.columns import columns_of, is_table
from mlnet.errors import OptionError
from mlnet.labels import categorical, categories
from mlnet.options import Argument, Option, Table, constructs
from mlnet.rules import Refused, Rule, choice, integer
from mlnet.table import DataTable


def _data(value: Any) -> Any:
    if isinstance(value, categorical):
        return value
    if is_table(value):
        return DataTable(**columns_of(value))
    if isinstance(value, (list, tuple)):
        is_numeric = value and all(isinstance(element, (Real, np.bool_)) for element in value)
        return np.asarray(value) if is_numeric else list(value)
    if not isinstance(value, np.ndarray) or not value.ndim:
        raise Refused
    return value


class ArrayDatastore(DeclaredDatastore):
    """The datastore that `arrayDatastore` makes."""

    fixed = ("A", "IterationDimension", "OutputType")
    displayed = ("ReadSize", "IterationDimension", "OutputType")
    table = Table(
        Option(
            "A",
            None,
            Rule("an array, a list of arrays (one for each observation), or a table", _data, (1, None)),
            "The data; a NumPy memory map stays on its disk until observations are read.",
            argument=Argument.REQUIRED,
        ),
        READ_SIZE,
        Option("IterationDimension", 1, integer(), "The dimension, counted from 1, that counts the observations."),
        Option("OutputType", "cell", choice("cell", "same"), "Whether `read` returns a list, or what the data are."),
    )

    def check(self) -> None:
        """Raise where the data have no such dimension."""
        data, dimension = self._values["A"], self._values["IterationDimension"]
        has = len(data.shape) if isinstance(data, (np.ndarray, categorical)) else 1
        if data is not None and dimension > has:
            raise OptionError(
                f"arrayDatastore: IterationDimension: needs a dimension of the data, 1 to {has}, but got {dimension}."
            )

    def __len__(self) -> int:
        data = self._values["A"]
        if isinstance(data, (np.ndarray, categorical)):
            return data.shape[self._values["IterationDimension"] - 1]
        return len(data)

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the observations; a table gives its columns."""
        data = self._values["A"]
        if isinstance(data, DataTable):
            return [tuple(_entry(data._columns[name], number) for name in data.columns) for number in numbers]
        return [(self._element(number),) for number in numbers]

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return a list of the observations, or with OutputType 'same' an array, list or table of them."""
        data = self._values["A"]
        if isinstance(data, DataTable):
            parts = list(zip(*rows, strict=True))
            named = {name: list(part) for name, part in zip(data.columns, parts, strict=True)}
            for name, part in named.items():
                column = data._columns[name]
                if isinstance(column, categorical):
                    codes = [int(each.codes[0]) for each in part]
                    named[name] = categorical.from_codes(np.array(codes), categories(column))  # type: ignore[assignment]
            return DataTable(**named) if self._values["OutputType"] == "same" else [list(row) for row in rows]
        elements = [row[0] for row in rows]
        if self._values["OutputType"] == "cell" or isinstance(data, list):
            return elements
        if isinstance(data, categorical):
            codes = [_codes(element, data) for element in elements]
            axis = self._values["IterationDimension"] - 1
            joined = np.stack(codes, axis) if np.ndim(codes[0]) < len(data.shape) else np.concatenate(codes, axis)
            return categorical.from_codes(joined, categories(data))
        axis = self._values["IterationDimension"] - 1
        return np.stack(elements, axis) if np.ndim(elements[0]) < data.ndim else np.concatenate(elements, axis)

    def labels(self) -> categorical | None:
        """Return labels, where the data are a column of them or the last column of the table is one."""
        data = self._values["A"]
        if isinstance(data, DataTable):
            data = data._columns[data.columns[-1]]
        if isinstance(data, (np.ndarray, list)) and len(data) and np.ndim(data[0]) == 0:
            is_text = isinstance(data, np.ndarray) and data.dtype.kind == "U"
            return categorical(data) if is_text or all(isinstance(label, str) for label in data) else None
        return data if isinstance(data, categorical) and data.size == max(data.shape) else None

    def classes(self) -> list[str]:
        """Return the categories of labels, or of images of labels."""
        data = self._values["A"]
        if isinstance(data, list) and data and isinstance(data[0], categorical):
            return categories(data[0])
        labels = data if isinstance(data, categorical) else self.labels()
        return [] if labels is None else categories(labels)

    def selected(self, numbers: Sequence[int]) -> Datastore:
        """Return a datastore of some of the observations; those of a memory map stay on the disk."""
        if isinstance(self._values["A"], np.memmap):
            return SubsetDatastore(self, numbers)
        twin, data, chosen = self.copy(), self._values["A"], list(numbers)
        if isinstance(data, DataTable):
            twin._values["A"] = DataTable(**{name: _taken(data._columns[name], chosen) for name in data.columns})
        elif isinstance(data, list):
            twin._values["A"] = _taken(data, chosen)
        else:
            before = (slice(None),) * (self._values["IterationDimension"] - 1)
            twin._values["A"] = data[(*before, chosen)]
        return twin

    def _element(self, number: int) -> Any:
        """Return an observation; a last dimension that counts observations is dropped, as MATLAB drops it."""
        data, axis = self._values["A"], self._values["IterationDimension"] - 1
        if isinstance(data, list):
            return data[number]
        dims = len(data.shape)
        if isinstance(data, categorical) and dims == 1:
            return data[number : number + 1]  # one label that keeps the categories of all, as in MATLAB
        is_dropped = axis == dims - 1 and dims != 2
        return data[(*[slice(None)] * axis, number if is_dropped else slice(number, number + 1))]


def _entry(column: Any, number: int) -> Any:
    """Return an entry of a column of a table; a label keeps the categories of all."""
    return column[number : number + 1] if isinstance(column, categorical) else column[number]


def _codes(element: Any, data: categorical) -> Any:
    if isinstance(element, categorical):
        return element.codes
    return categories(data).index(element) if element is not None else -1


def _taken(column: Any, numbers: list[int]) -> Any:
    if isinstance(column, (np.ndarray, categorical)):
        return column[numbers]
    return [column[number] for number in numbers]


@constructs(ArrayDatastore)
def arrayDatastore() -> None:
    """Create a datastore of data in memory, or of a NumPy memory map.

    `read` returns a list (MATLAB: a cell array) of ReadSize observations, with ``OutputType='same'`` an array.
    Observations keep their number of dimensions, but a last one beyond two is dropped: with ``IterationDimension=4``
    an array (H, W, C, N) gives images (H, W, C). Elements of a list are observations. A table gives its columns.

    {parameters}

    Raises
    ------
    OptionError
        Where an option has a value that it cannot have, or the data have no such dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import arrayDatastore
    >>> ds = arrayDatastore(np.arange(6).reshape(3, 2))
    >>> ds.read()
    [array([[0, 1]])]
    >>> ds
      ArrayDatastore with properties:
    <BLANKLINE>
                  ReadSize: 1
        IterationDimension: 1
                OutputType: 'cell'
    """
