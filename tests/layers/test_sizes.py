"""Size rules against the formulas of the documentation, mistakes in sizes, and the shapes of parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from strategies import Window, windows

from layers.catalogue import REQUIRED, make
from mlnet import (
    NetworkError,
    averagePooling2dLayer,
    batchNormalizationLayer,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    regressionLayer,
)
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import StepPlan
from mlnet.layers.base import Size, SizeError
from mlnet.network.compile import parameter_values, prediction_program, training_program
from mlnet.network.initialize import initialize
from mlnet.network.resolve import resolve
from mlnet.network.wiring import Source

ONLY_IMAGES = {name for name in REQUIRED if "2d" in name} | {"spaceToDepthLayer", "instanceNormalizationLayer"}


def input_layer(size):
    """Return an input layer that passes on data of a size as they are."""
    if size.spatial:
        return imageInputLayer(size.dims, Normalization="none")
    return featureInputLayer(size.channels, Normalization="none")


def put_out(layer, size, *, training=False, count=2):
    """Return the size that is declared and the shape that the engine puts out for one layer."""
    graph = layerGraph([input_layer(size).replaced(Name="in"), layer.replaced(Name="layer"), regressionLayer()])
    for port in layer.inputs[1:]:
        graph = connectLayers(graph, "in", f"layer/{port}")
    network = resolve(graph)
    generator = np.random.default_rng(0)
    ready = initialize(network.layers[1], size, generator)
    states = {name: np.ones(ready.parameter_shape(name, size)) for name in ready.states}
    network = network.with_layers([network.layers[0], ready.replaced(**states), network.layers[2]])
    program = training_program(network) if training else prediction_program(network)
    plan = StepPlan(NumpyEngine(), program)
    x = np.random.default_rng(1).normal(size=(count, *size.dims)).astype(np.float32)
    output = plan.forward(x, parameter_values(network.layers), generator)
    assert np.isfinite(output).all()
    return network.sizes[1][0], output.shape


def reference_size(window: Window):
    """Return height and width by the formulas of the documentation, written for one dimension at a time."""
    result = []
    padding = window.padding
    for axis in (0, 1):
        length, step = window.image[axis], window.stride[axis]
        extent = (window.size[axis] - 1) * window.dilation[axis] + 1
        if padding == "same":
            result.append(int(np.ceil(length / step)))
            continue
        amounts = np.broadcast_to(padding, 4) if np.size(padding) == 1 else padding
        both = 2 * amounts[axis] if len(amounts) == 2 else amounts[2 * axis] + amounts[2 * axis + 1]
        result.append(int(np.floor((length + both - extent) / step)) + 1)
    return tuple(result)


def check_window(layer, window, channels):
    """Compare rule, formula and engine; where no window fits there has to be a mistake."""
    size, expected = Size("SSC", window.image), reference_size(window)
    if min(expected) < 1:
        with pytest.raises(SizeError) as caught:
            layer.output_size(size)
        assert "including padding" in caught.value.needed
        return
    declared, shape = put_out(layer, size)
    assert declared.dims == (*expected, channels)
    assert shape == (2, *declared.dims)


@given(windows())
def test_convolution(window):
    layer = convolution2dLayer(
        window.size, 2, Stride=window.stride, DilationFactor=window.dilation, Padding=window.padding
    )
    check_window(layer, window, 2)


@pytest.mark.parametrize("constructor", [maxPooling2dLayer, averagePooling2dLayer])
@given(windows(pooling=True))
def test_pooling(constructor, window):
    check_window(constructor(window.size, Stride=window.stride, Padding=window.padding), window, window.image[2])


def test_same_padding_puts_the_odd_row_to_the_bottom_and_the_odd_column_to_the_right():
    layer, size = convolution2dLayer([2, 4], 1, Padding="same"), Size("SSC", (5, 6, 1))
    assert layer.operation(size, training=False).attributes["padding"] == (0, 1, 1, 2)
    pool = maxPooling2dLayer([2, 4], Padding="same", Stride=2)
    assert pool.operation(size, training=False).attributes["padding"] == (0, 1, 1, 1)


@pytest.mark.parametrize("name", sorted(ONLY_IMAGES))
def test_layers_of_images_refuse_features(name):
    with pytest.raises(SizeError) as caught:
        make(name).output_size(Size("C", (4,)))
    error = caught.value
    assert error.needed.startswith("images") and error.came == "4 features" and "imageInputLayer" in error.fix


def test_parameter_shapes():
    image, features = Size("SSC", (5, 4, 3)), Size("C", (7,))
    layer = convolution2dLayer([3, 2], 8)
    assert [layer.parameter_shape(name, image) for name in ("Weights", "Bias")] == [(3, 2, 3, 8), (1, 1, 8)]
    layer = fullyConnectedLayer(10)
    assert [layer.parameter_shape(name, image) for name in ("Weights", "Bias")] == [(10, 60), (10, 1)]
    assert layer.parameter_shape("Weights", features) == (10, 7)
    layer = batchNormalizationLayer()
    for name in ("Offset", "Scale", "TrainedMean", "TrainedVariance"):
        assert layer.parameter_shape(name, image) == (1, 1, 3)
        assert layer.parameter_shape(name, features) == (7, 1)


@pytest.mark.parametrize("name", ["convolution2dLayer", "fullyConnectedLayer", "batchNormalizationLayer"])
def test_with_size_fills_in_what_is_auto_in_a_copy(name):
    layer, size = make(name), Size("SSC", (5, 4, 3))
    filled = layer.with_size(size)
    option = "InputSize" if name == "fullyConnectedLayer" else "NumChannels"
    assert getattr(layer, option) == "auto"
    assert getattr(filled, option) == (60 if option == "InputSize" else 3)
    assert not list(filled.mistakes(size))


@pytest.mark.parametrize("name", ["convolution2dLayer", "batchNormalizationLayer"])
def test_given_channels_must_fit(name):
    mistakes = list(make(name, NumChannels=2).mistakes(Size("SSC", (5, 4, 3))))
    assert [(each.needed, each.came) for each in mistakes] == [("2 channels (NumChannels)", "an input of size 5x4x3")]


def test_sizes_in_words():
    assert str(Size("SSC", (28, 28, 1))) == "28x28x1" and str(Size("C", (4,))) == "4 features"
    assert Size("SSC", (5, 4, 3)).count == 60 and Size("SSC", (5, 4, 3)).spatial == (5, 4)


@pytest.mark.parametrize(
    "shape, fits",
    [
        ((), True),
        ((1, 1, 3), True),
        ((3,), True),
        ((3, 1), True),
        ((2, 6, 3), True),
        ((2, 6), False),
        ((12,), False),
        ((3, 2, 6), False),
        ((2,), False),
    ],
)
def test_statistics_of_the_input_fit_by_shape(shape, fits):
    layer = imageInputLayer([2, 6, 3], Mean=np.ones(shape))
    assert (not list(layer.mistakes(layer.size()))) == fits
    if fits:
        np.broadcast_to(layer.statistic("Mean", layer.size()), (2, 6, 3))


def test_statistics_of_one_channel_may_leave_out_the_channel():
    layer = imageInputLayer([2, 3, 1], Normalization="zscore", Mean=np.ones((2, 3)), StandardDeviation=[2])
    call = layer.operation(layer.size(), training=False)
    assert call.attributes["shift"].shape == (2, 3, 1) and call.attributes["scale"].shape == (1,)


@pytest.mark.parametrize("constructor, size", [(imageInputLayer, [4, 4, 3]), (featureInputLayer, 3)])
def test_split_complex_inputs_have_twice_the_channels(constructor, size):
    assert constructor(size, SplitComplexInputs=True).size().channels == 6


@pytest.mark.parametrize(
    "normalization, expected",
    [
        ("zerocenter", [-2.0, 0.0, 4.0]),
        ("zscore", [-1.0, 0.0, 2.0]),
        ("rescale-symmetric", [-1.0, -0.5, 0.5]),
        ("rescale-zero-one", [0.0, 0.25, 0.75]),
        ("none", [1.0, 3.0, 7.0]),
    ],
)
def test_normalizations(normalization, expected):
    statistics = {"Mean": 3, "StandardDeviation": 2, "Min": 1, "Max": 9}
    layer = featureInputLayer(1, Normalization=normalization, **statistics)
    network = resolve([layer, fullyConnectedLayer(1), regressionLayer()])
    plan = StepPlan(NumpyEngine(), prediction_program(network, [Source(0)]))
    x = np.array([[1], [3], [7]], np.float32)
    assert plan.forward(x, {}).ravel().tolist() == expected
    assert x.ravel().tolist() == [1, 3, 7]


def test_a_constant_element_is_divided_by_one():
    layer = featureInputLayer(2, Normalization="rescale-zero-one", Min=[1, 1], Max=[1, 3])
    assert layer.operation(layer.size(), training=False).attributes["scale"].tolist() == [1, 2]


def test_too_many_scores_for_the_classes():
    layers = [
        featureInputLayer(2),
        fullyConnectedLayer(3),
        make("softmaxLayer"),
        classificationLayer(Classes=["a", "b"]),
    ]
    with pytest.raises(NetworkError, match="needs 2 scores, one for each of the Classes, but got 3"):
        resolve(layers)
