"""DataAugmentation of image input layers."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    arrayDatastore,
    combine,
    fullyConnectedLayer,
    imageInputLayer,
    load,
    predict,
    regressionLayer,
    rng,
    save,
    trainingOptions,
    trainNetwork,
)
from mlnet.data.images.simple_augmentation import augmented
from mlnet.data.sources.arrays import Predictors

X = np.arange(4 * 6 * 2 * 500.0).reshape(4, 6, 2, 500)


def batches(x, names, seed=None):
    predictors = Predictors(x, "SSC", (3, 4, 2), augmentation=names)
    predictors.generator = None if seed is None else np.random.default_rng(seed)
    return predictors.batch(slice(0, 500))


def test_crops_are_uniform_and_mirrored_ones_are_half_of_them():
    plain = np.moveaxis(X, -1, 0)
    found = batches(X, ("randcrop", "randfliplr"), seed=0)
    places = []
    for image, given in zip(found, plain, strict=True):
        crops = {(i, j): given[i : i + 3, j : j + 4] for i in range(2) for j in range(3)}
        places += [(*at, True) for at, crop in crops.items() if np.array_equal(image, crop[:, ::-1])]
        places += [(*at, False) for at, crop in crops.items() if np.array_equal(image, crop)]
    assert len(places) == 500
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert len(counts) == 2 * 3 * 2 and abs(counts - 500 / 12).max() < 5 * np.sqrt(500 / 12)


def test_outside_of_training_the_centre_is_taken_as_it_is():
    np.testing.assert_array_equal(batches(X, ["randcrop", "randfliplr"]), np.moveaxis(X, -1, 0)[:, 0:3, 1:5])
    same = np.moveaxis(X[:3, :4], -1, 0)
    assert augmented(same, ["randcrop"], (3, 4), np.random.default_rng(0)) is same


def test_images_that_are_too_small_are_refused():
    with pytest.raises(DataError, match="of size 2x4x2, but the input layer expects images of size 3x4x2"):
        Predictors(X[:2], "SSC", (3, 4, 2), augmentation=["randcrop"])
    with pytest.raises(DataError, match="4x6x2"):
        Predictors(X, "SSC", (3, 4, 2), augmentation=["randfliplr"])


def trained(augmentation, seed=0, data=None, **options):
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(4, 6, 1, 40)), generator.normal(size=(40, 1))
    rng(seed)
    layers = [imageInputLayer([4, 6, 1], DataAugmentation=augmentation), fullyConnectedLayer(1), regressionLayer()]
    given = trainingOptions("sgdm", MaxEpochs=3, MiniBatchSize=8, Verbose=False, InitialLearnRate=0.1, **options)
    arguments = (x, y) if data is None else (data(x, y),)
    return trainNetwork(*arguments, layers, given)


def weights(net):
    return net.Layers[1].Weights


def test_training_is_changed_by_augmentation_and_repeats_with_the_seed():
    first = trained("randfliplr")
    np.testing.assert_array_equal(weights(first), weights(trained(["randfliplr"])))
    assert not np.array_equal(weights(first), weights(trained("none")))
    assert not np.array_equal(weights(first), weights(trained("randfliplr", seed=1)))
    np.testing.assert_array_equal(weights(trained("none")), weights(trained("randcrop")))  # nothing to cut off


def test_predictions_and_input_statistics_are_not_augmented():
    net = trained("randfliplr")
    x = np.random.default_rng(2).normal(size=(4, 6, 1, 5))
    np.testing.assert_array_equal(predict(net, x), predict(net, x))
    np.testing.assert_array_equal(net.Layers[0].Mean, trained("none").Layers[0].Mean)


def test_a_layer_mirrors_for_every_reader_of_the_data():
    def datastore(x, y):
        images = arrayDatastore(x, IterationDimension=4)
        return combine(images, arrayDatastore(y))

    flips = trained("randfliplr", data=datastore)
    assert not np.array_equal(weights(flips), weights(trained("none", data=datastore)))
    np.testing.assert_array_equal(weights(flips), weights(trained("randfliplr")))


def test_augmentation_with_all_data_is_the_same_in_every_step():
    x = np.random.default_rng(1).normal(size=(4, 6, 1, 40))
    layers = [imageInputLayer([4, 6, 1], DataAugmentation="randfliplr"), fullyConnectedLayer(1), regressionLayer()]
    options = trainingOptions("lbfgs", MaxIterations=40, Verbose=False, GradientTolerance=1e-5)
    net, info = trainNetwork(x, x[0, 0, 0], layers, options, nargout=2)
    assert np.all(np.diff(info.TrainingLoss) <= 1e-6)
    assert np.isfinite(predict(net, x)).all()


def test_descriptions_saving_and_wrong_values(tmp_path):
    layer = imageInputLayer([32, 32, 3], DataAugmentation="randfliplr")
    assert layer.description() == "32x32x3 images with 'zerocenter' normalization and 'randfliplr' augmentations"
    both = imageInputLayer([8, 8], DataAugmentation=["randcrop", "randfliplr"], Normalization="none")
    assert both.description() == "8x8x1 images with 'randcrop' and 'randfliplr' augmentations"
    assert "DataAugmentation: {'randcrop'  'randfliplr'}" in repr(both)
    net = trained(["randcrop", "randfliplr"])
    save(tmp_path / "net.mat", net=net)
    assert load(tmp_path / "net.mat").net.Layers[0].DataAugmentation == ["randcrop", "randfliplr"]
    for wrong in (["none", "randcrop"], [], "rotate", ["randcrop"] * 2):
        with pytest.raises(OptionError, match="DataAugmentation"):
            imageInputLayer([8, 8], DataAugmentation=wrong)
