"""exportOpenVINO: files, options, errors, and what is in the files."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import mlnet
from mlnet import DataError, MissingExtraError, NotSupportedError, OptionError, UnknownNameError, exportOpenVINO
from mlnet.interop.onnx.writing import writer as onnx_writer

from .networks import random_network


def small():
    return random_network([mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2), mlnet.regressionLayer()])


def classifier():
    layers = [mlnet.imageInputLayer([6, 5, 2], Normalization="zerocenter", Mean=0.5), mlnet.convolution2dLayer(3, 4)]
    layers += [mlnet.batchNormalizationLayer(Epsilon=0.02), mlnet.reluLayer(), mlnet.batchNormalizationLayer()]
    return random_network([*layers, mlnet.fullyConnectedLayer(3), mlnet.regressionLayer()])


def operations(path):
    return [(layer.get("type"), layer.get("version")) for layer in ElementTree.parse(path).getroot().iter("layer")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_files_are_written(tmp_path):
    assert exportOpenVINO(small(), tmp_path / "net.xml") is None
    exportOpenVINO(small(), str(tmp_path / "other"), NetworkName="Mine", BatchSize=3)
    assert names(tmp_path) == ["net.bin", "net.xml", "other.bin", "other.xml"]
    root = ElementTree.parse(tmp_path / "other.xml").getroot()
    assert root.get("name") == "Mine"
    assert root.find("layers/layer/data").get("shape") == "3,3"


def test_a_dlnetwork(tmp_path):
    pytest.importorskip("openvino")
    net = mlnet.dlnetwork([mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2), mlnet.softmaxLayer(Name="s")])
    assert exportOpenVINO(net, tmp_path / "net.xml", nargout=1) < 1e-5
    root = ElementTree.parse(tmp_path / "net.xml").getroot()
    assert [each.get("name") for each in root.iter("layer") if each.get("type") == "Result"] == ["s_output"]


def test_weights_are_in_single_precision_as_they_are(tmp_path):
    net = small()
    exportOpenVINO(net, tmp_path / "net.xml")
    content = (tmp_path / "net.bin").read_bytes()
    found = {}
    for layer in ElementTree.parse(tmp_path / "net.xml").getroot().iter("layer"):
        if layer.get("type") == "Const":
            data = layer.find("data")
            start, size = int(data.get("offset")), int(data.get("size"))
            assert data.get("element_type") == "f32"
            shape = [int(n) for n in data.get("shape").split(",") if n.strip()]
            found[tuple(shape)] = np.frombuffer(content[start : start + size], "<f4").reshape(shape)
    np.testing.assert_array_equal(found[2, 3], net.Layers[1].Weights)
    assert np.array_equal(found[2,], net.Layers[1].Bias.ravel())


def test_batch_normalization_is_an_operation_or_folded(tmp_path):
    exportOpenVINO(classifier(), tmp_path / "net.xml", BatchNormalization="inference")
    kinds = operations(tmp_path / "net.xml")
    assert kinds.count(("BatchNormInference", "opset5")) == 2
    epsilons = [data.get("epsilon") for data in ElementTree.parse(tmp_path / "net.xml").iter("data")]
    assert [each for each in epsilons if each] == ["0.02", "1e-05"]
    exportOpenVINO(classifier(), tmp_path / "net.xml")
    kinds = [kind for kind, _ in operations(tmp_path / "net.xml")]
    assert "BatchNormInference" not in kinds
    assert kinds.count("Multiply") == 1  # the first is in the weights of the convolution, the second stands behind ReLU


@pytest.mark.parametrize("kind", ["folded", "inference"])
def test_the_largest_difference_is_told(tmp_path, kind):
    pytest.importorskip("openvino")
    for each in (small(), classifier()):
        assert 0 <= exportOpenVINO(each, tmp_path / "net.xml", BatchNormalization=kind, nargout=1) < 1e-5


def test_the_runtime_reads_the_files(tmp_path):
    openvino = pytest.importorskip("openvino")
    net = classifier()
    exportOpenVINO(net, tmp_path / "net.xml", BatchNormalization="inference")
    compiled = openvino.Core().compile_model(tmp_path / "net.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 7):
        x = np.random.default_rng(0).normal(size=(6, 5, 2, count)).astype(np.float32)
        found = compiled({"imageinput": x.transpose(3, 2, 0, 1)})["regressionoutput"]
        np.testing.assert_allclose(found, net.predict(x), rtol=1e-5, atol=1e-5)


def test_a_wrong_operator_is_found_and_the_old_files_stay(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    for name in ("net.xml", "net.bin"):
        (tmp_path / name).write_text("old")
    right = onnx_writer.EXPORTERS["fully_connected"]
    monkeypatch.setitem(onnx_writer.EXPORTERS, "fully_connected", lambda step: step.build.node("Sigmoid", right(step)))
    with pytest.raises(mlnet.NetworkError, match="exportOpenVINO: what the file would compute differs from predict by"):
        exportOpenVINO(small(), tmp_path / "net.xml")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old", "old"]


def test_names_that_xml_cannot_hold(tmp_path):
    layers = [mlnet.featureInputLayer(3, Name="a<&\"'\x01\n, b"), mlnet.fullyConnectedLayer(2, Name="π\x00")]
    net = random_network([*layers, mlnet.regressionLayer(Name="out, 1")])
    exportOpenVINO(net, tmp_path / "net.xml")
    layers = [layer.get("name") for layer in ElementTree.parse(tmp_path / "net.xml").getroot().iter("layer")]
    assert "a<&\"'  , b" in layers and "π " in layers
    openvino = pytest.importorskip("openvino")
    assert openvino.Core().read_model(tmp_path / "net.xml").outputs[0].get_names() == {"out, 1"}


def test_layers_that_cannot_be_expressed_are_named(tmp_path):
    layers = [mlnet.featureInputLayer(3), mlnet.functionLayer(np.tanh, Name="mine"), mlnet.regressionLayer()]
    with pytest.raises(NotSupportedError, match="^exportOpenVINO: .* cannot express 1 layer:\n.*'mine'"):
        exportOpenVINO(random_network(layers), tmp_path / "net.xml")
    assert not names(tmp_path)


def test_arguments_are_checked(tmp_path):
    path = tmp_path / "net.xml"
    with pytest.raises(OptionError, match="needs a network"):
        exportOpenVINO([mlnet.reluLayer()], path)
    with pytest.raises(OptionError, match="BatchNormalization"):
        exportOpenVINO(small(), path, BatchNormalization="none")
    with pytest.raises(UnknownNameError, match="BatchNormalization"):
        exportOpenVINO(small(), path, BatchNormalisation="folded")
    with pytest.raises(OptionError, match="nargout"):
        exportOpenVINO(small(), path, nargout=2)
    with pytest.raises(OptionError, match=r"that of the \.xml file"):
        exportOpenVINO(small(), tmp_path / "net.bin")
    with pytest.raises(DataError, match=r"net\.[a-z]*' cannot be written: [^'/]*$"):
        exportOpenVINO(small(), tmp_path / "nowhere" / "net.xml")
    assert not names(tmp_path)


def test_without_the_package_files_are_written_and_not_checked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    exportOpenVINO(small(), tmp_path / "net.xml")
    assert names(tmp_path) == ["net.bin", "net.xml"]
    with pytest.raises(MissingExtraError, match=r"pip install 'mlnet\[openvino\]'"):
        exportOpenVINO(small(), tmp_path / "other.xml", nargout=1)
    assert names(tmp_path) == ["net.bin", "net.xml"]
