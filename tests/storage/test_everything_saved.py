"""Every option of every solver, and every kind of value, through files of each version, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.table import ROWS, TABLE, case_of
from layers.catalogue import same

import mlnet
from mlnet import (
    DAGNetwork,
    DataError,
    Layer,
    Learnable,
    OptionError,
    categorical,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    load,
    piecewiseLearnRate,
    predict,
    regressionLayer,
    reluLayer,
    save,
    trainingOptions,
    trainnet,
    trainNetwork,
)
from mlnet.training.options import SOLVERS
from mlnet.training.statistics import with_values
from storage.test_networks import predictions

VERSIONS = ["-v6", "-v7", "-v7.3"]
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)

GOOD = {
    "Momentum": [0.5, 1],
    "InitialLearnRate": [1e-7, 0.3],
    "LearnRateSchedule": ["piecewise", "cosine", piecewiseLearnRate(Period=3), ["warmup", piecewiseLearnRate()]],
    "LearnRateDropFactor": [0, 0.7],
    "LearnRateDropPeriod": [3],
    "L2Regularization": [0, 0.1],
    "GradientThresholdMethod": ["global-l2norm", "absolute-value"],
    "GradientThreshold": [2.5, np.inf],
    "MaxEpochs": [1, 7],
    "MiniBatchSize": [1, 5],
    "Verbose": [False],
    "VerboseFrequency": [3],
    "ValidationData": [(X, X), ((X, X), ["a", "b"] * 4), (X, categorical(["a", ""] * 4)), ([X, X[:3]], [1.0, 2.0])],
    "ValidationFrequency": [3],
    "ValidationPatience": [3, np.inf],
    "Shuffle": ["never", "every-epoch"],
    "CheckpointPath": [".", "ä b"],
    "CheckpointFrequency": [3],
    "CheckpointFrequencyUnit": ["iteration"],
    "ExecutionEnvironment": ["cpu", "auto"],
    "WorkerLoad": [[1, 0, 2]],
    "Plots": ["training-progress"],
    "SequenceLength": ["shortest", 7],
    "SequencePaddingValue": [-1.5],
    "SequencePaddingDirection": ["left"],
    "DispatchInBackground": [True],
    "ResetInputNormalization": [False],
    "BatchNormalizationStatistics": ["moving", "population-exact"],
    "OutputNetwork": ["best-validation", "auto"],
    "Acceleration": ["none"],
    "Precision": ["mixed"],
    "Metrics": ["rmse", ["accuracy", mlnet.fScoreMetric(Beta=2)]],
    "ObjectiveMetricName": ["loss"],
    "InputDataFormats": ["CB", ["CB", "SSCB"]],
    "TargetDataFormats": ["CB", ["CB", "auto"]],
    "PreprocessingEnvironment": ["background"],
    "CategoricalInputEncoding": ["one-hot"],
    "CategoricalTargetEncoding": ["one-hot", "integer"],
    "GradientDecayFactor": [0, 0.5],
    "SquaredGradientDecayFactor": [0.5],
    "Epsilon": [1e-3],
    "MaxIterations": [7],
    "LineSearchMethod": ["strong-wolfe", "backtracking"],
    "HistorySize": [3],
    "InitialInverseHessianFactor": [0.5],
    "InitialStepSize": ["auto", 0.5],
    "MaxNumLineSearchIterations": [3],
    "GradientTolerance": [1e-3],
    "StepTolerance": [1e-3],
    "InitialDampingFactor": [0.5],
    "MaxDampingFactor": [1e5],
    "DampingIncreaseFactor": [3],
    "DampingDecreaseFactor": [0.5],
}
"""Good values of the training options; OutputFcn takes functions, which no file keeps."""


def version_of(version):
    if version == "-v7.3":
        pytest.importorskip("h5py")
    return version


def equal(one, other):
    """Tell whether values are the same, whatever is in them."""
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, categorical):
        return isinstance(other, categorical) and repr(one) == repr(other)
    if isinstance(one, (int, float, str)) or one is None:
        return type(one) is type(other) and (one == other or one != one)
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_training_option_comes_back(version, tmp_path):
    names = {option for kind in SOLVERS.values() for option in kind.table.options}
    assert names == {*GOOD, "OutputFcn"}, "put the new option into the table"
    given = {}
    for solver, kind in SOLVERS.items():
        for name in kind.table.options:
            taken = 0
            for number, value in enumerate(GOOD.get(name, [])):
                try:
                    given[f"{solver}_{name}_{number}"] = trainingOptions(solver, **{name: value})
                except OptionError:  # what other solvers take
                    continue
                taken += 1
            assert taken or name == "OutputFcn", (solver, name)
    if version_of(version) == "-v7.3":  # which is slow, and shares what comes before the file
        given = {name: each for name, each in given.items() if name.startswith(("adam", "lm"))}
    save(tmp_path / "options.mat", version, **given)
    found = load(tmp_path / "options.mat")
    for name, options in given.items():
        again = getattr(found, name)
        assert type(again) is type(options)
        for option in options.table.options:
            assert equal(getattr(options, option), getattr(again, option)), (name, option)


@pytest.mark.parametrize("version", ["-v6", "-v7.3"])
def test_networks_of_all_layers_in_one_file(version, tmp_path):
    """In memory, every row of the table goes through version 6; here whole files do."""
    cases, networks = {}, {}
    for name, number in ROWS:
        if name == "functionLayer" or number:
            continue
        case = case_of(name, TABLE[name][number])
        values = {key: value.astype(np.float32) for key, value in case.parameters.items()}
        layers = with_values(case.with_statistics, values)
        for index, layer in enumerate(layers):
            if getattr(layer, "Classes", None) == "auto":
                names = [str(n) for n in range(case.network.input_size(index).channels)]
                layers[index] = layer.replaced(Classes=categorical(names, names))
        cases[name], networks[name] = case, case.with_statistics.with_layers(layers)
    assert set(cases) == {name for name in mlnet.__all__ if is_layer(name)} - {"functionLayer"}
    given = {name: DAGNetwork(network) for name, network in networks.items()}
    save(tmp_path / "networks.mat", version_of(version), **given)
    found = load(tmp_path / "networks.mat")
    for name, case in cases.items():
        again, batch = getattr(found, name)._network, case.batch(3)
        assert all(same(one, other) for one, other in zip(networks[name].layers, again.layers, strict=True))
        ours, theirs = predictions((case, networks[name]), batch), predictions((case, again), batch)
        for one, other in zip(ours, theirs, strict=True):
            assert np.array_equal(one, other, equal_nan=True)


def is_layer(name):
    return name.endswith("Layer") and hasattr(getattr(mlnet, name), "constructs")


class halfLayer(Layer):
    """A custom layer with a parameter and an option."""

    Factor = Learnable()
    Power: float = 1.0

    def __init__(self, Power=1.0, Name=""):
        self.Name, self.Power, self.Factor = Name, Power, np.ones(1, np.float32)

    def predict(self, X):
        """Compute the output."""
        return self.Factor * X**self.Power


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_value(version, tmp_path):
    options = trainingOptions("adam", MaxEpochs=1, Verbose=False)
    layers = [featureInputLayer(3), fullyConnectedLayer(2), halfLayer(Name="half"), regressionLayer()]
    net, info = trainNetwork(X, X[:, :2], layers, options, nargout=2)
    loop = trainnet(X, X[:, :2], [featureInputLayer(3), fullyConnectedLayer(2)], "mse", options)
    given = {"net": net, "info": info, "loop": loop, "layers": layers, "graph": layerGraph(layers), "options": options}
    given |= {"array": net.Layers, "uninitialized": dlnetwork([fullyConnectedLayer(2)]), "layer": reluLayer(Name="r")}
    path = tmp_path / "all.mat"
    save(path, version_of(version), **given)
    with pytest.raises(DataError, match=r"class 'halfLayer'.*no class of mlnet. Give it: Layers=."):
        load(path)
    found = load(path, Layers=[halfLayer])
    assert np.array_equal(predict(found.net, X), predict(net, X))
    data = mlnet.dlarray(X.T, "CB")
    assert np.array_equal(predict(found.loop, data).extractdata(), predict(loop, data).extractdata())
    assert not found.uninitialized.Initialized and repr(found.graph) == repr(given["graph"])
    for name in ("array", "layers"):
        assert all(same(one, other) for one, other in zip(given[name], getattr(found, name), strict=True))
    assert same(found.layer, given["layer"]) and repr(found.options) == repr(options)
    for name, value in vars(info).items():
        again = getattr(found.info, name)
        assert equal(value, again) or np.array_equal(value, again, equal_nan=True)
