"""Files that belong together: all are new, or all are as they were."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlnet.storage.atomic import write_atomically


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files, each with its content, the last of them the one that refers to the others.

    New files are complete on the disk before anything gets its name. Files that are there step aside, the last one
    first, until all new ones are in their places; where that fails they step back. Nobody ever finds an old file
    that refers to a new one.

    Raises
    ------
    OSError
        Where a file cannot be written; no other file is left behind.
    """
    targets = [Path(os.path.realpath(path)) for path in contents]
    for target in targets:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    fresh = [target.with_name(f".{target.name}.{mark}.new") for target in targets]
    aside = {target: target.with_name(f".{target.name}.{mark}.old") for target in targets}
    try:
        for path, content in zip(fresh, contents.values(), strict=True):
            write_atomically(path, _writing(content))
        _exchange(targets, fresh, aside)
    finally:
        _remove(fresh)
    _remove(list(aside.values()))


def _exchange(targets: list[Path], fresh: list[Path], aside: dict[Path, Path]) -> None:
    moved: list[Path] = []
    placed: list[Path] = []
    try:
        for target in reversed(targets):
            if target.exists():
                os.replace(target, aside[target])
                moved.append(target)
        for path, target in zip(fresh, targets, strict=True):
            os.replace(path, target)
            placed.append(target)
    except BaseException:
        _remove(placed)
        for target in reversed(moved):
            os.replace(aside[target], target)
        raise


def _writing(content: bytes) -> Callable[[Any], object]:
    return lambda file: file.write(content)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
