"""The analysis of a network as a page."""

import itertools
import os
import re
import stat
from html.parser import HTMLParser

import pytest

from mlnet import (
    LayerArray,
    OptionError,
    additionLayer,
    addLayers,
    analyzeNetwork,
    classificationLayer,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    regressionLayer,
    reluLayer,
)


class Page(HTMLParser):
    """The tags, texts and attributes of a page; every tag has to be closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.rows, self._open = [], [], {}, []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def graph():
    layers = [featureInputLayer(3, Name="in"), fullyConnectedLayer(3, Name="fc"), additionLayer(2, Name="add")]
    return connectLayers(layerGraph([*layers, regressionLayer(Name="out")]), "in", "add/in2")


def wrong():
    """Layer 3 does not fit, layer 4 has no softmax before it, layers 2 and 5 share a name and 5 stands alone."""
    layers = [imageInputLayer([4, 4, 1]), reluLayer(Name="same"), maxPooling2dLayer(9), classificationLayer]
    return [*layers, reluLayer(Name="same")]


def test_counts_table_and_graph():
    analysis = analyzeNetwork(graph())
    page = Page(analysis.to_html())
    assert page.texts[2:11] == [
        "Network analysis",
        "4",
        "layers",
        "4",
        "connections",
        "12",
        "learnables",
        "0",
        "mistakes",
    ]
    rows = [each["id"] for each in page.attributes("tr") if "id" in each]
    assert rows == ["layer-1", "layer-2", "layer-3", "layer-4"]
    for text in ("in", "Fully Connected", "3(C) x 1(B)", "Weights 3x3, Bias 3x1"):
        assert text in page.texts
    links = [each["href"] for each in page.attributes("a")]
    assert links == ["#layer-1", "#layer-2", "#layer-3", "#layer-4"]
    assert len(page.attributes("path")) == 4 and len(page.attributes("circle")) == 4
    assert not any("wrong" in each.get("class", "") for _, each in page.tags)


def test_coordinates_lie_in_the_picture():
    branches = layerGraph([imageInputLayer([4, 4, 1], Name="in")])
    for number in range(4):
        branches = addLayers(branches, reluLayer(Name=f"a_long_name_of_a_branch_{number}"))
        branches = connectLayers(branches, "in", f"a_long_name_of_a_branch_{number}")
    page = Page(analyzeNetwork(branches).to_html())
    (svg,) = page.attributes("svg")
    dots = [(float(each["cx"]), float(each["cy"])) for each in page.attributes("circle")]
    assert all(0 < x < float(svg["width"]) and 0 < y < float(svg["height"]) for x, y in dots)
    xs = sorted(x for x, y in dots if y == max(y for _, y in dots))
    assert min(b - a for a, b in itertools.pairwise(xs)) > 25 * 6, "names do not run into the next column"


def test_mistakes_are_marked_at_their_layers():
    analysis = analyzeNetwork(wrong())
    page = Page(analysis.to_html())
    about = {mistake.split(".")[0]: rows for mistake, rows in zip(analysis.Mistakes, analysis.marks, strict=True)}
    assert [rows for text, rows in about.items() if "the same name 'same'" in text] == [[1, 4]]
    assert [rows for text, rows in about.items() if text.startswith("Layer 3 (Max Pooling)")] == [[2]]
    assert all(analysis.marks), "every mistake of this network is about some layers"
    marked = [each["id"] for each in page.attributes("tr") if "wrong" in each.get("class", "")]
    assert marked == ["layer-2", "layer-3", "layer-4", "layer-5"]
    assert len(page.attributes("li")) == 4 + len(analysis.Mistakes)
    dots = [each["href"] for each in page.attributes("a") if each.get("class") == "wrong"]
    assert dots == ["#layer-2", "#layer-3", "#layer-4", "#layer-5"]
    for mistake, rows in zip(analysis.Mistakes, analysis.marks, strict=True):
        assert page.texts.count(mistake) == 1 + len(rows), "in the list, and at each layer"


def test_cycles_are_marked_and_drawn():
    layers = [
        featureInputLayer(2, Name="in"),
        additionLayer(2, Name="add"),
        reluLayer(Name="r"),
        regressionLayer(Name="o"),
    ]
    cycle = connectLayers(layerGraph(layers), "r", "add/in2")
    analysis = analyzeNetwork(cycle)
    (number,) = [number for number, mistake in enumerate(analysis.Mistakes) if "cycle" in mistake]
    assert {1, 2} <= set(analysis.marks[number]) and 0 not in analysis.marks[number]
    assert len(Page(analysis.to_html()).attributes("path")) == 4


def test_the_page_is_escaped_and_needs_nothing_else():
    evil = "<script>alert(1)</script>&\"'"
    html = analyzeNetwork([featureInputLayer(2, Name=evil), reluLayer(Name=evil)]).to_html()
    assert "<script" not in html.lower() and evil in Page(html).texts
    assert not re.search(r"(src=|@import|url\(|<link)", html)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert Page(analyzeNetwork(LayerArray([])).to_html()).attributes("svg")


def test_saving(tmp_path):
    analysis = analyzeNetwork(graph())
    path = tmp_path / "net.html"
    path.write_text("old")
    analysis.save(path)
    assert path.read_text(encoding="utf-8") == analysis.to_html()
    assert [each.name for each in tmp_path.iterdir()] == ["net.html"]
    if os.name == "posix":
        plain = tmp_path / "plain"
        plain.touch()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    with pytest.raises(OptionError, match="save: cannot write '.*nowhere.*': No such file or directory"):
        analysis.save(str(tmp_path / "nowhere" / "net.html"))


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    path = tmp_path / "net.html"
    path.write_text("old")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OptionError, match="Permission denied"):
        analyzeNetwork(graph()).save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["net.html"] and path.read_text() == "old"
