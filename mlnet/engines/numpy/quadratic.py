"""Products of all pairs of elements of an observation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace


class QuadraticState(NamedTuple):
    """What the backward of `quadratic` needs: the elements (N, n), and the shape of the input."""

    x: np.ndarray
    shape: tuple[int, ...]


def quadratic(x: np.ndarray, *, size: tuple[int, ...], workspace: Workspace) -> tuple[np.ndarray, QuadraticState]:
    """Return the products of the n elements of each observation, n (n + 1) / 2 of them arranged as ``size``.

    ``y = (x_1 x_1, x_1 x_2, x_2 x_2, x_1 x_3, x_2 x_3, x_3 x_3, ...)``
    """
    count = math.prod(x.shape[1:])
    flat = np.ascontiguousarray(x).reshape(len(x), count)
    y = workspace.empty("output", (len(x), count * (count + 1) // 2), x.dtype)
    for last in range(count):
        np.multiply(flat[:, : last + 1], flat[:, last : last + 1], out=_products(y, last))
    return y.reshape(len(x), *size), QuadraticState(flat, x.shape)


def quadratic_backward(
    saved: QuadraticState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: ``d_x_i = d_y_ii x_i + sum_j d_y_ij x_j``, both orders of a pair being one product."""
    if not wanted[0]:
        return (None,)
    x = saved.x
    d_y = np.ascontiguousarray(d_output).reshape(len(x), math.prod(d_output.shape[1:]))
    d_x = workspace.empty("d_x", x.shape, x.dtype)
    d_x[...] = 0
    for last in range(x.shape[1]):
        d_products = _products(d_y, last)
        d_x[:, : last + 1] += d_products * x[:, last : last + 1]
        d_x[:, last] += np.einsum("ni,ni->n", d_products, x[:, : last + 1])
    return (d_x.reshape(saved.shape),)


def _products(y: np.ndarray, last: int) -> np.ndarray:
    """Return the part of the products (N, n (n + 1) / 2) whose second element is number ``last``, from 0."""
    start = last * (last + 1) // 2
    return y[:, start : start + last + 1]
