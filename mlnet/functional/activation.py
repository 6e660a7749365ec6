"""Activation functions, fullyconnect and dlmtimes: differentiable as often as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted, wrap
from mlnet.errors import DataError, message
from mlnet.functional import traced
from mlnet.functional.batches import entering
from mlnet.functional.options import (
    DATA_FORMAT,
    WEIGHTS_FORMAT,
    array_of,
    as_given,
    of_one_type,
    options_class,
    weights_of,
    with_format,
)
from mlnet.layers.base import Size
from mlnet.options import Option
from mlnet.rules import choice

_FormatOptions = options_class("fullyconnect", DATA_FORMAT, WEIGHTS_FORMAT)
_SoftmaxOptions = options_class("softmax", DATA_FORMAT)
_GeluOptions = options_class(
    "gelu", Option("Approximation", "none", choice("none", "tanh"), "'tanh' for the approximation by tanh.")
)


def fullyconnect(X: Any, weights: Any, bias: Any, *args: Any, **options: Any) -> dlarray:
    """Return ``weights * X + bias`` for each observation.

    Parameters
    ----------
    X : dlarray
        Formatted, or unformatted with DataFormat. Channels and spatial dimensions count together, in MATLAB's order.
    weights : array
        (outputs, inputs).
    bias : array
        (outputs, 1), or one number.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    WeightsFormat : 'UC' or 'CU', optional
        'CU' for weights (inputs, outputs). Weights that are formatted dlarrays have their own format.

    Returns
    -------
    dlarray
        With the labels of X but 'S'; derivatives of any order.

    Raises
    ------
    DataError
        Where X is not formatted, or sizes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, fullyconnect
    >>> fullyconnect(dlarray(np.ones((2, 3)), 'CB'), [[1, 2]], 10)
      1(C) x 3(B) dlarray
    <BLANKLINE>
        13    13    13
    """
    chosen = _FormatOptions(*args, **options)
    fmt = chosen.DataFormat
    data = with_format(X, fmt, "fullyconnect: X")
    w = weights_of(weights, chosen.WeightsFormat, "UC", "fullyconnect")
    b = unformatted(array_of(bias, "fullyconnect"))
    batch = entering(data)
    inputs = int(np.prod(batch.array.shape[1:]))
    if w.ndim != 2 or w.shape[1] != inputs:
        needed = f"weights (outputs, {inputs}) for data of {inputs} elements"
        raise DataError(message("fullyconnect", needed, f"weights {w.shape}"))
    if b.size not in (1, len(w)):
        raise DataError(message("fullyconnect", f"a bias of {len(w)} numbers", f"{b.size}"))
    if b.size != len(w):
        b = np.broadcast_to(b.reshape(1, 1), (len(w), 1))
    x, w, b = of_one_type(batch.array, w, b)
    y = traced.linear(x if x.ndim == 2 else traced.flatten(x), w, b)
    size = Size("C" if batch.lengths is None else "CT", (len(w),))
    return as_given(batch.leaving(y, size, batch.lengths), fmt)


def relu(X: Any) -> dlarray:
    """Return ``max(X, 0)``; the derivative at 0 is 0.

    Examples
    --------
    >>> from mlnet import dlarray, relu
    >>> relu(dlarray([-1, 2])).extractdata()
    array([0., 2.])
    """
    return traced.relu(array_of(X, "relu"))


def leakyrelu(X: Any, scaleFactor: float = 0.01) -> dlarray:
    """Return X where it is positive, ``scaleFactor * X`` elsewhere.

    Examples
    --------
    >>> from mlnet import dlarray, leakyrelu
    >>> leakyrelu(dlarray([-1, 2]), 0.2).extractdata()
    array([-0.2,  2. ])
    """
    return traced.leaky_relu(array_of(X, "leakyrelu"), float(scaleFactor))


def sigmoid(X: Any) -> dlarray:
    """Return ``1 / (1 + exp(-X))``.

    Examples
    --------
    >>> from mlnet import dlarray, sigmoid
    >>> sigmoid(dlarray([0, 100])).extractdata()
    array([0.5, 1. ])
    """
    return traced.sigmoid(array_of(X, "sigmoid"))


def softplus(X: Any) -> dlarray:
    """Return ``log(1 + exp(X))``.

    Differs from MATLAB, which has it as a layer only.

    Examples
    --------
    >>> from mlnet import dlarray, softplus
    >>> softplus(dlarray([0, 1000])).extractdata().round(4)
    array([6.931e-01, 1.000e+03])
    """
    return traced.softplus(array_of(X, "softplus"))


def gelu(X: Any, *args: Any, **options: Any) -> dlarray:
    """Return X times the normal distribution of X (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    X : dlarray
    Approximation : 'none' or 'tanh', default 'none'
        'tanh' takes the approximation by the hyperbolic tangent.

    Examples
    --------
    >>> from mlnet import dlarray, gelu
    >>> gelu(dlarray([0, 100])).extractdata()
    array([  0., 100.])
    """
    return traced.gelu(array_of(X, "gelu"), _GeluOptions(*args, **options).Approximation)


def softmax(X: Any, *args: Any, **options: Any) -> dlarray:
    """Return ``exp(X) / sum of exp(X)`` over the channels.

    Parameters
    ----------
    X : dlarray
        Formatted with a dimension 'C', or unformatted with DataFormat.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X has no dimension 'C'.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, softmax
    >>> softmax(dlarray(np.zeros((4, 2)), 'CB')).extractdata()[0]
    array([0.25, 0.25])
    """
    fmt = _SoftmaxOptions(*args, **options).DataFormat
    data = with_format(X, fmt, "softmax: X")
    if "C" not in data.dims():
        raise DataError(message("softmax", "data with a dimension 'C'", f"'{data.dims()}'"))
    return as_given(traced.softmax(data, data.dims().index("C")), fmt)


def dlmtimes(A: Any, B: Any) -> dlarray:
    """Return the matrix products of the pages of two unformatted arrays, the first two dimensions being the matrices.

    Parameters
    ----------
    A : array (m, k, ...)
    B : array (k, n, ...)
        Further dimensions are the same or of length 1.

    Raises
    ------
    DataError
        Where one is formatted, or sizes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlmtimes
    >>> dlmtimes(np.ones((2, 3, 5)), np.ones((3, 4, 5))).shape
    (2, 4, 5)
    """
    a, b = array_of(A, "dlmtimes"), array_of(B, "dlmtimes")
    if a.dims() or b.dims():
        raise DataError(message("dlmtimes", "unformatted arrays", "a formatted one", "Use stripdims."))
    if a.ndim < 2 or b.ndim < 2 or a.shape[1] != b.shape[0]:
        raise DataError(message("dlmtimes", "arrays (m, k, ...) and (k, n, ...)", f"{a.shape} and {b.shape}"))
    count = max(a.ndim, b.ndim)
    pages = [np.moveaxis(each.reshape(*each.shape, *[1] * (count - each.ndim)), (0, 1), (-2, -1)) for each in (a, b)]
    product = np.moveaxis(np.matmul(*pages), (-2, -1), (0, 1))
    return wrap(product._data, product._node)
