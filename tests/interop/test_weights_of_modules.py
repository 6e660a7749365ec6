"""importWeights and exportWeights for every kind of layer with parameters, against the modules of PyTorch and Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from conformance.table import TABLE

import mlnet
from mlnet import DataError, NotSupportedError, exportWeights, importWeights, predict
from mlnet.network.trained import DAGNetwork

from .networks import filled, random_network

NO_RULE = {"whiteningLayer"}
"""What has parameters and nothing like it in either library."""
GENERATOR = np.random.default_rng(4)
SEQUENCE = GENERATOR.normal(size=(3, 8, 6)).astype(np.float32)
"""Observations, steps, channels."""
IMAGES = GENERATOR.normal(size=(2, 4, 8, 6)).astype(np.float32)
LINES = GENERATOR.normal(size=(2, 4, 9)).astype(np.float32)
VOLUMES = GENERATOR.normal(size=(2, 3, 5, 4, 6)).astype(np.float32)


@pytest.mark.parametrize("library", ["pytorch", "keras"])
@pytest.mark.parametrize("name", TABLE)
def test_every_layer_there_and_back_or_named(name, library):
    for row in TABLE[name]:
        net = filled(name, row)
        learned = [
            (layer, each)
            for layer in net._network.layers
            for each in (*(one.name for one in layer.learnables), *layer.states)
            if each not in ("HiddenState", "CellState")
        ]
        try:
            arrays = exportWeights(net, library)
        except NotSupportedError:
            is_normalized = row[0].get("WeightReparameterization") == "weight-normalization"
            assert name in NO_RULE or (library == "keras" and is_normalized)
            continue
        except DataError as error:  # a shape of the layer that the module cannot have
            assert (name in ("gruLayer", "selfAttentionLayer") and "needs" in str(error)) or "nothing like" in str(
                error
            )
            continue
        assert name not in NO_RULE and bool(arrays) == bool(learned)
        if name == "lstmProjectedLayer":
            continue  # its products come back, its factors need not
        empty = with_zeros(net)
        again = importWeights(empty, arrays)
        for one, other in zip(net._network.layers, again._network.layers, strict=True):
            for learnable in one.learnables:
                np.testing.assert_array_equal(getattr(one, learnable.name), getattr(other, learnable.name))
        for key, value in arrays.items():
            with pytest.raises(DataError, match=r"needs size|higher rank"):
                importWeights(empty, {**arrays, key: np.zeros((*value.shape, 2))})


def with_zeros(net):
    layers = [
        layer.replaced(**{each.name: np.zeros_like(getattr(layer, each.name)) for each in layer.learnables})
        for layer in net._network.layers
    ]
    return DAGNetwork(net._network.with_layers(layers))


class Torch:
    """Modules of PyTorch, run on (N, C, ...) or (N, T, C)."""

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch")

    def named(self, module: Any, name: str = "layer") -> dict[str, Any]:
        self.torch.manual_seed(0)
        with self.torch.no_grad():
            for key, value in module.state_dict().items():
                if value.is_floating_point():
                    drawn = self.torch.rand(value.shape) + 0.5 if "var" in key else self.torch.randn(value.shape) / 3
                    value.copy_(drawn)
        module.eval()
        return {f"{name}.{key}": value for key, value in module.state_dict().items()}

    def run(self, module: Any, x: np.ndarray) -> np.ndarray:
        with self.torch.no_grad():
            return module(self.torch.tensor(x)).numpy()


def check(layers, arrays, x, expected, library="pytorch"):
    """Compare predictions, and the arrays that come back."""
    layers = [*layers, mlnet.regressionLayer()]
    net = mlnet.assembleNetwork(importWeights(layers, arrays))
    np.testing.assert_allclose(predict(net, x), expected, rtol=1e-4, atol=1e-4)
    back = exportWeights(net, library)
    given = {key: np.asarray(value) for key, value in arrays.items() if "num_batches" not in key}
    return back, given


def same_arrays(back, given):
    assert set(back) == set(given)
    for key, value in given.items():
        np.testing.assert_allclose(back[key], value, rtol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_pytorch(causal):
    torch = Torch()
    module = torch.torch.nn.MultiheadAttention(6, 3, batch_first=True)
    arrays = torch.named(module)
    mask = torch.torch.triu(torch.torch.ones(8, 8, dtype=bool), 1) if causal else None
    x = torch.torch.tensor(SEQUENCE)
    expected = module(x, x, x, attn_mask=mask, need_weights=False)[0].detach().numpy()
    layer = mlnet.selfAttentionLayer(3, 6, AttentionMask="causal" if causal else "none", Name="layer")
    layers = [mlnet.sequenceInputLayer(6), layer, mlnet.regressionLayer()]
    net = mlnet.assembleNetwork(importWeights(layers, arrays))
    found = np.stack(predict(net, list(SEQUENCE.transpose(0, 2, 1)))).transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    same_arrays(exportWeights(net), {key: value.numpy() for key, value in arrays.items()})
    layers[1] = mlnet.selfAttentionLayer(3, 9, Name="layer")
    with pytest.raises(DataError, match="MultiheadAttention needs NumKeyChannels.*of 6"):
        importWeights(layers, arrays)


def windows(torch):
    nn, norm = torch.nn, torch.nn.utils.weight_norm
    parametrized = torch.nn.utils.parametrizations.weight_norm
    kind = {"WeightReparameterization": "weight-normalization"}
    image = mlnet.imageInputLayer([8, 6, 4], Normalization="none", Name="in")
    line = mlnet.inputLayer([9, 4, np.nan], "SCB", Name="in")
    volume = mlnet.image3dInputLayer([5, 4, 6, 3], Normalization="none", Name="in")
    name = {"Name": "layer"}
    return {
        "1-D": (nn.Conv1d(4, 5, 3, stride=2), line, LINES, mlnet.convolution1dLayer(3, 5, Stride=2, **name)),
        "1-D transposed": (
            nn.ConvTranspose1d(4, 5, 3, stride=2),
            line,
            LINES,
            mlnet.transposedConv1dLayer(3, 5, Stride=2, **name),
        ),
        "3-D": (nn.Conv3d(3, 4, (2, 1, 3)), volume, VOLUMES, mlnet.convolution3dLayer([2, 1, 3], 4, **name)),
        "3-D transposed": (
            nn.ConvTranspose3d(3, 4, (2, 1, 3)),
            volume,
            VOLUMES,
            mlnet.transposedConv3dLayer([2, 1, 3], 4, **name),
        ),
        "normalized": (
            norm(nn.Conv2d(4, 5, (3, 2))),
            image,
            IMAGES,
            mlnet.convolution2dLayer([3, 2], 5, **kind, **name),
        ),
        "normalized, groups": (
            norm(nn.Conv2d(4, 6, 3, groups=2)),
            image,
            IMAGES,
            mlnet.groupedConvolution2dLayer(3, 3, 2, **kind, **name),
        ),
        "normalized, transposed": (
            norm(nn.ConvTranspose2d(4, 5, 3), dim=1),
            image,
            IMAGES,
            mlnet.transposedConv2dLayer(3, 5, **kind, **name),
        ),
        "normalized since 2.0": (
            parametrized(nn.Conv2d(4, 5, 3)),
            image,
            IMAGES,
            mlnet.convolution2dLayer(3, 5, **kind, **name),
        ),
        "instance": (nn.InstanceNorm2d(4, affine=True), image, IMAGES, mlnet.instanceNormalizationLayer(**name)),
        "batch, no scale": (nn.BatchNorm2d(4, affine=False), image, IMAGES, mlnet.batchNormalizationLayer(**name)),
        "one slope": (nn.PReLU(1), image, IMAGES, mlnet.preluLayer(**name)),
        "patches": (nn.Conv2d(4, 5, 2, stride=2), image, IMAGES, mlnet.patchEmbeddingLayer(2, 5, **name)),
    }


KINDS = ["1-D", "1-D transposed", "3-D", "3-D transposed", "normalized", "normalized, groups", "normalized, transposed"]
KINDS += ["normalized since 2.0", "instance", "batch, no scale", "one slope", "patches"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_windows_and_normalizations_of_pytorch(kind):
    torch = Torch()
    module, first, x, layer = windows(torch.torch)[kind]
    arrays = torch.named(module)
    expected = torch.run(module, x)
    order = (*range(2, x.ndim), 1, 0)
    expected = expected.transpose(order)
    if kind == "patches":  # a list of patches, the first dimension fastest
        expected = expected.reshape(-1, *expected.shape[2:], order="F")
    back, given = check([first, layer], arrays, x.transpose(order), expected)
    if kind in ("batch, no scale", "one slope", "normalized since 2.0"):
        again = importWeights(
            mlnet.assembleNetwork([first, *filled_layers(layer, first), mlnet.regressionLayer()]), back
        )
        np.testing.assert_allclose(predict(again, x.transpose(order)), expected, rtol=1e-4, atol=1e-4)
    else:
        same_arrays(back, given)


def filled_layers(layer, first):
    return [random_network([first, layer, mlnet.regressionLayer()]).Layers[1]]


@pytest.mark.parametrize("mode", ["last", "sequence"])
def test_projected_lstm_as_lstm_of_pytorch(mode):
    torch = Torch()
    layers = [mlnet.sequenceInputLayer(6), mlnet.lstmProjectedLayer(5, 3, 2, OutputMode=mode, Name="layer")]
    net = random_network([*layers, mlnet.regressionLayer()])
    arrays = exportWeights(net)
    module = torch.torch.nn.LSTM(6, 5, batch_first=True)
    torch.named(module)
    state = {key.removeprefix("layer."): torch.torch.tensor(value) for key, value in arrays.items()}
    module.load_state_dict(state)
    x = list(SEQUENCE.transpose(0, 2, 1))
    full = module(torch.torch.tensor(SEQUENCE))[0].detach().numpy()
    again = importWeights(net, arrays)
    for each in (net, again):
        found = predict(mlnet.resetState(each), x)
        if mode == "last":
            np.testing.assert_allclose(found, full[:, -1], rtol=1e-4, atol=1e-4)
        else:
            np.testing.assert_allclose(np.stack(found).transpose(0, 2, 1), full, rtol=1e-4, atol=1e-4)
    arrays["layer.weight_hh_l0"] = GENERATOR.normal(size=(20, 5)).astype(np.float32)
    with pytest.raises(DataError, match="weight_hh_l0 is of a higher rank than OutputProjectorSize=3: use a lstmLayer"):
        importWeights(net, arrays)


def keras():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = pytest.importorskip("keras", exc_type=ImportError)
    pytest.importorskip(found.backend.backend(), exc_type=ImportError)
    return found


def weights_of(model):
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape) / 3)
    return {weight.path: np.asarray(weight) for weight in model.weights}


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_keras(causal):
    kr = keras()
    given = kr.Input((8, 6))
    attended = kr.layers.MultiHeadAttention(3, 4, value_dim=2, output_shape=5, name="layer")(
        given, given, use_causal_mask=causal
    )
    model = kr.Model(given, attended)
    arrays = weights_of(model)
    mask = "causal" if causal else "none"
    layer = mlnet.selfAttentionLayer(3, 12, NumValueChannels=6, OutputSize=5, AttentionMask=mask, Name="layer")
    layers = [mlnet.sequenceInputLayer(6), layer, mlnet.regressionLayer()]
    net = mlnet.assembleNetwork(importWeights(layers, arrays))
    found = np.stack(predict(net, list(SEQUENCE.transpose(0, 2, 1)))).transpose(0, 2, 1)
    np.testing.assert_allclose(found, np.asarray(model(SEQUENCE)), rtol=1e-4, atol=1e-4)
    back = exportWeights(net, "keras")
    assert len(back) == len(arrays) == 8
    for key, value in back.items():
        (theirs,) = (array for path, array in arrays.items() if path.endswith(key))
        np.testing.assert_allclose(value, theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", ["1-D", "1-D transposed", "3-D", "3-D transposed", "instance", "patches"])
def test_windows_and_normalizations_of_keras(kind):
    kr = keras()
    kl = kr.layers
    line = mlnet.inputLayer([9, 4, np.nan], "SCB", Name="in")
    volume = mlnet.image3dInputLayer([5, 4, 6, 3], Normalization="none", Name="in")
    image = mlnet.imageInputLayer([8, 6, 4], Normalization="none", Name="in")
    name = {"name": "layer"}
    pairs = {
        "1-D": (
            kl.Conv1D(5, 3, strides=2, **name),
            line,
            LINES,
            mlnet.convolution1dLayer(3, 5, Stride=2, Name="layer"),
        ),
        "1-D transposed": (
            kl.Conv1DTranspose(5, 3, **name),
            line,
            LINES,
            mlnet.transposedConv1dLayer(3, 5, Name="layer"),
        ),
        "3-D": (kl.Conv3D(4, (2, 1, 3), **name), volume, VOLUMES, mlnet.convolution3dLayer([2, 1, 3], 4, Name="layer")),
        "3-D transposed": (
            kl.Conv3DTranspose(4, (2, 1, 3), **name),
            volume,
            VOLUMES,
            mlnet.transposedConv3dLayer([2, 1, 3], 4, Name="layer"),
        ),
        "instance": (
            kl.GroupNormalization(-1, epsilon=1e-5, **name),
            image,
            IMAGES,
            mlnet.instanceNormalizationLayer(Name="layer"),
        ),
        "patches": (kl.Conv2D(5, 2, strides=2, **name), image, IMAGES, mlnet.patchEmbeddingLayer(2, 5, Name="layer")),
    }
    theirs, first, x, layer = pairs[kind]
    x = np.moveaxis(x, 1, -1)
    model = kr.Sequential([kr.Input(x.shape[1:]), theirs])
    arrays = weights_of(model)
    order = (*range(1, x.ndim), 0)
    expected = np.asarray(model(x)).transpose(order)
    if kind == "patches":
        expected = expected.reshape(-1, *expected.shape[2:], order="F")
    back, _ = check([first, layer], arrays, x.transpose(order), expected, "keras")
    for key, value in back.items():
        (found,) = (array for path, array in arrays.items() if path.endswith(key))
        np.testing.assert_array_equal(value, found)


def test_a_transformer_block_of_pytorch():
    """Names with dots, several layers, and a graph."""
    torch = Torch()
    module = torch.torch.nn.TransformerEncoderLayer(6, 3, 10, dropout=0.0, batch_first=True)
    arrays = torch.named(module, "encoder.layers.0")
    graph = mlnet.layerGraph([mlnet.sequenceInputLayer(6, Name="in")])
    start = "encoder_layers_0"
    graph = mlnet.addLayers(
        graph,
        [
            mlnet.selfAttentionLayer(3, 6, Name=f"{start}_self_attn"),
            mlnet.additionLayer(2, Name="plus1"),
            mlnet.layerNormalizationLayer(OperationDimension="channel-only", Name=f"{start}_norm1"),
            mlnet.fullyConnectedLayer(10, Name=f"{start}_linear1"),
            mlnet.reluLayer(Name="relu"),
            mlnet.fullyConnectedLayer(6, Name=f"{start}_linear2"),
            mlnet.additionLayer(2, Name="plus2"),
            mlnet.layerNormalizationLayer(OperationDimension="channel-only", Name=f"{start}_norm2"),
            mlnet.regressionLayer(Name="out"),
        ],
    )
    for source, destination in (("in", f"{start}_self_attn"), ("in", "plus1/in2"), (f"{start}_norm1", "plus2/in2")):
        graph = mlnet.connectLayers(graph, source, destination)
    net = mlnet.assembleNetwork(importWeights(graph, arrays))
    found = np.stack(predict(net, list(SEQUENCE.transpose(0, 2, 1)))).transpose(0, 2, 1)
    np.testing.assert_allclose(found, torch.run(module, SEQUENCE), rtol=1e-4, atol=1e-4)


def test_embeddings_of_pytorch():
    torch = Torch()
    module = torch.torch.nn.Embedding(9, 4)
    arrays = torch.named(module)
    token = GENERATOR.normal(size=(1, 1, 4)).astype(np.float32)
    layers = [mlnet.sequenceInputLayer(4), mlnet.embeddingConcatenationLayer(Name="token")]
    layers += [mlnet.positionEmbeddingLayer(4, 9, Name="layer"), mlnet.regressionLayer()]
    net = mlnet.assembleNetwork(importWeights(layers, {**arrays, "token.weight": token}))
    np.testing.assert_array_equal(net.Layers[1].Weights.ravel(), token.ravel())
    positions = torch.run(module, np.arange(9))
    found = predict(net, SEQUENCE[0, :, :4].T)
    np.testing.assert_allclose(found, positions.T[:, : found.shape[1]], rtol=1e-5)
