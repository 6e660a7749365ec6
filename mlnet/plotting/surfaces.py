"""Where a picture of progress is seen: a window, a cell of a notebook, or a file where there is no display."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from mlnet import figures

FILE = "training-progress.png"


class Surface(Protocol):
    """A place for a figure."""

    is_live: bool
    """Whether somebody may be looking now."""
    with_button: bool

    def open(self, size: tuple[float, float]) -> Any:
        """Return the figure."""

    def present(self, figure: Any) -> None:
        """Show what the canvas of the figure holds."""

    def poll(self, figure: Any) -> bool:
        """Let buttons work; return whether the picture is still there."""

    def close(self) -> None:
        """Tell where the picture is."""


class Window:
    """A window with a stop button; it stays when training ends, and training goes on when it is closed."""

    is_live = with_button = True

    def __init__(self, figure: Any) -> None:
        self._figure = figure
        self._is_open = True
        figure.canvas.mpl_connect("close_event", self._closed)

    def open(self, size: tuple[float, float]) -> Any:
        """Return the figure, whose window shows without taking over the program."""
        self._figure.show()
        return self._figure

    def present(self, figure: Any) -> None:
        """Let the window system bring the drawing to the screen."""
        figure.canvas.flush_events()

    def poll(self, figure: Any) -> bool:
        """Let the window system pass on clicks."""
        if self._is_open:
            figure.canvas.flush_events()
        return self._is_open

    def close(self) -> None:
        """Leave the window as it is."""

    def _closed(self, _: Any) -> None:
        self._is_open = False


class NotebookCell:
    """An output of the current cell that is replaced at each drawing."""

    is_live, with_button = True, False

    def __init__(self) -> None:
        self._handle: Any = None

    def open(self, size: tuple[float, float]) -> Any:
        """Return a figure."""
        return figures.new_figure(size)

    def present(self, figure: Any) -> None:
        """Replace the picture in the cell."""
        from IPython.display import Image, display

        image = Image(data=figures.png(figure), format="png")
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)

    def poll(self, figure: Any) -> bool:
        """Do nothing: a notebook passes on clicks only between cells."""
        return True

    def close(self) -> None:
        """Do nothing: the picture is in the cell."""


class PictureFile:
    """A PNG file in the current folder, or in the folder for temporary files where that is read-only."""

    is_live = with_button = False

    def __init__(self) -> None:
        here = Path.cwd()
        self.path = (here if os.access(here, os.W_OK) else Path(tempfile.gettempdir())) / FILE
        self._is_written = False

    def open(self, size: tuple[float, float]) -> Any:
        """Return a figure."""
        return figures.new_figure(size)

    def present(self, figure: Any) -> None:
        """Replace the file."""
        figures.write_atomically(self.path, figures.png(figure))
        self._is_written = True

    def poll(self, figure: Any) -> bool:
        """Do nothing: a file has no buttons."""
        return True

    def close(self) -> None:
        """Name the file."""
        if self._is_written:
            print(f"Training progress: {self.path}", flush=True)


def in_notebook() -> bool:
    """Tell whether a kernel of Jupyter runs this program; its shell has a ``kernel``, the one of a terminal has not."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def choose_surface(size: tuple[float, float], title: str) -> Surface:
    """Return the best place that there is for a picture of progress.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    """
    figures.require("A picture of it")
    if figures.may_have_windows():
        figure = figures.new_window(size, title)
        if figure is not None:
            return Window(figure)
    return NotebookCell() if in_notebook() else PictureFile()
