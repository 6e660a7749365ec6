"""No test opens a window or writes into the folder that it is run in."""

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib import pyplot
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mlnet.plotting import surfaces
from mlnet.plotting.progress_figure import ProgressFigure
from mlnet.training.board import Watch


@pytest.fixture(autouse=True)
def no_display(monkeypatch, tmp_path):
    """Leave matplotlib without windows, in a folder of its own, and forget which lines have been said."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Watch, "_said", set())
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Canvas(FigureCanvasAgg):
    """A canvas of a window system without a screen."""

    required_interactive_framework = "headless"  # what matplotlib calls a Linux without a display
    passed_on = 0

    def flush_events(self):
        Canvas.passed_on += 1
        Canvas.on_events(self)

    @staticmethod
    def on_events(canvas):
        """What the user does; tests replace it."""

    def blit(self, bbox=None):
        """Copy to the screen, which is not there."""


class Manager(FigureManagerBase):
    shown = 0

    def show(self):
        Manager.shown += 1


Canvas.manager_class = Manager


@pytest.fixture
def windows(monkeypatch):
    """Let matplotlib have a window system, and return its canvas and manager."""
    backend = SimpleNamespace(FigureCanvas=Canvas, FigureManager=Manager, __name__="windows")
    monkeypatch.setitem(sys.modules, "windows", backend)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(Canvas, "passed_on", 0)
    monkeypatch.setattr(Manager, "shown", 0)
    matplotlib.pyplot.switch_backend("module://windows")
    return backend


@pytest.fixture
def views(monkeypatch, windows):
    """Let there be windows, and return the figures that are made, in their order."""
    made = []

    class View(ProgressFigure):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(surfaces, "ProgressFigure", View)
    return made


def press(button):
    """Click on a button."""
    from matplotlib.backend_bases import MouseEvent

    canvas = button.ax.figure.canvas
    x, y = button.ax.bbox.x0 + 5, button.ax.bbox.y0 + 5
    for kind in ("button_press_event", "button_release_event"):
        canvas.callbacks.process(kind, MouseEvent(kind, canvas, x, y, button=1))


@pytest.fixture
def click():
    return press
