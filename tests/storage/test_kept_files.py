"""Files of every release stay readable: ``kept`` has one for each, which is never written again.

A new one, when a version is released: ``python tests/storage/test_kept_files.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlnet import (
    DAGNetwork,
    __version__,
    additionLayer,
    batchNormalizationLayer,
    categorical,
    categories,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    load,
    predict,
    reluLayer,
    save,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)

KEPT = Path(__file__).parent / "kept"
FILES = sorted(KEPT.glob("*.mat"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_of_releases_are_read(file):
    found = load(file)
    assert type(found.net) is DAGNetwork and len(found.net.Layers) == 9
    assert np.allclose(predict(found.net, found.X), found.Y, atol=1e-6)
    assert categories(found.labels) == ["cat", "dog"]
    assert found.options.MaxEpochs == 2 and found.info.TrainingLoss.shape == (4,)
    assert found.plain.text == "äöü" and found.plain.cells == [1, "a", [True]]


def test_there_is_one_for_each_release():
    assert FILES, "none is kept"
    assert (KEPT / f"{__version__}.mat").exists(), f"make the file of {__version__}"


def make() -> None:
    """Write the file of this version."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(6, 6, 2, 20)).astype(np.float32)
    labels = categorical(["cat" if n % 2 else "dog" for n in range(20)], ["cat", "dog"])
    layers = [imageInputLayer([6, 6, 2]), convolution2dLayer(3, 4, Padding="same"), batchNormalizationLayer()]
    layers += [reluLayer(Name="relu"), convolution2dLayer(3, 4, Padding="same"), additionLayer(2, Name="add")]
    graph = layerGraph([*layers, fullyConnectedLayer(2), softmaxLayer(), classificationLayer()])
    graph = connectLayers(graph, "relu", "add/in2")
    options = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=10, Verbose=False)
    net, info = trainNetwork(images, labels, graph, options, nargout=2)
    plain = {"text": "äöü", "cells": [1, "a", [True]]}
    values = {"X": images[..., :3], "Y": predict(net, images[..., :3]), "labels": labels}
    save(KEPT / f"{__version__}.mat", net=net, info=info, options=options, plain=plain, **values)


if __name__ == "__main__":
    make()
