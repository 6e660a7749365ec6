"""Networks that a plan runs as one node of the tape: the same numbers as operation by operation."""

import copy
import gc
import pickle
import threading

import numpy as np
import pytest

import mlnet
from mlnet import (
    additionLayer,
    averagePooling2dLayer,
    batchNormalizationLayer,
    concatenationLayer,
    convolution2dLayer,
    crossentropy,
    dlaccelerate,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dropoutLayer,
    featureInputLayer,
    flattenLayer,
    forward,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    leakyReluLayer,
    maxPooling2dLayer,
    networkLayer,
    reluLayer,
    softmaxLayer,
)
from mlnet.functional import whole

TARGETS = np.eye(3, dtype=np.float32)[:, [0, 1, 2, 1, 0]]


def images(seed=0, count=5):
    return dlarray(np.random.default_rng(seed).normal(size=(8, 8, 2, count)).astype("single"), "SSCB")


def classifier(*more):
    mlnet.rng(0)
    return dlnetwork(
        [
            imageInputLayer([8, 8, 2], Normalization="none"),
            convolution2dLayer(3, 4, Padding="same", Name="conv"),
            batchNormalizationLayer(Name="bn"),
            reluLayer(),
            maxPooling2dLayer(2, Stride=2),
            *more,
            convolution2dLayer(3, 6, Name="conv2"),
            leakyReluLayer(0.2),
            fullyConnectedLayer(3, Name="fc"),
            softmaxLayer(Name="softmax"),
        ]
    )


def branched():
    mlnet.rng(0)
    graph = layerGraph(
        [
            imageInputLayer([8, 8, 2], Normalization="none", Name="in"),
            convolution2dLayer(3, 4, Padding="same", Name="conv"),
            additionLayer(2, Name="sum"),
            averagePooling2dLayer(2, Stride=2, Name="pool"),
            fullyConnectedLayer(3, Name="fc"),
            flattenLayer(),
            concatenationLayer(1, 2, Name="both"),
            fullyConnectedLayer(2, Name="last"),
        ]
    )
    graph = graph.addLayers(convolution2dLayer(1, 4, Name="side"))
    graph = graph.addLayers([featureInputLayer(4, Name="in2"), fullyConnectedLayer(3, Name="fc2")])
    for source, destination in (("in", "side"), ("side", "sum/in2"), ("fc2", "both/in2")):
        graph = graph.connectLayers(source, destination)
    return dlnetwork(graph)


@pytest.fixture(params=["onednn", "numpy"])
def engine(request, monkeypatch):
    try:
        mlnet.engines.select.engine_named(request.param)
    except mlnet.errors.MlnetError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("MLNET_ENGINE", request.param)


@pytest.fixture
def count(monkeypatch):
    """How many calls were run as a whole."""
    calls = []
    run = whole.WholeRun
    monkeypatch.setattr(whole, "WholeRun", lambda *given: calls.append(1) or run(*given))
    return calls


def compare(monkeypatch, function, *arguments):
    """Compare what a function returns with and without plans, in containers."""
    mlnet.rng(1)
    found = flat(dlfeval(function, *arguments))
    with monkeypatch.context() as patch:
        patch.setattr(whole.Plans, "suit", lambda *_: False)
        mlnet.rng(1)
        expected = flat(dlfeval(function, *arguments))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def flat(value):
    if isinstance(value, dlarray):
        return [value.extractdata()]
    if hasattr(value, "columns"):
        value = value["Value"]
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in flat(part)]
    return [np.asarray(value)]


def loss_of(net, x):
    y, state = forward(net, x, nargout=2)
    loss = crossentropy(y, TARGETS)
    return loss, y, state, dlgradient(loss, net.Learnables, x)


def test_gradients_of_learnables_and_data_and_the_state(engine, count, monkeypatch):
    compare(monkeypatch, loss_of, classifier(), images())
    assert len(count) == 1


def test_prediction_has_gradients_too(engine, count, monkeypatch):
    def of_class(net, x):
        y = mlnet.predict(net, x)
        return y, dlgradient(np.sum(y[1]), x)

    net, x = classifier(), images()
    compare(monkeypatch, of_class, net, x)
    assert len(count) == 1


def test_several_outputs_and_inputs(engine, count, monkeypatch):
    def model(net, x, z):
        y, hidden = forward(net, x, z, Outputs=["last", "pool"])
        loss = np.sum(mlnet.stripdims(y) ** 2) + np.sum(np.sin(mlnet.stripdims(hidden)))
        return y, hidden, dlgradient(loss, net.Learnables, x, z)

    z = dlarray(np.random.default_rng(3).normal(size=(4, 5)).astype("single"), "CB")
    compare(monkeypatch, model, branched(), images(), z)

    def first_only(net, x):
        loss = np.sum(mlnet.stripdims(forward(net, x, z)) ** 2)
        return loss, dlgradient(loss, net.Learnables, x)

    compare(monkeypatch, first_only, branched(), images())
    assert len(count) == 2


def test_several_calls_of_one_network_have_arrays_of_their_own(engine, count, monkeypatch):
    """As a discriminator has them, which sees real and generated images."""

    def model(net, real, made):
        one, other, third = forward(net, real), forward(net, made), forward(net, real + made)
        loss = crossentropy(one, TARGETS) - np.mean(np.log(mlnet.stripdims(other)[0])) + np.sum(third[2])
        return one, other, dlgradient(loss, net.Learnables, real, made)

    compare(monkeypatch, model, classifier(), images(0), images(1))
    assert len(count) == 3


def test_what_was_returned_stays_when_the_network_runs_again(engine):
    net, x = classifier(), images()
    y = dlfeval(lambda net: forward(net, x), net)
    before = y.extractdata()
    dlfeval(lambda net: forward(net, images(7)), net)
    np.testing.assert_array_equal(y.extractdata(), before)


def test_data_that_are_kept_can_be_differentiated_again(engine, monkeypatch):
    def model(net, x):
        loss = crossentropy(forward(net, x), TARGETS)
        once = dlgradient(loss, net.Learnables, RetainData=True)
        again = dlgradient(loss, net.Learnables)
        released = dlgradient(loss * 2, x)
        return once, again, released

    compare(monkeypatch, model, classifier(), images())


def test_new_learnables_are_taken(engine, monkeypatch):
    net, x = classifier(), images()
    first = dlfeval(loss_of, net, x)
    net, _, _ = mlnet.adamupdate(net, first[3][0], [], [], 1, 0.1)
    compare(monkeypatch, loss_of, net, x)
    table = net.Learnables
    net.Learnables = mlnet.dlupdate(lambda w: w * 2, table)
    compare(monkeypatch, loss_of, net, x)
    net.State = first[2]
    compare(monkeypatch, loss_of, net, x)


def test_dropout_drops_the_same_elements(engine, count, monkeypatch):
    net = classifier(dropoutLayer(0.5), dropoutLayer(0.3))
    compare(monkeypatch, loss_of, net, images())
    assert len(count) == 1


def test_other_shapes_accelerated_functions_and_networks_in_networks(engine, count, monkeypatch):
    inner = dlnetwork([convolution2dLayer(3, 4, Padding="same"), reluLayer()], Initialize=False)
    net = classifier(networkLayer(inner, Name="inner"))
    accelerated = dlaccelerate(lambda net, x: dlgradient(np.sum(forward(net, x)[0]), net.Learnables))
    for number in (5, 1, 3, 5):
        compare(monkeypatch, accelerated, net, images(count=number))
    assert len(count) == 4


def test_what_is_not_for_plans_runs_one_by_one(count, monkeypatch):
    net, x = classifier(), images()
    double = mlnet.dlupdate(lambda w: w.astype("double"), net)
    assert dlfeval(loss_of, double, x)[1].dtype == np.float64
    plain = dlnetwork([featureInputLayer(3), fullyConnectedLayer(4), reluLayer()])
    forward(plain, dlarray(np.ones((3, 2), "single"), "CB"))
    assert not count


def test_data_that_are_not_finite_show(engine):
    x = images()
    x[0, 0, 0, 1] = np.nan
    y = forward(classifier(), x).extractdata()
    assert np.isnan(y).any()


def test_plans_come_back_and_are_not_kept_for_ever(engine, monkeypatch):
    net, x = classifier(), images()
    monkeypatch.setattr(whole, "_MOST_USED", 2)
    kept = []

    def keeping(net, x):
        kept.append(forward(net, x))
        return kept[-1]

    for _ in range(4):
        dlfeval(keeping, net, x)
    (plans,) = net._programs.values()
    assert plans._used == 2
    assert len({each.extractdata().tobytes() for each in kept[:2]}) == 1
    kept.clear()
    gc.collect()
    assert plans._used == 0 and len(plans._free) == 2
    assert pickle.loads(pickle.dumps(plans))._used == 0
    assert copy.deepcopy(net).forward(x).shape == (3, 5)


def test_one_network_in_several_threads(engine):
    net, x = classifier(), images()
    expected = dlfeval(loss_of, net, x)[3][1].extractdata()
    found = []
    threads = [threading.Thread(target=lambda: found.append(dlfeval(loss_of, net, x)[3][1])) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4
    for each in found:
        np.testing.assert_allclose(each.extractdata(), expected, rtol=1e-4, atol=1e-6)
