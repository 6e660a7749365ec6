"""Layers of ONNX operators that no other layer stands for, in files."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import DataError, importNetworkFromONNX, load, predict, save
from mlnet.interop.onnx.operators import OPERATORS
from mlnet.interop.onnx.reading.function import GraphFunction, OnnxOperatorLayer

onnx = pytest.importorskip("onnx")
X = np.random.default_rng(0).normal(size=(5, 6)).astype("single")


def written(path, nodes, constants, size=("N", 6), out=("N", 4)):
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    ends = [onnx.helper.make_tensor_value_info(n, 1, list(shape)) for n, shape in (("x", size), ("y", out))]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    return path


def operators(path):
    """Write operators with attributes and constants of all kinds."""
    make = onnx.helper.make_node
    nodes = [
        make("CumSum", ["x", "axis"], ["sum"], reverse=1),
        make("Sin", ["sum"], ["sin"]),
        make("Mod", ["sin", "scale"], ["mod"], fmod=1),
        make("Pad", ["mod", "pads", "fill"], ["wide"], mode="constant"),
        make("Gather", ["wide", "places"], ["y"], axis=1),
    ]
    constants = {"axis": np.array(1), "scale": np.array([0.5], "f"), "pads": np.array([0, 1, 0, 0])}
    return written(path, nodes, constants | {"fill": np.array(2, "f"), "places": np.array([0, 2, 4, 6])})


@pytest.mark.parametrize("version", ["-v6", "-v7", "-v7.3"])
def test_a_network_with_them_is_kept(tmp_path, version):
    if version == "-v7.3":
        pytest.importorskip("h5py")
    net = importNetworkFromONNX(operators(tmp_path / "x.onnx"))
    assert any(isinstance(layer, OnnxOperatorLayer) for layer in net.Layers)
    sums = np.sin(np.cumsum(X[:, ::-1], 1)[:, ::-1])
    expected = np.pad(np.fmod(sums, np.float32(0.5)), ((0, 0), (1, 0)), constant_values=2)[:, [0, 2, 4, 6]]
    np.testing.assert_allclose(predict(net, X), expected, atol=1e-5)
    save(tmp_path / "x.mat", version, net=net, layers=net.Layers)
    found = load(tmp_path / "x.mat")
    np.testing.assert_array_equal(predict(found.net, X), predict(net, X))
    target, options = np.zeros((5, 4)), mlnet.trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
    trained = [mlnet.trainNetwork(X, target, mlnet.layerGraph(each), options) for each in (net, found.net)]
    np.testing.assert_array_equal(predict(trained[0], X), predict(trained[1], X))


def plain(tmp_path):
    net = importNetworkFromONNX(operators(tmp_path / "x.onnx"))
    (function,) = [layer.PredictFcn for layer in net.Layers if isinstance(layer, OnnxOperatorLayer)]
    return function.to_plain()


def exchanged(name):
    def change(fields):
        fields["nodes"][1][0] = name

    return change


def put(name, value):
    return lambda fields: fields.update({name: value})


@pytest.mark.parametrize(
    "change, text",
    [
        (exchanged("Loop"), "the operator Loop"),
        (exchanged("__import__"), "the operator __import__"),
        (lambda fields: fields["nodes"].reverse(), "its inputs are"),
        (put("output", "z"), "no function"),
        (put("opset", 99), "no function"),
        (put("size", ["C", [5]]), "cannot be computed"),
        (put("size", ["CC", [5]]), "format 'CC'"),
        (put("size", ["C", [2**40]]), "number"),
        (put("axes", [["Q"]]), "unknown names"),
        (put("tensors", []), "its inputs are"),
        (put("nodes", "x"), "list is missing"),
    ],
)
def test_what_stands_for_no_function_is_refused(tmp_path, change, text):
    assert "Loop" not in OPERATORS
    fields = plain(tmp_path)
    GraphFunction.of_plain(fields)
    change(fields)
    with pytest.raises((ValueError, TypeError), match=text):
        GraphFunction.of_plain(fields)


def test_a_damaged_one_in_a_file_is_an_error(tmp_path, monkeypatch):
    net = importNetworkFromONNX(operators(tmp_path / "x.onnx"))
    good = GraphFunction.to_plain
    monkeypatch.setattr(GraphFunction, "to_plain", lambda function: good(function) | {"opset": 99})
    save(tmp_path / "x.mat", net=net)
    with pytest.raises(DataError, match="make no function"):
        load(tmp_path / "x.mat")


def test_what_cannot_hold_them_says_what_they_are(tmp_path):
    net = importNetworkFromONNX(operators(tmp_path / "x.onnx"))
    text = r"operators of an ONNX file \(CumSum, Sin, Mod, Pad, Gather\)"
    for write in (
        lambda: mlnet.exportONNXNetwork(net, tmp_path / "y.onnx"),
        lambda: mlnet.exportOpenVINO(net, tmp_path / "y.xml"),
        lambda: mlnet.exportNetworkToMATLAB(net, tmp_path),
        lambda: mlnet.codeFor(net),
        lambda: mlnet.codeFor(net, "matlab"),
    ):
        with pytest.raises(mlnet.NotSupportedError, match=text):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]
