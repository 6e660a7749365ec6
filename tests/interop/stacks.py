"""Layers to be exported: name -> (input layer, layers)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet import (
    adaptiveAveragePooling2dLayer,
    averagePooling1dLayer,
    averagePooling2dLayer,
    averagePooling3dLayer,
    batchNormalizationLayer,
    bilstmLayer,
    clippedReluLayer,
    convolution1dLayer,
    convolution2dLayer,
    convolution3dLayer,
    crossChannelNormalizationLayer,
    depthToSpace2dLayer,
    dropoutLayer,
    eluLayer,
    featureInputLayer,
    flattenLayer,
    fullyConnectedLayer,
    geluLayer,
    globalAveragePooling1dLayer,
    globalAveragePooling2dLayer,
    globalAveragePooling3dLayer,
    globalMaxPooling1dLayer,
    globalMaxPooling2dLayer,
    globalMaxPooling3dLayer,
    groupedConvolution2dLayer,
    groupNormalizationLayer,
    gruLayer,
    image3dInputLayer,
    imageInputLayer,
    indexing1dLayer,
    inputLayer,
    instanceNormalizationLayer,
    layerNormalizationLayer,
    leakyReluLayer,
    lstmLayer,
    lstmProjectedLayer,
    maxPooling1dLayer,
    maxPooling2dLayer,
    maxPooling3dLayer,
    permuteLayer,
    preluLayer,
    reluLayer,
    reshapeLayer,
    resize2dLayer,
    resize3dLayer,
    rmsNormalizationLayer,
    scalingLayer,
    selfAttentionLayer,
    sequenceInputLayer,
    sigmoidLayer,
    softmaxLayer,
    softplusLayer,
    spaceToDepthLayer,
    spatialDropoutLayer,
    swishLayer,
    tanhLayer,
    transposedConv1dLayer,
    transposedConv2dLayer,
    transposedConv3dLayer,
    whiteningLayer,
)

_GENERATOR = np.random.default_rng(3)
IMAGE, LINE, VOLUME, FEATURES, SEQUENCE, FRAMES = "image", "line", "volume", "features", "sequence", "frames"


def input_of(kind: str) -> Any:
    """Return the input layer of a kind of data, the smaller ones with statistics."""
    if kind == IMAGE:
        mean = _GENERATOR.normal(size=(6, 9, 4))
        return imageInputLayer([6, 9, 4], Normalization="zerocenter", Mean=mean)
    if kind == VOLUME:
        return image3dInputLayer([5, 6, 4, 3], Normalization="zscore", Mean=1, StandardDeviation=2)
    if kind == LINE:
        return inputLayer([9, 4, np.nan], "SCB")
    if kind == FEATURES:
        return featureInputLayer(4, Normalization="rescale-symmetric", Min=[-1, 0, 1, 2], Max=[2, 3, 3, 3])
    if kind == SEQUENCE:
        return sequenceInputLayer(4, MinLength=2, Normalization="zerocenter", Mean=[1, 2, 3, 4])
    return sequenceInputLayer([6, 5, 4])


def _state(rows: int) -> np.ndarray:
    return _GENERATOR.normal(size=(rows, 1))


STACKS: dict[str, tuple[str, list[Any]]] = {
    "nothing": (IMAGE, []),
    "convolution": (IMAGE, [convolution2dLayer([3, 2], 5, Stride=[2, 1], DilationFactor=[1, 2], Padding=[1, 0, 2, 1])]),
    "convolution, same": (IMAGE, [convolution2dLayer([4, 3], 5, Stride=[2, 3], Padding="same")]),
    "convolution, edge": (IMAGE, [convolution2dLayer(3, 5, Padding=1, PaddingValue="replicate")]),
    "convolution, mirror": (IMAGE, [convolution2dLayer(3, 5, Padding=1, PaddingValue="symmetric-exclude-edge")]),
    "convolution, value": (IMAGE, [convolution2dLayer(3, 5, Padding=[1, 2, 0, 1], PaddingValue=-1.5)]),
    "weight normalization": (IMAGE, [convolution2dLayer(3, 5, WeightReparameterization="weight-normalization")]),
    "weight standardization": (IMAGE, [convolution2dLayer(3, 5, WeightReparameterization="weight-standardization")]),
    "grouped": (IMAGE, [groupedConvolution2dLayer([3, 2], 3, 2, Stride=[1, 2], Padding=1)]),
    "channel-wise": (IMAGE, [groupedConvolution2dLayer(3, 2, "channel-wise", Padding="same")]),
    "transposed": (IMAGE, [transposedConv2dLayer([3, 4], 5, Stride=[2, 3], Cropping=[1, 0, 0, 2])]),
    "transposed, same": (IMAGE, [transposedConv2dLayer([2, 5], 5, Stride=[3, 2], Cropping="same")]),
    "max pooling": (IMAGE, [maxPooling2dLayer([3, 2], Stride=2, Padding=[1, 2, 0, 1])]),
    "max pooling, same": (IMAGE, [maxPooling2dLayer(3, Stride=2, Padding="same")]),
    "average pooling": (IMAGE, [averagePooling2dLayer([3, 2], Stride=2, Padding=[1, 1, 0, 1])]),
    "average pooling, mean": (IMAGE, [averagePooling2dLayer(3, Stride=2, Padding="same", PaddingValue="mean")]),
    "global average": (IMAGE, [globalAveragePooling2dLayer()]),
    "global max": (IMAGE, [globalMaxPooling2dLayer()]),
    "adaptive": (IMAGE, [adaptiveAveragePooling2dLayer([4, 2])]),
    "adaptive, equal": (IMAGE, [adaptiveAveragePooling2dLayer([2, 3])]),
    "fully connected": (IMAGE, [fullyConnectedLayer(5), reluLayer(), fullyConnectedLayer(3), softmaxLayer()]),
    "fully connected, convolution": (IMAGE, [fullyConnectedLayer(5), convolution2dLayer(1, 3), flattenLayer()]),
    "batch normalization": (IMAGE, [batchNormalizationLayer()]),
    "whitening": (IMAGE, [whiteningLayer(NumGroups=2)]),
    "group normalization": (IMAGE, [groupNormalizationLayer(2)]),
    "all-channels": (IMAGE, [groupNormalizationLayer("all-channels")]),
    "instance normalization": (IMAGE, [instanceNormalizationLayer()]),
    "layer normalization": (IMAGE, [layerNormalizationLayer()]),
    "layer normalization, channels": (IMAGE, [layerNormalizationLayer(OperationDimension="channel-only")]),
    "rms normalization": (IMAGE, [rmsNormalizationLayer()]),
    "cross-channel": (IMAGE, [crossChannelNormalizationLayer(3, Alpha=0.5, Beta=0.6, K=1.5)]),
    "cross-channel, even": (IMAGE, [crossChannelNormalizationLayer(4, Alpha=0.5)]),
    "relu": (IMAGE, [reluLayer()]),
    "leaky": (IMAGE, [leakyReluLayer(0.2)]),
    "clipped": (IMAGE, [clippedReluLayer(0.7)]),
    "elu": (IMAGE, [eluLayer(0.6)]),
    "tanh": (IMAGE, [tanhLayer()]),
    "sigmoid": (IMAGE, [sigmoidLayer()]),
    "softplus": (IMAGE, [softplusLayer()]),
    "swish": (IMAGE, [swishLayer()]),
    "gelu": (IMAGE, [geluLayer()]),
    "gelu, tanh": (IMAGE, [geluLayer(Approximation="tanh")]),
    "prelu": (IMAGE, [preluLayer()]),
    "scaling": (IMAGE, [scalingLayer(Scale=[[[1, 2, 3, 4]]], Bias=-0.5)]),
    "softmax": (IMAGE, [softmaxLayer()]),
    "dropout": (IMAGE, [dropoutLayer(0.5), spatialDropoutLayer(0.3)]),
    "flatten": (IMAGE, [flattenLayer(), fullyConnectedLayer(3)]),
    "reshape": (IMAGE, [reshapeLayer([9, [], 2])]),
    "permute": (IMAGE, [permuteLayer([3, 1, 2])]),
    "depth to space": (IMAGE, [depthToSpace2dLayer(2)]),
    "depth to space, crd": (IMAGE, [depthToSpace2dLayer([1, 2], Mode="crd")]),
    "depth to space, dcr": (IMAGE, [depthToSpace2dLayer([2, 1])]),
    "space to depth": (IMAGE, [spaceToDepthLayer(2)]),
    "space to depth, oblong": (IMAGE, [spaceToDepthLayer([2, 3])]),
    "resize": (IMAGE, [resize2dLayer(OutputSize=[9, 5])]),
    "resize, scale": (IMAGE, [resize2dLayer(Scale=[2, 1.5], Method="bilinear")]),
    "resize, asymmetric": (IMAGE, [resize2dLayer(Scale=2, Method="bilinear", GeometricTransformMode="asymmetric")]),
    "resize, floor": (IMAGE, [resize2dLayer(OutputSize=[4, 13], NearestRoundingMode="floor")]),
    "resize, onnx-10": (IMAGE, [resize2dLayer(OutputSize=[4, 5], NearestRoundingMode="onnx-10")]),
    "line": (LINE, [convolution1dLayer(3, 5, Stride=2, Padding="same"), maxPooling1dLayer(2), reluLayer()]),
    "line, global": (LINE, [transposedConv1dLayer(3, 5, Stride=2, Cropping=1), globalAveragePooling1dLayer()]),
    "line, fully connected": (LINE, [averagePooling1dLayer(3, Padding=[1, 0]), fullyConnectedLayer(3)]),
    "volume": (VOLUME, [convolution3dLayer([3, 2, 2], 4, Stride=[1, 2, 1], Padding="same"), fullyConnectedLayer(3)]),
    "volume, transposed": (VOLUME, [transposedConv3dLayer(3, 4, Stride=2, Cropping="same")]),
    "volume, pooling": (
        VOLUME,
        [maxPooling3dLayer(2, Padding=[[1, 0, 1], [0, 1, 0]]), averagePooling3dLayer([2, 1, 2])],
    ),
    "volume, global": (VOLUME, [batchNormalizationLayer(), globalMaxPooling3dLayer()]),
    "volume, global average": (VOLUME, [globalAveragePooling3dLayer(), flattenLayer(), fullyConnectedLayer(2)]),
    "volume, resize": (VOLUME, [resize3dLayer(Scale=2, Method="trilinear")]),
    "features": (FEATURES, [fullyConnectedLayer(6), batchNormalizationLayer(), tanhLayer(), fullyConnectedLayer(3)]),
    "features, groups": (FEATURES, [groupNormalizationLayer(2), layerNormalizationLayer(), preluLayer()]),
    "features, whitening": (FEATURES, [whiteningLayer(NumGroups=2), rmsNormalizationLayer(), softmaxLayer()]),
    "lstm": (SEQUENCE, [lstmLayer(5), fullyConnectedLayer(3), softmaxLayer()]),
    "lstm, last": (SEQUENCE, [lstmLayer(5, OutputMode="last", HiddenState=_state(5), CellState=_state(5))]),
    "lstm, functions": (
        SEQUENCE,
        [lstmLayer(5, StateActivationFunction="softsign", GateActivationFunction="hard-sigmoid")],
    ),
    "lstm, hard": (SEQUENCE, [lstmLayer(5, GateActivationFunction="hard-sigmoid")]),
    "lstm, relu": (SEQUENCE, [lstmLayer(5, StateActivationFunction="relu")]),
    "gru, hard": (SEQUENCE, [gruLayer(5, GateActivationFunction="hard-sigmoid", StateActivationFunction="relu")]),
    "bilstm, hard": (SEQUENCE, [bilstmLayer(3, GateActivationFunction="hard-sigmoid")]),
    "bilstm": (SEQUENCE, [bilstmLayer(5, HiddenState=_state(10)), batchNormalizationLayer(), bilstmLayer(3)]),
    "bilstm, last": (SEQUENCE, [bilstmLayer(5, OutputMode="last"), fullyConnectedLayer(2)]),
    "gru": (SEQUENCE, [gruLayer(5, HiddenState=_state(5))]),
    "gru, before": (SEQUENCE, [gruLayer(5, ResetGateMode="before-multiplication", OutputMode="last")]),
    "gru, bias": (SEQUENCE, [gruLayer(5, ResetGateMode="recurrent-bias-after-multiplication")]),
    "lstm, projected": (SEQUENCE, [lstmProjectedLayer(5, 3, 2)]),
    "sequence, convolution": (SEQUENCE, [convolution1dLayer(3, 5, Padding="same"), reluLayer(), maxPooling1dLayer(2)]),
    "sequence, causal": (SEQUENCE, [convolution1dLayer(3, 5, DilationFactor=2, Padding="causal")]),
    "sequence, stride": (SEQUENCE, [convolution1dLayer(3, 5, Stride=2, Padding="same")]),
    "sequence, average": (SEQUENCE, [averagePooling1dLayer(3, Stride=2, Padding="same"), globalMaxPooling1dLayer()]),
    "sequence, transposed": (SEQUENCE, [transposedConv1dLayer(3, 5, Stride=2), globalAveragePooling1dLayer()]),
    "sequence, normalization": (SEQUENCE, [layerNormalizationLayer(), groupNormalizationLayer(2), preluLayer()]),
    "sequence, instance": (SEQUENCE, [instanceNormalizationLayer(), indexing1dLayer("first")]),
    "sequence, all": (
        SEQUENCE,
        [layerNormalizationLayer(OperationDimension="batch-excluded"), rmsNormalizationLayer()],
    ),
    "frames": (
        FRAMES,
        [convolution2dLayer(3, 5), batchNormalizationLayer(), reluLayer(), maxPooling2dLayer(2), flattenLayer()]
        + [lstmLayer(4, OutputMode="last"), fullyConnectedLayer(2)],
    ),
    "frames, groups": (FRAMES, [groupNormalizationLayer(2), layerNormalizationLayer(), fullyConnectedLayer(3)]),
    "frames, instance": (FRAMES, [instanceNormalizationLayer(), globalAveragePooling2dLayer()]),
    "attention": (SEQUENCE, [selfAttentionLayer(2, 6, NumValueChannels=4, OutputSize=5)]),
    "attention, causal": (SEQUENCE, [selfAttentionLayer(3, 6, AttentionMask="causal"), fullyConnectedLayer(2)]),
    "attention, line": (LINE, [selfAttentionLayer(2, 4)]),
}
