"""Training and predicting from datastores, and reading in the background."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mlnet import (
    DataError,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    convolution2dLayer,
    dropoutLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    pixelClassificationLayer,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.data.datastores.datastore import Datastore

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 255, (6, 5, 1, 22)).astype(np.uint8)
LABELS = np.array(["a", "b", "c"])[np.arange(22) % 3]


class Rows(Datastore):
    """Rows in memory that keeps account of what is read."""

    def __init__(self, *columns, labels=None, noise=False):
        super().__init__()
        self.columns, self._labels, self._noise = columns, labels, noise
        self.threads, self.asked = set(), []

    def __len__(self):
        return len(self.columns[0])

    def rows(self, numbers, generator=None):
        self.threads.add(threading.get_ident())
        self.asked.append(list(numbers))
        found = [tuple(column[number] for column in self.columns) for number in numbers]
        if self._noise:
            generator = generator or np.random.default_rng(0)
            found = [(row[0] + generator.integers(0, 9, row[0].shape), *row[1:]) for row in found]
        return found

    def labels(self):
        return self._labels

    def describe_row(self, number):
        return f"file{number}.png"


def images(count=22):
    return [IMAGES[..., 0, number] for number in range(count)]  # without the channel


def classifier():
    return [
        imageInputLayer([6, 5, 1]),
        convolution2dLayer(3, 4),
        batchNormalizationLayer(),
        reluLayer(),
        dropoutLayer(0.2),
        fullyConnectedLayer(3),
        softmaxLayer(),
        classificationLayer(),
    ]


def options(**more):
    return trainingOptions("sgdm", **{"MaxEpochs": 3, "MiniBatchSize": 4, "Verbose": False, **more})


def trained(*data, layers=None, **more):
    rng(0)
    return trainNetwork(*data, layers or classifier(), options(Shuffle="every-epoch", **more))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("background", [True, False])
def test_the_same_network_as_from_arrays(known, background):
    expected = trained(IMAGES, LABELS)
    data = Rows(images(), LABELS, labels=categorical(LABELS) if known else None)
    data.forkable = False  # so that it is this process that notes who reads
    net = trained(data, DispatchInBackground=background)
    np.testing.assert_array_equal(net.predict(IMAGES), expected.predict(IMAGES))
    np.testing.assert_array_equal(net.Layers(3).TrainedMean, expected.Layers(3).TrainedMean)
    np.testing.assert_array_equal(net.predict(data, MiniBatchSize=5), net.predict(IMAGES, MiniBatchSize=5))
    assert np.all(net.classify(data) == net.classify(IMAGES))
    assert (len(data.threads) == 2) == background
    assert max(map(len, data.asked)) <= 128, "never more than a mini-batch at a time"


def test_each_mini_batch_is_read_once_for_inputs_and_responses():
    data = Rows(images(20), np.arange(20.0))
    layers = [imageInputLayer([6, 5, 1], Normalization="none"), fullyConnectedLayer(1), regressionLayer()]
    trained(data, layers=layers, MaxEpochs=2, InitialLearnRate=1e-7)
    assert sum(map(len, data.asked)) == 2 * 20 + 2, "the first observation is looked at twice before training"


@pytest.mark.parametrize("background", [True, False])
def test_randomness_depends_on_neither_threads_nor_reading_ahead(background):
    first = trained(Rows(images(), LABELS, labels=categorical(LABELS), noise=True), PreprocessingEnvironment="serial")
    environment = "background" if background else "serial"
    data = Rows(images(), LABELS, labels=categorical(LABELS), noise=True)
    net = trained(data, PreprocessingEnvironment=environment)
    np.testing.assert_array_equal(net.Layers(2).Weights, first.Layers(2).Weights)
    plain = trained(Rows(images(), LABELS, labels=categorical(LABELS)))
    assert not np.array_equal(net.Layers(2).Weights, plain.Layers(2).Weights)


def test_validation_responses_and_images_of_labels():
    data = Rows(images(), np.arange(22.0))
    layers = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    rng(0)
    small = options(ValidationData=data, InitialLearnRate=1e-5)
    _, info = trainNetwork(data, layers, small, nargout=2)
    rng(0)
    _, expected = trainNetwork(
        IMAGES,
        np.arange(22.0),
        layers,
        options(ValidationData=(IMAGES, np.arange(22.0)), InitialLearnRate=1e-5),
        nargout=2,
    )
    np.testing.assert_array_equal(info.ValidationRMSE, expected.ValidationRMSE)
    labels = categorical(np.where(IMAGES[..., 0, :] > 120, "bright", "dark"))
    pixel = [
        imageInputLayer([6, 5, 1]),
        convolution2dLayer(1, 2),
        softmaxLayer(),
        pixelClassificationLayer(Classes=["bright", "dark"]),
    ]
    each = [labels[..., number] for number in range(22)]
    net = trained(Rows(images(), each), layers=pixel)
    np.testing.assert_array_equal(net.predict(IMAGES), trained(IMAGES, labels, layers=pixel).predict(IMAGES))
    with pytest.raises(DataError, match="needs the names of the classes"):
        trained(Rows(images(), each), layers=[*pixel[:-1], pixelClassificationLayer()])


def test_images_as_responses_and_sequences():
    layers = [imageInputLayer([6, 5, 1]), convolution2dLayer(3, 1, Padding="same"), regressionLayer()]
    small = {"InitialLearnRate": 1e-6}
    net = trained(Rows(images(), images()), layers=layers, **small)
    np.testing.assert_array_equal(net.predict(IMAGES), trained(IMAGES, IMAGES, layers=layers, **small).predict(IMAGES))
    x = [GENERATOR.normal(size=(2, length)) for length in (3, 5, 4, 6, 2, 7, 3, 4)]
    y = np.array(list("abababab"))
    recurrent = [
        sequenceInputLayer(2),
        lstmLayer(3, OutputMode="last"),
        fullyConnectedLayer(2),
        softmaxLayer(),
        classificationLayer(),
    ]
    net = trained(Rows(x, y), layers=layerGraph(recurrent))
    np.testing.assert_array_equal(net.predict(x), trained(x, y, layers=recurrent).predict(x))


def test_what_is_wrong_is_named():
    wrong = [*images(), np.zeros((4, 5), np.uint8)]
    labels = categorical([*LABELS, "a"])
    with pytest.raises(
        DataError, match="file22.png: the images are of size 4x5x1, but the input layer expects .* 6x5x1"
    ):
        trained(Rows(wrong, labels.names(), labels=labels))
    bad = [image.astype(float) for image in images()]
    bad[7][2, 2] = np.nan
    with pytest.raises(DataError, match="file7.png: needs finite numbers"):
        trained(Rows(bad, LABELS, labels=categorical(LABELS)))
    with pytest.raises(DataError, match="needs 2 columns \\(inputs and response\\), but file0.png has 1"):
        trained(Rows(images()))
    with pytest.raises(DataError, match="the datastore is empty"):
        trained(Rows([], []))
