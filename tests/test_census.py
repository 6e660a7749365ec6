"""What public scripts write is accepted, and means the same in every form."""

import numpy as np
import pytest
from census import OPTIONS, POSITIONAL, STORED
from layers.catalogue import equal

import mlnet
from mlnet import (
    UnknownNameError,
    activations,
    additionLayer,
    addLayers,
    classificationLayer,
    classify,
    connectLayers,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    predict,
    reluLayer,
    removeLayers,
    replaceLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def also_written(value):
    """Return other Python forms of a value that MATLAB does not tell apart."""
    if isinstance(value, bool):
        return [int(value), np.bool_(value)]
    if isinstance(value, (int, float)):
        whole = [np.int64(value), np.uint16(value)] if isinstance(value, int) else []
        return [float(value), np.float64(value), np.array([value]), *whole]
    if isinstance(value, str):
        return [np.str_(value)]
    if isinstance(value, list) and value and all(isinstance(each, (int, float)) for each in value):
        return [tuple(value), np.array(value), np.array(value, float), np.array([value])]
    return []


def same(a, b):
    """Tell whether two objects are of one class and have the same values; 1 and 1.0 are the same here."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in a.table.entries]
    return type(a) is type(b) and all(equal(x, y) or np.array_equal(np.ravel(x), np.ravel(y)) for x, y in pairs)


@pytest.mark.parametrize("function", OPTIONS)
def test_every_option_in_every_form(function):
    make, (arguments, options) = getattr(mlnet, function), OPTIONS[function]
    for option, values in options.items():
        for value in values:
            expected = make(*arguments, option, value)
            forms = [
                make(*arguments, option.lower(), value),
                make(*arguments, **{option: value}),
                make(*arguments, **{option.lower(): value}),
                *(make(*arguments, option, other) for other in also_written(value)),
            ]
            if isinstance(value, str) and value in expected.table.options[option].rule.names:
                forms.append(make(*arguments, option.upper(), value.upper()))
            for form in forms:
                assert same(form, expected), (option, value, form)


@pytest.mark.parametrize("function", POSITIONAL)
def test_positional_arguments(function):
    make = getattr(mlnet, function)
    for arguments in POSITIONAL[function]:
        expected = make(*arguments)
        for place, value in enumerate(arguments):
            for other in also_written(value):
                form = make(*arguments[:place], other, *arguments[place + 1 :])
                assert type(form) is type(expected)
        if "Name" in expected.table.options:
            assert make(*arguments, "Name", "a").Name == make(*arguments, name="a").Name == "a"


@pytest.mark.parametrize("function, arguments, keywords, name, expected", STORED)
def test_what_is_stored(function, arguments, keywords, name, expected):
    make = getattr(mlnet, function)
    if expected is None:
        with pytest.raises(UnknownNameError, match="could be"):
            make(*arguments, **keywords)
        return
    np.testing.assert_array_equal(getattr(make(*arguments, **keywords), name), expected)


def test_graph_and_transfer_idioms():
    """Empty graph, branches, a network cut and replaced at its end, and its parts read by number."""
    lgraph = layerGraph()
    lgraph = addLayers(lgraph, imageInputLayer([8, 8, 1], "Name", "in", "Normalization", "none"))
    block = [convolution2dLayer([3, 3], 4, "Name", "conv1", "Padding", [1, 1, 1, 1]), reluLayer("Name", "relu1")]
    lgraph = addLayers(lgraph, block)
    lgraph = addLayers(lgraph, convolution2dLayer(1, 4, "Name", "skip"))
    head = [additionLayer(2, "name", "add"), fullyConnectedLayer(2, "Name", "fc"), softmaxLayer("Name", "sm")]
    lgraph = addLayers(lgraph, [*head, classificationLayer("Name", "out")])
    for source, destination in (("in", "conv1"), ("in", "skip"), ("relu1", "add/in1"), ("skip", "add/in2")):
        lgraph = connectLayers(lgraph, source, destination)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 8, 1, 64)), np.arange(64) % 2
    options = trainingOptions("adam", "MaxEpochs", 1, "MiniBatchSize", 32, "verbose", 0)
    net, info = trainNetwork(x, y, lgraph, options, nargout=2)
    assert len(info.TrainingLoss) == 2
    assert net.Layers(1).InputSize.tolist() == [8, 8, 1] and net.Layers[-1].Classes.names().tolist() == ["0", "1"]
    assert predict(net, x, "MiniBatchSize", 16).shape == (64, 2) and len(classify(net, x)) == 64
    assert net.activations(x, "relu1").shape == (8, 8, 4, 64)
    assert activations(net, x, "fc", "OutputAs", "rows").shape == (64, 2)

    new = replaceLayer(layerGraph(net), "fc", fullyConnectedLayer(3, "Name", "fc3", "WeightLearnRateFactor", 10))
    new = replaceLayer(new, "out", classificationLayer("Name", "out3"))
    trained = trainNetwork(x, np.arange(64) % 3, new, options)
    assert trained.Layers(6).OutputSize == 3
    assert len(removeLayers(new, ["out3", "sm"]).Layers) == 6

    series = [*net.Layers[:3], fullyConnectedLayer(2), softmaxLayer, classificationLayer]
    assert trainNetwork(x, y, series, options).predict(x).shape == (64, 2)
