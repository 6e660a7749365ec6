"""Arithmetic with large arrays that a library of the engines does faster than NumPy, where one has offered it.

Physics-informed networks spend their time in such arithmetic. `suiting` gives what is offered for some arrays, and None
where NumPy is to compute: for small arrays, other types, scattered elements, and where nothing was offered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

FEWEST = 2**16
"""Elements of arrays from which on a call of another library pays."""
FEWEST_ROWS = 2**12
"""Rows of a factor of few columns from which on it pays."""


class Kernels(ABC):
    """Arithmetic with contiguous arrays of single precision and one shape; ``out`` may be the first argument."""

    @abstractmethod
    def curve(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, out: np.ndarray) -> None:
        """Write ``-2 a b c``."""

    @abstractmethod
    def add(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """Write ``a + b``."""

    @abstractmethod
    def tanh(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write the hyperbolic tangent."""

    @abstractmethod
    def tanh_slope(self, g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        """Write ``g (1 - y^2)``."""

    @abstractmethod
    def product(self, a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> None:
        """Write ``a b + bias`` of matrices (M, K) and (K, N) and N numbers."""

    @abstractmethod
    def product_over_rows(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """Write ``a' b`` of matrices (M, K) and (M, N)."""


_offered: Kernels | None = None


def offer(kernels: Kernels | None) -> None:
    """Let large arrays be computed by ``kernels`` from now on, by NumPy with None."""
    global _offered
    _offered = kernels


def suiting(*arrays: np.ndarray) -> Kernels | None:
    """Return what is to compute with these arrays of one shape, None where NumPy is."""
    if _offered is None or arrays[0].size < FEWEST:
        return None
    shape = arrays[0].shape
    for each in arrays:
        if each.dtype != np.float32 or each.shape != shape or not each.flags.c_contiguous:
            return None
    return _offered


def product(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray | None:
    """Return ``a b + bias`` where one of the matrices is small and the other large, None where NumPy is to compute."""
    if _offered is None or a.dtype != np.float32 or b.dtype != np.float32 or a.ndim != 2 or b.ndim != 2:
        return None
    (rows, inner), outputs = a.shape, b.shape[1]
    if (inner < FEWEST_ROWS and rows < FEWEST_ROWS) or min(rows, inner, outputs) < 2:
        return None
    if max(rows, outputs) <= _WIDEST and bias is None and a.flags.f_contiguous and b.flags.c_contiguous:
        out = np.empty((rows, outputs), np.float32)
        _offered.product_over_rows(a.T, b, out)
        return out
    if max(inner, outputs) <= _WIDEST and a.flags.c_contiguous and (bias is None or bias.dtype == np.float32):
        out = np.empty((rows, outputs), np.float32)
        _offered.product(a, b, bias, out)
        return out
    return None


_WIDEST = 2**7
"""Rows and columns of the small matrix: for larger ones BLAS is as fast."""
