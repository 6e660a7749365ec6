"""Functions that plans of the fast engine run: the same numbers as NumPy's, and arrays of their own."""

import numpy as np
import pytest

import mlnet
from mlnet import dlarray, dlfeval, dlgradient
from mlnet.engines.select import engine_named
from mlnet.errors import MissingExtraError
from mlnet.functional import single

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("single")


FUNCTIONS = {
    "dlconv": ([normal(3, 3, 8, 5), normal(5)], lambda x, w, b: mlnet.dlconv(x, w, b, Padding="same", Stride=2)),
    "dlconv border": ([normal(3, 3, 8, 5)], lambda x, w: mlnet.dlconv(x, w, 0, Padding=1, PaddingValue=2)),
    "dlconv groups": ([normal(2, 3, 2, 3, 4), normal(12)], lambda x, w, b: mlnet.dlconv(x, w, b, DilationFactor=2)),
    "dltranspconv": ([normal(3, 3, 5, 8), normal(5)], lambda x, w, b: mlnet.dltranspconv(x, w, b, Stride=2)),
    "batchnorm": ([normal(8), normal(8)], lambda x, o, s: mlnet.batchnorm(x, o, s, nargout=3)),
    "maxpool": ([], lambda x: mlnet.maxpool(x, 3, Stride=2, Padding=1)),
    "avgpool": ([], lambda x: mlnet.avgpool(x, [2, 3], Stride=2)),
}


@pytest.fixture
def count(monkeypatch):
    """How many calls were run by a plan."""
    try:
        engine_named("onednn")
    except MissingExtraError as error:
        pytest.skip(str(error))
    monkeypatch.delenv("MLNET_ENGINE", raising=False)
    calls = []
    run = single.WholeRun
    monkeypatch.setattr(single, "WholeRun", lambda *given: calls.append(1) or run(*given))
    return calls


def evaluated(function, arrays, *, twice):
    """Return what three calls in one evaluation put out, their gradients, and second derivatives."""

    def model(x, other, *parameters):
        outputs = [function(each, *parameters) for each in (x, other, x)]
        outputs = [each if isinstance(each, tuple) else (each,) for each in outputs]
        total = sum(np.sum(mlnet.stripdims(y[0]) ** 2 * (number + 1)) / y[0].size for number, y in enumerate(outputs))
        first = dlgradient(total, [x, other, *parameters], EnableHigherDerivatives=twice)
        second = []
        if twice:
            second = dlgradient(sum(np.sum(mlnet.stripdims(g) ** 2) for g in first), [x, *parameters])
        return [each for y in outputs for each in y], first, second

    data = [dlarray(each, "SSCB") for each in (X, OTHER)]
    return [each.extractdata() for part in dlfeval(model, *data, *map(dlarray, arrays)) for each in part]


X, OTHER = normal(16, 17, 8, 16), normal(16, 17, 8, 16)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_as_numpy(name, twice, count, monkeypatch):
    arrays, function = FUNCTIONS[name]
    found = [evaluated(function, arrays, twice=twice) for _ in range(2)]
    assert len(count) == 6
    monkeypatch.setattr(single, "_QUICK", frozenset())
    expected = evaluated(function, arrays, twice=twice)
    assert len(count) == 6
    for first, again, wanted in zip(*found, expected, strict=True):
        assert first.dtype == wanted.dtype
        np.testing.assert_array_equal(first, again)
        np.testing.assert_allclose(first, wanted, rtol=1e-3, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_double_small_and_numpys_are_not_for_plans(count, monkeypatch):
    w = normal(3, 3, 8, 5)
    mlnet.dlconv(dlarray(X.astype("double"), "SSCB"), w.astype("double"), 0)
    mlnet.dlconv(dlarray(X[..., :1], "SSCB"), w, 0)
    monkeypatch.setenv("MLNET_ENGINE", "numpy")
    mlnet.dlconv(dlarray(X, "SSCB"), w, 0)
    assert not count


def test_plans_of_few_calls_are_kept(count, monkeypatch):
    monkeypatch.setattr(single, "_MOST", 2)
    monkeypatch.setattr(single, "_plans", type(single._plans)())
    for filters in range(2, 6):
        mlnet.dlconv(dlarray(X, "SSCB"), normal(3, 3, 8, filters), 0)
    assert len(count) == 4
    assert [key[2][1][-1] for key in single._plans] == [4, 5]
