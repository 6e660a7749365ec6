"""Learn-rate schedules: how the global learning rate changes from step to step.

A step is an epoch or an iteration, counted from 0. A schedule is a function of the step alone, so that a training that
goes on from a checkpoint takes the rates of an unbroken one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from mlnet.errors import NotSupportedError, OptionError, TrainingError
from mlnet.options import Declared, Derived, Group, Option, Table, describe
from mlnet.rules import Refused, Rule, choice, either, integer, number
from mlnet.training.caller import caller

_POSITIVE = number(0, above=True)
_SHARE = number(0, 1, above=True, below=True)


def _option(name: str, default: Any, rule: Rule, doc: str) -> Option:
    return Option(name, default, rule, doc, Group.PLAIN)


def _unit(default: str) -> Option:
    return _option("FrequencyUnit", default, choice("epoch", "iteration"), "What a step is.")


_ENDLESS = Derived("NumSteps", lambda schedule: math.inf, "Inf: the schedule does not end.", Group.PLAIN)


def _initial(default: float) -> Option:
    return _option("InitialFactor", default, _POSITIVE, "Times the base learning rate at the first step.")


def _final(default: float) -> Option:
    return _option("FinalFactor", default, _POSITIVE, "Times the base learning rate at the end.")


class Schedule(Declared):
    """Base of the learn-rate schedules; each has NumSteps, how many steps it takes, and a FrequencyUnit."""

    def factor(self, step: int) -> float:
        """Return what the base learning rate is multiplied by at a step, counted from 0."""
        raise NotImplementedError


S = TypeVar("S", bound=type[Schedule])


def _documented(cls: S) -> S:
    """Give a schedule the signature and the list of parameters of its table."""
    cls.constructor_name = cls.__name__
    cls.__signature__ = cls.table.signature(cls)  # type: ignore[attr-defined]
    cls.__doc__ = (cls.__doc__ or "").replace("{parameters}", cls.table.documentation().replace("\n", "\n    "))
    return cls


@_documented
class warmupLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that rises at the beginning of training.

    ``rate = base * (InitialFactor + (FinalFactor - InitialFactor) * step / NumSteps)``, and ``base * FinalFactor`` from
    step NumSteps on.

    {parameters}

    Examples
    --------
    >>> from mlnet import warmupLearnRate
    >>> warmupLearnRate(NumSteps=3, FrequencyUnit='epoch')
      warmupLearnRate with properties:
    <BLANKLINE>
        InitialFactor: 0.1000
          FinalFactor: 1
             NumSteps: 3
        FrequencyUnit: 'epoch'
    """

    table = Table(_initial(0.1), _final(1), _option("NumSteps", 5, integer(), "Steps of the rise."), _unit("iteration"))

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        share = min(step / self.NumSteps, 1)
        return float(self.InitialFactor + (self.FinalFactor - self.InitialFactor) * share)


@_documented
class polynomialLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that drops by a power law.

    ``rate = base * (FinalFactor + (InitialFactor - FinalFactor) * (1 - step / NumSteps)**Power)``, and
    ``base * FinalFactor`` from step NumSteps on.

    {parameters}

    Examples
    --------
    >>> from mlnet import polynomialLearnRate
    >>> polynomialLearnRate(Power=2)
      polynomialLearnRate with properties:
    <BLANKLINE>
        InitialFactor: 1
          FinalFactor: 0.0100
                Power: 2
             NumSteps: 30
        FrequencyUnit: 'epoch'
    """

    table = Table(
        _initial(1),
        _final(0.01),
        _option("Power", 1, _POSITIVE, "Exponent of the power law."),
        _option("NumSteps", 30, integer(), "Steps of the drop."),
        _unit("epoch"),
    )

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        rest = max(1 - step / self.NumSteps, 0) ** self.Power
        return float(self.FinalFactor + (self.InitialFactor - self.FinalFactor) * rest)


@_documented
class exponentialLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that decays exponentially: ``rate = base * DropFactor**(step / Period)``.

    {parameters}

    Examples
    --------
    >>> from mlnet import exponentialLearnRate
    >>> exponentialLearnRate(DropFactor=0.5)
      exponentialLearnRate with properties:
    <BLANKLINE>
           DropFactor: 0.5000
               Period: 10
        FrequencyUnit: 'epoch'
             NumSteps: Inf
    """

    table = Table(
        _option("DropFactor", 0.1, _SHARE, "Times the learning rate after Period steps."),
        _option("Period", 10, integer(), "Steps that make a factor of DropFactor."),
        _unit("epoch"),
        _ENDLESS,
    )

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        return float(self.DropFactor ** (step / self.Period))


@_documented
class piecewiseLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that drops at once after each period: ``rate = base * DropFactor**floor(step / Period)``.

    {parameters}

    Examples
    --------
    >>> from mlnet import piecewiseLearnRate
    >>> piecewiseLearnRate(DropFactor=0.5, Period=50, FrequencyUnit='iteration')
      piecewiseLearnRate with properties:
    <BLANKLINE>
           DropFactor: 0.5000
               Period: 50
        FrequencyUnit: 'iteration'
             NumSteps: Inf
    """

    table = Table(
        _option("DropFactor", 0.1, _SHARE, "Times the learning rate at each drop."),
        _option("Period", 10, integer(), "Steps between drops."),
        _unit("epoch"),
        _ENDLESS,
    )

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        return float(self.DropFactor ** (step // self.Period))


@_documented
class cosineLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that drops along a cosine and starts again (Loshchilov and Hutter, 2017).

    ``rate = base * (FinalFactor + (InitialFactor - FinalFactor) / 2 * (1 + cos(pi * t / T)))`` with t the steps since
    the last start. T is Period at first, and after each start PeriodGrowthFactor times as long.

    {parameters}

    Examples
    --------
    >>> from mlnet import cosineLearnRate
    >>> cosineLearnRate(Period=30)
      cosineLearnRate with properties:
    <BLANKLINE>
             InitialFactor: 1
               FinalFactor: 0.0100
                    Period: 30
        PeriodGrowthFactor: 1
             FrequencyUnit: 'epoch'
                  NumSteps: Inf
    """

    table = Table(
        _initial(1),
        _final(0.01),
        _option("Period", 10, integer(), "Steps from the first start to the second."),
        _option("PeriodGrowthFactor", 1, number(1, infinite=True), "Times the period after each start."),
        _unit("epoch"),
        _ENDLESS,
    )

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        period, since, growth = float(self.Period), float(step), self.PeriodGrowthFactor
        if growth == 1:
            since %= period
        while since >= period:
            since -= period
            period *= growth
        cosine = (1 + math.cos(math.pi * since / period)) / 2
        return float(self.FinalFactor + (self.InitialFactor - self.FinalFactor) * cosine)


@_documented
class cyclicalLearnRate(Schedule):  # noqa: N801 - MATLAB's name
    """Learning rate that rises and falls again in each period (Smith, 2017).

    With t the steps since the period began and ``R = StepRatio * Period``: ``rate = base * (1 + (MaxFactor - 1) * u)``,
    where ``u = t / R`` up to R and ``u = (Period - t) / (Period - R)`` after it.

    {parameters}

    Examples
    --------
    >>> from mlnet import cyclicalLearnRate
    >>> cyclicalLearnRate(MaxFactor=2)
      cyclicalLearnRate with properties:
    <BLANKLINE>
            MaxFactor: 2
               Period: 10
            StepRatio: 0.5000
        FrequencyUnit: 'epoch'
             NumSteps: Inf
    """

    table = Table(
        _option("MaxFactor", 10, _POSITIVE, "Times the base learning rate at the top."),
        _option("Period", 10, integer(), "Steps of one rise and fall."),
        _option("StepRatio", 0.5, _SHARE, "Share of the period in which the learning rate rises."),
        _unit("epoch"),
        _ENDLESS,
    )

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        since, top = step % self.Period, self.StepRatio * self.Period
        height = since / top if since <= top else (self.Period - since) / (self.Period - top)
        return float(1 + (self.MaxFactor - 1) * height)


NAMES = ("none", "piecewise", "warmup", "polynomial", "exponential", "cosine", "cyclical")
_NAME = choice(*NAMES)
_NEEDED = "a schedule such as cosineLearnRate(), a function rate = f(base, epoch)"


def _one(value: Any) -> Any:
    if isinstance(value, Schedule) or (callable(value) and not isinstance(value, type)):
        return value
    if isinstance(value, type) and issubclass(value, Schedule):
        return value()
    return _NAME.convert(value)


def _several(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise Refused
    found = [_one(item) for item in value]
    if len(found) > 1 and "none" in found:
        raise Refused
    return found


RULE = either(
    _NAME,
    Rule(
        f"{_NEEDED}, or a list of these that are applied one after the other",
        lambda value: _several(value) if isinstance(value, (list, tuple)) else _one(value),
        (1, [], ["none", "warmup"], ["x"], [1], None),
    ),
)
"""What LearnRateSchedule may be."""


def check_schedules(where: str, value: Any) -> None:
    """Raise `OptionError` where a schedule that does not end is followed by another one."""
    for number_, schedule in enumerate(value[:-1] if isinstance(value, list) else (), start=1):
        name = schedule if isinstance(schedule, str) else describe(schedule)
        is_endless = (
            schedule in ("piecewise", "exponential", "cosine", "cyclical", "polynomial")
            if isinstance(schedule, str)
            else not (isinstance(schedule, Schedule) and math.isfinite(schedule.NumSteps))
        )
        if is_endless:
            raise OptionError(
                f"{where}: LearnRateSchedule: schedule {number_} ({name}) does not end, but others follow. "
                "Put it last, or give a schedule with NumSteps, such as warmupLearnRate or polynomialLearnRate."
            )


class LearnRate:
    """The global learning rate of a training, as a function of the epoch and the iteration.

    Schedules that are given by name have the values of their class; 'piecewise' takes LearnRateDropFactor and
    LearnRateDropPeriod, 'polynomial' and 'cosine' last as long as the training goes on, in epochs. In a list, each
    schedule starts from InitialLearnRate and counts its steps from where the one before ended.

    Parameters
    ----------
    options : TrainingOptions
    per_epoch : int or None
        Iterations of an epoch; None where epochs differ.

    Raises
    ------
    NotSupportedError
        Where schedules in a list count epochs as well as iterations, and epochs differ.
    """

    def __init__(self, options: Any, per_epoch: int | None) -> None:
        given = options.LearnRateSchedule
        self._base, self._options = float(options.InitialLearnRate), options
        parts = given if isinstance(given, list) else [given]
        units = {part.FrequencyUnit for part in parts if isinstance(part, Schedule)}
        units |= {"iteration" if part == "warmup" else "epoch" for part in parts if not isinstance(part, Schedule)}
        if per_epoch is None and len(units) > 1:
            raise NotSupportedError(
                f"{caller()}: LearnRateSchedule: a list of schedules in epochs and in iterations needs epochs of the "
                "same number of iterations, but SequenceLength is a number. Give all the same FrequencyUnit."
            )
        self._stages = _stages(parts, per_epoch or 1, options)

    def __call__(self, epoch: int, iteration: int) -> float:
        """Return the learning rate in an epoch and iteration, both counted from 1."""
        now = {"epoch": epoch - 1, "iteration": iteration - 1}
        stage = next(stage for stage in self._stages if now[stage.unit] < stage.end)
        if stage.schedule is None:
            return self._base
        if not isinstance(stage.schedule, Schedule):
            return self._checked(stage.schedule(self._base, epoch), epoch)
        return self._base * stage.schedule.factor(now[stage.unit] - stage.first)

    @staticmethod
    def _checked(rate: Any, epoch: int) -> float:
        try:
            value = float(rate)
        except (TypeError, ValueError):
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise TrainingError(
                f"{caller()}: LearnRateSchedule: the function needs to return a positive learning rate, but returned "
                f"{describe(rate)} in epoch {epoch}."
            )
        return value


class _Stage(NamedTuple):
    """A schedule, function or None, with the steps from 0 that it counts from and that it ends at."""

    schedule: Any
    first: int
    end: float
    unit: str


def _stages(parts: Sequence[Any], per_epoch: int, options: Any) -> list[_Stage]:
    stages: list[_Stage] = []
    begin = 0  # iteration from 0
    for part in parts:
        schedule = _named(part, begin // per_epoch, options) if isinstance(part, str) else part
        if not isinstance(schedule, Schedule):
            stages.append(_Stage(schedule, 0, math.inf, "epoch"))
            continue
        in_epochs = schedule.FrequencyUnit == "epoch"
        first = begin // per_epoch if in_epochs else begin
        end = first + schedule.NumSteps
        last = len(stages) == len(parts) - 1
        stages.append(_Stage(schedule, first, math.inf if last else end, schedule.FrequencyUnit))
        if math.isfinite(end):
            begin = int(end) * (per_epoch if in_epochs else 1)
    return stages


def _named(name: str, epochs_before: int, options: Any) -> Schedule | Callable[..., Any] | None:
    rest = max(1, options.MaxEpochs - epochs_before)
    if name == "none":
        return None
    if name == "piecewise":
        # LearnRateDropFactor may be 0 or 1, which a piecewiseLearnRate does not take
        return piecewiseLearnRate(Period=options.LearnRateDropPeriod).replaced(DropFactor=options.LearnRateDropFactor)
    if name == "polynomial":
        return polynomialLearnRate(NumSteps=rest)
    if name == "cosine":
        return cosineLearnRate(Period=rest)
    return {"warmup": warmupLearnRate, "exponential": exponentialLearnRate, "cyclical": cyclicalLearnRate}[name]()
