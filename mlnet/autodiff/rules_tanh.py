"""The derivatives of the hyperbolic tangent, each in one piece: physics-informed networks spend their time here.

For y = tanh(x) the gradient is the *slope* ``g (1 - y^2)``. Its own gradients are a slope and the *curve* ``-2 g h y``,
of which every gradient is a curve again. Arrays that are not traced are gone through on all cores, in pieces that stay
in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply
from mlnet.autodiff.tape import JointRule
from mlnet.parallel.blocks import filled
from mlnet.parallel.kernels import Kernels, suiting


def tanh_slope(g: Any, y: Any) -> Any:
    """Return ``g (1 - y^2)`` of arrays of the same shape and type, traced where one of them is."""
    return _plain_slope(g, y) if _are_plain(g, y) else apply(_SLOPE, (g, y))


def plain_tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of what is not traced."""
    if type(x) is not np.ndarray or x.dtype.kind != "f":
        return np.tanh(x)
    kernels = suiting(x)
    if kernels is None:
        return filled(lambda out, x: np.tanh(x, out=out), 1, x)[0]
    y = np.empty_like(x)
    kernels.tanh(x, y)
    return y


def _curve(a: Any, b: Any, c: Any) -> Any:
    """Return ``-2 a b c``, traced where one of them is."""
    return _plain_curve(a, b, c) if _are_plain(a, b, c) else apply(_CURVE, (a, b, c))


def _are_plain(*arrays: Any) -> bool:
    return all(type(each) is np.ndarray for each in arrays)


def _fill_slope(out: np.ndarray, g: np.ndarray, y: np.ndarray) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, g, out=out)


def _fill_slopes(by_g: np.ndarray, by_y: np.ndarray, h: np.ndarray, g: np.ndarray, y: np.ndarray) -> None:
    np.multiply(h, y, out=by_y)
    np.multiply(by_y, y, out=by_g)
    np.subtract(h, by_g, out=by_g)
    np.multiply(by_y, g, out=by_y)
    np.multiply(by_y, -2, out=by_y)


def _fill_curve(out: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    np.multiply(a, b, out=out)
    np.multiply(out, c, out=out)
    np.multiply(out, -2, out=out)


def _fill_curves(
    by_a: np.ndarray, by_b: np.ndarray, by_c: np.ndarray, h: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> None:
    np.multiply(h, -2, out=by_a)
    np.multiply(by_a, b, out=by_c)
    np.multiply(by_a, c, out=by_b)
    np.multiply(by_c, c, out=by_a)
    np.multiply(by_c, a, out=by_c)
    np.multiply(by_b, a, out=by_b)


def _plain_slope(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    kernels = suiting(g, y)
    if kernels is None:
        return filled(_fill_slope, 1, g, y)[0]
    out = np.empty_like(g)
    kernels.tanh_slope(g, y, out)
    return out


def _plain_curve(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    kernels = suiting(a, b, c)
    if kernels is None:
        return filled(_fill_curve, 1, a, b, c)[0]
    out = np.empty_like(a)
    kernels.curve(a, b, c, out)
    return out


def _quick_slopes(kernels: Kernels, h: np.ndarray, g: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    by_g, by_y = np.empty_like(h), np.empty_like(h)
    kernels.tanh_slope(h, y, by_g)
    kernels.curve(h, g, y, by_y)
    return [by_g, by_y]


def _quick_curves(kernels: Kernels, h: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
    by_a, by_b, by_c = np.empty_like(h), np.empty_like(h), np.empty_like(h)
    kernels.curve(h, b, c, by_a)
    kernels.curve(h, a, c, by_b)
    kernels.curve(h, a, b, by_c)
    return [by_a, by_b, by_c]


def _slope_gradients(wanted: Sequence[bool], h: Any, z: Any, g: Any, y: Any) -> Sequence[Any]:
    if all(wanted) and _are_plain(h, g, y):
        kernels = suiting(h, g, y)
        return filled(_fill_slopes, 2, h, g, y) if kernels is None else _quick_slopes(kernels, h, g, y)
    return tanh_slope(h, y) if wanted[0] else None, _curve(h, g, y) if wanted[1] else None


def _curve_gradients(wanted: Sequence[bool], h: Any, z: Any, a: Any, b: Any, c: Any) -> Sequence[Any]:
    if all(wanted) and _are_plain(h, a, b, c):
        kernels = suiting(h, a, b, c)
        return filled(_fill_curves, 3, h, a, b, c) if kernels is None else _quick_curves(kernels, h, a, b, c)
    others = ((b, c), (a, c), (a, b))
    return [_curve(h, *each) if wish else None for wish, each in zip(wanted, others, strict=True)]


_SLOPE = JointRule(_plain_slope, _slope_gradients, formats.keep)
_CURVE = JointRule(_plain_curve, _curve_gradients, formats.keep)
