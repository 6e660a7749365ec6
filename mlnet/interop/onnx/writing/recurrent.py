"""Recurrent operations as ONNX's LSTM and GRU, whose gates come in another order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.interop.onnx.writing.step import NotInOnnx, Step

LSTM_ORDER = (0, 3, 1, 2)
"""ONNX's gates i, o, f, g by their places in i, f, g, o."""
GRU_ORDER = (1, 0, 2)
"""ONNX's gates z, r, candidate by their places in r, z, candidate."""

_GATES = {"sigmoid": "Sigmoid", "hard-sigmoid": "HardSigmoid"}
_STATES = {"tanh": "Tanh", "softsign": "Softsign", "relu": "Relu"}
_STATE_NAMES = ("HiddenState", "CellState")


def lstm(step: Step) -> Any:
    """Return the output of one direction."""
    return _run(step, "LSTM", LSTM_ORDER, 1)


def bilstm(step: Step) -> Any:
    """Return the outputs of both directions, forward then backward."""
    return _run(step, "LSTM", LSTM_ORDER, 2)


def projected_lstm(step: Step) -> Any:
    """Return the output of an LSTM with the products of weights and projectors as its weights."""
    values = dict(step.parameters)
    for weights, projector in (("InputWeights", "InputProjector"), ("RecurrentWeights", "OutputProjector")):
        values[weights] = values[weights].astype(np.float64) @ values.pop(projector).T
    return _run(replace(step, parameters=values), "LSTM", LSTM_ORDER, 1)


def gru(step: Step) -> Any:
    """Return the output of gated recurrent units."""
    return _run(step, "GRU", GRU_ORDER, 1)


def with_ports(step: Step) -> Any:
    """Return the output and the states of a layer whose states come in or go out."""
    export = {"lstm": lstm, "bilstm": bilstm, "projected_lstm": projected_lstm, "gru": gru}
    return export[step.attributes["operation"]](step)


def reordered(array: np.ndarray, order: tuple[int, ...], directions: int = 1) -> np.ndarray:
    """Return the blocks of rows in another order, with an axis for the directions before them."""
    blocks = array.reshape(directions, len(order), -1, *array.shape[1:])[:, list(order)]
    return blocks.reshape(directions, -1, *array.shape[1:])


def _run(step: Step, operator: str, order: tuple[int, ...], directions: int) -> Any:
    build, call, values = step.build, step.attributes, step.parameters
    units = values["RecurrentWeights"].shape[1]
    bias, recurrent_bias = values["Bias"].ravel(), np.zeros(directions * len(order) * units)
    mode = call.get("reset_gate_mode", "")
    if mode == "recurrent-bias-after-multiplication":
        bias, recurrent_bias = np.split(bias, 2)
    both = [reordered(each, order, directions) for each in (bias, recurrent_bias)]
    gate, state = _GATES[call["gate_activation"]], _STATES[call["state_activation"]]
    activations = [gate, state, state] if operator == "LSTM" else [gate, state]
    attributes: dict[str, Any] = {
        "hidden_size": units,
        "direction": "forward" if directions == 1 else "bidirectional",
        "activations": activations * directions,
    }
    if operator == "GRU":
        attributes["linear_before_reset"] = int(mode != "before-multiplication")
    if gate == "HardSigmoid":  # the default of the standard, but not of every program
        attributes["activation_alpha"] = [0.2] * directions
        attributes["activation_beta"] = [0.5] * directions
    count = 2 if operator == "LSTM" else 1
    inputs = [
        step.inputs[0],
        build.constant("InputWeights", reordered(values["InputWeights"], order, directions)),
        build.constant("RecurrentWeights", reordered(values["RecurrentWeights"], order, directions)),
        build.constant("Bias", np.concatenate(both, axis=1)),
        *_start(step, count, directions, units),
    ]
    while not inputs[-1]:
        inputs.pop()
    wants_states = len(step.output_sizes) > 1
    is_last = call["output_mode"] == "last"
    wanted = [not is_last, is_last or wants_states, wants_states and count > 1][: count + 1]
    outputs = [*build.nodes(operator, inputs, wanted, **attributes), "", ""]
    states = [_without_directions(step, name, directions, time=False) for name in outputs[1 : count + 1] if name]
    first = states[0] if is_last else _without_directions(step, outputs[0], directions, time=True)
    return (first, *states) if wants_states else first


def _without_directions(step: Step, x: str, directions: int, *, time: bool) -> str:
    """Return (S, N, directions H) of (S, directions, N, H), or (N, directions H) of (directions, N, H)."""
    axis = 1 if time else 0
    if directions == 1:
        return step.build.squeezed(x, axis)
    swapped = step.build.transposed(x, (0, 2, 1, 3) if time else (1, 0, 2))
    return step.build.reshaped(swapped, [0, 0, -1] if time else [0, -1])


def _start(step: Step, count: int, directions: int, units: int) -> list[str]:
    """Return the inputs for lengths and first states; '' where states are zero."""
    build = step.build
    if len(step.inputs) > 1:
        states = [build.reshaped(name, [0, directions, units]) for name in step.inputs[1:]]
        return ["", *(build.transposed(name, (1, 0, 2)) for name in states)]
    values = [step.parameters.get(name) for name in _STATE_NAMES[:count]]
    if not any(value is not None and np.any(value) for value in values):
        return []
    names = [""]
    for value in values:
        assert value is not None
        if value.shape[1] > 1:
            raise NotInOnnx("states of several observations; use resetState")
        state = build.constant("State", value.reshape(directions, 1, units))
        batch = build.node("Slice", build.node("Shape", step.inputs[0]), *(build.shape([n]) for n in (1, 2, 0)))
        shape = build.node("Concat", build.shape([directions]), batch, build.shape([units]), axis=0)
        names.append(build.node("Expand", state, shape))
    return names
