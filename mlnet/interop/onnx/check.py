"""Whether a file computes what `predict` computes: data for both, and the largest difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.errors import NetworkError
from mlnet.interop.onnx.graph import OnnxGraph
from mlnet.layers.base import Size
from mlnet.layers.general_input import InputLayer as GeneralInputLayer
from mlnet.layers.input import InputLayer
from mlnet.network.resolve import Resolved
from mlnet.network.trained import TrainedNetwork, predict

_TOLERANCE = 1e-3
_STEPS = 5
_OBSERVATIONS = 2

Run = Callable[[Mapping[str, np.ndarray]], Sequence[np.ndarray]]
"""Computes the outputs of a file from its inputs."""


def observations(batch: int | str) -> int:
    """Return how many observations a file is tried with."""
    return _OBSERVATIONS if isinstance(batch, str) else batch


def largest_difference(function: str, net: TrainedNetwork, graph: OnnxGraph, run: Run, batch: int) -> float:
    """Return the largest difference between a file, which ``run`` computes, and `predict`, for random data.

    Raises
    ------
    NetworkError
        Where it is larger than rounding explains.
    """
    generator = np.random.default_rng(0)
    network = net._network
    data = [random_data(network, layer, batch, generator) for layer in network.input_layers]
    feeds = {
        tensor.name: to_file(x, layer.size())
        for tensor, x, layer in zip(graph.inputs, data, network.input_layers, strict=True)
    }
    found = run(feeds)
    given = [as_given(layer, x) for layer, x in zip(network.input_layers, data, strict=True)]
    expected = predict(net, tuple(given) if len(given) > 1 else given[0], Acceleration="none")
    largest = 0.0
    sizes = [network.sizes[index][0] for index in network.output_indices]
    for ours, theirs, size in zip(expected if len(sizes) > 1 else (expected,), found, sizes, strict=True):
        wanted = to_file(ours, size)
        if wanted.shape != theirs.shape:
            raise NetworkError(f"{function}: the file puts out {theirs.shape}, but predict {wanted.shape}.")
        difference = float(np.abs(wanted - theirs).max(initial=0))
        if not difference <= _TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0))):
            raise NetworkError(f"{function}: what the file would compute differs from predict by {difference:.3g}.")
        largest = max(largest, difference)
    return largest


def random_data(network: Resolved, layer: InputLayer, batch: int, generator: np.random.Generator) -> Any:
    """Return data for an input layer, in MATLAB's form, around its Mean; whole numbers where a layer needs them.

    `as_given` makes of it what `predict` takes.
    """
    size = layer.size()
    whole = [limits for each in network.layers for limits in each.whole_inputs.values()]
    shape = (*size.dims, _STEPS) if size.is_sequence else size.dims

    def one() -> np.ndarray:
        if whole:
            first, last = max(n for n, _ in whole), min(n for _, n in whole)
            return generator.integers(first, last + 1, shape).astype(np.float32)
        x = generator.normal(size=shape)
        if "StandardDeviation" in layer.statistics():
            x = x * _spread(layer.statistic("StandardDeviation", size), size)
        if "Mean" in layer.statistics():
            x = x + _spread(layer.statistic("Mean", size), size)
        if "Max" in layer.statistics():
            low, high = (_spread(layer.statistic(name, size), size) for name in ("Min", "Max"))
            x = low + (high - low) * generator.uniform(size=shape)
        return x.astype(np.float32)

    observations = [one() for _ in range(batch)]
    if size.is_sequence:
        return observations
    return np.stack(observations, -1 if size.spatial else 0)


def as_given(layer: InputLayer, x: Any) -> Any:
    """Return data in the order of dimensions of an inputLayer, and with complex numbers where a layer splits them."""
    if getattr(layer, "SplitComplexInputs", False):
        return [_joined(each, layer) for each in x] if isinstance(x, list) else _joined(x, layer)
    if not isinstance(layer, GeneralInputLayer):
        return x
    if isinstance(x, list):
        return [_in_order(each, "SCT", layer.InputFormat.replace("B", "")) for each in x]
    return _in_order(x, "SCB" if "S" in layer.InputFormat else "BC", layer.InputFormat)


def _in_order(x: np.ndarray, order: str, labels: str) -> np.ndarray:
    """Return an array, whose dimensions are sorted by ``order``, with those of ``labels``."""
    if x.ndim != len(labels):
        return x
    places = sorted(range(len(labels)), key=lambda axis: order.index(labels[axis]))
    return np.transpose(x, np.argsort(places))


def _joined(x: np.ndarray, layer: InputLayer) -> np.ndarray:
    """Return complex numbers of the real and the imaginary channels."""
    axis = 1 if layer.size().format == "C" else -2
    real, imaginary = np.split(x, 2, axis)
    return real + 1j * imaginary


def _spread(value: np.ndarray, size: Size) -> np.ndarray:
    return value[..., None] if size.is_sequence and value.size > 1 else value


def to_file(x: Any, size: Size) -> np.ndarray:
    """Return data or results of MATLAB's form in that of the file; sequences need to be of one length."""
    if size.is_sequence:
        x = np.stack([np.reshape(each, (*size.dims, -1)) for each in x])  # (N, spatial, C, S)
        return np.ascontiguousarray(np.moveaxis(np.moveaxis(x, -1, 0), -1, 2))
    if size.is_flat and np.ndim(x) == 2:
        return np.asarray(x)
    if not size.spatial:
        return np.asarray(x)
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(np.asarray(x), -1, 0), -1, 1))
