"""adamupdate and relatives, and loops of one's own against trainNetwork and PyTorch."""

import numpy as np
import pytest
import torch

import mlnet
from mlnet import (
    DataError,
    OptionError,
    adamupdate,
    batchNormalizationLayer,
    canUseGPU,
    categorical,
    classificationLayer,
    convolution2dLayer,
    crossentropy,
    dlaccelerate,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dlupdate,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    gather,
    gpuArray,
    gpuDeviceCount,
    imageInputLayer,
    initialize,
    l2loss,
    layerGraph,
    lbfgsState,
    lbfgsupdate,
    reluLayer,
    removeLayers,
    rmspropupdate,
    sgdmupdate,
    softmaxLayer,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.structure import Structure

RNG = np.random.default_rng(0)

UPDATES = {
    "sgdm": (
        lambda p, g, state, t: sgdmupdate(p, g, *state, 0.1, 0.8),
        1,
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8),
    ),
    "rmsprop": (
        lambda p, g, state, t: rmspropupdate(p, g, *state, 0.1, 0.7, 1e-3),
        1,
        lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.7, eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_steps_are_those_of_torch(name):
    update, slots, optimizer = UPDATES[name]
    p = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=3)}
    parameters = [torch.tensor(each, requires_grad=True) for each in p.values()]
    solver = optimizer(parameters)
    state = [[]] * slots
    for t in range(1, 5):
        gradients = {key: RNG.normal(size=each.shape) for key, each in p.items()}
        p, *state = update(p, gradients, state, t)
        for parameter, gradient in zip(parameters, gradients.values(), strict=True):
            parameter.grad = torch.tensor(gradient)
        solver.step()
    for found, wanted in zip(p.values(), parameters, strict=True):
        np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-10)


def test_adam_is_its_formula():
    p, mean, squared = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    found, avg, avg_sq = p, [], []
    for t in range(1, 6):
        g = RNG.normal(size=2)
        mean, squared = 0.8 * mean + 0.2 * g, 0.9 * squared + 0.1 * g**2
        p = p - 0.05 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * mean / (np.sqrt(squared) + 1e-6)
        found, avg, avg_sq = adamupdate(found, g, avg, avg_sq, t, 0.05, 0.8, 0.9, 1e-6)
    np.testing.assert_allclose(found, p, rtol=1e-12)
    np.testing.assert_allclose(avg_sq, squared, rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ones(3),
        lambda: dlarray(np.ones((3, 1)), "CB"),
        lambda: {"a": dlarray(np.ones(3)), "b": {"c": np.ones(2)}},
        lambda: [np.ones(3), (np.ones(2), np.ones(1))],
        lambda: Structure(a=dlarray(np.ones(3)), b=Structure(c=np.ones(2))),
        lambda: dlnetwork([featureInputLayer(3), fullyConnectedLayer(2)]),
        lambda: dlnetwork([featureInputLayer(3), fullyConnectedLayer(2)]).Learnables,
    ],
)
def test_parameters_in_any_structure(make):
    p = make()
    gradients = p.Learnables if isinstance(p, dlnetwork) else p
    new, avg, avg_sq = adamupdate(p, gradients, [], [], 1)
    again, *_ = adamupdate(new, gradients, avg, avg_sq, 2)
    assert type(again) is type(p) and type(avg) is type(gradients)
    doubled = dlupdate(lambda w: 2 * w, p)
    assert type(doubled) is type(p)
    first, second = dlupdate(lambda w, g: (w + g, w - g), p, gradients)
    assert type(first) is type(second) is type(p)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: sgdmupdate(np.ones(3), np.ones(4)), DataError, "sgdmupdate: grad.*size"),
        (lambda: sgdmupdate(np.ones(3), np.ones(3), np.ones(2)), DataError, "sgdmupdate: vel"),
        (lambda: sgdmupdate("x", "x"), DataError, "sgdmupdate"),
        (lambda: sgdmupdate(np.ones(3), np.ones(3), [], -1), OptionError, "sgdmupdate: learnRate"),
        (lambda: adamupdate(np.ones(3), np.ones(3), [], [], 0), OptionError, "adamupdate: iteration"),
        (lambda: dlupdate(3, np.ones(3)), OptionError, "dlupdate: needs a function"),
        (lambda: dlupdate(np.add, [np.ones(3)] * 2, np.ones(3)), OptionError, "dlupdate"),
        (lambda: lbfgsupdate(np.ones(3), lambda p: 1, lbfgsState()), DataError, "lbfgsupdate: lossFcn"),
        (lambda: lbfgsupdate(np.ones(3), lambda p: 1, 3), OptionError, "lbfgsupdate: solverState"),
        (lambda: gpuArray(1), NotImplementedError, "canUseGPU"),
    ],
)
def test_errors_name_the_function(call, error, text):
    with pytest.raises(error, match=text):
        call()


def rosenbrock(p):
    def loss(x):
        value = np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
        return value, dlgradient(value, x), "more"

    return dlfeval(loss, p)


@pytest.mark.parametrize("method", ["weak-wolfe", "strong-wolfe", "backtracking"])
def test_lbfgs_finds_the_minimum_of_rosenbrocks_function(method):
    p, state = dlarray([-1.2, 1.0]), lbfgsState(HistorySize=6)
    for _ in range(100):
        p, state = lbfgsupdate(p, rosenbrock, state, LineSearchMethod=method)
    np.testing.assert_allclose(p.extractdata(), 1, rtol=1e-6)
    assert len(state.StepHistory) <= 6 and state.AdditionalLossFunctionOutputs == ["more"]
    assert state.GradientsNorm < 1e-4


def test_lbfgs_meets_the_wolfe_conditions():
    p, state = dlarray([-1.2, 1.0]), lbfgsState()
    for _ in range(20):
        before = rosenbrock(p)
        new, state = lbfgsupdate(p, rosenbrock, state)
        step = (new - p).extractdata()
        slope = before[1].extractdata() @ step
        assert state.LineSearchStatus == "completed"
        assert state.Loss <= before[0].item() + 1e-4 * slope
        assert state.Gradients.extractdata() @ step >= 0.9 * slope
        p = new


def network_layers(dtype="single"):
    return [
        imageInputLayer([8, 8, 1], Normalization="none"), convolution2dLayer(3, 4), batchNormalizationLayer, reluLayer,
        fullyConnectedLayer(3), softmaxLayer,
    ]  # fmt: skip


@pytest.mark.parametrize("solver", ["sgdm", "adam"])
def test_a_loop_of_ones_own_is_trainNetwork(solver):
    X, codes = RNG.normal(size=(8, 8, 1, 60)).astype("single"), RNG.integers(0, 3, 60)
    net = dlnetwork(network_layers())
    start = [*net.Layers, classificationLayer]
    more = {"Epsilon": 1e-3} if solver == "adam" else {}  # the bias before normalization has gradients of rounding only
    options = trainingOptions(
        solver, **more, MaxEpochs=2, MiniBatchSize=20, Shuffle="never", L2Regularization=0, Verbose=False,
        InitialLearnRate=0.01, BatchNormalizationStatistics="moving",
    )  # fmt: skip
    trained, info = trainNetwork(X, categorical(codes), start, options, nargout=2)

    def model_loss(net, X, T):
        Y, state = forward(net, X, nargout=2)
        loss = crossentropy(Y, T)
        return loss, dlgradient(loss, net.Learnables), state

    losses, memory, iteration = [], [[]] if solver == "sgdm" else [[], []], 0
    for _ in range(2):
        for first in range(0, 60, 20):
            iteration += 1
            rows = slice(first, first + 20)
            T = np.eye(3, dtype="single")[:, codes[rows]]
            loss, gradients, net.State = dlfeval(model_loss, net, dlarray(X[..., rows], "SSCB"), T)
            if solver == "sgdm":
                net, *memory = sgdmupdate(net, gradients, *memory, 0.01, 0.9)
            else:
                net, *memory = adamupdate(net, gradients, *memory, iteration, 0.01, 0.9, 0.999, 1e-3)
            losses.append(loss.item())
    np.testing.assert_allclose(losses, info.TrainingLoss, rtol=1e-4)
    expected = dlnetwork(removeLayers(layerGraph(trained), "classoutput"))
    for kind in ("Learnables", "State"):
        for found, wanted in zip(getattr(net, kind).Value, getattr(expected, kind).Value, strict=True):
            np.testing.assert_allclose(found.extractdata(), wanted.extractdata(), rtol=2e-3, atol=2e-4)


def test_lbfgs_trains_networks():
    net = dlnetwork([featureInputLayer(1), fullyConnectedLayer(10), tanhLayer, fullyConnectedLayer(1)])
    X = dlarray(np.linspace(-2, 2, 50)[None], "CB")
    T = np.sin(2 * np.linspace(-2, 2, 50))[None]

    def model_loss(net, X, T):
        loss = l2loss(forward(net, X), T)
        return loss, dlgradient(loss, net.Learnables)

    state = lbfgsState()
    for _ in range(100):
        net, state = lbfgsupdate(net, lambda net: dlfeval(model_loss, net, X, T), state)
    assert state.Loss < 1e-3
    assert state.Gradients.columns == ["Layer", "Parameter", "Value"]


def test_accelerated_functions_and_gpu():
    assert dlaccelerate(lambda x: x + 1)(2) == 3
    assert (canUseGPU(), gpuDeviceCount()) == (False, 0)
    assert gather(1, 2) == (1, 2)


def test_fields():
    x = RNG.normal(size=(3, 4))

    def run(x):
        u = np.concatenate([x[0:1] * x[1:2], x[1:2] ** 2 * x[2:3], np.sin(x[2:3])])
        return mlnet.dljacobian(u, x, 1), mlnet.dldivergence(u, x, 1), mlnet.dllaplacian(u, x, 1)

    jacobian, divergence, laplacian = (each.extractdata() for each in dlfeval(run, dlarray(x)))
    zero = np.zeros(4)
    expected = [[x[1], x[0], zero], [zero, 2 * x[1] * x[2], x[1] ** 2], [zero, zero, np.cos(x[2])]]
    np.testing.assert_allclose(jacobian, expected)
    np.testing.assert_allclose(divergence, [x[1] + 2 * x[1] * x[2] + np.cos(x[2])])
    np.testing.assert_allclose(laplacian, [zero, 2 * x[2], -np.sin(x[2])])
    columns = dlfeval(lambda x: mlnet.dljacobian(x**2, x, 2), dlarray(x.T)).extractdata()
    np.testing.assert_allclose(columns[1, 1], 2 * x[1])
    with pytest.raises(DataError, match="dljacobian"):
        mlnet.dljacobian(x, x, 1)


def test_dlgradient_outside_dlfeval_and_of_a_matrix():
    net = initialize(dlnetwork([featureInputLayer(1), fullyConnectedLayer(2)]))
    X = dlarray(np.ones((1, 3), "single"), "CB")
    with pytest.raises(DataError, match="dlgradient: y.*inside a function that dlfeval calls"):
        dlgradient(np.sum(forward(net, X)), net.Learnables)
    with pytest.raises(DataError, match="dlgradient: y: needs a scalar.*np.sum"):
        dlfeval(lambda net: dlgradient(forward(net, X), net.Learnables), net)
