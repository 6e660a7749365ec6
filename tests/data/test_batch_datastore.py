"""batchDatastore: mini-batches of iterables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    batchDatastore,
    categorical,
    featureInputLayer,
    fullyConnectedLayer,
    hasdata,
    imageInputLayer,
    read,
    regressionLayer,
    rng,
    shuffle,
    subset,
    trainingOptions,
    trainNetwork,
)

X = np.random.default_rng(0).random((11, 2))
Y = X @ [1.0, -2.0]
EDGES = [0, 4, 8, 11]
PARTS = [slice(first, last) for first, last in pairwise(EDGES)]


class Batches:
    """An iterable without numbers that keeps account."""

    def __init__(self):
        self.begun = 0

    def __iter__(self):
        self.begun += 1
        return iter([(X[part], Y[part]) for part in PARTS])


def trained(data, **more):
    rng(0)
    layers = [featureInputLayer(2), fullyConnectedLayer(1), regressionLayer()]
    options = trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=3, Verbose=False, **{"Shuffle": "never", **more})
    return trainNetwork(*data, layers, options).Layers[1].Weights


@pytest.mark.parametrize("background", [True, False])
def test_training_is_as_with_arrays(background):
    expected = trained((X, Y))
    listed = [(X[part], Y[part]) for part in PARTS]
    for batches in (Batches(), listed, lambda: iter(listed)):
        found = trained((batchDatastore(batches),), DispatchInBackground=background)
        np.testing.assert_array_equal(found, expected)
    shuffled = trained((batchDatastore(listed),), Shuffle="every-epoch")
    np.testing.assert_array_equal(shuffled, trained((X, Y), Shuffle="every-epoch"))
    with pytest.raises(DataError, match="can be read in its own order only. Set Shuffle='never'"):
        trained((batchDatastore(Batches()),), Shuffle="once")


def test_reading():
    source = Batches()
    ds = batchDatastore(source)
    assert len(ds) == 11 and source.begun == 1
    sizes = []
    while hasdata(ds):
        sizes.append(len(read(ds)))
    assert sizes == [4, 4, 3] and source.begun == 2, "one pass for all"
    ds.rows([2, 9])
    ds.rows([10])
    assert source.begun == 3
    np.testing.assert_array_equal([row[1] for row in ds.rows([1, 5, 10])], Y[[1, 5, 10]])
    np.testing.assert_array_equal(subset(ds, [3, 7]).rows([1])[0][0], X[6])
    assert len(shuffle(ds)) == 11


def test_kinds_of_columns():
    images = np.random.default_rng(1).random((3, 4, 2, 5))
    labels = categorical(["b", "a", "b", "a", "b"], ["b", "a"])
    ds = batchDatastore([(images, labels), (images[..., :2], labels[:2])])
    np.testing.assert_array_equal(ds.rows([6])[0][0], images[..., 1])
    assert ds.classes() == ["b", "a"] and ds.labels().names().tolist() == list("bababba")
    few = subset(ds, [1, 2, 6])
    assert few.labels().names().tolist() == ["b", "a", "b"] and few.classes() == ["b", "a"]
    assert few.subset([2]).labels().names().tolist() == ["a"]
    assert batchDatastore([([np.zeros((2, 3)), np.zeros((2, 4))], [1, 0])]).classes() == ["0", "1"]
    assert batchDatastore([images]).rows([4])[0][0].shape == (3, 4, 2)
    assert batchDatastore([(X, Y)]).labels() is None
    layers = [imageInputLayer([3, 4, 2]), fullyConnectedLayer(1), regressionLayer()]
    options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False, Shuffle="never")
    assert trainNetwork(batchDatastore(lambda: [(images, np.arange(5.0))]), layers, options).predict(images).shape == (
        5,
        1,
    )


def test_what_is_wrong_is_named():
    with pytest.raises(OptionError, match="but got an iterator. Give the function"):
        batchDatastore(batch for batch in [])
    for wrong in (5, X, "text"):
        with pytest.raises(OptionError, match="needs an iterable of mini-batches"):
            batchDatastore(wrong)
    with pytest.raises(DataError, match=r"mini-batch 2: needs the same number of observations .* but got \[2, 3\]"):
        batchDatastore([(X, Y), (X[:2], Y[:3])])
    with pytest.raises(DataError, match="the iterable is empty"):
        batchDatastore([])
    with pytest.raises(DataError, match="needs arrays or lists in a mini-batch, but got 5"):
        batchDatastore([(5, 6)])
    sizes = iter([4, 3])

    def changing():
        size = next(sizes)
        yield X[:size], Y[:size]

    ds = batchDatastore(changing)
    with pytest.raises(DataError, match="mini-batch 1 has another size than before"):
        ds.rows([0])
