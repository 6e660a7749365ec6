"""Plans kept from one prediction to the next: whose they are, when they are dropped, and the short way."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref

import numpy as np
import pytest

from mlnet import (
    activations,
    additionLayer,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    classify,
    connectLayers,
    convolution2dLayer,
    dlnetwork,
    dlupdate,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    minibatchpredict,
    predict,
    predictAndUpdateState,
    reluLayer,
    resetState,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.onednn import spares
from mlnet.errors import DataError, OptionError
from mlnet.network import prepared
from mlnet.network.run import Run
from mlnet.network.trained import _PredictOptions

SIZE = (6, 5, 3)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(prepared, "_kept", [])


def trained(normalization="zerocenter", seed=0):
    rng(seed)
    layers = [imageInputLayer(SIZE, Normalization=normalization, Name="in")]
    layers += [convolution2dLayer(3, 8, Padding="same", Name="a"), batchNormalizationLayer(Name="bn")]
    layers += [reluLayer(Name="relu"), convolution2dLayer(3, 8, Padding="same", Name="b")]
    layers += [additionLayer(2, Name="add"), reluLayer(Name="relu2"), fullyConnectedLayer(3, Name="fc")]
    layers += [softmaxLayer(Name="softmax"), classificationLayer(Name="out")]
    graph = connectLayers(layerGraph(layers), "relu", "add/in2")
    x, y = images(24), np.arange(24) % 3
    return trainNetwork(x, y, graph, trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=8, Verbose=False))


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((*SIZE, count)).astype(np.float32) + np.float32(0.5)


def reference(net, x):
    return predict(net, x, Acceleration="none", MiniBatchSize=3)


@pytest.mark.parametrize("normalization", ["zerocenter", "zscore", "none", lambda x: x * 2])
def test_all_ways_give_the_same_again_and_again(normalization):
    net = trained(normalization)
    for count in (7, 1, 7, 2, 7):
        x = images(count, count)
        before = x.copy()
        expected = reference(net, x)
        given = [x, np.asfortranarray(x), x.astype(np.float64), np.moveaxis(np.moveaxis(x, -1, 0).copy(), 0, -1)]
        for each in given:
            for size in (128, 3):
                np.testing.assert_allclose(predict(net, each, MiniBatchSize=size), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(classify(net, x).codes, classify(net, x, Acceleration="none").codes)
    one = images(1)[..., 0]
    np.testing.assert_allclose(predict(net, one), reference(net, one), rtol=1e-5, atol=1e-6)


def test_results_are_the_users_own():
    net = trained()
    first = predict(net, images(4))
    copy = first.copy()
    predict(net, images(4, 9))
    np.testing.assert_array_equal(first, copy)
    first[...] = 0
    np.testing.assert_array_equal(predict(net, images(4)), copy)


@pytest.mark.parametrize("layer", ["in", "a", "bn", "relu", "b", "add", "relu2", "fc"])
def test_activations_of_merged_layers(layer):
    net, x = trained(), images(5)
    for _ in range(2):
        found, expected = activations(net, x, layer), activations(net, x, layer, Acceleration="none")
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        predict(net, x)


def test_networks_and_engines_are_told_apart():
    x = images(3)
    nets = [trained(seed=seed) for seed in (0, 1)]
    for _ in range(2):
        for net in nets:
            np.testing.assert_allclose(predict(net, x), reference(net, x), rtol=1e-5, atol=1e-6)
    assert len({ready.key for ready in prepared._kept}) == len(prepared._kept)
    again = trainNetwork(
        images(24), np.arange(24) % 3, nets[0].to_graph(), trainingOptions("adam", MaxEpochs=2, Verbose=False)
    )
    assert not np.allclose(predict(again, x), predict(nets[0], x))
    np.testing.assert_allclose(predict(again, x), reference(again, x), rtol=1e-5, atol=1e-6)


def test_a_plan_is_taken_again_and_goes_with_its_network():
    net, x = trained(), images(3)
    predict(net, x)
    (ready,) = prepared._kept
    predict(net, x)
    predict(net, images(5).astype(np.float64))
    assert prepared._kept == [ready]
    key = ready.key.network
    del net, ready
    gc.collect()
    assert prepared._kept == [] and key not in prepared._watched


def test_data_are_let_go_of():
    net, x = trained("none"), np.moveaxis(np.ascontiguousarray(np.moveaxis(images(3), -1, 0)), 0, -1)
    predict(net, x)
    owner = weakref.ref(x.base)
    del x
    gc.collect()
    assert owner() is None


def test_only_some_are_kept_and_none_that_are_large(monkeypatch):
    net, x = trained(), images(3)
    for layer in ("a", "bn", "relu", "b", "add", "relu2", "fc", "softmax", "in"):
        activations(net, x, layer)
    assert len(prepared._kept) == prepared._MOST
    monkeypatch.setattr(prepared, "_kept", [])
    monkeypatch.setattr(prepared, "_MOST_BYTES", 100)
    predict(net, x)
    predict(net, x, Acceleration="none")
    assert prepared._kept == []


def test_a_run_has_its_plan_for_itself():
    net, x = trained(), images(3)
    run = Run(net._network, x, _PredictOptions())
    (first,) = run.outputs()
    copy = first.copy()
    predict(net, images(3, 4))
    assert len(prepared._kept) == 1
    np.testing.assert_array_equal(run._plan.output(x), copy)


def test_two_threads_at_once():
    net, x = trained(), [images(4, seed) for seed in range(2)]
    expected = [reference(net, each) for each in x]
    failures = []

    def work(number):
        for _ in range(50):
            if not np.allclose(predict(net, x[number]), expected[number], rtol=1e-5, atol=1e-6):
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_mistakes_are_found_in_later_calls_too():
    net = trained()
    predict(net, images(2), MiniBatchSize=1)
    for wrong, error in [(0, OptionError), (1.5, OptionError), ("x", OptionError)]:
        with pytest.raises(error):
            predict(net, images(2), MiniBatchSize=wrong)
    for shape in [(6, 5, 2, 4), (5, 6, 3, 4), (6, 5), (), (6, 5, 3, 0)]:
        with pytest.raises(DataError):
            predict(net, np.zeros(shape, np.float32))
    bad = images(3)
    bad[0, 0, 0, 1] = np.nan
    scores = predict(net, bad)
    np.testing.assert_array_equal(np.isnan(scores).any(axis=1), [False, True, False])
    np.testing.assert_allclose(predict(net, images(3)), reference(net, images(3)), rtol=1e-5, atol=1e-6)


def test_features():
    rng(0)
    layers = [featureInputLayer(4, Normalization="zscore"), fullyConnectedLayer(5), batchNormalizationLayer]
    layers += [reluLayer, fullyConnectedLayer(2), softmaxLayer, classificationLayer]
    x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    net = trainNetwork(x, np.arange(20) % 2, layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    for given in (x, x[:1], x[::2], x[0], x.T.copy().T):
        np.testing.assert_allclose(predict(net, given), reference(net, given), rtol=1e-5, atol=1e-6)


def test_numbers_of_all_types_and_single_observations_go_the_short_way(monkeypatch):
    net, x = trained(), np.round(images(3) * 20 + 100)
    for kind in (np.float32, np.float64, np.uint8, np.int16):
        for each in (x.astype(kind), x[..., 0].astype(kind)):
            expected = reference(net, each)
            predict(net, each)
            monkeypatch.setattr(prepared.Prepared, "__init__", None)  # a plan made anew would fail
            np.testing.assert_allclose(predict(net, each), expected, rtol=1e-5, atol=1e-6)
            monkeypatch.undo()
            monkeypatch.setattr(prepared, "_kept", [])
    with pytest.raises(DataError):
        predict(net, x + 1j)


def test_a_plan_goes_over_to_the_network_with_the_states_behind(monkeypatch):
    rng(0)
    layers = [sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), softmaxLayer, classificationLayer]
    x = [np.random.default_rng(seed).standard_normal((3, 6)).astype(np.float32) for seed in range(4)]
    y = [categorical(np.arange(6) % 2, range(2), ["a", "b"])] * 4
    net = trainNetwork(x, y, layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    whole, start = predict(net, x[0], Acceleration="none"), net
    net, first = predictAndUpdateState(start, x[0][:, :1])
    made = []
    make = prepared.Prepared.__init__
    monkeypatch.setattr(prepared.Prepared, "__init__", lambda *given: (made.append(1), make(*given))[1])
    steps = [first]
    for step in range(1, 6):
        net, scores = predictAndUpdateState(net, x[0][:, step : step + 1])
        steps.append(scores)
    assert made == []
    np.testing.assert_allclose(np.concatenate(steps, axis=1), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(predict(start, x[0]), whole, rtol=1e-4, atol=1e-6)  # its own states
    several, _ = predictAndUpdateState(resetState(net), x)
    assert several.Layers[1].HiddenState.shape == (4, 4)
    np.testing.assert_allclose(predictAndUpdateState(resetState(several), x[0])[1], whole, rtol=1e-4, atol=1e-6)


def test_a_changed_dlnetwork_predicts_what_it_is_now():
    rng(0)
    net = dlnetwork([featureInputLayer(3), fullyConnectedLayer(2, Name="fc")])
    x = np.ones((2, 3), np.float32)
    first = minibatchpredict(net, x)
    np.testing.assert_array_equal(minibatchpredict(net, x), first)
    assert net.initialized("a test") is net.initialized("a test")
    table = net.Learnables
    table.Value[1][:] = 5
    net.Learnables = table
    np.testing.assert_allclose(minibatchpredict(net, x), first + 5, rtol=1e-5)
    other = dlupdate(lambda value: value * 2, net)
    np.testing.assert_allclose(minibatchpredict(other, x), 2 * (first + 5), rtol=1e-5)
    np.testing.assert_allclose(minibatchpredict(net, x), first + 5, rtol=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("module", [prepared, spares])
def test_a_process_forked_while_another_thread_keeps_something_predicts(module):
    net, x = trained(), images(8)
    expected = net.predict(x)
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        with module._lock:
            is_held.set()
            may_end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends a child that waits for ever
        os._exit(0 if np.allclose(net.predict(x[..., :5]), expected[:5], atol=1e-5) else 1)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
