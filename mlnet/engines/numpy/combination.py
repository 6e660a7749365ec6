"""Operations with several inputs: sums, products, and joining along an axis.

Inputs of sums and products that have one element along an axis are repeated along it; their gradients are summed over
it again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class _AdditionSaved(NamedTuple):
    shapes: tuple[tuple[int, ...], ...]


class _MultiplicationSaved(NamedTuple):
    inputs: tuple[np.ndarray, ...]


class _ConcatenationSaved(NamedTuple):
    axis: int
    lengths: tuple[int, ...]


def addition(*inputs: np.ndarray, workspace: Workspace) -> tuple[np.ndarray, _AdditionSaved]:
    """Return the sum of the inputs."""
    y = workspace.empty("y", np.broadcast_shapes(*(x.shape for x in inputs)), inputs[0].dtype)
    np.add(inputs[0], inputs[1], out=y)
    for x in inputs[2:]:
        y += x
    return y, _AdditionSaved(tuple(x.shape for x in inputs))


def addition_backward(
    saved: _AdditionSaved, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of the sum for each input."""
    return tuple(
        _summed_to(d_output, shape) if wish else None for shape, wish in zip(saved.shapes, wanted, strict=True)
    )


def multiplication(*inputs: np.ndarray, workspace: Workspace) -> tuple[np.ndarray, _MultiplicationSaved]:
    """Return the product of the inputs."""
    y = workspace.empty("y", np.broadcast_shapes(*(x.shape for x in inputs)), inputs[0].dtype)
    np.multiply(inputs[0], inputs[1], out=y)
    for x in inputs[2:]:
        y *= x
    return y, _MultiplicationSaved(inputs)


def multiplication_backward(
    saved: _MultiplicationSaved, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return for each input the gradient of the product: the output gradient times all other inputs."""
    gradients: list[np.ndarray | None] = []
    for number, wish in enumerate(wanted):
        if not wish:
            gradients.append(None)
            continue
        product = workspace.empty(f"d_x{number}", d_output.shape, d_output.dtype)
        product[...] = d_output
        for other, x in enumerate(saved.inputs):
            if other != number:
                product *= x
        gradients.append(_summed_to(product, saved.inputs[number].shape))
    return tuple(gradients)


def concatenation(*inputs: np.ndarray, axis: int, workspace: Workspace) -> tuple[np.ndarray, _ConcatenationSaved]:
    """Return the inputs joined along ``axis`` (negative, counted from the channels)."""
    lengths = tuple(x.shape[axis] for x in inputs)
    shape = list(inputs[0].shape)
    shape[axis] = sum(lengths)
    y = workspace.empty("y", tuple(shape), inputs[0].dtype)
    return np.concatenate(inputs, axis=axis, out=y), _ConcatenationSaved(axis, lengths)


def concatenation_backward(
    saved: _ConcatenationSaved, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the part of the output gradient that belongs to each input."""
    parts = np.split(d_output, np.cumsum(saved.lengths)[:-1], axis=saved.axis)
    return tuple(part if wish else None for part, wish in zip(parts, wanted, strict=True))


def _summed_to(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``gradient`` summed over the axes along which an input of ``shape`` was repeated."""
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1 != gradient.shape[axis])
    return gradient.sum(axis=axes, keepdims=True) if axes else gradient
