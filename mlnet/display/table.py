"""Tables as MATLAB prints them: centred titles over underlined columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.display.html import html_table, titled
from mlnet.display.values import one_line, value_text
from mlnet.labels import UNDEFINED, categorical
from mlnet.table import DataTable, ParameterTable


def table_text(table: DataTable) -> str:
    """Return a table as the prompt shows it."""
    rows, columns = table.shape
    header = f"  {rows}x{columns} table"
    if not rows:
        return f"  {rows}x{columns} empty table"
    strings = isinstance(table, ParameterTable)
    cells = [(_strings if strings else _cells)(table[name]) for name in table.columns]
    widths = [max(len(name), *map(len, column)) for name, column in zip(table.columns, cells, strict=True)]
    lines = [
        [f"{name:^{width}}" for name, width in zip(table.columns, widths, strict=True)],
        ["_" * width for width in widths],
        [],
        *([f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in zip(*cells, strict=True)),
    ]
    return "\n".join([header, "", *("".join(f"    {cell}" for cell in line).rstrip() for line in lines)])


def table_html(table: DataTable) -> str:
    """Return a table as a notebook shows it."""
    rows, columns = table.shape
    body = [tuple(map(_plain, row)) for row in table.rows()]
    return titled(f"{rows}x{columns} table", html_table(body, table.columns, align=("left",) * columns))


def _cells(values: Any) -> list[str]:
    """Return the entries of a column; texts are cells of one width, numbers are right-aligned, labels left-aligned."""
    if isinstance(values, categorical):
        return [UNDEFINED if name is None else one_line(name) for name in values]
    if all(isinstance(value, str) for value in values):
        longest = max(map(len, values))
        quoted = [f"'{value}'" for value in values]
        return [f"{{{text:<{longest + 2}}}}" for text in quoted]
    texts = [value_text(value) for value in values]
    longest = max(map(len, texts))
    return [f"{text:>{longest}}" for text in texts]


def _strings(values: list[Any]) -> list[str]:
    """Return the entries of a column of strings, or of arrays by their size."""
    return [f'"{each}"' if isinstance(each, str) else _sized(each) for each in values]


def _sized(value: Any) -> str:
    size = "x".join(map(str, value.shape if value.ndim > 1 else (value.size, 1)))
    return f"{{{size} {'double' if isinstance(value, np.ndarray) else 'dlarray'}}}"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return _sized(value) if isinstance(value, dlarray) else value_text(value)
