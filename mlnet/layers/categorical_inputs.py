"""What an input layer knows of the categories that it was trained with."""

from __future__ import annotations

from typing import Any

from mlnet.options import Argument, Group, Option
from mlnet.rules import Refused, Rule


def _encodings(value: Any) -> tuple[tuple[str, tuple[str, ...], bool], ...]:
    found = []
    for column, names, one_hot in value:
        if isinstance(names, str) or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise Refused
        if not isinstance(column, str) or one_hot not in (False, True):
            raise Refused
        found.append((column, tuple(names), bool(one_hot)))
    return tuple(found)


CATEGORICAL_INPUTS = Option(
    "CategoricalInputs",
    (),
    Rule(
        "(column, categories, whether as indicators) for each column",
        _encodings,
        ([1], "x", [("c", "ab", True)], [("c", ["a", "a"], True)], [(1, ["a"], True)], [("c", ["a"], 2)], None),
    ),
    "The columns of the training data with their categories, which predictions take in the same order; numbers "
    "have no categories, and the column of arrays is ''. Empty where nothing was categorical.",
    Group.HIDDEN,
    Argument.NONE,
)
"""The option of all input layers that training sets."""
