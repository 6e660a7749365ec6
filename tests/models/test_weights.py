"""Weights from a file: what is filled, what comes back, and every entry that does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import (
    DAGNetwork,
    DataError,
    LayerArray,
    NotSupportedError,
    OptionError,
    SeriesNetwork,
    analyzeNetwork,
    batchNormalizationLayer,
    categories,
    classificationLayer,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    reluLayer,
    rng,
    softmaxLayer,
    squeezenet,
    trainingOptions,
    trainNetwork,
)
from mlnet.models.weights import known_network


@known_network
def chain() -> LayerArray:
    """Return a small network. {weights}"""
    return LayerArray(
        [
            imageInputLayer([4, 4, 2], Normalization="zscore", Name="data"),
            convolution2dLayer(3, 3, Name="conv", WeightLearnRateFactor=2),
            batchNormalizationLayer(Name="bn"),
            reluLayer(Name="relu"),
            fullyConnectedLayer(2, Name="fc"),
            softmaxLayer(Name="prob"),
            classificationLayer(Name="output"),
        ]
    )


def written(net):
    """Return the entries as the docstrings say."""
    names = ("Mean", "StandardDeviation", "Weights", "Bias", "Offset", "Scale", "TrainedMean", "TrainedVariance")
    found = {f"{layer.Name}/{name}": getattr(layer, name, []) for layer in net.Layers for name in names}
    return {key: value for key, value in found.items() if np.size(value)}


def trained():
    rng(0)
    x = np.random.default_rng(0).normal(5, 2, size=(4, 4, 2, 12)).astype(np.float32)
    options = trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=6, Verbose=False)
    return x, trainNetwork(x, np.arange(12) % 2, chain(Weights="none"), options)


@pytest.fixture
def entries():
    return written(trained()[1])


def saved(tmp_path, entries):
    path = tmp_path / "weights.npz"
    np.savez(path, **entries)
    return path


def test_docstring_tells_how_to_write_a_file():
    for text in ("np.savez('file.npz'", "getattr(layer, name, [])", "'TrainedVariance')", "SeriesNetwork with a file"):
        assert text in chain.__doc__
    assert "DAGNetwork with a file" in squeezenet.__doc__


@pytest.mark.parametrize("as_text", [True, False])
def test_a_written_network_predicts_the_same(tmp_path, as_text):
    x, net = trained()
    path = saved(tmp_path, {**written(net), "output/Classes": np.array(["cat", "dog"])})
    again = chain("Weights", str(path) if as_text else path)
    assert type(again) is SeriesNetwork
    np.testing.assert_array_equal(again.predict(x), net.predict(x))
    assert categories(again.Layers[-1].Classes) == ["cat", "dog"]
    assert set(again.classify(x).names()) <= {"cat", "dog"}
    assert again.Layers[1].Weights.dtype == np.float32
    assert again.Layers[1].WeightLearnRateFactor == 2
    with pytest.raises(ValueError, match="read-only"):
        again.Layers[1].Weights[0] = 0


def test_classes_are_numbers_where_the_file_has_none(tmp_path, entries):
    net = chain(Weights=saved(tmp_path, entries))
    assert categories(net.Layers[-1].Classes) == ["1", "2"]


def test_a_network_from_a_file_is_trained_again(tmp_path, entries):
    x, _ = trained()
    net = chain(Weights=saved(tmp_path, entries))
    layers = [*net.Layers[:-3], fullyConnectedLayer(3), softmaxLayer, classificationLayer]
    options = trainingOptions("sgdm", MaxEpochs=1, InitialLearnRate=1e-9, Verbose=False)
    new = trainNetwork(x, np.arange(12) % 3, layers, options)
    np.testing.assert_allclose(new.Layers[1].Weights, entries["conv/Weights"], rtol=1e-5)
    assert new.predict(x).shape == (12, 3)


def test_other_shapes_without_ones_and_other_types_fit(tmp_path, entries):
    entries["conv/Bias"] = np.arange(3)
    entries["bn/Scale"] = entries["bn/Scale"].ravel().astype(np.float64)
    entries["data/Mean"] = np.full((4, 4, 2), 5.0)
    net = chain(Weights=saved(tmp_path, entries))
    np.testing.assert_array_equal(net.Layers[1].Bias, np.arange(3, dtype=np.float32).reshape(1, 1, 3))
    assert net.Layers[2].Scale.shape == (1, 1, 3) and net.Layers[0].Mean.shape == (4, 4, 2)


def mistakes(tmp_path, entries):
    with pytest.raises(DataError) as caught:
        chain(Weights=saved(tmp_path, entries))
    return str(caught.value).splitlines()


def test_every_entry_that_does_not_fit_is_listed(tmp_path, entries):
    entries["conv/Weights"] = np.zeros((3, 2, 3, 3))
    del entries["conv/Bias"]
    entries["bn/TrainedVariance"] = np.array([1, -1, 1])
    entries["bn/TrainedMean"] = np.array([1, np.nan, 1])
    entries["bn/Scale"] = np.array(["a", "b", "c"])
    entries["data/Mean"] = np.zeros(3)
    entries["fc/Weight"] = np.zeros(1)
    entries["fc/Bias"] = np.array([{}, {}], dtype=object)
    entries["output/Classes"] = np.array(["a", "b", "c"])
    first, *listed = mistakes(tmp_path, entries)
    assert first.startswith("chain: Weights: ") and first.endswith("does not fit the network, 9 mistakes:")
    assert [line for line in listed if "fc/Bias" not in line] == [
        "  'data/Mean' needs size 4x4x2 or 1x1x2 or 1x1, but has size 3x1.",
        "  'conv/Weights' needs size 3x3x2x3, but has size 3x2x3x3.",
        "  'conv/Bias' is missing.",
        "  'bn/Scale' needs a numeric array of finite values, but is ['a', 'b', 'c'].",
        "  'bn/TrainedMean' needs a numeric array of finite values, but is [1.0, nan, 1.0].",
        "  'bn/TrainedVariance' needs a numeric array of finite values, each of at least 0, but is [1, -1, 1].",
        "  'output/Classes' needs 2 different texts, but is ['a', 'b', 'c'].",
        "  'fc/Weight' is no parameter of this network. Did you mean 'fc/Weights'?",
    ]
    assert any("'fc/Bias' cannot be read: Object arrays cannot be loaded" in line for line in listed)


@pytest.mark.parametrize("classes", [np.array(["a", "a"]), np.array([["a", "b"], ["c", "d"]])])
def test_classes_need_to_be_different(tmp_path, entries, classes):
    first, line = mistakes(tmp_path, {**entries, "output/Classes": classes})
    assert "1 mistake:" in first and "'output/Classes' needs 2 different texts" in line


def test_files_that_cannot_be_read(tmp_path):
    for name, content in (("text.npz", b"text"), ("empty.npz", b""), ("cut.npz", b"PK\x03\x04cut")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"chain: Weights: '.*{name}' cannot be read as a .npz file"):
            chain(Weights=path)
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="it is no archive of arrays"):
        chain(Weights=tmp_path / "array.npz")
    with pytest.raises(DataError, match=r"cannot be read .* No such file"):
        chain(Weights=tmp_path / "nothing.npz")


def test_wrong_options():
    with pytest.raises(NotSupportedError, match="chain: trained weights .* are not shipped"):
        chain()
    with pytest.raises(OptionError, match=r"chain: Weights: needs 'none', or the path of a \.npz file, but got 1"):
        chain(Weights=1)
    with pytest.raises(OptionError, match="takes name-value pairs only"):
        chain(np.zeros(3))


def test_a_graph_from_a_file(tmp_path):
    graph = squeezenet(Weights="none")
    generator = np.random.default_rng(0)
    entries = {"data/Mean": np.full((1, 1, 3), 120.0)}
    info = analyzeNetwork(graph).LayerInfo
    for name, learnables in zip(info.Name, info.LearnableProperties, strict=True):
        for parameter, size in (text.split(" ") for text in learnables.split(", ") if text):
            shape = [int(length) for length in size.split("x")]
            entries[f"{name}/{parameter}"] = generator.normal(0, 0.05, shape)
    path = saved(tmp_path, entries)
    net = squeezenet(Weights=path)
    assert type(net) is DAGNetwork
    assert set(layerGraph(net).Connections.rows()) == set(graph.Connections.rows())
    np.testing.assert_array_equal(net.Layers[1].Weights, entries["conv1/Weights"].astype(np.float32))
    scores = net.predict(generator.uniform(0, 255, (227, 227, 3, 1)))
    assert scores.shape == (1, 1000)
    np.testing.assert_allclose(scores.sum(), 1, rtol=1e-5)
