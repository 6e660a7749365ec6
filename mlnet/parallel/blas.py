"""Keeps the BLAS library behind NumPy on one thread while our own threads call it.

OpenBLAS lets one caller at a time use its threads, so that several threads with a product each would wait for one
another. Where the library is another one, nothing is changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

_SYMBOLS = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")

_lock = threading.Lock()
_users = 0
_threads_before = 1


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Keep products on the calling thread; afterwards BLAS has its threads back."""
    functions = _thread_functions()
    if functions is None:
        yield
        return
    _enter(*functions)
    try:
        yield
    finally:
        _leave(functions[1])


def _enter(get_threads: Callable[[], int], set_threads: Callable[[int], None]) -> None:
    global _users, _threads_before
    with _lock:
        if _users == 0:
            _threads_before = get_threads()
            if _threads_before > 1:
                set_threads(1)
        _users += 1


def _leave(set_threads: Callable[[int], None]) -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _threads_before > 1:
            set_threads(_threads_before)


def start_threads() -> None:
    """Start the threads again that a fork has ended: the library would do so at the next use, wherever that is."""
    global _are_ended
    if _are_ended:
        _are_ended = False
        functions = _thread_functions()
        if functions is not None:
            get_threads, set_threads = functions
            set_threads(get_threads())


_are_ended = False


def _note_end() -> None:
    global _are_ended
    _are_ended = True


def _start_afresh() -> None:
    """Forget in a forked process what other threads were doing; BLAS gets its threads back at the next use."""
    global _lock, _users
    _lock, _users = threading.Lock(), 0
    _note_end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh, after_in_parent=_note_end)


@lru_cache(maxsize=1)
def _thread_functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return OpenBLAS's functions that get and set the number of threads, or None."""
    for path in _candidates():
        try:
            library = ctypes.PyDLL(path)
        except OSError:
            continue
        for symbol in _SYMBOLS:
            get_threads = getattr(library, symbol.format("get"), None)
            set_threads = getattr(library, symbol.format("set"), None)
            if get_threads is not None and set_threads is not None:
                get_threads.restype, get_threads.argtypes = ctypes.c_int, []
                set_threads.restype, set_threads.argtypes = None, [ctypes.c_int]
                return get_threads, set_threads
    return None


def _candidates() -> list[str]:
    """Return NumPy's compiled core (a look-up in it finds what it is linked to) and the libraries shipped with it."""
    core = getattr(np, "_core", None) or getattr(np, "core", None)
    umath = getattr(getattr(core, "_multiarray_umath", None), "__file__", None)
    shipped = Path(np.__file__).parent.parent / "numpy.libs"
    return ([umath] if umath else []) + [str(path) for path in sorted(shipped.glob("*openblas*"))]
