"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {
    "train_digits": [],
    "segment_shapes": ["--pictures", "200", "--epochs", "8"],
    "batch_normalization_experiment": ["--parts", "3", "--epochs", "1"],
}
"""Short forms of the examples that take long."""


def run(name):
    """Return the lines that an example prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *ARGUMENTS[name]]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.splitlines()


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(ARGUMENTS)


def test_train_digits_reaches_its_accuracy():
    (line,) = [line for line in run("train_digits") if line.startswith("Test accuracy")]
    assert float(line.split()[2]) >= 98.5


def test_batch_normalization_is_ahead_from_the_start():
    rows = [line.replace("%", "").split() for line in run("batch_normalization_experiment")[2:]]
    assert len(rows) == 3
    assert all(float(row[5]) > float(row[1]) + 5 for row in rows)


def test_segment_shapes_finds_the_shapes():
    lines = run("segment_shapes")
    (row,) = [line.split() for line in lines if line.split()[:1] == ["all"]]
    assert float(row[1]) > 90
