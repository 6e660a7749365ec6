"""Limited-memory BFGS (Liu and Nocedal, 1989), and the searches for the size of its steps."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

SUFFICIENT, CURVATURE = 1e-4, 0.9
"""Constants of the Wolfe conditions (Nocedal and Wright, 2006, section 3.1)."""
_ROUNDING = 8 * np.finfo(float).eps


class Point(NamedTuple):
    """Where a solver stands: the parameters, the loss and its gradient, and what else belongs to it."""

    place: np.ndarray
    loss: float
    gradient: np.ndarray
    record: Any = None


Evaluate = Callable[[np.ndarray], Point]


class LBFGS:
    """Steps along ``-H g``, H made from the last steps s and changes of the gradient y by the two-loop recursion.

    H starts from ``s'y / y'y`` times the identity (before the first step from the InitialInverseHessianFactor).

    Parameters
    ----------
    options : TrainingOptionsLBFGS, or a structure with its options of the direction and the line search
    pairs : sequence of (s, y)
        The last steps and changes of the gradient, where a training goes on.
    """

    failure = "Line search found no smaller loss"

    def __init__(self, options: Any, pairs: Iterable[tuple[np.ndarray, np.ndarray]] = ()) -> None:
        self._options = options
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(pairs, maxlen=options.HistorySize)

    @property
    def pairs(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The last steps and changes of the gradient."""
        return tuple(self._pairs)

    def step(self, point: Point, evaluate: Evaluate) -> Point | None:
        """Return the next point, or None where the line search finds none."""
        direction = -self._times_inverse_hessian(point)
        slope = float(direction @ point.gradient)
        found = line_search(
            self._options.LineSearchMethod, self._options.MaxNumLineSearchIterations, point, direction, slope, evaluate
        )
        if found is not None:
            s, y = found.place - point.place, found.gradient - point.gradient
            if s @ y > 1e-12 * np.linalg.norm(s) * np.linalg.norm(y):
                self._pairs.append((s, y))
            else:  # possible without a curvature condition: H would not be positive definite, and starts again
                self._pairs.clear()
        return found

    def _times_inverse_hessian(self, point: Point) -> np.ndarray:
        """Return H g (Nocedal and Wright, 2006, algorithm 7.4)."""
        q = point.gradient.copy()
        shares = []
        for s, y in reversed(self._pairs):
            shares.append((s @ q) / (s @ y))
            q -= shares[-1] * y
        q *= self._first_factor(point)
        for (s, y), share in zip(self._pairs, reversed(shares), strict=True):
            q += (share - (y @ q) / (s @ y)) * s
        return q

    def _first_factor(self, point: Point) -> float:
        if self._pairs:
            s, y = self._pairs[-1]
            return float((s @ y) / (y @ y))
        size = self._options.InitialStepSize
        largest = float(np.abs(point.gradient).max())
        if isinstance(size, np.ndarray) or largest == 0:
            return float(self._options.InitialInverseHessianFactor)
        if size == "auto":
            size = 0.5 * float(np.abs(point.place).max()) + 0.1
        return float(size) / largest


def line_search(
    method: str, limit: int, start: Point, direction: np.ndarray, slope: float, evaluate: Evaluate
) -> Point | None:
    """Return a point along ``direction`` by halving and doubling of an interval (Lewis and Overton, 2013).

    'backtracking' takes the first step of 1, 1/2, 1/4, ... with a sufficient decrease. 'weak-wolfe' also needs a slope
    of at least 0.9 of that at the start, 'strong-wolfe' one of a size of at most that. If none of ``limit`` points
    meets the conditions, the one with the smallest loss below that of ``start`` is taken; None if there is none.
    """
    low, high, size = 0.0, math.inf, 1.0
    best: Point | None = None
    for _ in range(limit):
        point = evaluate(start.place + size * direction)
        enough = start.loss + SUFFICIENT * size * slope + _ROUNDING * abs(start.loss)
        here = float(point.gradient @ direction)
        if math.isfinite(point.loss) and point.loss < (start.loss if best is None else best.loss):
            best = point
        if not point.loss <= enough:  # also where it is not finite
            high = size
        elif method == "backtracking":
            return point
        elif here < CURVATURE * slope:
            low = size
        elif method == "strong-wolfe" and here > -CURVATURE * slope:
            high = size
        else:
            return point
        size = (low + high) / 2 if math.isfinite(high) else 2 * low
    return best
