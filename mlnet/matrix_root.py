"""Functions of symmetric matrices by their eigenvalues, for engines and for layers."""

from __future__ import annotations

import numpy as np


def inverse_root(covariance: np.ndarray, epsilon: float) -> np.ndarray:
    """Return ``(covariance + epsilon I)^(-1/2)`` for covariances (G, K, K), symmetric, float64."""
    vectors, roots = spectrum(covariance, epsilon)
    return from_spectrum(vectors, 1 / roots)


def spectrum(covariance: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvectors D (G, K, K) and ``s = sqrt(lambda + epsilon)`` (G, K); rounding may make lambda negative.

    Where the data are not finite, neither is the result: the training loop, not the eigensolver, says where.
    """
    if not np.isfinite(covariance).all():
        unknown = np.full_like(covariance, np.nan)
        return unknown, unknown[..., 0]
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return vectors, np.sqrt(np.maximum(eigenvalues, 0) + epsilon)


def from_spectrum(vectors: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the symmetric matrices with these eigenvectors (G, K, K) and eigenvalues (G, K)."""
    return (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)


def whitening_matrix(covariance: np.ndarray, epsilon: float, *, is_symmetric: bool) -> np.ndarray:
    """Return W (K, K), float64, for which the covariance of ``W x`` has the eigenvalues ``lambda / (lambda + e)``.

    With the covariance ``D diag(lambda) D'``, ``e`` is ``epsilon`` times the mean of lambda, so that data on another
    scale give the same. PCA: ``diag((lambda + e)^(-1/2)) D'`` by falling lambda; the largest element of each row, or
    the first of those that are as large, is positive. ZCA (``is_symmetric``): ``D diag((lambda + e)^(-1/2)) D'`` (Bell
    and Sejnowski 1997). Data that do not vary have nothing to be scaled by, their W is the identity.
    """
    variance = float(np.trace(covariance)) / len(covariance)
    if variance == 0:
        return np.eye(len(covariance))
    vectors, roots = (part[0] for part in spectrum(covariance[None], epsilon * variance))
    if is_symmetric:
        return from_spectrum(vectors[None], 1 / roots[None])[0]
    rows = (vectors / roots).T[::-1]
    sizes = np.abs(rows)
    largest = (sizes >= (1 - 1e-6) * sizes.max(axis=1, keepdims=True)).argmax(axis=1)
    return rows * np.sign(np.take_along_axis(rows, largest[:, None], axis=1))
