"""MATLAB's functions of shapes and types, with derivatives, labels and clear mistakes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    cat,
    categorical,
    checkLayer,
    clearCache,
    dlaccelerate,
    dlarray,
    dlfeval,
    dlgradient,
    double,
    dropoutLayer,
    functionLayer,
    networkDataLayout,
    numel,
    ones,
    permute,
    repmat,
    reshape,
    single,
    size,
    squeeze,
    zeros,
)

RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((4, 3, 2))
IMAGES = dlarray(RNG.standard_normal((5, 4, 3, 2)).astype("single"), "SSCB")


def text(value):
    return value.tolist()


def test_size_and_numel():
    assert (size(IMAGES), size(IMAGES, 3), size(IMAGES, 7), size(IMAGES, [4, 1]), size(IMAGES, 4, 1)) == (
        (5, 4, 3, 2), 3, 1, (2, 5), (2, 5))  # fmt: skip
    assert (size([1, 2, 3]), size(5), size(dlarray([1, 2], "C"))) == ((1, 3), (1, 1), (2,))
    assert (numel(IMAGES), numel(dlarray(3.0)), numel(DATA)) == (120, 1, 24)
    with pytest.raises(OptionError, match="size: dim: needs positive integers, but got 0"):
        size(DATA, 0)


def test_cat():
    one, two = DATA, DATA[:, :, :1]
    np.testing.assert_array_equal(cat(3, one, two), np.concatenate([one, two], 2))
    np.testing.assert_array_equal(cat(3, DATA[:, :, 0], DATA[:, :, 1]), DATA)
    assert text(cat(1, [1, 2], [3, 4])) == [[1, 2], [3, 4]] and text(cat(2, [1, 2], 3)) == [[1, 2, 3]]
    joined = cat(4, IMAGES, IMAGES)
    assert (joined.dims(), joined.shape, joined.dtype) == ("SSCB", (5, 4, 3, 4), np.float32)
    assert cat(4, IMAGES, np.zeros((5, 4, 3))).dims() == "SSCB"
    assert cat(1, DATA.astype("single"), DATA).dtype == cat(1, dlarray(DATA), DATA.astype("single")).dtype == "single"
    assert cat(5, IMAGES, IMAGES).dims() == ""
    for wrong, message in (
        (
            lambda: cat(1, DATA, DATA[:, :2]),
            "cat: needs arrays of the same size but along dimension 1, .*, 4x2x2",
        ),
        (lambda: cat(1), "cat: needs at least one array"),
        (lambda: cat(1.5, DATA), "cat: dim: needs positive integers, but got 1.5"),
        (lambda: cat(1, IMAGES, dlarray(np.ones((5, 4, 3, 2)), "SSBC")), "same size|same format"),
        (lambda: cat(1, ["a"], ["b"]), "cat: needs a dlarray, or an array of numbers"),
    ):
        with pytest.raises((OptionError, DataError), match=message):
            wrong()


def test_permute_reshape_repmat_squeeze():
    np.testing.assert_array_equal(permute(DATA, [3, 1, 2]), DATA.transpose(2, 0, 1))
    assert permute(DATA, [4, 1, 2, 3]).shape == (1, 4, 3, 2)
    assert (permute(IMAGES, [4, 3, 1, 2]).shape, permute(IMAGES, [4, 3, 1, 2]).dims()) == ((2, 3, 5, 4), "")
    np.testing.assert_array_equal(reshape(DATA, [6, 4]), DATA.reshape(6, 4, order="F"))
    np.testing.assert_array_equal(reshape(DATA, [], 2), DATA.reshape(12, 2, order="F"))
    np.testing.assert_array_equal(reshape(DATA, 2, [], 3), DATA.reshape(2, 4, 3, order="F"))
    assert reshape(IMAGES, 20, 6).shape == (20, 6) and reshape(IMAGES, size(IMAGES)).dims() == ""
    assert reshape(np.zeros((0, 3)), 3, []).shape == (3, 0)
    np.testing.assert_array_equal(repmat(DATA, 2, 1), np.tile(DATA, (2, 1, 1)))
    assert repmat([1, 2], 3, 1).shape == (3, 2) and repmat(5, 2).shape == (2, 2)
    assert repmat(DATA[:, :, 0], [1, 1, 3]).shape == (4, 3, 3)
    assert (repmat(IMAGES, 1, 1, 1, 2).dims(), repmat(IMAGES, [1, 1, 1, 1, 2]).shape) == ("SSCB", (5, 4, 3, 2, 2))
    assert [squeeze(np.zeros(each)).shape for each in ((1, 1, 3), (2, 1, 3), (1, 3), (1, 1, 1))] == [
        (3, 1), (2, 3), (1, 3), (1, 1)]  # fmt: skip
    assert (squeeze(IMAGES(1, ":", 1, ":")).dims(), squeeze(IMAGES(1, 1, ":", 1)).dims()) == ("SB", "C")
    for wrong, message in (
        (lambda: permute(DATA, [1, 2]), "permute: order: needs each of the 3 dimensions once"),
        (lambda: permute(DATA, [1, 2, 2]), "permute: order: needs each"),
        (lambda: reshape(DATA, 5, []), r"reshape: needs a size of 24 elements, with at most one \[\], but got 5x\[\]"),
        (lambda: reshape(DATA, [], []), r"at most one \[\]"),
        (lambda: repmat(DATA), "repmat: needs how many copies"),
        (lambda: repmat(DATA, -1), "repmat: needs integers of at least 0, but got -1"),
    ):
        with pytest.raises((OptionError, DataError), match=message):
            wrong()


def test_their_derivatives():
    def gradient(x):
        y = cat(3, repmat(permute(x, [2, 1, 3]), 1, 1, 2), reshape(x, 3, 4, []))
        return dlgradient(np.sum(squeeze(y) * weights * double(single(1))), x)

    weights = RNG.standard_normal((3, 4, 6))
    found = dlfeval(gradient, dlarray(DATA)).extractdata()
    first = (weights[:, :, :2] + weights[:, :, 2:4]).transpose(1, 0, 2)
    np.testing.assert_allclose(found, first + weights[:, :, 4:].reshape(4, 3, 2, order="F"))


def test_types_and_filled_arrays():
    assert (single([1]).dtype, double(IMAGES).dtype, double(IMAGES).dims()) == (np.float32, np.float64, "SSCB")
    assert np.array_equal(double(categorical(["b", "a", "b"])), [2, 1, 2])
    traced = dlfeval(lambda x: dlgradient(np.sum(single(x) ** 2), x), dlarray([1.0, 2.0]))
    assert (text(traced.extractdata()), traced.dtype) == ([2, 4], np.float64)
    for create, value in ((ones, 1), (zeros, 0)):
        like = create(size(IMAGES), "like", IMAGES)
        assert (type(like), like.dtype, like.dims(), set(like.extractdata().ravel())) == (
            dlarray,
            "single",
            "",
            {value},
        )
        assert (create(2).shape, create(2, 3).shape, create([2, 3, 4]).shape) == ((2, 2), (2, 3), (2, 3, 4))
        assert create().shape == (1, 1)
        assert create(2, "single").dtype == create(2, "like", np.single(1)).dtype == np.float32
        assert create(2, 2, "logical").dtype == np.bool_
        with pytest.raises(OptionError, match="needs 'single', 'double', 'logical', or 'like' and an array"):
            create(2, "int")
        with pytest.raises(OptionError, match="needs integers of at least 0"):
            create(-1)


def test_matrix_products_say_what_does_not_fit():
    formatted = dlarray(DATA[:, :, 0], "CB")
    with pytest.raises(DataError, match="at most one formatted factor"):
        formatted @ dlarray(np.ones((3, 2)), "CB")
    for product in (lambda: formatted @ formatted.extractdata(), lambda: np.dot(formatted, np.ones((2, 3)))):
        with pytest.raises(DataError, match=r"inner lengths are the same, but got sizes 4x3 and \dx3. Transpose"):
            product()
    assert (np.ones((2, 4)) @ formatted).dims() == np.dot(formatted, np.ones((3, 2))).dims() == "CB"


def test_python_keeps_its_own_functions():
    names = set(mlnet.__all__)
    assert {"cat", "size", "squeeze"} <= names
    assert not names & {"sum", "max", "min", "abs", "round", "all", "any", "next", "len", "range", "pow"}


def test_functions_for_accelerated_functions():
    function = dlaccelerate(lambda x, y=1: x + y)
    assert function(1, y=2) == 3 and clearCache(function) is None
    with pytest.raises(DataError, match="clearCache: needs a function that dlaccelerate has returned"):
        clearCache(abs)


def test_properties_of_accelerated_functions():
    def modelLoss(x):
        return x * 2

    function = dlaccelerate(modelLoss)
    assert (function.Enabled, function.CacheSize, function.CheckMode, function.CheckTolerance) == (
        True,
        50,
        "none",
        1e-4,
    )
    assert (function.HitRate, function.Occupancy, function.Function, function.__name__) == (
        0,
        0,
        modelLoss,
        "modelLoss",
    )
    function.Enabled, function.CacheSize, function.CheckMode = False, 5, "tolerance"
    assert (function.Enabled, function.CacheSize, function.CheckMode) == (False, 5, "tolerance") and function(3) == 6
    assert "Function: @modelLoss" in repr(function) and "CheckMode: 'tolerance'" in repr(function)
    assert copy.copy(function) is function and copy.deepcopy([function])[0] is function
    twin = dlaccelerate(abs)
    twin.CacheSize = 7
    twin = pickle.loads(pickle.dumps(twin))
    assert twin(-2) == 2 and twin.CacheSize == 7 and twin.__name__ == "abs"
    for name, value in (("CheckMode", "strict"), ("CacheSize", 0), ("CheckTolerance", -1), ("Cachesize", 5)):
        with pytest.raises((OptionError, UnknownNameError), match=name):
            setattr(function, name, value)


def test_checks_of_layers_take_layouts():
    layout = networkDataLayout([5, 4, 3, np.nan], "SSCB")
    swish = functionLayer(lambda X: X * 2, Formattable=True)
    sequences = networkDataLayout([3, np.nan, np.nan], "CBT")
    for given, dimension in ((layout, 4), (sequences, 2)):
        report = checkLayer(swish, given, ObservationDimension=dimension, nargout=1)
        assert not len(report.Failed) and len(report.Passed) > 5
    both = functionLayer(lambda X, Y: X + Y)
    assert len(checkLayer(both, [layout, layout], nargout=1).Passed) > 5
    with pytest.raises(OptionError, match="InputFormat: the layout has a format"):
        checkLayer(dropoutLayer(), layout, InputFormat="SSC")
    with pytest.raises(DataError, match="checkLayer: layout: needs a layout with a format"):
        checkLayer(dropoutLayer(), networkDataLayout([5, 4, 3]))
