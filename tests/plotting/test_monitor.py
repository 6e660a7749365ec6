"""trainingProgressMonitor, as loops of public scripts call it."""

import copy
import gc

import numpy as np
import pytest

from mlnet import (
    OptionError,
    UnknownNameError,
    groupSubPlot,
    recordMetrics,
    trainingProgressMonitor,
    updateInfo,
    yscale,
)
from mlnet.plotting import pictures
from mlnet.structure import Structure


def monitor(**given):
    options = {"Metrics": ["TrainingLoss", "ValidationLoss", "Score"], "Info": ["Epoch", "LearnRate"]}
    return trainingProgressMonitor(**{**options, "XLabel": "Iteration", **given})


def labels(of):
    return [panel.label for panel in of._board.panels]


def test_values_are_kept_in_every_form():
    loop = monitor(Visible="off")
    recordMetrics(loop, 1, TrainingLoss=np.float32(0.5), Score=[[3]])
    recordMetrics(loop, np.int64(2), "TrainingLoss", np.array(0.25))
    recordMetrics(loop, 3, Structure(ValidationLoss=7.0))
    loop.recordMetrics(4, {"Score": np.nan})
    assert loop.MetricData.TrainingLoss.tolist() == [[1, 0.5], [2, 0.25]]
    assert loop.MetricData.ValidationLoss.tolist() == [[3, 7]]
    np.testing.assert_array_equal(loop.MetricData.Score, [[1, 3], [4, np.nan]])
    updateInfo(loop, Epoch=1, LearnRate=np.float64(0.01))
    updateInfo(loop, "Epoch", "2 of 3")
    assert loop.InfoData.fields() == {"Epoch": "2 of 3", "LearnRate": 0.01}


def test_losses_of_automatic_differentiation():
    from mlnet import dlarray

    loop = monitor(Visible="off")
    recordMetrics(loop, 1, TrainingLoss=dlarray(np.float32(2.0)))
    assert loop.MetricData.TrainingLoss.tolist() == [[1, 2]]


def test_names_can_be_set_after_creation():
    loop = trainingProgressMonitor()
    loop.Visible = False
    loop.Metrics = ["Loss"]
    loop.Info = "Epoch"
    loop.XLabel = "Epoch"
    recordMetrics(loop, 1, Loss=1)
    loop.Metrics = ["Loss", "Other"]
    assert loop.MetricData.Loss.tolist() == [[1, 1]] and loop.MetricData.Other.shape[0] == 0
    assert (loop._board.x_label, list(loop.Info)) == ("Epoch", ["Epoch"])


def test_groups_share_a_panel():
    loop = monitor(Visible="off")
    assert labels(loop) == ["TrainingLoss", "ValidationLoss", "Score"]
    groupSubPlot(loop, "Loss", ["TrainingLoss", "ValidationLoss"])
    assert labels(loop) == ["Loss", "Score"]
    loop.groupSubPlot("Both", ["ValidationLoss", "Score"])
    assert [[curve.name for curve in panel.curves] for panel in loop._board.panels] == [
        ["TrainingLoss"],
        ["ValidationLoss", "Score"],
    ]
    yscale(loop, "Both", "log")
    assert [panel.is_logarithmic for panel in loop._board.panels] == [False, True]


def run_to_its_end():
    own = monitor()
    groupSubPlot(own, "Loss", ["TrainingLoss", "ValidationLoss"])
    for iteration in range(1, 6):
        recordMetrics(own, iteration, TrainingLoss=1 / iteration)
        updateInfo(own, Epoch=f"{iteration} of 5", LearnRate=0.01)


def test_the_picture_has_the_last_state(views):
    run_to_its_end()
    gc.collect()
    (view,) = views
    assert view.axes[0].lines[0].get_ydata().tolist() == [1 / n for n in range(1, 6)]
    rows = dict(zip(view.names.get_text().split("\n"), view.values.get_text().split("\n"), strict=True))
    assert (rows["Epoch"], rows["LearnRate"], rows["Status"]) == ("5 of 5", "0.0100", "Running")


def test_without_a_display_the_file_has_the_last_state(tmp_path, capsys):
    run_to_its_end()
    gc.collect()
    path = tmp_path / "training-progress.html"
    assert capsys.readouterr().out == f"Training progress: {path}\n"
    text = path.read_text()
    assert ">5 of 5<" in text and 'http-equiv="refresh"' not in text


def test_a_finished_loop_is_drawn_at_once(tmp_path):
    path = tmp_path / "training-progress.html"
    loop = monitor()
    recordMetrics(loop, 1, Score=1)
    first = path.read_text()
    assert ">0 %<" in first and 'http-equiv="refresh"' in first
    loop.Progress = 99
    assert path.read_text() == first, "it is too early for another drawing"
    loop.Progress = 100
    assert ">100 %<" in path.read_text()


def test_an_invisible_monitor_draws_nothing(tmp_path, views):
    loop = monitor(Visible=False)
    recordMetrics(loop, 1, Score=1)
    loop.Progress = 100
    del loop
    gc.collect()
    assert not views and not list(tmp_path.iterdir())


def test_the_stop_button(windows, views, click, monkeypatch):
    monkeypatch.setattr(pictures, "POLL", 0.0)
    loop = monitor()
    iteration = 0
    while iteration < 1000 and not loop.Stop:
        iteration += 1
        recordMetrics(loop, iteration, TrainingLoss=1.0)
        if iteration == 10:
            monkeypatch.setattr(windows.FigureCanvas, "on_events", staticmethod(lambda canvas: click(views[0].button)))
    assert loop.Stop is True and 10 <= iteration < 1000


def test_copies_are_the_same_monitor():
    loop = monitor(Visible="off")
    assert copy.copy(loop) is loop and copy.deepcopy({"a": loop})["a"] is loop


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: recordMetrics(m, 1, Trainingloss=1), UnknownNameError, "Did you mean 'TrainingLoss'"),
        (lambda m: updateInfo(m, Epochs=1), UnknownNameError, "Did you mean 'Epoch'"),
        (lambda m: groupSubPlot(m, "Loss", ["Los"]), UnknownNameError, "no 'Los' in the Metrics"),
        (lambda m: yscale(m, "Loss", "log"), UnknownNameError, "yscale"),
        (lambda m: yscale(m, "Score", "cubic"), OptionError, "'linear', 'log'|linear"),
        (lambda m: groupSubPlot(m, 1, ["Score"]), OptionError, "groupName"),
        (lambda m: groupSubPlot(m, "Loss", [1]), OptionError, "metricNames"),
        (lambda m: recordMetrics(m, 1, Score=[1, 2]), OptionError, "Score: needs one real number"),
        (lambda m: recordMetrics(m, 1, Score="x"), OptionError, "Score: needs one real number"),
        (lambda m: recordMetrics(m, None, Score=1), OptionError, "step: needs one real number"),
        (lambda m: recordMetrics(m, 1, "Score"), OptionError, "names with values"),
        (lambda m: updateInfo(m, Epoch=[1, 2]), OptionError, "Epoch"),
        (lambda m: recordMetrics(3, 1, Score=1), OptionError, "trainingProgressMonitor"),
        (lambda m: setattr(m, "Progress", 101), OptionError, "Progress"),
        (lambda m: setattr(m, "Stop", True), OptionError, "read-only"),
        (lambda m: setattr(m, "Visible", "perhaps"), OptionError, "Visible: needs 'on' or 'off'"),
        (lambda m: setattr(m, "Progres", 1), UnknownNameError, "Progress"),
    ],
)
def test_mistakes(call, error, text):
    loop = monitor(Visible="off")
    with pytest.raises(error, match=text):
        call(loop)
    assert loop.MetricData.Score.size == 0 and labels(loop) == ["TrainingLoss", "ValidationLoss", "Score"]
