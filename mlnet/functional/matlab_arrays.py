"""MATLAB's functions of shapes and types, for dlarrays and NumPy arrays.

Dimensions are counted from 1, and elements with the first dimension fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted, wrap
from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical
from mlnet.options import describe

_CLASSES = {"single": np.float32, "double": np.float64, "logical": np.bool_}


def size(X: Any, *dim: Any) -> Any:
    """Return the lengths of the dimensions of an array.

    Parameters
    ----------
    X : dlarray, or array
        A vector without labels is a row, 1 x n.
    *dim : positive integers, or one list of them, optional
        The dimensions, counted from 1, whose lengths are wanted; those that X does not have are of length 1.

    Returns
    -------
    tuple of int
        An int where one dimension is asked for.

    Raises
    ------
    OptionError
        Where a dimension is no positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, size
    >>> X = dlarray(np.zeros((28, 28, 3)), 'SSC')
    >>> size(X), size(X, 1), size(X, 4), size(X, [1, 2])
    ((28, 28, 3), 28, 1, (28, 28))
    """
    shape = _array(X, "size").shape
    if not dim:
        return shape
    wanted = _integers(dim, "size: dim", 1)
    found = tuple(shape[each - 1] if each <= len(shape) else 1 for each in wanted)
    return found[0] if len(dim) == 1 and np.ndim(dim[0]) == 0 else found


def cat(dim: int, *arrays: Any) -> Any:
    """Return arrays joined along a dimension.

    Parameters
    ----------
    dim : positive integer
        Counted from 1; arrays without it get it.
    *arrays : dlarrays, or arrays
        Of the same lengths along all other dimensions. Formatted ones have the same format.

    Returns
    -------
    dlarray, or ndarray
        Single where one of them is; formatted where one of them is and has the dimension.

    Raises
    ------
    DataError
        Where lengths or formats do not fit.
    OptionError
        Where ``dim`` is no positive integer, or there is nothing to join.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import cat, dlarray
    >>> cat(4, dlarray(np.zeros((5, 5, 3)), 'SSC'), dlarray(np.ones((5, 5, 3)), 'SSC')).shape
    (5, 5, 3, 2)
    """
    (axis,) = (each - 1 for each in _integers((dim,), "cat: dim", 1))
    given = [_array(each, "cat") for each in arrays]
    if not given:
        raise OptionError(message("cat", "at least one array", "none"))
    count = max(axis + 1, *(each.ndim for each in given))
    whole = [_extended(each, count) for each in given]
    rest = {each.shape[:axis] + each.shape[axis + 1 :] for each in whole}
    if len(rest) > 1:
        sizes = ", ".join("x".join(map(str, each.shape)) for each in given)
        raise DataError(message("cat", f"arrays of the same size but along dimension {axis + 1}", f"sizes {sizes}"))
    if not any(isinstance(each, dlarray) for each in whole):
        dtype = np.float32 if any(each.dtype == np.float32 for each in whole) else None
        return np.concatenate(whole, axis=axis, dtype=dtype, casting="unsafe")
    return np.concatenate(whole, axis=axis)


def permute(X: Any, order: Sequence[int]) -> Any:
    """Return an array with its dimensions in another order, without labels.

    Parameters
    ----------
    X : dlarray, or array
    order : sequence of positive integers
        All dimensions of X, counted from 1; more of them are of length 1.

    Raises
    ------
    OptionError
        Where ``order`` does not name each dimension once.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import permute
    >>> permute(np.zeros((4, 5)), [3, 1, 2]).shape
    (1, 4, 5)
    """
    array = _plain(X, "permute")
    wanted = _integers((order,), "permute: order", 1)
    if sorted(wanted) != [*range(1, len(wanted) + 1)] or len(wanted) < array.ndim:
        needed = f"each of the {array.ndim} dimensions once, counted from 1"
        raise OptionError(message("permute: order", needed, describe(list(wanted))))
    return _extended(array, len(wanted)).transpose([each - 1 for each in wanted])


def reshape(X: Any, *size: Any) -> Any:
    """Return the elements of an array in another shape, taken and put with the first dimension fastest, as in MATLAB.

    The method ``X.reshape`` and `numpy.reshape` have the last dimension fastest.

    Parameters
    ----------
    X : dlarray, or array
    *size : integers, or one sequence of them
        The new lengths; one of them may be ``[]``, which stands for what is left.

    Returns
    -------
    dlarray, or ndarray
        Without labels.

    Raises
    ------
    DataError
        Where the numbers of elements differ.
    OptionError
        Where a length is no integer of at least 0.

    Examples
    --------
    >>> from mlnet import reshape
    >>> reshape([[1, 3, 5], [2, 4, 6]], 3, [])
    array([[1, 4],
           [2, 5],
           [3, 6]])
    """
    array = _plain(X, "reshape")
    given = list(size[0]) if len(size) == 1 and np.ndim(size[0]) == 1 else list(size)
    open_ones = [place for place, each in enumerate(given) if np.ndim(each) == 1 and not len(each)]
    known = _integers([each for place, each in enumerate(given) if place not in open_ones], "reshape: size", 0)
    lengths = list(known)
    count = math.prod(known)
    if len(open_ones) == 1:
        lengths.insert(open_ones[0], array.size // count if count else 0)
    if len(open_ones) > 1 or math.prod(lengths) != array.size:
        came = "x".join("[]" if place in open_ones else str(each) for place, each in enumerate(given))
        raise DataError(message("reshape", f"a size of {array.size} elements, with at most one []", came))
    return array.reshape(lengths, order="F")


def repmat(X: Any, *counts: Any) -> Any:
    """Return copies of an array side by side along each dimension.

    Parameters
    ----------
    X : dlarray, or array
    *counts : integers of at least 0, or one sequence of them
        How many copies along the first, second, ... dimension; a single number counts for both of the first two.

    Returns
    -------
    dlarray, or ndarray
        With the labels of X where there are no more counts than dimensions.

    Raises
    ------
    OptionError
        Where a count is no integer of at least 0.

    Examples
    --------
    >>> from mlnet import repmat
    >>> repmat([[1, 2]], 2, 2)
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    array = _array(X, "repmat")
    times = _integers(counts, "repmat", 0)
    if not times:
        raise OptionError(message("repmat", "how many copies", "nothing"))
    if len(counts) == 1 and np.ndim(counts[0]) == 0:
        times *= 2
    array = _extended(array, len(times))
    return np.tile(array, (*times, *[1] * (array.ndim - len(times))))


def squeeze(X: Any) -> Any:
    """Return an array without its dimensions of length 1; arrays of at most two dimensions stay as they are.

    Of unformatted arrays two dimensions are left, 1 x 1 x 3 becomes 3 x 1. `numpy.squeeze` leaves none.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import squeeze
    >>> squeeze(np.zeros((1, 1, 3))).shape
    (3, 1)
    """
    array = _array(X, "squeeze")
    if array.ndim <= 2:
        return array
    found = np.squeeze(array)
    return found if isinstance(found, dlarray) and found.dims() else _extended(found, 2)


def ones(*size: Any) -> Any:
    """Return an array of ones: ``ones(2, 3)``, ``ones([2, 3], 'single')``, ``ones(size(X), 'like', X)``.

    Parameters
    ----------
    *size : integers of at least 0, or one sequence of them
        The lengths; a single number n stands for n x n. Behind them a type, 'double' (the default), 'single' or
        'logical', or 'like' and an array: the result has its type, and is a dlarray where it is one.

    Raises
    ------
    OptionError
        Where a length or type is none.

    Examples
    --------
    >>> from mlnet import dlarray, ones
    >>> ones(1, 2, 'like', dlarray(5.0))
      1x2 dlarray
    <BLANKLINE>
         1     1
    """
    return _filled("ones", np.ones, size)


def zeros(*size: Any) -> Any:
    """Return an array of zeros; arguments are those of `ones`.

    Examples
    --------
    >>> from mlnet import zeros
    >>> zeros(1, 2, 'single')
    array([[0., 0.]], dtype=float32)
    """
    return _filled("zeros", np.zeros, size)


def single(X: Any) -> Any:
    """Return an array in single precision; dlarrays stay traced, categorical arrays become the numbers of classes.

    Examples
    --------
    >>> from mlnet import single
    >>> single([1, 2])
    array([1., 2.], dtype=float32)
    """
    return _as_type(X, np.float32, "single")


def double(X: Any) -> Any:
    """Return an array in double precision; dlarrays stay traced, categorical arrays become the numbers of classes.

    The number of an undefined class is NaN.

    Examples
    --------
    >>> from mlnet import categorical, double
    >>> double(categorical(['b', 'a', 'b']))
    array([2., 1., 2.])
    """
    return _as_type(X, np.float64, "double")


def _as_type(value: Any, dtype: type, where: str) -> Any:
    if isinstance(value, categorical):
        codes = np.asarray(value.codes)
        return np.where(codes < 0, np.nan, codes + 1.0).astype(dtype)
    return _numbers(value, where).astype(dtype)


def _filled(where: str, create: Callable[..., np.ndarray], given: tuple[Any, ...]) -> Any:
    """Return what ``ones`` or ``zeros`` creates."""
    first = next((place for place, each in enumerate(given) if isinstance(each, str)), len(given))
    lengths, rest = _integers(given[:first], where, 0), given[first:]
    if first == 1 and np.ndim(given[0]) == 0:
        lengths *= 2
    lengths = lengths or (1, 1)
    if not rest:
        return create(lengths)
    if rest[0].lower() == "like" and len(rest) == 2:
        like = _numbers(rest[1], where)
        array = create(lengths, like.dtype)
        return wrap(array) if isinstance(like, dlarray) else array
    if len(rest) > 1 or rest[0].lower() not in _CLASSES:
        raise OptionError(message(where, "'single', 'double', 'logical', or 'like' and an array", describe(rest[0])))
    return create(lengths, _CLASSES[rest[0].lower()])


def _array(value: Any, where: str) -> Any:
    """Return a dlarray or a NumPy array of numbers; vectors without labels are rows, as they are shown."""
    array = _numbers(value, where)
    is_row = array.ndim < 2 and not (isinstance(array, dlarray) and array.dims())
    return array.reshape(1, -1) if is_row else array


def _plain(value: Any, where: str) -> Any:
    array = _array(value, where)
    return unformatted(array) if isinstance(array, dlarray) else array


def _numbers(value: Any, where: str) -> Any:
    """Return a dlarray as it is, and all else as a NumPy array of numbers."""
    if isinstance(value, dlarray):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "a dlarray, or an array of numbers", describe(value)))
    return array


def _extended(array: Any, count: int) -> Any:
    """Return an array with dimensions of length 1 behind its own, without labels where any are added."""
    return array if array.ndim >= count else np.reshape(array, (*array.shape, *[1] * (count - array.ndim)))


def _integers(given: Sequence[Any], where: str, lowest: int) -> tuple[int, ...]:
    """Return integers that were given one by one or as one sequence."""
    if len(given) == 1 and np.ndim(given[0]) == 1:
        given = list(given[0])
    numbers = [each.item() if isinstance(each, (np.ndarray, np.generic, dlarray)) and np.size(each) == 1 else each
               for each in given]  # fmt: skip
    for each in numbers:
        if isinstance(each, bool) or not isinstance(each, (int, float)) or each != each // 1 or each < lowest:
            needed = "positive integers" if lowest else "integers of at least 0"
            raise OptionError(message(where, needed, describe(each)))
    return tuple(int(each) for each in numbers)
