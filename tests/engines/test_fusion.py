"""Merged operations: the same results with fewer nodes."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Engine
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.numpy.fusion import fuse
from mlnet.engines.program import Node, Program, StepPlan

POOL = {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}


def normalization(name: str, source: int, operation: str = "batch_normalization") -> Node:
    statistics = ("TrainedMean", "TrainedVariance") if operation.endswith("inference") else ()
    return Node(name, operation, (source,), ("Offset", "Scale", *statistics), {"epsilon": 1e-5})


def names(program: Program) -> list[str]:
    return [node.name for node in program.nodes]


@pytest.mark.parametrize("operation", ["batch_normalization", "batch_normalization_inference"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 6, 5), (64, 24, 24, 16)])
def test_the_fused_program_gives_the_same(operation, dtype, shape):
    program = Program(
        (
            Node("tanh", "tanh", (-1,)),
            normalization("bn1", 0, operation),
            Node("relu1", "relu", (1,)),
            Node("pool", "max_pooling2d", (2,), (), POOL),
            normalization("bn2", 3, operation),
            Node("relu2", "relu", (4,)),
        )
    )
    fused = fuse(program)
    assert names(fused) == ["tanh", "bn1", "pool", "bn2"]
    generator = np.random.default_rng(0)
    values = {
        (node.name, parameter): (generator.random((1, 1, shape[3])) + 0.5).astype(dtype)
        for node in program.nodes
        for parameter in node.parameters
    }
    learnables = [key for key in values if "Trained" not in key[1]]
    x = generator.standard_normal(shape).astype(dtype)
    results = []
    for each in (program, fused):
        plan = StepPlan(NumpyEngine(), each)
        output = plan.forward(x, values)
        d_output = np.random.default_rng(1).standard_normal(output.shape).astype(dtype)
        gradients, d_x = plan.backward(d_output, learnables, want_input=True)
        results.append([output, d_x, *[gradients[key] for key in learnables]])
    for plain, merged in zip(*results, strict=True):
        np.testing.assert_array_equal(merged, plain)


def test_statistics_stay_visible():
    program = Program((normalization("bn", -1), Node("relu", "relu", (0,))))
    plan = StepPlan(NumpyEngine(), fuse(program))
    x = np.random.default_rng(0).standard_normal((6, 3))
    plan.forward(x, {("bn", "Offset"): np.zeros((3, 1)), ("bn", "Scale"): np.ones((3, 1))})
    np.testing.assert_allclose(plan.saved[0].mean, x.mean(axis=0))
    np.testing.assert_allclose(plan.saved[0].variance, x.var(axis=0))


def test_a_normalization_with_another_reader_stays():
    program = Program((normalization("bn", -1), Node("relu", "relu", (0,)), Node("tanh", "tanh", (0,))))
    assert fuse(program) == program


def test_a_relu_on_data_or_on_something_else_stays():
    program = Program((Node("relu1", "relu", (-1,)), Node("tanh", "tanh", (0,)), Node("relu2", "relu", (1,))))
    assert fuse(program) == program


def test_inputs_are_renumbered_past_a_merged_node():
    program = Program(
        (
            normalization("bn", -1),
            Node("relu", "relu", (0,)),
            Node("a", "tanh", (1,)),
            Node("b", "sigmoid", (1,)),
            Node("sum", "addition", (2, 3)),
        )
    )
    assert [node.inputs for node in fuse(program).nodes] == [(-1,), (0,), (0,), (1, 2)]
    assert program.nodes[0].attributes == {"epsilon": 1e-5}, "The given program must stay as it is."


def test_engines_fuse_only_what_they_can():
    program = Program((normalization("bn", -1), Node("relu", "relu", (0,))))
    assert names(NumpyEngine().fuse(program)) == ["bn"]
    assert Engine.fuse(NumpyEngine(), program) is program
