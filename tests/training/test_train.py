"""trainNetwork: what it returns, what it leaves alone, when it stops, and what it refuses."""

import inspect
import tracemalloc

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    LayerArray,
    NetworkError,
    NotSupportedError,
    OptionError,
    TrainingError,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    convolution2dLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    regressionLayer,
    reluLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.training.options import SOLVERS


def options(solver="sgdm", **changes):
    return trainingOptions(solver, **{"MaxEpochs": 2, "MiniBatchSize": 16, "Verbose": False, **changes})


def classifier(classes=3):
    return [
        imageInputLayer([6, 5, 1]),
        convolution2dLayer(3, 4, Padding=1),
        batchNormalizationLayer,
        reluLayer,
        dropoutLayer(0.2),
        fullyConnectedLayer(classes),
        softmaxLayer,
        classificationLayer,
    ]


def images(count=50, classes=3, dtype=np.float64):
    generator = np.random.default_rng(0)
    y = np.arange(count) % classes
    x = generator.normal(0, 0.3, (6, 5, 1, count))
    x[y, 0] += 2
    for number, label in enumerate(y):
        x[label, :, 0, number] += 2
    return (x * 20 + 100).astype(dtype), y


def regressor():
    return [featureInputLayer(2), fullyConnectedLayer(1), regressionLayer()]


def features(count=40):
    x = np.random.default_rng(0).normal(size=(count, 2))
    return x, x @ [1.0, -2.0]


def test_trained_network_knows_names_sizes_and_classes():
    x, y = images()
    net = trainNetwork(x, y, classifier(), options())
    assert [layer.Name for layer in net.Layers] == [
        "imageinput", "conv", "batchnorm", "relu", "dropout", "fc", "softmax", "classoutput",
    ]  # fmt: skip
    conv, bn, fc, output = (net.Layers[i] for i in (1, 2, 5, 7))
    assert (conv.NumChannels, bn.NumChannels, fc.InputSize, output.OutputSize) == (1, 4, 120, 3)
    assert conv.Weights.shape == (3, 3, 1, 4) and conv.Bias.shape == (1, 1, 4)
    assert fc.Weights.shape == (3, 120) and fc.Bias.shape == (3, 1)
    assert all(a.dtype == np.float32 for a in (conv.Weights, conv.Bias, bn.Offset, bn.TrainedMean, fc.Weights))
    assert list(output.Classes) == ["0", "1", "2"]
    assert (net.InputNames, net.OutputNames) == (["imageinput"], ["classoutput"])


def test_training_learns():
    x, y = images(300)
    rng(0)
    net, info = trainNetwork(x, y, classifier(), options(MaxEpochs=10), nargout=2)
    assert np.mean(net.classify(x) == y) > 0.98
    assert info.TrainingLoss[-5:].mean() < 0.3 * info.TrainingLoss[0]
    assert info.TrainingLoss.shape == info.TrainingAccuracy.shape == (180,)
    assert np.isnan(info.ValidationLoss).all() and np.isnan(info.FinalValidationLoss)
    assert info.OutputNetworkIteration == 180


def test_what_is_given_does_not_change():
    x, y = images()
    x.flags.writeable = False
    layers = LayerArray(classifier())
    layers[1].Weights = np.ones((3, 3, 1, 4))
    opts = options(ValidationData=(x, y))
    before = repr(layers), repr(opts), layers[1].Weights.copy()
    trainNetwork(x, y, layers, opts)
    assert (repr(layers), repr(opts)) == before[:2]
    np.testing.assert_array_equal(layers[1].Weights, before[2])
    assert layers[2].TrainedMean.size == 0


def test_changing_the_layers_of_a_network_does_not_change_it():
    x, y = images()
    net = trainNetwork(x, y, classifier(), options())
    scores = net.predict(x)
    layers = net.Layers
    layers[1].Weights = np.zeros((3, 3, 1, 4))
    layers[1].Name = "other"
    np.testing.assert_array_equal(net.predict(x), scores)
    assert net.Layers[1].Name == "conv"
    with pytest.raises(ValueError, match="read-only"):
        net.Layers[1].Weights[0] = 1


def test_trained_layers_can_be_trained_on():
    x, y = images(96)
    first, info1 = trainNetwork(x, y, classifier(), options(MaxEpochs=5), nargout=2)
    second, info2 = trainNetwork(x, y, first.Layers, options(MaxEpochs=1, InitialLearnRate=1e-6), nargout=2)
    assert info2.TrainingLoss[0] < 0.5 * info1.TrainingLoss[0]
    np.testing.assert_allclose(second.Layers[1].Weights, first.Layers[1].Weights, atol=1e-3)


@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
def test_seed_repeats_a_run_bit_for_bit(solver):
    x, y = images()
    runs = []
    for seed in (3, 3, 4):
        rng(seed)
        net, info = trainNetwork(x, y, classifier(), options(solver, Shuffle="every-epoch"), nargout=2)
        runs.append((info.TrainingLoss, net.predict(x)))
    for a, b in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_consecutive_runs_differ_as_one_stream():
    x, y = images()
    rng(3)
    first, second = (trainNetwork(x, y, classifier(), options(), nargout=2)[1].TrainingLoss for _ in range(2))
    assert not np.array_equal(first, second)


def test_incomplete_last_mini_batch_is_left_out():
    x, y = images(50)
    _, info = trainNetwork(x, y, classifier(), options(MaxEpochs=3), nargout=2)
    assert len(info.TrainingLoss) == 3 * (50 // 16)
    _, info = trainNetwork(x, y, classifier(), options(MaxEpochs=3, MiniBatchSize=128), nargout=2)
    assert len(info.TrainingLoss) == 3


@pytest.mark.parametrize(("shuffle", "same_order"), [("never", True), ("once", True), ("every-epoch", False)])
def test_shuffle(shuffle, same_order):
    seen = []
    layers = regressor()
    layers[0].Normalization = lambda x: seen.append(x.copy()) or x
    x = np.arange(80.0).reshape(40, 2)
    trainNetwork(x, np.zeros(40), layers, options(Shuffle=shuffle, MiniBatchSize=10, InitialLearnRate=1e-6))
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:8])
    assert np.array_equal(first, second) == same_order
    assert np.array_equal(first, x) == (shuffle == "never")
    np.testing.assert_array_equal(np.sort(first[:, 0]), x[:, 0])


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: categorical(y),
        lambda y: [["cat", "dog", "ant"][i] for i in y],
        lambda y: np.array(["cat", "dog", "ant"])[y],
        lambda y: y.astype(np.uint8)[:, np.newaxis],
        lambda y: (y + 8).tolist(),
        lambda y: y == 1,
        lambda y: y.astype(float),
    ],
)
def test_kinds_of_labels(labels):
    x, y = images(192)
    given = labels(y)
    count = len(mlnet.categories(categorical(given)))
    rng(1)
    net = trainNetwork(x, given, classifier(count), options(MaxEpochs=8, InitialLearnRate=0.02))
    flat = given if isinstance(given, categorical) else np.ravel(given)
    assert np.mean(net.classify(x) == flat) > 0.95
    assert net.Layers[-1].ClassNames == mlnet.categories(categorical(given))


def test_class_order_and_weights_of_the_output_layer():
    x, y = images(96)
    names = np.array(["a", "b", "c"])[y]
    layers = classifier()
    layers[-1] = classificationLayer(Classes=["c", "b", "a"], ClassWeights=[1, 1, 50])
    net = trainNetwork(x, names, layers, options(MaxEpochs=5))
    assert net.Layers[-1].ClassNames == ["c", "b", "a"]
    scores = net.predict(x)
    assert (np.array(["c", "b", "a"])[scores.argmax(axis=1)] == net.classify(x)).all()
    layers[-1] = classificationLayer(Classes=["c", "b", "a"])
    rng(0)
    plain = trainNetwork(x, names, layers, options(MaxEpochs=1), nargout=2)[1].TrainingLoss[0]
    layers[-1].ClassWeights = [3, 3, 3]
    rng(0)
    assert trainNetwork(x, names, layers, options(MaxEpochs=1), nargout=2)[1].TrainingLoss[0] == pytest.approx(
        3 * plain
    )


def test_regression_of_several_responses_and_of_images():
    x, y = features(64)
    two = np.stack([y, -y], axis=1)
    layers = [featureInputLayer(2), fullyConnectedLayer(2), regressionLayer()]
    net, info = trainNetwork(x, two, layers, options(MaxEpochs=60), nargout=2)
    np.testing.assert_allclose(net.predict(x), two, atol=0.2)
    np.testing.assert_allclose(info.TrainingLoss, info.TrainingRMSE**2 / 2, rtol=1e-6)
    assert net.Layers[-1].ResponseNames == ["Response1", "Response2"]

    pictures = np.random.default_rng(0).normal(size=(6, 5, 1, 64))
    layers = [imageInputLayer([6, 5, 1]), convolution2dLayer(1, 1), regressionLayer()]
    net = trainNetwork(pictures, 3 * pictures, layers, options(MaxEpochs=50, InitialLearnRate=0.005))
    np.testing.assert_allclose(net.predict(pictures), 3 * pictures, atol=0.1)


def test_frozen_parameters_do_not_move():
    x, y = images()
    layers = classifier()
    layers[1] = convolution2dLayer(
        3, 4, Padding=1, WeightLearnRateFactor=0, BiasLearnRateFactor=0, Weights=np.ones((3, 3, 1, 4))
    )
    net = trainNetwork(x, y, layers, options())
    np.testing.assert_array_equal(net.Layers[1].Weights, np.ones((3, 3, 1, 4)))
    assert np.abs(net.Layers[2].Offset).sum() > 0


def test_learn_rate_factor_multiplies_the_step():
    x, y = features(16)
    moves = {}
    for factor in (1, 2):
        layers = [
            featureInputLayer(2),
            fullyConnectedLayer(1, Weights=[[0.5, 0.5]], WeightLearnRateFactor=factor),
            regressionLayer(),
        ]
        net = trainNetwork(x, y, layers, options(MaxEpochs=1, Shuffle="never"))
        moves[factor] = net.Layers[1].Weights - 0.5
    np.testing.assert_allclose(moves[2], 2 * moves[1], rtol=1e-4)


def test_l2_penalty_is_not_in_the_loss_and_not_on_biases():
    x = np.zeros((16, 2))
    layers = [featureInputLayer(2), fullyConnectedLayer(1, Weights=[[1, 1]], Bias=[[1]]), regressionLayer()]
    net, info = trainNetwork(
        x, np.ones(16), layers, options(MaxEpochs=1, L2Regularization=0.5, InitialLearnRate=0.1), nargout=2
    )
    assert info.TrainingLoss[0] == 0
    np.testing.assert_allclose(net.Layers[1].Weights, 1 - 0.1 * 0.5)
    np.testing.assert_allclose(net.Layers[1].Bias, 1)


def test_validation_frequency_and_last_iteration():
    x, y = images(64)
    _, info = trainNetwork(
        x, y, classifier(), options(MaxEpochs=3, ValidationData=(x, y), ValidationFrequency=5), nargout=2
    )
    assert np.flatnonzero(~np.isnan(info.ValidationLoss)).tolist() == [0, 4, 9, 11]


def test_validation_patience(capsys):
    x, y = images(64)
    opts = options(
        MaxEpochs=50,
        ValidationData=(x, 2 - y),  # never gets better
        ValidationFrequency=1,
        ValidationPatience=3,
        InitialLearnRate=0.05,
        Verbose=True,
    )
    _, info = trainNetwork(x, y, classifier(), opts, nargout=2)
    losses = info.ValidationLoss
    assert len(losses) < 200
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3
    assert capsys.readouterr().out.endswith("Training finished: Met validation criterion.\n")


def test_best_validation_network():
    x, y = images(64)
    opts = options(
        MaxEpochs=5, ValidationData=(x, 2 - y), ValidationFrequency=1, OutputNetwork="best-validation-loss",
        InitialLearnRate=0.05, BatchNormalizationStatistics="moving",
    )  # fmt: skip
    _, info = trainNetwork(x, y, classifier(), opts, nargout=2)
    assert info.OutputNetworkIteration == np.argmin(info.ValidationLoss) + 1 < len(info.ValidationLoss)
    assert info.FinalValidationLoss == pytest.approx(info.ValidationLoss.min())


def test_output_function_sees_everything_and_stops(capsys):
    x, y = images(64)
    seen = []

    def look(info):
        seen.append(info)
        return info.State == "iteration" and info.Iteration == 5

    opts = options(
        MaxEpochs=4, OutputFcn=[lambda info: None, look], ValidationData=(x, y), ValidationFrequency=3, Verbose=True
    )
    _, info = trainNetwork(x, y, classifier(), opts, nargout=2)
    assert [each.State for each in seen] == ["start", *["iteration"] * 5, "done"]
    assert len(info.TrainingLoss) == 5
    assert [each.TrainingLoss for each in seen[1:6]] == info.TrainingLoss.tolist()
    assert [np.size(each.ValidationLoss) for each in seen[1:6]] == [1, 0, 1, 0, 0]
    assert seen[1].Epoch == 1 and seen[5].Epoch == 2 and seen[0].Epoch.size == 0
    assert seen[3].ValidationAccuracy == info.ValidationAccuracy[2]
    assert seen[5].BaseLearnRate == 0.01 and seen[5].TimeSinceStart > 0
    out = capsys.readouterr().out
    assert out.startswith("Training on single CPU.\nInitializing input data normalization.\n|====")
    assert out.endswith("Training finished: Stopped by OutputFcn.\n")


def test_interrupt_leaves_everything_as_it_was(capsys):
    x, y = images(64)
    layers = LayerArray(classifier())

    def interrupt(info):
        if info.State == "iteration" and info.Iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainNetwork(x, y, layers, options(OutputFcn=interrupt, Verbose=True))
    assert layers[1].Weights.size == 0 and layers[1].Name == ""
    assert capsys.readouterr().out.splitlines()[-1].startswith("|====")
    trainNetwork(x, y, layers, options())


def test_layers_without_normalization_skip_the_line(capsys):
    x, y = features()
    trainNetwork(x, y, regressor(), options(Verbose=True))
    assert capsys.readouterr().out.startswith("Training on single CPU.\n|====")


def test_diverging_loss_names_iteration_and_layer():
    x, y = features()
    with pytest.raises(TrainingError, match=r"layer 'fc'.*iteration \d+ \(epoch \d+\).*Lower InitialLearnRate"):
        trainNetwork(x * 1e15, y, regressor(), options(InitialLearnRate=1e30, MaxEpochs=10))


def test_integer_images_are_not_blown_up():
    many = np.zeros((64, 64, 1, 3000), np.uint8)  # 12 MB; as single precision 48 MB
    labels = np.arange(3000) % 3
    layers = [imageInputLayer([64, 64, 1]), fullyConnectedLayer(3), softmaxLayer(), classificationLayer()]
    tracemalloc.start()
    trainNetwork(many, labels, layers, options(MaxEpochs=1, MiniBatchSize=64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24e6  # about a million elements in double precision at a time


X, Y = images()
BAD = [
    (
        "no data",
        lambda: trainNetwork(np.zeros((6, 5, 1, 0)), [], classifier(), options()),
        DataError,
        "at least one observation",
    ),
    (
        "one class",
        lambda: trainNetwork(X, np.zeros(50, int), classifier(1), options()),
        DataError,
        "at least 2 classes",
    ),
    (
        "one observation",
        lambda: trainNetwork([[1.0, 2.0]], [1.0], regressor(), options()),
        DataError,
        "at least 2 observations, but got 1",
    ),
    (
        "NaN in X",
        lambda: trainNetwork(np.where(np.arange(50) == 7, np.nan, X), Y, classifier(), options()),
        DataError,
        "observation 8 has NaN",
    ),
    (
        "Inf in Y",
        lambda: trainNetwork(*(lambda x, y: (x, np.where(y == y[3], np.inf, y)))(*features()), regressor(), options()),
        DataError,
        r"Y.*observation 4 has NaN or Inf",
    ),
    (
        "undefined label",
        lambda: trainNetwork(X, categorical(Y, [0, 1]), classifier(2), options()),
        DataError,
        "number 3 is undefined",
    ),
    (
        "too few labels",
        lambda: trainNetwork(X, Y[:-1], classifier(), options()),
        DataError,
        "50 entries, one for each observation.*got 49",
    ),
    (
        "wrong class count",
        lambda: trainNetwork(X, Y, classifier(4), options()),
        DataError,
        "there are 3.*Change the last fullyConnectedLayer to 3",
    ),
    (
        "unknown class",
        lambda: trainNetwork(X, Y, [*classifier(2)[:-1], classificationLayer(Classes=["0", "1"])], options()),
        DataError,
        r"classes out of \['0', '1'\], but has also '2'",
    ),
    (
        "regression labels",
        lambda: trainNetwork(X, Y + 0.5, classifier(), options()),
        DataError,
        "fractional.*regressionLayer",
    ),
    (
        "size",
        lambda: trainNetwork(X[:5], Y, classifier(), options()),
        DataError,
        "images are of size 5x5x1, but the input layer expects images of size 6x5x1",
    ),
    (
        "no channel axis",
        lambda: trainNetwork(X[:, :, 0], Y, classifier(), options()),
        DataError,
        r"reshape it to \(6, 5, 1, 50\)",
    ),
    (
        "observations first",
        lambda: trainNetwork(np.moveaxis(X, -1, 0), Y, classifier(), options()),
        DataError,
        "moveaxis",
    ),
    ("texts as images", lambda: trainNetwork("images", Y, classifier(), options()), DataError, "numeric array"),
    ("uneven lists", lambda: trainNetwork([[1, 2], [3]], Y, classifier(), options()), DataError, "numeric array"),
    (
        "transposed features",
        lambda: trainNetwork(np.zeros((2, 40)), np.zeros(40), regressor(), options()),
        DataError,
        "Transpose it",
    ),
    (
        "responses",
        lambda: trainNetwork(np.zeros((40, 2)), np.zeros((40, 3)), regressor(), options()),
        DataError,
        "size 1 for each observation.*got 3",
    ),
    ("complex", lambda: trainNetwork(X + 1j, Y, classifier(), options()), DataError, "SplitComplexInputs"),
    (
        "validation data",
        lambda: trainNetwork(X, Y, classifier(), options(ValidationData=(X, Y[:3]))),
        DataError,
        "ValidationData: Y",
    ),
    (
        "validation class",
        lambda: trainNetwork(X, Y, classifier(), options(ValidationData=(X, Y + 1))),
        DataError,
        "ValidationData: Y.*'3'",
    ),
    (
        "swapped arguments",
        lambda: trainNetwork(X, Y, options(), classifier()),
        OptionError,
        "options from trainingOptions",
    ),
    ("too few arguments", lambda: trainNetwork(X, Y), OptionError, "needs X, Y, layers and options"),
    (
        "datastore",
        lambda: trainNetwork(X, classifier(), options()),
        OptionError,
        r"got 3 arguments of which the first is an array .* Are the options missing",
    ),
    ("nargout", lambda: trainNetwork(X, Y, classifier(), options(), nargout=3), OptionError, "nargout"),
    (
        "not layers",
        lambda: trainNetwork(X, Y, [1, reluLayer, "x"], options()),
        OptionError,
        "element 1 is 1, element 3 is 'x'",
    ),
    (
        "no network",
        lambda: trainNetwork(X, Y, [reluLayer], options()),
        NetworkError,
        "(?s)2 mistakes.*Missing input layer.*Missing output layer",
    ),
    (
        "batch of one",
        lambda: trainNetwork(
            np.zeros((9, 2)),
            np.zeros(9),
            [featureInputLayer(2), batchNormalizationLayer, fullyConnectedLayer(1), regressionLayer],
            options(MiniBatchSize=1),
        ),
        NetworkError,
        "Raise MiniBatchSize",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("answer", ["yes", [1, 0], np.array([True, False]), {"stop": True}])
def test_answers_of_output_functions_are_true_or_false(answer):
    with pytest.raises(OptionError, match="OutputFcn: needs to return true to stop, false or nothing to go on, but"):
        trainNetwork(X, Y, classifier(), options(OutputFcn=lambda info: answer))


@pytest.mark.parametrize("answer", [None, [], False, 0, np.zeros((0, 0)), np.array([[0]]), True, 1, np.bool_(True)])
def test_answers_of_output_functions(answer):
    stops = np.size(answer) > 0 and bool(answer)
    watch = {"OutputFcn": lambda info: answer if info.State == "iteration" else None}
    info = trainNetwork(X, Y, classifier(), options(MaxEpochs=4, **watch), nargout=2)[1]
    assert (len(info.TrainingLoss) == 1) == stops


@pytest.mark.parametrize(
    "asked",
    [
        {"WorkerLoad": [1, 2]},
    ],
)
def test_later_options_raise_instead_of_being_ignored(asked):
    with pytest.raises(NotSupportedError, match=f"not supported yet: {next(iter(asked))}="):
        trainNetwork(X, Y, classifier(), options(**asked))


@pytest.mark.parametrize(
    "environment", ["gpu", "multi-gpu", "parallel", "parallel-auto", "parallel-cpu", "parallel-gpu"]
)
def test_other_environments_are_refused_with_what_to_use(environment):
    with pytest.raises(NotSupportedError, match=f"'{environment}': mlnet computes on the CPU .* Use 'auto'"):
        trainNetwork(X, Y, classifier(), options(ExecutionEnvironment=environment))


def test_training_options():
    assert {name: trainingOptions(name).InitialLearnRate for name in ("sgdm", "adam", "rmsprop")} == {
        "sgdm": 0.01, "adam": 0.001, "rmsprop": 0.001,
    }  # fmt: skip
    opts = trainingOptions("SGDM", "maxepochs", 3, "Shuffle", "Every-Epoch", MiniBatchSize=5)
    assert (opts.MaxEpochs, opts.Shuffle, opts.MiniBatchSize) == (3, "every-epoch", 5)
    assert trainingOptions("adam").SquaredGradientDecayFactor == 0.999
    assert trainingOptions("rmsprop").SquaredGradientDecayFactor == 0.9
    opts.MaxEpochs = 7
    with pytest.raises(OptionError, match="MaxEpochs.*positive integer.*got 0"):
        opts.MaxEpochs = 0
    assert opts.MaxEpochs == 7
    with pytest.raises(TypeError, match="'MaxEpochss'.*Did you mean 'MaxEpochs'"):
        trainingOptions("sgdm", MaxEpochss=3)
    with pytest.raises(TypeError, match="no option 'Momentum'"):
        trainingOptions("adam", Momentum=0.9)
    with pytest.raises(OptionError, match="solver name.*'adamm'.*Did you mean 'adam'"):
        trainingOptions("adamm")


def test_signature_of_train_network_is_documented():
    assert "nargout" in inspect.signature(trainNetwork).parameters


def test_help_and_signature_of_training_options_list_every_option():
    names = set(inspect.signature(trainingOptions).parameters) - {"solverName"}
    assert names == {name for solver in SOLVERS.values() for name in solver.table.arguments}
    for name in names:
        assert f"    {name} : " in trainingOptions.__doc__
    assert "default 0.01 (sgdm), 0.001 (adam), 0.001 (rmsprop)" in trainingOptions.__doc__
    with pytest.raises(OptionError, match="needs a solver name"):
        trainingOptions(MaxEpochs=3)


def test_one_class_is_named_before_sizes():
    with pytest.raises(DataError, match="at least 2 classes, but there is only 'a'"):
        trainNetwork(X, ["a"] * 50, classifier(3), options())


def test_nan_in_the_data_shows_in_the_scores_of_its_observation():
    net = trainNetwork(X, Y, classifier(), options())
    x = X.copy()
    x[0, 0, 0, 5], x[0, 0, 0, 7] = np.nan, np.inf
    scores = net.predict(x)
    assert np.isnan(scores).any(axis=1).nonzero()[0].tolist() == [5, 7]
    assert net.classify(x)[5] is None
