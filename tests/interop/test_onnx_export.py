"""exportONNXNetwork: every layer, in ONNX Runtime, against predict."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    NetworkError,
    NotSupportedError,
    OptionError,
    UnknownNameError,
    exportONNXNetwork,
    predict,
    regressionLayer,
)
from mlnet.interop.onnx.check import as_given, random_data, to_file
from mlnet.interop.onnx.file import runner, to_bytes
from mlnet.interop.onnx.writing import writer as onnx_writer
from mlnet.interop.onnx.writing.writer import graph_of

from .networks import random_network
from .stacks import STACKS, input_of

pytest.importorskip("onnx")


def differences(net, opset=17, batches=(1, 7), seed=1):
    graph = graph_of(net._network, "Network", opset)
    run = runner("test", to_bytes("test", graph))
    network = net._network
    for count in batches:
        generator = np.random.default_rng(seed)
        data = [random_data(network, layer, count, generator) for layer in network.input_layers]
        names = [tensor.name for tensor in graph.inputs]
        feeds = {
            name: to_file(x, layer.size()) for name, x, layer in zip(names, data, network.input_layers, strict=True)
        }
        given = [as_given(layer, x) for layer, x in zip(network.input_layers, data, strict=True)]
        outputs = predict(net, tuple(given) if len(given) > 1 else given[0])
        sizes = [network.sizes[index][0] for index in network.output_indices]
        for ours, theirs, size in zip(outputs if len(sizes) > 1 else [outputs], run(feeds), sizes, strict=True):
            expected = to_file(ours, size)
            assert expected.shape == theirs.shape
            yield np.abs(expected - theirs).max() / max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", STACKS)
def test_a_layer_is_computed_as_by_predict(name):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    assert max(differences(net)) < 1e-5


@pytest.mark.parametrize("opset", [18, 20, 22])
@pytest.mark.parametrize("name", ["gelu", "gelu, tanh", "group normalization", "layer normalization", "sequence, all"])
def test_newer_versions_have_other_operators(name, opset):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    assert max(differences(net, opset)) < 1e-5


def branches():
    graph = mlnet.layerGraph([input_of("image"), mlnet.convolution2dLayer(3, 4, Padding="same", Name="a")])
    graph = mlnet.addLayers(
        graph, [mlnet.globalAveragePooling2dLayer(Name="pool"), mlnet.fullyConnectedLayer(4, Name="b")]
    )
    graph = mlnet.addLayers(graph, [mlnet.multiplicationLayer(2, Name="times"), mlnet.additionLayer(3, Name="plus")])
    graph = mlnet.addLayers(graph, mlnet.depthConcatenationLayer(2, Name="deep"))
    graph = mlnet.addLayers(graph, mlnet.regressionLayer(Name="out"))
    graph = mlnet.addLayers(
        graph, [mlnet.concatenationLayer(1, 2, Name="below"), mlnet.crop2dLayer([1, 4], Name="crop")]
    )
    graph = mlnet.addLayers(graph, mlnet.fullyConnectedLayer(3, Name="end"))
    graph = mlnet.addLayers(graph, mlnet.regressionLayer(Name="second"))
    for wire in ("a pool", "a times/in1", "b times/in2", "a plus/in2", "b plus/in3", "plus deep/in1", "a deep/in2"):
        graph = mlnet.connectLayers(graph, *wire.split())
    wires = ("deep below/in1", "deep below/in2", "deep crop/ref", "crop out", "deep end", "end second")
    for wire in wires:
        graph = mlnet.connectLayers(graph, *wire.split())
    return graph


def test_a_graph_of_several_outputs():
    net = random_network(branches())
    assert max(differences(net)) < 1e-5


def unpooling(pool, stride):
    """Values put back to where maxima were, while the network goes on from the pooled ones."""
    pooling = mlnet.maxPooling2dLayer(pool, Stride=stride, Padding=[1, 0, 0, 1], HasUnpoolingOutputs=True, Name="pool")
    graph = mlnet.layerGraph([input_of("image"), pooling, mlnet.convolution2dLayer(3, 4, Padding="same", Name="conv")])
    graph = mlnet.addLayers(graph, [mlnet.maxUnpooling2dLayer(Name="unpool"), mlnet.regressionLayer(Name="out")])
    for wire in ("conv unpool/in", "pool/indices unpool/indices", "pool/size unpool/size"):
        graph = mlnet.connectLayers(graph, *wire.split())
    return graph


@pytest.mark.parametrize("pool, stride", [(2, 2), (3, 2), ([2, 3], [1, 1])])
def test_unpooling(pool, stride):
    assert max(differences(random_network(unpooling(pool, stride)))) < 1e-5


def test_states_that_come_in_and_go_out():
    graph = mlnet.layerGraph([mlnet.sequenceInputLayer(3), mlnet.lstmLayer(4, HasStateOutputs=True, Name="first")])
    second = mlnet.lstmLayer(4, HasStateInputs=True, Name="second", OutputMode="last")
    graph = mlnet.addLayers(graph, [second, mlnet.regressionLayer(Name="out")])
    for wire in ("first/out second/in", "first/hidden second/hidden", "first/cell second/cell"):
        graph = mlnet.connectLayers(graph, *wire.split())
    assert max(differences(random_network(graph))) < 1e-5


@pytest.mark.parametrize("mask", ["none", "causal"])
def test_attention_of_three_inputs(mask):
    graph = mlnet.layerGraph([mlnet.sequenceInputLayer(6), mlnet.fullyConnectedLayer(4, Name="q")])
    graph = mlnet.addLayers(graph, mlnet.fullyConnectedLayer(4, Name="k"))
    graph = mlnet.addLayers(graph, [mlnet.attentionLayer(2, AttentionMask=mask, Name="a"), regressionLayer(Name="out")])
    for wire in ("sequenceinput k", "q a/query", "k a/key", "sequenceinput a/value"):
        graph = mlnet.connectLayers(graph, *wire.split())
    assert max(differences(random_network(graph))) < 1e-5


def masked(line, scores, mask="none", both=False):
    """Attention whose mask is an input of its own, or is computed from the data."""
    form = ([7, 6, np.nan], "SCB") if line else ([6, np.nan, np.nan], "CBT")
    flags = ([7, 1, np.nan], "SCB") if line else ([1, np.nan, np.nan], "CBT")
    options = {"HasPaddingMaskInput": True, "HasScoresOutput": scores, "AttentionMask": mask, "Name": "a"}
    graph = mlnet.layerGraph([mlnet.inputLayer(*form, Name="x")])
    graph = mlnet.addLayers(graph, mlnet.inputLayer(*flags, Name="m"))
    layer = mlnet.attentionLayer(2, **options) if both else mlnet.selfAttentionLayer(2, 4, **options)
    graph = mlnet.addLayers(graph, [layer, regressionLayer(Name="out")])
    wires = ["x a/query", "x a/key", "x a/value", "m a/mask"] if both else ["x a/in", "m a/mask"]
    if scores:
        graph = mlnet.addLayers(graph, regressionLayer(Name="second"))
        wires.append("a/scores second")
    for wire in wires:
        graph = mlnet.connectLayers(graph, *wire.split())
    return graph


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("mask", ["none", "causal"])
@pytest.mark.parametrize("line, scores", [(False, False), (False, True), (True, False), (True, True)])
def test_attention_with_a_mask_and_scores(line, scores, mask, both):
    assert max(differences(random_network(masked(line, scores, mask, both)))) < 1e-5


@pytest.mark.parametrize("normalization", ["zca-whitening", "pca-whitening"])
@pytest.mark.parametrize("elements", [4, 2 * 3 * 4])
def test_whitening_of_the_input(normalization, elements):
    generator = np.random.default_rng(0)
    mean = generator.normal(size=4 if elements == 4 else (2, 3, 4))
    options = {"Mean": mean, "WhiteningMatrix": generator.normal(size=(elements, elements))}
    if elements > 4:
        options["NormalizationDimension"] = "element"
    layers = [mlnet.imageInputLayer([2, 3, 4], Normalization=normalization, **options), mlnet.regressionLayer()]
    assert max(differences(random_network(layers))) < 1e-5


def test_a_dlnetwork(tmp_path):
    import onnx

    path = tmp_path / "net.onnx"
    recurrent = [mlnet.sequenceInputLayer(3), mlnet.lstmLayer(4, HasStateOutputs=True, Name="l")]
    net = mlnet.dlnetwork([*recurrent, mlnet.fullyConnectedLayer(2, Name="f"), mlnet.softmaxLayer(Name="s")])
    assert 0 < exportONNXNetwork(net, path, nargout=1) < 1e-5
    graph = onnx.load(path).graph
    names = [value.name for value in graph.output]
    assert names == ["l_hidden_output", "l_cell_output", "s_output"] and len(net.OutputNames) == 3
    x = np.random.default_rng(0).normal(size=(5, 1, 3)).astype("single")
    found = runner("test", path.read_bytes())({"sequenceinput": x})
    np.testing.assert_allclose(found[2][:, 0], mlnet.minibatchpredict(net, x[:, 0].T, Outputs="s"), rtol=1e-5)
    example = mlnet.dlarray(np.zeros((6, 5, 2, 1), "single"), "SSCB")
    open_net = mlnet.dlnetwork([mlnet.convolution2dLayer(3, 2, Name="c")], example)
    assert exportONNXNetwork(open_net, path, nargout=1) < 1e-5
    assert [value.name for value in onnx.load(path).graph.input] == ["c_input"]
    with pytest.raises(NetworkError, match="needs an initialized network"):
        exportONNXNetwork(mlnet.dlnetwork([mlnet.convolution2dLayer(3, 2)], Initialize=False), path)


def small():
    return random_network([mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2), mlnet.regressionLayer()])


def test_the_file_is_checked_and_its_largest_difference_told(tmp_path):
    path = tmp_path / "net.onnx"
    assert exportONNXNetwork(small(), path) is None
    assert 0 <= exportONNXNetwork(small(), str(path), NetworkName="Mine", BatchSize=3, nargout=1) < 1e-5
    import onnx

    model = onnx.load(path)
    assert model.graph.name == "Mine" and model.opset_import[0].version == 17
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


def test_a_wrong_operator_is_found_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_text("old")
    right = onnx_writer.EXPORTERS["fully_connected"]
    monkeypatch.setitem(onnx_writer.EXPORTERS, "fully_connected", lambda step: step.build.node("Neg", right(step)))
    with pytest.raises(mlnet.NetworkError, match="differs from predict by"):
        exportONNXNetwork(small(), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_all_layers_that_cannot_be_expressed_are_named(tmp_path):
    layers = [mlnet.featureInputLayer(3), mlnet.functionLayer(np.sin, Name="square")]
    layers += [mlnet.functionLayer(np.tanh, Name="mine"), mlnet.reluLayer(), mlnet.regressionLayer()]
    with pytest.raises(NotSupportedError, match="2 layers") as error:
        exportONNXNetwork(random_network(layers), tmp_path / "net.onnx")
    assert "'square'" in str(error.value) and "'mine'" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "layer, match",
    [
        (mlnet.resize2dLayer(OutputSize=[8, 2], NearestRoundingMode="onnx-10"), "one side grows and the other shrinks"),
        (mlnet.layerNormalizationLayer(OperationDimension="channel-only"), "OpsetVersion 17"),
    ],
)
def test_options_that_cannot_be_expressed_are_named(tmp_path, layer, match):
    layers = [mlnet.imageInputLayer([4, 4, 2], Normalization="none"), layer, mlnet.regressionLayer()]
    with pytest.raises(NotSupportedError, match=match):
        exportONNXNetwork(random_network(layers), tmp_path / "net.onnx", OpsetVersion=16)


def test_arguments_are_checked(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(OptionError, match="needs a network"):
        exportONNXNetwork([mlnet.reluLayer()], path)
    with pytest.raises(OptionError, match="OpsetVersion"):
        exportONNXNetwork(small(), path, OpsetVersion=5)
    with pytest.raises(UnknownNameError, match="OpsetVersion"):
        exportONNXNetwork(small(), path, OpsetVersions=17)
    with pytest.raises(OptionError, match="nargout"):
        exportONNXNetwork(small(), path, nargout=2)
    with pytest.raises(DataError, match=r"net\.[a-z]*' cannot be written: [^'/]*$"):
        exportONNXNetwork(small(), tmp_path / "nowhere" / "net.onnx")


def test_without_the_package_the_error_names_the_line_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(mlnet.MissingExtraError, match=r"pip install 'mlnet\[onnx\]'"):
        exportONNXNetwork(small(), tmp_path / "net.onnx")


def test_without_onnx_runtime_the_reference_is_asked(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert exportONNXNetwork(small(), tmp_path / "net.onnx", nargout=1) < 1e-5
