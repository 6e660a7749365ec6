"""The printed text of every object, character by character."""

from __future__ import annotations

import pytest

from display.arrays import LAYER_ARRAYS, ROWS, array
from display.cases import BLOCKS, DLARRAYS, SUMMARIES
from display.conftest import FOLDER, compare, read
from mlnet import (
    fullyConnectedLayer,
    regressionLayer,
    sequenceInputLayer,
    summary,
    trainingOptions,
    trainNetwork,
)
from mlnet.display.summary import summary_text


@pytest.mark.parametrize("name", BLOCKS)
def test_object_prints_its_golden_text(golden, name):
    golden(name, repr(BLOCKS[name]()))


@pytest.mark.parametrize("name", DLARRAYS)
def test_dlarray_prints_its_golden_text(golden, name):
    array = DLARRAYS[name]()
    golden(name, repr(array))
    assert array._repr_html_().startswith("<pre") and repr(array).split("\n")[0].strip() in array._repr_html_()


@pytest.mark.parametrize("name", LAYER_ARRAYS)
def test_layer_array_prints_its_golden_text(golden, name):
    golden(name, repr(array(name)))


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_a_layer_array_are_golden(golden, name):
    layers = array(name)
    header, rows = repr(layers).split("\n\n")
    assert header == f"  {len(layers)}x1 Layer array with layers:"
    golden(name, rows)


@pytest.mark.parametrize("name", SUMMARIES)
def test_summary_prints_its_golden_text(golden, name, capsys):
    summary(SUMMARIES[name]())
    golden(name, capsys.readouterr().out.removesuffix("\n"))


def test_summaries_of_trained_networks_and_of_sequences():
    layers = [sequenceInputLayer(2, Normalization="zscore"), fullyConnectedLayer(1), regressionLayer]
    x = [[[1.0, 2, 3], [4, 5, 7]]]
    net = trainNetwork(x, [[[1.0, 2, 3]]], layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    inputs = "   Inputs:\n      1   'sequenceinput'   Sequence input with 2 dimensions"
    for value, text in ((net, "true"), (layers, "false")):
        assert summary_text(value) == f"   Initialized: {text}\n\n   Number of learnables: 3\n\n{inputs}"
    assert summary_text([]).endswith("   Inputs:\n      None")


def test_every_golden_file_has_a_case_and_a_source():
    names = {path.stem for path in FOLDER.glob("*.txt")}
    assert names == {*BLOCKS, *DLARRAYS, *LAYER_ARRAYS, *ROWS, *SUMMARIES}
    for name in names:
        comments, text = read(FOLDER / f"{name}.txt")
        assert "# source: " in comments and text.strip()
        assert all(line == line.rstrip() for line in text.split("\n"))
        assert "\u00d7" not in text, "the house form is x between sizes"


def test_rewriting_keeps_the_comments_and_comparing_finds_one_blank(tmp_path):
    path = tmp_path / "object.txt"
    path.write_text("# source: a page\n# call: f(1)\n\n  old\n\n  text\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        compare(path, "  old\n\n  text ")
    compare(path, "  new\n\n  text", rewrite=True)
    assert path.read_text(encoding="utf-8") == "# source: a page\n# call: f(1)\n\n  new\n\n  text\n"
