"""Scaled dot-product attention with several heads (Vaswani et al., 2017, "Attention Is All You Need").

Each head takes its part of the channels: ``scores = softmax(scale * queries keys')`` over the keys, and the output is
``scores * values``, the heads one after the other. Scores of keys that are padding are exactly 0; where no key is left
the output is 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.blocks import run, split
from mlnet.engines.numpy.dropout import DropoutState, dropout
from mlnet.engines.numpy.linear import FullyConnectedState, fully_connected, fully_connected_backward
from mlnet.engines.numpy.time_padding import zeros_behind
from mlnet.errors import DataError

Outputs = np.ndarray | tuple[np.ndarray, np.ndarray]
"""The output, or the output (N, Tq, C) and the scores (N, Tk, Tq, heads)."""


class _Heads(NamedTuple):
    """The product of queries (N, Tq, Ck), keys (N, Tk, Ck) and values (N, Tk, Cv).

    ``scores`` (N, heads, Tq, Tk) are those before dropout; ``weights`` are behind it, the same array without.
    """

    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    dropped: DropoutState | None
    scale: float

    def pieces(self) -> tuple[slice, ...]:
        """Return slices of observations to work on."""
        return split(len(self.scores), self.scores[:1].nbytes)


class AttentionState(NamedTuple):
    """What the backward of `attention` needs; ``shapes`` are those of all inputs."""

    heads: _Heads
    shapes: tuple[tuple[int, ...], ...]
    lengths: np.ndarray | None


class SelfAttentionState(NamedTuple):
    """What the backward of `self_attention` needs; ``projections`` made queries, keys, values and the output."""

    heads: _Heads
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
    output, state = _attend(q, k, v, seen, heads, scale, causal, probability, generator, workspace)
    shape = (*query.shape[:-1], output.shape[-1])
    saved = AttentionState(state, tuple(each.shape for each in inputs), lengths)
    return _outputs(zeros_behind(output, lengths).reshape(shape), state, scores), saved


def attention_backward(
    saved: AttentionState, d_output: Any, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of queries, keys, values and of the mask, which has none: zeros."""
    d_heads, d_scores = _output_gradients(d_output, saved.heads, saved.lengths)
    gradients = _through_scores(saved.heads, d_heads, d_scores, workspace)
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
    merged, product = _attend(q, k, v, seen, heads, scale, causal, probability, generator, workspace)
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
        gradients = _through_scores(saved.heads, d_merged.reshape(shape), d_scores, workspace)
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


def _attend(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    seen: np.ndarray | None,
    heads: int,
    scale: float,
    causal: bool,
    probability: float,
    generator: np.random.Generator | None,
    workspace: Workspace,
) -> tuple[np.ndarray, _Heads]:
    """Return the values (N, Tq, Cv) by their scores; ``seen`` (N, Tk) are the keys that are no padding."""
    count, queries, keys = len(q), q.shape[1], k.shape[1]
    scores = workspace.empty("scores", (count, heads, queries, keys), q.dtype)
    hidden = np.arange(keys) > np.arange(queries)[:, None] if causal else np.zeros((1, 1), bool)
    state = _Heads(q, k, v, scores, scores, None, scale)
    pieces = state.pieces()
    q_heads, k_heads, v_heads = (_by_head(each, heads) for each in (q, k, v))

    def score(part: int, slot: int) -> None:
        piece = pieces[part]
        s = scores[piece]
        np.matmul(q_heads[piece], k_heads[piece].swapaxes(2, 3), out=s)
        s *= scale
        if causal or seen is not None:
            np.copyto(s, -np.inf, where=hidden if seen is None else hidden | ~seen[piece][:, None, None])
        highest = s.max(axis=-1, keepdims=True, initial=-np.inf)
        s -= np.where(np.isneginf(highest), 0, highest)
        np.exp(s, out=s)
        total = s.sum(axis=-1, keepdims=True)
        s /= np.where(total == 0, 1, total)

    run(score, len(pieces))
    if generator is not None and probability > 0:
        weights, dropped = dropout(
            scores, probability=probability, generator=generator, workspace=workspace.part("dropout")
        )
        state = state._replace(weights=weights, dropped=dropped)
    merged = workspace.empty("merged", (count, queries, v.shape[-1]), q.dtype)
    merged_heads = _by_head(merged, heads)

    def mix(part: int, slot: int) -> None:
        piece = pieces[part]
        np.matmul(state.weights[piece], v_heads[piece], out=merged_heads[piece])

    run(mix, len(pieces))
    return merged, state


def _through_scores(
    saved: _Heads, d_merged: np.ndarray, d_scores: np.ndarray | None, workspace: Workspace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of queries, keys and values; ``d_scores`` (N, Tk, Tq, heads) is that of the scores."""
    heads = saved.scores.shape[1]
    results = {
        name: workspace.empty(f"d_{name}", array.shape, array.dtype)
        for name, array in (("queries", saved.queries), ("keys", saved.keys), ("values", saved.values))
    }
    q, k, v, d_out = (_by_head(each, heads) for each in (saved.queries, saved.keys, saved.values, d_merged))
    d_q, d_k, d_v = (_by_head(each, heads) for each in results.values())
    d_s = workspace.empty("d_scores", saved.scores.shape, saved.scores.dtype)
    pieces = saved.pieces()

    def task(part: int, slot: int) -> None:
        piece = pieces[part]
        d = d_s[piece]
        np.matmul(saved.weights[piece].swapaxes(2, 3), d_out[piece], out=d_v[piece])
        np.matmul(d_out[piece], v[piece].swapaxes(2, 3), out=d)
        if saved.dropped is not None:
            d *= saved.dropped.factors[piece]
        if d_scores is not None:
            d += d_scores[piece].transpose(0, 3, 2, 1)
        d -= np.einsum("nhqk,nhqk->nhq", d, saved.scores[piece])[..., None]
        d *= saved.scores[piece]
        d *= saved.scale
        np.matmul(d, k[piece], out=d_q[piece])
        np.matmul(d.swapaxes(2, 3), q[piece], out=d_k[piece])

    run(task, len(pieces))
    return results["queries"], results["keys"], results["values"]


def _by_head(x: np.ndarray, heads: int) -> np.ndarray:
    """Return a view (N, heads, T, C / heads) of x (N, T, C)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


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


def _outputs(output: np.ndarray, state: _Heads, scores: bool) -> Outputs:
    return (output, state.scores.transpose(0, 3, 2, 1)) if scores else output


def _output_gradients(
    d_output: Any, state: _Heads, lengths: Any, channels: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the gradients of the output (N, Tq, C), zero behind the ends, and of the scores if there is one."""
    d_y, d_scores = d_output if isinstance(d_output, tuple) else (d_output, None)
    shape = (*state.queries.shape[:2], channels or state.values.shape[-1])
    if d_y is None:
        return np.zeros(shape, state.scores.dtype), d_scores
    return zeros_behind(np.ascontiguousarray(d_y).reshape(shape), lengths), d_scores
