"""One use of an ONNX operator: its inputs and attributes, what it may take of memory, and the helpers of all tables.

An operator is a function of a `Use` that returns its output, or all outputs as a tuple. Arrays are NumPy's, or traced
dlarrays where derivatives are wanted; axes are those of the ONNX file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnet.autodiff.array import data_of, dlarray, is_traced

_ROOM: ContextVar[float] = ContextVar("room", default=math.inf)


class NotComputed(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """A use of an operator that is not computed here."""


@dataclass(frozen=True)
class Use:
    """Inputs (None where one is left out), attributes, version of the set of operators, and how many outputs."""

    inputs: Sequence[Any]
    given: Mapping[str, Any]
    opset: int
    outputs: int = 1

    @property
    def x(self) -> Any:
        """The first input."""
        return self.inputs[0]

    def input(self, number: int) -> Any:
        """Return an input, None where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else None

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        value = self.given.get(name)
        return default if value is None else value

    def axis(self, default: int, name: str = "axis") -> int:
        """Return the attribute of an axis, counted from the first."""
        return whole_axis(self.get(name, default), np.ndim(self.x))

    def axes(self, place: int = 1) -> list[int] | None:
        """Return axes that are an input, or an attribute in old versions; None where there are none."""
        given = self.input(place)
        found = self.get("axes") if given is None else numbers(given)
        return None if found is None else [int(each) for each in np.ravel(found)]


Operator = Callable[[Use], Any]


@contextmanager
def room(elements: float) -> Iterator[None]:
    """Refuse arrays of more elements inside the block."""
    token = _ROOM.set(elements)
    try:
        yield
    finally:
        _ROOM.reset(token)


def need(*shape: Any) -> None:
    """Raise `NotComputed` where there is no room for an array."""
    count = math.prod(int(length) for length in shape)
    if count > _ROOM.get():
        raise NotComputed(f"an output of more than {_ROOM.get():.0f} elements: {count}")


def plain(x: Any) -> np.ndarray:
    """Return the numbers of an array, without their history."""
    return np.asarray(data_of(x))


def numbers(x: Any) -> list[int]:
    """Return whole numbers as a list."""
    return [int(n) for n in np.ravel(plain(x))]


def settled(x: Any) -> Any:
    """Return a dlarray that nothing is traced through as a NumPy array."""
    if isinstance(x, dlarray):
        return x if is_traced(x) else x._data
    return np.asarray(x)


def whole_axis(axis: int, count: int) -> int:
    """Return an axis counted from the first."""
    if not -count <= axis < max(count, 1):
        raise NotComputed(f"axis {axis} of an array of {count} axes")
    return axis % count if count else 0


def like(value: Any, x: Any) -> np.ndarray:
    """Return numbers of the type of ``x``."""
    return np.asarray(value, plain(x).dtype)
