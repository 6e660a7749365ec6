"""Attention layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mlnet.errors import OptionError
from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    auto_or,
    layer_table,
    parameter_mistakes,
    ports,
    same_lengths,
)
from mlnet.layers.unknown import UNKNOWN
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, flag, integer, number

_LISTS = ("CT", "SC", "C")
_KINDS = "sequences of vectors, 1-D images or features"
_HEADS = Option("NumHeads", None, integer(), "Number of heads.", Group.HYPERPARAMETERS, Argument.REQUIRED)
_MASK_INPUT = "Take a further input 'mask' that is 0 where an element is padding, otherwise 1."
_SCORES = "Put out the scores as a further output 'scores' (keys x queries x heads)."
_CAUSAL = "'causal': an element sees itself and those before it only."


def _shared_options(group: Group, dropout_group: Group) -> dict[str, Option]:
    """Return the options that both layers have, by name."""
    options = (
        Option("AttentionMask", "none", choice("none", "causal"), _CAUSAL, group),
        Option("HasPaddingMaskInput", False, flag(), _MASK_INPUT, group),
        Option("HasScoresOutput", False, flag(), _SCORES, group),
        Option(
            "DropoutProbability",
            0,
            number(0, 1, below=True),
            "Probability of setting a score to zero while training.",
            dropout_group,
        ),
    )
    return {option.name: option for option in options}


class _AttentionLayer(Layer):
    """Base of the layers that multiply values by scores."""

    data_inputs: ClassVar[tuple[str, ...]]

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return (*self.data_inputs, "mask") if self.HasPaddingMaskInput else self.data_inputs

    @property
    def whole_inputs(self) -> Mapping[str, tuple[int, int]]:  # type: ignore[override]
        """The mask tells data by 1 from padding by 0."""
        return {"mask": (0, 1)}

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return ("out", "scores") if self.HasScoresOutput else ("out",)

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield a mask that does not belong to the keys."""
        keys = sizes[min(1, len(self.data_inputs) - 1)]
        if self.HasPaddingMaskInput:
            expected = Size(keys.format, (*keys.spatial, 1))
            if sizes[-1] != expected:
                yield SizeError(
                    f"an input 'mask' of {expected.text}", sizes[-1].text, "Give 1 for data, 0 for padding."
                )

    def score_sizes(self, queries: Size, keys: Size) -> tuple[Size, ...]:
        """Return the size of the output 'scores' if there is one; along time it is that of the longest sequence."""
        counts = [UNKNOWN if size.is_sequence else size.spatial[0] if size.spatial else 1 for size in (keys, queries)]
        return (Size("SSC", (*counts, self.NumHeads)),) if self.HasScoresOutput else ()

    def call(self, operation: str, parameters: tuple[str, ...], scale: float, *, time: bool, training: bool) -> Call:
        """Return the operation; its scores are dropped while training."""
        drops = training and self.DropoutProbability > 0
        attributes: dict[str, Any] = {
            "heads": self.NumHeads,
            "scale": scale,
            "causal": self.AttentionMask == "causal",
            "scores": self.HasScoresOutput,
        }
        if drops:
            attributes["probability"] = self.DropoutProbability
        rule = same_lengths if time else None
        return Call(operation, parameters, attributes, random=drops, time=rule, outputs=len(self.outputs))


def _need_lists(*sizes: Size) -> None:
    """Raise `SizeError` where an input is no list of vectors."""
    for size in sizes:
        if size.format not in _LISTS:
            raise SizeError(_KINDS, size.text, "Use a patchEmbeddingLayer for images.")


_SELF = _shared_options(Group.PLAIN, Group.HYPERPARAMETERS)
_ROWS = {
    "Query": ("NumKeyChannels", "InputSize"),
    "Key": ("NumKeyChannels", "InputSize"),
    "Value": ("NumValueChannels", "InputSize"),
    "Output": ("OutputSize", "NumValueChannels"),
}
"""The options that say how many rows and columns the weights have."""


@dataclass(frozen=True)
class _SharedLearnable(Learnable):
    """A learnable parameter that has its initializer and its factors in common with others of its kind."""

    @property
    def initializer_option(self) -> str:
        """Name of the option that says how all parameters of the kind start."""
        return f"{self.kind}Initializer"

    @property
    def kind(self) -> str:
        """'Weights' or 'Bias'."""
        return "Bias" if self.factor == "Bias" else "Weights"

    def shared_options(self) -> tuple[Option, ...]:
        """Return the options of all parameters of the kind."""
        words = {"Weights": "each weight matrix", "Bias": "each bias"}[self.kind]
        return tuple(replace(option, doc=option.doc.replace(self.name, words)) for option in self.options()[1:])


_LEARNABLES = (
    *(
        _SharedLearnable(f"{name}Weights", "Weight", "glorot", 1, " x ".join(shape), WEIGHT_INITIALIZERS)
        for name, shape in _ROWS.items()
    ),
    *(_SharedLearnable(f"{name}Bias", "Bias", "zeros", 0, f"{rows} x 1") for name, (rows, _) in _ROWS.items()),
)


class SelfAttentionLayer(_AttentionLayer):
    """Makes queries, keys and values of its input and lets them attend to one another."""

    type_name = "Self-Attention"
    base_name = "selfattention"
    data_inputs = ("in",)
    learnables = _LEARNABLES
    shows_all_link: ClassVar[bool] = True
    table = layer_table(
        _SELF["AttentionMask"],
        _SELF["HasPaddingMaskInput"],
        _SELF["HasScoresOutput"],
        Option(
            "InputSize",
            "auto",
            auto_or(integer()),
            "Number of channels of the input; inferred when training if 'auto'.",
            Group.HYPERPARAMETERS,
            Argument.NONE,
        ),
        _HEADS,
        Option(
            "NumKeyChannels",
            None,
            integer(),
            "Number of channels of keys and queries, a multiple of NumHeads.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option(
            "NumValueChannels",
            "auto",
            auto_or(integer()),
            "Number of channels of the values, a multiple of NumHeads; NumKeyChannels if 'auto'.",
            Group.HYPERPARAMETERS,
        ),
        Option(
            "OutputSize",
            "auto",
            auto_or(integer()),
            "Number of channels of the output; that of the input if 'auto'.",
            Group.HYPERPARAMETERS,
        ),
        _SELF["DropoutProbability"],
        *(learnable.options()[0] for learnable in _LEARNABLES),
        *(option for learnable in (_LEARNABLES[0], _LEARNABLES[-1]) for option in learnable.shared_options()),
    )

    def check(self) -> None:
        """Refuse channels that the heads do not divide."""
        for name in ("NumKeyChannels", "NumValueChannels"):
            value = getattr(self, name)
            if value != "auto" and value % self.NumHeads:
                raise OptionError(
                    f"{self.where()}: {name} needs to be a multiple of NumHeads, {self.NumHeads}, but is {value}."
                )

    def description(self) -> str:
        """Return e.g. "Self-attention with 8 heads and 256 key channels"."""
        heads = f"{self.NumHeads} head{'s' * (self.NumHeads > 1)}"
        return f"Self-attention with {heads} and {self.NumKeyChannels} key channels"

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield channels, parameters and a mask that do not fit."""
        _need_lists(sizes[0])
        if self.InputSize not in ("auto", sizes[0].channels):
            fix = "Use a new selfAttentionLayer, or keep the layers before it as they were."
            yield SizeError(f"{self.InputSize} channels (InputSize)", f"{sizes[0].channels} ({sizes[0].text})", fix)
        yield from parameter_mistakes(self, sizes[0])
        yield from super().mistakes(*sizes)

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the input with OutputSize channels, and the size of the scores."""
        output = Size(sizes[0].format, (*sizes[0].spatial, self._counts(sizes[0])["OutputSize"]))
        return (output, *self.score_sizes(sizes[0], sizes[0]))

    def with_size(self, *sizes: Size) -> SelfAttentionLayer:
        """Return a copy with all numbers of channels set."""
        return self.replaced(**self._counts(sizes[0]))

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a weight matrix or of a bias."""
        kind = name.removesuffix("Weights").removesuffix("Bias")
        if name == kind or kind not in _ROWS:
            raise KeyError(name)
        rows, columns = (self._counts(size)[option] for option in _ROWS[kind])
        return (rows, columns) if name.endswith("Weights") else (rows, 1)

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return the columns and rows of a matrix, which are its numbers of inputs and outputs."""
        rows, columns = self.parameter_shape(name, size)
        return columns, rows

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the linear maps with the attention between them."""
        parameters = tuple(learnable.name for learnable in self.learnables)
        scale = 1 / math.sqrt(self.NumKeyChannels // self.NumHeads)
        return self.call("self_attention", parameters, scale, time=sizes[0].is_sequence, training=training)

    def _counts(self, size: Size) -> dict[str, int]:
        """Return the numbers of channels with 'auto' filled in."""
        inferred = {
            "InputSize": size.channels,
            "NumKeyChannels": self.NumKeyChannels,
            "NumValueChannels": self.NumKeyChannels,
            "OutputSize": size.channels,
        }
        given = {name: getattr(self, name) for name in inferred}
        return {name: inferred[name] if value == "auto" else value for name, value in given.items()}


@constructs(SelfAttentionLayer)
def selfAttentionLayer() -> None:
    """Create a layer that lets the elements of a sequence attend to one another.

    Queries, keys and values are linear maps of the input, each with a bias. Each of the heads takes its part of their
    channels and computes ``softmax(queries * keys' / sqrt(NumKeyChannels / NumHeads)) * values``; the output is a
    linear map of what the heads put out. Sequences of different lengths do not see any padding; elements are the time
    steps of sequences or the positions of 1-D images, features are one element.

    Initializers and factors are options of all weights or of all biases.

    The scores of sequences are those of the longest of a mini-batch; behind the ends of keys they are 0.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or NumHeads does not divide numbers of channels.

    Notes
    -----
    Vaswani et al., "Attention Is All You Need", 2017.

    Examples
    --------
    >>> from mlnet import selfAttentionLayer
    >>> selfAttentionLayer(8, 256)
      SelfAttentionLayer with properties:
    <BLANKLINE>
                       Name: ''
              AttentionMask: 'none'
        HasPaddingMaskInput: 0
            HasScoresOutput: 0
    <BLANKLINE>
       Hyperparameters
                  InputSize: 'auto'
                   NumHeads: 8
             NumKeyChannels: 256
           NumValueChannels: 'auto'
                 OutputSize: 'auto'
         DropoutProbability: 0
    <BLANKLINE>
       Learnable Parameters
               QueryWeights: []
                 KeyWeights: []
               ValueWeights: []
              OutputWeights: []
                  QueryBias: []
                    KeyBias: []
                  ValueBias: []
                 OutputBias: []
    <BLANKLINE>
      Show all properties
    """


_DOT = _shared_options(Group.PLAIN, Group.PLAIN)
_COUNT, _NAMES = ports("input")


class AttentionLayer(_AttentionLayer):
    """Multiplies values by the scores of queries and keys."""

    type_name = "Attention"
    base_name = "attention"
    data_inputs = ("query", "key", "value")
    table = layer_table(
        _COUNT,
        _NAMES,
        Option("NumHeads", None, integer(), "Number of heads.", Group.PLAIN, Argument.REQUIRED),
        Option(
            "Scale",
            "auto",
            auto_or(number()),
            "What products of queries and keys are multiplied by; 'auto' is 1 / sqrt(channels of a key in one head).",
            Group.PLAIN,
        ),
        _DOT["AttentionMask"],
        _DOT["DropoutProbability"],
        _DOT["HasPaddingMaskInput"],
        _DOT["HasScoresOutput"],
    )

    def description(self) -> str:
        """Return e.g. "Dot-product attention with 8 heads"."""
        return f"Dot-product attention with {self.NumHeads} head{'s' * (self.NumHeads > 1)}"

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield queries, keys, values and a mask that do not go together."""
        query, key, value = sizes[:3]
        _need_lists(query, key, value)
        if query.channels != key.channels:
            yield SizeError("queries and keys of as many channels", f"{query.channels} and {key.channels}")
        for name, size in (("key", key), ("value", value)):
            if size.channels % self.NumHeads:
                needed = f"channels that {self.NumHeads} heads (NumHeads) divide at the input '{name}'"
                yield SizeError(needed, f"{size.channels} channels")
        if (key.format, key.spatial) != (value.format, value.spatial):
            yield SizeError("keys and values of as many elements", f"{key.text} and {value.text}")
        if key.is_sequence and not query.is_sequence:
            yield SizeError("queries that are sequences, as the keys are", query.text)
        yield from super().mistakes(*sizes)

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the queries with the channels of the values, and the size of the scores."""
        query, key, value = sizes[:3]
        return (Size(query.format, (*query.spatial, value.channels)), *self.score_sizes(query, key))

    def with_size(self, *sizes: Size) -> AttentionLayer:
        """Return a copy."""
        return self.copy()

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the attention."""
        channels = sizes[1].channels // self.NumHeads
        scale = 1 / math.sqrt(channels) if self.Scale == "auto" else self.Scale
        return self.call("attention", (), scale, time=sizes[0].is_sequence, training=training)


@constructs(AttentionLayer)
def attentionLayer() -> None:
    """Create a layer that multiplies values by the scores of queries and keys.

    Each of the heads takes its part of the channels and computes ``softmax(Scale * queries * keys') * values``. The
    layer has the inputs 'query', 'key' and 'value' and nothing to learn. Sequences of different lengths do not see any
    padding; elements are the time steps of sequences or the positions of 1-D images, features are one element.

    The scores of sequences are those of the longest of a mini-batch; behind the ends of keys they are 0.

    Differs from MATLAB: where keys are sequences, queries are too.

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
    >>> from mlnet import attentionLayer
    >>> attentionLayer(8, Name='att')
      AttentionLayer with properties:
    <BLANKLINE>
                       Name: 'att'
                  NumInputs: 3
                 InputNames: {'query'  'key'  'value'}
                   NumHeads: 8
                      Scale: 'auto'
              AttentionMask: 'none'
         DropoutProbability: 0
        HasPaddingMaskInput: 0
            HasScoresOutput: 0
    """
