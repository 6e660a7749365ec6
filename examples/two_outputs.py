"""A network with two outputs tells which digit a picture shows, and by how many degrees it is turned."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--images", type=int, default=5000)
arguments = parser.parse_args()

graph = layerGraph(
    [
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
        softmaxLayer(Name="softmax"),
    ]
)
graph = addLayers(graph, convolution2dLayer(1, 32, Stride=2, Name="skip"))
graph = addLayers(graph, fullyConnectedLayer(1, Name="angle"))
graph = connectLayers(graph, "relu1", "skip")
graph = connectLayers(graph, "skip", "add/in2")
graph = connectLayers(graph, "last", "angle")


def model_loss(net, X, T1, T2):
    Y1, Y2, state = forward(net, X, Outputs=["softmax", "angle"], nargout=3)
    loss = crossentropy(Y1, T1) + 0.1 * mse(Y2, T2)
    return loss, dlgradient(loss, net.Learnables), state


rng(0)
random = np.random.default_rng(0)
net = dlnetwork(graph)
X, Y, angles = digitTrain4DArrayData()
T1 = np.eye(10, dtype="single")[:, Y.codes.ravel()]
T2 = np.asarray(angles, "single").reshape(1, -1) / 10
average, squares, iteration = [], [], 0
for epoch in range(1, arguments.epochs + 1):
    order = random.permutation(X.shape[3])[: arguments.images]
    for start in range(0, len(order) - 127, 128):
        iteration += 1
        rows = order[start : start + 128]
        batch = dlarray(X[..., rows].astype("single"), "SSCB")
        loss, gradients, net.State = dlfeval(model_loss, net, batch, T1[:, rows], T2[:, rows])
        net, average, squares = adamupdate(net, gradients, average, squares, iteration)
    print(f"Epoch {epoch}: loss {loss.item():.4f}")

X, Y, angles = digitTest4DArrayData()
scores, turned = predict(net, dlarray(X.astype("single"), "SSCB"), Outputs=["softmax", "angle"])
accuracy = np.mean(scores.extractdata().argmax(0) == Y.codes.ravel())
error = np.sqrt(np.mean((10 * turned.extractdata().ravel() - np.ravel(angles)) ** 2))
print(f"Test accuracy {100 * accuracy:.2f} %, angles within {error:.2f} degrees")
