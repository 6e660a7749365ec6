"""A generative adversarial network with batch normalization draws digits (Radford, Metz and Chintala, 2016)."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--images", type=int, default=5000)
parser.add_argument("--save", default="", help="a file for a picture of 25 digits")
arguments = parser.parse_args()
LATENT = 32

generator = dlnetwork(
    [
        featureInputLayer(LATENT),
        fullyConnectedLayer(7 * 7 * 32),
        functionLayer(lambda X: dlarray(np.reshape(stripdims(X), (7, 7, 32, -1)), "SSCB"), Formattable=True),
        batchNormalizationLayer,
        reluLayer,
        transposedConv2dLayer(4, 16, Stride=2, Cropping="same"),
        batchNormalizationLayer,
        reluLayer,
        transposedConv2dLayer(4, 1, Stride=2, Cropping="same"),
        tanhLayer,
    ]
)
discriminator = dlnetwork(
    [
        imageInputLayer([28, 28, 1], Normalization="none"),
        convolution2dLayer(4, 16, Stride=2, Padding="same"),
        leakyReluLayer(0.2),
        convolution2dLayer(4, 32, Stride=2, Padding="same"),
        batchNormalizationLayer,
        leakyReluLayer(0.2),
        fullyConnectedLayer(1),
        sigmoidLayer,
    ]
)


def model_loss(generator, discriminator, X, Z):
    real, _ = forward(discriminator, X, nargout=2)
    drawn, generator_state = forward(generator, Z, nargout=2)
    fake, discriminator_state = forward(discriminator, drawn, nargout=2)
    ones = np.ones(fake.shape, "single")
    loss_d = crossentropy(real, 0.9 * ones, ClassificationMode="multilabel") + crossentropy(
        fake, 0 * ones, ClassificationMode="multilabel"
    )
    loss_g = crossentropy(fake, ones, ClassificationMode="multilabel")
    gradients_d = dlgradient(loss_d, discriminator.Learnables, RetainData=True)
    gradients_g = dlgradient(loss_g, generator.Learnables)
    scores = (np.mean(real).item(), np.mean(fake).item())
    return loss_d, loss_g, gradients_d, gradients_g, generator_state, discriminator_state, scores


rng(0)
random = np.random.default_rng(0)
X, _, _ = digitTrain4DArrayData()
X = (2 * X[..., random.permutation(X.shape[3])[: arguments.images]] - 1).astype("single")
iteration = 0
memory_g, memory_d = [[], []], [[], []]
for epoch in range(1, arguments.epochs + 1):
    order = random.permutation(X.shape[3])
    for start in range(0, len(order) - 127, 128):
        iteration += 1
        batch = dlarray(X[..., order[start : start + 128]], "SSCB")
        Z = dlarray(random.normal(size=(LATENT, 128)).astype("single"), "CB")
        _, _, gradients_d, gradients_g, generator.State, discriminator.State, scores = dlfeval(
            model_loss, generator, discriminator, batch, Z
        )
        discriminator, *memory_d = adamupdate(discriminator, gradients_d, *memory_d, iteration, 0.0005, 0.5)
        generator, *memory_g = adamupdate(generator, gradients_g, *memory_g, iteration, 0.001, 0.5)
    print(f"Epoch {epoch}: discriminator gives real {scores[0]:.2f}, drawn {scores[1]:.2f}")

Z = dlarray(random.normal(size=(LATENT, 500)).astype("single"), "CB")
drawn = predict(generator, Z).extractdata()
mean = np.abs(drawn.mean(3) - X.mean(3)).mean()
blank = np.abs(drawn.mean() - X.mean(3)).mean()
print(f"Mean picture: {mean:.3f} from that of the digits (a grey picture: {blank:.3f})")
if arguments.save:
    import matplotlib.pyplot as plt

    rows = drawn[:, :, 0, :25].transpose(2, 0, 1).reshape(5, 5, 28, 28).transpose(0, 2, 1, 3).reshape(140, 140)
    plt.imsave(arguments.save, rows, cmap="gray")
