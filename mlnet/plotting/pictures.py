"""The picture of a board: drawn when it is time, on the surface that there is."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlnet.plotting.pace import Pace
from mlnet.plotting.surfaces import Surface, choose_surface
from mlnet.training.board import Board

POLL = 0.1
"""Seconds between looks at the buttons, at least."""


class BoardPicture:
    """Draws a board on a surface, which opens with the first update."""

    def __init__(self, surface: Surface, clock: Callable[[], float] = time.perf_counter) -> None:
        self._surface = surface
        self._is_open, self._is_stale, self._is_there = False, True, True
        self._drawing = Pace(clock=clock)
        self._polling = Pace(shortest=POLL, clock=clock)

    def update(self) -> None:
        """Draw if it is time to, and let the stop button work."""
        self._is_stale = True
        if self._is_open and self._is_there and self._polling.is_due():
            with self._polling.measured():
                self._is_there = self._surface.poll()
        if self._drawing.is_due():
            self.flush()

    def flush(self) -> None:
        """Draw what has not been drawn yet."""
        if not (self._is_stale and self._is_there):
            return
        if not self._is_open:
            self._surface.open()  # takes long, but only once: no pause follows from it
            self._is_open = True
        with self._drawing.measured():
            self._surface.draw()
        self._is_stale = False

    def close(self) -> None:
        """Draw the last state, and tell where the picture is."""
        self._is_stale = True
        if self._is_open and self._is_there:
            self._is_there = self._surface.poll()
        self.flush()
        self._surface.close()


def open_picture(board: Board) -> BoardPicture:
    """Return a picture of ``board`` on the best surface that there is."""
    return BoardPicture(choose_surface(board))
