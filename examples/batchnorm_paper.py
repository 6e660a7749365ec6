"""The small experiment of the batch-normalization paper (Ioffe and Szegedy, 2015, section 4.1).

Binary 28x28 images of digits; three hidden layers of 100 sigmoid units with small Gaussian weights; mini-batches of 60;
once without and once with batch normalization before each sigmoid. The table shows, by the number of steps, the test
accuracy and the 15th, 50th and 85th percentiles of the input of one unit of the last hidden layer over the test set.
Both are drawn, as in figure 1 of the paper, if matplotlib is installed.

``python batchnorm_paper.py --mnist FOLDER`` takes the four idx files of MNIST (also .gz), otherwise mlnet's drawn
digits are used. ``--steps 50000`` is the length of the paper.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

from mlnet import *

BATCH = 60


def read_idx(folder, beginning):
    """Return the array of the idx file whose name begins so: big-endian, the sizes before the bytes."""
    found = sorted(Path(folder).glob(f"{beginning}*"))
    if not found:
        raise SystemExit(f"There is no file {beginning}* in {folder}.")
    content = (gzip.open if found[0].suffix == ".gz" else open)(found[0], "rb").read()
    if content[:3] != b"\0\0\x08":
        raise SystemExit(f"{found[0]} is no idx file of bytes.")
    dims = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def load(folder):
    """Return binary images (N, 784) and labels, for training and for the test."""
    if folder:
        sets = [
            (read_idx(folder, f"{name}-images").reshape(-1, 784), read_idx(folder, f"{name}-labels"))
            for name in ("train", "t10k")
        ]
        return [(images > 127, labels.astype(int)) for images, labels in sets]
    sets = [digitTrain4DArrayData(), digitTest4DArrayData()]
    return [(images.reshape(784, -1).T > 0.5, labels) for images, labels, _ in sets]


def network(batch_normalization, generator):
    def gaussian(size):
        return 0.1 * generator.standard_normal(size)

    layers = [featureInputLayer(784, Normalization="none")]
    for number in (1, 2, 3):
        layers += [fullyConnectedLayer(100, WeightsInitializer=gaussian)]
        layers += [batchNormalizationLayer] if batch_normalization else []
        layers += [sigmoidLayer(Name=f"sigmoid_{number}")]
    return [*layers, fullyConnectedLayer(10, WeightsInitializer=gaussian), softmaxLayer, classificationLayer]


def run(layers, data, points, epochs, rate):
    """Return accuracy in percent and the three percentiles, a row for each of the points in the training."""
    (x_train, y_train), (x_test, y_test) = data
    options = trainingOptions(
        'sgdm', Momentum=0, InitialLearnRate=rate, MiniBatchSize=BATCH, MaxEpochs=epochs, L2Regularization=0,
        Shuffle='every-epoch', Verbose=False
    )  # fmt: skip
    rows = []
    for _ in range(points):
        net = trainNetwork(x_train, y_train, layers, options)
        layers = net.Layers  # goes on where this part ended: nothing is left of a step without momentum
        before_sigmoid = [layer.Name for layer in layers].index("sigmoid_3")  # counted from 1: the layer before
        inputs = net.activations(x_test, before_sigmoid, OutputAs="rows")[:, 0]
        rows.append((100 * np.mean(net.classify(x_test) == y_test), *np.percentile(inputs, [15, 50, 85])))
    return np.array(rows)


def plot(results, steps, path):
    """Draw the accuracies, and the percentiles of both networks on a common scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.5))
    for (name, rows), style, axis in zip(results.items(), ("--", "-"), axes[1:], strict=True):
        axes[0].plot(steps, rows[:, 0], style, label=name)
        axis.plot(steps, rows[:, 1:], color="black")
        axis.set(title=name, xlabel="Steps", ylabel="Input of a sigmoid: 15, 50, 85 %")
        axis.sharey(axes[1])
    axes[0].set(title="Test accuracy (%)", xlabel="Steps")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--mnist", metavar="FOLDER", help="where the idx files of MNIST are")
parser.add_argument("--steps", type=int, default=5000, help="about as many steps of training (default 5000)")
parser.add_argument("--points", type=int, default=10, help="rows of the table (default 10)")
parser.add_argument("--rate", type=float, default=0.1, help="learning rate (default 0.1)")
parser.add_argument("--plot", metavar="FILE.png", default="batchnorm_paper.png", help="where to draw; '' for nowhere")
arguments = parser.parse_args()

data = load(arguments.mnist)
per_epoch = len(data[0][0]) // BATCH
epochs = max(1, round(arguments.steps / arguments.points / per_epoch))
results = {}
for name in ("without", "with batch normalization"):
    rng(0)
    layers = network(name != "without", np.random.default_rng(0))
    results[name] = run(layers, data, arguments.points, epochs, arguments.rate)
steps = [(point + 1) * epochs * per_epoch for point in range(arguments.points)]

print("         without                            with batch normalization")
print("Steps    Accuracy   15 %    50 %    85 %    Accuracy   15 %    50 %    85 %")
for number, step in enumerate(steps):
    cells = ["{:6.2f} %  {:6.2f}  {:6.2f}  {:6.2f}".format(*rows[number]) for rows in results.values()]
    print(f"{step:5d}    " + "    ".join(cells))
if arguments.plot:
    try:
        plot(results, steps, arguments.plot)
        print(f"The plots are in {arguments.plot}.")
    except ImportError:
        print("For the plots: pip install 'mlnet[plot]'.")
