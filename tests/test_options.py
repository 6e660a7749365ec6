"""The table behind a class: binding of arguments, properties, messages, copies."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import mlnet
from mlnet import MlnetError, OptionError, UnknownNameError, fullyConnectedLayer, reluLayer, trainingOptions
from mlnet.errors import message, nearest, suggestion
from mlnet.options import Declared, Derived, Option, Table, describe, from_one, to_text
from mlnet.rules import choice, integer, row, text
from mlnet.structure import Structure


class Crop(Declared):
    """A class as a layer with a text as its first argument would be."""

    constructor_name = "cropLayer"
    table = Table(
        Option("Mode", None, choice("centercrop"), "Where.", argument=mlnet.options.Argument.REQUIRED),
        Option("Size", 1, row(integer(), 2), "How large.", argument=mlnet.options.Argument.OPTIONAL),
        Option("Name", "", text(), "Its name."),
        Derived("Area", lambda crop: int(np.prod(crop.Size)), "Rows times columns."),
    )

    def check(self):
        if self.Name == "bad":
            raise OptionError(f"{self.where()}: the name is bad.")


def values(crop):
    return crop.Mode, np.ravel(crop.Size).tolist(), crop.Name


@pytest.mark.parametrize(
    "args, kwargs, expected",
    [
        (("centercrop",), {}, ("centercrop", [1], "")),
        (("Center",), {}, ("centercrop", [1], "")),
        (("centercrop", 3), {}, ("centercrop", [3, 3], "")),
        (("centercrop", "Name", "a"), {}, ("centercrop", [1], "a")),
        (("centercrop", "size", 2, "NAME", "a"), {}, ("centercrop", [2, 2], "a")),
        (("centercrop", [3, 4], "Name", "size"), {}, ("centercrop", [3, 4], "size")),
        (("centercrop",), {"Size": 2, "Name": "a"}, ("centercrop", [2, 2], "a")),
        ((), {"Mode": "centercrop"}, ("centercrop", [1], "")),
        (("Name", "a", "Mode", "centercrop"), {}, ("centercrop", [1], "a")),
        (("centercrop", "Name", "a"), {"Size": 5}, ("centercrop", [5, 5], "a")),
        (("centercrop",), {"size": 2, "nAME": "a"}, ("centercrop", [2, 2], "a")),
        (("centercrop", "siz", 2, "na", "a"), {}, ("centercrop", [2, 2], "a")),
        (("centercrop",), {"Siz": 2}, ("centercrop", [2, 2], "")),
    ],
)
def test_arguments_find_their_options(args, kwargs, expected):
    assert values(Crop(*args, **kwargs)) == expected


@pytest.mark.parametrize(
    "args, kwargs, text",
    [
        ((), {}, "cropLayer: the argument Mode is missing. It needs 'centercrop'."),
        (("Name", "a"), {}, "cropLayer: the argument Mode is missing"),
        (("middle",), {}, "cropLayer: Mode: needs 'centercrop', but got 'middle'."),
        (("centrecrop",), {}, "cropLayer: Mode: needs 'centercrop', but got 'centrecrop'. Did you mean 'centercrop'?"),
        (("centercrop", "Nmae", "a"), {}, "cropLayer: there is no option 'Nmae'. Did you mean 'Name'?"),
        (("centercrop", "Name"), {}, "cropLayer: the option 'Name' has no value. Give it as 'Name', value."),
        (("centercrop", 2, 3), {}, "takes 2 positional arguments and then name-value pairs, but got 3 where a name"),
        (("centercrop", 2, "Name", "a", 7), {}, "but got 7 where a name was expected"),
        (("centercrop", 2, "Name", "a", "Neme"), {}, "there is no option 'Neme'. Did you mean 'Name'?"),
        (("centercrop",), {"Mode": "centercrop"}, "the option 'Mode' is given twice"),
        (("centercrop", "Name", "a", "name", "b"), {}, "the option 'Name' is given twice"),
        (("centercrop", "Nam", "a"), {"name": "b"}, "the option 'Name' is given twice"),
        (("centercrop", "", 2), {}, "there is no option ''"),
        (("centercrop",), {"Area": 3}, "there is no option 'Area'"),
        (("centercrop",), {"Qqqq": 3}, "there is no option 'Qqqq'. Known names: Mode, Size, Name."),
        (("centercrop",), {"Name": "bad"}, "cropLayer: the name is bad."),
    ],
)
def test_arguments_that_do_not_fit(args, kwargs, text):
    with pytest.raises((OptionError, UnknownNameError)) as caught:
        Crop(*args, **kwargs)
    assert text in str(caught.value)


def test_a_beginning_that_several_options_share_is_refused():
    with pytest.raises(
        UnknownNameError, match="'Weight' could be Weights or WeightsInitializer or WeightLearnRateFactor"
    ):
        fullyConnectedLayer(3, "Weight", 1)
    assert (
        fullyConnectedLayer(3, "bias", [1, 2, 3], "BiasLearn", 0).Bias.size == 3
    )  # in full before the beginning of others


def test_assignment_checks_the_value_and_the_whole_before_anything_changes():
    crop = Crop("centercrop", Name="good")
    for name, value, said in (
        ("Name", "bad", "the name is bad"),
        ("Size", 0, "Size: needs"),
        ("Name", 3, "needs a text"),
    ):
        with pytest.raises(OptionError, match=said):
            setattr(crop, name, value)
        assert values(crop) == ("centercrop", [1], "good")
    crop.Size = [2, 3]
    assert crop.Area == 6


def test_several_wrong_options_leave_nothing_behind():
    with pytest.raises(OptionError):
        Crop("centercrop", Size=-1, Name="a")
    assert values(Crop("centercrop")) == ("centercrop", [1], "")


def test_names_that_do_not_exist():
    crop = Crop("centercrop")
    for action in (lambda: crop.Nam, lambda: setattr(crop, "Nam", 1)):
        with pytest.raises(UnknownNameError, match="cropLayer: there is no property 'Nam'. Did you mean 'Name'"):
            action()
    assert not hasattr(crop, "Nam") and not hasattr(crop, "__array__") and not hasattr(crop, "_ipython_display_")
    with pytest.raises(OptionError, match="cropLayer: the property Area is read-only"):
        crop.Area = 3


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, Crop.copy, lambda crop: pickle.loads(pickle.dumps(crop))]
)
def test_copies(duplicate):
    crop = Crop("centercrop", [2, 3])
    twin = duplicate(crop)
    assert values(twin) == values(crop) and not twin.Size.flags.writeable
    twin.Name = "twin"
    assert crop.Name == ""


def test_training_options_follow_the_same_rules():
    options = trainingOptions("adam", "maxepochs", 3, "VERBOSE", 0, InitialLearnRate=0.1)
    assert (options.MaxEpochs, options.Verbose, options.InitialLearnRate) == (3, False, 0.1)
    for option in options.table.options.values():
        before = options.copy()
        for bad in option.rule.bad:
            with pytest.raises(OptionError) as caught:
                trainingOptions("adam", **{option.name: bad})
            assert str(caught.value).startswith(f"trainingOptions: {option.name}: needs {option.rule.needed}, but got")
            with pytest.raises(OptionError):
                setattr(options, option.name, bad)
            assert options._values == before._values


@pytest.mark.parametrize(
    "value, text",
    [
        (5, "5"),
        ("a", "'a'"),
        (None, "None"),
        (math.nan, "nan"),
        (np.float64(0.5), "0.5"),
        (np.array([1, 2]), "[1, 2]"),
        (np.zeros((0, 3)), "[]"),
        (np.zeros((3, 4)), "an array of shape (3, 4) and type float64"),
        (np.full(9, np.inf), "an array of shape (9,) and type float64 with NaN or Inf"),
        (reluLayer(), "a ReLULayer"),
        ([reluLayer()], "a list of 1 elements"),
        (np.array([reluLayer()]), "an array of shape (1,) and type object"),
        (reluLayer, "the function reluLayer"),
        (int, "the class int"),
        ("x" * 100, "'" + "x" * 56 + "..."),
        ("a\nb", repr("a\nb")),
    ],
)
def test_values_in_messages(value, text):
    assert describe(value) == text


def test_from_one():
    assert from_one("x", 1, 3) == 0 and from_one("x", [1, 3], 3).tolist() == [0, 2] and from_one("x", [], 3).size == 0
    for bad in (0, 4, "a", 1.0, True, None, [1, 4]):
        with pytest.raises(IndexError, match="x: needs numbers from 1 to 3, but got"):
            from_one("x", bad, 3)


def test_suggestions():
    assert suggestion("strde", ["Stride", "Padding"]) == "Did you mean 'Stride'?"
    assert suggestion("zzz", ["Stride"]) == "" and suggestion(5, ["Stride"]) == ""
    assert nearest("zzz", ["Stride"]) == " Known names: Stride." and nearest("zzz", []) == " There are none."
    assert message("f", "a", "b") == "f: needs a, but got b." and message("f", "a", "b", "Fix.").endswith("b. Fix.")


def test_every_error_is_one_of_ours_and_of_python():
    for name in ("OptionError", "DataError", "NetworkError"):
        assert issubclass(getattr(mlnet, name), MlnetError) and issubclass(getattr(mlnet, name), ValueError)
    assert issubclass(UnknownNameError, TypeError) and issubclass(UnknownNameError, AttributeError)
    assert issubclass(mlnet.MissingExtraError, ImportError) and issubclass(mlnet.TrainingError, RuntimeError)
    assert issubclass(mlnet.NotSupportedError, NotImplementedError)


def test_objects_without_a_renderer_show_as_python_objects():
    class Plain(mlnet.options.Shown):
        pass

    assert repr(Plain()).startswith("<") and to_text(object()).startswith("<object")


def test_structures():
    structure = Structure(Loss=0.5, State="done")
    assert structure.Loss == 0.5 and list(structure.fields()) == ["Loss", "State"]
    with pytest.raises(UnknownNameError, match="structure: there is no field 'Los'. Did you mean 'Loss'"):
        structure.Los  # noqa: B018
    for twin in (copy.copy(structure), copy.deepcopy(structure), pickle.loads(pickle.dumps(structure))):
        twin.Loss = 1
        assert structure.Loss == 0.5


def test_properties_that_are_not_arguments_say_so():
    with pytest.raises(UnknownNameError, match="'InputSize' is a property that cannot be given. Leave it out"):
        fullyConnectedLayer(3, InputSize=5)
