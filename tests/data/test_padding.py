"""padsequences."""

import numpy as np
import pytest

from mlnet import DataError, OptionError, UnknownNameError, categorical, categories, padsequences

SEQUENCES = [np.arange(1, 1 + 2 * length).reshape(2, length) for length in (3, 1, 5)]


def plain(sequences, length, place):
    """The definition, element by element; ``place`` tells where a time step of the source comes."""
    result = np.zeros((2, length, len(sequences)), int)
    for number, sequence in enumerate(sequences):
        for step in range(sequence.shape[1]):
            to = place(step, sequence.shape[1], length)
            if 0 <= to < length:
                result[:, to, number] = sequence[:, step]
    return result


PLACES = {
    "right": lambda step, count, length: step,
    "left": lambda step, count, length: step + length - count,
    "both": lambda step, count, length: step + (abs(length - count) // 2) * (1 if length >= count else -1),
}


@pytest.mark.parametrize("direction", PLACES)
@pytest.mark.parametrize("asked, length", [("longest", 5), ("shortest", 1), (4, 4), (7, 7), (2, 2)])
def test_padding_and_cutting(direction, asked, length):
    found, mask = padsequences(SEQUENCES, 2, Length=asked, Direction=direction, nargout=2)
    np.testing.assert_array_equal(found, plain(SEQUENCES, length, PLACES[direction]))
    np.testing.assert_array_equal(mask, found != 0)
    assert found.dtype == SEQUENCES[0].dtype and mask.dtype == bool


def test_values_types_and_other_dimensions():
    found = padsequences([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)], 1, "PaddingValue", np.nan)
    assert found.shape == (4, 3, 2) and found.dtype == np.float32 and np.isnan(found[2:, :, 0]).all()
    assert padsequences([np.ones((1, 2), np.uint8), np.ones((1, 1), np.uint8)], 2, PaddingValue=-1).dtype == np.int64
    assert padsequences([np.ones((1, 2), np.uint8), np.ones((1, 1), np.uint8)], 2, PaddingValue=0.5)[0, 1, 1] == 0.5
    assert padsequences([np.ones((1, 2), np.uint8), np.ones((1, 1), np.uint8)], 2, PaddingValue=7).dtype == np.uint8
    videos = [np.ones((2, 2, 3, length)) for length in (2, 4)]
    assert padsequences(videos, 4).shape == (2, 2, 3, 4, 2)
    rows = [np.arange(3), np.arange(5)]
    assert padsequences(rows, 1).shape == (5, 2)


def test_a_list_without_uniform_output():
    found, masks = padsequences(SEQUENCES, 2, UniformOutput=False, nargout=2)
    assert [each.shape for each in found] == [each.shape for each in masks] == [(2, 5)] * 3
    assert masks[1].tolist() == [[True, False, False, False, False]] * 2


def test_categories():
    labels = [categorical([["a", "b"]], ["a", "b"]), categorical([["c"]], ["c", "b"])]
    found = padsequences(labels, 2)
    assert found.shape == (1, 2, 2) and categories(found) == ["a", "b", "c"]
    assert list(found[0, :, 1].names()) == ["c", None]
    assert list(padsequences(labels, 2, PaddingValue="b")[0, :, 1].names()) == ["c", "b"]
    assert [each.shape for each in padsequences(labels, 2, UniformOutput=False)] == [(1, 2), (1, 2)]


def test_the_given_sequences_stay():
    before = [each.copy() for each in SEQUENCES]
    padsequences(SEQUENCES, 2)[...] = 0
    for one, other in zip(before, SEQUENCES, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: padsequences([], 2), DataError, "needs a list of sequences"),
        (lambda: padsequences(SEQUENCES, 0), OptionError, "paddingDim"),
        (lambda: padsequences(SEQUENCES), OptionError, "paddingDim is missing"),
        (lambda: padsequences([np.arange(3)], 2), DataError, r"give an array of shape \(1, 3\)"),
        (lambda: padsequences([np.ones((2, 3)), np.ones((3, 3))], 2), DataError, "number 2"),
        (lambda: padsequences([["a"]], 1), DataError, "numeric sequences"),
        (lambda: padsequences(SEQUENCES, 2, PaddingValue="x"), OptionError, "PaddingValue: needs a number"),
        (lambda: padsequences([categorical(["a"])], 1, PaddingValue="x"), OptionError, "one of the categories"),
        (lambda: padsequences(SEQUENCES, 2, Length=0), OptionError, "Length: needs one of 'longest', 'shortest'"),
        (lambda: padsequences(SEQUENCES, 2, Direktion="left"), UnknownNameError, "Did you mean 'Direction'"),
        (lambda: padsequences(SEQUENCES, 2, nargout=3), OptionError, "nargout"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
