"""Every check finds the mistake that it is for, and no other check complains."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import plants
from mlnet.conformance import checks
from mlnet.conformance.suite import CHECKS, name_of, perform
from mlnet.conformance.trial import Case
from mlnet.layers.base import Layer, Size

FEATURES, IMAGE, SEQUENCE = Size("C", (3,)), Size("SSC", (4, 3, 2)), Size("CT", (3,))
BOTH = (plants.forward, plants.backward)

PLANTS: dict[str, tuple[Layer, tuple[Any, Any], Size, str]] = {
    "wrong size": (plants.WrongSize(), BOTH, FEATURES, "output sizes"),
    "Inf": (plants.PlantedLayer(), (plants.infinite_for_one_channel, plants.backward), FEATURES, "output sizes"),
    "wrong gradient": (plants.PlantedLayer(), (plants.forward, plants.wrong_backward), IMAGE, "gradients"),
    "double": (plants.PlantedLayer(), (plants.always_double, plants.backward), IMAGE, "single precision"),
    "input": (plants.PlantedLayer(), (plants.changes_its_input, plants.backward), IMAGE, "unchanged arguments"),
    "gradient": (plants.PlantedLayer(), (plants.forward, plants.changes_the_gradient), IMAGE, "unchanged arguments"),
    "contiguous": (plants.PlantedLayer(), (plants.needs_contiguous, plants.backward), IMAGE, "memory order"),
    "state": (plants.PlantedLayer(), (plants.counts_runs, plants.backward), IMAGE, "repeated runs"),
    "old mask": (plants.PlantedLayer(), (plants.keeps_the_first_mask, plants.masked_backward), IMAGE, "repeated runs"),
    "batch": (
        plants.PlantedLayer(),
        (plants.centres_the_batch, plants.centres_the_batch_backward),
        IMAGE,
        "observations",
    ),
    "mean of padding": (
        plants.AlongTime(),
        (plants.averages_padding, plants.averages_padding_backward),
        SEQUENCE,
        "sequences",
    ),
    "sum of padding": (plants.AlongTime(), (plants.sums_padding, plants.sums_padding_backward), SEQUENCE, "sequences"),
    "training": (plants.OtherInTraining(), BOTH, IMAGE, "modes"),
    "gradient of a loss": (plants.PlantedLoss(), (plants.loss, plants.wrong_loss_backward), IMAGE, "loss gradient"),
    "state of a loss": (plants.PlantedLoss(), (plants.loss_that_counts, plants.loss_backward), IMAGE, "loss runs"),
    "pickle": (plants.Forgetful(Factor=3), BOTH, FEATURES, "value semantics"),
    "rule": (plants.Careless(), BOTH, FEATURES, "bad values"),
    "HTML": (plants.RawHtml(), BOTH, FEATURES, "display"),
    "error": (plants.Breaking(), BOTH, IMAGE, "other sizes"),
}


def failed(case: Case) -> dict[str, str]:
    outcomes = [perform(check, case) for check in CHECKS]
    return {each.check: each.reason for each in outcomes if each.verdict in ("Failed", "Incomplete")}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_error_is_found_by_its_check_alone(plant):
    layer, operation, size, expected = PLANTS[plant]
    assert list(failed(Case(layer, (size,), plants.PlantedEngine(*operation)))) == [expected]


@pytest.mark.parametrize("size", [FEATURES, IMAGE, SEQUENCE])
@pytest.mark.parametrize("layer", [plants.PlantedLayer(), plants.Random()])
def test_without_a_plant_nothing_is_found(layer, size):
    assert not failed(Case(layer, (size,), plants.PlantedEngine(*BOTH)))


@pytest.mark.parametrize("size", [FEATURES, IMAGE, SEQUENCE])
def test_without_a_plant_nothing_is_found_in_a_loss(size):
    assert not failed(Case(plants.PlantedLoss(), (size,), plants.PlantedEngine(plants.loss, plants.loss_backward)))


def test_a_loss_that_changes_what_it_takes_is_found():
    case = Case(plants.PlantedLoss(), (IMAGE,), plants.PlantedEngine(plants.loss_that_changes, plants.loss_backward))
    assert "loss runs" in failed(case)


def test_whole_numbers_are_drawn_and_not_moved():
    engine = plants.PlantedEngine(plants.fractions, plants.no_gradient)
    assert not failed(Case(plants.Whole(), (FEATURES,), engine))
    assert "gradients" in failed(Case(plants.PlantedLayer(), (FEATURES,), engine))


def test_a_random_layer_with_a_generator_of_its_own_is_found():
    case = Case(plants.Random(), (IMAGE,), plants.PlantedEngine(plants.own_generator, plants.backward))
    assert "same seed" in failed(case)["randomness"]


def test_random_predictions_are_found(monkeypatch):
    layer = plants.Random()
    monkeypatch.setattr(
        plants.Random,
        "operation",
        lambda self, size, *, training: super(plants.Random, self).operation(size, training=True),
    )
    case = Case(layer, (IMAGE,), plants.PlantedEngine(plants.own_generator, plants.backward))
    assert "draws them" in failed(case)["randomness"]


def test_an_engine_that_computes_something_else_is_found(monkeypatch):
    engines = {
        "numpy": plants.PlantedEngine(*BOTH),
        "fast": plants.PlantedEngine(plants.forward, lambda *args, **more: (plants.backward(*args, **more)[0] * 1.01,)),
    }
    monkeypatch.setattr(checks, "ENGINES", ("numpy", "fast"))
    monkeypatch.setattr(checks, "engine_named", engines.get)
    case = Case(plants.PlantedLayer(), (IMAGE,), engines["numpy"])
    found = failed(case)
    assert list(found) == ["engines"] and "gradient of the input" in found["engines"]
    engines["fast"] = engines["numpy"]
    assert not failed(case)


def test_every_check_has_a_plant():
    with_a_test_of_their_own = {"randomness", "engines"}
    assert {row[3] for row in PLANTS.values()} | with_a_test_of_their_own == {name_of(check) for check in CHECKS}


@pytest.mark.parametrize("plant", PLANTS)
def test_messages_tell_what_was_needed_and_what_came(plant):
    layer, operation, size, expected = PLANTS[plant]
    reason = failed(Case(layer, (size,), plants.PlantedEngine(*operation)))[expected]
    assert any(f"{word} " in reason for word in ("needs", "says", "difference quotient is"))
    assert any(word in reason for word in (" but ", "direction"))
