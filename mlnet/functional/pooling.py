"""maxpool, avgpool and maxunpool: the operations of the pooling layers."""

from __future__ import annotations

from typing import Any

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, OptionError, message
from mlnet.functional.batches import entering
from mlnet.functional.options import LayerFunction, array_of, as_given, options_class, takes_pairs, with_format
from mlnet.functional.pairs import call_pair
from mlnet.layers.base import Size
from mlnet.layers.pooling import (
    averagePooling2dLayer,
    globalAveragePooling2dLayer,
    globalMaxPooling2dLayer,
    maxPooling2dLayer,
)
from mlnet.layers.pooling1d import (
    averagePooling1dLayer,
    globalAveragePooling1dLayer,
    globalMaxPooling1dLayer,
    maxPooling1dLayer,
)
from mlnet.layers.pooling3d import (
    averagePooling3dLayer,
    globalAveragePooling3dLayer,
    globalMaxPooling3dLayer,
    maxPooling3dLayer,
)
from mlnet.layers.unpooling import MaxUnpooling2DLayer
from mlnet.options import Option, describe
from mlnet.rules import Refused, Rule

_LAYERS = {
    "maxpool": {1: maxPooling1dLayer, 2: maxPooling2dLayer, 3: maxPooling3dLayer},
    "avgpool": {1: averagePooling1dLayer, 2: averagePooling2dLayer, 3: averagePooling3dLayer},
}
_GLOBAL = {
    "maxpool": {1: globalMaxPooling1dLayer, 2: globalMaxPooling2dLayer, 3: globalMaxPooling3dLayer},
    "avgpool": {1: globalAveragePooling1dLayer, 2: globalAveragePooling2dLayer, 3: globalAveragePooling3dLayer},
}


@takes_pairs
def maxpool(
    X: Any,
    poolsize: Any,
    *,
    DataFormat: str = "",
    PoolFormat: str = "",
    nargout: int = 1,
    **options: Any,
) -> Any:
    """Return the largest element of each window.

    Parameters
    ----------
    X : dlarray
        Formatted, e.g. 'SSCB', 'SCB', 'SSSCB' or 'CBT', or unformatted with DataFormat.
    poolsize : positive integers, or 'global'
        Size of the windows: one number, or one for each dimension.
    Stride, Padding
        As for `maxPooling2dLayer`.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    PoolFormat : text, optional
        The dimensions of the windows: all 'S' of X, e.g. 'SS', or 'T' where there are none. Others are refused.
    nargout : 1 or 3, default 1
        With 3, return also indices and the size of the input for `maxunpool`, of images 'SSCB'.

    Raises
    ------
    DataError
        Where X is not formatted, or the windows do not fit.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, maxpool
    >>> maxpool(dlarray(np.arange(16.).reshape(4, 4), 'SS'), 2, Stride=2).extractdata()
    array([[ 5.,  7.],
           [13., 15.]])
    """
    if nargout not in (1, 3):
        raise OptionError(f"maxpool: nargout needs to be 1 or 3, but is {nargout!r}.")
    data = with_format(X, DataFormat, "maxpool: X")
    _check_windows("maxpool", data, PoolFormat)
    if nargout == 3:
        if data.dims().count("S") != 2:
            raise DataError(message("maxpool: X", "images such as 'SSCB' for three outputs", f"'{data.dims()}'"))
        function = LayerFunction("maxpool", maxPooling2dLayer, poolsize, HasUnpoolingOutputs=True, **options)
        (result, indices, _), _ = function(data)
        shape = [n for n, label in zip(data.shape, data.dims(), strict=True) if label == "S"]
        return as_given(result, DataFormat), indices, shape
    return _pooled("maxpool", data, poolsize, DataFormat, options)


@takes_pairs
def avgpool(X: Any, poolsize: Any, *, DataFormat: str = "", PoolFormat: str = "", **options: Any) -> dlarray:
    """Return the mean of each window.

    Parameters
    ----------
    X : dlarray
        Formatted, e.g. 'SSCB', 'SCB', 'SSSCB' or 'CBT', or unformatted with DataFormat.
    poolsize : positive integers, or 'global'
        Size of the windows: one number, or one for each dimension.
    Stride, Padding, PaddingValue
        As for `averagePooling2dLayer`.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    PoolFormat : text, optional
        The dimensions of the windows: all 'S' of X, e.g. 'SS', or 'T' where there are none. Others are refused.

    Raises
    ------
    DataError
        Where X is not formatted, or the windows do not fit.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import avgpool, dlarray
    >>> avgpool(dlarray(np.arange(16.).reshape(4, 4), 'SS'), 'global').item()
    7.5
    """
    data = with_format(X, DataFormat, "avgpool: X")
    _check_windows("avgpool", data, PoolFormat)
    return _pooled("avgpool", data, poolsize, DataFormat, options)


def _check_windows(where: str, data: dlarray, fmt: str) -> None:
    pooled = data.dims().count("S") * "S" or "T"
    if fmt not in ("", pooled):
        raise OptionError(message(f"{where}: PoolFormat", f"'{pooled}' for data '{data.dims()}'", describe(fmt)))


def _pooled(where: str, data: dlarray, poolsize: Any, fmt: str, options: dict[str, Any]) -> dlarray:
    dimensions = data.dims().count("S") or 1
    if not set(data.dims()) & set("ST"):
        raise DataError(message(f"{where}: X", "data with dimensions 'S' or 'T'", f"'{data.dims()}'"))
    if isinstance(poolsize, str):
        if poolsize != "global":
            raise OptionError(message(f"{where}: poolsize", "positive integers or 'global'", repr(poolsize)))
        function = LayerFunction(where, _GLOBAL[where][dimensions], **options)
    else:
        function = LayerFunction(where, _LAYERS[where][dimensions], poolsize, **options)
    (result,), _ = function(data)
    return as_given(result, fmt)


def _pixels(value: Any) -> tuple[int, int]:
    rows, columns = (int(each) for each in list(value)[:2])
    if rows < 1 or columns < 1:
        raise Refused
    return rows, columns


_UnpoolOptions = options_class(
    "maxunpool", Option("OutputSize", None, Rule("height and width", _pixels, (0, "x")), "Height and width.")
)


def maxunpool(X: Any, indices: Any, outputSize: Any) -> dlarray:
    """Return zeros with the elements of X where `maxpool` found them.

    Parameters
    ----------
    X : dlarray
        Formatted images 'SSCB'.
    indices : dlarray
        The second output of ``maxpool(..., nargout=3)``.
    outputSize : two integers
        Its third output: height and width.

    Raises
    ------
    DataError
        Where the indices do not have the size of X.
    OptionError
        Where outputSize is no height and width.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, maxpool, maxunpool
    >>> Y, indices, size = maxpool(dlarray(np.arange(4.).reshape(2, 2), 'SS'), 2, nargout=3)
    >>> maxunpool(Y, indices, size).extractdata()
    array([[0., 0.],
           [0., 3.]])
    """
    height, width = _UnpoolOptions(OutputSize=outputSize).OutputSize
    data = with_format(X, "", "maxunpool: X")
    places = array_of(indices, "maxunpool: indices")
    if data.dims().count("S") != 2 or places.shape != data.shape:
        needed = f"images and indices of one size {data.shape}"
        raise DataError(message("maxunpool", needed, f"'{data.dims()}' and {places.shape}"))
    batch = entering(data)
    found = entering(dlarray(places, data.dims()) if not places.dims() else places)
    size = Size("SSC", (height, width, batch.array.shape[-1]))
    layer = MaxUnpooling2DLayer()
    call = layer.operation(*[Size("SSC", batch.array.shape[1:])] * 2, size, training=False)
    shape = dlarray(0).reshape(1, 1, 1, 1)
    arrays = [batch.array, found.array.astype(int), shape]
    (result,), _ = call_pair("maxunpool", call.operation, arrays, call.attributes)
    return batch.leaving(result, size, None)
