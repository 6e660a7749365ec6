"""confusionchart: a confusion matrix as a chart, whose title, summaries and normalization can be changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.confusion import confusion
from mlnet.errors import DataError, OptionError, message
from mlnet.figures import new_chart, redraw
from mlnet.labels import labels_of
from mlnet.options import Declared, Derived, Group, Option, Table, describe
from mlnet.rules import choice, number, text, texts

DIAGONAL, OFF_DIAGONAL = np.array([0.0, 0.447, 0.741]), np.array([0.851, 0.325, 0.098])
"""Colors of right and wrong predictions, at their fullest."""
NORMALIZATIONS = ("absolute", "row-normalized", "column-normalized", "total-normalized")
ORDERS = ("auto", "ascending-diagonal", "descending-diagonal")
MARGIN = 0.25
"""Distance of the summaries from the matrix, in cells."""


class ConfusionMatrixChart(Declared):
    """What `confusionchart` returns; an assignment draws it anew. ``Figure`` is the figure of matplotlib."""

    constructor_name = "confusionchart"
    table = Table(
        Derived("NormalizedValues", lambda self: self._normalized(), "The values of the cells.", Group.PLAIN),
        Derived("ClassLabels", lambda self: list(self._names), "Names of the classes, in their order.", Group.PLAIN),
        Option("Title", "", text(), "Title of the chart."),
        Option("XLabel", "Predicted Class", text(), "Label of the columns."),
        Option("YLabel", "True Class", text(), "Label of the rows."),
        Option("Normalization", "absolute", choice(*NORMALIZATIONS), "What the cells show: counts or shares."),
        Option(
            "RowSummary", "off", choice("off", "absolute", "row-normalized", "total-normalized"), "Right and wrong."
        ),
        Option(
            "ColumnSummary",
            "off",
            choice("off", "absolute", "column-normalized", "total-normalized"),
            "Right and wrong.",
        ),
        Option("FontSize", 10, number(0, above=True), "Size of the texts in points."),
        Derived("Figure", lambda self: self._figure, "The figure of matplotlib."),
    )
    _counts: np.ndarray
    _names: list[str]
    _figure: Any

    def __init__(self, counts: np.ndarray, names: list[str], *args: Any, **options: Any) -> None:
        object.__setattr__(self, "_counts", counts)
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_figure", None)
        super().__init__(*args, **options)
        size = 1.6 + 0.62 * min(max(len(names), 4), 24)
        object.__setattr__(self, "_figure", new_chart("confusionchart", (size + 1.2, size)))
        self._draw()

    def __copy__(self) -> ConfusionMatrixChart:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfusionMatrixChart:
        return self

    def _assign(self, given: dict[str, Any]) -> None:
        super()._assign(given)
        if self._figure is not None:
            self._draw()

    def _normalized(self) -> np.ndarray:
        kind = self.Normalization
        totals = {
            "row-normalized": self._counts.sum(axis=1, keepdims=True),
            "column-normalized": self._counts.sum(axis=0, keepdims=True),
            "total-normalized": self._counts.sum(),
        }
        return self._counts.copy() if kind == "absolute" else shares(self._counts, totals[kind])

    def _draw(self) -> None:
        figure, count = self._figure, len(self._names)
        figure.clear()
        axes = figure.add_subplot()
        values = self._normalized()
        colors = cell_colors(values, np.eye(count, dtype=bool))
        as_text = count_text if self.Normalization == "absolute" else percent_text
        draw_cells(axes, (0, 0), values, colors, as_text, self.FontSize)
        right = np.diag(self._counts)
        width = height = float(count)
        if self.RowSummary != "off":
            self._summary(axes, (0, count + MARGIN), right, self._counts.sum(axis=1), self.RowSummary, is_row=True)
            width += MARGIN + 2
        if self.ColumnSummary != "off":
            self._summary(axes, (count + MARGIN, 0), right, self._counts.sum(axis=0), self.ColumnSummary, is_row=False)
            height += MARGIN + 2
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        middles = np.arange(count) + 0.5
        axes.set_xticks(middles, self._names, rotation=90 if count > 6 else 0, fontsize=self.FontSize, parse_math=False)
        axes.set_yticks(middles, self._names, fontsize=self.FontSize, parse_math=False)
        axes.tick_params(length=0)
        axes.set_xlabel(self.XLabel, fontsize=self.FontSize + 1, parse_math=False)
        axes.set_ylabel(self.YLabel, fontsize=self.FontSize + 1, parse_math=False)
        axes.set_title(self.Title, fontsize=self.FontSize + 2, parse_math=False)
        axes.spines[:].set_visible(False)
        figure.tight_layout()
        redraw(figure)

    def _summary(
        self, axes: Any, place: tuple[float, float], right: np.ndarray, total: np.ndarray, kind: str, *, is_row: bool
    ) -> None:
        """Draw two columns beside the matrix, or two rows below it: right and wrong predictions of each class."""
        pair = np.stack([right, total - right], axis=1)
        if kind != "absolute":
            pair = shares(pair, self._counts.sum() if kind == "total-normalized" else total[:, np.newaxis])
        is_right = np.broadcast_to([True, False], pair.shape)
        as_text = count_text if kind == "absolute" else percent_text
        colors = cell_colors(pair, is_right)
        if not is_row:
            pair, colors = pair.T, colors.swapaxes(0, 1)
        draw_cells(axes, place, pair, colors, as_text, self.FontSize)


def confusionchart(*args: Any, **options: Any) -> ConfusionMatrixChart:
    """Draw a confusion matrix: true classes in rows, predicted classes in columns.

    ``confusionchart(trueLabels, predictedLabels)``, ``confusionchart(C)`` or ``confusionchart(C, classNames)``, each
    followed by name-value pairs.

    Parameters
    ----------
    trueLabels, predictedLabels : (N,) or (N, 1) labels
        As for `confusionmat`.
    C : (K, K) array
        Counts, true classes in rows.
    classNames : K labels, optional
        Default: '1' to 'K'.
    Title, XLabel, YLabel : text
    Normalization : 'absolute' (default), 'row-normalized', 'column-normalized' or 'total-normalized'
    RowSummary : 'off' (default), 'absolute', 'row-normalized' or 'total-normalized'
        Right and wrong predictions of each true class, beside the matrix.
    ColumnSummary : 'off' (default), 'absolute', 'column-normalized' or 'total-normalized'
        Right and wrong predictions of each predicted class, below the matrix.
    FontSize : number, default 10

    Returns
    -------
    ConfusionMatrixChart
        Has these options as properties, which can be assigned, NormalizedValues, ClassLabels, and Figure, the figure of
        matplotlib.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    DataError
        Where the labels do not go together, or the matrix is not square with counts.
    """
    where = "confusionchart"
    if not args:
        raise OptionError(message(where, "labels or a confusion matrix", "no argument"))
    is_pair = len(args) > 1 and isinstance(args[1], str)  # a name of an option
    first, second, rest = (args[0], None, args[1:]) if len(args) == 1 or is_pair else (args[0], args[1], args[2:])
    matrix = _matrix(first)
    if second is None or (matrix is not None and np.size(second) == len(matrix) and len(matrix) != matrix.size):
        return ConfusionMatrixChart(*_of_matrix(first, matrix, second, where), *rest, **options)
    return ConfusionMatrixChart(*confusion(first, second, where), *rest, **options)


def sortClasses(chart: ConfusionMatrixChart, order: Any) -> None:  # noqa: N802
    """Change the order of the classes of a confusion chart.

    Parameters
    ----------
    chart : result of `confusionchart`
    order : list of class names, 'auto', 'ascending-diagonal' or 'descending-diagonal'
        'auto' sorts by name; the others by the values on the diagonal.

    Raises
    ------
    OptionError
        Where ``order`` does not have every class once.
    """
    if not isinstance(chart, ConfusionMatrixChart):
        raise OptionError(message("sortClasses", "a result of confusionchart", describe(chart)))
    names = chart._names
    if isinstance(order, str):
        rule = choice(*ORDERS)
        if not rule.takes(order):
            raise OptionError(message("sortClasses: order", f"{rule.needed}, or class names", describe(order)))
        by_name = sorted(range(len(names)), key=lambda index: names[index])
        diagonal = np.diag(chart.NormalizedValues)
        places = by_name if rule.convert(order) == "auto" else np.argsort(diagonal, kind="stable").tolist()
        if rule.convert(order) == "descending-diagonal":
            places = np.argsort(-diagonal, kind="stable").tolist()
    else:
        wanted = labels_of(order, "sortClasses").names().ravel().tolist()
        if sorted(map(str, wanted)) != sorted(names):
            raise OptionError(message("sortClasses: order", f"each of {describe(names)} once", describe(wanted)))
        places = [names.index(name) for name in wanted]
    object.__setattr__(chart, "_counts", chart._counts[np.ix_(places, places)])
    object.__setattr__(chart, "_names", [names[place] for place in places])
    chart._draw()


def _matrix(value: Any) -> np.ndarray | None:
    """Return a square array of numbers, or None for anything else."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 2 and array.shape[0] == array.shape[1] else None


def _of_matrix(first: Any, matrix: np.ndarray | None, names: Any, where: str) -> tuple[np.ndarray, list[str]]:
    if matrix is None or not matrix.size or not (np.isfinite(matrix) & (matrix >= 0)).all():
        raise DataError(message(where, "two arrays of labels, or a square matrix of counts", describe(first)))
    if names is None:
        return matrix, [str(number) for number in range(1, len(matrix) + 1)]
    labels = list(names) if texts().takes(names) else [str(name) for name in labels_of(names, where).names().ravel()]
    if len(set(labels)) != len(labels):
        raise DataError(message(f"{where}: class names", "different names", describe(labels)))
    return matrix, labels


def shares(counts: np.ndarray, total: Any) -> np.ndarray:
    """Return counts as shares of ``total``; NaN where that is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(total) > 0, counts / total, np.nan)


def count_text(value: float) -> str:
    """Return a count; '' for 0."""
    return f"{value:.6g}" if value else ""


def percent_text(value: float) -> str:
    """Return a share in percent with one decimal; '' for 0 and NaN."""
    return f"{100 * value:.1f}%" if value > 0 else ""


def cell_colors(values: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """Return RGB colors: the fuller the larger the value, blue where predictions are right and orange elsewhere."""
    known = np.nan_to_num(values)
    strength = 0.9 * known / max(float(known.max(initial=0)), 1e-300)
    strength = np.where(known > 0, np.maximum(strength, 0.08), 0)[..., np.newaxis]
    return 1 - strength * (1 - np.where(is_right[..., np.newaxis], DIAGONAL, OFF_DIAGONAL))


def draw_cells(
    axes: Any, place: tuple[float, float], values: np.ndarray, colors: np.ndarray, as_text: Any, size: float
) -> None:
    """Draw an array as cells with texts; ``place`` is row and column of its corner."""
    top, left = place
    rows, columns = values.shape
    axes.pcolormesh(np.arange(columns + 1) + left, np.arange(rows + 1) + top, colors, edgecolors="0.75", linewidth=0.6)
    for row in range(rows):
        for column in range(columns):
            label = as_text(values[row, column])
            if label:
                ink = "white" if colors[row, column] @ [0.299, 0.587, 0.114] < 0.55 else "black"
                place_of_text = left + column + 0.5, top + row + 0.5
                axes.text(*place_of_text, label, ha="center", va="center", color=ink, fontsize=size, clip_on=True)
