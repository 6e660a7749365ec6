"""minibatchpredict, scores2label and testnet."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    UnknownNameError,
    accuracyMetric,
    addLayers,
    assembleNetwork,
    categorical,
    categories,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    crossentropy,
    dlarray,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    minibatchpredict,
    onehotdecode,
    predict,
    regressionLayer,
    reluLayer,
    scores2label,
    selfAttentionLayer,
    sequenceInputLayer,
    softmaxLayer,
    testnet,
)


def network():
    return dlnetwork(
        [imageInputLayer([4, 4, 1], Normalization="none"), convolution2dLayer(3, 2, Name="conv"),
         reluLayer(Name="relu"), fullyConnectedLayer(3, Name="fc"), softmaxLayer(Name="softmax")]
    )  # fmt: skip


IMAGES = np.random.default_rng(0).normal(size=(4, 4, 1, 7)).astype("single")


def test_it_is_predict_in_mini_batches():
    net = network()
    y = minibatchpredict(net, IMAGES, MiniBatchSize=2)
    np.testing.assert_allclose(y, net.predict(dlarray(IMAGES, "SSCB")).extractdata().T, rtol=1e-5)
    relu, fc = minibatchpredict(net, IMAGES, Outputs=["relu", "fc"])
    assert (relu.shape, fc.shape) == ((2, 2, 2, 7), (7, 3))
    wanted = net.predict(dlarray(IMAGES, "SSCB"), Outputs="relu").extractdata()
    np.testing.assert_allclose(relu, wanted, rtol=1e-5, atol=1e-6)
    separate = minibatchpredict(net, IMAGES, "UniformOutput", False, "Outputs", "relu")
    assert len(separate) == 7
    np.testing.assert_array_equal(separate[3], relu[..., 3])
    swapped = minibatchpredict(net, np.moveaxis(IMAGES, -1, 0), InputDataFormats="BSSC")
    np.testing.assert_array_equal(swapped, minibatchpredict(net, IMAGES))


def test_sequences():
    net = dlnetwork([sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2)])
    x = [np.random.default_rng(n).normal(size=(3, n)) for n in (5, 5, 8)]
    found = minibatchpredict(net, x)
    assert [each.shape for each in found] == [(5, 2), (5, 2), (8, 2)]
    one = net.predict(dlarray(x[2].astype("single"), "CT")).extractdata()
    np.testing.assert_allclose(found[2].T, one, rtol=1e-4, atol=1e-6)
    assert minibatchpredict(net, x[:2]).shape == (5, 2, 2)
    assert minibatchpredict(net, x[0]).shape == (5, 2)
    assert [each.shape[0] for each in minibatchpredict(net, x, UniformOutput=False)] == [5, 5, 8]


def test_scores_of_sequences():
    layers = [sequenceInputLayer(3), selfAttentionLayer(2, 4, HasScoresOutput=True, Name="att")]
    net = dlnetwork([*layers, fullyConnectedLayer(2, Name="fc")])
    x = [np.random.default_rng(n).normal(size=(3, n)) for n in (4, 6)]
    wanted = [net.predict(dlarray(each, "CT"), Outputs="att/scores").extractdata() for each in x]
    assert [each.shape for each in wanted] == [(4, 4, 2), (6, 6, 2)]
    scores, y = minibatchpredict(net, x)
    assert scores.shape == (6, 6, 2, 2) and [each.shape for each in y] == [(4, 2), (6, 2)]
    graph = addLayers(addLayers(layerGraph(net), regressionLayer(Name="y")), regressionLayer(Name="scores"))
    trained = assembleNetwork(connectLayers(connectLayers(graph, "fc", "y"), "att/scores", "scores"))
    for found in (scores, predict(trained, x)[1], predict(trained, x, MiniBatchSize=1)[1]):
        np.testing.assert_allclose(found[:4, :4, :, 0], wanted[0], rtol=1e-4)
        np.testing.assert_allclose(found[..., 1], wanted[1], rtol=1e-4)
        assert not found[4:, :, :, 0].any()
    np.testing.assert_array_equal(minibatchpredict(net, x, UniformOutput=False)[0][1], scores[..., 1])


def test_several_inputs():
    graph = layerGraph([featureInputLayer(2, Name="a"), concatenationLayer(1, 2, Name="cat"), fullyConnectedLayer(1)])
    net = dlnetwork(connectLayers(addLayers(graph, featureInputLayer(3, Name="b")), "b", "cat/in2"))
    a, b = np.ones((4, 2)), np.ones((4, 3))
    assert minibatchpredict(net, a, b).shape == (4, 1)
    np.testing.assert_array_equal(minibatchpredict(net, (a, b)), minibatchpredict(net, a, b))


def test_scores2label():
    scores = np.array([[0.2, 0.8], [0.9, 0.1], [np.nan, 1]])
    labels, best = scores2label(scores, ["no", "yes"], nargout=2)
    assert list(labels.names()) == ["yes", "no", None]
    np.testing.assert_array_equal(best, [0.8, 0.9, np.nan])
    assert list(scores2label(scores.T, ["no", "yes"], 1).names()) == ["yes", "no", None]
    assert list(scores2label(dlarray(scores[:2].T, "CB"), categorical(["no", "yes"])).names()) == ["yes", "no"]
    decoded = onehotdecode(scores[:2], ["no", "yes"], 2)
    assert list(np.ravel(decoded.names())) == list(scores2label(scores[:2], ["no", "yes"]).names())
    image = np.random.default_rng(0).random((4, 5, 3, 2))
    pixels = scores2label(image, ["a", "b", "c"])
    assert pixels.shape == (4, 5, 1, 2)
    np.testing.assert_array_equal(pixels.codes[:, :, 0], image.argmax(axis=2))
    lists = scores2label([scores[:2], scores[:1]], ["no", "yes"])
    assert [len(each) for each in lists] == [2, 1]
    assert categories(scores2label([[0, 1]], ["z", "a"])) == ["z", "a"]


def test_testnet_of_classes():
    net = network()
    t = categorical(np.arange(7) % 3)
    scores = minibatchpredict(net, IMAGES)
    accuracy = 100 * np.mean(scores.argmax(1) == t.codes)
    assert testnet(net, IMAGES, t, "accuracy") == pytest.approx(accuracy)
    values = testnet(
        net, IMAGES, t, ["accuracy", accuracyMetric(NumTopKClasses=3, Name="Top"), "fscore"], MiniBatchSize=3
    )
    np.testing.assert_allclose(values[:2], [accuracy, 100])
    assert testnet(net, IMAGES, np.eye(3)[t.codes], "accuracy") == pytest.approx(accuracy)
    function = testnet(net, IMAGES, t, lambda Y, T: crossentropy(Y, T))
    assert function == pytest.approx(-np.log(scores[np.arange(7), t.codes]).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: minibatchpredict(network(), IMAGES, Outputs="rleu"), UnknownNameError, "relu"),
        (lambda: minibatchpredict(network(), IMAGES[:3]), DataError, "minibatchpredict: X"),
        (lambda: minibatchpredict(3, IMAGES), OptionError, "dlnetwork"),
        (lambda: minibatchpredict(network(), IMAGES, MiniBatchSise=3), UnknownNameError, "MiniBatchSize"),
        (lambda: scores2label(np.ones((3, 2)), ["a"]), DataError, "each of the 2 scores"),
        (lambda: scores2label(np.ones((3, 2)), ["a", "b"], 3), OptionError, "3 dimensions"),
        (lambda: scores2label(np.ones((3, 2)), ["a", "a"]), DataError, "different classes"),
        (lambda: testnet(network(), IMAGES, categorical(np.arange(7) % 3), "rmse"), OptionError, "testnet: Metrics"),
        (lambda: testnet(network(), IMAGES, np.ones(3), "rmse"), DataError, "testnet: T"),
        (lambda: testnet(network(), IMAGES), OptionError, "metrics"),
        (
            lambda: testnet(network(), IMAGES, np.ones(7), ["rmse", "mae"]),
            OptionError,
            r"metrics: needs one of .*\['rmse', 'mae'\]",
        ),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
