"""SequenceLength as a number: sequences in pieces, with the states carried from piece to piece."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    classificationLayer,
    featureInputLayer,
    fullyConnectedLayer,
    gruLayer,
    lstmLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.data.sources.sequences import SequencePredictors, SequenceResponseTargets
from mlnet.training.splitting import SplitData
from mlnet.training.validation import DataSet

LENGTHS = [7, 3, 6, 1, 9, 4]


def sequences(seed=0, channels=2):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(channels, length)) for length in LENGTHS]


def options(**more):
    return trainingOptions(
        "sgdm",
        **{
            "MaxEpochs": 1,
            "MiniBatchSize": 3,
            "Shuffle": "never",
            "Verbose": False,
            "InitialLearnRate": 0.0001,
            **more,
        },
    )


def test_pieces_of_a_mini_batch():
    x = sequences()
    predictors = SequencePredictors(x, (2,))
    targets = SequenceResponseTargets(x, (2,), predictors.steps, "Y")
    split = SplitData(DataSet(predictors, targets), 3)
    pieces = split.pieces(np.array([0, 1, 3, 4]))  # of 7, 3, 1 and 9 time steps
    found = [(split.data.predictors.lengths(piece.numbers).tolist(), piece.rows) for piece in pieces]
    assert [lengths for lengths, _ in found] == [[3, 3, 1, 3], [3, 3], [1, 3]]
    assert found[0][1] is None and found[1][1].tolist() == [0, 3] and found[2][1].tolist() == [0, 1]
    for piece, start in zip(pieces, (0, 3, 6), strict=True):
        wanted = [x[n][:, start : start + 3].T for n in (0, 1, 3, 4) if x[n].shape[1] > start]
        for data in (split.data.predictors, split.data.targets):
            np.testing.assert_allclose(data.batch(piece.numbers), np.concatenate(wanted), rtol=1e-6)


@pytest.mark.parametrize("recurrent", [lstmLayer, gruLayer])
def test_the_losses_are_those_of_whole_sequences(recurrent):
    """With next to no learning rate, pieces put out what whole sequences do, because states are carried on."""
    x, y = sequences(), sequences(1, 1)
    layers = [sequenceInputLayer(2), recurrent(5), fullyConnectedLayer(1), regressionLayer()]
    rng(0)
    net, info = trainNetwork(x, y, layers, options(SequenceLength=3, InitialLearnRate=1e-12), nargout=2)
    predicted = net.predict(x)
    errors = [((p - t) ** 2).sum(axis=0) / 2 for p, t in zip(predicted, y, strict=True)]
    expected = [
        np.mean([errors[n][start : start + 3].mean() for n in batch if len(errors[n]) > start])
        for batch in ((0, 1, 2), (3, 4, 5))
        for start in (0, 3, 6)
        if any(len(errors[n]) > start for n in batch)
    ]
    np.testing.assert_allclose(info.TrainingLoss, expected, rtol=1e-5)


def test_long_pieces_change_nothing():
    x, y = sequences(), sequences(1, 1)
    layers = [sequenceInputLayer(2), lstmLayer(5), fullyConnectedLayer(1), regressionLayer()]
    results = []
    for length in ("longest", 9, 100):
        rng(0)
        net = trainNetwork(x, y, layers, options(SequenceLength=length, MaxEpochs=3, Shuffle="every-epoch"))
        results.append(net.Layers(2).InputWeights)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_labels_of_whole_sequences_belong_to_each_piece():
    x, y = sequences(), ["a", "b", "a", "b", "a", "b"]
    layers = [
        sequenceInputLayer(2),
        lstmLayer(5, OutputMode="last"),
        fullyConnectedLayer(2),
        softmaxLayer(),
        classificationLayer(),
    ]
    rng(0)
    _, info = trainNetwork(
        x, y, layers, options(SequenceLength=4, ValidationData=(x, y), ValidationFrequency=100), nargout=2
    )
    assert len(info.TrainingLoss) == 2 + 3
    assert np.isfinite(info.ValidationLoss[[0, -1]]).all() and np.isnan(info.ValidationLoss[1:-1]).all()


def test_a_number_needs_sequences():
    with pytest.raises(DataError, match="SequenceLength: a number needs sequences"):
        trainNetwork(
            np.ones((6, 2)),
            np.ones(6),
            [featureInputLayer(2), fullyConnectedLayer(1), regressionLayer()],
            options(SequenceLength=4),
        )
