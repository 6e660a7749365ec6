"""The analysis of a network as text and HTML."""

from __future__ import annotations

from mlnet.display.html import html_table, paragraph, titled
from mlnet.network.analyze import NetworkAnalysis

TITLES = ("", "Name", "Type", "Activations", "Learnable Properties", "States")
"""The columns of the table of layers."""


def analysis_text(analysis: NetworkAnalysis) -> str:
    """Return the table of layers, headed by the counts and followed by the mistakes."""
    from tabulate import DataRow, TableFormat, tabulate

    row = DataRow("    ", "   ", "")
    plain = TableFormat(None, None, None, None, row, row, 0, None)
    align = ("right", *["left"] * (len(TITLES) - 1))
    table = tabulate([TITLES, *analysis_rows(analysis)], tablefmt=plain, disable_numparse=True, colalign=align)
    lines = [f"  Network analysis: {counts_text(analysis)}", "", *(line.rstrip() for line in table.splitlines())]
    if analysis.Mistakes:
        lines += ["", "  Mistakes:", *(f"    {mistake}" for mistake in analysis.Mistakes)]
    return "\n".join(lines)


def analysis_html(analysis: NetworkAnalysis) -> str:
    """Return the analysis for a notebook."""
    align = ("right", *["left"] * (len(TITLES) - 1))
    parts = [html_table(analysis_rows(analysis), TITLES, align=align)]
    parts += [paragraph(mistake) for mistake in analysis.Mistakes]
    return titled(f"Network analysis: {counts_text(analysis)}", *parts)


def analysis_rows(analysis: NetworkAnalysis) -> list[tuple[str, ...]]:
    """Return the cells of the table, by `TITLES`."""
    rows = zip(analysis.LayerInfo.rows(), analysis.learnables, strict=True)
    return [(str(number), *row[:3], learnables, row[4]) for number, (row, learnables) in enumerate(rows, start=1)]


def counts_text(analysis: NetworkAnalysis) -> str:
    """Return e.g. "7 layers, 1.5k learnables (1k frozen), no mistakes"."""
    layers, mistakes = len(analysis.LayerInfo), len(analysis.Mistakes)
    found = "no mistakes" if not mistakes else f"{mistakes} mistake{'s' * (mistakes > 1)}"
    frozen = f" ({count_text(analysis.TotalFrozen)} frozen)" if analysis.TotalFrozen else ""
    return f"{layers} layer{'s' * (layers != 1)}, {count_text(analysis.TotalLearnables)} learnables{frozen}, {found}"


def count_text(count: int) -> str:
    """Return a number of learnables as MATLAB's summaries do: 801, 1.5k, 126.2k, 2.1M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return str(count)
