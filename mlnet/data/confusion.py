"""How often each class is taken for each class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical, categories, labels_of
from mlnet.options import describe


class Confusion(NamedTuple):
    """Counts by true class (rows) and predicted class (columns), and the names of the classes."""

    counts: np.ndarray
    names: list[str]


def confusionmat(known: Any, predicted: Any, Order: Any = None, nargout: int = 1) -> Any:  # noqa: N803
    """Count how often each class is predicted as each class.

    ``C = confusionmat(known, predicted)``, or ``C, order = confusionmat(known, predicted, nargout=2)``.

    Parameters
    ----------
    known, predicted : (N,) or (N, 1) labels
        Categorical, texts, integers or bools, both of one kind. Observations without a known or predicted class
        (undefined, '', NaN) do not count.
    Order : labels, optional
        The classes in their order. Default: of categorical arrays all categories, those of ``known`` first; otherwise
        the labels that appear, sorted.
    nargout : 1 or 2, default 1

    Returns
    -------
    ndarray (K, K), float64
        Row: known class; column: predicted class.
    categorical, ndarray or list of texts (K,)
        With ``nargout=2``: the classes, of the kind of ``known``.

    Raises
    ------
    DataError
        Where the labels do not go together, or one is not in ``Order``.
    OptionError
        Where ``Order`` names a class twice, or ``nargout`` is neither 1 nor 2.

    Examples
    --------
    >>> from mlnet import categorical, confusionmat
    >>> known = categorical(['cat', 'dog', 'dog', 'owl'])
    >>> C, order = confusionmat(known, categorical(['cat', 'dog', 'cat', 'owl']), nargout=2)
    >>> C.tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> order
      3x1 categorical array
    <BLANKLINE>
         cat
         dog
         owl
    """
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"confusionmat: nargout needs to be 1 or 2, but is {nargout!r}.")
    order = None if Order is None else labels_of(Order, "confusionmat: Order")
    counts, names = confusion(known, predicted, "confusionmat", order)
    return counts if nargout == 1 else (counts, _like(known, names))


def confusion(known: Any, predicted: Any, where: str, order: categorical | None = None) -> Confusion:
    """Return the counts for the function ``where``."""
    _check_kinds(known, predicted, where)
    truth, guess = labels_of(known, f"{where}: true labels"), labels_of(predicted, f"{where}: predicted labels")
    if truth.size != guess.size or max(truth.shape) != truth.size or max(guess.shape) != guess.size:
        raise DataError(
            f"{where}: needs as many predicted labels as true ones, each (N,) or (N, 1), but got shapes "
            f"{truth.shape} and {guess.shape}."
        )
    names = _names(truth, guess, known) if order is None else order.names().ravel().tolist()
    if len(set(names)) != len(names) or None in names:
        raise OptionError(f"{where}: Order needs different, defined classes, but got {describe(names)}.")
    number = {name: index for index, name in enumerate(names)}
    rows, columns = _numbers(truth, number, where), _numbers(guess, number, where)
    counted = (rows >= 0) & (columns >= 0)
    flat = rows[counted] * len(names) + columns[counted]
    counts = np.bincount(flat, minlength=len(names) ** 2).reshape(len(names), len(names))
    return Confusion(counts.astype(np.float64), names)


def _check_kinds(known: Any, predicted: Any, where: str) -> None:
    """Refuse numbers beside texts: they would never be equal. Categorical labels go with everything."""
    kinds = [_kind(labels) for labels in (known, predicted)]
    if "categorical" not in kinds and kinds[0] != kinds[1]:
        raise DataError(f"{where}: needs labels of one kind, but the true ones are {kinds[0]}, the others {kinds[1]}.")


def _kind(labels: Any) -> str:
    if isinstance(labels, categorical):
        return "categorical"
    array = np.asarray(labels, dtype=None if isinstance(labels, np.ndarray) else object).ravel()
    kinds = {"texts" if isinstance(each, (str, bytes, type(None))) else "numbers" for each in array.tolist()}
    return " and ".join(sorted(kinds)) or "numbers"


def _names(truth: categorical, guess: categorical, known: Any) -> list[str]:
    """Return the classes: those of ``truth`` and then new ones of ``guess``; sorted where nobody gave an order."""
    names = list(dict.fromkeys([*categories(truth), *categories(guess)]))
    if isinstance(known, categorical):
        return names
    return sorted(names, key=float) if _kind(known) == "numbers" and _are_numbers(names) else sorted(names)


def _are_numbers(names: list[str]) -> bool:
    try:
        return all(float(name) == float(name) for name in names)
    except ValueError:
        return False


def _numbers(labels: categorical, number: dict[str, int], where: str) -> np.ndarray:
    """Return the numbers of the classes of ``labels``; -1 where undefined."""
    codes = labels.codes.ravel()
    own = categories(labels)
    unknown = [name for index, name in enumerate(own) if name not in number and (codes == index).any()]
    if unknown:
        raise DataError(f"{where}: the class '{unknown[0]}' of the labels is not in Order.")
    table = np.array([*(number.get(name, -1) for name in own), -1])
    return table[codes]


def _like(known: Any, names: list[str]) -> Any:
    """Return the names of classes as labels of the kind of ``known``."""
    if isinstance(known, categorical):
        return categorical(names, names)
    array = np.asarray(known)
    if array.dtype.kind == "b":
        return np.array([name == "true" for name in names])
    return np.array([float(name) for name in names]).astype(array.dtype) if array.dtype.kind in "iuf" else names
