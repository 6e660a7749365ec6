"""What normalization layers share: one offset and scale per channel, and statistics of the training set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeVar

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer, Learnable, Size, SizeError, channel_mistakes, parameter_mistakes
from mlnet.options import Group, Option
from mlnet.rules import EMPTY, array, number

CHANNELS = "1 x 1 x NumChannels (images) or NumChannels x 1 (features, sequences)"
OFFSET = Learnable("Offset", "Offset", "zeros", 1, CHANNELS)
SCALE = Learnable("Scale", "Scale", "ones", 1, CHANNELS)
TRAINED_MEAN = Option("TrainedMean", EMPTY, array(), f"{CHANNELS}; mean for prediction, set by training.", Group.PLAIN)

P = TypeVar("P", bound="PerChannelLayer")


def decay(name: str, moment: str) -> Option:
    """Return the option with the weight of the newest mini-batch in a moving moment."""
    return Option(name, 0.1, number(0, 1), f"Weight of the newest mini-batch in the moving {moment}.")


def channel_shape(size: Size) -> tuple[int, ...]:
    """Return MATLAB's shape of one value per channel: 1 x 1 x C for images, C x 1 for features and sequences."""
    return (*[1] * len(size.spatial), size.channels) if size.spatial else (size.channels, 1)


class PerChannelLayer(Layer):
    """A normalization with the option NumChannels and parameters of one value per channel."""

    shows_all_link: ClassVar[bool] = True
    title: ClassVar[str] = ""
    """The beginning of the description."""
    per_channel: ClassVar[tuple[str, ...]] = ("Offset", "Scale")
    """The parameters that have one value per channel."""

    def description(self) -> str:
        """Return e.g. "Group normalization", with the number of channels once it is known."""
        known = "" if self.NumChannels == "auto" else f" with {self.NumChannels} channels"
        return f"{self.title}{known}"

    def check(self) -> None:
        """Refuse parameters that do not have one value per channel."""
        sizes = {name: getattr(self, name).size for name in self.per_channel if getattr(self, name).size}
        if self.NumChannels != "auto":
            sizes = {"NumChannels": self.NumChannels, **sizes}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise OptionError(f"{self.where()}: needs as many values as channels everywhere, but {listed}.")

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield channels and parameters that do not fit the input."""
        yield from channel_mistakes(self, size)
        yield from parameter_mistakes(self, size)

    def with_size(self: P, size: Size) -> P:
        """Return a copy with NumChannels set."""
        return self.replaced(NumChannels=size.channels)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return 1 x 1 x C for images and C x 1 for features and sequences."""
        return channel_shape(size)


class PopulationLayer(PerChannelLayer):
    """A normalization by the mini-batch in training, and by statistics of the training set at prediction.

    The operation of training saves two moments of its input, float64: ``mean`` (C,), and ``spread_field``, which is
    divided by the count: a variance (C,), or covariances (groups, K, K). Training merges or averages them over
    mini-batches, and sets ``states`` to what `trained_states` makes of them.
    """

    spread_field: ClassVar[str]
    """Name of the second moment in the record of the operation."""
    decays: ClassVar[tuple[str, str]]
    """The options with the weights of the newest mini-batch in the moving moments."""

    def first_moments(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Return the moments from which moving ones start: those of the given states, otherwise mean 0, variance 1."""
        raise NotImplementedError

    def trained_states(self, mean: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of the states that belong to moments of the input."""
        raise NotImplementedError
