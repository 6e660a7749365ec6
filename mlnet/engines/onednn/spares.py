"""Compiled programs of plans that are gone, kept for the next prediction with the same network."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from mlnet.engines.onednn import teams
from mlnet.engines.onednn.compiled import Compiled
from mlnet.engines.program import Program

_MOST = 8
_MOST_BYTES = 1 << 26
"""How many are kept, and how much memory one may have."""

_SIMPLE = frozenset({str, int, float, bool, type(None)})

_lock = threading.Lock()
_spares: list[tuple[Hashable, Compiled]] = []


def _start_afresh() -> None:
    """Start afresh in a forked process, where another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def key_of(program: Program, *more: Hashable) -> Hashable:
    """Return what two programs have in common that compute the same, None where that cannot be told."""
    try:
        key = (tuple(_frozen(vars(node)) for node in program.nodes), program.outputs, teams.generation(), *more)
        hash(key)
    except TypeError:
        return None
    return key


def _frozen(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return tuple((name, _frozen(each)) for name, each in sorted(value.items()))
    if isinstance(value, (tuple, list)):
        return tuple(map(_frozen, value))
    return value


def take(key: Hashable) -> Compiled | None:
    """Return a compiled program that nobody uses, None where there is none."""
    with _lock:
        for place, (own, compiled) in enumerate(_spares):
            if key is not None and own == key:
                del _spares[place]
                return compiled
    return None


def give(compiled: dict[Any, Compiled], keys: dict[Any, Hashable]) -> None:
    """Keep the compiled programs of a plan that is gone, where they have a key; the oldest ones are dropped."""
    for shape, each in compiled.items():
        if not each.is_sound or keys.get(shape) is None or each.context.allocated > _MOST_BYTES:
            each.close()
            continue
        each.context.forget()
        with _lock:
            _spares.append((keys[shape], each))
            dropped = [old for _, old in _spares[:-_MOST]]
            del _spares[:-_MOST]
        for old in dropped:
            old.close()
