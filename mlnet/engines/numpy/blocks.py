"""Blocks of observations that fit into the second-level cache, worked on by a few threads.

NumPy releases the interpreter lock in loops, copies and matrix products, so threads pay. Results have the same bits
whatever the number of threads: how work is cut depends on sizes alone, every part writes to its own place, and sums
over parts are taken in their order.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mlnet.engines.numpy.blas import single_threaded

BLOCK_BYTES = 1 << 19
"""How much of its main array an operation works on at a time; with its temporaries it stays in a cache of 1 MB."""

Task = Callable[[int, int], None]
"""task(part, slot): work on one part; ``slot`` numbers the thread, so that each has temporaries of its own."""


@lru_cache(maxsize=1024)
def split(count: int, bytes_each: int, block_bytes: int = BLOCK_BYTES) -> tuple[slice, ...]:
    """Cut ``count`` things of ``bytes_each`` into consecutive slices of about ``block_bytes``, evenly."""
    number = min(count, max(1, round(count * bytes_each / block_bytes)))
    edges = [count * i // max(number, 1) for i in range(number + 1)]
    return tuple(slice(start, stop) for start, stop in itertools.pairwise(edges))


def run(task: Task, parts: int) -> None:
    """Call ``task`` for each of ``parts`` parts, on all threads that there are."""
    if parts <= 1:
        for part in range(parts):
            task(part, 0)
        return
    with single_threaded():
        helpers = _helpers(min(parts, threads()) - 1)
        job = _Job(task, parts)
        for helper in helpers:
            helper.put(job)
        job.work(0)
        job.finish()


def run_elementwise(function: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call ``function`` on matching flat pieces of contiguous ``arrays`` of one size, piece by piece."""
    flat = [array.reshape(-1) for array in arrays]
    pieces = split(flat[0].size, flat[0].itemsize)

    def task(part: int, slot: int) -> None:
        function(*[array[pieces[part]] for array in flat])

    run(task, len(pieces))


def threads() -> int:
    """Return the number of threads that `run` uses."""
    return _number_of_threads or _usable_cores()


def set_threads(number: int | None) -> None:
    """Let `run` use ``number`` threads; None means one for each core this process may use."""
    global _number_of_threads
    _number_of_threads = number


_number_of_threads: int | None = None


@lru_cache(maxsize=1)
def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Job:
    """One call of `run`: parts are handed out one by one to whoever asks."""

    def __init__(self, task: Task, parts: int) -> None:
        self._task = task
        self._parts = iter(range(parts))
        self._lock = threading.Lock()
        self._helping = 0
        self._closed = False
        self._all_left = threading.Event()
        self._error: BaseException | None = None

    def work(self, slot: int) -> None:
        """Work on parts until none is left."""
        try:
            for part in self._parts:
                self._task(part, slot)
        except BaseException as error:  # raised again in the calling thread by `finish`
            self._error = error
            self._parts = iter(range(0))

    def help(self, slot: int) -> None:
        """Do `work` in a helping thread, unless the job is over already."""
        with self._lock:
            if self._closed:
                return
            self._helping += 1
        self.work(slot)
        with self._lock:
            self._helping -= 1
            if self._closed and self._helping == 0:
                self._all_left.set()

    def finish(self) -> None:
        """Wait for those who still help, then raise what went wrong."""
        with self._lock:
            self._closed = True
            waiting = self._helping > 0
        if waiting:
            self._all_left.wait()
        if self._error is not None:
            raise self._error


class _Helper:
    """A daemon thread that helps with one job after the other."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self.put = self._jobs.put
        threading.Thread(target=self._loop, name=f"mlnet-numpy-{slot}", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self._jobs.get().help(self._slot)


_pool: list[_Helper] = []
_pool_lock = threading.Lock()


def _helpers(number: int) -> list[_Helper]:
    if len(_pool) < number:
        with _pool_lock:
            while len(_pool) < number:
                _pool.append(_Helper(len(_pool) + 1))
    return _pool[:number]


def _forget_helpers() -> None:
    """Start afresh in a forked process: threads do not survive a fork, and a lock may be held by one of them."""
    global _pool, _pool_lock
    _pool, _pool_lock = [], threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
