"""Rules: what a value of an option may be, as data.

A rule says in words what it needs, turns a value into the form that is stored, or refuses it, and lists values that it
must refuse, from which the tests make bad input.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EMPTY = np.zeros((0, 0))
"""MATLAB's ``[]``: the value of a parameter that has not been set."""
EMPTY.flags.writeable = False


class Refused(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """A rule does not take the value; the caller turns this into an `OptionError` that says where."""


REFUSALS = (Refused, TypeError, ValueError, OverflowError)
"""What ``convert`` raises for a value that the rule does not take; the last three come from Python and NumPy."""


@dataclass(frozen=True)
class Rule:
    """What a value may be.

    ``needed`` says it in words, ``convert`` turns a value into the stored form or raises one of `REFUSALS`, ``bad`` are
    values that must be refused, ``names`` the texts that are taken.
    """

    needed: str
    convert: Callable[[Any], Any]
    bad: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        """Tell whether the rule takes ``value``."""
        try:
            self.convert(value)
        except REFUSALS:
            return False
        return True


def is_empty(value: Any) -> bool:
    """Tell whether ``value`` is MATLAB's ``[]`` (or Python's None, (), [])."""
    if isinstance(value, np.ndarray):
        return value.size == 0
    return value is None or (isinstance(value, (list, tuple)) and len(value) == 0)


def read_only(array: Any, dtype: Any = None) -> np.ndarray:
    """Return a copy of ``array`` that cannot be written to, so that layers can share it.

    A number that is repeated without taking memory for it, as `numpy.broadcast_to` makes it, stays one.
    """
    if is_repeated(array):
        return np.broadcast_to(np.array(array[(0,) * array.ndim], dtype or array.dtype), array.shape)
    copy = np.array(array, dtype)
    copy.flags.writeable = False
    return copy


def is_repeated(array: Any) -> bool:
    """Tell whether an array is one number, whose memory all elements share."""
    return isinstance(array, np.ndarray) and array.size > 1 and not any(array.strides)


def _refuse(*_: Any) -> Any:
    raise Refused


def _scalar(value: Any) -> Any:
    """Return the element of an array or list of one element, as MATLAB's ``[5]`` is ``5``."""
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _number(value: Any) -> float | int:
    value = _scalar(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise Refused
    as_float = float(value)
    if math.isnan(as_float):
        raise Refused
    return int(value) if isinstance(value, numbers.Integral) else as_float


def number(
    low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False, infinite: bool = False
) -> Rule:
    """Return the rule of a real scalar from ``low`` to ``high``; ``above``/``below`` leave out the limit itself."""

    def convert(value: Any) -> float | int:
        value = _number(value)
        too_low = value <= low if above else value < low
        too_high = value >= high if below else value > high
        if too_low or too_high or (math.isinf(value) and not infinite):
            raise Refused
        return value

    parts = []
    if low > -math.inf:
        parts.append(f"above {low:g}" if above else f"of at least {low:g}")
    if high < math.inf:
        parts.append(f"below {high:g}" if below else f"of at most {high:g}")
    needed = f"{low:g}" if low == high else " ".join(["a number", " and ".join(parts)]).strip()
    bad: list[Any] = ["x", [1, 2], math.nan, None, True, 1j]
    if math.isfinite(low):
        bad.append(low if above else low - 1)
    if high < math.inf:
        bad.append(high if below else high + 1)
    if not infinite:
        bad.append(math.inf)
    return Rule(needed, convert, tuple(bad))


def integer(low: int = 1) -> Rule:
    """Return the rule of a whole number of at least ``low``, and not beyond those that double precision counts."""

    def convert(value: Any) -> int:
        value = _number(value)
        if not low <= value <= 2**53 or value != int(value):
            raise Refused
        return int(value)

    needed = "a positive integer" if low == 1 else f"an integer of at least {low}"
    return Rule(needed, convert, (low - 1, low + 0.5, "x", None, math.inf, math.nan, True, 10**30, [low, low]))


def row(rule: Rule, count: int, *, expand: bool = True) -> Rule:
    """Return the rule of a row vector of ``count`` elements; with ``expand`` a scalar stands for all of them."""

    def convert(value: Any) -> np.ndarray:
        given = np.asarray(value, dtype=object)
        elements = given.ravel().tolist()
        if len(elements) == 1 and expand:
            elements *= count
        if len(elements) != count or max(given.shape, default=1) != given.size:
            raise Refused
        return read_only([rule.convert(element) for element in elements])

    needed = f"{rule.needed} or a vector of {count} of them" if expand else f"{count} values, each {rule.needed}"
    return Rule(needed, convert, ("x", [1] * (count + 1), [], None, *([element] * count for element in rule.bad)))


def flag() -> Rule:
    """Return the rule of true or false, also given as 1 or 0."""

    def convert(value: Any) -> bool:
        value = _scalar(value)
        if isinstance(value, (bool, np.bool_)) or (isinstance(value, numbers.Real) and value in (0, 1)):
            return bool(value)
        raise Refused

    return Rule("true or false (1 or 0)", convert, ("yes", 2, math.nan, [1, 0], None))


def text() -> Rule:
    """Return the rule of a text."""
    return Rule("a text", lambda value: str(value) if isinstance(value, str) else _refuse(), (1, None, ["a", "b"]))


def choice(*names: str) -> Rule:
    """Return the rule of one of ``names``, in any letter case or as an unambiguous beginning of it."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise Refused
        wanted = value.lower()
        exact = [name for name in names if name.lower() == wanted]
        found = exact or [name for name in names if name.lower().startswith(wanted)]
        if len(found) != 1:
            raise Refused
        return found[0]

    listed = ", ".join(f"'{name}'" for name in names)
    return Rule(f"one of {listed}" if len(names) > 1 else listed, convert, ("no such choice", "", 1, None), names)


def either(*rules: Rule) -> Rule:
    """Return the rule that takes what any of ``rules`` takes; the first that does decides the stored form."""

    def convert(value: Any) -> Any:
        for rule in rules:
            try:
                return rule.convert(value)
            except REFUSALS:
                continue
        raise Refused

    bad = tuple(value for rule in rules for value in rule.bad if not any(each.takes(value) for each in rules))
    names = tuple(name for rule in rules for name in rule.names)
    return Rule(", or ".join(rule.needed for rule in rules), convert, bad, names)


def function() -> Rule:
    """Return the rule of a function (MATLAB: a function handle)."""
    return Rule("a function", lambda value: value if callable(value) else _refuse(), (1, "x", None))


def empty(stored: Any = EMPTY) -> Rule:
    """Return the rule of ``[]``, stored as ``stored``."""
    return Rule("[]", lambda value: stored if is_empty(value) else _refuse(), ("x", 1))


def array(*, low: float = -math.inf) -> Rule:
    """Return the rule of a real numeric array, or ``[]``; single stays single, all else becomes double.

    The values must be finite also in single precision, in which networks compute.
    """

    def convert(value: Any) -> np.ndarray:
        if is_empty(value):
            return EMPTY
        result = np.asarray(value)
        shown = result[(slice(1),) * result.ndim] if is_repeated(result) else result
        if result.dtype.kind not in "fiub" or np.any(shown < low) or not finite_in_single(shown):
            raise Refused
        return read_only(result, result.dtype if result.dtype == np.float32 else np.float64)

    limit = "" if low == -math.inf else f", each of at least {low:g}"
    bad: tuple[Any, ...] = ("x", ["1"], [math.nan], [math.inf], 1j, 1e300, [[1], [1, 2]], [None])
    return Rule(
        f"a numeric array of finite values{limit}, or []", convert, bad if low == -math.inf else (*bad, [low - 1])
    )


def finite_in_single(x: np.ndarray) -> bool:
    """Tell whether all elements of a real array are finite in single precision."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(x.astype(np.float32, copy=False)).all())


def texts() -> Rule:
    """Return the rule of a list of texts (MATLAB: a string array or a cell array of character vectors)."""

    def convert(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, (Sequence, np.ndarray)) or not all(isinstance(item, str) for item in value):
            raise Refused
        return [str(item) for item in value]

    return Rule("a list of texts", convert, (1, [1, 2], ["a", None], None))


def anything() -> Rule:
    """Return the rule that takes every value; whoever reads the option checks it with more knowledge."""
    return Rule("any value", lambda value: value)
