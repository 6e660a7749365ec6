"""ONNX's LSTM and GRU as layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import NotImported, Tensor, axes
from mlnet.layers.indexing import indexing1dLayer
from mlnet.layers.recurrent import bilstmLayer, gruLayer, lstmLayer

_GATES = {"Sigmoid": "sigmoid", "HardSigmoid": "hard-sigmoid"}
_STATES = {"Tanh": "tanh", "Softsign": "softsign", "Relu": "relu"}
LSTM_ORDER = (0, 2, 3, 1)
"""Our gates i, f, g, o by their places in ONNX's i, o, f, g."""
GRU_ORDER = (1, 0, 2)
"""Our gates r, z, candidate by their places in ONNX's z, r, candidate."""


def recurrent(importer: Any, node: OnnxNode) -> None:
    """Add the layer of an LSTM or GRU: its sequence, its last step, or both."""
    is_lstm = node.operator == "LSTM"
    arguments = [*node.inputs, *[""] * (8 - len(node.inputs))]
    x = importer.plain(node, importer.tensor(arguments[0]))
    if arguments[4] or arguments[7]:
        raise NotImported("lengths of sequences, or peepholes")
    attributes = node.attributes
    if attributes.get("layout", 0) or attributes.get("clip") or attributes.get("input_forget"):
        raise NotImported("one of the attributes layout, clip, input_forget")
    if x.axes != axes("T", "N", "C"):
        raise NotImported("an input that is not time steps x observations x channels")
    directions = {"forward": 1, "bidirectional": 2}.get(attributes.get("direction", "forward"))
    if directions is None or (directions == 2 and not is_lstm):
        raise NotImported(f"the direction {attributes.get('direction')}")
    options = {**_functions(node, is_lstm, directions), **_weights(importer, node, arguments, is_lstm, directions)}
    units = options.pop("units")
    constructor: Any = gruLayer if not is_lstm else lstmLayer if directions == 1 else bilstmLayer
    sequence, last, cell = [*node.outputs, "", "", ""][:3]
    if importer.is_used(cell):
        raise NotImported("the state of the cells")
    made: Tensor | None = None
    if importer.is_used(sequence):
        made = importer.emit(node, constructor(units, **options), [x], axes("T", "N", "C"))
        whole = Tensor(made.port, made.size, axes("T", "D", "N", "C"), directions)
        importer.tensors[sequence] = whole
    if importer.is_used(last):
        if made is not None and directions == 1:
            end = importer.emit(node, indexing1dLayer("last"), [made], axes("N", "C"))
        else:
            end = importer.emit(node, constructor(units, OutputMode="last", **options), [x], axes("N", "C"))
        importer.tensors[last] = Tensor(end.port, end.size, axes("D", "N", "C"), directions)


def _functions(node: OnnxNode, is_lstm: bool, directions: int) -> dict[str, Any]:
    one = ["Sigmoid", "Tanh", "Tanh"] if is_lstm else ["Sigmoid", "Tanh"]
    given = node.attributes.get("activations") or one * directions
    gate, *states = given[: len(one)]
    if (
        given != given[: len(one)] * directions
        or len(set(states)) > 1
        or gate not in _GATES
        or states[0] not in _STATES
    ):
        raise NotImported(f"the functions {', '.join(given)}")
    alpha, beta = (node.attributes.get(f"activation_{name}", []) for name in ("alpha", "beta"))
    if gate == "HardSigmoid" and not (np.allclose(alpha, 0.2) and np.allclose(beta, 0.5)):
        raise NotImported("another HardSigmoid")
    return {"GateActivationFunction": _GATES[gate], "StateActivationFunction": _STATES[states[0]]}


def _weights(importer: Any, node: OnnxNode, names: list[str], is_lstm: bool, directions: int) -> dict[str, Any]:
    order = LSTM_ORDER if is_lstm else GRU_ORDER
    input_weights, recurrent_weights = (importer.constant(name) for name in names[1:3])
    units = recurrent_weights.shape[-1]
    rows = directions * len(order) * units
    bias = importer.constant(names[3]) if names[3] else np.zeros((directions, 2 * len(order) * units), np.float32)
    parts = [ours(half, order).reshape(rows) for half in np.split(bias, 2, axis=1)]
    options: dict[str, Any] = {
        "units": units,
        "InputWeights": ours(input_weights, order).reshape(rows, -1),
        "RecurrentWeights": ours(recurrent_weights, order).reshape(rows, units),
        "Bias": parts[0] + parts[1],
    }
    if not is_lstm:
        is_after = bool(node.attributes.get("linear_before_reset", 0))
        options["ResetGateMode"] = "after-multiplication" if is_after else "before-multiplication"
        if is_after and np.any(parts[1][2 * units :]):
            options["ResetGateMode"] = "recurrent-bias-after-multiplication"
            options["Bias"] = np.concatenate(parts)
    options["Bias"] = options["Bias"].reshape(-1, 1)
    for option, name in (("HiddenState", names[5]), ("CellState", names[6] if is_lstm else "")):
        state = importer.constant(name) if name else np.zeros(1)
        if np.any(state):
            if state.size != directions * units:
                raise NotImported("first states of several observations")
            options[option] = state.reshape(-1, 1)
    return options


def ours(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the gates of each direction, on the second axis, in our order."""
    blocks = array.reshape(len(array), len(order), -1, *array.shape[2:])
    return blocks[:, list(order)].reshape(array.shape)
