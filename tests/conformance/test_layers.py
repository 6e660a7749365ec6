"""The conformance suite on every layer."""

from __future__ import annotations

import pytest
from layers.catalogue import REQUIRED

from conformance.table import ROWS, TABLE, case_of
from mlnet.conformance.suite import CHECKS, perform
from mlnet.engines.select import engine_named
from mlnet.errors import MissingExtraError

SKIPPED_FOR_ALL = {"engines"}
"""Checks that need a second engine."""


def test_the_table_is_complete():
    assert sorted(TABLE) == sorted(REQUIRED)


@pytest.mark.parametrize("name, number", ROWS, ids=[f"{name}-{number}" for name, number in ROWS])
def test_layers_pass_every_check(name, number):
    case = case_of(name, TABLE[name][number])
    outcomes = [perform(check, case) for check in CHECKS]
    wrong = [f"{each.check}: {each.reason}" for each in outcomes if each.verdict in ("Failed", "Incomplete")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name, number", ROWS, ids=[f"{name}-{number}" for name, number in ROWS])
def test_layers_pass_every_check_on_onednn(name, number):
    try:
        engine = engine_named("onednn")
    except MissingExtraError as error:
        pytest.skip(str(error))
    case = case_of(name, TABLE[name][number], engine)
    outcomes = [perform(check, case) for check in CHECKS]
    wrong = [f"{each.check}: {each.reason}" for each in outcomes if each.verdict in ("Failed", "Incomplete")]
    assert not wrong, "\n".join(wrong)
