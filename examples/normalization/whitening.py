"""A whitening layer (Huang et al., 2018): accuracy on new digits, and the largest correlation of its 8 channels."""

import numpy as np

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for layer in (batchNormalizationLayer, whiteningLayer):
    layers = [imageInputLayer([28, 28, 1]), convolution2dLayer(5, 8, Stride=2), layer, reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::2], Y[::2], layers, options)
    largest = abs(np.corrcoef(np.moveaxis(net.activations(X[..., ::2], 3), 2, 0).reshape(8, -1)) - np.eye(8)).max()
    print(f"{layer.__name__}: {100 * (net.classify(X[..., 1::2]) == Y[1::2]).mean():.1f} %, correlation {largest:.4f}")
