"""Recurrent operators with functions that OpenVINO's sequences do not have, as a loop over the time steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.openvino.graph import IrBody, IrBuilder, IrValue

_SLOPE, _SHIFT = 0.2, 0.5
"""Of the hard sigmoid: max(0, min(1, 0.2 x + 0.5))."""


def looped(
    build: IrBuilder, node: OnnxNode, x: IrValue, states: list[IrValue], arrays: list[np.ndarray], reverse: bool
) -> list[IrValue]:
    """Return the outputs (S, N, H) of one direction and its last states (N, H).

    ``x`` is (S, N, C), ``states`` are (N, H), ``arrays`` the weights, recurrent weights and biases of ONNX's operator
    for this direction.
    """
    units = int(node.attributes["hidden_size"])
    steps, batch, channels = x.shape
    body = IrBuilder("body")
    given = body.parameter("x", (1, batch, channels))
    before = [body.parameter(f"state{number}", (batch, units)) for number in range(len(states))]
    body.stem = node.name
    now = body.add("Squeeze", 1, [given, body.whole([0])], (batch, channels))
    cell = _lstm if node.operator == "LSTM" else _gru
    after = cell(body, node, now, before, arrays)
    output = body.add("Unsqueeze", 1, [after[0], body.whole([0])], (1, batch, units))
    for number, value in enumerate([output, *after]):
        body.result(f"result{number}", value)
    shapes = [((steps, batch, units), "f32"), *[((batch, units), "f32")] * len(states)]
    values = build.several("TensorIterator", 1, [x, *states], shapes)
    build.layers[-1].body = IrBody(body, reverse)
    return values


def _function(body: IrBuilder, name: str) -> Callable[[IrValue], IrValue]:
    def hard_sigmoid(x: IrValue) -> IrValue:
        ends = [body.constant(np.float32(number)) for number in (_SLOPE, _SHIFT)]
        return body.add("HardSigmoid", 1, [x, *ends], x.shape)

    kinds = {"Sigmoid": ("Sigmoid", 1), "Tanh": ("Tanh", 1), "Relu": ("ReLU", 1), "Softsign": ("SoftSign", 9)}
    if name == "HardSigmoid":
        return hard_sigmoid
    kind, opset = kinds[name]
    return lambda x: body.add(kind, opset, [x], x.shape)


def _product(body: IrBuilder, x: IrValue, weights: np.ndarray) -> IrValue:
    shape = (x.shape[0], len(weights))
    return body.add("MatMul", 1, [x, body.constant(weights)], shape, transpose_a=False, transpose_b=True)


def _binary(body: IrBuilder, kind: str, x: IrValue, y: IrValue) -> IrValue:
    return body.add(kind, 1, [x, y], x.shape if x.rank else y.shape, auto_broadcast="numpy")


def _parts(body: IrBuilder, x: IrValue, count: int) -> list[IrValue]:
    shape = (x.shape[0], x.shape[1] // count)
    return body.several("Split", 1, [x, body.whole(1)], [(shape, "f32")] * count, num_splits=count)


def _lstm(
    body: IrBuilder, node: OnnxNode, x: IrValue, states: list[IrValue], arrays: list[np.ndarray]
) -> list[IrValue]:
    """Return the new hidden and cell states; gates are i, o, f, c."""
    weights, recurrent, bias = arrays
    hidden, cell = states
    gate, candidate, output = (_function(body, name) for name in node.attributes["activations"][:3])
    total = _binary(body, "Add", _product(body, x, weights), _product(body, hidden, recurrent))
    total = _binary(body, "Add", total, body.constant(np.add(*np.split(bias, 2))[None]))
    i, o, f, c = _parts(body, total, 4)
    kept = _binary(body, "Multiply", gate(f), cell)
    cell = _binary(body, "Add", kept, _binary(body, "Multiply", gate(i), candidate(c)))
    return [_binary(body, "Multiply", gate(o), output(cell)), cell]


def _gru(body: IrBuilder, node: OnnxNode, x: IrValue, states: list[IrValue], arrays: list[np.ndarray]) -> list[IrValue]:
    """Return the new hidden state; gates are z, r, candidate."""
    weights, recurrent, bias = arrays
    (hidden,) = states
    units = len(weights) // 3
    gate, function = (_function(body, name) for name in node.attributes["activations"][:2])
    first, second = np.split(bias, 2)
    ours = _binary(body, "Add", _product(body, x, weights), body.constant(first[None]))
    x_z, x_r, x_h = _parts(body, ours, 3)
    gates = _product(body, hidden, recurrent[: 2 * units])
    h_z, h_r = _parts(body, _binary(body, "Add", gates, body.constant(second[None, : 2 * units])), 2)
    z, r = (gate(_binary(body, "Add", one, other)) for one, other in ((x_z, h_z), (x_r, h_r)))
    matrix, shift = recurrent[2 * units :], body.constant(second[None, 2 * units :])
    if node.attributes["linear_before_reset"]:
        mixed = _binary(body, "Multiply", r, _binary(body, "Add", _product(body, hidden, matrix), shift))
    else:
        mixed = _binary(body, "Add", _product(body, _binary(body, "Multiply", r, hidden), matrix), shift)
    new = function(_binary(body, "Add", x_h, mixed))
    change = _binary(body, "Multiply", z, _binary(body, "Subtract", hidden, new))
    return [_binary(body, "Add", new, change)]
