"""Ways back that are built once: other sets of gradients, given arrays, memory that is used again, new parameters."""

from __future__ import annotations

import numpy as np
import pytest

from engines.onednn.support import assert_near, conv, engine, needs_onednn, numbers
from engines.onednn.test_plan import network, normalization, values_for
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import Node, Program, StepPlan

pytestmark = needs_onednn


def branches() -> Program:
    """Values that several nodes read, so that gradients are summed and shared."""
    return Program(
        (
            conv("conv1", -1, 3),
            Node("relu1", "relu", (0,)),
            conv("conv2", 1, 3),
            normalization("bn1", 2),
            Node("add1", "addition", (3, 1)),
            Node("tanh", "tanh", (4,)),
            Node("add2", "addition", (5, 4, 1)),
            Node("relu2", "relu", (6,)),
        )
    )


def values() -> dict[tuple[str, str], np.ndarray]:
    return {key: value for key, value in values_for().items() if key[0] in ("conv1", "conv2", "bn1")}


def plans(program: Program) -> tuple[StepPlan, StepPlan]:
    return engine().plan(program), StepPlan(NumpyEngine(), program)


def compare_once(ours, theirs, x, parameters, wanted, *, want_input):
    y, expected = ours.forward(x, parameters), theirs.forward(x, parameters)
    assert_near(y, expected, tolerance=2e-5)
    d_y = numbers(np.random.default_rng(5), expected.shape)
    (found, d_x), (right, right_d_x) = (plan.backward(d_y, wanted, want_input) for plan in (ours, theirs))
    assert found.keys() == right.keys()
    for key, gradient in right.items():
        assert_near(found[key], gradient, str(key), 5e-5)
    assert (d_x is None) == (right_d_x is None)
    if d_x is not None:
        assert_near(d_x, right_d_x, "x", 5e-5)


@pytest.mark.parametrize("make", [branches, network])
def test_sets_of_gradients_in_turns(make):
    """A tensor that one set reads once and another one twice must not be overwritten for the second reader."""
    program = make()
    parameters = values() if make is branches else values_for()
    ours, theirs = plans(program)
    x = numbers(np.random.default_rng(1), (3, 11, 10, 3))
    everything = [key for key in parameters if key not in {("conv1", "Bias"), ("conv2", "Bias")}]
    sets = [everything, [("conv2", "Weights")], [("conv1", "Weights")], [("bn1", "Scale")], everything[::2], everything]
    for number in range(2 * len(sets) + 1):
        compare_once(ours, theirs, x, parameters, sets[number % len(sets)], want_input=number % 3 == 0)


def test_gradients_are_put_where_there_is_room():
    parameters = values()
    ours, theirs = plans(branches())
    room = {key: np.full_like(value, 7) for key, value in parameters.items()}
    ours.gradient_room = room
    x = numbers(np.random.default_rng(1), (3, 11, 10, 3))
    wanted = [key for key in parameters if key[0] != "conv2"]
    y = ours.forward(x, parameters)
    theirs.forward(x, parameters)
    for _ in range(2):
        found, _ = ours.backward(np.ones_like(y), wanted)
        right, _ = theirs.backward(np.ones_like(y), wanted)
        for key in wanted:
            assert found[key] is room[key]
            assert_near(room[key], right[key], str(key), 5e-5)
    assert (room["conv2", "Weights"] == 7).all(), "not wanted"
    ours.gradient_room = {}
    found, _ = ours.backward(2 * np.ones_like(y), wanted)
    assert not any(found[key] is room[key] for key in wanted), "the room is somebody else's again"
    assert_near(found["bn1", "Scale"], 2 * room["bn1", "Scale"])


def test_parameters_may_change_in_place_and_be_other_arrays():
    program, parameters = network(), values_for()
    ours, theirs = plans(program)
    x = numbers(np.random.default_rng(1), (2, 11, 10, 3))
    for change in range(4):
        if change == 1:
            for value in parameters.values():
                value *= np.float32(1.1)
        elif change == 2:
            parameters = {key: value * np.float32(0.9) for key, value in parameters.items()}
        elif change == 3:
            parameters = {key: np.asfortranarray(value) for key, value in parameters.items()}
            parameters["fc", "Weights"] *= np.float32(1.2)
        assert_near(ours.forward(x, parameters), theirs.forward(x, parameters), f"change {change}", 2e-5)
    parameters["fc", "Weights"] *= np.float32(2)
    assert_near(ours.forward(x, parameters), theirs.forward(x, parameters), "a copy that changes", 2e-5)


def test_the_way_back_needs_less_memory_than_one_buffer_for_each_value():
    """Gradients of values that have been read make room for the next ones."""
    nodes = [conv("conv0", -1, 3)]
    for number in range(8):
        nodes += [Node(f"relu{number}", "relu", (2 * number,)), conv(f"conv{number + 1}", 2 * number + 1, 3)]
    generator = np.random.default_rng(0)
    parameters = {}
    for number in range(9):
        parameters[f"conv{number}", "Weights"] = numbers(generator, (3, 3, 16, 16)) * np.float32(0.1)
        parameters[f"conv{number}", "Bias"] = numbers(generator, (1, 1, 16))
    ours, _ = plans(Program(tuple(nodes)))
    y = ours.forward(numbers(generator, (4, 32, 32, 16)), parameters)
    forward = ours._active.context.allocated
    ours.backward(np.ones_like(y), parameters)
    assert ours._active.context.allocated - forward < 5 * y.nbytes, "17 values have gradients"


def test_one_image_after_training_sizes():
    parameters = values()
    ours, theirs = plans(branches())
    for count in (4, 1, 4):
        x = numbers(np.random.default_rng(count), (count, 11, 10, 3))
        compare_once(ours, theirs, x, parameters, [("conv1", "Weights"), ("bn1", "Offset")], want_input=True)
