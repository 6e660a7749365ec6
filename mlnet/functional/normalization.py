"""Normalizations as functions: the operations of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted, wrap
from mlnet.errors import DataError, OptionError, message
from mlnet.functional.batches import Batch, entering, size_of
from mlnet.functional.options import (
    DATA_FORMAT,
    LayerFunction,
    array_of,
    as_given,
    options_class,
    positional,
    takes_pairs,
    with_format,
)
from mlnet.functional.pairs import call_pair
from mlnet.functional.single import quick_call
from mlnet.layers.group_normalization import (
    groupNormalizationLayer,
    instanceNormalizationLayer,
    layerNormalizationLayer,
)
from mlnet.layers.normalization import crossChannelNormalizationLayer
from mlnet.options import Option
from mlnet.rules import number

_EPSILON = Option("Epsilon", 1e-5, number(1e-5), "Added to the variance before the square root.")
_BatchOptions = options_class(
    "batchnorm",
    _EPSILON,
    Option("MeanDecay", 0.1, number(0, 1), "Weight of the mini-batch in the updated mean."),
    Option("VarianceDecay", 0.1, number(0, 1), "Weight of the mini-batch in the updated variance."),
    DATA_FORMAT,
)


def batchnorm(X: Any, offset: Any, scale: Any, *args: Any, nargout: int = 1, **options: Any) -> Any:
    """Return data normalized for each channel over all observations and positions, then scaled and shifted.

    ``Y = batchnorm(X, offset, scale)`` and ``Y, mu, sigmaSq = batchnorm(X, offset, scale, nargout=3)`` normalize by the
    mini-batch; ``Y = batchnorm(X, offset, scale, mu, sigmaSq)`` by given statistics. ``Y, mu, sigmaSq = batchnorm(X,
    offset, scale, mu, sigmaSq, nargout=3)`` normalizes by the mini-batch and returns the statistics updated:
    ``decay * batch + (1 - decay) * given``.

    Parameters
    ----------
    X : dlarray
        Formatted with a dimension 'C', or unformatted with DataFormat.
    offset, scale : array
        One number for each channel.
    mu, sigmaSq : array, optional
        Mean and variance (divided by the count) of each channel.
    MeanDecay, VarianceDecay : number from 0 to 1, default 0.1
        Weight of the mini-batch in updated statistics.
    Epsilon : number, default 1e-5
        Added to the variance.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    nargout : 1 or 3, default 1

    Raises
    ------
    DataError
        Where X is not formatted, or there is not one number for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import batchnorm, dlarray
    >>> Y, mu, sigmaSq = batchnorm(dlarray([[1, 3]], 'CB'), 0, 1, nargout=3)
    >>> mu.item(), sigmaSq.item(), Y.extractdata().round(3)
    (2.0, 1.0, array([[-1.,  1.]]))
    """
    if nargout not in (1, 3):
        raise OptionError(f"batchnorm: nargout needs to be 1 or 3, but is {nargout!r}.")
    arrays, pairs = positional(args)
    chosen = _BatchOptions(*pairs, **options)
    if len(arrays) not in (0, 2):
        raise DataError(message("batchnorm", "both mu and sigmaSq, or neither", f"{len(arrays)} of them"))
    data = with_format(X, chosen.DataFormat, "batchnorm: X")
    batch = entering(data)
    channels = batch.array.shape[-1]
    names = ("offset", "scale", "mu", "sigmaSq")
    o, s, *given = (
        _per_channel(each, channels, f"batchnorm: {name}")
        for name, each in zip(names, (offset, scale, *arrays), strict=False)
    )
    attributes = {"epsilon": chosen.Epsilon}
    if given and nargout == 1:
        (y,), saved = call_pair("batchnorm", "batch_normalization_inference", [batch.array, o, s, *given], attributes)
    else:
        arrays = [batch.array, o, s]
        quick = quick_call("batchnorm", "batch_normalization", arrays, attributes)
        if quick is None:
            (y,), saved = call_pair("batchnorm", "batch_normalization", arrays, attributes)
        else:
            y, saved = quick
    result = as_given(_back(batch, y, data), chosen.DataFormat)
    if nargout == 1:
        return result
    found = [np.array(each, y.dtype).reshape(-1, 1) for each in (saved.mean, saved.variance)]
    if given:
        decays = (chosen.MeanDecay, chosen.VarianceDecay)
        found = [
            (decay * new + (1 - decay) * old._data.reshape(-1, 1)).astype(y.dtype)
            for new, old, decay in zip(found, given, decays, strict=True)
        ]
    return result, *map(wrap, found)


@takes_pairs
def layernorm(X: Any, offset: Any, scale: Any, *, DataFormat: str = "", **options: Any) -> dlarray:
    """Return each observation normalized over channels and positions, then scaled and shifted for each channel.

    Parameters
    ----------
    X : dlarray
        Formatted with a dimension 'C', or unformatted with DataFormat.
    offset, scale : array
        One number for each channel.
    Epsilon, OperationDimension
        As for `layerNormalizationLayer`.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X is not formatted, or there is not one number for each channel.

    Examples
    --------
    >>> from mlnet import dlarray, layernorm
    >>> layernorm(dlarray([[1], [3]], 'CB'), [0, 0], [1, 1]).extractdata().round(3)
    array([[-1.],
           [ 1.]])
    """
    return _normalized("layernorm", X, offset, scale, DataFormat, layerNormalizationLayer, (), options)


@takes_pairs
def groupnorm(X: Any, numGroups: Any, offset: Any, scale: Any, *, DataFormat: str = "", **options: Any) -> dlarray:
    """Return each observation normalized over groups of channels, then scaled and shifted for each channel.

    Parameters
    ----------
    X : dlarray
        Formatted with a dimension 'C', or unformatted with DataFormat.
    numGroups : positive integer, 'all-channels' or 'channel-wise'
    offset, scale : array
        One number for each channel.
    Epsilon : number, default 1e-5
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X is not formatted, groups do not fit, or there is not one number for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, groupnorm
    >>> groupnorm(dlarray(np.ones((4, 4, 6, 2)), 'SSCB'), 3, np.zeros(6), np.ones(6)).shape
    (4, 4, 6, 2)
    """
    return _normalized("groupnorm", X, offset, scale, DataFormat, groupNormalizationLayer, (numGroups,), options)


@takes_pairs
def instancenorm(X: Any, offset: Any, scale: Any, *, DataFormat: str = "", **options: Any) -> dlarray:
    """Return each channel of each observation normalized over its positions, then scaled and shifted.

    Parameters
    ----------
    X : dlarray
        Formatted, with dimensions 'S' or 'T', or unformatted with DataFormat.
    offset, scale : array
        One number for each channel.
    Epsilon : number, default 1e-5
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X is not formatted, has no positions, or there is not one number for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, instancenorm
    >>> instancenorm(dlarray(np.ones((4, 4, 6, 2)), 'SSCB'), np.zeros(6), np.ones(6)).shape
    (4, 4, 6, 2)
    """
    return _normalized("instancenorm", X, offset, scale, DataFormat, instanceNormalizationLayer, (), options)


@takes_pairs
def crosschannelnorm(X: Any, windowSize: Any, *, DataFormat: str = "", **options: Any) -> dlarray:
    """Return each element divided by a power of the squares in the channels around it.

    Parameters
    ----------
    X : dlarray
        Formatted, or unformatted with DataFormat.
    windowSize : positive integer
        Number of channels in the window.
    Alpha, Beta, K
        As for `crossChannelNormalizationLayer`, defaults 1e-4, 0.75 and 2.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X is not formatted.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import crosschannelnorm, dlarray
    >>> crosschannelnorm(dlarray(np.ones((4, 4, 6, 2)), 'SSCB'), 5).shape
    (4, 4, 6, 2)
    """
    data = with_format(X, DataFormat, "crosschannelnorm: X")
    (result,), _ = LayerFunction("crosschannelnorm", crossChannelNormalizationLayer, windowSize, **options)(data)
    return as_given(result, DataFormat)


def _normalized(
    where: str,
    X: Any,
    offset: Any,
    scale: Any,
    fmt: str,
    constructor: Any,
    required: tuple[Any, ...],
    options: dict[str, Any],
) -> dlarray:
    data = with_format(X, fmt, f"{where}: X")
    channels = entering(data).array.shape[-1]
    parameters = [
        _per_channel(each, channels, f"{where}: {name}") for name, each in (("offset", offset), ("scale", scale))
    ]
    (result,), _ = LayerFunction(where, constructor, *required, **options)(data, parameters=parameters)
    return as_given(result, fmt)


def _per_channel(value: Any, channels: int, where: str) -> dlarray:
    array = unformatted(array_of(value, where))
    if array.size not in (1, channels):
        raise DataError(message(where, f"one number for each of {channels} channels", f"{array.size}"))
    return np.broadcast_to(array.reshape(1), (channels,)) if array.size != channels else array.reshape(-1)


def _back(batch: Batch, y: dlarray, data: dlarray) -> dlarray:
    return batch.leaving(y, size_of(data, ""), batch.lengths)
