"""How many threads the library uses, and what a fork does to them.

OpenMP keeps a team of threads for every thread that calls it. They do not survive a fork, and the copied record of
them would make the child wait for ever: the thread that forked goes on alone, with plans made afresh; threads that the
child starts have whole teams again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from mlnet.engines.onednn.library import Library
from mlnet.parallel import cores, places

_state = threading.local()
_creating = threading.RLock()
_forks = 0
_NOBODY: tuple[int, int, tuple[int, ...]] = (0, -1, ())
"""The size of a team, the core that the others of it stay away from, and their native numbers."""
_FREE = -2
"""Instead of that core: they run where they want."""


def generation() -> tuple[int, int]:
    """Return what changes with a fork and with the number of threads: plans of before cannot be used any more."""
    return _forks, cores.changes()


@contextlib.contextmanager
def creating() -> Iterator[None]:
    """Hold the lock that keeps a fork from falling into the middle of the creation of a primitive."""
    with _creating:
        yield


def use(library: Library, threads: int | None = None) -> None:
    """Let the calling thread use so many threads, by default as `cores.threads` says.

    In a process that was forked after the library had worked, the thread that forked stays alone.
    """
    if not library.has_openmp:
        return
    if getattr(_state, "is_forked", False):
        threads = 1
    elif threads is None:
        threads = cores.threads()
    number, set_number = _openmp(library)
    if threads != number():  # other libraries of the process may set it too
        set_number(threads)
    _state.threads = threads


@lru_cache(maxsize=4)
def _openmp(library: Library) -> tuple[Callable[[], int], Callable[[int], None]]:
    """Return the functions that tell and set how many threads OpenMP gives to the calling one."""
    number: Any = library.optional("omp_get_max_threads")
    set_number: Any = library.optional("omp_set_num_threads")
    if number is None or set_number is None:
        return cores.threads, lambda number: None
    number.argtypes, number.restype = [], ctypes.c_int
    set_number.argtypes, set_number.restype = [ctypes.c_int], None
    return number, set_number


@contextlib.contextmanager
def together(library: Library, threads: int | None = None, *, may_hold: bool = True) -> Iterator[None]:
    """Let the calling thread work with so many threads, as `use`, each on a core of its own.

    A team of three or more threads may change: those that a call of the library does not need end, and others come
    later, which would be held where the calling thread is. Nobody of such a team is held any more, nor without
    ``may_hold``: threads that a function of the user starts would be held too.
    """
    use(library, threads)
    number = getattr(_state, "threads", None) or 1
    if number == 1 or places.core() < 0:
        yield
        return
    size, apart_from, others = getattr(_state, "team", _NOBODY)
    if size != number:  # before the calling thread is held: threads are started where it may run
        others = _others(library, number)
        apart_from = -1 if others else _FREE
        _state.team = number, apart_from, others
    if apart_from == _FREE or not may_hold:
        yield
        return
    try:
        with places.held():
            core = places.core()
            if core != apart_from:
                for each in others:
                    places.keep_away(each, core)
                _state.team = (number, core, others)
            yield
    finally:
        if not all(map(places.is_there, others)):
            for each in _others(library, number):
                places.let_go(each)
            _state.team = (number, _FREE, ())


def _others(library: Library, number: int) -> tuple[int, ...]:
    """Return the native numbers of the threads that OpenMP lets work with the calling one."""
    run: Any = library.optional("GOMP_parallel")  # what compilers make of a parallel region
    if run is None:
        return ()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    found: list[int] = []
    function = kind(lambda nothing: found.append(threading.get_native_id()))
    run.argtypes, run.restype = [kind, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    run(function, None, number, 0)
    return tuple(set(found) - {threading.get_native_id()})


@contextlib.contextmanager
def alone(library: Library) -> Iterator[None]:
    """Let the calling thread work without others; afterwards it has as many as before."""
    before = getattr(_state, "threads", None)
    use(library, 1)
    try:
        yield
    finally:
        if before not in (None, 1):
            use(library, before)


def _before() -> None:
    _creating.acquire()


def _in_parent() -> None:
    _creating.release()


def _in_child() -> None:
    global _creating, _forks
    _creating = threading.RLock()
    _forks += 1
    _state.is_forked = getattr(_state, "threads", None) is not None or getattr(_state, "is_forked", False)
    _state.threads, _state.team = None, _NOBODY


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
