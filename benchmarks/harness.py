"""What the benchmarks share: contenders run in turns in one process, medians, ratios, a table."""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from mlnet import maxNumCompThreads

Step = Callable[[], object]


def optional(name: str) -> Any:
    """Return a module of a peer, None with a line that says so where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed and left out")
        return None


_PAUSE = 0.05
"""Seconds."""


def medians(steps: dict[str, Step], rounds: int, count: int) -> dict[str, list[float]]:
    """Return the median seconds of a step of each and then those of all rounds, run in turns.

    Before its turn each has a pause, in which the threads of the one before stop waiting busily, and a step to wake up.
    PyTorch gets its number of threads back: the library of threads that it brings is the one of oneDNN too, which
    works with one thread for small networks.
    """
    torch = sys.modules.get("torch")
    threads = maxNumCompThreads()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            time.sleep(_PAUSE)
            if torch:
                torch.set_num_threads(threads)
            step()
            start = time.perf_counter()
            for _ in range(count):
                step()
            if number >= 2:  # the first two warm up
                times[name].append((time.perf_counter() - start) / count)
    return {name: [statistics.median(values), *values] for name, values in times.items()}


def times_faster(found: dict[str, list[float]], ours: str, peers: list[str]) -> float | None:
    """Return how many times faster than the fastest of ``peers`` ours is: the median over the rounds."""
    there = [found[name] for name in peers if name in found]
    if not there or ours not in found:
        return None
    peer = min(there, key=lambda values: values[0])
    return statistics.median(theirs / own for theirs, own in zip(peer[1:], found[ours][1:], strict=True))


class Table:
    """A table that is printed row by row.

    Parameters
    ----------
    title : str
        Of the first column.
    columns : list of str
    """

    def __init__(self, title: str, columns: list[str]) -> None:
        self._columns = columns
        print(f"{title:<26}" + "".join(f" {name:>{self._width(name)}}" for name in columns), flush=True)

    @staticmethod
    def _width(name: str) -> int:
        return max(9, len(name))

    def row(self, name: str, values: dict[str, float | None], digits: int = 2) -> None:
        """Print a row; columns without a value stay empty."""
        cells = []
        for column in self._columns:
            value = values.get(column)
            cells.append(f" {'' if value is None else f'{value:.{digits}f}':>{self._width(column)}}")
        print(f"{name:<26}" + "".join(cells), flush=True)
