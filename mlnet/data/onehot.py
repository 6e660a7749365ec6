"""onehotencode and onehotdecode: between labels and vectors with a one at the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.sources.columns import columns_of, is_table
from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical, categories, labels_of
from mlnet.options import describe
from mlnet.rules import REFUSALS, choice
from mlnet.table import DataTable

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TYPES = {name: np.dtype(name) for name in ("single", "double", "logical", *_INTEGERS) if name != "logical"}
_TYPES["logical"] = np.dtype(bool)


def onehotencode(A: Any, featureDim: int | None = None, typename: str | None = None, *, ClassNames: Any = None) -> Any:  # noqa: N803
    """Return labels as vectors with a one at the class and zeros elsewhere.

    ``B = onehotencode(A, featureDim)``; for a table with one column of labels, ``tblB = onehotencode(tbl)``.

    Parameters
    ----------
    A : categorical, array of texts, numeric array, or table
        Labels. The dimension ``featureDim`` must have length 1; an array of one dimension (N,) stands for a row with
        ``featureDim=1`` and for a column with ``featureDim=2``.
    featureDim : int
        The dimension, counted from 1, along which the vectors lie.
    typename : text, optional
        'single', 'double', 'logical', 'int8' and so on. By default 'single' for categories and texts, and the type of
        ``A`` for numbers.
    ClassNames : list, optional
        The classes in their order; required for numbers. Labels of other classes are undefined. By default the
        categories of ``A``.

    Returns
    -------
    ndarray, or DataTable
        The K classes are in the place of ``featureDim``. Undefined labels give NaN; with a type that has none, an
        error. A table has a column for each class.

    Raises
    ------
    DataError
        Where ``A`` has no labels, its dimension is not of length 1, or labels are undefined where there is no NaN.
    OptionError
        Where an argument is not allowed.

    Examples
    --------
    >>> from mlnet import categorical, onehotencode
    >>> onehotencode(categorical(['red', 'blue', 'red']), 2)
    array([[0., 1.],
           [1., 0.],
           [0., 1.]], dtype=float32)
    """
    if is_table(A):
        return _encoded_table(A, typename, ClassNames)
    if featureDim is None:
        raise OptionError("onehotencode: the argument featureDim is missing, e.g. onehotencode(A, 2).")
    if hasattr(A, "cat"):  # a column of pandas keeps the order of its categories
        A = categorical(np.asarray(A), list(A.cat.categories))  # noqa: N806
    array = A if isinstance(A, categorical) else np.asarray(A)
    is_numeric = not isinstance(array, categorical) and array.dtype.kind in "fiub"
    if is_numeric and ClassNames is None:
        raise OptionError("onehotencode: numbers need ClassNames, the values of the classes in their order.")
    labels = labels_of(array, "onehotencode") if ClassNames is None else categorical(array, ClassNames)
    codes, names = labels.codes, categories(labels)
    axis = _axis("onehotencode", featureDim)
    if codes.ndim == 1 and axis < 2:
        codes = np.expand_dims(codes, axis)
    codes = codes.reshape(*codes.shape, *[1] * (axis + 1 - codes.ndim))
    if codes.shape[axis] != 1:
        raise DataError(
            message(
                "onehotencode", f"labels of length 1 along dimension {featureDim}", f"an array of shape {codes.shape}"
            )
        )
    given = _dtype("onehotencode", typename)
    dtype = given or (array.dtype if is_numeric and isinstance(array, np.ndarray) else np.dtype(np.float32))
    numbers = np.arange(len(names)).reshape(-1, *[1] * (codes.ndim - 1 - axis))
    result: np.ndarray = np.equal(codes, numbers).astype(dtype)
    missing = np.broadcast_to(codes < 0, result.shape)
    if missing.any():
        if dtype.kind != "f":
            raise DataError(
                f"onehotencode: needs defined labels for the type {dtype}, which has no NaN, but "
                f"{np.count_nonzero(codes < 0)} are undefined. Use 'single'."
            )
        result[missing] = np.nan
    return result


def onehotdecode(B: Any, classes: Any, featureDim: int, typename: str = "categorical") -> Any:  # noqa: N803
    """Return the class of each vector: that of its greatest element.

    Parameters
    ----------
    B : array or dlarray
        One-hot vectors, or scores.
    classes : list of texts or of numbers
        The classes in their order.
    featureDim : int
        The dimension, counted from 1, along which the vectors lie.
    typename : text, default 'categorical'
        'categorical', 'string', or for numeric classes a numeric type such as 'double'.

    Returns
    -------
    categorical or ndarray
        As ``B``, with length 1 along ``featureDim``; undefined where a vector has NaN. With 'string' an array of texts
        ('' where undefined), with a numeric type one of numbers.

    Raises
    ------
    DataError
        Where there are not as many classes as ``B`` has elements along the dimension.
    OptionError
        Where an argument is not allowed.

    Examples
    --------
    >>> from mlnet import onehotdecode
    >>> list(onehotdecode([[0.1, 0.9], [0.8, 0.2]], ['blue', 'red'], 2)[:, 0])
    ['red', 'blue']
    """
    where = "onehotdecode"
    array = B.extractdata() if isinstance(B, dlarray) else np.asarray(B)
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "a numeric array", describe(B)))
    axis = _axis(where, featureDim)
    array = array.reshape(*array.shape, *[1] * (axis + 1 - array.ndim))
    values = list(classes.names().ravel()) if isinstance(classes, categorical) else list(np.ravel(classes))
    if len(values) != array.shape[axis]:
        came = f"{len(values)} classes for {array.shape[axis]}"
        raise DataError(message(where, f"a class for each element along dimension {featureDim}", came))
    codes = np.expand_dims(array.argmax(axis), axis)
    codes[np.isnan(array).any(axis, keepdims=True)] = -1
    names = categories(categorical(values, values))
    try:
        kind = choice("categorical", "string", *_TYPES).convert(typename)
    except REFUSALS:
        raise _refused(where, typename, ("categorical", "string", *_TYPES)) from None
    if kind == "categorical":
        return categorical.from_codes(codes, names)
    if kind == "string":
        return np.array([*names, ""])[codes]
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiub" or ((codes < 0).any() and _TYPES[kind].kind != "f"):
        came = "vectors with NaN" if (codes < 0).any() else f"classes {describe(values)}"
        raise DataError(message(where, f"classes that are numbers of type {kind}", came, "Use 'categorical'."))
    result: np.ndarray = numbers.astype(_TYPES[kind])[codes]
    if (codes < 0).any():
        result[codes < 0] = np.nan
    return result


def _encoded_table(table: Any, typename: str | None, class_names: Sequence[Any] | None) -> DataTable:
    columns = columns_of(table)
    names = list(columns)
    if len(names) != 1:
        fix = f"Give a column, e.g. onehotencode(tbl[['{names[-1]}']])." if names else ""
        raise DataError(message("onehotencode", "a table with one column of labels", f"{len(names)} columns", fix))
    column = columns[names[0]]
    labels = column if isinstance(column, categorical) else categorical(column)
    encoded = onehotencode(labels, 2, typename, ClassNames=class_names)
    known = categories(categorical(labels, class_names))
    return DataTable(**{name: list(encoded[:, number]) for number, name in enumerate(known)})


def _axis(where: str, dim: Any) -> int:
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise OptionError(message(f"{where}: featureDim", "the number of a dimension, from 1", describe(dim)))
    return int(dim) - 1


def _dtype(where: str, typename: str | None) -> np.dtype | None:
    if typename is None:
        return None
    try:
        return _TYPES[choice(*_TYPES).convert(typename)]
    except REFUSALS:
        raise _refused(where, typename, tuple(_TYPES)) from None


def _refused(where: str, typename: Any, names: Sequence[str]) -> OptionError:
    return OptionError(message(f"{where}: typename", choice(*names).needed, describe(typename)))
