"""Categorical arrays as text."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import categorical


@pytest.mark.parametrize(
    "labels, lines",
    [
        (categorical([7, 1, 7]), ["  3x1 categorical array", "", "     7", "     1", "     7"]),
        (categorical([7]), ["  categorical", "", "     7"]),
        (categorical(["a", None]), ["  2x1 categorical array", "", "     a", "     <undefined>"]),
        (categorical([]), ["  0x0 empty categorical array"]),
        (categorical(np.zeros((0, 3))), ["  0x3 empty categorical array"]),
        (categorical([["a\nb"]] * 2), ["  2x1 categorical array", "", "     a\u21b5b", "     a\u21b5b"]),
        # the text of the documentation of isundefined, without trailing blanks
        (
            categorical([[4, 1], [2, 3], [2, 1], [3, 4], [1, 1]], [1, 2, 3], ["red", "green", "blue"]),
            [
                "  5x2 categorical array",
                "",
                "     <undefined>      red",
                "     green            blue",
                "     green            red",
                "     blue             <undefined>",
                "     red              red",
            ],
        ),
        (
            categorical([["plane", "car", "train", "car", "plane"]]),
            ["  1x5 categorical array", "", "     plane      car      train      car      plane"],
        ),
        (
            categorical(np.arange(8).reshape(2, 2, 2)),
            [
                "  2x2x2 categorical array",
                "",
                "(:,:,1) =",
                "",
                "     0      2",
                "     4      6",
                "",
                "(:,:,2) =",
                "",
                "     1      3",
                "     5      7",
            ],
        ),
    ],
)
def test_labels(labels, lines):
    assert repr(labels) == "\n".join(lines)


def test_sixty_rows_are_shown_and_more_are_cut_in_the_middle():
    rows = repr(categorical(np.arange(60))).split("\n")[2:]
    assert rows == [f"     {number}" for number in range(60)]
    rows = repr(categorical(np.arange(61))).split("\n")
    assert rows[:2] == ["  61x1 categorical array", ""]
    numbers = [*range(30), "...", *range(31, 61)]
    assert rows[2:] == [f"     {number}" for number in numbers]


def test_wide_arrays_come_in_blocks_of_columns():
    text = repr(categorical(np.arange(26).reshape(1, 26)))
    assert text.split("\n\n") == [
        "  1x26 categorical array",
        "  Columns 1 through 11",
        "     " + "      ".join(map(str, range(11))),
        "  Columns 12 through 21",
        "     " + "      ".join(map(str, range(11, 21))),
        "  Columns 22 through 26",
        "     " + "      ".join(map(str, range(21, 26))),
    ]
    assert max(map(len, text.split("\n"))) <= 80


def test_pages_run_over_the_third_dimension_first():
    text = repr(categorical(np.arange(12).reshape(1, 1, 2, 6)))
    titles = [line for line in text.split("\n") if line.startswith("(")]
    assert titles[:3] == ["(:,:,1,1) =", "(:,:,2,1) =", "(:,:,1,2) ="]
    assert text.split("\n\n")[1:5] == ["(:,:,1,1) =", "     0", "(:,:,2,1) =", "     6"]
