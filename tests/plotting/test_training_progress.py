"""Plots='training-progress': a file, a cell or a window; the stop button; and never an error."""

import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot

import mlnet
from mlnet import (
    TrainingError,
    batchNormalizationLayer,
    classificationLayer,
    featureInputLayer,
    fullyConnectedLayer,
    predict,
    regressionLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.plotting import pace, pictures, surfaces
from mlnet.training.board import Board

random = np.random.default_rng(0)
X = random.normal(size=(64, 3))
Y = (X[:, 0] > 0).astype(int)


def layers():
    return [
        featureInputLayer(3),
        fullyConnectedLayer(4),
        batchNormalizationLayer,
        fullyConnectedLayer(2),
        softmaxLayer,
        classificationLayer,
    ]


def train(nargout=1, **given):
    options = {"MaxEpochs": 3, "MiniBatchSize": 16, "Verbose": False, "Plots": "training-progress", **given}
    return trainNetwork(X, Y, layers(), trainingOptions("sgdm", **options), nargout=nargout)


def texts(view):
    return dict(zip(view.names.get_text().split("\n"), view.values.get_text().split("\n"), strict=True))


def test_without_a_display_a_file_is_written_and_named(tmp_path, capsys):
    train()
    path = tmp_path / "training-progress.html"
    assert "Max epochs completed" in path.read_text()
    assert capsys.readouterr().out == f"Training progress: {path}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["training-progress.html"], "no part of a file is left"


def test_where_the_folder_is_read_only_the_file_is_among_the_temporary_ones(tmp_path, monkeypatch, capsys):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr(surfaces.os, "access", lambda path, mode: False)
    monkeypatch.setattr(surfaces.tempfile, "gettempdir", lambda: str(elsewhere))
    train()
    assert (elsewhere / "training-progress.html").is_file()
    assert str(elsewhere) in capsys.readouterr().out


def test_the_picture_has_what_training_had(views):
    _, info = train(nargout=2, ValidationData=(X, Y), ValidationFrequency=5)
    (view,) = views
    accuracy, loss = view.axes
    raw, smooth, validation = loss.lines
    np.testing.assert_array_equal(raw.get_ydata(), info.TrainingLoss)
    np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 13))
    assert smooth.get_ydata()[0] == pytest.approx(info.TrainingLoss[0])
    expected = [*info.ValidationLoss[[0, 4, 9, 11]], info.FinalValidationLoss]
    np.testing.assert_array_equal(validation.get_ydata(), expected)
    assert validation.get_linestyle() == "--"
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), info.TrainingAccuracy)
    assert accuracy.get_ylim() == (0, 100) and accuracy.get_xlim() == (0, 12)
    assert accuracy.final_text.get_text().strip() == "Final"
    rows = texts(view)
    assert rows["Status"] == "Max epochs completed"
    assert rows["Validation accuracy"] == f"{info.FinalValidationAccuracy:.2f}%"
    assert (rows["Epoch"], rows["Iteration"], rows["Learning rate"]) == ("3 of 3", "12 of 12", "0.0100")
    assert rows["Iterations per epoch"] == "4" and rows["Frequency"] == "5 iterations"
    assert [text.get_text() for text in accuracy.epoch_texts] == ["Epoch 1", "Epoch 2", "Epoch 3"]
    (band,) = accuracy.epoch_band.get_paths()
    assert sorted(set(band.vertices[:, 0])) == [4, 8], "the second epoch has iterations 5 to 8"


def test_regression_shows_rmse(views):
    network = [featureInputLayer(3), fullyConnectedLayer(1), regressionLayer]
    options = trainingOptions("sgdm", MaxEpochs=2, Verbose=False, Plots="training-progress")
    _, info = trainNetwork(X, X[:, :1], network, options, nargout=2)
    (view,) = views
    assert view.axes[0].get_ylabel() == "RMSE"
    np.testing.assert_array_equal(view.axes[0].lines[0].get_ydata(), info.TrainingRMSE)
    assert "Frequency" not in texts(view)


def test_the_picture_changes_nothing_in_training():
    mlnet.rng(3)
    with_picture = train()
    mlnet.rng(3)
    without = train(Plots="none")
    np.testing.assert_array_equal(predict(with_picture, X), predict(without, X))


def test_the_stop_button_ends_training_with_a_finished_network(windows, views, click, monkeypatch, capsys):
    def press_later(canvas):
        if len(views[0].axes[0].lines[0].get_xdata()) or windows.FigureCanvas.passed_on == 3:
            click(views[0].button)

    monkeypatch.setattr(windows.FigureCanvas, "on_events", staticmethod(press_later))
    monkeypatch.setattr(pictures, "POLL", 0.0)
    net, info = train(nargout=2, MaxEpochs=10000, Verbose=True, ValidationData=(X, Y))
    iterations = len(info.TrainingLoss)
    assert 1 <= iterations < 2000
    assert "Training finished: Stopped manually.\n" in capsys.readouterr().out
    assert windows.FigureManager.shown == 1
    assert net.Layers(3).TrainedMean.size == 4 and np.isfinite(info.FinalValidationLoss)
    assert predict(net, X).shape == (64, 2)
    assert texts(views[0])["Status"] == "Stopped manually"
    assert not views[0].button.ax.get_visible()


def test_output_function_comes_before_the_button(windows, views, click, monkeypatch, capsys):
    monkeypatch.setattr(windows.FigureCanvas, "on_events", staticmethod(lambda canvas: click(views[0].button)))
    monkeypatch.setattr(pictures, "POLL", 0.0)
    train(OutputFcn=lambda info: info.Iteration == 1 if info.State == "iteration" else False, Verbose=True)
    assert "Stopped by OutputFcn." in capsys.readouterr().out


def test_a_closed_window_does_not_stop_training(windows, views, monkeypatch):
    def close(canvas):
        canvas.callbacks.process("close_event", None)

    monkeypatch.setattr(windows.FigureCanvas, "on_events", staticmethod(close))
    _, info = train(nargout=2)
    assert len(info.TrainingLoss) == 12
    assert windows.FigureCanvas.passed_on == 1, "a closed window is left alone"


def test_a_window_finds_its_size_when_it_opens(windows, views, monkeypatch):
    now = [0.0]  # a clock that only these two functions move

    def resize(canvas):
        if windows.FigureCanvas.passed_on == 1:
            now[0] += 0.2  # a whole drawing; if it counted, a pause of 4 seconds would follow

    def is_drawn_again(info):
        now[0] += 0.05
        return len(views) == 1 and len(views[0].axes[0].lines[0].get_xdata()) > 1

    monkeypatch.setattr(windows.FigureCanvas, "on_events", staticmethod(resize))
    monkeypatch.setattr(pace, "SHARE", 20)
    monkeypatch.setattr(pictures.BoardPicture.__init__, "__defaults__", (lambda: now[0],))
    _, info = train(nargout=2, MaxEpochs=10, OutputFcn=is_drawn_again)
    assert 5 < len(info.TrainingLoss) < 40, "drawn again while training"


def test_windows_of_two_trainings_are_two(windows):
    train()
    train()
    assert pyplot.get_figlabels() == ["Training progress", "Training progress (2)"]


def test_a_window_system_that_fails_gives_a_file(windows, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise RuntimeError("no display name and no $DISPLAY environment variable")

    monkeypatch.setattr(pyplot, "figure", fail)
    train()
    assert (tmp_path / "training-progress.html").is_file()


def test_in_a_notebook_one_cell_is_replaced(monkeypatch, tmp_path, capsys):
    shown, replaced = [], []

    class Handle:
        def update(self, forms, *, raw):
            replaced.append(forms)

    def display(forms, *, raw, display_id):
        assert raw is display_id is True
        shown.append(forms)
        return Handle()

    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    train()
    assert len(shown) == 1 and replaced, "opened once, and drawn again at the end"
    assert all(set(forms) == {"image/svg+xml", "text/plain"} for forms in shown + replaced)
    drawings = [ElementTree.fromstring(forms["image/svg+xml"]) for forms in shown + replaced]
    texts = [[each.text for each in drawing.iter() if each.text] for drawing in drawings]
    assert "1 of 12" in texts[0] and "12 of 12" in texts[-1] and "Max epochs completed" in texts[-1]
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""


def test_the_shell_of_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert not surfaces.in_notebook()


@pytest.mark.parametrize("display", ["", ":0"])
def test_matplotlib_is_not_needed(display, monkeypatch, tmp_path):
    monkeypatch.setenv("DISPLAY", display)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    train()
    assert "Max epochs completed" in (tmp_path / "training-progress.html").read_text()


def test_a_picture_that_fails_does_not_end_training(monkeypatch, capsys):
    def fail(self, *args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(surfaces.Path, "write_text", fail)
    for _ in range(2):
        _, info = train(nargout=2)
        assert len(info.TrainingLoss) == 12
    assert capsys.readouterr().out == "The progress is not drawn. OSError: No space left on device\n", "said once"


def test_an_error_of_training_is_drawn_and_raised(views):
    with np.errstate(all="ignore"), pytest.raises(TrainingError):
        train(InitialLearnRate=1e30, MaxEpochs=50)
    assert texts(views[0])["Status"] == "Interrupted"


def test_other_threads_get_a_file(windows, tmp_path):
    import threading

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert (tmp_path / "training-progress.html").is_file() and windows.FigureManager.shown == 0


def test_no_picture_without_the_option(monkeypatch, tmp_path):
    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(Board, "opener", staticmethod(fail))
    train(Plots="none")
    assert not list(tmp_path.iterdir())


def test_sequences_in_pieces_have_no_known_end(views):
    from mlnet import lstmLayer, sequenceInputLayer

    sequences = [random.normal(size=(2, 7)) for _ in range(4)]
    network = [sequenceInputLayer(2), lstmLayer(2), fullyConnectedLayer(1), regressionLayer]
    options = trainingOptions("sgdm", MaxEpochs=2, SequenceLength=3, Verbose=False, Plots="training-progress")
    _, info = trainNetwork(sequences, [each[:1] for each in sequences], network, options, nargout=2)
    assert texts(views[0])["Iteration"] == str(len(info.TrainingLoss)) == "6"


def test_files_are_replaced_in_one_step(tmp_path, monkeypatch, capsys):
    path = tmp_path / "training-progress.html"
    path.write_text("old")

    def fail(self, target):
        assert "</html>" in self.read_text()
        raise OSError

    monkeypatch.setattr(surfaces.Path, "replace", fail)
    train()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    assert "The progress is not drawn. OSError" in capsys.readouterr().out


def test_a_page_is_read_again_until_training_is_over(tmp_path):
    path, pages = tmp_path / "training-progress.html", []
    train(OutputFcn=lambda info: pages.append(path.read_text()) if info.State == "iteration" else None)
    again = 'http-equiv="refresh"'
    assert all(again in text for text in pages) and again not in path.read_text()
