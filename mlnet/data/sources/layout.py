"""The one place where MATLAB's dimension order and the engines' order meet.

MATLAB: height x width x channels x observations; features: observations x channels.
Engines: observations first, channels last.
"""

from __future__ import annotations

import numpy as np


def to_engine(x: np.ndarray, format: str) -> np.ndarray:
    """Return a view of MATLAB's array in the engines' order.

    ``format`` is that of one observation: 'SSC' turns (H, W, C, N) into (N, H, W, C), 'C' keeps (N, C).
    """
    return np.moveaxis(x, -1, 0) if "S" in format else x


def from_engine(x: np.ndarray, format: str) -> np.ndarray:
    """Return a view of the engines' array in MATLAB's order: the reverse of `to_engine`."""
    return np.moveaxis(x, 0, -1) if "S" in format else x


def columns_of(x: np.ndarray) -> np.ndarray:
    """Return (N, elements) of an engine array with the elements in MATLAB's order: height fastest, channels last."""
    return x.transpose(0, *range(x.ndim - 1, 0, -1)).reshape(len(x), -1)
