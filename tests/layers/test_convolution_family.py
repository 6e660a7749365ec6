"""Transposed, grouped, 1-D and 3-D convolution, 1-D and 3-D pooling, 3-D images: options, display, sizes."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

from mlnet.engines.base import Engine, Operation, Workspace
from mlnet.engines.numpy import (
    convolution1d,
    convolution3d,
    grouped_convolution,
    input,
    pooling1d,
    pooling3d,
    transposed_convolution,
)
from mlnet.engines.program import Program, StepPlan
from mlnet.errors import DataError, OptionError, UnknownNameError
from mlnet.layers.base import Size, SizeError
from mlnet.layers.convolution1d import convolution1dLayer
from mlnet.layers.convolution3d import convolution3dLayer
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.input3d import image3dInputLayer
from mlnet.layers.pooling1d import (
    averagePooling1dLayer,
    globalAveragePooling1dLayer,
    globalMaxPooling1dLayer,
    maxPooling1dLayer,
)
from mlnet.layers.pooling3d import (
    averagePooling3dLayer,
    globalAveragePooling3dLayer,
    globalMaxPooling3dLayer,
    maxPooling3dLayer,
)
from mlnet.layers.transposed_convolution import transposedConv1dLayer, transposedConv2dLayer, transposedConv3dLayer
from mlnet.network.compile import as_node
from mlnet.network.initialize import initialize

MODULES = (transposed_convolution, grouped_convolution, convolution1d, convolution3d, pooling1d, pooling3d, input)
OPERATIONS = {
    name: Operation(function, getattr(module, f"{name}_backward"))
    for module in MODULES
    for name, function in vars(module).items()
    if hasattr(module, f"{name}_backward")
}


class SomeEngine(Engine):
    """The operations of these modules."""

    name = "some"
    operations = OPERATIONS
    losses = {}  # noqa: RUF012


SEQUENCES, LINES, IMAGES, VOLUMES = (
    Size("CT", (4,)),
    Size("SC", (9, 4)),
    Size("SSC", (7, 8, 4)),
    Size("SSSC", (7, 8, 6, 4)),
)
NEEDED: dict[Any, tuple[tuple[Any, ...], Size]] = {
    convolution1dLayer: ((3, 5), SEQUENCES),
    convolution3dLayer: ((3, 5), VOLUMES),
    transposedConv1dLayer: ((3, 5), SEQUENCES),
    transposedConv2dLayer: ((3, 5), IMAGES),
    transposedConv3dLayer: ((3, 5), VOLUMES),
    groupedConvolution2dLayer: ((3, 5, 2), IMAGES),
    maxPooling1dLayer: ((3,), SEQUENCES),
    averagePooling1dLayer: ((3,), SEQUENCES),
    maxPooling3dLayer: ((3,), VOLUMES),
    averagePooling3dLayer: ((3,), VOLUMES),
    globalMaxPooling1dLayer: ((), SEQUENCES),
    globalAveragePooling1dLayer: ((), SEQUENCES),
    globalMaxPooling3dLayer: ((), VOLUMES),
    globalAveragePooling3dLayer: ((), VOLUMES),
    image3dInputLayer: (([7, 8, 6, 4],), VOLUMES),
}
"""The constructors with the arguments that they need, and the size of what they take."""
FILTERS = [constructor for constructor in NEEDED if hasattr(constructor(*NEEDED[constructor][0]), "NumFilters")]
every_layer = pytest.mark.parametrize("constructor", NEEDED, ids=lambda constructor: constructor.__name__)
every_option = pytest.mark.parametrize(
    "constructor, option",
    [(constructor, option) for constructor in NEEDED for option in constructor.constructs.table.options],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


def make(constructor, *args, **options):
    """Return a layer; ``args`` replace the needed arguments."""
    return constructor(*(args or NEEDED[constructor][0]), **options)


def run(layer, size, lengths=None, count=3):
    """Return the output and its lengths for a random mini-batch, by a plan of one node."""
    layer = initialize(layer.with_size(size), size, np.random.default_rng(1))
    call = layer.operation(size, training=True)
    node = as_node("it", (-1,), call)
    plan = StepPlan(SomeEngine(), Program((node,)))
    leading = (count,) if lengths is None else (int(np.sum(lengths)),)
    x = np.random.default_rng(0).standard_normal((*leading, *size.dims)).astype(np.float32)
    values = {("it", name): np.asarray(getattr(layer, name), np.float32) for name in call.parameters}
    y = plan.forward(x, values, lengths=lengths)
    gradients, d_x = plan.backward(np.ones_like(y), set(values), want_input=True)
    assert d_x.shape == x.shape
    assert {key: value.shape for key, value in gradients.items()} == {key: v.shape for key, v in values.items()}
    return y, plan.lengths_of(0)


@every_option
def test_bad_values_raise_and_change_nothing(constructor, option):
    layer = make(constructor)
    rule, before = layer.table.options[option].rule, repr(layer)
    assert rule.bad
    for bad in rule.bad:
        with pytest.raises(OptionError, match=f"^{constructor.__name__}: {option}: needs "):
            setattr(layer, option, bad)
    assert repr(layer) == before


@every_layer
def test_signature_help_copies_and_pickles(constructor):
    layer = make(constructor, Name="it")
    assert set(inspect.signature(constructor).parameters) == set(layer.table.arguments)
    for entry in layer.table.entries.values():
        assert f"\n    {entry.name}" in constructor.__doc__ and entry.doc in constructor.__doc__
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is type(layer) and repr(twin) == repr(layer)
    with pytest.raises(UnknownNameError, match="Did you mean 'Name'"):
        make(constructor, Names="x")


BORDERS: dict[int, list[tuple[Any, Any]]] = {
    1: [(1, [1, 1]), ([2, 1], [2, 1]), ("SAME", "same")],
    2: [(1, [1] * 4), ([1, 2], [1, 1, 2, 2]), ((1, 0, 2, 1), [1, 0, 2, 1]), ("same", "same")],
    3: [(1, [[1] * 3] * 2), ([0, 1, 2], [[0, 1, 2]] * 2), ([[0, 1, 2], [2, 1, 0]], [[0, 1, 2], [2, 1, 0]])],
}


@pytest.mark.parametrize(
    "constructor", [c for c in NEEDED if hasattr(make(c), "border")], ids=lambda constructor: constructor.__name__
)
def test_forms_of_borders(constructor):
    layer = make(constructor)
    for given, stored in BORDERS[layer.dimensions]:
        setattr(layer, layer.border, given)
        found = getattr(layer, layer.border)
        assert found == stored if isinstance(stored, str) else found.tolist() == stored
        assert getattr(layer, f"{layer.border}Mode") == (stored if isinstance(stored, str) else "manual")
        size = getattr(layer, f"{layer.border}Size")
        assert size.size == 0 if isinstance(stored, str) else size.tolist() == stored
    for bad in (list(range(1, 6)), np.ones((3, 2), int), [-1] * len(stored)):
        with pytest.raises(OptionError, match=f"{layer.border}: needs an amount p"):
            setattr(layer, layer.border, bad)


def test_causal_is_for_convolution1d_only():
    assert convolution1dLayer(3, 2, "padding", "Causal").PaddingMode == "causal"
    for constructor in (maxPooling1dLayer, convolution3dLayer, groupedConvolution2dLayer):
        with pytest.raises(OptionError, match="Padding"):
            make(constructor, Padding="causal")


@pytest.mark.parametrize(
    "layer, type_name, description, base_name",
    [
        (
            convolution1dLayer(11, 96),
            "1-D Convolution",
            "96 11 convolutions with stride 1 and padding [0  0]",
            "conv1d",
        ),
        (
            convolution1dLayer(11, 96, NumChannels=12, DilationFactor=2, Padding="causal"),
            "1-D Convolution",
            "96 11x12 convolutions with stride 1, dilation factor 2, and padding 'causal'",
            "conv1d",
        ),
        (
            convolution3dLayer(3, 16, DilationFactor=[1, 1, 2]),
            "Convolution",
            "16 3x3x3 convolutions with stride [1  1  1], dilation factor [1  1  2], and padding [0  0  0; 0  0  0]",
            "conv3d",
        ),
        (
            transposedConv2dLayer(1, 340, Cropping="same"),
            "Transposed Convolution",
            "340 1x1 transposed convolutions with stride [1  1] and cropping 'same'",
            "transposed-conv",
        ),
        (
            transposedConv2dLayer([2, 3], 4, NumChannels=7, Stride=2, Cropping=[1, 0]),
            "Transposed Convolution",
            "4 2x3x7 transposed convolutions with stride [2  2] and cropping [1  1  0  0]",
            "transposed-conv",
        ),
        (
            transposedConv1dLayer(3, 16),
            "1-D Transposed Convolution",
            "16 3 transposed convolutions with stride 1 and cropping [0  0]",
            "transposed-conv1d",
        ),
        (
            transposedConv3dLayer(2, 8, Cropping=[[0, 1, 2], [3, 4, 5]]),
            "Transposed Convolution",
            "8 2x2x2 transposed convolutions with stride [1  1  1] and cropping [0  1  2; 3  4  5]",
            "transposed-conv3d",
        ),
        (
            groupedConvolution2dLayer(5, 128, 2, Padding=2).with_size(Size("SSC", (9, 9, 96))),
            "Grouped Convolution",
            "2 groups of 128 5x5x48 convolutions with stride [1  1] and padding [2  2  2  2]",
            "groupedconv",
        ),
        (
            groupedConvolution2dLayer(3, 1, "channel-wise", DilationFactor=2),
            "Grouped Convolution",
            "channel-wise groups of 1 3x3 convolutions with stride [1  1], dilation factor [2  2], "
            "and padding [0  0  0  0]",
            "groupedconv",
        ),
        (
            maxPooling1dLayer(2),
            "1-D Max Pooling",
            "Max pooling with pool size 2, stride 1, and padding [0  0]",
            "maxpool1d",
        ),
        (
            averagePooling1dLayer(3, Padding="same"),
            "1-D Average Pooling",
            "Average pooling with pool size 3, stride 1, and padding 'same'",
            "avgpool1d",
        ),
        (
            maxPooling3dLayer(2, Stride=2),
            "3-D Max Pooling",
            "2x2x2 max pooling with stride [2  2  2] and padding [0  0  0; 0  0  0]",
            "maxpool3d",
        ),
        (
            averagePooling3dLayer([1, 2, 3], Padding="same"),
            "3-D Average Pooling",
            "1x2x3 average pooling with stride [1  1  1] and padding 'same'",
            "avgpool3d",
        ),
        (globalMaxPooling1dLayer(), "1-D Global Max Pooling", "1-D global max pooling", "gmp1d"),
        (globalAveragePooling1dLayer(), "1-D Global Average Pooling", "1-D global average pooling", "gap1d"),
        (globalMaxPooling3dLayer(), "3-D Global Max Pooling", "3-D global max pooling", "gmp3d"),
        (globalAveragePooling3dLayer(), "3-D Global Average Pooling", "3-D global average pooling", "gap3d"),
        (
            image3dInputLayer([132, 132, 116, 4]),
            "3-D Image Input",
            "132x132x116x4 images with 'zerocenter' normalization",
            "image3dinput",
        ),
        (image3dInputLayer([9, 8, 7], Normalization="none"), "3-D Image Input", "9x8x7x1 images", "image3dinput"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_layer_arrays_show(layer, type_name, description, base_name):
    assert (layer.type_name, layer.description(), layer.base_name) == (type_name, description, base_name)


@pytest.mark.parametrize("constructor", [*FILTERS, groupedConvolution2dLayer], ids=lambda each: each.__name__)
def test_defaults_of_layers_with_weights(constructor):
    layer = make(constructor)
    assert (layer.WeightsInitializer, layer.BiasInitializer) == ("glorot", "zeros")
    assert (layer.WeightL2Factor, layer.BiasL2Factor) == (1, 0)
    assert (layer.WeightLearnRateFactor, layer.BiasLearnRateFactor) == (1, 1)
    assert repr(layer).endswith("Show all properties")


def test_padding_value_shows_when_it_is_not_zero():
    for constructor, value in ((convolution1dLayer, "replicate"), (averagePooling3dLayer, "mean")):
        assert "PaddingValue" not in repr(make(constructor))
        assert f"PaddingValue: '{value}'" in repr(make(constructor, PaddingValue=value))


PARAMETERS = [
    (convolution1dLayer, SEQUENCES, (3, 4, 5), (1, 5), (12, 15)),
    (convolution3dLayer, VOLUMES, (3, 3, 3, 4, 5), (1, 1, 1, 5), (108, 135)),
    (transposedConv1dLayer, SEQUENCES, (3, 5, 4), (1, 5), (12, 15)),
    (transposedConv2dLayer, IMAGES, (3, 3, 5, 4), (1, 1, 5), (36, 45)),
    (transposedConv3dLayer, VOLUMES, (3, 3, 3, 5, 4), (1, 1, 1, 5), (108, 135)),
    (groupedConvolution2dLayer, IMAGES, (3, 3, 2, 5, 2), (1, 1, 5, 2), (18, 45)),
]


@pytest.mark.parametrize("constructor, size, weights, bias, fans", PARAMETERS)
def test_parameters(constructor, size, weights, bias, fans):
    layer = make(constructor)
    assert layer.parameter_shape("Weights", size) == weights and layer.parameter_shape("Bias", size) == bias
    assert layer.fans("Weights", size) == fans
    assert list(layer.mistakes(size)) == []
    (mistake,) = make(constructor, Bias=np.ones(7)).mistakes(size)
    assert mistake.came == "Bias of size 7x1"


def test_channels_that_differ_are_mistakes():
    for constructor in FILTERS:
        (mistake,) = make(constructor, NumChannels=3).mistakes(NEEDED[constructor][1])
        assert mistake.needed == "3 channels (NumChannels)"
        assert make(constructor).with_size(NEEDED[constructor][1]).NumChannels == 4


def test_groups_that_do_not_divide_and_channel_wise():
    (mistake,) = groupedConvolution2dLayer(3, 1, 3).mistakes(IMAGES)
    assert mistake.needed == "channels that 3 groups (NumGroups) divide" and "1, 2, 4" in mistake.fix
    layer = groupedConvolution2dLayer(3, 2, "channel-wise").with_size(IMAGES)
    assert (layer.NumGroups, layer.NumChannelsPerGroup, layer.output_size(IMAGES).channels) == (4, 1, 8)
    assert layer.description().startswith("4 groups of 2 3x3x1 convolutions")
    (mistake,) = layer.mistakes(Size("SSC", (7, 8, 8)))
    assert mistake.needed == "4 channels (NumChannelsPerGroup times NumGroups)"


SIZES = [
    *[
        make(constructor, 3, 5, **options)
        for constructor in (convolution3dLayer, transposedConv2dLayer, transposedConv3dLayer)
        for options in ({}, {"Stride": 2}, {"Stride": 4})
    ],
    *[
        make(constructor, size, 5, **{"Cropping": cropping, "Stride": stride})
        for constructor in (transposedConv1dLayer, transposedConv2dLayer, transposedConv3dLayer)
        for size in (1, 2, 4, 5)
        for cropping in ("same", 1)
        for stride in (1, 2, 3)
        if cropping == "same" or size > 1
    ],
    *[
        convolution1dLayer(3, 5, Padding=padding, Stride=stride, DilationFactor=dilation)
        for padding in (0, [2, 1], "same", "causal")
        for stride in (1, 2, 3)
        for dilation in (1, 2)
    ],
    *[convolution3dLayer(3, 5, Padding="same", Stride=stride, DilationFactor=2) for stride in (1, 2, 3)],
    convolution3dLayer([1, 2, 3], 5, Padding=[[1, 0, 2], [0, 1, 1]], Stride=[1, 2, 3], PaddingValue="replicate"),
    groupedConvolution2dLayer([3, 2], 3, 2, Stride=2, Padding="same"),
    groupedConvolution2dLayer(3, 2, "channel-wise", Padding=1, DilationFactor=2),
    *[
        constructor(size, Stride=stride, Padding=padding)
        for constructor in (maxPooling1dLayer, averagePooling1dLayer, maxPooling3dLayer, averagePooling3dLayer)
        for size in (2, 3)
        for stride in (1, 2)
        for padding in (0, 1, "same")
    ],
    averagePooling1dLayer(3, Padding=1, PaddingValue="mean"),
    averagePooling3dLayer(3, Padding=1, PaddingValue="mean"),
    globalMaxPooling1dLayer(),
    globalAveragePooling1dLayer(),
    globalMaxPooling3dLayer(),
    globalAveragePooling3dLayer(),
]


@pytest.mark.parametrize("layer", SIZES, ids=lambda layer: f"{layer.constructor_name}-{layer.description()}")
def test_sizes_are_what_the_engine_puts_out(layer):
    size = {1: LINES, 2: IMAGES, 3: VOLUMES}[layer.dimensions]
    y, _ = run(layer, size)
    expected = layer.output_size(size)
    assert y.shape == (3, *expected.dims) and expected.format == size.format
    if layer.dimensions != 1:
        return
    lengths = np.array([9, 6, 8, 9])
    y, found = run(layer, SEQUENCES, lengths)
    assert y.shape[1:] == layer.output_size(SEQUENCES).dims
    if "Global" in layer.type_name:
        assert layer.output_size(SEQUENCES) == Size("C", (4,)) and found is None and len(y) == 4
        return
    assert layer.output_size(SEQUENCES).format == "CT"
    assert found.tolist() == [layer.output_size(Size("SC", (n, 4))).spatial[0] for n in lengths]
    assert len(y) == found.sum()


def test_same_cropping_multiplies_by_the_stride():
    for size, stride in [(1, 1), (2, 2), (4, 2), (5, 2), (1, 3), (2, 3)]:
        layer = transposedConv2dLayer(size, 2, Stride=stride, Cropping="same")
        assert layer.output_size(IMAGES).dims == (7 * stride, 8 * stride, 2)


WRONG = [
    (convolution1dLayer(3, 5), IMAGES, "sequences of vectors or 1-D images"),
    (globalMaxPooling1dLayer(), Size("C", (4,)), "sequences of vectors or 1-D images"),
    (transposedConv1dLayer(3, 5), VOLUMES, "sequences of vectors or 1-D images"),
    (transposedConv2dLayer(3, 5), SEQUENCES, "images (height x width x channels)"),
    (groupedConvolution2dLayer(3, 5, 2), VOLUMES, "images (height x width x channels)"),
    (convolution3dLayer(3, 5), IMAGES, "3-D images (height x width x depth x channels)"),
    (globalMaxPooling3dLayer(), Size("C", (4,)), "3-D images (height x width x depth x channels)"),
    (convolution3dLayer(7, 5), VOLUMES, "an input of at least 7x7x7 including padding"),
    (maxPooling1dLayer(10), LINES, "an input of at least 10 including padding"),
    (transposedConv2dLayer(3, 5, Cropping=5), IMAGES, "an input of which cropping leaves something"),
]


@pytest.mark.parametrize("layer, size, needed", WRONG)
def test_inputs_that_do_not_fit(layer, size, needed):
    with pytest.raises(SizeError) as caught:
        layer.output_size(size)
    assert caught.value.needed == needed and caught.value.fix


def test_short_sequences_are_named():
    for layer in (convolution1dLayer(4, 2), maxPooling1dLayer(4), averagePooling1dLayer(4)):
        with pytest.raises(DataError, match="Observation 2 of the mini-batch: needs at least 4 time steps, but got 3"):
            run(layer, SEQUENCES, np.array([5, 3, 4]))


def test_padding_has_to_be_smaller_than_the_pool():
    with pytest.raises(OptionError, match=r"smaller than PoolSize 2, but got \[0, 2\]"):
        maxPooling1dLayer(2, Padding=[0, 2])
    with pytest.raises(OptionError, match=r"smaller than PoolSize \[2, 3, 3\], but got \[\[2, 2, 2\], \[2, 2, 2\]\]"):
        averagePooling3dLayer([2, 3, 3], Padding=2)


def test_image3d_input():
    layer = image3dInputLayer([7, 8, 6, 4], Mean=np.arange(4.0).reshape(1, 1, 1, 4))
    assert layer.size() == VOLUMES and list(layer.mistakes(VOLUMES)) == []
    call = layer.operation(VOLUMES, training=False)
    x = np.random.default_rng(0).standard_normal((2, 7, 8, 6, 4))
    y, _ = OPERATIONS[call.operation].forward(x, workspace=Workspace(), **call.attributes)
    np.testing.assert_allclose(y, x - np.arange(4.0))
    assert image3dInputLayer([7, 8, 6]).InputSize.tolist() == [7, 8, 6, 1]
    assert image3dInputLayer([7, 8, 6, 2], SplitComplexInputs=True).size().channels == 4
    (mistake,) = image3dInputLayer([7, 8, 6, 4], Mean=np.ones(3)).mistakes(VOLUMES)
    assert "7x8x6x4" in mistake.needed
