"""A figure of the progress of training: panels with curves, bands of epochs, and texts beside them.

What changes all the time (curves, numbers) is drawn over a stored background of what seldom changes (axes, bands,
titles), which makes a drawing several times faster.
"""

from __future__ import annotations

from typing import Any

from mlnet.figures import add_button, default_style
from mlnet.plotting import chart
from mlnet.plotting.chart import TEXT_COLOR, Line
from mlnet.training.board import Board, Panel


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
            self.axes = [
                self._panel(place, panel) for place, panel in zip(chart.places(board), board.panels, strict=True)
            ]
            if self.axes:
                self.axes[0].set_title(board.title, fontsize=11, color=TEXT_COLOR, parse_math=False)
            text = {"va": "top", "fontsize": 9, "color": TEXT_COLOR, "animated": True, "parse_math": False}
            self.names = figure.text(chart.NAMES, chart.TOP, "", **text)
            self.values = figure.text(chart.VALUES, chart.TOP, "", **text)
            self.headings = figure.text(chart.NAMES, chart.TOP, "", weight="bold", **text)
            for each in (self.names, self.values, self.headings):
                each.set_linespacing(1.35)
            self._moving += [self.names, self.values, self.headings]
            if self._with_button:
                self.button = add_button(figure, (0.9, 0.945, 0.075, 0.045), "Stop", self._pressed)
                self.button.ax.set_animated(True)
                self._moving.append(self.button.ax)

    def _panel(self, place: chart.Place, panel: Panel) -> Any:
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
            self._lines[id(curve)] = [(line, _add_line(axes, line)) for line in chart.lines(panel, number)]
            self._moving += [drawn for _, drawn in self._lines[id(curve)]]
        axes.epoch_band = None
        axes.epoch_texts = []
        axes.final_text = axes.text(
            0, 0, "", ha="right", va="bottom", fontsize=8, weight="bold", animated=True, parse_math=False
        )
        self._moving.append(axes.final_text)
        if chart.has_legend(panel):
            corner = "lower right" if panel.limits else "upper right"  # where the curves of a good training are not
            axes.legend(loc=corner, bbox_to_anchor=(0, 0.07, 1, 0.93), fontsize=7, framealpha=0.85)
        return axes

    def _set_limits(self) -> bool:
        """Set the ends of the axes and the bands; return whether all are as before."""
        horizontal = chart.horizontal(self._board)
        bands = chart.bands(self._board, horizontal[1])
        limits: list[Any] = [horizontal, bands, *(chart.vertical(panel) for panel in self._board.panels)]
        if limits == self._limits:
            return True
        self._limits = limits
        for axes, vertical in zip(self.axes, limits[2:], strict=True):
            axes.set_xlim(*horizontal)
            axes.set_ylim(*vertical)
            _set_bands(axes, bands)
        return False

    def _set_data(self) -> None:
        for axes, panel in zip(self.axes, self._board.panels, strict=True):
            for curve in panel.curves:
                for line, drawn in self._lines[id(curve)]:
                    drawn.set_data(*line.points(curve))
            final = chart.final_point(self._board, panel)
            axes.final_text.set_text("Final " if final else "")
            axes.final_text.set_position(final or (0, 0))
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


def _add_line(axes: Any, line: Line) -> Any:
    style = {"linestyle": "--", "marker": "o", "markersize": 4} if line.with_markers else {}
    (drawn,) = axes.plot([], [], color=line.color, linewidth=line.width, label=line.label, animated=True, **style)
    return drawn


def _set_bands(axes: Any, bands: chart.Bands) -> None:
    """Replace the bands of epochs and their numbers."""
    for each in [axes.epoch_band, *axes.epoch_texts]:
        if each is not None:
            each.remove()
    axes.epoch_band, across = None, axes.get_xaxis_transform()
    if bands.shaded:
        spans = [(left, right - left) for left, right in bands.shaded]
        axes.epoch_band = axes.broken_barh(spans, (0, 1), transform=across, color=chart.BAND_COLOR, zorder=0)
    style = {"transform": across, "ha": "center", "fontsize": 7, "color": "0.45", "clip_on": True}
    axes.epoch_texts = [axes.text(middle, 0.02, text, **style) for middle, text in bands.texts]


def side_texts(sections: dict[str, dict[str, str]]) -> tuple[str, str, str]:
    """Return names, values and headings as three columns of the same lines."""
    names, values, headings = [], [], []
    for title, rows in sections.items():
        headings += [title, *[""] * len(rows), ""]
        names += ["", *rows, ""]
        values += ["", *rows.values(), ""]
    return "\n".join(names), "\n".join(values), "\n".join(headings)
