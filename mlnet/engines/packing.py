"""Sequences of different lengths, packed and padded.

Between operations a mini-batch of sequences is packed: the time steps of all observations one after the other,
(M, ..., C) with M the sum of the ``lengths`` (N,). No operation that works step by step can see any padding then.
Operations along time take the padded form (N, T, ..., C) with zeros behind the ends.
"""

from __future__ import annotations

import numpy as np


def pad(packed: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the sequences (N, T, ..., C) with zeros behind the ends; a view where all have the same length."""
    shape = (len(lengths), int(lengths.max(initial=0)), *packed.shape[1:])
    if _is_even(lengths):
        return packed.reshape(shape)
    padded = np.zeros(shape, packed.dtype)
    padded[_inside(lengths)] = packed
    return padded


def pack(padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the time steps (M, ..., C) without what lies behind the ends: the reverse of `pad`."""
    if _is_even(lengths):
        return padded.reshape(-1, *padded.shape[2:])
    return padded[_inside(lengths)]


def _is_even(lengths: np.ndarray) -> bool:
    return bool((lengths == lengths[:1]).all())


def _inside(lengths: np.ndarray) -> np.ndarray:
    """Return (N, T), true before the end of each observation."""
    return np.arange(lengths.max(initial=0)) < lengths[:, None]
