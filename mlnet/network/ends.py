"""What a network takes and puts out at its ends: sizes, names of outputs, and the normalization of inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, NetworkError, UnknownNameError, message, nearest
from mlnet.functional.batches import formatted
from mlnet.layers.base import Size, dims
from mlnet.layers.linear import FullyConnectedLayer
from mlnet.network.open_ends import EndLayer
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source


def put_out_size(network: Resolved, source: Source) -> Size:
    """Return the size of an output: behind fully connected layers it has no spatial dimensions."""
    size = network.sizes[source.layer][source.output]
    if not size.spatial or not size.is_flat:
        return size
    layers, waiting = network.layers, [source.layer]
    while waiting:
        index = waiting.pop()
        if not isinstance(layers[index], FullyConnectedLayer):
            waiting += [each.layer for each in network.sources[index]]
            if not network.sources[index]:
                return size
    return Size("CT" if size.is_sequence else "C", (size.channels,))


def check_statistics(layer: Any) -> None:
    """Raise where an input layer normalizes by statistics that it does not have."""
    if not hasattr(type(layer), "statistics") or callable(layer.Normalization):
        return
    missing = [name for name in layer.statistics() if not getattr(layer, name).size]
    if missing:
        needed = f"{' and '.join(missing)} for Normalization='{layer.Normalization}'"
        fix = f"Give {missing[0]}=..., or Normalization='none'."
        raise NetworkError(message(f"dlnetwork: {layer.where()}", needed, "none", fix))


def normalized(X: Any, layer: Any, where: str) -> Any:  # noqa: N803
    """Return data normalized by the function of an input layer, which takes them as `trainNetwork` would."""
    if not callable(getattr(layer, "Normalization", None)):
        return X
    data = formatted(X, where)
    if data._node is not None:
        fix = "Use Normalization='none', and call the function before."
        raise NetworkError(message(where, "data that are not traced for a Normalization function", "traced ones", fix))
    labels, array = data.dims(), data.extractdata()
    if "S" not in labels and "T" not in labels:
        result = np.asarray(layer.Normalization(np.array(array.T))).T  # observations x features
    elif "T" in labels and "B" in labels:
        axis = labels.index("B")
        parts = [np.asarray(layer.Normalization(np.array(part))) for part in np.moveaxis(array, axis, 0)]
        result = np.stack(parts, axis=axis)
    else:
        result = np.asarray(layer.Normalization(np.array(array)))
    if result.shape != array.shape:
        needed = f"a Normalization function that keeps the size {dims(array.shape)}"
        raise DataError(message(where, needed, f"size {dims(result.shape)}"))
    return dlarray(result, labels)


def source_named(network: Resolved, name: str, where: str) -> Source:
    """Return the output that a name of Outputs means: 'layer', or 'layer/port'."""
    for index, layer in enumerate(network.layers):
        if isinstance(layer, EndLayer):
            continue
        if name == layer.Name:
            return Source(index)
        if name.startswith(f"{layer.Name}/") and name[len(layer.Name) + 1 :] in layer.outputs:
            return Source(index, layer.outputs.index(name[len(layer.Name) + 1 :]))
    known = [layer.Name for layer in network.layers if not isinstance(layer, EndLayer)]
    raise UnknownNameError(f"{where}: Outputs: there is no layer '{name}'.{nearest(name, known)}")


def as_state(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a state in its shape; those of several observations, (units, N), stay as they are."""
    return np.array(value.reshape(shape) if value.size == math.prod(shape) else value, np.float32)
