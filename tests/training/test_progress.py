"""The printed table of progress, against real tables."""

import numpy as np
import pytest

from mlnet.training.progress import Progress, ProgressTable, loss_text, rate_text, time_text

CLASSIFICATION = """\
|========================================================================================|
|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Mini-batch  |  Base Learning  |
|         |             |   (hh:mm:ss)   |   Accuracy   |     Loss     |      Rate       |
|========================================================================================|
|       1 |           1 |       00:00:02 |       50.00% |       2.0135 |          0.0010 |
|       5 |           5 |       00:00:12 |       90.00% |       0.2555 |          0.0010 |
|========================================================================================|
Training finished: Max epochs completed.
"""

REGRESSION = """\
|========================================================================================|
|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Mini-batch  |  Base Learning  |
|         |             |   (hh:mm:ss)   |     RMSE     |     Loss     |      Rate       |
|========================================================================================|
|       1 |           1 |       00:00:01 |        33.50 |        561.2 |          0.0010 |
|       1 |          50 |       00:00:10 |        60.81 |       1848.9 |          0.0010 |
|========================================================================================|
Training finished: Stopped by OutputFcn.
"""

VALIDATION = """\
|======================================================================================================================|
|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Validation  |  Mini-batch  |  Validation  |  Base Learning  |
|         |             |   (hh:mm:ss)   |   Accuracy   |   Accuracy   |     Loss     |     Loss     |      Rate       |
|======================================================================================================================|
|       1 |           1 |       00:00:10 |       66.52% |       85.09% |       0.8533 |       0.5303 |      1.0000e-04 |
|       4 |          50 |       00:06:32 |       97.26% |              |       0.0797 |              |      1.0000e-04 |
|       7 |         100 |       01:11:59 |      100.00% |       89.63% |       0.0385 |       0.5727 |      4.0000e-05 |
|======================================================================================================================|
Training finished: Max epochs completed.
"""


def test_classification_table(capsys):
    table = ProgressTable("Accuracy", 50, with_validation=False)
    table.start()
    for iteration in range(1, 6):
        seconds, metric, loss = (2.9, 50, 2.01349) if iteration == 1 else (12, 90, 0.2555)
        table.update(Progress(iteration, iteration, seconds, 0.001, loss, metric))
    table.close("Max epochs completed")
    assert capsys.readouterr().out == CLASSIFICATION


def test_regression_table(capsys):
    table = ProgressTable("RMSE", 50, with_validation=False)
    table.start()
    for iteration in range(1, 51):
        seconds, metric, loss = (1, 33.5, 561.24) if iteration == 1 else (10, 60.811, 1848.93)
        table.update(Progress(1, iteration, seconds, 0.001, loss, metric))
    table.close("Stopped by OutputFcn")
    assert capsys.readouterr().out == REGRESSION


def test_table_with_validation(capsys):
    table = ProgressTable("Accuracy", 50, with_validation=True)
    table.start()
    table.update(Progress(1, 1, 10, 1e-4, 0.8533, 66.52, 0.5303, 85.09))
    table.update(Progress(1, 2, 11, 1e-4, 0.8, 66))
    table.update(Progress(4, 50, 392, 1e-4, 0.0797, 97.26))
    table.update(Progress(7, 100, 4319.5, 4e-5, 0.0385, 100, 0.5727, 89.63))
    table.close("Max epochs completed")
    assert capsys.readouterr().out == VALIDATION


def test_last_iteration_has_a_row_once(capsys):
    table = ProgressTable("Accuracy", 2, with_validation=False)
    table.start()
    for iteration in (1, 2, 3):
        table.update(Progress(1, iteration, 0, 0.01, 1.0, 10.0))
    table.close("Max epochs completed")
    table.close("Max epochs completed")
    rows = [line for line in capsys.readouterr().out.splitlines() if "0.0100" in line]
    assert [row.split("|")[2].strip() for row in rows] == ["1", "2", "3"]


def test_interrupted_table_is_closed_without_a_reason(capsys):
    table = ProgressTable("Accuracy", 50, with_validation=False)
    table.start()
    table.close(None)
    assert capsys.readouterr().out.splitlines()[-1].startswith("|====")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (561.24, "561.2"),
        (92238.52, "92238.5"),
        (36.46484, "36.4648"),
        (99.99999, "100.0000"),
        (0.0076, "0.0076"),
        (0, "0.0000"),
    ],
)
def test_loss_text(value, text):
    assert loss_text(value) == text


def test_missing_values_are_blank():
    assert loss_text(np.nan) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "0.0100"), (0.001, "0.0010"), (1e-4, "1.0000e-04"), (4e-5, "4.0000e-05")]
)
def test_rate_text(value, text):
    assert rate_text(value) == text


def test_time_text():
    assert [time_text(seconds) for seconds in (0.9, 61, 3600, 4550)] == ["00:00:00", "00:01:01", "01:00:00", "01:15:50"]
