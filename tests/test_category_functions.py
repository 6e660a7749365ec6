"""Functions of categories."""

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    addcats,
    categorical,
    categories,
    countcats,
    iscategory,
    isundefined,
    mergecats,
    removecats,
    renamecats,
    reordercats,
    setcats,
)

A = categorical(["b", "a", "", "b", "d"], ["a", "b", "c", "d"])


def both(labels):
    return list(labels.names().ravel()), categories(labels)


def test_counts():
    assert countcats(A).tolist() == [1, 2, 0, 1]
    table = categorical([["x", "y"], ["x", "x"], ["y", ""]])
    assert countcats(table).tolist() == [[2, 1], [1, 1]]
    assert countcats(table, 2).tolist() == [[1, 1], [2, 0], [0, 1]]
    assert countcats(categorical([["x", "y", "x"]])).tolist() == [[2, 1]]
    assert countcats(categorical([["x", "y", "x"]]), 1).shape == (2, 3)
    assert countcats(categorical(["", ""])).shape == (0,)
    with pytest.raises(OptionError, match="countcats: dim needs a number from 1 to 1, but got 2"):
        countcats(A, 2)


def test_questions():
    assert isundefined(A).tolist() == [False, False, True, False, False]
    assert iscategory(A, "c") is True and iscategory(A, "e") is False
    assert iscategory(A, ["e", "a"]).tolist() == [False, True]


def test_removing_and_adding():
    assert both(removecats(A)) == (["b", "a", None, "b", "d"], ["a", "b", "d"])
    assert both(removecats(A, "b")) == ([None, "a", None, None, "d"], ["a", "c", "d"])
    assert both(removecats(A, ["a", "d"])) == (["b", None, None, "b", None], ["b", "c"])
    assert both(addcats(A, ["e", "f"])) == (["b", "a", None, "b", "d"], [*"abcdef"])
    assert categories(addcats(A, "e", Before="b")) == [*"aebcd"]
    assert categories(addcats(A, ["e", "f"], After="b")) == [*"abefcd"]
    assert both(setcats(A, ["d", "z", "b"])) == (["b", None, None, "b", "d"], ["d", "z", "b"])
    assert both(A) == (["b", "a", None, "b", "d"], [*"abcd"]), "the given array has not changed"


def test_order_and_names():
    assert both(reordercats(A, ["d", "c", "b", "a"])) == (["b", "a", None, "b", "d"], [*"dcba"])
    assert both(reordercats(A, [4, 1, 2, 3])) == (["b", "a", None, "b", "d"], [*"dabc"])
    assert categories(reordercats(reordercats(A, [*"dcba"]))) == [*"abcd"]
    assert both(renamecats(A, [*"wxyz"])) == (["x", "w", None, "x", "z"], [*"wxyz"])
    assert both(renamecats(A, ["b", "a"], ["B", "A"])) == (["B", "A", None, "B", "d"], ["A", "B", "c", "d"])
    assert categories(renamecats(A, ["a", "b"], ["b", "a"])) == ["b", "a", "c", "d"]


def test_merging():
    assert both(mergecats(A, ["b", "d"])) == (["b", "a", None, "b", "b"], ["a", "b", "c"])
    assert both(mergecats(A, ["d", "a"], "new")) == (["b", "new", None, "b", "new"], ["b", "c", "new"])
    assert both(mergecats(A, ["b", "d"], "d")) == (["d", "a", None, "d", "d"], ["a", "d", "c"])


def test_shapes_are_kept():
    table = categorical(np.array([["x", "y"], ["x", "x"]]))
    for changed in (
        removecats(table),
        addcats(table, "z"),
        mergecats(table, ["x", "y"]),
        renamecats(table, ["p", "q"]),
    ):
        assert changed.shape == (2, 2)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: countcats(["a"]), DataError, r"countcats: needs a categorical array, but got \['a'\]"),
        (lambda: removecats(A, "e"), UnknownNameError, "there is no category 'e'"),
        (lambda: removecats(A, 1), OptionError, "oldcats needs a text or a list of texts, but got 1"),
        (lambda: addcats(A, "a"), OptionError, "'a' is one already"),
        (lambda: addcats(A, ["e", "e"]), OptionError, "newcats needs different names"),
        (lambda: addcats(A, "e", Before="a", After="b"), OptionError, "but got both"),
        (lambda: addcats(A, "e", After="x"), UnknownNameError, "there is no category 'x'"),
        (lambda: setcats(A, ["a", "a"]), OptionError, "different names"),
        (lambda: reordercats(A, ["a", "b"]), OptionError, "needs each of"),
        (lambda: reordercats(A, [1, 2, 3, 5]), OptionError, "numbers of categories from 1 to 4"),
        (lambda: reordercats(A, [1, 2, 3, 3]), OptionError, "once"),
        (lambda: renamecats(A, ["x"]), OptionError, "needs 4 new names, but got 1"),
        (lambda: renamecats(A, "a", "b"), OptionError, "use mergecats"),
        (lambda: renamecats(A, "x", "b"), UnknownNameError, "there is no category 'x'"),
        (lambda: renamecats(A), OptionError, "but got 0 arguments"),
        (lambda: mergecats(A, ["a", "b"], "c"), OptionError, "'c' is another category"),
        (lambda: mergecats(A, []), OptionError, "at least one"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
