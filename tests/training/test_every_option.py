"""No option is accepted and ignored: each one changes what a short training does, prints, returns or refuses."""

from __future__ import annotations

import ast
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from mlnet import (
    batchNormalizationLayer,
    categorical,
    featureInputLayer,
    fullyConnectedLayer,
    lstmLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.errors import MlnetError
from mlnet.training import train
from mlnet.training.options import SOLVERS

G = np.random.default_rng(0)
X = G.normal(2, 1, (20, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
SQUARE = X[:6], np.c_[np.eye(3), np.ones((3, 3))].T
VALIDATION = (X[::2] + 0.5, Y[::2] + 0.3)
WITH_VALIDATION = {"ValidationData": VALIDATION, "ValidationFrequency": 1}
WORSE = {"ValidationData": (X, -10 * Y), "ValidationFrequency": 1, "InitialLearnRate": 0.05}
LABELS = categorical(np.array(["a", "b"])[np.arange(20) % 2])
PIECES = [G.normal(size=(2, length)) for length in (3, 5, 4, 6)]


def dense(x=X, y=Y):
    first = featureInputLayer(x.shape[1], Normalization="zerocenter", Mean=np.ones((x.shape[1], 1)))
    outputs = y.shape[1] if len(y.shape) == 2 else 1
    return (
        x,
        y,
        [
            first,
            fullyConnectedLayer(4),
            batchNormalizationLayer(),
            tanhLayer(),
            fullyConnectedLayer(outputs),
            regressionLayer(),
        ],
    )


def square():
    return dense(X[:3], Y[:3, :1] + np.zeros((3, 3)) + np.arange(3))


def sequences():
    layers = [sequenceInputLayer(2), lstmLayer(3), fullyConnectedLayer(1), regressionLayer()]
    return PIECES, [each[:1] for each in PIECES], layers


def with_classes(change_input):
    x = categorical(np.array([["a", "b", "c"]] * 20)) if change_input else X
    return x, (Y if change_input else LABELS), dense(X, Y if change_input else Y[:, :1])[2]


CHANGES = {  # option: (value, other options that it needs, data)
    "Momentum": (0.5, {}, dense),
    "GradientDecayFactor": (0.5, {}, dense),
    "SquaredGradientDecayFactor": (0.5, {}, dense),
    "Epsilon": (1, {}, dense),
    "InitialLearnRate": (0.1, {}, dense),
    "LearnRateSchedule": ("cosine", {}, dense),
    "LearnRateDropFactor": (0.5, {"LearnRateSchedule": "piecewise", "LearnRateDropPeriod": 1}, dense),
    "LearnRateDropPeriod": (1, {"LearnRateSchedule": "piecewise"}, dense),
    "L2Regularization": (0.5, {}, dense),
    "GradientThresholdMethod": ("absolute-value", {"GradientThreshold": 0.1}, dense),
    "GradientThreshold": (0.1, {}, dense),
    "MaxEpochs": (5, {}, dense),
    "MaxIterations": (2, {}, dense),
    "MiniBatchSize": (5, {}, dense),
    "Verbose": (False, {}, dense),
    "VerboseFrequency": (1, {}, dense),
    "ValidationData": (VALIDATION, {}, dense),
    "ValidationFrequency": (2, {"ValidationData": VALIDATION}, dense),
    "ValidationPatience": (1, WORSE, dense),
    "Shuffle": ("never", {}, dense),
    "WorkerLoad": ([1], {}, dense),
    "ExecutionEnvironment": ("gpu", {}, dense),
    "OutputFcn": (lambda info: info.State == "iteration" and info.Iteration == 2, {}, dense),
    "SequenceLength": (2, {}, sequences),
    "SequencePaddingDirection": ("left", {"SequenceLength": "shortest"}, sequences),
    "DispatchInBackground": (True, {}, dense),
    "PreprocessingEnvironment": ("background", {}, dense),
    "ResetInputNormalization": (False, {}, dense),
    "BatchNormalizationStatistics": ("moving", {}, dense),
    "OutputNetwork": ("best-validation", WORSE, dense),
    "Acceleration": ("none", {}, dense),
    "Metrics": ("rsquared", {}, dense),
    "ObjectiveMetricName": (
        "mean_of_predictions",
        {**WITH_VALIDATION, "Metrics": lambda y, t: t.shape[1], "OutputNetwork": "best-validation"},
        dense,
    ),
    "InputDataFormats": ("CB", {}, square),
    "TargetDataFormats": ("CB", {}, square),
    "CategoricalInputEncoding": ("one-hot", {}, lambda: with_classes(True)),
    "CategoricalTargetEncoding": ("integer", {}, lambda: with_classes(False)),
    "HistorySize": (1, {}, dense),
    "InitialInverseHessianFactor": (0.01, {}, dense),
    "InitialStepSize": (0.01, {}, dense),
    "LineSearchMethod": ("backtracking", {"InitialInverseHessianFactor": 0.01}, dense),
    "MaxNumLineSearchIterations": (1, {"InitialInverseHessianFactor": 100}, dense),
    "GradientTolerance": (10, {}, dense),
    "StepTolerance": (10, {}, dense),
    "InitialDampingFactor": (1, {}, dense),
    "MaxDampingFactor": (1e-9, {}, dense),
    "DampingIncreaseFactor": (2, {"InitialDampingFactor": 1e-9}, dense),
    "DampingDecreaseFactor": (0.9, {}, dense),
}
ELSEWHERE = {
    "Plots": ["tests/plotting/test_training_progress.py::test_without_a_display_a_file_is_written_and_named"],
    "CheckpointPath": [
        "tests/training/test_checkpoints.py::test_when_and_under_which_name_they_are_written",
        "tests/training/test_checkpoints.py::test_checkpoints_of_training_with_all_data",
    ],
    "CheckpointFrequency": [
        "tests/training/test_checkpoints.py::test_when_and_under_which_name_they_are_written",
        "tests/training/test_checkpoints.py::test_checkpoints_of_training_with_all_data",
    ],
    "CheckpointFrequencyUnit": ["tests/training/test_checkpoints.py::test_when_and_under_which_name_they_are_written"],
    "Precision": [
        "tests/engines/onednn/test_mixed.py::test_training_ends_where_a_single_one_does",
        "tests/engines/onednn/test_mixed.py::test_refused_where_it_is_not_there",
    ],
    "SequencePaddingValue": ["tests/training/test_sequences.py::test_the_value_of_padding_reaches_no_result"],
}
"""Tests of options in other files, which fail where the option is ignored; of the last one, where it is not."""


@pytest.fixture
def trace(capsys, monkeypatch):
    """Return a function that trains, and returns everything that can be seen of it."""
    engines, threads = [], set()
    monkeypatch.setattr(
        train, "select_engine", lambda *args, original=train.select_engine: engines.append(args) or original(*args)
    )

    def run(solver, data, options):
        engines.clear()
        threads.clear()
        x, y, layers = data()
        if isinstance(x, np.ndarray):

            def watched(batch):
                threads.add(threading.current_thread() is threading.main_thread())
                return batch - 1

            if options.pop("watched", False):
                layers[0].Normalization = watched
        rng(0)
        try:
            net, info = trainNetwork(x, y, layers, trainingOptions(solver, **options), nargout=2)
        except MlnetError as error:
            return str(error)
        values = {
            f"{layer.Name}/{name}": getattr(layer, name)
            for layer in net.Layers
            for name in (*(each.name for each in layer.learnables), *layer.states)
        }
        numbers = {name: np.asarray(value).tolist() for name, value in {**info.fields(), **values}.items()}
        printed = re.sub(r"\d\d:\d\d:\d\d", "", capsys.readouterr().out)
        return repr((numbers, printed, engines, sorted(threads), np.asarray(net.Layers[0].Mean).tolist()))

    return run


@pytest.mark.parametrize(
    "solver, name", [(solver, name) for solver, cls in SOLVERS.items() for name in cls.table.options]
)
def test_option_changes_something(solver, name, trace):
    if name in ELSEWHERE:
        return
    value, needed, data = CHANGES[name]
    if name == "SequenceLength" and SOLVERS[solver].is_full_batch:
        value = "shortest"
    table = SOLVERS[solver].table.options
    if name == "ObjectiveMetricName":

        def mean_of_predictions(y, t):
            return float(np.mean(y.extractdata()))

        needed = {**needed, "Metrics": mean_of_predictions}
    base = {"MaxEpochs": 4, "MaxIterations": 8, "MiniBatchSize": 10 if data is not sequences else 2, **needed}
    base = {each: given for each, given in base.items() if each in table}
    if data is square and "MiniBatchSize" in base:
        base["MiniBatchSize"] = 3
    if name in ("DispatchInBackground", "PreprocessingEnvironment"):
        base["watched"] = True
    plain = trace(solver, data, dict(base))
    assert plain == trace(solver, data, dict(base)), "a training that is not the same twice shows nothing"
    assert plain != trace(solver, data, {**base, name: value})


def test_every_option_is_here():
    names = {name for cls in SOLVERS.values() for name in cls.table.options}
    assert names == set(CHANGES) | set(ELSEWHERE)
    assert not set(CHANGES) & set(ELSEWHERE)


@pytest.mark.parametrize("test", sorted({test for tests in ELSEWHERE.values() for test in tests}))
def test_tests_elsewhere_are_there(test):
    name, function = test.split("::")
    tree = ast.parse((Path(__file__).parent.parent.parent / name).read_text())
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == function]
    assert len(found) == 1
    marks = {getattr(each, "attr", "") for mark in found[0].decorator_list for each in ast.walk(mark)}
    assert not marks & {"skip", "skipif", "xfail"}
