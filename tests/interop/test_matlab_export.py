"""exportNetworkToMATLAB: what is written is read by a reader of MATLAB's language, and makes the same network."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
import scipy.io
from conformance.table import ROWS, TABLE, case_of
from layers.catalogue import same
from storage.test_networks import predictions

import mlnet
from interop.matlab_code import network_of
from interop.networks import random_network
from mlnet import (
    DataError,
    NotSupportedError,
    OptionError,
    UnknownNameError,
    additionLayer,
    assembleNetwork,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    connectLayers,
    convolution2dLayer,
    dlarray,
    dlnetwork,
    exportNetworkToMATLAB,
    featureInputLayer,
    fullyConnectedLayer,
    functionLayer,
    imageInputLayer,
    layerGraph,
    lstmLayer,
    networkLayer,
    predict,
    regressionLayer,
    reluLayer,
    rmsNormalizationLayer,
    sequenceInputLayer,
    softmaxLayer,
    whiteningLayer,
)
from mlnet.conformance.trial import Case
from mlnet.interop.matlab.layers import FUNCTIONS, NOT_IN_MATLAB, SINCE, function_of, handle_of
from mlnet.layers.output import ClassesOutputLayer
from mlnet.network.trained import DAGNetwork
from mlnet.training.statistics import with_values

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(6, 5, 2, 3)).astype(np.float32)


def network_of_case(name, number):
    """Return a row of the conformance table with a trained network of it."""
    case: Case = case_of(name, TABLE[name][number])
    values = {key: value.astype(np.float32) for key, value in case.parameters.items()}
    layers = with_values(case.with_statistics, values)
    for index, layer in enumerate(layers):
        if isinstance(layer, ClassesOutputLayer) and isinstance(layer.Classes, str):
            names = [f"it's {n}" for n in range(case.network.input_size(index).channels)]
            layers[index] = layer.replaced(Classes=categorical(names, names))
    return case, DAGNetwork(case.with_statistics.with_layers(layers))


def classifier():
    mean = GENERATOR.normal(size=(1, 1, 2)).astype(np.float32)
    layers = [
        imageInputLayer([6, 5, 2], Name="in", Mean=mean, StandardDeviation=mean**2 + 1, Normalization="zscore"),
        convolution2dLayer([3, 2], 4, Name="conv/1", Padding=[1, 0, 2, 1], WeightL2Factor=0.5),
        batchNormalizationLayer(Name="conv_1", Epsilon=1e-3),
        reluLayer(Name="relu one"),
        additionLayer(2, Name="plus"),
        fullyConnectedLayer(2, Name="1fc"),
        softmaxLayer(Name="soft"),
        classificationLayer(Name="out", Classes=["yes", "it's no"], ClassWeights=[1, 3]),
    ]
    graph = connectLayers(layerGraph(layers), "conv_1", "plus/in2")
    return random_network(graph)


def test_a_network_comes_back(tmp_path):
    net = classifier()
    exportNetworkToMATLAB(net, tmp_path / "new")
    assert sorted(os.listdir(tmp_path / "new")) == ["trainedNetwork.m", "trainedNetwork.mat"]
    again = network_of(tmp_path / "new")
    assert type(again) is DAGNetwork
    assert np.array_equal(predict(again, IMAGES), predict(net, IMAGES))
    for one, other in zip(again.Layers, net.Layers, strict=True):
        renamed = one.replaced(Name="conv/1") if one.Name == "conv_1_2" else one
        assert same(renamed, other)
    code = (tmp_path / "new" / "trainedNetwork.m").read_text()
    assert "% Note: the layer 'conv/1' is 'conv_1_2' here." in code and "R2019b or later" in code
    assert "'TrainedMean', p.conv_1.TrainedMean, 'TrainedVariance', p.conv_1.TrainedVariance" in code
    stored = scipy.io.loadmat(tmp_path / "new" / "trainedNetwork.mat")
    assert stored["conv_1_2"]["Weights"][0, 0].dtype == np.float32
    assert stored["conv_1_2"]["Weights"][0, 0].shape == (3, 2, 2, 4)
    assert stored["in"]["Mean"][0, 0].shape == (1, 1, 2)


@pytest.mark.parametrize("name, number", [row for row in ROWS if row[0] not in (*NOT_IN_MATLAB, "functionLayer")])
def test_every_layer_comes_back(name, number, tmp_path):
    case, net = network_of_case(name, number)
    try:
        exportNetworkToMATLAB(net, tmp_path)
    except NotSupportedError as error:
        assert "whitening" in str(error) or "several sequences" in str(error)
        return
    again = network_of(tmp_path)
    batch = case.batch(3)
    ours, theirs = (predictions((case, each._network), batch) for each in (net, again))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_layer_arrays_are_layer_arrays(tmp_path):
    layers = [sequenceInputLayer(3), lstmLayer(4, OutputMode="last"), fullyConnectedLayer(1), regressionLayer()]
    net = random_network(layers)
    exportNetworkToMATLAB(net, tmp_path, FunctionName="lstm")
    again = network_of(tmp_path, "lstm")
    X = [GENERATOR.normal(size=(3, n)) for n in (2, 5)]
    assert type(again) is mlnet.SeriesNetwork
    assert np.array_equal(predict(again, X), predict(net, X))


@pytest.mark.parametrize("kind", ["weight-normalization", "weight-standardization"])
def test_reparameterized_weights_are_those_that_are_applied(tmp_path, kind):
    layers = [imageInputLayer([6, 5, 2], Normalization="none"), fullyConnectedLayer(3, WeightReparameterization=kind)]
    layers[1:1] = [convolution2dLayer(3, 4, WeightReparameterization=kind, WeightLengthLearnRateFactor=2)]
    net = random_network([*layers, regressionLayer()])
    exportNetworkToMATLAB(net, tmp_path)
    code = (tmp_path / "trainedNetwork.m").read_text()
    assert f"% Note: the Weights of 'conv' are with {kind}." in code and "WeightLength" not in code
    assert np.array_equal(predict(network_of(tmp_path), IMAGES), predict(net, IMAGES))


def test_networks_in_networks(tmp_path):
    inner = connectLayers(layerGraph([reluLayer(Name="a"), additionLayer(2, Name="b")]), "a", "b/in2")
    net = random_network([featureInputLayer(3), networkLayer(inner, Name="block"), regressionLayer()])
    exportNetworkToMATLAB(net, tmp_path)
    again = network_of(tmp_path)
    assert [layer.Name for layer in again.Layers] == ["input", "block_a", "block_b", "regressionoutput"]
    X = GENERATOR.normal(size=(4, 3))
    assert np.array_equal(predict(again, X), predict(net, X))
    assert "'block:a' is 'block_a' here" in (tmp_path / "trainedNetwork.m").read_text()


def test_dlnetworks(tmp_path):
    net = dlnetwork([featureInputLayer(3), fullyConnectedLayer(4), batchNormalizationLayer(), functionLayer(np.tanh)])
    exportNetworkToMATLAB(net, tmp_path)
    again = network_of(tmp_path)
    X = dlarray(GENERATOR.normal(size=(3, 5)), "CB")
    assert type(again) is dlnetwork
    assert np.array_equal(predict(again, X).extractdata(), predict(net, X).extractdata())
    assert "functionLayer(@tanh" in (tmp_path / "trainedNetwork.m").read_text()
    exportNetworkToMATLAB(dlnetwork([fullyConnectedLayer(4)]), tmp_path)
    code = (tmp_path / "trainedNetwork.m").read_text()
    assert "net = dlnetwork(lgraph, 'Initialize', false);" in code and "load(" not in code
    assert not network_of(tmp_path).Initialized


class mine(mlnet.Layer):
    """A layer of a user."""

    def predict(self, X):
        """Compute the output."""
        return 2 * X


def test_what_matlab_does_not_have_is_told_at_once(tmp_path):
    layers = [imageInputLayer([6, 5, 2], Normalization="zca-whitening", Mean=np.zeros(2), WhiteningMatrix=np.eye(2))]
    layers += [mine(), rmsNormalizationLayer(), whiteningLayer(), functionLayer(lambda x: x), regressionLayer()]
    net = random_network(layers)
    with pytest.raises(NotSupportedError) as caught:
        exportNetworkToMATLAB(net, tmp_path)
    for words in (
        "'zca-whitening'",
        "no RMS",
        "no whitening layer",
        "PredictFcn is the function <lambda>",
        "is a custom layer",
    ):
        assert words in str(caught.value)
    assert not os.listdir(tmp_path)


def test_bad_arguments(tmp_path):
    net = classifier()
    with pytest.raises(OptionError, match="codeFor"):
        exportNetworkToMATLAB([reluLayer()], tmp_path)
    with pytest.raises(OptionError, match="folder"):
        exportNetworkToMATLAB(net, 3)
    with pytest.raises(OptionError, match="FunctionName"):
        exportNetworkToMATLAB(net, tmp_path, FunctionName="end")
    with pytest.raises(UnknownNameError, match="Did you mean 'FunctionName'"):
        exportNetworkToMATLAB(net, tmp_path, FunctonName="f")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        exportNetworkToMATLAB(net, tmp_path / "file")
    with pytest.raises(DataError, match="cannot be written"):
        exportNetworkToMATLAB(net, tmp_path / "no" / "folder")


def test_facts_are_about_layers_that_there_are():
    assert all(hasattr(mlnet, name) for name in [*SINCE, *NOT_IN_MATLAB])
    for text, function in FUNCTIONS.items():
        assert function_of(handle_of(function)) is function and function_of(text) is function
    assert function_of("@(X) X .^ 2") is np.square and function_of("@(X)system(X)") is None
    with pytest.raises(ValueError):
        handle_of(np.arccosh)


STUBS = {
    "layerGraph": "l.layers = {}; l.wires = {};",
    "addLayers": "l = varargin{1}; for k = 1:numel(varargin{2}), l.layers{end+1} = varargin{2}(k); end",
    "connectLayers": "l = varargin{1}; l.wires{end+1} = varargin(2:3);",
    "assembleNetwork": "l = varargin{1};",
    "categorical": "l.categories = varargin{1};",
}


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="needs Octave")
def test_octave_runs_the_function(tmp_path):
    net = classifier()
    exportNetworkToMATLAB(net, tmp_path)
    for name in {*STUBS, *(layer.constructor_name for layer in net.Layers)}:
        body = STUBS.get(name, f"l.call = '{name}'; l.args = varargin;")
        (tmp_path / f"{name}.m").write_text(f"function l = {name}(varargin)\n{body}\nend\n")
    command = "net = trainedNetwork(); save('-v7', 'found.mat', 'net');"
    subprocess.run(["octave-cli", "--quiet", "--eval", command], cwd=tmp_path, check=True, capture_output=True)
    found = mlnet.load(tmp_path / "found.mat").net
    layers = []
    for record in found.layers:
        args = [mlnet.categorical(a.categories, a.categories) if hasattr(a, "categories") else a for a in record.args]
        args = [a.ravel() if isinstance(a, np.ndarray) and a.shape[:1] == (1,) and a.ndim == 2 else a for a in args]
        layers.append(getattr(mlnet, record.call)(*args))
    graph = layerGraph(layers[0])
    for layer in layers[1:]:
        graph = mlnet.addLayers(graph, layer)
    wires = [("in", "conv_1_2"), ("conv_1_2", "conv_1"), ("conv_1", "relu one"), ("relu one", "plus/in1")]
    wires += [("plus", "1fc"), ("1fc", "soft"), ("soft", "out"), *map(tuple, found.wires)]
    for source, destination in wires:
        graph = connectLayers(graph, source, destination)
    assert found.wires == [["conv_1", "plus/in2"]]
    assert np.array_equal(predict(assembleNetwork(graph), IMAGES), predict(net, IMAGES))
