"""The Levenberg-Marquardt method for sums of squares (Levenberg, 1944; Marquardt, 1963; Hagan and Menhaj, 1994)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.training.full_batch.lbfgs import Evaluate, Point

_LEAST_DAMPING = 1e-20


class LevenbergMarquardt:
    """Steps ``-(J'J + damping I)^-1 g``, J the derivatives of the residuals and g the gradient of half their squares.

    Where a step makes the loss larger, the damping grows and another step is tried; else it shrinks for the next.

    Parameters
    ----------
    options : TrainingOptionsLM
    products : callable
        Returns J'J at a place.
    """

    failure = "Maximum damping factor reached"

    def __init__(self, options: Any, products: Callable[[np.ndarray], np.ndarray]) -> None:
        self._options, self._products = options, products
        self.damping = float(options.InitialDampingFactor)

    def step(self, point: Point, evaluate: Evaluate) -> Point | None:
        """Return the next point, or None where no damping up to MaxDampingFactor makes the loss smaller."""
        products = self._products(point.place)
        while self.damping <= self._options.MaxDampingFactor:
            damped = products + self.damping * np.eye(len(products))
            try:
                change = np.linalg.solve(damped, -point.gradient)
            except np.linalg.LinAlgError:  # the damping is lost in the rounding of a singular matrix
                change = np.full_like(point.gradient, np.nan)
            found = evaluate(point.place + change) if np.isfinite(change).all() else None
            if found is not None and math.isfinite(found.loss) and found.loss < point.loss:
                self.damping = max(self.damping * self._options.DampingDecreaseFactor, _LEAST_DAMPING)
                return found
            self.damping *= self._options.DampingIncreaseFactor
        return None
