"""trainingProgressMonitor: the picture of progress for training loops that users write themselves."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnet.errors import OptionError, UnknownNameError, message, nearest
from mlnet.options import Declared, Derived, Group, Option, Table, constructs, describe
from mlnet.rules import EMPTY, REFUSALS, Rule, choice, either, empty, flag, number, text, texts
from mlnet.structure import Structure
from mlnet.training.board import Board, Curve, Panel, Watch
from mlnet.training.progress import loss_text, time_text

_SWITCH = Rule("'on' or 'off', or true or false", lambda value: _is_on(value), ("x", 2, None))
_SIDES = ("Monitor", "Training time", "Information")


def _is_on(value: Any) -> bool:
    return choice("off", "on").convert(value) == "on" if isinstance(value, str) else flag().convert(value)


def _names(default: Any, name: str, doc: str) -> Option:
    rule = either(empty(), texts())
    return Option(name, default, rule, doc, Group.PLAIN)


class TrainingProgressMonitor(Declared):
    """What `trainingProgressMonitor` returns; copies of it are the same monitor."""

    table = Table(
        _names(EMPTY, "Metrics", "Names of the curves."),
        _names(EMPTY, "Info", "Names of the values beside the curves."),
        Option("XLabel", "", text(), "Label of the horizontal axes.", Group.PLAIN),
        Option("Progress", 0, number(0, 100), "How much is done, in percent.", Group.PLAIN),
        Option("Status", "Running", text(), "A text beside the curves.", Group.PLAIN),
        Option("Visible", True, _SWITCH, "Whether there is a picture.", Group.PLAIN),
        Derived("Stop", lambda self: self._board.stop_requested, "Whether the stop button was pressed.", Group.PLAIN),
        Derived("MetricData", lambda self: self._metric_data(), "For each metric an array of steps and values."),
        Derived("InfoData", lambda self: self._info_data(), "The latest values beside the curves; [] where unset."),
    )
    _board: Board
    _watch: Watch
    _curves: dict[str, Curve]
    _groups: dict[str, list[str]]
    _scales: dict[str, str]
    _information: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        sections: dict[str, dict[str, str]] = {side: {} for side in _SIDES}
        sections["Training time"]["Start time"] = time.strftime("%d-%b-%Y %H:%M:%S")
        board = Board("Training progress", "", [], sections)
        watch = Watch(board)
        for name, value in {
            "_board": board,
            "_watch": watch,
            "_curves": {},
            "_groups": {},
            "_scales": {},
            "_information": {},
            "_started": time.perf_counter(),
            "_is_open": False,
            "_finish": weakref.finalize(self, _finish, watch),
        }.items():
            object.__setattr__(self, name, value)
        super().__init__(*args, **kwargs)

    def __copy__(self) -> TrainingProgressMonitor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingProgressMonitor:
        return self

    def recordMetrics(self, step: Any, *args: Any, **values: Any) -> None:
        """Record values of metrics; see the function `recordMetrics`."""
        recordMetrics(self, step, *args, **values)

    def updateInfo(self, *args: Any, **values: Any) -> None:
        """Set values beside the curves; see the function `updateInfo`."""
        updateInfo(self, *args, **values)

    def groupSubPlot(self, group: str, metrics: Any) -> None:
        """Put curves into one panel; see the function `groupSubPlot`."""
        groupSubPlot(self, group, metrics)

    def _assign(self, given: dict[str, Any]) -> None:
        super()._assign(given)
        if not given.keys() & {"Progress", "Status"} or len(given) > 1:
            self._lay_out()
        if self._is_open:
            self._refresh()
            if self.Progress == 100:
                self._watch.flush()

    def _lay_out(self) -> None:
        """Make panels of the groups and of the metrics outside them, in the order of the metrics."""
        board = self._board
        self._curves.update({name: Curve(name, "metric") for name in self.Metrics if name not in self._curves})
        group_of = {name: group for group, names in self._groups.items() for name in names}
        panels: dict[str, list[Curve]] = {}
        for name in self.Metrics:
            panels.setdefault(group_of.get(name, name), []).append(self._curves[name])
        board.panels = [Panel(label, curves) for label, curves in panels.items()]
        for panel in board.panels:
            panel.is_logarithmic = self._scales.get(panel.label) == "log"
        board.x_label = self.XLabel
        board.version += 1

    def _refresh(self) -> None:
        """Open the picture when there is something to show, and bring it up to date."""
        board = self._board
        board.sections["Monitor"] = {"Status": self.Status, "Progress": f"{self.Progress:.4g} %"}
        board.sections["Training time"]["Elapsed time"] = time_text(time.perf_counter() - self._started)
        board.sections["Information"] = {name: _shown(self._information.get(name)) for name in self.Info}
        if not self.Visible:
            return
        if self._is_open:
            self._watch.update()
        else:
            object.__setattr__(self, "_is_open", True)
            self._watch.open()
            self._watch.update()

    def _metric_data(self) -> Structure:
        curves = {name: self._curves[name] for name in self.Metrics}
        return Structure(**{name: np.array([curve.x, curve.y]).T for name, curve in curves.items()})

    def _info_data(self) -> Structure:
        return Structure(**{name: self._information.get(name, EMPTY) for name in self.Info})


def _finish(watch: Watch) -> None:
    """Draw the last state of a monitor that nobody has any more."""
    watch.board.is_finished = True
    watch.close()


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else loss_text(value) if isinstance(value, float) else str(value)


@constructs(TrainingProgressMonitor)
def trainingProgressMonitor() -> None:
    """Return a monitor that records and draws the progress of a training loop of one's own.

    The clock starts here. The picture opens with the first recorded value: a window with a stop button, a figure in a
    notebook, or the file ``training-progress.html`` where there is no display; it is drawn at most twice a second and
    never for more than 2 % of the time.

    {parameters}

    Raises
    ------
    OptionError
        Where a value is not of its kind.

    Examples
    --------
    >>> from mlnet import groupSubPlot, recordMetrics, trainingProgressMonitor, updateInfo
    >>> monitor = trainingProgressMonitor(
    ...     Metrics=['TrainingLoss', 'ValidationLoss'], Info='Epoch', XLabel='Iteration', Visible='off'
    ... )
    >>> groupSubPlot(monitor, 'Loss', ['TrainingLoss', 'ValidationLoss'])
    >>> for iteration in (1, 2):
    ...     recordMetrics(monitor, iteration, TrainingLoss=1 / iteration)
    ...     updateInfo(monitor, Epoch='1 of 1')
    ...     monitor.Progress = 100 * iteration / 2
    >>> monitor.MetricData.TrainingLoss.tolist()
    [[1.0, 1.0], [2.0, 0.5]]
    >>> monitor
      TrainingProgressMonitor with properties:
    <BLANKLINE>
         Metrics: {'TrainingLoss'  'ValidationLoss'}
            Info: {'Epoch'}
          XLabel: 'Iteration'
        Progress: 100
          Status: 'Running'
         Visible: 0
            Stop: 0
    """


def recordMetrics(monitor: TrainingProgressMonitor, step: Any, *args: Any, **values: Any) -> None:
    """Record values of metrics of a monitor, and draw them when it is time.

    Parameters
    ----------
    monitor : result of `trainingProgressMonitor`
    step : number
        Where the values are on the horizontal axis, such as the iteration.
    *args, **values
        Names and numbers (``Loss=0.5`` or ``'Loss', 0.5``), or a structure or dictionary of them. A metric that is left
        out has no value at this step.

    Raises
    ------
    UnknownNameError
        For names that are not in ``monitor.Metrics``.
    OptionError
        Where a value is not one real number.

    Examples
    --------
    >>> from mlnet import recordMetrics, trainingProgressMonitor
    >>> monitor = trainingProgressMonitor(Metrics='Loss', Visible='off')
    >>> recordMetrics(monitor, 10, Loss=0.25)
    >>> monitor.MetricData.Loss.tolist()
    [[10.0, 0.25]]
    """
    where = "recordMetrics"
    _check(monitor, where)
    given = _given(where, args, values, monitor.Metrics, "Metrics")
    at = _number(where, "step", step)
    points = {name: _number(where, name, value) for name, value in given.items()}
    for name, value in points.items():
        monitor._curves[name].add(at, value)
    monitor._refresh()


def updateInfo(monitor: TrainingProgressMonitor, *args: Any, **values: Any) -> None:
    """Set values that a monitor shows beside its curves.

    Parameters
    ----------
    monitor : result of `trainingProgressMonitor`
    *args, **values
        Names with texts or numbers (``Epoch=3`` or ``'Epoch', '3 of 10'``), or a structure or dictionary of them.

    Raises
    ------
    UnknownNameError
        For names that are not in ``monitor.Info``.
    OptionError
        Where a value is neither a text nor one real number.

    Examples
    --------
    >>> from mlnet import trainingProgressMonitor, updateInfo
    >>> monitor = trainingProgressMonitor(Info=['Epoch', 'LearnRate'], Visible='off')
    >>> updateInfo(monitor, Epoch='1 of 5', LearnRate=0.01)
    >>> monitor.InfoData
      struct with fields:
    <BLANKLINE>
            Epoch: '1 of 5'
        LearnRate: 0.0100
    """
    where = "updateInfo"
    _check(monitor, where)
    given = _given(where, args, values, monitor.Info, "Info")
    monitor._information.update(
        {name: value if isinstance(value, str) else _number(where, name, value) for name, value in given.items()}
    )
    monitor._refresh()


def groupSubPlot(monitor: TrainingProgressMonitor, groupName: str, metricNames: Any) -> None:
    """Put several curves of a monitor into one panel.

    Parameters
    ----------
    monitor : result of `trainingProgressMonitor`
    groupName : text
        Label of the panel.
    metricNames : text or list of texts
        Metrics of the monitor; one that is in another group leaves it.

    Raises
    ------
    UnknownNameError
        For names that are not in ``monitor.Metrics``.
    OptionError
        Where the names are not texts.
    """
    where = "groupSubPlot"
    _check(monitor, where)
    if not text().takes(groupName):
        raise OptionError(message(f"{where}: groupName", "a text", describe(groupName)))
    if not texts().takes(metricNames):
        raise OptionError(message(f"{where}: metricNames", "texts", describe(metricNames)))
    names = texts().convert(metricNames)
    for name in names:
        _known(where, name, monitor.Metrics, "Metrics")
    for others in monitor._groups.values():
        others[:] = [name for name in others if name not in names]
    monitor._groups[groupName] = names
    monitor._lay_out()


def yscale(monitor: TrainingProgressMonitor, name: str, scale: str) -> None:
    """Set whether a panel of a monitor has a linear or a logarithmic vertical axis.

    Parameters
    ----------
    monitor : result of `trainingProgressMonitor`
    name : text
        A group or a metric.
    scale : 'linear' or 'log'

    Raises
    ------
    UnknownNameError
        Where there is no such group or metric.
    OptionError
        For other scales.
    """
    _check(monitor, "yscale")
    rule = choice("linear", "log")
    if not rule.takes(scale):
        raise OptionError(message("yscale: scale", rule.needed, describe(scale)))
    _known("yscale", name, [*monitor._groups, *monitor.Metrics], "Metrics")
    monitor._scales[name] = rule.convert(scale)
    monitor._lay_out()


def _check(monitor: Any, where: str) -> None:
    if not isinstance(monitor, TrainingProgressMonitor):
        raise OptionError(message(where, "a result of trainingProgressMonitor", describe(monitor)))


def _given(where: str, args: tuple[Any, ...], values: dict[str, Any], known: Any, of: str) -> dict[str, Any]:
    """Return the names and values of a call: pairs, a structure, keywords."""
    given: dict[str, Any] = {}
    if len(args) == 1 and isinstance(args[0], (Structure, Mapping)):
        given.update(args[0].fields() if isinstance(args[0], Structure) else args[0])
    elif len(args) % 2:
        raise OptionError(message(where, "names with values, or one structure", describe(args[-1])))
    else:
        given.update(zip(args[::2], args[1::2], strict=True))
    given.update(values)
    for name in given:
        _known(where, name, known, of)
    return given


def _known(where: str, name: Any, known: Any, of: str) -> None:
    if name not in list(known):
        raise UnknownNameError(f"{where}: there is no {name!r} in the {of} of the monitor.{nearest(name, known)}")


def _number(where: str, name: str, value: Any) -> float | int:
    """Return one real number; NaN and Inf are numbers, which loops may meet."""
    try:
        found = np.asarray(value)
        if found.size != 1 or found.dtype.kind not in "biuf":
            raise ValueError
        return found.ravel()[0].item()
    except REFUSALS:
        raise OptionError(message(f"{where}: {name}", "one real number", describe(value))) from None
