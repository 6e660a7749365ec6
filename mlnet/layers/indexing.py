"""The layer that takes a vector out of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, no_lengths
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, flag


class Indexing1DLayer(Layer):
    """Takes the first or the last vector of a list."""

    type_name = "1-D Indexing"
    base_name = "indexing1d"
    table = layer_table(
        Option(
            "Index",
            "first",
            choice("first", "last"),
            "Which time step or position is put out.",
            Group.PLAIN,
            Argument.OPTIONAL,
        ),
        Option(
            "HasPaddingMaskInput",
            False,
            flag(),
            "Take a further input 'mask' that is 0 where an element is padding, otherwise 1.",
            Group.PLAIN,
        ),
    )

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return ("in", "mask") if self.HasPaddingMaskInput else ("in",)

    @property
    def whole_inputs(self) -> Mapping[str, tuple[int, int]]:  # type: ignore[override]
        """The mask tells data by 1 from padding by 0."""
        return {"mask": (0, 1)}

    def description(self) -> str:
        """Return e.g. "1-D indexing of the first element"."""
        return f"1-D indexing of the {self.Index} element"

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield a mask that does not belong to the data."""
        if self.HasPaddingMaskInput:
            spatial = () if sizes[0].is_sequence else sizes[0].spatial
            expected = Size("CT" if sizes[0].is_sequence else sizes[0].format, (*spatial, 1))
            if sizes[1] != expected:
                yield SizeError(f"an input 'mask' of {expected.text}", sizes[1].text, "Give 1 for data, 0 for padding.")

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of one time step or position."""
        if sizes[0].is_sequence:
            return Size(sizes[0].format.removesuffix("T"), sizes[0].dims)
        if sizes[0].format != "SC":
            raise SizeError("sequences or 1-D images", sizes[0].text, "Start with a sequenceInputLayer.")
        return Size("C", (sizes[0].channels,))

    def with_size(self, *sizes: Size) -> Indexing1DLayer:
        """Return a copy."""
        return self.copy()

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the indexing."""
        time = no_lengths if sizes[0].is_sequence else None
        return Call("indexing1d", (), {"last": self.Index == "last"}, time=time)


@constructs(Indexing1DLayer)
def indexing1dLayer() -> None:
    """Create a layer that puts out the first or the last time step of sequences, or position of 1-D images.

    The last time step is that of the sequence itself, whatever the length of others. With HasPaddingMaskInput
    elements count where the mask is 1.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import indexing1dLayer
    >>> indexing1dLayer('last', Name='idx')
      Indexing1DLayer with properties:
    <BLANKLINE>
                       Name: 'idx'
                      Index: 'last'
        HasPaddingMaskInput: 0
    """
