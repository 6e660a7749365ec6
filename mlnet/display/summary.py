"""summary: the size of a network in a few lines."""

from __future__ import annotations

from typing import Any

from mlnet.display.analysis import count_text
from mlnet.layers.input import InputLayer
from mlnet.network.analyze import analyzeNetwork
from mlnet.network.wiring import wiring_of


def summary(net: Any) -> None:
    """Print whether all learnables are set, how many there are, and the inputs of a network.

    Parameters
    ----------
    net : trained network, LayerGraph, LayerArray or list of layers

    Raises
    ------
    OptionError
        Where an element is not a layer.

    Examples
    --------
    >>> from mlnet import featureInputLayer, fullyConnectedLayer, reluLayer, summary
    >>> summary([featureInputLayer(20), fullyConnectedLayer(60), reluLayer, fullyConnectedLayer(5)])
       Initialized: false
    <BLANKLINE>
       Number of learnables: 1.6k
    <BLANKLINE>
       Inputs:
          1   'input'   20 features
    """
    print(summary_text(net))


def summary_text(net: Any) -> str:
    """Return what `summary` prints."""
    graph = net.to_graph() if hasattr(net, "to_graph") else net
    wiring, _ = wiring_of(graph)
    inputs = [layer for layer in wiring.layers if isinstance(layer, InputLayer)]
    is_set = all(getattr(layer, each.name).size for layer in wiring.layers for each in layer.learnables)
    names = [f"'{layer.Name}'" for layer in inputs]
    width = max(map(len, names), default=0)
    rows = [
        f"      {number}   {name:<{width}}   {layer.replaced(Normalization='none').description()}"
        for number, (name, layer) in enumerate(zip(names, inputs, strict=True), start=1)
    ]
    count = count_text(analyzeNetwork(graph).TotalLearnables)
    lines = [f"   Initialized: {str(is_set).lower()}", "", f"   Number of learnables: {count}", "", "   Inputs:"]
    return "\n".join([*lines, *(rows or ["      None"])])
