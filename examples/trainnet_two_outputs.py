"""trainnet trains a network with two outputs: which digit a picture shows, and by how many degrees it is turned."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--images", type=int, default=5000)
arguments = parser.parse_args()

layers = [
    imageInputLayer([28, 28, 1], Normalization="none"),
    convolution2dLayer(5, 16, Padding="same"),
    batchNormalizationLayer,
    reluLayer(Name="relu1"),
    convolution2dLayer(3, 32, Padding="same", Stride=2),
    batchNormalizationLayer,
    reluLayer,
    convolution2dLayer(3, 32, Padding="same"),
    batchNormalizationLayer,
    additionLayer(2, Name="add"),
    reluLayer(Name="last"),
    fullyConnectedLayer(10, Name="fc"),
    softmaxLayer(Name="digit"),
]
net = dlnetwork(layers, Initialize=False)
net = addLayers(net, [convolution2dLayer(1, 32, Stride=2), batchNormalizationLayer(Name="skip")])
net = connectLayers(net, "relu1", "conv")
net = connectLayers(net, "skip", "add/in2")
net = addLayers(net, fullyConnectedLayer(1, Name="angle"))
net = connectLayers(net, "last", "angle")


def loss(digits, angles, true_digits, true_angles):
    return crossentropy(digits, true_digits) + 0.1 * mse(angles, true_angles)


rng(0)
X, digits, angles = digitTrain4DArrayData()
chosen = np.random.default_rng(0).permutation(X.shape[3])[: arguments.images]
options = trainingOptions("adam", MaxEpochs=arguments.epochs, Shuffle="every-epoch", VerboseFrequency=20)
targets = (digits[chosen], np.ravel(angles)[chosen].reshape(-1, 1) / 10)
net = trainnet(X[..., chosen], targets, net, loss, options)

X, digits, angles = digitTest4DArrayData()
scores, turned = minibatchpredict(net, X)
accuracy = np.mean(scores.argmax(1) == digits.codes.ravel())
error = np.sqrt(np.mean((10 * turned.ravel() - np.ravel(angles)) ** 2))
print(f"Test accuracy {100 * accuracy:.2f} %, angles within {error:.2f} degrees")
