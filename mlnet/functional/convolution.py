"""dlconv and dltranspconv: the operations of the convolution layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.errors import DataError, OptionError, UnknownNameError, message
from mlnet.functional.options import LayerFunction, array_of, as_given, weights_of, with_format
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.convolution1d import convolution1dLayer
from mlnet.layers.convolution3d import convolution3dLayer
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.transposed_convolution import transposedConv1dLayer, transposedConv2dLayer, transposedConv3dLayer

_CONVOLUTIONS = {1: convolution1dLayer, 2: convolution2dLayer, 3: convolution3dLayer}
_TRANSPOSED = {1: transposedConv1dLayer, 2: transposedConv2dLayer, 3: transposedConv3dLayer}


def dlconv(X: Any, weights: Any, bias: Any, *args: Any, **options: Any) -> dlarray:
    """Return the convolution of data with filters, over the spatial dimensions, or over time where there are none.

    Parameters
    ----------
    X : dlarray
        Formatted, e.g. 'SSCB', 'SCB', 'SSSCB' or 'CBT', or unformatted with DataFormat.
    weights : array
        Filter size x channels x filters; over two dimensions also height x width x channels per group x filters per
        group x groups.
    bias : array
        One number for each filter, or one number.
    Stride, DilationFactor : positive integers, default 1
        One, or one for each dimension.
    Padding : number, vector, 'same' or 'causal', default 0
        As for `convolution2dLayer` and its relatives.
    PaddingValue : number or text, default 0
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    WeightsFormat : text, optional
        Labels of the dimensions of the weights, in any order: 'S' or 'T' of the filter, 'C' channels, 'U' filters, then
        groups. Weights that are formatted dlarrays have their own.

    Returns
    -------
    dlarray
        In the format of X; derivatives of any order.

    Raises
    ------
    DataError
        Where X is not formatted, or sizes do not fit.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, dlconv
    >>> dlconv(dlarray(np.ones((8, 8, 3, 2)), 'SSCB'), np.ones((3, 3, 3, 5)), 0, Padding='same', Stride=2).shape
    (4, 4, 5, 2)
    """
    where = "dlconv"
    given = _options(where, args, options)
    fmt = given.pop("DataFormat", "")
    data = with_format(X, fmt, f"{where}: X")
    w, dimensions = _weights(weights, given.pop("WeightsFormat", ""), data, where)
    if w.ndim == dimensions + 3 and dimensions == 2:
        size, (filters, groups) = w.shape[:2], w.shape[3:]
        function = LayerFunction(where, groupedConvolution2dLayer, size, filters, groups, **given)
        channels, b = w.shape[2] * groups, _bias(bias, (1, 1, filters, groups), where)
    else:
        size, filters = w.shape[:dimensions], w.shape[-1]
        function = LayerFunction(where, _CONVOLUTIONS[dimensions], _size(size), filters, **given)
        channels, b = w.shape[dimensions], _bias(bias, (*[1] * dimensions, filters), where)
    _check_channels(data, channels, w, where)
    (result,), _ = function(data, parameters=[w, b])
    return as_given(result, fmt)


def dltranspconv(X: Any, weights: Any, bias: Any, *args: Any, **options: Any) -> dlarray:
    """Return the transposed convolution of data with filters, over the spatial dimensions, or over time.

    Parameters
    ----------
    X : dlarray
        Formatted, e.g. 'SSCB', 'SCB', 'SSSCB' or 'CBT', or unformatted with DataFormat.
    weights : array
        Filter size x filters x channels.
    bias : array
        One number for each filter, or one number.
    Stride : positive integers, default 1
        One, or one for each dimension.
    Cropping : number, vector or 'same', default 0
        As for `transposedConv2dLayer` and its relatives.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    WeightsFormat : text, optional
        Labels of the dimensions of the weights, in any order: 'S' or 'T' of the filter, 'C' channels, 'U' filters.
        Weights that are formatted dlarrays have their own.

    Returns
    -------
    dlarray
        In the format of X; derivatives of any order.

    Raises
    ------
    DataError
        Where X is not formatted, or sizes do not fit.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, dltranspconv
    >>> dltranspconv(dlarray(np.ones((4, 4, 3, 2)), 'SSCB'), np.ones((3, 3, 5, 3)), 0, Stride=2, Cropping='same').shape
    (8, 8, 5, 2)
    """
    where = "dltranspconv"
    given = _options(where, args, options)
    fmt = given.pop("DataFormat", "")
    data = with_format(X, fmt, f"{where}: X")
    w, dimensions = _weights(weights, given.pop("WeightsFormat", ""), data, where)
    filters = w.shape[dimensions]
    function = LayerFunction(where, _TRANSPOSED[dimensions], _size(w.shape[:dimensions]), filters, **given)
    _check_channels(data, w.shape[-1], w, where)
    b = _bias(bias, (*[1] * dimensions, filters), where)
    (result,), _ = function(data, parameters=[w, b])
    return as_given(result, fmt)


_NAMES = ("Stride", "DilationFactor", "Padding", "PaddingValue", "Cropping", "DataFormat", "WeightsFormat")


def _options(where: str, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call by their documented names; others are left to the layer, which refuses them."""
    if len(args) % 2:
        raise OptionError(f"{where}: takes name-value pairs behind the bias, but got an odd number of arguments.")
    pairs = {**dict(zip(args[::2], args[1::2], strict=True)), **options}
    known = {name.lower(): name for name in _NAMES if name != ("Cropping" if where == "dlconv" else "Padding")}
    unknown = [name for name in pairs if str(name).lower() not in known]
    if unknown:
        raise UnknownNameError(f"{where}: there is no option '{unknown[0]}'. Known names: {', '.join(known.values())}.")
    return {known[name.lower()]: value for name, value in pairs.items()}


def _weights(weights: Any, fmt: str, data: dlarray, where: str) -> tuple[dlarray, int]:
    """Return the weights and the number of dimensions of the filters."""
    dimensions = data.dims().count("S") or 1
    if dimensions == 1 and not set(data.dims()) & set("ST"):
        raise DataError(message(f"{where}: X", "data with dimensions 'S' or 'T'", f"'{data.dims()}'"))
    order = (data.dims().count("S") * "S" or "T") + ("CU" if where == "dlconv" else "UC")
    is_grouped = len(fmt or getattr(weights, "_labels", "")) == len(order) + 1 and where == "dlconv"
    w = weights_of(weights, fmt, order + "U" * is_grouped, where)
    missing = dimensions + 2 - w.ndim
    w = w.reshape(*w.shape, *[1] * missing) if missing > 0 else w
    if w.ndim > dimensions + (3 if where == "dlconv" and dimensions == 2 else 2):
        needed = f"weights of {dimensions + 2} dimensions for '{data.dims()}'"
        raise DataError(message(where, needed, f"{w.shape}"))
    return w, dimensions


def _size(shape: tuple[int, ...]) -> Any:
    return shape[0] if len(shape) == 1 else list(shape)


def _bias(bias: Any, shape: tuple[int, ...], where: str) -> dlarray:
    b = unformatted(array_of(bias, f"{where}: bias"))
    count = int(np.prod(shape))
    if b.size == 1:
        return np.broadcast_to(b.reshape([1] * len(shape)), shape)
    if b.size != count:
        raise DataError(message(f"{where}: bias", f"{count} numbers, one for each filter, or one", f"{b.size}"))
    return b.reshape(shape, order="F") if b.shape != shape else b


def _check_channels(data: dlarray, channels: int, weights: dlarray, where: str) -> None:
    own = data.shape[data.dims().index("C")] if "C" in data.dims() else 1
    if own != channels:
        raise DataError(message(f"{where}: weights", f"{own} channels, as X has", f"{channels} in {weights.shape}"))
