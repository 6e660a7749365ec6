"""addInputLayer: an input layer in front of an open input of a dlnetwork."""

from __future__ import annotations

from typing import Any

from mlnet.errors import NetworkError, OptionError, UnknownNameError, nearest
from mlnet.layers.input import InputLayer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import addLayers, connectLayers
from mlnet.options import Argument, Declared, Group, Option, Table, describe
from mlnet.rules import choice, either, flag, text


class _Options(Declared):
    constructor_name = "addInputLayer"
    table = Table(
        Option("layerName", "", text(), "Name of the layer that it feeds.", Group.PLAIN, Argument.OPTIONAL),
        Option("Initialize", "auto", either(choice("auto"), flag()), "Whether the result is initialized."),
    )


def addInputLayer(net: dlnetwork, layer: InputLayer, *args: Any, **kwargs: Any) -> dlnetwork:  # noqa: N802
    """Return a network with an input layer in front of an input that nothing feeds.

    Parameters
    ----------
    net : dlnetwork
    layer : input layer
    layerName : text, optional
        Name of the layer that it feeds, 'layer/input' for layers of several inputs; needed where several are open.
    Initialize : 'auto' or logical, default 'auto'
        Whether the result is initialized; as ``net`` is if 'auto'. Learnables keep the values that they have.

    Returns
    -------
    dlnetwork

    Raises
    ------
    OptionError
        Where ``net`` is no dlnetwork or ``layer`` no input layer.
    NetworkError
        Where no input, or more than one, is open, or the network has a layer of this name.
    UnknownNameError
        Where no open input has that name.

    Examples
    --------
    >>> from mlnet import *
    >>> net = dlnetwork([fullyConnectedLayer(3, Name='fc'), softmaxLayer(Name='softmax')])
    >>> net = addInputLayer(net, featureInputLayer(5, Name='in'), Initialize=True)
    >>> net.InputNames, net.Initialized
    (['in'], True)
    """
    if not isinstance(net, dlnetwork):
        raise OptionError(f"addInputLayer: net: needs a dlnetwork, but got {describe(net)}.")
    if not isinstance(layer, InputLayer):
        raise OptionError(f"addInputLayer: layer: needs an input layer, but got {describe(layer)}.")
    options = _Options(*args, **kwargs)
    fed = {each.Name for each in net.Layers if isinstance(each, InputLayer)}
    open_inputs = [name for name in net.InputNames if name not in fed]
    if not open_inputs:
        raise NetworkError("addInputLayer: every input of the network is fed. Use replaceLayer to exchange a layer.")
    if not options.layerName and len(open_inputs) > 1:
        raise NetworkError(
            f"addInputLayer: the inputs {', '.join(open_inputs)} are open. Name the one that the layer feeds."
        )
    name = options.layerName or open_inputs[0]
    if name not in open_inputs:
        raise UnknownNameError(f"addInputLayer: no open input is called '{name}'.{nearest(name, open_inputs)}")
    graph: Any = net
    wider: Any = addLayers(graph, layer)
    result: Any = connectLayers(wider, wider.Layers[-1].Name, name)
    is_wanted = net.Initialized if options.Initialize == "auto" else options.Initialize
    return result.initialize() if is_wanted and not result.Initialized else result
