"""Tables as named columns: those of mlnet, and DataFrames of pandas, which is not imported for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.labels import categorical
from mlnet.table import DataTable


def is_table(value: Any) -> bool:
    """Tell whether ``value`` has named columns: a `DataTable`, or a DataFrame."""
    return isinstance(value, DataTable) or (hasattr(value, "columns") and hasattr(value, "iloc"))


def columns_of(table: Any) -> dict[str, Any]:
    """Return the columns by name: numbers as arrays, texts and categories as categorical, others as lists."""
    return {str(name): _column(table[name]) for name in table.columns}


def categorical_names(table: Any) -> list[str]:
    """Return the names of the columns that are categorical; those of texts are not."""
    return [
        str(name)
        for name in table.columns
        if isinstance(table[name], categorical) or getattr(table[name], "cat", None) is not None
    ]


def _column(column: Any) -> Any:
    if isinstance(column, categorical):
        return column
    kinds = getattr(column, "cat", None)  # a categorical column of pandas keeps its categories
    if kinds is not None:
        return categorical([None if missing else value for value, missing in zip(column, column.isna(), strict=True)],
                           list(kinds.categories))  # fmt: skip
    values = list(column)
    if values and all(isinstance(value, str) for value in values):
        return categorical(values)
    if all(np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiub" for value in values):
        return np.array(values)
    return values
