"""Files of every release stay readable: ``kept`` has one for each, which is never written again.

For each there are <version>.mat, <version>.v73.mat, and <version>.checkpoint.mat, from which a training goes on. New
ones, when a version is released: ``python tests/storage/test_kept_files.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

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
ENDINGS = (".mat", ".v73.mat", ".checkpoint.mat")
CHECKPOINTS = sorted(KEPT.glob("*.checkpoint.mat"))
FILES = sorted({*KEPT.glob("*.mat")} - {*CHECKPOINTS})
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(6, 6, 2, 20)).astype(np.float32)
LABELS = categorical(["cat" if n % 2 else "dog" for n in range(20)], ["cat", "dog"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_of_releases_are_read(file):
    if ".v73" in file.name:
        pytest.importorskip("h5py")
    found = load(file)
    assert type(found.net) is DAGNetwork and len(found.net.Layers) == 9
    assert np.allclose(predict(found.net, found.X), found.Y, atol=1e-6)
    assert categories(found.labels) == ["cat", "dog"]
    assert found.options.MaxEpochs == 2 and found.info.TrainingLoss.shape == (4,)
    assert found.plain.text == "äöü" and found.plain.cells == [1, "a", [True]]


@pytest.mark.parametrize("file", CHECKPOINTS, ids=lambda file: file.stem)
def test_trainings_of_releases_go_on(file):
    net, info = trainNetwork(IMAGES, LABELS, file, options(), nargout=2)
    assert info.TrainingLoss.shape == (6,) and np.isfinite(info.TrainingLoss).all()
    assert predict(net, IMAGES[..., :1]).shape == (1, 2)


def test_there_is_one_for_each_release():
    releases = {file.name.removesuffix(".mat") for file in FILES if ".v73" not in file.name}
    assert __version__ in releases, f"make the files of {__version__}"
    assert {f"{release}{ending}" for release in releases for ending in ENDINGS} == {
        file.name for file in KEPT.glob("*")
    }


def options(**more: object) -> Any:
    return trainingOptions("adam", MaxEpochs=3, MiniBatchSize=10, Verbose=False, **more)


def graph() -> Any:
    layers = [imageInputLayer([6, 6, 2]), convolution2dLayer(3, 4, Padding="same"), batchNormalizationLayer()]
    layers += [reluLayer(Name="relu"), convolution2dLayer(3, 4, Padding="same"), additionLayer(2, Name="add")]
    made = layerGraph([*layers, fullyConnectedLayer(2), softmaxLayer(), classificationLayer()])
    return connectLayers(made, "relu", "add/in2")


def make() -> None:
    """Write the files of this version; what is there stays."""
    given = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=10, Verbose=False)
    net, info = trainNetwork(IMAGES, LABELS, graph(), given, nargout=2)
    plain = {"text": "äöü", "cells": [1, "a", [True]]}
    values = {"X": IMAGES[..., :3], "Y": predict(net, IMAGES[..., :3]), "labels": LABELS}
    for version, ending in (("-v7", ".mat"), ("-v7.3", ".v73.mat")):
        path = KEPT / f"{__version__}{ending}"
        if not path.exists():
            save(path, version, net=net, info=info, options=given, plain=plain, **values)
    path = KEPT / f"{__version__}.checkpoint.mat"
    with tempfile.TemporaryDirectory() as folder:
        trainNetwork(IMAGES, LABELS, graph(), options(CheckpointPath=folder, CheckpointFrequency=2))
        first = min(Path(folder).iterdir(), key=lambda each: int(each.name.split("__")[1]))
        if not path.exists():
            shutil.copy(first, path)


if __name__ == "__main__":
    make()
