"""The picture of a network."""

from __future__ import annotations

from typing import Any

from mlnet.display.layout import layout_of
from mlnet.errors import OptionError, message
from mlnet.figures import pyplot
from mlnet.layers.base import Layer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.wiring import wiring_of
from mlnet.options import describe

_COLOUR = "#0072bd"
_LETTER, _GAP, _ROW = 0.08, 0.5, 0.32
"""Inches: width of a letter, between a name and the next column, between ranks."""


def plot_network(layers: Any, ax: Any = None) -> Any:
    """Draw a network: a dot for each layer with its name, lines for the connections, from top to bottom.

    Parameters
    ----------
    layers : LayerGraph, trained network, LayerArray or list of layers
        Also with mistakes in it; layers without a name have their automatic one.
    ax : matplotlib Axes, optional
        Where to draw; the current axes if left out, emptied first, in a figure of fitting size if there is none.

    Returns
    -------
    matplotlib Axes
        ``plot(lgraph).figure.savefig('lgraph.png')`` writes the picture to a file.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    OptionError
        Where ``layers`` are no layers.
    """
    graph = layers.to_graph() if hasattr(layers, "to_graph") else layers
    if not isinstance(graph, (LayerGraph, LayerArray, Layer, list, tuple)) or (ax is not None and not _is_axes(ax)):
        wrong = layers if ax is None or _is_axes(ax) else ax
        needed, fix = "a network or layers, and optionally matplotlib's axes", "Curves are matplotlib's: pyplot.plot."
        raise OptionError(message("plot", needed, describe(wrong), fix))
    wiring, _ = wiring_of(graph)
    library = pyplot("plot")
    wires = [(source.layer, index) for index, row in enumerate(wiring.sources) for source in row if source is not None]
    layout = layout_of(len(wiring.layers), wires)
    columns = 1 + max((x for path in (layout.points, *layout.paths) for x, _ in path), default=0)
    rows = 1 + max((y for _, y in layout.points), default=0)
    if ax is None:
        if not library.get_fignums():
            column = _GAP + _LETTER * max((len(layer.Name) for layer in wiring.layers), default=0)
            size = max(3.0, column * (columns + 0.2)), max(2.0, _ROW * rows)
            library.figure(figsize=size, layout="constrained")
        ax = library.gca()
        ax.clear()
    for path in layout.paths:
        ax.plot(*zip(*path, strict=True), color=_COLOUR, linewidth=0.8, alpha=0.6, zorder=1)
    if layout.points:
        ax.scatter(*zip(*layout.points, strict=True), color=_COLOUR, s=16, zorder=3)
    beside: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "zorder": 2}
    beside["bbox"] = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5}
    for layer, point in zip(wiring.layers, layout.points, strict=True):
        ax.annotate(_plain(layer.Name), point, (6, 0), **beside)
    ax.set_xlim(-0.2, columns)
    ax.set_ylim(rows - 0.5, -0.5)
    ax.set_axis_off()
    return ax


def _is_axes(ax: Any) -> bool:
    return hasattr(ax, "set_xlim") and hasattr(ax, "annotate")


def _plain(name: str) -> str:
    """Return a name that matplotlib does not read as a formula."""
    return name.replace("$", r"\$")
