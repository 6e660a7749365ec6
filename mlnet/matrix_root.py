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
