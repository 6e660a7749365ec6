"""Whitening of the input (LeCun et al., 1998): accuracy on new digits from sums of more and more rows and columns."""

import numpy as np

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
sums = np.concatenate([X.sum(axis=1).cumsum(axis=0), X.sum(axis=0).cumsum(axis=0)])[:, 0].T
options = trainingOptions("sgdm", InitialLearnRate=0.1, MaxEpochs=3, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for kind in ("zerocenter", "zscore", "zca-whitening"):
    layers = [featureInputLayer(56, Normalization=kind), *head]
    rng(0)
    net = trainNetwork(sums[::2], Y[::2], layers, options)
    found = np.corrcoef(net.activations(sums[::2], 1)[13:15])[0, 1]
    print(f"{kind}: {100 * (net.classify(sums[1::2]) == Y[1::2]).mean():.1f} %, neighbours correlate by {found:.4f}")
