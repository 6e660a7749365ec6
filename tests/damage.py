"""Damage to files, and a watch over what reading them does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlnet.storage.mat_format import Tagged

NUMBERS = (0, 1, 2, 255, 2**16, 2**24, 2**28, 2**30, 2**31 - 1, 2**32 - 1, 2**40, 2**63)
KINDS = ("cut", "bits", "byte", "number", "long number", "twice", "left out", "larger", "nested", "moved")
_PROCESS = Path("/proc/self")
_FORBIDDEN = ("exec", "pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.remove")
_FORBIDDEN += ("os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "socket.connect", "ctypes.dlopen")


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """Return a file that is cut, flipped, enlarged, nested in itself, or has changed, double or missing parts."""
    changed = bytearray(data)
    kind = KINDS[generator.integers(len(KINDS))]
    first, second = sorted(generator.integers(0, len(changed), 2).tolist())
    part = bytes(changed[first:second])
    if kind == "cut":
        del changed[first:]
    elif kind == "bits":
        for place in generator.integers(0, len(changed), generator.integers(1, 8)):
            changed[place] ^= 1 << int(generator.integers(8))
    elif kind == "byte":
        changed[first] = int(generator.choice([0, 1, 2, 14, 15, 127, 128, 255]))
    elif kind in ("number", "long number"):
        width = 4 if kind == "number" else 8
        number = [*NUMBERS, len(data)][generator.integers(len(NUMBERS) + 1)] % 2 ** (8 * width)
        place = first // 4 * 4
        changed[place : place + width] = number.to_bytes(width, "little" if generator.integers(4) else "big")
    elif kind == "twice":
        changed[first:first] = part
    elif kind == "left out":
        del changed[first : min(second, first + 64)]
    elif kind == "larger":
        filling = bytes([0]) if generator.integers(2) else generator.bytes(16)
        changed[first:first] = filling * int(generator.integers(1, 2**12))
    elif kind == "nested":
        changed[first:first] = data
    else:
        del changed[first:second]
        place = int(generator.integers(0, len(changed) + 1))
        changed[place:place] = part
    return bytes(changed)


def misplaced(value: Any, generator: np.random.Generator) -> Any:
    """Return plain values with one of them changed, left out, doubled, or put where another one was."""
    places = list(_places(value, ()))
    place = places[generator.integers(len(places))]
    other = _at(value, places[generator.integers(len(places))])
    kind = generator.integers(5)
    if kind == 0 or not place:
        odd = (None, "", "x", -1, 2**40, np.nan, [], {}, np.zeros((0, 3)), np.full((2, 2), np.inf), Tagged("tuple", {}))
        other = odd[generator.integers(len(odd))]
    elif kind == 1:
        other = _LEFT_OUT
    elif kind == 2:
        other = [_at(value, place)] * int(generator.integers(1, 4))
    elif kind == 3:
        other = _nested(_at(value, place), int(generator.choice([2, 30, 90])))
    return _replaced(value, place, other)


_LEFT_OUT = object()


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _children(value: Any) -> list[Any]:
    if isinstance(value, Tagged):
        value = value.fields
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def _child(value: Any, key: Any) -> Any:
    return (value.fields if isinstance(value, Tagged) else value)[key]


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in _children(value):
        yield from _places(_child(value, key), (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = _child(value, key)
    return value


def _replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = {key: _child(value, key) for key in _children(value)}
    inner = _replaced(changed[path[0]], path[1:], other)
    changed[path[0]] = inner
    if inner is _LEFT_OUT:
        del changed[path[0]]
    if isinstance(value, Tagged):
        return Tagged(value.kind, changed)
    return changed if isinstance(value, dict) else list(changed.values())


class Watch:
    """Tells what happens while a file is read: files that are opened, code that is run, seconds and memory."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.seconds = 0.0
        self.memory = 0
        self._allowed: str | None = None
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._allowed is None:
            return
        if event == "open":
            path, mode = str(arguments[0]), str(arguments[1] or "r")
            if not path.startswith(("/proc/", self._allowed)) and not path.endswith((".py", ".pyc")):
                self.events.append(f"open {path}")
            elif path == self._allowed and set(mode) & set("wax+"):
                self.events.append(f"write {path}")
        elif event.startswith(_FORBIDDEN) and not (event == "exec" and _is_ours()):
            self.events.append(f"{event} {arguments}")

    @contextmanager
    def over(self, path: Path) -> Iterator[None]:
        """Watch the reading of one file; ``memory`` are the most bytes that it took, 0 where nobody can tell."""
        self.events.clear()
        before = _resident("VmRSS") if _reset() else 0
        start = time.process_time()
        self._allowed = str(path)
        try:
            yield
        finally:
            self._allowed = None
            self.seconds = time.process_time() - start
            self.memory = max(0, _resident("VmHWM") - before) if before else 0


def _is_ours() -> bool:
    """Tell whether code belongs to a module or a class that is used for the first time."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.endswith(("importlib._bootstrap>", "dataclasses.py", "collections/__init__.py")):
            return True
        frame = frame.f_back
    return False


def _reset() -> bool:
    """Let the system count the most memory from now on."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> int:
    return 1024 * int((_PROCESS / "status").read_text().split(f"{name}:")[1].split()[0])
