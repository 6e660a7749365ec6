"""Compares gradients of operations with central differences.

The output gradient is random: with a sum or a mean the gradients of a normalization vanish, and a wrong one passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.conformance.differences import compare_gradient, difference, random_direction, scattered
from mlnet.engines.base import Operation, Workspace

__all__ = ["check_gradients", "difference", "random_direction", "scattered"]


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

        compare_gradient(f"Gradient {number}", value, arrays[number], gradient, generator, tolerance)
