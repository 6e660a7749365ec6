"""mapminmax, mapstd and rescale."""

import numpy as np
import pytest

from mlnet import DataError, OptionError, mapminmax, mapstd, rescale

X = np.random.default_rng(0).normal(5, 3, (4, 9))


def test_range_of_each_row():
    y, settings = mapminmax(X, nargout=2)
    for row, mapped in zip(X, y, strict=True):
        expected = [-1 + 2 * (value - min(row)) / (max(row) - min(row)) for value in row]
        np.testing.assert_allclose(mapped, expected, rtol=1e-12)
    assert (settings.xrows, settings.ymin, settings.ymax, settings.no_change) == (4, -1, 1, False)
    np.testing.assert_array_equal(settings.xmin, X.min(axis=1, keepdims=True))
    np.testing.assert_allclose(mapminmax("reverse", y, settings), X, rtol=1e-12)
    other = np.random.default_rng(1).normal(size=(4, 3))
    np.testing.assert_allclose(mapminmax("reverse", mapminmax("apply", other, settings), settings), other, rtol=1e-12)
    np.testing.assert_allclose(mapminmax("apply", X[:, 2:4], settings), y[:, 2:4])
    low = mapminmax(X, 0, 10)
    assert (low.min(axis=1) == 0).all() and np.allclose(low.max(axis=1), 10)


def test_mean_and_deviation_of_each_row():
    y, settings = mapstd(X, 2, 3, nargout=2)
    np.testing.assert_allclose(y.mean(axis=1), 2)
    np.testing.assert_allclose(y.std(axis=1, ddof=1), 3)
    np.testing.assert_allclose(settings.xstd[:, 0], X.std(axis=1, ddof=1))
    np.testing.assert_allclose(mapstd("reverse", y, settings), X)


@pytest.mark.parametrize("function", [mapminmax, mapstd])
def test_rows_that_stay(function):
    x = np.array([[2.0, 2.0, 2.0], [1.0, np.inf, 0.0], [1.0, np.nan, 3.0]])
    y, settings = function(x, nargout=2)
    np.testing.assert_array_equal(y[:2], x[:2])
    assert np.isnan(y[2, 1]) and y[2, 0] == -y[2, 2] and not settings.no_change
    np.testing.assert_allclose(function("reverse", y, settings), x)
    assert function(x[:1], nargout=2)[1].no_change
    assert function(np.array([[3.0]])).tolist() == [[3.0]], "one observation"


@pytest.mark.parametrize("function", [mapminmax, mapstd])
def test_types_shapes_and_lists(function):
    assert function(X.astype(np.float32)).dtype == np.float32
    assert function([[1, 2, 3]]).dtype == np.float64
    assert function(np.arange(5)).shape == (5,)
    large = np.float32(1e6) + np.arange(3, dtype=np.float32)
    np.testing.assert_allclose(function(large), function(np.arange(3.0)), atol=1e-6)
    parts, settings = function([X[:, :4], X[:, 4:]], nargout=2)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), function(X), rtol=1e-12)
    np.testing.assert_allclose(function("reverse", parts, settings)[1], X[:, 4:], rtol=1e-12)
    back = function("reverse", function(X, nargout=1)[:, :1].astype(np.float32), settings)
    assert back.dtype == np.float32 and back.shape == (4, 1)


def test_rescale():
    np.testing.assert_allclose(rescale(X), (X - X.min()) / (X.max() - X.min()))
    assert rescale(np.array([[1, 2], [3, 5]], np.float32), -1, 1).dtype == np.float32
    assert rescale([-5, 0, 5, 20], InputMin=0, InputMax=10).tolist() == [0, 0, 0.5, 1]
    columns = np.array([[0.0, 10.0], [1.0, 30.0]])
    assert rescale(columns, InputMin=columns.min(axis=0), InputMax=columns.max(axis=0)).tolist() == [[0, 0], [1, 1]]
    assert rescale([4, 4], 2, 3).tolist() == [2, 2]
    assert rescale([]).shape == (0,)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: mapminmax(X, 1, -1), OptionError, "needs ymin below ymax, but got 1 and -1"),
        (lambda: mapstd(X, 0, 0), OptionError, "ystd above 0"),
        (lambda: mapminmax("revert", X, X), OptionError, r"mapminmax\('reverse', y, settings\)"),
        (lambda: mapminmax("reverse", X, mapstd(X, nargout=2)[1]), OptionError, "the settings that mapminmax returned"),
        (lambda: mapminmax("apply", X.T, mapminmax(X, nargout=2)[1]), DataError, "Transpose it: rows are variables"),
        (lambda: mapminmax(["a"]), DataError, "real numbers"),
        (lambda: mapminmax(np.ones((2, 2, 2))), DataError, "needs a matrix"),
        (lambda: mapminmax([X, X[:2]]), DataError, "the same number of rows"),
        (lambda: mapminmax(X, 0, 1, 2), OptionError, "4 arguments"),
        (lambda: mapstd(X, np.nan), OptionError, "finite numbers"),
        (lambda: rescale(X, 2, 1), OptionError, "l not above u"),
        (lambda: rescale(X, InputMin=3, InputMax=1), OptionError, "InputMin not above InputMax"),
        (lambda: rescale("abc"), DataError, "real numbers"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
