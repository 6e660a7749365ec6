"""SequenceLength as a number when predicting: pieces one after the other, with the states carried on."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    Layer,
    State,
    activations,
    addLayers,
    bilstmLayer,
    classificationLayer,
    classify,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    gruLayer,
    layerGraph,
    lstmLayer,
    predict,
    predictAndUpdateState,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainnet,
    trainNetwork,
)

LENGTHS = (5, 1, 9, 4, 6)


def sequences(channels=2, seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal((channels, length)).astype("single") for length in LENGTHS]


X = sequences()


def options(**more):
    given = {"MaxEpochs": 1, "MiniBatchSize": 3, "InitialLearnRate": 0.01, "Verbose": False, **more}
    return trainingOptions("sgdm", **given)


def regressor(*recurrent):
    rng(0)
    layers = [sequenceInputLayer(2), *recurrent, fullyConnectedLayer(1), regressionLayer()]
    last = getattr(recurrent[-1], "OutputMode", "") == "last"
    targets = np.arange(5.0) if last else [x[:1] for x in X]
    return trainNetwork(X, targets, layers, options())


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 3, 4, 9, 20])
def test_predictions_are_those_of_whole_sequences(length, size):
    net = regressor(lstmLayer(4), gruLayer(3))
    pieces = predict(net, X, SequenceLength=length, MiniBatchSize=size)
    for mine, whole in zip(pieces, predict(net, X), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-5, atol=1e-6)
    (alone,) = [predict(net, X[2], SequenceLength=length)]
    np.testing.assert_allclose(alone, pieces[2], rtol=1e-5, atol=1e-6)
    shown = activations(net, X, net.Layers[1].Name, SequenceLength=length)
    for mine, whole in zip(shown, activations(net, X, net.Layers[1].Name), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-5, atol=1e-6)


def test_the_last_piece_counts_where_a_sequence_has_one_value():
    net = regressor(lstmLayer(4), lstmLayer(3, OutputMode="last"))
    np.testing.assert_allclose(predict(net, X, SequenceLength=4), predict(net, X), rtol=1e-5, atol=1e-6)


def test_layers_that_look_ahead_see_a_piece():
    net = regressor(bilstmLayer(3))
    pieces = predict(net, X, SequenceLength=3)
    whole = predict(net, X)
    np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-5)  # one piece
    assert not np.allclose(pieces[2][:, :3], whole[2][:, :3], rtol=1e-4)
    np.testing.assert_allclose(pieces[2][:, :3], predict(net, X[2][:, :3]), rtol=1e-5)


def test_states_behind_the_data():
    net = regressor(lstmLayer(4))
    split, _ = predictAndUpdateState(net, X, SequenceLength=4, MiniBatchSize=2)
    whole, _ = predictAndUpdateState(net, X, MiniBatchSize=2)
    for name in ("HiddenState", "CellState"):
        found, expected = getattr(split.Layers[1], name), getattr(whole.Layers[1], name)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for mine, other in zip(predict(split, X, SequenceLength=2), predict(whole, X), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_states_of_custom_layers_are_carried_on():
    class summing(Layer):
        Total = State(0)

        def predict(self, X):
            return X + self.Total, self.Total + np.sum(X)

    rng(0)
    layers = [sequenceInputLayer(1, Normalization="none"), summing(), fullyConnectedLayer(1, Weights=1, Bias=0)]
    layers[2].WeightLearnRateFactor = layers[2].BiasLearnRateFactor = 0
    ones = [np.ones((1, 6), "single")]
    net = trainNetwork(ones, [np.zeros((1, 6))], [*layers, regressionLayer], options(InitialLearnRate=1e-9))
    start = net.Layers[1].Total.item()
    np.testing.assert_allclose(
        predict(net, ones, SequenceLength=2)[0], [start + np.array([1, 1, 3, 3, 5, 5])], rtol=1e-5
    )


def test_classes():
    rng(0)
    layers = [sequenceInputLayer(2), gruLayer(4, OutputMode="last"), fullyConnectedLayer(2), softmaxLayer()]
    net = trainNetwork(X, ["a", "b", "a", "b", "a"], [*layers, classificationLayer()], options())
    found, scores = classify(net, X, SequenceLength=2, nargout=2)
    wanted, all_scores = classify(net, X, nargout=2)
    assert found.names().tolist() == wanted.names().tolist()
    np.testing.assert_allclose(scores, all_scores, rtol=1e-5)


def test_networks_without_sequences():
    net = trainNetwork(
        np.ones((4, 2)), np.ones(4), [featureInputLayer(2), fullyConnectedLayer(1), regressionLayer], options()
    )
    with pytest.raises(DataError, match="predict: SequenceLength: a number needs sequences"):
        predict(net, np.ones((4, 2), "single"), SequenceLength=3)


def test_training_of_several_outputs_in_pieces():
    def network(**more):
        rng(0)
        graph = layerGraph([sequenceInputLayer(2, Normalization="none"), lstmLayer(4, Name="lstm")])
        graph = addLayers(graph, [fullyConnectedLayer(1, Name="steps")])
        graph = addLayers(graph, [lstmLayer(3, OutputMode="last", Name="last"), fullyConnectedLayer(1, Name="whole")])
        graph = connectLayers(connectLayers(graph, "lstm", "steps"), "lstm", "last")

        def loss(Y1, Y2, T1, T2):
            return np.mean((Y1 - T1) ** 2) + np.mean((Y2 - T2) ** 2)

        targets = ([x[:1] for x in X], np.arange(5.0).reshape(-1, 1))
        return trainnet(X, targets, graph, loss, options(Shuffle="never", **more), nargout=2)

    whole, info = network()
    long, same = network(SequenceLength=20)
    assert len(info.TrainingHistory.TrainingLoss) == 1 == len(same.TrainingHistory.TrainingLoss)
    for one, other in zip(whole.Learnables.Value, long.Learnables.Value, strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata(), rtol=1e-5, atol=1e-7)
    _, pieces = network(SequenceLength=4)
    assert len(pieces.TrainingHistory.TrainingLoss) == 3
    assert np.isfinite(pieces.TrainingHistory.TrainingLoss).all()
