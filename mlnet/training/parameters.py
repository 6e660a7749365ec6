"""The learnable parameters of a training as one flat vector, in segments that the solver treats alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mlnet.engines.program import Key
from mlnet.layers.base import Layer


class Segment(NamedTuple):
    """Neighbouring parameters with the same factors."""

    where: slice
    learn_rate_factor: float
    l2_factor: float


class Parameters:
    """Values and gradients of all learnables that are trained, each as views into one flat vector.

    ``values`` and ``gradients`` map (layer name, parameter name) to the views. Parameters whose learning-rate factor is
    0 are not trained: they are in ``values`` only, and so are the states that layers have.
    """

    def __init__(self, layers: Sequence[Layer], dtype: type = np.float32) -> None:
        found: list[tuple[list[tuple[float, float]], Key, np.ndarray]] = []
        self.values: dict[Key, np.ndarray] = {}
        for layer in layers:
            for state in layer.states:
                value = getattr(layer, state)
                if value.size:
                    self.values[layer.Name, state] = np.array(value, dtype)
            for learnable in layer.learnables:
                factors = layer.factors(learnable)
                key, value = (layer.Name, learnable.name), getattr(layer, learnable.name)
                self.values[key] = np.array(value, dtype)
                if any(learn_rate_factor != 0 for learn_rate_factor, _ in factors):
                    found.append((factors, key, value))
        order: list[list[tuple[float, float]]] = []
        for factors, _, _ in found:
            if factors not in order:
                order.append(factors)
        found.sort(key=lambda item: order.index(item[0]))
        total = sum(value.size for _, _, value in found)
        self.flat_values: np.ndarray = np.empty(total, dtype)
        self.flat_gradients: np.ndarray = np.zeros(total, dtype)
        self._buffer: np.ndarray = np.empty(total, dtype)
        self.gradients: dict[Key, np.ndarray] = {}
        self.segments: list[Segment] = []
        self.slices: dict[Key, slice] = {}
        stop = 0
        for factors, key, value in found:
            start, stop = stop, stop + value.size
            where = self.slices[key] = slice(start, stop)
            self.flat_values[where] = value.ravel()
            self.values[key] = self.flat_values[where].reshape(value.shape)
            self.gradients[key] = self.flat_gradients[where].reshape(value.shape)
            size = value.size // len(factors)
            for block, pair in enumerate(factors):
                self._extend(slice(start + block * size, start + (block + 1) * size), *pair)

    def _extend(self, where: slice, learn_rate_factor: float, l2_factor: float) -> None:
        last = self.segments[-1] if self.segments else None
        if last is not None and last[1:] == (learn_rate_factor, l2_factor):
            where = slice(last.where.start, where.stop)
            self.segments.pop()
        self.segments.append(Segment(where, learn_rate_factor, l2_factor))

    def set_gradients(self, gradients: Mapping[Key, np.ndarray]) -> None:
        """Copy the gradients of one mini-batch into the flat vector."""
        for key, view in self.gradients.items():
            gradient = gradients[key]
            if gradient is not view:
                view[...] = gradient

    def add_l2(self, l2_regularization: float) -> None:
        """Add the gradient of the L2 penalty, ``lambda * L2Factor * value``."""
        for where, _, l2_factor in self.segments:
            factor = l2_regularization * l2_factor
            if factor:
                penalty = self._buffer[where]
                np.multiply(self.flat_values[where], self.flat_values.dtype.type(factor), out=penalty)
                self.flat_gradients[where] += penalty

    def clip(self, threshold: float, method: str) -> None:
        """Limit the gradients.

        'l2norm' scales the gradient of each parameter whose norm is above ``threshold``; 'global-l2norm' scales all
        gradients by their common norm; 'absolute-value' limits each element (Pascanu et al., 2013).
        """
        if math.isinf(threshold):
            return
        if method == "absolute-value":
            np.clip(self.flat_gradients, -threshold, threshold, out=self.flat_gradients)
            return
        everything = [slice(None)] if method == "global-l2norm" else list(self.slices.values())
        for where in everything:
            part = self.flat_gradients[where]
            norm = float(np.linalg.norm(part.astype(np.float64)))
            if norm > threshold:
                part *= threshold / norm
