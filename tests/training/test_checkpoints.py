"""Checkpoints: when they are written, what is in them, and trainings that go on from them."""

from __future__ import annotations

import builtins
import errno
import os
import re
import shutil
import signal

import numpy as np
import pytest
from layers.catalogue import same

from mlnet import (
    DAGNetwork,
    DataError,
    OptionError,
    SeriesNetwork,
    additionLayer,
    batchNormalizationLayer,
    bilstmLayer,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    layerGraph,
    load,
    lstmLayer,
    networkLayer,
    predict,
    regressionLayer,
    reluLayer,
    rng,
    save,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    whiteningLayer,
)
from mlnet.data.datastores.datastore import Datastore
from mlnet.training import checkpoints
from mlnet.training.checkpoints import find_checkpoint

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(3, 2, (23, 4))
Y = np.where(X[:, 0] + X[:, 1] > 6, "high", "low")
IMAGES = GENERATOR.normal(size=(5, 5, 1, 12))
SEQUENCES = [GENERATOR.normal(size=(2, length)) for length in (3, 9, 5, 1, 7, 4, 6, 2, 8, 5, 3)]
TARGETS = [each[:1] for each in SEQUENCES]


class Noisy(Datastore):
    """Images with noise."""

    def __len__(self):
        return IMAGES.shape[-1]

    def rows(self, numbers, generator=None):
        generator = generator or np.random.default_rng(0)
        return [(IMAGES[..., n] + generator.normal(size=(5, 5, 1)), float(n)) for n in numbers]


def dense():
    layers = [featureInputLayer(4, Normalization="zscore"), fullyConnectedLayer(5, WeightLearnRateFactor=0)]
    layers += [batchNormalizationLayer(), reluLayer(), dropoutLayer(0.3), fullyConnectedLayer(2)]
    return (X, Y), [*layers, softmaxLayer(), classificationLayer()]


def graph():
    layers = [featureInputLayer(4, Name="in"), fullyConnectedLayer(4), whiteningLayer(Epsilon=0.1)]
    inner = networkLayer([fullyConnectedLayer(4), batchNormalizationLayer(TrainedMean=np.ones(4))], Name="inner")
    layers += [inner, additionLayer(2, Name="add"), fullyConnectedLayer(1), regressionLayer()]
    return (X, X[:, :2].sum(axis=1, keepdims=True)), connectLayers(layerGraph(layers), "in", "add/in2")


def recurrent():
    layers = [sequenceInputLayer(2), lstmLayer(4, HiddenState=np.ones(4), CellState=np.ones(4)), bilstmLayer(3)]
    return (SEQUENCES, TARGETS), [*layers, dropoutLayer(0.2), fullyConnectedLayer(1), regressionLayer()]


def datastore():
    layers = [imageInputLayer([5, 5, 1], Normalization="zerocenter"), convolution2dLayer(3, 2)]
    return (Noisy(),), [*layers, batchNormalizationLayer(), fullyConnectedLayer(1), regressionLayer()]


def options(solver="sgdm", **more):
    if solver in ("lbfgs", "lm"):
        more.pop("CheckpointFrequencyUnit", None)
        return trainingOptions(solver, **{"MaxIterations": 9, "Verbose": False, **more})
    return trainingOptions(solver, **{"MaxEpochs": 3, "MiniBatchSize": 5, "Verbose": False, **more})


def iterations(folder):
    return sorted(int(path.name.split("__")[1]) for path in folder.glob("net_checkpoint__*.mat"))


def path_of(folder, iteration):
    (path,) = folder.glob(f"net_checkpoint__{iteration}__*.mat")
    return path


def assert_same(one, other):
    assert type(one) is type(other) and repr(one.Layers) == repr(other.Layers)
    for mine, its in zip(one._network.layers, other._network.layers, strict=True):
        assert same(mine, its), mine.Name


CASES = [
    (dense, "adam", {"Shuffle": "every-epoch", "OutputNetwork": "best-validation-loss", "ValidationFrequency": 2}),
    (dense, "rmsprop", {"Shuffle": "never", "LearnRateSchedule": "piecewise", "LearnRateDropPeriod": 1}),
    (
        dense,
        "adam",
        {"LearnRateSchedule": ["warmup", "cosine"], "Metrics": ["recall", "auc"], "ValidationFrequency": 1},
    ),
    (dense, "sgdm", {"ResetInputNormalization": False, "BatchNormalizationStatistics": "moving"}),
    (graph, "sgdm", {"Shuffle": "once", "BatchNormalizationStatistics": "population-exact"}),
    (recurrent, "adam", {"Shuffle": "every-epoch", "SequenceLength": 3, "MiniBatchSize": 4}),
    (recurrent, "sgdm", {}),
    (datastore, "adam", {"Shuffle": "every-epoch", "DispatchInBackground": True, "MiniBatchSize": 4}),
    (dense, "lbfgs", {"HistorySize": 3, "OutputNetwork": "best-validation-loss", "ValidationFrequency": 2}),
    (dense, "lbfgs", {"LineSearchMethod": "strong-wolfe", "Metrics": "fscore", "StepTolerance": 0.5}),
    (recurrent, "lbfgs", {"LineSearchMethod": "backtracking", "MaxNumLineSearchIterations": 3}),
    (datastore, "lbfgs", {"BatchNormalizationStatistics": "moving"}),
    (graph, "lm", {"BatchNormalizationStatistics": "population-exact"}),
    (datastore, "lm", {"InitialDampingFactor": 10, "MaxDampingFactor": 20}),
]


@pytest.mark.parametrize("case, solver, more", CASES)
def test_going_on_from_any_iteration_gives_the_unbroken_network(case, solver, more, tmp_path):
    data, layers = case()
    if case is dense:
        more = {**more, "ValidationData": (X[:9], Y[:9])}
    rng(3)
    expected, information = trainNetwork(*data, layers, options(solver, **more), nargout=2)
    given = options(solver, CheckpointPath=str(tmp_path), CheckpointFrequencyUnit="iteration", **more)
    rng(3)
    assert_same(trainNetwork(*data, layers, given), expected)
    written = iterations(tmp_path)
    assert written == list(range(1, len(information.TrainingLoss) + 1))
    for iteration in (written[0], written[len(written) // 2], written[-2], written[-1]):
        rng(8)
        source = str(path_of(tmp_path, iteration))
        net, found = trainNetwork(*data, source, options(solver, **more), nargout=2)
        assert_same(net, expected)
        for name, value in vars(information).items():
            assert np.array_equal(getattr(found, name), value, equal_nan=True), name


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_checkpoints_of_training_with_all_data(solver, tmp_path, capsys):
    data, layers = graph()
    more = {"MaxIterations": 7, "CheckpointPath": str(tmp_path), "CheckpointFrequency": 3}
    rng(0)
    trainNetwork(*data, layers, options(solver, **more))
    assert iterations(tmp_path) == [3, 6]
    net = load(path_of(tmp_path, 6)).net
    assert type(net) is DAGNetwork and net.Layers[1].Weights.dtype == np.float32
    rng(0)
    expected, whole = trainNetwork(*data, layers, options(solver, MaxIterations=12), nargout=2)
    found, information = trainNetwork(*data, tmp_path, options(solver, MaxIterations=12, Verbose=True), nargout=2)
    assert_same(found, expected)
    assert np.array_equal(information.TrainingLoss, whole.TrainingLoss)
    assert f"Going on behind iteration 6 from {path_of(tmp_path, 6).name}." in capsys.readouterr().out
    with pytest.raises(DataError, match="another training: .*solver.* differ"):
        trainNetwork(*data, tmp_path, options("sgdm"))
    with pytest.raises(DataError, match="another training: solver differ"):
        trainNetwork(*data, tmp_path, options({"lbfgs": "lm", "lm": "lbfgs"}[solver]))


def test_ctrl_c_writes_a_last_checkpoint_of_all_data(tmp_path):
    data, layers = dense()

    def interrupt(information):
        if information.State == "iteration" and information.Iteration == 4:
            os.kill(os.getpid(), signal.SIGINT)

    rng(0)
    expected = trainNetwork(*data, layers, options("lbfgs"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        rng(0)
        with pytest.raises(KeyboardInterrupt):
            more = {"CheckpointPath": str(tmp_path), "CheckpointFrequency": 100, "OutputFcn": interrupt}
            trainNetwork(*data, layers, options("lbfgs", **more))
    finally:
        signal.signal(signal.SIGINT, before)
    assert iterations(tmp_path) == [4]
    assert_same(trainNetwork(*data, str(tmp_path), options("lbfgs")), expected)


def test_when_and_under_which_name_they_are_written(tmp_path):
    data, layers = dense()
    for more, expected in (
        ({}, [4, 8, 12, 16]),
        ({"CheckpointFrequency": 2}, [8, 16]),
        ({"CheckpointFrequency": 3, "CheckpointFrequencyUnit": "iteration"}, [3, 6, 9, 12, 15]),
    ):
        folder = tmp_path / str(len(expected))
        folder.mkdir()
        trainNetwork(*data, layers, options(MaxEpochs=4, CheckpointPath=str(folder), **more))
        assert iterations(folder) == expected
        for name in os.listdir(folder):
            assert re.fullmatch(r"net_checkpoint__\d+__\d{4}_\d\d_\d\d__\d\d_\d\d_\d\d\.mat", name)


def test_the_network_of_a_checkpoint_can_be_used_and_trained(tmp_path):
    for case, kind in ((dense, SeriesNetwork), (graph, DAGNetwork)):
        data, layers = case()
        more = {"BatchNormalizationStatistics": "moving", "MaxEpochs": 1}
        net = trainNetwork(*data, layers, options(CheckpointPath=str(tmp_path), **more))
        file = path_of(tmp_path, 4)
        found = load(file).net
        assert type(found) is kind and np.array_equal(predict(found, X), predict(net, X))
        source = found.Layers if kind is SeriesNetwork else layerGraph(found)
        again, information = trainNetwork(*data, source, options(**more), nargout=2)
        assert type(again) is kind and len(information.TrainingLoss) == 4
        file.unlink()


def test_a_folder_gives_its_newest_checkpoint_that_can_be_loaded(tmp_path, capsys):
    data, layers = dense()
    given = options(CheckpointPath=str(tmp_path), CheckpointFrequencyUnit="iteration")
    expected = trainNetwork(*data, layers, given)
    newest = path_of(tmp_path, 12)
    newest.write_bytes(newest.read_bytes()[:-100])
    (tmp_path / "net_checkpoint__99__2030_01_01__00_00_00.mat").write_bytes(b"no checkpoint")
    (tmp_path / ".net_checkpoint__99__2030_01_01__00_00_01.mat.1-ab.tmp").write_bytes(b"")
    shutil.copy(path_of(tmp_path, 3), tmp_path / "net_checkpoint__7000__1999_01_01__00_00_01.mat")
    save(tmp_path / "net_checkpoint__88__2030_01_01__00_00_00.mat", net=expected)
    assert find_checkpoint(tmp_path).path == path_of(tmp_path, 11)
    capsys.readouterr()
    net = trainNetwork(*data, tmp_path, options(Verbose=True, VerboseFrequency=1))
    assert_same(net, expected)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Going on behind iteration 11 from {path_of(tmp_path, 11).name}."
    assert [line.split("|")[1:3] for line in lines if line.startswith("|  ") and "  12 |" in line] == [
        [f"{3:8} ", f"{12:12} "]
    ]
    assert not [line for line in lines if "|           1 |" in line]


def test_more_epochs_go_on_further(tmp_path):
    data, layers = dense()
    more = {"CheckpointPath": str(tmp_path), "Shuffle": "every-epoch"}
    rng(0)
    expected = trainNetwork(*data, layers, options(MaxEpochs=5, **more))
    for path in tmp_path.iterdir():
        path.unlink()
    rng(0)
    trainNetwork(*data, layers, options(MaxEpochs=2, **more))
    assert iterations(tmp_path) == [4, 8]
    assert_same(trainNetwork(*data, str(tmp_path), options(MaxEpochs=5, Shuffle="every-epoch")), expected)


def test_a_training_that_had_met_its_criterion_is_over(tmp_path):
    data, layers = dense()
    more = {"ValidationData": (X, Y), "ValidationFrequency": 1, "ValidationPatience": 1, "InitialLearnRate": 1e-9}
    more |= {"CheckpointPath": str(tmp_path), "CheckpointFrequencyUnit": "iteration", "MaxEpochs": 30}
    net, information = trainNetwork(*data, layers, options(**more), nargout=2)
    count = len(information.TrainingLoss)
    assert count < 30 * 4
    again, information = trainNetwork(*data, str(path_of(tmp_path, count)), options(**more), nargout=2)
    assert_same(again, net)
    assert len(information.TrainingLoss) == count


def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path, capsys):
    data, layers = dense()
    trainNetwork(*data, layers, options(CheckpointPath=str(tmp_path)))
    file = str(path_of(tmp_path, 12))
    calls = []
    for arguments, more, reason in (
        ((X[:20], Y[:20]), {}, "another training: observations differ"),
        (data, {"solver": "adam"}, "another training: solver differ"),
        (data, {"MiniBatchSize": 6, "Shuffle": "never"}, "another training: MiniBatchSize, Shuffle differ"),
        ((X[:, :3], Y), {}, "4"),
        ((X, np.arange(23) % 3), {}, "classes"),
    ):
        with pytest.raises(DataError, match=reason):
            trainNetwork(*arguments, file, options(**{"OutputFcn": calls.append, "Verbose": True, **more}))
    assert not calls and "|" not in capsys.readouterr().out
    save(tmp_path / "net", net=load(file).net)
    save(tmp_path / "half", net=1, training=load(file).training)
    (tmp_path / "empty").mkdir()
    for source, reason in (
        (tmp_path / "net", "has no variable 'training'.*net.Layers"),
        (tmp_path / "half.mat", "no network in its variable 'net'"),
        (tmp_path / "nothing", "no such checkpoint"),
        (tmp_path / "empty", "there are no checkpoints"),
    ):
        with pytest.raises(DataError, match=reason):
            trainNetwork(*data, source, options())
    shutil.copy(tmp_path / "net.mat", tmp_path / "empty" / "net_checkpoint__1__2030_01_01__00_00_00.mat")
    with pytest.raises(DataError, match="none of the 1 checkpoints in this folder can be loaded.*'training'"):
        trainNetwork(*data, str(tmp_path / "empty"), options())


def test_the_folder_and_the_layers_are_checked_first(tmp_path, monkeypatch):
    data, layers = dense()
    calls = []
    given = {"OutputFcn": calls.append}
    for folder in (tmp_path / "missing", __file__):
        with pytest.raises(OptionError, match="CheckpointPath: needs a folder that exists.*mkdir"):
            trainNetwork(*data, layers, options(CheckpointPath=str(folder), **given))
    unsaved = [featureInputLayer(4), functionLayer(np.tanh, Name="f"), fullyConnectedLayer(2), *layers[-2:]]
    with pytest.raises(OptionError, match="functionLayer 'f': PredictFcn is the function tanh"):
        trainNetwork(*data, unsaved, options(CheckpointPath=str(tmp_path), **given))

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoints.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(OptionError, match="needs a folder that can be written to.*Permission denied"):
        trainNetwork(*data, layers, options(CheckpointPath=str(tmp_path), **given))
    assert not calls and not os.listdir(tmp_path)


def test_errors_in_the_middle_are_said_once_and_end_nothing(tmp_path, capsys):
    data, layers = dense()
    folder = tmp_path / "folder"
    folder.mkdir()
    more = {"CheckpointFrequencyUnit": "iteration"}
    rng(0)
    expected = trainNetwork(*data, layers, options(**more))

    def remove(information):
        if information.State == "iteration" and information.Iteration in (4, 9):
            shutil.move(*((folder, tmp_path / "away") if information.Iteration == 4 else (tmp_path / "away", folder)))

    rng(0)
    net = trainNetwork(*data, layers, options(CheckpointPath=str(folder), OutputFcn=remove, **more))
    assert_same(net, expected)
    assert iterations(folder) == [1, 2, 3, 9, 10, 11, 12]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("trainNetwork: CheckpointPath: no checkpoint at iteration 4: ") and "No such file" in line


@pytest.mark.parametrize("solver", ["sgdm", "lbfgs"])
@pytest.mark.parametrize(
    "call, error",
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device")),
        ("replace", PermissionError(errno.EROFS, "Read-only file system")),
    ],
)
def test_a_full_or_read_only_disk_is_said_once_and_leaves_nothing_half_done(
    call, error, solver, tmp_path, capsys, monkeypatch
):
    data, layers = dense()
    more = {"CheckpointFrequencyUnit": "iteration"}
    rng(0)
    expected = trainNetwork(*data, layers, options(solver, **more))
    real, broken, opened = getattr(os, call), [False], builtins.open

    def fail(*given):
        if broken[0]:
            raise error
        return real(*given)

    class Full:
        """A file on a disk that takes a few bytes more."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, given):
            if self.file.tell() + len(given) > 3000:
                raise error
            return self.file.write(given)

    def full(path, mode="r", *given, **named):
        file = opened(path, mode, *given, **named)
        return Full(file) if broken[0] and "b" in mode and ("w" in mode or "x" in mode) else file

    def fill(information):
        if information.State == "iteration":
            broken[0] = information.Iteration in (3, 4, 6)

    monkeypatch.setattr(os, call, fail)
    if call == "fsync":
        monkeypatch.setattr(builtins, "open", full)
    rng(0)
    given = options(solver, CheckpointPath=str(tmp_path), OutputFcn=fill, **more)
    net, information = trainNetwork(*data, layers, given, nargout=2)
    broken[0] = False
    assert_same(net, expected)
    count = len(information.TrainingLoss)
    assert iterations(tmp_path) == [n for n in range(1, count + 1) if n not in (3, 4, 6)]
    assert not [name for name in os.listdir(tmp_path) if not name.startswith("net_checkpoint__")]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("trainNetwork: CheckpointPath: no checkpoint at iteration 3: ") and error.strerror in line
    assert_same(trainNetwork(*data, tmp_path, options(solver, **more)), expected)


def test_ctrl_c_writes_a_last_checkpoint(tmp_path):
    data, layers = dense()

    def interrupt(information):
        if information.State == "iteration" and information.Iteration == 6:
            os.kill(os.getpid(), signal.SIGINT)

    rng(0)
    expected = trainNetwork(*data, layers, options())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        rng(0)
        with pytest.raises(KeyboardInterrupt):
            trainNetwork(*data, layers, options(CheckpointPath=str(tmp_path), OutputFcn=interrupt))
    finally:
        signal.signal(signal.SIGINT, before)
    assert iterations(tmp_path) == [4, 6]
    assert_same(trainNetwork(*data, str(tmp_path), options()), expected)
