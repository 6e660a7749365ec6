"""Learning-rate and L2 factors by parameter name."""

from __future__ import annotations

from typing import TypeVar

from mlnet.errors import OptionError
from mlnet.layers.base import Layer
from mlnet.options import describe

L = TypeVar("L", bound=Layer)


def _need_layer(function: str, layer: object) -> None:
    if not isinstance(layer, Layer):
        raise OptionError(f"{function}: needs a layer, but got {describe(layer)}.")


def _with_option(layer: L, option: str, value: float) -> L:
    """Return a copy of ``layer`` with one option assigned, checked as always."""
    changed = layer.copy()
    setattr(changed, option, value)
    return changed


def setLearnRateFactor(layer: L, parameterName: str, factor: float) -> L:  # noqa: N803
    """Return a copy of ``layer`` in which the learning rate of a parameter is multiplied by ``factor``.

    Parameters
    ----------
    layer : layer
    parameterName : text
        A learnable parameter, such as 'Weights' or 'Scale'.
    factor : number of at least 0
        With 2, the rate of the parameter is twice the global one.

    Raises
    ------
    UnknownNameError
        Where the layer has no such parameter.
    OptionError
        Where ``factor`` is not a number of at least 0.

    Examples
    --------
    >>> from mlnet import batchNormalizationLayer, getLearnRateFactor, setLearnRateFactor
    >>> layer = setLearnRateFactor(batchNormalizationLayer(), 'Scale', 2)
    >>> getLearnRateFactor(layer, 'Scale'), layer.ScaleLearnRateFactor
    (2, 2)
    """
    _need_layer("setLearnRateFactor", layer)
    return _with_option(layer, layer.learnable(parameterName).learn_rate_option, factor)


def getLearnRateFactor(layer: Layer, parameterName: str) -> float:  # noqa: N803
    """Return the factor that multiplies the global learning rate for a parameter of ``layer``.

    Raises
    ------
    UnknownNameError
        Where the layer has no such parameter.
    """
    _need_layer("getLearnRateFactor", layer)
    return getattr(layer, layer.learnable(parameterName).learn_rate_option)


def setL2Factor(layer: L, parameterName: str, factor: float) -> L:  # noqa: N803
    """Return a copy of ``layer`` in which the L2 factor of a parameter is multiplied by ``factor``.

    Parameters
    ----------
    layer : layer
    parameterName : text
        A learnable parameter, such as 'Weights' or 'Scale'.
    factor : number of at least 0
        With 2, the L2 factor of the parameter is twice the global one.

    Raises
    ------
    UnknownNameError
        Where the layer has no such parameter.
    OptionError
        Where ``factor`` is not a number of at least 0.
    """
    _need_layer("setL2Factor", layer)
    return _with_option(layer, layer.learnable(parameterName).l2_option, factor)


def getL2Factor(layer: Layer, parameterName: str) -> float:  # noqa: N803
    """Return the factor that multiplies the global L2 factor for a parameter of ``layer``.

    Raises
    ------
    UnknownNameError
        Where the layer has no such parameter.
    """
    _need_layer("getL2Factor", layer)
    return getattr(layer, layer.learnable(parameterName).l2_option)
