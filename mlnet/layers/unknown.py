"""A length that nobody knows: what stands in sizes behind a layer whose output size cannot be told."""

from __future__ import annotations

from typing import Any


class UnknownSizeError(Exception):
    """Something needs the value of a length that is not known."""


class Unknown:
    """A length without a value.

    Comparisons find nothing wrong with it: it equals every number, is neither less nor greater than any, and every
    number divides it. What is computed from it is unknown as well. Whoever needs its value gets an `UnknownSizeError`.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float, Unknown))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # equal to all numbers, so that no hash could go with it

    def __lt__(self, other: Any) -> bool:
        return False

    def __gt__(self, other: Any) -> bool:
        return False

    def __le__(self, other: Any) -> bool:
        return True

    def __ge__(self, other: Any) -> bool:
        return True

    def __mod__(self, other: Any) -> int:
        return 0

    def _unknown(self, *others: Any) -> Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _unknown
    __floordiv__ = __rfloordiv__ = __truediv__ = __rtruediv__ = __neg__ = __floor__ = __ceil__ = _unknown

    def __rmod__(self, other: Any) -> int:
        return 0

    def __index__(self) -> int:
        raise UnknownSizeError

    __int__ = __index__

    def __float__(self) -> float:
        raise UnknownSizeError

    def __repr__(self) -> str:
        return "?"

    def __format__(self, spec: str) -> str:
        return "?"


UNKNOWN: Any = Unknown()
"""The length without a value; ``is_known`` tells it from others."""


def is_known(length: Any) -> bool:
    """Tell whether a length has a value."""
    return not isinstance(length, Unknown)
