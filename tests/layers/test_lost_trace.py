"""Code of users that would train without gradients is refused; constants, steps and what stops a gradient are not."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    Layer,
    Learnable,
    NetworkError,
    RegressionLayer,
    State,
    TrainingError,
    assembleNetwork,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    extractdata,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    functionLayer,
    mse,
    predict,
    regressionLayer,
    trainingOptions,
    trainnet,
    trainNetwork,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((8, 3)).astype("single"), RNG.standard_normal((8, 2))
OPTIONS = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)


class scaled(Layer):
    Alpha = Learnable(np.full((3, 1), 0.25))


class plain(Layer):
    pass


def layer_of(predict, base=scaled, **methods):
    return type("mine", (base,), {"predict": predict, "__module__": __name__, **methods})(Name="own")


def by_network(inner, *, below=True):
    first = [fullyConnectedLayer(3)] if below else []
    last = fullyConnectedLayer(2)
    trainNetwork(X, Y, [featureInputLayer(3), *first, inner, last, regressionLayer], OPTIONS)


def by_net(inner, *, below=True):
    first = [fullyConnectedLayer(3)] if below else []
    trainnet(X, Y, [featureInputLayer(3), *first, inner, fullyConnectedLayer(2)], "mse", OPTIONS)


def by_loop(inner, *, below=True):
    first = [fullyConnectedLayer(3)] if below else []
    net = dlnetwork([featureInputLayer(3), *first, inner, fullyConnectedLayer(2)])

    def gradients(net, x):
        return dlgradient(mse(forward(net, x), dlarray(Y, "BC")), net.Learnables)

    dlfeval(gradients, net, dlarray(X, "BC"))


WAYS = {"trainNetwork": by_network, "trainnet": by_net, "dlfeval": by_loop}
LOST = {
    "input": (lambda self, X: dlarray(extractdata(X) * 2), plain, "its input"),
    "array": (lambda self, X: X.extractdata() * 2, plain, "its input"),
    "everything": (lambda self, X: dlarray(extractdata(X * self.Alpha)), scaled, "Alpha and its input"),
    "input beside a learnable": (lambda self, X: extractdata(X) * self.Alpha, scaled, "its input"),
    "learnable": (lambda self, X: np.tanh(X * extractdata(self.Alpha)), scaled, "Alpha"),
}
RIGHT = {
    "constant": lambda self, X: np.zeros_like(X),
    "step": lambda self, X: (X > 0).astype("single"),
    "step of plain numbers": lambda self, X: dlarray((extractdata(X) > 0).astype("single")),
    "rounding": lambda self, X: np.round(X * 8) / 8,
    "gradient of another function": lambda self, X: X + dlarray(np.tanh(extractdata(X)) - extractdata(X)),
    "weight of its own input": lambda self, X: X * extractdata(np.tanh(X)) * self.Alpha,
    "unused learnable": lambda self, X: X,
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("way", WAYS)
def test_lost_gradients_are_refused(way, name):
    function, base, what = LOST[name]
    text = rf"Layer 3 'own' \(mine\): needs a method predict whose .* depends on {what} without .* without extractdata"
    with pytest.raises(NetworkError, match=text):
        WAYS[way](layer_of(function, base))


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("way", WAYS)
def test_what_has_no_gradient_rightly_is_taken(way, name):
    WAYS[way](layer_of(RIGHT[name]))


@pytest.mark.parametrize("way", WAYS)
def test_gradients_that_nobody_needs_may_be_lost(way):
    cut = layer_of(lambda self, X: dlarray(extractdata(X) * 2), plain)
    WAYS[way](cut, below=False)  # nothing is trained below
    fixed = layer_of(lambda self, X: X * extractdata(self.Alpha))
    fixed.AlphaLearnRateFactor = 0
    WAYS[way](fixed)
    stopping = layer_of(cut.__class__.predict, plain, backward=lambda self, X, Z, dLdZ, memory: np.zeros_like(dLdZ))
    WAYS[way](stopping)  # as its author wants it


def test_networks_that_only_predict_may_lose_gradients():
    cut = layer_of(lambda self, X: dlarray(extractdata(X) * 2), plain)
    first = fullyConnectedLayer(3, Weights=np.eye(3), Bias=np.zeros((3, 1)))
    net = assembleNetwork([featureInputLayer(3, Normalization="none"), first, cut, regressionLayer])
    np.testing.assert_allclose(predict(net, X), 2 * X, rtol=1e-6)
    own = dlnetwork([featureInputLayer(3, Normalization="none"), first, cut])
    np.testing.assert_allclose(extractdata(predict(own, dlarray(X, "BC"))), 2 * X.T, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_function_layers(way):
    WAYS[way](functionLayer(lambda X: np.sign(X)))
    WAYS[way](functionLayer(lambda X: dlarray(extractdata(X) * 2)), below=False)
    with pytest.raises(NetworkError, match=r"Layer 3 .*needs a function whose output can be .* a custom layer with"):
        WAYS[way](functionLayer(lambda X: dlarray(extractdata(X) * 2)))


def test_losses_without_a_gradient():
    class cut(RegressionLayer):
        def forwardLoss(self, Y, T):
            return dlarray(np.mean((extractdata(Y) - extractdata(T)) ** 2))

    with pytest.raises(
        NetworkError, match=r"Layer 3 .*a loss with a gradient of Y, .* or give the layer a .*backwardLoss"
    ):
        trainNetwork(X, Y, [featureInputLayer(3), fullyConnectedLayer(2), cut()], OPTIONS)
    with pytest.raises(DataError, match="lossFcn: _cut: needs a loss that depends on the outputs"):
        trainnet(X, Y, [featureInputLayer(3), fullyConnectedLayer(2)], _cut, OPTIONS)


def _cut(Y, T):
    return dlarray(np.mean((extractdata(Y) - extractdata(T)) ** 2))


def test_assigning_to_elements_of_a_state_changes_it():
    class counting(Layer):
        Count = State(np.zeros((1, 1)))

        def predict(self, X):
            self.Count[0, 0] = self.Count[0, 0] + 1
            return X

    net = dlnetwork([featureInputLayer(3), counting(Name="own")])
    _, state = forward(net, dlarray(X, "BC"), nargout=2)
    assert state.Value[0].item() == 1
    assert net.State.Value[0].item() == 0


def test_layers_that_put_out_nan_are_named():
    class logarithm(Layer):
        def predict(self, X):
            return np.log(X - 100)

    layers = [featureInputLayer(3), logarithm(Name="own"), fullyConnectedLayer(2)]
    for call in (
        lambda: trainNetwork(X, Y, [*layers, regressionLayer], OPTIONS),
        lambda: trainnet(X, Y, layers, "mse", OPTIONS),
    ):
        with (
            np.errstate(all="ignore"),
            pytest.raises(TrainingError, match="output of layer 'own' is not .*Its code has"),
        ):
            call()


def _changing(Y, T):
    Y[...] = 0
    return np.mean((Y - T) ** 2)


LOSSES = {
    "number": (lambda Y, T: 3.0, "to return a dlarray of one number, but got 3.0"),
    "nothing": (lambda Y, T: None, "to return a dlarray of one number, but got None"),
    "elements": (lambda Y, T: (Y - T) ** 2, "to return a scalar, but got size 2x8"),
    "changing": (_changing, r"leave its arguments as they are, .* Change a copy: Z = Y.copy\(\)"),
    "index": (lambda Y, T: Y[0, 0, 0], "raised IndexError: too many indices"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_functions_that_are_no_losses(name):
    function, text = LOSSES[name]
    with pytest.raises(DataError, match="trainnet: lossFcn: .*" + text):
        trainnet(X, Y, [featureInputLayer(3), fullyConnectedLayer(2)], function, OPTIONS)


def test_losses_that_are_nan():
    layers = [featureInputLayer(3), fullyConnectedLayer(2)]
    with pytest.raises(TrainingError, match=r"the loss is nan at iteration 1 .* lossFcn has made it of finite outputs"):
        trainnet(X, Y, layers, lambda Y, T: np.mean(Y - T) * np.nan, OPTIONS)
