"""All checks, and what became of them for one layer."""

from __future__ import annotations

import time

from mlnet.conformance import checks, declaration_checks, loss_checks
from mlnet.conformance.checks import Check
from mlnet.conformance.custom_checks import CUSTOM_CHECKS
from mlnet.conformance.differences import NextToKink
from mlnet.conformance.report import CheckReport, Outcome
from mlnet.conformance.trial import Case
from mlnet.layers.custom import Layer as CustomLayer

CHECKS: tuple[Check, ...] = (
    checks.check_output_sizes,
    checks.check_gradients,
    checks.check_single_precision,
    checks.check_unchanged_arguments,
    checks.check_memory_order,
    checks.check_repeated_runs,
    checks.check_observations,
    checks.check_sequences,
    checks.check_modes,
    checks.check_randomness,
    checks.check_engines,
    loss_checks.check_loss_gradient,
    loss_checks.check_loss_runs,
    declaration_checks.check_value_semantics,
    declaration_checks.check_bad_values,
    declaration_checks.check_display,
    declaration_checks.check_other_sizes,
)
"""The checks, in the order of a report."""


def name_of(check: Check) -> str:
    """Return the name of a check in reports: 'output sizes' for ``check_output_sizes``."""
    return check.__name__.removeprefix("check_").replace("_", " ")


def perform(check: Check, case: Case) -> Outcome:
    """Run one check. It is incomplete where no place could be found at which the layer has a gradient."""
    name = name_of(check)
    try:
        reason = check(case)
    except NextToKink:
        return Outcome(name, "Incomplete", "Every place that was tried is next to a kink.")
    except AssertionError as error:
        return Outcome(name, "Failed", str(error))
    except Exception as error:  # whatever code of a layer raises is its failure
        return Outcome(name, "Failed", f"{type(error).__name__}: {error}")
    if reason:
        return Outcome(name, "Skipped", reason)
    statement = (check.__doc__ or "").split("\n")[0].removeprefix("Check that ")
    return Outcome(name, "Passed", statement[:1].upper() + statement[1:])


def run_suite(case: Case, title: str) -> CheckReport:
    """Return what became of all checks."""
    start = time.perf_counter()
    outcomes = tuple(perform(check, case) for check in checks_of(case))
    return CheckReport(title, outcomes, time.perf_counter() - start)


def checks_of(case: Case) -> tuple[Check, ...]:
    """Return the checks of a layer: custom layers have some of their own."""
    return (*CHECKS, *CUSTOM_CHECKS) if isinstance(case.layer, CustomLayer) else CHECKS


def without_trial(case: Case, title: str, reason: str) -> CheckReport:
    """Return the report of a layer that cannot be tried at all."""
    skipped = [Outcome(name_of(check), "Skipped", "The layer does not run.") for check in checks_of(case)]
    return CheckReport(title, (Outcome("trial", "Failed", reason), *skipped), 0.0)
