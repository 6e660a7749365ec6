"""Scaled dot-product attention with several heads (Vaswani et al., 2017, "Attention Is All You Need").

Each head takes its part of the channels: ``scores = softmax(scale * queries keys')`` over the keys, and the output is
``scores * values``, the heads one after the other. Scores of keys that are padding are exactly 0; where no key is left
the output is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.dropout import DropoutState, dropout
from mlnet.parallel.blocks import BLOCK_BYTES, run, split


class Heads(NamedTuple):
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

    def pieces(self) -> list[tuple[slice, slice]]:
        """Return slices of observations, and of heads where one observation is large, to work on."""
        each = self.scores[:1].nbytes
        heads = split(self.scores.shape[1], self.scores[:1, :1].nbytes) if each > BLOCK_BYTES else (slice(None),)
        return [(piece, part) for piece in split(len(self.scores), each) for part in heads]


def attend(
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
) -> tuple[np.ndarray, Heads]:
    """Return the values (N, Tq, Cv) by their scores; ``seen`` (N, Tk) are the keys that are no padding."""
    count, queries, keys = len(q), q.shape[1], k.shape[1]
    scores = workspace.empty("scores", (count, heads, queries, keys), q.dtype)
    hidden = np.arange(keys) > np.arange(queries)[:, None] if causal else np.zeros((1, 1), bool)
    state = Heads(q, k, v, scores, scores, None, scale)
    pieces = state.pieces()
    q_heads, k_heads, v_heads = (by_head(each, heads) for each in (q, k, v))

    def score(part: int, slot: int) -> None:
        piece = pieces[part]
        s = scores[piece]
        np.matmul(q_heads[piece], k_heads[piece].swapaxes(2, 3), out=s)
        s *= scale
        if causal or seen is not None:
            np.copyto(s, -np.inf, where=hidden if seen is None else hidden | ~seen[piece[0]][:, None, None])
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
    merged_heads = by_head(merged, heads)

    def mix(part: int, slot: int) -> None:
        piece = pieces[part]
        np.matmul(state.weights[piece], v_heads[piece], out=merged_heads[piece])

    run(mix, len(pieces))
    return merged, state


def back_through(
    saved: Heads, d_merged: np.ndarray, d_scores: np.ndarray | None, workspace: Workspace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of queries, keys and values; ``d_scores`` (N, Tk, Tq, heads) is that of the scores."""
    heads = saved.scores.shape[1]
    results = {
        name: workspace.empty(f"d_{name}", array.shape, array.dtype)
        for name, array in (("queries", saved.queries), ("keys", saved.keys), ("values", saved.values))
    }
    q, k, v, d_out = (by_head(each, heads) for each in (saved.queries, saved.keys, saved.values, d_merged))
    d_q, d_k, d_v = (by_head(each, heads) for each in results.values())
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
            d += d_scores.transpose(0, 3, 2, 1)[piece]
        d -= np.einsum("nhqk,nhqk->nhq", d, saved.scores[piece])[..., None]
        d *= saved.scores[piece]
        d *= saved.scale
        np.matmul(d, k[piece], out=d_q[piece])
        np.matmul(d.swapaxes(2, 3), q[piece], out=d_k[piece])

    run(task, len(pieces))
    return results["queries"], results["keys"], results["values"]


def by_head(x: np.ndarray, heads: int) -> np.ndarray:
    """Return a view (N, heads, T, C / heads) of x (N, T, C)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)
