"""The derivatives of the hyperbolic tangent, each in one piece: physics-informed networks spend their time here.

For y = tanh(x) the gradient is the *slope* ``g (1 - y^2)``. Its own gradients are slopes, and the *curve* ``-2 g h y``,
of which every gradient is a curve again. Arrays are gone through in pieces that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply
from mlnet.autodiff.tape import Rule

_PIECE = 2**14
"""Elements at a time: four arrays of them in double precision are half a megabyte."""


def tanh_slope(g: Any, y: Any) -> Any:
    """Return ``g (1 - y^2)`` of arrays of the same shape and type, traced where one of them is."""
    plain = type(g) is np.ndarray and type(y) is np.ndarray
    return _plain_slope(g, y) if plain else apply(_SLOPE, (g, y))


def _curve(a: Any, b: Any, c: Any) -> Any:
    """Return ``-2 a b c``, traced where one of them is."""
    plain = type(a) is np.ndarray and type(b) is np.ndarray and type(c) is np.ndarray
    return _plain_curve(a, b, c) if plain else apply(_CURVE, (a, b, c))


def _in_pieces(function: Callable[..., None], *arrays: np.ndarray) -> np.ndarray:
    """Return the array that ``function(out, *arrays)`` fills, piece by piece where that is possible."""
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    if out.size <= _PIECE or not all(each.flags.c_contiguous for each in arrays):
        function(out, *arrays)
        return out
    flat = [each.reshape(-1) for each in (out, *arrays)]
    for start in range(0, out.size, _PIECE):
        function(*(each[start : start + _PIECE] for each in flat))
    return out


def _fill_slope(out: np.ndarray, g: np.ndarray, y: np.ndarray) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, g, out=out)


def _fill_curve(out: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    np.multiply(a, b, out=out)
    np.multiply(out, c, out=out)
    np.multiply(out, -2, out=out)


def _plain_slope(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _in_pieces(_fill_slope, g, y)


def _plain_curve(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return _in_pieces(_fill_curve, a, b, c)


_SLOPE = Rule(_plain_slope, (lambda h, z, g, y: tanh_slope(h, y), lambda h, z, g, y: _curve(h, g, y)), formats.keep)
_CURVE = Rule(
    _plain_curve,
    (
        lambda h, z, a, b, c: _curve(h, b, c),
        lambda h, z, a, b, c: _curve(h, a, c),
        lambda h, z, a, b, c: _curve(h, a, b),
    ),
    formats.keep,
)
