"""Cross-channel normalization (Krizhevsky et al., 2012): accuracy on new digits, and the largest output."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", MaxEpochs=1, InitialLearnRate=0.03, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for name, normalization in {"without": [], "with": [crossChannelNormalizationLayer(5, Alpha=1, K=1)]}.items():
    layers = [imageInputLayer([28, 28, 1]), convolution2dLayer(5, 8, Stride=2), reluLayer, *normalization, *head]
    rng(0)
    net = trainNetwork(X[..., ::2], Y[::2], layers, options)
    largest = net.activations(X[..., 1::2], len(layers) - len(head)).max()
    print(f"{name}: {100 * (net.classify(X[..., 1::2]) == Y[1::2]).mean():.1f} %, largest {largest:.2f}")
