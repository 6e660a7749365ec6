"""Semantic segmentation as a user does it: images of labels in, a class for each pixel out."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    LayerArray,
    NetworkError,
    OptionError,
    additionLayer,
    addLayers,
    assembleNetwork,
    batchNormalizationLayer,
    categorical,
    categories,
    classificationLayer,
    classify,
    connectLayers,
    convolution2dLayer,
    convolution3dLayer,
    dicePixelClassificationLayer,
    featureInputLayer,
    focalLossLayer,
    fullyConnectedLayer,
    image3dInputLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    maxPooling2dLayer,
    pixelClassificationLayer,
    predict,
    regressionLayer,
    reluLayer,
    removeLayers,
    rng,
    semanticseg,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    transposedConv2dLayer,
)

NAMES = ["ground", "bar", "spot"]
OUTPUTS = {
    "cross-entropy": pixelClassificationLayer,
    "weighted": lambda: pixelClassificationLayer(Classes=NAMES, ClassWeights=[0.3, 1, 1]),
    "dice": dicePixelClassificationLayer,
    "focal": focalLossLayer,
}


def options(**changes):
    given = {"MaxEpochs": 8, "MiniBatchSize": 16, "InitialLearnRate": 0.01, "Verbose": False, **changes}
    return trainingOptions("adam", **given)


def scenes(count, seed=0, size=16):
    """Return noisy images (H, W, 1, count) with a dark bar and a bright spot, and their labels (H, W, count)."""
    generator = np.random.default_rng(seed)
    codes = np.zeros((size, size, count), int)
    for number in range(count):
        row, top, left = generator.integers(0, size - 4, 3)
        codes[row : row + 3, :, number] = 1
        codes[top : top + 4, left : left + 4, number] = 2
    x = np.array([0.0, -1, 1])[codes] + generator.normal(0, 0.3, codes.shape)
    return x[:, :, None], categorical(codes, [0, 1, 2], NAMES)


def encoder_decoder(output, size=16):
    return [
        imageInputLayer([size, size, 1]),
        convolution2dLayer(3, 8, Padding="same"),
        batchNormalizationLayer,
        reluLayer,
        maxPooling2dLayer(2, Stride=2),
        convolution2dLayer(3, 16, Padding="same"),
        reluLayer,
        transposedConv2dLayer(4, 8, Stride=2, Cropping=1),
        reluLayer,
        convolution2dLayer(1, 3),
        softmaxLayer,
        output,
    ]


def linear(output, channels=2, classes=3, side=(4, 5), seed=3):
    """Return a network whose scores are the softmax of a product with a given matrix, and that matrix."""
    w = np.random.default_rng(seed).normal(0, 1, (channels, classes)).astype(np.float32)
    conv = convolution2dLayer(1, classes, Weights=w.reshape(1, 1, channels, classes))
    return [imageInputLayer([*side, channels], Normalization="none"), conv, softmaxLayer, output], w


def linear_data(count, missing=0.3, seed=0):
    """Return images (4, 5, 2, count) and class numbers (4, 5, count), -1 where there is no label."""
    generator = np.random.default_rng(seed)
    x = generator.normal(0, 1, (4, 5, 2, count)).astype(np.float32)
    codes = generator.integers(0, 3, (4, 5, count))
    codes[generator.random(codes.shape) < missing] = -1
    return x, codes


def scores_of(x, w):
    z = np.einsum("hwcn,ck->hwnk", x.astype(float), w.astype(float))
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def frozen(**changes):
    """Return options under which next to nothing is learned, so that losses are those of the given weights."""
    return trainingOptions("sgdm", InitialLearnRate=1e-30, Verbose=False, Shuffle="never", **changes)


@pytest.mark.parametrize("make", OUTPUTS.values(), ids=OUTPUTS)
def test_an_encoder_and_decoder_learn_to_segment(make):
    x, y = scenes(160)
    x_new, y_new = scenes(40, seed=1)

    def train():
        rng(0)
        settings = options(ValidationData=(x_new, y_new))
        return trainNetwork(x, y, encoder_decoder(make()), settings, nargout=2)

    net, info = train()
    labels = semanticseg(x_new, net)
    accuracy = np.mean(labels == y_new)
    assert accuracy > 0.95
    assert categories(labels) == NAMES and labels.shape == (16, 16, 40)
    assert info.FinalValidationAccuracy == pytest.approx(100 * accuracy)
    assert min(np.mean((labels == name)[y_new == name]) for name in NAMES) > 0.8
    again, _ = train()
    np.testing.assert_array_equal(predict(again, x_new), predict(net, x_new))


def cross_entropy(p, t):
    return -np.mean(np.log(p[t >= 0, t[t >= 0]]))


def weighted(p, t):
    w = np.array([0.3, 1, 1])
    return -np.mean((w[t] * np.log(np.take_along_axis(p, t[..., None], -1)[..., 0]))[t >= 0])


def focal(p, t):
    own = p[t >= 0, t[t >= 0]]
    return -np.mean(0.25 * (1 - own) ** 2 * np.log(own))


def dice(p, t):
    losses = []
    for n in range(t.shape[-1]):
        y, labels = p[:, :, n].reshape(-1, 3), t[:, :, n].ravel()
        y, one_hot = y[labels >= 0], np.eye(3)[labels[labels >= 0]]
        w = 1 / one_hot.sum(0) ** 2
        above, below = 2 * w * (y * one_hot).sum(0), w * (y**2 + one_hot).sum(0)
        losses.append(1 - (above.sum() + 1e-8) / (below.sum() + 1e-8))
    return np.mean(losses)


@pytest.mark.parametrize(
    "name, formula", [("cross-entropy", cross_entropy), ("weighted", weighted), ("focal", focal), ("dice", dice)]
)
def test_losses_and_accuracies_count_the_labelled_pixels(name, formula):
    x, codes = linear_data(11)
    layers, w = linear(OUTPUTS[name]())
    y = categorical.from_codes(codes, NAMES)
    settings = frozen(MaxEpochs=1, MiniBatchSize=4, ValidationData=(x, y))
    _, info = trainNetwork(x, y, layers, settings, nargout=2)
    p = scores_of(x, w)
    right = p.argmax(-1) == codes
    for batch in range(2):
        part = slice(4 * batch, 4 * batch + 4)
        assert info.TrainingLoss[batch] == pytest.approx(formula(p[:, :, part], codes[:, :, part]), rel=1e-5)
        accuracy = 100 * right[:, :, part].sum() / (codes[:, :, part] >= 0).sum()
        assert info.TrainingAccuracy[batch] == pytest.approx(accuracy)
    # three mini-batches of 4, 4 and 3 images with different numbers of labels
    assert info.FinalValidationLoss == pytest.approx(formula(p, codes), rel=1e-5)
    assert info.FinalValidationAccuracy == pytest.approx(100 * right.sum() / (codes >= 0).sum())


@pytest.mark.parametrize("make", OUTPUTS.values(), ids=OUTPUTS)
def test_a_mini_batch_without_any_label_changes_nothing(make, capsys):
    x, codes = linear_data(8)
    codes[:, :, 4:] = -1
    layers, _ = linear(make())
    y = categorical.from_codes(codes, NAMES)
    settings = trainingOptions(
        "sgdm", MaxEpochs=1, MiniBatchSize=4, Shuffle="never", Momentum=0, L2Regularization=0, VerboseFrequency=1
    )
    one, _ = trainNetwork(x[..., :4], y[:, :, :4], layers, settings, nargout=2)
    two, info = trainNetwork(x, y, layers, settings, nargout=2)
    assert np.isnan(info.TrainingAccuracy[1]) and info.TrainingLoss[1] == 0
    np.testing.assert_array_equal(one.Layers(2).Weights, two.Layers(2).Weights)
    last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|       1 |           2")]
    assert len(last) == 1 and "nan" not in last[0].lower()
    _, info = trainNetwork(x, y, layers, frozen(MaxEpochs=1, MiniBatchSize=4, ValidationData=(x, y)), nargout=2)
    assert np.isfinite([info.FinalValidationLoss, info.FinalValidationAccuracy]).all()


@pytest.mark.parametrize(
    "given",
    [
        lambda codes: categorical.from_codes(codes, NAMES),
        lambda codes: categorical.from_codes(codes, NAMES)[:, :, None],
        lambda codes: np.array([*NAMES, None], dtype=object)[codes],
        lambda codes: categorical(codes, [0, 1, 2], NAMES).names().tolist(),
    ],
    ids=["categorical", "with a channel", "texts", "nested lists"],
)
def test_forms_of_labels(given):
    x, codes = linear_data(6)
    layers, _ = linear(pixelClassificationLayer(Classes=NAMES))
    _, expected = trainNetwork(x, categorical.from_codes(codes, NAMES), layers, frozen(MaxEpochs=1), nargout=2)
    net, info = trainNetwork(x, given(codes), layers, frozen(MaxEpochs=1), nargout=2)
    assert info.TrainingLoss.tolist() == expected.TrainingLoss.tolist()
    assert net.Layers(4).ClassNames == NAMES and net.Layers(4).OutputSize == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_numbers_are_labels_in_their_order(dtype):
    x, codes = linear_data(6, missing=0)
    net = trainNetwork(x, (10 * codes).astype(dtype), linear(pixelClassificationLayer())[0], frozen(MaxEpochs=1))
    assert net.Layers(4).ClassNames == ["0", "10", "20"]
    assert net.Layers(4).description() == "Cross-entropy loss with '0' and 2 other classes"


def test_the_network_may_put_out_another_size_than_it_takes():
    x, y = scenes(6)
    layers = [imageInputLayer([16, 16, 1]), convolution2dLayer(3, 3, Stride=2), softmaxLayer, pixelClassificationLayer]
    net = trainNetwork(x, y[1:-1:2, 1:-1:2], layers, frozen(MaxEpochs=1))
    assert semanticseg(x, net).shape == (7, 7, 6) and predict(net, x).shape == (7, 7, 3, 6)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda y: y[:8], "needs labels of size 16x16x6 (height x width of what the network puts out x observations"),
        (lambda y: y[:8], "but got 8x16x6. Change the layers"),
        (lambda y: y[..., :5], "needs labels of size 16x16x6"),
        (lambda y: categorical(np.moveaxis(y.names(), -1, 0)), "Move the observations to the end, numpy.moveaxis(Y"),
        (lambda y: y[0, 0], "but got 6. For one class for each image"),
        (
            lambda y: categorical(y.names(), NAMES[:2]),
            "but there are 2. Change the filters of the last convolution to 2.",
        ),
        (
            lambda y: np.where(y.codes == 2, "tree", y.names()),
            "needs classes out of ['ground', 'bar', 'spot'], but has",
        ),
        (lambda y: categorical.from_codes(np.full(y.shape, -1), NAMES), "needs pixels with a label, but all are und"),
        (lambda y: np.full(y.shape, None), "needs pixels with a label, but all are undefined"),
        (lambda y: categorical(np.full(y.shape, "bar"), NAMES), "needs pixels of at least 2 classes, but all have"),
        (lambda y: y.codes + 0.5, "needs class labels (categorical, texts, integers or bools), but got fractional"),
    ],
)
def test_labels_that_do_not_fit(make, text):
    x, y = scenes(6)
    named = "needs classes out" in text or "at least 2" in text
    output = pixelClassificationLayer(Classes=NAMES if named else "auto")
    with pytest.raises(DataError) as caught:
        trainNetwork(x, make(y), encoder_decoder(output), options())
    assert str(caught.value).startswith("trainNetwork: Y: ") and text in str(caught.value)


@pytest.mark.parametrize(
    "layers, text",
    [
        (
            [imageInputLayer([4, 4, 1]), convolution2dLayer(1, 3), pixelClassificationLayer],
            "missing softmax layer",
        ),
        (
            [
                imageInputLayer([4, 4, 1]),
                convolution2dLayer(1, 3),
                softmaxLayer,
                pixelClassificationLayer(Classes=["a", "b"]),
            ],
            "needs 2 scores, one for each of the Classes, but got 3. Change the filters of the last convolution to 2",
        ),
        (
            [featureInputLayer(4), fullyConnectedLayer(3), softmaxLayer, dicePixelClassificationLayer],
            "needs an image of scores for each class, but got an input of 3 features. For one class for each",
        ),
        (
            [sequenceInputLayer([4, 4, 1]), convolution2dLayer(1, 3), softmaxLayer, focalLossLayer],
            "needs an image of scores for each class, but got an input of size 4x4x3 over time",
        ),
        (
            [imageInputLayer([4, 4, 1]), convolution2dLayer(1, 3), softmaxLayer, classificationLayer],
            "needs one score for each class, but got an input of size 4x4x3",
        ),
    ],
)
def test_networks_that_do_not_fit(layers, text):
    with pytest.raises(NetworkError) as caught:
        trainNetwork(*linear_data(4), LayerArray(layers), options())
    assert text in str(caught.value)


def test_volumes():
    generator = np.random.default_rng(0)
    codes = np.zeros((6, 5, 4, 10), int)
    codes[generator.random(codes.shape) < 0.4] = 1
    x = (2.0 * codes - 1 + generator.normal(0, 0.3, codes.shape))[:, :, :, None]
    y = categorical(codes, [0, 1], ["out", "in"])
    layers = [image3dInputLayer([6, 5, 4, 1]), convolution3dLayer(1, 2), softmaxLayer, dicePixelClassificationLayer]
    rng(0)
    net = trainNetwork(x, y, layers, options(MaxEpochs=40, MiniBatchSize=5, InitialLearnRate=0.1))
    labels, score, every = semanticseg(x, net, nargout=3)
    assert np.mean(labels == y) > 0.99
    assert labels.shape == score.shape == (6, 5, 4, 10) and every.shape == (6, 5, 4, 2, 10)
    one, _, all_of_one = semanticseg(x[..., 0], net, nargout=3)
    assert one.shape == (6, 5, 4) and all_of_one.shape == (6, 5, 4, 2) and (one == labels[..., 0]).all()
    flat = trainNetwork(x, y[:, :, :, None], layers, frozen(MaxEpochs=1))
    assert flat.Layers(4).ClassNames == ["out", "in"]
    with pytest.raises(DataError, match=r"needs labels of size 6x5x4x10 \(height x width x depth"):
        trainNetwork(x, y[:, :, 0], layers, options())


def test_one_image_is_enough():
    x, y = scenes(1)
    net = trainNetwork(x, y[:, :, 0], encoder_decoder(pixelClassificationLayer()), options(MaxEpochs=1))
    assert predict(net, x).shape == (16, 16, 3, 1)


@pytest.fixture(scope="module")
def trained():
    x, y = scenes(8)
    rng(0)
    return trainNetwork(x, y, encoder_decoder(pixelClassificationLayer()), options(MaxEpochs=2)), x


def test_semanticseg_gives_the_highest_score(trained):
    net, x = trained
    labels, score, every = semanticseg(x, net, "MiniBatchSize", 3, nargout=3)
    np.testing.assert_allclose(every, predict(net, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels.codes, every.argmax(axis=2))
    np.testing.assert_array_equal(score, every.max(axis=2))
    assert score.dtype == every.dtype == np.float32
    pair = semanticseg(x, net, nargout=2)
    assert isinstance(pair, tuple) and len(pair) == 2
    last = semanticseg(x[..., 7:], net)
    assert last.shape == (16, 16, 1)
    for image in (x[..., 7], x[:, :, 0, 7]):
        labels_of_one, score_of_one, every_of_one = semanticseg(image, net, nargout=3)
        assert labels_of_one.shape == score_of_one.shape == (16, 16) and every_of_one.shape == (16, 16, 3)
        np.testing.assert_array_equal(labels_of_one.codes, last.codes[..., 0])


def test_semanticseg_puts_out_numbers_and_other_names(trained):
    net, x = trained
    x = x.copy()
    x[0, 0, 0, 0] = np.nan
    labels = semanticseg(x, net)
    assert labels.names()[0, 0, 0] is None and (labels.codes[..., 1:] >= 0).all()
    numbers, double = (semanticseg(x, net, OutputType=kind) for kind in ("uint8", "double"))
    assert numbers.dtype == np.uint8 and double.dtype == np.float64
    np.testing.assert_array_equal(numbers, labels.codes + 1)
    assert np.isnan(double[labels.codes < 0]).all() and (double == numbers)[labels.codes >= 0].all()
    named = semanticseg(x, net, Classes=["a", "b", "c"])
    assert categories(named) == ["a", "b", "c"] and (named.codes == labels.codes).all()


def test_graphs_and_assembled_networks_segment(trained):
    net, x = trained
    graph = layerGraph(net.Layers)
    for assembled in (assembleNetwork(net.Layers), assembleNetwork(graph)):
        assert (semanticseg(x, assembled) == semanticseg(x, net)).all()
    graph = addLayers(removeLayers(graph, "imageinput"), [additionLayer(2, Name="sum")])
    for name in ("in1", "in2"):
        graph = addLayers(graph, imageInputLayer([16, 16, 1], Name=name, Normalization="none"))
        graph = connectLayers(graph, name, f"sum/{name}")
    two = assembleNetwork(connectLayers(graph, "sum", "conv_1"))
    with pytest.raises(NetworkError, match="needs a network with one input and one output, but it has 2 and 1"):
        semanticseg(x, two)


def test_what_semanticseg_and_classify_refuse(trained):
    net, x = trained
    flat = trainNetwork(
        np.eye(4), [0, 1, 0, 1], [featureInputLayer(4), fullyConnectedLayer(2), softmaxLayer, classificationLayer],
        options(MaxEpochs=1),
    )  # fmt: skip
    response = trainNetwork(
        x, x, [imageInputLayer([16, 16, 1]), convolution2dLayer(1, 1), regressionLayer], options(MaxEpochs=1)
    )
    for kind, call, text in [
        (NetworkError, lambda: classify(net, x), "ends with pixelClassificationLayer 'classoutput'. For the class of"),
        (
            NetworkError,
            lambda: semanticseg(np.eye(4), flat),
            "ends with classificationLayer 'classoutput', which takes",
        ),
        (NetworkError, lambda: semanticseg(x, response), "ends with regressionLayer"),
        (OptionError, lambda: semanticseg(net, x), "needs a trained network (from trainNetwork), but got an array"),
        (OptionError, lambda: semanticseg(x, net, nargout=4), "nargout needs to be 1, 2 or 3, but is 4"),
        (OptionError, lambda: semanticseg(x, net, OutputType="single"), "OutputType: needs"),
        (OptionError, lambda: semanticseg(x, net, Classes=["a", "b"]), "Classes: needs 3 names, one for each class"),
        (DataError, lambda: semanticseg(x[:8], net), "semanticseg: X: the images are of size 8x16x1"),
    ]:
        with pytest.raises(kind) as caught:
            call()
        assert text in str(caught.value)


def test_the_focal_loss_classifies_observations_and_time_steps():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 60)
    x = generator.normal(0, 0.5, (60, 3)) + y[:, None]
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer, focalLossLayer(Alpha=1)]
    rng(0)
    net = trainNetwork(x, y, layers, options(MaxEpochs=40, InitialLearnRate=0.05))
    assert np.mean(classify(net, x) == y) > 0.9
    assert net.Layers(4).description() == "Focal loss with classes '0' and '1'"
    lengths = [5, 3, 8, 4]
    sequences = [generator.normal(0, 1, (2, length)) for length in lengths]
    steps = [np.where(each[0] > 0, "up", "down") for each in sequences]
    layers = [sequenceInputLayer(2), lstmLayer(6), fullyConnectedLayer(2), softmaxLayer, focalLossLayer]
    rng(0)
    net, info = trainNetwork(sequences, steps, layers, options(MaxEpochs=60, InitialLearnRate=0.05), nargout=2)
    found = classify(net, sequences)
    assert np.mean(np.concatenate([a == b for a, b in zip(found, steps, strict=True)])) > 0.9
    assert info.TrainingLoss[-1] < info.TrainingLoss[0] / 3
