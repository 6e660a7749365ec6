"""Every layer with the arguments that it needs, and good values of every option."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import mlnet
from mlnet.layers.base import Layer
from mlnet.options import Option

REQUIRED: dict[str, tuple[Any, ...]] = {
    "imageInputLayer": ([28, 28, 3],),
    "featureInputLayer": (4,),
    "sequenceInputLayer": (4,),
    "inputLayer": ([28, 28, 3, math.nan], "SSCB"),
    "convolution2dLayer": (3, 16),
    "fullyConnectedLayer": (10,),
    "batchNormalizationLayer": (),
    "crossChannelNormalizationLayer": (5,),
    "groupNormalizationLayer": ("all-channels",),
    "instanceNormalizationLayer": (),
    "layerNormalizationLayer": (),
    "rmsNormalizationLayer": (),
    "whiteningLayer": (),
    "swishLayer": (),
    "softplusLayer": (),
    "geluLayer": (),
    "preluLayer": (),
    "scalingLayer": (),
    "reluLayer": (),
    "leakyReluLayer": (),
    "clippedReluLayer": (10,),
    "eluLayer": (),
    "tanhLayer": (),
    "sigmoidLayer": (),
    "softmaxLayer": (),
    "quadraticLayer": (),
    "maxPooling2dLayer": (3,),
    "averagePooling2dLayer": (3,),
    "maxUnpooling2dLayer": (),
    "globalAveragePooling2dLayer": (),
    "globalMaxPooling2dLayer": (),
    "lstmLayer": (5,),
    "bilstmLayer": (5,),
    "gruLayer": (5,),
    "lstmProjectedLayer": (5, 3, 2),
    "dropoutLayer": (),
    "selfAttentionLayer": (3, 6),
    "attentionLayer": (3,),
    "wordEmbeddingLayer": (4, 9),
    "positionEmbeddingLayer": (4, 9),
    "sinusoidalPositionEncodingLayer": (4,),
    "embeddingConcatenationLayer": (),
    "patchEmbeddingLayer": (2, 4),
    "indexing1dLayer": (),
    "convolution1dLayer": (3, 16),
    "convolution3dLayer": (3, 16),
    "transposedConv1dLayer": (3, 16),
    "transposedConv2dLayer": (3, 16),
    "transposedConv3dLayer": (3, 16),
    "groupedConvolution2dLayer": (3, 2, "channel-wise"),
    "maxPooling1dLayer": (3,),
    "averagePooling1dLayer": (3,),
    "maxPooling3dLayer": (3,),
    "averagePooling3dLayer": (3,),
    "globalMaxPooling1dLayer": (),
    "globalAveragePooling1dLayer": (),
    "globalMaxPooling3dLayer": (),
    "globalAveragePooling3dLayer": (),
    "image3dInputLayer": ([7, 8, 6, 4],),
    "additionLayer": (2,),
    "multiplicationLayer": (2,),
    "depthConcatenationLayer": (2,),
    "concatenationLayer": (3, 2),
    "flattenLayer": (),
    "permuteLayer": ([1, 2],),
    "reshapeLayer": ([1, 1, []],),
    "depthToSpace2dLayer": (1,),
    "spaceToDepthLayer": (1,),
    "crop2dLayer": ("centercrop",),
    "crop3dLayer": (),
    "resize2dLayer": (),
    "resize3dLayer": (),
    "adaptiveAveragePooling2dLayer": (2,),
    "spatialDropoutLayer": (),
    "sequenceFoldingLayer": (),
    "sequenceUnfoldingLayer": (),
    "identityLayer": (),
    "networkLayer": ([mlnet.fullyConnectedLayer(3), mlnet.reluLayer()],),
    "functionLayer": (np.tanh,),
    "classificationLayer": (),
    "pixelClassificationLayer": (),
    "dicePixelClassificationLayer": (),
    "focalLossLayer": (),
    "regressionLayer": (),
}
"""The constructors and their required arguments."""


def start(size: tuple[int, ...]) -> np.ndarray:
    """Return a start value, as a function given as an initializer does."""
    return np.full(size, 0.5)


_PAIR = [(2, [2, 2]), ([2, 1], [2, 1]), ((1, 2), [1, 2]), (np.array([[2], [1]]), [2, 1]), ([2.0], [2, 2])]
_WHOLE = [(3, 3), (np.int32(3), 3), (3.0, 3), ([3], 3), (np.array([[3]]), 3)]
_NUMBER = [(0.5, 0.5), (1, 1), (np.float32(0.5), 0.5), ([0.5], 0.5), (np.array(0.5), 0.5)]
_ARRAY = [([1, 2, 3], [1.0, 2.0, 3.0]), (np.ones((1, 1, 2), np.float32), np.ones((1, 1, 2))), (np.uint8([7]), [7.0])]
_ARRAY += [([], np.zeros((0, 0))), (None, np.zeros((0, 0))), (np.zeros((3, 0)), np.zeros((0, 0))), (2, 2.0)]
_MATRIX = [(2, 2.0), ([], np.zeros((0, 0))), (np.eye(3), np.eye(3)), (np.ones((2, 2, 4)), np.ones((2, 2, 4)))]
_FLAG = [(True, True), (1, True), (np.bool_(False), False), (0.0, False), ([1], True)]
_CONSTANTS = [("zeros", "zeros"), ("ONES", "ones"), ("narrow", "narrow-normal"), (start, start)]
_WEIGHTS = [*_CONSTANTS, ("Glorot", "glorot"), ("he", "he"), ("orth", "orthogonal"), (np.str_("he"), "he")]
_PADDING = [(1, [1] * 4), ([1, 2], [1, 1, 2, 2]), ((1, 0, 2, 1), [1, 0, 2, 1]), ("Same", "same"), ("SAME", "same")]
_STATISTIC = [*_ARRAY, (np.ones((28, 28, 3)), np.ones((28, 28, 3)))]

_BY_NAME: dict[str, list[tuple[Any, Any]]] = {
    "Name": [("conv 1", "conv 1"), (np.str_("a"), "a"), ("", "")],
    "NumChannels": [*_WHOLE, ("auto", "auto"), ("Auto", "auto")],
    "InputSize": [*_WHOLE],
    "FilterSize": _PAIR,
    "PoolSize": _PAIR,
    "Stride": _PAIR,
    "DilationFactor": _PAIR,
    "NumFilters": _WHOLE,
    "OutputSize": _WHOLE,
    "WindowChannelSize": _WHOLE,
    "Padding": _PADDING,
    "PaddingValue": [(-1.5, -1.5), ("Replicate", "replicate"), ("symmetric-include", "symmetric-include-edge")],
    "Weights": _ARRAY,
    "Bias": _ARRAY,
    "WeightReparameterization": [("Weight-N", "weight-normalization"), ("none", "none")],
    "WeightLength": [([], np.zeros((0, 0))), (None, np.zeros((0, 0)))],  # others need WeightReparameterization
    "Scale": _ARRAY,
    "Offset": _ARRAY,
    "TrainedMean": _ARRAY,
    "TrainedVariance": _ARRAY,
    "TrainedWhiteningMatrix": _MATRIX,
    "WeightsInitializer": _WEIGHTS,
    "BiasInitializer": _CONSTANTS,
    "WeightLengthInitializer": [("Norm", "norm"), ("ones", "ones"), (start, start)],
    "OffsetInitializer": _CONSTANTS,
    "ScaleInitializer": _CONSTANTS,
    "Epsilon": [(1e-5, 1e-5), *_NUMBER],
    "MeanDecay": [(0, 0), *_NUMBER],
    "VarianceDecay": [(0, 0), *_NUMBER],
    "CovarianceDecay": [(0, 0), *_NUMBER],
    "NumGroups": [*_WHOLE, ("All", "all-channels"), ("CHANNEL-WISE", "channel-wise")],
    "OperationDimension": [("Channel", "channel-only"), ("batch-excluded", "batch-excluded")],
    "Approximation": [("Tanh", "tanh"), ("none", "none")],
    "Alpha": [(-2, -2), *_NUMBER],
    "Beta": _NUMBER,
    "K": _NUMBER,
    "NumInputs": _WHOLE,
    "BlockSize": _PAIR,
    "Mode": [("DCR", "dcr"), ("crd", "crd")],
    "DimensionOrder": [([3, 1, 2], [3, 1, 2]), ((2.0, 1), [2, 1]), (np.array([[2], [1]]), [2, 1])],
    "Location": [([1, 33], [1, 33]), ("Center", np.zeros((0, 0))), ((2.0, 3), [2, 3])],
    "cropLocation": [([1, 33, 2], [1, 33, 2]), ("Center", "centercrop"), ((2.0, 3, 1), [2, 3, 1])],
    "EnableReferenceInput": _FLAG,
    "Method": [("Bilinear", "bilinear"), ("n", "nearest")],
    "GeometricTransformMode": [("Half", "half-pixel"), ("asymmetric", "asymmetric")],
    "NearestRoundingMode": [("ONNX-10", "onnx-10"), ("floor", "floor")],
    "NumHiddenUnits": _WHOLE,
    "OutputProjectorSize": _WHOLE,
    "InputProjectorSize": _WHOLE,
    "OutputMode": [("Last", "last"), ("seq", "sequence")],
    "StateActivationFunction": [("Softsign", "softsign"), ("relu", "relu")],
    "GateActivationFunction": [("hard-sigmoid", "hard-sigmoid")],
    "ResetGateMode": [("before-multiplication", "before-multiplication")],
    "HasStateInputs": [(False, False), (0, False)],
    "HasStateOutputs": [(False, False), (0, False)],
    "HiddenState": _ARRAY,
    "CellState": _ARRAY,
    "InputWeights": _ARRAY,
    "RecurrentWeights": _ARRAY,
    "InputProjector": _ARRAY,
    "OutputProjector": _ARRAY,
    "InputWeightsInitializer": _WEIGHTS,
    "RecurrentWeightsInitializer": _WEIGHTS,
    "InputProjectorInitializer": _WEIGHTS,
    "OutputProjectorInitializer": _WEIGHTS,
    **dict.fromkeys(("NumHeads", "NumKeyChannels", "MaxPosition", "Dimension", "NumWords"), _WHOLE),
    "NumValueChannels": [*_WHOLE, ("Auto", "auto")],
    "AttentionMask": [("Causal", "causal"), ("none", "none")],
    "HasPaddingMaskInput": _FLAG,
    "HasScoresOutput": _FLAG,
    "DropoutProbability": [(0, 0), (0.5, 0.5), (np.float32(0.25), 0.25)],
    **{f"{kind}Weights": _ARRAY for kind in ("Query", "Key", "Value", "Output")},
    **{f"{kind}Bias": _ARRAY for kind in ("Query", "Key", "Value", "Output")},
    **{f"{kind}WeightsInitializer": _WEIGHTS for kind in ("Query", "Key", "Value", "Output")},
    **{f"{kind}BiasInitializer": _CONSTANTS for kind in ("Query", "Key", "Value", "Output")},
    "PositionDimension": [("Temporal", "temporal"), ("spatial", "spatial")],
    "Positions": [("Data", "data-values"), ("spatial-indices", "spatial-indices")],
    "Index": [("Last", "last"), ("first", "first")],
    "PatchSize": [(2, 2), ([3], 3), ([2, 1], [2, 1]), (np.array([[2], [1], [4]]), [2, 1, 4])],
    "SpatialFlattenMode": [("Row", "row-major")],
    "OOVMode": [("Error", "error")],
    "MinLength": _WHOLE,
    "Dim": _WHOLE,
    "Ceiling": _NUMBER,
    "Probability": [(0, 0), (0.5, 0.5), (np.float32(0.25), 0.25)],
    "HasUnpoolingOutputs": _FLAG,
    "SplitComplexInputs": _FLAG,
    "CategoricalInputs": [
        ([("kind", ["a", "b"], True)], (("kind", ("a", "b"), True),)),
        ((("", ("c",), 0), ("x", (), 1)), (("", ("c",), False), ("x", (), True))),
    ],
    "DataAugmentation": [
        ("None", "none"),
        ("RandFlipLR", "randfliplr"),
        (["randcrop"], "randcrop"),
        (("randcrop", "randflip"), ["randcrop", "randfliplr"]),
    ],
    "Normalization": [("ZScore", "zscore"), ("rescale-z", "rescale-zero-one"), ("none", "none"), (np.sqrt, np.sqrt)],
    "NormalizationDimension": [("All", "all"), ("channel", "channel")],
    "Mean": _STATISTIC,
    "WhiteningMatrix": _MATRIX,
    "WhiteningEpsilon": [(1e-5, 1e-5), *_NUMBER],
    "StandardDeviation": _STATISTIC,
    "Min": _STATISTIC,
    "Max": _STATISTIC,
    "Classes": [(["b", "a"], ["b", "a"]), ([2, 1], ["2", "1"]), (np.array(["x"]), ["x"]), ("Auto", "auto")],
    "ClassWeights": [("None", "none")],
    "ResponseNames": [(["a", "b"], ["a", "b"]), ("a", ["a"]), ((), []), (np.array(["a"]), ["a"])],
}
_TRIPLE = [(2, [2] * 3), ([2, 1, 3], [2, 1, 3]), (np.array([[2], [1], [3]]), [2, 1, 3])]
_BORDER1 = [(1, [1, 1]), ((1, 0), [1, 0]), ("Same", "same")]
_BORDER3 = [(1, [[1] * 3] * 2), ([1, 0, 2], [[1, 0, 2]] * 2), ([[0, 1, 2], [2, 1, 0]], [[0, 1, 2], [2, 1, 0]])]
_LINE = {"FilterSize": _WHOLE, "PoolSize": _WHOLE, "Stride": _WHOLE, "DilationFactor": _WHOLE, "Padding": _BORDER1}
_LINE["Cropping"] = _BORDER1
_VOLUME = {"FilterSize": _TRIPLE, "PoolSize": _TRIPLE, "Stride": _TRIPLE, "DilationFactor": _TRIPLE}
_VOLUME |= {"Padding": _BORDER3, "Cropping": _BORDER3}
_BY_LAYER: dict[tuple[str, str], list[tuple[Any, Any]]] = {
    ("convolution1dLayer", "Padding"): [*_BORDER1, ("causal", "causal")],
    ("averagePooling1dLayer", "PaddingValue"): [(0, 0), ("Mean", "mean")],
    ("averagePooling3dLayer", "PaddingValue"): [(0, 0), ("Mean", "mean")],
    ("image3dInputLayer", "InputSize"): [([8, 9, 7], [8, 9, 7, 1]), ((8, 9, 7, 2), [8, 9, 7, 2])],
    ("transposedConv2dLayer", "Cropping"): _PADDING,
    ("groupedConvolution2dLayer", "NumGroups"): [*_WHOLE, ("Channel", "channel-wise")],
    ("groupedConvolution2dLayer", "NumFiltersPerGroup"): _WHOLE,
    ("groupedConvolution2dLayer", "NumChannelsPerGroup"): [*_WHOLE, ("auto", "auto")],
    ("imageInputLayer", "InputSize"): [([8, 9], [8, 9, 1]), ((8, 9, 2), [8, 9, 2]), (np.uint8([8, 9, 1]), [8, 9, 1])],
    ("sequenceInputLayer", "InputSize"): [
        *_WHOLE,
        ([9, 2], [9, 2]),
        ([8, 9, 2], [8, 9, 2]),
        ((8, 9, 3, 2), [8, 9, 3, 2]),
    ],
    ("inputLayer", "InputSize"): [([8, 9, 1, math.nan], [8.0, 9.0, 1.0, math.nan])],
    ("networkLayer", "Network"): [(mlnet.reluLayer(Name="r"), mlnet.layerGraph(mlnet.reluLayer(Name="r")))],
    ("inputLayer", "InputFormat"): [("sscb", "SSCB"), ("SSCT", "SSCT")],
    ("lstmLayer", "BiasInitializer"): [*_CONSTANTS, ("unit-forget-gate", "unit-forget-gate")],
    ("resize2dLayer", "Scale"): [(2, [2, 2]), ([0.5, 2], [0.5, 2.0]), ([], np.zeros((0, 0)))],
    ("resize2dLayer", "OutputSize"): [([3, 4], [3, 4]), (np.array([3.0, 4]), [3, 4]), (None, np.zeros((0, 0)))],
    ("resize3dLayer", "Scale"): [(2, [2, 2, 2]), ([0.5, 2, 1], [0.5, 2.0, 1.0]), ([], np.zeros((0, 0)))],
    ("resize3dLayer", "OutputSize"): [([3, 4, 5], [3, 4, 5]), ([None, 4, []], [math.nan, 4, math.nan])],
    ("resize3dLayer", "Method"): [("Tri", "trilinear"), ("n", "nearest")],
    ("adaptiveAveragePooling2dLayer", "OutputSize"): _PAIR,
    ("reshapeLayer", "OutputSize"): [([3, [], 5], [3, math.nan, 5]), ([3, 4, 5], [3, 4, 5])],
    ("reshapeLayer", "OperationDimension"): [("Spatial", "spatial-channel")],
    ("permuteLayer", "OperationDimension"): [("Spatial", "spatial-channel")],
    ("fullyConnectedLayer", "Weights"): [(np.ones((10, 4)), np.ones((10, 4))), ([], np.zeros((0, 0)))],
    ("fullyConnectedLayer", "Bias"): [(np.ones(10, np.float32), np.ones(10)), (np.ones((10, 1)), np.ones((10, 1)))],
    ("fullyConnectedLayer", "InputSize"): [*_WHOLE, ("AUTO", "auto")],
    ("averagePooling2dLayer", "PaddingValue"): [(0, 0), ("Mean", "mean"), (np.uint8(0), 0)],
    ("leakyReluLayer", "Scale"): _NUMBER,
    ("attentionLayer", "Scale"): [*_NUMBER, (-2, -2), ("Auto", "auto")],
    ("selfAttentionLayer", "OutputSize"): [*_WHOLE, ("Auto", "auto")],
    ("sinusoidalPositionEncodingLayer", "OutputSize"): [(4, 4), (6.0, 6), ([2], 2)],
    ("focalLossLayer", "Alpha"): _NUMBER,
    ("focalLossLayer", "Gamma"): _NUMBER,
    ("functionLayer", "PredictFcn"): [(np.tanh, np.tanh), (start, start), (len, len)],
    ("functionLayer", "NumInputs"): [*_WHOLE, ("Auto", 1)],
    ("functionLayer", "NumOutputs"): _WHOLE,
    ("functionLayer", "InputNames"): [(["a"], ["a"]), ("a", ["a"]), ([], ["in"]), (np.array(["a"]), ["a"])],
    ("functionLayer", "OutputNames"): [(["a"], ["a"]), ("a", ["a"]), (None, ["out"]), (np.array(["a"]), ["a"])],
    ("functionLayer", "Formattable"): _FLAG,
    ("functionLayer", "Acceleratable"): _FLAG,
    ("functionLayer", "Description"): [("f(x)", "f(x)"), ("", "")],
    ("preluLayer", "Alpha"): [(0.5, 0.5), ([0.5, 0.25], [0.5, 0.25]), (np.ones((1, 1, 2)), np.ones((1, 1, 2)))],
    ("scalingLayer", "Scale"): [*_NUMBER, ([1, 2, 3], [1.0, 2.0, 3.0])],
    ("scalingLayer", "Bias"): [*_NUMBER, ([1, 2, 3], [1.0, 2.0, 3.0])],
}


def make(name: str, **options: Any) -> Layer:
    """Return the layer of a constructor, with its required arguments unless ``options`` has them."""
    constructor = getattr(mlnet, name)
    positional = constructor.constructs.table.positional
    required = {option.name: value for option, value in zip(positional, REQUIRED[name], strict=False)}
    return constructor(**{**required, **options})


def table(name: str) -> Any:
    """Return the option table of a constructor."""
    return getattr(mlnet, name).constructs.table


def good(name: str, option: Option) -> list[tuple[Any, Any]]:
    """Return pairs of what may be given for an option and what is stored."""
    if option.name.endswith("Factor") and option.name != "DilationFactor":
        return [(0, 0), *_NUMBER]
    by_dimension = _LINE if "1d" in name else _VOLUME if "3d" in name else {}
    return _BY_LAYER.get((name, option.name)) or by_dimension.get(option.name) or _BY_NAME[option.name]


CASES = [(name, option) for name in REQUIRED for option in table(name).options.values()]
"""Every layer with each of its options."""
IDS = [f"{name}-{option.name}" for name, option in CASES]


def equal(a: Any, b: Any) -> bool:
    """Tell whether two stored values are the same, whatever kind they are."""
    if isinstance(a, mlnet.LayerGraph):
        return a.wires == b.wires and all(same(one, other) for one, other in zip(a.Layers, b.Layers, strict=True))
    if isinstance(a, mlnet.categorical):
        return mlnet.categories(a) == (mlnet.categories(b) if isinstance(b, mlnet.categorical) else b)
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, (np.ndarray, list, float))
            and np.shape(a) == np.shape(b)
            and bool(np.all((a == np.array(b)) | (a != a) & (np.array(b) != b)))
        )
    return type(a) is type(b) and bool(a == b)


def same(a: Layer, b: Layer) -> bool:
    """Tell whether two layers are of one class and have the same values."""
    return type(a) is type(b) and all(equal(getattr(a, name), getattr(b, name)) for name in a.table.entries)
