"""importONNXNetwork, importONNXLayers, importNetworkFromONNX: what comes back from files."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    NotSupportedError,
    SeriesNetwork,
    exportONNXNetwork,
    findPlaceholderLayers,
    importNetworkFromONNX,
    importONNXLayers,
    importONNXNetwork,
    predict,
    regressionLayer,
)
from mlnet.interop.onnx.check import random_data

from .networks import random_network
from .stacks import STACKS, input_of

onnx = pytest.importorskip("onnx")


def there_and_back(tmp_path, net, **options):
    path = tmp_path / "net.onnx"
    exportONNXNetwork(net, path, **options)
    return importNetworkFromONNX(path)


def largest_difference(net, again):
    network = net._network
    x = random_data(network, network.input_layers[0], 3, np.random.default_rng(0))
    ours, theirs = predict(net, x), predict(again, x)
    if isinstance(ours, list):
        return max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max()


@pytest.mark.parametrize("name", sorted(STACKS))
def test_what_is_exported_comes_back(tmp_path, name):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    assert largest_difference(net, there_and_back(tmp_path, net, OpsetVersion=21)) < 1e-4


def classifier():
    layers = [mlnet.imageInputLayer([6, 5, 2], Normalization="zerocenter", Mean=0.5), mlnet.convolution2dLayer(3, 4)]
    layers += [mlnet.batchNormalizationLayer(), mlnet.reluLayer(), mlnet.fullyConnectedLayer(3), mlnet.softmaxLayer()]
    return random_network([*layers, mlnet.classificationLayer(Classes=["a", "b", "c"])])


def test_a_classifier_keeps_its_layers(tmp_path):
    path = tmp_path / "net.onnx"
    net = classifier()
    exportONNXNetwork(net, path)
    again = importONNXNetwork(path, OutputLayerType="classification", Classes=["a", "b", "c"])
    assert isinstance(again, SeriesNetwork)
    assert [type(layer) for layer in again.Layers] == [type(layer) for layer in net.Layers]
    x = np.random.default_rng(0).normal(size=(6, 5, 2, 7))
    np.testing.assert_array_equal(mlnet.classify(again, x), mlnet.classify(net, x))
    assert [str(name) for name in importONNXNetwork(path).Layers[-1].ClassNames] == ["1", "2", "3"]


def test_layers_keep_their_names(tmp_path):
    layers = [mlnet.imageInputLayer([6, 6, 2], Normalization="none", Name="in")]
    layers += [mlnet.fullyConnectedLayer(4, Name="first"), mlnet.reluLayer(Name="relu")]
    layers += [mlnet.fullyConnectedLayer(3, Name="second"), mlnet.softmaxLayer(Name="scores")]
    mlnet.exportONNXNetwork(random_network([*layers, mlnet.classificationLayer()]), str(tmp_path / "net.onnx"))
    found = mlnet.importONNXNetwork(str(tmp_path / "net.onnx")).Layers
    assert [each.Name for each in found][:5] == ["in", "first", "relu", "second", "scores"]


def test_layers_without_weights(tmp_path):
    path = tmp_path / "net.onnx"
    exportONNXNetwork(classifier(), path)
    layers = importONNXLayers(path, ImportWeights=False, OutputLayerType="classification")
    assert layers[1].Weights.size == 0 and layers[2].TrainedMean.size == 0
    assert not len(findPlaceholderLayers(layers))


def test_a_softmax_is_added_for_classes(tmp_path):
    path = tmp_path / "net.onnx"
    layers = [mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2), regressionLayer()]
    exportONNXNetwork(random_network(layers), path)
    scores = importONNXNetwork(path).predict(np.ones((4, 3)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(DataError, match="Classes needs 2"):
        importONNXNetwork(path, Classes=["a", "b", "c"])


def test_a_graph_comes_back(tmp_path):
    graph = mlnet.layerGraph([input_of("image"), mlnet.convolution2dLayer(3, 4, Padding="same", Name="a")])
    graph = mlnet.addLayers(graph, [mlnet.globalAveragePooling2dLayer(Name="pool"), mlnet.sigmoidLayer(Name="gate")])
    chain = [mlnet.multiplicationLayer(2, Name="times"), mlnet.additionLayer(2, Name="plus")]
    chain += [mlnet.depthConcatenationLayer(2, Name="deep"), regressionLayer(Name="out")]
    graph = mlnet.addLayers(graph, chain)
    graph = mlnet.connectLayers(graph, "a", "pool")
    for wire in ("a times/in1", "gate times/in2", "a plus/in2", "a deep/in2"):
        graph = mlnet.connectLayers(graph, *wire.split())
    net = random_network(graph)
    assert largest_difference(net, there_and_back(tmp_path, net)) < 1e-5


def test_files_that_are_no_models_are_one_kind_of_error(tmp_path):
    path = tmp_path / "net.onnx"
    exportONNXNetwork(classifier(), path)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    broken = [b"", b"PK", content[: len(content) // 2], generator.bytes(200)]
    for _ in range(150):
        changed = bytearray(content)
        for place in generator.integers(0, len(changed), 3):
            changed[place] = generator.integers(0, 256)
        broken.append(bytes(changed))
    for each in broken[:4]:
        path.write_bytes(each)
        with pytest.raises(DataError, match="cannot be read as an ONNX model"):
            importONNXNetwork(path)
    for each in broken[4:]:
        path.write_bytes(each)
        try:
            importONNXNetwork(path)
        except mlnet.MlnetError as error:
            assert isinstance(error, (DataError, NotSupportedError, mlnet.NetworkError))
    with pytest.raises(DataError, match="cannot be read"):
        importONNXNetwork(tmp_path / "nothing.onnx")


def made(path, nodes, shape, constants=(), outputs=("y",)):
    """Write a model of nodes by hand."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["a", "b"]) for name in outputs]
    values = [onnx.numpy_helper.from_array(value, name) for name, value in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], ends, values)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path


def runtime(path, x):
    from mlnet.interop.onnx.file import runner

    return runner("test", path.read_bytes())({"x": x})[0]


def test_the_flattening_of_other_libraries(tmp_path):
    """Reshape by a computed shape, a matrix product and a bias, as PyTorch and others write them."""
    node = onnx.helper.make_node
    generator = np.random.default_rng(0)
    constants = {
        "zero": np.array(0),
        "place": np.array([0]),
        "rest": np.array([-1]),
        "w": generator.normal(size=(24, 5)).astype(np.float32),
        "b": generator.normal(size=5).astype(np.float32),
    }
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "place"], ["n1"]),
        node("Concat", ["n1", "rest"], ["shape"], axis=0),
        node("Reshape", ["r", "shape"], ["flat"]),
        node("MatMul", ["flat", "w"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
    ]
    path = made(tmp_path / "net.onnx", nodes, ["N", 2, 3, 4], constants)
    net = importNetworkFromONNX(path)
    assert [type(layer).__name__ for layer in net.Layers[1:-1]] == ["ReLULayer", "FullyConnectedLayer"]
    x = generator.normal(size=(3, 2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(net.predict(x.transpose(2, 3, 1, 0)), runtime(path, x), rtol=1e-4, atol=1e-5)


def test_sequences_whose_observations_come_first(tmp_path):
    node = onnx.helper.make_node
    generator = np.random.default_rng(0)
    constants = {
        "w": generator.normal(size=(2, 12, 4)).astype(np.float32),
        "r": generator.normal(size=(2, 12, 3)).astype(np.float32),
        "b": generator.normal(size=(2, 24)).astype(np.float32),
        "shape": np.array([0, 0, -1]),
        "last": np.array(-1),
    }
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r", "b"], ["h"], hidden_size=3, direction="bidirectional"),
        node("Transpose", ["h"], ["h1"], perm=[0, 2, 1, 3]),
        node("Reshape", ["h1", "shape"], ["h2"]),
        node("Transpose", ["h2"], ["h3"], perm=[1, 0, 2]),
        node("Gather", ["h3", "last"], ["y"], axis=1),
    ]
    path = made(tmp_path / "net.onnx", nodes, ["N", "S", 4], constants)
    x = generator.normal(size=(3, 6, 4)).astype(np.float32)
    net = importNetworkFromONNX(path)
    np.testing.assert_allclose(net.predict(list(x.transpose(0, 2, 1))), runtime(path, x), rtol=1e-4, atol=1e-5)


def test_what_is_used_twice_keeps_its_values(tmp_path):
    """A bias behind a product, and a mean that is subtracted, belong to one of two users only."""
    node = onnx.helper.make_node
    generator = np.random.default_rng(0)
    constants = {name: generator.normal(size=(4, 4) if name == "w" else 4).astype(np.float32) for name in "wbm"}
    nodes = [
        node("Sub", ["x", "m"], ["c"]),
        node("Add", ["x", "c"], ["z"]),
        node("MatMul", ["z", "w"], ["p"]),
        node("Add", ["p", "b"], ["q"]),
        node("Mul", ["p", "q"], ["y"]),
    ]
    path = made(tmp_path / "net.onnx", nodes, ["N", 4], constants)
    x = generator.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(importNetworkFromONNX(path).predict(x), runtime(path, x), rtol=1e-4, atol=1e-5)


def test_placeholders_can_be_replaced(tmp_path):
    node = onnx.helper.make_node
    nodes = [node("Bernoulli", ["x"], ["s"]), node("RandomUniformLike", ["s"], ["y"])]
    path = made(tmp_path / "net.onnx", nodes, ["N", 4])
    with pytest.raises(NotSupportedError, match="2 operators") as error:
        importONNXNetwork(path)
    assert "Bernoulli" in str(error.value) and "RandomUniformLike" in str(error.value)
    with pytest.warns(UserWarning, match="Bernoulli"):
        layers = importONNXLayers(path)
    (first, *_), numbers = findPlaceholderLayers(layers, nargout=2)
    assert first.ONNXNode == "Bernoulli" and numbers.tolist()[0] == 2
    with pytest.raises(mlnet.NetworkError, match="Replace it with replaceLayer"):
        mlnet.assembleNetwork(mlnet.layerGraph(layers))


def test_values_in_other_files_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    exportONNXNetwork(classifier(), path)
    model = onnx.load(path)
    onnx.external_data_helper.convert_model_to_external_data(model, location="../secret", size_threshold=0)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError):
        importONNXNetwork(path)


def test_an_operator_without_a_layer_predicts_and_gradients_go_through_it(tmp_path):
    nodes = [onnx.helper.make_node("Softmax", ["x"], ["s"], axis=2), onnx.helper.make_node("Relu", ["s"], ["y"])]
    path = made(tmp_path / "net.onnx", nodes, ["N", 2, 3, 4])
    net = importNetworkFromONNX(path)
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(net.predict(x.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1), runtime(path, x), atol=1e-6)
    target = np.random.default_rng(1).uniform(size=(3, 4, 2, 5))
    layers = [net.Layers[0], mlnet.convolution2dLayer(1, 2), *list(net.Layers)[1:]]
    options = mlnet.trainingOptions("adam", MaxEpochs=60, InitialLearnRate=0.05, MiniBatchSize=5, Verbose=False)
    given = x.transpose(2, 3, 1, 0)
    before, after = (
        mlnet.trainNetwork(given, target, layers, mlnet.trainingOptions("adam", MaxEpochs=1, Verbose=False)),
        mlnet.trainNetwork(given, target, layers, options),
    )
    losses = [np.square(each.predict(given) - target).sum() for each in (before, after)]
    assert losses[1] < 0.98 * losses[0]


def test_an_operator_that_mixes_observations_is_refused_or_one_of_single_observations(tmp_path):
    nodes = [onnx.helper.make_node("Softmax", ["x"], ["y"], axis=0)]
    with pytest.raises(NotSupportedError, match="mixes observations"):
        importNetworkFromONNX(made(tmp_path / "open.onnx", nodes, ["N", 2, 3, 4]))
    path = made(tmp_path / "fixed.onnx", nodes, [5, 2, 3])
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    found = importNetworkFromONNX(path).predict(x.transpose(1, 2, 0)[..., None])
    np.testing.assert_allclose(found[..., 0].transpose(2, 0, 1), runtime(path, x), atol=1e-6)


def test_several_observations_for_operators_that_take_one(tmp_path):
    make = onnx.helper.make_node
    nodes = [make("Softmax", ["x"], ["s"], axis=0), make("CumSum", ["s", "last"], ["y"])]
    path = made(tmp_path / "fixed.onnx", nodes, [5, 2, 3], {"last": np.array(2)})
    x = np.random.default_rng(0).normal(size=(4, 5, 2, 3)).astype(np.float32)
    net = importNetworkFromONNX(path)
    images = x.transpose(2, 3, 1, 0)
    found = net.predict(images)
    for number in range(4):
        one = net.predict(images[..., number : number + 1])
        np.testing.assert_allclose(found[..., number], one[..., 0], atol=1e-6)
        expected = runtime(path, x[number])
        np.testing.assert_allclose(np.sort(one.ravel()), np.sort(expected.ravel()), atol=1e-6)


def test_an_operator_whose_output_is_huge_is_refused(tmp_path):
    constants = {"shape": np.array([1, 2**15, 2**15, 1])}
    nodes = [onnx.helper.make_node("Expand", ["x", "shape"], ["y"])]
    with pytest.raises(NotSupportedError, match="more than .* elements"):
        importNetworkFromONNX(made(tmp_path / "net.onnx", nodes, ["N", 1, 1, 4], constants))


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(DataError, match=r"x\.onnx': cannot be read: No such file or directory\.$"):
        importNetworkFromONNX(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 300)
    with pytest.raises(DataError, match="another kind of file"):
        importNetworkFromONNX(tmp_path / "x.onnx")
