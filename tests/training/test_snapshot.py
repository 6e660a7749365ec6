"""A training that goes on from a snapshot equals the unbroken one bit for bit."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from mlnet import (
    DataError,
    batchNormalizationLayer,
    classificationLayer,
    dropoutLayer,
    featureInputLayer,
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
from mlnet.engines.select import select_engine
from mlnet.network.resolve import resolve
from mlnet.randomness import spawn_generators
from mlnet.training.full_batch.trainer import FullBatchTrainer
from mlnet.training.loop import Trainer
from mlnet.training.prepare import data_set, initialized, training_data
from mlnet.training.snapshot import restore, snapshot

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(3, 2, (45, 4))
Y = (X[:, 0] + X[:, 1] > 6).astype(int)
SEQUENCES = [GENERATOR.normal(size=(2, length)) for length in (3, 9, 5, 1, 7, 4, 6, 2, 8, 5, 3)]


def dense():
    frozen = fullyConnectedLayer(6, WeightLearnRateFactor=0, Bias=np.zeros(6))
    layers = [
        featureInputLayer(4, Normalization="zscore"),
        frozen,
        batchNormalizationLayer(),
        reluLayer(),
        dropoutLayer(0.3),
    ]
    return X, Y, [*layers, fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]


def recurrent():
    layers = [sequenceInputLayer(2), lstmLayer(4), dropoutLayer(0.2), fullyConnectedLayer(1), regressionLayer()]
    return SEQUENCES, [each[:1] for each in SEQUENCES], layers


def make_trainer(case, solver, seed=0, **more):
    x, y, layers = case()
    all_data = {"MaxIterations": 5} if solver in ("lbfgs", "lm") else None
    mini_batches = {"MaxEpochs": 4, "MiniBatchSize": 7, "InitialLearnRate": 0.01}
    more = {"Verbose": False, "ValidationFrequency": 3, **(all_data or mini_batches), **more}
    options = trainingOptions(solver, **more)
    rng(seed)
    engine = select_engine()
    data, network = training_data(resolve(layers), x, y, options)
    validation, _ = data_set(network, x[:9], y[:9], "V")
    generators = spawn_generators()
    network = initialized(network, data.predictors, options, generators.initialization)
    kind = FullBatchTrainer if all_data else Trainer
    return kind(network, engine, data, validation, options, generators, lambda progress: "")


CASES = [
    (dense, "sgdm", {"Shuffle": "every-epoch"}),
    (dense, "adam", {"Shuffle": "once", "OutputNetwork": "best-validation-loss"}),
    (dense, "rmsprop", {"Shuffle": "never", "LearnRateSchedule": "piecewise", "LearnRateDropPeriod": 1}),
    (dense, "adam", {"Shuffle": "every-epoch", "DispatchInBackground": True}),
    (
        dense,
        "sgdm",
        {
            "LearnRateSchedule": ["warmup", "cosine"],
            "Metrics": ["fscore", "auc"],
            "ObjectiveMetricName": "auc",
            "OutputNetwork": "best-validation",
        },
    ),
    (recurrent, "adam", {"Shuffle": "every-epoch", "SequenceLength": 3, "MiniBatchSize": 4}),
]


@pytest.mark.parametrize("case, solver, more", CASES)
def test_going_on_is_not_to_be_told_from_never_stopping(case, solver, more):
    whole = make_trainer(case, solver, **more)
    states = [snapshot(whole) for _ in whole.iterations()]
    expected = whole.final_values()
    for stop in (0, len(states) // 4, len(states) // 3, len(states) - 2, len(states) - 1):
        again = make_trainer(case, solver, seed=5, **more)  # another seed: all randomness comes from the snapshot
        restore(again, states[stop], "resume")
        assert len(again.history) == stop + 1
        list(again.iterations())
        for one, other in zip(again.history, whole.history, strict=True):
            np.testing.assert_array_equal(
                [*one.numbers()[:2], *one.numbers()[3:]], [*other.numbers()[:2], *other.numbers()[3:]]
            )
        found = again.final_values()
        assert again.output_iteration == whole.output_iteration
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_another_training_is_refused():
    state = None
    trainer = make_trainer(dense, "adam")
    for _ in trainer.iterations():
        state = snapshot(trainer)
        break
    with pytest.raises(DataError, match="belongs to another training: solver, MiniBatchSize differ"):
        restore(make_trainer(dense, "sgdm", MiniBatchSize=5), state, "resume")
    with pytest.raises(DataError, match="observations, parameters differ|parameters"):
        restore(make_trainer(recurrent, "adam"), state, "resume")
    for name in ("version", "moving", "solver", "history"):
        damaged = {key: value for key, value in state.items() if key != name}
        target = make_trainer(dense, "adam")
        before = target.parameters.flat_values.copy()
        with pytest.raises(DataError, match="damaged"):
            restore(target, damaged, "resume")
        np.testing.assert_array_equal(target.parameters.flat_values, before)
    for name, value in (
        ("order", np.zeros(45)),
        ("history", np.zeros((1, 2))),
        ("dropout", "{}"),
        ("start", "x"),
        ("solver_iteration", np.nan),
        ("best_values", [1]),
        ("options", "adam"),
        ("solver", {slot: memory[:3] for slot, memory in state["solver"].items()}),
    ):
        with pytest.raises(DataError, match="damaged"):
            restore(make_trainer(dense, "adam"), {**state, name: value}, "resume")


@pytest.mark.parametrize("case, solver", [(dense, "lbfgs"), (recurrent, "lm")])
def test_damaged_snapshots_of_all_data_change_nothing(case, solver):
    states = []
    trainer = make_trainer(case, solver)
    trainer._checkpoint = lambda training, at_once: states.append(training.snapshot())
    trainer.run()
    state = states[-1]
    small = {} if solver == "lm" else {"steps": state["steps"][:1]}
    wrong = {"history": np.zeros((0, 2)), "place": np.zeros(3), "dropout": "{}", "first_norm": "x", **small}
    for name, value in [*((each, None) for each in state if each != "parameters"), *wrong.items()]:
        damaged = {**state, name: value}
        if value is None:
            del damaged[name]
        target = make_trainer(case, solver)
        before = target.parameters.flat_values.copy()
        with pytest.raises(DataError, match="damaged"):
            target.restore(damaged, "resume")
        assert target.point is None and not target.history
        np.testing.assert_array_equal(target.parameters.flat_values, before)


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
def test_ctrl_c_lets_the_iteration_end():
    seen = []

    def output(info):
        if info.State == "iteration":
            seen.append(info.Iteration)
            if info.Iteration == 5:
                os.kill(os.getpid(), signal.SIGINT)

    x, y, layers = dense()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background may ignore Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            trainNetwork(x, y, layers, trainingOptions("sgdm", MiniBatchSize=5, OutputFcn=output, Verbose=False))
        assert seen == [1, 2, 3, 4, 5]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
