"""plot: one function for the pictures of different things, by their type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.display.plot import plot_network
from mlnet.errors import OptionError, message
from mlnet.figures import new_chart
from mlnet.layers.base import Layer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.trained import TrainedNetwork
from mlnet.options import describe
from mlnet.plotting.chart import SIZE
from mlnet.plotting.progress_figure import ProgressFigure
from mlnet.structure import Structure
from mlnet.training.board import Board, Curve
from mlnet.training.progress import accuracy_text, loss_text, rate_text, rmse_text
from mlnet.training.watching import curve_panels

_PLOTTERS: dict[type, Callable[..., Any]] = {}


def plots(*kinds: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function draw for `plot` what is of ``kinds``, or of classes derived from them."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _PLOTTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def plot(value: Any, *args: Any, **options: Any) -> Any:
    """Draw a network, or the history of a training.

    Parameters
    ----------
    value : network or structure
        A LayerGraph, trained network, LayerArray or list of layers: a dot for each layer with its name, lines for the
        connections, from top to bottom. The second result of ``trainNetwork(..., nargout=2)``: its curves.
    ax : matplotlib Axes, optional
        Where to draw a network; the current axes if left out, emptied first, in a figure of fitting size if there is
        none. The curves of a training have a figure of their own.

    Returns
    -------
    matplotlib Axes or Figure
        The axes of a network, whose ``figure`` has ``savefig``, or the figure of a training.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    OptionError
        For everything else; curves of numbers are drawn by ``matplotlib.pyplot.plot``.
    """
    for kind in type(value).__mro__:
        if kind in _PLOTTERS:
            return _PLOTTERS[kind](value, *args, **options)
    if hasattr(value, "to_graph"):
        return plot_network(value, *args, **options)
    needed, fix = "a network, layers or the info of trainNetwork", "Curves are matplotlib's: pyplot.plot."
    raise OptionError(message("plot", needed, describe(value), fix))


plots(LayerGraph, LayerArray, Layer, TrainedNetwork, list, tuple)(plot_network)


@plots(Structure)
def plot_info(info: Structure, ax: Any = None) -> Any:
    """Draw the curves of a training, from the second result of `trainNetwork`."""
    if ax is not None:
        raise OptionError(message("plot", "no axes for the curves of a training", describe(ax), "Leave them out."))
    fields = info.fields()
    metric = "RMSE" if "TrainingRMSE" in fields else "Accuracy"
    shown = [name.removeprefix("Training") for name in fields if name.startswith("Training")]
    more = [name for name in shown if name not in ("Loss", metric)]
    missing = [name for name in ("TrainingLoss", f"Training{metric}") if name not in fields]
    if missing:
        came = f"a structure without {' and '.join(missing)}"
        raise OptionError(message("plot", "the info of trainNetwork", came, "Call it with nargout=2."))
    with_validation = bool((~_is_nan(fields.get("ValidationLoss", []))).any())
    board = Board("Training progress", "Iteration", curve_panels(metric, with_validation=with_validation, more=more))
    for panel, name in zip(board.panels, (metric, *more, "Loss"), strict=True):
        training, validation = f"Training{name}", f"Validation{name}"
        _fill(panel.curves[0], fields[training])
        if with_validation:
            _fill(panel.curves[1], fields[validation], skip_nan=True)
            final = fields.get(f"Final{validation}")
            if final is not None and not _is_nan(final).any():
                panel.curves[1].add(len(fields[training]), float(final))
    as_metric = accuracy_text if metric == "Accuracy" else rmse_text
    results = {}
    if with_validation and f"FinalValidation{metric}" in fields:
        results[f"Validation {metric.lower() if metric == 'Accuracy' else metric}"] = as_metric(
            fields[f"FinalValidation{metric}"]
        )
        results["Validation loss"] = loss_text(fields["FinalValidationLoss"])
    rates = np.asarray(fields.get("BaseLearnRate", []), float)
    cycle = {"Iterations": str(len(fields["TrainingLoss"]))}
    if "OutputNetworkIteration" in fields:
        cycle["Iteration of the network"] = str(fields["OutputNetworkIteration"])
    other = {"Learning rate": rate_text(float(rates[-1]))} if rates.size else {}
    sections = {"Results": results, "Training cycle": cycle, "Other information": other}
    board.sections = {title: rows for title, rows in sections.items() if rows}
    board.is_finished = True
    figure = new_chart("plot", SIZE)
    ProgressFigure(figure, board, with_button=False).settle()
    return figure


def _is_nan(values: Any) -> np.ndarray:
    return np.isnan(np.atleast_1d(np.asarray(values, float)))


def _fill(curve: Curve, values: Any, *, skip_nan: bool = False) -> None:
    for iteration, value in enumerate(np.asarray(values, float), start=1):
        if not (skip_nan and np.isnan(value)):
            curve.add(iteration, float(value))
