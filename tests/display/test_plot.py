"""The picture of a network."""

import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from mlnet import (  # noqa: E402
    MissingExtraError,
    OptionError,
    additionLayer,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    plot,
    regressionLayer,
    reluLayer,
    trainingOptions,
    trainNetwork,
)


@pytest.fixture(autouse=True)
def no_figures():
    plt.close("all")
    yield
    plt.close("all")


def graph():
    layers = [featureInputLayer(3, Name="in"), fullyConnectedLayer(3, Name="a$b$"), additionLayer(2, Name="add")]
    return connectLayers(layerGraph([*layers, regressionLayer(Name="out")]), "in", "add/in2")


def drawn(ax):
    return [text.get_text() for text in ax.texts]


def test_every_layer_has_a_dot_and_its_name_and_every_wire_a_line(tmp_path):
    ax = plot(graph())
    assert drawn(ax) == ["in", r"a\$b\$", "add", "out"]
    (dots,) = ax.collections
    offsets = np.asarray(dots.get_offsets())
    assert offsets.shape == (4, 2) and [text.xy for text in ax.texts] == [tuple(each) for each in offsets]
    assert len(ax.lines) == 4
    first, last = ax.lines[2].get_xydata()[[0, -1]]
    assert (first == offsets[0]).all() and (last == offsets[2]).all(), "the shortcut goes from in to add"
    ax.figure.savefig(tmp_path / "net.png")
    assert (tmp_path / "net.png").stat().st_size > 1000


def test_arrays_and_trained_networks():
    layers = [featureInputLayer(1), fullyConnectedLayer(1), reluLayer, fullyConnectedLayer(1), regressionLayer]
    assert drawn(plot(layers)) == ["input", "fc_1", "relu", "fc_2", "regressionoutput"]
    x = np.ones((4, 1))
    net = trainNetwork(x, x, layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    assert drawn(plot(net)) == drawn(plot(layers))
    assert drawn(plot([])) == []


def test_where_it_draws():
    figure, (left, right) = plt.subplots(1, 2)
    right.plot([1, 2])
    assert plot(graph()) is right and len(right.lines) == 4, "the current axes are emptied first"
    assert plot(graph(), left) is left and len(figure.axes) == 2
    plt.close("all")
    short, long = plot(layerGraph(reluLayer(Name="r"))).figure.get_size_inches(), graph()
    plt.close("all")
    assert plot(layerGraph([reluLayer] * 40)).figure.get_size_inches()[1] > short[1]
    assert plot(long).figure is plt.gcf()


@pytest.mark.parametrize("arguments", [(np.arange(3), np.arange(3)), ([1, 2], [3, 4]), (3,), (None,), ([1],)])
def test_curves_are_refused(arguments):
    with pytest.raises(OptionError):
        plot(*arguments)
    assert not plt.get_fignums()


def test_without_matplotlib():
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
import mlnet
try:
    mlnet.plot([mlnet.reluLayer])
except mlnet.MissingExtraError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "plot needs matplotlib: pip install matplotlib\n"
    assert issubclass(MissingExtraError, ImportError)
