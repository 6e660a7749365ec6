"""Layers that normalize each observation by itself: group, instance, layer and RMS normalization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from mlnet.errors import OptionError
from mlnet.layers.base import (
    Call,
    Size,
    SizeError,
    TimeRule,
    channel_mistakes,
    group_mistakes,
    layer_table,
    num_channels,
    same_lengths,
)
from mlnet.layers.per_channel import OFFSET, SCALE, PerChannelLayer
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, either, integer, number


class GroupedLayer(PerChannelLayer):
    """A normalization of groups of channels, with the option NumGroups."""

    def check(self) -> None:
        """Refuse parameters that do not fit one another, and groups that do not divide the channels."""
        super().check()
        if self.NumChannels != "auto" and self.NumChannels % self.group_count(self.NumChannels):
            divisors = f"NumChannels has {self.NumChannels}, NumGroups {self.NumGroups}"
            raise OptionError(f"{self.where()}: needs groups of equally many channels, but {divisors}.")

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield channels and parameters that do not fit the input, and groups that do not divide the channels."""
        uneven = list(group_mistakes(self.group_count(size.channels), size))
        yield from uneven
        yield from channel_mistakes(self, size) if uneven else super().mistakes(size)

    def group_count(self, channels: int) -> int:
        """Return the number of groups of so many channels."""
        named = {"all-channels": 1, "channel-wise": channels}
        return named[self.NumGroups] if isinstance(self.NumGroups, str) else self.NumGroups


def num_groups(default: Any, argument: Argument) -> Option:
    """Return the option NumGroups."""
    rule = either(choice("all-channels", "channel-wise"), integer())
    doc = "Number of groups, a divisor of the channels; 'all-channels': one, 'channel-wise': each channel by itself."
    return Option("NumGroups", default, rule, doc, Group.HYPERPARAMETERS, argument)


def epsilon(added_to: str) -> Option:
    """Return the option Epsilon."""
    doc = f"Added to the {added_to} before the square root."
    return Option("Epsilon", 1e-5, number(0, above=True), doc, Group.HYPERPARAMETERS)


def _operation_dimension() -> Option:
    rule = choice("auto", "channel-only", "spatial-channel", "batch-excluded")
    doc = (
        "Over what to normalize: channels, channels and positions, or these and time; 'auto': 'spatial-channel' for "
        "images, 'channel-only' for features and sequences."
    )
    return Option("OperationDimension", "auto", rule, doc, Group.HYPERPARAMETERS)


def _axes(dimension: str, size: Size) -> tuple[int, ...]:
    """Return the axes that an OperationDimension means, counted from the last one, the channels."""
    if dimension == "auto":
        dimension = "channel-only" if "T" in size.format else "spatial-channel"
    counts = {
        "channel-only": 1,
        "spatial-channel": size.format.count("S") + 1,
        "batch-excluded": len(size.format),
    }
    return tuple(range(-counts[dimension], 0))


def _over_time(size: Size, dimension: str = "batch-excluded") -> TimeRule | None:
    """Return the rule of an operation along time, or None where time steps are normalized one by one."""
    return same_lengths if size.is_sequence and dimension == "batch-excluded" else None


class GroupNormalizationLayer(GroupedLayer):
    """Normalizes groups of channels of each observation, then scales and shifts them."""

    type_name = "Group Normalization"
    title = "Group normalization"
    base_name = "groupnorm"
    learnables = (OFFSET, SCALE)
    table = layer_table(
        num_channels(Group.PLAIN),
        num_groups(None, Argument.REQUIRED),
        epsilon("variance"),
        *OFFSET.options(),
        *SCALE.options(),
    )

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the normalization by groups."""
        attributes = {"groups": self.group_count(size.channels), "epsilon": self.Epsilon}
        return Call("group_normalization", ("Offset", "Scale"), attributes, time=_over_time(size))


@constructs(GroupNormalizationLayer)
def groupNormalizationLayer() -> None:
    """Create a layer that normalizes groups of channels of each observation, then scales and shifts each channel.

    ``x_hat = (x - mean) / sqrt(variance + Epsilon)``, ``y = Scale * x_hat + Offset``. Mean and variance (divided by the
    count) are those of one observation, over its positions (and time steps) and the channels of a group. They do not
    depend on the mini-batch, so training and prediction compute the same.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Wu and He, "Group Normalization", 2018.

    Examples
    --------
    >>> from mlnet import groupNormalizationLayer
    >>> groupNormalizationLayer(4, Name='gn1')
      GroupNormalizationLayer with properties:
    <BLANKLINE>
               Name: 'gn1'
        NumChannels: 'auto'
    <BLANKLINE>
       Hyperparameters
          NumGroups: 4
            Epsilon: 1.0000e-05
    <BLANKLINE>
       Learnable Parameters
             Offset: []
              Scale: []
    <BLANKLINE>
      Show all properties
    """


class InstanceNormalizationLayer(PerChannelLayer):
    """Normalizes each channel of each observation, then scales and shifts it."""

    type_name = "Instance Normalization"
    title = "Instance normalization"
    base_name = "instancenorm"
    learnables = (OFFSET, SCALE)
    table = layer_table(num_channels(Group.PLAIN), epsilon("variance"), *OFFSET.options(), *SCALE.options())

    def output_size(self, size: Size) -> Size:
        """Return the size of the input; features have one value per channel, which has no variance."""
        if size.format == "C":
            raise SizeError("images or sequences", str(size), "Start with an imageInputLayer or a sequenceInputLayer.")
        return size

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the normalization with one group for each channel."""
        attributes = {"groups": size.channels, "epsilon": self.Epsilon}
        return Call("group_normalization", ("Offset", "Scale"), attributes, time=_over_time(size))


@constructs(InstanceNormalizationLayer)
def instanceNormalizationLayer() -> None:
    """Create a layer that normalizes each channel of each observation, then scales and shifts it.

    ``x_hat = (x - mean) / sqrt(variance + Epsilon)``, ``y = Scale * x_hat + Offset``. Mean and variance (divided by the
    count) are those of one channel of one observation, over its positions (and time steps). Features are refused: one
    value per channel would leave nothing but Offset.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.

    Examples
    --------
    >>> from mlnet import instanceNormalizationLayer
    >>> instanceNormalizationLayer(NumChannels=64).description()
    'Instance normalization with 64 channels'
    """


class _OperationDimensionLayer(PerChannelLayer):
    """A normalization over what its OperationDimension says."""

    operation_name: ClassVar[str]

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the normalization over the axes that OperationDimension means."""
        attributes = {"axes": _axes(self.OperationDimension, size), "epsilon": self.Epsilon}
        time = _over_time(size, self.OperationDimension)
        return Call(self.operation_name, self.per_channel, attributes, time=time)


class LayerNormalizationLayer(_OperationDimensionLayer):
    """Normalizes each observation over its channels and positions, then scales and shifts each channel."""

    type_name = "Layer Normalization"
    title = "Layer normalization"
    base_name = "layernorm"
    operation_name = "layer_normalization"
    learnables = (OFFSET, SCALE)
    table = layer_table(
        num_channels(Group.PLAIN),
        _operation_dimension(),
        epsilon("variance"),
        *OFFSET.options(),
        *SCALE.options(),
    )


@constructs(LayerNormalizationLayer)
def layerNormalizationLayer() -> None:
    """Create a layer that normalizes each observation over its channels, then scales and shifts each channel.

    ``x_hat = (x - mean) / sqrt(variance + Epsilon)``, ``y = Scale * x_hat + Offset``. Mean and variance (divided by the
    count) are those of one observation, over what OperationDimension says. They do not depend on the mini-batch, so
    training and prediction compute the same.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Ba, Kiros and Hinton, "Layer Normalization", 2016.

    Examples
    --------
    >>> from mlnet import layerNormalizationLayer
    >>> layerNormalizationLayer(OperationDimension='channel-only')
      LayerNormalizationLayer with properties:
    <BLANKLINE>
                      Name: ''
               NumChannels: 'auto'
    <BLANKLINE>
       Hyperparameters
        OperationDimension: 'channel-only'
                   Epsilon: 1.0000e-05
    <BLANKLINE>
       Learnable Parameters
                    Offset: []
                     Scale: []
    <BLANKLINE>
      Show all properties
    """


class RMSNormalizationLayer(_OperationDimensionLayer):
    """Divides each observation by its root mean square, then scales each channel."""

    type_name = "RMS Normalization"
    title = "RMS normalization"
    base_name = "rmsnorm"
    operation_name = "rms_normalization"
    learnables = (SCALE,)
    per_channel = ("Scale",)
    table = layer_table(num_channels(Group.PLAIN), _operation_dimension(), epsilon("mean square"), *SCALE.options())


@constructs(RMSNormalizationLayer)
def rmsNormalizationLayer() -> None:
    """Create a layer that divides each observation by its root mean square, then scales each channel.

    ``y = Scale * x / sqrt(mean(x ** 2) + Epsilon)``, the mean over what OperationDimension says. MATLAB has no such
    layer; this one follows the pattern of layerNormalizationLayer, without centring and without Offset.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    Examples
    --------
    >>> from mlnet import rmsNormalizationLayer
    >>> rmsNormalizationLayer(Name='rms1', NumChannels=8)
      RMSNormalizationLayer with properties:
    <BLANKLINE>
                      Name: 'rms1'
               NumChannels: 8
    <BLANKLINE>
       Hyperparameters
        OperationDimension: 'auto'
                   Epsilon: 1.0000e-05
    <BLANKLINE>
       Learnable Parameters
                     Scale: []
    <BLANKLINE>
      Show all properties
    """
