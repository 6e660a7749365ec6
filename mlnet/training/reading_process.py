"""A process beside this one that reads mini-batches into memory that both share.

Decoding small files is Python code that holds Python's lock, so a thread that reads slows training down by as much as
it reads. A forked process has its own, and needs no copy of the datastore: functions of users come along as they
are. It is told through a pipe which observations to read, and answers when they lie in the shared memory.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from mlnet.errors import MlnetError, TrainingError
from mlnet.training.caller import caller

Arrays = list[np.ndarray]
_PATIENCE_S = 1.0
"""How long a process that is not needed any more may go on with what it reads."""
_LOOK_S = 1.0
"""How often the process looks whether the one that started it still lives."""
_ALIGNED = 64


class ReadingError(Exception):
    """The traceback in the other process, as the cause of an error."""

    def __str__(self) -> str:
        return f"in the process that reads mini-batches:\n{self.args[0]}"


def can_fork() -> bool:
    """Tell whether a process can be copied while it has threads: system libraries forbid it elsewhere."""
    return sys.platform == "linux"


class ReadingProcess:
    """A forked process that answers requests with arrays, in their order.

    Parameters
    ----------
    read : callable
        Takes a request, which can be pickled, and returns arrays; it runs in the other process.
    example : list of ndarray
        Arrays of the shapes and types that ``read`` returns.
    ahead : int
        Requests that may wait for their answer.

    Raises
    ------
    OSError
        Where the system gives no process or memory.
    """

    def __init__(self, read: Callable[[Any], Arrays], example: Arrays, ahead: int) -> None:
        self._views = [_views(example) for _ in range(ahead + 2)]  # one is in use, one was before
        self._asked = self._answered = 0
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError, OSError):
                stream.flush()  # otherwise both would print what is in the buffer
        ours, theirs = Pipe()
        parent = os.getpid()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # threads: none of them is needed there
                self._pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if self._pid == 0:
            ours.close()
            self._work(read, theirs, parent)
        theirs.close()
        self._pipe = ours

    def ask(self, request: Any) -> None:
        """Let the process read something."""
        try:
            self._pipe.send((self._asked % len(self._views), request))
        except OSError:
            raise self._ended() from None
        self._asked += 1

    def answer(self) -> Arrays:
        """Return the answer to the oldest request that has none; it stays as it is while the next one is used.

        Raises
        ------
        Exception
            What ``read`` has raised.
        TrainingError
            Where the process has ended.
        """
        try:
            problem = self._pipe.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if problem is not None:
            error = pickle.loads(problem[0])
            raise error from (ReadingError(problem[1]) if problem[1] else None)
        self._answered += 1
        return self._views[(self._answered - 1) % len(self._views)]

    def close(self) -> None:
        """End the process: it stops behind what it is reading, or is stopped."""
        self._pipe.close()
        if not self._pid:
            return
        pid, self._pid = self._pid, 0
        with contextlib.suppress(ChildProcessError):  # somebody has waited for all processes
            end = time.monotonic() + _PATIENCE_S
            try:
                while os.waitpid(pid, os.WNOHANG) == (0, 0):
                    if time.monotonic() > end:
                        raise TimeoutError
                    time.sleep(0.001)
            except BaseException as error:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                if not isinstance(error, TimeoutError):
                    raise

    def _ended(self) -> TrainingError:
        reason = "it is gone"
        with contextlib.suppress(ChildProcessError):
            reason = f"exit code {os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])}"
        self._pid = 0
        return TrainingError(
            f"{caller()}: the process that reads data in the background has ended ({reason}). Where memory is short, "
            "lower MiniBatchSize; or set DispatchInBackground=False."
        )

    def _work(self, read: Callable[[Any], Arrays], pipe: Connection, parent: int) -> None:
        """Read what is asked for until nobody asks any more; never returns."""
        status = 1
        try:
            gc.freeze()  # nothing of the other process is finalized here: windows, connections, files
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other one decides
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                while not pipe.poll(_LOOK_S):
                    if os.getppid() != parent:  # killed; other processes may hold its end of the pipe
                        raise EOFError
                slot, request = pipe.recv()
                try:
                    for view, array in zip(self._views[slot], read(request), strict=True):
                        if view.shape != array.shape or view.dtype != array.dtype:
                            raise AssertionError(f"{array.shape} {array.dtype}, not {view.shape} {view.dtype}")
                        view[...] = array
                    problem = None
                except Exception as error:
                    problem = _packed(error)
                pipe.send(problem)
        except (EOFError, OSError):
            status = 0
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(BaseException):
                    stream.flush()
            os._exit(status)


def _views(example: Arrays) -> Arrays:
    """Return empty arrays like those of the ``example`` in memory of their own, shared with processes forked later."""
    starts = np.cumsum([0] + [-(-array.nbytes // _ALIGNED) * _ALIGNED for array in example]).tolist()
    memory = mmap.mmap(-1, max(starts[-1], 1))
    return [
        np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
        for array, start in zip(example, starts, strict=False)
    ]


def _packed(error: Exception) -> tuple[bytes, str]:
    """Return an error as bytes, or what it says where it cannot be packed, and where it was raised."""
    is_told = isinstance(error, MlnetError) and error.__cause__ is None
    text = "" if is_told else "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        packed = pickle.dumps(TrainingError(f"{type(error).__name__}: {error}"))
    return packed, text
