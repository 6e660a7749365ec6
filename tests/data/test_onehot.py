"""onehotencode and onehotdecode."""

import numpy as np
import pandas
import pytest

from mlnet import DataError, OptionError, categorical, categories, dlarray, onehotdecode, onehotencode
from mlnet.table import DataTable

LABELS = categorical(["b", "a", "b", "c"])


@pytest.mark.parametrize("dim, axis", [(1, 0), (2, 1)])
def test_there_and_back(dim, axis):
    encoded = onehotencode(LABELS, dim)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(np.moveaxis(encoded, axis, 0), [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    back = onehotdecode(encoded, ["a", "b", "c"], dim)
    assert back.shape == np.expand_dims(np.zeros(4), axis).shape and categories(back) == ["a", "b", "c"]
    assert list(back.names().ravel()) == ["b", "a", "b", "c"]


def test_images_of_labels():
    pixels = categorical(np.array([["x", "y"], ["y", "y"]]))
    encoded = onehotencode(pixels, 3)
    assert encoded.shape == (2, 2, 2) and encoded[0, 1].tolist() == [0, 1] and encoded[0, 0].tolist() == [1, 0]
    assert (onehotdecode(encoded, ["x", "y"], 3)[:, :, 0] == pixels).all()


def test_class_names_choose_and_order():
    encoded = onehotencode(LABELS, 2, ClassNames=["c", "b"])
    np.testing.assert_array_equal(encoded, [[0, 1], [np.nan, np.nan], [0, 1], [1, 0]])
    assert onehotencode(["u", "v"], 2).tolist() == [[1, 0], [0, 1]]
    numbers = onehotencode(np.array([3, 5, 3], np.int8), 2, ClassNames=[5, 3])
    assert numbers.dtype == np.int8 and numbers.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert onehotencode(np.array([[3.0, 5.0]]), 1, ClassNames=[3, 5]).dtype == np.float64


@pytest.mark.parametrize("name, dtype", [("logical", bool), ("uint8", np.uint8), ("double", float), ("single", "f4")])
def test_types(name, dtype):
    assert onehotencode(LABELS, 2, name).dtype == dtype


def test_tables():
    frame = pandas.DataFrame({"colour": pandas.Categorical(["red", "blue"], ["red", "green", "blue"])})
    for table in (frame, DataTable(colour=["red", "blue"])):
        encoded = onehotencode(table)
        assert isinstance(encoded, DataTable) and (encoded.red, encoded.blue) == ([1, 0], [0, 1])
    assert onehotencode(frame).columns == ["red", "green", "blue"]
    assert onehotencode(frame["colour"], 2).tolist() == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(DataError, match="one column of labels, but got 2 columns"):
        onehotencode(DataTable(a=["x"], b=["y"]))


def test_decoding_scores():
    scores = dlarray(np.array([[0.2, 0.7], [0.8, 0.3]]), "CB")
    assert list(onehotdecode(scores, ["p", "q"], 1).names().ravel()) == ["q", "p"]
    assert onehotdecode(scores, ["p", "q"], 1, "string").tolist() == [["q", "p"]]
    numbers = onehotdecode(scores, [10, 20], 1, "int16")
    assert numbers.tolist() == [[20, 10]] and numbers.dtype == np.int16
    lost = np.array([[0.1, np.nan]])
    assert onehotdecode(lost, ["p", "q"], 2).codes.tolist() == [[-1]]
    assert onehotdecode(lost, ["p", "q"], 2, "string").tolist() == [[""]]
    assert np.isnan(onehotdecode(lost, [1, 2], 2, "double")).all()
    assert categories(onehotdecode(scores, categorical(["q", "p"], ["q", "p"]), 1)) == ["q", "p"]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: onehotencode(LABELS), OptionError, "featureDim is missing"),
        (lambda: onehotencode(LABELS, 0), OptionError, "featureDim: needs the number of a dimension"),
        (lambda: onehotencode([1, 2], 2), OptionError, "numbers need ClassNames"),
        (lambda: onehotencode(categorical([["a", "b"]]), 2), DataError, "length 1 along dimension 2"),
        (lambda: onehotencode(categorical(["a", ""]), 2, "uint8"), DataError, "which has no NaN, but 1 are undefined"),
        (lambda: onehotencode(LABELS, 2, "half"), OptionError, "typename: needs one of 'single'"),
        (lambda: onehotdecode([[1, 0]], ["a"], 2), DataError, "got 1 classes for 2"),
        (lambda: onehotdecode([[1, 0]], ["a", "b"], 2, "double"), DataError, "classes that are numbers"),
        (lambda: onehotdecode([["a"]], ["a"], 2), DataError, "a numeric array"),
        (lambda: onehotdecode([[1, 0]], ["a", "b"], 2, "text"), OptionError, "typename"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
