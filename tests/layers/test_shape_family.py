"""Layers that reshape, crop, resize, fold, or drop channels: sizes, displays, options, and what they compute."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from mlnet.engines.base import Engine, Operation, Workspace
from mlnet.engines.numpy import adaptive_pooling, crop, quadratic, resize, shape, spatial_dropout
from mlnet.engines.program import Program, StepPlan
from mlnet.errors import OptionError, UnknownNameError
from mlnet.layers.adaptive_pooling import adaptiveAveragePooling2dLayer
from mlnet.layers.base import Size, SizeError
from mlnet.layers.crop import crop2dLayer, crop3dLayer
from mlnet.layers.folding import identityLayer, sequenceFoldingLayer, sequenceUnfoldingLayer
from mlnet.layers.quadratic import quadraticLayer
from mlnet.layers.resize import depthToSpace2dLayer, resize2dLayer, spaceToDepthLayer
from mlnet.layers.resize3d import resize3dLayer
from mlnet.layers.shape import flattenLayer, permuteLayer, reshapeLayer
from mlnet.layers.spatial_dropout import spatialDropoutLayer
from mlnet.network.compile import as_node
from mlnet.network.names import automatic_names

OPERATIONS = {
    name: Operation(forward, getattr(module, f"{name}_backward"))
    for module in (shape, resize, crop, spatial_dropout, adaptive_pooling, quadratic)
    for name, forward in vars(module).items()
    if hasattr(module, f"{name}_backward")
}
IMAGES, FEATURES = Size("SSC", (6, 4, 8)), Size("C", (6,))
SEQUENCES, VIDEOS = Size("CT", (6,)), Size("SSCT", (6, 4, 8))
SMALL = Size("SSC", (3, 2, 5))
BOXES, BOX_VIDEOS, SMALL_BOXES = Size("SSSC", (6, 4, 5, 2)), Size("SSSCT", (6, 4, 5, 2)), Size("SSSC", (3, 2, 4, 3))
LAYERS = {
    "flatten": flattenLayer(),
    "permute": permuteLayer([2, 1, 3]),
    "reshape": reshapeLayer([4, 8, 6]),
    "depth_to_space": depthToSpace2dLayer([2, 1]),
    "space_to_depth": spaceToDepthLayer(2),
    "crop": crop2dLayer("centercrop"),
    "resize": resize2dLayer(Scale=2),
    "crop3d": crop3dLayer([1, 2, 1]),
    "resize3d": resize3dLayer(Scale=2),
    "quadratic": quadraticLayer(),
    "adaptive": adaptiveAveragePooling2dLayer(3),
    "spatial_dropout": spatialDropoutLayer(0.3),
    "folding": sequenceFoldingLayer(),
    "unfolding": sequenceUnfoldingLayer(),
    "identity": identityLayer(),
}


def label(value):
    """Return the name of a layer's constructor for pytest's output."""
    return getattr(value, "constructor_name", None)


def run(layer, *sizes, count=3):
    """Return a random mini-batch and what the layer makes of it in training."""
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal((count, *size.dims)) for size in sizes]
    call = layer.operation(*sizes, training=True)
    if call is None:
        return arrays[0], arrays[0]
    more = {"generator": generator} if call.random else {}
    operation = OPERATIONS[call.operation]
    return arrays[0], operation.forward(*arrays, workspace=Workspace(), **call.attributes, **more)[0]


# ----- sizes


@pytest.mark.parametrize(
    "layer, sizes, expected",
    [
        (flattenLayer(), [IMAGES], Size("C", (192,))),
        (flattenLayer(), [FEATURES], FEATURES),
        (flattenLayer(), [VIDEOS], Size("CT", (192,))),
        (flattenLayer(), [SEQUENCES], SEQUENCES),
        (permuteLayer([2, 1]), [IMAGES], Size("SSC", (4, 6, 8))),
        (permuteLayer([3, 1, 2]), [VIDEOS], Size("SSCT", (8, 6, 4))),
        (permuteLayer([2, 3, 1, 4]), [IMAGES], Size("SSC", (4, 8, 6))),
        (permuteLayer([1, 2]), [FEATURES], FEATURES),
        (reshapeLayer([4, 8, 6]), [IMAGES], Size("SSC", (4, 8, 6))),
        (reshapeLayer(3, 2, []), [IMAGES], Size("SSC", (3, 2, 32))),
        (reshapeLayer([math.nan, 1, 2]), [SEQUENCES], Size("SSCT", (3, 1, 2))),
        (reshapeLayer([1, None, 3]), [FEATURES], Size("SSC", (1, 2, 3))),
        (depthToSpace2dLayer([2, 4]), [IMAGES], Size("SSC", (12, 16, 1))),
        (depthToSpace2dLayer(2, Mode="crd"), [VIDEOS], Size("SSCT", (12, 8, 2))),
        (spaceToDepthLayer([4, 3]), [IMAGES], Size("SSC", (1, 1, 96))),
        (spaceToDepthLayer(2), [VIDEOS], Size("SSCT", (3, 2, 32))),
        (crop2dLayer("centercrop"), [IMAGES, SMALL], Size("SSC", (3, 2, 8))),
        (crop2dLayer([3, 4]), [IMAGES, SMALL], Size("SSC", (3, 2, 8))),
        (crop2dLayer([1, 1]), [VIDEOS, VIDEOS], VIDEOS),
        (resize2dLayer(Scale=[1.5, 0.7]), [IMAGES], Size("SSC", (9, 2, 8))),
        (resize2dLayer(OutputSize=[5, 7], Method="bilinear"), [VIDEOS], Size("SSCT", (5, 7, 8))),
        (resize2dLayer(OutputSize=[np.nan, 7]), [IMAGES], Size("SSC", (11, 7, 8))),
        (resize2dLayer(OutputSize=[3, np.nan]), [IMAGES], Size("SSC", (3, 2, 8))),
        (resize2dLayer(EnableReferenceInput=True), [IMAGES, SMALL], Size("SSC", (3, 2, 8))),
        (resize2dLayer(EnableReferenceInput=True), [VIDEOS, VIDEOS], VIDEOS),
        (crop3dLayer(), [BOXES, SMALL_BOXES], Size("SSSC", (3, 2, 4, 2))),
        (crop3dLayer([3, 4, 2]), [BOXES, SMALL_BOXES], Size("SSSC", (3, 2, 4, 2))),
        (crop3dLayer("centercrop"), [BOX_VIDEOS, BOX_VIDEOS], BOX_VIDEOS),
        (resize3dLayer(Scale=[1.5, 0.7, 2]), [BOXES], Size("SSSC", (9, 2, 10, 2))),
        (resize3dLayer(OutputSize=[5, 7, 3], Method="trilinear"), [BOX_VIDEOS], Size("SSSCT", (5, 7, 3, 2))),
        (resize3dLayer(OutputSize=[np.nan, 8, np.nan]), [BOXES], Size("SSSC", (12, 8, 10, 2))),
        (resize3dLayer(EnableReferenceInput=True), [BOXES, SMALL_BOXES], Size("SSSC", (3, 2, 4, 2))),
        (adaptiveAveragePooling2dLayer([4, 3]), [IMAGES], Size("SSC", (4, 3, 8))),
        (quadraticLayer(), [FEATURES], Size("C", (21,))),
        (quadraticLayer(), [SEQUENCES], Size("CT", (21,))),
        (quadraticLayer(), [Size("SSC", (3, 1, 1))], Size("SSC", (6, 1, 1))),
        (quadraticLayer(), [Size("SSC", (1, 1, 1))], Size("SSC", (1, 1, 1))),
        (adaptiveAveragePooling2dLayer(7), [VIDEOS], Size("SSCT", (7, 7, 8))),
        (spatialDropoutLayer(), [IMAGES], IMAGES),
        (spatialDropoutLayer(), [FEATURES], FEATURES),
        (sequenceFoldingLayer(), [VIDEOS], VIDEOS),
        (sequenceUnfoldingLayer(), [SEQUENCES, VIDEOS], SEQUENCES),
        (identityLayer(), [IMAGES], IMAGES),
    ],
    ids=label,
)
def test_the_size_rule_is_what_the_engine_puts_out(layer, sizes, expected):
    assert list(layer.mistakes(*sizes)) == []
    assert layer.output_size(*sizes) == expected
    assert repr(layer.with_size(*sizes)) == repr(layer)
    _, y = run(layer, *sizes)
    assert y.shape == (3, *expected.dims)


@pytest.mark.parametrize(
    "layer, sizes, needed, came",
    [
        (permuteLayer([3, 2, 1]), [FEATURES], "an order of the first 1 dimensions", "[3  2  1]"),
        (permuteLayer([1, 2, 4, 3]), [IMAGES], "an order of the first 3 dimensions", "[1  2  4  3]"),
        (reshapeLayer([2, 2, 2]), [IMAGES], "8 elements (OutputSize)", "192 (size 6x4x8)"),
        (reshapeLayer(5, [], 2), [IMAGES], "a multiple of 10 elements (OutputSize)", "192 (size 6x4x8)"),
        (depthToSpace2dLayer(3), [IMAGES], "a multiple of 9 channels (3 x 3 for BlockSize)", "8 channels"),
        (depthToSpace2dLayer(2), [FEATURES], "images (height x width x channels)", "6 features"),
        (spaceToDepthLayer([2, 5]), [IMAGES], "images of at least 2x5 (BlockSize)", "6x4x8"),
        (spaceToDepthLayer(2), [SEQUENCES], "images (height x width x channels)", "6 features over time"),
        (crop2dLayer("centercrop"), [SMALL, IMAGES], "images that have room for 6x4 pixels", "3x2x5"),
        (
            crop2dLayer([4, 1]),
            [IMAGES, SMALL],
            "images that have room for 3x2 pixels with the corner at [4  1]",
            "6x4x8",
        ),
        (crop2dLayer([1, 1]), [IMAGES, FEATURES], "images (height x width x channels)", "6 features"),
        (crop2dLayer([1, 1]), [IMAGES, VIDEOS], "inputs of the same kind", "6x4x8, 6x4x8 over time"),
        (resize2dLayer(Scale=0.2), [IMAGES], "at least one pixel left after resizing", "1x0 from 6x4x8"),
        (resize2dLayer(Scale=2), [FEATURES], "images (height x width x channels)", "6 features"),
        (resize2dLayer(), [IMAGES], "one of Scale, OutputSize and EnableReferenceInput", "none of them"),
        (crop3dLayer(), [SMALL_BOXES, BOXES], "images that have room for 6x4x5 pixels", "3x2x4x3"),
        (
            crop3dLayer([1, 1, 3]),
            [BOXES, SMALL_BOXES],
            "images that have room for 3x2x4 pixels with the corner at [1  1  3]",
            "6x4x5x2",
        ),
        (crop3dLayer(), [BOXES, IMAGES], "3-D images (height x width x depth x channels)", "6x4x8"),
        (resize3dLayer(Scale=2), [IMAGES], "3-D images (height x width x depth x channels)", "6x4x8"),
        (resize3dLayer(Scale=0.2), [BOXES], "at least one pixel left after resizing", "1x0x1 from 6x4x5x2"),
        (adaptiveAveragePooling2dLayer(2), [FEATURES], "images (height x width x channels)", "6 features"),
        (quadraticLayer(), [IMAGES], "elements along one dimension", "6x4x8"),
        (sequenceFoldingLayer(), [IMAGES], "sequences", "6x4x8"),
        (sequenceUnfoldingLayer(), [FEATURES, VIDEOS], "sequences", "6 features"),
    ],
    ids=label,
)
def test_sizes_that_do_not_fit(layer, sizes, needed, came):
    with pytest.raises(SizeError) as caught:
        for mistake in layer.mistakes(*sizes):
            raise mistake
        layer.output_size(*sizes)
    assert (caught.value.needed, caught.value.came) == (needed, came)


# ----- displays


@pytest.mark.parametrize(
    "layer, type_name, description, base_name",
    [
        (flattenLayer(), "Flatten", "Flatten", "flatten"),
        (permuteLayer([2, 1, 3]), "Permute", "Permute with dimension order [2  1  3]", "permute"),
        (reshapeLayer(7, [], 64), "Reshape", "Reshape to 7x?x64", "reshape"),
        (depthToSpace2dLayer(2), "Depth to Space", "Depth to space with block size [2  2]", "depthToSpace"),
        (spaceToDepthLayer([2, 1]), "Space to Depth", "Space to depth with block size [2  1]", "spaceToDepth"),
        (crop2dLayer("centercrop"), "Crop 2D", "center crop", "crop2d"),
        (crop2dLayer([1, 33]), "Crop 2D", "upper-left corner of cropping rectangle at [1 33]", "crop2d"),
        (resize2dLayer(Scale=[1.5, 2]), "Resize", "nearest resize with scale [1.5  2]", "resize"),
        (resize2dLayer(OutputSize=[8, np.nan], Method="b"), "Resize", "bilinear resize to size [8  NaN]", "resize"),
        (
            resize2dLayer(EnableReferenceInput=1),
            "Resize",
            "nearest resize to the size of the reference input",
            "resize",
        ),
        (crop3dLayer(), "Crop 3D", "center crop", "crop3d"),
        (crop3dLayer([1, 33, 2]), "Crop 3D", "upper-left-front corner of cropping cuboid at [1 33 2]", "crop3d"),
        (resize3dLayer(Scale=2), "3-D Resize", "nearest resize with scale [2  2  2]", "resize3d"),
        (
            adaptiveAveragePooling2dLayer(7),
            "2-D Adaptive Average Pooling",
            "2-D adaptive average pooling with output size [7  7]",
            "adaptiveavgpool2d",
        ),
        (spatialDropoutLayer(), "Spatial Dropout", "50% spatial dropout", "spatialdropout"),
        (sequenceFoldingLayer(), "Sequence Folding", "Sequence folding", "seqfold"),
        (sequenceUnfoldingLayer(), "Sequence Unfolding", "Sequence unfolding", "sequnfold"),
        (identityLayer(), "Identity", "Identity", "identity"),
    ],
    ids=label,
)
def test_rows_of_a_layer_array_and_automatic_names(layer, type_name, description, base_name):
    assert (layer.type_name, layer.description()) == (type_name, description)
    assert automatic_names([layer]) == [base_name]
    assert automatic_names([layer, layer]) == [f"{base_name}_1", f"{base_name}_2"]


def test_a_block_with_everything_given():
    text = repr(reshapeLayer(1, [], 3))
    assert "OutputSize: [1 NaN 3]" in text
    text = repr(resize2dLayer(EnableReferenceInput=True))
    assert "NumInputs: 2" in text and "InputNames: {'in'  'ref'}" in text and "EnableReferenceInput: 1" in text
    text = repr(crop2dLayer([3, 1]))
    assert "Mode: 'custom'" in text and "Location: [3 1]" in text


def test_ports():
    assert sequenceFoldingLayer().outputs == ("out", "miniBatchSize")
    assert (sequenceUnfoldingLayer().inputs, sequenceUnfoldingLayer().NumInputs) == (("in", "miniBatchSize"), 2)
    assert (crop2dLayer("centercrop").inputs, crop2dLayer([1, 1]).NumInputs) == (("in", "ref"), 2)
    assert (resize2dLayer(Scale=1).inputs, resize2dLayer(Scale=1).NumInputs) == (("in",), 1)
    assert resize2dLayer(EnableReferenceInput=True).InputNames == ["in", "ref"]


# ----- options


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_bad_values_and_value_semantics(layer):
    before = repr(layer)
    for option in layer.table.options.values():
        assert option.rule.bad
        for bad in option.rule.bad:
            with pytest.raises(OptionError, match=f"{option.name}: needs "):
                setattr(layer, option.name, bad)
        setattr(layer, option.name, getattr(layer, option.name))
    assert repr(layer) == before
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == before
        twin.Name = "other"
    assert repr(layer) == before
    with pytest.raises(UnknownNameError, match="Did you mean 'Name'"):
        layer.Nam = "x"


def test_ways_to_give_the_options():
    assert reshapeLayer(7, [], 64, "Name", "r").Name == reshapeLayer([7, [], 64], Name="r").Name == "r"
    assert repr(reshapeLayer(7, 8, 9)) == repr(reshapeLayer((7, 8, 9))) == repr(reshapeLayer(OutputSize=[7, 8, 9]))
    assert repr(crop2dLayer("Center", "Name", "c")) == repr(crop2dLayer(Location="centercrop", Name="c"))
    assert crop2dLayer("centercrop").Location.size == 0 and crop2dLayer("centercrop").Mode == "centercrop"
    assert depthToSpace2dLayer(3, "Mode", "CRD").Mode == "crd"
    assert depthToSpace2dLayer(3).BlockSize.tolist() == spaceToDepthLayer([3, 3]).BlockSize.tolist()
    assert spatialDropoutLayer(Probability=0.25).Probability == spatialDropoutLayer(0.25).Probability
    layer = resize2dLayer("OutputSize", [128, 128], "Method", "Bilinear")
    assert (layer.Scale.size, layer.OutputSize.tolist(), layer.Method) == (0, [128, 128], "bilinear")
    assert crop3dLayer("Center", "Name", "c").cropLocation == crop3dLayer(Name="c").cropLocation == "centercrop"
    assert crop3dLayer("Name", "c").Name == crop3dLayer([1, 2, 3], "Name", "c").Name == "c"
    defaults = resize2dLayer(Scale=2)
    assert (defaults.Method, defaults.GeometricTransformMode) == ("nearest", "half-pixel")
    assert (defaults.NearestRoundingMode, defaults.EnableReferenceInput) == ("round", False)


def test_only_one_option_tells_the_size():
    with pytest.raises(OptionError, match=r"needs one of Scale, .* but got Scale and OutputSize"):
        resize2dLayer(Scale=2, OutputSize=[3, 4])
    layer = resize2dLayer(Scale=2, Name="up")
    with pytest.raises(OptionError, match="resize2dLayer 'up': .* but got Scale and EnableReferenceInput"):
        layer.EnableReferenceInput = True
    layer.Scale = []
    layer.EnableReferenceInput = True
    assert layer.inputs == ("in", "ref")


@pytest.mark.parametrize(
    "make", [permuteLayer, reshapeLayer, depthToSpace2dLayer, spaceToDepthLayer, crop2dLayer], ids=lambda f: f.__name__
)
def test_a_missing_argument(make):
    with pytest.raises(OptionError, match=f"{make.__name__}: the argument .* is missing"):
        make(Name="x")


# ----- what layers compute


def test_products_of_pairs_are_in_the_order_of_the_documentation():
    x, y = run(quadraticLayer(), Size("C", (3,)))
    a, b, c = x.T
    np.testing.assert_array_equal(y.T, [a * a, a * b, b * b, a * c, b * c, c * c])


@pytest.mark.parametrize("old, kept, first", [(6, 2, 2), (5, 2, 1), (5, 3, 1), (4, 1, 1), (4, 4, 0)])
def test_the_center(old, kept, first):
    size, reference = Size("SSC", (old, 7, 2)), Size("SSC", (kept, 7, 3))
    x, y = run(crop2dLayer("centercrop"), size, reference)
    np.testing.assert_array_equal(y, x[:, first : first + kept])


def test_a_location_is_column_and_row_from_one():
    x, y = run(crop2dLayer([3, 2]), IMAGES, SMALL)
    np.testing.assert_array_equal(y, x[:, 1:4, 2:4])


def test_a_location_in_3d_is_column_row_and_layer_from_one():
    x, y = run(crop3dLayer([3, 2, 1]), BOXES, SMALL_BOXES)
    np.testing.assert_array_equal(y, x[:, 1:4, 2:4, 0:4])
    x, y = run(crop3dLayer(), BOXES, SMALL_BOXES)
    np.testing.assert_array_equal(y, x[:, 1:4, 1:3, 0:4])


def test_resizing_to_a_reference_is_resizing_to_its_size():
    for method in ("nearest", "bilinear"):
        _, by_reference = run(resize2dLayer(EnableReferenceInput=True, Method=method), IMAGES, SMALL)
        _, by_size = run(resize2dLayer(OutputSize=SMALL.spatial, Method=method), IMAGES)
        np.testing.assert_array_equal(by_reference, by_size)


def test_what_computes_nothing():
    for layer, sizes in [
        (flattenLayer(), [FEATURES]),
        (permuteLayer([1, 2, 3]), [IMAGES]),
        (identityLayer(), [IMAGES]),
        (sequenceFoldingLayer(), [VIDEOS]),
        (sequenceUnfoldingLayer(), [VIDEOS, VIDEOS]),
    ]:
        assert layer.operation(*sizes, training=True) is None
    assert spatialDropoutLayer().operation(IMAGES, training=False) is None


class _Engine(Engine):
    """The operations of this family."""

    name = "shape family"
    operations = OPERATIONS
    losses: dict = {}  # noqa: RUF012


def plan_of(layer, size):
    call = layer.operation(size, training=True)
    return StepPlan(_Engine(), Program((as_node("layer", (-1,), call),)))


def test_sequences_are_flattened_step_by_step():
    x = np.random.default_rng(0).standard_normal((5, *VIDEOS.dims))
    y = plan_of(flattenLayer(), VIDEOS).forward(x, {}, lengths=np.array([2, 3]))
    np.testing.assert_array_equal(y, [step.ravel(order="F") for step in x])


@pytest.mark.parametrize("size", [SEQUENCES, VIDEOS], ids=lambda size: size.format)
def test_a_channel_goes_for_all_time_steps(size):
    lengths = np.array([4, 1, 3])
    plan = plan_of(spatialDropoutLayer(0.5), size)
    y = plan.forward(np.ones((8, *size.dims)), {}, np.random.default_rng(1), lengths=lengths)
    assert set(np.unique(y)) == {0, 2}
    masks = []
    for sequence in np.split(y, np.cumsum(lengths)[:-1]):
        channels = sequence.reshape(-1, size.channels)
        np.testing.assert_array_equal(channels, channels[:1].repeat(len(channels), axis=0))
        masks.append(tuple(channels[0]))
    assert len(set(masks)) > 1
    _, d_x = plan.backward(np.ones_like(y), set(), want_input=True)
    np.testing.assert_array_equal(d_x, y)
