"""What is written with traced functions: equal to the engine's pairs, with second derivatives."""

import numpy as np
import pytest

from mlnet.autodiff.array import dlarray
from mlnet.autodiff.differentiate import dlfeval, dlgradient
from mlnet.functional import traced
from mlnet.functional.pairs import call_pair

RNG = np.random.default_rng(0)
CASES = {
    "fully_connected": ([(4, 3, 2, 5), (6, 30), (6, 1)], {}),
    "relu": ([(4, 3)], {}),
    "leaky_relu": ([(4, 3)], {"scale": 0.2}),
    "softmax": ([(4, 5)], {}),
    "sigmoid": ([(4, 3)], {}),
    "tanh": ([(4, 3)], {}),
    "softplus": ([(4, 3)], {}),
    "swish": ([(4, 3)], {}),
    "gelu": ([(4, 3)], {"approximation": "tanh"}),
    "elu": ([(4, 3)], {"alpha": 0.7}),
    "clipped_relu": ([(4, 30)], {"ceiling": 0.5}),
    "addition": ([(4, 3, 2, 5), (4, 1, 1, 5)], {}),
    "multiplication": ([(4, 3, 2, 5), (4, 3, 2, 5), (4, 3, 2, 5)], {}),
    "concatenation": ([(4, 3, 2), (4, 3, 7)], {"axis": -1}),
    "scaling": ([(4, 3)], {"scale": np.array([1.0, 2, 3]), "bias": 0.5}),
    "normalize_input": ([(4, 3)], {"shift": np.ones(3), "scale": np.array([1.0, 2, 3])}),
    "flatten": ([(4, 3, 2, 5)], {}),
}


def test_every_traced_operation_has_a_case():
    assert set(CASES) | {"user_function", "custom_layer"} == set(traced.OPERATIONS)


@pytest.mark.parametrize("approximation", ["none", "tanh"])
def test_gelu_of_both_kinds(approximation):
    x = dlarray(RNG.normal(size=(4, 3)))
    (expected,), _ = call_pair("gelu", "gelu", [x], {"approximation": approximation})
    np.testing.assert_allclose(traced.gelu(x, approximation).extractdata(), expected.extractdata(), rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_output_and_gradients_are_those_of_the_pair(name, dtype):
    shapes, attributes = CASES[name]
    arrays = [dlarray(RNG.normal(size=shape).astype(dtype)) for shape in shapes]
    seed = None

    def run(kind, *arrays):
        nonlocal seed
        if kind == "pair":
            (y,), _ = call_pair(name, name, arrays, attributes)
        else:
            y = traced.OPERATIONS[name](*arrays, **attributes)
        seed = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
        return y, dlgradient(np.sum(y * seed), list(arrays))

    y, gradients = dlfeval(run, "traced", *arrays)
    expected, expected_gradients = dlfeval(run, "pair", *arrays)
    assert y.dtype == expected.dtype == dtype
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(y.extractdata(), expected.extractdata(), **tolerance)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert found.shape == wanted.shape and found.dtype == dtype
        np.testing.assert_allclose(found.extractdata(), wanted.extractdata(), **tolerance)


@pytest.mark.parametrize("name", [name for name in CASES if name != "clipped_relu"])
def test_second_derivatives_are_those_of_differences(name):
    shapes, attributes = CASES[name]
    arrays = [RNG.normal(size=shape) for shape in shapes]
    directions = [RNG.normal(size=shape) for shape in shapes]
    seeds = [RNG.normal(size=shape) for shape in shapes]

    def weighted(*arrays):
        y = traced.OPERATIONS[name](*arrays, **attributes)
        first = dlgradient(
            np.sum(y * y * np.random.default_rng(1).normal(size=y.shape)), list(arrays), EnableHigherDerivatives=True
        )
        total = sum(np.sum(g * seed) for g, seed in zip(first, seeds, strict=True))
        return total, dlgradient(total, list(arrays))

    _, second = dlfeval(weighted, *map(dlarray, arrays))
    found = sum((g.extractdata() * d).sum() for g, d in zip(second, directions, strict=True))
    h = 1e-5
    totals = [
        dlfeval(weighted, *(dlarray(x + sign * h * d) for x, d in zip(arrays, directions, strict=True)))[0].item()
        for sign in (1, -1)
    ]
    assert found == pytest.approx((totals[0] - totals[1]) / (2 * h), rel=1e-5)
