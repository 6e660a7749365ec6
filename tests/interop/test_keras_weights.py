"""importWeights and exportWeights, against Keras."""

from __future__ import annotations

import os

import numpy as np
import pytest

import mlnet
from mlnet import DataError, OptionError, exportWeights, importWeights, predict

from .networks import random_network

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", exc_type=ImportError)
pytest.importorskip(keras.backend.backend(), exc_type=ImportError)
kl = keras.layers


def weights_of(model):
    """Return the arrays of a model, with random values."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = rng.normal(size=weight.shape) / 3
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    return {weight.path: weight for weight in model.weights}


def computed(model, x):
    return keras.ops.convert_to_numpy(model(x.astype(np.float32), training=False))


def image_pair(*, flattens=True):
    stack = [
        keras.Input((9, 8, 4)),
        kl.Conv2D(6, (3, 2), strides=(1, 2), name="conv1"),
        kl.BatchNormalization(name="bn1", epsilon=1e-5),
        kl.Conv2D(4, (1, 3), groups=2, use_bias=False, name="group"),
        kl.DepthwiseConv2D((2, 1), depth_multiplier=3, name="depth"),
        kl.GroupNormalization(2, epsilon=1e-5, name="gn"),
        kl.PReLU(shared_axes=[1, 2], name="slope"),
        kl.Conv2DTranspose(5, (2, 3), strides=2, name="up"),
        kl.Flatten(),
        kl.Dense(7, name="fc1"),
        kl.BatchNormalization(name="bn2", epsilon=1e-5, scale=False, center=False),
        kl.Dense(2, name="fc2"),
    ]
    layers = [
        mlnet.imageInputLayer([9, 8, 4], Normalization="none"),
        mlnet.convolution2dLayer([3, 2], 6, Stride=[1, 2], Name="conv1"),
        mlnet.batchNormalizationLayer(Name="bn1"),
        mlnet.groupedConvolution2dLayer([1, 3], 2, 2, Name="group"),
        mlnet.groupedConvolution2dLayer([2, 1], 3, "channel-wise", Name="depth"),
        mlnet.groupNormalizationLayer(2, Name="gn"),
        mlnet.preluLayer(Name="slope"),
        mlnet.transposedConv2dLayer([2, 3], 5, Stride=2, Name="up"),
        *([mlnet.flattenLayer()] if flattens else []),
        mlnet.fullyConnectedLayer(7, Name="fc1"),
        mlnet.batchNormalizationLayer(Name="bn2"),
        mlnet.fullyConnectedLayer(2, Name="fc2"),
        mlnet.regressionLayer(),
    ]
    return keras.Sequential(stack), layers


@pytest.mark.parametrize("flattens", [False, True])
def test_images(flattens):
    model, layers = image_pair(flattens=flattens)
    net = mlnet.assembleNetwork(importWeights(layers, weights_of(model)))
    x = np.random.default_rng(1).normal(size=(3, 9, 8, 4))
    np.testing.assert_allclose(predict(net, x.transpose(1, 2, 3, 0)), computed(model, x), rtol=1e-4, atol=1e-4)


def test_3d_images():
    model = keras.Sequential(
        [keras.Input((3, 4, 5, 2)), kl.Conv3D(3, (2, 3, 1), name="c"), kl.Flatten(), kl.Dense(2, name="d")]
    )
    layers = [
        mlnet.image3dInputLayer([3, 4, 5, 2], Normalization="none"),
        mlnet.convolution3dLayer([2, 3, 1], 3, Name="c"),
        mlnet.fullyConnectedLayer(2, Name="d"),
        mlnet.regressionLayer(),
    ]
    net = mlnet.assembleNetwork(importWeights(layers, weights_of(model)))
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 2))
    np.testing.assert_allclose(predict(net, x.transpose(1, 2, 3, 4, 0)), computed(model, x), rtol=1e-4, atol=1e-4)


AFTER = "recurrent-bias-after-multiplication"
RECURRENT = {
    "lstm": (lambda: kl.LSTM(5, return_sequences=True, name="rnn"), lambda: mlnet.lstmLayer(5, Name="rnn")),
    "bilstm": (
        lambda: kl.Bidirectional(kl.LSTM(5, return_sequences=True), name="rnn"),
        lambda: mlnet.bilstmLayer(5, Name="rnn"),
    ),
    "gru": (
        lambda: kl.GRU(5, return_sequences=True, name="rnn"),
        lambda: mlnet.gruLayer(5, ResetGateMode=AFTER, Name="rnn"),
    ),
    "gru before": (
        lambda: kl.GRU(5, return_sequences=True, reset_after=False, name="rnn"),
        lambda: mlnet.gruLayer(5, ResetGateMode="before-multiplication", Name="rnn"),
    ),
}


def sequence_pair(kind):
    theirs, ours = RECURRENT[kind]
    model = keras.Sequential([keras.Input((6, 3)), theirs(), kl.LayerNormalization(name="ln", epsilon=1e-5)])
    norm = mlnet.layerNormalizationLayer(OperationDimension="channel-only", Name="ln")
    return model, [mlnet.sequenceInputLayer(3), ours(), norm, mlnet.regressionLayer()]


@pytest.mark.parametrize("kind", RECURRENT)
def test_sequences_and_back(kind):
    model, layers = sequence_pair(kind)
    arrays = weights_of(model)
    net = mlnet.assembleNetwork(importWeights(layers, arrays))
    x = np.random.default_rng(1).normal(size=(2, 6, 3))
    found = np.stack(predict(net, list(x.transpose(0, 2, 1)))).transpose(0, 2, 1)
    np.testing.assert_allclose(found, computed(model, x), rtol=1e-4, atol=1e-4)
    back = exportWeights(net, "keras")
    assert len(back) == len(arrays)
    for value, weight in zip(back.values(), model.weights, strict=True):
        np.testing.assert_allclose(value, np.asarray(weight), rtol=1e-6)
    again = importWeights(net, back)
    np.testing.assert_array_equal(again.predict(x[0].T), net.predict(x[0].T))


def test_embeddings():
    model = keras.Sequential([keras.Input((4,)), kl.Embedding(6, 3, name="words")])
    arrays = weights_of(model)
    layers = [mlnet.sequenceInputLayer(1), mlnet.wordEmbeddingLayer(3, 6, OOVMode="error", Name="words")]
    net = mlnet.assembleNetwork(importWeights([*layers, mlnet.regressionLayer()], arrays))
    x = np.array([[0, 5, 2, 3]])
    np.testing.assert_allclose(net.predict(x + 1).T, computed(model, x)[0], rtol=1e-6)


def test_there_and_back():
    model, layers = image_pair()
    arrays = weights_of(model)
    net = mlnet.assembleNetwork(importWeights(layers, arrays))
    back = exportWeights(net, "keras")
    begin = {path.rsplit("/", 2)[0] for path in arrays if path.count("/") == 2}
    assert len(begin) <= 1
    named = {path.removeprefix(f"{''.join(begin)}/"): weight for path, weight in arrays.items()}
    assert set(back) == {*named, "group/bias", "bn2/gamma", "bn2/beta"}
    for path, weight in named.items():
        np.testing.assert_array_equal(back[path].reshape(weight.shape), np.asarray(weight))
    x = np.random.default_rng(0).normal(size=(9, 8, 4, 2))
    np.testing.assert_array_equal(importWeights(net, back).predict(x), net.predict(x))


@pytest.mark.parametrize("mode", ["after-multiplication", "before-multiplication", AFTER])
def test_every_reset_gate_there_and_back(mode):
    net = random_network([mlnet.sequenceInputLayer(3), mlnet.gruLayer(4, ResetGateMode=mode), mlnet.regressionLayer()])
    x = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_array_equal(importWeights(net, exportWeights(net, "keras")).predict(x), net.predict(x))


@pytest.mark.parametrize(
    ("kind", "mode"), [("gru", "before-multiplication"), ("gru", "after-multiplication"), ("gru before", AFTER)]
)
def test_a_reset_gate_of_another_kind(kind, mode):
    model, layers = sequence_pair(kind)
    layers[1] = mlnet.gruLayer(5, ResetGateMode=mode, Name="rnn")
    with pytest.raises(DataError, match="needs ResetGateMode='"):
        importWeights(layers, weights_of(model))


def test_names_of_older_files():
    layers = [mlnet.sequenceInputLayer(2), mlnet.bilstmLayer(1, Name="rnn"), mlnet.regressionLayer()]
    arrays = {}
    for way in ("forward", "backward"):
        start = f"model/rnn/{way}_lstm_3/lstm_cell_{len(arrays)}"
        arrays |= {f"{start}/kernel:0": np.ones((2, 4)), f"{start}/recurrent_kernel:0": np.ones((1, 4))}
    arrays["drop/seed_generator/seed_generator_state"] = np.zeros(2)
    filled = importWeights(layers, arrays)
    np.testing.assert_array_equal(filled[1].InputWeights, np.ones((8, 2)))
    depth = [mlnet.imageInputLayer([4, 4, 3]), mlnet.groupedConvolution2dLayer(2, 1, "channel-wise", Name="d")]
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 1))
    filled = importWeights([*depth, mlnet.regressionLayer()], {"m/d/depthwise_kernel:0": kernel})
    np.testing.assert_allclose(filled[1].Weights[:, :, 0, 0], kernel[..., 0], rtol=1e-6)


def test_every_mistake_is_listed():
    model, layers = image_pair()
    arrays = {name.removeprefix("sequential/"): np.asarray(value) for name, value in weights_of(model).items()}
    arrays = {"/".join(name.split("/")[-2:]): value for name, value in arrays.items()}
    arrays["fc1/kernel"] = arrays["fc1/kernel"].T
    arrays["fc2/bias"] = np.array([1, np.nan])
    arrays["gn/gamma"] = "text"
    arrays["bn1/moving_means"] = arrays.pop("bn1/moving_mean")
    arrays["other/bn2/moving_mean"] = arrays["again/bn2/moving_mean"] = arrays.pop("bn2/moving_mean")
    arrays["again/bn2/moving_variance"] = arrays.pop("bn2/moving_variance")
    with pytest.raises(DataError) as error:
        importWeights(layers, arrays)
    text = str(error.value)
    for part in ("fc1/kernel", "not finite", "needs numbers", "moving_mean' is missing", "Did you mean", "2 layers"):
        assert part in text


def test_the_library_is_checked():
    with pytest.raises(OptionError, match="'pytorch', 'keras', but got 'jax'"):
        exportWeights([mlnet.featureInputLayer(1), mlnet.regressionLayer()], "jax")
