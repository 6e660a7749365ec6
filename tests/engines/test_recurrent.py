"""LSTM and GRU against the formulas written as loops, against differences and against PyTorch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.parallel import blocks

from .gradients import check_gradients, scattered

OPERATIONS = {name: NumpyEngine().operation(name) for name in ("lstm", "bilstm", "gru", "projected_lstm")}

RESETS = ("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication")
N, T, D, H = 4, 5, 3, 2
RAGGED = (2, 5, 1, 4)


@dataclass(frozen=True)
class Case:
    """One call: sizes, lengths and attributes."""

    operation: str
    size: tuple[int, int, int, int] = (N, T, D, H)
    lengths: tuple[int, ...] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    shared: bool = True

    @property
    def id(self) -> str:
        values = [str(value) for value in self.attributes.values()]
        lengths = "" if self.lengths is None else f"lengths{','.join(map(str, self.lengths))}"
        return "-".join([self.operation, "x".join(map(str, self.size)), lengths, *values])

    def arrays(self, seed: int = 0, dtype: Any = np.float64) -> list[np.ndarray]:
        """Return random x, parameters and states; ``shared`` states are those of all observations."""
        n, t, d, h = self.size
        directions, gates = (2 if self.operation == "bilstm" else 1), (3 if self.operation == "gru" else 4)
        rows = directions * gates * h
        state = (directions * h, 1) if self.shared else (n, directions * h)
        bias = 2 * rows if self.attributes.get("reset_gate_mode") == RESETS[2] else rows
        shapes = [(n, t, d), (rows, d), (rows, h), (bias, 1), state]
        if self.operation == "projected_lstm":
            shapes = [(n, t, d), (rows, 2), (rows, 3), (bias, 1), (d, 2), (h, 3), state]
        if self.operation != "gru":
            shapes.append(state)
        generator = np.random.default_rng(seed)
        return [(0.7 * generator.standard_normal(shape)).astype(dtype) for shape in shapes]

    def keywords(self) -> dict[str, Any]:
        return dict(self.attributes, lengths=None if self.lengths is None else np.array(self.lengths))


def _cases() -> list[Case]:
    cases = [Case(name, (N, T, D, H), lengths) for name in OPERATIONS for lengths in (None, RAGGED, (3,) * N)]
    cases += [Case(name, (N, T, D, H), None, {"output_mode": "last"}, False) for name in OPERATIONS]
    cases += [Case(name, (N, T, D, H), RAGGED, {"output_mode": "last"}, False) for name in OPERATIONS]
    cases += [Case(name, size) for name in OPERATIONS for size in ((1, 1, 1, 1), (3, 1, 2, 4), (1, 4, 2, 3))]
    cases += [Case(name, (N, T, D, H), (1,) * N, {"output_mode": "last"}) for name in OPERATIONS]
    cases += [
        Case(name, (N, T, D, H), RAGGED, {"state_activation": state, "gate_activation": gate})
        for name, state, gate in itertools.product(
            ("lstm", "gru"), ("tanh", "softsign", "relu"), ("sigmoid", "hard-sigmoid")
        )
    ]
    cases += [
        Case("gru", (N, T, D, H), lengths, {"reset_gate_mode": reset, "output_mode": mode})
        for reset, lengths, mode in itertools.product(RESETS, (None, RAGGED), ("sequence", "last"))
    ]
    cases += [
        Case("lstm", (N, T, D, H), lengths, {"reverse": True, "output_mode": mode})
        for lengths, mode in itertools.product((None, RAGGED, (3,) * N), ("sequence", "last"))
    ]
    return cases


CASES = _cases()
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


FUNCTIONS = {
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + abs(x)),
    "relu": lambda x: max(x, 0.0),
    "sigmoid": sigmoid,
    "hard-sigmoid": lambda x: 0.0 if x < -2.5 else 1.0 if x > 2.5 else 0.2 * x + 0.5,
}


def lstm_step(x, h, c, w, r, b, state, gate):
    """One step of one observation, number by number."""
    size = len(h)
    h_new, c_new = np.zeros(size), np.zeros(size)
    for j in range(size):
        i, f, g, o = (sum(w[k * size + j] * x) + sum(r[k * size + j] * h) + b[k * size + j, 0] for k in range(4))
        c_new[j] = gate(f) * c[j] + gate(i) * state(g)
        h_new[j] = gate(o) * state(c_new[j])
    return h_new, c_new


def gru_step(x, h, w, r, b, state, gate, reset):
    """One step of one observation."""
    size = len(h)
    a = w @ x + b[: 3 * size, 0]
    inside = b[3 * size :, 0] if reset == RESETS[2] else np.zeros(3 * size)
    u = r @ h + inside
    each = partial(map, gate)
    r_gate = np.array(list(each(a[:size] + u[:size])))
    z = np.array(list(each(a[size : 2 * size] + u[size : 2 * size])))
    part = r[2 * size :] @ (r_gate * h) if reset == RESETS[1] else r_gate * u[2 * size :]
    k = np.array([state(value) for value in a[2 * size :] + part])
    return (1 - z) * k + z * h


def per_observation(state, count, units):
    return np.repeat(state.T, count, axis=0) if state.shape == (units, 1) else state


def reference(case: Case, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return output, hidden state and, for LSTMs, cell state, observation by observation."""
    attributes = {"output_mode": "sequence", "state_activation": "tanh", "gate_activation": "sigmoid"} | case.attributes
    state, gate = (FUNCTIONS[attributes[f"{name}_activation"]] for name in ("state", "gate"))
    n, t, _, h = case.size
    if case.operation == "bilstm":
        halves = []
        for half, reverse in enumerate((False, True)):
            x, w, r, b, *states = arrays
            rows = slice(4 * h * half, 4 * h * (half + 1))
            states = [per_observation(each, n, 2 * h)[:, h * half : h * (half + 1)] for each in states]
            one = replace(case, operation="lstm", attributes={**case.attributes, "reverse": reverse})
            halves.append(reference(one, [x, w[rows], r[rows], b[rows], *states]))
        return tuple(np.concatenate(pair, axis=-1) for pair in zip(*halves, strict=True))
    if case.operation == "projected_lstm":
        x, w, r, b, p, q, *states = arrays
        return reference(replace(case, operation="lstm"), [x, w @ p.T, r @ q.T, b, *states])
    x, w, r, b, *states = arrays
    now = [per_observation(each, n, h).copy() for each in states]
    output = np.zeros((n, t, h))
    for observation in range(n):
        length = t if case.lengths is None else case.lengths[observation]
        order = range(length - 1, -1, -1) if attributes.get("reverse") else range(length)
        for step in order:
            before = [each[observation] for each in now]
            if case.operation == "lstm":
                after = lstm_step(x[observation, step], *before, w, r, b, state, gate)
            else:
                reset = attributes.get("reset_gate_mode", RESETS[0])
                after = (gru_step(x[observation, step], *before, w, r, b, state, gate, reset),)
            for each, value in zip(now, after, strict=True):
                each[observation] = value
            output[observation, step] = after[0]
    return (now[0] if attributes["output_mode"] == "last" else output, *now)


def run(case: Case, arrays: list[np.ndarray], workspace: Workspace | None = None) -> tuple[np.ndarray, Any]:
    return OPERATIONS[case.operation].forward(*arrays, workspace=workspace or Workspace(), **case.keywords())


def run_both(case: Case, arrays: list[np.ndarray], workspace: Workspace) -> list[np.ndarray]:
    """Return copies of the output and of all gradients, for an output gradient that depends on the shape only."""
    output, saved = run(case, arrays, workspace)
    d_output = np.random.default_rng(5).standard_normal(output.shape).astype(output.dtype)
    kept = d_output.copy()
    gradients = OPERATIONS[case.operation].backward(saved, d_output, wanted=(True,) * len(arrays), workspace=workspace)
    np.testing.assert_array_equal(d_output, kept, err_msg="The backward changed the output gradient.")
    return [output.copy(), *[gradient.copy() for gradient in gradients]]


@every_case
def test_forward_is_the_formula(case):
    arrays = case.arrays()
    output, saved = run(case, arrays)
    expected, *states = reference(case, arrays)
    np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(saved.hidden_state, states[0], rtol=1e-12, atol=1e-12)
    if case.operation != "gru":
        np.testing.assert_allclose(saved.cell_state, states[1], rtol=1e-12, atol=1e-12)


@every_case
def test_gradients_agree_with_differences(case):
    arrays = case.arrays(1)
    check_gradients(
        OPERATIONS[case.operation], arrays, case.keywords(), (True,) * len(arrays), np.random.default_rng(2)
    )


@every_case
def test_float32_stays_float32_and_is_close(case):
    single = run_both(case, case.arrays(3, np.float32), Workspace())
    double = run_both(case, [array.astype(np.float64) for array in case.arrays(3, np.float32)], Workspace())
    for found, expected in zip(single, double, strict=True):
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@every_case
def test_non_contiguous_inputs_give_the_same(case):
    arrays = case.arrays()
    np.testing.assert_array_equal(run(case, [scattered(array) for array in arrays])[0], run(case, arrays)[0])


@every_case
def test_a_used_workspace_gives_what_a_fresh_one_gives(case):
    workspace = Workspace()
    for count, steps in ((N, T), (1, T), (6, 7), (N, T)):
        if case.size != (N, T, D, H):
            count, steps = case.size[:2]
        lengths = None if case.lengths is None else tuple(itertools.islice(itertools.cycle(case.lengths), count))
        part = replace(case, size=(count, steps, *case.size[2:]), lengths=lengths)
        arrays = part.arrays(count)
        for found, expected in zip(run_both(part, arrays, workspace), run_both(part, arrays, Workspace()), strict=True):
            np.testing.assert_array_equal(found, expected)


@every_case
def test_backward_twice_gives_the_same(case):
    arrays, workspace = case.arrays(), Workspace()
    output, saved = run(case, arrays, workspace)
    backward = partial(OPERATIONS[case.operation].backward, saved, wanted=(True,) * len(arrays), workspace=workspace)
    d_output = np.random.default_rng(5).standard_normal(output.shape)
    first = [gradient.copy() for gradient in backward(d_output)]
    backward(2 * d_output)
    for found, expected in zip(backward(d_output), first, strict=True):
        np.testing.assert_array_equal(found, expected)


def garbage(case: Case, x: np.ndarray, value: float) -> np.ndarray:
    """Return x with other values behind the ends."""
    spoilt = x.copy()
    for observation, length in enumerate(case.lengths or ()):
        spoilt[observation, length:] = value
    return spoilt


@pytest.mark.parametrize("value", [1e30, -7.0, np.inf, np.nan])
@pytest.mark.parametrize("case", [case for case in CASES if case.lengths], ids=lambda case: case.id)
def test_what_is_behind_the_ends_changes_nothing(case, value):
    x, *others = case.arrays()
    output, saved = run(case, [x, *others])
    gradient = np.random.default_rng(5).standard_normal(output.shape)
    backward = partial(OPERATIONS[case.operation].backward, wanted=(True,) * (1 + len(others)))
    expected = backward(saved, gradient, workspace=Workspace())
    output_2, saved_2 = run(case, [garbage(case, x, value), *others])
    if gradient.ndim == 3:
        gradient = garbage(case, gradient, value)
    found = backward(saved_2, gradient, workspace=Workspace())
    np.testing.assert_array_equal(output_2, output)
    np.testing.assert_array_equal(saved_2.hidden_state, saved.hidden_state)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    if output.ndim == 3:
        assert not (output - garbage(case, output, 0.0)).any()
    assert not (found[0] - garbage(case, found[0], 0.0)).any()


@pytest.mark.parametrize("case", [case for case in CASES if case.shared], ids=lambda case: case.id)
def test_a_batch_is_its_observations_one_by_one_without_padding(case):
    x, *others = arrays = case.arrays()
    together = run_both(case, arrays, Workspace())
    d_output = np.random.default_rng(5).standard_normal(together[0].shape)
    sums = [np.zeros_like(array) for array in others]
    for n in range(len(x)):
        length = x.shape[1] if case.lengths is None else case.lengths[n]
        alone = replace(case, size=(1, length, *case.size[2:]), lengths=None)
        output, saved = run(alone, [x[n : n + 1, :length], *others])
        d_alone = d_output[n : n + 1, :length] if d_output.ndim == 3 else d_output[n : n + 1]
        d_x, *gradients = OPERATIONS[case.operation].backward(
            saved, d_alone, wanted=(True,) * len(arrays), workspace=Workspace()
        )
        whole = together[0][n, :length] if d_output.ndim == 3 else together[0][n]
        np.testing.assert_allclose(output[0], whole, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(d_x[0], together[1][n, :length], rtol=1e-12, atol=1e-12)
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient
    for total, gradient in zip(sums, together[2:], strict=True):
        np.testing.assert_allclose(gradient, total, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_wanted_gradients_only(name):
    case = Case(name)
    arrays = case.arrays()
    full = run_both(case, arrays, Workspace())[1:]
    for wanted in itertools.product((False, True), repeat=len(arrays)):
        workspace = Workspace()
        output, saved = run(case, arrays, workspace)
        d_output = np.random.default_rng(5).standard_normal(output.shape)
        gradients = OPERATIONS[name].backward(saved, d_output, wanted=wanted, workspace=workspace)
        assert tuple(gradient is not None for gradient in gradients) == wanted
        for gradient, expected in zip(gradients, full, strict=True):
            if gradient is not None:
                np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "bilstm"])
def test_states_carry_a_sequence_on(name):
    case = Case(name, shared=False)
    x, *others = case.arrays()
    count = 1 if name == "gru" else 2
    parameters, states = others[:-count], others[-count:]
    whole, end = run(case, [x, *parameters, *states])
    parts, workspace = [], Workspace()
    for part in (x[:, :2], x[:, 2:]):
        output, saved = run(case, [part, *parameters, *states], workspace)
        states = [getattr(saved, state) for state in ("hidden_state", "cell_state")[:count]]
        parts.append(output.copy())
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-13)
    np.testing.assert_allclose(saved.hidden_state, end.hidden_state, rtol=1e-13)


@pytest.mark.parametrize("mode", ["sequence", "last"])
@pytest.mark.parametrize("size", [(0, T, D, H), (N, 0, D, H)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_to_run(name, size, mode):
    case = Case(name, size, None, {"output_mode": mode})
    arrays = case.arrays()
    output, *gradients = run_both(case, arrays, Workspace())
    channels = (2 if name == "bilstm" else 1) * H
    assert output.shape == ((size[0], size[1], channels) if mode == "sequence" else (size[0], channels))
    for gradient, array in zip(gradients, arrays, strict=True):
        assert gradient.shape == array.shape
    if mode == "last":  # the initial states come out
        np.testing.assert_array_equal(output, np.repeat(arrays[-1 if name == "gru" else -2].T, size[0], axis=0))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_observation_without_steps_among_others(name):
    case = Case(name, (2, 3, D, H), (3, 0))
    arrays = case.arrays()
    output, saved = run(case, arrays)
    assert not output[1].any()
    np.testing.assert_array_equal(saved.hidden_state[1], arrays[-1 if name == "gru" else -2][:, 0])
    check_gradients(OPERATIONS[name], arrays, case.keywords(), (True,) * len(arrays), np.random.default_rng(2))


@pytest.mark.parametrize("name", OPERATIONS)
def test_pieces_of_large_batches_change_nothing(name, monkeypatch):
    case = Case(name, (9, 11, 5, 6), tuple(range(3, 12)))
    arrays = case.arrays(0, np.float32)
    whole = [array.copy() for array in run_both(case, arrays, Workspace())]
    small = partial(blocks.split, block_bytes=64)
    monkeypatch.setattr("mlnet.engines.numpy.gates.split", lambda count, size, _=0: small(count, size))
    for found, expected in zip(run_both(case, arrays, Workspace()), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_preactivations_saturate_without_warnings(dtype):
    for name, scale in itertools.product(("lstm", "gru"), (1e3, 1e4)):
        case = Case(name)
        x, *others = case.arrays(0, dtype)
        results = run_both(case, [x * dtype(scale), *others], Workspace())
        assert all(np.isfinite(result).all() for result in results)


def test_relu_states_stay_finite_behind_the_ends():
    case = Case("gru", (2, 400, D, H), (400, 2), {"state_activation": "relu"})
    x, w, r, b, h = case.arrays()
    x[0] *= 0.01
    for result in run_both(case, [x, w, 0.1 * r, b, h], Workspace()):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("case", [Case("lstm"), Case("lstm", lengths=RAGGED)], ids=lambda case: case.id)
def test_a_planted_error_is_found(case, number):
    right = OPERATIONS["lstm"]

    def backward(saved, d_output, **keywords):
        gradients = list(right.backward(saved, d_output, **keywords))
        gradients[number] = gradients[number] * 1.001
        return tuple(gradients)

    with pytest.raises(AssertionError, match=f"Gradient {number}"):
        check_gradients(
            *(Operation(right.forward, backward), case.arrays(), case.keywords(), (True,) * 6),
            np.random.default_rng(2),
        )


def test_a_gate_order_that_is_wrong_is_found():
    case = Case("lstm")
    x, w, r, b, h, c = case.arrays()
    swapped = w.reshape(4, H, D)[[0, 1, 3, 2]].reshape(w.shape)
    assert abs(run(case, [x, swapped, r, b, h, c])[0] - reference(case, [x, w, r, b, h, c])[0]).max() > 0.01


torch = pytest.importorskip("torch")


def torch_layer(name: str, arrays: list[np.ndarray], units: int) -> Any:
    """Return PyTorch's layer with the parameters in ``arrays``; its gates are i, f, g, o and r, z, n, as in MATLAB."""
    _, w, r, b = arrays[:4]
    kind = torch.nn.GRU if name == "gru" else torch.nn.LSTM
    layer = kind(w.shape[1], units, batch_first=True, bidirectional=name == "bilstm")
    directions = ("", "_reverse") if name == "bilstm" else ("",)
    rows = len(w) // len(directions)
    with torch.no_grad():
        for number, end in enumerate(directions):
            mine = slice(rows * number, rows * (number + 1))
            getattr(layer, f"weight_ih_l0{end}").copy_(torch.from_numpy(w[mine]))
            getattr(layer, f"weight_hh_l0{end}").copy_(torch.from_numpy(r[mine]))
            getattr(layer, f"bias_ih_l0{end}").copy_(torch.from_numpy(b[mine, 0]))
            if name == "gru":
                getattr(layer, f"bias_hh_l0{end}").copy_(torch.from_numpy(b[rows:, 0]))
            else:
                getattr(layer, f"bias_hh_l0{end}").zero_()
    return layer


@pytest.mark.parametrize("lengths", [None, (9, 2, 14, 1, 14, 7)])
@pytest.mark.parametrize("mode", ["sequence", "last"])
@pytest.mark.parametrize("name", ["lstm", "bilstm", "gru"])
def test_the_same_as_pytorch(name, mode, lengths):
    attributes = {"output_mode": mode} | ({"reset_gate_mode": RESETS[2]} if name == "gru" else {})
    case = Case(name, (6, 14, 5, 16), lengths, attributes, False)
    arrays = [0.3 * array for array in case.arrays(7, np.float32)]
    output, *gradients = run_both(case, arrays, Workspace())
    layer, directions = torch_layer(name, arrays, 16), 2 if name == "bilstm" else 1
    x = torch.from_numpy(arrays[0]).requires_grad_()
    states = [
        torch.from_numpy(state).reshape(6, directions, 16).transpose(0, 1).contiguous().requires_grad_()
        for state in arrays[4:]
    ]
    packed = x
    if lengths is not None:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    sequence, end = layer(packed, states[0] if name == "gru" else tuple(states))
    if lengths is not None:
        sequence, _ = torch.nn.utils.rnn.pad_packed_sequence(sequence, batch_first=True)
    hidden = end if name == "gru" else end[0]
    expected = sequence if mode == "sequence" else hidden.transpose(0, 1).reshape(6, -1)
    np.testing.assert_allclose(output, expected.detach().numpy(), atol=1e-5)
    expected.backward(torch.from_numpy(np.random.default_rng(5).standard_normal(output.shape).astype(np.float32)))
    ends = ("", "_reverse")[:directions]
    bias_names = ("bias_ih_l0", "bias_hh_l0") if name == "gru" else ("bias_ih_l0",)
    peers = [
        x.grad,
        torch.cat([getattr(layer, f"weight_ih_l0{end}").grad for end in ends]),
        torch.cat([getattr(layer, f"weight_hh_l0{end}").grad for end in ends]),
        torch.cat([getattr(layer, f"{bias}{end}").grad for end in ends for bias in bias_names])[:, None],
        *(state.grad.transpose(0, 1).reshape(6, -1) for state in states),
    ]
    for gradient, peer in zip(gradients, peers, strict=True):
        np.testing.assert_allclose(gradient, peer.numpy(), atol=1e-5)
