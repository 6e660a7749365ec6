"""Formats: what labels an array has, what becomes of them, and how arrays with labels line up."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import DataError, dims, dlarray, dlfeval, dlgradient, extractdata, finddim, stripdims


def ones(shape, fmt=""):
    return dlarray(np.ones(shape), fmt)


@pytest.mark.parametrize(
    "shape, fmt, labels, stored",
    [
        ((5, 4, 3, 2), "SSCB", "SSCB", (5, 4, 3, 2)),
        ((2, 5, 4, 3), "BSSC", "SSCB", (5, 4, 3, 2)),
        ((7, 3, 2), "TCB", "CBT", (3, 2, 7)),
        ((3, 4), "TS", "ST", (4, 3)),
        ((3, 4), "UC", "CU", (4, 3)),
        ((3, 4), "bc", "CB", (4, 3)),
        ((28, 28), "SSCB", "SSCB", (28, 28, 1, 1)),
        ((4, 1), "C", "C", (4,)),
        ((), "CB", "CB", (1, 1)),
        ((2, 3, 4), "SUS", "SSU", (2, 4, 3)),
    ],
)
def test_data_are_put_in_order(shape, fmt, labels, stored):
    array = dlarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), fmt)
    assert dims(array) == array.dims() == labels and array.shape == stored


def test_the_elements_follow_their_labels():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(extractdata(dlarray(x, "BTC")), x.transpose(2, 0, 1))
    np.testing.assert_array_equal(extractdata(dlarray(x, "SSS")), x)


@pytest.mark.parametrize("shape, fmt", [((2, 2), "CC"), ((2, 2), "X"), ((2, 2, 2), "SC"), ((2,), 5), ((2, 2), "BB")])
def test_formats_that_do_not_fit(shape, fmt):
    with pytest.raises(DataError, match="dlarray: needs a"):
        dlarray(np.ones(shape), fmt)


@pytest.mark.parametrize(
    "first, second, labels, shape",
    [
        (((3, 2), "CB"), ((3,), "C"), "CB", (3, 2)),
        (((3, 2), "CB"), ((2,), "B"), "CB", (3, 2)),
        (((3,), "C"), ((2,), "B"), "CB", (3, 2)),
        (((5, 4, 3, 2), "SSCB"), ((3,), "C"), "SSCB", (5, 4, 3, 2)),
        (((5, 4, 3, 2), "SSCB"), ((5, 3), "SC"), "SSCB", (5, 4, 3, 2)),
        (((3, 2), "CB"), ((3, 7), "CT"), "CBT", (3, 2, 7)),
        (((3, 2), "CB"), ((), ""), "CB", (3, 2)),
        (((3, 2), "CB"), ((2,), ""), "CB", (3, 2)),
        (((3, 2), "CB"), ((3, 1), ""), "CB", (3, 2)),
        (((3, 1), "CB"), ((3, 2), "CB"), "CB", (3, 2)),
    ],
)
def test_arrays_line_up_by_their_labels(first, second, labels, shape):
    for one, other in ((first, second), (second, first)):
        found = ones(*one) + ones(*other)
        assert (found.dims(), found.shape) == (labels, shape)
        assert (found.extractdata() == 2).all()
    assert np.where(ones(*first) > 0, ones(*first), ones(*second)).dims() == labels


def test_elements_with_the_same_labels_meet():
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    found = dlarray(x, "BC") * dlarray(y, "C")
    np.testing.assert_array_equal(found.extractdata(), (x * y).T)


def test_labels_that_do_not_fit():
    with pytest.raises(DataError, match="the same length along 'C' \\(or 1\\), but got 3 and 4"):
        ones((3, 2), "CB") + ones(4, "C")
    with pytest.raises(DataError, match="at most 1 dimensions beside 'C', but got 2"):
        ones(3, "C") * np.ones((3, 3))
    with pytest.raises(DataError, match="at most one formatted factor"):
        ones((3, 3), "CB") @ ones((3, 3), "CB")
    with pytest.raises(DataError, match="arrays of the same format to join"):
        np.concatenate([ones((3, 3), "CB"), ones((3, 3), "SC")])


@pytest.mark.parametrize(
    "function, labels",
    [
        (np.exp, "SSCB"),
        (lambda x: -x > 0, "SSCB"),
        (lambda x: np.sum(x, 0), "SCB"),
        (lambda x: x.mean(axis=(0, 1)), "CB"),
        (lambda x: x.max(axis=(0, 1), keepdims=True), "SSCB"),
        (np.sum, ""),
        (lambda x: x.std(axis=3), "SSC"),
        (lambda x: np.cumsum(x, 1), "SSCB"),
        (lambda x: x[0], "SCB"),
        (lambda x: x[:, 1:, 0], "SSB"),
        (lambda x: x[..., 0], "SSC"),
        (lambda x: x[:, [1, 0]], "SSCB"),
        (lambda x: x[None], ""),
        (lambda x: x[[0, 1], [0, 1]], ""),
        (lambda x: x(1, ":", ":", 2), "SSCB"),
        (lambda x: np.flip(x, 0), "SSCB"),
        (lambda x: np.squeeze(x[:, :1], 1), "SCB"),
        (lambda x: np.reshape(x, (-1, 2)), ""),
        (lambda x: np.transpose(x), ""),
        (lambda x: np.concatenate([x, x], 2), "SSCB"),
        (lambda x: np.clip(x, 0, 1), "SSCB"),
        (lambda x: np.zeros_like(x), "SSCB"),
        (lambda x: x.astype(np.float32), "SSCB"),
        (lambda x: dlarray(x.reshape(-1, 2), "CB"), "CB"),
        (lambda x: dlarray(stripdims(x), "SSSB"), "SSSB"),
        (lambda x: np.ones((7, 3)) @ x[0, 0], "CB"),
        (lambda x: np.linalg.inv(x[:4, :4, 0, 0]), ""),
    ],
)
def test_what_becomes_of_labels(function, labels):
    x = dlarray(np.random.default_rng(0).normal(size=(5, 4, 3, 2)), "SSCB")
    found = function(x)
    assert found.dims() == labels and (not labels or found.ndim == len(labels))
    np.testing.assert_array_equal(found.extractdata(), function(stripdims(x)).extractdata())


def test_setting_elements_keeps_labels():
    x = ones((3, 2), "CB")
    x[0] = 5
    assert x.dims() == "CB" and x.extractdata().tolist() == [[5, 5], [1, 1], [1, 1]]


def test_finddim_and_stripdims():
    x = ones((5, 4, 3, 2), "SSCB")
    assert finddim(x, "S") == [1, 2] and finddim(x, "B") == [4] and finddim(x, "T") == []
    assert stripdims(x).dims() == "" and stripdims(x).shape == (5, 4, 3, 2)
    assert stripdims(x, "BCSS").shape == (2, 3, 5, 4)
    assert stripdims(ones((3, 2), "CB"), "TBC").shape == (1, 2, 3)
    plain = np.ones(3)
    assert stripdims(plain) is plain and extractdata(plain) is plain
    with pytest.raises(DataError, match="all labels of 'SSCB', but got 'CB'"):
        stripdims(x, "CB")
    with pytest.raises(DataError, match="finddim: needs a label"):
        finddim(x, "SS")
    with pytest.raises(DataError, match="dims: needs a dlarray"):
        dims(plain)


def test_gradients_through_formats():
    def gradient(x, scale):
        y = dlarray(np.transpose(stripdims(x)), "TC") * scale + x.sum(axis=0)
        return dlgradient(np.sum(y * y), x, scale)

    x, scale = np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 3.0])
    found = dlfeval(gradient, dlarray(x, "CT"), dlarray(scale, "C"))

    def plain(x, scale):
        y = x * scale[:, None] + x.sum(axis=0)
        return dlgradient(np.sum(y * y), x, scale)

    expected = dlfeval(plain, dlarray(x), dlarray(scale))
    assert [each.dims() for each in found] == ["CT", "C"]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata())
