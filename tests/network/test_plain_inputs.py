"""dlnetworks take data without labels: their formats, and results in the same form."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    additionLayer,
    addLayers,
    connectLayers,
    convolution2dLayer,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    extractdata,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    predict,
    sequenceInputLayer,
    stripdims,
)

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((6, 3)).astype("single")
IMAGES = RNG.standard_normal((5, 4, 2, 6)).astype("single")
STEPS = RNG.standard_normal((3, 6, 7)).astype("single")


def of_features():
    return dlnetwork([featureInputLayer(3, Normalization="none"), fullyConnectedLayer(2)])


@pytest.mark.parametrize("run", [predict, forward])
def test_features(run):
    net = of_features()
    expected = extractdata(run(net, dlarray(FEATURES, "BC")))
    found = run(net, FEATURES)
    assert type(found) is np.ndarray and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.T)
    np.testing.assert_array_equal(run(net, FEATURES.astype(float)), expected.T)
    np.testing.assert_array_equal(run(net, FEATURES.T, InputDataFormats="CB"), expected)
    np.testing.assert_array_equal(run(net, FEATURES.T, "InputDataFormats", ["CB"]), expected)
    unformatted = run(net, dlarray(FEATURES), "InputDataFormats", "BC")
    assert isinstance(unformatted, dlarray) and unformatted.dims() == ""
    np.testing.assert_array_equal(extractdata(unformatted), expected.T)


def test_images_and_sequences():
    net = dlnetwork([imageInputLayer([5, 4, 2], Normalization="none"), convolution2dLayer(3, 3)])
    found = predict(net, IMAGES)
    np.testing.assert_array_equal(found, extractdata(predict(net, dlarray(IMAGES, "SSCB"))))
    moved = predict(net, IMAGES.transpose(3, 2, 0, 1), InputDataFormats="BCSS")
    np.testing.assert_array_equal(moved, found.transpose(3, 2, 0, 1))
    net = dlnetwork([sequenceInputLayer(3, Normalization="none"), lstmLayer(4)])
    expected = extractdata(predict(net, dlarray(STEPS, "CBT")))
    np.testing.assert_array_equal(predict(net, STEPS, InputDataFormats="CBT"), expected)
    np.testing.assert_array_equal(predict(net, STEPS.T, InputDataFormats="TBC"), expected.T)
    with pytest.raises(DataError, match="predict: sequenceinput: needs a formatted dlarray"):
        predict(net, STEPS)


def test_several_inputs_and_results():
    graph = layerGraph([featureInputLayer(3, Name="a", Normalization="none"), additionLayer(2, Name="sum")])
    graph = addLayers(graph, featureInputLayer(3, Name="b", Normalization="none"))
    net = dlnetwork(connectLayers(graph, "b", "sum/in2"))
    found = predict(net, FEATURES, FEATURES.T, InputDataFormats=["BC", "CB"])
    np.testing.assert_array_equal(found, 2 * FEATURES)
    mixed = predict(net, dlarray(FEATURES, "BC"), FEATURES)
    assert mixed.dims() == "CB"
    both = predict(net, FEATURES, FEATURES, Outputs=["a", "sum"])
    np.testing.assert_array_equal(both[0], FEATURES)
    with pytest.raises(OptionError, match="predict: InputDataFormats: needs one format for each of the 2 inputs, but"):
        predict(net, FEATURES, FEATURES, InputDataFormats="BC")


def test_mistakes():
    net = of_features()
    with pytest.raises(OptionError, match=r"InputDataFormats: needs data without labels beside 'CB', but got 'CB'"):
        predict(net, dlarray(FEATURES, "BC"), InputDataFormats="CB")
    with pytest.raises(DataError, match="needs a formatted dlarray"):
        predict(net, stripdims(dlarray(FEATURES, "BC")))
    with pytest.raises(DataError, match=r"predict: input: needs data of 3\(C\)"):
        predict(net, FEATURES.T)
    with pytest.raises(DataError, match=r"predict: input: needs an array or dlarray, but got \['data'\]"):
        predict(net, ["data"], InputDataFormats="BC")


def test_plain_data_keep_the_derivative_of_the_parameters():
    def gradient(net, x, **options):
        y = forward(net, x, **options)
        return y, dlgradient(np.sum(y * y), net.Learnables)

    net = of_features()
    y, gradients = dlfeval(gradient, net, FEATURES)
    labelled, expected = dlfeval(gradient, net, dlarray(FEATURES, "BC"))
    assert isinstance(y, dlarray) and y.dims() == ""
    np.testing.assert_array_equal(y.extractdata(), labelled.extractdata().T)
    for one, other in zip(gradients.Value, expected.Value, strict=True):
        np.testing.assert_allclose(one.extractdata(), other.extractdata(), rtol=1e-6)
    assert type(dlfeval(lambda x: forward(net, x), FEATURES)) is np.ndarray
