"""Group, instance, layer and RMS normalization, whitening, and the activations with a formula of their own."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import mlnet
from mlnet import (
    geluLayer,
    groupNormalizationLayer,
    instanceNormalizationLayer,
    layerNormalizationLayer,
    preluLayer,
    rmsNormalizationLayer,
    scalingLayer,
    softplusLayer,
    swishLayer,
    whiteningLayer,
)
from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.errors import OptionError, UnknownNameError
from mlnet.layers.base import Size
from mlnet.matrix_root import inverse_root
from mlnet.network.factors import getL2Factor, getLearnRateFactor, setLearnRateFactor
from mlnet.network.initialize import initialize
from mlnet.network.names import automatic_names

OPERATIONS = NumpyEngine().operations
NORMALIZATIONS = {
    "group": lambda **options: groupNormalizationLayer(2, **options),
    "instance": instanceNormalizationLayer,
    "layer": layerNormalizationLayer,
    "rms": rmsNormalizationLayer,
    "whitening": whiteningLayer,
}
ACTIVATIONS = {
    "swish": swishLayer,
    "softplus": softplusLayer,
    "gelu": geluLayer,
    "prelu": preluLayer,
    "scaling": scalingLayer,
}
IMAGES, FEATURES, SEQUENCES = Size("SSC", (5, 4, 6)), Size("C", (6,)), Size("CT", (6,))
every_normalization = pytest.mark.parametrize("make", NORMALIZATIONS.values(), ids=NORMALIZATIONS)
every_layer = pytest.mark.parametrize(
    "make", [*NORMALIZATIONS.values(), *ACTIVATIONS.values()], ids=[*NORMALIZATIONS, *ACTIVATIONS]
)


def data(size, count=7):
    """Return a mini-batch in the layout of engines; sequences have 3 time steps."""
    times = (3,) if "T" in size.format else ()
    return np.random.default_rng(0).standard_normal((count, *times, *size.dims))


def run(layer, size, x, *, training=True):
    """Initialize a layer and run its operation."""
    layer = initialize(layer.with_size(size), size, np.random.default_rng(1))
    call = layer.operation(size, training=training)
    parameters = [getattr(layer, name) for name in call.parameters]
    return OPERATIONS[call.operation].forward(x, *parameters, workspace=Workspace(), **call.attributes)


@pytest.mark.parametrize(
    "layer, type_name, untrained, trained, base_name",
    [
        (groupNormalizationLayer(2), "Group Normalization", "Group normalization", " with 6 channels", "groupnorm"),
        (
            instanceNormalizationLayer(),
            "Instance Normalization",
            "Instance normalization",
            " with 6 channels",
            "instancenorm",
        ),
        (layerNormalizationLayer(), "Layer Normalization", "Layer normalization", " with 6 channels", "layernorm"),
        (rmsNormalizationLayer(), "RMS Normalization", "RMS normalization", " with 6 channels", "rmsnorm"),
        (whiteningLayer(), "Whitening", "Whitening", " with 6 channels", "whitening"),
        (swishLayer(), "Swish", "Swish", "", "swish"),
        (softplusLayer(), "Softplus", "Softplus", "", "softplus"),
        (geluLayer(), "GELU", "GELU", "", "gelu"),
        (preluLayer(), "PReLU", "PReLU", " with 6 channels", "prelu"),
        (scalingLayer(), "Scaling", "Scaling", "", "scaling"),
    ],
)
def test_rows_of_a_layer_array_and_automatic_names(layer, type_name, untrained, trained, base_name):
    assert layer.type_name == type_name
    assert layer.description() == untrained
    assert layer.with_size(IMAGES).description() == untrained + trained
    assert automatic_names([layer, layer]) == [f"{base_name}_1", f"{base_name}_2"]
    assert automatic_names([layer]) == [base_name]


@every_layer
def test_values_copies_and_pickles(make):
    layer = make(Name="first")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        twin.Name = "second"
        assert layer.Name == "first"
    with pytest.raises(UnknownNameError, match="Did you mean 'Name'"):
        make(Nmae="x")


@every_normalization
def test_defaults_are_those_of_batch_normalization(make):
    layer = make()
    assert (layer.NumChannels, layer.Epsilon) == ("auto", 1e-5)
    for learnable in layer.learnables:
        assert getattr(layer, learnable.name).size == 0
        assert getattr(layer, learnable.initializer_option) == {"Offset": "zeros", "Scale": "ones"}[learnable.name]
        assert getLearnRateFactor(layer, learnable.name) == getL2Factor(layer, learnable.name) == 1
        assert getLearnRateFactor(setLearnRateFactor(layer, learnable.name, 2), learnable.name) == 2
    with pytest.raises(OptionError, match="Epsilon: needs a number above 0, but got 0"):
        layer.Epsilon = 0
    with pytest.raises(OptionError, match="NumChannels has 4, Scale has 3"):
        make(NumChannels=4, Scale=[1, 2, 3])


@every_layer
@pytest.mark.parametrize("size", [IMAGES, FEATURES, SEQUENCES], ids=lambda size: size.format)
def test_sizes_and_parameters(make, size):
    layer = make()
    assert list(layer.mistakes(size)) == []
    if make is not instanceNormalizationLayer or size != FEATURES:
        assert layer.output_size(size) == size
    resolved = layer.with_size(size)
    for learnable in layer.learnables:
        expected = (1, 1, 6) if size.spatial else (6, 1)
        assert resolved.parameter_shape(learnable.name, size) == expected
        assert getattr(initialize(resolved, size, np.random.default_rng(0)), learnable.name).shape == expected
    x = data(size)
    y, _ = run(layer, size, x)
    assert y.shape == x.shape


@every_normalization
def test_channels_that_do_not_fit(make):
    (mistake,) = make(NumChannels=8).mistakes(IMAGES)
    assert mistake.needed == "8 channels (NumChannels)"
    (mistake,) = make(Scale=np.ones((1, 1, 8))).mistakes(IMAGES)
    assert mistake.needed == "Scale of size 1x1x6" and mistake.came == "Scale of size 1x1x8"


@pytest.mark.parametrize("make", [groupNormalizationLayer, whiteningLayer])
def test_groups_that_do_not_divide_the_channels(make):
    (mistake,) = make(4).mistakes(IMAGES)
    assert mistake.needed == "channels that 4 groups (NumGroups) divide" and mistake.came == "6 channels"
    assert mistake.fix == "Use one of these numbers of groups: 1, 2, 3, 6."
    with pytest.raises(OptionError, match="equally many channels, but NumChannels has 6, NumGroups 4"):
        make(4, NumChannels=6)
    layer = make(3, NumChannels=6)
    with pytest.raises(OptionError, match="NumGroups 4"):
        layer.NumGroups = 4
    assert layer.NumGroups == 3
    for bad in (0, 1.5, "no-channels", None, -1):
        with pytest.raises(OptionError, match="NumGroups: needs one of 'all-channels', 'channel-wise', or a positive"):
            make(bad)


def test_numbers_of_groups():
    groups = {2: 2, "all-channels": 1, "channel-wise": 6, "Channel": 6, "ALL": 1, 3.0: 3}
    for given, expected in groups.items():
        for layer in (groupNormalizationLayer(given), whiteningLayer(given), whiteningLayer(NumGroups=given)):
            assert layer.operation(IMAGES, training=True).attributes["groups"] == expected
    assert whiteningLayer("Name", "w").NumGroups == whiteningLayer().NumGroups == "all-channels"
    assert groupNormalizationLayer("channel-wise", "Name", "g").Name == "g"
    with pytest.raises(OptionError, match="the argument NumGroups is missing"):
        groupNormalizationLayer(Name="x")
    assert instanceNormalizationLayer().operation(IMAGES, training=True).attributes["groups"] == 6


def test_group_normalization_over_what():
    """Over positions, time steps and the channels of a group, for each observation."""
    for size in (IMAGES, FEATURES, SEQUENCES):
        y, _ = run(groupNormalizationLayer(3), size, data(size))
        grouped = y.reshape(len(y), -1, 3, 2)
        np.testing.assert_allclose(grouped.mean(axis=(1, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(grouped.var(axis=(1, 3)), 1, atol=2e-2)


@pytest.mark.parametrize(
    "size, dimension, axes",
    [
        (IMAGES, "auto", (1, 2, 3)),
        (IMAGES, "spatial-channel", (1, 2, 3)),
        (IMAGES, "batch-excluded", (1, 2, 3)),
        (IMAGES, "channel-only", (3,)),
        (FEATURES, "auto", (1,)),
        (FEATURES, "spatial-channel", (1,)),
        (SEQUENCES, "auto", (2,)),
        (SEQUENCES, "spatial-channel", (2,)),
        (SEQUENCES, "channel-only", (2,)),
        (SEQUENCES, "batch-excluded", (1, 2)),
    ],
)
def test_operation_dimension(size, dimension, axes):
    x = data(size)
    y, _ = run(layerNormalizationLayer(OperationDimension=dimension), size, x)
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-6, atol=1e-7)
    y, _ = run(rmsNormalizationLayer(OperationDimension=dimension), size, x)
    square = (x**2).mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(y, x / np.sqrt(square + 1e-5), rtol=1e-6, atol=1e-7)


def test_operation_dimension_is_checked():
    with pytest.raises(OptionError, match="Did you mean 'channel-only'"):
        layerNormalizationLayer(OperationDimension="channels-only")
    assert layerNormalizationLayer("operationdimension", "Batch").OperationDimension == "batch-excluded"
    assert not hasattr(rmsNormalizationLayer(), "Offset")


@pytest.mark.parametrize("make", [layerNormalizationLayer, rmsNormalizationLayer, instanceNormalizationLayer])
def test_training_and_prediction_compute_the_same(make):
    assert make().operation(IMAGES, training=True) == make().operation(IMAGES, training=False)


@pytest.mark.parametrize("groups, shape", [("all-channels", (6, 6, 1)), (2, (3, 3, 2)), ("channel-wise", (1, 1, 6))])
@pytest.mark.parametrize("size", [IMAGES, FEATURES], ids=lambda size: size.format)
def test_whitening_predicts_with_its_states(groups, shape, size):
    layer = whiteningLayer(groups)
    assert layer.parameter_shape("TrainedWhiteningMatrix", size) == shape
    assert layer.parameter_shape("TrainedMean", size) == ((1, 1, 6) if size.spatial else (6, 1))
    x = data(size, 40)
    expected, saved = run(layer, size, x)
    expected = expected.copy()
    matrix = np.moveaxis(inverse_root(saved.covariance, layer.Epsilon), 0, 2)
    assert matrix.shape == shape
    trained = whiteningLayer(groups, TrainedMean=saved.mean, TrainedWhiteningMatrix=matrix)
    assert list(trained.mistakes(size)) == []
    found, _ = run(trained, size, x, training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_whitening_matrix_that_does_not_fit():
    with pytest.raises(OptionError, match="TrainedWhiteningMatrix: needs a K x K x groups"):
        whiteningLayer(TrainedWhiteningMatrix=np.ones((2, 3)))
    (mistake,) = whiteningLayer(TrainedWhiteningMatrix=np.eye(4)).mistakes(IMAGES)
    assert mistake.needed == "TrainedWhiteningMatrix of size 6x6x1" and mistake.came.endswith("of size 4x4")
    assert list(whiteningLayer(TrainedWhiteningMatrix=np.eye(6)).mistakes(IMAGES)) == []


def test_prelu_has_a_factor_for_each_channel():
    layer = preluLayer()
    assert layer.Alpha == 0.25 and layer.Alpha.shape == ()
    assert layer.with_size(IMAGES).Alpha.tolist() == [[[0.25] * 6]]
    given = preluLayer(Alpha=np.arange(6) / 10)
    x = data(IMAGES)
    y, _ = run(given, IMAGES, x)
    np.testing.assert_allclose(y, np.where(x > 0, x, np.arange(6) / 10 * x), rtol=1e-6)
    (mistake,) = preluLayer(Alpha=[1, 2]).mistakes(IMAGES)
    assert mistake.needed == "Alpha of size 1x1x6"
    for bad in ([], None, "x", [np.nan]):
        with pytest.raises(OptionError, match="Alpha: needs a number or a numeric array"):
            layer.Alpha = bad
    assert getLearnRateFactor(layer, "Alpha") == getL2Factor(layer, "Alpha") == 1


def test_gelu_approximations():
    x = data(FEATURES)
    exact, _ = run(geluLayer(), FEATURES, x)
    near, _ = run(geluLayer(Approximation="Tanh"), FEATURES, x)
    assert 0 < np.abs(exact - near).max() < 1e-3
    with pytest.raises(OptionError, match="Approximation: needs one of 'none', 'tanh'"):
        geluLayer(Approximation="erf")


@pytest.mark.parametrize(
    "scale, expected",
    [
        (2, 2.0),
        ([2], 2.0),
        (np.full((1, 1), 2.0), 2.0),
        (np.arange(6.0), np.arange(6.0)),
        (np.arange(6.0).reshape(1, 1, 6), np.arange(6.0)),
        (np.arange(5.0).reshape(5, 1), np.arange(5.0).reshape(5, 1, 1)),
        (np.arange(20.0).reshape(5, 4), np.arange(20.0).reshape(5, 4, 1)),
        (np.arange(120.0).reshape(5, 4, 6), np.arange(120.0).reshape(5, 4, 6)),
    ],
    ids=lambda value: str(np.shape(value)),
)
def test_scaling_expands_as_in_matlab(scale, expected):
    x = data(IMAGES)
    layer = scalingLayer(Scale=scale, Bias=1)
    assert list(layer.mistakes(IMAGES)) == []
    y, _ = run(layer, IMAGES, x)
    np.testing.assert_allclose(y, expected * x + 1, rtol=1e-12)


def test_scaling_that_does_not_fit():
    (mistake,) = scalingLayer(Scale=np.ones((3, 2))).mistakes(IMAGES)
    assert mistake.needed == "Scale that expands to 5x4x6" and mistake.came == "Scale of size 3x2"
    assert len(list(scalingLayer(Scale=np.ones(4), Bias=np.ones((5, 4, 6, 2))).mistakes(IMAGES))) == 2
    y, _ = run(scalingLayer(Scale=np.arange(6)), FEATURES, data(FEATURES))
    np.testing.assert_allclose(y, np.arange(6) * data(FEATURES))
    for bad in ("x", [], None, np.inf, [np.nan]):
        with pytest.raises(OptionError, match="Bias: needs a number"):
            scalingLayer(Bias=bad)


@pytest.mark.parametrize(
    "name, author",
    [
        ("batchNormalizationLayer", "Ioffe and Szegedy"),
        ("crossChannelNormalizationLayer", "Krizhevsky, Sutskever and Hinton"),
        ("groupNormalizationLayer", "Wu and He"),
        ("instanceNormalizationLayer", "Ulyanov, Vedaldi and Lempitsky"),
        ("layerNormalizationLayer", "Ba, Kiros and Hinton"),
        ("rmsNormalizationLayer", "Zhang and Sennrich"),
        ("whiteningLayer", "Huang, Yang, Lang and Deng"),
        ("convolution2dLayer", "Salimans and Kingma"),
        ("transposedConv1dLayer", "Qiao et al."),
        ("imageInputLayer", "LeCun, Bottou, Orr and Mueller"),
    ],
)
def test_every_normalization_cites_its_paper(name, author):
    text = getattr(mlnet, name).__doc__
    assert author in text and re.search(r"(19|20)\d\d", text[text.index(author) :])
