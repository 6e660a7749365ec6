"""Whole plans: convolution, normalization, pooling, branches, dropout, against NumPy; what is not for the library."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, assert_near, compare, conv, engine, needs_onednn, numbers
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn import spares
from mlnet.engines.onednn.plan import OneDnnPlan
from mlnet.engines.program import Node, Program, StepPlan

pytestmark = needs_onednn
POOL = {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}


def normalization(name: str, source: int) -> Node:
    return Node(name, "batch_normalization", (source,), ("Offset", "Scale"), {"epsilon": 1e-5})


def network(channels: int = 3) -> Program:
    """A residual block with all that occurs in small networks."""
    return Program(
        (
            conv("conv1", -1, 3),
            normalization("bn1", 0),
            Node("relu1", "relu", (1,)),
            Node("pool", "max_pooling2d", (2,), (), POOL),
            conv("conv2", 3, 3),
            normalization("bn2", 4),
            Node("add", "addition", (5, 3)),
            Node("relu2", "relu", (6,)),
            conv("conv3", 7, 3, 2),
            Node("relu3", "relu", (8,)),
            Node("scaling", "scaling", (9,), (), {"scale": 0.5, "bias": 0.1}),
            Node("fc", "fully_connected", (10,), ("Weights", "Bias")),
        )
    )


def values_for(filters: int = 5, channels: int = 3, pixels: int = 9) -> dict[tuple[str, str], np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {
        "conv1": [(3, 3, channels, filters), (1, 1, filters)],
        "conv2": [(3, 3, filters, filters), (1, 1, filters)],
        "conv3": [(3, 3, filters, 7), (1, 1, 7)],
        "fc": [(4, pixels * 7), (4, 1)],
    }
    values = {}
    for name, (weights, bias) in shapes.items():
        values[name, "Weights"] = numbers(generator, weights) * np.float32(0.3)
        values[name, "Bias"] = numbers(generator, bias)
    for name in ("bn1", "bn2"):
        values[name, "Offset"] = numbers(generator, (1, 1, filters))
        values[name, "Scale"] = np.abs(numbers(generator, (1, 1, filters))) + 1
    return values


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("filters", [5, 8, 16])
@pytest.mark.parametrize("count", [1, 2, 7, 32])
def test_a_network_gives_the_same(count, filters, fused):
    program, values = network(), values_for(filters)
    x = numbers(np.random.default_rng(1), (count, 11, 10, 3))
    learnables = [key for key in values if key not in {("conv1", "Bias"), ("conv2", "Bias")}]  # their gradients are 0
    if fused:
        program = engine().fuse(program)
        assert len(program.nodes) == 9
        theirs, ours = StepPlan(engine(), program), engine().plan(program)
        assert_near(ours.forward(x, values), theirs.forward(x, values))
    else:
        compare(program, x, values, learnables=learnables)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_eight_channels_are_not_rounded_up_to_blocks_of_16(channels):
    program = Program(
        (
            conv("a", -1, 3),
            normalization("bn", 0),
            Node("pool", "max_pooling2d", (1,), (), POOL),
            conv("b", 2, 3),
            Node("scaling", "scaling", (3,), (), {"scale": 0.5, "bias": 0.1}),
            conv("c", 4, 3),
            Node("tanh", "tanh", (5,)),
            conv("d", 6, 1),
        )
    )
    generator = np.random.default_rng(4)
    sizes = {"a": (3, 3, channels, 8), "b": (3, 3, 8, 16), "c": (3, 3, 16, 8), "d": (1, 1, 8, 3)}
    values = {(name, "Weights"): numbers(generator, size) * np.float32(0.3) for name, size in sizes.items()}
    values |= {(name, "Bias"): numbers(generator, (1, 1, size[-1])) for name, size in sizes.items()}
    values |= {("bn", "Offset"): numbers(generator, (1, 1, 8)), ("bn", "Scale"): numbers(generator, (1, 1, 8))}
    learnables = [key for key in values if key != ("a", "Bias")]  # its gradient is 0
    plan = compare(program, numbers(generator, (5, 9, 8, channels)), values, learnables=learnables)
    assert [node.reason for node in plan._active.nodes if "scaling" not in node.node.name] == [""] * 7
    first = plan._active.nodes[0]
    if first.implementations[0].startswith("jit:avx512"):
        assert first.output.memory.description.size == 5 * 9 * 8 * 8 * 4
        assert plan._active.nodes[1].reorders == plan._active.nodes[2].reorders == plan._active.nodes[3].reorders == 0


def test_what_is_not_the_librarys_is_numpys_and_counted():
    program, values = network(), values_for()
    plan = engine().plan(program)
    plan.forward(numbers(np.random.default_rng(1), (2, 11, 10, 3)), values)
    assert [node.reason for node in plan._active.nodes if node.reason] == ["oneDNN does not have it"]
    assert plan._active.nodes[10].implementations == ["numpy"]
    assert plan._active.nodes[10].reorders == 1, "scaling takes its input out of a layout of the library"


def test_values_are_arrays_in_our_order_and_follow_the_run():
    program, values = network(), values_for()
    generator = np.random.default_rng(1)
    ours, theirs = engine().plan(program), StepPlan(NumpyEngine(), program)
    for _ in range(3):
        x = numbers(generator, (3, 11, 10, 3))
        ours.forward(x, values)
        theirs.forward(x, values)
        assert len(ours.values) == len(theirs.values)
        for number, (own, other) in enumerate(zip(ours.values, theirs.values, strict=True)):
            assert_near(own, other, f"value {number}")
        for number in (1, 5):
            assert_near(ours.saved[number].mean, theirs.saved[number].mean.astype(np.float32))
            assert_near(ours.saved[number].variance, theirs.saved[number].variance.astype(np.float32))


def test_the_last_node_can_be_given():
    program, values = network(), values_for()
    x = numbers(np.random.default_rng(1), (3, 11, 10, 3))
    ours, theirs = engine().plan(program), StepPlan(NumpyEngine(), program)
    assert_near(ours.forward(x, values, last=4), theirs.forward(x, values, last=4))
    assert len(ours.values) == 5
    assert_near(ours.forward(x, values), theirs.forward(x, values))


def test_other_sizes_of_mini_batches_have_compiled_plans_of_their_own_and_not_too_many():
    program, values = network(), values_for()
    plan = engine().plan(program)
    generator = np.random.default_rng(1)
    compiled = {}
    for count in (4, 3, 4, 3):
        plan.forward(numbers(generator, (count, 11, 10, 3)), values)
        assert compiled.setdefault(count, plan._active) is plan._active
    for count in range(5, 11):
        x = numbers(generator, (count, 11, 10, 3))
        assert_near(plan.forward(x, values), StepPlan(NumpyEngine(), program).forward(x, values))
    assert len(plan._compiled) == 4


def test_a_step_allocates_nothing():
    import tracemalloc

    program, values = network(), values_for(16)
    plan = engine().plan(engine().fuse(program))
    x = numbers(np.random.default_rng(1), (64, 11, 10, 3))
    d_y = numbers(np.random.default_rng(2), (64, 1, 1, 4))
    for _ in range(2):
        plan.forward(x, values)
        plan.backward(d_y, values)
    tracemalloc.start()
    plan.forward(x, values)
    plan.backward(d_y, values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000, "less than one array of the network"


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda x, values: (x.astype(float), {key: value.astype(float) for key, value in values.items()}), "float64"),
        (lambda x, values: (np.where(x > 2, np.float32(np.nan), x), values), "not finite"),
        (lambda x, values: (x[:0], values), "no observations"),
    ],
)
def test_what_is_not_for_the_library_runs_on_numpy(change, reason):
    program = Program((conv("conv", -1, 3), Node("relu", "relu", (0,))))
    x = numbers(np.random.default_rng(1), (40, 5, 4, 3))
    weights = numbers(np.random.default_rng(2), (3, 3, 3, 2))
    x, values = change(x, {("conv", "Weights"): weights, ("conv", "Bias"): np.zeros((1, 1, 2), np.float32)})
    plan, theirs = engine().plan(engine().fuse(program)), StepPlan(NumpyEngine(), program)
    np.testing.assert_array_equal(plan.forward(x, values), theirs.forward(x, values))
    assert reason in plan.whole_reason
    gradients, _ = plan.backward(plan.values[-1], values)
    expected, _ = theirs.backward(theirs.values[-1], values)
    np.testing.assert_allclose(gradients["conv", "Weights"], expected["conv", "Weights"], rtol=1e-5)


def test_sizes_that_the_library_refuses_run_on_numpy():
    node = conv("conv", -1, 3, padding=(1, 1, 1, 1), padding_value="replicate")
    values = {
        ("conv", "Weights"): numbers(np.random.default_rng(2), (3, 3, 3, 2)),
        ("conv", "Bias"): np.zeros((1, 1, 2), np.float32),
    }
    plan = compare(Program((node,)), numbers(np.random.default_rng(1), (3, 5, 4, 3)), values)
    assert plan._active.nodes[0].reason == "the border is not zero"


def test_means_far_from_zero_are_numpys():
    program = Program((normalization("bn", -1), Node("relu", "relu", (0,))))
    values = {("bn", "Offset"): np.zeros((1, 1, 3), np.float32), ("bn", "Scale"): np.ones((1, 1, 3), np.float32)}
    generator = np.random.default_rng(1)
    near, far = numbers(generator, (64, 5, 4, 3)), numbers(generator, (64, 5, 4, 3)) + np.float32([0, 1000, 0])
    plan, theirs = engine().plan(program), StepPlan(NumpyEngine(), program)
    assert_near(plan.forward(near, values), theirs.forward(near, values))
    assert plan._active.nodes[0].reason == ""
    assert_near(plan.forward(far, values), theirs.forward(far, values))
    assert "deviations" in plan._active.nodes[0].reason


def test_dropout_and_derived_weights():
    program = Program(
        (
            Node("conv", "weight_standardization", (), ("Weights",), {"epsilon": 1e-5, "axes": (0, 1, 2)}),
            Node("conv", "convolution2d", (-1, 0), ("Bias",), dict(conv("conv", -1, 3).attributes)),
            Node("drop", "dropout", (1,), (), {"probability": 0.4}, random=True),
            Node("tanh", "tanh", (2,)),
        )
    )
    values = {
        ("conv", "Weights"): numbers(np.random.default_rng(2), (3, 3, 3, 2)),
        ("conv", "Bias"): np.zeros((1, 1, 2), np.float32),
    }
    x = numbers(np.random.default_rng(1), (3, 5, 4, 3))
    plan, theirs = engine().plan(program), StepPlan(NumpyEngine(), program)
    for seed in range(3):
        y = plan.forward(x, values, np.random.default_rng(seed))
        assert_near(y, theirs.forward(x, values, np.random.default_rng(seed)))
        gradients, _ = plan.backward(np.ones_like(y), values)
        expected, _ = theirs.backward(np.ones_like(y), values)
        for key in values:
            assert_near(gradients[key], expected[key], f"{key}", 3e-5)
    assert [node.reason == "" for node in plan._active.nodes] == [False, True, False, True]


def test_two_threads_at_once():
    program, values = network(), values_for(16)
    x = [numbers(np.random.default_rng(seed), (8, 11, 10, 3)) for seed in range(4)]
    d_y = numbers(np.random.default_rng(9), (8, 1, 1, 4))
    expected = []
    for each in x:
        plan = engine().plan(program)
        y = plan.forward(each, values).copy()
        expected.append([y, plan.backward(d_y, values)[0]["conv1", "Weights"].copy()])
    wrong: list[str] = []

    def work(number: int) -> None:
        plan = engine().plan(program)
        for _ in range(25):
            y = plan.forward(x[number], values)
            gradients, _ = plan.backward(d_y, values)
            if not np.array_equal(y, expected[number][0]):
                wrong.append(f"output {number}")
            if not np.array_equal(gradients["conv1", "Weights"], expected[number][1]):
                wrong.append(f"gradient {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_objects_are_released(monkeypatch):
    counts = {"made": 0, "released": 0}
    make, release = LIBRARY.new, LIBRARY.release

    def new(name, *arguments):
        counts["made"] += 1
        return make(name, *arguments)

    def counted(name):
        function = release(name)

        def call(handle):
            counts["released"] += 1
            return function(handle)

        return call

    monkeypatch.setattr(LIBRARY, "new", new)
    monkeypatch.setattr(LIBRARY, "release", counted)
    plan = engine().plan(network())
    assert isinstance(plan, OneDnnPlan)
    y = plan.forward(numbers(np.random.default_rng(1), (2, 11, 10, 3)), values_for())
    plan.backward(np.ones_like(y), values_for())
    assert counts["made"] > 100
    gc.collect()
    gc.disable()
    try:
        del plan, y
        assert counts["released"] >= counts["made"] - 1, "at once, not when Python looks for circles"
    finally:
        gc.enable()
    gc.collect()
    assert counts["released"] == counts["made"]


def test_predictions_take_the_compiled_program_of_the_one_before(monkeypatch):
    monkeypatch.setattr(spares, "_spares", [])
    program, values = network(), values_for()
    generator = np.random.default_rng(1)
    x, other = numbers(generator, (4, 11, 10, 3)), numbers(generator, (4, 11, 10, 3))
    expected = [StepPlan(NumpyEngine(), program).forward(each, values).copy() for each in (x, other)]

    def run(data, of=program, **changed):
        plan = engine().plan(of, is_training=False)
        y = plan.forward(data, values).copy()
        return plan._active, y

    first, y = run(x)
    assert_near(y, expected[0])
    gc.collect()
    assert not first.context.parameters, "arrays of the user are let go"
    again, y = run(other)
    assert again is first
    assert_near(y, expected[1])
    # Two at once have two, other sizes and attributes their own.
    plans = [engine().plan(program, is_training=False) for _ in range(2)]
    for plan in plans:
        plan.forward(x, values)
    assert plans[0]._active is not plans[1]._active
    assert run(x[:3])[0] is not first
    nodes = list(program.nodes)
    nodes[1] = Node("bn1", "batch_normalization", (0,), ("Offset", "Scale"), {"epsilon": 0.5})
    assert run(x, Program(tuple(nodes)))[0] is not first
    for count in range(1, 15):
        run(numbers(generator, (count, 11, 10, 3)))
    gc.collect()
    assert len(spares._spares) == spares._MOST


def test_programs_of_functions_are_told_apart_by_the_function():
    def program(function):
        return Program((Node("f", "user_function", (-1,), (), {"function": function, "axes": [1, np.ones(2)]}),))

    one, other = (lambda x: x), (lambda x: x)
    assert spares.key_of(program(one)) == spares.key_of(program(one)) != spares.key_of(program(other))
    assert spares.key_of(program({1, 2})) is None


def test_programs_of_parameters_of_other_sizes_are_told_apart(monkeypatch):
    monkeypatch.setattr(spares, "_spares", [])
    program = Program((conv("conv", -1, 3),))
    x = numbers(np.random.default_rng(1), (2, 5, 5, 3))
    for filters in (4, 7):
        shapes = {"Weights": (3, 3, 3, filters), "Bias": (1, 1, filters)}
        values = {("conv", name): numbers(np.random.default_rng(2), shape) for name, shape in shapes.items()}
        plan = engine().plan(program, is_training=False)
        assert_near(plan.forward(x, values), StepPlan(NumpyEngine(), program).forward(x, values))
        assert plan.whole_reason == ""
        del plan
        gc.collect()
