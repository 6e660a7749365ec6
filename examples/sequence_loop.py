"""An LSTM network tells noisy waves apart, trained by a loop of one's own (Hochreiter and Schmidhuber, 1997)."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--sequences", type=int, default=2000)
arguments = parser.parse_args()
SHAPES = ["sawtooth", "sine", "square"]


def waves(count, random):
    """Return sequences (2, T) of the wave and its noisy slope, T from 20 to 60, and the name of the shape of each."""
    X, names = [], random.choice(SHAPES, count)
    for name in names:
        time = np.arange(random.integers(20, 61)) / random.uniform(8, 20) + random.uniform(0, 1)
        wave = {
            "sawtooth": 2 * (time % 1) - 1,
            "sine": np.sin(2 * np.pi * time),
            "square": np.sign(np.sin(2 * np.pi * time)),
        }[name]
        noisy = wave + 0.4 * random.normal(size=len(time))
        X.append(np.stack([noisy, np.gradient(noisy)]).astype("single"))
    return X, categorical(names, SHAPES)


def preprocess(X, Y):
    """Return a mini-batch: padding at the left, so that every sequence ends with data."""
    return padsequences(X, 2, Direction="left").transpose(0, 2, 1), onehotencode(Y, 1)


def model_loss(net, X, T):
    scores, state = forward(net, X, nargout=2)
    loss = crossentropy(scores, T)
    return loss, dlgradient(loss, net.Learnables), state


def queue(X, Y, size):
    data = combine(arrayDatastore(X, OutputType="same"), arrayDatastore(Y))
    return minibatchqueue(data, MiniBatchSize=size, MiniBatchFcn=preprocess, MiniBatchFormat=["CBT", "CB"])


rng(0)
random = np.random.default_rng(0)
X, Y = waves(arguments.sequences, random)
XTest, YTest = waves(500, random)
net = dlnetwork(
    [
        sequenceInputLayer(2),
        lstmLayer(32, OutputMode="last"),
        dropoutLayer(0.2),
        fullyConnectedLayer(len(SHAPES)),
        softmaxLayer,
    ]
)
mbq = queue(X, Y, 64)
average, squares, iteration = [], [], 0
for epoch in range(1, arguments.epochs + 1):
    shuffle(mbq)
    losses = []
    while hasdata(mbq):
        iteration += 1
        batch, targets = next(mbq)
        loss, gradients, _ = dlfeval(model_loss, net, batch, targets)
        gradients = dlupdate(lambda g: np.clip(g, -1, 1), gradients)
        net, average, squares = adamupdate(net, gradients, average, squares, iteration, 0.01)
        losses.append(loss.item())
    print(f"Epoch {epoch}: loss {np.mean(losses):.4f}", flush=True)

tests = queue(XTest, YTest, 100)
right = 0
while hasdata(tests):
    batch, targets = next(tests)
    right += np.sum(np.argmax(predict(net, batch).extractdata(), 0) == np.argmax(targets.extractdata(), 0))
print(f"New sequences: accuracy {100 * right / len(XTest):.1f}%")
