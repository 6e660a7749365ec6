"""Blocks, HTML, disp and properties."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from display.arrays import LAYER_ARRAYS, array
from display.cases import BLOCKS
from mlnet import (
    LayerArray,
    OptionError,
    averagePooling2dLayer,
    batchNormalizationLayer,
    categorical,
    convolution2dLayer,
    disp,
    dropoutLayer,
    fullyConnectedLayer,
    properties,
    reluLayer,
)
from mlnet.display.objects import property_block
from mlnet.options import Declared, Option, Table
from mlnet.rules import number
from mlnet.structure import Structure

NAMES = re.compile(r"^ +(\w+): ", re.MULTILINE)


@pytest.mark.parametrize("name", BLOCKS)
def test_names_end_in_one_column_and_the_longest_follows_four_blanks(name):
    rows = re.findall(r"^( +)(\w+): ", repr(BLOCKS[name]()), re.MULTILINE)
    assert len({len(blanks) + len(each) for blanks, each in rows}) == 1
    assert min(len(blanks) for blanks, _ in rows) == 4


def test_structure():
    text = repr(Structure(Epoch=1, State="iteration"))
    assert text == "  struct with fields:\n\n    Epoch: 1\n    State: 'iteration'"
    assert repr(Structure()) == "  struct with no fields."


def test_property_block_with_a_closing_line():
    rows = [("InputNames", ["input"]), ("Initialized", True)]
    block = property_block("dlnetwork", rows, closing="View summary.")
    assert block.text().split("\n") == [
        "  dlnetwork with properties:",
        "",
        "     InputNames: {'input'}",
        "    Initialized: 1",
        "",
        "  View summary.",
    ]


def test_object_that_shows_no_property():
    class Quiet(Declared):
        table = Table(Option("Secret", 1, number(), "Not shown."))

    assert repr(Quiet()) == "  Quiet with no properties."
    assert properties(Quiet()) == ["Secret"]


def test_rows_appear_when_their_condition_holds():
    layer = averagePooling2dLayer(2)
    assert "PaddingValue" not in repr(layer)
    layer.PaddingValue = "mean"
    assert repr(layer).endswith("    PaddingValue: 'mean'")
    convolution = convolution2dLayer(3, 16)
    assert "PaddingValue" not in repr(convolution)
    convolution.PaddingValue = 2
    assert "      PaddingValue: 2\n" in repr(convolution)


@pytest.mark.parametrize("name", BLOCKS)
def test_properties_lists_more_than_the_block(name):
    value = BLOCKS[name]()
    if isinstance(value, Declared):
        listed = properties(value)
        assert len(set(listed)) == len(listed)
        assert set(NAMES.findall(repr(value))) <= set(listed)
        for each in listed:
            getattr(value, each)
    else:
        with pytest.raises(OptionError, match="properties: needs a layer or training options"):
            properties(value)


def test_properties_has_what_show_all_properties_stands_for():
    assert {"ScaleLearnRateFactor", "MeanDecay", "NumInputs"} <= set(properties(batchNormalizationLayer()))


@pytest.mark.parametrize("value", [3, "text", None, reluLayer, LayerArray([]), Structure(a=1)])
def test_properties_of_other_objects_is_an_error(value):
    with pytest.raises(OptionError, match="properties: needs a layer or training options, but got"):
        properties(value)


@pytest.mark.parametrize(
    "value",
    [
        dropoutLayer(),
        LayerArray([reluLayer, reluLayer]),
        categorical([1, 2]),
        Structure(a=1),
        "text",
        [1, "a"],
    ],
)
def test_disp_prints_what_the_prompt_shows(capsys, value):
    assert disp(value) is None
    assert capsys.readouterr().out == f"{value}\n"


class Page(HTMLParser):
    """Collects the text of HTML and checks that its elements nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert set(dict(attributes)) <= {"style"}, "no resources, no scripts"
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


ALLOWED = {"div", "p", "pre", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("name", BLOCKS)
def test_html_of_an_object_has_every_row_of_its_block(name):
    value = BLOCKS[name]()
    page = Page(value._repr_html_())
    assert page.tags <= ALLOWED
    for line in repr(value).split("\n"):
        if line and line != "  Show all properties":
            is_row = re.match(r" +(\w+): (.*)", line)
            assert all(text in page.texts for text in (is_row.groups() if is_row else [line.strip()]))


@pytest.mark.parametrize("name", LAYER_ARRAYS)
def test_html_of_a_layer_array_has_every_cell(name):
    layers = array(name)
    page = Page(layers._repr_html_())
    assert page.tags <= ALLOWED
    assert f"{len(layers)}x1 Layer array with layers:" in page.texts
    cells = [text for text in page.texts if text]
    assert cells[1:4] == ["Name", "Type", "Description"]
    expected = [
        each
        for number, layer in enumerate(layers, start=1)
        for each in (str(number), f"'{layer.Name}'", layer.type_name, layer.description())
    ]
    assert cells[4:] == expected


def test_html_is_escaped_everywhere():
    evil = "<b>\"&'</b>"
    layer = reluLayer(Name=evil)
    odd = type(evil, (Declared,), {})()
    for value in (layer, LayerArray([layer, layer]), categorical([evil, "a"]), Structure(a=evil), odd):
        html = value._repr_html_()
        assert "<b>" not in html and "</b>" not in html
        assert any(evil in text for text in Page(html).texts)


def test_html_of_special_arrays():
    assert LayerArray([reluLayer(Name="r")])._repr_html_() == reluLayer(Name="r")._repr_html_()
    assert Page(LayerArray([])._repr_html_()).texts[1] == "0x0 Layer array with properties:"
    assert type(LayerArray([reluLayer, reluLayer])._repr_html_()) is str
    assert categorical([1, 2])._repr_html_() == "<pre>  2x1 categorical array\n\n     1\n     2</pre>"


def test_frozen_parameters_are_marked():
    layer = fullyConnectedLayer(2, Weights=np.ones((2, 3)), WeightLearnRateFactor=0)
    lines = [line.strip() for line in repr(layer).split("\n")]
    assert "Weights: [2x3 double] (frozen)" in lines and "Bias: []" in lines
    layer.WeightLearnRateFactor = 1
    assert "frozen" not in repr(layer)
