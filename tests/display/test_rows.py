"""Type and description of layers, as the sources of MATLAB print them (types of the first releases)."""

from __future__ import annotations

import pytest

from mlnet import (
    LayerArray,
    additionLayer,
    batchNormalizationLayer,
    bilstmLayer,
    classificationLayer,
    convolution1dLayer,
    convolution2dLayer,
    crop2dLayer,
    crossChannelNormalizationLayer,
    depthConcatenationLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    globalAveragePooling1dLayer,
    globalAveragePooling2dLayer,
    groupedConvolution2dLayer,
    imageInputLayer,
    leakyReluLayer,
    lstmLayer,
    maxPooling2dLayer,
    quadraticLayer,
    regressionLayer,
    reluLayer,
    scalingLayer,
    sequenceInputLayer,
    softmaxLayer,
    softplusLayer,
    tanhLayer,
    transposedConv2dLayer,
)
from mlnet.layers.base import Size

ROWS = [
    (imageInputLayer([28, 28]), "Image Input", "28x28x1 images with 'zerocenter' normalization"),
    (imageInputLayer([8192, 1], Normalization="none"), "Image Input", "8192x1x1 images"),
    (sequenceInputLayer(12), "Sequence Input", "Sequence input with 12 dimensions"),
    (sequenceInputLayer(1), "Sequence Input", "Sequence input with 1 dimensions"),
    (featureInputLayer(2), "Feature Input", "2 features"),
    (convolution1dLayer(11, 96), "1-D Convolution", "96 11 convolutions with stride 1 and padding [0  0]"),
    (
        convolution2dLayer(3, 16, Padding=1),
        "Convolution",
        "16 3x3 convolutions with stride [1  1] and padding [1  1  1  1]",
    ),
    (
        convolution2dLayer(3, 64, NumChannels=16, Padding=1),
        "Convolution",
        "64 3x3x16 convolutions with stride [1  1] and padding [1  1  1  1]",
    ),
    (
        convolution2dLayer([32, 1], 128, Stride=[2, 1], Padding="same"),
        "Convolution",
        "128 32x1 convolutions with stride [2  1] and padding 'same'",
    ),
    (
        groupedConvolution2dLayer(5, 128, 2, Padding=2).with_size(Size("SSC", (27, 27, 96))),
        "Grouped Convolution",
        "2 groups of 128 5x5x48 convolutions with stride [1  1] and padding [2  2  2  2]",
    ),
    (
        transposedConv2dLayer(1, 340, Cropping="same"),
        "Transposed Convolution",
        "340 1x1 transposed convolutions with stride [1  1] and cropping 'same'",
    ),
    (fullyConnectedLayer(10), "Fully Connected", "10 fully connected layer"),
    (lstmLayer(150), "LSTM", "LSTM with 150 hidden units"),
    (bilstmLayer(100), "BiLSTM", "BiLSTM with 100 hidden units"),
    (reluLayer(), "ReLU", "ReLU"),
    (leakyReluLayer(0.1), "Leaky ReLU", "Leaky ReLU with scale 0.1"),
    (leakyReluLayer(), "Leaky ReLU", "Leaky ReLU with scale 0.01"),
    (tanhLayer(), "Tanh", "Hyperbolic tangent"),
    (softplusLayer(), "Softplus", "Softplus"),
    (scalingLayer(), "Scaling", "Scaling"),
    (quadraticLayer(), "Quadratic", "Quadratic"),
    (batchNormalizationLayer(), "Batch Normalization", "Batch normalization"),
    (batchNormalizationLayer(NumChannels=64), "Batch Normalization", "Batch normalization with 64 channels"),
    (
        crossChannelNormalizationLayer(5),
        "Cross Channel Normalization",
        "cross channel normalization with 5 channels per element",
    ),
    (dropoutLayer(), "Dropout", "50% dropout"),
    (crop2dLayer([1, 33]), "Crop 2D", "upper-left corner of cropping rectangle at [1 33]"),
    (
        maxPooling2dLayer(2, Stride=2),
        "Max Pooling",
        "2x2 max pooling with stride [2  2] and padding [0  0  0  0]",
    ),
    (
        maxPooling2dLayer(2, Stride=2, Padding="same", HasUnpoolingOutputs=True),
        "Max Pooling",
        "2x2 max pooling with stride [2  2] and padding 'same'",
    ),
    (globalAveragePooling2dLayer(), "Global Average Pooling", "Global average pooling"),
    (globalAveragePooling1dLayer(), "1-D Global Average Pooling", "1-D global average pooling"),
    (additionLayer(2), "Addition", "Element-wise addition of 2 inputs"),
    (depthConcatenationLayer(2), "Depth concatenation", "Depth concatenation of 2 inputs"),
    (softmaxLayer(), "Softmax", "softmax"),
    (classificationLayer(), "Classification Output", "crossentropyex"),
    (
        classificationLayer(Classes=["Non_Text", "Text"]),
        "Classification Output",
        "crossentropyex with classes 'Non_Text' and 'Text'",
    ),
    (
        classificationLayer(Classes=["baso", "eos", "lymph", "mono", "neutro"]),
        "Classification Output",
        "crossentropyex with 'baso' and 4 other classes",
    ),
    (regressionLayer(), "Regression Output", "mean-squared-error"),
]


@pytest.mark.parametrize(("layer", "kind", "description"), ROWS, ids=lambda value: getattr(value, "type_name", None))
def test_row(layer, kind, description):
    row = repr(LayerArray([layer, softmaxLayer()])).split("\n")[2]
    assert row.split("   ", 2)[2].rstrip() == f"''   {kind:<{max(len(kind), 7)}}   {description}"
