"""Golden texts: one file for each object, under ``golden/``.

A file starts with comment lines (``# source:``, ``# call:``), then comes a blank line, then the text that ``repr``
has to give, character by character. ``pytest tests/display --rewrite-golden`` (or MLNET_REWRITE_GOLDEN=1) replaces
the texts and keeps the comments; read the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"
NEW_COMMENT = "# source: printed by mlnet"


def pytest_addoption(parser):
    parser.addoption("--rewrite-golden", action="store_true", help="replace the golden texts by what is printed")


def read(path):
    """Return the comments and the text of a golden file."""
    comments, _, text = path.read_text(encoding="utf-8").partition("\n\n")
    assert all(line.startswith("# ") for line in comments.split("\n")), path.name
    return comments, text.removesuffix("\n")


def compare(path, text, *, rewrite=False):
    """Compare ``text`` with a golden file, after replacing the text of the file where ``rewrite`` is set."""
    if rewrite:
        comments = read(path)[0] if path.exists() else NEW_COMMENT
        path.write_text(f"{comments}\n\n{text}\n", encoding="utf-8")
    assert text == read(path)[1]


@pytest.fixture
def golden(request):
    """Compare a text with the golden file of a name."""
    flag = request.config.getoption("--rewrite-golden", default=False)
    rewrite = flag or "MLNET_REWRITE_GOLDEN" in os.environ
    return lambda name, text: compare(FOLDER / f"{name}.txt", text, rewrite=rewrite)
