"""A few helping threads, and jobs that they share with the thread that asks.

The asking thread works itself and never waits for a helper that has not begun, so several may ask at once. Helpers
are daemons: they end with the interpreter.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

import numpy as np

from mlnet.parallel import places

Task = Callable[[int, int], None]
"""task(part, slot)"""


class Job:
    """One call of `run`: parts are handed out one by one to whoever asks."""

    def __init__(self, task: Task, parts: int) -> None:
        self._task = task
        self._parts = iter(range(parts))
        self._warnings = np.geterr()  # a thread has its own settings, the caller's count
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
        with np.errstate(**self._warnings):
            self.work(slot)
        with self._lock:
            self._helping -= 1
            if self._closed and self._helping == 0:
                self._all_left.set()

    def finish(self) -> None:
        """Wait for those who still help, then raise what went wrong.

        Ctrl-C does not end the waiting before they have left: they work with memory of the caller.
        """
        is_over = False
        while not is_over:
            try:
                with self._lock:
                    self._closed = True
                    waiting = self._helping > 0
                if waiting:
                    self._all_left.wait()
                is_over = True
            except BaseException as error:
                self._error, self._parts = error, iter(range(0))
        if self._error is not None:
            raise self._error


class Helper:
    """A daemon thread that helps with one job after the other."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=f"mlnet-numpy-{slot}", daemon=True)
        self._thread.start()
        self._apart_from = -1

    def give(self, job: Job) -> None:
        """Let the helper take part in ``job``."""
        self._keep_apart()
        self._jobs.put(job)

    def _keep_apart(self) -> None:
        """Forbid the helper the core that the caller runs on."""
        core = places.core()
        if core != self._apart_from and self._thread.native_id is not None:
            self._apart_from = core
            places.keep_away(self._thread.native_id, core)

    def _loop(self) -> None:
        while True:
            self._jobs.get().help(self._slot)


def helpers(number: int) -> list[Helper]:
    """Return that many helpers; they are started when they are needed first."""
    if len(_pool) < number:
        with _pool_lock:
            while len(_pool) < number:
                _pool.append(Helper(len(_pool) + 1))
    return _pool[:number]


_pool: list[Helper] = []
_pool_lock = threading.Lock()


def _forget_helpers() -> None:
    """Start afresh in a forked process: threads do not survive a fork, and a lock may be held by one of them."""
    global _pool, _pool_lock
    _pool, _pool_lock = [], threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
