"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path):
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    if path.stem == "train_digits":
        (line,) = [line for line in found.stdout.splitlines() if line.startswith("Test accuracy")]
        assert float(line.split()[2]) >= 98.5
