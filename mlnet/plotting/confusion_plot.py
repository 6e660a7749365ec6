"""plotconfusion: confusion matrices with shares, outputs in rows and targets in columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.data.confusion import Confusion, confusion
from mlnet.errors import DataError, OptionError, message
from mlnet.figures import new_chart, redraw
from mlnet.labels import categorical
from mlnet.options import describe

GREEN, RED, GREY, BLUE = (0.74, 0.90, 0.77), (0.97, 0.77, 0.75), (0.94, 0.94, 0.94), (0.85, 0.85, 0.92)


def plotconfusion(*args: Any) -> Any:
    """Draw confusion matrices with percentages: output classes in rows, target classes in columns.

    ``plotconfusion(targets, outputs)``, ``plotconfusion(targets, outputs, name)``, or several of these triples.

    Parameters
    ----------
    targets, outputs : labels (N,) or (N, 1), or arrays (K, N)
        Labels as for `confusionmat`; or one-hot columns and scores, one column for each observation, of which the
        largest counts. One row (1, N) is of two classes, 0 below 0.5 and 1 from there on.
    name : text
        Put before the title.

    Returns
    -------
    matplotlib Figure
        Cells have counts and their share of all observations; the last column and row the shares that are right and
        wrong of an output class and of a target class, their corner those of all.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    DataError
        Where targets and outputs do not go together.
    OptionError
        For other arguments.
    """
    groups = _groups(args)
    found = [(_confusion(targets, outputs), name) for targets, outputs, name in groups]
    columns = math.ceil(math.sqrt(len(found)))
    rows = math.ceil(len(found) / columns)
    size = max(4.5, 1.5 + 0.62 * min(max(len(each.names) for each, _ in found), 24)) if len(found) == 1 else 4.5
    figure = new_chart("plotconfusion", (size * columns, size * rows))
    for number, (each, name) in enumerate(found, start=1):
        _draw(figure.add_subplot(rows, columns, number), each, f"{name} Confusion Matrix".strip())
    figure.tight_layout()
    redraw(figure)
    return figure


def _groups(args: tuple[Any, ...]) -> list[tuple[Any, Any, str]]:
    if len(args) == 2:
        return [(*args, "")]
    if not args or len(args) % 3 or not all(isinstance(name, str) for name in args[2::3]):
        came = f"{len(args)} arguments"
        raise OptionError(
            message("plotconfusion", "targets and outputs, or triples of targets, outputs and a name", came)
        )
    return list(zip(args[::3], args[1::3], args[2::3], strict=True))


def _confusion(targets: Any, outputs: Any) -> Confusion:
    """Return the counts of labels, or of one-hot columns and scores."""
    where = "plotconfusion"
    if any(isinstance(each, categorical) or _is_text(each) for each in (targets, outputs)):
        return confusion(targets, outputs, where)
    truth, scores = np.asarray(targets, float), np.asarray(outputs, float)
    if truth.ndim == 1 or (truth.ndim == 2 and truth.shape[1] == 1 < truth.shape[0] and scores.shape == truth.shape):
        return confusion(targets, outputs, where)
    if truth.shape != scores.shape or truth.ndim != 2:
        raise DataError(
            message(where, "targets and outputs of one size, classes x observations", _sizes(truth, scores))
        )
    if not np.isfinite(scores).all() or not np.isin(truth, (0, 1)).all():
        raise DataError(message(where, "targets of 0 and 1, and finite outputs", describe(targets)))
    if len(truth) == 1:
        names = ["0", "1"]
        rows, columns = truth[0] >= 0.5, scores[0] >= 0.5
    else:
        if not (truth.sum(axis=0) == 1).all():
            raise DataError(message(where, "targets with one 1 in each column", describe(targets)))
        names = [str(number) for number in range(1, len(truth) + 1)]
        rows, columns = truth.argmax(axis=0), scores.argmax(axis=0)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (rows.astype(int), columns.astype(int)), 1)
    return Confusion(counts, names)


def _is_text(value: Any) -> bool:
    return any(isinstance(each, str) for each in np.asarray(value, dtype=object).ravel()[:1])


def _sizes(truth: np.ndarray, scores: np.ndarray) -> str:
    return f"{'x'.join(map(str, truth.shape))} and {'x'.join(map(str, scores.shape))}"


def _draw(axes: Any, found: Confusion, title: str) -> None:
    counts, names = found.counts.T, found.names  # outputs in rows
    count, total = len(names), counts.sum()
    right = np.diag(counts)
    for row in range(count + 1):
        for column in range(count + 1):
            if row < count and column < count:
                color = GREEN if row == column else RED
                lines = f"{counts[row, column]:.0f}", _percent(counts[row, column], total)
                inks = "black", "black"
            else:
                hits, all_of = right.sum(), total
                if row < count:
                    hits, all_of = right[row], counts[row].sum()
                elif column < count:
                    hits, all_of = right[column], counts[:, column].sum()
                color = BLUE if row == column else GREY
                lines = _percent(hits, all_of), _percent(all_of - hits, all_of)
                inks = "#22861f", "#c03028"
            axes.fill(
                [column, column + 1, column + 1, column], [row, row, row + 1, row + 1], facecolor=color, edgecolor="0.4"
            )
            for line, ink, height in zip(lines, inks, (0.36, 0.68), strict=True):
                weight = "bold" if ink == "black" and height < 0.5 else "normal"
                text = {"ha": "center", "va": "center", "fontsize": 8, "color": ink, "weight": weight}
                axes.text(column + 0.5, row + height, line, **text)
    middles = np.arange(count) + 0.5
    axes.set_xlim(0, count + 1)
    axes.set_ylim(count + 1, 0)
    axes.set_xticks(middles, names, rotation=90 if count > 6 else 0, fontsize=9, parse_math=False)
    axes.set_yticks(middles, names, fontsize=9, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("Target Class")
    axes.set_ylabel("Output Class")
    axes.set_title(title, fontsize=11, weight="bold", parse_math=False)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "NaN%"
