"""A layer of one's own, PReLU (He et al., 2015), in ten lines: checked by checkLayer, trained on pictures of digits."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--images", type=int, default=5000)
arguments = parser.parse_args()


class myPreluLayer(Layer):
    Alpha = Learnable()

    def __init__(self, numChannels, Name=""):
        super().__init__(Name=Name, Description=f"PReLU with {numChannels} channels")
        self.Alpha = 0.1 * np.random.rand(1, 1, numChannels)

    def predict(self, X):
        return np.maximum(X, 0) + self.Alpha * np.minimum(0, X)


class sumOfSquaresLayer(ClassificationLayer):
    def forwardLoss(self, Y, T):
        return np.sum((Y - T) ** 2) / Y.shape[-1]


np.random.seed(0)
checkLayer(myPreluLayer(16), [24, 24, 16], ObservationDimension=4)

layers = [
    imageInputLayer([28, 28, 1]),
    convolution2dLayer(5, 16, Padding="same", Stride=2),
    batchNormalizationLayer,
    myPreluLayer(16, Name="prelu1"),
    convolution2dLayer(3, 32, Padding="same", Stride=2),
    batchNormalizationLayer,
    myPreluLayer(32, Name="prelu2"),
    fullyConnectedLayer(10),
    softmaxLayer,
    sumOfSquaresLayer(Name="loss", Description="Sum of squared errors"),
]
print(LayerArray(layers))

rng(0)
X, Y, _ = digitTrain4DArrayData()
order = np.random.default_rng(0).permutation(X.shape[3])[: arguments.images]
options = trainingOptions("sgdm", MaxEpochs=arguments.epochs, InitialLearnRate=0.05, Verbose=False)
net = trainNetwork(X[..., order], Y[order], layers, options)

X, Y, _ = digitTest4DArrayData()
print(f"Test accuracy {100 * np.mean(classify(net, X) == Y):.2f} %")
Alpha = net.Layers[3].Alpha
print(f"Alpha of prelu1 from {Alpha.min():.2f} to {Alpha.max():.2f}")
