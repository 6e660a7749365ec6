"""ONNX's LSTM and GRU as OpenVINO's sequences, which have observations first and gates in an order of their own."""

from __future__ import annotations

import numpy as np

from mlnet.interop.ir_graph import IrBuilder, IrValue
from mlnet.interop.onnx_graph import OnnxNode
from mlnet.interop.onnx_step import NotInOnnx

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
    values = [build.constant(each) for each in (_lstm if is_lstm else _gru)(node, *arrays)]  # type: ignore[arg-type]
    names = node.attributes["activations"][: len(node.attributes["activations"]) // directions]
    unknown = [name for name in names if name not in _FUNCTIONS]
    if unknown:
        raise NotInOnnx(f"the function {unknown[0]} in a recurrent layer")
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
