"""trainnet: the same training as trainNetwork, losses by name and by function, and what it tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlnet import (
    DataError,
    MlnetError,
    NetworkError,
    OptionError,
    accuracyMetric,
    addLayers,
    arrayDatastore,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    combine,
    connectLayers,
    convolution2dLayer,
    crossentropy,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dropoutLayer,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    l2loss,
    layerGraph,
    load,
    lstmLayer,
    minibatchpredict,
    minibatchqueue,
    mse,
    predict,
    regressionLayer,
    reluLayer,
    rmseMetric,
    rng,
    save,
    sequenceInputLayer,
    sgdmupdate,
    sigmoid,
    sigmoidLayer,
    softmax,
    softmaxLayer,
    tanhLayer,
    testnet,
    trainingOptions,
    trainnet,
    trainNetwork,
)
from mlnet.training.board import Board
from mlnet.training.nets.table import NetTable
from mlnet.training.progress import Progress


def options(solver="sgdm", **more):
    given = {"MaxEpochs": 3, "MiniBatchSize": 16, "Verbose": False, "InitialLearnRate": 0.05, **more}
    if solver in ("lbfgs", "lm"):
        del given["MaxEpochs"], given["MiniBatchSize"], given["InitialLearnRate"]
    return trainingOptions(solver, **given)


def images(count=64):
    generator = np.random.default_rng(0)
    y = categorical(generator.integers(0, 3, count))
    x = generator.normal(size=(6, 6, 2, count)) + y.codes
    return x, y


def convolutions():
    return [
        imageInputLayer([6, 6, 2]), convolution2dLayer(3, 4, Padding="same"), batchNormalizationLayer, reluLayer,
        dropoutLayer(0.2), fullyConnectedLayer(3), softmaxLayer,
    ]  # fmt: skip


def features(count=64, responses=2):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 3))
    return x, np.tanh(x @ generator.normal(size=(3, responses)))


def small(outputs=2, *last):
    return [featureInputLayer(3), fullyConnectedLayer(5), tanhLayer, fullyConnectedLayer(outputs), *last]


def sequences(lengths=(5, 6, 7, 8) * 4):
    generator = np.random.default_rng(0)
    return [generator.normal(size=(3, length)) for length in lengths]


@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
@pytest.mark.parametrize("loss", ["crossentropy", "indexcrossentropy", lambda Y, T: crossentropy(Y, T)])
def test_it_is_the_training_of_trainnetwork(solver, loss):
    x, y = images()
    opts = options(solver, Shuffle="every-epoch", L2Regularization=0.01, GradientThreshold=1)
    rng(0)
    first, info1 = trainNetwork(x, y, [*convolutions(), classificationLayer], opts, nargout=2)
    rng(0)
    net, info2 = trainnet(x, y, convolutions(), loss, opts, nargout=2)
    by_function = not isinstance(loss, str)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if by_function else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(info2.TrainingHistory.TrainingLoss, info1.TrainingLoss, **tolerance)
    np.testing.assert_allclose(minibatchpredict(net, x), predict(first, x), **tolerance)


def test_half_the_squares_of_two_responses_are_their_mean():
    x, y = features()
    rng(0)
    _, info1 = trainNetwork(x, y, [*small(), regressionLayer], options(), nargout=2)
    for loss in ("mse", "mean-squared-error", "l2loss"):
        rng(0)
        _, info2 = trainnet(x, y, small(), loss, options(), nargout=2)
        np.testing.assert_allclose(info2.TrainingHistory.TrainingLoss, info1.TrainingLoss, rtol=1e-5)


TORCH = {
    "mse": torch.nn.functional.mse_loss,
    "mae": torch.nn.functional.l1_loss,
    "l1loss": torch.nn.functional.l1_loss,
    "huber": torch.nn.functional.huber_loss,
    "binary-crossentropy": torch.nn.functional.binary_cross_entropy_with_logits,
    "crossentropy": lambda z, t: -(t * torch.log_softmax(z, 1)).sum(1).mean(),
}


@pytest.mark.parametrize("name", sorted(TORCH))
def test_a_loop_of_pytorch_has_the_same_losses(name):
    x, y = features(responses=2)
    ends = {"binary-crossentropy": [sigmoidLayer], "crossentropy": [softmaxLayer]}.get(name, [])
    y = {"binary-crossentropy": (y > 0).astype(float), "crossentropy": np.abs(y) / np.abs(y).sum(1, keepdims=True)}.get(
        name, 3 * y
    )
    rng(0)
    start = dlnetwork(small(2, *ends))
    opts = options("adam", Shuffle="never", L2Regularization=0)
    _, info = trainnet(x, y, start, name, opts, nargout=2)
    values = [torch.tensor(v.extractdata().copy(), requires_grad=True) for v in start.Learnables.Value]
    solver = torch.optim.Adam(values, lr=0.05, eps=1e-8)
    losses = []
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    mean, deviation = 0, 1  # featureInputLayer does not normalize
    for _ in range(3):
        for at in range(0, 64, 16):
            z = torch.tanh((inputs[at : at + 16] - mean) / deviation @ values[0].T + values[1].T)
            loss = TORCH[name](z @ values[2].T + values[3].T, targets[at : at + 16])
            solver.zero_grad()
            loss.backward()
            solver.step()
            losses.append(loss.item())
    np.testing.assert_allclose(info.TrainingHistory.TrainingLoss, losses, rtol=2e-4)


@pytest.mark.parametrize("name", ["crossentropy", "binary-crossentropy"])
def test_probabilities_of_another_layer_give_the_same_loss(name):
    x, y = features()
    y = np.eye(2)[(y[:, 0] > 0).astype(int)]
    layer, function = (softmaxLayer, softmax) if name == "crossentropy" else (sigmoidLayer, sigmoid)
    found = []
    for last in (layer, functionLayer(function, Formattable=True)):
        rng(0)
        found.append(trainnet(x, y, small(2, last), name, options(), nargout=2)[1].TrainingHistory.TrainingLoss)
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_labels_in_many_forms_are_the_same_targets():
    x, _ = features()
    codes = np.arange(64) % 3
    forms = {
        "categorical": categorical(codes), "texts": [f"c{each}" for each in codes], "numbers": codes,
        "one-hot": np.eye(3)[codes],
    }  # fmt: skip
    losses = []
    for y in forms.values():
        rng(0)
        losses.append(trainnet(x, y, small(3, softmaxLayer), "crossentropy", options(), nargout=2)[1])
    rng(0)
    losses.append(trainnet(x, codes + 1, small(3, softmaxLayer), "indexcrossentropy", options(), nargout=2)[1])
    for info in losses[1:]:
        np.testing.assert_allclose(info.TrainingHistory.TrainingLoss, losses[0].TrainingHistory.TrainingLoss, rtol=1e-5)


def test_targets_without_a_class_do_not_count():
    x, _ = features(16)
    y = np.array([0] * 8 + [1, 2] * 4)
    _, all_rows = trainnet(x, y, small(2, softmaxLayer), "indexcrossentropy", options(MaxEpochs=1), nargout=2)
    net = dlnetwork(small(2, softmaxLayer))
    _, info = trainnet(x, y, net, "indexcrossentropy", options(MaxEpochs=1), nargout=2)
    _, half = trainnet(x[8:], y[8:], net, "indexcrossentropy", options(MaxEpochs=1), nargout=2)
    np.testing.assert_allclose(info.TrainingHistory.TrainingLoss, half.TrainingHistory.TrainingLoss, rtol=1e-5)
    assert np.isfinite(all_rows.TrainingHistory.TrainingLoss).all()


@pytest.mark.parametrize("loss", ["mse", lambda Y, T: l2loss(Y, T, NormalizationFactor="none") / 26])
def test_time_steps_count_alike_and_padding_does_not(loss):
    x = sequences((5, 6, 7, 8))
    y = [each.sum(axis=0, keepdims=True) for each in x]
    net = dlnetwork([sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(1)])
    opts = options(MaxEpochs=1, MiniBatchSize=4, Shuffle="never")
    _, info = trainnet(x, y, net, loss, opts, nargout=2)
    errors = np.concatenate([a.T - b for a, b in zip(minibatchpredict(net, x), y, strict=True)], axis=1)
    assert info.TrainingHistory.TrainingLoss[0] == pytest.approx((errors**2).mean(), rel=1e-5)


def two_outputs():
    graph = layerGraph([featureInputLayer(3), fullyConnectedLayer(6, Name="fc"), tanhLayer(Name="tanh"),
                        fullyConnectedLayer(3, Name="classes"), softmaxLayer(Name="softmax")])  # fmt: skip
    return connectLayers(addLayers(graph, fullyConnectedLayer(2, Name="values")), "tanh", "values")


def both(Y1, Y2, T1, T2):
    return crossentropy(Y1, T1) + mse(Y2, T2)


def test_several_outputs_are_trained_as_in_a_loop_of_ones_own():
    x, t2 = features()
    t1 = categorical(np.arange(64) % 3)
    net = dlnetwork(two_outputs())
    opts = options(Shuffle="never", L2Regularization=0, Momentum=0)
    more = {"Metrics": [accuracyMetric(NetworkOutput="softmax"), rmseMetric(NetworkOutput="values"), both]}
    trained, info = trainnet(x, (t1, t2), net, both, opts.replaced(**more), nargout=2)
    hot = np.eye(3)[t1.codes].T

    def step(net, rows):
        y1, y2 = forward(net, dlarray(x[rows].T.astype("single"), "CB"))
        loss = both(y1, y2, hot[:, rows], t2[rows].T)
        return loss, dlgradient(loss, net.Learnables)

    losses = []
    for _ in range(3):
        for start in range(0, 64, 16):
            loss, gradients = dlfeval(step, net, slice(start, start + 16))
            net, _ = sgdmupdate(net, gradients, [], 0.05, 0.0)
            losses.append(loss.item())
    np.testing.assert_allclose(info.TrainingHistory.TrainingLoss, losses, rtol=1e-4)
    np.testing.assert_allclose(info.TrainingHistory.Trainingboth, losses, rtol=1e-4)
    y1, y2 = minibatchpredict(trained, x, MiniBatchSize=10)
    assert (y1.shape, y2.shape) == ((64, 3), (64, 2))
    found = testnet(trained, x, (t1, t2), more["Metrics"])
    expected = [100 * np.mean(y1.argmax(1) == t1.codes), np.sqrt(((y2 - t2) ** 2).mean())]
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5)


def test_info_table_and_output_function(capsys):
    x, y = images(32)
    seen = []
    opts = options(Verbose=True, VerboseFrequency=3, ValidationData=(x, y), ValidationFrequency=4, Metrics="accuracy",
                   OutputFcn=lambda info: seen.append(info) or info.Iteration == 5)  # fmt: skip
    _, info = trainnet(x, y, convolutions(), "crossentropy", opts, nargout=2)
    lines = capsys.readouterr().out.splitlines()
    titles = ["Iteration", "Epoch", "TimeElapsed", "LearnRate", "TrainingLoss", "ValidationLoss"]
    titles += ["TrainingAccuracy", "ValidationAccuracy"]
    assert lines[1] == "".join(f"    {title}" for title in titles)
    assert lines[2] == "".join(f"    {'_' * len(title)}" for title in titles)
    rows = [line.split() for line in lines[3:-1]]
    assert [row[0] for row in rows] == ["0", "1", "3", "4", "5"]
    assert [len(row) for row in rows] == [6, 6, 6, 8, 6]
    assert rows[0][1:2] + rows[0][3:4] == ["0", "0.05"]
    assert lines[-1] == "Training stopped: Stopped by OutputFcn"
    assert info.StopReason == "Stopped by OutputFcn" and info.OutputNetworkIteration == 5
    assert info.ValidationHistory.columns == ["Iteration", "ValidationLoss", "ValidationAccuracy"]
    assert list(info.ValidationHistory.Iteration) == [0, 4]
    assert info.TrainingHistory.columns == [
        "Epoch", "Iteration", "TimeElapsed", "LearnRate", "TrainingLoss", "TrainingAccuracy",
    ]  # fmt: skip
    assert list(info.TrainingHistory.Epoch) == [1, 1, 2, 2, 3]
    assert [each.State for each in seen] == ["start"] + ["iteration"] * 5 + ["done"]
    assert seen[1].TrainingAccuracy == info.TrainingHistory.TrainingAccuracy[0]
    assert seen[4].ValidationLoss == info.ValidationHistory.ValidationLoss[1]


def test_the_best_network_may_be_the_first_one():
    x, y = features()
    opts = options(ValidationData=(x, y), ValidationFrequency=1, OutputNetwork="best-validation", InitialLearnRate=50)
    start = dlnetwork(small())
    net, info = trainnet(x, y, start, "mae", opts, nargout=2)
    assert info.OutputNetworkIteration == 0
    np.testing.assert_allclose(minibatchpredict(net, x), minibatchpredict(start, x), rtol=1e-6)


def test_formats_and_dlarrays():
    x, y = features()
    expected = trainnet(x, y, start := dlnetwork(small()), "mse", options(), nargout=2)[1].TrainingHistory.TrainingLoss
    rng(0)
    for given, more in (
        ((x.T, y.T), {"InputDataFormats": "CB", "TargetDataFormats": "CB"}),
        ((dlarray(x.T, "CB"), dlarray(y.T, "CB")), {}),
    ):
        found = trainnet(*given, start, "mse", options(Shuffle="never", **more), nargout=2)[1]
        once = trainnet(x, y, start, "mse", options(Shuffle="never"), nargout=2)[1]
        np.testing.assert_array_equal(found.TrainingHistory.TrainingLoss, once.TrainingHistory.TrainingLoss)
    assert len(expected) == 12


def test_datastores_and_queues():
    x, y = features()
    ds = combine(arrayDatastore(x), arrayDatastore(y))
    queue = minibatchqueue(ds, MiniBatchSize=16, MiniBatchFormat="BC")
    start = dlnetwork(small())
    opts = options(Shuffle="never")
    expected = trainnet(x, y, start, "mse", opts, nargout=2)[1].TrainingHistory.TrainingLoss
    for data in (ds, queue, [(x[:40], y[:40]), (x[40:], y[40:])]):
        net, info = trainnet(data, start, "mse", opts, nargout=2)
        np.testing.assert_allclose(info.TrainingHistory.TrainingLoss, expected, rtol=1e-6)
        np.testing.assert_allclose(testnet(net, data, "rmse"), testnet(net, x, y, "rmse"), rtol=1e-5)
    np.testing.assert_allclose(minibatchpredict(net, queue), minibatchpredict(net, x), rtol=1e-6)
    several = combine(arrayDatastore(x), arrayDatastore(categorical(np.arange(64) % 3)), arrayDatastore(y))
    net, info = trainnet(several, two_outputs(), both, opts, nargout=2)
    assert len(info.TrainingHistory) == 12


def test_functions_normalize_data():
    x, y = features()
    layers = [featureInputLayer(3, Normalization=lambda x: x - 1), *small()[1:]]
    rng(0)
    net = trainnet(x, y, layers, "mse", options())
    rng(0)
    other = trainnet(x - 1, y, small(), "mse", options())
    expected = minibatchpredict(other, x - 1)
    np.testing.assert_allclose(minibatchpredict(net, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.predict(dlarray(x.T, "CB")).extractdata().T, expected, rtol=1e-5, atol=1e-6)
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("single")  # 'CTB'

    def from_first(sequence):
        return sequence - sequence[:, :1]

    net = dlnetwork([sequenceInputLayer(3, Normalization=from_first), fullyConnectedLayer(2)])
    plain = dlnetwork([sequenceInputLayer(3), net.Layers(2)])
    found = net.predict(dlarray(x, "CTB")).extractdata()
    np.testing.assert_allclose(found, plain.predict(dlarray(x - x[:, :1], "CTB")).extractdata(), rtol=1e-5, atol=1e-6)


def test_the_picture_has_loss_and_metrics(monkeypatch):
    boards = []
    monkeypatch.setattr(Board, "opener", staticmethod(lambda board: boards.append(board)))
    x, y = features()
    opts = options(Plots="training-progress", Metrics="rmse", ValidationData=(x, y))
    _, info = trainnet(x, y, small(), "mse", opts, nargout=2)
    (board,) = boards
    assert [panel.label for panel in board.panels] == ["RMSE", "Loss"]
    assert board.panels[1].curves[0].y == list(info.TrainingHistory.TrainingLoss)
    assert board.sections["Results"]["Status"] == "Max epochs completed"


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_solvers_of_all_data(solver, capsys):
    x = np.linspace(-1, 1, 50)[:, None]
    layers = [featureInputLayer(1), fullyConnectedLayer(5), tanhLayer, fullyConnectedLayer(1)]
    rng(0)
    net, info = trainnet(x, x**2, layers, "mse", options(solver, MaxIterations=60, Verbose=True), nargout=2)
    assert testnet(net, x, x**2, "rmse") < 0.05
    assert "GradientNorm    StepNorm" in capsys.readouterr().out
    assert info.TrainingHistory.columns == ["Iteration", "TimeElapsed", "TrainingLoss", "GradientNorm", "StepNorm"]
    if solver == "lbfgs":
        rng(0)
        function = trainnet(x, x**2, layers, lambda Y, T: 2 * mse(Y, T), options(solver, MaxIterations=10), nargout=2)[
            1
        ]
        np.testing.assert_allclose(
            function.TrainingHistory.TrainingLoss, info.TrainingHistory.TrainingLoss[:10], rtol=1e-5
        )
    else:
        with pytest.raises(NetworkError, match=r"'lm'.*'mse'.*huber"):
            trainnet(x, x**2, layers, "huber", options(solver))


def test_checkpoints_and_files(tmp_path):
    x, y = images(32)
    opts = options(CheckpointPath=str(tmp_path), MaxEpochs=2)
    rng(0)
    net = trainnet(x, y, convolutions(), "crossentropy", opts)
    first, second = sorted(tmp_path.iterdir(), key=lambda path: int(path.name.split("__")[1]))
    resumed = trainnet(x, y, str(first), "crossentropy", opts.replaced(CheckpointPath=""))
    np.testing.assert_array_equal(minibatchpredict(resumed, x), minibatchpredict(net, x))
    loaded = load(str(second)).net
    assert isinstance(loaded, dlnetwork) and loaded.OutputNames == ["softmax"]
    without_input = dlnetwork(layerGraph([fullyConnectedLayer(2)]), dlarray(np.ones((3, 1)), "CB"))
    save(str(tmp_path / "net.mat"), net=without_input)
    kept = load(str(tmp_path / "net.mat")).net
    data = dlarray(np.ones((3, 4), "single"), "CB")
    np.testing.assert_array_equal(kept.predict(data).extractdata(), without_input.predict(data).extractdata())


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_solvers_of_all_data_go_on_from_checkpoints(solver, tmp_path):
    x, y = features()
    opts = options(solver, MaxIterations=6, CheckpointPath=str(tmp_path), CheckpointFrequency=3)
    rng(0)
    net = trainnet(x, y, small(), "mse", opts)
    (third,) = tmp_path.glob("net_checkpoint__3__*")
    resumed, info = trainnet(x, y, str(third), "mse", opts.replaced(CheckpointPath=""), nargout=2)
    assert len(info.TrainingHistory) == 6
    np.testing.assert_array_equal(minibatchpredict(resumed, x), minibatchpredict(net, x))


def test_statistics_of_batch_normalization():
    x, y = images()
    found = {}
    for kind in ("auto", "moving", "population"):
        rng(0)
        found[kind] = trainnet(x, y, convolutions(), "crossentropy", options(BatchNormalizationStatistics=kind)).State
    values = {kind: table.Value[0].extractdata() for kind, table in found.items()}
    np.testing.assert_array_equal(values["auto"], values["moving"])
    assert not np.allclose(values["auto"], values["population"])


X, Y = features()
LABELS = categorical(np.arange(64) % 3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: trainnet(X, Y, [*small(), regressionLayer], "mse", options()), NetworkError, "Remove it"),
        (lambda: trainnet(X, LABELS, small(3), "crossentropy", options()), NetworkError, "softmaxLayer.. at the end"),
        (lambda: trainnet(X, Y, small(2), "binary-crossentropy", options()), NetworkError, "sigmoidLayer"),
        (lambda: trainnet(X, LABELS, small(2, softmaxLayer), "crossentropy", options()), DataError, "as many classes"),
        (lambda: trainnet(X, Y, small(), "mes", options()), OptionError, "Did you mean 'mse'"),
        (lambda: trainnet(X, Y, small(), 3, options()), OptionError, "lossFcn"),
        (lambda: trainnet(X, Y, small(), lambda y: y, options()), OptionError, "2 arguments"),
        (lambda: trainnet(X, Y, small(), lambda y, t: y - t, options()), DataError, "scalar.*2x16"),
        (lambda: trainnet(X, Y, small(), lambda y, t: mse(t, t), options()), DataError, "depends on the outputs"),
        (lambda: trainnet(X, Y, small(), lambda y, t: 1 / 0, options()), DataError, "raised ZeroDivisionError"),
        (lambda: trainnet(X, LABELS, small(3), "mse", options()), DataError, "numbers for the loss 'mse'"),
        (lambda: trainnet(X, Y[:5], small(), "mse", options()), DataError, "trainnet: T"),
        (lambda: trainnet(X, Y, two_outputs(), "mse", options()), OptionError, "lambda Y1, Y2, T1, T2"),
        (lambda: trainnet(X, Y, two_outputs(), both, options()), DataError, r"each of the 2 outputs.*\(T1, T2\)"),
        (lambda: trainnet(X, (LABELS, Y), two_outputs(), both, options(Metrics="auc")), OptionError, "NetworkOutput"),
        (lambda: trainnet(X, Y, small(), "mse", options(Metrics="accuracy")), OptionError, "rmse"),
        (lambda: trainnet(X, small(), "mse", options()), OptionError, "targets missing"),
        (lambda: trainnet(X, Y, small(), "mse"), OptionError, "options"),
        (lambda: trainnet(X, Y + 3, small(2, softmaxLayer), "indexcrossentropy", options()), DataError, "from 1 to 2"),
        (lambda: trainnet(X, Y, [fullyConnectedLayer(2)], "mse", options()), NetworkError, "initialize"),
        (lambda: trainnet(X * np.nan, Y, small(), "mse", options()), DataError, "finite"),
        (lambda: trainnet(X, Y, small(), "mse", options(OutputNetwork="best-validation")), OptionError, "^trainnet"),
        (lambda: trainnet(X, Y, small(), "mse", options(), nargout=3), OptionError, "nargout"),
    ],
)  # fmt: skip
def test_mistakes(call, error, text, capsys):
    with pytest.raises(error, match=text) as found:
        call()
    assert "trainNetwork" not in str(found.value)
    assert capsys.readouterr().out == ""
    assert isinstance(found.value, MlnetError)


GOLDEN = """
    Iteration    Epoch    TimeElapsed    LearnRate    TrainingLoss    ValidationLoss
    _________    _____    ___________    _________    ____________    ______________
            0        0       00:00:08       0.0001                            4.3566
            1        1       00:00:08       0.0001          6.4292                  
          100      100       00:00:27        0.001         0.97882                  
Training stopped: Max epochs completed
"""  # noqa: W291 - rows that MATLAB printed


def test_the_table_is_that_of_matlab(capsys):
    table = NetTable(1, with_validation=True)
    table.start()
    table.update(Progress(0, 0, 8, 1e-4, np.nan, np.nan, 4.35659))
    table.update(Progress(1, 1, 8, 1e-4, 6.42921, np.nan))
    table.update(Progress(100, 100, 27, 1e-3, 0.978817, np.nan))
    table.close("Max epochs completed")
    assert capsys.readouterr().out == GOLDEN
