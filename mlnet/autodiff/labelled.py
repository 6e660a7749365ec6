"""What asks for the labels of dlarrays, or takes them off."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.autodiff.formats import ORDER, parsed
from mlnet.errors import DataError, message
from mlnet.options import describe


def dims(X: dlarray) -> str:  # noqa: N803
    """Return the labels of the dimensions of a dlarray.

    Parameters
    ----------
    X : dlarray

    Returns
    -------
    str
        E.g. 'SSCB'; '' for an unformatted array.

    Raises
    ------
    DataError
        Where X is not a dlarray.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dims, dlarray
    >>> dims(dlarray(np.zeros((3, 4)), 'TS'))
    'ST'
    """
    return _checked(X, "dims").dims()


def finddim(X: dlarray, label: str) -> list[int]:  # noqa: N803
    """Return the numbers, from 1, of the dimensions with a label.

    Parameters
    ----------
    X : dlarray, or networkDataLayout
    label : 'S', 'C', 'B', 'T' or 'U'

    Returns
    -------
    list of int
        Empty where no dimension has the label.

    Raises
    ------
    DataError
        Where X is not a dlarray or there is no such label.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, finddim
    >>> finddim(dlarray(np.zeros((5, 4, 3, 2)), 'SSCB'), 'S')
    [1, 2]
    """
    if label not in tuple(ORDER):
        raise DataError(message("finddim", "a label 'S', 'C', 'B', 'T' or 'U'", describe(label)))
    labels = X.Format if isinstance(X, networkDataLayout) else _checked(X, "finddim").dims()
    return [number for number, each in enumerate(labels, start=1) if each == label]


def stripdims(X: Any, fmt: str = "") -> Any:  # noqa: N803
    """Return a dlarray without its format.

    Parameters
    ----------
    X : dlarray, or array
        An array that is no dlarray is returned as it is.
    fmt : text, optional
        The order that the dimensions are to have, as the labels of a format. Labels that X does not have become
        dimensions of length 1.

    Returns
    -------
    dlarray
        An unformatted one.

    Raises
    ------
    DataError
        Where X has labels that ``fmt`` does not have.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, stripdims
    >>> stripdims(dlarray(np.zeros((5, 2)), 'CB'), 'BC').shape
    (2, 5)
    """
    if not isinstance(X, dlarray):
        return X
    labels, plain = X.dims(), unformatted(X)
    if not fmt or not labels:
        return plain
    wanted = parsed(fmt, ())
    left = list(range(len(labels)))
    order: list[int | None] = []
    for label in wanted:
        axis = next((axis for axis in left if labels[axis] == label), None)
        order.append(axis)
        if axis is not None:
            left.remove(axis)
    if left:
        raise DataError(message("stripdims", f"a format with all labels of '{labels}'", f"'{wanted}'"))
    moved = plain.transpose(*[axis for axis in order if axis is not None])
    added = tuple(place for place, axis in enumerate(order) if axis is None)
    return np.expand_dims(moved, added) if added else moved


def extractdata(X: Any) -> Any:  # noqa: N803
    """Return the data of a dlarray as a NumPy array; what is computed from it is not differentiated.

    Parameters
    ----------
    X : dlarray, or array
        An array that is no dlarray is returned as it is.

    Returns
    -------
    ndarray
        A copy, with the dimensions in the order of the dlarray.

    Examples
    --------
    >>> from mlnet import dlarray, extractdata
    >>> extractdata(dlarray([1, 2]))
    array([1., 2.])
    """
    return X.extractdata() if isinstance(X, dlarray) else X


def _checked(value: Any, where: str) -> dlarray:
    if not isinstance(value, dlarray):
        raise DataError(message(where, "a dlarray", describe(value)))
    return value
