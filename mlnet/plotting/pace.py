"""When to draw: rarely enough that drawing costs next to nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

SHORTEST = 0.5
"""Seconds from one drawing to the next, at least."""
SHARE = 100
"""A pause is this many times as long as the drawing before it: 1 % of the time, and as much is left for the first and
the last drawing."""


class Pace:
    """The pauses between drawings.

    Parameters
    ----------
    shortest : float
        Shortest pause in seconds.
    clock : callable
        Returns seconds.
    """

    def __init__(self, shortest: float = SHORTEST, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._shortest = clock, shortest
        self._next = clock()

    def is_due(self) -> bool:
        """Tell whether the pause is over."""
        return self._clock() >= self._next

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what is done inside, and start the pause that it asks for."""
        start = self._clock()
        try:
            yield
        finally:
            end = self._clock()
            self._next = end + max(self._shortest, SHARE * (end - start))
