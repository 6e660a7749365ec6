"""engineInfo: a row for each operation, with the engine, the reorders and the reason."""

from __future__ import annotations

import numpy as np
import pytest
from engines.onednn.support import needs_onednn

from mlnet import (
    additionLayer,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    dropoutLayer,
    engineInfo,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    maxPooling2dLayer,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    swishLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.errors import NetworkError, OptionError

NUMPY = f"NumPy {np.__version__}"


def layers() -> list:
    return [
        imageInputLayer([8, 6, 3], Name="in"),
        convolution2dLayer(3, 32, Padding="same", Name="conv"),
        batchNormalizationLayer(Name="bn"),
        reluLayer(Name="relu"),
        swishLayer(Name="swish"),
        dropoutLayer(Name="drop"),
        fullyConnectedLayer(2, Name="fc"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="out"),
    ]


@needs_onednn
def test_a_step_of_training():
    info = engineInfo(layers(), Training=True, MiniBatchSize=8)
    assert info.columns == ["Layer", "Operation", "Engine", "Reorders", "Reason"]
    assert info.Layer == ["conv", "bn", "relu", "swish", "drop", "fc"]
    assert info.Operation[:2] == ["convolution2d", "batch_normalization"]
    assert [name.split()[0] for name in info.Engine] == ["oneDNN", "oneDNN", "oneDNN", "oneDNN", "NumPy", "oneDNN"]
    assert info.Reason[:2] == ["", ""] and info.Reason[5] == ""
    assert info.Reason[2] == "together with 'bn'"
    assert info.Reason[3] == "" and info.Reason[4] == "oneDNN does not have it"
    assert info.Reorders[4] >= 1, "dropout takes its input out of a layout of the library"
    assert "'fully_connected'" in repr(info)


@needs_onednn
def test_a_prediction_of_a_trained_network_and_of_a_graph():
    rng(0)
    x, y = np.random.default_rng(0).standard_normal((8, 6, 3, 12)), np.arange(12) % 2
    net = trainNetwork(x, y, layers(), trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    info = engineInfo(net)
    assert info.Layer == ["in", "conv", "bn", "relu", "swish", "fc", "softmax"]
    assert all("oneDNN" in name for name in info.Engine)
    assert info.Operation[:3] == ["normalize_input", "convolution2d", "batch_normalization_inference"]
    assert info.Reason[2:4] == ["together with 'conv'"] * 2
    graph = layerGraph(
        [
            imageInputLayer([8, 6, 3], Name="in", Normalization="none"),
            convolution2dLayer(3, 3, Padding="same", Name="conv"),
            additionLayer(2, Name="add"),
            maxPooling2dLayer(2, Name="pool"),
            regressionLayer(Name="out"),
        ]
    )
    info = engineInfo(connectLayers(graph, "in", "add/in2"))
    assert info.Layer == ["conv", "add", "pool"] and info.Reason[1] == "together with 'conv'"
    assert all("oneDNN" in name for name in info.Engine)


@needs_onednn
def test_sequences_are_the_librarys_but_for_what_it_lacks():
    def rows(**options):
        layers = [sequenceInputLayer(3), lstmLayer(4, **options), fullyConnectedLayer(2), regressionLayer]
        info = engineInfo(layers, Training=True)
        return [name.split()[0] for name in info.Engine], info.Reason

    assert rows() == (["oneDNN", "oneDNN"], ["", ""])
    engines, reasons = rows(StateActivationFunction="softsign")
    assert engines == ["NumPy", "oneDNN"] and "softsign" in reasons[0] and reasons[1] == ""


@needs_onednn
def test_all_operations_without_a_network():
    info = engineInfo()
    assert info.columns == ["Operation", "Engine", "Reason"]
    rows = {row[0]: row[1:] for row in zip(info.Operation, info.Engine, info.Reason, strict=True)}
    assert {"convolution2d", "batch_normalization", "lstm", "dropout", "attention"} <= rows.keys()
    assert not any(name.startswith("rectified") for name in rows)
    assert rows["lstm"][0].startswith("oneDNN") and rows["lstm"][1] == ""
    assert rows["dropout"] == (NUMPY, "oneDNN does not have it")
    assert set(engineInfo(Acceleration="none").Engine) == {NUMPY}
    assert set(engineInfo(Acceleration="none").Reason) == {"Acceleration='none'"}


def test_numpy_by_choice(monkeypatch):
    net = [featureInputLayer(4), fullyConnectedLayer(3), regressionLayer]
    info = engineInfo(net, Acceleration="none")
    assert (info.Engine, info.Reason) == ([NUMPY], ["Acceleration='none'"])
    monkeypatch.setenv("MLNET_ENGINE", "numpy")
    assert engineInfo(net).Reason == ["MLNET_ENGINE=numpy"]
    monkeypatch.delenv("MLNET_ENGINE")
    monkeypatch.setenv("MLNET_ONEDNN", "/nowhere/libdnnl.so.3")
    info = engineInfo(net)
    assert info.Engine == [NUMPY]
    assert "/nowhere/libdnnl.so.3 cannot be read" in info.Reason[0]


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "all"])
def test_wrong_sizes(size):
    with pytest.raises(OptionError, match="positive integer"):
        engineInfo([featureInputLayer(4), fullyConnectedLayer(3), regressionLayer], MiniBatchSize=size)


def test_wrong_networks_and_accelerations():
    with pytest.raises(OptionError, match="'auto' or 'none'"):
        engineInfo([featureInputLayer(4), fullyConnectedLayer(3)], Acceleration="mex")
    with pytest.raises(NetworkError):
        engineInfo([featureInputLayer(4), convolution2dLayer(3, 4), regressionLayer])
