"""ONNX's LSTM and GRU as OpenVINO's sequences, which have observations first and gates in an order of their own."""

from __future__ import annotations

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.openvino.graph import IrBuilder, IrValue
from mlnet.interop.openvino.loop import looped

LSTM_ORDER = (2, 0, 3, 1)
"""OpenVINO's gates f, i, c, o by their places in ONNX's i, o, f, c."""

_FUNCTIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu"}
"""What the runtime computes in sequences."""


def recurrent(build: IrBuilder, node: OnnxNode, inputs: list[IrValue | None]) -> list[IrValue]:
    """Return the output (S, directions, N, H) and the last states (directions, N, H)."""
    is_lstm = node.operator == "LSTM"
    x, weights, recurrent_weights, bias = inputs[:4]
    states = inputs[5:]
    assert x is not None and weights is not None and recurrent_weights is not None and bias is not None
    units = int(node.attributes["hidden_size"])
    directions, (steps, batch, _) = weights.shape[0], x.shape
    observations_first = _swapped(build, x, (1, 0, 2))
    count = build.add("ShapeOf", 3, [x], (3,), numbers="i64", output_type="i64")
    one = build.add("Gather", 8, [count, build.whole([1]), build.whole(0)], (1,), batch_dims=0)
    length = build.add("Gather", 8, [count, build.whole([0]), build.whole(0)], (1,), batch_dims=0)
    lengths = build.add("Broadcast", 3, [length, one], (batch,), mode="numpy")
    given = [_swapped(build, state, (1, 0, 2)) for state in states[: 1 + is_lstm] if state is not None]
    if not given:
        parts = [one, build.whole([directions, units])]
        shape = build.add("Concat", 1, parts, (3,), axis=0)
        zeros = build.add(
            "Broadcast", 3, [build.constant(np.zeros(1)), shape], (batch, directions, units), mode="numpy"
        )
        given = [zeros] * (1 + is_lstm)
    arrays = [build.layers[value.layer].constant for value in (weights, recurrent_weights, bias)]
    names = node.attributes["activations"][: len(node.attributes["activations"]) // directions]
    if not _FUNCTIONS.keys() >= set(names):
        return _looped(build, node, x, given, arrays)  # type: ignore[arg-type]
    values = [build.constant(each) for each in (_lstm if is_lstm else _gru)(node, *arrays)]  # type: ignore[arg-type]
    options = {
        "hidden_size": units,
        "direction": node.attributes["direction"],
        "activations": [_FUNCTIONS[name] for name in names],
        "activations_alpha": [],
        "activations_beta": [],
        "clip": 0.0,
    }
    if not is_lstm:
        options["linear_before_reset"] = bool(node.attributes["linear_before_reset"])
    outputs = [((batch, directions, steps, units), "f32"), *[((batch, directions, units), "f32")] * len(given)]
    kind, opset = ("LSTMSequence", 5) if is_lstm else ("GRUSequence", 5)
    sequence, *last = build.several(kind, opset, [observations_first, *given, lengths, *values], outputs, **options)
    return [_swapped(build, sequence, (2, 1, 0, 3)), *(_swapped(build, each, (1, 0, 2)) for each in last)]


def _looped(
    build: IrBuilder, node: OnnxNode, x: IrValue, given: list[IrValue], arrays: list[np.ndarray]
) -> list[IrValue]:
    """Return what loops put out, as `recurrent` does; ``given`` are first states (N, directions, H)."""
    batch, directions, units = given[0].shape
    found: list[list[IrValue]] = []
    for number in range(directions):
        own = [
            build.add("Gather", 8, [state, build.whole(number), build.whole(1)], (batch, units), batch_dims=0)
            for state in given
        ]
        found.append(looped(build, node, x, own, [array[number] for array in arrays], reverse=number == 1))
    return [_stacked(build, list(values), int(not place)) for place, values in enumerate(zip(*found, strict=True))]


def _stacked(build: IrBuilder, values: list[IrValue], axis: int) -> IrValue:
    """Return values in a row along a new axis."""
    shape = values[0].shape
    parts = [
        build.add("Unsqueeze", 1, [value, build.whole([axis])], (*shape[:axis], 1, *shape[axis:])) for value in values
    ]
    whole = (*shape[:axis], len(values), *shape[axis:])
    return parts[0] if len(parts) == 1 else build.add("Concat", 1, parts, whole, axis=axis)


def _swapped(build: IrBuilder, x: IrValue, order: tuple[int, ...]) -> IrValue:
    return build.add("Transpose", 1, [x, build.whole(order)], tuple(x.shape[place] for place in order))


def _lstm(node: OnnxNode, weights: np.ndarray, recurrent_weights: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    both = np.add(*np.split(bias, 2, axis=1))
    return [_reordered(array) for array in (weights, recurrent_weights, both)]


def _reordered(array: np.ndarray) -> np.ndarray:
    blocks = array.reshape(len(array), 4, -1, *array.shape[2:])[:, list(LSTM_ORDER)]
    return blocks.reshape(array.shape)


def _gru(node: OnnxNode, weights: np.ndarray, recurrent_weights: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Return the weights as they are, and one bias; two of the candidate where the reset gate stands between."""
    first, second = np.split(bias, 2, axis=1)
    both = first + second
    if node.attributes["linear_before_reset"]:
        units = both.shape[1] // 3
        both = np.concatenate([both[:, : 2 * units], first[:, 2 * units :], second[:, 2 * units :]], axis=1)
    return [weights, recurrent_weights, both]
