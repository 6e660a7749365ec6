"""Training recurrent networks, and carrying their states on."""

import numpy as np
import pytest

from mlnet import (
    DataError,
    analyzeNetwork,
    batchNormalizationLayer,
    bilstmLayer,
    classificationLayer,
    classifyAndUpdateState,
    connectLayers,
    convolution2dLayer,
    dropoutLayer,
    flattenLayer,
    fullyConnectedLayer,
    gruLayer,
    layerGraph,
    lstmLayer,
    lstmProjectedLayer,
    predictAndUpdateState,
    regressionLayer,
    reluLayer,
    resetState,
    rng,
    sequenceFoldingLayer,
    sequenceInputLayer,
    sequenceUnfoldingLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def options(solver="adam", **changes):
    return trainingOptions(solver, **{"MaxEpochs": 2, "MiniBatchSize": 16, "Verbose": False, **changes})


def first_step_decides(count=160):
    """Return sequences whose class is in their first time step, however long they are."""
    generator = np.random.default_rng(0)
    y = np.arange(count) % 2
    x = [generator.normal(0, 0.3, (2, length)) for length in generator.integers(3, 12, count)]
    for each, label in zip(x, y, strict=True):
        each[0, 0] = 4 * label - 2
    return x, y


def classifier(layer):
    return [sequenceInputLayer(2), layer, fullyConnectedLayer(2), softmaxLayer, classificationLayer]


@pytest.mark.parametrize(
    "layer",
    [
        lstmLayer(12, OutputMode="last"),
        bilstmLayer(6, OutputMode="last"),
        gruLayer(12, OutputMode="last"),
        gruLayer(12, OutputMode="last", ResetGateMode="recurrent-bias-after-multiplication"),
        lstmProjectedLayer(12, 6, 2, OutputMode="last"),
    ],
    ids=lambda layer: layer.type_name,
)
def test_recurrent_layers_remember(layer):
    rng(0)
    x, y = first_step_decides()
    net = trainNetwork(x, y, classifier(layer), options(MaxEpochs=25, InitialLearnRate=0.02, GradientThreshold=1))
    assert np.mean(net.classify(x) == y) > 0.95
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=7), net.predict(x), atol=1e-5)
    np.testing.assert_allclose(net.predict(x[3]), net.predict(x)[3:4], atol=1e-5)


def test_stacked_layers_with_dropout_put_out_sequences():
    x, _ = first_step_decides(20)
    y = [np.cumsum(each[:1], axis=1) for each in x]
    layers = [
        sequenceInputLayer(2),
        lstmLayer(5),
        dropoutLayer(0.2),
        bilstmLayer(4, OutputMode="sequence"),
        fullyConnectedLayer(1),
        regressionLayer,
    ]
    net = trainNetwork(x, y, layers, options())
    assert [each.shape for each in net.predict(x)] == [(1, each.shape[1]) for each in x]


def forecaster():
    rng(0)
    x = np.sin(np.linspace(0, 30, 300))[np.newaxis]
    layers = [sequenceInputLayer(1), lstmLayer(20), fullyConnectedLayer(1), regressionLayer]
    return trainNetwork(x[:, :-1], x[:, 1:], layers, options(MaxEpochs=120, InitialLearnRate=0.02)), x


def test_states_go_on_step_by_step():
    net, x = forecaster()
    whole = net.predict(x)
    state, parts = net, []
    for start, stop in ((0, 100), (100, 101), (101, 300)):
        state, y = predictAndUpdateState(state, x[:, start:stop])
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)
    assert state.Layers[1].HiddenState.shape == state.Layers[1].CellState.shape == (20, 1)
    assert not net.Layers[1].HiddenState.any(), "The given network has not changed."
    np.testing.assert_allclose(resetState(state).predict(x), whole, atol=1e-6)
    assert np.abs(whole[:, 50:-1] - x[:, 51:]).mean() < 0.1


def test_states_of_several_sequences():
    net, x = forecaster()
    two = [x[:, :50], -x[:, :60]]
    state, _ = net.predictAndUpdateState(two, MiniBatchSize=1)
    assert state.Layers[1].HiddenState.shape == (20, 2)
    _, after = predictAndUpdateState(state, [x[:, 50:55], -x[:, 60:62]])
    np.testing.assert_allclose(after[0], net.predict(x)[:, 50:55], atol=1e-5)
    np.testing.assert_allclose(after[1], net.predict(-x)[:, 60:62], atol=1e-5)
    with pytest.raises(DataError, match="states of 2 observations, but there are 3. Use resetState"):
        state.predict([x, x, x])


def test_classes_and_states():
    x, y = first_step_decides()
    net = trainNetwork(x, y, classifier(lstmLayer(12, OutputMode="last")), options())
    _, labels, scores = classifyAndUpdateState(net, x, nargout=3)
    assert (labels == net.classify(x)).all()
    np.testing.assert_allclose(scores, net.predict(x), atol=1e-6)


def test_states_by_methods():
    x, y = first_step_decides(20)
    net = trainNetwork(x, y, classifier(lstmLayer(4, OutputMode="last")), options(MaxEpochs=1))
    first, rest = [each[:, :2] for each in x], [each[:, 2:] for each in x]
    state, _ = net.classifyAndUpdateState(first)
    state, _, scores = state.classifyAndUpdateState(rest, nargout=3)
    np.testing.assert_allclose(scores, net.predict(x), atol=1e-6)
    assert state.Layers[1].HiddenState.any() and not state.resetState().Layers[1].HiddenState.any()


@pytest.mark.parametrize(
    ("layer", "blocks"),
    [
        (lstmLayer(3, InputWeightsLearnRateFactor=[0, 1, 0, 1], BiasLearnRateFactor=[0, 1, 0, 1]), [0, 1, 0, 1]),
        (gruLayer(3, InputWeightsLearnRateFactor=[1, 0, 1], BiasLearnRateFactor=[1, 0, 1]), [1, 0, 1]),
        (
            gruLayer(
                3,
                InputWeightsLearnRateFactor=[1, 0, 1],
                BiasLearnRateFactor=[1, 0, 1],
                ResetGateMode="recurrent-bias-after-multiplication",
            ),
            [1, 0, 1],
        ),
    ],
)
def test_factors_of_single_gates(layer, blocks):
    x, _ = first_step_decides(32)
    rows = len(blocks) * 3
    weights = np.random.default_rng(1).normal(0, 0.3, (rows, 2)).astype(np.float32)
    layer.InputWeights = weights
    twice = 2 if "recurrent-bias" in repr(layer) else 1
    layer.Bias = np.zeros((twice * rows, 1))
    layers = [sequenceInputLayer(2), layer, fullyConnectedLayer(1), regressionLayer]
    trained = trainNetwork(x, [each[:1] for each in x], layers, options("sgdm", L2Regularization=0)).Layers[1]
    moved = np.abs(trained.InputWeights - weights).reshape(len(blocks), -1).max(axis=1) > 0
    assert moved.tolist() == [bool(block) for block in blocks]
    bias = np.abs(trained.Bias).reshape(-1, 3).max(axis=1) > 0
    assert bias.tolist() == [bool(block) for block in blocks] * twice


def test_video_idiom_with_folding():
    generator = np.random.default_rng(0)
    y = np.arange(48) % 2
    x = [generator.normal(2 * label, 1, (8, 7, 1, length)) for label, length in zip(y, [3, 5, 4, 8] * 12, strict=True)]
    layers = [
        sequenceInputLayer([8, 7, 1], Name="in"),
        sequenceFoldingLayer(Name="fold"),
        convolution2dLayer(3, 4, Padding="same", Name="conv"),
        batchNormalizationLayer(Name="bn"),
        reluLayer(Name="relu"),
        sequenceUnfoldingLayer(Name="unfold"),
        flattenLayer(Name="flat"),
        lstmLayer(10, OutputMode="last", Name="lstm"),
        fullyConnectedLayer(2, Name="fc"),
        softmaxLayer(Name="softmax"),
        classificationLayer(Name="out"),
    ]
    rng(0)
    graph = connectLayers(layerGraph(layers), "fold/miniBatchSize", "unfold/miniBatchSize")
    net = trainNetwork(x, y, graph, options(MaxEpochs=5))
    assert np.mean(net.classify(x) == y) == 1
    assert set(net.Connections.rows()) == set(graph.Connections.rows())
    analysis = analyzeNetwork(net)
    assert not analysis.Mistakes
    assert analysis.LayerInfo.Activations[1:8:3] == [
        "out: 8(S) x 7(S) x 1(C) x 1(B) x 1(T), miniBatchSize: 1(C) x 1(B)",
        "8(S) x 7(S) x 4(C) x 1(B) x 1(T)",
        "10(C) x 1(B)",
    ]
