"""Custom layers: declarations, methods against built-in layers, states, mistakes, files, and what checkLayer finds."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from mlnet import (
    Acceleratable,
    DataError,
    Formattable,
    Layer,
    LayerArray,
    Learnable,
    MlnetError,
    NotSupportedError,
    OptionError,
    State,
    UnknownNameError,
    analyzeNetwork,
    batchNormalizationLayer,
    checkLayer,
    codeFor,
    connectLayers,
    convolution2dLayer,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    engineInfo,
    exportONNXNetwork,
    featureInputLayer,
    finddim,
    forward,
    fullyConnectedLayer,
    getL2Factor,
    getLearnRateFactor,
    imageInputLayer,
    layerGraph,
    load,
    lstmLayer,
    networkLayer,
    predict,
    predictAndUpdateState,
    preluLayer,
    regressionLayer,
    resetState,
    rng,
    save,
    scalingLayer,
    sequenceInputLayer,
    setL2Factor,
    setLearnRateFactor,
    trainingOptions,
    trainNetwork,
)
from mlnet.layers.base import Size
from mlnet.layers.custom_call import LayerCall

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((6, 5, 3, 24)).astype(np.float32)
RESPONSES = RNG.standard_normal((24, 2))
FEATURES = RNG.standard_normal((24, 4))


class prelu(Layer):
    Alpha = Learnable()

    def __init__(self, numChannels, Name=""):
        super().__init__(Name=Name, Description=f"PReLU with {numChannels} channels")
        self.Alpha = np.full((1, 1, numChannels), 0.25)

    def predict(self, X):
        return np.maximum(X, 0) + self.Alpha * np.minimum(0, X)


class preluWithBackward(prelu):
    def backward(self, X, Z, dLdZ, memory):
        assert type(X) is np.ndarray and memory is None
        d_alpha = np.sum(np.minimum(X, 0) * dLdZ, axis=(0, 1, 3), keepdims=True)
        return np.where(X > 0, np.single(1), self.Alpha) * dLdZ, d_alpha


class counter(Layer):
    """Counts mini-batches, and keeps a moving mean."""

    Count = State()
    Mean = State()
    Gain = Learnable(1)

    def resetState(self):
        self.Count, self.Mean = 0, 0

    def predict(self, X):
        return self.Gain * X, self.Count + 1, self.Mean

    def forward(self, X):
        return self.Gain * X, self.Count + 1, 0.5 * self.Mean + 0.5 * np.mean(X, keepdims=True)


class assigning(counter):
    def forward(self, X):
        self.Count = self.Count + 1
        self.Mean = 0.5 * self.Mean + 0.5 * np.mean(X, keepdims=True)
        return self.Gain * X


class weightedSum(Layer):
    Weights = Learnable()

    def __init__(self, count, **options):
        super().__init__(NumInputs=count, **options)
        self.Weights = np.ones((1, count))

    def predict(self, *X):
        return sum(self.Weights[0, number] * each for number, each in enumerate(X))


class halves(Layer, Formattable):
    OutputNames = ("low", "high")

    def predict(self, X):
        count = X.shape[finddim(X, "C")[0] - 1] // 2
        low, high = X[..., :count, :], X[..., count:, :]
        return dlarray(low, X.dims()), dlarray(high, X.dims())


class lazy(Layer, Formattable, Acceleratable):
    Weights = Learnable(L2Factor=0)
    Bias = Learnable(0)
    width = 2

    def initialize(self, layout):
        assert layout.Format == "CB" and np.isnan(layout.Size(2))
        self.seen = layout.Size(finddim(layout, "C"))
        self.Weights = np.full((self.width, self.seen), 0.1)

    def predict(self, X):
        return dlarray(np.matmul(self.Weights, np.asarray(1.0) * X), "CB") + self.Bias


def options(**more):
    return trainingOptions("sgdm", **{"MaxEpochs": 3, "MiniBatchSize": 8, "Verbose": False, **more})


def images(layer):
    return [
        imageInputLayer([6, 5, 3]),
        convolution2dLayer(3, 4),
        batchNormalizationLayer,
        layer,
        fullyConnectedLayer(2),
        regressionLayer,
    ]


def trained(layer):
    rng(0)
    return trainNetwork(IMAGES, RESPONSES, images(layer), options())


def failed(layer, *args, **more):
    """Return what fails in the report of checkLayer, by check."""
    table = checkLayer(layer, *args, nargout=1, **more).Failed
    return dict(zip(table.Check, table.Reason, strict=True))


# Declarations


def test_learnables_and_states_are_properties_with_factors():
    layer = prelu(3, "p")
    assert layer.Alpha.shape == (1, 1, 3) and not layer.Alpha.flags.writeable
    assert (layer.Name, layer.type_name, layer.description()) == ("p", "prelu", "PReLU with 3 channels")
    changed = setL2Factor(setLearnRateFactor(layer, "Alpha", 0), "Alpha", 2)
    assert (getLearnRateFactor(changed, "Alpha"), getL2Factor(changed, "Alpha")) == (0, 2)
    assert (getLearnRateFactor(layer, "Alpha"), getL2Factor(layer, "Alpha")) == (1, 1)
    assert getL2Factor(lazy(), "Weights") == 0
    layer.Alpha = dlarray(np.ones((1, 1, 3)))
    assert type(layer.Alpha) is np.ndarray and (layer.Alpha == 1).all()
    assert counter().Gain.shape == (1, 1) and weightedSum(2).Weights.shape == (1, 2)
    layer.Alpha = [1, 2, 3]
    assert layer.Alpha.shape == (3, 1)


def test_layers_are_values():
    layer = lazy(Name="a")
    for twin in (layer.copy(), copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(prelu(2, "a")))):
        twin.Name = "b"
        assert layer.Name == "a"
    given = np.zeros((1, 1, 2))
    layer = prelu(2)
    layer.Alpha = given
    given[:] = 5
    assert (layer.Alpha == 0).all()


def test_properties_of_a_class():
    assert lazy().width == 2 and lazy(width=3).width == 3
    layer = lazy()
    layer.width = 5
    assert (layer.width, lazy().width) == (5, 2)
    with pytest.raises(UnknownNameError, match=r"lazy: there is no property 'widht'. Did you mean 'width'\?"):
        layer.widht = 3
    with pytest.raises(UnknownNameError, match="there is no property 'nothing'"):
        layer.nothing  # noqa: B018
    with pytest.raises(UnknownNameError, match="lazy: there is no option 'Nmae'. Did you mean 'Name'"):
        lazy(Nmae="x")
    with pytest.raises(OptionError, match="prelu: Alpha: needs a numeric array"):
        prelu(2).Alpha = "x"


def test_a_class_may_inherit_from_another():
    class tuned(lazy):
        Extra = Learnable(1)
        width = 4

    assert [each.name for each in tuned().learnables] == ["Weights", "Bias", "Extra"] and tuned().width == 4
    assert [each.name for each in lazy().learnables] == ["Weights", "Bias"]


def test_names_that_layers_have_are_refused():
    with pytest.raises(OptionError, match="taken: layers of mlnet have something else of the name 'copy'"):
        type("taken", (Layer,), {"copy": 3, "__module__": __name__})
    with pytest.raises(OptionError, match="something else of the name 'inputs'"):
        type("later", (Layer,), {"__init__": lambda self: setattr(self, "inputs", 3), "__module__": __name__})()


def test_ports():
    layer = weightedSum(3)
    assert (layer.NumInputs, layer.InputNames, layer.inputs) == (3, ["in1", "in2", "in3"], ("in1", "in2", "in3"))
    layer.InputNames = ["a", "b"]
    assert layer.NumInputs == 2
    layer.NumInputs = 1
    assert layer.InputNames == ["in"]
    assert halves().outputs == ("low", "high") and halves().NumOutputs == 2
    with pytest.raises(OptionError, match="InputNames: needs 2 different names"):
        layer.InputNames = ["a", "a"]


def test_display():
    lines = repr(weightedSum(2, Name="sum")).split("\n")
    assert lines[0] == "  weightedSum with properties:" and lines[-1] == "  Show all properties"
    assert [line.strip() for line in lines[2:6]] == ["Name: 'sum'", "NumInputs: 2", "InputNames: {'in1'  'in2'}", ""]
    text = repr(LayerArray([prelu(8), counter(Type="Counter")]))
    assert "1   ''   prelu     PReLU with 8 channels" in text and "2   ''   Counter   counter" in text
    rows = analyzeNetwork([featureInputLayer(4), lazy(), counter(), regressionLayer]).LayerInfo
    assert rows.LearnableProperties[1:3] == ["Weights 2x4, Bias 1x1", "Gain 1x1"]
    assert rows.States[2] == "Count 1x1, Mean 1x1"


# Training


def test_training_is_that_of_the_built_in_layer():
    expected = trained(preluLayer())
    for layer in (prelu(4), preluWithBackward(4)):
        net = trained(layer)
        np.testing.assert_allclose(net.Layers[3].Alpha, expected.Layers[3].Alpha, rtol=1e-5)
        np.testing.assert_allclose(predict(net, IMAGES), predict(expected, IMAGES), rtol=1e-4, atol=1e-5)
        assert (layer.Alpha == 0.25).all(), "what is given does not change"


def test_other_layers_stay_on_their_engine():
    engines = dict(zip(*(engineInfo(trained(prelu(4)))[name] for name in ("Operation", "Engine")), strict=True))
    expected = dict(zip(*(engineInfo(trained(preluLayer()))[name] for name in ("Operation", "Engine")), strict=True))
    assert engines["convolution2d"] == expected["convolution2d"] and engines["custom_layer"].startswith("NumPy")


def test_learn_rate_factors_hold():
    net = trained(setLearnRateFactor(prelu(4), "Alpha", 0))
    assert (net.Layers[3].Alpha == 0.25).all()


def test_parameters_line_up_with_the_first_input():
    class scale(Layer):
        Scale = Learnable([[1], [2], [3]])

        def predict(self, X):
            return self.Scale * X

    X = RNG.standard_normal((3, 2, 5)).astype(np.float32)
    net = dlnetwork([sequenceInputLayer(3), scale()])
    found = predict(net, dlarray(X, "CBT")).extractdata()
    np.testing.assert_allclose(found, np.array([1, 2, 3])[:, None, None] * X, rtol=1e-6)
    assert failed(scale(), 3, InputFormat="CT") == {} == failed(scale(), 3)


def test_several_inputs_and_outputs():
    graph = layerGraph([featureInputLayer(4, Name="x"), halves(Name="halves"), weightedSum(2, Name="sum")])
    graph = connectLayers(graph, "halves/high", "sum/in2")
    net = dlnetwork(graph)
    X = FEATURES.astype(np.float32)
    found = predict(net, dlarray(X, "BC")).extractdata()
    np.testing.assert_allclose(found, (X[:, :2] + X[:, 2:]).T, rtol=1e-6)
    assert failed(weightedSum(2), [[4, 5, 6], [4, 5, 6]], ObservationDimension=4) == {} == failed(halves(), 4)


def test_lazy_parameters():
    layer = lazy(Name="lazy")
    assert layer.Weights.size == 0
    net = trainNetwork(FEATURES, RESPONSES, [featureInputLayer(4), layer, regressionLayer], options())
    assert net.Layers[1].Weights.shape == (2, 4) and net.Layers[1].seen == 4
    assert not np.allclose(net.Layers[1].Weights, 0.1)
    again = trainNetwork(FEATURES, RESPONSES, net.Layers, options(InitialLearnRate=1e-12))
    np.testing.assert_allclose(again.Layers[1].Weights, net.Layers[1].Weights, rtol=1e-5)
    assert layer.Weights.size == 0


@pytest.mark.parametrize("kind", [counter, assigning])
def test_states_are_kept(kind):
    layers = [featureInputLayer(4, Normalization="none"), kind(Name="c"), fullyConnectedLayer(2), regressionLayer]
    net = trainNetwork(FEATURES, RESPONSES, layers, options(Shuffle="never"))
    assert net.Layers[1].Count.item() == 9, "3 epochs of 3 mini-batches"
    means = np.tile([FEATURES[start : start + 8].mean() for start in (0, 8, 16)], 3)
    expected = 0.0
    for mean in means:
        expected = 0.5 * expected + 0.5 * mean
    np.testing.assert_allclose(net.Layers[1].Mean.item(), expected, rtol=1e-5)
    updated, _ = predictAndUpdateState(net, FEATURES, MiniBatchSize=6)
    assert updated.Layers[1].Count.item() == 13 and net.Layers[1].Count.item() == 9
    assert predict(updated, FEATURES).shape == (24, 2)
    assert resetState(updated).Layers[1].Count.item() == 0
    assert failed(kind(), 4) == {}


def test_states_in_an_own_loop():
    net = dlnetwork([featureInputLayer(4), assigning(Name="c")])

    def loss(net, X):
        Y, state = forward(net, X, nargout=2)
        return np.sum(Y * Y), dlgradient(np.sum(Y * Y), net.Learnables), state

    X = dlarray(FEATURES.astype("single"), "BC")
    value, gradients, state = dlfeval(loss, net, X)
    net.State = state
    assert net.State.Value[0].item() == 1 and net.Layers[1].Count.item() == 1
    np.testing.assert_allclose(gradients.Value[0].item(), 2 * value.item(), rtol=1e-5)
    assert net.resetState().Layers[1].Count.item() == 0


def test_higher_derivatives_go_through_custom_layers():
    class cubed(Layer):
        def predict(self, X):
            return X**3

    def second(net, x):
        first = dlgradient(np.sum(forward(net, x)), x, EnableHigherDerivatives=True)
        return dlgradient(np.sum(first), x)

    net, x = dlnetwork([featureInputLayer(2), cubed()]), np.array([[1.0, 2], [3, 4]], "single")
    np.testing.assert_allclose(dlfeval(second, net, dlarray(x, "CB")).extractdata(), 6 * x, rtol=1e-5)


def test_random_numbers_of_forward_repeat_with_rng():
    class noisy(Layer):
        def predict(self, X):
            return X

        def forward(self, X):
            return X + np.random.standard_normal(X.shape).astype(X.dtype)

    before = np.random.get_state()[1].copy()
    one, two = trained(noisy()), trained(noisy())
    assert (predict(one, IMAGES) == predict(two, IMAGES)).all()
    assert (np.random.get_state()[1] == before).all()
    assert not np.allclose(predict(trained(prelu(4)), IMAGES), predict(one, IMAGES))
    assert failed(noisy(), 4) == {}


def test_memory_and_states_reach_backward():
    class scaled(Layer):
        Seen = State(0)

        def predict(self, X):
            return 2 * X

        def forward(self, X):
            return 2 * X, self.Seen + 1, "memory"

        def backward(self, X, Z, dLdZ, dLdSeen, memory):
            assert memory in ("memory", None) and dLdSeen.shape == (1, 1)
            return 2 * dLdZ

    assert failed(scaled(), 4) == {}


def test_backward_may_count_on_the_memory_of_forward():
    class halves(Layer):
        factor = 2

        def predict(self, X):
            return X

        def forward(self, X):
            kept = (np.random.rand(*X.shape) > 0.5).astype(X.dtype) * 2
            return X * kept, kept

        def backward(self, X, Z, dLdZ, kept):
            return dLdZ * kept * self.factor / 2

    class wrong(halves):
        factor = 3

    assert failed(halves(), 4) == {} and "gradients" in failed(wrong(), 4)
    x = dlarray(np.ones((3, 40), "single"), "CB")
    net = dlnetwork([featureInputLayer(3), halves()])
    y, gradient = dlfeval(lambda net, x: (y := forward(net, x), dlgradient(np.sum(y), x)), net, x)
    assert set(np.unique(y.extractdata())) == {0, 2} and (y.extractdata() == gradient.extractdata()).all()
    assert (predict(net, x).extractdata() == 1).all()


def test_assigning_to_elements_of_a_copy():
    class clipped(Layer):
        def predict(self, X):
            Z = X.copy()
            Z[X < 0] = 0
            return Z

    assert failed(clipped(), [5, 4, 3]) == {}


def test_nesting_and_sequences():
    class double(Layer):
        def predict(self, X):
            return 2 * X

    layers = [sequenceInputLayer(3), networkLayer([lstmLayer(4), double(Name="d")]), fullyConnectedLayer(1)]
    X = [RNG.standard_normal((3, n)) for n in (4, 7, 5)]
    net = trainNetwork(X, [x[:1] for x in X], [*layers, regressionLayer], options(MaxEpochs=1))
    assert [y.shape for y in predict(net, X)] == [(1, 4), (1, 7), (1, 5)]
    other = trainNetwork(X, [x[:1] for x in X], [sequenceInputLayer(3), scalingLayer(Scale=2), fullyConnectedLayer(1),
                         regressionLayer], options(MaxEpochs=1))  # fmt: skip
    assert type(other) is type(net) and failed(double(), 3, InputFormat="CT") == {}


# Files and code


def test_files_need_the_class(tmp_path):
    net = trained(prelu(4, "p"))
    save(tmp_path / "net", net=net, other=lazy(width=7))
    found = load(tmp_path / "net", Layers=[prelu, lazy])
    assert (predict(found.net, IMAGES) == predict(net, IMAGES)).all()
    assert type(found.net.Layers[3]) is prelu and found.other.width == 7
    with pytest.raises(DataError, match="a layer of the class 'prelu', which is no class of mlnet. Give it: Layers="):
        load(tmp_path / "net")
    with pytest.raises(OptionError, match="load: Layers: needs classes of custom layers, but got 5"):
        load(tmp_path / "net", Layers=5)
    with pytest.raises(OptionError, match="different names, but got several named 'prelu'"):
        load(tmp_path / "net", Layers=[prelu, type("prelu", (Layer,), {"__module__": __name__})])
    layer = lazy()
    layer.width = abs
    with pytest.raises(OptionError, match="width is the function abs, and functions cannot be kept"):
        save(tmp_path / "net", layer=layer)


def test_training_goes_on_from_a_checkpoint(tmp_path):
    class drifting(assigning):
        def forward(self, X):
            return super().forward(X) * (0.5 + np.random.rand())

    layers = [featureInputLayer(4), drifting(), fullyConnectedLayer(2), regressionLayer]

    def train(layers, epochs, **more):
        rng(0)
        chosen = options(MaxEpochs=epochs, CheckpointPath=str(tmp_path), Shuffle="every-epoch")
        return trainNetwork(FEATURES, RESPONSES, layers, chosen, **more)

    whole = train(layers, 4)
    (third,) = tmp_path.glob("net_checkpoint__9__*")
    again = train(str(third), 4, Layers=[drifting])
    assert (predict(again, FEATURES) == predict(whole, FEATURES)).all()
    assert again.Layers[1].Count.item() == whole.Layers[1].Count.item() == 12
    with pytest.raises(DataError, match="Layers=\\[drifting\\]"):
        train(str(third), 4)
    with pytest.raises(OptionError, match="Layers are the classes of custom layers in a checkpoint"):
        train(layers, 1, Layers=[drifting])


def test_code_and_onnx(tmp_path):
    net = trained(prelu(4, "p"))
    with pytest.raises(NotSupportedError, match=r"Layer 4 'p' \(prelu\): methods of a class of a user"):
        exportONNXNetwork(net, tmp_path / "net.onnx")
    with pytest.raises(NotSupportedError, match="its constructor needs numChannels, which it does not keep"):
        codeFor(net)
    code = codeFor([featureInputLayer(4), lazy(Name="a"), counter()])
    assert "    lazy(Name='a'),\n    counter(),\n" in code


def test_calls_do_not_see_later_changes():
    layer = prelu(3, "p")
    call = LayerCall(layer.copy(), [Size("SSC", (2, 2, 3))], training=False)
    layer.Alpha = np.zeros((1, 1, 3))
    assert (call.layer.Alpha == 0.25).all()
    assert issubclass(DataError, MlnetError)
