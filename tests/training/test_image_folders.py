"""Training from folders of images: the same as from arrays, random changes, and what is wrong before the start."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas
import pytest
from data.folders import classes, noise, save

import mlnet
from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    arrayDatastore,
    augmentedImageDatastore,
    classificationLayer,
    classify,
    combine,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageDataAugmenter,
    imageDatastore,
    imageInputLayer,
    pixelClassificationLayer,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
    predict,
    readDatastoreImage,
    regressionLayer,
    reluLayer,
    rng,
    semanticseg,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    transform,
)

ROOT = Path(mlnet.__file__).parent.parent
COUNTS = {"a": 9, "b": 8}


@pytest.fixture
def folder(tmp_path):
    classes(tmp_path, COUNTS)
    return tmp_path


def datastore(folder, **options):
    return imageDatastore(str(folder), IncludeSubfolders=True, LabelSource="foldernames", **options)


def layers(size=(6, 5, 1), count=2):
    return [
        imageInputLayer(list(size)),
        convolution2dLayer(3, 4),
        reluLayer(),
        fullyConnectedLayer(count),
        softmaxLayer(),
        classificationLayer(),
    ]


def trained(data, network=None, **more):
    rng(0)
    options = {"MaxEpochs": 3, "MiniBatchSize": 5, "Verbose": False, "Shuffle": "every-epoch", **more}
    return trainNetwork(*data, network or layers(), trainingOptions("sgdm", **options))


def weights(net):
    return net.Layers[1].Weights


def test_a_folder_trains_as_its_images_in_memory(folder):
    imds = datastore(folder)
    images = np.stack(imds.readall(), axis=-1)[:, :, np.newaxis]
    expected = trained((images, imds.Labels))
    for data in (
        imds,
        augmentedImageDatastore([6, 5], imds),
        augmentedImageDatastore([6, 5], images, imds.Labels),
        combine(imds, arrayDatastore(imds.Labels)),
        transform(imds, lambda image, info: ((image, info.Label), info), IncludeInfo=True),
    ):
        net = trained((data,))
        np.testing.assert_array_equal(weights(net), weights(expected))
        np.testing.assert_array_equal(predict(net, data), predict(expected, images))
    assert np.all(classify(expected, imds) == classify(expected, images))
    numbers = datastore(folder)
    numbers.Labels = np.arange(17.0)
    regression = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    small = {"InitialLearnRate": 1e-7}
    np.testing.assert_array_equal(
        weights(trained((numbers,), regression, **small)),
        weights(trained((images, np.arange(17.0)), regression, **small)),
    )


def test_a_memory_map_trains_as_an_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 5, 1, 12)).astype(np.uint8)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    labels = list("ab" * 6)
    np.testing.assert_array_equal(weights(trained((mapped, labels))), weights(trained((images, labels))))
    auimds = augmentedImageDatastore([6, 5], mapped, labels)
    np.testing.assert_array_equal(weights(trained((auimds,))), weights(trained((images, labels))))


def test_random_changes_do_not_depend_on_threads(folder):
    moves = imageDataAugmenter(RandXTranslation=[-2, 2], RandRotation=[-20, 20])
    auimds = augmentedImageDatastore([5, 5], datastore(folder), DataAugmentation=moves, OutputSizeMode="randcrop")
    net = trained((auimds,), layers((5, 5, 1)))
    behind = augmentedImageDatastore(
        [5, 5], datastore(folder), DataAugmentation=moves, OutputSizeMode="randcrop", DispatchInBackground=True
    )
    np.testing.assert_array_equal(weights(trained((behind,), layers((5, 5, 1)))), weights(net))
    plain = augmentedImageDatastore([5, 5], datastore(folder))
    assert not np.array_equal(weights(trained((plain,), layers((5, 5, 1)))), weights(net))


@pytest.mark.parametrize("background", [True, False])
def test_a_datastore_may_ask_for_the_background(folder, background):
    log = folder / "log.txt"

    def read(name):
        with open(log, "a") as file:
            file.write(f"{os.getpid()}-{threading.get_ident()} ")
        return readDatastoreImage(name)

    imds = datastore(folder, ReadFcn=read)
    trained((augmentedImageDatastore([6, 5], imds, DispatchInBackground=background),))
    assert (len(set(log.read_text().split())) == 2) == background


def test_segmentation_of_files(tmp_path):
    for number in range(6):
        save(tmp_path / "x" / f"{number}.png", noise(number))
        save(tmp_path / "y" / f"{number}.png", (noise(number) > 128).astype(np.uint8))
    imds, pxds = (
        imageDatastore(str(tmp_path / "x")),
        pixelLabelDatastore(str(tmp_path / "y"), ["dark", "bright"], [0, 1]),
    )
    network = [
        imageInputLayer([6, 5, 1]),
        convolution2dLayer(1, 2),
        softmaxLayer(),
        pixelClassificationLayer(),
    ]
    images = np.stack(imds.readall(), -1)[:, :, np.newaxis]
    labels = np.stack([each.names() for each in pxds.readall()], -1)
    named = [*network[:-1], pixelClassificationLayer(Classes=["dark", "bright"])]
    expected = trained((images, labels), named)
    for data in (combine(imds, pxds), pixelLabelImageDatastore(imds, pxds)):
        net = trained((data,), network, ValidationData=data)
        np.testing.assert_array_equal(weights(net), weights(expected))
        assert list(net.Layers[-1].Classes.names()) == ["dark", "bright"]
    assert semanticseg(images[..., 0], net).shape == (6, 5)
    other = pixelLabelDatastore(str(tmp_path / "y"), ["dark", "moon"], [0, 1])
    with pytest.raises(DataError, match="needs classes out of dark, bright, but the datastore has also 'moon'"):
        trained((combine(imds, pxds),), network, ValidationData=combine(imds, other))


def test_what_is_wrong_is_said_before_the_first_iteration(folder, tmp_path):
    begun = []
    watch = {"OutputFcn": lambda info: begun.append(info.Iteration) if info.Iteration else None}
    imds = datastore(folder)

    def refused(message, train, **more):
        with pytest.raises(DataError, match=message):
            trained((train,), **watch, **more)

    refused("0.png has 1. Give imageDatastore Labels, or LabelSource='foldernames'", imageDatastore(imds.Files))
    regression = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    refused("0.png has 1. Give imageDatastore Labels", imageDatastore(imds.Files), network=regression)
    refused("size 6x5x1, but the input layer expects images of size 7x5x1", imds, network=layers((7, 5, 1)))
    classes(tmp_path / "other", {"a": 2, "b": 2}, (4, 4))
    refused(
        "ValidationData: X: .*a/0.png: the images are of size 4x4x1", imds, ValidationData=datastore(tmp_path / "other")
    )
    classes(tmp_path / "more", {"a": 2, "c": 2})
    refused(r"ValidationData: Y: needs classes out of \['a', 'b'\], but has also 'c'", imds,
            ValidationData=datastore(tmp_path / "more"))  # fmt: skip
    refused("Y: needs as many classes as the network puts out", imds, network=layers(count=3))
    classes(tmp_path / "half", {"a": 9, "b": 9})
    last = tmp_path / "half" / "b" / "8.png"
    last.write_bytes(last.read_bytes()[:40])
    refused("half/b/8.png: the file is no image, or damaged or incomplete", imds,
            ValidationData=datastore(tmp_path / "half"), MiniBatchSize=4)  # fmt: skip
    save(last, noise(1, (6, 6)))
    refused("ValidationData: X: .*half/b/8.png: the images are of size 6x6x1", imds,
            ValidationData=datastore(tmp_path / "half"))  # fmt: skip
    assert not begun
    whole = (folder / "b" / "3.png").read_bytes()
    (folder / "b" / "3.png").write_bytes(whole[:40])
    refused("b/3.png: the file is no image, or damaged or incomplete", imds, DispatchInBackground=True)
    with pytest.warns(UserWarning, match="left out 1 of 17 files, which cannot be read: 3.png"):
        rest = imageDatastore([str(folder / "a"), str(folder / "b")], LabelSource="foldernames", UnreadableFiles="skip")
    assert len(rest) == 16 and trained((rest,)).Layers[-1].Classes.size == 2


def test_tables(folder):
    imds = datastore(folder)
    expected = weights(trained((imds,)))
    frame = pandas.DataFrame({"file": imds.Files, "kind": imds.Labels.names(), "number": np.arange(17) / 10})
    np.testing.assert_array_equal(weights(trained((frame[["file", "kind"]],))), expected)
    np.testing.assert_array_equal(weights(trained((frame, "kind"))), expected)
    regression = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    assert trained((frame, ["number"]), regression, InitialLearnRate=1e-7).Layers[-1].ResponseNames == ["number"]
    x, y = np.random.default_rng(0).random((17, 2)), list("ab" * 8 + "a")
    features = pandas.DataFrame({"u": x[:, 0], "v": x[:, 1], "kind": y})
    network = [featureInputLayer(2), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    np.testing.assert_array_equal(weights(trained((features,), network)), weights(trained((x, y), network)))
    turned = features[["kind", "v", "u"]]
    with pytest.raises(
        DataError, match="needs numbers, but the column 'kind' has labels such as 'a'. For training make"
    ):
        trained((turned,), network)
    with pytest.raises(DataError, match="there is no file or folder 'a'"):
        trained((turned, "v"), regression)
    with pytest.raises(
        DataError, match="needs numbers, but the column 'kind' has labels such as 'a'. For training make"
    ):
        trained((features, "v"), network)
    with pytest.raises(UnknownNameError, match="the table has no column 'kid'. Did you mean 'kind'"):
        trained((features, "kid"), network)
    with pytest.raises(DataError, match="columns of predictors and of responses"):
        trained((features[["u"]],), network)


def test_iterables_of_mini_batches(folder):
    imds = datastore(folder)
    images = np.stack(imds.readall(), axis=-1)[:, :, np.newaxis]
    names = imds.Labels.names()
    batches = [(images[..., part], names[part]) for part in (slice(0, 10), slice(10, 17))]
    expected = weights(trained((imds,), Shuffle="never"))
    np.testing.assert_array_equal(weights(trained((batches,), Shuffle="never")), expected)
    np.testing.assert_array_equal(weights(trained((lambda: iter(batches),), Shuffle="never")), expected)
    with pytest.raises(OptionError, match="needs an iterable of mini-batches"):
        trained((5,))


_MEASURE = """
import resource, sys
from mlnet import *
imds = imageDatastore(sys.argv[1], IncludeSubfolders=True, LabelSource="foldernames")
layers = [imageInputLayer([64, 64, 3], Normalization="none"), fullyConnectedLayer(2), softmaxLayer()]
layers += [classificationLayer()]
imds = subset(imds, [1 + number % len(imds) for number in range(int(sys.argv[2]))])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
options = trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=16, Verbose=False, DispatchInBackground=True)
trainNetwork(imds, layers, options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_folder(tmp_path):
    pytest.importorskip("resource")
    classes(tmp_path, {"a": 20, "b": 20}, (64, 64, 3))

    def peak(count):
        command = [sys.executable, "-c", _MEASURE, str(tmp_path), str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout) / 1024  # MB

    few, many = peak(64), peak(3200)  # 3200 images are 39 MB
    assert many - few < 20
