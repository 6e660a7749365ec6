"""Programs for predicting: normalizations, functions and additions in the operation before them, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engines.onednn.support import assert_near, conv, engine, needs_onednn, numbers
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn import folding
from mlnet.engines.program import Node, Program, StepPlan

pytestmark = needs_onednn

Values = dict[tuple[str, str], np.ndarray]
STATISTICS = ("Offset", "Scale", "TrainedMean", "TrainedVariance")
GENERATOR = np.random.default_rng(3)


def normalization(name: str, source: int) -> Node:
    return Node(name, "batch_normalization_inference", (source,), STATISTICS, {"epsilon": 1e-4})


def values_for(program: Program, shapes: dict[str, tuple[int, ...]], channels: dict[str, tuple[int, ...]]) -> Values:
    """Return parameters; ``shapes`` has those of the weights, ``channels`` those of the bias or of a statistic."""
    values: Values = {}
    for node in program.nodes:
        for name in node.parameters:
            shape = shapes[node.name] if name == "Weights" else channels[node.name]
            values[node.name, name] = numbers(GENERATOR, shape) * np.float32(0.3 if name == "Weights" else 1)
        if "TrainedVariance" in node.parameters:
            values[node.name, "TrainedVariance"] = np.square(values[node.name, "TrainedVariance"]) + np.float32(0.1)
    return values


def check(program: Program, x: np.ndarray, values: Values, kept: int) -> Any:
    """Compare with NumPy twice, and with other parameters; ``kept`` operations are to be left."""
    predictor = engine().predictor(program, values)
    assert len(predictor.plan.program.nodes) == kept
    names = {node.name for node in predictor.plan.program.nodes}
    assert set(predictor.merged.values()) <= names and not set(predictor.merged) & names
    expected = StepPlan(NumpyEngine(), program).forward(x, values)
    reports = predictor.plan.report
    for data in (x, x, x.copy()):
        assert_near(predictor.plan.forward(data, predictor.values), expected)
    assert_near(StepPlan(engine(), predictor.plan.program).forward(x, predictor.values), expected, "composed")
    others = {key: value * np.float32(0.7) for key, value in values.items()}
    again = engine().predictor(program, others)
    expected = StepPlan(NumpyEngine(), program).forward(x, others)
    assert_near(predictor.plan.forward(x, again.values), expected, "other parameters")
    return {report.name: report for report in reports()}


CASES: list[tuple[str, tuple[int, ...], dict[str, Any], tuple[int, ...], tuple[int, ...], int]] = [
    ("convolution2d", (3, 7, 5, 3), {}, (3, 3, 3, 5), (1, 1, 5), 5),
    ("convolution2d", (1, 9, 6, 16), {}, (3, 3, 16, 32), (1, 1, 32), 32),
    ("convolution2d", (1, 1, 1, 1), {}, (1, 1, 1, 1), (1, 1, 1), 1),
    ("grouped_convolution2d", (3, 7, 5, 6), {}, (3, 3, 2, 5, 3), (1, 1, 5, 3), 15),
    ("transposed_convolution2d", (3, 5, 4, 6), {"stride": (2, 3)}, (4, 3, 5, 6), (1, 1, 5), 5),
    ("fully_connected", (7, 11), {}, (5, 11), (5, 1), 5),
    ("fully_connected", (1, 3, 4, 2), {}, (5, 24), (5, 1), 5),
]


@pytest.mark.parametrize("function", ["relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "clipped_relu", ""])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_normalization_and_function(case, function):
    operation, shape, attributes, weights, bias, channels = case
    if operation.startswith("transposed"):
        attributes = {"cropping": (1, 0, 0, 1), **attributes}
    elif operation.endswith("convolution2d"):
        attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 0, 0), "padding_value": 0.0}
        attributes["padding"] = (1, 1, 1, 1) if weights[0] > 1 else (0, 0, 0, 0)
    own = {"leaky_relu": {"scale": 0.1}, "elu": {"alpha": 0.7}, "clipped_relu": {"ceiling": 1.5}}.get(function, {})
    own = {"approximation": "none"} if function == "gelu" else own
    nodes = [Node("main", operation, (-1,), ("Weights", "Bias"), attributes), normalization("bn", 0)]
    nodes += [Node("f", function, (1,), (), own)] if function else []
    program = Program(tuple(nodes))
    wide = (channels, 1) if len(shape) == 2 else (1, 1, channels)
    values = values_for(program, {"main": weights}, {"main": bias, "bn": wide})
    reports = check(program, numbers(GENERATOR, shape), values, 1)
    assert reports["main"].engine == "onednn"


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("filters", [16, 5])
def test_residual_blocks(filters, count):
    """Sums in place, sums with what is needed later, of two convolutions, and of a convolution with its input."""
    nodes = [conv("first", -1, 3), normalization("bn0", 0), Node("relu0", "relu", (1,))]
    nodes += [conv("a", 2, 3), normalization("bn1", 3), Node("relu1", "relu", (4,)), conv("b", 5, 3)]
    nodes += [normalization("bn2", 6), Node("add1", "addition", (7, 2)), Node("relu2", "relu", (8,))]
    nodes += [conv("c", 9, 3), Node("add2", "addition", (9, 10)), conv("d", 11, 1), conv("short", 11, 3)]
    nodes += [normalization("bn3", 13), Node("add3", "addition", (12, 14)), Node("sigmoid", "sigmoid", (15,))]
    nodes += [Node("add4", "addition", (11, 16)), Node("fc", "fully_connected", (17,), ("Weights", "Bias"))]
    program = Program(tuple(nodes))
    shapes = dict.fromkeys(("a", "b", "c", "short"), (3, 3, filters, filters))
    shapes |= {"first": (3, 3, 3, filters), "d": (1, 1, filters, filters), "fc": (4, 80 * filters)}
    channels = dict.fromkeys((node.name for node in nodes), (1, 1, filters)) | {"fc": (4, 1)}
    values = values_for(program, shapes, channels)
    x = numbers(GENERATOR, (count, 10, 8, 3))
    reports = check(program, x, values, 8)
    assert [report for report in reports.values() if report.engine != "onednn"] == []
    inner = Program(program.nodes, (9, 18))
    predictor, plain = engine().predictor(inner, values), StepPlan(NumpyEngine(), inner)
    for _ in range(2):
        predictor.plan.forward(x, predictor.values)
        plain.forward(x, values)
        for number in range(2):
            assert_near(predictor.plan.output(x, number), plain.output(x, number))


def test_what_others_read_and_what_is_put_out_stays_unmerged():
    nodes = (conv("conv", -1, 1), normalization("bn", 0), Node("relu", "relu", (1,)), Node("add", "addition", (2, 0)))
    values = values_for(Program(nodes), {"conv": (1, 1, 3, 4)}, {"conv": (1, 1, 4), "bn": (1, 1, 4)})
    x = numbers(GENERATOR, (2, 3, 3, 3))
    check(Program(nodes), x, values, 3)  # the ReLU is the normalization's
    check(Program(nodes[:3], (1,)), x, values, 2)
    check(Program(nodes[:3], (0, 2)), x, values, 2)


def test_means_far_from_zero_and_variances_of_zero_stay_apart():
    program = Program((conv("conv", -1, 1), normalization("bn", 0)))
    values = values_for(program, {"conv": (1, 1, 3, 4)}, {"conv": (1, 1, 4), "bn": (1, 1, 4)})
    values["bn", "TrainedMean"] = np.full((1, 1, 4), 1e4, np.float32)
    assert len(folding.fold(program, values).program.nodes) == 2
    values["bn", "TrainedMean"][:] = 0
    assert len(folding.fold(program, values).program.nodes) == 1
    values["bn", "Scale"][0, 0, 1] = np.inf
    assert len(folding.fold(program, values).program.nodes) == 2


def test_given_parameters_do_not_change():
    program = Program((conv("conv", -1, 1), normalization("bn", 0)))
    values = values_for(program, {"conv": (1, 1, 3, 4)}, {"conv": (1, 1, 4), "bn": (1, 1, 4)})
    before = {key: value.copy() for key, value in values.items()}
    folding.fold(program, values)
    for key, value in values.items():
        np.testing.assert_array_equal(value, before[key])


def test_an_addition_that_repeats_an_input_is_numpys():
    nodes = (conv("conv", -1, 1), Node("pool", "global_average_pooling", (-1,)), Node("add", "addition", (0, 1)))
    values = values_for(Program(nodes), {"conv": (1, 1, 4, 4)}, {"conv": (1, 1, 4)})
    reports = check(Program(nodes), numbers(GENERATOR, (2, 3, 5, 4)), values, 2)
    assert reports["conv"].engine == "numpy" and "repeated" in reports["conv"].reason


def test_memory_is_used_again():
    nodes = [conv("conv0", -1, 3)]
    nodes += [conv(f"conv{number}", number - 1, 3) for number in range(1, 12)]
    program = Program(tuple(nodes))
    names = [node.name for node in nodes]
    values = values_for(program, dict.fromkeys(names, (3, 3, 16, 16)), dict.fromkeys(names, (1, 1, 16)))
    values = {key: value * np.float32(0.1) for key, value in values.items()}
    x = numbers(GENERATOR, (16, 32, 32, 16))
    predictor = engine().predictor(program, values)
    expected = StepPlan(NumpyEngine(), program).forward(x, values)
    assert_near(predictor.plan.forward(x, predictor.values), expected)
    assert predictor.plan.allocated < 4 * x.nbytes


def test_the_backward_of_the_composed_operations():
    nodes = (conv("a", -1, 1), conv("b", -1, 3), Node("add", "addition", (0, 1)), Node("relu", "relu", (2,)))
    program = Program(nodes)
    shapes = {"a": (1, 1, 3, 4), "b": (3, 3, 3, 4)}
    values = values_for(program, shapes, dict.fromkeys("ab", (1, 1, 4)))
    folded = folding.fold(program, values)
    assert len(folded.program.nodes) == 2
    x = numbers(GENERATOR, (2, 3, 5, 3))
    ours, theirs = StepPlan(engine(), folded.program), StepPlan(NumpyEngine(), program)
    assert_near(ours.forward(x, folded.values), theirs.forward(x, values))
    d_y = numbers(GENERATOR, (2, 3, 5, 4))
    found, expected = ours.backward(d_y, values, True), theirs.backward(d_y, values, True)
    assert_near(found[1], expected[1])
    assert found[0].keys() == expected[0].keys()
    for key, gradient in found[0].items():
        assert_near(gradient, expected[0][key], str(key))


@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (1, 7), (2, 3, 4, 5, 1)])
@pytest.mark.parametrize("parts", ["shift", "scale", "shift scale", "one"])
def test_normalization_of_the_data(shape, parts):
    numbers_of = {name: numbers(GENERATOR, shape[1:]) + 3 for name in ("shift", "scale")}
    if parts == "one":
        numbers_of = {"shift": np.ones(shape[-1:], np.float32), "scale": np.full(1, 3.0)}
    attributes = {name: value if name in parts or parts == "one" else None for name, value in numbers_of.items()}
    program = Program((Node("in", "normalize_input", (-1,), (), attributes), Node("relu", "relu", (0,))))
    reports = check(program, numbers(GENERATOR, shape), {}, 2)
    assert reports["in"].engine == "onednn"
