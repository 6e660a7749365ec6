"""Values as the rows of a property block show them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mlnet import LayerArray, categorical, reluLayer
from mlnet.display.values import number_text, one_line, size_text, value_text
from mlnet.rules import EMPTY
from mlnet.structure import Structure

inf, nan = float("inf"), float("nan")


class Metric:
    def __call__(self):
        return 0


NUMBERS = [
    (0.1, "0.1000"),
    (1e-5, "1.0000e-05"),
    (1e-4, "1.0000e-04"),
    (inf, "Inf"),
    (-inf, "-Inf"),
    (nan, "NaN"),
    (0.001, "1.0000e-03"),
    (0.00099999, "9.9999e-04"),
    (0.005, "0.0050"),
    (0.999, "0.9990"),
    (-0.25, "-0.2500"),
    (-1e-8, "-1.0000e-08"),
    (100.5, "100.5000"),
    (123.456, "123.4560"),
    (999.9999, "999.9999"),
    (999.99999, "1.0000e+03"),
    (1000.5, "1.0005e+03"),
    (1234.56, "1.2346e+03"),
    (-1234.56, "-1.2346e+03"),
    (12345.678, "1.2346e+04"),
    (1.0, "1"),
    (-3.0, "-3"),
    (-0.0, "0"),
    (0.0, "0"),
    (1000.0, "1000"),
    (99999999.0, "99999999"),
    (1e10, "1.0000e+10"),
    (1.5e300, "1.5000e+300"),
    (128, "128"),
    (-7, "-7"),
    (10**10, "10000000000"),
    (True, "1"),
    (False, "0"),
    (np.True_, "1"),
    (np.False_, "0"),
    (np.float32(0.1), "0.1000"),
    (np.float32(0.001), "1.0000e-03"),
    (0.0011, "0.0011"),
    (np.float64(2), "2"),
    (np.int64(3), "3"),
    (np.uint8(255), "255"),
]


@pytest.mark.parametrize("value, text", NUMBERS)
def test_number(value, text):
    assert value_text(value) == text
    assert number_text(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        ("auto", "'auto'"),
        ("", "''"),
        ("it's", "'it's'"),
        ("a\nb", "'a\u21b5b'"),
        (np.str_("a"), "'a'"),
        (None, "[]"),
        (EMPTY, "[]"),
        ([], "{}"),
        ((), "{}"),
    ],
)
def test_text_and_nothing(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (np.array([28, 28, 1]), "[28 28 1]"),
        (np.array([0.5, 1]), "[0.5000 1]"),
        (np.array([[1, 2, 3]]), "[1 2 3]"),
        (np.array([True, False]), "[1 0]"),
        (np.array([inf, nan, 1e-5]), "[Inf NaN 1.0000e-05]"),
        (np.arange(10), "[0 1 2 3 4 5 6 7 8 9]"),
        (np.arange(11.0), "[1x11 double]"),
        (np.zeros(39), "[1x39 double]"),
        (np.array(0.1), "0.1000"),
        (np.array([0.1]), "0.1000"),
        (np.full((1, 1, 1), 3.0), "3"),
        (np.array([True]), "1"),
        (np.zeros(0), "[]"),
        (np.zeros((0, 0), np.float32), "[]"),
        (np.zeros((0, 3)), "[0x3 double]"),
        (np.zeros((1, 0)), "[1x0 double]"),
        (np.zeros((1, 1, 16), np.float32), "[1x1x16 single]"),
        (np.zeros((10, 1)), "[10x1 double]"),
        (np.zeros((2, 2)), "[2x2 double]"),
        (np.zeros((3, 3, 1, 16), np.float32), "[3x3x1x16 single]"),
        (np.zeros((28, 28, 1)), "[28x28 double]"),
        (np.zeros((5, 1, 1, 1)), "[5x1 double]"),
        (np.zeros((2, 2), np.int64), "[2x2 int64]"),
        (np.zeros((2, 2), np.uint8), "[2x2 uint8]"),
        (np.zeros((2, 2), bool), "[2x2 logical]"),
        (np.zeros((2, 2), np.float16), "[2x2 half]"),
        (np.zeros((1, 2), complex), "[1x2 double]"),
        (np.array(["a", "b"]), "{'a'  'b'}"),
        (np.array(["a", "b"], dtype=object), "{'a'  'b'}"),
        (np.array([["a", "b"]]), "{1x2 cell}"),
    ],
)
def test_array(value, text):
    before = value.copy()
    assert value_text(value) == text
    np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize(
    "value, text",
    [
        (["in"], "{'in'}"),
        (["in1", "in2"], "{'in1'  'in2'}"),
        (("in1", "in2"), "{'in1'  'in2'}"),
        (["x" * 30] * 2, "{'" + "x" * 30 + "'  '" + "x" * 30 + "'}"),
        ([f"response {number}" for number in range(12)], "{1x12 cell}"),
        (["x" * 90], "{1x1 cell}"),
        ([1, 0.5, True], "{[1]  [0.5000]  [1]}"),
        ([np.array([0.5])], "{[0.5000]}"),
        ([np.array([1, 2]), EMPTY], "{[1 2]  []}"),
        ([len, "a"], "{@len  'a'}"),
        ([[1] * 17, categorical(range(17))], "{{17x1 cell}  [17x1 categorical]}"),
        (
            [np.zeros((28, 28, 1, 100), np.float32), categorical(np.zeros(100, int))],
            "{[28x28x1x100 single]  [100x1 categorical]}",
        ),
        ([[], ()], "{{}  {}}"),
        ([categorical([1, 2])], "{[2x1 categorical]}"),
    ],
)
def test_cell(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (categorical([0, 1, 2]), "[0    1    2]"),
        (categorical(["yes", None]), "[yes    <undefined>]"),
        (categorical(range(10)), "[0    1    2    3    4    5    6    7    8    9]"),
        (categorical(range(11)), "[11x1 categorical]"),
        (categorical(np.zeros(1000, int)), "[1000x1 categorical]"),
        (categorical([f"{'x' * 20}{number}" for number in range(10)]), "[10x1 categorical]"),
        (categorical([]), "[0x0 categorical]"),
        (categorical([[1, 2], [2, 1]]), "[2x2 categorical]"),
    ],
)
def test_labels(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (len, "@len"),
        (np.tanh, "@tanh"),
        (partial(np.clip, a_min=0), f"@{np.clip.__name__}"),
        ("x".upper, "@upper"),
        (Metric(), "[1x1 Metric]"),
        (Structure(a=1), "[1x1 struct]"),
        (reluLayer(), "[1x1 ReLULayer]"),
        (LayerArray([reluLayer] * 7), "[7x1 nnet.cnn.layer.Layer]"),
        (LayerArray([]), "[0x0 nnet.cnn.layer.Layer]"),
    ],
)
def test_object(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    "shape, text",
    [((), "1x1"), ((3,), "1x3"), ((3, 1), "3x1"), ((3, 1, 1), "3x1"), ((1, 1, 3), "1x1x3"), ((2, 0), "2x0")],
)
def test_size(shape, text):
    assert size_text(shape) == text


def test_control_characters_cannot_reach_the_terminal():
    assert one_line("a\x1b[31m\tb\r\nc") == "a\\x1b[31m\\tb\u21b5c"
