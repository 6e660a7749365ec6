"""Instance normalization (Ulyanov, Vedaldi and Lempitsky, 2016): accuracy on digits of a tenth of the contrast."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for name, normalization in {"without": [], "with": [instanceNormalizationLayer]}.items():
    layers = [imageInputLayer([28, 28, 1]), *normalization, convolution2dLayer(5, 8, Stride=2), reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::2], Y[::2], layers, options)
    print(f"{name}: {100 * (net.classify(X[..., 1::2] / 10) == Y[1::2]).mean():.1f} %")
