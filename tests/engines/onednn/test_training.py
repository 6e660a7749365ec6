"""Whole trainings on oneDNN against NumPy: step by step, statistics, validation, prediction, fork."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

from engines.onednn.support import needs_onednn
from mlnet import (
    additionLayer,
    averagePooling2dLayer,
    batchNormalizationLayer,
    classificationLayer,
    classify,
    convolution2dLayer,
    dropoutLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    predict,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

pytestmark = needs_onednn


def images(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.standard_normal((12, 10, 3, count)).astype(np.float32), np.arange(count) % 3


def layers() -> list:
    return [
        imageInputLayer([12, 10, 3]),
        convolution2dLayer(3, 8, Padding="same"),
        batchNormalizationLayer,
        reluLayer,
        maxPooling2dLayer(2, Stride=2),
        convolution2dLayer(3, 5, Padding=1, Stride=2),
        reluLayer,
        dropoutLayer(0.3),
        fullyConnectedLayer(3),
        softmaxLayer,
        classificationLayer,
    ]


def branches():
    graph = layerGraph(
        [
            imageInputLayer([12, 10, 3], Name="in"),
            convolution2dLayer(3, 6, Padding="same", Name="conv1"),
            batchNormalizationLayer(Name="bn1"),
            reluLayer(Name="relu1"),
            convolution2dLayer(3, 6, Padding="same", Name="conv2"),
            batchNormalizationLayer(Name="bn2"),
            additionLayer(2, Name="add"),
            reluLayer(Name="relu2"),
            averagePooling2dLayer(2, Stride=2, Name="pool"),
            fullyConnectedLayer(3, Name="fc"),
            softmaxLayer(Name="softmax"),
            classificationLayer(Name="out"),
        ]
    )
    return graph.connectLayers("relu1", "add/in2") if hasattr(graph, "connectLayers") else connect(graph)


def connect(graph):
    from mlnet import connectLayers

    return connectLayers(graph, "relu1", "add/in2")


def trained(network, acceleration: str, monkeypatch, **more):
    monkeypatch.setenv("MLNET_ENGINE", "onednn" if acceleration == "auto" else "numpy")
    rng(0)
    x, y = images()
    options = trainingOptions(
        "sgdm",
        InitialLearnRate=0.01,
        MaxEpochs=10,
        MiniBatchSize=20,
        Shuffle="every-epoch",
        ValidationData=images(25),
        ValidationFrequency=3,
        Verbose=False,
        **more,
    )
    return trainNetwork(x, y, network, options, nargout=2)


@pytest.mark.parametrize("network", [layers, branches])
@pytest.mark.parametrize("statistics", ["population", "moving"])
def test_thirty_steps_are_those_of_numpy(network, statistics, monkeypatch):
    ours, our_info = trained(network(), "auto", monkeypatch, BatchNormalizationStatistics=statistics)
    theirs, info = trained(network(), "none", monkeypatch, BatchNormalizationStatistics=statistics)
    assert len(info.TrainingLoss) == 30
    np.testing.assert_allclose(our_info.TrainingLoss, info.TrainingLoss, rtol=2e-4)
    np.testing.assert_allclose(our_info.TrainingLoss[:5], info.TrainingLoss[:5], rtol=1e-5)
    np.testing.assert_allclose(our_info.ValidationLoss, info.ValidationLoss, rtol=2e-4)
    for own, other in zip(ours.Layers, theirs.Layers, strict=True):
        for name in ("Weights", "Scale", "TrainedMean", "TrainedVariance"):
            if np.size(getattr(own, name, ())):
                np.testing.assert_allclose(getattr(own, name), getattr(other, name), rtol=5e-3, atol=5e-4)
    x, _ = images(7)
    np.testing.assert_allclose(predict(ours, x), predict(theirs, x), rtol=5e-3, atol=5e-4)


def test_the_same_seed_gives_the_same_bits(monkeypatch):
    first, _ = trained(layers(), "auto", monkeypatch)
    second, _ = trained(layers(), "auto", monkeypatch)
    for one, other in zip(first.Layers, second.Layers, strict=True):
        if np.size(getattr(one, "Weights", ())):
            np.testing.assert_array_equal(one.Weights, other.Weights)


@pytest.mark.parametrize("size", [1, 7, 128])
def test_prediction_is_that_of_numpy(size, monkeypatch):
    net, _ = trained(layers(), "none", monkeypatch)
    x, _ = images(40)
    expected = predict(net, x, MiniBatchSize=size)
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    np.testing.assert_allclose(predict(net, x, MiniBatchSize=size), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(predict(net, x, MiniBatchSize=size, Acceleration="none").shape, expected.shape)


def test_nan_in_the_data_shows_in_the_scores(monkeypatch):
    net, _ = trained(layers(), "none", monkeypatch)
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    x, _ = images(3)
    x[0, 0, 0, 1] = np.nan
    assert np.isnan(predict(net, x)).any(axis=1).tolist() == [False, True, False]


def _in_child(queue) -> None:
    x, y = images()
    options = trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=20, Verbose=False)
    rng(0)
    net = trainNetwork(x, y, layers(), options)
    queue.put(np.asarray(predict(net, x)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_process_trains_too(monkeypatch):
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    context = multiprocessing.get_context("fork")
    results = []
    queue = context.Queue()
    _in_child(queue)  # so that the parent has threads
    results.append(queue.get(timeout=60))
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    results.append(queue.get(timeout=60))
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-4)


def test_a_plan_of_before_the_fork_works_in_the_child(monkeypatch):
    code = """
import os, sys
sys.path.insert(0, "tests")
import numpy as np
from engines.onednn.support import engine, numbers
from engines.onednn.test_plan import network, values_for
program, values = network(), values_for(64)
plan = engine().plan(program)
x = numbers(np.random.default_rng(0), (32, 11, 10, 3))
y = plan.forward(x, values).copy()
child = os.fork()
if child == 0:
    close = np.allclose(plan.forward(x, values), y, rtol=1e-4, atol=1e-4)
    plan.backward(np.ones_like(y), values)
    os._exit(0 if close else 3)
_, status = os.waitpid(child, 0)
same = np.array_equal(plan.forward(x, values), y)
sys.exit(os.waitstatus_to_exitcode(status) or (0 if same else 4))
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60)
    assert result.returncode == 0


def test_importing_loads_nothing_and_training_does():
    code = """
import sys
import mlnet
assert not any(name.startswith("mlnet.engines.onednn") for name in sys.modules)
assert "libdnnl" not in open("/proc/self/maps").read()
import numpy as np
net = mlnet.trainNetwork(np.random.rand(8, 3), np.arange(8) % 2,
    [mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(2), mlnet.softmaxLayer(), mlnet.classificationLayer()],
    mlnet.trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
assert "dnnl" in open("/proc/self/maps").read()
"""
    if not os.path.exists("/proc/self/maps"):
        pytest.skip("no /proc on this system")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_classify_takes_single_images(monkeypatch):
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    net, _ = trained(layers(), "auto", monkeypatch)
    x, _ = images(1)
    assert len(classify(net, x)) == 1
