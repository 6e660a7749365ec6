"""Blocks of observations that fit into the second-level cache, worked on by a few threads.

NumPy releases the interpreter lock in loops, copies and matrix products, so threads pay. Results have the same bits
whatever the number of threads: how work is cut depends on sizes alone, every part writes to its own place, and sums
over parts are taken in their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache

import numpy as np

from mlnet.parallel.blas import single_threaded
from mlnet.parallel.cores import threads
from mlnet.parallel.places import held
from mlnet.parallel.threads import Job, Task, helpers

BLOCK_BYTES = 1 << 20
"""The most of its main array that an operation works on at a time: about a second-level cache."""

_EVEN = 4
"""Blocks come in multiples of this number, so that a few threads have the same amount of work."""


@lru_cache(maxsize=1024)
def split(count: int, bytes_each: int, block_bytes: int = BLOCK_BYTES) -> tuple[slice, ...]:
    """Cut ``count`` things of ``bytes_each`` into consecutive slices of at most ``block_bytes``, evenly."""
    number = max(1, -(-count * bytes_each // block_bytes))
    if number > 1:
        number = -(-number // _EVEN) * _EVEN
    number = min(number, count)
    edges = [count * i // max(number, 1) for i in range(number + 1)]
    return tuple(slice(start, stop) for start, stop in itertools.pairwise(edges))


def run(task: Task, parts: int) -> None:
    """Call ``task(part, slot)`` for each of ``parts`` parts, on all threads that there are.

    ``slot`` numbers the threads, so that each can have temporaries of its own.
    """
    if parts <= 1:
        for part in range(parts):
            task(part, 0)
        return
    team = helpers(min(parts, threads()) - 1)
    with single_threaded(), held() if team else nullcontext():
        job = Job(task, parts)
        try:
            for helper in team:
                helper.give(job)
            job.work(0)
        finally:
            job.finish()


def run_elementwise(function: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call ``function`` on matching flat pieces of contiguous ``arrays`` of one size, piece by piece."""
    flat = [array.reshape(-1) for array in arrays]
    pieces = split(flat[0].size, flat[0].itemsize)

    def task(part: int, slot: int) -> None:
        function(*[array[pieces[part]] for array in flat])

    run(task, len(pieces))


def filled(function: Callable[..., object], outputs: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return the arrays that ``function(*outputs, *arrays)`` fills element by element.

    They have shape, type and order in memory of the first array; all arrays have its shape. Where that is possible, the
    function gets flat pieces that stay in the cache, on all threads.
    """
    first = arrays[0]
    found = [np.empty_like(first) for _ in range(outputs)]
    axes = np.argsort([-stride for stride in first.strides], kind="stable")
    moved = [each.transpose(axes) for each in (*found, *arrays)]
    if first.size <= _SHARED or not all(each.flags.c_contiguous for each in moved):
        function(*found, *arrays)
        return found
    flat = [each.reshape(-1) for each in moved]
    pieces = split(first.size, 1, _PIECE)

    def task(part: int, slot: int) -> None:
        function(*[each[pieces[part]] for each in flat])

    run(task, len(pieces))
    return found


_PIECE = 2**15
"""Elements that `filled` works on at a time."""
_SHARED = 2**16
"""Elements from which on it asks for help: below, waking the others takes longer."""
