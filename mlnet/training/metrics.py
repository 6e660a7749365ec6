"""Metrics of training: how good the predictions of a network are, besides its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from mlnet.errors import OptionError, nearest
from mlnet.options import Declared, Derived, Group, Option, Table, constructs
from mlnet.rules import EMPTY, Refused, Rule, choice, either, empty, integer, is_empty, number, text


def _option(name: str, default: Any, rule: Rule, doc: str) -> Option:
    return Option(name, default, rule, doc, Group.PLAIN)


def _table(name: str, *entries: Option, maximize: bool, averages: str | None = None) -> Table:
    shared = (
        _option("Name", name, text(), "Name of the columns, and the end of the names of fields."),
        _option("NetworkOutput", EMPTY, either(empty(), text()), "Name of the output layer; [] for the only one."),
    )
    of_classes = (
        _option(
            "ClassificationMode",
            "single-label",
            choice("single-label", "multilabel"),
            "Whether each observation is of one class, or has any number of labels: targets 0 and 1, and outputs from "
            "0 to 1, of which those above 0.5 are predictions.",
        ),
        _option(
            "AverageType",
            averages,
            choice("micro", "macro", "weighted"),
            "All observations alike ('micro'), the mean over the classes that occur ('macro'), or that weighted by "
            "how often they occur ('weighted').",
        ),
    )
    return Table(
        *shared,
        *entries,
        *(of_classes if averages else ()),
        Derived("Maximize", lambda metric: maximize, "Whether higher values are better.", Group.PLAIN),
    )


M = TypeVar("M", bound="Metric")


class Metric(Declared):
    """Base of the metrics."""

    of_classes: ClassVar[bool]
    """Whether it takes classes, or responses."""

    @property
    def is_multilabel(self) -> bool:
        """Whether observations have any number of labels."""
        return self.of_classes and self.ClassificationMode == "multilabel"

    def update(self: M, Y: Any, T: Any) -> M:  # noqa: N803
        """Return the metric that has taken in predictions and targets; see `mlnet.update`."""
        from mlnet.training.own_loops.metric_values import update

        return update(self, Y, T)

    def evaluate(self) -> float:
        """Return the value of the metric of all that it has taken in; see `mlnet.evaluate`."""
        from mlnet.training.own_loops.metric_values import evaluate

        return evaluate(self)

    def reset(self: M) -> M:
        """Return the metric as it was before it took anything in."""
        return self.copy()


class ClassMetric(Metric):
    """Base of the metrics of classification."""

    of_classes = True


class ResponseMetric(Metric):
    """Base of the metrics of regression."""

    of_classes = False


class AccuracyMetric(ClassMetric):
    """Share of the observations whose class is predicted."""

    table = _table(
        "Accuracy",
        _option("NumTopKClasses", 1, integer(), "The class needs to be among this many with the highest scores."),
        maximize=True,
        averages="micro",
    )

    def check(self) -> None:
        """Refuse top classes of observations with several labels."""
        if self.is_multilabel and self.NumTopKClasses > 1:
            raise OptionError(
                f"{self.where()}: NumTopKClasses: needs to be 1 for ClassificationMode='multilabel', but is "
                f"{self.NumTopKClasses}."
            )


class PrecisionMetric(ClassMetric):
    """Share of the predictions of a class that are right."""

    table = _table("Precision", maximize=True, averages="macro")


class RecallMetric(ClassMetric):
    """Share of the observations of a class that are found."""

    table = _table("Recall", maximize=True, averages="macro")


class FScoreMetric(ClassMetric):
    """Harmonic mean of precision and recall."""

    table = _table(
        "FScore",
        _option("Beta", 1, number(0, above=True), "How much more recall counts than precision."),
        maximize=True,
        averages="macro",
    )


class AUCMetric(ClassMetric):
    """Area under the receiver operating characteristic."""

    table = _table("AUC", maximize=True, averages="macro")


class RMSEMetric(ResponseMetric):
    """Root mean squared error."""

    table = _table("RMSE", maximize=False)


class MAPEMetric(ResponseMetric):
    """Mean absolute percentage error."""

    table = _table("MAPE", maximize=False)


class RSquaredMetric(ResponseMetric):
    """Coefficient of determination."""

    table = _table("RSquared", maximize=True)


@constructs(AccuracyMetric)
def accuracyMetric() -> None:
    """Create the metric of the share of observations whose class is predicted, in percent.

    'macro' is the mean over the classes of the share of their observations.

    {parameters}

    Examples
    --------
    >>> from mlnet import accuracyMetric
    >>> accuracyMetric(NumTopKClasses=5, Name='Top5')
      AccuracyMetric with properties:
    <BLANKLINE>
                      Name: 'Top5'
             NetworkOutput: []
            NumTopKClasses: 5
        ClassificationMode: 'single-label'
               AverageType: 'micro'
                  Maximize: 1
    """


@constructs(PrecisionMetric)
def precisionMetric() -> None:
    """Create the metric of precision: ``TP / (TP + FP)`` for each class, 0 for one that is never predicted.

    {parameters}

    Examples
    --------
    >>> from mlnet import precisionMetric
    >>> precisionMetric().AverageType
    'macro'
    """


@constructs(RecallMetric)
def recallMetric() -> None:
    """Create the metric of recall: ``TP / (TP + FN)`` for each class, 0 for one that is predicted only.

    {parameters}

    Examples
    --------
    >>> from mlnet import recallMetric
    >>> recallMetric(AverageType='weighted').AverageType
    'weighted'
    """


@constructs(FScoreMetric)
def fScoreMetric() -> None:
    """Create the metric of the F-score: ``(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)`` for each class, b = Beta.

    {parameters}

    Examples
    --------
    >>> from mlnet import fScoreMetric
    >>> fScoreMetric(Beta=2)
      FScoreMetric with properties:
    <BLANKLINE>
                      Name: 'FScore'
             NetworkOutput: []
                      Beta: 2
        ClassificationMode: 'single-label'
               AverageType: 'macro'
                  Maximize: 1
    """


@constructs(AUCMetric)
def aucMetric() -> None:
    """Create the metric of the area under the receiver operating characteristic, one class against the others.

    It is the share of pairs of an observation of the class and another one whose scores are in the right order; equal
    scores count half. Classes without both kinds of observations are left out; 'micro' takes all scores in one.

    {parameters}

    Examples
    --------
    >>> from mlnet import aucMetric
    >>> aucMetric().Name
    'AUC'
    """


@constructs(RMSEMetric)
def rmseMetric() -> None:
    """Create the metric of the root mean squared error: ``sqrt(mean((Y - T)^2))`` over observations and responses.

    Its name is that of the RMSE that training always shows, which sums over the responses; it takes its place.

    {parameters}

    Examples
    --------
    >>> from mlnet import rmseMetric
    >>> rmseMetric()
      RMSEMetric with properties:
    <BLANKLINE>
                 Name: 'RMSE'
        NetworkOutput: []
             Maximize: 0
    """


@constructs(MAPEMetric)
def mapeMetric() -> None:
    """Create the metric of the mean absolute percentage error: ``100 mean(|(T - Y) / T|)``.

    {parameters}

    Examples
    --------
    >>> from mlnet import mapeMetric
    >>> mapeMetric().Name
    'MAPE'
    """


@constructs(RSquaredMetric)
def rSquaredMetric() -> None:
    """Create the metric R squared: ``1 - sum((Y - T)^2) / sum((T - mean(T))^2)``, the mean over the responses.

    It is NaN where the targets of a response are all the same.

    {parameters}

    Examples
    --------
    >>> from mlnet import rSquaredMetric
    >>> rSquaredMetric().Maximize
    True
    """


BY_NAME: dict[str, type[Metric]] = {
    "accuracy": AccuracyMetric,
    "fscore": FScoreMetric,
    "precision": PrecisionMetric,
    "recall": RecallMetric,
    "auc": AUCMetric,
    "rmse": RMSEMetric,
    "mape": MAPEMetric,
    "rsquared": RSquaredMetric,
}
_NAME = choice(*BY_NAME)
BUILT_IN = ("Accuracy", "RMSE")
"""Metrics that training always has: the first for classes, the second for responses."""


def _one(value: Any) -> Any:
    if isinstance(value, Metric) or (callable(value) and not isinstance(value, type)):
        constructed = getattr(value, "constructs", None)  # accuracyMetric without parentheses
        return constructed() if constructed is not None else value
    return _NAME.convert(value)


def _several(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and value:
        return [_one(item) for item in value]
    if isinstance(value, (list, tuple)):
        raise Refused
    return _one(value)


RULE = either(
    empty(),
    Rule(
        f"{_NAME.needed}, a metric such as fScoreMetric(), a function f(Y, T), or a list of these",
        _several,
        (1, ["x"], [1], "no such metric"),
        _NAME.names,
    ),
)
"""What Metrics may be."""


def as_metrics(value: Any) -> list[Metric | Callable[..., Any]]:
    """Return what Metrics holds as a list of metrics and functions."""
    given = value if isinstance(value, list) else [] if is_empty(value) else [value]
    return [BY_NAME[each]() if isinstance(each, str) else each for each in given]


def named_metrics(value: Any, where: str = "trainNetwork") -> dict[str, Metric | Callable[..., Any]]:
    """Return what Metrics holds by name; functions without a name are 'Metric1' and so on by their place.

    Raises
    ------
    OptionError
        Where a name cannot be that of a field, or two metrics have the same.
    """
    found: dict[str, Metric | Callable[..., Any]] = {}
    for place, metric in enumerate(as_metrics(value), start=1):
        name = metric.Name if isinstance(metric, Metric) else getattr(metric, "__name__", "")
        if not name.isidentifier():
            if isinstance(metric, Metric):
                raise OptionError(f"{where}: Metrics: needs metrics whose Name is a name of a field, but got '{name}'.")
            name = f"Metric{place}"
        if name in found or name == "Loss":
            raise OptionError(f"{where}: Metrics: two metrics are named '{name}'. Give one another Name.")
        found[name] = metric
    return found


def objective_name(
    wanted: str, named: Mapping[str, Metric | Callable[..., Any]], built_in: Iterable[str], where: str = "trainNetwork"
) -> str:
    """Return what ObjectiveMetricName means: 'loss', a metric that training always has, or one of Metrics.

    Letter case does not matter, and a metric may be called by the word that Metrics takes for it.

    Raises
    ------
    OptionError
        Where there is no metric of that name.
    """
    names = list(dict.fromkeys(["loss", *built_in, *named]))
    known = {each.lower(): each for each in names}
    for each, metric in named.items():
        known |= {short: each for short, kind in BY_NAME.items() if isinstance(metric, kind) and short not in known}
    if wanted.lower() in known:
        return known[wanted.lower()]
    hint = nearest(wanted, known.values())
    if wanted.lower() in BY_NAME:
        hint = f" Add '{wanted.lower()}' to Metrics."
    listed = ", ".join(f"'{each}'" for each in names)
    raise OptionError(f"{where}: ObjectiveMetricName: needs one of {listed}, but got '{wanted}'.{hint}")
