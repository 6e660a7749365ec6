"""What a rule for the parameters of a layer in another library is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlnet.layers.base import Layer, Size

Arrays = dict[str, np.ndarray]
Maker = Callable[[Any, Size, Size], "Rule"]
"""Makes the rule of a layer that takes inputs of a size; the other size is that of images before flattening."""


class Unfit(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """Arrays that the layer cannot have the values of."""


@dataclass(frozen=True)
class Rule:
    """The arrays of a layer elsewhere: shapes by the end of the name, and the two ways of turning them.

    ``optional`` ones have a number everywhere where they are missing; ``others`` are other shapes that they may have,
    and ``aliases`` other ends of their names.
    """

    shapes: Mapping[str, tuple[int, ...]]
    to_ours: Callable[[Arrays], Arrays]
    to_theirs: Callable[[Arrays], Arrays]
    optional: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def made_by(
    makers: Mapping[type, Callable[[Any, Size, Size], Rule]], layer: Layer, size: Size, flattened: Size
) -> Rule | None:
    """Return the rule that the maker for the kind of a layer makes; None where there is none."""
    for kind, make in makers.items():
        if isinstance(layer, kind):
            return make(layer, size, flattened)
    return None


def per_channel(optional: Mapping[str, float] = {}, /, **names: str) -> Callable[[Any, Size, Size], Rule]:
    """Return the maker of rules of parameters with a number for each channel; ``names`` are ours by theirs."""

    def make(layer: Any, size: Size, _: Size) -> Rule:
        shapes = {ours: layer.parameter_shape(ours, size) for ours in names.values()}
        return Rule(
            dict.fromkeys(names, (size.channels,)),
            lambda given: {ours: given[theirs].reshape(shapes[ours]) for theirs, ours in names.items()},
            lambda own: {theirs: own[ours].ravel() for theirs, ours in names.items()},
            optional,
        )

    return make


def class_token(end: str) -> Callable[[Any, Size, Size], Rule]:
    """Return the maker of rules of one vector, (C,) or (1, 1, C)."""

    def make(layer: Any, size: Size, _: Size) -> Rule:
        return Rule(
            {end: (size.channels,)},
            lambda given: {"Weights": given[end].reshape(-1, 1)},
            lambda own: {end: own["Weights"].ravel()},
            others={end: (1, 1, size.channels)},
        )

    return make
