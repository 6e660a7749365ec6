"""The progress of training as an SVG drawing, and as a page with it; written without any other library."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

import numpy as np

from mlnet.plotting import chart
from mlnet.plotting.chart import Bands, Ends, Line, Place
from mlnet.training.board import Board, Curve, Panel

WIDTH, HEIGHT = (int(100 * inches) for inches in chart.SIZE)
RELOAD = 2
"""Seconds after which a browser reads the page of a training that goes on again."""
_LINE_HEIGHT = 17
_STYLE = {
    "text": "font-family:'DejaVu Sans',Verdana,Arial,sans-serif;font-size:12px;fill:#303030",
    ".small": "font-size:11px",
    ".tiny": "font-size:10px",
    ".faint": "fill:#737373",
    ".bold": "font-weight:bold",
    ".middle": "text-anchor:middle",
    ".end": "text-anchor:end",
    ".grid": "stroke:#e0e0e0;stroke-width:.8",
    ".frame": "fill:none;stroke:#303030;stroke-width:1",
    ".line": "fill:none;stroke-linejoin:round",
}
_SCOPE = "mlnet-progress"
"""Keeps the style from what else is on a page."""


def page(board: Board) -> str:
    """Return a page of HTML that needs no other file; it reloads itself until the training is finished."""
    reload = "" if board.is_finished else f'<meta http-equiv="refresh" content="{RELOAD}">\n'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n{reload}<title>{escape(board.title)}</title>\n'
        "<style>body{margin:0;background:white}body>svg{max-width:100%;height:auto}</style>\n"
        f"<body>\n{drawing(board)}\n</body>\n</html>\n"
    )


def drawing(board: Board) -> str:
    """Return the picture of a board as SVG."""
    horizontal = chart.horizontal(board)
    bands = chart.bands(board, horizontal[1])
    style = "".join(f".{_SCOPE} {name}{{{rules}}}" for name, rules in _STYLE.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{_SCOPE}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(board.title)}">',
        f'<style>{style}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    boxes = [_Box(place, panel, horizontal) for place, panel in zip(chart.places(board), board.panels, strict=True)]
    if boxes:
        first = boxes[0]
        parts.append(_text((first.left + first.right) / 2, first.top - 8, board.title, "middle"))
    for box in boxes:
        parts += box.parts(board, bands)
    return "\n".join([*parts, *_sections(board.sections), "</svg>"])


class _Box:
    """A panel in dots, y downwards."""

    def __init__(self, place: Place, panel: Panel, horizontal: Ends) -> None:
        self.left, self.right = WIDTH * place.left, WIDTH * (place.left + place.width)
        self.top, self.bottom = HEIGHT * (1 - place.bottom - place.height), HEIGHT * (1 - place.bottom)
        self._panel, self._horizontal, self._vertical = panel, horizontal, chart.vertical(panel)
        self._scale: Callable[[np.ndarray], np.ndarray] = _logarithm if panel.is_logarithmic else np.asarray

    def x(self, values: np.ndarray | float) -> np.ndarray:
        start, end = self._horizontal
        return self.left + (np.asarray(values, float) - start) * ((self.right - self.left) / (end - start))

    def y(self, values: np.ndarray | float) -> np.ndarray:
        start, end = self._scale(np.asarray(self._vertical, float))
        shares = (self._scale(np.asarray(values, float)) - start) / (end - start)
        return self.bottom - shares * (self.bottom - self.top)

    def parts(self, board: Board, bands: Bands) -> list[str]:
        """Return bands, axes, curves and legend, from the lowest to the uppermost."""
        panel, frame = self._panel, self._rectangle(self.left, self.right)
        lines = [(line, curve) for n, curve in enumerate(panel.curves) for line in chart.lines(panel, n)]
        result = []
        for left, right in bands.shaded:
            span = self._rectangle(float(self.x(left)), min(float(self.x(right)), self.right))
            result.append(f'<rect class="band" {span} fill="{chart.BAND_COLOR}"/>')
        result += self._axes(board.x_label)
        for middle, text in bands.texts:
            result.append(_text(float(self.x(middle)), self.bottom - 5, text, "tiny faint middle"))
        inside = f"{self.left:.1f} {self.top:.1f} {self.right - self.left:.1f} {self.bottom - self.top:.1f}"
        result += [f'<svg {frame} viewBox="{inside}">', *(self._path(*each) for each in lines), "</svg>"]
        result.append(f'<rect class="frame" {frame}/>')
        final = chart.final_point(board, panel)
        if final and math.isfinite(self.y(final[1])):
            result.append(_text(float(self.x(final[0])) - 4, float(self.y(final[1])) - 4, "Final", "small bold end"))
        return result + (self._legend([line for line, _ in lines]) if chart.has_legend(panel) else [])

    def _rectangle(self, left: float, right: float) -> str:
        return f'x="{left:.1f}" y="{self.top:.1f}" width="{right - left:.1f}" height="{self.bottom - self.top:.1f}"'

    def _axes(self, x_label: str) -> list[str]:
        """Return grid, numbers and labels."""
        result = []
        for value, text in _ticks(self._horizontal):
            at = float(self.x(value))
            result.append(f'<path class="grid" d="M{at:.1f} {self.top:.1f}V{self.bottom:.1f}"/>')
            result.append(_text(at, self.bottom + 15, text, "small middle"))
        for value, text in _powers(self._vertical) if self._panel.is_logarithmic else _ticks(self._vertical):
            at = float(self.y(value))
            result.append(f'<path class="grid" d="M{self.left:.1f} {at:.1f}H{self.right:.1f}"/>')
            result.append(_text(self.left - 6, at + 4, text, "small end"))
        middle = (self.top + self.bottom) / 2
        result.append(_text((self.left + self.right) / 2, self.bottom + 32, x_label, "middle"))
        turned = f' transform="rotate(-90 {self.left - 48:.1f} {middle:.1f})"'
        result.append(_text(self.left - 48, middle, self._panel.label, "middle", turned))
        return result

    def _path(self, line: Line, curve: Curve) -> str:
        """Return a curve with gaps where values are not finite, and its markers."""
        xs, ys = line.points(curve)
        xs, ys = self.x(xs), self.y(ys)
        path, pen = [], "M"
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            if math.isfinite(y):
                path.append(f"{pen}{x:.1f} {y:.1f}")
                pen = "L"
            else:
                pen = "M"
        dashes = ' stroke-dasharray="5 3"' if line.with_markers else ""
        style = f'stroke="{line.color}" stroke-width="{line.width * 1.3:.1f}"{dashes}'
        markers = "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.7" fill="{line.color}"/>'
            for x, y in zip(xs.tolist(), ys.tolist(), strict=True)
            if line.with_markers and math.isfinite(y)
        )
        return f'<path class="line" {style} d="{"".join(path)}"><title>{escape(curve.name)}</title></path>{markers}'

    def _legend(self, lines: list[Line]) -> list[str]:
        """Return which line is which, in the corner where the curves of a good training are not."""
        width = 44 + 6.5 * max(len(line.label) for line in lines)
        height = 15 * len(lines) + 6
        left = self.right - width - 6
        top = self.bottom - height - 20 if self._panel.limits else self.top + 8
        result = [
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" rx="3" fill="white" '
            'fill-opacity=".85" stroke="#cccccc"/>'
        ]
        for number, line in enumerate(lines):
            at = top + 11 + 15 * number
            dashes = ' stroke-dasharray="5 3"' if line.with_markers else ""
            result.append(
                f'<path d="M{left + 6:.1f} {at:.1f}h24" stroke="{line.color}" stroke-width="{line.width * 1.3:.1f}"'
                f"{dashes}/>"
            )
            result.append(_text(left + 36, at + 3.5, line.label, "tiny"))
        return result


def _logarithm(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values)


def _sections(sections: dict[str, dict[str, str]]) -> list[str]:
    """Return the texts beside the panels."""
    result, at = [], HEIGHT * (1 - chart.TOP) + 12
    for title, rows in sections.items():
        result.append(_text(WIDTH * chart.NAMES, at, title, "bold"))
        for name, value in rows.items():
            at += _LINE_HEIGHT
            result.append(_text(WIDTH * chart.NAMES, at, name))
            result.append(_text(WIDTH * chart.VALUES, at, value))
        at += 2 * _LINE_HEIGHT
    return result


def _text(x: float, y: float, text: str, style: str = "", more: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{more}>{escape(text)}</text>'


def _ticks(ends: Ends) -> list[tuple[float, str]]:
    """Return at most seven round values between the ends, with their texts."""
    start, end = ends
    power = 10.0 ** math.floor(math.log10((end - start) / 6))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= (end - start) / 6 * (1 - 1e-9))
    count = int((end - start) / step * (1 + 1e-9)) + 2
    numbers = [(math.ceil(start / step - 1e-9) + number) * step for number in range(count)]
    return [(value, f"{value + 0.0:.10g}") for value in numbers if value <= end + 1e-9 * step]


def _powers(ends: Ends) -> list[tuple[float, str]]:
    """Return at most about seven powers of ten between the ends, with their texts."""
    low, high = (round(math.log10(end)) for end in ends)
    return [(10.0**power, f"1e{power}") for power in range(low, high + 1, math.ceil((high - low) / 7))]
