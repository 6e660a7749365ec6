"""Projected LSTMs, which other libraries do not have, as LSTMs and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.interop.weights.rule import Arrays, Maker, Rule, Unfit
from mlnet.layers.base import Size

_NEGLIGIBLE = 1e-5
"""Singular values under this part of the largest one are taken for rounding."""


def projected(recurrent: Maker, inputs: str, states: str) -> Maker:
    """Return the maker of rules of an LSTM whose matrices are products of weights and projectors.

    The matrices, named ``inputs`` and ``states`` after the last '.', come apart again where their rank allows it.
    """

    def make(layer: Any, size: Size, flattened: Size) -> Rule:
        rule = recurrent(_Plain(layer), size, flattened)
        pairs = (("InputWeights", "InputProjector"), ("RecurrentWeights", "OutputProjector"))

        def to_ours(given: Arrays) -> Arrays:
            own = rule.to_ours(given)
            for (weights, projector), name in zip(pairs, (inputs, states), strict=True):
                columns = layer.parameter_shape(projector, size)[1]
                left, values, right = np.linalg.svd(own[weights].astype(np.float64), full_matrices=False)
                if values[columns:].max(initial=0) > _NEGLIGIBLE * values.max(initial=0):
                    raise Unfit(f"{name} is of a higher rank than {projector}Size={columns}: use a lstmLayer")
                own[weights] = _wide(left * values, columns)
                own[projector] = _wide(right.T, columns)
            return own

        def to_theirs(own: Arrays) -> Arrays:
            products = {weights: own[weights].astype(np.float64) @ own[projector].T for weights, projector in pairs}
            return rule.to_theirs({**own, **products})

        return replace(rule, to_ours=to_ours, to_theirs=to_theirs)

    return make


def _wide(matrix: np.ndarray, columns: int) -> np.ndarray:
    """Return the first columns, with zeros where there are less."""
    return np.pad(matrix[:, :columns], ((0, 0), (0, max(0, columns - matrix.shape[1]))))


class _Plain:
    """A projected LSTM as one without projectors."""

    gates, directions = 4, 1

    def __init__(self, layer: Any) -> None:
        self.NumHiddenUnits = layer.NumHiddenUnits
        self._layer = layer

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return tuple(self._layer.parameter_shape(name, size))
