"""Layer graphs: building them, their mistakes, and training them."""

import numpy as np
import pytest

from mlnet import (
    DAGNetwork,
    NetworkError,
    OptionError,
    UnknownNameError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    batchNormalizationLayer,
    classificationLayer,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    depthConcatenationLayer,
    disconnectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    getL2Factor,
    getLearnRateFactor,
    imageInputLayer,
    layerGraph,
    multiplicationLayer,
    regressionLayer,
    reluLayer,
    removeLayers,
    replaceLayer,
    rng,
    setL2Factor,
    setLearnRateFactor,
    softmaxLayer,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)


def residual():
    layers = [
        imageInputLayer([8, 8, 1], Name="in"),
        convolution2dLayer(3, 4, Padding="same", Name="conv_1"),
        reluLayer(Name="relu_1"),
        convolution2dLayer(3, 4, Padding="same", Name="conv_2"),
        batchNormalizationLayer(Name="bn"),
        additionLayer(2, Name="add"),
        reluLayer(Name="relu_2"),
        fullyConnectedLayer(2, Name="fc"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="out"),
    ]
    return connectLayers(layerGraph(layers), "relu_1", "add/in2")


def wires(graph):
    return set(graph.Connections.rows())


def images(count=200):
    x = np.random.default_rng(0).normal(size=(8, 8, 1, count))
    return x, x[:4].sum(axis=(0, 1, 2)) > 0


def options(**changes):
    return trainingOptions("sgdm", **{"MaxEpochs": 8, "MiniBatchSize": 32, "Verbose": False, **changes})


def test_display():
    graph = layerGraph([featureInputLayer(2, Name="in"), additionLayer(2, Name="add")])
    graph = connectLayers(graph, "in", "add/in2")
    assert repr(graph) == (
        "  LayerGraph with properties:\n\n"
        "         Layers: [2x1 nnet.cnn.layer.Layer]\n"
        "    Connections: [2x2 table]\n"
        "     InputNames: {'in'}\n"
        "    OutputNames: {}"
    )
    assert repr(graph.Connections) == (
        "  2x2 table\n\n"
        "    Source    Destination\n"
        "    ______    ___________\n\n"
        "    {'in'}    {'add/in1'}\n"
        "    {'in'}    {'add/in2'}"
    )
    assert "add/in2" in graph.Connections._repr_html_()
    assert repr(layerGraph().Connections) == "  0x2 empty table"


def test_layers_are_connected_in_their_order_and_named():
    graph = layerGraph([featureInputLayer(2), fullyConnectedLayer(3), fullyConnectedLayer(1), regressionLayer()])
    assert [layer.Name for layer in graph.Layers] == ["input", "fc_1", "fc_2", "regressionoutput"]
    assert wires(graph) == {("input", "fc_1"), ("fc_1", "fc_2"), ("fc_2", "regressionoutput")}
    assert (graph.InputNames, graph.OutputNames) == (["input"], ["regressionoutput"])


def test_functions_leave_the_graph_alone():
    graph = residual()
    before = repr(graph.Connections), repr(graph.Layers)
    addLayers(graph, reluLayer(Name="new"))
    removeLayers(graph, ["bn", "add"])
    disconnectLayers(graph, "relu_1", "add/in2")
    replaceLayer(graph, "fc", fullyConnectedLayer(3))
    graph.Layers[0].Name = "other"
    assert (repr(graph.Connections), repr(graph.Layers)) == before


def test_remove_connect_disconnect():
    graph = removeLayers(residual(), "bn")
    assert ("conv_2", "bn") not in wires(graph) and len(graph.Layers) == 9
    graph = connectLayers(graph, "conv_2", "add/in1")
    assert wires(graph) >= {("conv_2", "add/in1"), ("relu_1", "add/in2")}
    graph = disconnectLayers(graph, "conv_2/out", "add/in1")
    assert ("conv_2", "add/in1") not in wires(graph)


def test_replace_layer_keeps_place_and_connections():
    graph = replaceLayer(residual(), "relu_1", [batchNormalizationLayer(Name="bn_1"), reluLayer(Name="r")])
    assert [layer.Name for layer in graph.Layers][2:4] == ["bn_1", "r"]
    assert wires(graph) >= {("conv_1", "bn_1"), ("bn_1", "r"), ("r", "conv_2"), ("r", "add/in2")}
    same = replaceLayer(residual(), "add", multiplicationLayer(2, Name="add"))
    assert wires(same) == wires(residual())
    depth = replaceLayer(residual(), "add", depthConcatenationLayer(2, Name="cat"), "ReconnectBy", "order")
    assert wires(depth) >= {("bn", "cat/in1"), ("relu_1", "cat/in2")}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda g: connectLayers(g, "conv_1", "add"), OptionError, "'add' has the inputs in1, in2. Name one"),
        (lambda g: connectLayers(g, "conv_1", "add/in3"), UnknownNameError, "no port 'in3'"),
        (lambda g: connectLayers(g, "conf_1", "add/in2"), UnknownNameError, "Did you mean 'conv_1'"),
        (lambda g: connectLayers(g, "conv_1", "add/in2"), NetworkError, "connected to 'relu_1' already"),
        (lambda g: connectLayers(g, "out", "add/in2"), NetworkError, "'out' has no outputs"),
        (lambda g: connectLayers(g, 1, "add/in2"), OptionError, "needs 'layer' or 'layer/port', but got 1"),
        (lambda g: connectLayers([], "a", "b"), OptionError, "layer graph"),
        (lambda g: disconnectLayers(g, "in", "add/in2"), NetworkError, "not connected"),
        (lambda g: removeLayers(g, ["fc", "fd"]), UnknownNameError, "no layer 'fd'"),
        (lambda g: addLayers(g, reluLayer(Name="fc")), NetworkError, "twice: 'fc'"),
        (lambda g: addLayers(g, 3), OptionError, "element 1 is 3"),
        (lambda g: replaceLayer(g, "fc", []), OptionError, "at least one layer"),
        (
            lambda g: replaceLayer(g, "add", reluLayer(Name="r")),
            NetworkError,
            "no port for the connection of 'add/in",
        ),
        (lambda g: replaceLayer(g, "add", reluLayer(), ReconnectBy="size"), OptionError, "ReconnectBy"),
        (lambda g: layerGraph([reluLayer(Name="a"), reluLayer(Name="a")]), NetworkError, "twice: 'a'"),
    ],
)
def test_wrong_changes(change, error, text):
    with pytest.raises(error, match=text):
        change(residual())


def mistakes(graph):
    with pytest.raises(NetworkError) as caught:
        trainNetwork(*images(10), graph, options())
    return str(caught.value).splitlines()


def test_all_mistakes_of_a_graph_together():
    graph = addLayers(disconnectLayers(residual(), "bn", "add/in1"), reluLayer(Name="loose"))
    assert mistakes(graph) == [
        "Invalid network, 4 mistakes:",
        "  Layer 5 'bn' (Batch Normalization): nothing uses its output. Connect it, or remove the layer.",
        "  Layer 6 'add' (Addition): nothing feeds the input 'in1'. Use connectLayers(lgraph, ..., 'add/in1').",
        "  Layer 11 'loose' (ReLU): nothing feeds the input 'in'. Use connectLayers(lgraph, ..., 'loose').",
        "  Layer 11 'loose' (ReLU): nothing uses its output. Connect it, or remove the layer.",
    ]


def test_cycles_are_named():
    graph = connectLayers(disconnectLayers(residual(), "in", "conv_1"), "relu_2", "conv_1")
    found = "\n".join(mistakes(graph))
    assert "cycle" in found and "'conv_1', 'relu_1', 'conv_2'" in found and "Layer 1 'in'" in found


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (additionLayer(2, Name="add"), "needs inputs of the same size, but got 8x8x5, 8x8x4"),
        (concatenationLayer(1, 2, Name="add"), "needs inputs that differ only along the joined dimension"),
        (concatenationLayer(4, 2, Name="add"), "needs a dimension from 1 to 3, but got Dim 4"),
    ],
)
def test_sizes_that_do_not_meet(layer, text):
    graph = replaceLayer(residual(), "conv_2", convolution2dLayer(3, 5, Padding="same", Name="conv_2"))
    assert any(text in line for line in mistakes(replaceLayer(graph, "add", layer)))


def test_chain_with_an_open_input():
    layers = [featureInputLayer(2), additionLayer(2), fullyConnectedLayer(1), regressionLayer()]
    with pytest.raises(NetworkError, match="nothing feeds in2. Make a layerGraph"):
        trainNetwork(np.zeros((9, 2)), np.zeros(9), layers, options())


def test_graph_trains_and_predicts():
    x, y = images()
    rng(0)
    graph = residual()
    net = trainNetwork(x, y, graph, options())
    assert isinstance(net, DAGNetwork)
    assert np.mean(net.classify(x) == y) > 0.9
    assert wires(net) == wires(graph)
    added = net.activations(x, "bn") + net.activations(x, "relu_1")
    np.testing.assert_allclose(net.activations(x, "add"), added, atol=1e-5)
    np.testing.assert_allclose(net.activations(x, 7), np.maximum(added, 0), atol=1e-5)


def test_transfer_learning_from_a_network():
    x, y = images()
    net = trainNetwork(x, y, residual(), options(MaxEpochs=1))
    graph = replaceLayer(layerGraph(net), "fc", fullyConnectedLayer(3, Name="new"))
    graph = replaceLayer(graph, "out", classificationLayer(Name="out"))
    np.testing.assert_array_equal(graph.Layers[1].Weights, net.Layers[1].Weights)
    again = trainNetwork(x, np.arange(200) % 3, graph, options(MaxEpochs=1))
    assert again.predict(x).shape == (200, 3)


def test_order_of_layers_does_not_matter():
    x, y = images()
    graph = residual()
    shuffled = layerGraph()
    for layer in reversed(list(graph.Layers)):
        shuffled = addLayers(shuffled, layer)
    for source, destination in graph.Connections.rows():
        shuffled = connectLayers(shuffled, source, destination)
    frozen = [layer.Name for layer in shuffled.Layers]
    net = trainNetwork(x, y, shuffled, options(MaxEpochs=1))
    assert [layer.Name for layer in net.Layers] == frozen == [layer.Name for layer in graph.Layers][::-1]
    assert net.predict(x[..., :3]).shape == (3, 2)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (additionLayer(2, Name="c"), lambda x: x + 2 * x),
        (multiplicationLayer(2, Name="c"), lambda x: x * 2 * x),
        (depthConcatenationLayer(2, Name="c"), lambda x: np.concatenate([x, 2 * x], axis=2)),
        (concatenationLayer(1, 2, Name="c"), lambda x: np.concatenate([x, 2 * x], axis=0)),
        (concatenationLayer(2, 2, Name="c"), lambda x: np.concatenate([x, 2 * x], axis=1)),
        (concatenationLayer(3, 2, Name="c"), lambda x: np.concatenate([x, 2 * x], axis=2)),
    ],
)
def test_combination_layers(layer, expected):
    x = np.random.default_rng(0).normal(size=(4, 4, 1, 10))
    double = convolution2dLayer(1, 1, Weights=2, Bias=0, WeightLearnRateFactor=0, BiasLearnRateFactor=0, Name="double")
    graph = layerGraph([imageInputLayer([4, 4, 1], Normalization="none", Name="in"), layer])
    graph = addLayers(graph, double)
    graph = connectLayers(connectLayers(graph, "in", "double"), "double", "c/in2")
    graph = addLayers(graph, [fullyConnectedLayer(1, Name="fc"), regressionLayer(Name="out")])
    net = trainNetwork(x, np.zeros(10), connectLayers(graph, "c", "fc"), options(MaxEpochs=1))
    np.testing.assert_allclose(net.activations(x, "c"), expected(x), rtol=1e-6)


def test_factors_of_parameters_by_their_path():
    graph = residual()
    for changed in (setLearnRateFactor(graph, "conv_1/Weights", 0), setLearnRateFactor(graph, "conv_1", "Weights", 0)):
        assert getLearnRateFactor(changed, "conv_1", "Weights") == getLearnRateFactor(changed, "conv_1/Weights") == 0
        assert getLearnRateFactor(changed, "conv_2/Weights") == getLearnRateFactor(graph, "conv_1/Weights") == 1
        assert wires(changed) == wires(graph)
    assert getL2Factor(setL2Factor(graph, "fc/Bias", 3), "fc", "Bias") == 3 and getL2Factor(graph, "fc/Bias") == 0
    x, y = images()
    start = np.random.default_rng(0).normal(size=(3, 3, 1, 4))
    graph = replaceLayer(graph, "conv_1", convolution2dLayer(3, 4, Padding="same", Name="conv_1", Weights=start))
    net = trainNetwork(x, y, setLearnRateFactor(graph, "conv_1/Weights", 0), options(MaxEpochs=1))
    np.testing.assert_array_equal(net.Layers[1].Weights, start.astype(np.float32))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda g: setL2Factor(g, "convv/Weights", 1), UnknownNameError, "setL2Factor: there is no layer 'convv'"),
        (lambda g: setL2Factor(g, "fc/Weight", 1), UnknownNameError, "no learnable parameter 'Weight'. Did you mean"),
        (lambda g: setL2Factor(g, "fc", "Weights", -1), OptionError, "WeightL2Factor: needs a number of at least 0"),
        (lambda g: setL2Factor(g, "Weights", 1), OptionError, r"needs setL2Factor\(lgraph, 'layer/parameter', ...\)"),
        (lambda g: setL2Factor(g, "fc/Weights"), OptionError, "setL2Factor: the factor is missing"),
        (lambda g: getLearnRateFactor(g, "fc"), OptionError, "needs getLearnRateFactor"),
        (lambda g: setL2Factor(g.Layers[1], "a", "Weights", 1), OptionError, r"needs setL2Factor\(layer, 'parameter'"),
    ],
)
def test_mistakes_in_paths_of_parameters(call, error, text):
    with pytest.raises(error, match=text):
        call(residual())


def test_each_cycle_is_named_without_what_is_behind_it():
    graph = layerGraph([imageInputLayer([8, 8, 1], Name="in")])
    for number in (1, 2):
        block = [additionLayer(2, Name=f"add{number}"), reluLayer(Name=f"a{number}"), reluLayer(Name=f"b{number}")]
        graph = connectLayers(addLayers(graph, block), "in", f"add{number}/in1")
        graph = connectLayers(graph, f"a{number}", f"add{number}/in2")
    mistakes = analyzeNetwork(graph).Mistakes
    cycles = [mistake for mistake in mistakes if "cycle" in mistake]
    assert cycles == [
        f"Network: the layers 'add{number}', 'a{number}' make a cycle. Disconnect one of them." for number in (1, 2)
    ]


def test_a_mistake_behind_inputs_that_do_not_fit_is_found_too():
    graph = layerGraph([imageInputLayer([8, 8, 3], Name="in"), additionLayer(2, Name="add")])
    graph = addLayers(graph, convolution2dLayer(3, 5, Name="conv"))
    last = [depthConcatenationLayer(2, Name="cat"), fullyConnectedLayer(2, Name="fc"), regressionLayer(Name="out")]
    graph = addLayers(graph, last)
    for source, destination in (("in", "conv"), ("conv", "add/in2"), ("add", "cat/in1"), ("conv", "cat/in2")):
        graph = connectLayers(graph, source, destination)
    mistakes = analyzeNetwork(graph).Mistakes
    assert len(mistakes) == 2 and "'add'" in mistakes[0] and "'cat'" in mistakes[1]


def test_forms_of_the_functions():
    graph = layerGraph
    graph = addLayers(graph, reluLayer(Name="a")).addLayers(reluLayer(Name="b")).connectLayers("a", "b")
    assert graph.Connections.rows() and [layer.Name for layer in graph.Layers] == ["a", "b"]
    graph = graph.disconnectLayers("a", "b").replaceLayer("b", tanhLayer(Name="c")).removeLayers(["a"])
    assert [layer.Name for layer in graph.Layers] == ["c"]
    with pytest.raises(UnknownNameError, match="removeLayers: there is no layer 'x', 'y'"):
        graph.removeLayers(["x", "c", "y"])
    with pytest.raises(NetworkError, match="layerGraph: layer names need to be unique"):
        layerGraph([reluLayer(Name="a"), reluLayer(Name="a")])
    with pytest.raises(NetworkError, match="replaceLayer: layer names need to be unique"):
        layerGraph([reluLayer(Name="a"), reluLayer(Name="b")]).replaceLayer("b", reluLayer(Name="a"))


@pytest.mark.parametrize("names", [3, None, [1], ["a", None]])
def test_layers_to_remove_are_named(names):
    with pytest.raises(OptionError, match="removeLayers: needs the names of layers, but got"):
        removeLayers(layerGraph(reluLayer(Name="a")), names)
