"""What other libraries write for one layer comes back as that layer, with the same numbers, and can be trained."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mlnet
from mlnet import exportONNXNetwork, importNetworkFromONNX, importONNXLayers, predict, regressionLayer
from mlnet.interop.onnx.file import runner

from .networks import random_network
from .stacks import STACKS, input_of
from .test_onnx_export import masked

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

nn = torch.nn


class Attention(nn.Module):
    def __init__(self, size, heads, kind):
        super().__init__()
        self.heads, self.kind = heads, kind
        self.q, self.k, self.v, self.o = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x):
        count, steps, size = x.shape
        q, k, v = (
            part(x).view(count, steps, self.heads, size // self.heads).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        if self.kind == "plain":
            y = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(size // self.heads), -1) @ v
        else:
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.kind == "causal")
        return self.o(y.transpose(1, 2).reshape(count, steps, size))


class Block(nn.Module):
    def __init__(self, kind="plain", gelu="none"):
        super().__init__()
        self.attention, self.norms = Attention(8, 2, kind), nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
        self.parts = nn.Sequential(nn.Linear(8, 16), nn.GELU(approximate=gelu), nn.Linear(16, 8))

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.parts(self.norms[1](x))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.block, self.out = nn.Embedding(11, 8), Block("causal"), nn.Linear(8, 11)

    def forward(self, x):
        return self.out(self.block(self.table(x)))


OPEN = {"x": {0: "batch", 1: "steps"}, "y": {0: "batch", 1: "steps"}}
FIXED = {"x": {0: "batch"}}


@pytest.fixture
def exported(tmp_path):
    def export(module, x, axes, opset=17):
        torch.manual_seed(0)
        path = tmp_path / "net.onnx"
        options = {"dynamo": False, "opset_version": opset, "input_names": ["x"], "output_names": ["y"]}
        torch.onnx.export(module.eval(), (x,), path, dynamic_axes=axes, **options)
        return path, runner("test", path.read_bytes())({"x": x.numpy()})[0]

    return export


def names(net):
    return [type(layer).__name__.removesuffix("Layer") for layer in net.Layers[1:-1]]


BLOCK = ["LayerNormalization", "SelfAttention", "Addition", "LayerNormalization"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind, gelu, opset", [("plain", "none", 11), ("sdpa", "none", 17), ("causal", "tanh", 14)])
def test_a_transformer_block_of_sequences(exported, kind, gelu, opset):
    x = torch.randn(3, 5, 8)
    path, expected = exported(Block(kind, gelu), x, OPEN, opset)
    net = importNetworkFromONNX(path)
    assert names(net) == [*BLOCK, "FullyConnected", "GELU", "FullyConnected", "Addition"]
    assert net.Layers[2].AttentionMask == ("causal" if kind == "causal" else "none")
    assert net.Layers[6].Approximation == gelu
    found = np.stack(predict(net, list(x.numpy().transpose(0, 2, 1)))).transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_transformer_block_of_fixed_length(exported):
    x = torch.randn(3, 5, 8)
    path, expected = exported(Block(), x, FIXED)
    net = importNetworkFromONNX(path)
    assert names(net) == [*BLOCK, "Convolution1D", "GELU", "Convolution1D", "Addition"]
    found = predict(net, x.numpy().transpose(1, 2, 0)).transpose(2, 0, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_words_and_sequences_of_different_lengths(exported):
    words = torch.randint(0, 11, (3, 6))
    path, expected = exported(Words(), words, OPEN)
    net = importNetworkFromONNX(path)
    assert "WordEmbedding" in names(net) and "SelfAttention" in names(net)
    given = [row[None].astype(np.float32) for row in words.numpy()]
    np.testing.assert_allclose(np.stack(predict(net, given)).transpose(0, 2, 1), expected, rtol=1e-4, atol=1e-5)
    short = predict(net, [given[0][:, :4], given[1]])
    np.testing.assert_allclose(short[0], predict(net, [given[0][:, :4]])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_convolutions_with_silu_and_a_flattening(exported):
    parts = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8)]
    parts += [nn.Hardswish(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    x = torch.randn(3, 3, 16, 16)
    path, expected = exported(nn.Sequential(*parts), x, FIXED)
    net = importNetworkFromONNX(path)
    assert names(net)[:4] == ["Convolution2D", "Swish", "GroupedConvolution2D", "OnnxOperator"]
    given = x.numpy().transpose(2, 3, 1, 0)
    np.testing.assert_allclose(predict(net, given), expected, rtol=1e-4, atol=1e-5)
    options = mlnet.trainingOptions("adam", MaxEpochs=40, InitialLearnRate=0.02, Verbose=False)
    target = np.zeros((3, 4))
    trained = mlnet.trainNetwork(given, target, list(net.Layers), options)
    assert np.abs(predict(trained, given)).max() < 0.5 * np.abs(expected).max()
    first, last = net.Layers[1].Weights, trained.Layers[1].Weights
    assert np.abs(first - last).max() > 1e-3  # gradients have come through the operator layer


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize(
    "name",
    [
        *("attention", "attention, causal", "attention, line", "embedding concatenation", "rms normalization", "gelu"),
        *("gelu, tanh", "swish", "prelu", "lstm", "bilstm", "position embedding, line", "features, groups"),
    ],
)
def test_layers_of_mlnet_come_back_as_they_were(tmp_path, name, opset):
    kind, layers = STACKS[name]
    net = random_network([input_of(kind), *layers, regressionLayer()])
    exportONNXNetwork(net, tmp_path / "net.onnx", OpsetVersion=opset)
    again = importNetworkFromONNX(tmp_path / "net.onnx")
    inner = [each for each in names(again) if each != "Scaling"]  # the normalization of sequences
    if name in ("position embedding, line", "features, groups") and (opset < 21 or "position" in name):
        assert "OnnxOperator" in inner
    else:
        assert inner == names(net)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("mask", ["none", "causal"])
@pytest.mark.parametrize("line", [False, True])
def test_masked_attention_comes_back(tmp_path, line, mask, both):
    net = random_network(masked(line, False, mask, both))
    exportONNXNetwork(net, tmp_path / "net.onnx")
    again = importONNXLayers(tmp_path / "net.onnx")
    (layer,) = [each for each in again.Layers if "Attention" in type(each).__name__]
    assert type(layer).__name__ == ("AttentionLayer" if both else "SelfAttentionLayer")
    assert layer.HasPaddingMaskInput and layer.AttentionMask == mask


NODE = onnx.helper.make_node


def normalized(bias=True, centred=True, form="div"):
    """A normalization over channels in parts, as libraries write it that do not know the operator."""
    square = NODE("Pow", ["d", "two"], ["p"]) if form == "div" else NODE("Mul", ["d", "d"], ["p"])
    nodes = [NODE("ReduceMean", ["x"], ["m"], axes=[-1]), NODE("Sub", ["x", "m"], ["d"])] if centred else []
    nodes += [square, NODE("ReduceMean", ["p"], ["v"], axes=[-1]), NODE("Add", ["v", "e"], ["s"])]
    nodes += [NODE("Sqrt", ["s"], ["r"])]
    if form == "div":
        nodes.append(NODE("Div", ["d", "r"], ["n"]))
    else:
        nodes += [NODE("Reciprocal", ["r"], ["i"]), NODE("Mul", ["i", "d"], ["n"])]
    nodes.append(NODE("Mul", ["g", "n"], ["y" if not bias else "z"]))
    nodes += [NODE("Add", ["z", "b"], ["y"])] if bias else []
    if not centred:
        nodes = [NODE("Identity", ["x"], ["d"]), *nodes]
    return nodes


@pytest.mark.parametrize("form", ["div", "reciprocal"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_normalizations_in_parts(tmp_path, form, bias, centred):
    generator = np.random.default_rng(0)
    values = {"two": np.array(2, np.float32), "e": np.array(1e-3, np.float32)}
    values |= {name: generator.normal(size=6).astype(np.float32) for name in "gb"}
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [[helper.make_tensor_value_info(name, kind, ["N", 6])] for name in "xy"]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(normalized(bias, centred, form), "g", *ends, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    net = importNetworkFromONNX(path)
    expected = ["LayerNormalization"] if centred else ["RMSNormalization", *["Scaling"] * bias]
    assert names(net) == expected and net.Layers[1].Epsilon == pytest.approx(1e-3)
    x = generator.normal(3, 2, size=(4, 6)).astype(np.float32)
    np.testing.assert_allclose(predict(net, x), runner("test", path.read_bytes())({"x": x})[0], rtol=1e-4, atol=1e-5)
