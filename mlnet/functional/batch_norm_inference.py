"""batchNormInference: the operation of that name of OpenVINO, as a function."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, OptionError, message
from mlnet.options import describe

_FUNCTION = "batchNormInference"


def batchNormInference(data: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: Any) -> np.ndarray:
    """Return data normalized with a mean and a variance for each channel, then scaled and shifted.

    ``gamma * (data - mean) / sqrt(variance + epsilon) + beta`` for each channel, the second axis of ``data``.

    Parameters
    ----------
    data : ndarray (N, C, ...), float16, float32 or float64
        Two or more axes; the second one is that of the C channels.
    gamma, beta, mean, variance : ndarray (C,), of the type of ``data``
        Scale, offset, mean and variance of the channels. Lists of numbers take the type of ``data``.
    epsilon : number, 0 or more
        What is added to the variance, so that nothing is divided by zero.

    Returns
    -------
    ndarray
        Of shape and type of ``data``; NaN in channels where ``variance + epsilon`` is negative.

    Raises
    ------
    DataError
        Where ``data`` has less than two axes or no type of floating-point numbers, or another argument is not
        one-dimensional, has not one number for each channel, or is of another type.
    OptionError
        Where ``epsilon`` is not a number, infinite or negative.

    Notes
    -----
    Source: OpenVINO's operation BatchNormInference-5. Not in MATLAB, whose `batchnorm` has the channels where the
    labels of its dlarray say.

    Examples
    --------
    >>> batchNormInference(np.array([[1.0, 10.0], [3.0, 30.0]]), [1, 2], [0, 1], [2, 20], [1, 100], 0)
    array([[-1., -1.],
           [ 1.,  3.]])
    """
    x = _array("data", data)
    if x.dtype not in (np.float16, np.float32, np.float64):
        raise _error("data", "float16, float32 or float64 numbers", str(x.dtype), "Convert it: data.astype('float32').")
    if x.ndim < 2:
        raise _error("data", "two or more axes, the second one for channels", f"an array {x.shape}", "")
    add = _epsilon(epsilon)
    names = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    shape = (-1, *[1] * (x.ndim - 2))
    kind = np.float32 if x.dtype == np.float16 else x.dtype.type
    scale, offset, center, spread = (
        _per_channel(name, value, x).astype(kind).reshape(shape) for name, value in names.items()
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normalized = (x - center) / np.sqrt(spread + kind(add))
        return (scale * normalized + offset).astype(x.dtype)


def _epsilon(value: Any) -> float:
    given = np.asarray(value)
    is_number = isinstance(value, Real) or (given.ndim == 0 and given.dtype.kind in "fiu")
    if not is_number or isinstance(value, bool) or not math.isfinite(float(value)) or float(value) < 0:
        raise OptionError(f"{_FUNCTION}: epsilon needs to be a finite number, 0 or more, but is {value!r}.")
    return float(value)


def _per_channel(name: str, value: Any, x: np.ndarray) -> np.ndarray:
    array = _array(name, value)
    channels = x.shape[1]
    if array.ndim != 1:
        fix = f"Use {name}.ravel()." if array.size == channels else ""
        raise _error(name, "one axis", f"an array {array.shape}", fix)
    if len(array) != channels:
        needed = f"{channels} numbers, one for each channel of data {x.shape}"
        raise _error(name, needed, f"{len(array)}", "The channels are the second axis of data.")
    if isinstance(value, np.ndarray) and array.dtype != x.dtype:
        raise _error(name, f"the type of data, {x.dtype}", str(array.dtype), f"Use {name}.astype('{x.dtype}').")
    if array.dtype.kind not in "fiu":
        raise _error(name, "numbers", describe(value), "")
    return array


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, dlarray):
        raise _error(name, "an array of NumPy", "a dlarray", "Use extractdata, or the function batchnorm.")
    try:
        return np.asarray(value)
    except ValueError:
        raise _error(name, "an array", describe(value), "") from None


def _error(name: str, needed: str, came: str, fix: str) -> DataError:
    return DataError(message(f"{_FUNCTION}: {name}", needed, came, fix))
