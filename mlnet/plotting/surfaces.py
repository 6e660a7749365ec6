"""Where a picture of progress is seen: a window, a cell of a notebook, or a file where there is no display.

Windows are matplotlib's; cells and files get a drawing of our own, for which nothing has to be loaded or installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from mlnet import figures
from mlnet.plotting import chart
from mlnet.plotting.progress_figure import ProgressFigure
from mlnet.plotting.progress_page import drawing, page
from mlnet.training.board import Board

FILE = "training-progress.html"


class Surface(Protocol):
    """A place for the picture of a board."""

    def open(self) -> None:
        """Make the place; called once, before everything else."""

    def draw(self) -> None:
        """Show the board as it is now."""

    def poll(self) -> bool:
        """Let buttons work; return whether the place is still there."""

    def close(self) -> None:
        """Tell where the picture is, if nobody sees it."""


class Window:
    """A window with a stop button; it stays when training ends, and training goes on when it is closed."""

    def __init__(self, board: Board, figure: Any) -> None:
        self._board, self._figure = board, figure
        self._is_open = True
        figure.canvas.mpl_connect("close_event", self._closed)

    def open(self) -> None:
        """Show the window without taking over the program, and let it find its size and draw itself for that."""
        self._figure.show()
        self._view = ProgressFigure(self._figure, self._board, with_button=True)
        self._view.draw()
        self._figure.canvas.flush_events()

    def draw(self) -> None:
        """Draw, and let the window system bring the drawing to the screen."""
        if self._is_open:
            self._view.draw()
            self._figure.canvas.flush_events()

    def poll(self) -> bool:
        """Let the window system pass on clicks."""
        if self._is_open:
            self._figure.canvas.flush_events()
        return self._is_open

    def close(self) -> None:
        """Leave the window as it is."""

    def _closed(self, _: Any) -> None:
        self._is_open = False


class NotebookCell:
    """An output of the current cell that is replaced at each drawing."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._handle: Any = None

    def open(self) -> None:
        """Do nothing: the first drawing makes the output."""

    def draw(self) -> None:
        """Replace the picture in the cell."""
        from IPython.display import display

        forms = {"image/svg+xml": drawing(self._board), "text/plain": self._board.title}
        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)
        else:
            self._handle.update(forms, raw=True)

    def poll(self) -> bool:
        """Do nothing: a notebook passes on clicks only between cells."""
        return True

    def close(self) -> None:
        """Do nothing: the picture is in the cell."""


class PageFile:
    """An HTML file in the current folder, or in the folder for temporary files where that is read-only."""

    def __init__(self, board: Board) -> None:
        here = Path.cwd()
        self._board = board
        self.path = (here if os.access(here, os.W_OK) else Path(tempfile.gettempdir())) / FILE
        self._is_written = False

    def open(self) -> None:
        """Do nothing: the first drawing makes the file."""

    def draw(self) -> None:
        """Replace the file in one step, so that whoever looks at it never sees half of it."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            part.write_text(page(self._board), encoding="utf-8")
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        self._is_written = True

    def poll(self) -> bool:
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


def choose_surface(board: Board) -> Surface:
    """Return the best place that there is for a picture of progress."""
    if figures.may_have_windows():
        figure = figures.new_window(chart.SIZE, board.title)
        if figure is not None:
            return Window(board, figure)
    return NotebookCell(board) if in_notebook() else PageFile(board)
