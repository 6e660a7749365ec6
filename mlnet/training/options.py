"""The options of training: one class for each solver."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mlnet.errors import NotSupportedError, OptionError, nearest
from mlnet.options import Declared, Option, describe, plain_default
from mlnet.rules import is_empty
from mlnet.storage.kinds import Kinds
from mlnet.training import option_tables
from mlnet.training.caller import caller
from mlnet.training.metrics import BUILT_IN, ClassMetric, ResponseMetric, named_metrics, objective_name
from mlnet.training.schedules import Schedule, check_schedules


class TrainingOptions(Declared):
    """Base of the training options of all solvers."""

    constructor_name = "trainingOptions"
    is_full_batch = False

    def check(self) -> None:
        """Refuse schedules that never come to their turn, metrics of one name, and objectives that are none of them."""
        if "LearnRateSchedule" in self.table.options:
            check_schedules(self.where(), self.LearnRateSchedule)
        named = named_metrics(self.Metrics, self.where())
        objective_name(self.ObjectiveMetricName, named, BUILT_IN, self.where())


class TrainingOptionsSGDM(TrainingOptions):
    """Options of stochastic gradient descent with momentum."""

    table = option_tables.SGDM


class TrainingOptionsADAM(TrainingOptions):
    """Options of Adam."""

    table = option_tables.ADAM


class TrainingOptionsRMSProp(TrainingOptions):
    """Options of RMSProp."""

    table = option_tables.RMSPROP


class TrainingOptionsLBFGS(TrainingOptions):
    """Options of the limited-memory BFGS method."""

    table = option_tables.LBFGS
    is_full_batch = True


class TrainingOptionsLM(TrainingOptions):
    """Options of the Levenberg-Marquardt method."""

    table = option_tables.LM
    is_full_batch = True


SOLVERS: dict[str, type[TrainingOptions]] = {
    "sgdm": TrainingOptionsSGDM,
    "adam": TrainingOptionsADAM,
    "rmsprop": TrainingOptionsRMSProp,
    "lbfgs": TrainingOptionsLBFGS,
    "lm": TrainingOptionsLM,
}
for _kind in (
    *SOLVERS.values(),
    *Schedule.__subclasses__(),
    *ClassMetric.__subclasses__(),
    *ResponseMetric.__subclasses__(),
):
    Kinds.register(_kind)


def trainingOptions(solverName: str = "", *args: Any, **kwargs: Any) -> TrainingOptions:
    """Return the options of training for a solver.

    Parameters
    ----------
    solverName : 'sgdm', 'adam', 'rmsprop', 'lbfgs' or 'lm'
        Stochastic gradient descent with momentum, Adam (Kingma and Ba, 2015), RMSProp (Tieleman and Hinton, 2012);
        or with all observations in each step limited-memory BFGS (Liu and Nocedal, 1989), or Levenberg-Marquardt
        (Marquardt, 1963) for small networks with a regressionLayer.
    {options}

    Raises
    ------
    OptionError
        For a value that an option does not take.
    UnknownNameError
        For an option that does not exist.

    Examples
    --------
    >>> from mlnet import trainingOptions
    >>> options = trainingOptions('sgdm', InitialLearnRate=0.05, MaxEpochs=4, Verbose=False)
    >>> options.Momentum, options.MiniBatchSize
    (0.9, 128)
    """
    name = solverName.lower() if isinstance(solverName, str) else solverName
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
    "WorkerLoad": is_empty,
}
"""Options that are not built yet, with the values that they may have until then."""


def check_supported(options: TrainingOptions) -> None:
    """Raise `NotSupportedError` naming all options that ask for something that mlnet does not do yet."""
    asked = [
        f"{name}={describe(getattr(options, name))}"
        for name, works in _NOT_YET.items()
        if name in options.table.options and not works(getattr(options, name))
    ]
    if options.is_full_batch and options.Precision != "single":
        asked.append(f"Precision='{options.Precision}' with steps that take all data")
    if asked:
        raise NotSupportedError(f"{caller()}: not supported yet: {', '.join(asked)}. Leave these options out.")
