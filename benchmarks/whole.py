"""Whole trainings in processes of their own: seconds, peak memory, and seconds from a cold start.

    python benchmarks/whole.py [--data FOLDER] [--repeats 3]

5 epochs on 8,000 digits with validation on 2,000 after each epoch: `trainNetwork` (with its pass for the statistics of
batch normalization), a loop in PyTorch (mini-batches by a permutation and indexing, which is faster than a
DataLoader), and Keras `fit`. The digits come from a folder with files of MNIST (images-idx3 and labels-idx1, zipped or
not), otherwise they are drawn. Seconds leave imports and reading out; the cold start is the whole time of a process
that imports, builds and trains the network on 128 digits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, EPOCHS, TRAIN, COUNT = 128, 5, 8000, 10000
CONTENDERS = ("mlnet", "mlnet numpy", "torch", "keras")


def digits(folder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 28, 28, 1) from 0 to 1 and their digits."""
    if folder is None:
        generator = np.random.default_rng(0)
        y = generator.integers(0, 10, COUNT)
        patterns = generator.random((10, 28, 28, 1), dtype=np.float32)
        return patterns[y] * generator.random((COUNT, 28, 28, 1), dtype=np.float32), y
    found = []
    for kind, header in (("images", 16), ("labels", 8)):
        path = next(iter(sorted(Path(folder).rglob(f"*{kind}*"))))
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found.append(np.frombuffer(content, np.uint8)[header:])
    y = found[1][:COUNT].astype(np.int64)
    return found[0].reshape(-1, 28, 28, 1)[:COUNT].astype(np.float32) / np.float32(255), y


def with_mlnet(x: np.ndarray, y: np.ndarray, epochs: int, acceleration: str) -> float:
    """Train, and return the accuracy on the digits behind the first ones in percent."""
    import mlnet

    layers = [mlnet.imageInputLayer([28, 28, 1], Normalization="none")]
    for filters in (8, 16, 32):
        layers += [mlnet.convolution2dLayer(3, filters, Padding="same"), mlnet.batchNormalizationLayer()]
        layers += [mlnet.reluLayer()]
        layers += [mlnet.maxPooling2dLayer(2, Stride=2)] if filters < 32 else []
    layers += [mlnet.fullyConnectedLayer(10), mlnet.softmaxLayer(), mlnet.classificationLayer()]
    images, labels = np.moveaxis(x, 0, -1), mlnet.categorical(y)
    count = TRAIN if len(x) > TRAIN else len(x)
    more: dict[str, Any] = {}
    if len(x) > count:
        more = {"ValidationData": (images[..., count:], labels[count:]), "ValidationFrequency": count // BATCH}
    options = mlnet.trainingOptions(
        "sgdm",
        MaxEpochs=epochs,
        MiniBatchSize=BATCH,
        InitialLearnRate=0.01,
        Shuffle="every-epoch",
        Verbose=False,
        Acceleration=acceleration,
        **more,
    )
    _, info = mlnet.trainNetwork(images[..., :count], labels[:count], layers, options, nargout=2)
    return float(info.FinalValidationAccuracy) if more else 0.0


def with_torch(x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Do the same in PyTorch."""
    import torch
    from torch import nn

    parts, channels = [], 1
    for filters in (8, 16, 32):
        parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        parts += [nn.MaxPool2d(2)] if filters < 32 else []
        channels = filters
    net = nn.Sequential(*parts, nn.Flatten(), nn.Linear(7 * 7 * 32, 10))
    images, labels = torch.from_numpy(np.moveaxis(x, -1, 1).copy()), torch.from_numpy(y)
    count = TRAIN if len(x) > TRAIN else len(x)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    correct = 0.0
    for _ in range(epochs):
        net.train()
        for index in torch.randperm(count).split(BATCH):
            loss = nn.functional.cross_entropy(net(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        net.eval()
        with torch.inference_mode():
            for start in range(count, len(x), BATCH):
                rows = slice(start, start + BATCH)
                correct += float((net(images[rows]).argmax(1) == labels[rows]).sum())
        correct, last = 0.0, correct
    return 100 * last / max(1, len(x) - count)


def with_keras(x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Do the same in Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    from keras import layers as k

    parts: list[Any] = [keras.Input((28, 28, 1))]
    for filters in (8, 16, 32):
        parts += [k.Conv2D(filters, 3, padding="same"), k.BatchNormalization(), k.ReLU()]
        parts += [k.MaxPooling2D(2)] if filters < 32 else []
    model = keras.Sequential([*parts, k.Flatten(), k.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4), loss, metrics=["accuracy"])
    count = TRAIN if len(x) > TRAIN else len(x)
    held = (x[count:], y[count:]) if len(x) > count else None
    history = model.fit(x[:count], y[:count], BATCH, epochs, verbose=0, validation_data=held)
    return 100 * float(history.history["val_accuracy"][-1]) if held else 0.0


def train(contender: str, folder: str | None, *, is_small: bool) -> None:
    """Train once, and print seconds, megabytes and the accuracy."""
    import resource  # not on Windows

    x, y = digits(folder)
    epochs = 1 if is_small else EPOCHS
    x, y = (x[:BATCH], y[:BATCH]) if is_small else (x, y)
    module = {"torch": "torch", "keras": "keras"}.get(contender, "mlnet")
    if module == "keras":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    __import__(module)
    start = time.perf_counter()
    if module == "mlnet":
        accuracy = with_mlnet(x, y, epochs, "none" if contender.endswith("numpy") else "auto")
    else:
        accuracy = (with_torch if module == "torch" else with_keras)(x, y, epochs)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, peak, accuracy]))


def measure(contender: str, folder: str | None, size: str) -> list[float] | None:
    """Return the seconds of the process and what `train` prints, None where the contender is missing."""
    arguments = [sys.executable, __file__, "--child", contender, size, *(["--data", folder] if folder else [])]
    start = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{contender} is left out: {done.stderr.strip().splitlines()[-1]}")
        return None
    return [time.perf_counter() - start, *json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "SIZE"))
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments.child[0], arguments.data, is_small=arguments.child[1] == "small")
        return
    found: dict[str, dict[str, list[list[float]]]] = {name: {"large": [], "small": []} for name in CONTENDERS}
    for _ in range(arguments.repeats):
        for name, sizes in found.items():
            for size, results in sizes.items():
                result = measure(name, arguments.data, size)
                if result is not None:
                    results.append(result)
    print(f"{'':<14} {'seconds':>8} {'megabytes':>10} {'accuracy':>9} {'cold start':>11}")
    for name, sizes in found.items():
        if sizes["large"] and sizes["small"]:
            _, seconds, peak, accuracy = (statistics.median(column) for column in zip(*sizes["large"], strict=True))
            start = statistics.median(result[0] for result in sizes["small"])
            print(f"{name:<14} {seconds:>8.2f} {peak:>10.0f} {accuracy:>9.1f} {start:>11.2f}")


if __name__ == "__main__":
    main()
