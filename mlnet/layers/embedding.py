"""Layers that learn vectors for words and positions, and one that puts a vector before a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    layer_table,
    parameter_mistakes,
    same_lengths,
)
from mlnet.layers.position_encoding import position_kind
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, integer, read_only


def _weights(shape: str) -> Learnable:
    """Return the learnable weights of an embedding with its ``shape`` in words."""
    return Learnable("Weights", "Weight", "narrow-normal", 1, shape, WEIGHT_INITIALIZERS)


_WORDS = _weights("Dimension x NumWords, or Dimension x (NumWords + 1),")


class WordEmbeddingLayer(Layer):
    """Turns numbers of words into vectors."""

    type_name = "Word Embedding Layer"
    base_name = "word-embedding"
    learnables = (_WORDS,)
    shows_all_link = True
    table = layer_table(
        Option("Dimension", None, integer(), "Length of the vectors.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        Option("NumWords", None, integer(), "Number of words.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        Option(
            "OOVMode",
            "map-to-last",
            choice("map-to-last", "error"),
            "What numbers that are not from 1 to NumWords get: a vector behind those of the words, or an error.",
            Group.HYPERPARAMETERS,
        ),
        *_WORDS.options(),
    )

    @property
    def whole_inputs(self) -> Mapping[str, tuple[int, int]]:  # type: ignore[override]
        """The input takes numbers of words, with OOVMode 'map-to-last' also others."""
        others = self.OOVMode == "map-to-last"
        return {"in": (1 - others, int(self.NumWords) + others)}

    def description(self) -> str:
        """Return e.g. "Word embedding layer with 300 dimensions and 5000 unique words"."""
        return f"Word embedding layer with {self.Dimension} dimensions and {self.NumWords} unique words"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield an input of several channels and weights that do not fit."""
        if size.channels != 1:
            yield SizeError("1 channel with the numbers of words", size.text, "Use sequenceInputLayer(1).")
        if self.Weights.shape != (self.Dimension, self.NumWords):
            yield from parameter_mistakes(self, size)

    def output_size(self, size: Size) -> Size:
        """Return the input with Dimension channels."""
        return Size(size.format, (*size.spatial, self.Dimension))

    def with_size(self, size: Size) -> WordEmbeddingLayer:
        """Return a copy, whose given weights have a vector of zeros for all other words."""
        if self._columns() == self.NumWords or self.Weights.shape != (self.Dimension, self.NumWords):
            return self.copy()
        return self.replaced(Weights=read_only(np.pad(self.Weights, ((0, 0), (0, 1)))))

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return Dimension x (NumWords + 1); Dimension x NumWords with OOVMode 'error'."""
        return {"Weights": (self.Dimension, self._columns())}[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return the number of vectors and Dimension."""
        return self._columns(), self.Dimension

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the table of vectors."""
        return Call("word_embedding", ("Weights",), {"words": self.NumWords, "strict": self.OOVMode == "error"})

    def _columns(self) -> int:
        return int(self.NumWords) + (self.OOVMode == "map-to-last")


@constructs(WordEmbeddingLayer)
def wordEmbeddingLayer() -> None:
    """Create a layer that turns numbers of words, counted from 1, into vectors that it learns.

    With OOVMode 'map-to-last' all numbers that are not from 1 to NumWords have the last column of Weights; given
    weights of NumWords columns get a column of zeros. With 'error' such numbers raise a `DataError`.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import wordEmbeddingLayer
    >>> wordEmbeddingLayer(300, 5000)
      WordEmbeddingLayer with properties:
    <BLANKLINE>
             Name: ''
    <BLANKLINE>
       Hyperparameters
        Dimension: 300
         NumWords: 5000
          OOVMode: 'map-to-last'
    <BLANKLINE>
       Learnable Parameters
          Weights: []
    <BLANKLINE>
      Show all properties
    """


_POSITIONS = _weights("OutputSize x MaxPosition")


class PositionEmbeddingLayer(Layer):
    """Puts out a vector for each position."""

    type_name = "Position Embedding"
    base_name = "pos-emb"
    learnables = (_POSITIONS,)
    shows_all_link = True
    table = layer_table(
        Option(
            "PositionDimension",
            "auto",
            choice("auto", "temporal", "spatial"),
            "Time or the spatial dimension; 'auto' is time for sequences.",
            Group.PLAIN,
        ),
        Option(
            "OutputSize", None, integer(), "Number of channels of the output.", Group.HYPERPARAMETERS, Argument.REQUIRED
        ),
        Option(
            "MaxPosition", None, integer(), "Largest number of positions.", Group.HYPERPARAMETERS, Argument.REQUIRED
        ),
        *_POSITIONS.options(),
    )

    def description(self) -> str:
        """Return e.g. "Position embedding layer with maximum position 128"."""
        return f"Position embedding layer with maximum position {self.MaxPosition}"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield too many positions and weights that do not fit."""
        if position_kind(size, self.PositionDimension) == "spatial" and size.spatial[0] > self.MaxPosition:
            yield SizeError(f"at most {self.MaxPosition} positions (MaxPosition)", f"{size.spatial[0]}")
        yield from parameter_mistakes(self, size)

    def output_size(self, size: Size) -> Size:
        """Return the input with OutputSize channels."""
        return Size(size.format, (*size.spatial, self.OutputSize))

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return OutputSize x MaxPosition."""
        return {"Weights": (self.OutputSize, self.MaxPosition)}[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return MaxPosition and OutputSize."""
        return self.MaxPosition, self.OutputSize

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the table of vectors."""
        along_time = position_kind(size, self.PositionDimension) == "temporal"
        return Call("position_embedding", ("Weights",), time=same_lengths if along_time else None)


@constructs(PositionEmbeddingLayer)
def positionEmbeddingLayer() -> None:
    """Create a layer that puts out a vector that it learns for each position of its input.

    Positions are the time steps of sequences or the elements of 1-D images; what the input has there does not matter.
    Add the output to data with an additionLayer. A sequence of more than MaxPosition steps is refused with a
    `DataError`.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import positionEmbeddingLayer
    >>> positionEmbeddingLayer(64, 128, Name='pos-emb')
      PositionEmbeddingLayer with properties:
    <BLANKLINE>
                     Name: 'pos-emb'
        PositionDimension: 'auto'
    <BLANKLINE>
       Hyperparameters
               OutputSize: 64
              MaxPosition: 128
    <BLANKLINE>
       Learnable Parameters
                  Weights: []
    <BLANKLINE>
      Show all properties
    """


def one_more(lengths: np.ndarray) -> np.ndarray:
    """Return the lengths of sequences with one more step."""
    return lengths + 1


_EMBEDDING = _weights("NumChannels x 1")


class EmbeddingConcatenationLayer(Layer):
    """Puts a vector before a list of vectors."""

    type_name = "Embedding Concatenation"
    base_name = "emb-concat"
    learnables = (_EMBEDDING,)
    shows_all_link = True
    table = layer_table(*_EMBEDDING.options())

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield weights that do not fit."""
        yield from parameter_mistakes(self, size)

    def output_size(self, size: Size) -> Size:
        """Return a list that is longer by 1."""
        if size.format not in ("CT", "SC"):
            raise SizeError("sequences of vectors or 1-D images", size.text, "Use a patchEmbeddingLayer for images.")
        return size if size.is_sequence else Size(size.format, (size.dims[0] + 1, size.channels))

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return one element for each channel."""
        return {"Weights": (size.channels, 1)}[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return the number of channels twice."""
        return size.channels, size.channels

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the concatenation."""
        return Call("embedding_concatenation", ("Weights",), time=one_more if size.is_sequence else None)


@constructs(EmbeddingConcatenationLayer)
def embeddingConcatenationLayer() -> None:
    """Create a layer that puts a vector that it learns before the time steps or positions of its input.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import embeddingConcatenationLayer
    >>> embeddingConcatenationLayer(Name='cls')
      EmbeddingConcatenationLayer with properties:
    <BLANKLINE>
           Name: 'cls'
    <BLANKLINE>
       Learnable Parameters
        Weights: []
    <BLANKLINE>
      Show all properties
    """
