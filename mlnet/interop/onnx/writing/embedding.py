"""Positions, patches and products of elements as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlnet.interop.onnx.writing.step import Step


def position_embedding(step: Step) -> str:
    """Return column t of the weights for position t: (S, N, O, ...), or (N, O, L) of images."""
    table = step.parameters["Weights"].T
    build = step.build
    if not step.along_time:
        return _stretched(step, build.constant("Positions", table[: step.size.spatial[0]].T))
    steps = build.node("Slice", build.node("Shape", step.inputs[0]), *(build.shape([n]) for n in (0, 1, 0)))
    rows = build.node("Slice", build.constant("Weights", table), build.shape([0]), steps, build.shape([0]))
    return _stretched(step, rows)


def position_encoding(step: Step) -> str:
    """Return sines and cosines of positions 1, 2, ..."""
    build, size = step.build, int(step.attributes["size"])
    frequencies = _frequencies(size)
    if not step.along_time:
        angles = np.arange(1, step.size.spatial[0] + 1) * frequencies[:, None]
        return _stretched(
            step, build.constant("Positions", np.stack([np.sin(angles), np.cos(angles)], 1).reshape(size, -1))
        )
    count = build.node("Gather", build.node("Shape", step.inputs[0]), _scalar(step, 0), axis=0)
    numbers = build.node("Cast", build.node("Range", _scalar(step, 1), _plus_one(step, count), _scalar(step, 1)), to=1)
    angles_name = build.node("Mul", build.unsqueezed(numbers, 1), build.constant("Frequencies", frequencies))
    return _stretched(step, _by_turns(step, angles_name, 2, [0, size]))


def value_encoding(step: Step) -> str:
    """Return sines and cosines of the one channel: (N, size, ...)."""
    build, spatial = step.build, step.size.spatial
    size = int(step.attributes["size"])
    frequencies = _frequencies(size).reshape(-1, *[1] * len(spatial))
    angles = build.node("Mul", step.inputs[0], build.constant("Frequencies", frequencies))
    return _by_turns(step, angles, 2, [-1, size, *spatial])


def _frequencies(size: int) -> np.ndarray:
    return np.asarray(10000.0 ** (-np.arange(0, size, 2) / size))


def _by_turns(step: Step, angles: str, axis: int, shape: Sequence[int]) -> str:
    """Return sines and cosines by turns along the axis before ``axis``."""
    build = step.build
    pair = [build.unsqueezed(build.node(operator, angles), axis) for operator in ("Sin", "Cos")]
    return build.reshaped(build.node("Concat", *pair, axis=axis), shape)


def _scalar(step: Step, value: int) -> str:
    return step.build.constant("number", np.int64(value), np.int64)


def _plus_one(step: Step, count: str) -> str:
    return step.build.node("Add", count, _scalar(step, 1))


def _stretched(step: Step, rows: str) -> str:
    """Return (O, L) or (S, O) for all observations, and frames for all their pixels."""
    build, spatial, channels = step.build, step.size.spatial, step.output_sizes[0].channels
    whole = build.node("Shape", step.inputs[0])
    if not step.along_time:
        batch = build.node("Slice", whole, *(build.shape([n]) for n in (0, 1, 0)))
        return build.node("Expand", rows, build.node("Concat", batch, build.shape([channels, *spatial]), axis=0))
    lead = build.node("Slice", whole, *(build.shape([n]) for n in (0, 2, 0)))
    rows = build.reshaped(rows, [-1, 1, channels, *[1] * len(spatial)])
    return build.node("Expand", rows, build.node("Concat", lead, build.shape([channels, *spatial]), axis=0))


def embedding_concatenation(step: Step) -> str:
    """Return the list with the weights before it: along the time steps, or the positions of images."""
    build, column = step.build, step.parameters["Weights"].ravel()
    axis = 0 if step.along_time else 2
    place = 1 if step.along_time else 0
    batch = build.node("Slice", build.node("Shape", step.inputs[0]), *(build.shape([n]) for n in (place, place + 1, 0)))
    parts = (
        [build.shape([1]), batch, build.shape([len(column)])]
        if step.along_time
        else [batch, build.shape([len(column), 1])]
    )
    first = build.constant("Weights", column if step.along_time else column[:, None])
    return build.node(
        "Concat", build.node("Expand", first, build.node("Concat", *parts, axis=0)), step.inputs[0], axis=axis
    )


def patch_embedding(step: Step) -> str:
    """Return (N, O, patches): a convolution whose stride is the size of the patches."""
    build, weights = step.build, step.parameters["Weights"]
    patch, count = weights.shape[:-2], weights.ndim - 2
    filters = weights.transpose(count + 1, count, *range(count))
    constants = build.constant("Weights", filters), build.constant("Bias", step.parameters["Bias"].ravel())
    x = build.node("Conv", step.inputs[0], *constants, kernel_shape=list(patch), strides=list(patch))
    if not step.attributes["by_rows"]:
        x = build.transposed(x, [0, 1, *reversed(range(2, 2 + count))])
    return build.reshaped(x, [0, len(filters), -1])


def quadratic(step: Step) -> str:
    """Return the products of all pairs of elements, which lie along one dimension."""
    build, count = step.build, step.size.count
    pairs = [(first, last) for last in range(count) for first in range(last + 1)]
    flat = build.reshaped(step.inputs[0], [-1, count])
    factors = [build.node("Gather", flat, build.shape(numbers), axis=1) for numbers in zip(*pairs, strict=True)]
    size = step.output_sizes[0]
    return build.reshaped(build.node("Mul", *factors), [-1, size.channels, *size.spatial])


def max_unpooling(step: Step) -> str:
    """Return zeros of the shape that pooling took, with values at their places, which count all elements."""
    build = step.build
    x, places = (build.reshaped(name, [-1]) for name in step.inputs[:2])
    shape = build.node("Shape", step.inputs[2])
    count = build.product(shape, [0])
    zeros = build.node("Expand", build.constant("zero", np.zeros(1)), count)
    return build.node("Reshape", build.node("ScatterElements", zeros, places, x, axis=0), shape)
