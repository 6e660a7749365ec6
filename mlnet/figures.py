"""The one place that imports matplotlib: windows, charts and their parts."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from mlnet.errors import MissingExtraError


def require(where: str) -> None:
    """Raise `MissingExtraError` where matplotlib is not installed; ``where`` is what needs it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError(f"{where} needs matplotlib: pip install matplotlib")


def pyplot(where: str) -> Any:
    """Return ``matplotlib.pyplot``; ``where`` is the function that needs it.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    """
    require(where)
    import matplotlib.pyplot

    return matplotlib.pyplot


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Take matplotlib's own settings for what is made inside, whatever the user has set."""
    import matplotlib

    current: Any = matplotlib.rcParams
    kept = ("backend", "interactive", "toolbar", "webagg", "figure.raise_window")  # what windows are like is the user's
    with matplotlib.rc_context():
        current.update({k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith(kept)})
        yield


def may_have_windows() -> bool:
    """Tell, without loading matplotlib, whether windows are possible at all."""
    if threading.current_thread() is not threading.main_thread():
        return False  # no window system takes calls from other threads
    if "matplotlib.pyplot" not in sys.modules and os.environ.get("MPLBACKEND", "").lower() == "agg":
        return False
    return not sys.platform.startswith("linux") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("MPLBACKEND")
    )


def new_window(size: tuple[float, float], title: str) -> Any:
    """Return a figure of ``size`` inches in a window of its own, or None where there is no window system.

    matplotlib.pyplot chooses the window system, as MPLBACKEND or the user's settings say.
    """
    try:
        from matplotlib import pyplot

        if _is_windowless(pyplot.get_backend()):
            return None
        figure = pyplot.figure(figsize=size, dpi=100, num=_free_title(pyplot, title))
    except Exception:  # each window system has errors of its own for a missing display
        return None
    if getattr(type(figure.canvas), "required_interactive_framework", None) is None:
        pyplot.close(figure)
        return None
    return figure


def _is_windowless(backend: str) -> bool:
    """Tell whether a backend of matplotlib has no windows that take clicks while a program runs."""
    name = backend.lower()
    in_pages = ("inline", "ipympl", "nbagg", "notebook", "webagg", "widget")
    return name in ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template") or any(word in name for word in in_pages)


def _free_title(pyplot: Any, title: str) -> str:
    """Return the title, with a number where a window has it already; pyplot would take that window."""
    number, free = 1, title
    while pyplot.fignum_exists(free):
        number += 1
        free = f"{title} ({number})"
    return free


def new_chart(where: str, size: tuple[float, float]) -> Any:
    """Return a new figure of pyplot for the function ``where``.

    Notebooks show it after the cell, a prompt with windows at once; elsewhere ``matplotlib.pyplot.show()`` does.
    """
    library = pyplot(where)
    figure = library.figure(figsize=size)
    if library.isinteractive() and not _is_windowless(library.get_backend()):
        figure.show()
    return figure


def add_button(figure: Any, place: tuple[float, float, float, float], label: str, pressed: Callable[..., None]) -> Any:
    """Return a button of a figure; the caller keeps it, since matplotlib does not."""
    from matplotlib.widgets import Button

    button = Button(figure.add_axes(place), label, color="0.92", hovercolor="0.92")  # one color: hovering draws nothing
    button.on_clicked(pressed)
    return button


def redraw(figure: Any) -> None:
    """Let a window that shows a figure draw it anew when it finds time; without a window nothing happens."""
    if getattr(type(figure.canvas), "required_interactive_framework", None) is not None:
        figure.canvas.draw_idle()
