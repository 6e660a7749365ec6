"""Find disks and squares in noisy pictures, pixel by pixel: a small encoder and decoder."""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--pictures", type=int, default=400, help="pictures to train with")
parser.add_argument("--epochs", type=int, default=10)
arguments = parser.parse_args()

SIZE = 32
CLASSES = ["background", "disk", "square"]


def pictures(count, seed):
    """Return pictures (32, 32, 1, count) with a disk and a square, and their labels (32, 32, count)."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    X, Y = np.zeros((SIZE, SIZE, 1, count), np.float32), np.zeros((SIZE, SIZE, count), int)
    for number in range(count):
        for kind in (1, 2):
            row, column = generator.integers(6, SIZE - 6, 2)
            radius = generator.integers(4, 7)
            down, right = abs(rows - row), abs(columns - column)
            inside = down**2 + right**2 <= radius**2 if kind == 1 else np.maximum(down, right) < radius
            X[inside, 0, number] = 1
            Y[inside, number] = kind
    return X + 0.3 * generator.standard_normal(X.shape), categorical(Y, [0, 1, 2], CLASSES)


def block(filters):
    return [convolution2dLayer(3, filters, Padding="same"), batchNormalizationLayer, reluLayer]


XTrain, YTrain = pictures(arguments.pictures, seed=0)
XTest, YTest = pictures(100, seed=1)

# Rare classes count more, so that the background does not decide alone.
share = np.array([np.mean(YTrain == name) for name in CLASSES])
weights = np.median(share) / share

layers = LayerArray([
    imageInputLayer([SIZE, SIZE, 1]),
    *block(16),
    maxPooling2dLayer(2, Stride=2),
    *block(32),
    maxPooling2dLayer(2, Stride=2),
    *block(32),
    transposedConv2dLayer(4, 32, Stride=2, Cropping=1),
    reluLayer,
    transposedConv2dLayer(4, 16, Stride=2, Cropping=1),
    reluLayer,
    convolution2dLayer(1, len(CLASSES)),
    softmaxLayer,
    pixelClassificationLayer(Classes=CLASSES, ClassWeights=weights),
])  # fmt: skip
print("layers = ", layers, sep="\n")

options = trainingOptions(
    'adam',
    InitialLearnRate=0.005,
    MaxEpochs=arguments.epochs,
    MiniBatchSize=20,
    Shuffle='every-epoch',
    VerboseFrequency=40,
)  # fmt: skip

rng(0)
net = trainNetwork(XTrain, YTrain, layers, options)

YPred = semanticseg(XTest, net)
print("\nPixel accuracy")
for name in CLASSES:
    print(f"  {name:<12}{100 * np.mean((YPred == name)[YTest == name]):6.2f} %")
print(f"  {'all':<12}{100 * np.mean(YPred == YTest):6.2f} %")

print("\nThe first test picture, what is there and what was found:")
signs = np.array([".", "o", "#"])
for there, found in zip(YTest.codes[::2, :, 0], YPred.codes[::2, :, 0], strict=True):
    print("  " + "".join(signs[there]) + "   " + "".join(signs[found]))
