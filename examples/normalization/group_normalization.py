"""Group normalization (Wu and He, 2018): accuracy on new digits with mini-batches of 2, against batch normalization."""

from mlnet import *

X, Y, _ = digitTrain4DArrayData()
options = trainingOptions("sgdm", InitialLearnRate=0.002, MiniBatchSize=2, MaxEpochs=1, Verbose=False)
head = [fullyConnectedLayer(10), softmaxLayer, classificationLayer]
for name, normalization in {"batch": batchNormalizationLayer, "10 groups": groupNormalizationLayer(10)}.items():
    layers = [imageInputLayer([28, 28, 1]), fullyConnectedLayer(100), normalization, reluLayer, *head]
    rng(0)
    net = trainNetwork(X[..., ::8], Y[::8], layers, options)
    print(f"{name}: {100 * (net.classify(X[..., 1::8]) == Y[1::8]).mean():.1f} %")
