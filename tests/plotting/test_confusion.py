"""Confusion matrices: counts against a plain loop, the two charts, what can be changed in them."""

import numpy as np
import pytest
from matplotlib import pyplot

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    categorical,
    categories,
    confusionchart,
    confusionmat,
    plotconfusion,
    sortClasses,
)

random = np.random.default_rng(1)
TRUE = random.integers(0, 3, 60)
GUESS = np.where(random.random(60) < 0.7, TRUE, random.integers(0, 3, 60))
NAMES = ["cat", "dog", "owl"]


def counts():
    found = np.zeros((3, 3))
    for truth, guess in zip(TRUE, GUESS, strict=True):
        found[truth, guess] += 1
    assert (found != found.T).any()
    return found


def labels(codes, names=NAMES):
    return categorical(codes, range(len(names)), names)


def drawn(axes):
    return [text.get_text() for text in axes.texts]


def by_place(axes):
    return {tuple(np.round(text.get_position(), 2).tolist()): text.get_text() for text in axes.texts}


def ticks(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


@pytest.mark.parametrize(
    "form",
    [
        labels,
        lambda codes: [NAMES[code] for code in codes],
        lambda codes: np.array(NAMES)[codes],
        lambda codes: codes,
        lambda codes: (codes + 8.0).reshape(-1, 1),
    ],
)
def test_rows_are_true_classes(form):
    C, order = confusionmat(form(TRUE), form(GUESS), nargout=2)
    assert C.dtype == np.float64
    np.testing.assert_array_equal(C, counts())
    assert len(order) == 3
    np.testing.assert_array_equal(confusionmat(form(TRUE), form(GUESS)), C)


def test_the_order_is_of_the_kind_of_the_labels():
    _, order = confusionmat([10.0, 9.0, 2.0], [9.0, 9.0, 10.0], nargout=2)
    assert order.tolist() == [2, 9, 10], "numbers by size"
    _, order = confusionmat(["b", "a"], ["c", "a"], nargout=2)
    assert order == ["a", "b", "c"]
    _, order = confusionmat(np.array([True, False]), np.array([True, True]), nargout=2)
    assert order.tolist() == [False, True]
    known = labels([1, 1], ["z", "a"])
    C, order = confusionmat(known, categorical(["new", "a"]), nargout=2)
    assert categories(order) == ["z", "a", "new"] and C.tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_a_given_order():
    np.testing.assert_array_equal(confusionmat(TRUE, GUESS, Order=[2, 0, 1]), counts()[np.ix_([2, 0, 1], [2, 0, 1])])
    with pytest.raises(DataError, match="'2' of the labels is not in Order"):
        confusionmat(TRUE, GUESS, Order=[0, 1])
    with pytest.raises(OptionError, match="different"):
        confusionmat(TRUE, GUESS, Order=[0, 1, 1])


def test_undefined_labels_do_not_count():
    assert confusionmat(["a", None, "b", "a"], ["a", "a", None, "b"]).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("known", "predicted", "text"),
    [
        ([1, 2], [1], "as many"),
        (np.ones((2, 2)), np.ones((2, 2)), "as many"),
        ([1, 2], ["1", "2"], "of one kind"),
        ([1.5, 2], [1, 2], "class labels"),
    ],
)
def test_labels_that_do_not_go_together(known, predicted, text):
    with pytest.raises(DataError, match=text):
        confusionmat(known, predicted)


def test_nargout():
    with pytest.raises(OptionError, match="nargout"):
        confusionmat([1], [1], nargout=3)


def test_the_chart_shows_the_matrix():
    chart = confusionchart(labels(TRUE), labels(GUESS), Title="Animals")
    np.testing.assert_array_equal(chart.NormalizedValues, counts())
    assert chart.ClassLabels == NAMES
    (axes,) = chart.Figure.axes
    assert ticks(axes) == NAMES and axes.get_title() == "Animals"
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("True Class", "Predicted Class")
    assert drawn(axes) == [f"{value:.0f}" for value in counts().ravel() if value]
    first = axes.texts[1].get_position()
    assert first == (1.5, 0.5), "the second text is in the first row, as the prediction of another class"
    colors = axes.collections[0].get_array().reshape(3, 3, 3)
    assert (np.argmax(colors[range(3), range(3)], axis=1) == 2).all(), "right predictions are blue"
    assert (np.argmax(colors[[0, 1], [1, 2]], axis=1) == 0).all(), "wrong ones are not"


@pytest.mark.parametrize(
    "arguments, names",
    [
        ((counts(),), ["1", "2", "3"]),
        ((counts(), NAMES), NAMES),
        ((counts(), np.array([[7], [8], [9]])), ["7", "8", "9"]),
        ((counts(), categorical(NAMES)), NAMES),
        ((counts().tolist(), "Title", "x"), ["1", "2", "3"]),
        ((counts(), NAMES, "title", "x"), NAMES),
        ((TRUE, GUESS, "Title", "x"), ["0", "1", "2"]),
    ],
)
def test_forms_of_the_call(arguments, names):
    chart = confusionchart(*arguments)
    assert chart.ClassLabels == names
    np.testing.assert_array_equal(chart.NormalizedValues, counts())
    assert chart.Title == ("x" if isinstance(arguments[-1], str) else "")


@pytest.mark.parametrize(
    ("kind", "total"),
    [
        ("row-normalized", counts().sum(axis=1, keepdims=True)),
        ("column-normalized", counts().sum(axis=0, keepdims=True)),
        ("total-normalized", 60),
    ],
)
def test_normalization(kind, total):
    chart = confusionchart(counts())
    chart.Normalization = kind
    np.testing.assert_allclose(chart.NormalizedValues, counts() / total)
    assert drawn(chart.Figure.axes[0])[0] == f"{100 * chart.NormalizedValues[0, 0]:.1f}%"


def test_summaries_can_be_switched_on_later():
    C = counts()
    chart = confusionchart(C)
    chart.RowSummary = "row-normalized"
    chart.ColumnSummary = "column-normalized"
    (axes,) = chart.Figure.axes
    texts = by_place(axes)
    assert texts[3.75, 0.5] == f"{100 * C[0, 0] / C[0].sum():.1f}%"
    assert texts[4.75, 0.5] == f"{100 * (1 - C[0, 0] / C[0].sum()):.1f}%"
    assert texts[1.5, 3.75] == f"{100 * C[1, 1] / C[:, 1].sum():.1f}%"
    assert texts[1.5, 4.75] == f"{100 * (1 - C[1, 1] / C[:, 1].sum()):.1f}%"
    assert axes.get_xlim() == (0, 5.25)
    chart.RowSummary, chart.ColumnSummary = "absolute", "off"
    texts = by_place(chart.Figure.axes[0])
    assert texts[4.75, 2.5] == f"{C[2].sum() - C[2, 2]:.0f}"


def test_classes_that_never_appear():
    chart = confusionchart([[2, 0], [0, 0]], RowSummary="row-normalized", Normalization="row-normalized")
    np.testing.assert_array_equal(chart.NormalizedValues, [[1, 0], [np.nan, np.nan]])
    assert confusionchart([[0]]).NormalizedValues.tolist() == [[0]]


def test_classes_in_another_order():
    chart = confusionchart(counts(), NAMES)
    sortClasses(chart, ["owl", "cat", "dog"])
    np.testing.assert_array_equal(chart.NormalizedValues, counts()[np.ix_([2, 0, 1], [2, 0, 1])])
    assert ticks(chart.Figure.axes[0]) == chart.ClassLabels == ["owl", "cat", "dog"]
    sortClasses(chart, "descending-diagonal")
    assert (np.diff(np.diag(chart.NormalizedValues)) <= 0).all()
    sortClasses(chart, "ascending-diagonal")
    assert (np.diff(np.diag(chart.NormalizedValues)) >= 0).all()
    sortClasses(chart, "auto")
    assert chart.ClassLabels == NAMES
    for wrong in (["owl", "cat"], "cluster", ["owl", "cat", "cat"]):
        with pytest.raises(OptionError):
            sortClasses(chart, wrong)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((), {}, OptionError, "no argument"),
        (([[1, 2]],), {}, DataError, "square"),
        (([[-1]],), {}, DataError, "square"),
        (([[np.nan]],), {}, DataError, "square"),
        ((counts(), ["a", "a", "b"]), {}, DataError, "different names"),
        ((counts(),), {"Titel": "x"}, UnknownNameError, "Title"),
        ((counts(),), {"RowSummary": "column-normalized"}, OptionError, "RowSummary"),
        ((counts(),), {"Normalization": "diagonal"}, OptionError, "Normalization"),
        ((TRUE, GUESS[:-1]), {}, DataError, "as many"),
    ],
)
def test_mistakes_in_charts(arguments, options, error, text):
    with pytest.raises(error, match=text):
        confusionchart(*arguments, **options)
    assert not pyplot.get_fignums()


def test_many_classes_and_odd_names():
    names = [f"$c_{number}^" for number in range(30)]
    chart = confusionchart(np.eye(30), names, RowSummary="absolute", ColumnSummary="absolute")
    chart.Figure.canvas.draw()


def check_plot(figure, names):
    (axes,) = figure.axes
    C = counts().T
    texts = by_place(axes)
    assert texts[1.5, 0.36] == f"{C[0, 1]:.0f}" and texts[1.5, 0.68] == f"{100 * C[0, 1] / 60:.1f}%"
    assert texts[3.5, 0.36] == f"{100 * C[0, 0] / C[0].sum():.1f}%"
    assert texts[0.5, 3.68] == f"{100 * (1 - C[0, 0] / C[:, 0].sum()):.1f}%"
    assert texts[3.5, 3.36] == f"{100 * np.trace(C) / 60:.1f}%"
    assert ticks(axes) == names
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("Output Class", "Target Class")


def test_the_older_plot_has_outputs_in_rows():
    check_plot(plotconfusion(labels(TRUE), labels(GUESS)), NAMES)
    one_hot = np.eye(3)
    check_plot(plotconfusion(one_hot[TRUE].T, one_hot[GUESS].T * 0.6 + 0.1), ["1", "2", "3"])
    check_plot(plotconfusion(TRUE, GUESS), ["0", "1", "2"])


def test_two_classes_in_one_row():
    (axes,) = plotconfusion([[0, 1, 1, 1]], [[0.2, 0.9, 0.4, 0.5]]).axes
    texts = by_place(axes)
    assert ticks(axes) == ["0", "1"]
    assert [texts[at] for at in ((0.5, 0.36), (1.5, 0.36), (0.5, 1.36), (1.5, 1.36))] == ["1", "1", "0", "2"]


def test_several_plots_with_names():
    one_hot = np.eye(3)[TRUE].T
    figure = plotconfusion(one_hot, one_hot, "Training", one_hot, one_hot, "Test")
    assert [axes.get_title() for axes in figure.axes] == ["Training Confusion Matrix", "Test Confusion Matrix"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), OptionError),
        (([1], [1], [1]), OptionError),
        (([1], [1], "a", [1]), OptionError),
        ((np.eye(3), np.eye(2)), DataError),
        ((np.ones((3, 2)), np.ones((3, 2))), DataError),
        ((np.eye(3) * 2, np.eye(3)), DataError),
        ((np.eye(3), np.full((3, 3), np.nan)), DataError),
    ],
)
def test_mistakes_in_the_older_plot(arguments, error):
    with pytest.raises(error):
        plotconfusion(*arguments)
    assert not pyplot.get_fignums()
