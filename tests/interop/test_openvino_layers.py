"""exportOpenVINO: every layer, in the OpenVINO runtime, against predict."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.table import TABLE

import mlnet
from mlnet import NotSupportedError, predict, regressionLayer
from mlnet.interop.onnx.check import as_given, random_data, to_file
from mlnet.interop.onnx.writing.writer import graph_of
from mlnet.interop.openvino import file as openvino_file
from mlnet.interop.openvino.exporting import _OPSET, ir_of
from mlnet.interop.openvino.xml import to_files

from .networks import filled, random_network
from .stacks import STACKS, input_of
from .test_onnx_export import branches, unpooling

openvino = pytest.importorskip("openvino")


def differences(net, batch_normalization="folded", batches=(1, 7), seed=1):
    network = net._network
    graph = graph_of(network, "Network", _OPSET)
    xml, content = to_files(ir_of(graph, network, batch_normalization))
    check_shapes(xml, content)
    run = openvino_file.runner(xml, content)
    for count in batches:
        generator = np.random.default_rng(seed)
        data = [random_data(network, layer, count, generator) for layer in network.input_layers]
        feeds = {
            tensor.name: to_file(x, layer.size())
            for tensor, x, layer in zip(graph.inputs, data, network.input_layers, strict=True)
        }
        given = [as_given(layer, x) for layer, x in zip(network.input_layers, data, strict=True)]
        outputs = predict(net, tuple(given) if len(given) > 1 else given[0])
        sizes = [network.sizes[index][0] for index in network.output_indices]
        for ours, theirs, size in zip(outputs if len(sizes) > 1 else [outputs], run(feeds), sizes, strict=True):
            expected = to_file(ours, size)
            assert expected.shape == theirs.shape
            yield np.abs(expected - theirs).max() / max(1, np.abs(expected).max())


def check_shapes(xml, content):
    """The lengths that are written are those that the runtime computes from the operations."""
    from xml.etree import ElementTree

    written = {
        layer.get("name"): [[int(dim.text) for dim in port] for port in layer.findall("output/port")]
        for layer in ElementTree.fromstring(xml).findall("layers/layer")
    }
    for operation in openvino_file.read(xml, content).get_ops():
        if operation.get_type_name() in ("Result", "Constant"):
            continue
        found = [output.get_partial_shape() for output in operation.outputs()]
        for lengths, theirs in zip(written[operation.get_friendly_name()], found, strict=True):
            assert len(lengths) == theirs.rank.get_length()
            for ours, other in zip(lengths, theirs, strict=True):
                assert ours == -1 or not other.is_static or ours == other.get_length()
                assert ours != -1 or other.is_dynamic, (operation.get_friendly_name(), operation.get_type_name())


@pytest.mark.parametrize("name", sorted(STACKS))
def test_a_layer_is_computed_as_by_predict(name):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    assert max(differences(net)) < 1e-5


HARD, SOFT = {"GateActivationFunction": "hard-sigmoid"}, {"StateActivationFunction": "softsign"}
START = {"HiddenState": np.full((4, 1), 0.5)}
LOOPS = [
    mlnet.lstmLayer(4, CellState=np.ones((4, 1)), **START, **HARD),
    mlnet.lstmLayer(4, OutputMode="last", StateActivationFunction="relu", **HARD),
    mlnet.lstmProjectedLayer(4, 3, 2, **SOFT),
    mlnet.bilstmLayer(4, **HARD, **SOFT),
    mlnet.bilstmLayer(4, OutputMode="last", **SOFT),
    mlnet.gruLayer(4, **START, **HARD),
    mlnet.gruLayer(4, ResetGateMode="before-multiplication", **SOFT),
    mlnet.gruLayer(4, ResetGateMode="recurrent-bias-after-multiplication", OutputMode="last", **HARD, **SOFT),
]


@pytest.mark.parametrize("layer", LOOPS, ids=lambda layer: layer.constructor_name)
def test_recurrent_functions_that_the_runtime_does_not_have_are_loops(layer):
    net = random_network([mlnet.sequenceInputLayer(3), layer, regressionLayer()])
    assert max(differences(net)) < 1e-5
    kinds = {each.kind for each in ir_of(graph_of(net._network, "Network", _OPSET), net._network).used()}
    assert "TensorIterator" in kinds and not kinds & {"LSTMSequence", "GRUSequence"}


NOT_EXPORTED = {
    ("maxPooling2dLayer", "HasUnpoolingOutputs", "True"): "the places of maxima",
    ("indexing1dLayer", "HasPaddingMaskInput", "True"): "a mask",
}
"""What cannot be written, by layer and option; Notes of exportOpenVINO list it too."""


def reason_of(name, row):
    """Return why a row of the conformance table cannot be exported, or None."""
    options, sizes = row
    if name == "functionLayer":
        return "Function"
    if name == "wordEmbeddingLayer" and sizes[0].format == "SC":
        return "images of words"
    given = {(name, option, str(value)) for option, value in options.items()}
    return next((reason for key, reason in NOT_EXPORTED.items() if key in given), None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in TABLE if name != "sequenceFoldingLayer"])
def test_every_layer_of_the_catalogue(name):
    """Folding has no network of its own: its outputs need a layer that unfolds them."""
    for row in TABLE[name]:
        reason = reason_of(name, row)
        if reason is None:
            assert max(differences(filled(name, row))) < 1e-5, row
        else:
            with pytest.raises(NotSupportedError, match=reason):
                max(differences(filled(name, row)))


@pytest.mark.parametrize("name", ["batch normalization", "features", "bilstm", "frames", "volume, global"])
def test_batch_normalization_as_an_operation(name):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    assert max(differences(net, "inference")) < 1e-5


@pytest.mark.parametrize("maker", [mlnet.transposedConv2dLayer(3, 4), mlnet.groupedConvolution2dLayer(3, 2, 2)])
def test_batch_normalization_is_folded_into_what_stands_before(maker):
    layers = [input_of("image"), maker, mlnet.batchNormalizationLayer(), regressionLayer()]
    assert max(differences(random_network(layers))) < 1e-5


def test_a_graph_of_several_outputs():
    assert max(differences(random_network(branches()))) < 1e-5


@pytest.mark.parametrize("pool, stride", [(2, 2), (3, 2), ([2, 3], [1, 1])])
def test_unpooling(pool, stride):
    assert max(differences(random_network(unpooling(pool, stride)))) < 1e-5


def states():
    graph = mlnet.layerGraph([mlnet.sequenceInputLayer(3), mlnet.lstmLayer(4, HasStateOutputs=True, Name="first")])
    second = mlnet.lstmLayer(4, HasStateInputs=True, Name="second", OutputMode="last")
    graph = mlnet.addLayers(graph, [second, regressionLayer(Name="out")])
    for wire in ("first/out second/in", "first/hidden second/hidden", "first/cell second/cell"):
        graph = mlnet.connectLayers(graph, *wire.split())
    return graph


def test_states_that_come_in_and_go_out():
    assert max(differences(random_network(states()))) < 1e-5
