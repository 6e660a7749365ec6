"""The small experiment of the batch-normalization paper (Ioffe and Szegedy, 2015, section 4.1), on drawn digits.

Three hidden layers of 100 sigmoid units, mini-batches of 60, once without and once with batch normalization. With it
the test accuracy rises sooner and ends higher, and the input of a sigmoid keeps its distribution. After each part of
the training the table shows the test accuracy and the 15th, 50th and 85th percentiles of the input of a unit of the
last sigmoid layer. ``--plot FILE.png`` draws both (needs matplotlib); ``--parts`` and ``--epochs`` set how long it
trains.
"""

import argparse

import numpy as np

from mlnet import *


def network(batch_normalization):
    layers = [featureInputLayer(784, Normalization="zerocenter")]
    for number in (1, 2, 3):
        layers += [fullyConnectedLayer(100)]
        layers += [batchNormalizationLayer] if batch_normalization else []
        layers += [sigmoidLayer(Name=f"sigmoid_{number}")]
    return [*layers, fullyConnectedLayer(10), softmaxLayer, classificationLayer]


def train_in_parts(layers, parts, epochs):
    """Return the test accuracy and the percentiles of one sigmoid's input after each part of the training."""
    options = trainingOptions(
        'sgdm', InitialLearnRate=0.05, MiniBatchSize=60, MaxEpochs=epochs, Shuffle='every-epoch', Verbose=False
    )  # fmt: skip
    rows = []
    rng(0)
    for _ in range(parts):
        net = trainNetwork(XTrain, YTrain, layers, options)
        layers = net.Layers
        before_sigmoid = [layer.Name for layer in layers].index("sigmoid_3")  # counted from 1: the layer before
        inputs = net.activations(XTest, before_sigmoid, OutputAs="rows")[:, 0]
        rows.append((100 * np.mean(net.classify(XTest) == YTest), *np.percentile(inputs, [15, 50, 85])))
    return np.array(rows)


def plot(results, steps, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.5))
    for axis, (name, rows) in zip(axes[1:], results.items(), strict=True):
        axes[0].plot(steps, rows[:, 0], label=name)
        axis.plot(steps, rows[:, 1:], color="black")
        axis.set(title=name, xlabel="Steps", ylabel="Input of a sigmoid: 15, 50, 85 %")
    axes[0].set(title="Test accuracy (%)", xlabel="Steps")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--parts", type=int, default=8)
parser.add_argument("--epochs", type=int, default=2, help="epochs in each part")
parser.add_argument("--plot", metavar="FILE.png")
arguments = parser.parse_args()

X, YTrain, _ = digitTrain4DArrayData()
XTrain = X.reshape(784, -1).T
X, YTest, _ = digitTest4DArrayData()
XTest = X.reshape(784, -1).T

results = {
    "without": train_in_parts(network(False), arguments.parts, arguments.epochs),
    "with batch normalization": train_in_parts(network(True), arguments.parts, arguments.epochs),
}
steps = [(part + 1) * arguments.epochs * (len(XTrain) // 60) for part in range(arguments.parts)]

print("         without                            with batch normalization")
print("Steps    Accuracy   15 %    50 %    85 %    Accuracy   15 %    50 %    85 %")
for number, step in enumerate(steps):
    cells = ["{:6.2f} %  {:6.2f}  {:6.2f}  {:6.2f}".format(*rows[number]) for rows in results.values()]
    print(f"{step:5d}    " + "    ".join(cells))
if arguments.plot:
    plot(results, steps, arguments.plot)
