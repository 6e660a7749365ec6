"""Plans that have predicted, kept with their compiled programs for the next prediction with the same network.

Networks do not change, so what is here stays right. A plan is nobody else's while a prediction runs on it: a second one
at the same time, in another thread, has a plan of its own.
"""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Engine, Predictor
from mlnet.engines.program import Key
from mlnet.layers import general_input
from mlnet.network.compile import parameter_values, prediction_program
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source

_MOST = 8
_MOST_BYTES = 1 << 26
"""How many are kept, and how much memory one may have."""

_FIXED_STATES = {"TrainedMean", "TrainedVariance"}
"""States that predicting does not change."""


class _Key(NamedTuple):
    network: int
    ends: tuple[Source, ...]
    engine: int


class Prepared:
    """What predicts outputs of a network on an engine.

    ``plain`` is the size of an observation where both input and output are one plain array: no sequences, no states,
    and nothing to do with the data beforehand. ``small`` has the shapes for which the plan has no more memory than may
    be kept.
    """

    def __init__(self, network: Resolved, ends: Sequence[Source], engine: Engine) -> None:
        self.key = _Key(id(network), tuple(ends), id(engine))
        self.engine = engine  # so that no other one has its number
        self.predictor: Predictor = engine.predictor(
            prediction_program(network, ends), parameter_values(network.layers)
        )
        self.plain = _plain(network)
        self.small: set[tuple[int, ...]] = set()

    def with_states(self, network: Resolved, states: Collection[Key]) -> Prepared:
        """Return what predicts the same outputs of the same network with other states, with the same plan."""
        layers = {layer.Name: layer for layer in network.layers}
        changed = {key: np.asarray(getattr(layers[key[0]], key[1]), np.float32) for key in states}
        twin = copy.copy(self)
        twin.key = self.key._replace(network=id(network))
        twin.predictor = self.predictor._replace(values={**self.predictor.values, **changed})
        return twin


_lock = threading.RLock()  # the collector may run a finalizer while the lock is held
_kept: list[Prepared] = []
_watched: set[int] = set()


def _start_afresh() -> None:
    """Start afresh in a forked process, where another thread may have held the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def take(network: Resolved, ends: Sequence[Source], engine: Engine) -> Prepared:
    """Return what predicts the outputs ``ends`` of a network, by default its own; nobody else has it."""
    key = (id(network), tuple(ends), id(engine))
    with _lock:
        for place in range(len(_kept) - 1, -1, -1):
            if _kept[place].key == key:
                return _kept.pop(place)
    return Prepared(network, ends, engine)


def give(network: Resolved, ready: Prepared, shape: tuple[int, ...] | None = None) -> None:
    """Keep what has predicted, unless it has much memory; the oldest ones are dropped.

    ``shape`` is that of the only mini-batch if there was one.
    """
    ready.predictor.plan.forget()
    if shape not in ready.small:
        if ready.predictor.plan.allocated > _MOST_BYTES:
            return
        if shape is not None:
            ready.small.add(shape)
    _keep(network, ready)


def _keep(network: Resolved, ready: Prepared) -> None:
    dropped = None
    with _lock:
        if ready.key[0] not in _watched:
            _watched.add(ready.key[0])
            weakref.finalize(network, _drop, ready.key[0]).atexit = False
        _kept.append(ready)
        if len(_kept) > _MOST:
            dropped = _kept.pop(0)
    del dropped


def predict_plain(network: Resolved, engine: Engine, x: np.ndarray, size: int) -> np.ndarray | None:
    """Return the scores (N, K) for real numbers in MATLAB's order, which are one mini-batch; None where that is not so.

    One observation may come without the dimension of observations.
    """
    ready = take(network, (), engine)
    shape = None
    dims = ready.plain
    is_again = False
    try:
        if x.shape == dims:
            x = x[..., np.newaxis] if len(dims) > 1 else x[np.newaxis]
        if not dims or x.ndim != len(dims) + 1:
            return None
        batch = x if x.ndim == 2 else x.transpose(_LAST_FIRST[x.ndim])
        shape = batch.shape
        if shape[1:] != dims or not 0 < shape[0] <= size:
            return None
        if batch.dtype != _FLOAT:
            batch = batch.astype(_FLOAT)
        plan, values, _ = ready.predictor
        output = plan.again(batch, values) if shape in ready.small else None
        is_again = output is not None
        if output is None:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # NaN in the data shows
                output = plan.forward(np.ascontiguousarray(batch), values)
        return output.reshape(shape[0], -1).copy()
    finally:
        if is_again:
            _keep(network, ready)
        else:
            give(network, ready, shape)


_FLOAT = np.dtype(np.float32)

_LAST_FIRST = {ndim: (ndim - 1, *range(ndim - 1)) for ndim in range(2, 6)}
"""Axes of the engines' order, by the number of axes in MATLAB's."""


def _plain(network: Resolved) -> tuple[int, ...]:
    """Return the size of an observation where nothing is special about input and output; () where something is."""
    layers = network.input_layers
    has_fixed = all(set(layer.states) <= _FIXED_STATES for layer in network.layers)
    if len(layers) != 1 or len(network.output_indices) != 1 or not has_fixed:
        return ()
    (layer,) = layers
    size = layer.size()
    is_special = (
        layer.CategoricalInputs or callable(layer.Normalization) or layer.augmentation() or layer.SplitComplexInputs
    )
    if is_special or isinstance(layer, general_input.InputLayer) or size.is_sequence or not network.output_size.is_flat:
        return ()
    return size.dims


def _drop(network: int) -> None:
    with _lock:
        _watched.discard(network)
        dropped = [ready for ready in _kept if ready.key.network == network]
        _kept[:] = [ready for ready in _kept if ready.key.network != network]
    dropped.clear()
