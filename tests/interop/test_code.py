"""codeFor: the code is run, and what it makes is compared."""

from __future__ import annotations

import types

import numpy as np
import pytest
from layers import catalogue

import mlnet
from mlnet import NotSupportedError, OptionError, codeFor


def made_again(layers, name="layers"):
    namespace = {}
    exec(codeFor(layers), namespace)
    return namespace[name]


@pytest.mark.parametrize("name, option", catalogue.CASES, ids=catalogue.IDS)
def test_every_option_of_every_layer_is_written(name, option):
    for given, _ in catalogue.good(name, option):
        try:
            layer = catalogue.make(name, **{option.name: given})
        except mlnet.MlnetError:
            continue  # it needs another option
        left_out = {*(each.name for each in layer.learnables), *layer.states}
        if option.name in left_out:
            assert f"{option.name} of size" in codeFor([layer]) or not np.size(getattr(layer, option.name))
            continue
        if isinstance(getattr(layer, option.name), (types.FunctionType, types.BuiltinFunctionType)):
            with pytest.raises(NotSupportedError, match=option.name):
                codeFor([layer])
            continue
        (again,) = made_again([layer])
        assert catalogue.same(again, layer)


def test_a_graph_is_made_again():
    graph = mlnet.resnet18(Weights="none")
    again = made_again(graph, "lgraph")
    assert again.wires == graph.wires or set(again.wires) == set(graph.wires)
    assert all(catalogue.same(a, b) for a, b in zip(again.Layers, graph.Layers, strict=True))


def test_matlab():
    layers = [
        mlnet.imageInputLayer([4, 4, 2], Normalization="zerocenter", Mean=np.arange(32).reshape(4, 4, 2)),
        mlnet.convolution2dLayer(3, 2, Name="it's", Padding=[1, 0, 2, 1], WeightL2Factor=0.5),
        mlnet.reshapeLayer([2, [], 2]),
        mlnet.classificationLayer(Classes=["a", "b"]),
    ]
    text = codeFor(layers, "matlab")
    numbers = " ".join(map(str, np.arange(32).reshape(4, 4, 2).ravel(order="F")))
    assert f"'Mean', reshape([{numbers}], [4 4 2])" in text
    assert "convolution2dLayer([3 3], 2, 'Name', 'it''s', 'Padding', [1 0 2 1], 'WeightL2Factor', 0.5)" in text
    assert "reshapeLayer([2 NaN 2])" in text and "categorical({'a', 'b'}, {'a', 'b'})" in text
    graph = mlnet.layerGraph([mlnet.imageInputLayer([4, 4, 2], Name="in"), mlnet.additionLayer(2, Name="plus")])
    assert codeFor(mlnet.connectLayers(graph, "in", "plus/in2"), "matlab").endswith(
        "lgraph = connectLayers(lgraph, 'in', 'plus/in2');"
    )


def test_learned_values_are_named():
    layer = mlnet.fullyConnectedLayer(2, Weights=np.ones((2, 3)), Name="fc")
    assert codeFor([layer]).endswith("# without values: Layer 1 'fc' (Fully Connected), Weights of size 2x3")


def test_arguments():
    with pytest.raises(OptionError, match="language"):
        codeFor([mlnet.reluLayer()], "fortran")
    with pytest.raises(NotSupportedError, match="PredictFcn"):
        codeFor([mlnet.functionLayer(lambda x: x)])
