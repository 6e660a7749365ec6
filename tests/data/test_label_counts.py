"""splitEachLabel and countEachLabel."""

from __future__ import annotations

import numpy as np
import pytest
from data.folders import classes

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    arrayDatastore,
    augmentedImageDatastore,
    categories,
    countEachLabel,
    imageDatastore,
    rng,
    splitEachLabel,
)

COUNTS = {"a": 10, "b": 7, "c": 4}


@pytest.fixture(scope="module")
def imds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    classes(folder, COUNTS, (2, 2))
    return imageDatastore(str(folder), IncludeSubfolders=True, LabelSource="foldernames")


def counts(part):
    return countEachLabel(part).Count.tolist()


def test_counts(imds):
    table = countEachLabel(imds)
    assert table.columns == ["Label", "Count"] and table.Count.tolist() == [10, 7, 4]
    assert table.Label.names().tolist() == ["a", "b", "c"]
    assert str(table) == (
        "  3x2 table\n\n    Label    Count\n    _____    _____\n\n    a        10\n    b         7\n    c         4"
    )
    assert imds.countEachLabel().Count.tolist() == [10, 7, 4]
    assert counts(imds.splitEachLabel(2, Include=["a"])[0]) == [2]
    assert counts(augmentedImageDatastore([2, 2], imds)) == [10, 7, 4]
    unlabelled = imageDatastore(imds.Files)
    with pytest.raises(DataError, match="countEachLabel: needs labels, .*LabelSource='foldernames'"):
        countEachLabel(unlabelled)
    with pytest.raises(OptionError, match="needs a datastore"):
        countEachLabel(["a"])


def test_proportions_and_counts(imds):
    train, test = splitEachLabel(imds, 0.7)
    assert counts(train) == [7, 5, 3] and counts(test) == [3, 2, 1]
    assert [*train.Files, *test.Files] != imds.Files and sorted([*train.Files, *test.Files]) == imds.Files
    assert train.Files[:7] == imds.Files[:7], "without 'randomized' the first ones"
    first, second, rest = splitEachLabel(imds, 0.5, 0.25)
    assert [counts(part) for part in (first, second, rest)] == [[5, 4, 2], [3, 1, 1], [2, 2, 1]]
    assert len(splitEachLabel(imds, 0.7, 0.1, 0.2)) == 3, "proportions that sum to 1 leave nothing"
    few, rest = splitEachLabel(imds, 3)
    assert counts(few) == [3, 3, 3] and counts(rest) == [7, 4, 1]
    assert counts(splitEachLabel(imds, 2, nargout=1)) == [2, 2, 2]
    assert len(splitEachLabel(imds, 1, 2)) == 3 and len(splitEachLabel(imds, 1, 2, nargout=2)) == 2
    whole, none = splitEachLabel(imds, 4, Include="c")
    assert counts(whole) == [4] and len(none) == 0


@pytest.mark.parametrize("word", ["randomized", "randomize", "Randomized"])
def test_at_random(imds, word):
    rng(0)
    train, test = splitEachLabel(imds, 0.5, word)
    other, _ = splitEachLabel(imds, 0.5, word)
    rng(0)
    again, _ = splitEachLabel(imds, 0.5, word)
    assert train.Files == again.Files != other.Files
    assert counts(train) == [5, 4, 2] and sorted([*train.Files, *test.Files]) == imds.Files
    assert train.Files != splitEachLabel(imds, 0.5)[0].Files


def test_some_labels(imds):
    train, test = splitEachLabel(imds, 0.5, "Exclude", "b")
    assert categories(train.Labels) == ["a", "c"] and counts(train) == [5, 2] and counts(test) == [5, 2]
    train, _ = splitEachLabel(imds, 0.5, "randomized", "include", ["c", "a"])
    assert categories(train.Labels) == ["a", "c"]
    train, _ = splitEachLabel(imds, 0.5, Include=["b"])
    assert counts(train) == [4]
    numbers = imds.copy()
    numbers.Labels = np.arange(21) % 3
    train, _ = splitEachLabel(numbers, 2, Exclude=[1, 0])
    assert train.Labels.tolist() == [2, 2]


def test_other_datastores():
    train, test = splitEachLabel(arrayDatastore(list("aabbab")), 1)
    assert train.readall() == ["a", "b"] and test.readall() == ["a", "b", "a", "b"]


def test_what_is_wrong_is_named(imds):
    with pytest.raises(OptionError, match="needs 5 observations of each label, but 'c' has 4"):
        splitEachLabel(imds, 3, 2)
    for wrong in ((1.5,), (0.7, 0.4), (0,), (-1,), (2, 0.5)):
        with pytest.raises(OptionError, match="needs proportions between 0 and 1 with a sum of at most 1"):
            splitEachLabel(imds, *wrong)
    with pytest.raises(OptionError, match="needs a proportion or a number"):
        splitEachLabel(imds)
    with pytest.raises(OptionError, match="needs proportions or whole numbers, but got \\[1, 2\\]"):
        splitEachLabel(imds, [1, 2])
    with pytest.raises(UnknownNameError, match="no option 'randomised'. Did you mean 'randomized'"):
        splitEachLabel(imds, 0.5, "randomised")
    with pytest.raises(UnknownNameError, match="there is no label 'd'"):
        splitEachLabel(imds, 0.5, Include=["a", "d"])
    with pytest.raises(OptionError, match="Include or Exclude, but got both"):
        splitEachLabel(imds, 0.5, Include=["a"], Exclude=["b"])
    with pytest.raises(OptionError, match="'Include' has no value"):
        splitEachLabel(imds, 0.5, "Include")
    with pytest.raises(OptionError, match="nargout needs to be 1 to 2, but is 3"):
        splitEachLabel(imds, 0.5, nargout=3)
    with pytest.raises(DataError, match="splitEachLabel: needs labels"):
        splitEachLabel(arrayDatastore(np.zeros((3, 2))), 0.5)
