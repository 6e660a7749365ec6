"""Every layer with the options and the sizes of its inputs with which the conformance suite runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from layers.catalogue import make

import mlnet
from mlnet import (
    connectLayers,
    identityLayer,
    layerGraph,
    maxPooling2dLayer,
    maxUnpooling2dLayer,
    networkLayer,
)
from mlnet.conformance.trial import Case
from mlnet.engines.base import Engine
from mlnet.engines.select import engine_named
from mlnet.layers.base import Layer, Size
from mlnet.layers.input import InputLayer

FEATURES, LINE, IMAGE = Size("C", (4,)), Size("SC", (7, 3)), Size("SSC", (6, 5, 4))
VOLUME = Size("SSSC", (4, 5, 3, 2))
SEQUENCE, LINES, FILM = Size("CT", (4,)), Size("SCT", (7, 3)), Size("SSCT", (6, 5, 4))
VOLUMES = Size("SSSCT", (4, 5, 3, 2))
EVERYTHING = (FEATURES, LINE, IMAGE, VOLUME, SEQUENCE, LINES, FILM, VOLUMES)
STATE, LINE_OF_FOUR = Size("C", (5,)), Size("SC", (7, 4))

Row = tuple[dict[str, Any], tuple[Size, ...]]


def rows(*sizes: Size, **options: Any) -> list[Row]:
    """Return a row for each size, of a layer with one input."""
    return [(options, (size,)) for size in sizes]


def pairs(*sizes: Size, **options: Any) -> list[Row]:
    """Return a row for each size, of a layer with two inputs of the same size."""
    return [(options, (size, size)) for size in sizes]


def product_and_sum(x: Any, y: Any) -> tuple[Any, Any]:
    """Compute two outputs of two inputs."""
    return x * y, x + y


def _unpooling() -> Layer:
    """Return a pooling and the unpooling that belongs to it, with what comes between."""
    pool = maxPooling2dLayer(2, Stride=2, Name="pool", HasUnpoolingOutputs=True)
    graph = layerGraph([pool, identityLayer(Name="between"), maxUnpooling2dLayer(Name="unpool")])
    for port in ("indices", "size"):
        graph = connectLayers(graph, f"pool/{port}", f"unpool/{port}")
    return networkLayer(graph)


def _window_sizes(**options: Any) -> list[Row]:
    return [
        *rows(IMAGE, FILM, **options),
        *rows(IMAGE, Stride=[2, 1], Padding=[1, 0, 1, 1], **options),
        *rows(IMAGE, Stride=2, Padding="same", **options),
    ]


def _recurrent(states: int, **options: Any) -> list[Row]:
    ports = {"HasStateInputs": True, "HasStateOutputs": True, **options}
    return [
        *rows(SEQUENCE, **options),
        *rows(SEQUENCE, OutputMode="last", **options),
        *rows(SEQUENCE, HasStateOutputs=True, **options),
        (ports, (SEQUENCE, *[STATE] * states)),
        ({**ports, "OutputMode": "last", "HasStateOutputs": False}, (SEQUENCE, *[STATE] * states)),
    ]


_ALONG_TIME = [*rows(SEQUENCE, LINE, LINES), *rows(SEQUENCE, Padding="same", Stride=2)]
_NORMALIZATIONS = ("zerocenter", "zscore", "rescale-symmetric", "zca-whitening", "pca-whitening")
_REPARAMETERIZATIONS = ("weight-normalization", "weight-standardization")

TABLE: dict[str, list[Row]] = {
    "imageInputLayer": [({"InputSize": [5, 4, 3], "Normalization": name}, ()) for name in _NORMALIZATIONS],
    "featureInputLayer": [({}, ()), ({"Normalization": "zscore", "SplitComplexInputs": True}, ())],
    "sequenceInputLayer": [({}, ()), ({"InputSize": [5, 4, 3], "Normalization": "rescale-zero-one"}, ())],
    "image3dInputLayer": [({}, ()), ({"Normalization": "none"}, ())],
    "inputLayer": [({}, ()), ({"InputSize": [3, np.nan, np.nan], "InputFormat": "CBT"}, ())],
    "convolution2dLayer": [
        *_window_sizes(NumFilters=3),
        *rows(IMAGE, NumFilters=3, FilterSize=[2, 3], DilationFactor=[2, 1], Padding=2, PaddingValue="replicate"),
        *[row for name in _REPARAMETERIZATIONS for row in rows(IMAGE, FILM, WeightReparameterization=name)],
    ],
    "functionLayer": [
        *rows(*EVERYTHING),
        *pairs(IMAGE, SEQUENCE, PredictFcn=np.multiply),
        *pairs(FEATURES, IMAGE, PredictFcn=product_and_sum, NumOutputs=2),
    ],
    "fullyConnectedLayer": [
        *rows(*EVERYTHING),
        *[row for name in _REPARAMETERIZATIONS for row in rows(FEATURES, WeightReparameterization=name)],
    ],
    "batchNormalizationLayer": rows(*EVERYTHING),
    "crossChannelNormalizationLayer": rows(IMAGE, FILM),
    "groupNormalizationLayer": [*rows(*EVERYTHING), *rows(IMAGE, SEQUENCE, NumGroups=2)],
    "instanceNormalizationLayer": rows(LINE, IMAGE, VOLUME, SEQUENCE, FILM),
    "layerNormalizationLayer": [*rows(*EVERYTHING), *rows(IMAGE, SEQUENCE, OperationDimension="channel-only")],
    "rmsNormalizationLayer": [*rows(*EVERYTHING), *rows(IMAGE, SEQUENCE, OperationDimension="channel-only")],
    "whiteningLayer": [*rows(LINE, IMAGE, VOLUME, SEQUENCE, FILM), *rows(FEATURES, IMAGE, NumGroups=2)],
    "swishLayer": rows(*EVERYTHING),
    "softplusLayer": rows(*EVERYTHING),
    "geluLayer": [*rows(*EVERYTHING), *rows(IMAGE, Approximation="tanh")],
    "preluLayer": [*rows(*EVERYTHING), *rows(IMAGE, Alpha=[0.1, 0.2, 0.3, 0.4])],
    "scalingLayer": [*rows(*EVERYTHING), *rows(IMAGE, Scale=[1, 2, 3, 4], Bias=1)],
    "reluLayer": rows(*EVERYTHING),
    "leakyReluLayer": rows(*EVERYTHING),
    "clippedReluLayer": [*rows(*EVERYTHING), *rows(FEATURES, Ceiling=0.5)],
    "eluLayer": rows(*EVERYTHING),
    "tanhLayer": rows(*EVERYTHING),
    "sigmoidLayer": rows(*EVERYTHING),
    "softmaxLayer": rows(*EVERYTHING),
    "quadraticLayer": rows(FEATURES, SEQUENCE),
    "maxPooling2dLayer": [*_window_sizes(), *rows(IMAGE, PoolSize=2, Stride=2, HasUnpoolingOutputs=True)],
    "averagePooling2dLayer": [*_window_sizes(), *rows(IMAGE, Padding=1, PaddingValue="mean")],
    "maxUnpooling2dLayer": rows(IMAGE, FILM),
    "globalAveragePooling2dLayer": rows(IMAGE, FILM),
    "globalMaxPooling2dLayer": rows(IMAGE, FILM),
    "adaptiveAveragePooling2dLayer": rows(IMAGE, FILM),
    "lstmLayer": [*_recurrent(2), *rows(SEQUENCE, StateActivationFunction="softsign")],
    "bilstmLayer": [*rows(SEQUENCE), *rows(SEQUENCE, OutputMode="last")],
    "gruLayer": [*_recurrent(1), *rows(SEQUENCE, ResetGateMode="recurrent-bias-after-multiplication")],
    "lstmProjectedLayer": [*rows(SEQUENCE), *rows(SEQUENCE, OutputMode="last")],
    "selfAttentionLayer": [
        *rows(FEATURES, LINE, SEQUENCE),
        *rows(SEQUENCE, AttentionMask="causal", DropoutProbability=0.5),
        *rows(LINE, HasScoresOutput=True),
        ({"HasPaddingMaskInput": True}, (SEQUENCE, Size("CT", (1,)))),
    ],
    "attentionLayer": [
        ({"NumHeads": 2}, (FEATURES,) * 3),
        ({"NumHeads": 2, "HasScoresOutput": True}, (LINE_OF_FOUR, Size("SC", (5, 4)), Size("SC", (5, 2)))),
        ({"NumHeads": 2}, (SEQUENCE,) * 3),
        ({"NumHeads": 2, "AttentionMask": "causal"}, (SEQUENCE,) * 3),
        ({"NumHeads": 1, "HasPaddingMaskInput": True}, (*(SEQUENCE,) * 3, Size("CT", (1,)))),
    ],
    "wordEmbeddingLayer": [
        *rows(Size("C", (1,)), Size("SC", (5, 1)), Size("CT", (1,))),
        *rows(Size("CT", (1,)), OOVMode="error"),
    ],
    "positionEmbeddingLayer": rows(LINE, SEQUENCE, MaxPosition=12),
    "sinusoidalPositionEncodingLayer": rows(Size("C", (1,)), LINE, SEQUENCE),
    "embeddingConcatenationLayer": rows(LINE, SEQUENCE),
    "patchEmbeddingLayer": [*rows(IMAGE, VOLUME), *rows(IMAGE, SpatialFlattenMode="row-major", PatchSize=[3, 2])],
    "indexing1dLayer": [
        *rows(LINE, SEQUENCE),
        *rows(LINE, SEQUENCE, Index="last"),
        ({"HasPaddingMaskInput": True}, (SEQUENCE, Size("CT", (1,)))),
    ],
    "dropoutLayer": rows(*EVERYTHING),
    "spatialDropoutLayer": rows(*EVERYTHING),
    "convolution1dLayer": [
        *[({**options, "NumFilters": 3}, sizes) for options, sizes in _ALONG_TIME],
        *rows(SEQUENCE, NumFilters=3, Padding="causal", DilationFactor=2),
    ],
    "convolution3dLayer": [*rows(VOLUME, VOLUMES, NumFilters=2), *rows(VOLUME, NumFilters=2, Padding="same", Stride=2)],
    "transposedConv1dLayer": [*rows(SEQUENCE, LINE, NumFilters=3), *rows(SEQUENCE, Stride=2, Cropping="same")],
    "transposedConv2dLayer": [*rows(IMAGE, FILM, NumFilters=3), *rows(IMAGE, NumFilters=3, Stride=2, Cropping=1)],
    "transposedConv3dLayer": [*rows(VOLUME, NumFilters=2), *rows(VOLUME, NumFilters=2, Stride=2, Cropping="same")],
    "groupedConvolution2dLayer": [*_window_sizes(), *rows(IMAGE, NumFiltersPerGroup=3, NumGroups=2)],
    "maxPooling1dLayer": _ALONG_TIME,
    "averagePooling1dLayer": [*_ALONG_TIME, *rows(SEQUENCE, Padding=1, PaddingValue="mean")],
    "maxPooling3dLayer": [*rows(VOLUME, VOLUMES), *rows(VOLUME, PoolSize=2, Stride=2, Padding="same")],
    "averagePooling3dLayer": [*rows(VOLUME, VOLUMES), *rows(VOLUME, PoolSize=2, Padding=1, PaddingValue="mean")],
    "globalMaxPooling1dLayer": rows(SEQUENCE, LINE),
    "globalAveragePooling1dLayer": rows(SEQUENCE, LINE),
    "globalMaxPooling3dLayer": rows(VOLUME, VOLUMES),
    "globalAveragePooling3dLayer": rows(VOLUME, VOLUMES),
    "additionLayer": [*pairs(*EVERYTHING), ({}, (IMAGE, Size("SSC", (1, 1, 4)))), ({"NumInputs": 3}, (FEATURES,) * 3)],
    "multiplicationLayer": [*pairs(*EVERYTHING), ({}, (Size("SSC", (6, 1, 4)), IMAGE))],
    "depthConcatenationLayer": [*pairs(FEATURES, VOLUME, SEQUENCE), ({}, (IMAGE, Size("SSC", (6, 5, 1))))],
    "concatenationLayer": [*pairs(IMAGE, FILM), *pairs(SEQUENCE, Dim=1), ({"Dim": 1}, (IMAGE, Size("SSC", (1, 5, 4))))],
    "flattenLayer": rows(*EVERYTHING),
    "permuteLayer": [*rows(IMAGE), *rows(IMAGE, DimensionOrder=[3, 1, 2])],
    "reshapeLayer": rows(IMAGE, FILM, OutputSize=[5, 4, []], OperationDimension="spatial-channel"),
    "depthToSpace2dLayer": [*rows(IMAGE, FILM, BlockSize=2), *rows(IMAGE, BlockSize=[1, 2], Mode="crd")],
    "spaceToDepthLayer": rows(IMAGE, FILM, BlockSize=2),
    "crop2dLayer": [({}, (IMAGE, Size("SSC", (3, 2, 1)))), ({"Location": [2, 3]}, (FILM, Size("SSCT", (3, 2, 2))))],
    "crop3dLayer": [({}, (VOLUME, Size("SSSC", (2, 3, 1, 1))))],
    "resize2dLayer": [*rows(IMAGE, FILM, Scale=2), *rows(IMAGE, OutputSize=[4, 7], Method="bilinear")],
    "resize3dLayer": [*rows(VOLUME, VOLUMES, Scale=2), *rows(VOLUME, OutputSize=[3, 6, 4], Method="trilinear")],
    "sequenceFoldingLayer": rows(SEQUENCE, FILM),
    "sequenceUnfoldingLayer": [({}, (SEQUENCE, Size("C", (1,)))), ({}, (FILM, Size("C", (1,))))],
    "identityLayer": rows(*EVERYTHING),
    "networkLayer": [
        *rows(FEATURES, IMAGE),
        *rows(SEQUENCE, Network=[mlnet.lstmLayer(3), mlnet.layerNormalizationLayer()]),
        *rows(IMAGE, Network=[mlnet.batchNormalizationLayer(), mlnet.reluLayer()]),
    ],
    "classificationLayer": rows(FEATURES, SEQUENCE),
    "pixelClassificationLayer": rows(IMAGE, VOLUME),
    "dicePixelClassificationLayer": rows(IMAGE),
    "focalLossLayer": rows(FEATURES, IMAGE),
    "regressionLayer": rows(FEATURES, IMAGE, SEQUENCE),
}


def _layer(name: str, options: dict[str, Any]) -> Layer:
    return _unpooling() if name == "maxUnpooling2dLayer" else make(name, **options)


def case_of(name: str, row: Row, engine: Engine | None = None) -> Case:
    """Return the case of a row of the table."""
    options, sizes = row
    layer = _layer(name, options)
    return Case(layer, (layer.size(),) if isinstance(layer, InputLayer) else sizes, engine or engine_named("numpy"))


ROWS = [(name, number) for name in TABLE for number in range(len(TABLE[name]))]
