"""Weight normalization and standardization as an option of convolutions and the fully connected layer."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from engines.gradients import difference, random_direction

from mlnet import (
    NetworkError,
    OptionError,
    UnknownNameError,
    analyzeNetwork,
    convolution1dLayer,
    convolution2dLayer,
    convolution3dLayer,
    fullyConnectedLayer,
    getL2Factor,
    getLearnRateFactor,
    groupedConvolution2dLayer,
    image3dInputLayer,
    imageInputLayer,
    regressionLayer,
    sequenceInputLayer,
    setL2Factor,
    setLearnRateFactor,
    transposedConv1dLayer,
    transposedConv2dLayer,
    transposedConv3dLayer,
)
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import StepPlan
from mlnet.network.compile import parameter_values, prediction_program, training_program
from mlnet.network.initialize import initialize
from mlnet.network.resolve import resolve

NORMALIZED, STANDARDIZED = "weight-normalization", "weight-standardization"
IMAGES, VOLUMES, SEQUENCES = (5, 6, 4), (4, 3, 5, 2), (4,)
LAYERS = {
    "conv1d": (convolution1dLayer, (3, 5), {"Padding": "causal"}, SEQUENCES, (1, 5), (0, 1)),
    "conv2d": (convolution2dLayer, ([3, 2], 5), {"Stride": 2}, IMAGES, (1, 1, 5), (0, 1, 2)),
    "conv3d": (convolution3dLayer, (2, 5), {}, VOLUMES, (1, 1, 1, 5), (0, 1, 2, 3)),
    "grouped": (groupedConvolution2dLayer, (3, 3, 2), {"Padding": 1}, IMAGES, (1, 1, 3, 2), (0, 1, 2)),
    "channel-wise": (groupedConvolution2dLayer, (3, 2, "channel-wise"), {}, IMAGES, (1, 1, 2, 4), (0, 1, 2)),
    "transposed1d": (transposedConv1dLayer, (3, 5), {"Stride": 2}, SEQUENCES, (1, 5), (0, 2)),
    "transposed2d": (transposedConv2dLayer, (3, 5), {"Cropping": 1}, IMAGES, (1, 1, 5), (0, 1, 3)),
    "transposed3d": (transposedConv3dLayer, (2, 5), {"Stride": 2}, VOLUMES, (1, 1, 1, 5), (0, 1, 2, 4)),
    "fc": (fullyConnectedLayer, (5,), {}, IMAGES, (5, 1), (1,)),
    "fc of sequences": (fullyConnectedLayer, (5,), {}, SEQUENCES, (5, 1), (1,)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
LENGTHS = np.array([5, 3, 4])


def make(name, kind, **options):
    constructor, arguments, more, *_ = LAYERS[name]
    return constructor(*arguments, WeightReparameterization=kind, Name="it", **more, **options)


def network(layer, dims):
    inputs = {1: sequenceInputLayer, 3: imageInputLayer, 4: image3dInputLayer}[len(dims)]
    size = dims if len(dims) > 1 else dims[0]
    return resolve([inputs(size, Normalization="none"), layer, regressionLayer()])


def initialized(layer, dims, seed=0):
    """The network with first values, and a bias that is not zero."""
    found = network(layer, dims)
    first = initialize(found.layers[1], found.input_size(1), np.random.default_rng(seed))
    bias = np.random.default_rng(9).standard_normal(first.Bias.shape).astype(np.float32)
    return found.with_layers([found.layers[0], first.replaced(Bias=bias), found.layers[2]])


def data(dims):
    lengths = LENGTHS if dims == SEQUENCES else None
    count = 3 if lengths is None else lengths.sum()
    return np.random.default_rng(1).standard_normal((count, *dims)), lengths


def outputs(found, program=prediction_program, values=None):
    plan = StepPlan(NumpyEngine(), program(found))
    x, lengths = data(found.layers[0].size().dims)
    values = parameter_values(found.layers, np.float64) if values is None else values
    return plan.forward(x, values, lengths=lengths).copy(), plan


@every_layer
@pytest.mark.parametrize("program", [prediction_program, training_program])
def test_normalized_weights_start_with_the_output_of_the_plain_layer(name, program):
    dims, shape, axes = LAYERS[name][3:]
    plain, normalized = (initialized(make(name, kind), dims) for kind in ("none", NORMALIZED))
    layer = normalized.layers[1]
    np.testing.assert_array_equal(layer.Weights, plain.layers[1].Weights)
    assert layer.WeightLength.shape == shape and layer.WeightLength.dtype == np.float32
    lengths = np.sqrt((layer.Weights.astype(np.float64) ** 2).sum(axis=axes))
    np.testing.assert_allclose(layer.WeightLength.ravel(), lengths.ravel(), rtol=1e-6)
    np.testing.assert_allclose(outputs(normalized, program)[0], outputs(plain, program)[0], rtol=1e-5, atol=1e-6)


@every_layer
def test_the_applied_weights_are_the_formula(name):
    """Each layer puts out what the plain layer with the computed weights does."""
    dims, shape, axes = LAYERS[name][3:]
    plain = initialized(make(name, "none"), dims)
    v = plain.layers[1].Weights.astype(np.float64)
    g = np.random.default_rng(3).standard_normal(shape)
    mean, variance = v.mean(axis=axes, keepdims=True), v.var(axis=axes, keepdims=True)
    norm = np.sqrt((v**2).sum(axis=axes, keepdims=True))
    for kind, w in (
        (NORMALIZED, g.reshape(norm.shape) * v / norm),
        (STANDARDIZED, (v - mean) / np.sqrt(variance + 1e-5)),
    ):
        given = {"WeightLength": g} if kind == NORMALIZED else {}
        found = initialized(make(name, kind, **given), dims)
        values = parameter_values(found.layers, np.float64)
        if kind == NORMALIZED:
            values["it", "WeightLength"] = g
        expected = parameter_values(plain.layers, np.float64)
        expected["it", "Weights"] = w
        np.testing.assert_allclose(
            outputs(found, values=values)[0], outputs(plain, values=expected)[0], rtol=1e-10, atol=1e-10
        )


@every_layer
@pytest.mark.parametrize("kind", [NORMALIZED, STANDARDIZED])
def test_gradients_through_the_program(name, kind):
    found = initialized(make(name, kind), LAYERS[name][3])
    values = parameter_values(found.layers, np.float64)
    y, plan = outputs(found, training_program, values)
    generator = np.random.default_rng(4)
    d_y = generator.standard_normal(y.shape)
    learnables = ["Weights", "Bias"] + ["WeightLength"] * (kind == NORMALIZED)
    assert [learnable.name for learnable in found.layers[1].learnables] == learnables
    assert set(values) == {("it", learnable) for learnable in learnables}
    gradients, d_x = plan.backward(d_y, values.keys(), want_input=True)
    assert d_x is not None
    for key, value in values.items():
        direction = random_direction(value.shape, generator)

        def moved(other, key=key):
            return float(np.sum(outputs(found, training_program, {**values, key: other})[0] * d_y))

        expected = difference(moved, value, direction)
        assert np.sum(gradients[key] * direction) == pytest.approx(expected, rel=1e-6, abs=1e-6)
        only, _ = plan.backward(d_y, [key])  # a gradient by itself is the same
        np.testing.assert_array_equal(only[key], gradients[key])


@every_layer
def test_weight_length_is_there_only_where_it_is_used(name):
    dims, shape, _ = LAYERS[name][3:]
    for kind in ("none", STANDARDIZED, NORMALIZED):
        layer = make(name, kind)
        text = repr(layer)
        assert ("WeightReparameterization: " in text) == (kind != "none")
        assert ("WeightLength: []" in text) == (kind == NORMALIZED)
        assert ("WeightLength" in text) == (kind == NORMALIZED)
        twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
        assert repr(twin) == text and twin.learnables == layer.learnables
    found = initialized(make(name, NORMALIZED), dims)
    plain = initialized(make(name, "none"), dims)
    listed = [analyzeNetwork(list(each.layers)) for each in (plain, found)]
    assert listed[1].TotalLearnables == listed[0].TotalLearnables + int(np.prod(shape))
    assert f"WeightLength {'x'.join(map(str, shape))}" in repr(listed[1]) and "WeightLength" not in repr(listed[0])


def test_factors():
    layer = fullyConnectedLayer(3, WeightReparameterization=NORMALIZED)
    assert getLearnRateFactor(layer, "WeightLength") == getL2Factor(layer, "WeightLength") == 1
    layer = setL2Factor(setLearnRateFactor(layer, "WeightLength", 3), "WeightLength", 0)
    assert (layer.WeightLengthLearnRateFactor, layer.WeightLengthL2Factor) == (3, 0)
    with pytest.raises(UnknownNameError, match="no learnable parameter 'WeightLength'"):
        getL2Factor(fullyConnectedLayer(3), "WeightLength")


@pytest.mark.parametrize("initializer", ["ones", lambda size: np.full(size, 2.0)])
def test_other_first_lengths(initializer):
    layer = make("conv2d", NORMALIZED, WeightLengthInitializer=initializer)
    found = initialized(layer, IMAGES).layers[1].WeightLength
    assert found.shape == (1, 1, 5) and (found == (1 if initializer == "ones" else 2)).all()
    given = make("conv2d", NORMALIZED, WeightLength=[1, 2, 3, 4, 5])
    assert initialized(given, IMAGES).layers[1].WeightLength.ravel().tolist() == [1, 2, 3, 4, 5]


def test_lengths_of_given_weights():
    layer = fullyConnectedLayer(2, Weights=[[3, 4], [0, 2]], WeightReparameterization=NORMALIZED)
    assert initialized(layer, (2,)).layers[1].WeightLength.tolist() == [[5], [2]]


def test_filters_of_zeros_have_no_direction():
    for layer in (
        fullyConnectedLayer(2, Weights=[[3, 4], [0, 0]], WeightReparameterization=NORMALIZED),
        fullyConnectedLayer(2, Weights=[[3, 4], [0, 0]], WeightLength=[1, 1], WeightReparameterization=NORMALIZED),
    ):
        with pytest.raises(OptionError, match="whose Weights are not all zero, but those of filter 2 are"):
            initialized(layer, (2,))
    with pytest.raises(OptionError, match="filter 1 are. Use another WeightsInitializer"):
        initialized(make("conv2d", NORMALIZED, WeightsInitializer="zeros"), IMAGES)
    initialized(make("conv2d", STANDARDIZED, WeightsInitializer="zeros"), IMAGES)


@pytest.mark.parametrize(
    "layer", [convolution2dLayer(1, 3, Name="it"), groupedConvolution2dLayer(1, 2, "channel-wise", Name="it")]
)
def test_a_single_weight_cannot_be_standardized(layer):
    layer.WeightReparameterization = STANDARDIZED
    with pytest.raises(NetworkError, match=r"filters of at least 2 weights .*weight-standardization'\), but got"):
        network(layer, (5, 5, 1))
    layer.WeightReparameterization = NORMALIZED
    network(layer, (5, 5, 1))


def test_lengths_that_do_not_fit():
    with pytest.raises(NetworkError, match="WeightLength of size 1x1x5, but got WeightLength of size 3x1"):
        network(make("conv2d", NORMALIZED, WeightLength=[1, 2, 3]), IMAGES)
    with pytest.raises(OptionError, match=r"WeightLength: needs 5 rows \(OutputSize\), but got 3"):
        fullyConnectedLayer(5, WeightReparameterization=NORMALIZED, WeightLength=[1, 2, 3])


@pytest.mark.parametrize("constructor, size", [(fullyConnectedLayer, (2,)), (convolution2dLayer, (3, 2))])
@pytest.mark.parametrize("kind", ["none", STANDARDIZED])
def test_lengths_that_nothing_would_use_are_refused(constructor, size, kind):
    text = f"WeightLength needs WeightReparameterization 'weight-normalization', but that is '{kind}'"
    with pytest.raises(OptionError, match=text):
        constructor(*size, WeightReparameterization=kind, WeightLength=[1, 2])
    layer = constructor(*size, WeightReparameterization=NORMALIZED, WeightLength=[1, 2])
    with pytest.raises(OptionError, match=text):
        layer.WeightReparameterization = kind
    assert layer.WeightLength.tolist() == [1.0, 2.0]
    layer.WeightLength = []
    layer.WeightReparameterization = kind
