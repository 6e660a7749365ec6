"""What the tests of the oneDNN engine share: the engine if it is there, and programs to compare with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn.engine import OneDnnEngine
from mlnet.engines.onednn.finding import load
from mlnet.engines.onednn.library import UnusableError
from mlnet.engines.program import Node, Program, StepPlan

TOLERANCE = 1e-5

try:
    LIBRARY, REASON = load(), ""
except UnusableError as error:
    LIBRARY, REASON = None, str(error)

needs_onednn = pytest.mark.skipif(LIBRARY is None, reason=f"oneDNN cannot be used: {REASON}")


def engine() -> OneDnnEngine:
    assert LIBRARY is not None
    return OneDnnEngine(LIBRARY, NumpyEngine())


def numbers(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal numbers, no two of them equal up to rounding: no ties for maxima."""
    return generator.standard_normal(shape).astype(np.float32)


def conv(name: str, source: int, window: int = 1, stride: int = 1, **attributes: Any) -> Node:
    border = (window // 2,) * 4
    common = {"stride": (stride, stride), "dilation": (1, 1), "padding": border, "padding_value": 0.0}
    return Node(name, "convolution2d", (source,), ("Weights", "Bias"), {**common, **attributes})


def assert_near(ours: Any, theirs: Any, what: str = "", tolerance: float = TOLERANCE) -> None:
    """Compare relative to the largest element."""
    assert ours.shape == theirs.shape, what
    scale = np.abs(theirs).max(initial=0)
    assert np.abs(ours - theirs).max(initial=0) <= tolerance * scale + 1e-30, (
        f"{what}: {np.abs(ours - theirs).max() / scale}"
    )


def compare(
    program: Program,
    x: Any,
    values: dict[tuple[str, str], np.ndarray],
    *,
    learnables: Any = None,
    tolerance: float = TOLERANCE,
    repeats: int = 2,
) -> Any:
    """Run forward and backward on both engines, several times with other data; return our plan."""
    ours, theirs = engine().plan(program), StepPlan(NumpyEngine(), program)
    learnables = values if learnables is None else learnables
    generator = np.random.default_rng(5)
    for repeat in range(repeats):
        before = [array.copy() for array in (x if isinstance(x, tuple) else (x,))]
        y, expected = ours.forward(x, values), theirs.forward(x, values)
        assert_near(y, expected, "output", tolerance)
        d_y = numbers(generator, y.shape)
        gradients, d_x = ours.backward(d_y, learnables, want_input=True)
        expected_gradients, expected_d_x = theirs.backward(d_y, learnables, want_input=True)
        assert_near(d_x, expected_d_x, "d_x", tolerance)
        assert gradients.keys() == expected_gradients.keys()
        for key, gradient in gradients.items():
            assert_near(gradient, expected_gradients[key], f"{key}", tolerance)
        for array, copy in zip(x if isinstance(x, tuple) else (x,), before, strict=True):
            np.testing.assert_array_equal(array, copy)
        if repeat + 1 < repeats:
            x = tuple(array[::-1].copy() for array in x) if isinstance(x, tuple) else x[::-1].copy()
            values = {key: value * np.float32(0.9) for key, value in values.items()}
    return ours
