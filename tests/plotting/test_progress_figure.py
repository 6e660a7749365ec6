"""What a figure of progress draws of a board."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlnet.plotting.chart import BANDS, SIZE, end_above, thinned
from mlnet.plotting.progress_figure import ProgressFigure, side_texts
from mlnet.training.board import SMOOTHING, Board, Curve, Panel


def board(kind="training", **given):
    return Board("Training", "Iteration", [Panel("Loss", [Curve("TrainingLoss", kind)])], **given)


def view_of(progress):
    figure = Figure(figsize=SIZE, dpi=100)
    FigureCanvasAgg(figure)
    return ProgressFigure(figure, progress, with_button=True)


def pixels(figure):
    return np.array(figure.canvas.buffer_rgba())


def fill(progress, values):
    for iteration, value in enumerate(values, start=1):
        progress.panels[0].curves[0].add(iteration, value)


def test_the_smooth_curve_is_a_weighted_mean():
    curve = Curve("TrainingLoss", "training")
    values = [3.0, 1.0, np.nan, 2.0]
    for iteration, value in enumerate(values, start=1):
        curve.add(iteration, value)
    weights = SMOOTHING ** np.array([2, 1, 0])
    assert curve.smooth[-1] == pytest.approx((weights @ [3, 1, 2]) / weights.sum())
    assert curve.smooth[0] == 3 and curve.smooth[2] == curve.smooth[1]
    first = Curve("TrainingLoss", "training")
    first.add(1, np.nan)
    assert np.isnan(first.smooth[0])


def test_long_curves_keep_their_extremes_and_their_end():
    y = np.random.default_rng(0).normal(size=100_003)
    y[777], y[5000], y[6000] = 50, -40, np.nan
    x = np.arange(1, len(y) + 1)
    xs, ys = thinned(list(x), list(y))
    assert len(xs) <= 1300 and (np.diff(xs) > 0).all()
    assert ys.max() == 50 and np.nanmin(ys) == -40 and (xs[-1], ys[-1]) == (x[-1], y[-1])
    np.testing.assert_array_equal(ys, y[xs.astype(int) - 1])


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_short_curves_stay(count):
    xs, ys = thinned(list(range(count)), list(range(count)))
    assert len(xs) == len(ys) == count


def test_stretches_without_any_number():
    _, ys = thinned(list(range(5000)), [np.nan] * 5000)
    assert np.isnan(ys).all()


@pytest.mark.parametrize(
    ("value", "end"), [(0, 1), (0.7, 0.8), (1, 1), (1.01, 1.5), (2.7, 3), (99, 100), (101, 150), (3e-5, 3e-5)]
)
def test_ends_of_axes(value, end):
    assert end_above(value) == pytest.approx(end)


def test_a_quick_drawing_is_the_same_as_a_whole_one():
    progress = board(sections={"Training time": {"Elapsed time": "00:00:00"}}, end=100)
    view = view_of(progress)
    fill(progress, np.linspace(1, 0.7, 45))
    view.draw()
    first = pixels(view.figure)
    progress.panels[0].curves[0].add(46, 0.2)
    progress.sections["Training time"]["Elapsed time"] = "00:01:00"
    whole = []
    view.figure.canvas.mpl_connect("draw_event", whole.append)
    view.draw()
    assert not whole, "nothing but curves and texts has changed"
    quick = pixels(view.figure)
    view.figure.canvas.draw()
    assert whole and (pixels(view.figure) == quick).all()
    assert (quick != first).any()


def test_a_changed_axis_is_drawn_wholly():
    progress = board()
    view = view_of(progress)
    fill(progress, [1.0])
    view.draw()
    progress.panels[0].curves[0].add(2, 7.0)
    view.draw()
    assert view.axes[0].get_ylim() == (0, 8)
    progress.panels[0].curves[0].add(3, -7.0)
    view.draw()
    assert view.axes[0].get_ylim() == (-8, 8)


def test_logarithmic_axes_hold_all_positive_values():
    progress = board("metric")
    progress.panels[0].is_logarithmic = True
    view = view_of(progress)
    view.draw()
    fill(progress, [0.03, 20.0, 0.0, np.inf])
    view.draw()
    assert view.axes[0].get_yscale() == "log"
    assert view.axes[0].get_ylim() == pytest.approx((0.01, 100))


def test_many_epochs_share_bands():
    progress = board(end=3000.0)
    view = view_of(progress)
    fill(progress, np.ones(3000))
    progress.epochs.extend(range(1, 3001, 3))
    view.draw()
    axes = view.axes[0]
    assert len(axes.epoch_band.get_paths()) <= BANDS / 2 and 5 <= len(axes.epoch_texts) <= 13
    assert axes.epoch_texts[0].get_text() == "1"


def test_a_new_version_of_the_board_has_other_panels():
    progress = board("metric")
    view = view_of(progress)
    progress.panels = [Panel(f"Loss {number}", [Curve(f"c{number}", "metric")]) for number in range(5)]
    progress.version += 1
    view.draw()
    boxes = [axes.get_position().bounds for axes in view.axes]
    assert len(set(boxes)) == 5 and len({left for left, *_ in boxes}) == 2
    progress.panels = []
    progress.version += 1
    view.draw()
    assert view.axes == []


def test_names_are_no_formulas():
    progress = Board("a$b$^", "x$_", [Panel("$l", [Curve("a$_b", "metric"), Curve("c", "metric")])])
    progress.sections = {"t$": {"n$": "v$_^"}}
    view = view_of(progress)
    fill(progress, [1.0])
    view.draw()


def test_the_figure_can_be_saved_by_its_user(tmp_path):
    progress = board()
    view = view_of(progress)
    fill(progress, [1.0, 0.5])
    view.draw()
    for name in ("a.png", "a.pdf", "a.svg"):
        view.figure.savefig(tmp_path / name)
    svg = (tmp_path / "a.svg").read_text()
    assert "#d95319" in svg, "the smooth curve is there"
    view.settle()
    view.figure.savefig(tmp_path / "b.svg")
    assert "#d95319" in (tmp_path / "b.svg").read_text()


def test_pictures_are_the_same_whatever_the_user_has_set():
    import matplotlib

    def picture():
        progress = board()
        view = view_of(progress)
        fill(progress, [1.0, 0.5])
        view.draw()
        return pixels(view.figure)

    plain = picture()
    with matplotlib.rc_context({"axes.facecolor": "black", "lines.linewidth": 9, "font.size": 30}):
        assert (picture() == plain).all()
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_texts_stand_in_the_same_lines():
    names, values, headings = side_texts({"A": {"x": "1", "y": "2"}, "B": {"z": "3"}})
    assert headings == "A\n\n\n\nB\n\n"
    assert names == "\nx\ny\n\n\nz\n" and values == "\n1\n2\n\n\n3\n"
