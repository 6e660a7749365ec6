"""The picture of a board: drawn when it is time, on the surface that there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlnet.figures import is_loaded
from mlnet.plotting.pace import SHARE, Pace
from mlnet.plotting.progress_figure import SIZE, ProgressFigure
from mlnet.plotting.surfaces import Surface, choose_surface
from mlnet.training.board import Board

POLL = 0.1
"""Seconds between looks at the buttons, at least."""
LOADING, FIRST = 0.4, 0.15
"""About the seconds that loading matplotlib and a first drawing take."""


class BoardPicture:
    """Draws a board on a surface.

    A window or a cell opens with the first update, since somebody waits for it. A file is first drawn when training has
    taken so long that loading matplotlib costs little, but at the latest at the end.
    """

    def __init__(self, board: Board, surface: Surface, clock: Callable[[], float] = time.perf_counter) -> None:
        self._board, self._surface, self._clock = board, surface, clock
        self._view: ProgressFigure | None = None
        self._is_stale, self._is_there = True, True
        first = 0.0 if surface.is_live else SHARE * (FIRST + LOADING * (not is_loaded()))
        self._drawing = Pace(first, clock=clock)
        self._polling = Pace(shortest=POLL, clock=clock)

    def update(self) -> None:
        """Draw if it is time to, and let the stop button work."""
        self._is_stale = True
        if not self._is_there:
            return
        if self._view is not None and self._polling.is_due():
            with self._polling.measured():
                self._is_there = self._surface.poll(self._view.figure)
        if self._is_there and self._drawing.is_due():
            if self._surface.is_live and self._view is None:
                self._draw()  # opening takes long, but only once; no pause follows from it
                with self._drawing.measured():
                    return
            with self._drawing.measured():
                self._draw()

    def flush(self) -> None:
        """Draw what has not been drawn yet."""
        if self._is_stale and self._is_there:
            with self._drawing.measured():
                self._draw()

    def close(self) -> None:
        """Draw the last state, and tell where the picture is."""
        self._is_stale = True
        if self._view is not None and self._is_there:
            self._is_there = self._surface.poll(self._view.figure)
        self.flush()
        self._surface.close()

    def _draw(self) -> None:
        if self._view is None:
            figure: Any = self._surface.open(SIZE)
            self._view = ProgressFigure(figure, self._board, with_button=self._surface.with_button)
        self._view.draw()
        self._surface.present(self._view.figure)
        self._is_stale = False


def open_picture(board: Board) -> BoardPicture:
    """Return a picture of ``board`` on the best surface that there is."""
    return BoardPicture(board, choose_surface(SIZE, board.title))
