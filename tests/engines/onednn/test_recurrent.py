"""LSTM and GRU of the library against NumPy in double precision; plans of sequences."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, assert_near, engine, needs_onednn, numbers
from engines.test_recurrent import RAGGED, RESETS, Case
from mlnet import (
    assembleNetwork,
    bilstmLayer,
    fullyConnectedLayer,
    gruLayer,
    lstmLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn import library, recurrent
from mlnet.engines.program import Node, Program, StepPlan
from mlnet.layers.base import no_lengths
from mlnet.layers.windowed import window_lengths
from mlnet.parallel import cores

pytestmark = needs_onednn
LAST = {"output_mode": "last"}
CASES = [
    *[Case(name, (4, 5, 3, 2), lengths) for name in ("lstm", "bilstm", "gru") for lengths in (None, RAGGED, (3,) * 4)],
    *[Case(name, size) for name in ("lstm", "bilstm", "gru") for size in ((1, 1, 1, 1), (3, 1, 2, 4), (1, 4, 17, 13))],
    *[
        Case(name, (4, 5, 3, 2), lengths, LAST, False)
        for name in ("lstm", "bilstm", "gru")
        for lengths in (None, RAGGED)
    ],
    *[Case("gru", (4, 5, 3, 2), lengths, {"reset_gate_mode": reset}) for reset in RESETS for lengths in (None, RAGGED)],
    *[
        Case("lstm", (4, 5, 3, 2), lengths, {"reverse": True, **more})
        for lengths in (None, RAGGED)
        for more in ({}, LAST)
    ],
    Case("projected_lstm", (4, 5, 3, 2), RAGGED),
    Case("lstm", (4, 5, 3, 2), (2, 0, 5, 0), LAST, False),
    # shared among threads
    Case("lstm", (29, 23, 19, 61)),
    Case("lstm", (29, 23, 19, 61), tuple(range(1, 24)) + (23,) * 6),
    Case("gru", (29, 23, 19, 61), tuple(range(1, 24)) + (23,) * 6, LAST),
]


def operations():
    return recurrent.Recurrent(LIBRARY, NumpyEngine().operations).operations


@pytest.fixture
def three_threads():
    cores.set_threads(3)
    yield
    cores.set_threads(None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_forward_states_and_gradients_are_those_in_double_precision(case, three_threads):
    ours, theirs = operations()[case.operation], NumpyEngine().operation(case.operation)
    workspace = Workspace()
    for seed in range(2):
        # Many large weights would make small errors grow from step to step, in any engine.
        shrink = np.float32(0.2 if case.size[0] > 20 else 1)
        arrays = [shrink * array for array in case.arrays(seed, np.float32)]
        before = [array.copy() for array in arrays]
        exact = [array.astype(np.float64) for array in arrays]
        y, saved = ours.forward(*arrays, workspace=workspace, **case.keywords())
        expected, record = theirs.forward(*exact, workspace=Workspace(), **case.keywords())
        assert not recurrent.remarks(workspace)
        assert_near(y, expected)
        for state in ("hidden_state", "cell_state"):
            if hasattr(record, state):
                assert_near(getattr(saved, state), getattr(record, state), state)
        d_y = numbers(np.random.default_rng(seed), y.shape)
        wanted = (True,) * len(arrays)
        found = ours.backward(saved, d_y, wanted=wanted, workspace=workspace)
        right = theirs.backward(record, d_y.astype(np.float64), wanted=wanted, workspace=Workspace())
        for number, (array, other) in enumerate(zip(found, right, strict=True)):
            assert_near(array, other, f"gradient {number}")
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)
        if case.size[0] > 20:
            assert len(saved.groups) == 3


@pytest.mark.parametrize("lengths", [None, RAGGED])
def test_gradients_of_states_at_the_ends(lengths):
    ours, theirs = operations()["lstm"], NumpyEngine().operation("lstm")
    case, workspace, generator = Case("lstm", lengths=lengths), Workspace(), np.random.default_rng(0)
    arrays = case.arrays(0, np.float32)
    y, saved = ours.forward(*arrays, workspace=workspace, **case.keywords())
    _, record = theirs.forward(*arrays, workspace=Workspace(), **case.keywords())
    d_y, d_states = numbers(generator, y.shape), tuple(numbers(generator, (len(y), y.shape[2])) for _ in range(2))
    each = [
        operation.backward(state, d_y, wanted=(True,) * 6, workspace=room, d_states=d_states)
        for operation, state, room in ((ours, saved, workspace), (theirs, record, Workspace()))
    ]
    for found, right in zip(*each, strict=True):
        assert_near(found, right)
    assert bool(recurrent.remarks(workspace)) == (lengths is not None)


@pytest.mark.parametrize(
    "attributes, dtype, reason",
    [
        ({"state_activation": "softsign"}, np.float32, "softsign"),
        ({"gate_activation": "hard-sigmoid"}, np.float32, "hard-sigmoid"),
        ({}, np.float64, "float64"),
    ],
)
def test_what_the_library_does_not_compute_is_numpys(attributes, dtype, reason):
    case, workspace = Case("lstm", attributes=attributes), Workspace()
    arrays = case.arrays(0, dtype)
    y, saved = operations()["lstm"].forward(*arrays, workspace=workspace, **case.keywords())
    expected, _ = NumpyEngine().operation("lstm").forward(*arrays, workspace=Workspace(), **case.keywords())
    np.testing.assert_array_equal(y, expected)
    assert reason in recurrent.remarks(workspace)[0]
    operations()["lstm"].backward(saved, np.ones_like(y), wanted=(True,) * 6, workspace=workspace)


def test_numbers_that_are_none_stay_none():
    case = Case("lstm")
    for place in range(4):
        arrays = case.arrays(0, np.float32)
        arrays[place].flat[0] = np.nan
        y, _ = operations()["lstm"].forward(*arrays, workspace=Workspace())
        assert np.isnan(y).any()


def program() -> Program:
    windows = partial(window_lengths, extent=3, stride=2, padding=(2, 0))
    convolution = {"stride": 2, "dilation": 1, "padding": (2, 0), "padding_value": 0.0}
    weights = ("InputWeights", "RecurrentWeights", "Bias", "HiddenState", "CellState")
    return Program(
        (
            Node("conv", "convolution1d", (-1,), ("Weights", "Bias"), convolution, time=windows),
            Node("bn", "batch_normalization", (0,), ("Offset", "Scale"), {"epsilon": 1e-5}),
            Node("relu", "relu", (1,)),
            Node("lstm", "lstm", (2,), weights, time=lambda lengths: lengths),
            Node("norm", "layer_normalization", (3,), ("Offset", "Scale"), {"axes": (-1,), "epsilon": 1e-5}),
            Node("bilstm", "bilstm", (4,), weights, {"output_mode": "last"}, time=no_lengths),
            Node("fc", "fully_connected", (5,), ("Weights", "Bias")),
        )
    )


def parameters() -> dict[tuple[str, str], np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {
        "conv": {"Weights": (3, 4, 6), "Bias": (1, 6)},
        "bn": {"Offset": (6, 1), "Scale": (6, 1)},
        "lstm": {
            "InputWeights": (28, 6),
            "RecurrentWeights": (28, 7),
            "Bias": (28, 1),
            "HiddenState": (7, 1),
            "CellState": (7, 1),
        },
        "norm": {"Offset": (7, 1), "Scale": (7, 1)},
        "bilstm": {
            "InputWeights": (40, 7),
            "RecurrentWeights": (40, 5),
            "Bias": (40, 1),
            "HiddenState": (10, 1),
            "CellState": (10, 1),
        },
        "fc": {"Weights": (3, 10), "Bias": (3, 1)},
    }
    return {
        (layer, name): numbers(generator, shape) for layer, names in shapes.items() for name, shape in names.items()
    }


def test_plans_run_sequences_of_equal_and_of_different_lengths():
    ours, theirs = engine().plan(program()), StepPlan(NumpyEngine(), program())
    values, generator = parameters(), np.random.default_rng(1)
    learnables = [key for key in values if not key[1].endswith("State") and key != ("conv", "Bias")]
    for number in range(6):
        lengths = np.full(5, 7 + number % 2) if number < 4 else generator.integers(1, 12, 5)
        x = numbers(generator, (int(lengths.sum()), 4))
        y, expected = (plan.forward(x, values, lengths=lengths) for plan in (ours, theirs))
        assert_near(y, expected)
        d_y = numbers(generator, y.shape)
        (found, d_x), (right, d_right) = (plan.backward(d_y, learnables, want_input=True) for plan in (ours, theirs))
        assert_near(d_x, d_right)
        for key, gradient in found.items():
            assert_near(gradient, right[key], str(key))
        engines = [each.engine for each in ours.report()]
        is_compiled = number < 4
        assert bool(ours.whole_reason) != is_compiled
        assert engines == (["onednn"] * 7 if is_compiled else ["numpy"] * 3 + ["onednn", "numpy", "onednn", "numpy"])
        for node, own in zip(range(7), ours.lengths, strict=True):
            np.testing.assert_array_equal(own, theirs.lengths[node])


def test_two_threads_at_the_same_time():
    values, wrong = parameters(), []
    lengths = np.full(9, 8)
    x = numbers(np.random.default_rng(1), (72, 4))
    expected = StepPlan(NumpyEngine(), program()).forward(x, values, lengths=lengths).copy()

    def work() -> None:
        plan = engine().plan(program())
        for _ in range(30):
            y = plan.forward(x, values, lengths=lengths)
            plan.backward(np.ones_like(y), values)
            if np.abs(y - expected).max() > 1e-4 * np.abs(expected).max():
                wrong.append(1)

    both = [threading.Thread(target=work) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "status, word", [(library.c.OUT_OF_MEMORY, "out of memory"), (library.c.UNIMPLEMENTED, "not impl")]
)
@pytest.mark.parametrize("when", ["forward", "backward"])
def test_cells_that_cannot_be_made_are_numpys(monkeypatch, status, word, when):
    name = f"lstm_{when}_primitive_desc_create"
    monkeypatch.setitem(LIBRARY._functions, name, lambda *arguments: status)
    case, workspace = Case("lstm"), Workspace()
    arrays = case.arrays(0, np.float32)
    y, saved = operations()["lstm"].forward(*arrays, workspace=workspace)
    expected, record = NumpyEngine().operation("lstm").forward(*arrays, workspace=Workspace())
    assert_near(y, expected)
    found = operations()["lstm"].backward(saved, y, wanted=(True,) * 6, workspace=workspace)
    right = NumpyEngine().operation("lstm").backward(record, y, wanted=(True,) * 6, workspace=Workspace())
    for one, other in zip(found, right, strict=True):
        assert_near(one, other)
    assert word in recurrent.remarks(workspace)[0]


@pytest.mark.parametrize("layer", [lstmLayer, gruLayer, bilstmLayer])
def test_weights_may_lie_in_any_order(layer):
    rng(0)
    network = [sequenceInputLayer(3), layer(5, OutputMode="last"), fullyConnectedLayer(2), regressionLayer]
    x = [np.random.default_rng(0).normal(size=(3, 6)) for _ in range(4)]
    net = trainNetwork(x, np.zeros((4, 2)), network, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))
    layers = net.Layers
    names = ("InputWeights", "RecurrentWeights")
    layers[1] = layers[1].replaced(**{name: np.asfortranarray(getattr(layers[1], name)) for name in names})
    assert np.allclose(assembleNetwork(layers).predict(x), net.predict(x), atol=1e-6)
