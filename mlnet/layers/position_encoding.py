"""The layer that puts out sines and cosines of positions."""

from __future__ import annotations

from typing import Any

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, same_lengths
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule, choice, integer


def position_kind(size: Size, wanted: str) -> str:
    """Return 'temporal' or 'spatial', the positions of an input that ``wanted`` or 'auto' means; raise `SizeError`."""
    kind = wanted
    if wanted == "auto":
        kind = "temporal" if size.is_sequence else "spatial"
    if kind == "temporal" and not size.is_sequence:
        raise SizeError("sequences for temporal positions", size.text, "Start with a sequenceInputLayer.")
    if kind == "spatial" and size.format.removesuffix("T") != "SC":
        raise SizeError("sequences or 1-D images, for their positions", size.text, "Use a patchEmbeddingLayer.")
    return kind


def _even(value: Any) -> int:
    found: int = integer().convert(value)
    if found % 2:
        raise Refused
    return found


class SinusoidalPositionEncodingLayer(Layer):
    """Puts out sines and cosines of positions."""

    type_name = "Sinusoidal Position Encoding"
    base_name = "pos-enc"
    table = layer_table(
        Option(
            "OutputSize",
            None,
            Rule("an even positive integer", _even, (*integer().bad, 3)),
            "Number of channels of the output.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option(
            "Positions",
            "auto",
            choice("auto", "temporal-indices", "spatial-indices", "data-values"),
            "What positions are; 'auto' is time steps, places in 1-D images or, for all other data, their values.",
            Group.HYPERPARAMETERS,
        ),
    )

    def description(self) -> str:
        """Return e.g. "Sinusoidal position encoding with 64 channels"."""
        return f"Sinusoidal position encoding with {self.OutputSize} channels"

    def output_size(self, size: Size) -> Size:
        """Return the input with OutputSize channels."""
        if self._kind(size) == "data-values" and size.channels != 1:
            raise SizeError("1 channel with the values of positions", size.text)
        return Size(size.format, (*size.spatial, self.OutputSize))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the encoding."""
        kind, attributes = self._kind(size), {"size": self.OutputSize}
        if kind == "data-values":
            return Call("value_encoding", (), attributes)
        return Call("position_encoding", (), attributes, time=same_lengths if kind == "temporal" else None)

    def _kind(self, size: Size) -> str:
        is_other = not size.is_sequence and size.format != "SC"
        if self.Positions == "data-values" or (self.Positions == "auto" and is_other):
            return "data-values"
        return position_kind(size, self.Positions.removesuffix("-indices"))


@constructs(SinusoidalPositionEncodingLayer)
def sinusoidalPositionEncodingLayer() -> None:
    """Create a layer that puts out sines and cosines of the positions of its input.

    Position p, counted from 1, becomes the channels ``sin(p w), cos(p w)`` for ``w = 10000^(-2 i / OutputSize)``,
    i = 0, 1, ..., OutputSize / 2 - 1. Add the output to data with an additionLayer. With Positions 'data-values' p are
    the values of the input, which then has 1 channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Vaswani et al., "Attention Is All You Need", 2017.

    Examples
    --------
    >>> from mlnet import sinusoidalPositionEncodingLayer
    >>> sinusoidalPositionEncodingLayer(64, Name='pos')
      SinusoidalPositionEncodingLayer with properties:
    <BLANKLINE>
              Name: 'pos'
    <BLANKLINE>
       Hyperparameters
        OutputSize: 64
         Positions: 'auto'
    """
