"""Tables as MATLAB prints them: centred titles over underlined columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.display.html import html_table, titled
from mlnet.display.values import one_line, value_text
from mlnet.labels import UNDEFINED, categorical
from mlnet.table import DataTable, NamedRows, ParameterTable


def table_text(table: DataTable) -> str:
    """Return a table as the prompt shows it."""
    rows, columns = table.shape
    header = f"  {rows}x{columns} table"
    if not rows:
        return f"  {rows}x{columns} empty table"
    strings = isinstance(table, ParameterTable)
    cells = [(_strings if strings else _cells)(table[name]) for name in table.columns]
    named = table.RowNames if isinstance(table, NamedRows) else None
    widths = [max(len(name), *map(len, column)) for name, column in zip(table.columns, cells, strict=True)]
    lines = [
        [f"{name:^{width}}" for name, width in zip(table.columns, widths, strict=True)],
        ["_" * width for width in widths],
        [],
        *([f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in zip(*cells, strict=True)),
    ]
    margin = ["", "", None, *named] if named is not None else [""] * len(lines)
    width = max(map(len, named), default=0) if named is not None else 0
    return "\n".join([header, "", *(_line(name, width, line) for name, line in zip(margin, lines, strict=True))])


def _line(name: str | None, width: int, cells: list[str]) -> str:
    """Return a line of a table; the names of rows, in a column of ``width``, have no title."""
    first = f"    {name or '':<{width}}" if width else ""
    return (first + "".join(f"    {cell}" for cell in cells)).rstrip()


def table_html(table: DataTable) -> str:
    """Return a table as a notebook shows it."""
    rows, columns = table.shape
    body = [tuple(map(_plain, row)) for row in table.rows()]
    titles = table.columns
    if isinstance(table, NamedRows):
        body, titles = [(name, *row) for name, row in zip(table.RowNames, body, strict=True)], ["", *titles]
    return titled(f"{rows}x{columns} table", html_table(body, titles, align=("left",) * len(titles)))


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
