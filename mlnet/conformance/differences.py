"""Compares gradients with central differences along random directions.

A random direction moves all elements at once: one comparison sees every element of a gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 1e-5
DIRECTIONS = 3


class NextToKink(AssertionError):  # noqa: N818 - no fault of what is checked
    """The function has a kink so near that differences say nothing about its gradient."""


def compare_gradient(
    what: str,
    function: Callable[[np.ndarray], float],
    x: np.ndarray,
    gradient: np.ndarray,
    generator: np.random.Generator,
    tolerance: float = 1e-6,
) -> None:
    """Raise AssertionError where ``gradient`` at ``x`` (float64) is not that of ``function``.

    ``what`` names the gradient in the message. `NextToKink` is raised where the differences say nothing.
    """
    for _ in range(DIRECTIONS):
        direction = random_direction(x.shape, generator)
        expected = difference(function, x, direction)
        found = float(np.sum(gradient * direction))
        if not abs(found - expected) <= tolerance * max(1.0, abs(expected)):
            raise AssertionError(f"{what}: {found} along a direction in which the difference quotient is {expected}.")


def difference(function: Callable[[np.ndarray], float], x: np.ndarray, direction: np.ndarray) -> float:
    """Return the derivative along ``direction`` by central differences; raise `NextToKink` where there is one."""
    estimates = [
        (function(x + step * direction) - function(x - step * direction)) / (2 * step) for step in (STEP, STEP / 4)
    ]
    if not abs(estimates[0] - estimates[1]) <= 1e-5 * max(1.0, abs(estimates[1])):
        raise NextToKink("Next to a kink: move the inputs.")
    return float((16 * estimates[1] - estimates[0]) / 15)


def random_direction(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return a direction of length 1 in which every element counts."""
    size = generator.uniform(0.5, 1.5, shape)
    direction = np.where(generator.random(shape) < 0.5, -size, size)
    return direction / max(1e-300, float(np.linalg.norm(direction)))


def scattered(array: np.ndarray) -> np.ndarray:
    """Return an equal array whose elements do not lie next to one another."""
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1) if array.ndim else (3,), array.dtype)
    if array.dtype.kind == "f":
        spread[...] = np.nan
    view = spread[..., 1::2] if array.ndim else spread[1:2].reshape(())
    view[...] = array
    return view
