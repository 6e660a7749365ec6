"""Batch normalization (Ioffe and Szegedy, 2015): accuracy on new digits after one epoch, without and with it."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for name, normalization in {"without": [], "with": [batchNormalizationLayer]}.items():
    layers = [imageInputLayer([28, 28, 1]), convolution2dLayer(5, 8, Stride=2), *normalization, reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::2], Y[::2], layers, options)
    print(f"{name}: {100 * (net.classify(X[..., 1::2]) == Y[1::2]).mean():.1f} %")
