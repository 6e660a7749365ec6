"""A training with a checkpoint at each iteration, in processes that are there for being killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

ITERATIONS = 60


def train(folder: Path, source=None, **more):
    """Return the network of a training, from layers or from a checkpoint."""
    generator = np.random.default_rng(0)
    x = generator.normal(3, 2, (40, 4))
    y = (x[:, 0] > 3).astype(int)
    layers = [featureInputLayer(4, Normalization="zscore"), fullyConnectedLayer(16), batchNormalizationLayer()]
    layers += [dropoutLayer(0.3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    options = trainingOptions(
        "adam",
        MaxEpochs=ITERATIONS // 5,
        MiniBatchSize=8,
        Shuffle="every-epoch",
        ValidationData=(x, y),
        ValidationFrequency=7,
        OutputNetwork="best-validation-loss",
        Verbose=False,
        CheckpointPath=str(folder),
        CheckpointFrequencyUnit="iteration",
        **more,
    )
    rng(1 if source is None else 2)  # going on does not depend on the seed
    return trainNetwork(x, y, layers if source is None else source, options)


def parameters(net):
    """Return all learnables and states of a network."""
    return {
        f"{layer.Name}/{name}": getattr(layer, name)
        for layer in net.Layers
        for name in [*(each.name for each in layer.learnables), *layer.states]
    }


def serve():
    """Train in a new process for each folder that comes in a line; tell its number, and then how it ended."""
    for line in sys.stdin:
        place = Path(line.strip())
        number = os.fork()  # a fresh interpreter would spend a second on imports for each kill
        if not number:
            train(place, place if list(place.glob("net_checkpoint__*.mat")) else None)
            os._exit(0)
        print(number, flush=True)
        print(os.waitpid(number, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
