"""Recurrent operations with states as inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from .gradients import check_gradients
from .test_recurrent import RAGGED, D, H, N, T

PORTS = NumpyEngine().operation("recurrent_with_ports")
COUNTS = {"lstm": 2, "bilstm": 2, "projected_lstm": 2, "gru": 1}


def arrays_of(operation: str, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return x and the states that come in, and the learnable parameters."""
    directions, gates = (2 if operation == "bilstm" else 1), (3 if operation == "gru" else 4)
    rows = directions * gates * H
    shapes = [(rows, D), (rows, H), (rows, 1)]
    if operation == "projected_lstm":
        shapes = [(rows, 2), (rows, 3), (rows, 1), (D, 2), (H, 3)]
    generator = np.random.default_rng(seed)
    inputs = [(N, T, D), *[(N, directions * H)] * COUNTS[operation]]
    drawn = [[0.7 * generator.standard_normal(shape) for shape in group] for group in (inputs, shapes)]
    return drawn[0], drawn[1]


@pytest.mark.parametrize("lengths", [None, RAGGED, (3,) * N])
@pytest.mark.parametrize("mode", ["sequence", "last"])
@pytest.mark.parametrize("operation", COUNTS)
def test_gradients(operation, mode, lengths):
    inputs, parameters = arrays_of(operation)
    count = COUNTS[operation]
    attributes = {
        "operation": operation,
        "states_in": count,
        "states_out": count,
        "output_mode": mode,
        "lengths": None if lengths is None else np.array(lengths),
    }
    arrays = [*inputs, *parameters]
    generator = np.random.default_rng(1)
    check_gradients(PORTS, arrays, attributes, (True,) * len(arrays), generator)
    check_gradients(PORTS, arrays, {**attributes, "states_out": 0}, (True,) * len(arrays), generator)


@pytest.mark.parametrize("operation", COUNTS)
def test_the_states_go_in_and_out_as_in_the_operation_itself(operation):
    (x, *states), parameters = arrays_of(operation)
    plain = NumpyEngine().operation(operation)
    lengths = np.array(RAGGED)
    expected, saved = plain.forward(x, *parameters, *states, lengths=lengths, workspace=Workspace())
    count = COUNTS[operation]
    keywords = {"operation": operation, "states_out": count, "lengths": lengths, "workspace": Workspace()}
    for outputs, _ in (
        PORTS.forward(x, *states, *parameters, states_in=count, **keywords),
        PORTS.forward(x, *parameters, *states, states_in=0, **keywords),
    ):
        np.testing.assert_array_equal(outputs[0], expected)
        for output, name in zip(outputs[1:], ("hidden_state", "cell_state"), strict=False):
            np.testing.assert_array_equal(output, getattr(saved, name))


@pytest.mark.parametrize("operation", COUNTS)
def test_only_the_state_is_used(operation):
    """The gradient of an output that nothing depends on is None: the same as zeros."""
    inputs, parameters = arrays_of(operation)
    count = COUNTS[operation]
    keywords = {"operation": operation, "states_in": count, "states_out": count, "lengths": np.array(RAGGED)}
    d_hidden = np.random.default_rng(2).standard_normal(inputs[1].shape)
    wanted = (True,) * (len(inputs) + len(parameters))
    found = []
    for first in (None, np.zeros):
        outputs, saved = PORTS.forward(*inputs, *parameters, **keywords, workspace=Workspace())
        others = [None if first is None else first(each.shape) for each in outputs[2:]]
        d_output = (None if first is None else first(outputs[0].shape), d_hidden, *others)
        found.append(PORTS.backward(saved, d_output, wanted=wanted, workspace=Workspace()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.any(one != 0) or operation == "projected_lstm"


def test_two_pieces_of_a_sequence_make_the_whole():
    torch = pytest.importorskip("torch")
    (x, h, c), parameters = arrays_of("lstm")
    peer = torch.nn.LSTM(D, H, batch_first=True, dtype=torch.float64)
    order = [0, 1, 2, 3]  # PyTorch has i, f, g, o as well
    rows = np.concatenate([np.arange(H) + gate * H for gate in order])
    with torch.no_grad():
        peer.weight_ih_l0.copy_(torch.tensor(parameters[0][rows]))
        peer.weight_hh_l0.copy_(torch.tensor(parameters[1][rows]))
        peer.bias_ih_l0.copy_(torch.tensor(parameters[2][rows, 0]))
        peer.bias_hh_l0.zero_()
    given = [torch.tensor(array, requires_grad=True) for array in (x, h, c)]
    y, (h_end, c_end) = peer(given[0], (given[1][None], given[2][None]))
    generator = np.random.default_rng(3)
    d_outputs = [generator.standard_normal(tuple(each.shape)) for each in (y, h_end[0], c_end[0])]
    sum((each * torch.tensor(d)).sum() for each, d in zip((y, h_end[0], c_end[0]), d_outputs, strict=True)).backward()
    keywords = {"operation": "lstm", "states_in": 2, "states_out": 2}
    outputs, saved = PORTS.forward(x, h, c, *parameters, **keywords, workspace=Workspace())
    gradients = PORTS.backward(saved, tuple(d_outputs), wanted=(True,) * 6, workspace=Workspace())
    for output, expected in zip(outputs, (y, h_end[0], c_end[0]), strict=True):
        np.testing.assert_allclose(output, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for gradient, array in zip(gradients, given, strict=False):
        np.testing.assert_allclose(gradient, array.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradients[3], peer.weight_ih_l0.grad.numpy()[np.argsort(rows)], rtol=1e-10, atol=1e-12)
