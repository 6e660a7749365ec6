"""Layer arrays: making, joining, indexing and assigning, from Python and as in MATLAB."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from mlnet import (
    DAGNetwork,
    LayerArray,
    OptionError,
    SeriesNetwork,
    convolution2dLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    regressionLayer,
    reluLayer,
    tanhLayer,
)
from mlnet.network.resolve import resolve


def kinds(layers):
    return "".join(type(layer).__name__[0] for layer in layers)


@pytest.fixture
def layers():
    return LayerArray([featureInputLayer(2), fullyConnectedLayer(3), reluLayer(), regressionLayer()])


@pytest.mark.parametrize(
    "given, expected",
    [
        ((), ""),
        ([], ""),
        (reluLayer(), "R"),
        (reluLayer, "R"),
        ([reluLayer, tanhLayer()], "RT"),
        ((reluLayer(), [tanhLayer(), (dropoutLayer, [reluLayer])]), "RTDR"),
        ([LayerArray([reluLayer, tanhLayer]), dropoutLayer(0.1)], "RTD"),
        (np.array([reluLayer(), tanhLayer()], dtype=object), "RT"),
        (np.array(reluLayer()), "R"),
        (iter([reluLayer(), tanhLayer()]), "RT"),
        ((layer for layer in [reluLayer(), tanhLayer()]), "RT"),
    ],
)
def test_whatever_holds_layers_makes_an_array(given, expected):
    assert kinds(LayerArray(given)) == expected


def test_what_is_no_layer_is_listed_with_its_place():
    with pytest.raises(OptionError) as caught:
        LayerArray([reluLayer, 5, [convolution2dLayer, "x"], None, [reluLayer(), {}]])
    text = str(caught.value)
    assert text.startswith("LayerArray: needs layers, but element 2 is 5, element 3 is a constructor without its arg")
    assert "element 4 is 'x', element 5 is None, element 7 is {}." in text
    assert "convolution2dLayer: the argument FilterSize is missing" in text


def test_a_network_is_no_layer_but_has_layers():
    network = SeriesNetwork(resolve([featureInputLayer(2), fullyConnectedLayer(1), regressionLayer]))
    with pytest.raises(OptionError, match=r"element 1 is a SeriesNetwork \(take its Layers\)"):
        LayerArray(network)
    assert kinds(LayerArray(network.Layers)) == "FFR"


def test_the_array_holds_copies():
    relu = reluLayer()
    given = [relu, relu]
    layers = LayerArray(given)
    layers[0].Name = "first"
    assert (relu.Name, layers[1].Name, len(given)) == ("", "", 2)
    part = layers[0:1]
    part[0].Name = "changed"
    both = layers + [relu]
    both[0].Name = "also"
    assert layers[0].Name == "first"


def test_indices_from_0_in_brackets_and_from_1_in_parentheses(layers):
    assert layers[0] is layers(1) and layers[-1] is layers(4) and layers[np.int64(1)] is layers(np.uint8(2))
    assert kinds(layers[1:3]) == "FR" and kinds(layers[::-1]) == "RRFF" and isinstance(layers[:0], LayerArray)
    assert kinds(layers([2, 3])) == kinds(layers[[1, 2]]) == kinds(layers(np.array([[2, 3]]))) == kinds(layers[1, 2])
    assert kinds(layers(range(1, 3))) == "FF" and kinds(layers([])) == kinds(layers[[]]) == ""
    assert kinds(layers[[True, False, False, True]]) == kinds(layers[np.array([1, 0, 0, 1], bool)]) == "FR"


@pytest.mark.parametrize("index", [4, -5, "a", 1.0, None, True, [0, 9], [True], [1.5], ["a"], {}])
def test_indices_that_do_not_exist(layers, index):
    for attempt in (lambda: layers[index], lambda: layers.__setitem__(index, reluLayer()), lambda: layers.pop(index)):
        with pytest.raises(IndexError, match="LayerArray: has 4 layers, but index .* was asked for"):
            attempt()
    assert kinds(layers) == "FFRR"


@pytest.mark.parametrize("number", [0, 5, -1, 1.0, "end", True, [1, 5], [[0]], None])
def test_numbers_that_do_not_exist(layers, number):
    with pytest.raises(IndexError, match="LayerArray: needs numbers from 1 to 4, but got"):
        layers(number)


def test_assignment(layers):
    layers[2] = tanhLayer
    layers[0:1] = [featureInputLayer(5), dropoutLayer]
    assert kinds(layers) == "FDFTR" and layers(1).InputSize == 5
    layers[[1, 3]] = [reluLayer(), dropoutLayer()]
    assert kinds(layers) == "FRFDR"
    layers[1:3] = []
    assert kinds(layers) == "FDR"
    layers[::2] = [reluLayer, reluLayer]
    assert kinds(layers) == "RDR"
    del layers[0]
    del layers[[0]]
    assert kinds(layers) == "R"


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.__setitem__(0, []),
        lambda layers: layers.__setitem__(0, [reluLayer, reluLayer]),
        lambda layers: layers.__setitem__(slice(None, None, 2), reluLayer),
        lambda layers: layers.__setitem__(slice(0, 2), [reluLayer, 5]),
        lambda layers: layers.extend([reluLayer(), 5]),
        lambda layers: layers.append([reluLayer(), 5]),
        lambda layers: layers.insert(0, [reluLayer(), 5]),
        lambda layers: layers.__iadd__([reluLayer(), 5]),
    ],
)
def test_a_failed_change_changes_nothing(layers, change):
    with pytest.raises(OptionError, match="LayerArray: needs"):
        change(layers)
    assert kinds(layers) == "FFRR"


def test_joining(layers):
    assert kinds(layers + reluLayer) == "FFRRR" and kinds([tanhLayer] + layers) == "TFFRR"
    assert kinds(layers + layers) == "FFRR" * 2 and kinds(tanhLayer() + layers) == "TFFRR"
    layers += [dropoutLayer, tanhLayer()]
    layers.append(reluLayer)
    layers.insert(0, tanhLayer)
    layers.extend(layers)
    assert kinds(layers) == "TFFRRDTR" * 2


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, LayerArray.copy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_independent(layers, duplicate):
    twin = duplicate(layers)
    assert repr(twin) == repr(layers) and isinstance(twin, LayerArray)
    twin[0].Name = "changed"
    twin.append(reluLayer)
    assert layers[0].Name == "" and len(layers) == 4


def test_an_array_has_no_properties_of_its_own(layers):
    with pytest.raises(AttributeError, match="Name"):
        layers.Name = "x"
    with pytest.raises(AttributeError, match="Name"):
        layers.Name  # noqa: B018


def test_an_error_in_a_layer_of_the_array_leaves_it(layers):
    with pytest.raises(OptionError, match="OutputSize"):
        layers(2).OutputSize = -1
    assert layers[1].OutputSize == 3


def test_layers_several_times():
    block = LayerArray([fullyConnectedLayer(20), reluLayer])
    array = block * 3
    assert len(array) == len(3 * block) == 6 and len(block) == 2 and len(block * 0) == 0
    array[0].Name = "first"
    assert [layer.Name for layer in array] == ["first", "", "", "", "", ""], "These are copies."


def test_layers_of_an_array_are_a_copy_of_it():
    net = LayerArray([featureInputLayer(2), fullyConnectedLayer(1), regressionLayer])
    assert kinds(LayerArray([net.Layers[:-1], regressionLayer])) == "FFR"
    layers = net.Layers
    layers[1].OutputSize = 5
    assert net[1].OutputSize == 1


@pytest.mark.parametrize("kind", [SeriesNetwork, DAGNetwork])
def test_trained_networks_are_not_made_of_layers(kind):
    with pytest.raises(OptionError, match=rf"{kind.__name__}: cannot be made of .*Use trainNetwork"):
        kind(LayerArray([featureInputLayer(2)]))
