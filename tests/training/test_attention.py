"""Transformers, from data to predictions."""

from __future__ import annotations

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    NetworkError,
    UnknownNameError,
    activations,
    additionLayer,
    addLayers,
    analyzeNetwork,
    assembleNetwork,
    attentionLayer,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    convolution1dLayer,
    disconnectLayers,
    embeddingConcatenationLayer,
    fullyConnectedLayer,
    globalAveragePooling1dLayer,
    imageInputLayer,
    indexing1dLayer,
    inputLayer,
    layerGraph,
    layerNormalizationLayer,
    patchEmbeddingLayer,
    positionEmbeddingLayer,
    regressionLayer,
    reluLayer,
    rng,
    selfAttentionLayer,
    sequenceInputLayer,
    sinusoidalPositionEncodingLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    wordEmbeddingLayer,
)


def options(**changes):
    return trainingOptions(
        "adam", **{"MaxEpochs": 15, "MiniBatchSize": 30, "InitialLearnRate": 0.01, "Verbose": False, **changes}
    )


def head(classes=2):
    return [fullyConnectedLayer(classes, Name="fc"), softmaxLayer(Name="softmax"), classificationLayer(Name="out")]


def marked(count, seed=0):
    """Return sequences of several lengths; the class tells which of two marks comes first."""
    generator = np.random.default_rng(seed)
    x, y = [], []
    for _ in range(count):
        steps = generator.integers(4, 12)
        each = generator.normal(0, 0.3, (3, steps))
        first, second = generator.choice(steps, 2, replace=False)
        each[0, first] = each[1, second] = 3
        x.append(each)
        y.append(int(first < second))
    return x, np.array(y)


def with_positions(encoding, *layers):
    """Return a graph whose positions are added to a linear map of the sequences."""
    chain = [sequenceInputLayer(3, Name="in"), convolution1dLayer(1, 16, Name="embed"), additionLayer(2, Name="add")]
    graph = addLayers(layerGraph([*chain, *layers]), encoding.replaced(Name="pos"))
    return connectLayers(connectLayers(graph, "in", "pos"), "pos", "add/in2")


def agrees_one_by_one(net, x):
    """Tell whether neither padding nor other sequences change a prediction."""
    alone = np.concatenate([net.predict(each) for each in x])
    return all(np.allclose(net.predict(x, MiniBatchSize=size), alone, atol=1e-5) for size in (3, len(x)))


@pytest.mark.parametrize(
    "encoding, tail",
    [
        (positionEmbeddingLayer(16, 12), globalAveragePooling1dLayer()),
        (sinusoidalPositionEncodingLayer(16), indexing1dLayer("last")),
    ],
    ids=lambda layer: layer.type_name,
)
def test_a_transformer_learns_an_order(encoding, tail):
    rng(0)
    x, y = marked(300)
    new_x, new_y = marked(200, seed=1)
    body = [selfAttentionLayer(4, 16), reluLayer(), selfAttentionLayer(4, 16, DropoutProbability=0.1), tail]
    net = trainNetwork(x, y, with_positions(encoding, *body, *head()), options(MaxEpochs=20))
    assert np.mean(net.classify(new_x) == new_y) > 0.95
    assert agrees_one_by_one(net, new_x[:20])


def test_without_positions_order_is_invisible():
    """What makes the test above mean something: the same network cannot learn it without positions."""
    rng(0)
    x, y = marked(300)
    chain = [sequenceInputLayer(3), selfAttentionLayer(4, 16, OutputSize=16), globalAveragePooling1dLayer()]
    net = trainNetwork(x, y, [*chain, *head()], options())
    assert np.mean(net.classify(x) == y) < 0.65


def test_a_chain_learns_what_is_far_away():
    rng(0)
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = [generator.normal(0, 0.3, (2, steps)) for steps in generator.integers(3, 30, 200)]
    for each, label in zip(x, y, strict=True):
        each[:, 0] = [3 * (2 * label - 1), 3]
    layers = [sequenceInputLayer(2), selfAttentionLayer(2, 8), indexing1dLayer("last"), *head()]
    net, info = trainNetwork(x, y, layers, options(ValidationData=(x, y)), nargout=2)
    assert info.FinalValidationAccuracy > 95
    assert agrees_one_by_one(net, x[:20])


def test_a_causal_transformer_predicts_without_looking_ahead():
    rng(0)
    x = [np.random.default_rng(n).normal(size=(1, steps)) for n, steps in enumerate((5, 9, 7, 8, 6, 4))]
    y = [np.cumsum(each, axis=1) / np.arange(1, each.shape[1] + 1) for each in x]
    layers = [
        sequenceInputLayer(1),
        selfAttentionLayer(1, 4, OutputSize=4, AttentionMask="causal"),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    net, info = trainNetwork(x, y, layers, options(MaxEpochs=200, MiniBatchSize=3), nargout=2)
    assert info.TrainingLoss[-1] < 0.2 * info.TrainingLoss[0]
    changed = x[1].copy()
    changed[:, 5:] += 10
    np.testing.assert_allclose(net.predict(changed)[:, :5], net.predict(x[1])[:, :5], atol=1e-6)
    assert np.abs(net.predict(changed)[:, 5:] - net.predict(x[1])[:, 5:]).min() > 1e-3


def test_forecasting_as_public_scripts_write_it():
    """Position embedding first in the chain, data added to it, a causal and a plain attention, the last step."""
    rng(0)
    wave = np.sin(np.arange(140) / 4)
    x = [np.stack([wave[n : n + 20], wave[n : n + 20] ** 2]) for n in range(100)]
    layers = [
        sequenceInputLayer(2, "Name", "input"),
        positionEmbeddingLayer(2, 128, "Name", "pos-emb"),
        additionLayer(2, "Name", "add"),
        selfAttentionLayer(4, 64, "AttentionMask", "causal"),
        selfAttentionLayer(4, 64),
        indexing1dLayer("last"),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    graph = connectLayers(layerGraph(layers), "input", "add/in2")
    net = trainNetwork(x, wave[20:120, None], graph, options(MaxEpochs=60))
    assert np.sqrt(np.mean((net.predict(x) - wave[20:120, None]) ** 2)) < 0.1


def test_words():
    """A text is good if it has a good word; words that training never saw do not matter."""
    rng(0)
    generator = np.random.default_rng(0)
    x = [generator.integers(6, 21, (1, steps)) for steps in generator.integers(3, 15, 200)]
    y = np.arange(200) % 2
    for each, label in zip(x, y, strict=True):
        if label:
            each[0, generator.integers(each.size)] = generator.integers(1, 6)
    layers = [sequenceInputLayer(1), wordEmbeddingLayer(8, 20), selfAttentionLayer(2, 8), globalAveragePooling1dLayer()]
    net = trainNetwork(x, y, [*layers, *head()], options(MaxEpochs=25))
    assert np.mean(net.classify(x) == y) > 0.95
    weights = net.Layers[1].Weights
    assert weights.shape == (8, 21)
    unknown = [np.array([[7, 8, 99]]), np.array([[7, 8, 0]]), np.array([[7, 8, 21]])]
    np.testing.assert_array_equal(net.predict(unknown)[0], net.predict(unknown)[1])
    np.testing.assert_array_equal(net.predict(unknown)[0], net.predict(unknown)[2])
    strict = [sequenceInputLayer(1), wordEmbeddingLayer(8, 20, OOVMode="error"), indexing1dLayer(), *head()]
    with pytest.raises(DataError, match="needs numbers of words from 1 to 20"):
        trainNetwork(unknown, [0, 1, 1], strict, options())


def test_a_vision_transformer():
    rng(0)
    generator = np.random.default_rng(0)
    x = generator.normal(0, 0.3, (8, 8, 1, 240))
    y = np.arange(240) % 4
    for number, label in enumerate(y):  # which quarter has the bright spot
        row, column = generator.integers(0, 4, 2)
        x[4 * (label // 2) + row, 4 * (label % 2) + column, 0, number] += 4
    graph = layerGraph(
        [
            imageInputLayer([8, 8, 1], Name="in"),
            patchEmbeddingLayer(2, 12, Name="patches"),
            embeddingConcatenationLayer(Name="cls"),
            additionLayer(2, Name="add"),
            layerNormalizationLayer(Name="norm"),
            selfAttentionLayer(3, 12, Name="attention"),
            indexing1dLayer("first", Name="first"),
            *head(4),
        ]
    )
    graph = addLayers(graph, positionEmbeddingLayer(12, 17, Name="pos"))
    graph = connectLayers(connectLayers(graph, "cls", "pos"), "pos", "add/in2")
    assert "no mistakes" in str(analyzeNetwork(graph)) and "17(S) x 12(C)" in str(analyzeNetwork(graph))
    net = trainNetwork(x, y, graph, options(MaxEpochs=25))
    assert np.mean(net.classify(x) == y) > 0.95
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=7), net.predict(x), atol=1e-5)


def cross_attention(**more):
    """Return a graph with queries from one input, keys and values from another."""
    graph = layerGraph(
        [
            sequenceInputLayer(2, Name="query"),
            attentionLayer(1, Name="attention", **more),
            fullyConnectedLayer(1, Name="fc"),
            regressionLayer(Name="out"),
        ]
    )
    graph = disconnectLayers(graph, "query", "attention/query")
    graph = addLayers(graph, sequenceInputLayer(2, Name="key"))
    graph = addLayers(graph, sequenceInputLayer(3, Name="value"))
    for name in ("query", "key", "value"):
        graph = connectLayers(graph, name, f"attention/{name}")
    return graph


def softmax(x):
    each = np.exp(x - x.max(axis=0))
    return each / each.sum(axis=0)


def test_queries_and_keys_of_different_lengths():
    rng(0)
    generator = np.random.default_rng(0)
    queries = [generator.normal(size=(2, steps)) for steps in (3, 5, 2, 4)]
    keys = [generator.normal(size=(2, steps)) for steps in (6, 1, 4, 2)]
    values = [generator.normal(size=(3, each.shape[1])) for each in keys]
    made = [v @ softmax(k.T @ q * 2) for q, k, v in zip(queries, keys, values, strict=True)]
    y = [each.sum(axis=0, keepdims=True) for each in made]
    data = (queries, keys, values)
    net = trainNetwork(
        data, y, cross_attention(Scale=2), options(MaxEpochs=400, InitialLearnRate=0.05, L2Regularization=0)
    )
    for found, expected in zip(net.predict(data), y, strict=True):
        np.testing.assert_allclose(found, expected, atol=0.02)
    for found, expected in zip(activations(net, data, "attention"), made, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="the same numbers of time steps"):
        net.predict((queries, keys, values[::-1]))


def test_a_mask_hides_padding_of_ones_own():
    """Zeros that a user puts before and behind sequences do not matter where a mask says so."""
    rng(0)
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(2, steps)) for steps in (3, 5, 4, 2, 5, 1)]
    padded = [np.pad(each, ((0, 0), (n % 2, 6 - each.shape[1]))) for n, each in enumerate(x)]
    masks = [np.pad(np.ones((1, each.shape[1])), ((0, 0), (n % 2, 6 - each.shape[1]))) for n, each in enumerate(x)]
    plain = [sequenceInputLayer(2), selfAttentionLayer(2, 4), indexing1dLayer("last"), *head()]
    net = trainNetwork(x, [0, 1, 0, 1, 0, 1], plain, options())
    _, attention, _, fc, softmax_, out = net.Layers
    graph = layerGraph(
        [
            sequenceInputLayer(2, Name="in"),
            selfAttentionLayer(2, 4, HasPaddingMaskInput=True, Name="attention"),
            indexing1dLayer("last", HasPaddingMaskInput=True, Name="last"),
            fc.replaced(Name="fc"),
            softmax_.replaced(Name="softmax"),
            out.replaced(Name="out"),
        ]
    )
    values = {each.name: getattr(attention, each.name) for each in attention.learnables}
    layers = [each.replaced(**values) if each.Name == "attention" else each for each in graph.Layers]
    graph = addLayers(layerGraph(layers), sequenceInputLayer(1, Name="mask"))
    graph = connectLayers(connectLayers(graph, "mask", "attention/mask"), "mask", "last/mask")
    masked = assembleNetwork(graph)
    np.testing.assert_allclose(masked.predict((padded, masks)), net.predict(x), rtol=1e-5, atol=1e-6)
    ones = [np.ones_like(each) for each in masks]
    assert np.abs(masked.predict((padded, ones)) - net.predict(x)).max() > 1e-3


def test_scores_of_lists():
    rng(0)
    x = np.random.default_rng(0).normal(size=(5, 3, 8))
    layers = [
        inputLayer([5, 3, np.nan], "SCB", Name="in"),
        selfAttentionLayer(2, 4, HasScoresOutput=True, Name="attention"),
        fullyConnectedLayer(1, Name="fc"),
        regressionLayer(Name="out"),
    ]
    net = trainNetwork(x, x[0, 0], layers, options(MaxEpochs=2))
    scores = activations(net, x, "attention/scores")
    assert scores.shape == (5, 5, 2, 8)
    np.testing.assert_allclose(scores.sum(axis=0), 1, rtol=1e-5)


def test_scores_of_sequences():
    rng(0)
    generator = np.random.default_rng(0)
    lengths = [3, 5, 2, 4]
    x = [generator.normal(size=(4, length)) for length in lengths]
    graph = mlnet.layerGraph(
        [
            sequenceInputLayer(4, Name="in"),
            selfAttentionLayer(2, 4, HasScoresOutput=True, Name="attention"),
            globalAveragePooling1dLayer(Name="pool"),
            mlnet.additionLayer(2, Name="add"),
            fullyConnectedLayer(1, Name="fc"),
            regressionLayer(Name="out"),
        ]
    )
    graph = mlnet.addLayers(graph, [mlnet.globalAveragePooling2dLayer(Name="mean"), fullyConnectedLayer(4, Name="map")])
    graph = mlnet.addLayers(graph, mlnet.flattenLayer(Name="flat"))
    graph = mlnet.disconnectLayers(graph, "mean", "map")
    for source, destination in (("attention/scores", "mean"), ("mean", "flat"), ("flat", "map"), ("map", "add/in2")):
        graph = mlnet.connectLayers(graph, source, destination)
    net = trainNetwork(x, np.arange(4.0).reshape(4, 1), graph, options(MaxEpochs=2, MiniBatchSize=2, Shuffle="never"))
    scores = activations(net, x, "attention/scores", MiniBatchSize=2)
    assert scores.shape == (5, 5, 2, 4)
    for number, length in enumerate(lengths):
        given = scores[:, :length, :, number]
        np.testing.assert_allclose(given.sum(axis=0), 1, rtol=1e-5)
        assert not given[length:].any()
    alone = activations(net, x[2:3], "attention/scores")
    np.testing.assert_allclose(scores[:2, :2, :, 2:3], alone, rtol=1e-5)


def test_scores_of_sequences_have_no_size_that_weights_could_have():
    graph = mlnet.layerGraph(
        [sequenceInputLayer(4, Name="in"), selfAttentionLayer(2, 4, HasScoresOutput=True, Name="attention")]
    )
    graph = mlnet.connectLayers(mlnet.addLayers(graph, fullyConnectedLayer(1, Name="fc")), "attention/scores", "fc")
    with pytest.raises(mlnet.NetworkError, match=r"'fc'.*needs an input of the same size in every mini-batch.*\?x\?x2"):
        mlnet.dlnetwork(graph)


def test_statistics_see_attention_without_dropout():
    """A layer that drops scores is no layer that drops its input: for statistics it predicts."""
    rng(0)
    x = [np.random.default_rng(n).normal(1, 2, (4, 3 + n % 4)) for n in range(12)]
    layers = [
        sequenceInputLayer(4, Name="in"),
        selfAttentionLayer(2, 4, OutputSize=3, DropoutProbability=0.5, Name="attention"),
        batchNormalizationLayer(Name="norm"),
        globalAveragePooling1dLayer(Name="pool"),
        *head(),
    ]
    net = trainNetwork(x, np.arange(12) % 2, layers, options(MaxEpochs=2, MiniBatchSize=4))
    steps = np.concatenate(activations(net, x, "attention"), axis=1)
    norm = net.Layers[2]
    np.testing.assert_allclose(norm.TrainedMean.ravel(), steps.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.TrainedVariance.ravel(), steps.var(axis=1), rtol=1e-3)


def test_dropout_of_scores_is_random_in_training_only():
    x, y = marked(30)
    layers = [sequenceInputLayer(3), selfAttentionLayer(1, 4, DropoutProbability=0.5), indexing1dLayer(), *head()]
    losses = []
    for seed in (0, 0, 1):
        rng(0)
        first = trainNetwork(x, y, layers, options(MaxEpochs=1, InitialLearnRate=1e-9)).Layers
        rng(seed)
        net, info = trainNetwork(x, y, first, options(MaxEpochs=1, Shuffle="never"), nargout=2)
        losses.append(info.TrainingLoss[0])
        np.testing.assert_array_equal(net.predict(x), net.predict(x))
    assert losses[0] == losses[1] != losses[2]


def test_too_long_sequences_are_refused():
    rng(0)
    x = [np.zeros((3, 4)), np.zeros((3, 6))]
    layers = with_positions(positionEmbeddingLayer(16, 5), globalAveragePooling1dLayer(), *head())
    with pytest.raises(DataError, match=r"at most 5 positions \(MaxPosition\), but got 6"):
        trainNetwork(x, [0, 1], layers, options())


def test_all_mistakes_at_once():
    layers = [
        imageInputLayer([8, 7, 3]),
        patchEmbeddingLayer(3, 4, Bias=[1, 2]),
        positionEmbeddingLayer(6, 3),
        selfAttentionLayer(2, 4, KeyBias=[1, 2, 3]),
        indexing1dLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]
    with pytest.raises(NetworkError) as caught:
        trainNetwork(np.zeros((8, 7, 3, 4)), np.zeros(4), layers, options())
    text = str(caught.value)
    for part in (
        "3 mistakes",
        "Layer 2 (Patch Embedding): needs Bias of size 1x1x4, but got Bias of size 2x1.",
        "Layer 3 (Position Embedding): needs at most 3 positions (MaxPosition), but got 4.",
        "Layer 4 (Self-Attention): needs KeyBias of size 4x1, but got KeyBias of size 3x1.",
    ):
        assert part in text


def test_options_of_weights_and_biases_hold_for_all_of_a_self_attention():
    def start(size):
        return np.full(size, 0.5)

    frozen = {"WeightLearnRateFactor": 0, "WeightsInitializer": start, "BiasL2Factor": 1}
    layers = [sequenceInputLayer(3), selfAttentionLayer(2, 4, **frozen), indexing1dLayer("last"), *head()]
    layer = trainNetwork(*marked(30), layers, options(MaxEpochs=1)).Layers(2)
    for name in ("Query", "Key", "Value", "Output"):
        np.testing.assert_array_equal(getattr(layer, f"{name}Weights"), 0.5)
        assert getattr(layer, f"{name}Bias").any() or name == "Key"  # scores do not depend on the bias of the keys
        with pytest.raises(UnknownNameError, match=f"no option '{name}WeightsInitializer'"):
            selfAttentionLayer(2, 4, **{f"{name}WeightsInitializer": "he"})
