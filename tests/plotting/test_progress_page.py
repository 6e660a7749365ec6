"""What a page of progress draws of a board."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mlnet.plotting import chart
from mlnet.plotting.progress_page import HEIGHT, WIDTH, _powers, _ticks, drawing, page
from mlnet.training.board import Board, Curve, Panel

SVG = "{http://www.w3.org/2000/svg}"


def board(kind="training", **given):
    return Board("Training", "Iteration", [Panel("Loss", [Curve("TrainingLoss", kind)])], **given)


def fill(progress, values):
    for iteration, value in enumerate(values, start=1):
        progress.panels[0].curves[0].add(iteration, value)


def parsed(progress):
    return ElementTree.fromstring(drawing(progress))


def texts(progress):
    return [each.text or "" for each in parsed(progress).iter(f"{SVG}text")]


def curves(progress):
    """Return the stretches of each curve in the coordinates of its axes, found by the places of the numbers of axes."""
    (place,), (panel,) = chart.places(progress), progress.panels
    start, end = chart.horizontal(progress)
    low, high = chart.vertical(panel)
    found = []
    for path in parsed(progress).iter(f"{SVG}path"):
        if path.get("class") == "line":
            stretches = [
                np.array([pair.split() for pair in part.split("L")], float) for part in path.get("d").split("M")[1:]
            ]
            for each in stretches:
                each[:, 0] = start + (each[:, 0] / WIDTH - place.left) / place.width * (end - start)
                each[:, 1] = low + ((1 - each[:, 1] / HEIGHT) - place.bottom) / place.height * (high - low)
            found.append(stretches)
    return found


def test_curves_are_where_the_axes_say():
    progress = board(end=100.0)
    values = np.linspace(2.9, 0.4, 60)
    fill(progress, values)
    (raw,), (smooth,) = curves(progress)
    np.testing.assert_allclose(raw, np.array([np.arange(1, 61), values]).T, atol=0.02)
    np.testing.assert_allclose(smooth[:, 1], progress.panels[0].curves[0].smooth, atol=0.02)
    svg = parsed(progress)
    at = {each.text: (float(each.get("x")), float(each.get("y"))) for each in svg.iter(f"{SVG}text")}
    (place,) = chart.places(progress)
    assert at["0"][0] == pytest.approx(WIDTH * place.left - 6, abs=0.1), "the vertical axis starts with 0"
    assert at["3"][1] - 4 == pytest.approx(HEIGHT * (1 - place.bottom - place.height), abs=0.1)
    assert at["100"][0] == pytest.approx(WIDTH * (place.left + place.width), abs=0.1)


def test_values_that_are_not_finite_are_gaps():
    progress = board("metric")
    fill(progress, [1.0, 2.0, np.nan, 3.0, np.inf, 1.0])
    (stretches,) = curves(progress)
    assert [len(each) for each in stretches] == [2, 1, 1]
    fill(progress, [np.nan] * 3)
    assert len(curves(progress)[0]) == 3
    nothing = board("metric")
    fill(nothing, [np.nan])
    assert curves(nothing) == [[]]


def test_logarithmic_axes():
    progress = board("metric")
    progress.panels[0].is_logarithmic = True
    fill(progress, [0.03, 20.0, 0.0, -1.0])
    shown = texts(progress)
    assert {"1e-2", "1e0", "1e2"} <= set(shown)
    (points,) = curves(progress)[0]
    low, high = chart.vertical(progress.panels[0])
    shares = (points[:, 1] - low) / (high - low)
    np.testing.assert_allclose(shares, (np.log10([0.03, 20]) + 2) / 4, atol=1e-3)


def test_validation_has_markers_and_a_final_point():
    progress = Board("t", "Iteration", [Panel("Accuracy (%)", [Curve("v", "validation")], (0.0, 100.0))], end=10.0)
    fill(progress, [10.0, np.nan, 90.0])
    assert len(list(parsed(progress).iter(f"{SVG}circle"))) == 2
    assert "Final" not in texts(progress)
    progress.is_finished = True
    assert "Final" in texts(progress)
    fill(progress, [np.nan])
    assert "Final" not in texts(progress)


def test_bands_of_epochs():
    progress = board(end=12.0, epochs=[1.0, 5.0, 9.0])
    fill(progress, np.ones(12))
    bands = [each for each in parsed(progress).iter(f"{SVG}rect") if each.get("class") == "band"]
    (place,) = chart.places(progress)
    assert len(bands) == 1
    assert float(bands[0].get("x")) == pytest.approx(WIDTH * (place.left + place.width * 4 / 12), abs=0.1)
    assert float(bands[0].get("width")) == pytest.approx(WIDTH * place.width * 4 / 12, abs=0.1)
    assert [text for text in texts(progress) if text.startswith("Epoch")] == ["Epoch 1", "Epoch 2", "Epoch 3"]


def test_names_are_no_markup():
    progress = Board("a<b>&", "x<", [Panel("<l&", [Curve('a"<b', "metric"), Curve("c", "metric")])])
    progress.sections = {"t<": {"n&": "v<"}}
    fill(progress, [1.0])
    assert {"a<b>&", "x<", "<l&", 'a"<b', "t<", "n&", "v<"} <= set(texts(progress))
    assert "<title>a&lt;b&gt;&amp;</title>" in page(progress)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_panels(count):
    progress = Board("t", "", [Panel(f"p{number}", [Curve("c", "metric")]) for number in range(count)])
    assert len([text for text in texts(progress) if re.fullmatch(r"p\d", text)]) == count


def test_a_long_training_makes_a_small_page():
    progress = board()
    fill(progress, np.random.default_rng(0).random(50_000))
    assert len(page(progress)) < 60_000


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0, 1), "0 0.2 0.4 0.6 0.8 1"),
        ((0, 100), "0 20 40 60 80 100"),
        ((0, 390), "0 100 200 300"),
        ((-1, 0.5), "-1 -0.75 -0.5 -0.25 0 0.25 0.5"),
        ((0, 3e-5), "0 5e-06 1e-05 1.5e-05 2e-05 2.5e-05 3e-05"),
        ((1000, 1001), "1000 1000.2 1000.4 1000.6 1000.8 1001"),
    ],
)
def test_numbers_of_axes_are_round(ends, expected):
    ticks = _ticks(ends)
    assert " ".join(text for _, text in ticks) == expected
    assert all(float(text) == pytest.approx(value, abs=1e-12) for value, text in ticks)


def test_powers_of_ten():
    assert [text for _, text in _powers((0.01, 100.0))] == ["1e-2", "1e-1", "1e0", "1e1", "1e2"]
    assert len(_powers((1e-30, 1e10))) <= 8
