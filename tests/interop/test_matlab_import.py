"""importNetworkFromMATLAB: files of the documented layout, by an independent writer, and by the script in Octave."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from conformance.table import ROWS
from storage.test_networks import predictions

import mlnet
from interop.matlab_files import cells, layer_record, record_of, write
from interop.networks import random_network
from interop.test_matlab_export import IMAGES, classifier, network_of_case
from mlnet import (
    DAGNetwork,
    DataError,
    LayerArray,
    NetworkError,
    NotSupportedError,
    OptionError,
    SeriesNetwork,
    additionLayer,
    batchNormalizationLayer,
    connectLayers,
    dlarray,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    functionLayer,
    importNetworkFromMATLAB,
    layerGraph,
    lstmLayer,
    matlabFolder,
    networkLayer,
    predict,
    regressionLayer,
    reluLayer,
    sequenceInputLayer,
    trainingOptions,
)

GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(4, 3)).astype(np.float32)
NOT_THERE = ("functionLayer", "rmsNormalizationLayer", "whiteningLayer")


def small(name="fc"):
    return random_network([featureInputLayer(3), fullyConnectedLayer(2, Name=name), regressionLayer()])


def test_a_network_comes_with_its_sample(tmp_path):
    net = classifier()
    given = trainingOptions("adam", MaxEpochs=7, LearnRateSchedule="piecewise", LearnRateDropPeriod=3)
    options = layer_record(given, "nnet.cnn")
    options["properties"].pop("LearnRateDropPeriod")
    options["properties"]["LearnRateScheduleSettings"] = {"Method": "piecewise", "DropPeriod": 3.0}
    options["properties"]["DispatchInBackground"] = True
    samples = {"inputs": [(IMAGES, "")], "outputs": [(predict(net, IMAGES), "")]}
    write(tmp_path / "net.mat", record_of(net, **samples, options=options))
    again, report = importNetworkFromMATLAB(tmp_path / "net", nargout=2)
    assert type(again) is DAGNetwork and np.array_equal(predict(again, IMAGES), predict(net, IMAGES))
    assert report.Difference == 0 and report.LeftOut == [] and report.Class == "DAGNetwork"
    assert report.Release.endswith("(R2023a)")
    assert type(report.Options) is type(given) and report.Options.MaxEpochs == 7
    assert report.Options.LearnRateDropPeriod == 3
    for one, other in zip(again.Layers, net.Layers, strict=True):
        assert repr(one) == repr(other)


@pytest.mark.parametrize("name, number", [row for row in ROWS if row[0] not in NOT_THERE])
def test_every_layer_comes_back(name, number, tmp_path):
    case, net = network_of_case(name, number)
    if any(getattr(layer, "WeightReparameterization", "none") != "none" for layer in net.Layers):
        return
    if any("whitening" in str(getattr(layer, "Normalization", "")) for layer in net.Layers):
        return
    write(tmp_path / "net.mat", record_of(net))
    with pytest.warns(UserWarning, match="no sample"):
        again, report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)
    assert np.isnan(report.Difference)
    assert all("sequences" in note for note in report.LeftOut)
    if report.LeftOut:
        return
    batch = case.batch(3)
    ours, theirs = (predictions((case, each._network), batch) for each in (net, again))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_chains_and_sequences(tmp_path):
    net = random_network([sequenceInputLayer(3), lstmLayer(4), fullyConnectedLayer(2), regressionLayer()])
    data = [GENERATOR.normal(size=(3, n)).astype(np.float32) for n in (7, 9)]
    column = cells(data).T
    outputs = cells(predict(net, data)).T
    record = record_of(net, "SeriesNetwork")
    record["inputs"] = record["outputs"] = None
    record |= {"inputs": cells([{"format": ""}]), "outputs": cells([{"format": ""}])}
    record["inputs"][0, 0]["data"], record["outputs"][0, 0]["data"] = column, outputs
    write(tmp_path / "net.mat", record)
    again, report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)
    assert type(again) is SeriesNetwork and report.Difference == 0


def test_dlnetworks(tmp_path):
    inner = connectLayers(layerGraph([reluLayer(Name="a"), additionLayer(2, Name="b")]), "a", "b/in2")
    net = dlnetwork([featureInputLayer(3), fullyConnectedLayer(2), batchNormalizationLayer(), functionLayer(np.tanh)])
    data = dlarray(X.T, "CB")
    outputs = [(predict(net, data).extractdata(), "CB")]
    write(tmp_path / "net.mat", record_of(net, "dlnetwork", [(X.T, "CB")], outputs))
    again, report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)
    assert type(again) is dlnetwork and report.Difference == 0
    assert list(again.Learnables.Parameter) == list(net.Learnables.Parameter)
    graph = layerGraph([fullyConnectedLayer(2, Weights=np.eye(2, 3), Bias=[1, 2]), networkLayer(inner, Name="block")])
    outputs = [(2 * np.maximum(X[:, :2] + [1, 2], 0).T, "CB")]
    write(tmp_path / "net.mat", record_of(graph, "dlnetwork", [(X.T, "CB")], outputs))
    again, report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)
    assert again.Initialized and report.Difference < 1e-6
    assert [layer.Name for layer in again.Layers] == ["fc", "block:a", "block:b"]


@pytest.mark.filterwarnings("error")
def test_layers_without_a_network(tmp_path):
    graph = layerGraph([fullyConnectedLayer(2, Name="a"), reluLayer(Name="b")])
    write(tmp_path / "net.mat", record_of(graph, "nnet.cnn.LayerGraph"))
    assert importNetworkFromMATLAB(tmp_path / "net.mat").wires == graph.wires
    record = record_of(graph, "nnet.cnn.layer.Layer", has_connections=False)
    write(tmp_path / "net.mat", record)
    assert repr(importNetworkFromMATLAB(tmp_path / "net.mat")) == repr(LayerArray(graph.Layers))


def test_a_wrong_sample_is_an_error(tmp_path):
    net = small()
    Y = predict(net, X)
    for wrong, words in ((Y + 0.01, "differ by 0.01"), (Y * np.nan, "differ by inf"), (Y[:1], "results of size 4x2")):
        write(tmp_path / "net.mat", record_of(net, "DAGNetwork", [(X, "")], [(wrong, "")]))
        with pytest.raises(NetworkError, match=words):
            importNetworkFromMATLAB(tmp_path / "net.mat")
    write(tmp_path / "net.mat", record_of(net, "DAGNetwork", [(X, "")], [(Y + 0.01, "")]))
    _, report = importNetworkFromMATLAB(tmp_path / "net.mat", Tolerance=np.inf, nargout=2)
    assert 0.005 < report.Difference < 0.02
    write(tmp_path / "net.mat", record_of(net, "DAGNetwork", [(X[:, :2], "")], [(Y, "")]))
    with pytest.raises(NetworkError, match="sample in it cannot be compared"):
        importNetworkFromMATLAB(tmp_path / "net.mat")


def test_unknown_layers_are_told_at_once_and_can_be_given(tmp_path):
    net = small("mine")
    record = record_of(net, inputs=[(X, "")], outputs=[(predict(net, X), "")])
    layers = record["layers"]
    layers[0, 1]["class"] = "myLayer"
    layers[0, 2]["class"] = "my.package.Output"
    write(tmp_path / "net.mat", record)
    with pytest.raises(NotSupportedError) as caught:
        importNetworkFromMATLAB(tmp_path / "net.mat")
    assert "2 layers cannot be made" in str(caught.value)
    assert "Layer 2 'mine': there is no layer for the class myLayer" in str(caught.value)
    assert "my.package.Output" in str(caught.value)

    def mine(properties):
        found = fullyConnectedLayer(2, Name=properties.Name)
        found.Weights, found.Bias = properties.Weights, properties.Bias
        return found

    custom = {"myLayer": mine, "Output": lambda properties: regressionLayer(Name=properties.Name)}
    again = importNetworkFromMATLAB(tmp_path / "net.mat", CustomLayers=custom)
    assert np.array_equal(predict(again, X), predict(net, X))
    with pytest.raises(NotSupportedError, match="CustomLayers gave None"):
        importNetworkFromMATLAB(tmp_path / "net.mat", CustomLayers={**custom, "myLayer": lambda properties: None})


def test_properties_without_counterpart_are_told(tmp_path):
    net = small()
    record = record_of(net, inputs=[(X, "")], outputs=[(predict(net, X), "")])
    record["layers"][0, 1]["properties"] |= {"NewThing": 3.0, "OldThing": np.zeros((0, 0)), "NumInputs": 1.0}
    write(tmp_path / "net.mat", record)
    assert importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)[1].LeftOut == ["Layer 2 'fc': NewThing"]
    record["layers"][0, 1]["properties"]["OutputSize"] = "many"
    write(tmp_path / "net.mat", record)
    with pytest.raises(NotSupportedError, match="OutputSize: needs a positive integer"):
        importNetworkFromMATLAB(tmp_path / "net.mat")


def test_older_releases(tmp_path):
    net = classifier()
    record = record_of(net, inputs=[(IMAGES, "")], outputs=[(predict(net, IMAGES), "")])
    properties = [each["properties"] for each in record["layers"].ravel()]
    properties[0]["AverageImage"] = properties[0].pop("Mean")
    del properties[1]["PaddingMode"]
    properties[1]["Padding"] = properties[1].pop("PaddingSize")
    classes = properties[-1].pop("Classes")
    properties[-1]["ClassNames"] = classes["categories"]
    write(tmp_path / "net.mat", record)
    again, report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)
    assert report.Difference == 0 and report.LeftOut == []
    assert repr(again.Layers[-1]) == repr(net.Layers[-1])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda record: record.pop("version"), "no file of exportToMlnet"),
        (lambda record: record.update(version=2.0), "is of version 2; this mlnet reads up to version 1"),
        (lambda record: record.update(version=np.zeros((0, 3))), "is of version .*; this mlnet reads up to version 1"),
        (lambda record: record.pop("layers"), "no field layers"),
        (lambda record: record.update(layers=3.0), "layers is no cell"),
        (lambda record: record["layers"][0, 0].pop("class"), "no field class"),
        (lambda record: record["layers"][0, 0].update({"class": 3.0}), "without class"),
        (lambda record: record.update(sources=cells(["a", "b"])), "connections do not fit"),
        (lambda record: record.update(sources=cells(["input"])), "connections do not fit"),
    ],
)
def test_damaged_structures(tmp_path, change, words):
    record = record_of(small())
    change(record)
    write(tmp_path / "net.mat", record)
    with pytest.raises(DataError, match=words):
        importNetworkFromMATLAB(tmp_path / "net.mat")


def test_bad_arguments(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        importNetworkFromMATLAB(tmp_path / "net.mat")
    (tmp_path / "net.mat").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"no .mat file"):
        importNetworkFromMATLAB(tmp_path / "net.mat")
    mlnet.save(tmp_path / "net.mat", net=small())
    with pytest.raises(DataError, match="read with load"):
        importNetworkFromMATLAB(tmp_path / "net.mat")
    for bad in ({"filename": 1}, {"Tolerance": -1}, {"CustomLayers": [1]}, {"nargout": 3}):
        with pytest.raises(OptionError, match=next(iter(bad))):
            importNetworkFromMATLAB(**{"filename": "net.mat", **bad})


def script():
    return Path(matlabFolder()) / "exportToMlnet.m"


def test_the_script_documents_what_is_read():
    text = script().read_text(encoding="utf-8")
    documented = set(re.findall(r"^%     mlnet_export\.(\w+)", text, re.MULTILINE))
    assert documented == set(record_of(small()))
    assert text.isascii() and max(map(len, text.splitlines())) <= 120


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="needs Octave")
def test_octave_runs_the_script(tmp_path):
    """Structures stand for objects, which Octave does not have; predict multiplies as the network does."""
    net = small()
    fc = net.Layers[1]
    fields = {}
    for layer in net.Layers:
        record = layer_record(layer)
        fields[layer.Name] = {**record["properties"], "mlnet_stands_for": record["class"]}
    scipy.io.savemat(tmp_path / "in.mat", {"layers": cells(list(fields.values())), "W": fc.Weights, "b": fc.Bias})
    (tmp_path / "predict.m").write_text(
        "function Y = predict(net, X)\nfc = net.Layers{2};\nY = (fc.Weights * X' + fc.Bias)';\nend\n"
    )
    command = (
        f"addpath('{matlabFolder()}'); load('in.mat');"
        "net = struct('mlnet_stands_for', 'SeriesNetwork', 'Layers', {layers}, 'InputNames', {{'input'}},"
        "'OutputNames', {{'regressionoutput'}});"
        "options = struct('mlnet_stands_for', 'nnet.cnn.TrainingOptionsSGDM', 'MaxEpochs', 4);"
        "exportToMlnet(net, 'net.mat', 'Options', options);"
        f"exportToMlnet(net, 'mine.mat', 'Sample', {X.tolist()});".replace("], [", "]; [")
        + "values = struct('a', @sin, 'b', {{1, 'x', struct('c', true)}}, 'd', 'text');"
        "exportToMlnet(values, 'values.mat');"
        "try, exportToMlnet(3, 'x.mat'); catch problem, disp(problem.message); end;"
        "try, exportToMlnet(net, 'x.mat', 'Simple', 1); catch problem, disp(problem.message); end;"
    )
    done = subprocess.run(
        ["octave-cli", "--quiet", "--eval", command], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "needs a network" in done.stdout and "no option Simple" in done.stdout
    for name in ("net.mat", "mine.mat"):
        again, report = importNetworkFromMATLAB(tmp_path / name, nargout=2)
        assert type(again) is SeriesNetwork and report.Difference < 1e-6 and report.LeftOut == [] == report.Notes
        assert np.array_equal(predict(again, X), predict(net, X))
    assert mlnet.load(tmp_path / "mine.mat").mlnet_export.inputs[0].data.shape == (4, 3)
    report = importNetworkFromMATLAB(tmp_path / "net.mat", nargout=2)[1]
    assert report.Options.MaxEpochs == 4
    values = mlnet.load(tmp_path / "values.mat")
    assert values.a.mlnet_function == "sin" and values.b[:2] == [1, "x"] and values.b[2].c is True
    assert values.d == "text"
