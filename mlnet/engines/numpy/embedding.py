"""Vectors for words and positions, and a vector put before a list."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.time_padding import zeros_behind
from mlnet.errors import DataError


class WordEmbeddingState(NamedTuple):
    """What the backward of `word_embedding` needs: the column of each element of x."""

    columns: np.ndarray
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]


class PositionEmbeddingState(NamedTuple):
    """What the backward of `position_embedding` needs."""

    input_shape: tuple[int, ...]
    shape: tuple[int, ...]
    lengths: np.ndarray | None


class EmbeddingConcatenationState(NamedTuple):
    """What the backward of `embedding_concatenation` needs."""

    shape: tuple[int, ...]


def word_embedding(
    x: np.ndarray, weights: np.ndarray, *, words: int, strict: bool, workspace: Workspace
) -> tuple[np.ndarray, WordEmbeddingState]:
    """Return for each number of a word in x (..., 1), counted from 1, its column of ``weights`` (D, columns): (..., D).

    Numbers that are not from 1 to ``words`` get the last column. Raises `DataError` for them if ``strict``, and for
    numbers that are not whole.
    """
    numbers = x[..., 0]
    if not np.array_equal(numbers, np.floor(numbers)):
        raise _refused("whole numbers of words", numbers[numbers != np.floor(numbers)])
    known = (numbers >= 1) & (numbers <= words)
    if strict and not known.all():
        raise _refused(f"numbers of words from 1 to {words} (OOVMode 'error')", numbers[~known])
    columns = np.where(known, numbers - 1, weights.shape[1] - 1).astype(np.intp)
    output = workspace.empty("output", (*numbers.shape, len(weights)), weights.dtype)
    np.take(weights.T, columns, axis=0, out=output)
    return output, WordEmbeddingState(columns.ravel(), x.shape, weights.shape)


def _refused(needed: str, found: np.ndarray) -> DataError:
    return DataError(f"Word embedding: needs {needed}, but got {found.flat[0]:g}.")


def word_embedding_backward(
    saved: WordEmbeddingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, which has none (zeros), and of the weights."""
    d_x = np.zeros(saved.input_shape, d_output.dtype) if wanted[0] else None
    if not wanted[1]:
        return d_x, None
    d_columns = np.zeros(saved.shape[::-1], d_output.dtype)
    if saved.columns.size:
        order = np.argsort(saved.columns, kind="stable")
        found, starts = np.unique(saved.columns[order], return_index=True)
        d_columns[found] = np.add.reduceat(d_output.reshape(-1, saved.shape[0])[order], starts, axis=0)
    return d_x, np.ascontiguousarray(d_columns.T)


def position_embedding(
    x: np.ndarray, weights: np.ndarray, *, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, PositionEmbeddingState]:
    """Return column t of ``weights`` (O, positions) for position t of x (N, T, ..., C): (N, T, ..., O).

    ``lengths`` (N,) are the numbers of time steps of each, None for T of them. Raises `DataError` where there are more
    positions than columns.
    """
    longest = x.shape[1] if lengths is None else int(np.max(lengths, initial=0))
    if longest > weights.shape[1]:
        raise DataError(
            f"Position embedding: needs at most {weights.shape[1]} positions (MaxPosition), but got {longest}. "
            "Use shorter sequences, or a layer with a larger MaxPosition."
        )
    output = np.zeros((*x.shape[:-1], len(weights)), weights.dtype)
    columns = weights.T[:longest]
    output[:, :longest] = columns.reshape(longest, *[1] * (x.ndim - 3), len(weights))
    return _within(output, lengths), PositionEmbeddingState(x.shape, weights.shape, lengths)


def position_embedding_backward(
    saved: PositionEmbeddingState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, which has none (zeros), and of the weights."""
    d_x = np.zeros(saved.input_shape, d_output.dtype) if wanted[0] else None
    if not wanted[1]:
        return d_x, None
    others = (0, *range(2, d_output.ndim - 1))
    columns = _within(d_output, saved.lengths).sum(axis=others)[: saved.shape[1]]
    d_weights = np.zeros(saved.shape, d_output.dtype)
    d_weights[:, : len(columns)] = columns.T
    return d_x, d_weights


def _within(x: np.ndarray, lengths: Any) -> np.ndarray:
    """Return x (N, T, ..., C) with zeros behind the ends."""
    flat = x.reshape(*x.shape[:2], -1) if x.size else x
    return zeros_behind(flat, lengths).reshape(x.shape) if x.size else x


def embedding_concatenation(
    x: np.ndarray, weights: np.ndarray, *, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, EmbeddingConcatenationState]:
    """Return the vector ``weights`` (C, 1) and behind it the positions of x (N, T, C): (N, T + 1, C)."""
    output = workspace.empty("output", (len(x), x.shape[1] + 1, x.shape[2]), x.dtype)
    output[:, 0] = weights.ravel()
    output[:, 1:] = x
    return output, EmbeddingConcatenationState(weights.shape)


def embedding_concatenation_backward(
    saved: EmbeddingConcatenationState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x and of the weights."""
    d_x = d_output[:, 1:] if wanted[0] else None
    return d_x, d_output[:, 0].sum(axis=0).reshape(saved.shape) if wanted[1] else None
