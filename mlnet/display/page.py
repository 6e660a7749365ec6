"""The analysis of a network as one HTML page: counts, mistakes, the graph and the table of layers."""

from __future__ import annotations

from html import escape

from mlnet.display.analysis import TITLES, analysis_rows, count_text
from mlnet.display.layout import layout_of
from mlnet.network.analyze import NetworkAnalysis

_COLUMN, _ROW, _MARGIN, _LETTER = 40, 26, 14, 7.0
"""Pixels: least width of a column, height of a rank, distance to the edge, width of a letter."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4em; margin: 0 0 .6em; }
ul.counts { display: flex; flex-wrap: wrap; gap: 2em; list-style: none; padding: 0; margin: 0 0 1em; }
ul.counts b { display: block; font-size: 1.6em; font-weight: 600; }
ol.mistakes { background: #fdecea; border-left: 4px solid #c62828; padding: .6em 1em .6em 2.5em; }
.both { display: flex; gap: 2em; align-items: flex-start; }
.graph { flex: none; max-width: 45%; max-height: 94vh; overflow: auto; position: sticky; top: 0; }
svg path { fill: none; stroke: #0072bd; stroke-opacity: .55; }
svg circle { fill: #0072bd; }
svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg .wrong circle { fill: #c62828; r: 6px; }
svg .wrong text { fill: #c62828; font-weight: 600; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .3em .8em; border-bottom: 1px solid #ddd; vertical-align: top; }
th { border-bottom: 2px solid #888; position: sticky; top: 0; background: #fff; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.wrong td { background: #fdecea; }
tr:target td { background: #fff6d6; }
.mistake { color: #c62828; }
""".strip()


def analysis_page(analysis: NetworkAnalysis) -> str:
    """Return the page: no scripts, nothing from elsewhere, every text escaped."""
    marked: dict[int, list[str]] = {row: [] for marks in analysis.marks for row in marks}
    for mistake, marks in zip(analysis.Mistakes, analysis.marks, strict=True):
        for row in marks:
            marked[row].append(mistake)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><title>Network analysis</title>',
            f"<style>\n{_STYLE}\n</style></head>",
            "<body>",
            "<h1>Network analysis</h1>",
            _counts(analysis),
            *_mistakes(analysis),
            '<div class="both">',
            f'<div class="graph">{graph_svg(analysis.LayerInfo.Name, analysis.wires, marked)}</div>',
            _table(analysis, marked),
            "</div>",
            "</body>",
            "</html>\n",
        ]
    )


def _counts(analysis: NetworkAnalysis) -> str:
    counts = {
        "layers": str(len(analysis.LayerInfo)),
        "connections": str(len(analysis.wires)),
        "learnables": count_text(analysis.TotalLearnables),
        **({"frozen": count_text(analysis.TotalFrozen)} if analysis.TotalFrozen else {}),
        "mistakes": str(len(analysis.Mistakes)),
    }
    items = "".join(f"<li><b>{number}</b>{title}</li>" for title, number in counts.items())
    return f'<ul class="counts">{items}</ul>'


def _mistakes(analysis: NetworkAnalysis) -> list[str]:
    """Return the list of mistakes, each with links to its layers."""
    if not analysis.Mistakes:
        return []
    items = []
    for mistake, rows in zip(analysis.Mistakes, analysis.marks, strict=True):
        links = " ".join(f'<a href="#layer-{row + 1}">{row + 1}</a>' for row in rows)
        items.append(f"<li>{escape(mistake)} {links}</li>")
    return ['<ol class="mistakes">', *items, "</ol>"]


def _table(analysis: NetworkAnalysis, marked: dict[int, list[str]]) -> str:
    lines = ["<table>", f"<tr>{''.join(f'<th>{title}</th>' for title in (*TITLES, 'Number of Learnables'))}</tr>"]
    counts = analysis.LayerInfo.NumLearnables
    for row, (cells, count) in enumerate(zip(analysis_rows(analysis), counts, strict=True)):
        number, name, *others = map(escape, cells)
        notes = "".join(f'<div class="mistake">{escape(mistake)}</div>' for mistake in marked.get(row, ()))
        texts = "".join(f"<td>{text}</td>" for text in (f"{name}{notes}", *others))
        kind = ' class="wrong"' if row in marked else ""
        first, last = (f'<td class="number">{each}</td>' for each in (number, count))
        lines.append(f'<tr id="layer-{row + 1}"{kind}>{first}{texts}{last}</tr>')
    return "\n".join([*lines, "</table>"])


def graph_svg(names: list[str], wires: list[tuple[int, int]], marked: dict[int, list[str]]) -> str:
    """Return the graph as SVG: a dot for each layer, with its name and a link to its row in the table."""
    layout = layout_of(len(names), wires)
    places = [point for path in (layout.points, *layout.paths) for point in path]
    text = _LETTER * max(map(len, names), default=0)
    column = _COLUMN if all(x == 0 for x, _ in layout.points) else max(_COLUMN, text + 2 * _MARGIN)
    width = _MARGIN * 2 + column * max((x for x, _ in places), default=0) + text + _MARGIN
    height = _MARGIN * 2 + _ROW * max((y for _, y in places), default=0)

    def at(point: tuple[float, float]) -> tuple[str, str]:
        left = min(0.0, min((x for x, _ in places), default=0.0))
        return f"{_MARGIN + column * (point[0] - left):.1f}", f"{_MARGIN + _ROW * point[1]:.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img">']
    parts += [f'<path d="M{" L".join(" ".join(at(point)) for point in path)}"/>' for path in layout.paths]
    for row, (name, point) in enumerate(zip(names, layout.points, strict=True)):
        x, y = at(point)
        kind = ' class="wrong"' if row in marked else ""
        label = f'<text x="{float(x) + 9:.1f}" y="{float(y) + 4:.1f}">{escape(name)}</text>'
        parts.append(f'<a href="#layer-{row + 1}"{kind}><circle cx="{x}" cy="{y}" r="4"/>{label}</a>')
    return "\n".join([*parts, "</svg>"])
