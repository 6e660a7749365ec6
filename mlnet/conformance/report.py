"""What became of the checks, as an object that prints itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mlnet.display.html import html_table, paragraph, titled
from mlnet.options import Shown, to_html, to_text
from mlnet.table import DataTable

_VERDICTS = ("Passed", "Failed", "Incomplete", "Skipped")


class Outcome(NamedTuple):
    """What became of a check: 'Passed', 'Failed', 'Incomplete' or 'Skipped', with the reason."""

    check: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True, repr=False)
class CheckReport(Shown):
    """What `checkLayer` has found.

    ``Passed``, ``Failed``, ``Incomplete`` and ``Skipped`` are tables with the columns Check and Reason: what holds,
    what was needed and what came, or why a check says nothing about this layer.
    """

    title: str
    outcomes: tuple[Outcome, ...]
    seconds: float
    preface: str = ""

    @property
    def Passed(self) -> DataTable:
        """The checks that the layer has passed."""
        return self._table("Passed")

    @property
    def Failed(self) -> DataTable:
        """The checks that have found a mistake."""
        return self._table("Failed")

    @property
    def Incomplete(self) -> DataTable:
        """The checks that could not decide."""
        return self._table("Incomplete")

    @property
    def Skipped(self) -> DataTable:
        """The checks that are not applicable."""
        return self._table("Skipped")

    def _table(self, verdict: str) -> DataTable:
        found = [outcome for outcome in self.outcomes if outcome.verdict == verdict]
        return DataTable(Check=[each.check for each in found], Reason=[each.reason for each in found])


def report_text(report: CheckReport) -> str:
    """Return a dot for each check, what has failed, and the numbers of checks by what became of them."""
    dots = "." * len(report.outcomes)
    lines = [
        *([report.preface, ""] if report.preface else []),
        f"Running {report.title}",
        " ".join(dots[start : start + 10] for start in range(0, len(dots), 10)),
        f"Done {report.title}",
        "_" * 10,
    ]
    for verdict in ("Failed", "Incomplete"):
        found = [outcome for outcome in report.outcomes if outcome.verdict == verdict]
        if found:
            lines += ["", f"{verdict}:"]
            lines += [f"     {each.check}: {_indented(each.reason)}" for each in found]
    return "\n".join([*lines, "", "Test Summary:", *(f"     {line}" for line in _summary(report))])


def report_html(report: CheckReport) -> str:
    """Return the report for a notebook."""
    table = html_table(report.outcomes, ("Check", "Result", "Reason"), align=("left",) * 3)
    return titled(report.title, table, *map(paragraph, _summary(report)))


def _summary(report: CheckReport) -> tuple[str, str]:
    counts = [f"{sum(each.verdict == verdict for each in report.outcomes)} {verdict}" for verdict in _VERDICTS]
    return f"{', '.join(counts)}.", f"Time elapsed: {report.seconds:.2g} seconds."


def _indented(reason: str) -> str:
    return reason.replace("\n", "\n       ")


to_text.register(CheckReport, report_text)
to_html.register(CheckReport, report_html)
