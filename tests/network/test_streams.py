"""Predictions for mini-batches of any iterable, and for every datastore."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from PIL import Image

from mlnet import (
    DataError,
    OptionError,
    activations,
    additionLayer,
    arrayDatastore,
    augmentedImageDatastore,
    batchDatastore,
    categorical,
    classificationLayer,
    classify,
    combine,
    connectLayers,
    convolution2dLayer,
    dlarray,
    evaluateSemanticSegmentation,
    featureInputLayer,
    fileDatastore,
    fullyConnectedLayer,
    imageDatastore,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    minibatchqueue,
    pixelClassificationLayer,
    predict,
    predictAndUpdateState,
    regressionLayer,
    rng,
    semanticseg,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    transform,
)

G = np.random.default_rng(0)
FEATURES = G.normal(size=(23, 3))
KINDS = categorical(np.array(["a", "b"])[np.arange(23) % 2])
IMAGES = G.integers(0, 255, (6, 5, 1, 9)).astype(float)
SEQUENCES = [G.normal(size=(2, length)) for length in (3, 5, 2, 4)]


def trained(x, y, layers):
    rng(0)
    return trainNetwork(x, y, layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False, InitialLearnRate=1e-5))


@pytest.fixture(scope="module")
def classifier():
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    return trained(FEATURES, KINDS, layers)


@pytest.fixture(scope="module")
def of_images():
    layers = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    return trained(IMAGES, KINDS[:9], layers)


def parts(*arrays, size=5):
    for start in range(0, len(arrays[0]), size):
        found = tuple(array[start : start + size] for array in arrays)
        yield found if len(found) > 1 else found[0]


def test_generators_and_other_iterables(classifier):
    expected = predict(classifier, FEATURES)

    class Reloaded:
        def __iter__(self):
            return parts(FEATURES)

    for given in (parts(FEATURES), parts(FEATURES, KINDS), Reloaded(), (part for part in parts(FEATURES, size=1))):
        found = predict(classifier, given, MiniBatchSize=3)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    labels, more = classify(classifier, parts(FEATURES), nargout=2)
    assert (labels == classify(classifier, FEATURES)).all() and more.shape == (23, 2)
    np.testing.assert_allclose(
        activations(classifier, parts(FEATURES), 2), activations(classifier, FEATURES, 2), rtol=1e-6
    )


def test_a_mini_batch_is_in_memory_at_a_time(classifier):
    alive = []

    def batches():
        for part in parts(FEATURES):
            alive.append(len(part))
            yield part
            assert len(alive) <= 5

    predict(classifier, batches())
    assert alive == [5, 5, 5, 5, 3]


def test_queues(classifier, of_images):
    store = combine(arrayDatastore(FEATURES), arrayDatastore(KINDS))
    for more in ({"MiniBatchFormat": ["BC", ""]}, {"OutputAsDlarray": False}, {}):
        queue = minibatchqueue(store, MiniBatchSize=4, **more)
        next(queue)
        np.testing.assert_allclose(predict(classifier, queue), predict(classifier, FEATURES), rtol=1e-6)
    queue = minibatchqueue(arrayDatastore(IMAGES, IterationDimension=4), MiniBatchSize=2, MiniBatchFormat="SSCB")
    np.testing.assert_allclose(predict(of_images, queue), predict(of_images, IMAGES), rtol=1e-4)
    singles = [dlarray(IMAGES[..., 0, n], "SS") for n in range(9)]
    np.testing.assert_allclose(predict(of_images, iter(singles)), predict(of_images, IMAGES), rtol=1e-4)


def test_sequences_and_several_inputs():
    layers = [sequenceInputLayer(2), lstmLayer(3), fullyConnectedLayer(1), regressionLayer()]
    net = trained(SEQUENCES, [each[:1] for each in SEQUENCES], layers)
    expected = predict(net, SEQUENCES)
    alike = np.stack([SEQUENCES[1]] * 2, -1)
    for given in (parts(SEQUENCES, size=3), iter(SEQUENCES)):
        for found, one in zip(predict(net, given), expected, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-4)
    for found in predict(net, iter([dlarray(alike, "CTB")])):
        np.testing.assert_allclose(found, expected[1], rtol=1e-4)
    state, _ = predictAndUpdateState(net, iter(SEQUENCES[:2]))
    assert state.Layers[1].HiddenState.shape == (3, 2)
    with pytest.raises(DataError, match="has states of 2 observations, but there are mini-batches. Use resetState"):
        predict(state, iter(SEQUENCES[:2]))
    graph = layerGraph([featureInputLayer(3, Name="a"), additionLayer(2, Name="add"), fullyConnectedLayer(1),
                        regressionLayer()])  # fmt: skip
    graph = connectLayers(graph.addLayers(featureInputLayer(3, Name="b")), "b", "add/in2")
    net = trained((FEATURES, FEATURES**2), FEATURES[:, :1], graph)
    expected = predict(net, FEATURES, FEATURES**2)
    np.testing.assert_allclose(predict(net, parts(FEATURES, FEATURES**2, KINDS)), expected, rtol=1e-4)
    with pytest.raises(DataError, match="mini-batch 1: needs 2 entries, one for each input"):
        predict(net, parts(FEATURES))


def test_what_does_not_fit(classifier):
    with pytest.raises(DataError, match="predict: X: needs at least one mini-batch, but got an empty iterable"):
        predict(classifier, iter([]))
    with pytest.raises(DataError, match="predict: X: mini-batch 2: needs observations x 3 features"):
        predict(classifier, iter([FEATURES[:2], FEATURES[:2, :2]]))


def test_every_datastore(classifier, of_images, tmp_path):
    expected, scores = predict(of_images, IMAGES), predict(classifier, FEATURES)
    for number in range(9):
        folder = tmp_path / str(number % 2)
        folder.mkdir(exist_ok=True)
        Image.fromarray(IMAGES[:, :, 0, number].astype(np.uint8)).save(folder / f"{number}.png")
        np.save(tmp_path / f"{number}.npy", FEATURES[number])
    order = [*range(0, 9, 2), *range(1, 9, 2)]
    stored = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames", FileExtensions=".png")
    for store in (
        stored,
        augmentedImageDatastore([6, 5], stored),
        transform(stored, lambda image: image.astype(float)),
        combine(stored, arrayDatastore(np.arange(9))),
        stored.subset(range(1, 10)),
    ):
        np.testing.assert_allclose(predict(of_images, store), expected[order], rtol=1e-4)
        assert (classify(of_images, store, MiniBatchSize=2) == classify(of_images, IMAGES)[order]).all()
    files = fileDatastore(tmp_path, ReadFcn=np.load, FileExtensions=".npy")
    for store, count in (
        (arrayDatastore(FEATURES), 23),
        (combine(arrayDatastore(FEATURES), arrayDatastore(KINDS)), 23),
        (batchDatastore(list(parts(FEATURES))), 23),
        (batchDatastore(lambda: parts(FEATURES)), 23),
        (files, 9),
        (pandas.DataFrame(FEATURES, columns=list("xyz")), 23),
    ):
        np.testing.assert_allclose(predict(classifier, store), scores[:count], rtol=1e-4)


def test_labels_of_pixels():
    layers = [imageInputLayer([6, 5, 1]), convolution2dLayer(1, 2), softmaxLayer(), pixelClassificationLayer()]
    net = trained(IMAGES, categorical((IMAGES[:, :, 0] > 100).astype(int)), layers)
    images = (IMAGES[..., start : start + 4] for start in (0, 4, 8))
    assert (semanticseg(images, net) == semanticseg(IMAGES, net)).all()


def test_labels_of_pixels_of_a_datastore_go_into_files(tmp_path, capsys):
    layers = [imageInputLayer([6, 5, 1]), convolution2dLayer(1, 2), softmaxLayer(), pixelClassificationLayer()]
    truth = categorical((IMAGES[:, :, 0] > 100).astype(int), ["0", "1"])
    net = trained(IMAGES, truth, layers)
    store = arrayDatastore(IMAGES, IterationDimension=4)
    (tmp_path / "pixelLabel_3.png").write_bytes(b"old")
    found = semanticseg(store, net, WriteLocation=str(tmp_path), MiniBatchSize=4)
    title = "Running semantic segmentation network"
    assert capsys.readouterr().out == f"{title}\n{'-' * len(title)}\n* Processed 9 images.\n\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"pixelLabel_{n}.png" for n in range(1, 10)]
    expected = semanticseg(IMAGES, net)
    for number in range(9):
        assert (found.readimage(number + 1) == expected[..., number]).all()
        stored = np.array(Image.open(tmp_path / f"pixelLabel_{number + 1}.png"))
        assert stored.dtype == np.uint8 and (stored == expected[..., number].codes + 1).all()
    right = np.mean(expected.codes == truth.codes)
    true = arrayDatastore([truth[..., number] for number in range(9)])
    metrics = evaluateSemanticSegmentation(found, true, Verbose=False)
    assert metrics.DataSetMetrics.GlobalAccuracy == [pytest.approx(right)]
    names = semanticseg(store, net, WriteLocation=str(tmp_path), NamePrefix="x", Classes=["no", "yes"], Verbose=False)
    assert names.ClassNames == ["no", "yes"] and not capsys.readouterr().out
    for more, text in (
        ({"WriteLocation": str(tmp_path / "none")}, "WriteLocation: needs a folder that exists"),
        ({"WriteLocation": str(tmp_path), "NamePrefix": "a/b"}, "NamePrefix: needs a name without folders"),
        ({"WriteLocation": str(tmp_path), "nargout": 2}, "nargout needs to be 1 for a datastore"),
    ):
        with pytest.raises(OptionError, match=text):
            semanticseg(store, net, **more)
