"""Primitives that the library does not make: NumPy takes over, or a message says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, assert_near, conv, engine, needs_onednn, numbers
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import OutOfMemoryError
from mlnet.engines.program import Node, Program, StepPlan

pytestmark = needs_onednn
PROGRAM = Program(
    (
        conv("conv", -1, 3),
        Node("bn", "batch_normalization", (0,), ("Offset", "Scale"), {"epsilon": 1e-5}),
        Node("relu", "relu", (1,)),
        Node("fc", "fully_connected", (2,), ("Weights", "Bias")),
        Node("softmax", "softmax", (3,)),
    )
)
PRIMITIVES = {
    "conv": "convolution",
    "bn": "batch_normalization",
    "relu": "eltwise",
    "fc": "inner_product",
    "softmax": "softmax",
}
CREATE = "primitive_desc_create"


def data():
    generator = np.random.default_rng(0)
    shapes = {
        ("conv", "Weights"): (3, 3, 3, 5),
        ("conv", "Bias"): (1, 1, 5),
        ("bn", "Offset"): (1, 1, 5),
        ("bn", "Scale"): (1, 1, 5),
        ("fc", "Weights"): (4, 210),
        ("fc", "Bias"): (4, 1),
    }
    values = {key: numbers(generator, shape) for key, shape in shapes.items()}
    return numbers(generator, (3, 7, 6, 3)), values


def agrees(plan) -> None:
    """Check output and gradients against NumPy; those of a bias in front of a normalization are 0."""
    x, values = data()
    learnables = [key for key in values if key != ("conv", "Bias")]
    reference = StepPlan(NumpyEngine(), PROGRAM)
    y, expected = plan.forward(x, values), reference.forward(x, values)
    assert_near(y, expected)
    d_y = numbers(np.random.default_rng(1), y.shape)
    (found, d_x), (right, d_right) = (each.backward(d_y, learnables, want_input=True) for each in (plan, reference))
    assert_near(d_x, d_right)
    for key, gradient in found.items():
        assert_near(gradient, right[key], str(key))


@pytest.mark.parametrize("status", [c.UNIMPLEMENTED, c.INVALID_ARGUMENTS])
@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_that_is_refused_is_numpys_and_told(monkeypatch, name, way, status):
    for function in list(LIBRARY._functions):
        if function.startswith(f"{PRIMITIVES[name]}_{way}") and function.endswith(CREATE):
            monkeypatch.setitem(LIBRARY._functions, function, lambda *arguments: status)
    plan = engine().plan(PROGRAM)
    agrees(plan)
    report = {each.name: each for each in plan.report()}
    assert report[name].engine == ("numpy" if way == "forward" else "onednn, numpy")
    assert c.STATUS[status] in report[name].reason
    assert {each.engine for each in report.values() if each.name != name} == {"onednn"}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_without_memory_a_message_says_so_and_the_plan_lives_on(monkeypatch, name):
    plan = engine().plan(PROGRAM)
    x, values = data()
    with monkeypatch.context() as patch:
        patch.setitem(LIBRARY._functions, f"{PRIMITIVES[name]}_forward_{CREATE}", lambda *arguments: c.OUT_OF_MEMORY)
        for _ in range(2):
            with pytest.raises(OutOfMemoryError, match="out of memory.*MiniBatchSize"):
                plan.forward(x, values)
    agrees(plan)


def test_without_memory_for_a_primitive_a_message_says_so(monkeypatch):
    plan = engine().plan(PROGRAM)
    x, values = data()
    with monkeypatch.context() as patch:
        patch.setitem(LIBRARY._functions, "primitive_create", lambda *arguments: c.OUT_OF_MEMORY)
        with pytest.raises(OutOfMemoryError, match="out of memory"):
            plan.forward(x, values)
    agrees(plan)
