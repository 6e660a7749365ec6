"""Every option of every layer: good and bad values, pairs, names, signature, help, and value semantics."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest

import mlnet
from layers.catalogue import CASES, IDS, REQUIRED, equal, good, make, same, start, table
from mlnet import (
    OptionError,
    UnknownNameError,
    averagePooling2dLayer,
    batchNormalizationLayer,
    classificationLayer,
    convolution2dLayer,
    dicePixelClassificationLayer,
    dropoutLayer,
    focalLossLayer,
    fullyConnectedLayer,
    imageInputLayer,
    leakyReluLayer,
    maxPooling2dLayer,
    pixelClassificationLayer,
    regressionLayer,
    reluLayer,
)
from mlnet.layers.base import Layer
from mlnet.options import Argument, describe

NAMES = list(REQUIRED)
ARGUMENTS = [(name, option) for name, option in CASES if option.argument is not Argument.NONE]
ARGUMENT_IDS = [f"{name}-{option.name}" for name, option in ARGUMENTS]


def test_the_catalogue_is_complete():
    made = {name: getattr(getattr(mlnet, name), "constructs", object) for name in mlnet.__all__}
    constructors = [name for name, kind in made.items() if issubclass(kind, Layer)]
    assert sorted(constructors) == sorted(REQUIRED)


@pytest.mark.parametrize("name, option", CASES, ids=IDS)
def test_bad_values_raise_and_change_nothing(name, option):
    assert option.rule.bad
    layer = make(name)
    before = layer.copy()
    for bad in option.rule.bad:
        attempts = [lambda bad=bad: setattr(layer, option.name, bad)]
        if option.argument is not Argument.NONE:
            attempts.append(lambda bad=bad: make(name, **{option.name: bad}))
        for attempt in attempts:
            with pytest.raises(OptionError) as caught:
                attempt()
            text = str(caught.value)
            assert text.startswith(f"{name}: {option.name}: needs {option.rule.needed}, but got "), bad
            assert describe(bad) in text
            assert caught.value.__suppress_context__  # NumPy's own complaint stays out of the traceback
            assert same(layer, before)


@pytest.mark.parametrize("name, option", CASES, ids=IDS)
def test_good_values_are_stored_in_one_form(name, option):
    for given, stored in good(name, option):
        layer = make(name)
        setattr(layer, option.name, given)
        assert equal(getattr(layer, option.name), stored), given
        if option.argument is not Argument.NONE:
            assert same(make(name, **{option.name: given}), layer)


@pytest.mark.parametrize("name, option", ARGUMENTS, ids=ARGUMENT_IDS)
def test_pairs_are_keywords_in_any_letter_case(name, option):
    constructor, required = getattr(mlnet, name), REQUIRED[name]
    given, _ = good(name, option)[0]
    if option in table(name).positional:
        others = {each.name: value for each, value in zip(table(name).positional, required, strict=False)}
        pairs = [part for key, value in {**others, option.name: given}.items() for part in (key, value)]
        assert same(constructor(*pairs), make(name, **{option.name: given}))
        return
    expected = make(name, **{option.name: given})
    for key in (option.name, option.name.lower(), option.name.upper(), np.str_(option.name.swapcase())):
        assert same(constructor(*required, key, given), expected)


@pytest.mark.parametrize("name, option", ARGUMENTS, ids=ARGUMENT_IDS)
def test_a_misspelt_name_raises_with_the_nearest(name, option):
    wrong = option.name + option.name[-1]
    hint = f"there is no option '{wrong}'. Did you mean '{option.name}'?"
    for call in (lambda: make(name, **{wrong: 1}), lambda: getattr(mlnet, name)(*REQUIRED[name], wrong, 1)):
        with pytest.raises(UnknownNameError, match=f"^{name}: ") as caught:
            call()
        assert hint in str(caught.value)
    layer = make(name)
    with pytest.raises(UnknownNameError, match=f"no property '{wrong}'"):
        setattr(layer, wrong, 1)
    with pytest.raises(AttributeError, match=f"Did you mean '{option.name}'"):
        getattr(layer, wrong)
    assert not hasattr(layer, wrong)


@pytest.mark.parametrize("name", NAMES)
def test_signature_help_and_completion_show_every_option(name):
    constructor, arguments = getattr(mlnet, name), table(name).arguments
    parameters = inspect.signature(constructor).parameters
    assert set(parameters) == set(arguments)
    for key, parameter in parameters.items():
        is_positional = arguments[key].argument is not Argument.NAMED
        assert parameter.kind is (parameter.POSITIONAL_OR_KEYWORD if is_positional else parameter.KEYWORD_ONLY)
        assert (parameter.default is parameter.empty) == (arguments[key].argument is Argument.REQUIRED)
    for entry in table(name).entries.values():
        assert f"\n    {entry.name}" in constructor.__doc__
        assert entry.doc in constructor.__doc__
        assert entry.name in dir(make(name))
        assert getattr(type(make(name)), entry.name).__doc__ == entry.doc
    assert "{parameters}" not in constructor.__doc__
    assert constructor.__name__ == name == inspect.unwrap(constructor).__name__


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_what_the_signature_says(name):
    layer = make(name)
    for key, parameter in inspect.signature(getattr(mlnet, name)).parameters.items():
        if parameter.default is not parameter.empty:
            setattr(layer, key, parameter.default)
    assert same(layer, make(name))


@pytest.mark.parametrize("name", NAMES)
def test_read_only_properties(name):
    layer = make(name)
    for entry in set(table(name).entries) - set(table(name).options):
        with pytest.raises(OptionError, match=f"{name}: the property {entry} is read-only"):
            setattr(layer, entry, 1)


def test_arrays_of_a_layer_are_copies_that_cannot_be_written():
    weights = np.ones((3, 3, 1, 2), np.float32)
    layer = convolution2dLayer(3, 2, Weights=weights, Stride=np.array([1, 1]))
    weights[...] = 7
    assert np.all(layer.Weights == 1) and layer.Weights.dtype == np.float32
    for twin in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for array in (twin.Weights, twin.Stride, twin.Padding, twin.Bias, twin.FilterSize):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 5


def test_lists_of_a_layer_are_copies():
    names = ["a", "b"]
    layer = regressionLayer(ResponseNames=names)
    twin = layer.copy()
    names.append("c")
    layer.ResponseNames.append("d")
    assert layer.ResponseNames == twin.ResponseNames == ["a", "b"]


def test_defaults_are_not_shared():
    convolution2dLayer(3, 2).Weights = np.ones((3, 3, 1, 2))
    assert convolution2dLayer(3, 2).Weights.size == 0


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: dropoutLayer("name"), "the option 'name' has no value"),
        (lambda: dropoutLayer("nmae", "d"), "no option 'nmae'. Did you mean 'Name'?"),
        (lambda: dropoutLayer("0.5"), "Probability: needs a number of at least 0 and below 1, but got '0.5'"),
        (lambda: convolution2dLayer(3, "Name", "c"), "the argument NumFilters is missing. It needs a positive integer"),
        (lambda: convolution2dLayer(), "the argument FilterSize is missing"),
        (lambda: convolution2dLayer(3, 16, 1), "takes 2 positional arguments and then name-value pairs, but got 1"),
        (lambda: reluLayer(5), "takes name-value pairs only, but got 5"),
        (lambda: convolution2dLayer(3, 16, FilterSize=5), "the option 'FilterSize' is given twice"),
        (lambda: convolution2dLayer(3, 16, "Padding", 1, "padding", 1), "the option 'Padding' is given twice"),
        (lambda: convolution2dLayer(3, 16, "Padding", 1, Padding=1), "the option 'Padding' is given twice"),
        (lambda: convolution2dLayer(3, 16, strid=2, STRIDE=1), "the option 'Stride' is given twice"),
        (lambda: convolution2dLayer(3, reluLayer()), "NumFilters: needs a positive integer, but got a ReLULayer"),
        (lambda: convolution2dLayer(3, 1, Weights=np.full(20, np.nan)), "shape (20,) and type float64 with NaN or Inf"),
        (lambda: imageInputLayer([2, 2], Normalization="zero-center"), "Did you mean 'zerocenter'?"),
        (lambda: fullyConnectedLayer(reluLayer), "but got the function reluLayer"),
        (lambda: fullyConnectedLayer(Layer), "but got the class Layer"),
        (lambda: fullyConnectedLayer([reluLayer()]), "but got a list of 1 elements"),
        (lambda: maxPooling2dLayer(2, Padding=2), "needs padding smaller than PoolSize [2, 2], but got [2, 2, 2, 2]"),
        (lambda: maxPooling2dLayer([2, 3], Padding=[0, 0, 0, 3]), "needs padding smaller than PoolSize"),
        (lambda: batchNormalizationLayer(Offset=[1, 2], Scale=[1, 2, 3]), "Offset has 2, Scale has 3"),
        (lambda: batchNormalizationLayer(NumChannels=4, TrainedMean=[1]), "NumChannels has 4, TrainedMean has 1"),
        (lambda: classificationLayer(ClassWeights=[1, 2]), "ClassWeights needs Classes"),
        (lambda: pixelClassificationLayer(ClassWeights=[1, 2]), "ClassWeights needs Classes"),
        (lambda: dicePixelClassificationLayer(ClassWeights=[1, 2]), "there is no option 'ClassWeights'"),
        (lambda: focalLossLayer(Gamma=0), "Gamma: needs a number above 0, but got 0"),
        (lambda: classificationLayer(Classes=["a", "b"], ClassWeights=[1]), "needs 2 values, one for each class"),
        (lambda: classificationLayer(Classes=mlnet.categorical(["a", None])), "needs 'auto', or a categorical"),
    ],
)
def test_messages(call, text):
    with pytest.raises((OptionError, UnknownNameError)) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_messages_carry_the_name_of_the_layer():
    layer = reluLayer(Name="r1")
    with pytest.raises(OptionError, match="^reluLayer 'r1': Name: needs a text, but got 5.$"):
        layer.Name = 5


def test_checks_between_options_leave_the_layer_unchanged():
    layer = maxPooling2dLayer(2, Padding=1)
    with pytest.raises(OptionError, match="smaller than PoolSize"):
        layer.PoolSize = 1
    assert layer.PoolSize.tolist() == [2, 2]
    weighted = classificationLayer(Classes=["a", "b"], ClassWeights=[1, 2])
    with pytest.raises(OptionError, match="ClassWeights"):
        weighted.Classes = ["a", "b", "c"]
    assert weighted.ClassNames == ["a", "b"] and weighted.ClassWeights.tolist() == [1.0, 2.0]


def test_positional_arguments_that_may_be_left_out():
    assert leakyReluLayer(0.2, "Name", "x").Scale == 0.2
    assert leakyReluLayer("name", "x").Scale == 0.01
    assert leakyReluLayer("Scale", 0.2).Scale == 0.2
    assert dropoutLayer(Name="x").Probability == 0.5


def test_padding_shows_as_mode_and_size():
    layer = convolution2dLayer(3, 1, Padding=[1, 2])
    assert layer.PaddingMode == "manual" and layer.PaddingSize.tolist() == [1, 1, 2, 2]
    layer.Padding = "same"
    assert layer.PaddingMode == "same" and layer.PaddingSize.size == 0


def test_classes_keep_their_order_and_give_the_output_size():
    layer = classificationLayer("classes", ["z", "a", "m"], "ClassWeights", [1, 2, 3])
    assert layer.ClassNames == ["z", "a", "m"] and layer.OutputSize == 3
    assert classificationLayer().OutputSize == "auto" and classificationLayer().ClassNames == []
    assert classificationLayer(Classes=[True, False]).ClassNames == ["true", "false"]


@pytest.mark.parametrize("name", NAMES)
def test_every_learnable_has_its_options_and_factors(name):
    layer = make(name)
    for learnable in layer.learnables:
        options = [learnable.learn_rate_option, learnable.l2_option]
        if name != "preluLayer":  # its Alpha has a value from the beginning
            assert getattr(layer, learnable.name).size == 0
            options.append(learnable.initializer_option)
        for option in options:
            assert option in layer.table.arguments
        changed = mlnet.setL2Factor(mlnet.setLearnRateFactor(layer, learnable.name, 2), learnable.name, 0.5)
        assert mlnet.getLearnRateFactor(changed, learnable.name) == getattr(changed, learnable.learn_rate_option) == 2
        assert mlnet.getL2Factor(changed, learnable.name) == getattr(changed, learnable.l2_option) == 0.5
        assert mlnet.getLearnRateFactor(layer, learnable.name) == 1
        assert mlnet.getL2Factor(layer, learnable.name) == (0 if learnable.name.endswith("Bias") else 1)
        with pytest.raises(OptionError, match=learnable.learn_rate_option):
            mlnet.setLearnRateFactor(layer, learnable.name, -1)


def test_which_layers_learn():
    learning = {name: [each.name for each in make(name).learnables] for name in NAMES if make(name).learnables}
    assert learning == {
        "convolution2dLayer": ["Weights", "Bias"],
        "fullyConnectedLayer": ["Weights", "Bias"],
        "batchNormalizationLayer": ["Offset", "Scale"],
        "groupNormalizationLayer": ["Offset", "Scale"],
        "instanceNormalizationLayer": ["Offset", "Scale"],
        "layerNormalizationLayer": ["Offset", "Scale"],
        "rmsNormalizationLayer": ["Scale"],
        "whiteningLayer": ["Offset", "Scale"],
        "preluLayer": ["Alpha"],
        "convolution1dLayer": ["Weights", "Bias"],
        "convolution3dLayer": ["Weights", "Bias"],
        "groupedConvolution2dLayer": ["Weights", "Bias"],
        "transposedConv1dLayer": ["Weights", "Bias"],
        "transposedConv2dLayer": ["Weights", "Bias"],
        "transposedConv3dLayer": ["Weights", "Bias"],
        "lstmLayer": ["InputWeights", "RecurrentWeights", "Bias"],
        "bilstmLayer": ["InputWeights", "RecurrentWeights", "Bias"],
        "gruLayer": ["InputWeights", "RecurrentWeights", "Bias"],
        "selfAttentionLayer": [
            *[f"{kind}Weights" for kind in ("Query", "Key", "Value", "Output")],
            *[f"{kind}Bias" for kind in ("Query", "Key", "Value", "Output")],
        ],
        "wordEmbeddingLayer": ["Weights"],
        "positionEmbeddingLayer": ["Weights"],
        "embeddingConcatenationLayer": ["Weights"],
        "patchEmbeddingLayer": ["Weights", "Bias"],
        "lstmProjectedLayer": ["InputWeights", "RecurrentWeights", "Bias", "InputProjector", "OutputProjector"],
    }


@pytest.mark.parametrize("function", ["setLearnRateFactor", "getLearnRateFactor", "setL2Factor", "getL2Factor"])
def test_factor_functions_refuse_what_is_no_parameter_and_no_layer(function):
    call, more = getattr(mlnet, function), (2,) if function.startswith("set") else ()
    with pytest.raises(UnknownNameError, match="fullyConnectedLayer: .*'weight'. Did you mean 'Weights'"):
        call(fullyConnectedLayer(1), "weight", *more)
    with pytest.raises(UnknownNameError, match="no learnable parameter '5'. Known names: Weights, Bias"):
        call(fullyConnectedLayer(1), 5, *more)
    with pytest.raises(UnknownNameError, match="There are none"):
        call(reluLayer(), "Weights", *more)
    with pytest.raises(OptionError, match=f"^{function}: needs a layer, a layer graph or a dlnetwork, but got 'fc'"):
        call("fc", "Weights", *more)


def test_the_page_of_batch_normalization():
    layer = batchNormalizationLayer("Name", "BN1")
    assert (layer.NumChannels, layer.Epsilon, layer.MeanDecay, layer.VarianceDecay) == ("auto", 1e-5, 0.1, 0.1)
    assert (layer.OffsetInitializer, layer.ScaleInitializer) == ("zeros", "ones")
    assert layer.ScaleLearnRateFactor == layer.OffsetLearnRateFactor == layer.ScaleL2Factor == layer.OffsetL2Factor == 1
    assert layer.TrainedMean.size == layer.TrainedVariance.size == layer.Offset.size == layer.Scale.size == 0
    with pytest.raises(OptionError, match="Epsilon: needs a number of at least 1e-05, but got 1e-06"):
        layer.Epsilon = 1e-6
    with pytest.raises(OptionError, match="TrainedVariance"):
        layer.TrainedVariance = [-1.0]


def test_averages_count_padding_unless_told():
    assert averagePooling2dLayer(2).PaddingValue == 0
    assert averagePooling2dLayer(2, PaddingValue="mean").PaddingValue == "mean"


def test_initializers_may_be_functions():
    assert convolution2dLayer(3, 1, WeightsInitializer=start).WeightsInitializer is start


@pytest.mark.parametrize("given", [{"Bias": [1, 2, 3]}, {"Weights": np.ones((3, 4))}])
def test_fully_connected_parameters_have_a_row_for_each_output(given):
    (name,) = given
    with pytest.raises(OptionError, match=rf"fullyConnectedLayer: {name}: needs 2 rows \(OutputSize\), but got 3"):
        fullyConnectedLayer(2, **given)
    layer = fullyConnectedLayer(2)
    with pytest.raises(OptionError):
        setattr(layer, name, given[name])
    assert getattr(layer, name).size == 0


def test_tab_completion_shows_the_properties():
    assert dir(batchNormalizationLayer()) == sorted(batchNormalizationLayer().table.entries)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mlnet.convolution2dLayer("3", 8), "convolution2dLayer: FilterSize: needs .* but got '3'"),
        (lambda: mlnet.convolution2dLayer(3, "8"), "convolution2dLayer: NumFilters: needs .* but got '8'"),
        (lambda: mlnet.lstmLayer("a", "Name", "x"), "lstmLayer: NumHiddenUnits: needs a positive integer, but got 'a'"),
        (lambda: mlnet.convolution2dLayer("FilterSise", 3, "NumFilters", 8), "Did you mean 'FilterSize'"),
        (lambda: mlnet.convolution2dLayer(3, "Paddin", 1), "'Paddin' could be Padding or PaddingValue"),
    ],
)
def test_a_text_in_the_place_of_a_required_argument_is_its_value_or_a_misspelt_name(call, text):
    with pytest.raises((OptionError, UnknownNameError), match=text):
        call()
