"""A layer array as a table: number, quoted name, type and description of each layer."""

from __future__ import annotations

from mlnet.display.html import html_table, titled
from mlnet.display.values import one_line, value_text
from mlnet.network.layer_array import LayerArray
from mlnet.options import to_html, to_text

_EMPTY = "0x0 Layer array with properties:"
_NUMBER_WIDTH = 6  # numbers of up to six digits end in the same column
_ALIGN = ("right", "left", "left", "left")


def layer_array_text(layers: LayerArray) -> str:
    """Return the table that MATLAB prints; an array of one layer is shown as the layer."""
    if len(layers) == 0:
        return f"  {_EMPTY}"
    if len(layers) == 1:
        return to_text(layers[0])
    return f"  {_header(layers)}\n\n{rows_text(layers)}"


def rows_text(layers: LayerArray) -> str:
    """Return the rows of the table alone."""
    from tabulate import DataRow, TableFormat, tabulate

    rows = _rows(layers)
    begin = " " * (_NUMBER_WIDTH - len(rows[-1][0])) if rows else ""
    row = DataRow(begin, "   ", "")
    style = TableFormat(None, None, None, None, row, row, padding=0, with_header_hide=None)
    # tabulate strips cells and rows: names are quoted, so their own blanks stay
    return tabulate(rows, tablefmt=style, colalign=_ALIGN, disable_numparse=True)


def layer_array_html(layers: LayerArray) -> str:
    """Return the table as HTML; an array of one layer is shown as the layer."""
    if len(layers) == 0:
        return titled(_EMPTY)
    if len(layers) == 1:
        return to_html(layers[0])
    return titled(_header(layers), html_table(_rows(layers), ["", "Name", "Type", "Description"], _ALIGN))


def _header(layers: LayerArray) -> str:
    return f"{len(layers)}x1 Layer array with layers:"


def _rows(layers: LayerArray) -> list[tuple[str, str, str, str]]:
    rows = []
    for number, layer in enumerate(layers, start=1):
        kind = layer.type_name or type(layer).__name__
        description = one_line(layer.description() or kind)
        rows.append((str(number), value_text(layer.Name), one_line(kind), description))
    return rows
