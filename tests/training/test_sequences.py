"""Training and predicting sequences of different lengths."""

import numpy as np
import pytest

from mlnet import (
    DataError,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    convolution1dLayer,
    fullyConnectedLayer,
    lstmLayer,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.data.sources.sequences import SequencePredictors, Steps

LENGTHS = (5, 1, 9, 4, 7, 3, 3, 8)


def sequences(channels=3, lengths=LENGTHS):
    generator = np.random.default_rng(0)
    return [generator.normal(1000, 2, (channels, length)) for length in lengths]


def options(**changes):
    return trainingOptions(
        "sgdm", **{"MaxEpochs": 3, "MiniBatchSize": 3, "Verbose": False, "Shuffle": "never", **changes}
    )


def regressor(channels=3):
    return [
        sequenceInputLayer(channels, Normalization="zerocenter"),
        batchNormalizationLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]


def test_statistics_are_those_of_the_real_time_steps():
    x = sequences()
    net = trainNetwork(x, [each[:1] - 1000 for each in x], regressor(), options(InitialLearnRate=1e-3))
    together = np.concatenate(x, axis=1)
    np.testing.assert_allclose(net.Layers[0].Mean.ravel(), together.mean(axis=1), rtol=1e-6)
    centred = together - net.Layers[0].Mean.reshape(-1, 1)
    bn = net.Layers[1]
    assert bn.TrainedMean.shape == (3, 1)
    np.testing.assert_allclose(bn.TrainedMean.ravel(), centred.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(bn.TrainedVariance.ravel(), centred.var(axis=1), rtol=1e-4)


def test_loss_is_the_mean_over_time_steps_and_then_over_sequences():
    x = sequences()
    layers = [
        sequenceInputLayer(3),
        fullyConnectedLayer(2, Weights=np.ones((2, 3)) / 1000, WeightLearnRateFactor=0, BiasLearnRateFactor=0),
        regressionLayer(),
    ]
    y = [np.stack([each[0] / 1000, each[1] / 500]) for each in x]
    _, info = trainNetwork(x, y, layers, options(MaxEpochs=1), nargout=2)
    errors = [
        ((each.sum(axis=0) / 1000 - target) ** 2).sum(axis=0).mean() / 2 for each, target in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(info.TrainingLoss, [np.mean(errors[:3]), np.mean(errors[3:6])], rtol=1e-5)


def test_sequence_classification_learns_and_predicts_lists():
    rng(0)
    x = [each - 1000 for each in sequences(lengths=LENGTHS * 6)]
    y = [categorical(np.where(each[0] > 0, "up", "down"), ["up", "down"]) for each in x]
    layers = [
        sequenceInputLayer(3),
        fullyConnectedLayer(8),
        reluLayer,
        fullyConnectedLayer(2),
        softmaxLayer,
        classificationLayer,
    ]
    opts = options(MaxEpochs=20, MiniBatchSize=8, InitialLearnRate=0.1, ValidationData=(x[:8], y[:8]))
    net, info = trainNetwork(x, y, layers, opts, nargout=2)
    labels, scores = net.classify(x, nargout=2)
    assert [len(each) for each in labels] == [each.shape[1] for each in x]
    assert [each.shape for each in scores] == [(2, each.shape[1]) for each in x]
    assert np.mean(np.concatenate([a == b for a, b in zip(labels, y, strict=True)])) > 0.95
    assert info.FinalValidationAccuracy > 95
    np.testing.assert_allclose(net.predict(x[2]), scores[2], atol=1e-6)
    np.testing.assert_allclose(net.predict(x, MiniBatchSize=1)[5], scores[5], atol=1e-6)
    assert net.activations(x, 2)[3].shape == (8, LENGTHS[3])
    assert (net.classify(x[0]) == labels[0]).all()


@pytest.mark.parametrize(("direction", "expected"), [("right", slice(0, 2)), ("left", slice(-2, None))])
def test_shortest_keeps_one_end(direction, expected):
    keep = "first" if direction == "right" else "last"
    x = sequences(lengths=(5, 2, 9))
    source = SequencePredictors(x, (3,), keep=keep)
    batch = source.batch(slice(0, 3), np.float64)
    np.testing.assert_array_equal(batch, np.concatenate([each[:, expected].T for each in x]))
    assert source.lengths(slice(0, 3)).tolist() == [2, 2, 2]
    assert source.lengths(slice(2, 3)).tolist() == [9]
    y = [each[:1] - 1000 for each in x]
    opts = options(SequenceLength="shortest", SequencePaddingDirection=direction, InitialLearnRate=1e-3)
    assert np.isfinite(trainNetwork(x, y, regressor(), opts, nargout=2)[1].TrainingLoss).all()


@pytest.mark.parametrize("direction", ["right", "left"])
def test_the_value_of_padding_reaches_no_result(direction):
    x = sequences(lengths=(5, 2, 9, 4))
    losses = []
    for value in (0, 7, -1e6):
        rng(0)
        opts = options(SequencePaddingValue=value, SequencePaddingDirection=direction, InitialLearnRate=1e-3)
        losses.append(trainNetwork(x, [each[:1] for each in x], regressor(), opts, nargout=2)[1].TrainingLoss)
    np.testing.assert_array_equal(losses[1:], [losses[0]] * 2)


def test_predictions_of_the_shortest_length():
    x = sequences(lengths=(5, 2, 9, 4))
    net = trainNetwork(x, [each[:1] - 1000 for each in x], regressor(), options(InitialLearnRate=1e-3))
    whole = net.predict(x, SequenceLength="longest", SequencePaddingDirection="left", SequencePaddingValue=7)
    for mine, plain in zip(whole, net.predict(x), strict=True):
        np.testing.assert_array_equal(mine, plain)
    for direction, kept in (("right", slice(0, 2)), ("left", slice(-2, None))):
        cut = net.predict(x, "SequenceLength", "shortest", "SequencePaddingDirection", direction, "MiniBatchSize", 3)
        assert [each.shape[1] for each in cut] == [2, 2, 2, 4]  # the last mini-batch has one sequence
        np.testing.assert_allclose(cut[2], whole[2][:, kept], rtol=1e-5)
    pieces = net.predict(x, SequenceLength=3)
    assert [each.shape for each in pieces] == [each.shape for each in whole]


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((3, 5, 8), "[X[:, :, n] for n in range(X.shape[2])]"),
        ((8, 3, 5), "list(X)"),
        ((8, 5, 3), "[each.T for each in X]"),
        ((3, 5, 3), "[X[:, :, n] for n in range(X.shape[2])] or [each.T for each in X]"),
    ],
)
def test_sequences_in_one_array_are_told_how_to_become_a_list(shape, form):
    x = np.zeros(shape)
    with pytest.raises(DataError) as caught:
        SequencePredictors(x, (3,))
    came = "x".join(map(str, shape))
    assert str(caught.value).endswith(f"but got {came}. Give a list with one array for each sequence: {form}.")
    for each in form.split(" or "):
        SequencePredictors(eval(each, {"X": x}), (3,))
    with pytest.raises(DataError, match=r"but got 2x5x8\.$"):
        SequencePredictors(np.zeros((2, 5, 8)), (3,))


@pytest.mark.parametrize(
    "targets", [[each[:1] for each in sequences()], [np.arange(each.shape[1]) % 2 for each in sequences()]]
)
def test_targets_for_each_step_where_the_network_puts_out_one_for_each_sequence(targets):
    end = [fullyConnectedLayer(1), regressionLayer()]
    if targets[0].ndim == 1:
        end = [fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    layers = [sequenceInputLayer(3), lstmLayer(2, OutputMode="last"), *end]
    with pytest.raises(DataError, match="Y: needs one target for each sequence.*OutputMode='sequence'"):
        trainNetwork(sequences(), targets, layers, options())


def test_a_vector_of_responses_may_be_as_long_as_the_sequence():
    x = sequences(lengths=(2, 2, 2))
    layers = [sequenceInputLayer(3), lstmLayer(2, OutputMode="last"), fullyConnectedLayer(2), regressionLayer()]
    assert trainNetwork(x, [[1.0, 2], [3, 4], [5, 6]], layers, options()).predict(x).shape == (3, 2)


def test_a_network_that_changes_the_number_of_steps_cannot_have_a_target_for_each():
    x = sequences(lengths=(6, 7, 5))
    layers = [sequenceInputLayer(3, MinLength=3), convolution1dLayer(3, 2), fullyConnectedLayer(1), regressionLayer()]
    with pytest.raises(DataError, match="Y: needs a target for each of the 12 time steps.*has 18.*Padding='same'"):
        trainNetwork(x, [each[:1] for each in x], layers, options())


def test_steps():
    steps = Steps(np.array([5, 2, 9]), "last")
    assert steps.slices(np.array([0, 2])) == [slice(0, 5), slice(4, 9)]
    assert Steps(np.array([5, 2])).slices(slice(0, 2)) == [slice(0, 5), slice(0, 2)]


def test_one_long_sequence_without_a_list():
    x = np.sin(np.linspace(0, 20, 200))[np.newaxis]
    layers = [sequenceInputLayer(1), fullyConnectedLayer(1), regressionLayer()]
    net = trainNetwork(x, 2 * x, layers, options(MaxEpochs=200, InitialLearnRate=0.1))
    np.testing.assert_allclose(net.predict(x), 2 * x, atol=0.01)
    assert net.predict(x).shape == (1, 200)


X = sequences()
Y = [each[:1] for each in X]


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ([each.T for each in X], Y, r"sequence 1: needs size 3 x time steps, but got 5x3\. Features and time are exch"),
        (X[0][:2], Y[0], "sequence 1: needs size 3 x time steps, but got 2x5"),
        ([*X[:2], X[2][:2]], Y[:3], "sequence 3: needs size 3"),
        ([*X[:2], np.where(X[2] > 1003, np.nan, X[2])], Y[:3], r"sequence 3: needs finite numbers, but time step \d"),
        ([*X[:2], "abc"], Y[:3], "sequence 3: needs a numeric array"),
        ([], [], "at least one sequence"),
        (X, Y[:-1], "8 entries, one for each sequence of X, but got 7"),
        (X, [*Y[:-1], Y[0]], "sequence 8: needs 8 time steps, as X has, but got 5"),
        (X, np.zeros((8, 1)), "needs a list with an entry for each of the 8 sequences, .* use OutputMode='last'"),
        (X, np.zeros((7, 1)), r"needs a list with an entry for each of the 8 sequences, but got an array\.$"),
        ([each + 1j for each in X], Y, "sequence 1: needs real numbers"),
    ],
)
def test_bad_sequences(x, y, text):
    with pytest.raises(DataError, match=text):
        trainNetwork(x, y, regressor(), options())


def test_too_short_sequences():
    layers = [sequenceInputLayer(3, MinLength=2), fullyConnectedLayer(1), regressionLayer()]
    with pytest.raises(
        DataError, match=r"2 time steps \(MinLength of 'sequenceinput'\), but the shortest, sequence 2, has 1"
    ):
        trainNetwork(X, Y, layers, options())


def test_unknown_class_in_a_later_sequence():
    layers = [sequenceInputLayer(3), fullyConnectedLayer(2), softmaxLayer, classificationLayer(Classes=["a", "b"])]
    y = [["a"] * each.shape[1] for each in X]
    y[4] = ["c"] * X[4].shape[1]
    with pytest.raises(DataError, match=r"sequence 5: needs classes out of \['a', 'b'\], but has 'c'"):
        trainNetwork(X, y, layers, options())


def test_image_sequences_run_frame_by_frame():
    from mlnet import convolution2dLayer, maxPooling2dLayer

    generator = np.random.default_rng(0)
    x = [generator.normal(size=(6, 5, 1, length)) for length in (3, 5, 2)]
    y = [each.mean(axis=(0, 1)) for each in x]
    layers = [
        sequenceInputLayer([6, 5, 1]),
        convolution2dLayer(3, 2, Padding="same", Name="conv"),
        batchNormalizationLayer,
        maxPooling2dLayer(2, Stride=2, Name="pool"),
        fullyConnectedLayer(1),
        regressionLayer,
    ]
    net = trainNetwork(x, y, layers, options(MiniBatchSize=2))
    assert [each.shape for each in net.activations(x, "pool")] == [(3, 2, 2, length) for length in (3, 5, 2)]
    alone = net.predict([each[..., :1] for each in x])
    for each, first in zip(net.predict(x), alone, strict=True):
        np.testing.assert_allclose(each[..., :1], first, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((6, 5, 4, 1), r"needs size 6x5x1 x time steps, but got 6x5x4x1\. Time needs .* last .*moveaxis\(X, 2, -1\)\."),
        ((4, 6, 5, 1), r"Time needs to be the last dimension: numpy.moveaxis\(X, 0, -1\)\."),
        ((4, 6, 5), r"numpy.moveaxis\(X, 0, -1\)\[\.\.\., None, :\]"),
        ((6, 5, 4), r"The dimension of the channels is missing: X\[\.\.\., None, :\]"),
        ((6, 6, 1, 4), r"but got 6x6x1x4\.$"),
    ],
)
def test_image_sequences_of_another_orientation(shape, text):
    layers = [sequenceInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    with pytest.raises(DataError, match=text):
        trainNetwork([np.zeros(shape)] * 2, [np.zeros((1, 4))] * 2, layers, options())


SLOW = options(MaxEpochs=1, InitialLearnRate=1e-8)


@pytest.mark.parametrize("shape", [(8, 1), (1, 8), (8,)])
def test_cell_arrays_as_scipy_reads_them(shape):
    x, y = np.empty(shape, object), np.empty(shape, object)
    for number, each in enumerate(X):
        x.flat[number], y.flat[number] = each, Y[number]
    rng(0)
    net = trainNetwork(x, y, regressor(), SLOW)
    rng(0)
    expected = trainNetwork(X, Y, regressor(), SLOW)
    for one, other in zip(net.predict(x), expected.predict(X), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_time_step_may_be_a_vector():
    net = trainNetwork(X, Y, regressor(), SLOW)
    np.testing.assert_array_equal(net.predict(X[0][:, 0]), net.predict(X[0][:, :1]))
    with pytest.raises(DataError, match=r"needs size 3 x time steps, but got 4\."):
        net.predict(np.zeros(4))


def test_activations_of_one_sequence_without_a_list():
    net = trainNetwork(X, Y, [sequenceInputLayer(3), lstmLayer(4), *regressor()[1:]], SLOW)
    for layer in (1, 2, 3):
        np.testing.assert_array_equal(net.activations(X[0], layer), net.activations([X[0]], layer)[0])
    assert net.activations(X[0], 2).shape == (4, X[0].shape[1])
