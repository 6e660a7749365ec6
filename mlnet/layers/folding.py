"""Layers that compute nothing: sequence folding and unfolding, and identity.

Sequences are packed between operations, so every layer that works step by step already sees their time steps as
observations of their own. Folding has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlnet.layers.base import Layer, Size, SizeError, layer_table, ports
from mlnet.options import constructs


def _sequence_mistakes(size: Size) -> Iterator[SizeError]:
    """Yield a mistake where the input is no sequence."""
    if not size.is_sequence:
        yield SizeError("sequences", str(size), "Start with a sequenceInputLayer, or leave folding out.")


class SequenceFoldingLayer(Layer):
    """Stands where the time steps of sequences become images."""

    type_name = "Sequence Folding"
    base_name = "seqfold"
    outputs = ("out", "miniBatchSize")
    table = layer_table(
        *ports("output"),
    )

    def description(self) -> str:
        """Return "Sequence folding"."""
        return "Sequence folding"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield an input that is no sequence."""
        yield from _sequence_mistakes(size)

    def output_sizes(self, *sizes: Size) -> tuple[Size, Size]:
        """Return the size of the input, and that of a number."""
        return sizes[0], Size("C", (1,))


@constructs(SequenceFoldingLayer)
def sequenceFoldingLayer() -> None:
    """Create a layer that turns sequences of images into images, up to the sequenceUnfoldingLayer.

    Connect its output 'miniBatchSize' with that input of the sequenceUnfoldingLayer.

    Differs from MATLAB: layers take sequences of images in any case, so nothing changes here, and both layers can be
    left out.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import sequenceFoldingLayer
    >>> sequenceFoldingLayer(Name='fold1')
      SequenceFoldingLayer with properties:
    <BLANKLINE>
               Name: 'fold1'
         NumOutputs: 2
        OutputNames: {'out'  'miniBatchSize'}
    """


class SequenceUnfoldingLayer(Layer):
    """Stands where images become the time steps of sequences again."""

    type_name = "Sequence Unfolding"
    base_name = "sequnfold"
    inputs = ("in", "miniBatchSize")
    table = layer_table(
        *ports("input"),
    )

    def description(self) -> str:
        """Return "Sequence unfolding"."""
        return "Sequence unfolding"

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield an input that is no sequence."""
        yield from _sequence_mistakes(sizes[0])

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of the input 'in'."""
        return sizes[0]

    def with_size(self, *sizes: Size) -> SequenceUnfoldingLayer:
        """Return a copy."""
        return self.copy()

    def operation(self, *sizes: Size, training: bool) -> None:
        """Return None: the layer passes its first input on."""


@constructs(SequenceUnfoldingLayer)
def sequenceUnfoldingLayer() -> None:
    """Create a layer that turns images back into the sequences that a sequenceFoldingLayer took apart.

    Connect its input 'miniBatchSize' with that output of the sequenceFoldingLayer.

    Differs from MATLAB: nothing changes here, see sequenceFoldingLayer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import sequenceUnfoldingLayer
    >>> sequenceUnfoldingLayer(Name='unfold1')
      SequenceUnfoldingLayer with properties:
    <BLANKLINE>
              Name: 'unfold1'
         NumInputs: 2
        InputNames: {'in'  'miniBatchSize'}
    """


class IdentityLayer(Layer):
    """Passes its input on."""

    type_name = "Identity"
    base_name = "identity"


@constructs(IdentityLayer)
def identityLayer() -> None:
    """Create a layer that passes its input on.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import identityLayer
    >>> identityLayer(Name='skip1')
      IdentityLayer with properties:
    <BLANKLINE>
        Name: 'skip1'
    """
