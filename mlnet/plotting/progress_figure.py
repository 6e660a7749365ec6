"""A figure of the progress of training: panels with curves, bands of epochs, and texts beside them.

What changes all the time (curves, numbers) is drawn over a stored background of what seldom changes (axes, bands,
titles), which makes a drawing several times faster.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from mlnet.figures import add_button, default_style
from mlnet.training.board import Board, Curve, Panel

SIZE = (11.0, 6.0)
POINTS = 1000
"""About as many points of a curve are drawn as the panel is pixels wide."""
BANDS = 40
"""More epochs than this share bands."""
START = 500.0
"""The horizontal axis of a long training starts with at most twice as many iterations, and doubles when it is full."""
LEFT, RIGHT, BOTTOM, TOP, GAP = 0.07, 0.67, 0.085, 0.925, 0.1
NAMES, VALUES = 0.69, 0.85
COLORS = {"Accuracy": ("#0072bd", "#a8d2f0"), "Loss": ("#d95319", "#f5c9b3")}
"""A strong and a light color for training curves; RMSE has those of Accuracy."""
OTHERS = ("#0072bd", "#d95319", "#7e2f8e", "#77ac30", "#edb120", "#4dbeee", "#a2142f")
BAND_COLOR, TEXT_COLOR = "#f1f1f1", "#303030"


def thinned(x: list[float], y: list[float], points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve of at most about ``points`` points that looks the same: lowest and highest value of each stretch.

    Values that are not finite are left out of a stretch; the last point always stays.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) <= points:
        return xs, ys
    width = math.ceil(2 * len(xs) / points)
    whole = len(xs) // width * width
    stretches = ys[:whole].reshape(-1, width)
    starts = np.arange(0, whole, width)
    low = starts + np.where(np.isnan(stretches), np.inf, stretches).argmin(axis=1)
    high = starts + np.where(np.isnan(stretches), -np.inf, stretches).argmax(axis=1)
    chosen = np.unique(np.concatenate([low, high, np.arange(whole, len(xs)), [len(xs) - 1]]))
    return xs[chosen], ys[chosen]


def end_above(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, ... from ``value`` on, so that axes seldom change."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * power >= value)


class ProgressFigure:
    """Draws a board into a figure of matplotlib.

    Parameters
    ----------
    figure : matplotlib figure
    board : Board
    with_button : bool
        Whether there is a stop button; only in windows can it be pressed.
    """

    def __init__(self, figure: Any, board: Board, *, with_button: bool) -> None:
        self.figure, self._board = figure, board
        self._with_button = with_button and board.with_stop_button
        self.button: Any = None
        self._background: Any = None
        self._connection = figure.canvas.mpl_connect("draw_event", self._on_draw)
        figure.canvas.mpl_connect("resize_event", self._on_resize)
        self._build()

    def draw(self) -> None:
        """Draw the board as it is now."""
        if self._version != self._board.version:
            self._build()
        is_same = self._set_limits()
        self._set_data()
        canvas = self.figure.canvas
        if is_same and self._background is not None and canvas.supports_blit:
            canvas.restore_region(self._background)
            self._draw_moving(canvas.get_renderer())
            canvas.blit(self.figure.bbox)
        else:
            canvas.draw()

    def settle(self) -> None:
        """Bring the figure up to date for the last time, and leave it as any other figure."""
        self._set_limits()
        self._set_data()
        self.figure.canvas.mpl_disconnect(self._connection)
        for artist in self._moving:
            artist.set_animated(False)

    def _build(self) -> None:
        """Make all axes anew."""
        board, figure = self._board, self.figure
        self._version, self._background = board.version, None
        self._limits: list[Any] = []
        self._moving: list[Any] = []
        with default_style():
            figure.clear()
            figure.set_facecolor("white")
            self.axes = [self._panel(place, panel) for place, panel in zip(self._places(), board.panels, strict=True)]
            if self.axes:
                self.axes[0].set_title(board.title, fontsize=11, color=TEXT_COLOR, parse_math=False)
            text = {"va": "top", "fontsize": 9, "color": TEXT_COLOR, "animated": True, "parse_math": False}
            self.names = figure.text(NAMES, TOP, "", **text)
            self.values = figure.text(VALUES, TOP, "", **text)
            self.headings = figure.text(NAMES, TOP, "", weight="bold", **text)
            for each in (self.names, self.values, self.headings):
                each.set_linespacing(1.35)
            self._moving += [self.names, self.values, self.headings]
            if self._with_button:
                self.button = add_button(figure, (0.9, 0.945, 0.075, 0.045), "Stop", self._pressed)
                self.button.ax.set_animated(True)
                self._moving.append(self.button.ax)

    def _places(self) -> list[tuple[float, float, float, float]]:
        """Return left, bottom, width and height of the panels: in one column, in two from four panels on."""
        count = len(self._board.panels)
        columns = 1 if count <= 3 else 2
        rows = math.ceil(count / columns)
        width = (RIGHT - LEFT - (columns - 1) * 0.08) / columns
        height = (TOP - BOTTOM - (rows - 1) * GAP) / max(rows, 1)
        return [
            (
                LEFT + (number % columns) * (width + 0.08),
                TOP - height - (number // columns) * (height + GAP),
                width,
                height,
            )
            for number in range(count)
        ]

    def _panel(self, place: tuple[float, float, float, float], panel: Panel) -> Any:
        axes = self.figure.add_axes(place)
        axes.set_ylabel(panel.label, fontsize=9, parse_math=False)
        axes.set_xlabel(self._board.x_label, fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
        axes.grid(True, color="0.88", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlim(0, 1)
        axes.locator_params(nbins=6)  # each label costs time at every whole drawing
        if panel.is_logarithmic:
            axes.set_yscale("log")
        self._lines = getattr(self, "_lines", {})
        for number, curve in enumerate(panel.curves):
            self._lines[id(curve)] = self._curve_lines(axes, curve, panel, number)
        axes.epoch_band = None
        axes.epoch_texts = []
        axes.final_text = axes.text(
            0, 0, "", ha="right", va="bottom", fontsize=8, weight="bold", animated=True, parse_math=False
        )
        self._moving.append(axes.final_text)
        if len(panel.curves) > 1 or any(curve.kind == "training" for curve in panel.curves):
            corner = "lower right" if panel.limits else "upper right"  # where the curves of a good training are not
            axes.legend(loc=corner, bbox_to_anchor=(0, 0.07, 1, 0.93), fontsize=7, framealpha=0.85)
        return axes

    def _curve_lines(self, axes: Any, curve: Curve, panel: Panel, number: int) -> list[Any]:
        """Return the lines of a curve: raw and smoothed for training, dashed with markers for validation."""
        name = panel.label.removesuffix(" (%)")
        strong, light = COLORS.get(name, COLORS["Accuracy"])
        if curve.kind == "training":
            styles: list[dict[str, Any]] = [
                {"color": light, "linewidth": 0.8, "label": "Training"},
                {"color": strong, "linewidth": 1.6, "label": "Training (smoothed)"},
            ]
        elif curve.kind == "validation":
            styles = [
                {
                    "color": "black",
                    "linestyle": "--",
                    "linewidth": 1.2,
                    "marker": "o",
                    "markersize": 4,
                    "label": "Validation",
                }
            ]
        else:
            styles = [{"color": OTHERS[number % len(OTHERS)], "linewidth": 1.3, "label": curve.name.replace("_", " ")}]
        lines = [axes.plot([], [], animated=True, **style)[0] for style in styles]
        self._moving += lines
        return lines

    def _set_limits(self) -> bool:
        """Set the ends of the axes and the bands; return whether all are as before."""
        horizontal = self._horizontal()
        epochs = [start for start in self._board.epochs if start <= horizontal[1]]
        limits: list[Any] = [horizontal, epochs, *(self._vertical(panel) for panel in self._board.panels)]
        if limits == self._limits:
            return True
        self._limits = limits
        for axes, vertical in zip(self.axes, limits[2:], strict=True):
            axes.set_xlim(*horizontal)
            axes.set_ylim(*vertical)
            self._bands(axes, epochs, horizontal[1])
        return False

    def _horizontal(self) -> tuple[float, float]:
        xs = [curve.x[-1] for curve in self._board.curves() if curve.x]
        starts = [curve.x[0] for curve in self._board.curves() if curve.x]
        start, last = min([0.0, *starts]), max(xs, default=1.0)
        board = self._board
        if board.is_finished and xs:
            return start, max(last, start + 1)
        if board.end is None:
            return start, end_above(max(last, 10.0))
        end = board.end
        while end / 2 >= max(last, START):
            end /= 2
        return start, max(end, last, start + 1)

    def _vertical(self, panel: Panel) -> tuple[float, float]:
        if panel.limits is not None:
            return panel.limits
        found = [np.asarray(curve.y, float) for curve in panel.curves if curve.y]
        values = np.concatenate(found) if found else np.zeros(0)
        values = values[np.isfinite(values)]
        if panel.is_logarithmic:
            values = values[values > 0]
            if not values.size:
                return 0.1, 1.0
            return 10.0 ** math.floor(math.log10(values.min())), 10.0 ** (math.floor(math.log10(values.max())) + 1)
        if not values.size:
            return 0.0, 1.0
        low, high = float(values.min()), float(values.max())
        return (-end_above(-low) if low < 0 else 0.0), (end_above(high) if high > 0 else 0.0 if low < 0 else 1.0)

    def _bands(self, axes: Any, epochs: list[float], end: float) -> None:
        """Shade every second epoch, or stretch of epochs where there are many, and write their numbers."""
        for each in [axes.epoch_band, *axes.epoch_texts]:
            if each is not None:
                each.remove()
        axes.epoch_band, axes.epoch_texts = None, []
        if not epochs:
            return
        together = math.ceil(len(epochs) / BANDS)
        edges = [*epochs[::together], end + 1]
        spans = [(left - 1, right - left) for left, right in zip(edges[1::2], edges[2::2], strict=False)]
        across = axes.get_xaxis_transform()
        axes.epoch_band = axes.broken_barh(spans, (0, 1), transform=across, color=BAND_COLOR, zorder=0)
        shown = math.ceil(len(edges[:-1]) / 12)
        for number, (left, right) in enumerate(itertools.pairwise(edges)):
            if number % shown == 0:
                epoch = f"Epoch {number * together + 1}" if len(edges) <= 8 else str(number * together + 1)
                middle = (left - 1 + min(right - 1, end)) / 2
                text = axes.text(
                    middle, 0.02, epoch, transform=across, ha="center", fontsize=7, color="0.45", clip_on=True
                )
                axes.epoch_texts.append(text)

    def _set_data(self) -> None:
        for axes, panel in zip(self.axes, self._board.panels, strict=True):
            axes.final_text.set_text("")
            for curve in panel.curves:
                lines = self._lines[id(curve)]
                lines[0].set_data(*thinned(curve.x, curve.y))
                if curve.kind == "training":
                    lines[1].set_data(*thinned(curve.x, curve.smooth))
                if curve.kind == "validation" and curve.y and self._board.is_finished:
                    axes.final_text.set_position((curve.x[-1], curve.y[-1]))
                    axes.final_text.set_text("Final ")
        names, values, headings = side_texts(self._board.sections)
        self.names.set_text(names)
        self.values.set_text(values)
        self.headings.set_text(headings)
        if self.button is not None:
            state = "Stopping" if self._board.stop_requested else "Stop"
            self.button.label.set_text(state)
            self.button.ax.set_visible(not self._board.is_finished)

    def _pressed(self, *_: Any) -> None:
        self._board.request_stop()
        self.button.label.set_text("Stopping")
        self.figure.canvas.draw_idle()

    def _on_draw(self, event: Any) -> None:
        """Keep the background of a whole drawing, and draw the rest over it; also where a user saves the figure."""
        canvas = self.figure.canvas
        if canvas.supports_blit and not canvas.is_saving():
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        self._draw_moving(event.renderer)

    def _on_resize(self, _: Any) -> None:
        """Forget the background, which has the old size."""
        self._background = None

    def _draw_moving(self, renderer: Any) -> None:
        for artist in self._moving:
            artist.draw(renderer)


def side_texts(sections: dict[str, dict[str, str]]) -> tuple[str, str, str]:
    """Return names, values and headings as three columns of the same lines."""
    names, values, headings = [], [], []
    for title, rows in sections.items():
        headings += [title, *[""] * len(rows), ""]
        names += ["", *rows, ""]
        values += ["", *rows.values(), ""]
    return "\n".join(names), "\n".join(values), "\n".join(headings)
