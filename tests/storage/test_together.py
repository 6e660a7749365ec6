"""Files that belong together: both new, or both as they were."""

from __future__ import annotations

import os

import pytest

from mlnet.storage import together
from mlnet.storage.together import write_together

NEW = {"net.bin": b"new numbers", "net.xml": b"new names"}
OLD = {"net.bin": b"old numbers", "net.xml": b"old names"}


def state(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def written(folder, contents=NEW):
    write_together({folder / name: content for name, content in contents.items()})


@pytest.mark.parametrize("before", [{}, OLD, {"net.bin": b"alone"}, {"net.xml": b"alone"}])
def test_both_are_new(tmp_path, before):
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    written(tmp_path)
    assert state(tmp_path) == NEW


@pytest.mark.parametrize("before", [{}, OLD, {"net.bin": b"alone"}, {"net.xml": b"alone"}])
@pytest.mark.parametrize("failing", range(6))
def test_a_failure_at_any_place_leaves_what_was_there(tmp_path, monkeypatch, before, failing):
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    replace, calls = os.replace, []

    def fail(*names):
        calls.append(names)
        if len(calls) == failing + 1:
            raise PermissionError("the folder is read-only")
        replace(*names)

    monkeypatch.setattr(together.os, "replace", fail)
    if failing < 4 + len(before):  # two for each new file, one for each old one
        with pytest.raises(PermissionError):
            written(tmp_path)
        assert state(tmp_path) == before
    else:
        written(tmp_path)
        assert state(tmp_path) == NEW


def test_no_moment_shows_a_name_with_other_numbers(tmp_path, monkeypatch):
    written(tmp_path, OLD)
    replace, seen = os.replace, []

    def watch(*names):
        replace(*names)
        seen.append({name: content for name, content in state(tmp_path).items() if not name.startswith(".")})

    monkeypatch.setattr(together.os, "replace", watch)
    written(tmp_path)
    assert seen[-1] == NEW and len(seen) == 6
    for each in seen:
        assert each in (OLD, NEW) or "net.xml" not in each


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError):
        written(tmp_path / "nowhere")
    assert state(tmp_path) == {}


@pytest.mark.parametrize("name", NEW)
def test_a_folder_of_that_name_stays(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "inside").write_bytes(b"kept")
    with pytest.raises(IsADirectoryError):
        written(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside", name]
