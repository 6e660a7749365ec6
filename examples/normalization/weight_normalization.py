"""Weight normalization (Salimans and Kingma, 2016): accuracy on new digits, and the learned lengths of the filters."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", MaxEpochs=1, InitialLearnRate=0.03, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for kind in ("none", "weight-normalization"):
    filters = convolution2dLayer(5, 8, Stride=2, WeightReparameterization=kind)
    layers = [imageInputLayer([28, 28, 1]), filters, reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::2], Y[::2], layers, options)
    lengths = net.Layers[1].WeightLength.round(2).ravel()
    print(f"{kind}: {100 * (net.classify(X[..., 1::2]) == Y[1::2]).mean():.1f} %, lengths {lengths}")
