"""functionLayer: options, sizes, mistakes of functions, texts, and training against built-in layers."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
from engines.gradients import check_gradients

from mlnet import (
    NetworkError,
    OptionError,
    additionLayer,
    analyzeNetwork,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    dlarray,
    dlgradient,
    featureInputLayer,
    flattenLayer,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    stripdims,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.layers.base import Size, SizeError, no_lengths, same_lengths
from mlnet.layers.function_text import function_text
from mlnet.network.layer_array import LayerArray

IMAGES, FEATURES, SEQUENCES = Size("SSC", (5, 4, 3)), Size("C", (6,)), Size("CT", (6,))
OPERATION = NumpyEngine().operation("user_function")


def softsign(X):
    return X / (1 + abs(X))


def flattened(X):
    return dlarray(np.reshape(stripdims(X), (-1, X.shape[-1]), order="F"), "CB")


def test_inputs_come_from_the_signature():
    assert functionLayer(softsign).InputNames == ["in"] and functionLayer(softsign).NumInputs == 1
    layer = functionLayer(lambda X, Y, scale=2: X + scale * Y)
    assert (layer.NumInputs, layer.InputNames, layer.NumOutputs, layer.OutputNames) == (2, ["in1", "in2"], 1, ["out"])
    assert functionLayer(np.maximum).NumInputs == 2
    assert functionLayer(lambda *X: X[0], NumInputs=3).InputNames == ["in1", "in2", "in3"]
    assert functionLayer(lambda *X: X[0], InputNames=["a", "b"]).NumInputs == 2
    named = functionLayer(softsign, NumOutputs=2, OutputNames=["y", "z"])
    assert named.OutputNames == ["y", "z"] and named.outputs == ("y", "z")
    named.OutputNames = []
    assert named.OutputNames == ["out1", "out2"]


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: functionLayer(lambda *X: X), "NumInputs: needs the number of inputs"),
        (lambda: functionLayer(lambda: 0), "Set NumInputs."),
        (lambda: functionLayer(softsign, NumInputs=2, InputNames=["a"]), "InputNames: needs 2 names, one for each"),
        (lambda: functionLayer(softsign, NumOutputs=2, OutputNames=["a", "a"]), "OutputNames: needs different names"),
        (lambda: functionLayer(5), "PredictFcn: needs a function, but got 5"),
        (lambda: functionLayer(), "the argument PredictFcn is missing"),
    ],
)
def test_mistakes_of_options(call, text):
    with pytest.raises(OptionError) as caught:
        call()
    assert text in str(caught.value)


def test_a_change_that_does_not_fit_changes_nothing():
    layer = functionLayer(softsign, InputNames=["a"])
    with pytest.raises(OptionError, match="InputNames"):
        layer.NumInputs = 2
    assert (layer.NumInputs, layer.InputNames) == (1, ["a"])


def test_the_text_of_a_function():
    double = lambda X: 2 * X  # noqa: E731
    first, second = (lambda X: X + 1), (lambda X: X - 1)
    long = lambda X: np.where(  # noqa: E731
        X > 0, X, 0
    )
    assert function_text(double) == "lambda X: 2 * X"
    assert function_text(first) == "lambda X: X + 1" and function_text(second) == "lambda X: X - 1"
    assert function_text(long) == "lambda X: np.where(X > 0, X, 0)"
    assert function_text(eval("lambda X: X")) == "@<lambda>"
    assert function_text(softsign) == "@softsign" and function_text(np.tanh) == "@tanh"
    assert function_text(functools.partial(softsign)) == "@partial"


def test_the_printed_layer_array():
    rows = repr(LayerArray([functionLayer(softsign), functionLayer(lambda X: X**2, Name="s", Description="Square")]))
    assert rows.splitlines()[2:] == [
        "     1   ''    Function   @softsign",
        "     2   's'   Function   Square",
    ]


@pytest.mark.parametrize(
    "function, size, formatted, expected",
    [
        (softsign, IMAGES, False, IMAGES),
        (softsign, FEATURES, False, FEATURES),
        (softsign, SEQUENCES, False, SEQUENCES),
        (softsign, IMAGES, True, IMAGES),
        (softsign, SEQUENCES, True, SEQUENCES),
        (softsign, Size("SSSC", (4, 3, 2, 5)), True, Size("SSSC", (4, 3, 2, 5))),
        (softsign, Size("SSCT", (4, 3, 2)), True, Size("SSCT", (4, 3, 2))),
        (lambda X: X[:, :, :2], IMAGES, False, Size("SSC", (5, 4, 2))),
        (lambda X: X[:2], FEATURES, False, Size("C", (2,))),
        (lambda X: np.concatenate([X, X], axis=0), SEQUENCES, False, Size("CT", (12,))),
        (flattened, IMAGES, True, Size("C", (60,))),
        (lambda X: X[..., -1], SEQUENCES, True, FEATURES),
        (lambda X: X.mean(axis=(0, 1)), IMAGES, True, Size("C", (3,))),
        (lambda X: dlarray(stripdims(X)[None, None], "SSCB"), FEATURES, True, Size("SSC", (1, 1, 6))),
        (lambda X: np.ones((2, X.shape[1])), FEATURES, False, Size("C", (2,))),
    ],
)
def test_sizes(function, size, formatted, expected):
    layer = functionLayer(function, Formattable=formatted)
    assert layer.output_size(size) == expected
    time = layer.operation(size, training=False).time
    assert time is ((same_lengths if expected.is_sequence else no_lengths) if size.is_sequence else None)


@pytest.mark.parametrize(
    "function, size, formatted, needed, came",
    [
        (
            lambda X: X @ np.ones((7, 2)),
            FEATURES,
            False,
            "a function that takes dlarrays of size 6x1",
            "DataError: dlarray: needs a matrix product",
        ),
        (lambda X: undefined, IMAGES, False, "size 5x4x3x1", "NameError: name 'undefined'"),  # noqa: F821
        (lambda X: np.fft.fft(X), IMAGES, True, "takes formatted dlarrays of size", "NotSupportedError: np.fft.fft"),
        (lambda X: np.asarray(X), FEATURES, False, "takes dlarrays", "DataError: dlarray: needs to be traced on"),
        (lambda X: "text", FEATURES, False, "takes dlarrays", "DataError: the function: needs to return arrays"),
        (lambda X: np.sum(X), FEATURES, False, "an output of 2 dimensions like the first input", "0"),
        (lambda X: X.reshape(-1, X.shape[-1]), IMAGES, False, "an output of 4 dimensions", "2"),
        (lambda X: X.T, FEATURES, False, "passes the number of observations on", "1x6 and 2x6 for 1 and 2"),
        (lambda X: X.reshape(2, 3), FEATURES, False, "takes dlarrays of size 6x2", "ValueError"),
        (lambda X: np.ones((X.shape[1], X.shape[1])), FEATURES, False, "whatever the number of observations", "1x1"),
        (lambda X: X[..., 1:], SEQUENCES, False, "keeps the number of time steps, or leaves time out", "4 for 5"),
        (lambda X: stripdims(X), FEATURES, True, "an output with a format", "an unformatted one"),
        (lambda X: X[0], FEATURES, True, "an output with a format", "'B'"),
        (lambda X: dlarray(stripdims(X)[..., None], "CBT"), FEATURES, True, "an output without time", "'CBT'"),
        (lambda X: (X, X), FEATURES, False, "a function with 1 outputs (NumOutputs)", "2 of them"),
    ],
)
def test_mistakes_of_functions(function, size, formatted, needed, came):
    with pytest.raises(SizeError) as caught:
        functionLayer(function, Formattable=formatted).output_size(size)
    assert needed in caught.value.needed and came in caught.value.came


def test_mistakes_name_the_layer_and_come_together():
    layers = [
        featureInputLayer(4),
        functionLayer(lambda X: X @ X, Name="bad"),
        regressionLayer(),
        reused := functionLayer(softsign),
    ]
    with pytest.raises(NetworkError) as caught:
        trainNetwork(np.ones((2, 4)), np.ones((2, 4)), layers, trainingOptions("sgdm"))
    text = str(caught.value)
    assert (
        "Layer 2 'bad' (Function): needs a function that takes dlarrays of size 4x1, but got DataError: dlarray: "
        in text
    )
    assert "Missing output layer" in text and reused.Name == ""
    assert any("'bad'" in mistake for mistake in analyzeNetwork(layers).Mistakes)


def test_sequences_come_first():
    layer = functionLayer(lambda X, Y: X[..., None] + Y)
    (mistake,) = layer.mistakes(FEATURES, SEQUENCES)
    assert mistake.needed == "the sequence as the first input"
    assert not list(layer.mistakes(SEQUENCES, FEATURES))
    two = functionLayer(lambda X: (X, X), NumOutputs=2)
    with pytest.raises(SizeError, match="first output only"):
        two.output_sizes(SEQUENCES)


@pytest.mark.parametrize("formatted", [False, True])
@pytest.mark.parametrize("size", [IMAGES, FEATURES, SEQUENCES, Size("SSCT", (4, 3, 2))], ids=str)
def test_functions_get_matlabs_order(size, formatted):
    seen = []

    def function(X):
        seen.append((X.dims(), X.shape, X.extractdata()))
        return X * 2

    call = functionLayer(function, Formattable=formatted).operation(size, training=True)
    lead = (2, 3) if size.is_sequence else (2,)
    x = np.random.default_rng(0).normal(size=(*lead, *size.dims)).astype(np.float32)
    times = {"lengths": np.array([3, 2])} if size.is_sequence else {}
    output, _ = OPERATION.forward(x, workspace=Workspace(), **call.attributes, **times)
    labels, shape, data = seen[-1]
    assert shape == (*size.dims, *lead)
    assert labels == (size.format.replace("C", "CB") if formatted else "")
    np.testing.assert_array_equal(np.moveaxis(data, range(-len(lead), 0), range(len(lead))), x)
    np.testing.assert_array_equal(output, 2 * x)
    assert output.dtype == np.float32


@pytest.mark.parametrize("formatted", [False, True])
@pytest.mark.parametrize("size", [IMAGES, FEATURES, SEQUENCES, Size("C", (1,))], ids=str)
def test_gradients(size, formatted):
    layer = functionLayer(lambda X, Y: np.tanh(X) * Y**2 + np.sum(X * X, axis=0, keepdims=True), Formattable=formatted)
    call = layer.operation(size, size, training=True)
    generator = np.random.default_rng(0)
    lead = (2, 3) if size.is_sequence else (2,)
    arrays = [generator.normal(size=(*lead, *size.dims)) for _ in range(2)]
    for wanted in ((True, True), (False, True), (True, False)):
        check_gradients(OPERATION, arrays, dict(call.attributes), wanted, generator)


def test_outputs_that_change_their_size_are_found():
    shapes = [4]
    call = functionLayer(lambda X: X[: shapes[0]]).operation(FEATURES, training=True)
    shapes[0] = 3
    with pytest.raises(Exception, match=r"functionLayer: needs an output of shape \(4, 2\), but got \(3, 2\)"):
        OPERATION.forward(np.ones((2, 6)), workspace=Workspace(), **call.attributes)


def digits(count=24):
    generator = np.random.default_rng(3)
    return generator.normal(size=(6, 6, 2, count)).astype(np.float32), np.arange(count) % 3


def classes(labels):
    from mlnet import categorical

    return categorical(labels)


def trained(between, X, Y, start, end, **changes):
    rng(0)
    options = trainingOptions(
        "adam", **{"MaxEpochs": 4, "MiniBatchSize": 8, "InitialLearnRate": 0.01, "Verbose": False, **changes}
    )
    return trainNetwork(X, Y, [*start, *between, *end], options, nargout=2)


def same_training(ours, theirs, X, Y, start, end):
    """Train twice, and compare the losses of all iterations and the weights."""
    (net, info), (expected_net, expected_info) = (trained(each, X, Y, start, end) for each in (ours, theirs))
    assert len(info.TrainingLoss) >= 12
    np.testing.assert_allclose(info.TrainingLoss, expected_info.TrainingLoss, rtol=2e-5)
    np.testing.assert_allclose(net.predict(X), expected_net.predict(X), rtol=2e-4, atol=2e-5)
    return net


IMAGE_PARTS = (
    [imageInputLayer([6, 6, 2]), convolution2dLayer(3, 4)],
    [fullyConnectedLayer(3), softmaxLayer(), classificationLayer()],
)


@pytest.mark.parametrize("formatted", [False, True])
def test_tanh_trains_as_the_built_in_layer(formatted):
    X, labels = digits()
    ours = [functionLayer(lambda X: np.tanh(X), Formattable=formatted)]
    same_training(ours, [tanhLayer()], X, classes(labels), *IMAGE_PARTS)


def test_flattening_trains_as_the_built_in_layer():
    X, labels = digits()
    same_training([functionLayer(flattened, Formattable=True)], [flattenLayer()], X, classes(labels), *IMAGE_PARTS)


def test_features_and_sequences_train_as_with_the_built_in_layer():
    generator = np.random.default_rng(0)
    X, Y = generator.normal(size=(24, 5)), generator.normal(size=(24, 2))
    parts = [featureInputLayer(5), fullyConnectedLayer(6)], [fullyConnectedLayer(2), regressionLayer()]
    same_training([functionLayer(np.tanh)], [tanhLayer()], X, Y, *parts)
    lists = [generator.normal(size=(3, steps)).astype(np.float32) for steps in (4, 7, 5, 2, 6, 3) * 4]
    answers = generator.normal(size=(24, 2))
    parts = (
        [sequenceInputLayer(3), fullyConnectedLayer(6)],
        [lstmLayer(5, OutputMode="last"), fullyConnectedLayer(2), regressionLayer()],
    )
    same_training([functionLayer(np.tanh)], [tanhLayer()], lists, answers, *parts)


def test_softsign_trains_as_its_formula():
    """The gradient of the weights below, by hand: softsign has the slope 1 / (1 + |x|)^2."""
    generator = np.random.default_rng(1)
    X, Y = generator.normal(size=(10, 3)), generator.normal(size=(10, 1))
    W1, W2 = generator.normal(size=(4, 3)), generator.normal(size=(1, 4))
    layers = [
        featureInputLayer(3, Normalization="none"),
        fullyConnectedLayer(4, Weights=W1, Name="fc1"),
        functionLayer(softsign, Acceleratable=True, Description="Softsign"),
        fullyConnectedLayer(1, Weights=W2, Name="fc2"),
        regressionLayer(),
    ]
    options = trainingOptions(
        "sgdm", MaxEpochs=5, MiniBatchSize=10, InitialLearnRate=0.1, Momentum=0, L2Regularization=0, Verbose=False
    )
    net = trainNetwork(X, Y, layers, options)
    b1, b2 = np.zeros((4, 1)), np.zeros((1, 1))
    for _ in range(5):
        hidden = W1 @ X.T + b1
        error = (W2 @ (hidden / (1 + abs(hidden))) + b2 - Y.T) / 10
        below = W2.T @ error / (1 + abs(hidden)) ** 2
        W2, b2 = W2 - 0.1 * error @ (hidden / (1 + abs(hidden))).T, b2 - 0.1 * error.sum()
        W1, b1 = W1 - 0.1 * below @ X, b1 - 0.1 * below.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.Layers[1].Weights, W1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.Layers[3].Weights, W2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.Layers[1].Bias, b1, rtol=1e-4, atol=1e-5)


def test_several_inputs_and_outputs_in_a_graph():
    def both(X, Y):
        return X * Y, X + Y

    graph = layerGraph(
        [
            featureInputLayer(3, Name="in", Normalization="none"),
            fullyConnectedLayer(3, Name="a"),
            functionLayer(both, Name="f", NumOutputs=2, InputNames=["x", "y"], OutputNames=["product", "sum"]),
            additionLayer(2, Name="add"),
            regressionLayer(Name="out"),
        ]
    )
    graph = connectLayers(connectLayers(graph, "in", "f/y"), "f/sum", "add/in2")
    generator = np.random.default_rng(0)
    X, Y = generator.normal(size=(12, 3)), generator.normal(size=(12, 3))
    options = trainingOptions("sgdm", MaxEpochs=3, MiniBatchSize=12, Verbose=False)
    net = trainNetwork(X, Y, graph, options)
    a = X @ net.Layers[1].Weights.T + net.Layers[1].Bias.T
    np.testing.assert_allclose(net.predict(X), a * X + a + X, rtol=1e-4, atol=1e-5)


def test_sequences_of_different_lengths_lose_their_time():
    layer = functionLayer(lambda X: X.sum(axis=-1), Formattable=True)
    generator = np.random.default_rng(0)
    X = [generator.normal(size=(3, steps)) for steps in (4, 7, 5)]
    Y = generator.normal(size=(3, 2))
    layers = [sequenceInputLayer(3), layer, fullyConnectedLayer(2), regressionLayer()]
    net = trainNetwork(X, Y, layers, trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=3, Verbose=False))
    sums = np.stack([x.sum(axis=1) for x in X])
    expected = sums @ net.Layers[2].Weights.T + net.Layers[2].Bias.T
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-4, atol=1e-4)


def test_functions_may_differentiate():
    def slope(X):
        return dlgradient(np.sum(X**3), X, EnableHigherDerivatives=True)

    call = functionLayer(slope).operation(FEATURES, training=True)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 6))
    output, _ = OPERATION.forward(x, workspace=Workspace(), **call.attributes)
    np.testing.assert_allclose(output, 3 * x**2)
    check_gradients(OPERATION, [x], dict(call.attributes), (True,), generator)


def test_copies_share_the_function():
    layer = functionLayer(softsign)
    assert copy.deepcopy(layer).PredictFcn is softsign


def test_sequences_of_different_lengths_apart_are_as_each_alone():
    def total(x):  # (C, N, T): every step sees all others, so that padding would count
        return x * np.sum(x + 1, axis=2, keepdims=True)

    options = {"function": total, "formats": ("CT",), "outputs": (("CT", (2,)),), "formatted": False, "apart": True}
    generator = np.random.default_rng(0)
    lengths = np.array([4, 2, 4])
    x, d_y = generator.normal(size=(2, 3, 4, 2))
    for each, length in zip((x, d_y), (lengths, lengths), strict=True):
        each[np.arange(4) >= length[:, None]] = 0
    output, saved = OPERATION.forward(x, **options, lengths=lengths, workspace=Workspace())
    (d_x,) = OPERATION.backward(saved, d_y, wanted=(True,), workspace=Workspace())
    for number, length in enumerate(lengths):
        one = slice(number, number + 1)
        alone, kept = OPERATION.forward(x[one, :length], **options, lengths=lengths[one], workspace=Workspace())
        (gradient,) = OPERATION.backward(kept, d_y[one, :length], wanted=(True,), workspace=Workspace())
        np.testing.assert_allclose(output[one, :length], alone)
        np.testing.assert_allclose(d_x[one, :length], gradient)
        assert not output[number, length:].any() and not d_x[number, length:].any()
