"""padsequences: sequences of different lengths as one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical, categories
from mlnet.options import Argument, Declared, Option, Table, describe
from mlnet.rules import anything, choice, either, flag, integer

_LENGTH = either(choice("longest", "shortest"), integer())


class _Options(Declared):
    constructor_name = "padsequences"
    table = Table(
        Option("paddingDim", 1, integer(), "", argument=Argument.REQUIRED),
        Option("Length", "longest", _LENGTH, ""),
        Option("Direction", "right", choice("right", "left", "both"), ""),
        Option("PaddingValue", None, anything(), ""),
        Option("UniformOutput", True, flag(), ""),
    )


def padsequences(X: Any, *args: Any, nargout: int = 1, **kwargs: Any) -> Any:  # noqa: N803
    """Return sequences padded or cut to one length, as one array.

    ``XPad = padsequences(X, paddingDim)``, or ``XPad, mask = padsequences(X, paddingDim, nargout=2)``.

    Parameters
    ----------
    X : list of arrays
        Numeric, logical or categorical, of the same number of dimensions and of the same lengths but along
        ``paddingDim``.
    paddingDim : int
        The dimension, counted from 1, along which they are padded.
    Length : 'longest', 'shortest' or a positive integer, default 'longest'
        The length that they get; longer ones are cut.
    Direction : 'right', 'left' or 'both', default 'right'
        Where to pad or cut; with 'both' half at each side, an odd element at the right.
    PaddingValue : number, default 0
        For categorical sequences the name of a category; undefined by default.
    UniformOutput : bool, default True
        False: a list of the padded sequences in place of one array.
    nargout : 1 or 2, default 1

    Returns
    -------
    ndarray, categorical, or list of them
        The sequences side by side along a new last dimension: (C, S, N) for sequences (C, S).
    ndarray of bool, or list of them
        With ``nargout=2``: true where ``XPad`` has data, false where it has padding.

    Raises
    ------
    DataError
        Where the sequences do not go together.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import padsequences
    >>> padsequences([np.array([[1, 2, 3]]), np.array([[4]])], 2)[:, :, 1]
    array([[4, 0, 0]])
    """
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"padsequences: nargout needs to be 1 or 2, but is {nargout!r}.")
    options = _Options(*args, **kwargs)
    arrays, names = _arrays(X, options.paddingDim)
    axis = options.paddingDim - 1
    value = _value(options.PaddingValue, names)
    lengths = [array.shape[axis] for array in arrays]
    length = {"longest": max, "shortest": min}[options.Length](lengths) if isinstance(options.Length, str) else None
    length = options.Length if length is None else length
    dtype = np.result_type(*arrays)
    if names is None and not _fits(value, dtype):
        dtype = np.result_type(dtype, np.asarray(value).dtype)
    padded, masks = [], []
    for array in arrays:
        shape = (*array.shape[:axis], length, *array.shape[axis + 1 :])
        source, target = _places(array.shape[axis], length, options.Direction, axis)
        whole: np.ndarray = np.full(shape, value, dtype)
        whole[target] = array[source]
        mask = np.zeros(shape, bool)
        mask[target] = True
        padded.append(whole)
        masks.append(mask)
    found: Any = np.stack(padded, axis=-1) if options.UniformOutput else padded
    if names is not None:
        found = (
            categorical.from_codes(found, names)
            if options.UniformOutput
            else [categorical.from_codes(each, names) for each in padded]
        )
    if nargout == 1:
        return found
    return found, np.stack(masks, axis=-1) if options.UniformOutput else masks


def _arrays(X: Any, dim: int) -> tuple[list[np.ndarray], list[str] | None]:  # noqa: N803
    """Return the sequences as arrays; categorical ones as numbers of categories, with the names of these."""
    where = "padsequences"
    if isinstance(X, (str, categorical)) or not isinstance(X, (list, tuple, np.ndarray)) or not len(X):
        raise DataError(message(where, "a list of sequences", describe(X), "For one sequence give [X]."))
    sequences: list[Any] = list(X)
    names: list[str] | None = None
    if all(isinstance(each, categorical) for each in sequences):
        names = list(dict.fromkeys(name for each in sequences for name in categories(each)))
        arrays = [categorical(each, names).codes for each in sequences]
    else:
        arrays = [np.asarray(each) for each in sequences]
    for number, array in enumerate(arrays, start=1):
        if array.dtype.kind not in "fiubc":
            raise DataError(
                message(f"{where}: X", "numeric sequences", f"{describe(sequences[number - 1])} as number {number}")
            )
        if array.ndim < dim:
            fix = f"For a row of time steps give an array of shape (1, {array.size})." if array.ndim == 1 else ""
            came = f"shape {array.shape} as number {number}"
            raise DataError(message(where, f"sequences with at least {dim} dimensions (paddingDim)", came, fix))
        others = [tuple(np.delete(each.shape, dim - 1)) for each in (arrays[0], array)]
        if others[0] != others[1]:
            raise DataError(
                message(
                    where,
                    f"sequences of the same size but along dimension {dim}",
                    f"shapes {arrays[0].shape} and {array.shape} (number {number})",
                )
            )
    return arrays, names


def _value(given: Any, names: list[str] | None) -> Any:
    if names is None:
        if given is None:
            return 0
        number = np.asarray(given)
        if number.size != 1 or number.dtype.kind not in "fiubc":
            raise OptionError(message("padsequences: PaddingValue", "a number", describe(given)))
        return number.item()
    if given is None:
        return -1
    if given not in names:
        raise OptionError(message("padsequences: PaddingValue", f"one of the categories {names}", describe(given)))
    return names.index(given)


def _fits(value: Any, dtype: np.dtype) -> bool:
    """Tell whether an array of this type can hold the value, NaN in an array of floats included."""
    if dtype.kind in "fc":
        return not isinstance(value, complex) or dtype.kind == "c"
    return bool(np.array(value).astype(dtype) == value) if not isinstance(value, complex) and value == value else False


def _places(count: int, length: int, direction: str, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return which elements of a sequence are kept, and where they come."""
    difference = abs(length - count)
    before = {"right": 0, "left": difference, "both": difference // 2}[direction]
    kept = slice(before, before + min(count, length))
    all_before = (slice(None),) * axis
    whole = (*all_before, slice(None))
    part = (*all_before, kept)
    return (whole, part) if count <= length else (part, whole)
