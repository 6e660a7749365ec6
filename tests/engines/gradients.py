"""Compares gradients of operations with central differences.

The output gradient is random: with a sum or a mean the gradients of a normalization vanish, and a wrong one passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.engines.base import Operation, Workspace

STEP = 1e-5
DIRECTIONS = 3


def check_gradients(
    operation: Operation,
    arrays: list[np.ndarray],
    attributes: dict[str, Any],
    wanted: tuple[bool, ...],
    generator: np.random.Generator,
    tolerance: float = 1e-6,
) -> None:
    """Fail where a wanted gradient differs from central differences along random directions.

    ``arrays`` are float64. They reach the operation non-contiguous and have to come back unchanged.
    """
    given = [scattered(array) for array in arrays]
    workspace = Workspace()
    output, saved = operation.forward(*given, workspace=workspace, **attributes)
    d_output: Any
    if isinstance(output, tuple):
        d_output = tuple(generator.standard_normal(each.shape) for each in output)
        given_back: Any = tuple(scattered(each) for each in d_output)
    else:
        d_output = generator.standard_normal(output.shape)
        given_back = scattered(d_output)
    gradients = operation.backward(saved, given_back, wanted=wanted, workspace=workspace)
    for before, after in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(after, before, err_msg="The operation changed its input.")
    assert len(gradients) == len(arrays)
    for number, (gradient, want) in enumerate(zip(gradients, wanted, strict=True)):
        if not want:
            assert gradient is None, f"Gradient {number} was not wanted."
            continue
        assert gradient is not None, f"Gradient {number} is missing."
        assert gradient.shape == arrays[number].shape
        assert gradient.dtype == arrays[number].dtype

        def value(moved: np.ndarray, number: int = number) -> float:
            inputs = [*arrays[:number], moved, *arrays[number + 1 :]]
            result, _ = operation.forward(*inputs, workspace=Workspace(), **attributes)
            if isinstance(result, tuple):
                return float(sum(np.sum(each * d_each) for each, d_each in zip(result, d_output, strict=True)))
            return float(np.sum(result * d_output))

        for _ in range(DIRECTIONS):
            direction = random_direction(arrays[number].shape, generator)
            expected = difference(value, arrays[number], direction)
            found = float(np.sum(gradient * direction))
            assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (
                f"Gradient {number}: {found} along a direction in which the difference quotient is {expected}."
            )


def difference(function: Any, x: np.ndarray, direction: np.ndarray) -> float:
    """Return the derivative along ``direction`` by central differences; fail next to a kink."""
    estimates = [
        (function(x + step * direction) - function(x - step * direction)) / (2 * step) for step in (STEP, STEP / 4)
    ]
    assert abs(estimates[0] - estimates[1]) <= 1e-5 * max(1.0, abs(estimates[1])), "Next to a kink: move the inputs."
    return float((16 * estimates[1] - estimates[0]) / 15)


def random_direction(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return a direction of length 1 in which every element counts."""
    size = generator.uniform(0.5, 1.5, shape)
    direction = np.where(generator.random(shape) < 0.5, -size, size)
    return direction / max(1e-300, float(np.linalg.norm(direction)))


def scattered(array: np.ndarray) -> np.ndarray:
    """Return an equal array whose elements do not lie next to one another."""
    spread = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1) if array.ndim else (3,), np.nan, array.dtype)
    view = spread[..., 1::2]
    view[...] = array
    return view
