"""Learn-rate schedules against their formulas, and in training."""

import math

import numpy as np
import pytest

from mlnet import (
    NotSupportedError,
    OptionError,
    TrainingError,
    cosineLearnRate,
    cyclicalLearnRate,
    exponentialLearnRate,
    featureInputLayer,
    fullyConnectedLayer,
    piecewiseLearnRate,
    polynomialLearnRate,
    regressionLayer,
    rng,
    trainingOptions,
    trainNetwork,
    warmupLearnRate,
)
from mlnet.training.schedules import LearnRate

STEPS = range(25)


@pytest.mark.parametrize(
    "schedule, formula",
    [
        (
            warmupLearnRate(InitialFactor=0.2, FinalFactor=2, NumSteps=4, FrequencyUnit="epoch"),
            lambda s: [0.2, 0.65, 1.1, 1.55][s] if s < 4 else 2,
        ),
        (
            polynomialLearnRate(InitialFactor=2, FinalFactor=0.5, Power=3, NumSteps=10),
            lambda s: 0.5 + 1.5 * (1 - s / 10) ** 3 if s < 10 else 0.5,
        ),
        (exponentialLearnRate(DropFactor=0.3, Period=7), lambda s: math.exp(math.log(0.3) * s / 7)),
        (
            piecewiseLearnRate(DropFactor=0.3, Period=7),
            lambda s: 1 if s < 7 else 0.3 if s < 14 else 0.09 if s < 21 else 0.027,
        ),
        (
            cosineLearnRate(InitialFactor=1.5, FinalFactor=0.1, Period=6, PeriodGrowthFactor=2),
            lambda s: 0.8 + 0.7 * math.cos(math.pi * (s / 6 if s < 6 else (s - 6) / 12 if s < 18 else (s - 18) / 24)),
        ),
        (cosineLearnRate(Period=5), lambda s: 0.505 + 0.495 * math.cos(math.pi * (s % 5) / 5)),
        (
            cyclicalLearnRate(MaxFactor=5, Period=8, StepRatio=0.25),
            lambda s: 1 + 4 * np.interp(s % 8, [0, 2, 8], [0, 1, 0]),
        ),
    ],
)
def test_schedule_follows_its_formula(schedule, formula):
    assert [schedule.factor(step) for step in STEPS] == pytest.approx([formula(step) for step in STEPS])
    unit = schedule.FrequencyUnit
    options = trainingOptions("sgdm", InitialLearnRate=0.5, LearnRateSchedule=schedule)
    by_epoch = LearnRate(options, 3)
    assert unit == "epoch"
    rates = [by_epoch(1 + iteration // 3, 1 + iteration) for iteration in range(75)]
    assert rates == pytest.approx([0.5 * formula(iteration // 3) for iteration in range(75)])
    schedule = schedule.replaced(FrequencyUnit="iteration")
    by_iteration = LearnRate(trainingOptions("sgdm", InitialLearnRate=0.5, LearnRateSchedule=schedule), 3)
    rates = [by_iteration(1 + iteration // 3, 1 + iteration) for iteration in STEPS]
    assert rates == pytest.approx([0.5 * formula(iteration) for iteration in STEPS])


def rates(value, epochs=6, per_epoch=2, **more):
    """Return the rate of each iteration."""
    options = trainingOptions("adam", InitialLearnRate=1, MaxEpochs=epochs, LearnRateSchedule=value, **more)
    rate = LearnRate(options, per_epoch)
    return [rate(1 + iteration // per_epoch, 1 + iteration) for iteration in range(epochs * per_epoch)]


def test_names():
    epochs = np.repeat(np.arange(6), 2)
    assert rates("none") == [1] * 12
    found = rates("piecewise", LearnRateDropPeriod=2, LearnRateDropFactor=0.4)
    assert found == pytest.approx([1] * 4 + [0.4] * 4 + [0.16] * 4)
    assert rates("piecewise", LearnRateDropPeriod=2, LearnRateDropFactor=0) == [1] * 4 + [0] * 8
    assert rates("warmup") == pytest.approx([0.1, 0.28, 0.46, 0.64, 0.82] + [1] * 7)
    assert rates("polynomial") == pytest.approx(0.01 + 0.99 * (1 - epochs / 6))
    assert rates("exponential") == pytest.approx(0.1 ** (epochs / 10))
    assert rates("cosine") == pytest.approx(0.01 + 0.99 * (1 + np.cos(np.pi * epochs / 6)) / 2)
    assert rates("cyclical") == pytest.approx(1 + 9 * epochs / 5)


def test_schedules_one_after_the_other():
    drop = piecewiseLearnRate(DropFactor=0.5, Period=3, FrequencyUnit="iteration")
    found = rates([warmupLearnRate(NumSteps=2, FrequencyUnit="epoch"), drop])
    assert found == pytest.approx([0.1] * 2 + [0.55] * 2 + [1] * 3 + [0.5] * 3 + [0.25] * 2)
    found = rates(["warmup", "cosine"])  # 5 iterations are 2 epochs and a half: epochs go on from the third
    left = 0.01 + 0.99 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    assert found == pytest.approx([0.1, 0.28, 0.46, 0.64, 0.82, *np.repeat(left, 2)[1:]])
    assert rates([warmupLearnRate(NumSteps=1), "none"][:1]) == pytest.approx([0.1] + [1] * 11)
    assert rates(["warmup"]) == rates("warmup")


def test_function_of_the_epoch():
    assert rates(lambda base, epoch: base / epoch) == pytest.approx(1 / np.repeat(np.arange(1, 7), 2))
    found = rates([warmupLearnRate(NumSteps=2), lambda base, epoch: base * epoch], epochs=3)
    assert found == pytest.approx([0.1, 0.55, 2, 2, 3, 3])
    for bad in (lambda base, epoch: "x", lambda base, epoch: -1, lambda base, epoch: math.nan):
        with pytest.raises(TrainingError, match="LearnRateSchedule: the function needs to return a positive"):
            rates(bad)


def test_a_schedule_that_never_gets_its_turn_is_refused():
    for first in ("cosine", piecewiseLearnRate(), lambda base, epoch: base):
        with pytest.raises(OptionError, match="schedule 1 .* does not end, but others follow"):
            trainingOptions("sgdm", LearnRateSchedule=[first, "warmup"])
    with pytest.raises(OptionError, match="LearnRateSchedule"):
        trainingOptions("sgdm", LearnRateSchedule=["none", "warmup"])
    options = trainingOptions("sgdm", LearnRateSchedule=["warmup", "cosine"])
    with pytest.raises(NotSupportedError, match="same FrequencyUnit"):
        LearnRate(options, None)
    assert LearnRate(trainingOptions("sgdm", LearnRateSchedule="warmup"), None)(1, 2) == pytest.approx(0.0028)


X = np.random.default_rng(0).normal(size=(24, 2))
Y = X @ [1.0, -2.0]


def train(**more):
    layers = [featureInputLayer(2), fullyConnectedLayer(1), regressionLayer()]
    rng(0)
    options = trainingOptions(
        "sgdm", **{"MaxEpochs": 5, "MiniBatchSize": 8, "Verbose": False, "InitialLearnRate": 0.05, **more}
    )
    net, info = trainNetwork(X, Y, layers, options, nargout=2)
    return net.Layers[1].Weights, info


@pytest.mark.parametrize("schedule", ["warmup", "polynomial", "exponential", "cosine", "cyclical", cyclicalLearnRate])
def test_schedule_changes_training_and_shows(schedule, capsys):
    plain, _ = train()
    weights, info = train(LearnRateSchedule=schedule, Verbose=True, VerboseFrequency=1)
    assert np.abs(weights - plain).max() > 1e-4
    assert len(set(info.BaseLearnRate)) >= 5
    printed = [
        line.split("|")[-2].strip() for line in capsys.readouterr().out.splitlines() if line[:10].strip("| ").isdigit()
    ]
    assert [float(text) for text in printed] == pytest.approx(info.BaseLearnRate, abs=6e-5)
