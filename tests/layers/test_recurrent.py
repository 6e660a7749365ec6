"""Recurrent layers: options, display, sizes, first values and the operations that they name."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest

from mlnet import OptionError, UnknownNameError, setL2Factor, setLearnRateFactor
from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.layers.base import Size, SizeError
from mlnet.layers.recurrent import bilstmLayer, gruLayer, lstmLayer, lstmProjectedLayer
from mlnet.network.initialize import draw

MAKERS = {
    "lstmLayer": lambda **options: lstmLayer(**{"NumHiddenUnits": 5, **options}),
    "bilstmLayer": lambda **options: bilstmLayer(**{"NumHiddenUnits": 5, **options}),
    "gruLayer": lambda **options: gruLayer(**{"NumHiddenUnits": 5, **options}),
    "lstmProjectedLayer": lambda **options: lstmProjectedLayer(
        **{"NumHiddenUnits": 5, "OutputProjectorSize": 3, "InputProjectorSize": 2, **options}
    ),
}
GATES = {"lstmLayer": 4, "bilstmLayer": 8, "gruLayer": 3, "lstmProjectedLayer": 4}
SEQUENCES = Size("CT", (4,))
every_layer = pytest.mark.parametrize("name", MAKERS)
every_option = pytest.mark.parametrize(
    "name, option", [(name, option) for name, make in MAKERS.items() for option in make().table.options]
)


@every_option
def test_bad_values_raise_and_change_nothing(name, option):
    layer = MAKERS[name]()
    rule, before = layer.table.options[option].rule, repr(layer)
    for bad in rule.bad:
        with pytest.raises(OptionError, match=f"^{name}: {option}: needs "):
            setattr(layer, option, bad)
    assert rule.bad and repr(layer) == before


@every_layer
def test_signature_and_help_show_every_option(name):
    layer = MAKERS[name]()
    constructor = {each.__name__: each for each in (lstmLayer, bilstmLayer, gruLayer, lstmProjectedLayer)}[name]
    assert set(inspect.signature(constructor).parameters) == set(layer.table.arguments)
    for entry in layer.table.entries.values():
        assert f"\n    {entry.name}" in constructor.__doc__ and entry.doc in constructor.__doc__


@every_layer
def test_copies_and_pickles_are_equal(name):
    layer = MAKERS[name](Name="r", InputWeightsLearnRateFactor=range(GATES[name]), HiddenState=[0.5] * 5)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert twin.InputWeightsLearnRateFactor.tolist() == list(range(GATES[name]))


def test_the_defaults():
    layer = lstmLayer(7)
    assert (layer.OutputMode, layer.StateActivationFunction, layer.GateActivationFunction) == (
        *("sequence", "tanh", "sigmoid"),
    )
    starts = (layer.InputWeightsInitializer, layer.RecurrentWeightsInitializer, layer.BiasInitializer)
    assert starts == ("glorot", "orthogonal", "unit-forget-gate")
    assert (layer.InputWeightsL2Factor, layer.RecurrentWeightsL2Factor, layer.BiasL2Factor) == (1, 1, 0)
    assert gruLayer(7).BiasInitializer == "zeros" and gruLayer(7).ResetGateMode == "after-multiplication"
    assert lstmProjectedLayer(7, 3, 2).InputProjectorInitializer == "orthogonal"
    assert lstmProjectedLayer(7, 3, 2).OutputProjectorSize == 3


def test_positional_arguments_and_pairs():
    layer = lstmLayer(7, "outputmode", "Last", "Name", "l1")
    assert (layer.NumHiddenUnits, layer.OutputMode, layer.Name) == (7, "last", "l1")
    with pytest.raises(OptionError, match="the argument NumHiddenUnits is missing"):
        lstmLayer()
    with pytest.raises(OptionError, match="the argument OutputProjectorSize is missing"):
        lstmProjectedLayer(7)
    with pytest.raises(UnknownNameError, match="Did you mean 'OutputMode'"):
        lstmLayer(7, OutputModes="last")
    with pytest.raises(UnknownNameError, match="ResetGateMode"):
        lstmLayer(7, ResetGateMode="after-multiplication")
    with pytest.raises(OptionError, match="BiasInitializer"):
        gruLayer(7, BiasInitializer="unit-forget-gate")


@every_layer
def test_state_ports(name):
    states = ("hidden",) if name == "gruLayer" else ("hidden", "cell")
    layer = MAKERS[name](HasStateInputs=True, HasStateOutputs=1)
    assert layer.InputNames == ["in", *states] and layer.OutputNames == ["out", *states]
    assert layer.NumInputs == layer.NumOutputs == 1 + len(states)
    plain = MAKERS[name](HasStateInputs=0)
    assert plain.inputs == ("in",) and plain.outputs == ("out",) and len(plain.states) == len(states)
    units = plain.parameter_shape("HiddenState", Size("CT", (3,)))[0]
    state, sequence = Size("C", (units,)), Size("CT", (3,))
    assert layer.output_sizes(sequence, *[state] * len(states))[1:] == (state,) * len(states)
    wrong = [state] * (len(states) - 1) + [Size("C", (units + 1,))]
    (mistake,) = layer.mistakes(sequence, *wrong)
    assert f"at the input '{states[-1]}'" in mistake.needed
    with pytest.raises(OptionError, match="HiddenState needs HasStateInputs=False"):
        MAKERS[name](HasStateInputs=True, HiddenState=np.zeros((units, 1)))


@every_layer
def test_factors_are_scalars_or_one_for_each_gate(name):
    layer, gates = MAKERS[name](), GATES[name]
    vector = list(range(1, gates + 1))
    for parameter in ("InputWeights", "RecurrentWeights", "Bias"):
        for function, option in ((setLearnRateFactor, "LearnRateFactor"), (setL2Factor, "L2Factor")):
            assert getattr(function(layer, parameter, 2), f"{parameter}{option}") == 2
            assert getattr(function(layer, parameter, vector), f"{parameter}{option}").tolist() == vector
            for wrong in (vector[:-1], [*vector, 1], [-1] * gates):
                with pytest.raises(OptionError, match=f"{parameter}{option}: needs .* a vector of {gates} of them"):
                    function(layer, parameter, wrong)


def test_factors_of_projectors_are_scalars():
    assert lstmProjectedLayer(7, 3, 2, InputProjectorL2Factor=0.5).InputProjectorL2Factor == 0.5
    with pytest.raises(OptionError):
        lstmProjectedLayer(7, 3, 2, InputProjectorL2Factor=[1, 1, 1, 1])


def test_the_display_is_the_golden_one():
    golden = (Path(__file__).parent.parent / "display" / "golden" / "lstm_stand_in.txt").read_text()
    body = "\n".join(line for line in golden.splitlines() if not line.startswith("#")).strip("\n")
    assert repr(lstmLayer(150, OutputMode="last")) == body


@every_layer
def test_the_display_lists_parameters_and_states_last(name):
    text = repr(MAKERS[name]().with_size(SEQUENCES))
    titles = [line.strip() for line in text.splitlines() if line.startswith("   ") and line[3] != " "]
    assert titles == ["Hyperparameters", "Learnable Parameters", "State Parameters"]
    assert "InputSize: 4\n" in text and "HiddenState: [" in text and "x1 single]" in text


def test_descriptions():
    assert lstmLayer(150).description() == "LSTM with 150 hidden units"
    assert bilstmLayer(100).description() == "BiLSTM with 100 hidden units"
    assert gruLayer(100).description() == "GRU with 100 hidden units"
    projected = (
        "Projected LSTM layer with 100 hidden units, an output projector size of 30, and an input projector size of 16"
    )
    assert lstmProjectedLayer(100, 30, 16).description() == projected


@every_layer
def test_sizes(name):
    channels = 10 if name == "bilstmLayer" else 5
    assert MAKERS[name]().output_size(SEQUENCES) == Size("CT", (channels,))
    assert MAKERS[name](OutputMode="last").output_size(SEQUENCES) == Size("C", (channels,))
    for size in (Size("C", (4,)), Size("SSC", (8, 8, 3))):
        assert not list(MAKERS[name]().mistakes(size))
        with pytest.raises(SizeError) as caught:
            MAKERS[name]().output_size(size)
        assert caught.value.needed == "sequences of vectors" and "OutputMode='sequence'" in caught.value.fix


@every_layer
def test_an_input_size_that_differs_is_a_mistake(name):
    layer = MAKERS[name]().with_size(SEQUENCES)
    assert layer.InputSize == 4 and not list(layer.mistakes(SEQUENCES))
    (mistake,) = layer.mistakes(Size("CT", (6,)))
    assert (mistake.needed, mistake.came) == ("4 channels (InputSize)", "6") and name in mistake.fix


@every_layer
def test_parameters_and_states_of_another_size_are_mistakes(name):
    layer = MAKERS[name](Bias=np.ones((7, 1)), HiddenState=[1, 2])
    first, second = layer.mistakes(SEQUENCES)
    assert first.came == "Bias of size 7x1" and second.came == "HiddenState of size 2x1"


@every_layer
def test_states_start_at_zero_unless_given(name):
    units = 10 if name == "bilstmLayer" else 5
    for given in (np.ones((units, 1)), np.ones(units), np.ones((1, units))):
        layer = MAKERS[name](HiddenState=given).with_size(SEQUENCES)
        assert layer.HiddenState.shape == (units, 1) and (layer.HiddenState == 1).all()
    if name != "gruLayer":
        assert layer.CellState.shape == (units, 1) and not layer.CellState.any()
        assert layer.CellState.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        layer.HiddenState[0] = 5


def test_the_unit_forget_gate():
    generator = np.random.default_rng(0)
    for layer, directions in ((lstmLayer(3), 1), (bilstmLayer(3), 2), (lstmProjectedLayer(3, 2, 1), 1)):
        bias = layer.draw("Bias", "unit-forget-gate", layer.parameter_shape("Bias", SEQUENCES), generator)
        assert bias.shape == (12 * directions, 1)
        assert bias[:, 0].tolist() == ([0] * 3 + [1] * 3 + [0] * 6) * directions
        assert layer.draw("Bias", "zeros", (12, 1), generator) is None
        assert layer.separate_parts("RecurrentWeights") == directions


def test_fans_are_columns_and_rows():
    assert lstmLayer(3).fans("InputWeights", SEQUENCES) == (4, 12)
    assert lstmLayer(3).fans("RecurrentWeights", SEQUENCES) == (3, 12)
    assert bilstmLayer(3).fans("InputWeights", SEQUENCES) == (4, 24)
    assert gruLayer(3).fans("InputWeights", SEQUENCES) == (4, 9)
    assert lstmProjectedLayer(3, 2, 1).fans("InputWeights", SEQUENCES) == (1, 12)


def test_orthogonal_recurrent_weights():
    weights = draw(
        "orthogonal", lstmLayer(3).parameter_shape("RecurrentWeights", SEQUENCES), (3, 12), np.random.default_rng(0)
    )
    np.testing.assert_allclose(weights.T @ weights, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("mode", ["sequence", "last"])
@pytest.mark.parametrize(
    "make",
    [
        *MAKERS.values(),
        lambda **options: gruLayer(5, ResetGateMode="before-multiplication", **options),
        lambda **options: gruLayer(5, ResetGateMode="recurrent-bias-after-multiplication", **options),
        lambda **options: lstmLayer(5, StateActivationFunction="softsign", GateActivationFunction="hard", **options),
    ],
)
def test_the_operation_takes_the_parameters_and_gives_the_size(make, mode):
    layer = make(OutputMode=mode)
    call = layer.operation(SEQUENCES, training=True)
    assert call == layer.operation(SEQUENCES, training=False)
    generator = np.random.default_rng(0)
    parameters = [generator.standard_normal(layer.parameter_shape(name, SEQUENCES)) for name in call.parameters]
    x = generator.standard_normal((2, 6, 4))
    operation = NumpyEngine().operation(call.operation)
    output, saved = operation.forward(x, *parameters, workspace=Workspace(), **call.attributes)
    size, lengths = layer.output_size(SEQUENCES), np.array([6, 2])
    assert (call.time(lengths) is lengths) == size.is_sequence
    assert output.shape == ((2, 6, *size.dims) if size.format == "CT" else (2, *size.dims))
    wanted = (True,) * (1 + len(parameters))
    gradients = operation.backward(saved, np.ones_like(output), wanted=wanted, workspace=Workspace())
    assert [gradient.shape for gradient in gradients] == [array.shape for array in (x, *parameters)]
