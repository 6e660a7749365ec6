"""Categorical arrays."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from strategies import LABELS

from mlnet import DataError, OptionError, categorical, categories
from mlnet.labels import as_labels


@pytest.mark.parametrize(
    "data, names, order",
    [
        (["b", "a", "b"], ["b", "a", "b"], ["a", "b"]),
        (["10", "9", "1"], ["10", "9", "1"], ["1", "10", "9"]),
        ([10, 9, 1], ["10", "9", "1"], ["1", "9", "10"]),
        (np.uint8([10, 9]), ["10", "9"], ["9", "10"]),
        ([-1, -10], ["-1", "-10"], ["-10", "-1"]),
        ([2.5, 1.0, np.inf], ["2.5", "1", "Inf"], ["1", "2.5", "Inf"]),
        ([True, False], ["true", "false"], ["false", "true"]),
        (np.array([True, False]), ["true", "false"], ["false", "true"]),
        ([1, None, 3.0], ["1", None, "3"], ["1", "3"]),
        ([np.nan, 2.0], [None, "2"], ["2"]),
        (["a", "", "<undefined>"], ["a", None, None], ["a"]),
        ([1, "a", True], ["1", "a", "true"], ["1", "a", "true"]),
        ([b"x", b"y"], ["x", "y"], ["x", "y"]),
        (np.array([b"x", b"y"]), ["x", "y"], ["x", "y"]),
        (("a", "b"), ["a", "b"], ["a", "b"]),
        (range(3), ["0", "1", "2"], ["0", "1", "2"]),
        ("cat", ["cat"], ["cat"]),
        (5, ["5"], ["5"]),
        ([], [], []),
        ([[1, 2], [3, 1]], ["1", "2", "3", "1"], ["1", "2", "3"]),
    ],
)
def test_labels_and_the_order_of_categories(data, names, order):
    labels = categorical(data)
    assert labels.names().ravel().tolist() == names and categories(labels) == order
    assert labels.shape == (np.shape(data) or (1,)) and labels.size == len(names)
    codes = [-1 if name is None else order.index(name) for name in names]
    assert labels.codes.ravel().tolist() == codes


@given(LABELS)
def test_any_list_of_labels(data):
    labels = categorical(data)
    names = categories(labels)
    assert len(set(names)) == len(names) and len(labels) == len(data)
    assert set(names) == {name for name in labels.names().tolist() if name is not None}
    again = categorical(labels.names(), names)
    assert again.codes.tolist() == labels.codes.tolist()
    assert (labels == again).tolist() == (labels.codes >= 0).tolist()
    assert (labels != again).tolist() == (labels.codes < 0).tolist()


def test_value_sets_give_the_order_and_names():
    assert categories(categorical(["s", "l"], ["s", "m", "l"])) == ["s", "m", "l"]
    labels = categorical([1, 3, 2, 9], [3, 1, 2], ["three", "one", "two"])
    assert list(labels) == ["one", "three", "two", None] and categories(labels) == ["three", "one", "two"]
    merged = categorical([1, 2, 3], [1, 2, 3], ["low", "low", "high"])
    assert list(merged) == ["low", "low", "high"] and categories(merged) == ["low", "high"]
    again = categorical(merged, ["high"])
    assert list(again) == [None, None, "high"] and categories(categorical(merged)) == ["low", "high"]
    assert categories(categorical([1], categorical([5, 1]))) == ["5", "1"]


@pytest.mark.parametrize(
    "args, text",
    [
        (([1, 2], [1, 1]), "valueset needs different, defined values, but got ['1', '1']"),
        (([1, 2], [1, "1"]), "valueset needs different"),
        (([1, 2], [1, None]), "valueset needs different, defined values, but got ['1', None]"),
        (([1, 2], [1, 2], ["a"]), "catnames needs 2 texts, one for each value, but got ['a']"),
        (([1, 2], [1, 2], "ab"), "catnames needs 2 texts"),
        (([1, 2], [1, 2], [1, 2]), "catnames needs 2 texts"),
        (([1, 2], None, ["a", "b", "c"]), "catnames needs 2 texts"),
    ],
)
def test_value_sets_that_do_not_work(args, text):
    with pytest.raises(OptionError) as caught:
        categorical(*args)
    assert str(caught.value).startswith("categorical: ") and text in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [[1, [2]], [[1], [1, 2]], {1, 2}, {"a": 1}, 1j, [1 + 2j], (n for n in [1])],
)
def test_what_is_no_label(data):
    with pytest.raises(DataError, match="categorical: needs"):
        categorical(data)


def test_comparison_with_plain_labels():
    y = categorical([7, 1, None])
    for other in (
        7,
        "7",
        7.0,
        np.int64(7),
        categorical(7),
        ["7", "7", "7"],
        np.array([7, 7, 7]),
        categorical([7, 1, 7])[[0, 0, 0]],
    ):
        assert (y == other).tolist() == [True, False, False]
        assert (y != other).tolist() == [False, True, True]
    for other in (np.int64(7), np.array([7, 7, 7]), np.array(["7", "7", "7"]), 7, "7"):
        assert (other == y).tolist() == [True, False, False]
        assert (other != y).tolist() == [False, True, True]
    assert (categorical([True]) == True).tolist() == [True]  # noqa: E712
    assert (y == None).tolist() == (y == "unknown").tolist() == [False] * 3  # noqa: E711
    assert np.mean(categorical(["a", "b"]) == ["a", "a"]) == 0.5


def test_a_column_compares_element_by_element():
    flat, column = categorical([1, 2, 3]), categorical([[1], [2], [4]])
    assert (flat == column).tolist() == [True, True, False]
    assert (column == flat).tolist() == [[True], [True], [False]]
    assert (np.array([[1], [2], [4]]) == flat).tolist() == [True, True, False]
    with pytest.raises(DataError, match=r"needs labels of shape \(3,\), but got \(2,\)"):
        flat == [1, 2]  # noqa: B015


def test_indexing():
    y = categorical(["c", "a", None, "b"])
    assert (y[0], y[-1], y[2], y(1), y(4)) == ("c", "b", None, "c", "b")
    for part in (y[1:3], y[[1, 2]], y[np.array([False, True, True, False])], y([2, 3])):
        assert list(part) == ["a", None] and categories(part) == ["a", "b", "c"]
    assert list(y) == ["c", "a", None, "b"] and len(y) == 4 and "a" in y and "z" not in y
    matrix = categorical([[1, 2], [3, 4]])
    assert [matrix(n) for n in (1, 2, 3, 4)] == ["1", "3", "2", "4"] and matrix[0, 1] == "2"
    for bad in (0, 5, "a", [0], 1.5, None):
        with pytest.raises(IndexError, match="categorical: needs numbers from 1 to 4"):
            y(bad)
    with pytest.raises(IndexError):
        y[4]


def test_values_do_not_change():
    codes, y = np.array([0, 1]), categorical(["a", "b"])
    labels = categorical.from_codes(codes, ["x", "y"])
    codes[:] = 1
    labels.codes[:] = 1
    labels.names()[:] = None
    categories(labels).append("z")
    assert list(labels) == ["x", "y"] and categories(labels) == ["x", "y"]
    with pytest.raises(TypeError):
        y[0] = "b"
    for twin in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert list(twin) == ["a", "b"] and categories(twin) == ["a", "b"]
    with pytest.raises(TypeError, match="unhashable"):
        hash(y)


def test_numpy_sees_texts():
    y = categorical([2, 1])
    assert np.asarray(y).tolist() == ["2", "1"] and np.array(y, dtype=float).tolist() == [2.0, 1.0]
    assert np.unique(y).tolist() == ["1", "2"]


def test_categories_needs_a_categorical_array():
    with pytest.raises(DataError, match="categories: needs a categorical array, but got list"):
        categories(["a"])


@pytest.mark.parametrize(
    "data, names",
    [
        (categorical(["b", "a"]), ["b", "a"]),
        (["b", "a"], ["b", "a"]),
        (np.array([["b"], ["a"]]), ["b", "a"]),
        (np.array([[3, 1]]), ["3", "1"]),
        (np.array([1.0, 0.0]), ["1", "0"]),
        (np.array([1, 0], np.uint8), ["1", "0"]),
        ([True, False], ["true", "false"]),
        (categorical([[1], [2]]), ["1", "2"]),
    ],
)
def test_labels_of_a_training_set(data, names):
    labels = as_labels(data, "f: Y")
    assert list(labels) == names and labels.shape == (2,)


@pytest.mark.parametrize(
    "data, text",
    [
        (
            [0.5, 1.0],
            "needs class labels (categorical, texts, integers or bools), but got fractional or infinite numbers",
        ),
        ([1.0, np.inf], "fractional or infinite"),
        ([1.0, np.nan], "needs a class for every observation, but number 2 is undefined"),
        (["a", None, ""], "number 2 is undefined"),
        (categorical(["a", None]), "number 2 is undefined"),
        (None, "number 1 is undefined"),
        (np.eye(3), "needs one class for each observation (N x 1), but got shape (3, 3). For one-hot rows give"),
        (np.zeros((2, 2, 2), int), "but got shape (2, 2, 2)."),
        ([[1], [1, 2]], "needs an array of labels, but got a list of uneven lists"),
        ({"a": 1}, "needs labels (texts, integers, bools or numbers), but got {'a': 1}"),
        (np.array([1j]), "needs labels (texts, integers, bools or numbers), but got an array of type complex128"),
    ],
)
def test_labels_that_are_none(data, text):
    with pytest.raises(DataError) as caught:
        as_labels(data, "trainNetwork: Y")
    assert str(caught.value).startswith("trainNetwork: Y: ") and text in str(caught.value)
