"""How many threads compute: the number that was set, else OMP_NUM_THREADS, else one for each physical core."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

_wanted: int | None = None
_changes = 0


def threads() -> int:
    """Return how many threads compute."""
    return _wanted or _default()


def set_threads(number: int | None) -> None:
    """Let ``number`` threads compute; None means the default."""
    global _wanted, _changes
    _wanted = number
    _changes += 1


def changes() -> int:
    """Return how often the number was set: what was prepared for another number is of no use."""
    return _changes


@lru_cache(maxsize=1)
def _default() -> int:
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else physical_cores()


def physical_cores() -> int:
    """Return the number of cores that this process may use, two threads of one core counted once."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, os.cpu_count() or 1)
    usable = os.sched_getaffinity(0)
    cores = set()
    for number in usable:
        path = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        try:
            cores.add(path.read_text(encoding="ascii").strip())
        except OSError:
            return len(usable)
    return max(1, len(cores))
