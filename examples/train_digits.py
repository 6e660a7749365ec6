"""Train a digit classifier with batch normalization, and look at what came out."""

import numpy as np

from mlnet import *

XTrain, YTrain, _ = digitTrain4DArrayData()
XTest, YTest, _ = digitTest4DArrayData()

layers = LayerArray([
    imageInputLayer([28, 28, 1]),

    convolution2dLayer(3, 8, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    maxPooling2dLayer(2, Stride=2),

    convolution2dLayer(3, 16, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    maxPooling2dLayer(2, Stride=2),

    convolution2dLayer(3, 32, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    fullyConnectedLayer(10),
    softmaxLayer,
    classificationLayer,
])  # fmt: skip
print("layers = ", layers, sep="\n")

options = trainingOptions(
    'sgdm',
    InitialLearnRate=0.01,
    MaxEpochs=4,
    Shuffle='every-epoch',
    ValidationData=(XTest, YTest),
    ValidationFrequency=30,
)  # fmt: skip

rng(0)
net = trainNetwork(XTrain, YTrain, layers, options)

YPred = net.classify(XTest)
print(f"\nTest accuracy: {100 * np.mean(YPred == YTest):.2f} %\n")
print("net.Layers(3) = ", net.Layers(3), sep="\n")
