"""Layers, graphs, networks and options in files: what comes back is what was saved, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.table import ROWS, TABLE, case_of
from layers.catalogue import CASES, IDS, REQUIRED, good, make, same, start

import mlnet
from mlnet import (
    DAGNetwork,
    DataError,
    OptionError,
    SeriesNetwork,
    additionLayer,
    analyzeNetwork,
    assembleNetwork,
    batchNormalizationLayer,
    categorical,
    categories,
    classificationLayer,
    classify,
    connectLayers,
    cosineLearnRate,
    featureInputLayer,
    fScoreMetric,
    fullyConnectedLayer,
    functionLayer,
    layerGraph,
    load,
    lstmLayer,
    networkLayer,
    predict,
    predictAndUpdateState,
    regressionLayer,
    reluLayer,
    resnetLayers,
    save,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    warmupLearnRate,
)
from mlnet.conformance.surroundings import ends_of
from mlnet.engines.program import StepPlan
from mlnet.layers.output import ClassesOutputLayer
from mlnet.network.compile import layer_program, parameter_values
from mlnet.options import Argument
from mlnet.storage import mat
from mlnet.storage.kinds import Kinds
from mlnet.storage.mat import Tagged
from mlnet.storage.networks import decode, encode
from mlnet.training.statistics import with_values

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(30, 3)).astype(np.float32)
Y = np.where(X[:, 0] > 0, "yes", "no")
SEQUENCES = [GENERATOR.normal(size=(2, length)) for length in (3, 9, 5)]


def through_a_file(value):
    return decode(
        mat.from_bytes(b"".join(mat.to_bytes({"x": encode(value, "save")}, "save")), "load", layout="F")["x"], "load"
    )


def trained(**options):
    layers = [featureInputLayer(3, Normalization="zscore"), fullyConnectedLayer(4), batchNormalizationLayer()]
    layers += [fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    given = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=10, Verbose=False)
    return trainNetwork(X, Y, layers, given, **options)


def test_files_can_name_every_layer_and_nothing_else():
    public = {name for name in mlnet.__all__ if name.endswith("Layer") and hasattr(getattr(mlnet, name), "constructs")}
    options = {type(trainingOptions(solver)).__name__ for solver in ("sgdm", "adam", "rmsprop", "lbfgs", "lm")}
    schedules = {name for name in mlnet.__all__ if name.endswith("LearnRate")}
    metrics = {type(getattr(mlnet, name)()).__name__ for name in mlnet.__all__ if name.endswith("Metric")}
    assert set(Kinds.table()) == public | options | schedules | metrics | {"OnnxOperatorLayer"}
    assert set(Kinds.values()) == {"GraphFunction"}
    assert public == set(REQUIRED)


@pytest.mark.parametrize("name, option", CASES, ids=IDS)
def test_every_option_of_every_layer_comes_back(name, option):
    for given, _ in good(name, option):
        options = {} if option.argument is Argument.NONE else {option.name: given}
        layer = make(name, **options)
        if any(callable(value) and hasattr(value, "__name__") for value in layer._values.values()):
            with pytest.raises(OptionError, match="function"):
                encode(layer, "save")
        else:
            assert same(through_a_file(layer), layer)


def predictions(network, batch):
    """Return what the layers of a resolved network put out."""
    case, data = network[0], tuple(array.astype(np.float32) for array in batch.data)
    program = layer_program(network[1], ends_of(network[1]), training=False)
    plan = StepPlan(case.engine, program)
    plan.forward(data, parameter_values(network[1].layers, np.float32), lengths=batch.lengths)
    return [plan.output(data, number).copy() for number in range(len(program.outputs))]


@pytest.mark.parametrize("name, number", [row for row in ROWS if row[0] != "functionLayer"])
def test_save_load_and_predict_bit_for_bit(name, number):
    case = case_of(name, TABLE[name][number])
    values = {key: value.astype(np.float32) for key, value in case.parameters.items()}
    layers = with_values(case.with_statistics, values)
    for index, layer in enumerate(layers):
        if isinstance(layer, ClassesOutputLayer) and isinstance(layer.Classes, str):
            names = [str(n) for n in range(case.network.input_size(index).channels)]
            layers[index] = layer.replaced(Classes=categorical(names, names))
    network = case.with_statistics.with_layers(layers)
    again = through_a_file(DAGNetwork(network))._network
    batch = case.batch(3)
    assert all(same(one, other) for one, other in zip(network.layers, again.layers, strict=True))
    for one, other in zip(predictions((case, network), batch), predictions((case, again), batch), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_a_trained_network(tmp_path):
    net, info = trained(nargout=2)
    save(tmp_path / "net", net=net, info=info)
    found = load(tmp_path / "net.mat")
    assert type(found.net) is SeriesNetwork
    assert np.array_equal(predict(found.net, X), predict(net, X))
    assert (classify(found.net, X) == classify(net, X)).all()
    assert repr(found.net.Layers) == repr(net.Layers)
    assert found.net.Layers[1].Weights.flags.c_contiguous and not found.net.Layers[1].Weights.flags.writeable
    assert list(vars(found.info)) == list(vars(info))
    for name, value in vars(info).items():
        assert np.array_equal(getattr(found.info, name), value, equal_nan=True)
        assert np.shape(getattr(found.info, name)) == np.shape(value)
    again = trainNetwork(X, Y, found.net.Layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    assert type(again) is SeriesNetwork


def test_states_of_several_sequences_come_back():
    layers = [sequenceInputLayer(2), lstmLayer(4), networkLayer([lstmLayer(3), reluLayer()], Name="inner")]
    layers += [fullyConnectedLayer(1), regressionLayer()]
    targets = [each[:1] for each in SEQUENCES]
    net = trainNetwork(SEQUENCES, targets, layers, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    net, _ = predictAndUpdateState(net, SEQUENCES)
    again = through_a_file(net)
    for one, other in zip(predict(again, SEQUENCES), predict(net, SEQUENCES), strict=True):
        assert np.array_equal(one, other)
    assert again.Layers[1].HiddenState.shape == (4, 3)


def test_graphs_and_layer_arrays():
    graph = layerGraph([featureInputLayer(3, Name="a/b"), reluLayer(Name="r"), additionLayer(2, Name="add")])
    graph = connectLayers(graph, "a/b", "add/in2")
    again = through_a_file(graph)
    assert again.wires == graph.wires and repr(again) == repr(graph)
    array = mlnet.LayerArray([fullyConnectedLayer(3), reluLayer])
    assert all(same(one, other) for one, other in zip(through_a_file(array), array, strict=True))
    big = resnetLayers([32, 32, 3], 10)
    assert through_a_file(big).wires == big.wires
    assert str(analyzeNetwork(through_a_file(big))) == str(analyzeNetwork(big))


def test_training_options():
    given = trainingOptions("rmsprop", MaxEpochs=3, ValidationData=((X, X), Y.tolist()), GradientThreshold=np.inf)
    again = through_a_file(given)
    assert type(again) is type(given) and repr(again) == repr(given)
    (one, other), labels = again.ValidationData
    assert np.array_equal(one, X) and np.array_equal(other, X) and labels == Y.tolist()
    schedules = [warmupLearnRate(NumSteps=2), cosineLearnRate(Period=3)]
    metrics = ["recall", fScoreMetric(Beta=2)]
    given = trainingOptions("adam", LearnRateSchedule=schedules, Metrics=metrics, InputDataFormats="CB")
    again = through_a_file(given)
    assert repr(again) == repr(given)
    assert [repr(each) for each in again.Metrics] == [repr(each) for each in given.Metrics]
    assert [repr(each) for each in again.LearnRateSchedule] == [repr(each) for each in schedules]
    with pytest.raises(OptionError, match="LearnRateSchedule.*function"):
        encode(trainingOptions("sgdm", LearnRateSchedule=lambda rate, epoch: rate), "save")
    with pytest.raises(OptionError, match="Metrics.*function"):
        encode(trainingOptions("sgdm", Metrics=["recall", lambda y, t: 1]), "save")
    with pytest.raises(OptionError, match="trainingOptions: OutputFcn is the function print.*set it after loading"):
        encode(trainingOptions("sgdm", OutputFcn=print), "save")


def test_labels():
    labels = categorical(["b", "", "a", "b"], ["b", "a", "unused"])
    again = through_a_file({"labels": labels}).labels
    assert categories(again) == ["b", "a", "unused"]
    assert np.array_equal(again.codes, labels.codes)


def test_functions_are_refused_by_layer_and_option():
    with pytest.raises(OptionError, match="net: functionLayer 'f': PredictFcn is the function tanh"):
        encode([functionLayer(np.tanh, Name="f")], "net")
    with pytest.raises(OptionError, match="featureInputLayer 'in': Normalization is the function sqrt"):
        encode(featureInputLayer(2, Name="in", Normalization=np.sqrt), "net")
    layer = fullyConnectedLayer(2, Name="fc", WeightsInitializer=start)
    with pytest.raises(
        OptionError, match="fullyConnectedLayer 'fc': WeightsInitializer is the function start.*Set Weig"
    ):
        encode(layer, "net")
    layer.Weights = np.ones((2, 3))
    again = through_a_file(layer)
    assert again.WeightsInitializer == "glorot" and np.array_equal(again.Weights, layer.Weights)
    with pytest.raises(OptionError, match="Save arrays, numbers, texts or networks"):
        encode({"x": [object()]}, "save")


def changed(value, change):
    """Return the file of a layer after a change of its plain form."""
    plain = encode(value, "save")
    change(plain.fields)
    return mat.from_bytes(b"".join(mat.to_bytes({"x": plain}, "save")), "load")["x"]


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda fields: fields.update(constructor="eval"), "there is no 'eval'"),
        (lambda fields: fields.update(constructor="fullyConectedLayer"), "Did you mean 'fullyConnectedLayer'"),
        (lambda fields: fields["options"].update(OutputSize="many"), "OutputSize: needs a positive integer"),
        (lambda fields: fields["options"].update(OutputSize=2**40), "too large to be true"),
        (lambda fields: fields["options"].update(Sizes=3), "no option 'Sizes'"),
        (lambda fields: fields["options"].pop("OutputSize"), "OutputSize is missing"),
        (lambda fields: fields.update(options=[]), "no structure"),
    ],
)
def test_layers_that_cannot_be(change, reason):
    with pytest.raises(DataError, match=reason):
        decode(changed(fullyConnectedLayer(4), change), "load")


def test_networks_that_cannot_be():
    net = assembleNetwork([featureInputLayer(2), fullyConnectedLayer(1, Weights=[[1, 2]], Bias=1), regressionLayer()])

    def without_bias(fields):
        fields["Layers"][1].fields["options"]["Bias"] = np.zeros((0, 0))

    with pytest.raises(DataError, match="1 parameters are missing"):
        decode(changed(net, without_bias), "load")
    with pytest.raises(DataError, match="Invalid network"):
        decode(changed(net, lambda fields: fields["Layers"].pop()), "load")
    with pytest.raises(DataError, match="connections do not fit"):
        decode(changed(layerGraph(net.Layers), lambda fields: fields.update(sources=["nobody"] * 2)), "load")
    with pytest.raises(DataError, match="codes do not fit"):
        decode(Tagged("categorical", {"codes": np.array([1, 3]), "categories": ["a"]}), "load")
    with pytest.raises(DataError, match="unknown kind 'function'"):
        decode(Tagged("function", {}), "load")


@pytest.mark.parametrize(
    "x, labels",
    [(np.ones((2, 3), "f4"), "CB"), (np.float32(3), ""), (np.zeros((2, 0)), ""), (np.ones((4, 3, 1, 1)), "SSCB")],
)
def test_dlarrays(tmp_path, x, labels):
    given = mlnet.dlarray(x, labels) if labels else mlnet.dlarray(x)
    save(tmp_path / "x.mat", d=given, cell=[given, {"field": given}])
    loaded = load(tmp_path / "x.mat")
    for found in (loaded.d, loaded.cell[0], loaded.cell[1].field):
        assert isinstance(found, mlnet.dlarray) and found.dims() == given.dims()
        assert found.extractdata().dtype == given.extractdata().dtype and found.shape == given.shape
        np.testing.assert_array_equal(found.extractdata(), given.extractdata())
