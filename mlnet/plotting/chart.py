"""What a picture of a board looks like, whoever draws it: places of panels, ends of axes, bands of epochs, lines."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlnet.training.board import Board, Curve, Panel

SIZE = (11.0, 6.0)
"""Inches; 100 dots each."""
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

Ends = tuple[float, float]
"""The ends of an axis."""


class Place(NamedTuple):
    """Where a panel is, as parts of width and height of the picture, from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A line of a curve: its style, and whether it goes through the smoothed values."""

    label: str
    color: str
    width: float
    is_smooth: bool = False
    with_markers: bool = False
    """Dashed, with a marker at each point."""

    def points(self, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
        """Return the points that are drawn."""
        return thinned(curve.x, curve.smooth if self.is_smooth else curve.y)


def lines(panel: Panel, number: int) -> list[Line]:
    """Return the lines of a curve of a panel: raw and smoothed for training, dashed with markers for validation."""
    curve = panel.curves[number]
    if curve.kind == "training":
        strong, light = COLORS.get(panel.label.removesuffix(" (%)"), COLORS["Accuracy"])
        return [Line("Training", light, 0.8), Line("Training (smoothed)", strong, 1.6, is_smooth=True)]
    if curve.kind == "validation":
        return [Line("Validation", "#000000", 1.2, with_markers=True)]
    return [Line(curve.name.replace("_", " "), OTHERS[number % len(OTHERS)], 1.3)]


def has_legend(panel: Panel) -> bool:
    """Tell whether a panel says which line is which."""
    return len(panel.curves) > 1 or any(curve.kind == "training" for curve in panel.curves)


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


def places(board: Board) -> list[Place]:
    """Return the places of the panels: in one column, in two from four panels on."""
    count = len(board.panels)
    columns = 1 if count <= 3 else 2
    rows = math.ceil(count / columns)
    width = (RIGHT - LEFT - (columns - 1) * 0.08) / columns
    height = (TOP - BOTTOM - (rows - 1) * GAP) / max(rows, 1)
    return [
        Place(
            LEFT + (number % columns) * (width + 0.08),
            TOP - height - (number // columns) * (height + GAP),
            width,
            height,
        )
        for number in range(count)
    ]


def horizontal(board: Board) -> Ends:
    """Return the ends of all horizontal axes."""
    xs = [curve.x[-1] for curve in board.curves() if curve.x]
    starts = [curve.x[0] for curve in board.curves() if curve.x]
    start, last = min([0.0, *starts]), max(xs, default=1.0)
    if board.is_finished and xs:
        return start, max(last, start + 1)
    if board.end is None:
        return start, end_above(max(last, 10.0))
    end = board.end
    while end / 2 >= max(last, START):
        end /= 2
    return start, max(end, last, start + 1)


def vertical(panel: Panel) -> Ends:
    """Return the ends of the vertical axis of a panel."""
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


class Bands(NamedTuple):
    """Stretches (left, right) that are shaded, and texts with the positions of their middles."""

    shaded: list[tuple[float, float]]
    texts: list[tuple[float, str]]


def bands(board: Board, end: float) -> Bands:
    """Return the bands of an axis that ends at ``end``: every second epoch, or stretch of epochs where there are many.

    Iterations belong to the place left of their number.
    """
    epochs = [start for start in board.epochs if start <= end]
    if not epochs:
        return Bands([], [])
    together = math.ceil(len(epochs) / BANDS)
    edges = [*epochs[::together], end + 1]
    shaded = [(left - 1, right - 1) for left, right in zip(edges[1::2], edges[2::2], strict=False)]
    shown = math.ceil(len(edges[:-1]) / 12)
    texts = []
    for number, (left, right) in enumerate(itertools.pairwise(edges)):
        if number % shown == 0:
            epoch = f"Epoch {number * together + 1}" if len(edges) <= 8 else str(number * together + 1)
            texts.append(((left - 1 + min(right - 1, end)) / 2, epoch))
    return Bands(shaded, texts)


def final_point(board: Board, panel: Panel) -> tuple[float, float] | None:
    """Return the point of a panel that is marked as final: the last validation of a finished training."""
    for curve in panel.curves:
        if board.is_finished and curve.kind == "validation" and curve.y:
            return curve.x[-1], curve.y[-1]
    return None
