"""Weight standardization (Qiao et al., 2019) with group normalization: accuracy on new digits, mini-batches of 4."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", InitialLearnRate=0.005, MiniBatchSize=4, MaxEpochs=1, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for kind in ("none", "weight-standardization"):
    filters = convolution2dLayer(5, 8, Stride=2, WeightReparameterization=kind)
    layers = [imageInputLayer([28, 28, 1]), filters, groupNormalizationLayer(2), reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::4], Y[::4], layers, options)
    print(f"{kind}: {100 * (net.classify(X[..., 1::4]) == Y[1::4]).mean():.1f} %")
