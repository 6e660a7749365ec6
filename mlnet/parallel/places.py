"""Which cores threads that work together run on: the one that asks stays where it is, the others stay away from there.

Threads that wake one another all the time look to Linux as if they took turns: left alone, it often puts both on one
core for seconds, and nothing is gained.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator

from mlnet.parallel.blas import start_threads


class _Held(threading.local):
    """Where the calling thread is held, and where it may run otherwise; None where it is not held."""

    core = -1
    allowed: set[int] | None = None


_held = _Held()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep the calling thread on the core that it runs on; afterwards it may run where it could before.

    Threads that are started meanwhile would be held too; those of BLAS are started before.
    """
    start_threads()
    allowed = None if _held.allowed is not None else _allowed()
    core = _current_core()
    if allowed is None or len(allowed) < 2 or core not in allowed:
        yield
        return
    try:
        _held.core, _held.allowed = core, allowed
        _move(0, {core})
        yield
    finally:
        _move(0, allowed)
        _held.core, _held.allowed = -1, None


def core() -> int:
    """Return the core that the calling thread runs on, -1 where that cannot be told."""
    return _current_core() if _held.allowed is None else _held.core


def keep_away(thread: int, core: int) -> bool:
    """Forbid the thread of a native number the core ``core``; tell whether there is such a thread."""
    allowed = _allowed() if _held.allowed is None else _held.allowed
    return not allowed or allowed == {core} or _move(thread, allowed - {core})


def let_go(thread: int) -> None:
    """Let the thread of a native number run where the calling one may."""
    allowed = _allowed() if _held.allowed is None else _held.allowed
    if allowed:
        _move(thread, allowed)


def is_there(thread: int) -> bool:
    """Tell whether there is a thread of a native number."""
    try:
        os.sched_getaffinity(thread)
    except ProcessLookupError:
        return False
    except OSError:  # nobody may ask
        return True
    return True


def _allowed() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _move(thread: int, cores: set[int]) -> bool:
    try:
        os.sched_setaffinity(thread, cores)
    except ProcessLookupError:
        return False
    except OSError:  # forbidden here: it stays where it is
        return True
    return True


def _find_current_core() -> Callable[[], int]:
    """Return the C library's ``sched_getcpu``, or where there is none a function that returns -1."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: -1
    try:
        function = ctypes.PyDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return lambda: -1
    function.argtypes, function.restype = [], ctypes.c_int
    return function


_current_core = _find_current_core()
