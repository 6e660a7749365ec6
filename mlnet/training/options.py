"""The options of training: one class for each solver."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from mlnet.data.columns import is_table
from mlnet.data.datastore import Datastore
from mlnet.errors import NotSupportedError, OptionError, nearest
from mlnet.options import Declared, Group, Option, Table, describe, plain_default
from mlnet.rules import (
    EMPTY,
    Refused,
    Rule,
    anything,
    choice,
    either,
    empty,
    flag,
    function,
    integer,
    is_empty,
    number,
    text,
    texts,
)


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

SCHEDULES = ("none", "piecewise", "warmup", "polynomial", "exponential", "cosine", "cyclical")

_SHARED = (
    _option("LearnRateSchedule", "none", choice(*SCHEDULES), "How the global learning rate changes."),
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
        "Validations whose loss is not below the best so far, before training stops.",
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
    _option("WorkerLoad", EMPTY, anything(), "Share of each worker; [] for none."),
    _option("OutputFcn", EMPTY, _FUNCTIONS, "Function, or list of functions, called after each iteration; true stops."),
    _option("Plots", "none", choice("none", "training-progress"), "Whether to draw the progress."),
    _option("SequenceLength", "longest", either(choice("longest", "shortest"), integer()), "Length of sequences."),
    _option("SequencePaddingValue", 0, number(), "Value that pads sequences."),
    _option("SequencePaddingDirection", "right", choice("right", "left"), "Where sequences are padded."),
    _option("DispatchInBackground", False, flag(), "Read mini-batches in the background."),
    _option("ResetInputNormalization", True, flag(), "Compute the statistics of the input layer anew."),
    _option(
        "BatchNormalizationStatistics",
        "population",
        choice("population", "population-exact", "moving", "auto"),
        "Statistics for prediction: one more pass over the training data ('population'), one more for each layer "
        "('population-exact', not in MATLAB), or moving averages; 'auto' is 'population'.",
    ),
    _option(
        "OutputNetwork",
        "last-iteration",
        choice("last-iteration", "best-validation-loss", "best-validation", "auto"),
        "Which network training returns.",
    ),
    _option("Acceleration", "auto", choice("auto", "none"), "'none' is the NumPy reference.", Group.HIDDEN),
    _option("Metrics", EMPTY, anything(), "Further metrics.", Group.HIDDEN),
    _option("ObjectiveMetricName", "loss", text(), "Metric that decides which network is best.", Group.HIDDEN),
    _option("InputDataFormats", "auto", either(text(), texts()), "Formats of the inputs.", Group.HIDDEN),
    _option("TargetDataFormats", "auto", either(text(), texts()), "Formats of the targets.", Group.HIDDEN),
    _option(
        "PreprocessingEnvironment",
        "serial",
        choice("serial", "background", "parallel"),
        "Where mini-batches are prepared.",
        Group.HIDDEN,
    ),
    _option("CategoricalInputEncoding", "integer", choice("integer", "one-hot"), "Form of inputs.", Group.HIDDEN),
    _option(
        "CategoricalTargetEncoding", "auto", choice("auto", "integer", "one-hot"), "Form of targets.", Group.HIDDEN
    ),
)


def _table(*solver: Option, learn_rate: float) -> Table:
    rate = _option("InitialLearnRate", learn_rate, number(0, above=True), "Global learning rate at the start.")
    return Table(*solver, rate, *_SHARED)


def _decay(name: str, default: float, doc: str) -> Option:
    return _option(name, default, number(0, 1, below=True), doc)


_EPSILON = _option("Epsilon", 1e-8, number(0, above=True), "Added to the root of the mean squared gradient.")


class TrainingOptions(Declared):
    """Base of the training options of all solvers."""

    constructor_name = "trainingOptions"


class TrainingOptionsSGDM(TrainingOptions):
    """Options of stochastic gradient descent with momentum."""

    constructor_name = "trainingOptions"
    table = _table(_option("Momentum", 0.9, number(0, 1), "Share of the step before in the next one."), learn_rate=0.01)


class TrainingOptionsADAM(TrainingOptions):
    """Options of Adam."""

    constructor_name = "trainingOptions"
    table = _table(
        _decay("GradientDecayFactor", 0.9, "Decay of the mean gradient."),
        _decay("SquaredGradientDecayFactor", 0.999, "Decay of the mean squared gradient."),
        _EPSILON,
        learn_rate=0.001,
    )


class TrainingOptionsRMSProp(TrainingOptions):
    """Options of RMSProp."""

    constructor_name = "trainingOptions"
    table = _table(
        _decay("SquaredGradientDecayFactor", 0.9, "Decay of the mean squared gradient."), _EPSILON, learn_rate=0.001
    )


SOLVERS: dict[str, type[TrainingOptions]] = {
    "sgdm": TrainingOptionsSGDM,
    "adam": TrainingOptionsADAM,
    "rmsprop": TrainingOptionsRMSProp,
}


def trainingOptions(solverName: str = "", *args: Any, **kwargs: Any) -> TrainingOptions:
    """Return the options of training for a solver.

    Parameters
    ----------
    solverName : 'sgdm', 'adam' or 'rmsprop'
        Stochastic gradient descent with momentum, Adam (Kingma and Ba, 2015), or RMSProp (Tieleman and Hinton, 2012).
    {options}

    Raises
    ------
    OptionError
        For a value that an option does not take.
    UnknownNameError
        For an option that does not exist.
    NotSupportedError
        For the solvers 'lbfgs' and 'lm'.

    Examples
    --------
    >>> from mlnet import trainingOptions
    >>> options = trainingOptions('sgdm', InitialLearnRate=0.05, MaxEpochs=4, Verbose=False)
    >>> options.Momentum, options.MiniBatchSize
    (0.9, 128)
    """
    name = solverName.lower() if isinstance(solverName, str) else solverName
    if name in ("lbfgs", "lm"):
        raise NotSupportedError(f"trainingOptions: the solver '{name}' is not supported yet. Use {_listed()}.")
    if name not in SOLVERS:
        hint = nearest(name, SOLVERS) if isinstance(name, str) else ""
        raise OptionError(f"trainingOptions: needs a solver name, {_listed()}, but got {describe(solverName)}.{hint}")
    return SOLVERS[name](*args, **kwargs)


def _describe_options() -> None:
    """Give `trainingOptions` the signature and the documentation of all options, from the tables of the solvers."""
    solvers_of: dict[str, list[str]] = {}
    options: dict[str, Option] = {}
    for solver, cls in SOLVERS.items():
        for option in cls.table.arguments.values():
            solvers_of.setdefault(option.name, []).append(solver)
            options.setdefault(option.name, option)
    parameters = [inspect.Parameter("solverName", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    lines = []
    for name, option in options.items():
        defaults = {solver: SOLVERS[solver].table.arguments[name].default for solver in solvers_of[name]}
        values = list(dict.fromkeys(describe(default) for default in defaults.values()))
        if len(values) > 1:
            values = [f"{describe(default)} ({solver})" for solver, default in defaults.items()]
        only = "" if len(defaults) == len(SOLVERS) else f" Only {' and '.join(defaults)}."
        lines += [f"{name} : {option.rule.needed}, default {', '.join(values)}", f"    {option.doc}{only}"]
        default = plain_default(option.default) if len(values) == 1 else None
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    text = "\n    ".join(lines)
    trainingOptions.__doc__ = (trainingOptions.__doc__ or "").replace("{options}", text)
    trainingOptions.__signature__ = inspect.Signature(parameters, return_annotation=TrainingOptions)  # type: ignore[attr-defined]


def _listed() -> str:
    names = [f"'{name}'" for name in SOLVERS]
    return f"{', '.join(names[:-1])} or {names[-1]}"


_describe_options()

_NOT_YET: dict[str, Callable[[Any], bool]] = {
    "LearnRateSchedule": lambda value: value in ("none", "piecewise"),
    "CheckpointPath": lambda value: value == "",
    "ExecutionEnvironment": lambda value: value in ("auto", "cpu"),
    "WorkerLoad": is_empty,
    "Metrics": is_empty,
    "ObjectiveMetricName": lambda value: value == "loss",
    "InputDataFormats": lambda value: value == "auto",
    "TargetDataFormats": lambda value: value == "auto",
    "CategoricalInputEncoding": lambda value: value == "integer",
    "CategoricalTargetEncoding": lambda value: value == "auto",
}
"""Options that are not built yet, with the values that they may have until then."""


def check_supported(options: TrainingOptions) -> None:
    """Raise `NotSupportedError` naming all options that ask for something that mlnet does not do yet."""
    asked = [
        f"{name}={describe(getattr(options, name))}"
        for name, works in _NOT_YET.items()
        if not works(getattr(options, name))
    ]
    if asked:
        raise NotSupportedError(f"trainNetwork: not supported yet: {', '.join(asked)}. Leave these options out.")
