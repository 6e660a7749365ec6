"""The tables of the training options: which there are, their defaults, what they may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.options import Group, Option, Table
from mlnet.rules import (
    EMPTY,
    Refused,
    Rule,
    array,
    choice,
    either,
    empty,
    flag,
    function,
    integer,
    number,
    text,
    texts,
)
from mlnet.training import metrics, schedules


def _option(name: str, default: Any, rule: Rule, doc: str, group: Group = Group.PLAIN) -> Option:
    return Option(name, default, rule, doc, group)


def _function_list(value: Any) -> list[Callable[..., Any]]:
    if not isinstance(value, (list, tuple)) or not all(callable(item) for item in value):
        raise Refused
    return list(value)


_FUNCTIONS = either(empty(), function(), Rule("a list of functions", _function_list, ([1],)))


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Datastore) or is_table(value):
        return value, None
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise Refused
    *predictors, responses = value
    return (predictors[0] if len(predictors) == 1 else tuple(predictors)), responses


_VALIDATION = either(empty(), Rule("predictors and responses as (X, Y), a table, or a datastore", _pair, ("x", [1])))


def _format(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused
    label = value.upper()
    if set(label) - set("SCBT") or label.count("S") > 3 or any(label.count(each) > 1 for each in "CBT"):
        raise Refused
    return label


DATA_FORMAT = Rule("a format such as 'SSCB', 'BC' or 'CTB'", _format, ("", "SSSSCB", "CC", "XCB", "BB", "TT", 1, None))


def _formats(value: Any) -> list[str]:
    return [each if each == "auto" else _format(each) for each in texts().convert(value)]


FORMATS = Rule("a list of formats", _formats, (["x"], [1], ["CC"]))

_SHARED = (
    _option("LearnRateSchedule", "none", schedules.RULE, "How the global learning rate changes."),
    _option("LearnRateDropFactor", 0.1, number(0, 1), "Times the learning rate at each drop ('piecewise')."),
    _option("LearnRateDropPeriod", 10, integer(), "Epochs between drops ('piecewise')."),
    _option("L2Regularization", 1e-4, number(0), "Global factor of the L2 penalty on the weights."),
    _option(
        "GradientThresholdMethod",
        "l2norm",
        choice("l2norm", "global-l2norm", "absolute-value"),
        "How gradients above the threshold are cut: norm per parameter, norm of all, or element by element.",
    ),
    _option("GradientThreshold", math.inf, number(0, above=True, infinite=True), "Largest gradient."),
    _option("MaxEpochs", 30, integer(), "Passes over the training data."),
    _option("MiniBatchSize", 128, integer(), "Observations in a step; an incomplete last mini-batch is left out."),
    _option("Verbose", True, flag(), "Whether to print the table of progress."),
    _option("VerboseFrequency", 50, integer(), "Iterations between printed rows."),
    _option(
        "ValidationData",
        EMPTY,
        _VALIDATION,
        "Predictors and responses as (X, Y), a table, or a datastore; [] for none.",
    ),
    _option("ValidationFrequency", 50, integer(), "Iterations between validations."),
    _option(
        "ValidationPatience",
        math.inf,
        either(integer(), number(math.inf, infinite=True)),
        "Validations with nothing better than the best so far (see ObjectiveMetricName), before training stops.",
    ),
    _option("Shuffle", "once", choice("once", "never", "every-epoch"), "When the order of the data is mixed."),
    _option("CheckpointPath", "", text(), "Folder for checkpoints; '' for none."),
    _option("CheckpointFrequency", 1, integer(), "Epochs or iterations between checkpoints."),
    _option("CheckpointFrequencyUnit", "epoch", choice("epoch", "iteration"), "Unit of CheckpointFrequency."),
    _option(
        "ExecutionEnvironment",
        "auto",
        choice("auto", "cpu", "gpu", "multi-gpu", "parallel", "parallel-auto", "parallel-cpu", "parallel-gpu"),
        "Where to compute.",
    ),
    _option("WorkerLoad", EMPTY, array(low=0), "Share of each worker of a cluster, of which there is none; []."),
    _option("OutputFcn", EMPTY, _FUNCTIONS, "Function, or list of functions, called after each iteration; true stops."),
    _option("Plots", "none", choice("none", "training-progress"), "Whether to draw the progress."),
    _option("SequenceLength", "longest", either(choice("longest", "shortest"), integer()), "Length of sequences."),
    _option("SequencePaddingValue", 0, number(), "Reaches no result, as sequences are packed."),
    _option("SequencePaddingDirection", "right", choice("right", "left"), "Where sequences are padded."),
    _option(
        "DispatchInBackground",
        False,
        flag(),
        "Read mini-batches ahead: those of datastores on Linux in another process, else in a thread.",
    ),
    _option("ResetInputNormalization", True, flag(), "Compute the statistics of the input layer anew."),
    _option(
        "BatchNormalizationStatistics",
        "population",
        choice("population", "population-exact", "moving", "auto"),
        "Statistics for prediction: one more pass over the training data ('population'), one more for each layer "
        "('population-exact', not in MATLAB), or moving averages; 'auto' is 'population' in "
        "trainNetwork, and 'moving' in trainnet.",
    ),
    _option(
        "OutputNetwork",
        "last-iteration",
        choice("last-iteration", "best-validation-loss", "best-validation", "auto"),
        "Which network training returns; 'auto' is the best one where there are ValidationData, else the last.",
    ),
    _option("Acceleration", "auto", choice("auto", "none"), "'none' is the NumPy reference.", Group.HIDDEN),
    _option(
        "Precision",
        "single",
        choice("single", "mixed"),
        "'mixed' multiplies in bfloat16 where a step of training has convolutions and products, and keeps parameters, "
        "sums, statistics and the loss in single precision; needs the fast engine and a processor with bfloat16.",
        Group.HIDDEN,
    ),
    _option(
        "Metrics", EMPTY, metrics.RULE, "Further metrics: names, objects or functions f(Y, T), or a list.", Group.HIDDEN
    ),
    _option(
        "ObjectiveMetricName",
        "loss",
        text(),
        "What decides ValidationPatience and OutputNetwork='best-validation': 'loss', or the name of a metric.",
        Group.HIDDEN,
    ),
    _option(
        "InputDataFormats",
        "auto",
        either(choice("auto"), DATA_FORMAT, FORMATS),
        "Labels of the dimensions of X, one text for each input: S spatial, C channel, B observations, T time.",
        Group.HIDDEN,
    ),
    _option(
        "TargetDataFormats",
        "auto",
        either(choice("auto"), DATA_FORMAT, FORMATS),
        "The same for Y; a list has one for each output.",
        Group.HIDDEN,
    ),
    _option(
        "PreprocessingEnvironment",
        "serial",
        choice("serial", "background", "parallel"),
        "Where mini-batches are prepared.",
        Group.HIDDEN,
    ),
    _option(
        "CategoricalInputEncoding",
        "integer",
        choice("integer", "one-hot"),
        "How categorical inputs, also those of tables and datastores, become numbers: 1 to K for the K categories of "
        "the first data, or K indicators in place of each channel.",
        Group.HIDDEN,
    ),
    _option(
        "CategoricalTargetEncoding",
        "auto",
        choice("auto", "integer", "one-hot"),
        "How categorical responses of a network for regression become numbers: 'auto' refuses them; output layers of "
        "classes take classes as they are.",
        Group.HIDDEN,
    ),
)


def _table(*solver: Option, learn_rate: float) -> Table:
    rate = _option("InitialLearnRate", learn_rate, number(0, above=True), "Global learning rate at the start.")
    return Table(*solver, rate, *_SHARED)


def _decay(name: str, default: float, doc: str) -> Option:
    return _option(name, default, number(0, 1, below=True), doc)


_EPSILON = _option("Epsilon", 1e-8, number(0, above=True), "Added to the root of the mean squared gradient.")

SGDM = _table(_option("Momentum", 0.9, number(0, 1), "Share of the step before in the next one."), learn_rate=0.01)
ADAM = _table(
    _decay("GradientDecayFactor", 0.9, "Decay of the mean gradient."),
    _decay("SquaredGradientDecayFactor", 0.999, "Decay of the mean squared gradient."),
    _EPSILON,
    learn_rate=0.001,
)
RMSPROP = _table(
    _decay("SquaredGradientDecayFactor", 0.9, "Decay of the mean squared gradient."), _EPSILON, learn_rate=0.001
)

_OF_MINI_BATCHES = (
    "LearnRateSchedule LearnRateDropFactor LearnRateDropPeriod GradientThresholdMethod GradientThreshold MaxEpochs "
    "MiniBatchSize Shuffle CheckpointFrequencyUnit WorkerLoad DispatchInBackground "
    "PreprocessingEnvironment"
)


def _tolerance(name: str, doc: str) -> Option:
    return _option(name, 1e-5, number(0, above=True), doc)


def _whole(option: Option) -> Option:
    """Return an option of training with all data: sequences are not split."""
    return replace(option, rule=choice("longest", "shortest")) if option.name == "SequenceLength" else option


def _full_batch(*solver: Option) -> Table:
    shared = [_whole(option) for option in _SHARED if option.name not in _OF_MINI_BATCHES.split()]
    return Table(
        _option("MaxIterations", 1000, integer(), "Largest number of iterations."),
        *solver,
        _tolerance("GradientTolerance", "Norm of the gradient, relative to the first one, at which training stops."),
        _tolerance("StepTolerance", "Norm of a step at which training stops."),
        *shared,
    )


LBFGS = _full_batch(
    _option(
        "LineSearchMethod",
        "weak-wolfe",
        choice("weak-wolfe", "strong-wolfe", "backtracking"),
        "Which conditions a step has to meet.",
    ),
    _option("HistorySize", 10, integer(), "Steps that the inverse Hessian is approximated from."),
    _option("InitialInverseHessianFactor", 1, number(0, above=True), "Inverse Hessian of the first step, a factor."),
    _option(
        "InitialStepSize",
        EMPTY,
        either(empty(), choice("auto"), number(0, above=True)),
        "Largest change of a parameter in the first step, instead of InitialInverseHessianFactor; 'auto' for half of "
        "the largest parameter + 0.1.",
    ),
    _option("MaxNumLineSearchIterations", 20, integer(), "Largest number of losses that find the size of a step."),
)
LM = _full_batch(
    _option("InitialDampingFactor", 1e-3, number(0, above=True), "Damping of the first step."),
    _option("MaxDampingFactor", 1e10, number(0, above=True), "Damping beyond which training stops."),
    _option(
        "DampingIncreaseFactor", 10, number(1, above=True), "Times the damping where a step makes the loss larger."
    ),
    _option(
        "DampingDecreaseFactor",
        0.1,
        number(0, 1, above=True, below=True),
        "Times the damping where a step makes the loss smaller.",
    ),
)
