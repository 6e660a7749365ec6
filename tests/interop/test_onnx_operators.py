"""The table of ONNX's operators: ONNX's own tests of all types, derivatives, and the memory that constants may take."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.autodiff.array import wrap
from mlnet.autodiff.differentiate import vjp
from mlnet.interop.onnx.operators import OPERATORS, NotComputed, computed
from mlnet.interop.onnx.operators.use import room

onnx = pytest.importorskip("onnx")

REAL = (np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64)
REAL += (np.uint8, np.uint16, np.uint32, np.uint64, np.bool_)
LEAST = 0.95


def run(case):
    """Compute a test operator by operator; return what is wrong."""
    from mlnet.interop.onnx.file import graph_of_model

    graph = graph_of_model(case.model)
    inputs, outputs = case.data_sets[0]
    values = {**graph.constants, **dict(zip([each.name for each in case.model.graph.input], inputs, strict=False))}
    for node in graph.nodes:
        given = [values[name] if name else None for name in node.inputs]
        try:
            made = computed(node.operator, given, node.attributes, graph.opset, len(node.outputs))
        except NotComputed as verdict:
            return f"not computed: {verdict}"
        values.update(zip(node.outputs, made, strict=False))
    for each, expected in zip(case.model.graph.output, outputs, strict=True):
        found = values[each.name]
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return f"{found.dtype} {found.shape} instead of {expected.dtype} {expected.shape}"
        if not np.allclose(found, expected, rtol=case.rtol, atol=max(case.atol, 1e-6), equal_nan=True):
            return "other numbers"
    return ""


@pytest.mark.filterwarnings("ignore")
def test_onnx_own_tests_of_the_operators_of_the_table(capsys):
    from .node_cases import all_cases

    reasons = {}
    for case in all_cases():
        arrays = [each for part in case.data_sets[0] for each in part]
        is_real = all(isinstance(each, np.ndarray) and each.dtype in REAL for each in arrays)
        if is_real and all(node.op_type in OPERATORS and not node.domain for node in case.model.graph.node):
            reasons[case.name] = run(case)
    wrong = {name: reason for name, reason in reasons.items() if reason}
    right = len(reasons) - len(wrong)
    with capsys.disabled():
        print(f"\nONNX's tests of the table of operators: {right} of {len(reasons)} right ({right / len(reasons):.1%})")
    assert len(reasons) > 1000 and right >= LEAST * len(reasons), wrong
    errors = {name: reason for name, reason in wrong.items() if not reason.startswith("not computed")}
    assert set(errors) <= {"test_causal_conv_with_state_silu_fp16_expanded", "test_swiglu_float16_expanded"}, errors


def number(*shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


WHOLE = np.array([2, 0, 2])
DIFFERENTIABLE = {
    "Add": ([number(2, 3), number(3, seed=1)], {}),
    "Div": ([number(2, 3), number(3, low=1, seed=1)], {}),
    "Pow": ([number(2, 3, low=0.5), np.array(2.5)], {}),
    "Erf": ([number(2, 3)], {}),
    "Gelu": ([number(2, 3)], {"approximate": "tanh"}),
    "Mish": ([number(2, 3)], {}),
    "Selu": ([number(2, 3)], {}),
    "Softmax": ([number(2, 3, 4)], {"axis": 1}),
    "LogSoftmax": ([number(2, 3)], {}),
    "ReduceLogSumExp": ([number(2, 3, 4)], {"axes": [1], "keepdims": 0}),
    "ReduceL2": ([number(2, 3)], {"axes": [-1]}),
    "MatMul": ([number(2, 3, 4), number(4, 2, seed=1)], {}),
    "Gemm": ([number(3, 2), number(4, 3, seed=1), number(4)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "Einsum": ([number(2, 3), number(3, 4, seed=1)], {"equation": "ij,jk->ki"}),
    "Gather": ([number(4, 3), WHOLE], {}),
    "GatherElements": ([number(3, 3), np.array([[1, 2, 0], [0, 0, 1]])], {}),
    "ScatterElements": ([number(3, 3), np.array([[1, 2, 0]]), number(1, 3, seed=1)], {}),
    "ScatterND": ([number(4, 3), WHOLE[:, None], number(3, 3, seed=1)], {"reduction": "add"}),
    "Slice": ([number(4, 5), np.array([3, 0]), np.array([0, 5]), np.array([0, 1]), np.array([-1, 2])], {}),
    "Pad": ([number(3, 4), np.array([1, 0, 0, 2])], {"mode": "reflect"}),
    "Concat": ([number(2, 3), number(2, 2, seed=1)], {"axis": 1}),
    "Expand": ([number(3, 1), np.array([2, 3, 4])], {}),
    "Where": ([number(2, 3) > 0, number(2, 3), number(3, seed=1)], {}),
    "CumSum": ([number(2, 3), np.array(1)], {"exclusive": 1}),
    "DepthToSpace": ([number(1, 8, 2, 3)], {"blocksize": 2}),
    "Conv": (
        [number(2, 4, 5, 6), number(6, 2, 3, 2, seed=1), number(6)],
        {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2]},
    ),
    "ConvTranspose": (
        [number(2, 4, 3, 4), number(4, 3, 3, 2, seed=1)],
        {"group": 2, "strides": [2, 3], "pads": [1, 0, 0, 1]},
    ),
    "MaxPool": ([number(1, 2, 5, 6)], {"kernel_shape": [3, 2], "dilations": [1, 2], "pads": [1, 1, 1, 0]}),
    "AveragePool": ([number(1, 2, 5, 6)], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    "LpPool": ([number(1, 2, 5, low=0.5)], {"kernel_shape": [3], "p": 3}),
    "BatchNormalization": ([number(2, 3, 4), number(3, low=0.5), number(3), number(3, seed=1), number(3, low=0.5)], {}),
    "InstanceNormalization": ([number(2, 3, 4), number(3), number(3, seed=1)], {}),
    "GroupNormalization": ([number(2, 4, 3), number(4), number(4, seed=1)], {"num_groups": 2}),
    "LayerNormalization": ([number(2, 3, 4), number(4), number(4, seed=1)], {}),
    "RMSNormalization": ([number(2, 3, 4), number(4)], {}),
    "LRN": ([number(1, 5, 2, 2)], {"size": 3}),
    "LSTM": ([number(3, 2, 2), number(1, 12, 2, seed=1), number(1, 12, 3, seed=2)], {"direction": "reverse"}),
    "GRU": ([number(3, 2, 2), number(1, 9, 2, seed=1), number(1, 9, 3, seed=2)], {"linear_before_reset": 1}),
    "RNN": ([number(3, 2, 2), number(2, 3, 2, seed=1), number(2, 3, 3, seed=2)], {"direction": "bidirectional"}),
    "Attention": (
        [number(2, 3, 4), number(2, 5, 4, seed=1), number(2, 5, 6, seed=2)],
        {"q_num_heads": 2, "kv_num_heads": 2},
    ),
    "RotaryEmbedding": ([number(1, 2, 3, 4), number(1, 3, 2), number(1, 3, 2, seed=1)], {"interleaved": 1}),
    "Resize": ([number(1, 1, 4, 5), np.array([]), np.array([1, 1, 0.6, 1.7])], {"mode": "cubic", "antialias": 1}),
}
"""Operators with float64 inputs and attributes; inputs of whole numbers are no variables."""


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_are_those_of_differences(name):
    inputs, given = DIFFERENTIABLE[name]
    opset = 17 if name.startswith("Reduce") else 23
    real = [place for place, x in enumerate(inputs) if x.dtype == np.float64 and not (name == "Resize" and place)]

    def apply(*arrays):
        every = list(inputs)
        for place, array in zip(real, arrays, strict=True):
            every[place] = array
        return computed(name, every, given, opset)[0]

    arrays = [inputs[place] for place in real]
    (output,), pullback = vjp(apply, [wrap(x.copy()) for x in arrays])
    generator = np.random.default_rng(3)
    seed = generator.normal(size=output.shape)
    for place, gradient in enumerate(pullback(seed)):
        step = generator.normal(size=arrays[place].shape) * 1e-6
        ends = [
            np.asarray(apply(*arrays[:place], arrays[place] + sign * step, *arrays[place + 1 :])) for sign in (1, -1)
        ]
        expected = np.sum((ends[0] - ends[1]) / 2 * seed)
        assert np.sum(gradient * step) == pytest.approx(expected, rel=1e-4, abs=1e-10)


@pytest.mark.parametrize(
    "name, inputs, given",
    [
        ("ConstantOfShape", [np.array([2**20, 2**20])], {}),
        ("Expand", [np.ones(1, np.float32), np.array([2**20, 2**20])], {}),
        ("Tile", [np.ones(8, np.float32), np.array([2**40])], {}),
        ("Range", [np.array(0), np.array(2**40), np.array(1)], {}),
        ("OneHot", [np.zeros(2, np.int64), np.array([2**40]), np.array([0.0, 1.0])], {}),
        ("Pad", [np.ones(2, np.float32), np.array([2**40, 0])], {}),
        ("Add", [np.ones((2**20, 1), np.float32), np.ones((1, 2**20), np.float32)], {}),
        ("MatMul", [np.ones((2**20, 1), np.float32), np.ones((1, 2**20), np.float32)], {}),
        ("Gather", [np.ones((1, 2**20), np.float32), np.zeros(2**20, np.int64)], {}),
        ("Resize", [np.ones((1, 1, 2), np.float32), None, np.array([1, 1, 1e12])], {"mode": "linear"}),
        ("ConvTranspose", [np.ones((1, 1, 2), np.float32), np.ones((1, 1, 2), np.float32)], {"strides": [2**40]}),
        ("Einsum", [np.ones(2**20, np.float32), np.ones(2**20, np.float32)], {"equation": "i,j->ij"}),
        ("CenterCropPad", [np.ones(2, np.float32), np.array([2**40])], {}),
        ("Concat", [np.ones(2**20, np.float32)] * 64, {"axis": 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_grow_are_refused_before_they_are_made(name, inputs, given):
    with room(2**24), pytest.raises(NotComputed, match="more than"):
        computed(name, inputs, given, 22)
