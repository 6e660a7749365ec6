"""Attention, embeddings, encodings of positions and indexing: sizes, mistakes, first values and descriptions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlnet import (
    OptionError,
    attentionLayer,
    embeddingConcatenationLayer,
    indexing1dLayer,
    patchEmbeddingLayer,
    positionEmbeddingLayer,
    selfAttentionLayer,
    sinusoidalPositionEncodingLayer,
    wordEmbeddingLayer,
)
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import Program, StepPlan
from mlnet.layers.base import Size, SizeError
from mlnet.layers.unknown import UNKNOWN
from mlnet.network.compile import as_node, parameter_values
from mlnet.network.initialize import initialize

SEQUENCES, LIST, FEATURES = Size("CT", (6,)), Size("SC", (5, 6)), Size("C", (6,))
IMAGES, VOLUMES, VIDEOS = Size("SSC", (6, 8, 3)), Size("SSSC", (4, 6, 5, 2)), Size("SSCT", (6, 8, 3))
WORDS, MASK = Size("CT", (1,)), Size("CT", (1,))
LENGTHS = np.array([4, 1, 3])


def run(layer, *sizes, training=False):
    """Return the outputs of a layer for random data, and the lengths of their sequences."""
    generator = np.random.default_rng(0)
    ready = initialize(layer.with_size(*sizes).replaced(Name="layer"), sizes[0], generator)
    call = ready.operation(*sizes, training=training)
    first = call.outputs
    program = Program((as_node("layer", tuple(-1 - n for n in range(len(sizes))), call),), tuple(range(first)))
    plan = StepPlan(NumpyEngine(), program)
    data = [
        generator.integers(0, 3, (LENGTHS.sum() if size.is_sequence else 3, *size.dims)).astype(np.float32)
        for size in sizes
    ]
    lengths = tuple(LENGTHS if size.is_sequence else None for size in sizes)
    plan.forward(tuple(data), parameter_values([ready]), generator, lengths=lengths)
    return [(plan.output(data, n), plan.output_lengths(n)) for n in range(first)]


CASES = [
    (selfAttentionLayer(2, 4), [SEQUENCES], [SEQUENCES]),
    (selfAttentionLayer(2, 4, NumValueChannels=2, OutputSize=5), [SEQUENCES], [Size("CT", (5,))]),
    (selfAttentionLayer(2, 4, AttentionMask="causal", DropoutProbability=0.5), [LIST], [LIST]),
    (selfAttentionLayer(2, 4, HasScoresOutput=True), [LIST], [LIST, Size("SSC", (5, 5, 2))]),
    (selfAttentionLayer(2, 4, HasScoresOutput=True), [SEQUENCES], [SEQUENCES, Size("SSC", (UNKNOWN, UNKNOWN, 2))]),
    (attentionLayer(2, HasScoresOutput=True), [SEQUENCES, LIST, LIST], [SEQUENCES, Size("SSC", (5, UNKNOWN, 2))]),
    (selfAttentionLayer(2, 4), [FEATURES], [FEATURES]),
    (selfAttentionLayer(2, 4, HasPaddingMaskInput=True), [SEQUENCES, MASK], [SEQUENCES]),
    (selfAttentionLayer(2, 4, HasPaddingMaskInput=True), [LIST, Size("SC", (5, 1))], [LIST]),
    (selfAttentionLayer(1, 4, HasScoresOutput=True), [FEATURES], [FEATURES, Size("SSC", (1, 1, 1))]),
    (attentionLayer(2), [SEQUENCES, SEQUENCES, Size("CT", (4,))], [Size("CT", (4,))]),
    (attentionLayer(3), [SEQUENCES, LIST, Size("SC", (5, 9))], [Size("CT", (9,))]),
    (
        attentionLayer(2, HasScoresOutput=True),
        [Size("SC", (3, 6)), LIST, LIST],
        [Size("SC", (3, 6)), Size("SSC", (5, 3, 2))],
    ),
    (attentionLayer(2, HasPaddingMaskInput=True), [SEQUENCES] * 3 + [MASK], [SEQUENCES]),
    (attentionLayer(2, HasPaddingMaskInput=True), [SEQUENCES, LIST, LIST, Size("SC", (5, 1))], [SEQUENCES]),
    (attentionLayer(2), [FEATURES, LIST, LIST], [FEATURES]),
    (attentionLayer(2), [SEQUENCES, FEATURES, FEATURES], [SEQUENCES]),
    (wordEmbeddingLayer(7, 9), [WORDS], [Size("CT", (7,))]),
    (wordEmbeddingLayer(7, 2), [Size("C", (1,))], [Size("C", (7,))]),
    (wordEmbeddingLayer(7, 2), [Size("SC", (4, 1))], [Size("SC", (4, 7))]),
    (positionEmbeddingLayer(7, 4), [SEQUENCES], [Size("CT", (7,))]),
    (positionEmbeddingLayer(7, 5), [LIST], [Size("SC", (5, 7))]),
    (positionEmbeddingLayer(7, 4), [VIDEOS], [Size("SSCT", (6, 8, 7))]),
    (positionEmbeddingLayer(7, 5, PositionDimension="spatial"), [Size("SCT", (5, 2))], [Size("SCT", (5, 7))]),
    (sinusoidalPositionEncodingLayer(8), [SEQUENCES], [Size("CT", (8,))]),
    (sinusoidalPositionEncodingLayer(8), [LIST], [Size("SC", (5, 8))]),
    (sinusoidalPositionEncodingLayer(8), [Size("C", (1,))], [Size("C", (8,))]),
    (sinusoidalPositionEncodingLayer(8, Positions="data-values"), [WORDS], [Size("CT", (8,))]),
    (
        sinusoidalPositionEncodingLayer(8, Positions="spatial-indices"),
        [Size("SCT", (5, 2))],
        [Size("SCT", (5, 8))],
    ),
    (embeddingConcatenationLayer(), [LIST], [Size("SC", (6, 6))]),
    (patchEmbeddingLayer(2, 7), [IMAGES], [Size("SC", (12, 7))]),
    (patchEmbeddingLayer([4, 3], 7, SpatialFlattenMode="row-major"), [VIDEOS], [Size("SCT", (2, 7))]),
    (patchEmbeddingLayer([2, 3, 5], 7), [VOLUMES], [Size("SC", (4, 7))]),
    (patchEmbeddingLayer(2, 7), [LIST], [Size("SC", (2, 7))]),
    (indexing1dLayer(), [SEQUENCES], [FEATURES]),
    (indexing1dLayer("last"), [LIST], [FEATURES]),
    (indexing1dLayer("last"), [VIDEOS], [IMAGES]),
    (indexing1dLayer(HasPaddingMaskInput=True), [LIST, Size("SC", (5, 1))], [FEATURES]),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layer, sizes, expected", CASES, ids=[f"{a.constructor_name}-{a}" for a, *_ in CASES])
def test_the_size_rule_is_what_the_engine_puts_out(layer, sizes, expected, training):
    assert len(layer.inputs) == layer.NumInputs == len(sizes)
    assert len(layer.outputs) == layer.NumOutputs == len(expected)
    assert list(layer.mistakes(*sizes)) == [] and layer.output_sizes(*sizes) == tuple(expected)
    ready = layer.with_size(*sizes)
    assert list(ready.mistakes(*sizes)) == [] and ready.output_sizes(*sizes) == tuple(expected)
    for (output, lengths), size in zip(run(layer, *sizes, training=training), expected, strict=True):
        assert output.shape == (LENGTHS.sum() if size.is_sequence else 3, *size.dims)
        assert np.isfinite(output).all() and output.dtype == np.float32
        assert (lengths is not None) == size.is_sequence


def test_concatenation_makes_sequences_longer():
    layer = embeddingConcatenationLayer(Weights=np.arange(6))
    assert layer.output_sizes(SEQUENCES) == (SEQUENCES,)
    ((output, lengths),) = run(layer, SEQUENCES)
    assert lengths.tolist() == [5, 2, 4] and output.shape == (11, 6)
    for first in (0, 5, 7):
        assert output[first].tolist() == list(range(6))


@pytest.mark.parametrize(
    "layer, sizes, needed, came",
    [
        (selfAttentionLayer(2, 4), [IMAGES], "sequences of vectors, 1-D images or features", "size 6x8x3"),
        (selfAttentionLayer(2, 4, QueryWeights=np.ones((4, 5))), [LIST], "QueryWeights of size 4x6", "4x5"),
        (selfAttentionLayer(2, 4, OutputBias=np.ones(4)), [LIST], "OutputBias of size 6x1", "4x1"),
        (selfAttentionLayer(2, 4).with_size(Size("C", (3,))), [LIST], "3 channels (InputSize)", "6 (size 5x6)"),
        (
            selfAttentionLayer(2, 4, HasPaddingMaskInput=True),
            [SEQUENCES, SEQUENCES],
            "an input 'mask' of 1 features over time",
            "6 features over time",
        ),
        (
            selfAttentionLayer(2, 4, HasPaddingMaskInput=True),
            [LIST, Size("SC", (4, 1))],
            "an input 'mask' of size 5x1",
            "size 4x1",
        ),
        (attentionLayer(2), [LIST, LIST, VIDEOS], "sequences of vectors", "6x8x3 over time"),
        (attentionLayer(1), [LIST, Size("SC", (5, 4)), LIST], "queries and keys of as many channels", "6 and 4"),
        (attentionLayer(4), [LIST, LIST, Size("SC", (5, 4))], "that 4 heads (NumHeads) divide at the input 'key'", "6"),
        (attentionLayer(3), [LIST, LIST, Size("SC", (5, 4))], "heads (NumHeads) divide at the input 'value'", "4"),
        (
            attentionLayer(2),
            [LIST, LIST, Size("SC", (3, 6))],
            "keys and values of as many elements",
            "5x6 and size 3x6",
        ),
        (attentionLayer(2), [SEQUENCES, SEQUENCES, LIST], "keys and values of as many elements", "over time and size"),
        (attentionLayer(2), [LIST, SEQUENCES, SEQUENCES], "queries that are sequences", "size 5x6"),
        (
            attentionLayer(2, HasPaddingMaskInput=True),
            [SEQUENCES, LIST, LIST, MASK],
            "of size 5x1",
            "1 features over time",
        ),
        (wordEmbeddingLayer(3, 9), [SEQUENCES], "1 channel with the numbers of words", "6 features over time"),
        (wordEmbeddingLayer(3, 9, Weights=np.ones((3, 8))), [WORDS], "Weights of size 3x10", "3x8"),
        (wordEmbeddingLayer(3, 9, OOVMode="error", Weights=np.ones((3, 10))), [WORDS], "Weights of size 3x9", "3x10"),
        (positionEmbeddingLayer(3, 4), [LIST], "at most 4 positions (MaxPosition)", "5"),
        (positionEmbeddingLayer(3, 9, Weights=np.ones((3, 4))), [LIST], "Weights of size 3x9", "3x4"),
        (positionEmbeddingLayer(3, 9), [IMAGES], "sequences or 1-D images", "size 6x8x3"),
        (positionEmbeddingLayer(3, 9, PositionDimension="temporal"), [LIST], "sequences for temporal", "size 5x6"),
        (positionEmbeddingLayer(3, 9, PositionDimension="spatial"), [SEQUENCES], "1-D images", "6 features over time"),
        (sinusoidalPositionEncodingLayer(4), [FEATURES], "1 channel with the values of positions", "6 features"),
        (sinusoidalPositionEncodingLayer(4, Positions="temporal-indices"), [LIST], "sequences", "size 5x6"),
        (sinusoidalPositionEncodingLayer(4, Positions="spatial-indices"), [IMAGES], "1-D images", "size 6x8x3"),
        (embeddingConcatenationLayer(), [FEATURES], "sequences of vectors or 1-D images", "6 features"),
        (embeddingConcatenationLayer(Weights=np.ones(5)), [LIST], "Weights of size 6x1", "5x1"),
        (patchEmbeddingLayer(2, 7), [SEQUENCES], "images", "6 features over time"),
        (patchEmbeddingLayer([2, 2], 7), [VOLUMES], "images of 2 dimensions (PatchSize)", "size 4x6x5x2"),
        (patchEmbeddingLayer([2, 9], 7), [IMAGES], "images of at least 2x9 (PatchSize)", "size 6x8x3"),
        (patchEmbeddingLayer(2, 7, Bias=np.ones(6)), [IMAGES], "Bias of size 1x1x7", "6x1"),
        (patchEmbeddingLayer(2, 7).with_size(VOLUMES), [IMAGES], "2 channels (InputSize)", "3 (size 6x8x3)"),
        (indexing1dLayer(), [IMAGES], "sequences or 1-D images", "size 6x8x3"),
        (
            indexing1dLayer(HasPaddingMaskInput=True),
            [SEQUENCES, LIST],
            "an input 'mask' of 1 features over",
            "size 5x6",
        ),
    ],
)
def test_sizes_that_do_not_fit(layer, sizes, needed, came):
    found = []
    try:
        found += layer.mistakes(*sizes)
        layer.output_sizes(*sizes)
    except SizeError as error:
        found.append(error)
    assert any(needed in error.needed and came in error.came for error in found), found


def test_heads_divide_channels():
    with pytest.raises(OptionError, match="NumKeyChannels needs to be a multiple of NumHeads, 3, but is 4"):
        selfAttentionLayer(3, 4)
    layer = selfAttentionLayer(2, 4)
    with pytest.raises(OptionError, match="NumValueChannels needs to be a multiple of NumHeads, 2, but is 3"):
        layer.NumValueChannels = 3
    assert layer.NumValueChannels == "auto"


def test_parameter_shapes_and_what_is_inferred():
    layer = selfAttentionLayer(2, 4, NumValueChannels=8)
    shapes = {each.name: layer.parameter_shape(each.name, LIST) for each in layer.learnables}
    assert shapes == {
        "QueryWeights": (4, 6),
        "KeyWeights": (4, 6),
        "ValueWeights": (8, 6),
        "OutputWeights": (6, 8),
        "QueryBias": (4, 1),
        "KeyBias": (4, 1),
        "ValueBias": (8, 1),
        "OutputBias": (6, 1),
    }
    ready = selfAttentionLayer(2, 4).with_size(LIST)
    assert (ready.InputSize, ready.NumKeyChannels, ready.NumValueChannels, ready.OutputSize) == (6, 4, 4, 6)
    for name in ("Query", "Weights", "Name"):
        with pytest.raises(KeyError):
            layer.parameter_shape(name, LIST)
    assert wordEmbeddingLayer(3, 9).parameter_shape("Weights", WORDS) == (3, 10)
    assert wordEmbeddingLayer(3, 9, OOVMode="error").parameter_shape("Weights", WORDS) == (3, 9)
    assert patchEmbeddingLayer([2, 3], 7).parameter_shape("Weights", IMAGES) == (2, 3, 3, 7)
    assert patchEmbeddingLayer(2, 7).parameter_shape("Bias", VOLUMES) == (1, 1, 1, 7)


@pytest.mark.parametrize(
    "layer, name, size, spread",
    [
        (selfAttentionLayer(1, 300), "QueryWeights", Size("C", (200,)), math.sqrt(2 / 500)),
        (selfAttentionLayer(1, 300), "OutputWeights", Size("C", (200,)), math.sqrt(2 / 500)),
        (selfAttentionLayer(1, 300), "KeyBias", Size("C", (200,)), 0),
        (wordEmbeddingLayer(100, 299), "Weights", WORDS, 0.01),
        (wordEmbeddingLayer(100, 299, WeightsInitializer="glorot"), "Weights", WORDS, math.sqrt(2 / 400)),
        (positionEmbeddingLayer(100, 300, WeightsInitializer="he"), "Weights", LIST, math.sqrt(2 / 300)),
        (embeddingConcatenationLayer(), "Weights", Size("SC", (2, 20000)), 0.01),
        (patchEmbeddingLayer(5, 100), "Weights", IMAGES, math.sqrt(2 / (75 + 2500))),
    ],
)
def test_first_values(layer, name, size, spread):
    value = getattr(initialize(layer.with_size(size), size, np.random.default_rng(0)), name)
    assert value.shape == layer.parameter_shape(name, size)
    assert value.std() == pytest.approx(spread, rel=0.05)


def test_given_word_vectors_get_one_for_all_other_words():
    weights = np.random.default_rng(0).normal(size=(3, 9))
    ready = wordEmbeddingLayer(3, 9, Weights=weights).with_size(WORDS)
    np.testing.assert_array_equal(ready.Weights, np.c_[weights, np.zeros(3)])
    whole = np.c_[weights, np.ones(3)]
    np.testing.assert_array_equal(wordEmbeddingLayer(3, 9, Weights=whole).with_size(WORDS).Weights, whole)
    strict = wordEmbeddingLayer(3, 9, Weights=weights, OOVMode="error")
    np.testing.assert_array_equal(strict.with_size(WORDS).Weights, weights)


def test_ports():
    layer = selfAttentionLayer(2, 4, HasPaddingMaskInput=True, HasScoresOutput=True)
    assert layer.InputNames == ["in", "mask"] and layer.OutputNames == ["out", "scores"]
    layer = attentionLayer(2, HasPaddingMaskInput=True)
    assert layer.InputNames == ["query", "key", "value", "mask"] and layer.OutputNames == ["out"]
    assert indexing1dLayer(HasPaddingMaskInput=True).InputNames == ["in", "mask"]


def test_what_operations_are_told():
    call = selfAttentionLayer(4, 64, AttentionMask="causal").operation(SEQUENCES, training=True)
    assert call.attributes == {"heads": 4, "scale": 0.25, "causal": True, "scores": False} and not call.random
    layer = attentionLayer(2, DropoutProbability=0.3)
    sizes = [Size("SC", (5, 8))] * 3
    call = layer.operation(*sizes, training=True)
    assert call.random and call.attributes["probability"] == 0.3 and call.attributes["scale"] == 0.5
    assert not layer.operation(*sizes, training=False).random
    assert attentionLayer(2, Scale=-3).operation(*sizes, training=False).attributes["scale"] == -3


@pytest.mark.parametrize(
    "layer, type_name, description",
    [
        (selfAttentionLayer(8, 256), "Self-Attention", "Self-attention with 8 heads and 256 key channels"),
        (selfAttentionLayer(1, 2), "Self-Attention", "Self-attention with 1 head and 2 key channels"),
        (attentionLayer(8), "Attention", "Dot-product attention with 8 heads"),
        (
            wordEmbeddingLayer(300, 5000),
            "Word Embedding Layer",
            "Word embedding layer with 300 dimensions and 5000 unique words",
        ),
        (positionEmbeddingLayer(8, 128), "Position Embedding", "Position embedding layer with maximum position 128"),
        (
            sinusoidalPositionEncodingLayer(8),
            "Sinusoidal Position Encoding",
            "Sinusoidal position encoding with 8 channels",
        ),
        (embeddingConcatenationLayer(), "Embedding Concatenation", "Embedding Concatenation"),
        (patchEmbeddingLayer([16, 8], 9), "Patch Embedding", "Patch embedding with patch size 16x8 and output size 9"),
        (patchEmbeddingLayer(16, 9), "Patch Embedding", "Patch embedding with patch size 16 and output size 9"),
        (indexing1dLayer("last"), "1-D Indexing", "1-D indexing of the last element"),
    ],
)
def test_rows_of_a_layer_array(layer, type_name, description):
    assert (layer.type_name, layer.description()) == (type_name, description)
