"""Automatic names."""

from __future__ import annotations

import pytest
from layers.catalogue import REQUIRED, make

from mlnet.network.names import automatic_names

BASES = {
    "imageInputLayer": "imageinput",
    "featureInputLayer": "input",
    "inputLayer": "input",
    "networkLayer": "network",
    "convolution2dLayer": "conv",
    "fullyConnectedLayer": "fc",
    "batchNormalizationLayer": "batchnorm",
    "crossChannelNormalizationLayer": "crossnorm",
    "groupNormalizationLayer": "groupnorm",
    "instanceNormalizationLayer": "instancenorm",
    "layerNormalizationLayer": "layernorm",
    "rmsNormalizationLayer": "rmsnorm",
    "whiteningLayer": "whitening",
    "swishLayer": "swish",
    "softplusLayer": "softplus",
    "geluLayer": "gelu",
    "preluLayer": "prelu",
    "scalingLayer": "scaling",
    "sequenceInputLayer": "sequenceinput",
    "reluLayer": "relu",
    "leakyReluLayer": "leakyrelu",
    "clippedReluLayer": "clippedrelu",
    "eluLayer": "elu",
    "tanhLayer": "tanh",
    "sigmoidLayer": "sigmoid",
    "softmaxLayer": "softmax",
    "quadraticLayer": "quadratic",
    "maxPooling2dLayer": "maxpool",
    "averagePooling2dLayer": "avgpool2d",
    "maxUnpooling2dLayer": "maxunpool",
    "globalAveragePooling2dLayer": "gap",
    "globalMaxPooling2dLayer": "gmp",
    "lstmLayer": "lstm",
    "bilstmLayer": "biLSTM",
    "gruLayer": "gru",
    "lstmProjectedLayer": "projectedlstm",
    "dropoutLayer": "dropout",
    "selfAttentionLayer": "selfattention",
    "attentionLayer": "attention",
    "wordEmbeddingLayer": "word-embedding",
    "positionEmbeddingLayer": "pos-emb",
    "sinusoidalPositionEncodingLayer": "pos-enc",
    "embeddingConcatenationLayer": "emb-concat",
    "patchEmbeddingLayer": "patch-emb",
    "indexing1dLayer": "indexing1d",
    "flattenLayer": "flatten",
    "permuteLayer": "permute",
    "reshapeLayer": "reshape",
    "depthToSpace2dLayer": "depthToSpace",
    "spaceToDepthLayer": "spaceToDepth",
    "crop2dLayer": "crop2d",
    "crop3dLayer": "crop3d",
    "resize2dLayer": "resize",
    "resize3dLayer": "resize3d",
    "adaptiveAveragePooling2dLayer": "adaptiveavgpool2d",
    "spatialDropoutLayer": "spatialdropout",
    "sequenceFoldingLayer": "seqfold",
    "sequenceUnfoldingLayer": "sequnfold",
    "identityLayer": "identity",
    "functionLayer": "layer",
    "convolution1dLayer": "conv1d",
    "convolution3dLayer": "conv3d",
    "groupedConvolution2dLayer": "groupedconv",
    "transposedConv1dLayer": "transposed-conv1d",
    "transposedConv2dLayer": "transposed-conv",
    "transposedConv3dLayer": "transposed-conv3d",
    "maxPooling1dLayer": "maxpool1d",
    "averagePooling1dLayer": "avgpool1d",
    "globalMaxPooling1dLayer": "gmp1d",
    "globalAveragePooling1dLayer": "gap1d",
    "maxPooling3dLayer": "maxpool3d",
    "averagePooling3dLayer": "avgpool3d",
    "globalMaxPooling3dLayer": "gmp3d",
    "globalAveragePooling3dLayer": "gap3d",
    "image3dInputLayer": "image3dinput",
    "additionLayer": "addition",
    "multiplicationLayer": "multiplication",
    "depthConcatenationLayer": "depthcat",
    "concatenationLayer": "concat",
    "classificationLayer": "classoutput",
    "pixelClassificationLayer": "classoutput",
    "dicePixelClassificationLayer": "dice-pixel-class",
    "focalLossLayer": "focal-loss",
    "regressionLayer": "regressionoutput",
}


@pytest.mark.parametrize("name", BASES)
def test_a_base_name_alone_is_bare_and_several_are_numbered(name):
    base = BASES[name]
    assert automatic_names([make(name)]) == [base]
    assert automatic_names([make(name)] * 3) == [f"{base}_1", f"{base}_2", f"{base}_3"]


def test_every_layer_has_a_base_name_of_its_own():
    assert set(BASES) == set(REQUIRED)
    shared = ("inputLayer", "pixelClassificationLayer")  # 'input' as featureInputLayer, 'classoutput' as in MATLAB
    others = [base for name, base in BASES.items() if name not in shared]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    "given, expected",
    [
        (["", "", "mine", ""], ["relu_1", "relu_2", "mine", "relu_3"]),
        (["mine", ""], ["mine", "relu"]),
        (["relu", ""], ["relu", "relu_1"]),
        (["", "relu"], ["relu_1", "relu"]),
        (["relu_1", "", ""], ["relu_1", "relu_2", "relu_3"]),
        (["", "", "relu_1"], ["relu_2", "relu_3", "relu_1"]),
        (["", "relu_2", ""], ["relu_1", "relu_2", "relu_3"]),
        (["", "relu", "relu_1"], ["relu_2", "relu", "relu_1"]),
        (["a", "a"], ["a", "a"]),
        ([], []),
    ],
)
def test_given_names_are_kept_and_left_out(given, expected):
    layers = [make("reluLayer", Name=name) for name in given]
    assert automatic_names(layers) == expected
    assert [layer.Name for layer in layers] == given


def test_bases_are_counted_apart():
    layers = [make(name) for name in ("convolution2dLayer", "reluLayer", "convolution2dLayer", "fullyConnectedLayer")]
    assert automatic_names(layers) == ["conv_1", "relu", "conv_2", "fc"]
