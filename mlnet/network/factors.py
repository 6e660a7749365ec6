"""Learning-rate and L2 factors by parameter name, of layers and of graphs."""

from __future__ import annotations

from typing import Any, TypeVar

from mlnet.errors import OptionError
from mlnet.layers.base import Layer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import LayerGraph
from mlnet.options import describe

L = TypeVar("L", bound="Layer | LayerGraph | dlnetwork")

_KINDS = {"LearnRateFactor": "learn_rate_option", "L2Factor": "l2_option"}


def setLearnRateFactor(layer: L, parameterName: str, *factor: Any) -> L:  # noqa: N803
    """Return a copy of a layer or network in which the learning rate of a parameter is multiplied by ``factor``.

    ``layer = setLearnRateFactor(layer, 'Scale', 2)``, or for graphs
    ``lgraph = setLearnRateFactor(lgraph, 'bn_1', 'Scale', 2)`` or ``setLearnRateFactor(lgraph, 'bn_1/Scale', 2)``.

    Parameters
    ----------
    layer : layer, LayerGraph or dlnetwork
    parameterName : text
        A learnable parameter, such as 'Weights' or 'Scale'; for graphs and dlnetworks the name of the layer and the
        parameter, or 'layer/parameter'.
    factor : number of at least 0
        With 2, the rate of the parameter is twice the global one; with 0 it stays as it is.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or parameter.
    OptionError
        Where ``factor`` is not a number of at least 0.

    Examples
    --------
    >>> from mlnet import batchNormalizationLayer, getLearnRateFactor, layerGraph, setLearnRateFactor
    >>> layer = setLearnRateFactor(batchNormalizationLayer(Name='bn'), 'Scale', 2)
    >>> getLearnRateFactor(layer, 'Scale'), layer.ScaleLearnRateFactor
    (2, 2)
    >>> lgraph = setLearnRateFactor(layerGraph(layer), 'bn/Offset', 0)
    >>> getLearnRateFactor(lgraph, 'bn', 'Offset')
    0
    """
    return _with_factor("setLearnRateFactor", layer, parameterName, factor)


def getLearnRateFactor(layer: Layer | LayerGraph | dlnetwork, *parameterName: str) -> float:  # noqa: N803
    """Return the factor that multiplies the global learning rate for a parameter of a layer or network.

    Parameters are named as for `setLearnRateFactor`.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or parameter.
    """
    return _factor("getLearnRateFactor", layer, parameterName)


def setL2Factor(layer: L, parameterName: str, *factor: Any) -> L:  # noqa: N803
    """Return a copy of a layer or network in which the global L2 factor of a parameter is multiplied by ``factor``.

    ``layer = setL2Factor(layer, 'Weights', 2)``, or for graphs ``lgraph = setL2Factor(lgraph, 'fc', 'Weights', 2)`` or
    ``setL2Factor(lgraph, 'fc/Weights', 2)``.

    Parameters
    ----------
    layer : layer, LayerGraph or dlnetwork
    parameterName : text
        A learnable parameter, such as 'Weights' or 'Scale'; for graphs and dlnetworks the name of the layer and the
        parameter, or 'layer/parameter'.
    factor : number of at least 0
        With 2, the L2 factor of the parameter is twice the global one.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or parameter.
    OptionError
        Where ``factor`` is not a number of at least 0.
    """
    return _with_factor("setL2Factor", layer, parameterName, factor)


def getL2Factor(layer: Layer | LayerGraph | dlnetwork, *parameterName: str) -> float:  # noqa: N803
    """Return the factor that multiplies the global L2 factor for a parameter of a layer or network.

    Parameters are named as for `setL2Factor`.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or parameter.
    """
    return _factor("getL2Factor", layer, parameterName)


def _with_factor(function: str, owner: L, name: str, rest: tuple[Any, ...]) -> L:
    if not rest:
        raise OptionError(f"{function}: the factor is missing. Give {function}({_forms(owner)}, factor).")
    layer, option = _option(function, owner, (name, *rest[:-1]))
    changed = layer.copy()
    setattr(changed, option, rest[-1])
    if isinstance(owner, dlnetwork):
        net = owner.with_option(layer.Name, option, getattr(changed, option))
        assert isinstance(net, type(owner))
        return net
    if isinstance(owner, LayerGraph):
        layers = [changed if each.Name == layer.Name else each for each in owner.Layers]
        return type(owner)(layers, owner.wires)
    assert isinstance(changed, type(owner))
    return changed


def _factor(function: str, owner: Layer | LayerGraph | dlnetwork, path: tuple[str, ...]) -> float:
    layer, option = _option(function, owner, path)
    return getattr(layer, option)


def _option(function: str, owner: Layer | LayerGraph | dlnetwork, path: tuple[Any, ...]) -> tuple[Layer, str]:
    """Return the layer that ``path`` names, and its option with the factor of the parameter."""
    if not isinstance(owner, (Layer, LayerGraph, dlnetwork)):
        raise OptionError(f"{function}: needs a layer, a layer graph or a dlnetwork, but got {describe(owner)}.")
    has_layers = not isinstance(owner, Layer)
    if has_layers and len(path) == 1 and isinstance(path[0], str) and "/" in path[0]:
        path = tuple(path[0].rsplit("/", 1))
    if len(path) != (2 if has_layers else 1):
        came = ", ".join(map(describe, path))
        raise OptionError(f"{function}: needs {function}({_forms(owner)}, ...), but got {came}.")
    graph = owner.to_graph() if isinstance(owner, dlnetwork) else owner
    layer = graph.layer(path[0], function) if isinstance(graph, LayerGraph) else graph
    return layer, getattr(layer.learnable(path[-1]), _KINDS[function[3:]])


def _forms(owner: Layer | LayerGraph | dlnetwork) -> str:
    if isinstance(owner, Layer):
        return "layer, 'parameter'"
    return f"{'net' if isinstance(owner, dlnetwork) else 'lgraph'}, 'layer/parameter'"
