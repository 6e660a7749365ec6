"""What a picture of training shows, as plain data: curves in panels, and texts beside them.

Training fills a `Board`; `mlnet.plotting` draws it. `Watch` stands between the two: it opens the picture through
`Board.opener`, which `mlnet/__init__.py` sets, and sees to it that a picture which fails never ends a training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

SMOOTHING = 0.9
"""How much a smoothed curve keeps of the past at each point."""


class Curve:
    """One line of a panel: points that come one after another, and their moving average where ``kind`` is 'training'.

    The average is exponential and without the bias of its start: a weighted mean of all points so far, each weight
    `SMOOTHING` times the next one.
    """

    def __init__(self, name: str, kind: Literal["training", "validation", "metric"]) -> None:
        self.name, self.kind = name, kind
        self.x: list[float] = []
        self.y: list[float] = []
        self.smooth: list[float] = []
        self._sum = self._weight = 0.0

    def add(self, x: float, y: float) -> None:
        """Add a point; a value that is not finite leaves the average as it is."""
        self.x.append(x)
        self.y.append(y)
        if self.kind == "training":
            if np.isfinite(y):
                self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * y
                self._weight = SMOOTHING * self._weight + 1 - SMOOTHING
            self.smooth.append(self._sum / self._weight if self._weight else np.nan)


@dataclass
class Panel:
    """Axes with a label and curves; ``limits`` are fixed ends of the vertical axis."""

    label: str
    curves: list[Curve]
    limits: tuple[float, float] | None = None
    is_logarithmic: bool = False


@dataclass
class Board:
    """Everything that a picture shows.

    ``sections`` are texts beside the panels: a title, and rows of name and value. ``epochs`` are the positions at which
    epochs begin; ``end`` is the last position, if it is known. ``version`` changes when the picture has to be laid out
    again.
    """

    title: str
    x_label: str
    panels: list[Panel]
    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    epochs: list[float] = field(default_factory=list)
    end: float | None = None
    with_stop_button: bool = True
    stop_requested: bool = False
    is_finished: bool = False
    version: int = 0

    opener: ClassVar[Callable[[Board], Picture] | None] = None

    def curves(self) -> Iterable[Curve]:
        """Yield the curves of all panels."""
        for panel in self.panels:
            yield from panel.curves

    def request_stop(self, *_: Any) -> None:
        """Ask for the end of training; what the stop button calls."""
        self.stop_requested = True


class Picture(Protocol):
    """What draws a board."""

    def update(self) -> None:
        """Draw if it is time to, and let buttons work."""

    def flush(self) -> None:
        """Draw what has not been drawn yet."""

    def close(self) -> None:
        """Draw the last state, and tell where the picture is if nobody sees it."""


class Watch:
    """The picture of a board; what goes wrong in it is said in one line, and ends the picture, not the training."""

    _said: ClassVar[set[str]] = set()

    def __init__(self, board: Board) -> None:
        self.board = board
        self._picture: Picture | None = None

    def open(self) -> None:
        """Open the picture."""
        opener = Board.opener
        if opener is None:
            return
        try:
            self._picture = opener(self.board)
        except Exception as error:  # a picture must never end a training
            self._give_up(error)

    def update(self) -> None:
        """Pass on that the board has changed."""
        self._call("update")

    def flush(self) -> None:
        """Draw what has not been drawn yet."""
        self._call("flush")

    def close(self) -> None:
        """Draw the last state."""
        self._call("close")
        self._picture = None

    def _call(self, method: str) -> None:
        if self._picture is None:
            return
        try:
            getattr(self._picture, method)()
        except Exception as error:  # a picture must never end a training
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._picture = None
        line = f"The progress is not drawn. {type(error).__name__}: {' '.join(str(error).split())}"
        if line not in Watch._said:  # trainings in a loop do not repeat it
            Watch._said.add(line)
            print(line, flush=True)
