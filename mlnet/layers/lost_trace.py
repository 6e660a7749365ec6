"""Finds code of users whose results depend on arrays of which derivatives know nothing.

Such code computes with copies: ``extractdata(X)``, or a NumPy array made elsewhere. It would train without those
gradients, and nobody would notice. Constants and steps (comparisons, rounding) have no gradient either, rightly so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.differentiate import Pullback

FIX = "Compute with NumPy's functions of the dlarrays, without extractdata"
"""The beginning of what messages propose."""

Differentiable = Callable[[Sequence[dlarray]], tuple[Sequence[dlarray], Pullback]]
"""A function of arrays that returns its results with what carries gradients back."""

_STEPS = (1e-3, 1e-4)
_AGREEMENT = 0.05
"""How far two difference quotients of a smooth function may be apart; those of a step differ by the factor of 10."""


def lost(function: Differentiable, arrays: Sequence[dlarray], groups: Sequence[Sequence[int]]) -> list[int]:
    """Return the numbers of the groups of arrays on which the results depend smoothly without a gradient.

    Parameters
    ----------
    function : callable
        Does the same at each call.
    arrays : sequence of dlarray
        Arguments in double precision.
    groups : sequence of sequences of int
        Numbers of arguments that count together.

    Returns
    -------
    list of int
        Empty also where the function raises an error: it is for other checks.
    """
    random = np.random.default_rng(0)
    try:
        with np.errstate(all="ignore"):
            outputs, pullback = function(arrays)
            seeds = [random.standard_normal(each.shape) for each in outputs]
            gradients = pullback(*seeds, wanted=(True,) * len(arrays))
            found = []
            for number, group in enumerate(groups):
                if any(gradients[place] is not None and np.any(gradients[place]) for place in group):
                    continue
                directions = {place: random.standard_normal(arrays[place].shape) for place in group}
                slopes = [_slope(function, arrays, directions, seeds, step) for step in _STEPS]
                if _is_smooth(*slopes):
                    found.append(number)
            return found
    except Exception:  # whatever the user's code raises
        return []


def _slope(
    function: Differentiable,
    arrays: Sequence[dlarray],
    directions: dict[int, np.ndarray],
    seeds: Sequence[np.ndarray],
    step: float,
) -> float:
    """Return the central difference quotient of the sum of all results times their seeds."""
    ends = []
    for sign in (1, -1):
        moved = [
            wrap(each._data + sign * step * directions[place], None, each._labels) if place in directions else each
            for place, each in enumerate(arrays)
        ]
        outputs, _ = function(moved)
        ends.append(sum(float(np.sum(seed * y._data)) for seed, y in zip(seeds, outputs, strict=True)))
    return (ends[0] - ends[1]) / (2 * step)


def _is_smooth(first: float, second: float) -> bool:
    return bool(np.isfinite(first) and abs(first) > 1e-7 and abs(first - second) <= _AGREEMENT * abs(first))
