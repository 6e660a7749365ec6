"""Whitening (Huang et al. 2018, "Decorrelated Batch Normalization"; in groups: Huang et al. 2019), in ZCA form.

For each group of channels, over the mini-batch and the positions: ``x_c = x - mean``, ``W = (covariance + epsilon
I)^(-1/2)``, symmetric, ``y = scale (W x_c) + offset``; the covariance is divided by the number of values. Symbols: n
values, G groups of K channels, C = G K; matrices are (G, K, K), and a pixel is a row: ``W x`` is ``x W'``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.channels import ChannelRows, parameter_gradients
from mlnet.matrix_root import from_spectrum, spectrum
from mlnet.parallel.blocks import BLOCK_BYTES, run, split

Term = tuple[np.ndarray, np.ndarray]
"""An array (..., C) and the matrices (G, K, K) by which its rows are multiplied."""


class WhiteningState(NamedTuple):
    """What the backward of `whitening` needs.

    ``mean`` (C,) and ``covariance`` (G, K, K), float64, are those of the mini-batch: training merges them into
    statistics of the whole training set. ``vectors`` and ``roots`` are the eigenvectors of the covariance and the roots
    of its eigenvalues plus epsilon, ``matrix`` is W, ``centred`` is x less its mean.
    """

    mean: np.ndarray
    covariance: np.ndarray
    vectors: np.ndarray
    roots: np.ndarray
    matrix: np.ndarray
    centred: np.ndarray
    scale: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


class WhiteningInferenceState(NamedTuple):
    """What the backward of `whitening_inference` needs, named as in `WhiteningState`."""

    matrix: np.ndarray
    centred: np.ndarray
    scale: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


def whitening(
    x: np.ndarray, offset: np.ndarray, scale: np.ndarray, *, groups: int, epsilon: float, workspace: Workspace
) -> tuple[np.ndarray, WhiteningState]:
    """Whiten x (..., C) with its own statistics over all axes but the last, by ``groups`` groups of channels."""
    x = np.ascontiguousarray(x)
    mean, _ = ChannelRows(x, workspace).moments()
    centred = _centre(x, mean, workspace)
    products, _ = _products(centred, centred, groups)
    covariance = products / (x.size // x.shape[-1])
    vectors, roots = spectrum(covariance, epsilon)
    matrix = from_spectrum(vectors, 1 / roots)
    gamma = scale.reshape(groups, -1, 1).astype(np.float64)
    output = workspace.empty("output", x.shape, x.dtype)
    _transform([(centred, _transposed(gamma * matrix))], offset.reshape(-1), output, workspace)
    shapes = (offset.shape, scale.shape)
    return output, WhiteningState(mean, covariance, vectors, roots, matrix, centred, gamma, shapes)


def whitening_backward(
    saved: WhiteningState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset and scale.

    ``d_W = sum of (scale d_y) x_c'``. With the covariance ``D diag(lambda) D'`` and ``s = sqrt(lambda + epsilon)`` a
    small change of it changes ``W = D diag(1 / s) D'`` by ``D (F * (D' change D)) D'``, where F holds the divided
    differences of ``lambda -> 1 / s`` (Daleckii and Krein 1965): ``F_ij = (1 / s_i - 1 / s_j) / (s_i^2 - s_j^2) =
    -1 / (s_i s_j (s_i + s_j))``, finite also where eigenvalues are equal. So ``d_covariance = D (F * (D' d_W D)) D'``
    with the symmetric part of d_W, and ``d_x = W scale (d_y - mean(d_y)) + 2 / n d_covariance x_c``.
    """
    d_output = np.ascontiguousarray(d_output)
    groups, vectors, roots = len(saved.matrix), saved.vectors, saved.roots
    products, total = _products(d_output, saved.centred, groups)
    d_x = None
    if wanted[0]:
        count = d_output.size // d_output.shape[-1]
        d_matrix = saved.scale * products
        rotated = _transposed(vectors) @ (d_matrix + _transposed(d_matrix)) @ vectors / 2
        s_i, s_j = roots[:, :, None], roots[:, None, :]
        d_covariance = vectors @ (-rotated / (s_i * s_j * (s_i + s_j))) @ _transposed(vectors)
        scaled = saved.scale * saved.matrix
        shift = -np.matmul(total.reshape(groups, 1, -1), scaled).reshape(-1) / count
        d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
        _transform([(d_output, scaled), (saved.centred, 2 / count * d_covariance)], shift, d_x, workspace)
    gradients = (total, _scale_gradient(saved.matrix, products))
    return d_x, *parameter_gradients(gradients, saved.shapes, wanted[1:], d_output.dtype)


def whitening_inference(
    x: np.ndarray,
    offset: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    whitening_matrix: np.ndarray,
    *,
    workspace: Workspace,
) -> tuple[np.ndarray, WhiteningInferenceState]:
    """Return ``scale (W (x - mean)) + offset`` for x (..., C) and given W, (K, K, G) or (K, K) for one group."""
    x = np.ascontiguousarray(x)
    width = len(whitening_matrix)
    matrix = np.moveaxis(whitening_matrix.reshape(width, width, -1), 2, 0).astype(np.float64)
    gamma = scale.reshape(len(matrix), -1, 1).astype(np.float64)
    centred = _centre(x, mean.reshape(-1).astype(np.float64), workspace)
    output = workspace.empty("output", x.shape, x.dtype)
    _transform([(centred, _transposed(gamma * matrix))], offset.reshape(-1), output, workspace)
    shapes = (offset.shape, scale.shape, mean.shape, whitening_matrix.shape)
    return output, WhiteningInferenceState(matrix, centred, gamma, shapes)


def whitening_inference_backward(
    saved: WhiteningInferenceState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, offset, scale, mean and W: ``d_x = W' scale d_y``, ``d_W = sum of scale d_y x_c'``."""
    d_output = np.ascontiguousarray(d_output)
    groups = len(saved.matrix)
    scaled = saved.scale * saved.matrix
    products, total = _products(d_output, saved.centred, groups)
    d_x = None
    if wanted[0]:
        d_x = workspace.empty("d_x", d_output.shape, d_output.dtype)
        _transform([(d_output, scaled)], np.zeros_like(total), d_x, workspace)
    d_mean = -np.matmul(total.reshape(groups, 1, -1), scaled)
    d_matrix = np.moveaxis(saved.scale * products, 0, 2)
    gradients = (total, _scale_gradient(saved.matrix, products), d_mean, d_matrix)
    return d_x, *parameter_gradients(gradients, saved.shapes, wanted[1:], d_output.dtype)


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return matrices.transpose(0, 2, 1)


def _centre(x: np.ndarray, mean: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Return ``x - mean``, the mean being rounded first and its rest subtracted afterwards."""
    centred = workspace.empty("centred", x.shape, x.dtype)
    near = mean.astype(x.dtype)
    ChannelRows(x, workspace).scale_and_shift(near, np.ones_like(mean), near - mean, centred)
    return centred


def _by_group(x: np.ndarray, groups: int) -> np.ndarray:
    """Return a view (G, n, K) of an array (..., C)."""
    return x.reshape(-1, groups, x.shape[-1] // groups).transpose(1, 0, 2)


def _products(a: np.ndarray, b: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums over all pixels of ``a_i b_j`` (G, K, K) for each group, and of a (C,), float64.

    Sums are taken in the type of the arrays over one block, then in float64 over the blocks.
    """
    left, right, pixels = _by_group(a, groups), _by_group(b, groups), a.reshape(-1, a.shape[-1])
    width = left.shape[2]
    bytes_of_a_result = groups * width * width * a.itemsize
    blocks = split(len(pixels), pixels.shape[1] * a.itemsize, max(BLOCK_BYTES, 8 * bytes_of_a_result))
    products = np.empty((len(blocks), groups, width, width), a.dtype)
    totals = np.empty((len(blocks), pixels.shape[1]), a.dtype)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        np.matmul(_transposed(left[:, block]), right[:, block], out=products[part])
        np.dot(np.ones(block.stop - block.start, a.dtype), pixels[block], out=totals[part])

    run(task, len(blocks))
    return np.add.reduce(products, axis=0, dtype=np.float64), np.add.reduce(totals, axis=0, dtype=np.float64)


def _transform(terms: Sequence[Term], shift: np.ndarray, out: np.ndarray, workspace: Workspace) -> None:
    """Write ``sum of a matrix + shift`` over all ``terms`` to ``out`` (..., C), group by group."""
    groups = len(terms[0][1])
    pairs = [(_by_group(array, groups), matrix.astype(out.dtype)) for array, matrix in terms]
    target, pixels, row = _by_group(out, groups), out.reshape(-1, out.shape[-1]), shift.astype(out.dtype)
    blocks = split(len(pixels), pixels.shape[1] * out.itemsize)

    def task(part: int, slot: int) -> None:
        block = blocks[part]
        (first, matrix), *others = pairs
        np.matmul(first[:, block], matrix, out=target[:, block])
        for array, matrix in others:
            shape = (groups, block.stop - block.start, target.shape[2])
            product = workspace.scratch(("product", slot), shape, out.dtype)
            np.add(target[:, block], np.matmul(array[:, block], matrix, out=product), out=target[:, block])
        np.add(pixels[block], row, out=pixels[block])

    run(task, len(blocks))


def _scale_gradient(matrix: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return the sum of ``d_y (W x_c)`` for each channel, from the sums of ``d_y x_c'``."""
    return np.add.reduce(matrix * products, axis=-1)
