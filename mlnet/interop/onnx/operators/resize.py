"""Resize and Upsample: each axis is a product with a matrix of weights, or a choice of elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, numbers, plain, whole_axis


def _resize(use: Use) -> Any:
    x, count = use.x, np.ndim(use.x)
    region, scales, sizes = (
        (use.input(1), use.input(2), use.input(3)) if use.opset >= 11 else (None, use.input(1), None)
    )
    axes = [whole_axis(axis, count) for axis in use.get("axes", range(count))]
    lengths = [np.shape(x)[axis] for axis in axes]
    if sizes is not None and np.size(sizes):
        new = numbers(sizes)
        factors = [b / a for a, b in zip(lengths, new, strict=True)]
        policy = use.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors, new = [factor] * len(axes), [math.floor(factor * n + 0.5) for n in lengths]
    else:
        given = use.get("scales") if scales is None else plain(scales)
        factors = [float(each) for each in np.ravel(given)]
        new = [math.floor(factor * n) for factor, n in zip(factors, lengths, strict=True)]
    shape = list(np.shape(x))
    for axis, length in zip(axes, new, strict=True):
        shape[axis] = length
    need(*shape)
    corners = [None] * len(axes) if region is None or not np.size(region) else _corners(region)
    inside: Any = True
    for axis, factor, length, corner in zip(axes, factors, new, corners, strict=True):
        if factor == 1 and length == np.shape(x)[axis] and corner in (None, (0.0, 1.0)):
            continue
        places = _places(use, np.shape(x)[axis], length, factor, corner)
        if _transform(use) == "tf_crop_and_resize":
            there = (places >= 0) & (places <= np.shape(x)[axis] - 1)
            inside = inside & there.reshape(-1, *[1] * (count - axis - 1))
        x = _sampled(use, x, axis, places, factor)
    if inside is not True and not np.all(inside):
        x = np.where(inside, x, like(use.get("extrapolation_value", 0.0), x))
    return x


def _corners(region: Any) -> list[Any]:
    values = [float(each) for each in np.ravel(plain(region))]
    half = len(values) // 2
    return list(zip(values[:half], values[half:], strict=True))


def _transform(use: Use) -> str:
    return str(use.get("coordinate_transformation_mode", "half_pixel" if use.opset >= 11 else "asymmetric"))


def _places(use: Use, old: int, new: int, factor: float, corner: Any) -> np.ndarray:
    """Return where the elements of the output lie in the input."""
    number, kind = np.arange(new, dtype=float), _transform(use)
    if kind == "asymmetric":
        return number / factor
    if kind == "half_pixel" or (kind == "pytorch_half_pixel" and new > 1):
        return (number + 0.5) / factor - 0.5
    if kind == "pytorch_half_pixel":
        return number * 0.0
    if kind == "half_pixel_symmetric":
        adjusted = new / (factor * old)
        return (old / 2) * (1 - adjusted) + (number + 0.5) / factor - 0.5
    if kind == "align_corners":
        return number * ((old - 1) / (factor * old - 1)) if new > 1 else number * 0.0
    if kind == "tf_crop_and_resize" and corner is not None:
        start, end = corner
        if new > 1:
            return start * (old - 1) + number * (end - start) * (old - 1) / (factor * old - 1)
        return np.full(1, 0.5 * (start + end) * (old - 1))
    raise NotComputed(f"the transformation {kind}")


def _sampled(use: Use, x: Any, axis: int, places: np.ndarray, factor: float) -> Any:
    mode, length = use.get("mode", "nearest"), np.shape(x)[axis]
    if mode == "nearest":
        return np.take(x, np.clip(_nearest(use, places), 0, length - 1).astype(int), axis=axis)
    shrinks = bool(use.get("antialias", 0)) and factor < 1
    if mode in ("linear", "bilinear"):
        weigh: Any = lambda d: np.maximum(0, 1 - np.abs(d))  # noqa: E731
        reach = 1.0
    elif mode == "cubic":
        a = use.get("cubic_coeff_a", -0.75)
        weigh = lambda d: _cubic(np.abs(d), a)  # noqa: E731
        reach = 2.0
    else:
        raise NotComputed(f"the mode {mode}")
    width = reach / factor if shrinks else reach
    span = math.ceil(width)
    base = np.floor(places).astype(int)
    offsets = np.arange(-span, span + 1) if shrinks else np.arange(1 - span, span + 1)
    columns = base[:, None] + offsets
    weights = weigh((columns - places[:, None]) * (factor if shrinks else 1))
    if use.get("exclude_outside", 0):
        weights = np.where((columns >= 0) & (columns < length), weights, 0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(places), length))
    need(len(places), length)
    rows = np.broadcast_to(np.arange(len(places))[:, None], columns.shape)
    np.add.at(matrix, (rows, np.clip(columns, 0, length - 1)), weights)
    moved = np.matmul(np.moveaxis(x, axis, -1), like(matrix.T, x))
    return np.moveaxis(moved, -1, axis)


def _nearest(use: Use, places: np.ndarray) -> np.ndarray:
    default = "round_prefer_floor" if use.opset >= 11 else "floor"
    kind = use.get("nearest_mode", default)
    if kind == "floor":
        return np.floor(places)
    if kind == "ceil":
        return np.ceil(places)
    if kind == "round_prefer_ceil":
        return np.floor(places + 0.5)
    return np.ceil(places - 0.5)


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


TABLE: dict[str, Operator] = {"Resize": _resize, "Upsample": lambda use: _resize(Use(use.inputs, use.given, 10))}
