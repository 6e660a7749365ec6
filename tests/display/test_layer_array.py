"""Layer arrays: columns, numbers, special arrays, odd names."""

from __future__ import annotations

import pytest

from display.arrays import LAYER_ARRAYS, ROWS, Described, array
from mlnet import LayerArray, featureInputLayer, reluLayer


def test_array_of_one_layer_shows_the_layer():
    layer = reluLayer(Name="r")
    assert repr(LayerArray([layer])) == repr(layer)


def test_empty_array():
    assert repr(LayerArray([])) == "  0x0 Layer array with properties:"


def test_numbers_end_in_the_same_column_and_rows_have_no_trailing_blanks():
    rows = repr(LayerArray([reluLayer] * 1000)).split("\n")[2:]
    assert len(rows) == 1000
    assert rows[0] == "     1   ''   ReLU   ReLU"
    assert rows[98] == "    99   ''   ReLU   ReLU"
    assert rows[999] == "  1000   ''   ReLU   ReLU"


@pytest.mark.parametrize("name", [*LAYER_ARRAYS, *ROWS])
def test_columns_start_three_blanks_after_the_widest_cell(name):
    layers = array(name)
    name_column = max(len(layer.Name) + 2 for layer in layers)
    type_column = max(len(layer.type_name) for layer in layers)
    for number, (row, layer) in enumerate(zip(repr(layers).split("\n")[2:], layers, strict=True), start=1):
        name, kind = f"{layer.Name!r:<{name_column}}", f"{layer.type_name:<{type_column}}"
        assert row == f"{number:6d}   {name}   {kind}   {layer.description()}".rstrip()


@pytest.mark.parametrize("name", [" padded  ", "1e5", "nan", "3", "tab\t", "\x01", "a|b", "<b>&"])
def test_odd_names_are_shown_as_they_are_in_one_row(name):
    layers = LayerArray([reluLayer(Name=name), reluLayer])
    rows = repr(layers).split("\n")[2:]
    assert len(rows) == 2
    visible = name.replace("\t", "\\t").replace("\x01", "\\x01")
    assert rows[0] == f"     1   '{visible}'   ReLU   ReLU"


def test_line_end_in_a_name_does_not_break_the_row():
    first, second = repr(LayerArray([reluLayer(Name="a\nb"), featureInputLayer(2)])).split("\n")[2:]
    assert first == "     1   'a\u21b5b'   ReLU            ReLU"
    assert second == "     2   ''      Feature Input   2 features"


def test_layer_without_type_and_description_shows_its_class():
    rows = repr(LayerArray([Described("a", "", ""), reluLayer])).split("\n")[2:]
    assert rows[0] == "     1   'a'   Described   Described"


def test_texts_that_look_like_numbers_stay_as_they_are():
    rows = repr(LayerArray([Described("1", "007", "1e3"), Described("10", "5.50", "12")])).split("\n")[2:]
    assert rows == ["     1   '1'    007    1e3", "     2   '10'   5.50   12"]
    assert "<td>007" in LayerArray([Described("1", "007", "1e3"), reluLayer])._repr_html_()


def test_display_changes_nothing():
    layers = array("layers_page")
    before = [layer._values for layer in layers]
    first = repr(layers)
    assert repr(layers) == first
    assert [layer._values for layer in layers] == before
