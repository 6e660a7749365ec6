"""Files are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlnet.storage import atomic
from mlnet.storage.atomic import write_atomically


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"", b"x" * 3_000_000):
        write_atomically(path, lambda file, content=content: [file.write(content), file.write(b"!")])
        assert path.read_bytes() == content + b"!"
    assert os.listdir(tmp_path) == ["file"]
    if os.name == "posix":
        (tmp_path / "other").write_bytes(b"")
        assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_atomically(tmp_path / "link", lambda file: file.write(b"new"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file").read_bytes() == b"new"


def fail(*_):
    raise OSError("no space left on device")


@pytest.mark.parametrize("place", ["write", "fsync", "read back", "replace", "interrupt", "other content"])
def test_errors_leave_the_old_file_and_no_other(tmp_path, monkeypatch, place):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    error = KeyboardInterrupt if place == "interrupt" else OSError

    def write(file):
        file.write(b"new")
        if place == "write":
            fail()
        if place == "interrupt":
            raise KeyboardInterrupt

    if place in ("fsync", "replace"):
        monkeypatch.setattr(atomic.os, place, fail)
    if place == "read back":
        monkeypatch.setattr(atomic, "_read_back", fail)
    if place == "other content":
        flush = os.fsync

        def damage(handle):
            flush(handle)
            (temporary,) = tmp_path.glob(".file.*.tmp")
            Path(temporary).write_bytes(b"nwe")

        monkeypatch.setattr(atomic.os, "fsync", damage)
    with pytest.raises(error):
        write_atomically(path, write)
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_the_name_appears_behind_the_flush(tmp_path, monkeypatch):
    seen = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda handle: (seen.append("flush"), flush(handle)))
    monkeypatch.setattr(atomic.os, "replace", lambda *names: (seen.append("rename"), replace(*names)))
    write_atomically(tmp_path / "file", lambda file: file.write(b"x"))
    assert seen == (["flush", "rename", "flush"] if os.name == "posix" else ["flush", "rename"])
