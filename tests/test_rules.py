"""Rules: what they take, what they refuse, and in which form values are stored."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from mlnet import rules
from mlnet.rules import REFUSALS

RULES = {
    "number": rules.number(),
    "rate": rules.number(0, 1, below=True),
    "positive": rules.number(0, above=True, infinite=True),
    "exactly 0": rules.number(0, 0),
    "integer": rules.integer(),
    "integer from 0": rules.integer(0),
    "pair": rules.row(rules.integer(), 2),
    "two": rules.row(rules.number(), 2, expand=False),
    "flag": rules.flag(),
    "text": rules.text(),
    "texts": rules.texts(),
    "choice": rules.choice("zerocenter", "zscore", "rescale-symmetric", "rescale-zero-one", "none"),
    "function": rules.function(),
    "empty": rules.empty(),
    "array": rules.array(),
    "array from 0": rules.array(low=0),
    "auto or integer": rules.either(rules.choice("auto"), rules.integer()),
    "choice or array": rules.either(rules.choice("a", "b"), rules.array()),
}


@pytest.mark.parametrize("name", RULES)
def test_bad_values_are_refused(name):
    rule = RULES[name]
    assert rule.bad and rule.needed
    for bad in rule.bad:
        assert not rule.takes(bad), bad
        with pytest.raises(REFUSALS):
            rule.convert(bad)


@pytest.mark.parametrize(
    "name, given, stored",
    [
        ("number", 3, 3),
        ("number", np.float32(0.5), 0.5),
        ("number", Fraction(1, 4), 0.25),
        ("number", np.array([[2.0]]), 2.0),
        ("number", [2], 2),
        ("rate", 0, 0),
        ("positive", math.inf, math.inf),
        ("integer", 2.0, 2),
        ("integer", np.uint8(200), 200),
        ("integer from 0", 0, 0),
        ("flag", 1, True),
        ("flag", np.array(0), False),
        ("text", np.str_("a"), "a"),
        ("texts", "a", ["a"]),
        ("texts", ("a", np.str_("b")), ["a", "b"]),
        ("choice", "ZSCORE", "zscore"),
        ("choice", "rescale-z", "rescale-zero-one"),
        ("choice", "none", "none"),
        ("function", math.sqrt, math.sqrt),
        ("auto or integer", "A", "auto"),
        ("auto or integer", 7, 7),
    ],
)
def test_good_values_are_stored_in_plain_python(name, given, stored):
    result = RULES[name].convert(given)
    assert result == stored and type(result) is type(stored)
    assert RULES[name].takes(given)


@pytest.mark.parametrize("name", ["pair", "two"])
@pytest.mark.parametrize(
    "given", [[3, 4], (3, 4), np.array([3, 4]), np.array([[3], [4]]), np.array([[3, 4]]), range(3, 5)]
)
def test_rows(name, given):
    assert RULES[name].convert(given).tolist() == [3, 4]


def test_a_scalar_stands_for_a_row_only_where_told():
    assert RULES["pair"].convert(3).tolist() == RULES["pair"].convert([3]).tolist() == [3, 3]
    assert not RULES["two"].takes(3)


@pytest.mark.parametrize(
    "value", [10**30, -(10**400), [10**30, 1], 2**53 + 1, 1e300, True, np.True_, "1", b"1", 1j, {1}, object()]
)
def test_odd_values_are_no_integers(value):
    for name in ("integer", "pair"):
        assert not RULES[name].takes(value)


@pytest.mark.parametrize("value", ["", "z", "rescale", "rescale-", "zerocentered", " none", None, 1, b"none", ["none"]])
def test_ambiguous_and_wrong_choices(value):
    assert not RULES["choice"].takes(value)


@pytest.mark.parametrize("value", [None, [], (), np.zeros((0, 3)), np.zeros(0, int)])
def test_empty_has_many_forms(value):
    assert RULES["array"].convert(value).shape == RULES["empty"].convert(value).shape == (0, 0)


@pytest.mark.parametrize(
    "dtype, stored", [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("u1", "f8"), ("i8", "f8"), ("?", "f8")]
)
def test_single_stays_single_and_all_else_becomes_double(dtype, stored):
    given = np.ones((2, 3), dtype)
    result = RULES["array"].convert(given)
    assert result.dtype == stored and result.shape == (2, 3)
    assert not result.flags.writeable and not np.shares_memory(result, given)


def test_values_must_be_finite_in_single_precision():
    assert RULES["array"].takes([3e38]) and not RULES["array"].takes([4e38])
    assert rules.finite_in_single(np.array([3e38])) and not rules.finite_in_single(np.array([4e38]))


def test_empty_and_stored_arrays_cannot_be_written():
    for array in (rules.EMPTY, RULES["array"].convert([]), rules.read_only([1, 2]), RULES["pair"].convert(2)):
        assert not array.flags.writeable


def test_words():
    assert RULES["rate"].needed == "a number of at least 0 and below 1"
    assert RULES["positive"].needed == "a number above 0"
    assert RULES["exactly 0"].needed == "0"
    assert RULES["pair"].needed == "a positive integer or a vector of 2 of them"
    assert RULES["auto or integer"].needed == "'auto', or a positive integer"
    assert RULES["choice or array"].names == ("a", "b")
