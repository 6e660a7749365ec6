"""The functions that count and change the categories of categorical arrays; each returns a new array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical, categories
from mlnet.options import describe, from_one
from mlnet.rules import texts


def countcats(A: categorical, dim: int | None = None) -> np.ndarray:  # noqa: N803
    """Return how often each category occurs; undefined elements do not count.

    Parameters
    ----------
    A : categorical
    dim : int, optional
        The dimension, counted from 1, along which to count; by default the first whose length is not 1.

    Returns
    -------
    ndarray, int64
        As ``A``, with the K counts in place of the dimension: (K,) for (N,), (K, M) for (N, M).

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where ``A`` has no such dimension.

    Examples
    --------
    >>> from mlnet import categorical, countcats
    >>> countcats(categorical(['cat', 'dog', 'cat']))
    array([2, 1])
    """
    codes, names = _taken(A, "countcats")
    if dim is None:
        axis = next((axis for axis, length in enumerate(codes.shape) if length != 1), 0)
    else:
        axis = _axis("countcats", dim, codes.ndim)
    counts = [np.count_nonzero(codes == number, axis=axis) for number in range(len(names))]
    return np.moveaxis(np.array(counts, np.int64).reshape(len(names), *np.delete(codes.shape, axis)), 0, axis)


def iscategory(A: categorical, catnames: str | Sequence[str]) -> Any:  # noqa: N803
    """Tell which texts are categories of a categorical array.

    Parameters
    ----------
    A : categorical
    catnames : text, or list of texts

    Returns
    -------
    bool, or ndarray of bool
        An array for a list.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.

    Examples
    --------
    >>> from mlnet import categorical, iscategory
    >>> iscategory(categorical(['cat', 'dog']), ['dog', 'bird']).tolist()
    [True, False]
    """
    _, names = _taken(A, "iscategory")
    asked = _names("iscategory", "catnames", catnames)
    found = np.array([name in names for name in asked], bool)
    return bool(found[0]) if isinstance(catnames, str) else found


def isundefined(A: categorical) -> np.ndarray:  # noqa: N803
    """Tell which elements of a categorical array are undefined.

    Returns
    -------
    ndarray of bool, in the shape of ``A``

    Raises
    ------
    DataError
        Where ``A`` is not categorical.

    Examples
    --------
    >>> from mlnet import categorical, isundefined
    >>> isundefined(categorical(['cat', '', 'dog'])).tolist()
    [False, True, False]
    """
    return _taken(A, "isundefined")[0] < 0


def removecats(A: categorical, oldcats: str | Sequence[str] | None = None) -> categorical:  # noqa: N803
    """Return a categorical array without some categories, or without those that do not occur.

    Parameters
    ----------
    A : categorical
    oldcats : text or list of texts, optional
        Categories to remove; elements of them become undefined. By default all that do not occur.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    UnknownNameError
        Where ``oldcats`` is not a category.

    Examples
    --------
    >>> from mlnet import categorical, categories, removecats
    >>> categories(removecats(categorical(['b', 'c'], ['a', 'b', 'c'])))
    ['b', 'c']
    """
    codes, names = _taken(A, "removecats")
    if oldcats is None:
        return _with_names(codes, names, [names[number] for number in np.unique(codes[codes >= 0])])
    gone = _known("removecats", _names("removecats", "oldcats", oldcats), names)
    return _with_names(codes, names, [name for name in names if name not in gone])


def addcats(A: categorical, newcats: str | Sequence[str], *, Before: str = "", After: str = "") -> categorical:  # noqa: N803
    """Return a categorical array with more categories, none of which occurs.

    Parameters
    ----------
    A : categorical
    newcats : text or list of texts
    Before, After : text, optional
        The category before or behind which the new ones come; by default they come last.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where a new category is one already, or both Before and After are given.
    UnknownNameError
        Where Before or After is not a category.

    Examples
    --------
    >>> from mlnet import addcats, categorical, categories
    >>> categories(addcats(categorical(['a', 'c']), 'b', After='a'))
    ['a', 'b', 'c']
    """
    codes, names = _taken(A, "addcats")
    new = _different("addcats", "newcats", newcats)
    there = [name for name in new if name in names]
    if there:
        raise OptionError(f"addcats: needs new categories, but '{there[0]}' is one already.")
    if Before and After:
        raise OptionError("addcats: takes Before or After, but got both.")
    _known("addcats", [name for name in (Before, After) if name], names)
    place = names.index(Before) if Before else names.index(After) + 1 if After else len(names)
    return _with_names(codes, names, [*names[:place], *new, *names[place:]])


def setcats(A: categorical, newcats: str | Sequence[str]) -> categorical:  # noqa: N803
    """Return a categorical array with exactly these categories; elements of others become undefined.

    Parameters
    ----------
    A : categorical
    newcats : text or list of texts
        The categories in their order.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where ``newcats`` are not different texts.

    Examples
    --------
    >>> from mlnet import categorical, setcats
    >>> list(setcats(categorical(['a', 'b']), ['b', 'c']))
    [None, 'b']
    """
    codes, names = _taken(A, "setcats")
    return _with_names(codes, names, _different("setcats", "newcats", newcats))


def reordercats(A: categorical, neworder: Any = None) -> categorical:  # noqa: N803
    """Return a categorical array with its categories in another order.

    Parameters
    ----------
    A : categorical
    neworder : list of texts or of numbers, optional
        All categories in their new order, by name or by number (from 1); by default sorted by name.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where ``neworder`` does not have each category once.

    Examples
    --------
    >>> from mlnet import categorical, categories, reordercats
    >>> categories(reordercats(categorical(['low', 'high']), ['low', 'high']))
    ['low', 'high']
    """
    codes, names = _taken(A, "reordercats")
    if neworder is None:
        order = sorted(names)
    elif texts().takes(neworder):
        order = list(texts().convert(neworder))
    else:
        order = _by_number(neworder, names)
    if sorted(order) != sorted(names):
        raise OptionError(f"reordercats: neworder needs each of {describe(names)} once, but got {describe(neworder)}.")
    return _with_names(codes, names, order)


def renamecats(A: categorical, *names: str | Sequence[str]) -> categorical:  # noqa: N803
    """Return a categorical array with other names of its categories.

    ``B = renamecats(A, newnames)`` renames all of them, ``B = renamecats(A, oldnames, newnames)`` some.

    Parameters
    ----------
    A : categorical
    oldnames : text or list of texts, optional
    newnames : text or list of texts
        As many as there are old ones.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where the numbers of names differ, or two categories would have one name.
    UnknownNameError
        Where ``oldnames`` is not a category.

    Examples
    --------
    >>> from mlnet import categorical, categories, renamecats
    >>> categories(renamecats(categorical([0, 1]), '1', 'one'))
    ['0', 'one']
    """
    codes, before = _taken(A, "renamecats")
    if len(names) not in (1, 2):
        raise OptionError(f"renamecats: needs newnames, or oldnames and newnames, but got {len(names)} arguments.")
    old = before if len(names) == 1 else _known("renamecats", _different("renamecats", "oldnames", names[0]), before)
    new = _names("renamecats", "newnames", names[-1])
    if len(old) != len(new):
        raise OptionError(f"renamecats: needs {len(old)} new names, but got {len(new)}.")
    renamed = dict(zip(old, new, strict=True))
    after = [renamed.get(name, name) for name in before]
    if len(set(after)) < len(after):
        raise OptionError(
            f"renamecats: needs different names of the categories, but got {describe(after)}. "
            "To join them use mergecats."
        )
    return categorical.from_codes(codes, after)


def mergecats(A: categorical, oldcats: str | Sequence[str], newcat: str = "") -> categorical:  # noqa: N803
    """Return a categorical array in which several categories have become one.

    Parameters
    ----------
    A : categorical
    oldcats : list of texts
        The categories that become one, which takes the place of the first of them.
    newcat : text, optional
        Its name; by default that of the first.

    Raises
    ------
    DataError
        Where ``A`` is not categorical.
    OptionError
        Where ``newcat`` is another category.
    UnknownNameError
        Where ``oldcats`` is not a category.

    Examples
    --------
    >>> from mlnet import categorical, mergecats
    >>> list(mergecats(categorical(['cat', 'dog', 'fish']), ['cat', 'dog'], 'pet'))
    ['pet', 'pet', 'fish']
    """
    codes, names = _taken(A, "mergecats")
    old = _known("mergecats", _different("mergecats", "oldcats", oldcats), names)
    if not old:
        raise OptionError("mergecats: oldcats needs at least one category, but got none.")
    name = newcat or old[0]
    if name in names and name not in old:
        raise OptionError(f"mergecats: newcat: '{name}' is another category. Add it to oldcats.")
    kept = [name if each == old[0] else each for each in names if each == old[0] or each not in old]
    numbers = np.array([*(kept.index(name if each in old else each) for each in names), -1], np.int64)
    return categorical.from_codes(numbers[codes], kept)


def _with_names(codes: np.ndarray, before: list[str], after: list[str]) -> categorical:
    """Return the elements with the categories ``after``; undefined where theirs is not one of them."""
    numbers = {name: number for number, name in enumerate(after)}
    table = np.array([*(numbers.get(name, -1) for name in before), -1], np.int64)
    return categorical.from_codes(table[codes], after)


def _taken(A: Any, where: str) -> tuple[np.ndarray, list[str]]:  # noqa: N803
    if not isinstance(A, categorical):
        raise DataError(f"{where}: needs a categorical array, but got {describe(A)}. Use categorical(...).")
    return A.codes, categories(A)


def _axis(where: str, dim: Any, count: int) -> int:
    try:
        return int(from_one(where, [dim], count)[0])
    except IndexError:
        raise OptionError(f"{where}: dim needs a number from 1 to {count}, but got {describe(dim)}.") from None


def _names(where: str, argument: str, given: Any) -> list[str]:
    if isinstance(given, categorical):
        given = [name for name in given.names().ravel() if name is not None]
    if not texts().takes(given):
        raise OptionError(f"{where}: {argument} needs a text or a list of texts, but got {describe(given)}.")
    return list(texts().convert(given))


def _different(where: str, argument: str, given: Any) -> list[str]:
    names = _names(where, argument, given)
    if len(set(names)) < len(names):
        raise OptionError(f"{where}: {argument} needs different names, but got {describe(names)}.")
    return names


def _known(where: str, asked: list[str], names: list[str]) -> list[str]:
    for name in asked:
        if name not in names:
            raise UnknownNameError(f"{where}: there is no category '{name}'.{nearest(name, names)}")
    return asked


def _by_number(neworder: Any, names: list[str]) -> list[str]:
    try:
        return [names[number] for number in from_one("reordercats", neworder, len(names)).ravel()]
    except (IndexError, ValueError):
        raise OptionError(
            f"reordercats: neworder needs names or numbers of categories from 1 to {len(names)}, "
            f"but got {describe(neworder)}."
        ) from None
