"""The variable with what MAT-files do not say by themselves."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mlnet.storage import mat_format as mat
from mlnet.storage.mat_reader import Unreadable


class Noted(Protocol):
    """A reader that is told original names, and sizes that are not those of a matrix, by path."""

    names: dict[str, str]
    sizes: dict[str, tuple[int, ...]]


def take_notes(reader: Noted, notes: Any) -> None:
    """Give a reader what `mat_writer.Notes` has kept in a file; raise `Unreadable` where it is damaged."""
    if not isinstance(notes, dict) or not isinstance(notes.get("version"), int):
        raise Unreadable(f"its variable {mat.NOTES} is damaged")
    if notes["version"] > mat.VERSION:
        raise Unreadable(f"it is of version {notes['version']}; this mlnet reads up to version {mat.VERSION}")
    try:
        reader.names = dict(zip(_texts(notes["stored_names"]), _texts(notes["names"]), strict=True))
        sizes = [tuple(int(number) for number in np.ravel(size)) for size in notes["sizes"]]
        reader.sizes = dict(zip(_texts(notes["paths"]), sizes, strict=True))
    except (KeyError, TypeError, ValueError):
        raise Unreadable(f"its variable {mat.NOTES} is damaged") from None


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return values
