"""Typical errors, planted into every normalization, make the checks of the tests fail; without errors they pass."""

from __future__ import annotations

from functools import partial

import pytest

from . import mutants
from .cases import CASES, Case
from .checks import check_backward, check_formula

EPSILON = {"epsilon": 1e-5}
FILTERS = {"2-D": ((3, 2, 4, 5), (0, 1, 2), (1, 1, 5)), "transposed": ((3, 2, 5, 4), (0, 1, 3), (1, 1, 5))}


def cases_of(kind):
    """The cases on which the tests run the operation."""
    if kind == "weight_normalization":
        return [Case(kind, (v, g), {"axes": axes}) for v, axes, g in FILTERS.values()]
    if kind == "weight_standardization":
        return [Case(kind, (v,), {"axes": axes, **EPSILON}) for v, axes, _ in FILTERS.values()]
    operations = {"whitening": kind, "instance": "group_normalization"}
    found = [case for case in CASES if case.operation == operations.get(kind, f"{kind}_normalization")]
    if kind == "instance":
        found = [case for case in found if case.attributes["groups"] == case.shapes[0][-1]]
    return [case for case in found if not case.attributes.get("rectified")]


STATISTICS = ["n - 1", "no epsilon"]
MOMENTS = [*STATISTICS, "epsilon outside the root", "centring the other way", "no scale"]
SLOPES = [*STATISTICS, "centring the other way", "variance forgotten", "no scale", "no deviation", "x for x_hat"]
AXES = {
    "batch": ["over channels"],
    "group": ["over positions", "over channels", "over the batch"],
    "instance": ["over channels", "over the batch"],
    "layer": ["over positions", "over the batch"],
    "rms": ["over positions", "over the batch"],
}
OFFSET, D_OFFSET = ["no offset"], ["mean for sum"]
FORWARD = {
    **{kind: [*axes, *MOMENTS, *(OFFSET if kind != "rms" else [])] for kind, axes in AXES.items()},
    "whitening": [*STATISTICS, "over all groups", "no mean", "no scale", "no root", "PCA for ZCA"],
    "cross_channel": [
        *("window turned round", "not divided by the window", "n - 1", "divided by what is there"),
        *("no square", "no k", "no power"),
    ],
    "weight_normalization": ["over all filters", "without the channels", "mean for sum", "no root", "no length"],
    "weight_standardization": [*STATISTICS, "over all filters", "without the channels", "no mean"],
}
BACKWARD = {
    **{kind: [*axes, *SLOPES, *(D_OFFSET if kind != "rms" else [])] for kind, axes in AXES.items()},
    "whitening": [
        *(*STATISTICS, "no scale", "missing factor", "not symmetric", "mean forgotten", "covariance forgotten"),
        *("half of it", "x for x_hat"),
    ],
    "cross_channel": [
        *("window not turned round", "not divided by the window", "missing factor", "wrong power", "no k"),
        "sum forgotten",
    ],
    "weight_normalization": [
        *("over all filters", "without the channels", "direction forgotten", "missing factor", "no length"),
        "v for its direction",
    ],
    "weight_standardization": [
        *(*STATISTICS, "over all filters", "without the channels", "mean forgotten", "variance forgotten"),
        "no deviation",
    ],
}


def mutant(kind, **errors):
    """Return the operation with an error planted."""
    maker = getattr(mutants, kind, None) or partial(mutants.normalization, kind)
    return maker(**errors)


def is_refused(check, operation, cases, words):
    """Tell whether a check fails on one of the cases, with a message that has ``words``."""
    for case in cases:
        try:
            check(operation, case)
        except AssertionError as error:
            assert words in str(error)
            return True
    return False


@pytest.mark.parametrize("kind", FORWARD)
def test_the_formula_without_errors_passes(kind):
    cases = cases_of(kind)
    assert len(cases) >= 1
    for case in cases:
        check_formula(mutant(kind), case)
        check_backward(mutant(kind), case)


@pytest.mark.parametrize("kind, error", [(kind, error) for kind, errors in FORWARD.items() for error in errors])
def test_an_error_in_the_output_is_found(kind, error):
    assert is_refused(check_formula, mutant(kind, forward_error=error), cases_of(kind), "Not equal to tolerance")


@pytest.mark.parametrize("kind, error", [(kind, error) for kind, errors in BACKWARD.items() for error in errors])
def test_an_error_in_a_gradient_is_found(kind, error):
    assert is_refused(check_backward, mutant(kind, backward_error=error), cases_of(kind), "difference quotient")
