"""NumPy memory maps as data: they are never in memory as a whole."""

import tracemalloc

import numpy as np
import pytest

from mlnet import (
    arrayDatastore,
    classificationLayer,
    combine,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)


def trained(*data, layers, **more):
    rng(0)
    options = {"MaxEpochs": 2, "MiniBatchSize": 4, "Verbose": False, "InitialLearnRate": 1e-3, **more}
    return trainNetwork(*data, layers, trainingOptions("sgdm", **options))


@pytest.mark.parametrize(
    "shape, order, input_layer",
    [
        ((64, 64, 1, 3000), "F", imageInputLayer([64, 64, 1])),
        ((64, 64, 1, 3000), "C", imageInputLayer([64, 64, 1])),
        ((3000, 4096), "C", featureInputLayer(4096)),
    ],
)
def test_memory_maps_are_read_by_mini_batches(tmp_path, shape, order, input_layer):
    size = 4 * int(np.prod(shape))  # 49 MB
    stored = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=shape, order=order)
    stored[...] = 1
    stored.flush()
    x = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=shape, order=order)
    layers = [input_layer, fullyConnectedLayer(3), softmaxLayer(), classificationLayer()]
    tracemalloc.start()
    net = trained(x, np.arange(3000) % 3, layers=layers, MaxEpochs=1, MiniBatchSize=64, Shuffle="every-epoch")
    net.predict(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2


def test_memory_maps_in_datastores(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((64, 64, 1, 3000), np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    data = combine(
        arrayDatastore(x, IterationDimension=4), arrayDatastore(np.array(["a", "b", "c"])[np.arange(3000) % 3])
    )
    layers = [imageInputLayer([64, 64, 1]), fullyConnectedLayer(3), softmaxLayer(), classificationLayer()]
    tracemalloc.start()
    trained(data, layers=layers, MaxEpochs=1, MiniBatchSize=64, Shuffle="every-epoch")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2
