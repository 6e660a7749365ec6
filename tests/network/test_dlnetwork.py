"""dlnetwork: construction, display, forward, predict, state, several inputs and outputs, gradients."""

import copy
import pickle

import numpy as np
import pytest
import torch

from mlnet import (
    DataError,
    NetworkError,
    OptionError,
    UnknownNameError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    batchNormalizationLayer,
    bilstmLayer,
    categorical,
    classificationLayer,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dlupdate,
    dropoutLayer,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    initialize,
    l2loss,
    layerGraph,
    lstmLayer,
    maxPooling2dLayer,
    mse,
    predict,
    regressionLayer,
    reluLayer,
    removeLayers,
    replaceLayer,
    resetState,
    sequenceInputLayer,
    sgdmupdate,
    sigmoidLayer,
    softmaxLayer,
    summary,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)

RNG = np.random.default_rng(0)


def images(*shape, dtype="single"):
    return dlarray(RNG.normal(size=shape).astype(dtype), "SSCB")


def small():
    return dlnetwork(
        [
            imageInputLayer([8, 8, 1], Normalization="none"),
            convolution2dLayer(3, 4, Padding="same"),
            batchNormalizationLayer(MeanDecay=0.3),
            reluLayer,
            maxPooling2dLayer(2, Stride=2),
            dropoutLayer(0.5),
            fullyConnectedLayer(3),
            softmaxLayer,
        ]
    )


def test_display_is_that_of_matlab():
    block = [fullyConnectedLayer(20), tanhLayer]
    net = dlnetwork([featureInputLayer(2), *block * 8, fullyConnectedLayer(1)])
    assert repr(net).splitlines() == [
        "  dlnetwork with properties:",
        "",
        "         Layers: [18x1 nnet.cnn.layer.Layer]",
        "    Connections: [17x2 table]",
        "     Learnables: [18x3 table]",
        "          State: [0x3 table]",
        "     InputNames: {'input'}",
        "    OutputNames: {'fc_9'}",
        "    Initialized: 1",
        "",
        "  View summary with summary.",
    ]


def test_learnables_before_initialization_are_empty():
    layers = [
        imageInputLayer([28, 28, 1], Normalization="none"), convolution2dLayer(5, 20), batchNormalizationLayer,
        reluLayer, fullyConnectedLayer(10), softmaxLayer,
    ]  # fmt: skip
    net = dlnetwork(layers, Initialize=False)
    assert not net.Initialized
    assert repr(net.Learnables).splitlines()[2:6] == [
        "       Layer       Parameter       Value",
        "    ___________    _________    ____________",
        "",
        '    "conv"         "Weights"    {0x0 double}',
    ]
    with pytest.raises(NetworkError, match=r"forward: needs an initialized network.*initialize\(net\)"):
        forward(net, images(28, 28, 1, 2))
    assert initialize(net).Initialized and not net.Initialized


def test_summary_and_analysis(capsys):
    summary(dlnetwork([featureInputLayer(3, Name="obs"), fullyConnectedLayer(200), fullyConnectedLayer(1)]))
    assert "Number of learnables: 1k" in capsys.readouterr().out
    assert analyzeNetwork(small()).Mistakes == []


def test_summary_is_that_of_matlab(capsys):
    graph = layerGraph([featureInputLayer(3, Name="obsInLyr"), fullyConnectedLayer(32, Name="a")])
    graph = addLayers(graph, [concatenationLayer(1, 2, Name="c"), fullyConnectedLayer(16), fullyConnectedLayer(1)])
    graph = addLayers(graph, featureInputLayer(1, Name="actInLyr"))
    net = dlnetwork(connectLayers(connectLayers(graph, "a", "c/in1"), "actInLyr", "c/in2"))
    summary(net)
    assert capsys.readouterr().out.splitlines()[5:] == [
        "      1   'obsInLyr'   3 features",
        "      2   'actInLyr'   1 features",
    ]


def test_predict_is_that_of_the_same_trained_network():
    layers = [imageInputLayer([8, 8, 1]), convolution2dLayer(3, 4), batchNormalizationLayer, reluLayer]
    layers += [fullyConnectedLayer(3), softmaxLayer, classificationLayer]
    X, Y = RNG.normal(size=(8, 8, 1, 40)).astype("single"), categorical(RNG.integers(0, 3, 40))
    trained = trainNetwork(X, Y, layers, trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=20, Verbose=False))
    net = dlnetwork(removeLayers(layerGraph(trained), "classoutput"))
    scores = predict(net, dlarray(X, "SSCB"))
    assert scores.dims() == "CB"
    np.testing.assert_allclose(scores.extractdata().T, predict(trained, X), rtol=1e-5, atol=1e-6)


def test_forward_normalizes_by_the_batch_and_returns_the_state():
    net, X = small(), images(8, 8, 1, 6)
    Y, state = forward(net, X, nargout=2)
    assert Y.dims() == "CB" and Y.shape == (3, 6)
    conv = forward(net, X, Outputs="conv").extractdata()
    np.testing.assert_allclose(state.Value[0].extractdata().ravel(), 0.3 * conv.mean((0, 1, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.Value[1].extractdata().ravel(), 0.1 * conv.var((0, 1, 3)) + 0.9, rtol=1e-4)
    assert (net.State.Value[0].extractdata() == 0).all()
    before = predict(net, X).extractdata()
    net.State = state
    assert not np.allclose(before, predict(net, X).extractdata())
    _, after = predict(net, X, nargout=2)
    np.testing.assert_array_equal(after.Value[0].extractdata(), state.Value[0].extractdata())


def test_dropout_only_in_training():
    net, X = dlnetwork([featureInputLayer(500), dropoutLayer(0.5)]), dlarray(np.ones((500, 2)), "CB")
    assert 0.4 < (forward(net, X).extractdata() == 0).mean() < 0.6
    assert (predict(net, X).extractdata() == 1).all()


def test_dropout_has_the_gradient_of_its_mask():
    net = dlnetwork([featureInputLayer(50), fullyConnectedLayer(40), dropoutLayer(0.5)])
    X = dlarray(np.ones((50, 3), "single"), "CB")

    def loss(net, X):
        Y = forward(net, X)
        first = dlgradient(np.sum(Y), net.Learnables)
        return Y, first, dlgradient(np.sum(Y), net.Learnables)

    Y, first, second = dlfeval(loss, net, X)
    expected = (Y.extractdata() != 0).sum(1) * 2.0
    np.testing.assert_allclose(first.Value[1].extractdata().ravel(), expected)
    np.testing.assert_array_equal(first.Value[1].extractdata(), second.Value[1].extractdata())


def two_ended():
    graph = layerGraph([featureInputLayer(3, Name="in"), fullyConnectedLayer(4, Name="a"), tanhLayer(Name="one")])
    graph = addLayers(graph, [fullyConnectedLayer(2, Name="two")])
    return dlnetwork(connectLayers(graph, "a", "two"))


def test_two_outputs_and_outputs_by_name():
    net, X = two_ended(), dlarray(RNG.normal(size=(3, 5)).astype("single"), "CB")
    assert net.OutputNames == ["one", "two"]
    one, two, state = forward(net, X, nargout=3)
    assert (one.shape, two.shape, len(state)) == ((4, 5), (2, 5), 0)
    swapped, a = predict(net, X, Outputs=["two", "a"])
    np.testing.assert_array_equal(swapped.extractdata(), two.extractdata())
    np.testing.assert_allclose(np.tanh(a.extractdata()), one.extractdata(), rtol=1e-6)
    assert forward(net, X, "Outputs", "two").shape == (2, 5)
    with pytest.raises(UnknownNameError, match="forward: Outputs: there is no layer 'tow'. Did you mean 'two'"):
        forward(net, X, Outputs="tow")


def test_networks_without_input_layers():
    net = dlnetwork([fullyConnectedLayer(4, Name="fc"), additionLayer(2, Name="add")])
    assert net.InputNames == ["fc", "add/in2"] and not net.Initialized
    X1, X2 = dlarray(np.ones((3, 5), "single"), "CB"), dlarray(np.ones((4, 5), "single"), "CB")
    net = initialize(net, X1, X2)
    assert len(net.Layers) == 2 and len(net.Connections) == 1
    np.testing.assert_allclose(
        predict(net, X1, X2).extractdata(), forward(net, X1, 0 * X2).extractdata() + 1, rtol=1e-6
    )
    assert dlnetwork([convolution2dLayer(3, 2)], images(8, 8, 3, 1)).Learnables.Value[0].shape == (3, 3, 3, 2)
    with pytest.raises(DataError, match="initialize: needs an example of each of the 2 inputs"):
        initialize(dlnetwork([fullyConnectedLayer(4), additionLayer(2)]), X1)


def test_sequences_and_states():
    net = dlnetwork([sequenceInputLayer(3), lstmLayer(6), fullyConnectedLayer(2)])
    X = RNG.normal(size=(3, 4, 8)).astype("single")
    Y, state = predict(net, dlarray(X, "CBT"), nargout=2)
    assert Y.dims() == "CBT" and Y.shape == (2, 4, 8)
    first, half = predict(net, dlarray(X[:, :, :5], "CBT"), nargout=2)
    net.State = half
    second, end = predict(net, dlarray(X[:, :, 5:], "CBT"), nargout=2)
    np.testing.assert_allclose(
        np.concatenate([first.extractdata(), second.extractdata()], 2), Y.extractdata(), atol=1e-6
    )
    np.testing.assert_allclose(end.Value[0].extractdata(), state.Value[0].extractdata(), atol=1e-6)
    assert (resetState(net).State.Value[0].extractdata() == 0).all()
    last = dlnetwork([sequenceInputLayer(3), bilstmLayer(6, OutputMode="last"), fullyConnectedLayer(2)])
    assert predict(last, dlarray(X, "CBT")).dims() == "CB"


def test_a_learnable_table_can_be_assigned():
    net = two_ended()
    other = two_ended()
    other.Learnables = net.Learnables
    X = dlarray(np.ones((3, 2), "single"), "CB")
    np.testing.assert_array_equal(predict(net, X)[0].extractdata(), predict(other, X)[0].extractdata())
    with pytest.raises(DataError, match="dlnetwork: Learnables: needs a table"):
        net.Learnables = [1]
    doubled = dlupdate(lambda w: 2 * w, net)
    np.testing.assert_array_equal(doubled.Learnables.Value[0].extractdata(), 2 * net.Learnables.Value[0].extractdata())


def test_networks_are_values():
    net = small()
    for made in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        X = images(8, 8, 1, 2)
        np.testing.assert_array_equal(predict(made, X).extractdata(), predict(net, X).extractdata())
    stepped, _ = sgdmupdate(net, net.Learnables, [], 1.0)
    assert not np.allclose(stepped.Learnables.Value[0].extractdata(), net.Learnables.Value[0].extractdata())
    np.testing.assert_allclose(stepped.Layers(2).Weights, stepped.Learnables.Value[0].extractdata())


def test_double_precision_after_dlupdate():
    net = dlupdate(lambda w: w.astype("double"), small())
    Y, state = forward(net, images(8, 8, 1, 3), nargout=2)
    assert (Y.dtype, state.Value[0].dtype) == (np.float64, np.float32)


def test_gradients_of_a_convolutional_network_are_those_of_torch():
    net = dlnetwork(
        [
            imageInputLayer([8, 8, 2], Normalization="none"), convolution2dLayer(3, 4, Padding="same"),
            batchNormalizationLayer, reluLayer, maxPooling2dLayer(2, Stride=2), fullyConnectedLayer(3),
        ]
    )  # fmt: skip
    net = dlupdate(lambda w: w.astype("double") + 0.1, net)
    X, T = RNG.normal(size=(8, 8, 2, 5)), RNG.normal(size=(3, 5))

    def loss(net, X, T):
        value = mse(forward(net, X), T)
        return value, dlgradient(value, [X, net.Learnables])

    value, (d_x, table) = dlfeval(loss, net, dlarray(X, "SSCB"), T)
    w, b, offset, scale, fc, fc_bias = (
        torch.tensor(each.extractdata(), requires_grad=True) for each in net.Learnables.Value
    )
    x = torch.tensor(X, requires_grad=True)
    z = torch.nn.functional.conv2d(x.permute(3, 2, 0, 1), w.permute(3, 2, 0, 1), b.ravel(), padding=1)
    z = torch.nn.functional.batch_norm(z, None, None, scale.ravel(), offset.ravel(), training=True)
    z = torch.nn.functional.max_pool2d(torch.relu(z), 2)
    y = fc @ z.permute(0, 1, 3, 2).reshape(5, -1).T + fc_bias
    expected = ((y - torch.tensor(T)) ** 2).sum() / 10
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    for found, wanted in zip([d_x, *table.Value], (x, w, b, offset, scale, fc, fc_bias), strict=True):
        np.testing.assert_allclose(found.extractdata(), wanted.grad.numpy(), rtol=1e-6, atol=1e-9)
    assert list(table.Layer) == ["conv", "conv", "batchnorm", "batchnorm", "fc", "fc"]


def test_second_derivatives_through_a_network_are_those_of_torch():
    net = dlnetwork([featureInputLayer(2), fullyConnectedLayer(7), tanhLayer, fullyConnectedLayer(5), sigmoidLayer,
                     fullyConnectedLayer(1)])  # fmt: skip
    net = dlupdate(lambda w: w.astype("double"), net)
    X = RNG.normal(size=(2, 9))

    def loss(net, X):
        u = forward(net, X)
        first = dlgradient(np.sum(u), X, EnableHigherDerivatives=True)
        second = dlgradient(np.sum(first[0]), X, EnableHigherDerivatives=True)
        residual = first[1:2] + u * first[0:1] - 0.1 * second[0:1]
        value = l2loss(residual, 0 * residual, DataFormat="CB") if not residual.dims() else mse(residual, 0 * residual)
        return value, dlgradient(value, net.Learnables)

    value, table = dlfeval(loss, net, dlarray(X, "CB"))
    parameters = [torch.tensor(each.extractdata(), requires_grad=True) for each in net.Learnables.Value]
    x = torch.tensor(X, requires_grad=True)
    w1, b1, w2, b2, w3, b3 = parameters
    u = w3 @ torch.sigmoid(w2 @ torch.tanh(w1 @ x + b1) + b2) + b3
    (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first[0].sum(), x, create_graph=True)
    expected = ((first[1] + u * first[0] - 0.1 * second[0]) ** 2).sum() / 18
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    for found, wanted in zip(table.Value, parameters, strict=True):
        gradient = np.zeros(found.shape) if wanted.grad is None else wanted.grad.numpy()
        np.testing.assert_allclose(found.extractdata(), gradient, rtol=1e-6, atol=1e-10)


def test_function_layers_are_differentiated_twice():
    net = dlnetwork([featureInputLayer(2), functionLayer(lambda X: X**3)])

    def second(X):
        first = dlgradient(np.sum(forward(net, X)), X, EnableHigherDerivatives=True)
        return dlgradient(np.sum(first), X)

    found = dlfeval(second, dlarray([[1.0, 2, 3], [4, 5, 6]], "CB"))
    np.testing.assert_allclose(found.extractdata(), 6 * np.arange(1.0, 7).reshape(2, 3))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: dlnetwork([featureInputLayer(2), regressionLayer]), NetworkError, "without output.*regressionLayer"),
        (lambda: forward(dlnetwork([imageInputLayer([4, 4, 1]), reluLayer]), images(4, 4, 1, 2)), NetworkError,
         "Mean for .*'zerocenter'"),
        (lambda: forward(small(), dlarray(np.ones((8, 8, 1, 2)))), DataError,
         "forward: imageinput: needs a formatted dlarray"),
        (lambda: forward(small(), images(7, 8, 1, 2)), DataError, "8.S. x 8.S. x 1.C.*7.S. x 8.S."),
        (lambda: forward(small()), DataError, "forward: needs one array for each of the inputs imageinput"),
        (lambda: forward(small(), images(8, 8, 1, 2), nargout=3), OptionError, "nargout from 1 to 2"),
        (lambda: forward(3), OptionError, "forward: needs a dlnetwork"),
        (lambda: dlnetwork([featureInputLayer(2), convolution2dLayer(3, 2)]), NetworkError, "Layer 2"),
        (lambda: dlnetwork([fullyConnectedLayer(2)], np.ones((3, 2))), DataError, "initialize: needs a formatted"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_graph_functions_change_networks():
    net = small()
    changed = initialize(replaceLayer(net, "fc", fullyConnectedLayer(5, Name="fc5")))
    assert predict(changed, images(8, 8, 1, 2)).shape == (5, 2)
    np.testing.assert_array_equal(changed.Learnables.Value[0].extractdata(), net.Learnables.Value[0].extractdata())
    assert removeLayers(net, "softmax").OutputNames == ["fc"]
