"""Attention: queries, keys and values of their own, or made from one input by linear maps.

The formula is in `mlnet.engines.numpy.heads`. What is padding behind the ends of sequences, or by a mask, is not seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.heads import Heads, attend, back_through
from mlnet.engines.numpy.linear import FullyConnectedState, fully_connected, fully_connected_backward
from mlnet.engines.numpy.time_padding import zeros_behind
from mlnet.errors import DataError

Outputs = np.ndarray | tuple[np.ndarray, np.ndarray]
"""The output, or the output (N, Tq, C) and the scores (N, Tk, Tq, heads)."""


class AttentionState(NamedTuple):
    """What the backward of `attention` needs; ``shapes`` are those of all inputs."""

    heads: Heads
    shapes: tuple[tuple[int, ...], ...]
    lengths: np.ndarray | None


class SelfAttentionState(NamedTuple):
    """What the backward of `self_attention` needs; ``projections`` made queries, keys, values and the output."""

    heads: Heads
    projections: tuple[FullyConnectedState, ...]
    shapes: tuple[tuple[int, ...], ...]
    lengths: np.ndarray | None


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *mask: np.ndarray,
    heads: int,
    scale: float,
    causal: bool = False,
    scores: bool = False,
    probability: float = 0.0,
    generator: np.random.Generator | None = None,
    lengths: Any = None,
    more_lengths: Any = (),
    workspace: Workspace,
) -> tuple[Outputs, AttentionState]:
    """Return the attention (N, Tq, Cv) of queries (N, Tq, Ck) to keys (N, Tk, Ck) with values (N, Tk, Cv).

    Inputs without the axis of positions have a single one. The optional ``mask`` (N, Tk, 1) is 0 where a key is
    padding. ``lengths`` (N,) are the numbers of steps of the queries, ``more_lengths`` those of the further inputs,
    None for all of them. With ``causal`` a query sees keys up to its own position. With a ``generator`` each score is
    dropped with ``probability`` and the others are divided by 1 - probability. With ``scores`` these are put out too,
    as they are before dropout. Raises `DataError` where keys, values and mask have different numbers of steps.
    """
    inputs = (query, key, value, *mask)
    ends = dict(zip(range(1, len(inputs)), more_lengths, strict=False))
    _need_equal_steps([ends.get(number) for number in range(1, len(inputs))])
    q, k, v, *masks = map(_as_list, inputs)
    seen = _seen(k, masks, ends.get(1))
    output, state = attend(q, k, v, seen, heads, scale, causal, probability, generator, workspace)
    shape = (*query.shape[:-1], output.shape[-1])
    saved = AttentionState(state, tuple(each.shape for each in inputs), lengths)
    return _outputs(zeros_behind(output, lengths).reshape(shape), state, scores), saved


def attention_backward(
    saved: AttentionState, d_output: Any, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of queries, keys, values and of the mask, which has none: zeros."""
    d_heads, d_scores = _output_gradients(d_output, saved.heads, saved.lengths)
    gradients = back_through(saved.heads, d_heads, d_scores, workspace)
    zeros = [np.zeros(shape, saved.heads.scores.dtype) for shape in saved.shapes[3:]]
    each = zip([*gradients, *zeros], saved.shapes, wanted, strict=True)
    return tuple(gradient.reshape(shape) if want else None for gradient, shape, want in each)


def self_attention(
    x: np.ndarray,
    *arrays: np.ndarray,
    heads: int,
    scale: float,
    causal: bool = False,
    scores: bool = False,
    probability: float = 0.0,
    generator: np.random.Generator | None = None,
    lengths: Any = None,
    more_lengths: Any = (),
    workspace: Workspace,
) -> tuple[Outputs, SelfAttentionState]:
    """Return the attention of x (N, T, C) to itself, (N, T, O), after and before linear maps.

    ``arrays`` are a mask (N, T, 1) if there is one, then the weights of queries and keys (K, C), of values (V, C) and
    of the output (O, V), and the biases (K, 1), (K, 1), (V, 1) and (O, 1). Everything else is as in `attention`.
    """
    *masks, q_weights, k_weights, v_weights, o_weights, q_bias, k_bias, v_bias, o_bias = arrays
    _need_equal_steps([lengths, *more_lengths])
    given = _as_list(x)
    count, steps, channels = given.shape
    flat = given.reshape(-1, channels)
    projected, states = [], []
    for name, weights, bias in (
        ("query", q_weights, q_bias),
        ("key", k_weights, k_bias),
        ("value", v_weights, v_bias),
    ):
        y, state = fully_connected(flat, weights, bias, workspace=workspace.part(name))
        projected.append(y.reshape(count, steps, len(weights)))
        states.append(state)
    seen = _seen(given, [_as_list(mask) for mask in masks], lengths)
    q, k, v = projected
    merged, product = attend(q, k, v, seen, heads, scale, causal, probability, generator, workspace)
    output, state = fully_connected(
        merged.reshape(-1, merged.shape[-1]), o_weights, o_bias, workspace=workspace.part("output")
    )
    output = zeros_behind(output.reshape(count, steps, len(o_weights)), lengths).reshape(*x.shape[:-1], len(o_weights))
    saved = SelfAttentionState(product, (*states, state), tuple(each.shape for each in (x, *masks)), lengths)
    return _outputs(output, product, scores), saved


def self_attention_backward(
    saved: SelfAttentionState, d_output: Any, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, of the mask (zeros), of the four weights and of the four biases."""
    d_y, d_scores = _output_gradients(d_output, saved.heads, saved.lengths, len(saved.projections[3].weights))
    inputs = len(saved.shapes)
    weights, biases = wanted[inputs : inputs + 4], wanted[inputs + 4 :]
    is_below = wanted[0] or any(weights[:3]) or any(biases[:3])
    d_merged, d_weights, d_bias = fully_connected_backward(
        saved.projections[3],
        d_y.reshape(-1, d_y.shape[-1]),
        wanted=(is_below, weights[3], biases[3]),
        workspace=workspace.part("output"),
    )
    results: list[tuple[np.ndarray | None, ...]] = [(None, None, None)] * 3
    if d_merged is not None:
        shape = (*d_y.shape[:2], d_merged.shape[-1])
        gradients = back_through(saved.heads, d_merged.reshape(shape), d_scores, workspace)
        results = [
            fully_connected_backward(
                state,
                gradient.reshape(-1, gradient.shape[-1]),
                wanted=(wanted[0], weights[number], biases[number]),
                workspace=workspace.part(name),
            )
            for number, (name, state, gradient) in enumerate(
                zip(("query", "key", "value"), saved.projections, gradients, strict=False)
            )
        ]
    d_x = None
    if wanted[0]:
        parts = [part for part, _, _ in results if part is not None]
        d_x = np.add(parts[0], parts[1], out=parts[0])
        d_x = np.add(d_x, parts[2], out=d_x).reshape(saved.shapes[0])
    masks = [
        np.zeros(shape, saved.heads.scores.dtype) if want else None
        for shape, want in zip(saved.shapes[1:], wanted[1:inputs], strict=True)
    ]
    return (d_x, *masks, *[part[1] for part in results], d_weights, *[part[2] for part in results], d_bias)


def _as_list(x: np.ndarray) -> np.ndarray:
    """Return x (N, T, C) itself, x (N, C) with a single position, contiguous."""
    return np.ascontiguousarray(x if x.ndim == 3 else x[:, None])


def _seen(keys: np.ndarray, masks: list[np.ndarray], lengths: Any) -> np.ndarray | None:
    """Return (N, Tk), true where a key is no padding; None where all are seen."""
    if lengths is None and not masks:
        return None
    seen = np.ones(keys.shape[:2], bool)
    if lengths is not None:
        seen &= np.arange(keys.shape[1]) < np.asarray(lengths)[:, None]
    for mask in masks:
        seen &= mask[:, :, 0] != 0
    return None if seen.all() else seen


def _need_equal_steps(lengths: list[Any]) -> None:
    for number, other in enumerate(lengths[1:]):
        if other is not lengths[0] and not np.array_equal(other, lengths[0]):
            found = [np.asarray(each).tolist() for each in (lengths[0], lengths[number + 1])]
            raise DataError(
                "Attention: needs keys, values and mask with the same numbers of time steps, but got "
                f"{found[0]} and {found[1]}. Make their sequences equally long."
            )


def _outputs(output: np.ndarray, state: Heads, scores: bool) -> Outputs:
    return (output, state.scores.transpose(0, 3, 2, 1)) if scores else output


def _output_gradients(
    d_output: Any, state: Heads, lengths: Any, channels: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the gradients of the output (N, Tq, C), zero behind the ends, and of the scores if there is one."""
    d_y, d_scores = d_output if isinstance(d_output, tuple) else (d_output, None)
    shape = (*state.queries.shape[:2], channels or state.values.shape[-1])
    if d_y is None:
        return np.zeros(shape, state.scores.dtype), d_scores
    return zeros_behind(np.ascontiguousarray(d_y).reshape(shape), lengths), d_scores
