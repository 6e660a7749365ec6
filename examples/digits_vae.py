"""A variational autoencoder learns to describe digits by a few numbers, and to draw them (Kingma and Welling, 2014)."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--images", type=int, default=5000)
parser.add_argument("--latent", type=int, default=16, help="numbers that describe a digit")
parser.add_argument("--save", default="", help="a file for a picture of 25 digits")
arguments = parser.parse_args()
LATENT = arguments.latent

encoder = dlnetwork(
    [
        imageInputLayer([28, 28, 1], Normalization="none"),
        convolution2dLayer(3, 16, Stride=2, Padding="same"),
        reluLayer,
        convolution2dLayer(3, 32, Stride=2, Padding="same"),
        reluLayer,
        fullyConnectedLayer(2 * LATENT),
    ]
)
decoder = dlnetwork(
    [
        featureInputLayer(LATENT),
        fullyConnectedLayer(7 * 7 * 32),
        functionLayer(lambda X: dlarray(np.reshape(stripdims(X), (7, 7, 32, -1)), "SSCB"), Formattable=True),
        reluLayer,
        transposedConv2dLayer(3, 16, Stride=2, Cropping="same"),
        reluLayer,
        transposedConv2dLayer(3, 1, Stride=2, Cropping="same"),
        sigmoidLayer,
    ]
)


def encode(run, encoder, X):
    """Return mean and logarithm of the variance of the numbers behind pictures, (LATENT, N) each."""
    found = np.reshape(stripdims(run(encoder, X)), (2 * LATENT, -1))
    return found[:LATENT], found[LATENT:]


def model_loss(encoder, decoder, X, noise):
    mean, log_variance = encode(forward, encoder, X)
    Z = mean + np.exp(0.5 * log_variance) * noise  # a sample, differentiable by mean and variance
    drawn = forward(decoder, dlarray(Z, "CB"))
    reconstruction = crossentropy(drawn, X, ClassificationMode="multilabel")
    divergence = -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance)) / X.shape[3]
    loss = reconstruction + divergence  # the negative evidence lower bound of a picture
    return loss, divergence, *dlgradient(loss, encoder.Learnables, decoder.Learnables)


rng(0)
random = np.random.default_rng(0)
X, _, _ = digitTrain4DArrayData()
XTest, _, _ = digitTest4DArrayData()
X = X[..., random.permutation(X.shape[3])[: arguments.images]].astype("single")
iteration = 0
memory_e, memory_d = [[], []], [[], []]
for epoch in range(1, arguments.epochs + 1):
    order = random.permutation(X.shape[3])
    for start in range(0, len(order) - 127, 128):
        iteration += 1
        batch = dlarray(X[..., order[start : start + 128]], "SSCB")
        noise = random.normal(size=(LATENT, 128)).astype("single")
        loss, divergence, *gradients = dlfeval(model_loss, encoder, decoder, batch, noise)
        encoder, *memory_e = adamupdate(encoder, gradients[0], *memory_e, iteration, 0.002)
        decoder, *memory_d = adamupdate(decoder, gradients[1], *memory_d, iteration, 0.002)
    print(f"Epoch {epoch}: loss {loss.item():.1f}, of it divergence {divergence.item():.1f}", flush=True)

XTest = XTest[..., :1000].astype("single")
mean, _ = encode(predict, encoder, dlarray(XTest, "SSCB"))
again = predict(decoder, dlarray(mean, "CB")).extractdata()
error = np.mean((again - XTest) ** 2)
blank = np.mean((X.mean(3, keepdims=True) - XTest) ** 2)
print(f"New digits: squared error {error:.4f} (of the mean picture: {blank:.4f})")
if arguments.save:
    import matplotlib.pyplot as plt

    Z = dlarray(random.normal(size=(LATENT, 25)).astype("single"), "CB")
    drawn = predict(decoder, Z).extractdata()
    rows = drawn[:, :, 0].transpose(2, 0, 1).reshape(5, 5, 28, 28).transpose(0, 2, 1, 3).reshape(140, 140)
    plt.imsave(arguments.save, rows, cmap="gray")
