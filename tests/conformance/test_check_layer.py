"""checkLayer: its arguments, what it prints and what it returns."""

from __future__ import annotations

import re

import numpy as np
import pytest

from conformance import plants
from mlnet import (
    NetworkError,
    OptionError,
    UnknownNameError,
    additionLayer,
    checkLayer,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    lstmLayer,
    maxPooling1dLayer,
    properties,
    reluLayer,
)
from mlnet.conformance import check_layer, checks
from mlnet.conformance.suite import CHECKS


def without_time(text):
    return re.sub(r"elapsed: [\d.e-]+ seconds", "elapsed: T seconds", text)


@pytest.fixture
def without_other_engines(monkeypatch):
    """Counts are the same on every machine."""
    monkeypatch.setattr(checks, "ENGINES", ("numpy",))


def test_a_report_is_printed_and_nothing_returned(capsys, without_other_engines):
    assert checkLayer(reluLayer(), [4, 3, 2], ObservationDimension=4) is None
    assert without_time(capsys.readouterr().out).split("\n") == [
        "Running checkLayer: ReLULayer, 4x3x2",
        ".......... .......",
        "Done checkLayer: ReLULayer, 4x3x2",
        "__________",
        "",
        "Test Summary:",
        "     12 Passed, 0 Failed, 0 Incomplete, 5 Skipped.",
        "     Time elapsed: T seconds.",
        "",
    ]


def test_the_report_is_returned_for_one_output(capsys, without_other_engines):
    report = checkLayer(reluLayer(), [4, 3, 2], nargout=1)
    assert capsys.readouterr().out == ""
    tables = [report.Passed, report.Failed, report.Incomplete, report.Skipped]
    assert [len(table) for table in tables] == [12, 0, 0, 5]
    assert sum(map(len, tables)) == len(CHECKS)
    assert all(table.columns == ["Check", "Reason"] for table in tables)
    assert report.Skipped.Check == ["sequences", "randomness", "engines", "loss gradient", "loss runs"]
    assert report.Skipped.Reason[1] == "The layer is not random."
    assert report.Passed.Reason[0].startswith("Outputs have the declared sizes")
    html = report._repr_html_()
    assert "12 Passed" in html and "gradients" in html and "not random" in html


def test_a_failure_is_listed_with_its_reason(monkeypatch):
    engine = plants.PlantedEngine(plants.forward, plants.wrong_backward)
    monkeypatch.setattr(check_layer, "select_engine", lambda: engine)
    report = checkLayer(plants.PlantedLayer(), 3, nargout=1)
    assert report.Failed.Check == ["gradients"]
    lines = repr(report).split("\n")
    at = lines.index("Failed:")
    assert lines[at + 1].startswith("     gradients: prediction: gradient of input 1: ")
    assert "     11 Passed, 1 Failed, 0 Incomplete, 5 Skipped." in lines
    assert "<script>" not in report._repr_html_()


def test_a_layer_with_kinks_everywhere_is_incomplete(monkeypatch):
    def rounds(x, *, factor, workspace):
        return np.round(x * 1e6) * factor, plants.Record(factor)

    monkeypatch.setattr(check_layer, "select_engine", lambda: plants.PlantedEngine(rounds, plants.backward))
    report = checkLayer(plants.PlantedLayer(), [4, 3, 2], nargout=1)
    assert report.Incomplete.Check == ["gradients"]
    assert "Incomplete:" in repr(report)


def test_what_a_layer_raises_is_its_failure(monkeypatch):
    def broken(x, *, factor, workspace):
        raise ZeroDivisionError("no way")

    monkeypatch.setattr(check_layer, "select_engine", lambda: plants.PlantedEngine(broken, plants.backward))
    report = checkLayer(plants.PlantedLayer(), 3, nargout=1)
    assert "gradients" in report.Failed.Check
    assert set(report.Failed.Reason) == {"ZeroDivisionError: no way"}


@pytest.mark.parametrize(
    "layer, size, options, listed",
    [
        (reluLayer(), 10, {}, "10 features"),
        (reluLayer(), np.array([10]), {"ObservationDimension": 2}, "10 features"),
        (reluLayer(), (3, 4, 2), {"ObservationDimension": 4}, "3x4x2"),
        (reluLayer(), [3, 4, 2, 2], {"ObservationDimension": 5}, "3x4x2x2"),
        (lstmLayer(3), 4, {"InputFormat": "CT", "ObservationDimension": 2}, "4 features over time"),
        (lstmLayer(3), [4], {"InputFormat": "ct"}, "4 features over time"),
        (maxPooling1dLayer(2), [5, 3], {"InputFormat": "SC", "ObservationDimension": 3}, "5x3"),
        (additionLayer(2), [[3, 4, 2], [1, 1, 2]], {"ObservationDimension": [4, 4]}, "3x4x2, 1x1x2"),
        (additionLayer(2), [[3], [3]], {"InputFormat": ["CT", "CT"]}, "3 features over time, 3 features over time"),
        (imageInputLayer([4, 3, 1]), [4, 3, 1], {}, "4x3x1"),
        (lstmLayer(3, "HasStateInputs", True), [[2], 3, 3], {"InputFormat": ["CT", "C", "C"]}, "2 features over time"),
    ],
)
def test_sizes_and_formats(layer, size, options, listed):
    report = checkLayer(layer, size, nargout=1, **options)
    assert report.title.endswith(listed) or f", {listed}, " in report.title
    assert not len(report.Failed) and not len(report.Incomplete)


def test_a_constructor_may_stand_without_parentheses(capsys):
    checkLayer(reluLayer, [4])
    assert "Running checkLayer: ReLULayer, 4" in capsys.readouterr().out


def test_options_may_be_pairs():
    assert not len(checkLayer(reluLayer(), [4, 3, 2], "ObservationDimension", 4, nargout=1).Failed)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: checkLayer("relu", 3), OptionError, "checkLayer: layer: needs a layer, but got 'relu'"),
        (lambda: checkLayer(reluLayer(), []), OptionError, "validInputSize: needs the size of an observation"),
        (lambda: checkLayer(reluLayer(), [2, 0]), OptionError, "validInputSize: needs the size of an observation"),
        (lambda: checkLayer(reluLayer(), [2, 3]), OptionError, "1, 3 or 4 numbers, but got [2, 3]. Give InputFormat"),
        (
            lambda: checkLayer(reluLayer(), [4, 3, 2], ObservationDimension=3),
            OptionError,
            "needs 4 for inputs of 4x3x2",
        ),
        (lambda: checkLayer(reluLayer(), [4, 3], InputFormat="C"), OptionError, "needs 1 numbers for the format 'C'"),
        (lambda: checkLayer(reluLayer(), 3, InputFormat="BC"), OptionError, "InputFormat: needs [], or one of C, SC"),
        (lambda: checkLayer(reluLayer(), 3, InputFormat=["C", "C"]), OptionError, "needs 1, one for each input"),
        (lambda: checkLayer(additionLayer(2), [3, 4, 2]), OptionError, "one size for each of the 2 inputs in1, in2"),
        (lambda: checkLayer(reluLayer(), [[3], [3]]), OptionError, "needs one size, but got 2 sizes"),
        (lambda: checkLayer(reluLayer(), 3, nargout=2), OptionError, "nargout needs to be 0 or 1, but is 2"),
        (lambda: checkLayer(reluLayer(), 3, ObservationDim=[1, 2]), OptionError, "needs one number, but got 2"),
        (lambda: checkLayer(reluLayer(), 3, Dimension=4), UnknownNameError, "there is no option 'Dimension'"),
        (lambda: checkLayer(convolution2dLayer(3, 2), 10), NetworkError, "does not take inputs of 10 features"),
        (lambda: checkLayer(lstmLayer(3), 10), NetworkError, "give InputFormat: 'CT'"),
        (lambda: checkLayer(convolution2dLayer(9, 2), [4, 4, 1]), NetworkError, "does not take inputs of 4x4x1"),
        (lambda: checkLayer(additionLayer(2), [[3], [4]]), NetworkError, "inputs of the same size"),
    ],
)
def test_mistakes_in_the_call(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_the_layer_does_not_change():
    layer = fullyConnectedLayer(2, Name="fc")
    before = [repr(getattr(layer, name)) for name in properties(layer)]
    checkLayer(layer, 3, nargout=1)
    assert [repr(getattr(layer, name)) for name in properties(layer)] == before
