"""Every operation of the library against NumPy, at odd sizes, on plain and on blocked layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, compare, conv, needs_onednn, numbers
from mlnet.engines.program import Node, Program

pytestmark = needs_onednn


def c2(stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0), **more):
    return {"stride": stride, "dilation": dilation, "padding": padding, "padding_value": 0.0, **more}


def pool(size, stride, padding=(0, 0, 0, 0), **more):
    return {"pool_size": size, "stride": stride, "padding": padding, **more}


def c1(stride=1, dilation=1, padding=(1, 1)):
    return {"stride": stride, "dilation": dilation, "padding": padding, "padding_value": 0.0}


# operation, shape of x, attributes, shapes of the parameters
CASES: list[tuple[str, tuple[int, ...], dict[str, Any], list[tuple[int, ...]]]] = [
    ("convolution2d", (3, 7, 5, 3), c2(padding=(1, 1, 1, 1)), [(3, 3, 3, 5), (1, 1, 5)]),
    ("convolution2d", (1, 1, 1, 1), c2(), [(1, 1, 1, 1), (1, 1, 1)]),
    ("convolution2d", (2, 11, 13, 17), c2((2, 3), (1, 2), (0, 1, 2, 0)), [(3, 2, 17, 7), (1, 1, 7)]),
    ("convolution2d", (5, 9, 8, 16), c2((1, 1), (2, 2), (2, 2, 2, 2)), [(3, 3, 16, 32), (1, 1, 32)]),
    ("convolution2d", (1, 12, 6, 1), c2((4, 1)), [(5, 3, 1, 2), (1, 1, 2)]),
    ("convolution2d", (2, 6, 6, 8), c2(padding=(0, 1, 0, 1)), [(2, 2, 8, 8), (1, 1, 8)]),
    ("grouped_convolution2d", (3, 7, 5, 6), c2(padding=(1, 1, 1, 1)), [(3, 3, 2, 5, 3), (1, 1, 5, 3)]),
    ("grouped_convolution2d", (2, 8, 8, 16), c2((2, 2), padding=(1, 1, 1, 1)), [(3, 3, 1, 1, 16), (1, 1, 1, 16)]),
    ("grouped_convolution2d", (2, 5, 7, 3), c2(), [(3, 3, 1, 2, 3), (1, 1, 2, 3)]),
    (
        "transposed_convolution2d",
        (3, 5, 4, 6),
        {"stride": (2, 3), "cropping": (1, 0, 0, 1)},
        [(4, 3, 5, 6), (1, 1, 5)],
    ),
    (
        "transposed_convolution2d",
        (1, 1, 1, 1),
        {"stride": (1, 1), "cropping": (0, 0, 0, 0)},
        [(2, 2, 1, 1), (1, 1, 1)],
    ),
    (
        "convolution3d",
        (2, 5, 6, 7, 3),
        {"stride": (1, 2, 1), "dilation": (1, 1, 2), "padding": (1, 0, 0, 1, 2, 2), "padding_value": 0.0},
        [(3, 2, 3, 3, 4), (1, 1, 1, 4)],
    ),
    ("fully_connected", (7, 11), {}, [(5, 11), (5, 1)]),
    ("fully_connected", (1, 1), {}, [(1, 1), (1, 1)]),
    ("fully_connected", (3, 5, 7, 2), {}, [(4, 70), (4, 1)]),
    ("fully_connected", (13, 4, 4, 16), {}, [(10, 256), (10, 1)]),
    ("fully_connected", (3, 2, 3, 5, 2), {}, [(4, 60), (4, 1)]),
    ("fully_connected", (5, 6, 3), {}, [(4, 18), (4, 1)]),
    ("batch_normalization", (5, 7, 3, 3), {"epsilon": 1e-5}, [(1, 1, 3), (1, 1, 3)]),
    ("batch_normalization", (5, 7, 3, 16), {"epsilon": 1e-5, "rectified": True}, [(1, 1, 16), (1, 1, 16)]),
    ("batch_normalization", (31, 13), {"epsilon": 1e-3}, [(13, 1), (13, 1)]),
    ("batch_normalization", (31, 13), {"epsilon": 1e-3, "rectified": True}, [(13, 1), (13, 1)]),
    ("batch_normalization", (7, 1, 1, 1), {"epsilon": 1e-5}, [(1, 1, 1), (1, 1, 1)]),
    ("batch_normalization", (3, 4, 2, 3, 5), {"epsilon": 1e-5}, [(1, 1, 1, 5), (1, 1, 1, 5)]),
    ("max_pooling2d", (3, 7, 6, 5), pool((2, 2), (2, 2)), []),
    ("max_pooling2d", (1, 7, 7, 16), pool((3, 2), (1, 2), (1, 1, 0, 1)), []),
    ("max_pooling2d", (2, 1, 1, 1), pool((1, 1), (1, 1)), []),
    ("max_pooling3d", (2, 5, 4, 3, 5), pool((2, 2, 3), (2, 1, 1), (0, 0, 1, 1, 0, 0)), []),
    ("average_pooling2d", (3, 7, 6, 5), pool((2, 2), (2, 2)), []),
    ("average_pooling2d", (3, 7, 6, 5), pool((3, 3), (2, 2), (1, 1, 1, 1), padding_value=0.0), []),
    ("average_pooling2d", (3, 7, 6, 17), pool((3, 3), (2, 2), (1, 1, 1, 1), padding_value="mean"), []),
    ("average_pooling3d", (2, 5, 4, 3, 5), pool((2, 2, 3), (2, 1, 1), (0,) * 6), []),
    ("global_average_pooling", (3, 5, 7, 11), {}, []),
    ("global_max_pooling", (3, 5, 7, 11), {}, []),
    ("relu", (3, 5, 7, 11), {}, []),
    ("relu", (1, 1), {}, []),
    ("leaky_relu", (3, 5, 7, 11), {"scale": 0.01}, []),
    ("leaky_relu", (3, 5), {"scale": 1.5}, []),
    ("clipped_relu", (3, 5, 7, 11), {"ceiling": 0.7}, []),
    ("elu", (3, 5, 7, 11), {"alpha": 0.7}, []),
    ("tanh", (3, 5, 7, 11), {}, []),
    ("tanh", (60, 100), {}, []),
    ("sigmoid", (3, 5, 7, 11), {}, []),
    ("sigmoid", (60, 100), {}, []),
    ("swish", (3, 5, 7, 11), {}, []),
    ("gelu", (3, 5, 7, 11), {"approximation": "none"}, []),
    ("gelu", (3, 5, 7, 11), {"approximation": "tanh"}, []),
    ("gelu", (1, 1), {}, []),
    ("softmax", (3, 5, 7, 11), {}, []),
    ("softmax", (1, 1), {}, []),
    ("softmax", (60, 10), {}, []),
    ("softmax", (5, 1, 1, 17), {}, []),
    ("layer_normalization", (3, 5, 7, 11), {"axes": (-1,), "epsilon": 1e-5}, [(1, 1, 11), (1, 1, 11)]),
    ("layer_normalization", (1, 3), {"axes": (-1,), "epsilon": 1e-3}, [(3, 1), (3, 1)]),
    ("layer_normalization", (31, 13), {"axes": (-1,), "epsilon": 1e-3}, [(13, 1), (13, 1)]),
    ("cross_channel_normalization", (3, 5, 7, 16), {"window": 5, "alpha": 0.1, "beta": 0.75, "k": 2.0}, []),
    ("convolution1d", (3, 11, 5), c1(), [(3, 5, 7), (1, 7)]),
    ("convolution1d", (2, 13, 1), c1(2, 3, (6, 0)), [(3, 1, 2), (1, 2)]),
    ("convolution1d", (1, 7, 17), c1(2, 1, "same"), [(4, 17, 16), (1, 16)]),
    ("convolution1d", (5, 1, 1), c1(), [(1, 1, 1), (1, 1)]),
    ("transposed_convolution1d", (3, 6, 5), {"stride": 2, "cropping": (1, 0)}, [(3, 7, 5), (1, 7)]),
    ("transposed_convolution1d", (1, 1, 1), {"stride": 1, "cropping": (0, 0)}, [(2, 1, 1), (1, 1)]),
    ("global_average_pooling3d", (2, 3, 4, 5, 3), {}, []),
    ("global_max_pooling3d", (2, 3, 4, 5, 3), {}, []),
    ("global_average_pooling1d", (2, 7, 3), {}, []),
    ("global_max_pooling1d", (2, 7, 3), {}, []),
    ("max_pooling1d", (3, 11, 5), {"pool_size": 3, "stride": 2, "padding": (1, 0)}, []),
    ("max_pooling1d", (3, 11, 5), {"pool_size": 3, "stride": 2, "padding": "same"}, []),
    ("average_pooling1d", (3, 11, 16), {"pool_size": 3, "stride": 2, "padding": (1, 1), "padding_value": "mean"}, []),
    ("average_pooling1d", (3, 11, 16), {"pool_size": 2, "stride": 1, "padding": "same"}, []),
    (
        "transposed_convolution3d",
        (2, 3, 4, 2, 6),
        {"stride": (2, 1, 3), "cropping": (1, 0, 0, 1, 0, 0)},
        [(4, 3, 2, 5, 6), (1, 1, 1, 5)],
    ),
]


def names(count: int, operation: str) -> tuple[str, ...]:
    return (("Offset", "Scale") if "normalization" in operation else ("Weights", "Bias"))[:count]


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("operation, shape, attributes, parameters", CASES)
def test_forward_and_gradients_are_those_of_numpy(operation, shape, attributes, parameters, blocked):
    generator = np.random.default_rng(1)
    node = Node("op", operation, (0 if blocked else -1,), names(len(parameters), operation), attributes)
    values = {("op", name): numbers(generator, size) for name, size in zip(node.parameters, parameters, strict=True)}
    nodes = [node]
    if blocked:
        if len(shape) != 4:
            pytest.skip("convolutions of images give blocks")
        nodes = [conv("before", -1), node, Node("after", "leaky_relu", (1,), (), {"scale": 0.5})]
        values["before", "Weights"] = numbers(generator, (1, 1, shape[3], shape[3]))
        values["before", "Bias"] = numbers(generator, (1, 1, shape[3]))
    learnables = list(values)
    if "normalization" in operation:  # the gradients of what only shifts or scales one channel are 0
        learnables = [key for key in values if key[0] != "before" or (key[1] == "Weights" and shape[3] > 1)]
    plan = compare(Program(tuple(nodes)), numbers(generator, shape), values, learnables=learnables)
    assert [part.reason for part in plan._active.nodes] == [""] * len(nodes)
    assert not plan._active._other_ways


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("shape", [(5, 7, 3, 3), (1, 4, 4, 16), (31, 13), (3, 4, 2, 3, 5)])
def test_normalization_with_given_statistics(shape, rectified):
    generator = np.random.default_rng(2)
    parameters = ("Offset", "Scale", "TrainedMean", "TrainedVariance")
    size = (*[1] * max(1, len(shape) - 2), shape[-1]) if len(shape) > 2 else (shape[-1], 1)
    values = {("op", name): np.abs(numbers(generator, size)) + np.float32(0.1) for name in parameters}
    attributes = {"epsilon": 1e-5, "rectified": rectified}
    program = Program((Node("op", "batch_normalization_inference", (-1,), parameters, attributes),))
    compare(program, numbers(generator, shape), values, learnables=list(values)[:2])
    plan = compare(program, numbers(generator, shape), values)
    assert "statistics" in plan._active._other_ways[0].reason


@pytest.mark.parametrize("operation", ["addition", "concatenation", "multiplication"])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_several_inputs(operation, channels):
    generator = np.random.default_rng(3)
    attributes = {"axis": -1} if operation == "concatenation" else {}
    program = Program(
        (
            conv("a", -1, 3),
            Node("b", "tanh", (-1,)),
            Node("op", operation, (0, 1, -1), (), attributes),
            conv("c", 2, 1),
        )
    )
    wide = 3 * channels if operation == "concatenation" else channels
    values = {
        ("a", "Weights"): numbers(generator, (3, 3, channels, channels)),
        ("a", "Bias"): numbers(generator, (1, 1, channels)),
        ("c", "Weights"): numbers(generator, (1, 1, wide, 5)),
        ("c", "Bias"): numbers(generator, (1, 1, 5)),
    }
    plan = compare(program, numbers(generator, (3, 5, 4, channels)), values)
    assert [part.reason for part in plan._active.nodes] == [""] * 4


@pytest.mark.parametrize("axis", [-2, -3])
def test_joining_along_rows_and_columns(axis):
    generator = np.random.default_rng(3)
    program = Program((conv("a", -1), Node("op", "concatenation", (0, -1), (), {"axis": axis})))
    values = {("a", "Weights"): numbers(generator, (1, 1, 17, 17)), ("a", "Bias"): numbers(generator, (1, 1, 17))}
    compare(program, numbers(generator, (3, 5, 4, 17)), values)


@pytest.mark.parametrize(
    "operation, shape, parameters, attributes",
    [
        ("convolution2d", (2, 7, 5, 3), [(3, 3, 3, 5), (1, 1, 5)], c2(padding=(1, 1, 1, 1))),
        ("grouped_convolution2d", (2, 7, 5, 6), [(3, 3, 2, 5, 3), (1, 1, 5, 3)], c2()),
        ("transposed_convolution2d", (2, 4, 5, 6), [(3, 3, 5, 6), (1, 1, 5)], {"stride": (2, 2), "cropping": (0,) * 4}),
    ],
)
def test_a_relu_behind_a_convolution_is_merged(operation, shape, parameters, attributes):
    from engines.onednn.support import engine

    generator = np.random.default_rng(3)
    program = Program((Node("conv", operation, (-1,), ("Weights", "Bias"), attributes), Node("relu", "relu", (0,))))
    values = {
        ("conv", name): numbers(generator, size) for name, size in zip(("Weights", "Bias"), parameters, strict=True)
    }
    fused = engine().fuse(program)
    assert [node.operation for node in fused.nodes] == [f"rectified_{operation}"]
    x = numbers(generator, shape)
    results = []
    for each in (program, fused):
        plan = engine().plan(each)
        y = plan.forward(x, values).copy()
        gradients, d_x = plan.backward(np.ones_like(y), values, want_input=True)
        assert plan._active.nodes[0].reason == ""
        # And operation by operation, which takes sequences and double precision.
        plan._refused[plan._key([x], [None])] = "a test"
        np.testing.assert_allclose(plan.forward(x, values), y, atol=1e-5)
        again, d_x_again = plan.backward(np.ones_like(y), values, want_input=True)
        assert plan.whole_reason == "a test"
        for key in values:
            np.testing.assert_allclose(again[key], gradients[key], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(d_x_again, d_x, rtol=1e-4, atol=1e-4)
        results.append([y, d_x, *gradients.values()])
    for plain, merged in zip(*results, strict=True):
        np.testing.assert_allclose(merged, plain, rtol=1e-4, atol=1e-4)


def test_the_library_has_a_version():
    assert LIBRARY.version.startswith("3.")
